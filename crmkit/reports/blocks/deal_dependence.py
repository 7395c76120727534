"""Deal dependence: how much is bought on a deal, by whom more and more, and what coupons gave away."""

from __future__ import annotations

import pandas as pd

from crmkit.reports.block import Block, Table
from crmkit.reports.formats import money, number

__all__ = ["deal_dependence"]

_MOSTLY, _RISING = 0.5, 0.05


def deal_dependence(customers: pd.DataFrame, lost: pd.DataFrame | None = None, *, currency: str = "") -> Block:
    """Share of purchases made on a deal, by tier where there are tiers; from `deal_dependence` and `given_away`."""
    told, table, title = [], None, "What coupons gave away"
    if "deal_share" in customers:
        known = customers[customers["deal_share"].notna()]
        mostly = known["deal_share"] > _MOSTLY
        rising = known["deal_share_change"] > _RISING
        title = f"{known['deal_share'].mean():.0%} of a customer's purchases are made on a deal, on average"
        told = [
            f"{number(int(mostly.sum()))} of {number(len(known))} customers buy more than half on a deal.",
            f"Of {number(int(rising.sum()))} the share rose by more than {_RISING * 100:.0f} percentage points in half a year.",
        ]
        by = known["tier"] if "tier" in known else pd.Series("all", index=known.index)
        groups = known.assign(rising=rising).groupby(by.rename("tier"))
        table = groups.agg(
            customers=("customer_id", "size"), deal_share=("deal_share", "mean"), deal_share_change=("deal_share_change", "mean"),
            share_rising=("rising", "mean"), discounts=("discounts", "sum"),
        ).reset_index()  # fmt: skip
    if lost is not None and len(lost):
        told.append(
            f"Coupons redeemed took off {money(lost['redeemed'].sum(), currency)}, of which the shop paid "
            f"{money(lost['paid'].sum(), currency)}; {money(lost['given_away'].sum(), currency)} of that went to purchases that "
            "would have come anyway, by the response measured against the control groups."
        )
    return Block("Deal dependence", title, " ".join(told), table=None if table is None else Table(table))
