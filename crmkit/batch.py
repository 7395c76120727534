"""The batch job: one configuration in, one published folder out, or nothing at all.

``run`` writes everything into ``OUT/runs/<id>.part``, renames it when it is complete, and then points
``OUT/CURRENT`` at it. The id is made of the inputs, the configuration and the versions, so running again on the same
delivery finds its result and does nothing.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from crmkit import __version__
from crmkit.churn import ChurnModel
from crmkit.config import Config, TableSource
from crmkit.evaluation import Backtest, backtest
from crmkit.exceptions import BusyError, CrmkitError, CrmkitWarning, ModelError, PublishError, RefusedError
from crmkit.extracts import Extract, read_extract
from crmkit.features import weekly_sales, weekly_spend
from crmkit.models import BGNBD, CustomerLifetimeValue, GammaGamma
from crmkit.offers import Deals, OfferPlan, OfferResult, print_lists
from crmkit.report import Report
from crmkit.summaries import btyd_summary, rfm_table
from crmkit.tables import Members, Products
from crmkit.tiers import RFMScores, ValueTiers
from crmkit.timing import NextPurchase
from crmkit.transactions import Rejections, Transactions

__all__ = ["Published", "run"]

_NOBODY = "customer_id is missing"
_VERSIONED = ("numpy", "pandas", "pyarrow", "duckdb", "scipy", "scikit-learn", "matplotlib")

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Published:
    """Where a run's output is, and whether it was there already.

    Attributes
    ----------
    folder : Path
        ``OUT/CURRENT``.
    manifest : dict
        The content of ``run.json``.
    repeated : bool
        The same run had been published before; nothing was computed.
    """

    folder: Path
    manifest: dict[str, Any]
    repeated: bool


def run(
    config: Config,
    home: str | Path,
    out: str | Path,
    *,
    as_of: date | None = None,
    force: bool = False,
    progress: Progress = lambda stage: None,
) -> Published:
    """Read, score, plan and publish.

    Parameters
    ----------
    config : Config
    home : path
        Folder that the configuration's paths start from.
    out : path
        Folder to publish under; ``out/CURRENT`` is the newest complete run.
    as_of : date, optional
        The day the numbers stand for; only what happened up to its close is used. Default: the configured ``until``.
    force : bool
        Compute again even if the same run has been published.
    progress : callable
        Called with the name of each stage as it begins.

    Raises
    ------
    CrmkitError
        Nothing has been published; what was there before is untouched.
    """
    day = config.until if as_of is None else as_of
    sources = _sources(config, Path(home))
    hashes = {name: [_file_hash(part.path) for part in source.parts] for name, source in sources.items()}
    run_id = f"{day}-{_digest(config, day, hashes)}"
    target = Path(out)
    with _locked(target):
        done = target / "runs" / run_id
        if done.is_dir() and not force:
            _point_current(target, run_id)
            return Published(target / "CURRENT", json.loads((done / "run.json").read_text(encoding="utf-8")), True)
        part = target / "runs" / f"{run_id}.part"
        part.mkdir()
        try:
            manifest = _Run(config, sources, day, part, progress).publishable()
            _finish(part, manifest | {"run": run_id, "inputs": _named(sources, hashes)})
            _replace(part, done)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        _point_current(target, run_id)
    return Published(target / "CURRENT", json.loads((done / "run.json").read_text(encoding="utf-8")), False)


# -- What is run -----------------------------------------------------------------------------------------------------


@dataclass
class _Run:
    """One run's stages, in order; each writes its table into ``folder`` and its section into the report."""

    config: Config
    sources: dict[str, Extract]
    day: date
    folder: Path
    progress: Progress
    timings: dict[str, float] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def publishable(self) -> dict[str, Any]:
        """Run every stage and return the manifest."""
        config = self.config
        report = Report(config.title, as_of=self.day, currency=config.currency)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", CrmkitWarning)
            log, rejections = self._timed("reading", self._read)
            customers = self._timed("scoring customers", self._customers, log)
            due = self._timed("timing purchases", self._due, log)
            plan, deals = self._timed("planning offers", self._plan, due, customers)
            lists = self._timed("printing lists", self._print, plan, deals, due)
            checks = self._timed("looking back", self._checks, log)
            self.notes += sorted({str(w.message) for w in caught if issubclass(w.category, CrmkitWarning)})
            self._timed("writing the report", self._report, report, log, rejections, customers, due, plan, checks)
        return self._manifest(rejections, lists, checks, plan)

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        self.progress(name)
        started = time.perf_counter()
        yield
        self.timings[name] = round(time.perf_counter() - started, 3)

    def _timed(self, name: str, stage: Callable[..., Any], *arguments: Any) -> Any:
        with self._stage(name):
            return stage(*arguments)

    def _read(self) -> tuple[Transactions, Rejections]:
        sales = self.config.transactions
        products = self.config.products
        log, rejections = Transactions.split_extract(
            self.sources["transactions"],
            until=self.config.until,
            time_zone=sales.time_zone,
            recorded_in=sales.recorded_in,
            time_format=sales.time_format,
            products=Products.from_extract(self.sources["products"], **products.columns) if products else None,
            progress=self.progress,
            **sales.columns,
        )
        self._write(rejections.rows.assign(value=rejections.rows["value"].astype("str")), "rejections")
        _refuse(rejections, sales.max_rejected)
        return log.up_to(self.day), rejections

    def _customers(self, log: Transactions) -> pd.DataFrame:
        """One row per customer: summaries, scores, value, tier, risk."""
        value, churn = self.config.value, self.config.churn
        customers = btyd_summary(log)
        if not len(customers):
            raise ModelError(f"No customer has bought anything by {self.day}. Check until= and the files.")
        customers = customers.merge(rfm_table(log), on="customer_id").merge(weekly_spend(log), on="customer_id")
        customers = customers.join(RFMScores().fit_transform(customers))
        clv = self._clv().fit(customers)
        customers["p_alive"] = clv.purchases_.probability_alive(customers)
        customers["expected_purchases"] = clv.purchases_.expected_purchases(customers, value.horizon)
        customers["value"] = clv.predict(customers)
        customers["tier"] = ValueTiers(shares=value.tiers).fit_transform(customers["value"])
        customers = customers.merge(ChurnModel(churn.horizon).fit(log).predict(log), on="customer_id")
        if self.config.members:
            members = Members.from_extract(self.sources["members"], **self.config.members.columns).frame
            customers = customers.merge(members, on="customer_id", how="left")
        return self._write(customers, "customers")

    def _clv(self) -> CustomerLifetimeValue:
        value = self.config.value
        return CustomerLifetimeValue(
            BGNBD(), GammaGamma(), horizon=value.horizon, annual_discount=value.annual_discount, margin=value.margin
        )

    def _by(self, log: Transactions) -> str | None:
        followed = (self.config.repurchase.by,) if self.config.repurchase.by else ("category", "product_id")
        return next((name for name in followed if name in log.items), None)

    def _due(self, log: Transactions) -> pd.DataFrame:
        by = self._by(log)
        if by is None:
            self.notes.append("Purchases were not timed: the lines have neither a category nor a product_id.")
            return self._write(pd.DataFrame({"customer_id": pd.Series(dtype="str")}), "repurchases")
        timing = self.config.repurchase
        model = NextPurchase(by=by, exclude=timing.exclude).fit(log)
        return self._write(model.predict(log, horizon=timing.horizon), "repurchases")

    def _plan(self, due: pd.DataFrame, customers: pd.DataFrame) -> tuple[OfferResult | None, Deals | None]:
        if self.config.deals is None or "p_purchase" not in due:
            self.notes.append("No offers were planned: the configuration names no deals, or no purchase was timed.")
            self._write(pd.DataFrame({"customer_id": pd.Series(dtype="str")}), "offers")
            return None, None
        terms = self.config.offers
        deals = Deals.from_extract(self.sources["deals"], **self.config.deals.columns)
        plan = OfferPlan(
            deals,
            slots=terms.slots,
            control=terms.control,
            key=terms.key,
            response=terms.response,
            margin=terms.margin,
            min_weekly_spend=terms.min_weekly_spend,
        ).solve(due, customers)
        self._write(plan.offers, "offers")
        self._write(plan.control, "control")
        return plan, deals

    def _print(self, plan: OfferResult | None, deals: Deals | None, due: pd.DataFrame) -> int:
        if plan is None or deals is None:
            return 0
        lists = self.config.lists
        print_lists(
            plan.offers,
            deals,
            due,
            self.folder / "lists",
            title=lists.title,
            font=lists.font,
            currency=_symbol(self.config.currency),
        )
        return int(plan.offers["customer_id"].nunique())

    def _checks(self, log: Transactions) -> list[Backtest]:
        timing = self.config.repurchase
        questions: list[tuple[str, Any, int | None]] = [
            ("Lifetime value", self._clv(), None),
            ("Churn", ChurnModel(self.config.churn.horizon), None),
        ]
        by = self._by(log)
        if by:
            questions.append(("Next purchase", NextPurchase(by=by, exclude=timing.exclude), timing.horizon))
        checks = []
        for subject, model, horizon in questions:
            try:
                checks.append(backtest(model, log, horizon=horizon))
            except CrmkitError as error:
                self.notes.append(f"{subject} could not be held against the past: {error}")
        return checks

    def _report(
        self,
        report: Report,
        log: Transactions,
        rejections: Rejections,
        customers: pd.DataFrame,
        due: pd.DataFrame,
        plan: OfferResult | None,
        checks: list[Backtest],
    ) -> None:
        report.add_card(len(customers), "customers")
        report.add_card(customers["value"].sum(), f"value expected in {self.config.value.horizon} days")
        report.add_card(
            customers["value_at_risk"].sum(), f"expected spending at risk in {self.config.churn.horizon} days"
        )
        if plan is not None:
            report.add_card(plan.offers["customer_id"].nunique(), "members with a list")
        subjects = {check.subject: check for check in checks}
        report.add_sales(weekly_sales(log)).add_tiers(customers)
        _backed(report, subjects.get("Lifetime value"))
        report.add_segments(customers).add_churn(customers, self.config.churn.horizon)
        _backed(report, subjects.get("Churn"))
        if "p_purchase" in due:
            report.add_repurchases(due, str(due.columns[1]))
        _backed(report, subjects.get("Next purchase"))
        if plan is not None:
            report.add_offers(plan)
        report.add_rejections(rejections)
        for note in self.notes:
            report.add_note("Please note", note)
        report.save(self.folder / "report.html")

    def _write(self, table: pd.DataFrame, name: str) -> pd.DataFrame:
        table.to_parquet(self.folder / f"{name}.parquet", index=False)
        self.rows[name] = len(table)
        return table

    def _manifest(
        self, rejections: Rejections, lists: int, checks: list[Backtest], plan: OfferResult | None
    ) -> dict[str, Any]:
        return {
            "crmkit": __version__,
            "as_of": str(self.day),
            "versions": _versions(),
            "settings": self.config.model_dump(mode="json"),
            "read": {
                "rows": rejections.rows_read,
                "used": rejections.rows_used,
                "rejected": rejections.rows_rejected,
                "duplicate": rejections.rows_duplicate,
                "reasons": dict(zip(rejections.counts["reason"], map(int, rejections.counts["rows"]), strict=True)),
                "amount": str(rejections.amount_read),
                "amount_used": str(rejections.amount_used),
                "amount_rejected": str(rejections.amount_rejected),
                "amount_duplicate": str(rejections.amount_duplicate),
            },
            "rows": self.rows | {"lists": lists},
            "backtests": {check.subject: check.mean.round(6).to_dict("index") for check in checks},
            "plan": None if plan is None else {"objective": plan.objective, "gap": plan.gap},
            "notes": self.notes,
            "seconds": self.timings,
        }


