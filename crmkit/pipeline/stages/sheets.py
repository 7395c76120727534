"""One page about each customer who is to be visited or called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from crmkit.exceptions import ConfigError
from crmkit.models import CustomerLifetimeValue
from crmkit.pipeline.campaign_folder import Recorded
from crmkit.pipeline.stage import stage
from crmkit.pipeline.stages.campaigns import sent_offers
from crmkit.reports.customer_sheet import print_sheets as print_pages
from crmkit.segments.target_groups import target_group
from crmkit.transactions.log import Transactions

if TYPE_CHECKING:
    from crmkit.pipeline.settings import Sheets


@stage("sheets", "sheet_index", may_fail=True, here=True)
def print_sheets(
    log: Transactions,
    customers: pd.DataFrame,
    customer_summary: pd.DataFrame,
    value_model: CustomerLifetimeValue,
    repurchases: pd.DataFrame,
    campaign_record: Sequence[Recorded],
    redemptions: pd.DataFrame | None = None,
    offers: Path | None = None,
    points_balances: pd.DataFrame | None = None,
    points_rewards: pd.DataFrame | None = None,
    service: pd.DataFrame | None = None,
    identity: pd.DataFrame | None = None,
    places: pd.DataFrame | None = None,
    visits: pd.DataFrame | None = None,
    visited: pd.DataFrame | None = None,
    font: Path | None = None,
    *,
    sheets: Sheets,
    currency: str,
    folder: Path,
) -> dict[str, object]:
    """Pages in the order of the visits, then of the value at risk."""
    ids = _chosen(customers, visits, sheets)
    rows = with_intervals(customers[customers["customer_id"].isin(ids)], customer_summary, value_model)
    index = print_pages(
        ids, log, rows, folder / "sheets", repurchases, None if offers is None else pd.read_parquet(offers),
        currency=currency, font=font, sent=sent_offers(campaign_record), redemptions=redemptions, points=points_balances,
        rewards=points_rewards, service=service, identity=_of_units(identity, ids), premises=places, visits=visits,
        visited=visited,
    )  # fmt: skip
    return {"sheets": folder / "sheets" if len(index) else None, "sheet_index": index}


def _chosen(customers: pd.DataFrame, visits: pd.DataFrame | None, sheets: Sheets) -> list[str]:
    """Whose pages are printed, in their order."""
    wanted = customers
    if sheets.where is not None:
        found = target_group("sheets", [customers], {"[sheets] where": sheets.where})
        wanted = customers[customers["customer_id"].isin(found.members["customer_id"])]
    first = [] if visits is None else visits["customer_id"].tolist()
    order = wanted.sort_values(["value_at_risk", "customer_id"], ascending=[False, True])["customer_id"].tolist()
    return list(dict.fromkeys([*first, *order]))[: sheets.most]


def with_intervals(
    rows: pd.DataFrame, summary: pd.DataFrame, model: CustomerLifetimeValue, level: float = 0.8
) -> pd.DataFrame:
    """Customers with what they may really bring, chance included: value_low and value_high."""
    known = summary[summary["customer_id"].isin(rows["customer_id"])].reset_index(drop=True)
    try:
        found = model.predict_interval(known, level)
    except ConfigError:  # of some models no futures can be drawn
        return rows
    bounds = pd.DataFrame({"customer_id": known["customer_id"], "value_low": found["low"], "value_high": found["high"]})
    return rows.merge(bounds, how="left", on="customer_id")


def _of_units(identity: pd.DataFrame | None, ids: Sequence[str]) -> pd.DataFrame | None:
    """Cards of the units of these customers."""
    if identity is None:
        return None
    named = identity[["card", "member", "unit"]].isin(list(ids)).any(axis=1)
    return identity[identity["unit"].isin(identity.loc[named, "unit"])]
