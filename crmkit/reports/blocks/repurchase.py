"""Upcoming repurchases."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from crmkit.engine.tables import first_rows, grouped
from crmkit.reports.block import Block, Table
from crmkit.reports.formats import number

__all__ = ["repurchases"]

_ITEMS = 12


def repurchases(due: pd.DataFrame | Path, by: str, *, currency: str = "") -> Block:
    """Items due, the most expected first; from ``NextPurchase.predict``, or the file that ``write_predictions`` wrote."""
    first = first_rows(due, 1)
    if not len(first):
        return Block("Upcoming repurchases", "No member has bought any item often enough to predict the next purchase")
    p = "p_purchase"
    measures = {"expected_buyers": (p, "sum"), "median_p": (p, "median"), "likely": (p, "likely")}
    found = grouped(due, by, customers=("customer_id", "size"), **measures)
    items = found.sort_values("expected_buyers", ascending=False, kind="stable", ignore_index=True)
    likely = items.pop("likely").sum()
    return Block(
        "Upcoming repurchases",
        f"{items['expected_buyers'].sum():,.0f} purchases are expected in the next {int(first['horizon'].iloc[0])} days",
        f"Of {items['customers'].sum():,} member and {by.replace('_id', '')} pairs, {number(likely)} are more "
        "likely than not.",
        table=Table(items.head(_ITEMS)),
        more=(Table(items, f"All {len(items)}"),) if len(items) > _ITEMS else (),
    )
