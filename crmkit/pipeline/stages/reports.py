"""The report: the blocks that stages have made, put in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from crmkit.engine.frames import to_pandas
from crmkit.pipeline.stage import stage
from crmkit.reports.block import Block
from crmkit.reports.blocks.sales import sales as sales_block
from crmkit.reports.report import Report
from crmkit.summaries.sales import weekly_sales
from crmkit.transactions.log import Transactions

ORDER = (
    "overdue_block",
    "sales_block",
    "revenue_block",
    "card_block",
    "identity_block",
    "cohort_blocks",
    "potential_block",
    "value_total_block",
    "tier_blocks",
    "tier_change_block",
    "value_check",
    "value_choice_block",
    "segment_blocks",
    "churn_block",
    "churn_checks",
    "win_back_block",
    "win_back_effect_block",
    "points_block",
    "visit_block",
    "service_block",
    "handling_block",
    "repurchase_block",
    "repurchase_check",
    "scorecard_block",
    "campaign_block",
    "deal_block",
    "offer_block",
    "list_block",
)
"""What comes first; blocks that are not named here follow, and data quality is the last."""
LAST = ("delivery_block",)


@stage("sales_by_week", "sales_block")
def sales(log: Transactions, *, currency: str) -> dict[str, object]:
    """What members bought, week by week."""
    weeks = to_pandas(weekly_sales(log))
    return {"sales_by_week": weeks, "sales_block": sales_block(weeks, currency=currency)}


@stage("report", "workbook")
def report(
    as_of: date,
    blocks: Mapping[str, Block | list[Block]],
    headline: Sequence[tuple[float, str]],
    notes: Sequence[str],
    read: Mapping[str, int],
    plan: Mapping[str, float | str] | None = None,
    *,
    title: str,
    currency: str,
    folder: Path,
) -> dict[str, object]:
    """One page, and one workbook, for whoever decides."""
    page = Report(title, as_of=as_of, currency=currency)
    for value, label in headline:
        page.add_card(value, label)
    if plan is not None:
        page.add_card(plan["members"], "members with a list")
        page.first += [str(plan["shortage"])] if plan.get("shortage") else []
    for name in ordered(blocks):
        found = blocks[name]
        page.blocks += found if isinstance(found, list) else [found]
    if read["after_as_of"]:
        later = f"Ignored: {read['after_as_of']:,} accepted rows are dated after the as-of date {as_of}."
        page.add_note("Notes", later)
    if notes:
        page.add_note("Notes", *notes)
    return {"report": page.save(folder / "report.html"), "workbook": _workbook(page, folder)}


def ordered(names: Mapping[str, object]) -> list[str]:
    """Names of blocks in the order of the page."""
    known = [name for name in ORDER if name in names]
    return [*known, *(name for name in names if name not in (*ORDER, *LAST)), *(name for name in LAST if name in names)]


def _workbook(page: Report, folder: Path) -> Path | None:
    """The same blocks as a workbook, where the package that writes it is installed."""
    try:
        import xlsxwriter  # noqa: F401
    except ImportError:
        return None
    return page.save(folder / "report.xlsx")
