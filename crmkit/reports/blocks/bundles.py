"""What is bought together."""

from __future__ import annotations

import pandas as pd

from crmkit.reports.block import Block, Table
from crmkit.reports.formats import number

__all__ = ["bundles"]

_SHOWN, _SURE = 12, 0.01


def bundles(table: pd.DataFrame, *, currency: str = "") -> Block:
    """Items that stand in one basket more often than chance would have it; from `crmkit.bought_together`."""
    sure = table[(table["q_value"] < _SURE) & (table["lift"] > 1)]
    held = sure["later_lift"] > 1 if "later_lift" in sure else sure["lift"] > 1
    found = sure[held]
    if not len(found):
        return Block("Bought together", "No items are bought together more often than chance would have it")
    top = found.iloc[0]
    columns = [name for name in map(str, table) if name.startswith("item_")]
    extra = [name for name in ("later_lift", "share_promoted") if name in found]
    shown = [*columns, "baskets", "support", "confidence", "lift", "q_value", *extra]
    again = (
        f"{number(len(found))} of {number(len(sure))} stood together more often than by chance in later baskets too. "
        if "later_lift" in sure
        else "A pair that a promotion or a season put together looks the same: look at it again on later baskets."
    )
    names = {"support": "share_of_baskets", "confidence": "share_with_the_last"}
    return Block(
        "Bought together",
        f"{top['confidence']:.0%} of the baskets with {top['item_a']} also hold {top['item_b']}: {top['lift']:.1f} times chance",
        f"{number(len(sure))} pairs stand together more often than by chance, at most 1% of them falsely (Benjamini–Hochberg). "
        + again,
        table=Table(found[shown].head(_SHOWN).rename(columns=names)),
        more=(Table(found, f"All {len(found)}"),) if len(found) > _SHOWN else (),
    )