def _symbol(currency: str) -> str:
    from babel.numbers import get_currency_symbol

    return get_currency_symbol(currency, locale="en") if currency else ""


def _backed(report: Report, check: Backtest | None) -> None:
    if check is not None:
        report.add_backtest(check)


def _refuse(rejections: Rejections, most: float) -> None:
    """Raise when too many rows are faulty; rows that only lack a customer are nobody's, not faulty."""
    counts = rejections.counts
    faulty = int(counts.loc[counts["reason"] != _NOBODY, "rows"].sum())
    if rejections.rows_read and faulty > most * rejections.rows_read:
        raise RefusedError(
            f"{faulty:,} of {rejections.rows_read:,} rows are faulty, more than max_rejected = {most:g} allows. {rejections}. "
            "Mend the extract, or raise max_rejected under [transactions]."
        )
    if not rejections.rows_used:
        raise RefusedError(f"No row could be used. {rejections}.")


# -- Inputs and their identity ---------------------------------------------------------------------------------------


def _sources(config: Config, home: Path) -> dict[str, Extract]:
    tables: dict[str, TableSource | None] = {
        "transactions": config.transactions,
        "products": config.products,
        "members": config.members,
        "deals": config.deals,
    }
    return {
        name: read_extract([str(home / file) for file in _listed(table.files)], delimiter=table.delimiter)
        for name, table in tables.items()
        if table is not None
    }


