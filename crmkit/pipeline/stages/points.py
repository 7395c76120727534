"""Points: the ledger, what each card holds, what it is saving for, and what the points will cost."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pandas as pd

from crmkit.engine.frames import to_pandas
from crmkit.ingest.extracts import Extract
from crmkit.ingest.tables import PointsEntries
from crmkit.pipeline.notes import note
from crmkit.pipeline.stage import stage
from crmkit.pipeline.stages.sources import remembered
from crmkit.reports.blocks.points import points as points_block
from crmkit.summaries.points_balances import points_balances, points_liability
from crmkit.transactions.erasure import Tombstones
from crmkit.transactions.levels import Level, relabelled
from crmkit.transactions.log import Transactions
from crmkit.transactions.points_ledger import GAINS, KINDS, PointsBonus, PointsLedger, PricePromise, reconcile_points

if TYPE_CHECKING:
    from crmkit.pipeline.settings import Points
    from crmkit.pipeline.table_sources import PointsSource


@stage("stated_points", "rejected_points")
def read_points(
    points_entries_files: Extract, forgotten: Tombstones | None = None, *, points_entries: PointsSource
) -> dict[str, object]:
    """The ledger of points that another system keeps."""
    table, rejected = PointsEntries.split_extract(points_entries_files, **points_entries.columns)
    if len(rejected):
        first = rejected.iloc[0]
        where = f"{first['file']} line {first['line']}: {first['reason']}. {first['advice']}"
        note(f"{len(rejected):,} rows of points are invalid (rejected_points.parquet); the first: {where}")
    return {"stated_points": remembered(table.frame, forgotten), "rejected_points": rejected.drop(columns="amount")}


@stage("points", "points_balances", "points_rewards", "points_check", "points_liability", "points_block", here=True)
def keep_points(
    delivery: Transactions,
    as_of: date,
    members: pd.DataFrame | None = None,
    stated_points: pd.DataFrame | None = None,
    identity: pd.DataFrame | None = None,
    *,
    points: Points,
    level: Level,
    currency: str,
) -> dict[str, object]:
    """The ledger by card, and balances by card, member or unit: the same points at each level."""
    programme = _programme(points)
    ledger = programme.entries(delivery.up_to(as_of), stated_points, _vips(members))
    of_level = relabelled(ledger, identity, level)
    month = as_of.replace(day=1)
    balances = points_balances(of_level, month, as_of)
    check = None if stated_points is None else _beside(ledger, stated_points, as_of)
    liability = points_liability(ledger, as_of, points.worth, points.expires)
    if n := int((balances["closing"] < 0).sum()):
        note(
            f"{n:,} balances of points are below 0: points were spent, and then the goods that had earned them returned."
        )
    if check is not None and (wrong := int((check["state"] != "agrees").sum())):
        note(
            f"{wrong:,} of {len(check):,} lines of the other ledger of points and ours do not agree (points_check.parquet)."
        )
    held = balances[["customer_id", "closing"]].rename(columns={"closing": "balance"})
    return {
        "points": ledger,
        "points_balances": balances,
        "points_rewards": programme.next_rewards(held) if points.rewards else None,
        "points_check": check,
        "points_liability": {"told": str(liability), "points": liability.points, "money": round(liability.money, 2)},
        "points_block": points_block(_months(ledger), balances, str(liability), check, currency=currency),
    }


def _beside(ledger: pd.DataFrame, stated: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """The other ledger beside ours, of the kinds of entries that it has."""
    return reconcile_points(ledger[ledger["kind"].isin(stated["kind"])], stated, as_of)


def _programme(points: Points) -> PointsLedger:
    bonuses = [PointsBonus(**one.model_dump()) for one in points.bonuses]
    promises = [PricePromise(**one.model_dump()) for one in points.promises]
    return PointsLedger(
        points.per, points.worth, points.expires, points.leave_out, bonuses, promises, dict(points.rewards)
    )


def _vips(members: pd.DataFrame | None) -> pd.DataFrame | None:
    if members is None or "vip_since" not in members:
        return None
    return to_pandas(members)[["customer_id", "vip_since"]].rename(columns={"vip_since": "since"})


def _months(ledger: pd.DataFrame) -> pd.DataFrame:
    """What came and went in each of the last twelve months with an entry, all cards together."""
    month = ledger["day"].dt.to_period("M").dt.start_time.rename("month")
    flows = ledger.groupby([month, "kind"])["points"].sum().unstack(fill_value=0).reindex(columns=KINDS, fill_value=0)
    closing = flows.sum(axis=1).cumsum()
    table = flows.assign(**{name: -flows[name] for name in KINDS if name not in GAINS}).astype("int64")
    table.insert(0, "opening", (closing - flows.sum(axis=1)).astype("int64"))
    return table.assign(closing=closing.astype("int64")).tail(12).reset_index()
