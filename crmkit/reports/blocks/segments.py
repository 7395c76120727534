"""Segments by recency, frequency and money."""

from __future__ import annotations

import pandas as pd

from crmkit.engine.tables import grouped
from crmkit.reports.block import Block, Table
from crmkit.reports.formats import number
from crmkit.segments.displays import SegmentDisplay

__all__ = ["segments"]


def segments(customers: pd.DataFrame, *, currency: str = "") -> Block:
    """Named RFM segments; columns segment and total_spend."""
    found = grouped(customers, "segment", customers=("customer_id", "size"), total_spend=("total_spend", "sum"))
    table = found.sort_values("customers", ascending=False, kind="stable", ignore_index=True)
    first, spend = table.iloc[0], table["total_spend"].sum() or 1
    return Block(
        "Segments",
        f"“{first['segment']}” is the largest of {len(table)} segments",
        f"It has {number(first['customers'])} customers and {first['total_spend'] / spend:.0%} of the money spent.",
        SegmentDisplay(table),
        Table(table),
    )
