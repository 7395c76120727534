"""The report: the blocks that stages have made, put in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from difflib import get_close_matches
from pathlib import Path

from crmkit.engine.frames import to_pandas
from crmkit.pipeline.notes import note
from crmkit.pipeline.output_settings import ReportContents
from crmkit.pipeline.stage import stage
from crmkit.reports.block import Block, anchor_of
from crmkit.reports.blocks.sales import sales as sales_block
from crmkit.reports.report import Report
from crmkit.summaries.sales import weekly_sales
from crmkit.transactions.log import Transactions

LEAD = ("change_block", "task_block")
"""The first screen, before how far to believe it."""
CHAPTERS = {
    "The shop": ("management_block", "sales_block", "revenue_block", "card_block", "forecast_block", "purchase_plan_block"),
    "New customers": ("cohort_blocks",),
    "Value and tiers": ("value_total_block", "tier_blocks", "tier_change_block", "potential_block"),
    "Segments": ("segment_blocks", "cluster_block", "relationship_block", "target_group_block"),
    "Customers at risk": (
        "churn_block", "win_back_block", "win_back_effect_block", "overdue_block", "service_block", "handling_block", "visit_block",
    ),
    "What members need next": ("repurchase_block", "early_notice_block"),
    "Offers and campaigns": (
        "offer_block", "list_block", "campaign_block", "deal_block", "points_block", "cash_discount_block",
    ),
    "Goods": ("usage_block", "life_cycle_block", "bundle_block", "trial_block"),
    "More": (),
    "How the models did": ("scorecard_block", "value_check", "value_choice_block", "churn_checks", "repurchase_check"),
    "Data": ("identity_block", "delivery_block"),
}  # fmt: skip
"""Headings of the page in their order, and what stands under each; blocks that no heading names stand under More."""


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
    report: ReportContents,
    folder: Path,
) -> dict[str, object]:
    """One page, and one workbook, for whoever decides."""
    page = Report(title, as_of=as_of, currency=currency, language=report.language)
    for value, label in headline:
        page.add_card(value, label)
    if plan is not None:
        page.add_card(plan["members"], "members with a list")
        page.first += [str(plan["shortage"])] if plan.get("shortage") else []
    page.lead = _named(blocks, LEAD, "")
    for chapter, names in chapters(blocks).items():
        page.blocks += _named(blocks, names, chapter)
    if read["after_as_of"]:
        later = f"Ignored: {read['after_as_of']:,} accepted rows are dated after the as-of date {as_of}."
        page.add_note("Notes", later)
    if notes:
        page.add_note("Notes", *notes)
    if report.blocks is not None:
        _choose(page, report.blocks)
    return {"report": page.save(folder / "report.html"), "workbook": _workbook(page, folder)}


def chapters(names: Iterable[str]) -> dict[str, list[str]]:
    """Names of blocks by heading, in the order of the page.

    >>> chapters(["delivery_block", "mine", "sales_block", "change_block"])
    {'The shop': ['sales_block'], 'More': ['mine'], 'Data': ['delivery_block']}
    """
    there, placed = list(names), {*LEAD, *(name for found in CHAPTERS.values() for name in found)}
    order = CHAPTERS | {"More": tuple(name for name in there if name not in placed)}
    found = {chapter: [name for name in wanted if name in there] for chapter, wanted in order.items()}
    return {chapter: wanted for chapter, wanted in found.items() if wanted}


def _named(blocks: Mapping[str, Block | list[Block]], names: Iterable[str], chapter: str) -> list[Block]:
    """Blocks by the names of what stages made, under a heading."""
    found = [blocks[name] for name in names if name in blocks]
    each = [one for some in found for one in (some if isinstance(some, list) else [some])]
    return [replace(one, chapter=chapter) for one in each]


def _choose(page: Report, wanted: Sequence[str]) -> None:
    """Only the blocks of these topics, in this order; what is said of the models stays."""
    there = [*page.lead, *page.blocks]
    topics = {one.anchor: one.topic for one in there}
    for name in wanted:
        if anchor_of(name) not in topics:
            near = get_close_matches(anchor_of(name), topics, n=1)
            hint = f" Did you mean {topics[near[0]]!r}?" if near else ""
            note(
                f"[report] blocks: this run has no block {name!r}.{hint} It has {', '.join(dict.fromkeys(topics.values()))}."
            )
    chosen = [replace(one, chapter="") for name in wanted for one in there if one.anchor == anchor_of(name)]
    page.trust = [one for one in page.blocks if one.verdict]
    page.lead, page.blocks = [], chosen


def _workbook(page: Report, folder: Path) -> Path | None:
    """The same blocks as a workbook, where the package that writes it is installed."""
    try:
        import xlsxwriter  # noqa: F401
    except ImportError:
        return None
    return page.save(folder / "report.xlsx")
