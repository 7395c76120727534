"""The batch job: one configuration in, one published folder out, or nothing at all.

``run`` writes everything into ``OUT/runs/<id>.part``, renames it when it is complete, and then points
``OUT/CURRENT`` at it, unless that is a run of a later day. The id is made of the inputs, the configuration, the versions
and the run before, so running again on the same delivery finds its result and does nothing. The run before is the newest of
an earlier day that ``OUT/CURRENT`` is or goes back to; customers keep its segments and tiers unless they clearly changed.
"""

from __future__ import annotations

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
from crmkit.campaigns.contact_history import CAMPAIGN_TABLES, LastCampaign
from crmkit.churn.model import ChurnModel
from crmkit.engine.duckdb import DuckDBEngine
from crmkit.evaluation.backtest import Backtest, backtest
from crmkit.exceptions import (
    ConfigError,
    CrmkitError,
    CrmkitWarning,
    ModelError,
)
from crmkit.ingest.extracts import Extract
from crmkit.ingest.tables import Members, Products, Tips
from crmkit.models import BGNBD, CustomerLifetimeValue, GammaGamma
from crmkit.offers.deals import Deals
from crmkit.offers.plan import OfferPlan
from crmkit.offers.result import OfferResult
from crmkit.pipeline.config import Config
from crmkit.pipeline.fingerprints import versions
from crmkit.pipeline.history import Previous, folders_of, table_of
from crmkit.pipeline.quality import quiet, refuse, strangers, why_none
from crmkit.reports.lists.mailing import write_offers
from crmkit.reports.lists.page_layout import print_lists
from crmkit.reports.report import Report
from crmkit.repurchase.next_purchase import NextPurchase
from crmkit.segments.brand_usage import BrandUsage
from crmkit.segments.labels import labelled
from crmkit.segments.migration import Migration
from crmkit.segments.tiers import ValueTiers
from crmkit.summaries.customers import btyd_summary, rfm_table, weekly_spend
from crmkit.summaries.sales import n_later, weekly_sales
from crmkit.transactions.log import Transactions
from crmkit.transactions.rejections import Rejections
from crmkit.transactions.suspect_cards import suspect_cards

__all__ = ["Run"]
_WORK = "log"
_REJECTED = "file, record, line, reason, value, amount"
_BY_USAGE = ["brand_group", "value_light", "value_medium", "value_heavy"]

Progress = Callable[[str], None]


# -- What is run -----------------------------------------------------------------------------------------------------


@dataclass
class Run:
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
            self._timed("looking for non-member cards", self._suspects, log)
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
        log, rejections = Transactions.split_extract(
            self.sources["transactions"],
            until=self.config.until,
            products=self.products,
            folder=self.folder / _WORK,
            progress=self.progress,
            **sales.line_options(),
        )
        with DuckDBEngine() as engine:
            rows = f"select {_REJECTED} from {engine.parquet(rejections.path)} order by place, record"
            engine.save(rows, self.folder / "rejections.parquet")
        self.rows["rejections"] = rejections.rows_rejected
        refuse(rejections, sales.max_rejected)
        self.notes += quiet(log, self.day)
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
            self.notes += strangers(customers, members)
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
        customers = labelled(customers, rule, self.day, previous.customers if previous else None)
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
                "suspect_cards.parquet. List the ones that belong to no member under transactions.non_members."
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
            tips = Tips.from_extract(self.sources["tips"], **self.config.tips.columns).frame
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
            self.notes.append(f"No offer was made: {why_none(running, due, result)}.")
        return result, deals

    def _campaign(self, log: Transactions) -> LastCampaign | None:
        """What the newest campaign brought whose days are over."""
        out, days = self.folder.parent.parent, self.config.repurchase.horizon
        try:
            run = Previous.before(out, self.day - timedelta(days=days - 1))
            folders = folders_of(out, run.run) if run else []
            if not folders or not all((folders[-1] / f"{name}.parquet").is_file() for name in CAMPAIGN_TABLES):
                return None
            tables = {name: table_of(folders[-1], name) for name in CAMPAIGN_TABLES}
            return LastCampaign.of(tables, log, self.config.offers.response)
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
            "versions": versions(),
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
