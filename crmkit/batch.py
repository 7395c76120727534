"""The batch job: one configuration in, one published folder out, or nothing at all.

``run`` writes everything into ``OUT/runs/<id>.part``, renames it when it is complete, and then points
``OUT/CURRENT`` at it, unless that is a run of a later day. The id is made of the inputs, the configuration, the versions
and the run before, so running again on the same delivery finds its result and does nothing. The run before is the newest of
an earlier day that ``OUT/CURRENT`` is or goes back to; customers keep its segments and tiers unless they clearly changed.
"""

from __future__ import annotations

import errno
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
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from crmkit import __version__
from crmkit.brand_usage import BrandUsage
from crmkit.cards import suspect_cards
from crmkit.churn import ChurnModel
from crmkit.config import Config, TableSource
from crmkit.contracts import SALES, TIPS
from crmkit.engine import Engine, engine_for
from crmkit.evaluation import Backtest, backtest
from crmkit.exceptions import (
    ConfigError,
    CrmkitError,
    CrmkitWarning,
    ExtractError,
    ModelError,
    PublishError,
    RefusedError,
    SourceChangedError,
)
from crmkit.extracts import Extract, read_extract
from crmkit.features import n_later, weekly_sales, weekly_spend
from crmkit.last_campaign import LastCampaign
from crmkit.models import BGNBD, CustomerLifetimeValue, GammaGamma
from crmkit.moves import Migration
from crmkit.offers import Deals, OfferPlan, OfferResult, print_lists, write_offers
from crmkit.previous import Previous, folders_of, labelled, manifest_of
from crmkit.publishing import owned, sync, to_disk
from crmkit.report import Report
from crmkit.summaries import btyd_summary, rfm_table
from crmkit.tables import ContractTable, Members, Products
from crmkit.tiers import ValueTiers
from crmkit.timing import NextPurchase
from crmkit.transactions import Rejections, Transactions

__all__ = ["Published", "run"]

_NOBODY = tuple(SALES.nobody)
_WORK = "log"
_REJECTED = "file, record, line, reason, value, amount"
_BY_USAGE = ["brand_group", "value_light", "value_medium", "value_heavy"]
_VERSIONED = ("numpy", "pandas", "pyarrow", "duckdb", "scipy", "scikit-learn", "matplotlib")