def _listed(files: str | list[str]) -> list[str]:
    return [files] if isinstance(files, str) else files


def _file_hash(path: Path | None) -> str:
    assert path is not None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(config: Config, day: date, hashes: dict[str, list[str]]) -> str:
    identity = json.dumps([config.model_dump(mode="json"), str(day), hashes, _code(), _versions()], sort_keys=True)
    return hashlib.sha256(identity.encode()).hexdigest()[:12]


def _code() -> list[str]:
    """Hash of every file of the package: other code is another run, whatever its version says."""
    home = Path(__file__).parent
    return [_file_hash(file) for file in sorted(home.rglob("*")) if file.suffix in (".py", ".sql", ".j2")]


def _named(sources: dict[str, Extract], hashes: dict[str, list[str]]) -> list[dict[str, str]]:
    return [
        {"table": name, "file": part.name, "sha256": digest}
        for name, source in sources.items()
        for part, digest in zip(source.parts, hashes[name], strict=True)
    ]


def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in _VERSIONED}


# -- Publishing ------------------------------------------------------------------------------------------------------


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Own the output folder; sweep what an interrupted run left."""
    try:
        (out / "runs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PublishError(f"{out} cannot be made: {error.strerror}.") from error
    lock = FileLock(out / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise BusyError(f"Another run is writing to {out}. Try again when it has ended.") from None
    except OSError as error:
        raise PublishError(f"{out} cannot be written: {error.strerror}.") from error
    try:
        for left in (out / "runs").glob("*.part"):
            shutil.rmtree(left, ignore_errors=True)
        yield
    finally:
        lock.release()


def _finish(part: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest last, close the files to strangers, and bring everything to the disk."""
    manifest["outputs"] = {
        str(file.relative_to(part)): _file_hash(file) for file in sorted(part.rglob("*")) if file.is_file()
    }
    text = json.dumps(manifest, indent=1, allow_nan=False, default=str)
    (part / "run.json").write_text(text + "\n", encoding="utf-8")
    for path in [part, *part.rglob("*")]:
        path.chmod(0o750 if path.is_dir() else 0o640)
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(part: Path, done: Path) -> None:
    if done.is_dir():
        old = done.with_name(done.name + ".old.part")
        done.rename(old)
        part.rename(done)
        shutil.rmtree(old, ignore_errors=True)
    else:
        part.rename(done)
    _sync(done.parent)


def _point_current(out: Path, run_id: str) -> None:
    """``CURRENT`` is a relative link; it is replaced in one step."""
    link = out / ".CURRENT.part"
    link.unlink(missing_ok=True)
    link.symlink_to(Path("runs") / run_id)
    os.replace(link, out / "CURRENT")
    _sync(out)
