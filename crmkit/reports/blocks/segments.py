"""Segments by recency, frequency and money."""

from __future__ import annotations

import pandas as pd

from crmkit.engine.tables import grouped
from crmkit.reports.block import Block, Table
from crmkit.reports.formats import money, number
from crmkit.segments.displays import SegmentDisplay
from crmkit.segments.life_stages import LIFE_STAGES

__all__ = ["life_stages", "segments"]


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


def life_stages(customers: pd.DataFrame, *, currency: str = "") -> Block:
    """Where customers stand by their own rhythm; columns life_stage, total_spend and value."""
    counted = {"customers": ("customer_id", "size"), "total_spend": ("total_spend", "sum"), "value": ("value", "sum")}
    found = grouped(customers, "life_stage", **counted).set_index("life_stage")
    table = found.reindex([name for name in LIFE_STAGES if name in found.index]).reset_index()
    n, slipping = table["customers"].sum(), table.set_index("life_stage").reindex(["slipping"]).fillna(0.0).iloc[0]
    return Block(
        "Life stages",
        f"{number(slipping['customers'])} of {number(n)} customers are slipping; they are worth {money(slipping['value'], currency)}",
        "Slipping is away for more than three of the customer's own usual intervals, away for more than six; new is who has "
        "bought on fewer than three days and is not away.",
        table=Table(table),
    )
