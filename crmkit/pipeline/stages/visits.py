"""Visits: where customers are, who goes there, what came of it, and the next plan."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pandas as pd

from crmkit.campaigns.visit_plan import VisitPlan
from crmkit.campaigns.visit_records import split_premises, split_visits
from crmkit.ingest.extracts import Extract
from crmkit.ingest.tables import FieldStaff, Premises, VisitRecords
from crmkit.pipeline.notes import note
from crmkit.pipeline.stage import stage
from crmkit.pipeline.stages.sources import remembered
from crmkit.reports.blocks.visits import visits as visit_block
from crmkit.transactions.erasure import Tombstones
from crmkit.transactions.levels import Level, relabelled

if TYPE_CHECKING:
    from crmkit.pipeline.settings import Visits
    from crmkit.pipeline.table_sources import PremisesSource, StaffSource, VisitSource

_TOLD = ["file", "line", "reason", "advice"]


@stage("staff")
def read_field_staff(field_staff_files: Extract, *, field_staff: StaffSource) -> dict[str, object]:
    """Who visits customers."""
    return {"staff": FieldStaff.from_extract(field_staff_files, **field_staff.columns).frame}


@stage("places", "rejected_premises")
def read_premises(
    premises_files: Extract,
    identity: pd.DataFrame | None = None,
    forgotten: Tombstones | None = None,
    *,
    premises: PremisesSource,
    level: Level,
) -> dict[str, object]:
    """Where customers are."""
    table, invalid = Premises.split_extract(premises_files, **premises.columns)
    good, bad = split_premises(remembered(table.frame, forgotten))
    rejected = _together(invalid, bad, "premises")
    places = relabelled(good, identity, level).drop_duplicates("customer_id", ignore_index=True)
    return {"places": places, "rejected_premises": rejected}


@stage("visited", "rejected_visits")
def read_visits(
    visit_results_files: Extract,
    customers: pd.DataFrame,
    as_of: date,
    identity: pd.DataFrame | None = None,
    forgotten: Tombstones | None = None,
    *,
    visit_results: VisitSource,
    level: Level,
) -> dict[str, object]:
    """What came of visits."""
    table, invalid = VisitRecords.split_extract(visit_results_files, **visit_results.columns)
    told = relabelled(remembered(table.frame, forgotten), identity, level)
    good, bad = split_visits(told, customers, as_of)
    return {"visited": good, "rejected_visits": _together(invalid, bad, "visits")}


def _together(invalid: pd.DataFrame, bad: pd.DataFrame, what: str) -> pd.DataFrame:
    """All rejected rows of a table, and a note where there are any."""
    found = [one[_TOLD] for one in (invalid, bad) if len(one)]
    rejected = pd.concat(found, ignore_index=True) if found else bad[_TOLD]
    if len(rejected):
        first = rejected.iloc[0]
        where = f"{first['file']} line {first['line']}: {first['reason']}. {first['advice']}"
        note(f"{len(rejected):,} rows of {what} are invalid (rejected_{what}.parquet); the first: {where}")
    return rejected


@stage("visits", "visit_control", "worth_visiting", "visit_plan", "visit_block", may_fail=True, here=True)
def plan_visits(
    customers: pd.DataFrame,
    staff: pd.DataFrame,
    as_of: date,
    places: pd.DataFrame | None = None,
    visited: pd.DataFrame | None = None,
    *,
    visits: Visits,
    currency: str,
) -> dict[str, object]:
    """Who is worth a visit, by whom, when and in which order."""
    terms = visits.model_dump(exclude={"days", "weekend"})
    days = working_days(as_of, visits.days, visits.weekend)
    found = VisitPlan(**terms).solve(
        customers, staff, days=days, premises=places, results=visited, key=f"visits {days[0]}"
    )
    if found.dropped:
        note(
            f"{found.dropped:,} assigned visits were left out: the day has no time for them, or the place is closed then."
        )
    return {
        "visits": found.visits,
        "visit_control": found.control,
        "worth_visiting": found.worth_visiting,
        "visit_plan": {"told": str(found), "bound": found.bound, "gap": found.gap, "dropped": found.dropped},
        "visit_block": visit_block(found.visits, str(found), visited, currency=currency),
    }


def working_days(as_of: date, n: int, weekend: bool) -> list[date]:
    """The next days after a day.

    >>> [str(day) for day in working_days(date(2017, 12, 29), 2, weekend=False)]
    ['2018-01-01', '2018-01-02']
    """
    ahead = [as_of + timedelta(days=step) for step in range(1, 2 * n + 8)]
    return [day for day in ahead if weekend or day.weekday() < 5][:n]
