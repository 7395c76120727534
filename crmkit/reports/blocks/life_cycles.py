"""Where products stand in their lives."""

from __future__ import annotations

import pandas as pd

from crmkit.reports.block import Block, Table
from crmkit.reports.formats import number

__all__ = ["life_cycles"]


def life_cycles(table: pd.DataFrame, *, currency: str = "") -> Block:
    """Introduction, growth, maturity or decline of each item; from ``life_cycle``."""
    stages = table.groupby("stage").agg(items=("stage", "size"), sales_84=("sales_84", "sum")).reset_index()
    n = stages.set_index("stage")["items"]
    return Block(
        "Life cycles",
        f"{number(n.get('growth', 0))} items grow and {number(n.get('decline', 0))} decline",
        "By the slope of the last 28-day runs; sales of the last 84 days beside it.",
        table=Table(stages),
        more=(Table(table, f"All {len(table)}"),),
    )