_FULL = tuple(os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_QUIET, _FAR = 14, 5

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Published:
    """Where a run's output is, and whether it was there already.

    Attributes
    ----------
    folder : Path
        ``OUT/CURRENT``; the run's own folder where ``CURRENT`` stays at that of a later day.
    manifest : dict
        The content of ``run.json``; its notes say too that ``CURRENT`` stays.
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
        Folder to publish under; ``out/CURRENT`` is the complete run of the newest day.
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
    if day > config.until:
        raise ConfigError(f"--as-of {day} is after until = {config.until}, the last day that is observed.")
    target = Path(out)
    with owned(target, "run"):
        (target / "runs").mkdir(exist_ok=True)
        for left in (target / "runs").glob("*.part"):
            shutil.rmtree(left, ignore_errors=True)
        sources, font = _sources(config, Path(home)), _font(config, Path(home))
        inputs = _inputs(sources, font)
        previous, notes = _before(target, day)
        run_id = f"{day}-{_digest(config, day, inputs, previous)}"
        done = folders_of(target, run_id)
        if done and not force and _is_whole(done[-1]):
            return _published(target, done[-1].name, repeated=True)
        name = _next_name(run_id, done)
        part = target / "runs" / f"{name}.part"
        _publish(_Run(config, sources, day, part, progress, previous, font, notes=notes), run_id, inputs)
        fresh = _published(target, name, repeated=False)
        for old in done:
            shutil.rmtree(old, ignore_errors=True)
    return fresh


def _before(out: Path, day: date) -> tuple[Previous | None, list[str]]:
    """The run before, which is only history: where it is damaged, a note, and labels start anew."""
    try:
        return Previous.before(out, day), []
    except ExtractError as error:
        again = "To go on from its labels then, point CURRENT at its run, and run again."
        return None, [f"Segments and tiers start anew: {error} {again}"]


def _is_whole(folder: Path) -> bool:
    """Whether a published run still has every file as it was written."""
    try:
        outputs = manifest_of(folder).get("outputs", {})
    except ExtractError:
        return False
    files = {folder / name: digest for name, digest in outputs.items()}
    return bool(files) and all(file.is_file() and _file_hash(file) == digest for file, digest in files.items())


def _next_name(run_id: str, done: list[Path]) -> str:
    """The id itself, or with the number after that of the last repetition.

    >>> _next_name("r", []), _next_name("r", [Path("r")]), _next_name("r", [Path("r-2")])
    ('r', 'r-2', 'r-3')
    """
    if not done:
        return run_id
    number = done[-1].name.removeprefix(run_id).removeprefix("-")
    return f"{run_id}-{int(number or 1) + 1}"


def _publish(job: _Run, run_id: str, inputs: list[dict[str, str]]) -> None:
    """Do the work in a folder nobody looks into, and give it its name when it is complete."""
    job.folder.mkdir(mode=0o700)
    try:
        with _full_disk_said(job.folder.parent):
            manifest = job.publishable()
        if _inputs(job.sources, job.font) != inputs:
            raise SourceChangedError("A file changed while it was read. Run again when the delivery is complete.")
        _finish(job.folder, manifest | {"run": run_id, "inputs": inputs})
        job.folder.rename(job.folder.with_suffix(""))
        sync(job.folder.parent)
    except BaseException:
        shutil.rmtree(job.folder, ignore_errors=True)
        raise


@contextmanager
def _full_disk_said(folder: Path) -> Iterator[None]:
    """The engine's own error of a disk that takes no more, as one of an output."""
    try:
        yield
    except Exception as error:
        if isinstance(error, CrmkitError) or not any(told in str(error) for told in _FULL):
            raise
        raise PublishError(
            f"The disk takes no more, that of {folder} or of temporary files. What was published before is untouched. "
            "Make room, and run again."
        ) from error


def _published(out: Path, name: str, repeated: bool) -> Published:
    """Point ``CURRENT`` at a complete run, unless it is one of a later day; a relative link, replaced in one step."""
    manifest, newest = manifest_of(out / "runs" / name), _day_of_current(out)
    if newest > manifest["as_of"]:
        stays = f"{out / 'CURRENT'} stays at the run of {newest}, a later day; this one is {out / 'runs' / name}."
        return Published(out / "runs" / name, manifest | {"notes": [*manifest["notes"], stays]}, repeated)
    link = out / ".CURRENT.part"
    link.unlink(missing_ok=True)
    link.symlink_to(Path("runs") / name)
    os.replace(link, out / "CURRENT")
    sync(out)
    return Published(out / "CURRENT", manifest, repeated)


def _day_of_current(out: Path) -> str:
    try:
        return str(manifest_of(out / "CURRENT")["as_of"])
    except ExtractError:
        return ""


class _Tips(ContractTable):
    """Recipes and tips: tip_id, category, title."""

    contract = TIPS


# -- What is run -----------------------------------------------------------------------------------------------------


@dataclass
class _Run:
    """One run's stages, in order; each writes its table into ``folder`` and its section into the report."""

    config: Config
    sources: dict[str, Extract]
    day: date
    folder: Path
    progress: Progress
    previous: Previous | None
    font: Path | None = None
    timings: dict[str, float] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    products: Products | None = None
    moved: Migration | None = None
    campaign: LastCampaign | None = None
    after_as_of: int = 0

    def publishable(self) -> dict[str, Any]:
        """Run every stage and return the manifest."""
        config = self.config
        report = Report(config.title, as_of=self.day, currency=config.currency)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            log, rejections = self._timed("reading", self._read)
            self._timed("looking for cards of nobody", self._suspects, log)
            customers = self._timed("scoring customers", self._customers, log)
            due = self._timed("timing purchases", self._due, log)
            plan, deals = self._timed("planning offers", self._plan, log, due, customers)
            lists = self._timed("printing lists", self._print, plan, deals, due)
            checks = self._timed("looking back", self._checks, log)
            self.notes += _sentences(caught)
            self._timed("writing the report", self._report, report, log, rejections, customers, due, plan, checks)
        shutil.rmtree(self.folder / _WORK, ignore_errors=True)
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
        sales, products = self.config.transactions, self.config.products
        if products:
            self.products = Products.from_extract(self.sources["products"], **products.columns)
        names: dict[str, Any] = dict(sales.columns)
        log, rejections = Transactions.split_extract(
            self.sources["transactions"],
            until=self.config.until,
            time_zone=sales.time_zone,
            recorded_in=sales.recorded_in,
            time_format=sales.time_format,
            trading_day_cutoff=sales.trading_day_cutoff,
            products=self.products,
            nobody=sales.nobody,
            classes=sales.classes,
            folder=self.folder / _WORK,
            progress=self.progress,
            **names,
        )
        with Engine() as engine:
            rows = f"select {_REJECTED} from {engine.parquet(rejections.path)} order by place, record"
            engine.save(rows, self.folder / "rejections.parquet")
        self.rows["rejections"] = rejections.rows_rejected
        _refuse(rejections, sales.max_rejected)
        self.notes += _quiet(log, self.day)
        self.after_as_of = n_later(log, self.day)
        return log.up_to(self.day), rejections

    def _customers(self, log: Transactions) -> pd.DataFrame:
        """One row per customer: summaries, scores, value, tier, risk."""
        value, churn = self.config.value, self.config.churn
        customers = btyd_summary(log)
        if not len(customers):
            raise ModelError(f"No member has bought anything by {self.day}. Check --as-of, until and the files.")
        customers = customers.merge(rfm_table(log), on="customer_id").merge(weekly_spend(log), on="customer_id")
        clv = self._clv().fit(customers)
        customers["p_alive"] = clv.purchases_.probability_alive(customers)
        customers["expected_purchases"] = clv.purchases_.expected_purchases(customers, value.horizon)
        customers["value"] = clv.predict(customers)
        customers = self._labelled(customers)
        customers = customers.merge(ChurnModel(churn.horizon).fit(log).predict(log), on="customer_id")
        if self.config.members:
            members = Members.from_extract(self.sources["members"], **self.config.members.columns).frame
            self.notes += _strangers(customers, members)
            customers = customers.merge(members, on="customer_id", how="left")
        return self._write(customers, "customers")

    def _labelled(self, customers: pd.DataFrame) -> pd.DataFrame:
        """Segments and tiers, held by those of the run before where it was one of these customers and settings."""
        previous, value = self.previous, self.config.value
        if previous and previous.value != value.model_dump(mode="json"):
            self.notes.append(f"Segments and tiers start anew: [value] differs from the run of {previous.day}.")
            previous = None
        if previous and not customers["customer_id"].isin(previous.customers.index).any():
            self.notes.append(f"Segments and tiers start anew: the run of {previous.day} had none of these customers.")
            previous = None
        rule = ValueTiers(shares=value.tiers)
        customers = labelled(customers, rule, self.day, previous)
        if previous:
            self.moved = previous.moved(customers, rule)
            self._write(self.moved.changes, "tier_changes")
        return customers

    def _suspects(self, log: Transactions) -> None:
        """Cards that look like no member's, in a table of their own; the report only counts them."""
        suspects = self._write(suspect_cards(log), "suspect_cards")
        if len(suspects):
            self.notes.append(
                f"Cards with more than 20 receipts, or more than 3 stores, on one day: {len(suspects):,}, in "
                "suspect_cards.parquet. Name those that are no member's under transactions.nobody."
            )

    def _clv(self) -> CustomerLifetimeValue:
        value = self.config.value
        return CustomerLifetimeValue(
            BGNBD(), GammaGamma(), horizon=value.horizon, annual_discount=value.annual_discount, margin=value.margin
        )

    def _by(self, log: Transactions) -> str | None:
        by = self.config.repurchase.by
        if by and by not in log.items:
            raise ConfigError(f"repurchase.by = {by!r}, which the lines do not have; they have {list(log.items)}.")
        return by or next((name for name in ("category", "product_id") if name in log.items), None)

    def _due(self, log: Transactions) -> pd.DataFrame:
        by = self._by(log)
        if by is None:
            self.notes.append("Purchases were not timed: the lines have neither a category nor a product_id.")
            return self._write(pd.DataFrame({"customer_id": pd.Series(dtype="str")}), "repurchases")
        timing = self.config.repurchase
        due = NextPurchase(by=by, exclude=timing.exclude).fit(log).predict(log, horizon=timing.horizon)
        if by == "product_id" and self.products is not None:
            names = self.products.frame.set_index("product_id")["name"]
            due.insert(2, "name", due["product_id"].map(names).fillna(due["product_id"]))
        return self._write(due, "repurchases")

    def _plan(
        self, log: Transactions, due: pd.DataFrame, customers: pd.DataFrame
    ) -> tuple[OfferResult | None, Deals | None]:
        if self.config.deals is None or "p_purchase" not in due:
            self.notes.append("No offers were planned: the configuration names no deals, or no purchase was timed.")
            self._write(pd.DataFrame({"customer_id": pd.Series(dtype="str")}), "offers")
            return None, None
        deals = Deals.from_extract(self.sources["deals"], **self.config.deals.columns)
        tips = None
        if self.config.tips:
            tips = _Tips.from_extract(self.sources["tips"], **self.config.tips.columns).frame
        self._write(deals.frame, "deals")
        self.campaign = self._campaign(log)
        measured = self.campaign.for_deals(deals) if self.campaign else deals
        plan = OfferPlan(measured, tips=tips, **self.config.offers.model_dump())
        result = plan.solve(due, customers, self._usage(log, deals))
        says = deals.frame[["deal_id", "title", "starts", "ends", "barcode"]]
        write_offers(result.offers.merge(says, how="left", on="deal_id"), self.folder)
        self.rows["offers"] = len(result.offers)
        self._write(result.control, "control")
        self._write(result.planned, "planned")
        if not len(result.offers):
            days = timedelta(days=1), timedelta(days=self.config.repurchase.horizon)
            running = deals.active(*(self.day + after for after in days)).frame
            self.notes.append(f"No offer was made: {_why_none(running, due, result)}.")
        return result, deals

    def _campaign(self, log: Transactions) -> LastCampaign | None:
        """What the newest campaign brought whose days are over."""
        out, days = self.folder.parent.parent, self.config.repurchase.horizon
        try:
            run = Previous.before(out, self.day - timedelta(days=days - 1))
            folders = folders_of(out, run.run) if run else []
            return LastCampaign.of(folders[-1], log, self.config.offers.response) if folders else None
        except CrmkitError as error:
            self.notes.append(f"The last campaign could not be measured: {error}")
            return None

    def _usage(self, log: Transactions, deals: Deals) -> pd.DataFrame | None:
        """Who uses which brands and how much, where a deal depends on it."""
        if not deals.frame[_BY_USAGE].notna().any(axis=None):
            return None
        if not {"category", "brand_type"} <= set(log.items):
            self.notes.append("Deals that depend on brand or usage groups need category and brand_type of the lines.")
            return None
        return BrandUsage().fit(log).predict(log)

    def _print(self, plan: OfferResult | None, deals: Deals | None, due: pd.DataFrame) -> int:
        if plan is None or deals is None:
            return 0
        lists = self.config.lists
        print_lists(
            plan.offers,
            deals,
            due,
            self.folder / "lists",
            tips=plan.tips,
            title=lists.title,
            font=self.font,
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
        report.add_card(customers["value_at_risk"].sum(), f"at risk in {self.config.churn.horizon} days")
        if plan is not None:
            report.add_card(plan.offers["customer_id"].nunique(), "members with a list")
        subjects = {check.subject: check for check in checks}
        report.add_sales(weekly_sales(log)).add_tiers(customers)
        if self.previous and self.moved:
            report.add_changes(self.moved, self.previous.day)
        _backed(report, subjects.get("Lifetime value"))
        report.add_segments(customers).add_churn(customers, self.config.churn.horizon)
        _backed(report, subjects.get("Churn"))
        if "p_purchase" in due:
            report.add_repurchases(due, str(due.columns[1]))
        _backed(report, subjects.get("Next purchase"))
        if self.campaign:
            report.add_note("What the last campaign brought", str(self.campaign))
        if plan is not None:
            report.add_offers(plan)
        report.add_rejections(rejections)
        if self.after_as_of:
            report.add_note("Not looked at", f"{self.after_as_of:,} of the rows used are dated after {self.day}.")
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
            "previous": self.previous.run if self.previous else None,
            "versions": _versions(),
            "settings": self.config.model_dump(mode="json"),
            "read": {
                "rows": rejections.rows_read,
                "used": rejections.rows_used,
                "rejected": rejections.rows_rejected,
                "duplicate": rejections.rows_duplicate,
                "after_as_of": self.after_as_of,
                "reasons": dict(zip(rejections.counts["reason"], map(int, rejections.counts["rows"]), strict=True)),
                "amount": str(rejections.amount_read),
                "amount_used": str(rejections.amount_used),
                "amount_rejected": str(rejections.amount_rejected),
                "amount_duplicate": str(rejections.amount_duplicate),
            },
            "rows": self.rows | {"lists": lists},
            "backtests": {check.subject: _finite(check.mean) for check in checks},
            "campaign": str(self.campaign) if self.campaign else None,
            "plan": None if plan is None else {"objective": plan.objective, "gap": plan.gap},
            "notes": self.notes,
            "seconds": self.timings,
        }


def _symbol(currency: str) -> str:
    from babel.numbers import get_currency_symbol

    return get_currency_symbol(currency, locale="en") if currency else ""


def _sentences(caught: list[warnings.WarningMessage]) -> list[str]:
    """Warnings of crmkit as notes, each once; others go on to whoever listens."""
    for other in caught:
        if not issubclass(other.category, CrmkitWarning):
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
    return sorted({str(told.message) for told in caught if issubclass(told.category, CrmkitWarning)})


def _backed(report: Report, check: Backtest | None) -> None:
    if check is not None:
        report.add_backtest(check)


def _finite(scores: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    """Scores by model; one that cannot be had from these rows is null."""
    return {
        str(model): {str(name): round(float(value), 6) if pd.notna(value) else None for name, value in row.items()}
        for model, row in scores.iterrows()
    }


def _quiet(log: Transactions, day: date) -> list[str]:
    """A note where the days without a line before ``day`` are more than ever; far more are refused."""
    with engine_for(log) as engine:
        known = f"select distinct day from {engine.parquet(log.lines)} where day <= ? order by day"
        days = engine.frame(known, [log.close_of(day)])["day"]
    if len(days) < 2:
        return []
    since, longest = log.close_of(day) - int(days.iloc[-1]), int(days.diff().max())
    last = day - timedelta(days=since)
    said = (
        f"The last day with a line is {last}, but the numbers stand for {day} (until, or --as-of) and take it that nobody "
        f"has bought since. Days from one to the next: {since}; at most {longest} between any two days with lines before. "
        f"If days are missing, deliver them; otherwise let the numbers stand for {last}."
    )
    if since > max(_QUIET, _FAR * longest):
        raise RefusedError(said)
    return [said] if since >= longest else []


def _strangers(customers: pd.DataFrame, members: pd.DataFrame) -> list[str]:
    """A note on customers who are not among the members; no match at all is refused."""
    n_strangers = int((~customers["customer_id"].isin(members["customer_id"])).sum())
    if n_strangers == len(customers):
        raise RefusedError(
            f"None of the {len(customers):,} customers is among the {len(members):,} members, so that nobody's "
            "no_contact would be known. Ids may have lost their leading zeros, or have been written in another way than "
            "in the transactions: deliver the members with the ids of the till."
        )
    said = (
        f"{n_strangers:,} of {len(customers):,} customers are not among the members: no no_contact of theirs is known."
    )
    return [said] if n_strangers else []


def _why_none(running: pd.DataFrame, due: pd.DataFrame, result: OfferResult) -> str:
    """Why a plan has no offers; ``running`` are the deals of its days."""
    item = str(due.columns[1])
    if not len(running):
        return "no deal runs on its days; see starts and ends of the deals"
    if not running[item].isin(due[item]).any():
        return f"no {item} of the deals of its days is one whose purchases were timed"
    if not len(result.planned):
        return (
            "the control group has every member who could get one; lower offers.control"
            if len(result.control)
            else "no member may get one; see offers.min_weekly_spend and no_contact of the members"
        )
    if not (running["budget"] > 0).any():
        return "the budgets of all deals of its days are 0"
    return "none would gain anything within the budgets of deals, funders and store"


def _refuse(rejections: Rejections, most: float) -> None:
    """Raise when too many rows are faulty; rows that only lack a customer are nobody's, not faulty."""
    faulty = rejections.counts[~rejections.counts["reason"].isin(_NOBODY)]
    n_faulty = int(faulty["rows"].sum())
    if rejections.rows_read and n_faulty > most * rejections.rows_read:
        raise RefusedError(
            f"{n_faulty:,} of {rejections.rows_read:,} rows are faulty, more than max_rejected = {most:g} allows.\n"
            f"{_first_faults(rejections)}\n{_advice(faulty['reason'].iloc[0])}"
        )
    if not rejections.rows_used:
        raise RefusedError(f"No row could be used. {rejections}.\n{_first_faults(rejections)}")


def _first_faults(rejections: Rejections) -> str:
    """One example of each reason, with its place."""
    first = rejections.rows.drop_duplicates("reason")
    return "\n".join(f"  {row.file} line {row.line}: {row.reason}" for row in first.itertuples())


def _advice(reason: str) -> str:
    if reason.startswith("purchased_at is after"):
        return "Set until to the last day of the delivery; --as-of then has the numbers stand for an earlier day."
    stated = {
        "purchased_at is not a time": "state time_format under [transactions]",
        "amount is not a number": "state decimal and thousands under [transactions]",
        "fields do not match the header": "state delimiter under [transactions]",
    }
    return (
        f"Mend the extract, {stated[reason]}, or raise max_rejected."
        if reason in stated
        else ("Mend the extract, or raise max_rejected under [transactions].")
    )


# -- Inputs and their identity ---------------------------------------------------------------------------------------


def _sources(config: Config, home: Path) -> dict[str, Extract]:
    tables: dict[str, TableSource | None] = {
        "transactions": config.transactions,
        "products": config.products,
        "members": config.members,
        "deals": config.deals,
        "tips": config.tips,
    }
    return {
        name: read_extract(table.source(home), **table.reading(config.currency))
        for name, table in tables.items()
        if table is not None
    }


def _file_hash(path: Path | None) -> str:
    assert path is not None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _font(config: Config, home: Path) -> Path | None:
    if config.lists.font is None:
        return None
    font = home / config.lists.font
    if not font.is_file():
        raise ConfigError(f"[lists] font: there is no file {font}. The path starts from the configuration's folder.")
    return font


def _inputs(sources: dict[str, Extract], font: Path | None) -> list[dict[str, str]]:
    """Every file that the run depends on: table, file, sha256."""
    files = [(name, part.name, part.path) for name, source in sources.items() for part in source.parts]
    files += [("lists.font", font.name, font)] if font else []
    return [{"table": table, "file": name, "sha256": _file_hash(path)} for table, name, path in files]


def _digest(config: Config, day: date, inputs: list[dict[str, str]], previous: Previous | None) -> str:
    parts = [config.model_dump(mode="json"), str(day), inputs, _code(), _versions(), previous.run if previous else None]
    identity = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(identity.encode()).hexdigest()[:12]


def _code() -> list[str]:
    """Hash of every file of the package: other code is another run, whatever its version says."""
    home = Path(__file__).parent
    return [_file_hash(file) for file in sorted(home.rglob("*")) if file.suffix in (".py", ".sql", ".j2", ".toml")]


def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in _VERSIONED}


# -- Publishing ------------------------------------------------------------------------------------------------------


def _finish(part: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest last, close the files to strangers, and bring everything to the disk."""
    manifest["outputs"] = {
        str(file.relative_to(part)): _file_hash(file) for file in sorted(part.rglob("*")) if file.is_file()
    }
    text = json.dumps(manifest, indent=1, allow_nan=False, default=str)
    (part / "run.json").write_text(text + "\n", encoding="utf-8")
    to_disk(part)
