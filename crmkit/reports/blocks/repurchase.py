"""Upcoming repurchases."""

from __future__ import annotations

import pandas as pd

from crmkit.reports.block import Block, Table
from crmkit.reports.formats import number

__all__ = ["repurchases"]

_ITEMS = 12


def repurchases(due: pd.DataFrame, by: str, *, currency: str = "") -> Block:
    """Items due, the most expected first; from ``NextPurchase.predict``."""
    if not len(due):
        return Block("Upcoming repurchases", "No member has bought any item often enough to predict the next purchase")
    items = (
        due.groupby(by)
        .agg(
            customers=("customer_id", "size"), expected_buyers=("p_purchase", "sum"), median_p=("p_purchase", "median")
        )
        .sort_values("expected_buyers", ascending=False, kind="stable")
        .reset_index()
    )
    return Block(
        "Upcoming repurchases",
        f"{due['p_purchase'].sum():,.0f} purchases are expected in the next {int(due['horizon'].iloc[0])} days",
        f"Of {len(due):,} member and {by.replace('_id', '')} pairs, {number((due['p_purchase'] >= 0.5).sum())} are more "
        "likely than not.",
        table=Table(items.head(_ITEMS)),
        more=(Table(items, f"All {len(items)}"),) if len(items) > _ITEMS else (),
    )
