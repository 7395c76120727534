"""The report: one HTML page that needs no network, each figure with a sentence and its numbers."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from crmkit import __version__
from crmkit._atomic import replacing
from crmkit.churn.backtest import ChurnBacktest
from crmkit.displays import Display
from crmkit.evaluation.backtest import Backtest
from crmkit.offers.displays import BudgetDisplay
from crmkit.reports.blocks.sales import SalesDisplay
from crmkit.segments.displays import SegmentDisplay, TierDisplay, lorenz_curve, migration_flow

if TYPE_CHECKING:
    from crmkit.offers.result import OfferResult
    from crmkit.segments.migration import Migration
    from crmkit.transactions.rejections import Rejections

__all__ = ["Report"]

_ROWS = 12
_MANY, _MAIN = 4, ("log_loss", "auc", "ece", "recall@10", "precision@10")  # so many models are told by these scores
_MOVED = {"up": "moved up", "down": "moved down", "new": "are new", "same": "stayed where they were"}


@dataclass(frozen=True)
class _Cells:
    """A table as text: column heads and cells, each with whether it reads from the left."""

    head: list[tuple[str, bool]]
    rows: list[list[tuple[str, bool]]]


@dataclass(frozen=True)
class _Section:
    title: str
    sentence: str
    figure: Any = None
    label: str = ""
    table: _Cells | None = None
    more: Sequence[tuple[str, _Cells]] = ()
    notes: Sequence[str] = ()


@dataclass
class Report:
    """A page that is put together section by section and saved.

    Parameters
    ----------
    title : str
    as_of : date, optional
        The day the numbers stand for.
    currency : str, optional
        What money is in, for the words.

    Examples
    --------
    >>> customers = pd.DataFrame({"customer_id": list("abcd"), "value": [90.0, 6.0, 3.0, 1.0], "tier": list("ABBC")})
    >>> page = Report("June").add_tiers(customers).html()
    >>> "Tier A holds 90% of the value with 25% of the customers" in page
    True
    """

    title: str
    as_of: date | None = None
    currency: str = ""
    cards: list[tuple[str, str]] = field(default_factory=list)
    verdicts: list[str] = field(default_factory=list)
    sections: list[_Section] = field(default_factory=list)

    def add_card(self, value: float | str, label: str) -> Self:
        """A key figure at the top."""
        self.cards.append((_number(value) if not isinstance(value, str) else value, label))
        return self

    def add_sales(self, sales: pd.DataFrame) -> Self:
        """Sales per week, from ``weekly_sales``."""
        full = sales.iloc[1:-1] if len(sales) > 2 else sales
        if not len(sales):
            return self.add_note("Sales", "Nothing has been sold to a member yet.")
        sentence = (
            f"Members bought for {_number(sales['sales'].sum())} {self.currency} in {len(sales)} weeks; the median full week "
            f"brought {_number(full['sales'].median())} from {_number(full['customers'].median())} members."
        )
        newest = sales.tail(_ROWS)
        return self._figure("Sales", sentence, SalesDisplay(sales), first=newest, caption=f"All {len(sales)} weeks")

    def add_tiers(self, customers: pd.DataFrame) -> Self:
        """Value tiers and how concentrated the value is; columns value and tier."""
        shares = _shares(customers)
        top = shares.iloc[0]
        sentence = (
            f"Tier {top['tier']} holds {top['share_of_value']:.0%} of the value with "
            f"{top['share_of_customers']:.0%} of the customers."
        )
        self._figure("Value tiers", sentence, TierDisplay(shares))
        curve = lorenz_curve(customers["value"].clip(lower=0))
        tenth = float(curve.shares.loc[curve.shares["share_of_customers"] == 0.10, "share_of_value"].iloc[0])
        return self._figure(
            "Concentration",
            f"The best tenth of the customers holds {tenth:.0%} of the value; the Gini coefficient is {curve.gini:.2f} "
            "(0 when all are equal, 1 when one holds all).",
            curve,
            first=curve.shares,
            caption="The curve, one row a hundredth of the customers",
        )

    def add_changes(self, moved: Migration, since: date) -> Self:
        """Who is in another tier than at an earlier day, and why; from ``migration``."""
        table = (
            moved.changes.assign(change=lambda rows: rows["value_after"] - rows["value_before"])
            .groupby(["move", "cause"])
            .agg(customers=("customer_id", "size"), change_of_value=("change", "sum"))
            .sort_values("customers", ascending=False, kind="stable")
            .reset_index()
        )
        n = moved.moves.set_index("move")["customers"]
        said = ", ".join(f"{_number(n.get(move, 0))} {words}" for move, words in _MOVED.items())
        sentence = (
            f"Since {since:%d %B %Y}, of {len(moved.customers):,} customers {said}. A tier is left only when the value is "
            "clearly below it. Who they are stands in tier_changes.parquet."
        )
        return self._figure(
            "Who changed tier", sentence, migration_flow(moved), first=table, caption="From tier to tier"
        )

    def add_segments(self, customers: pd.DataFrame) -> Self:
        """Named RFM segments; columns segment and total_spend."""
        table = (
            customers.groupby("segment", observed=True)
            .agg(customers=("customer_id", "size"), total_spend=("total_spend", "sum"))
            .sort_values("customers", ascending=False)
            .reset_index()
        )
        first = table.iloc[0]
        sentence = (
            f"The largest of {len(table)} segments is “{first['segment']}” with {_number(first['customers'])} customers, "
            f"{first['total_spend'] / (table['total_spend'].sum() or 1):.0%} of the money spent."
        )
        return self._figure("Segments by recency and frequency", sentence, SegmentDisplay(table))

    def add_churn(self, customers: pd.DataFrame, horizon: int) -> Self:
        """Risk by tier; columns tier, p_churn, value_at_risk."""
        table = (
            customers.groupby("tier", observed=True)
            .agg(
                customers=("customer_id", "size"),
                mean_p_churn=("p_churn", "mean"),
                value_at_risk=("value_at_risk", "sum"),
            )
            .reset_index()
        )
        expected = customers["p_churn"].sum()
        sentence = (
            f"{expected:,.0f} of {len(customers):,} customers are expected to buy nothing in the next {horizon} days; "
            f"{_number(table['value_at_risk'].sum())} {self.currency} is at risk: what they would spend if all were still "
            "active, times the risk of each."
        )
        return self._plain("Who may stay away", sentence, table)

    def add_repurchases(self, due: pd.DataFrame, by: str) -> Self:
        """Items due; from ``NextPurchase.predict``."""
        table = (
            due.groupby(by)
            .agg(
                customers=("customer_id", "size"),
                expected_buyers=("p_purchase", "sum"),
                median_p=("p_purchase", "median"),
            )
            .sort_values("expected_buyers", ascending=False)
            .head(_ROWS)
            .reset_index()
        )
        likely = int((due["p_purchase"] >= 0.5).sum())
        sentence = (
            f"{due['p_purchase'].sum():,.0f} purchases of {len(due):,} member and {by.replace('_id', '')} pairs are expected "
            f"in the {int(due['horizon'].iloc[0])} days after the close; {_number(likely)} pairs are more likely than not."
            if len(due)
            else "No member has bought any item yet."
        )
        return self._plain("What will be needed next", sentence, table)

    def add_offers(self, plan: OfferResult) -> Self:
        """The offer plan: budgets, gap, what it rests on."""
        prices = plan.shadow_prices
        table = prices.groupby("funder").agg(
            deals=("deal_id", "size"), budget=("budget", "sum"), spent=("spent", "sum")
        )
        table = table.sort_values("budget", ascending=False).reset_index()
        sentence = (
            f"{len(plan.offers):,} offers to {plan.offers['customer_id'].nunique():,} members, {len(plan.control):,} held back as a "
            f"control group. Expected gain {_number(plan.objective)} {self.currency}; no plan under the same terms can gain more "
            f"than {_number(plan.bound)} (gap {plan.gap:.2%}). {_number(table['spent'].sum())} of {_number(table['budget'].sum())} "
            f"of the deals' budgets is expected to be redeemed."
        )
        notes = [
            *plan.price_sentences(),
            *(f"short of {row.demand}: {row.reached:,} of {row.wanted:,}" for row in plan.shortfalls.itertuples()),
            *(f"left out: {number:,}, {reason}" for reason, number in plan.left_out.items()),
            *plan.assumptions,
        ]
        more = [("Every budget, and what one more unit of it would gain", _cells(plan.budgets))]
        return self._figure("Offers", sentence, BudgetDisplay(table), notes=notes, more=more)

    def add_backtest(self, check: Backtest) -> Self:
        """A model's answers against what happened."""
        self.verdicts.append(check.verdict)
        title = f"{check.subject}: predicted and actual"
        scores = check.mean.round(3)
        if len(scores) > _MANY:
            scores = scores[[name for name in _MAIN if name in scores]].rename_axis("model").reset_index()
        else:
            scores = scores.T.rename_axis("score").reset_index()
        self._figure(title, check.verdict, check.display, first=scores, caption="The numbers of the figure")
        if isinstance(check, ChurnBacktest) and len(check.gains.table):
            lists = check.gains.table.set_index("share_of_rows").loc[0.1].set_index("list")["share_of_outcome"]
            said = ", ".join(f"{name} {share:.0%}" for name, share in lists.items())
            self._figure(
                "Churn: what the best tenth of the list holds",
                f"Of the money that was lost, the tenth of the customers with most at risk held: {said}.",
                check.gains,
            )
        return self

    def add_rejections(self, rejections: Rejections) -> Self:
        """What became of every row that was read."""
        counts = rejections.counts
        sentence = (
            f"{rejections.rows_read:,} rows read = {rejections.rows_used:,} used + {rejections.rows_rejected:,} rejected + "
            f"{rejections.rows_duplicate:,} duplicates; the money adds up to the cent "
            f"({_money(rejections.amount_read)} = {_money(rejections.amount_used)} + {_money(rejections.amount_rejected)} + "
            f"{_money(rejections.amount_duplicate)})."
        )
        files = rejections.files.drop(columns="sha256")
        return self._plain("What was read", sentence, counts, more=[("File by file", _cells(files))])

    def add_note(self, title: str, sentence: str) -> Self:
        """A section that is only a sentence."""
        self.sections.append(_Section(title, sentence))
        return self

    def html(self) -> str:
        """The page."""
        from jinja2 import Environment, PackageLoader, StrictUndefined
        from markupsafe import Markup

        environment = Environment(
            loader=PackageLoader("crmkit.reports"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        table = environment.get_template("table.html.j2")
        money = f"Money in {self.currency}. " if self.currency else ""
        return environment.get_template("report.html.j2").render(
            title=self.title,
            subtitle=money + (f"As of the close of {self.as_of:%d %B %Y}." if self.as_of else ""),
            as_of=self.as_of,
            cards=self.cards,
            verdicts=self.verdicts,
            sections=self.sections,
            version=__version__,
            render=lambda cells: Markup(table.render(table=cells)),
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the page; what was there is replaced only when the new page is complete."""
        file = Path(path)
        with replacing(file) as part:
            part.write_text(self.html(), encoding="utf-8")
        return file

    def _figure(
        self,
        title: str,
        sentence: str,
        display: Display,
        *,
        first: pd.DataFrame | None = None,
        caption: str = "",
        notes: Sequence[str] = (),
        more: Sequence[tuple[str, _Cells]] = (),
    ) -> Self:
        """A section with a figure; beside it ``first``, or the head of the figure's own numbers; ``more`` can be opened."""
        shown = display.table if first is None else first
        if first is not None:
            more = [(caption, _cells(display.table)), *more]
        elif len(shown) > _ROWS:
            more, shown = [(f"All {len(shown)} rows", _cells(shown)), *more], shown.head(_ROWS)
        self.sections.append(_Section(title, sentence, _svg(display), display.title, _cells(shown), more, notes))
        return self

    def _plain(self, title: str, sentence: str, table: pd.DataFrame, more: Sequence[tuple[str, _Cells]] = ()) -> Self:
        self.sections.append(_Section(title, sentence, table=_cells(table) if len(table) else None, more=more))
        return self


def _shares(customers: pd.DataFrame) -> pd.DataFrame:
    tiers = customers.groupby("tier", observed=True).agg(customers=("value", "size"), value=("value", "sum"))
    tiers["share_of_customers"] = tiers["customers"] / tiers["customers"].sum()
    tiers["share_of_value"] = tiers["value"] / tiers["value"].sum()
    return tiers.reset_index()


def _svg(display: Display) -> Any:
    """The figure as inline SVG; equal numbers give equal bytes."""
    import matplotlib
    from markupsafe import Markup
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "crmkit", "text.parse_math": False}):
        figure = Figure(figsize=(4.8, 3.1), layout="constrained")
        display.plot(figure.add_subplot())
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return Markup(text[text.index("<svg") :])


def _cells(table: pd.DataFrame) -> _Cells:
    left = {name: not pd.api.types.is_numeric_dtype(table[name]) for name in table.columns}
    head = [(str(name).replace("_", " "), left[name]) for name in table.columns]
    columns = [[_cell(str(name), value) for value in table[name]] for name in table.columns]
    rows = [list(zip(row, left.values(), strict=True)) for row in zip(*columns, strict=True)]
    return _Cells(head, rows)


def _cell(name: str, value: Any) -> str:
    if pd.isna(value):
        return "–"
    if name.startswith("share") or name.endswith(("_share_of_value", "p_churn", "median_p")):
        return f"{value:.1%}"
    if isinstance(value, pd.Timestamp):
        return value.strftime("%d %b %Y")
    return str(value) if isinstance(value, str) else _number(value)


def _number(value: Any) -> str:
    number = float(value)
    if number == int(number) or abs(number) >= 1000:
        return f"{number:,.0f}"
    return f"{number:,.2f}" if abs(number) >= 10 else f"{number:,.3f}"


def _money(value: Any) -> str:
    return f"{value:,.2f}"
