"""Upcoming repurchases."""

from __future__ import annotations

import pandas as pd

from crmkit.engine.tables import first_rows, grouped, n_rows, total
from crmkit.reports.block import Block, Table
from crmkit.reports.formats import number

__all__ = ["repurchases"]

_ITEMS = 12


def repurchases(due: pd.DataFrame, by: str, *, currency: str = "") -> Block:
    """Items due, the most expected first; from ``NextPurchase.predict``."""
    first = first_rows(due, 1)
    if not len(first):
        return Block("Upcoming repurchases", "No member has bought any item often enough to predict the next purchase")
    p = "p_purchase"
    found = grouped(due, by, customers=("customer_id", "size"), expected_buyers=(p, "sum"), median_p=(p, "median"))
    items = found.sort_values("expected_buyers", ascending=False, kind="stable", ignore_index=True)
    return Block(
        "Upcoming repurchases",
        f"{total(due, p):,.0f} purchases are expected in the next {int(first['horizon'].iloc[0])} days",
        f"Of {n_rows(due):,} member and {by.replace('_id', '')} pairs, {number(n_rows(due[due[p] >= 0.5]))} are more "
        "likely than not.",
        table=Table(items.head(_ITEMS)),
        more=(Table(items, f"All {len(items)}"),) if len(items) > _ITEMS else (),
    )
