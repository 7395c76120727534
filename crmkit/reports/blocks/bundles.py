"""What is bought together."""

from __future__ import annotations

import pandas as pd

from crmkit.reports.block import Block, Table
from crmkit.reports.formats import number

__all__ = ["bundles"]

_SHOWN, _SURE = 12, 0.01


def bundles(table: pd.DataFrame, *, currency: str = "") -> Block:
    """Items that stand in one basket more often than chance would have it; from `crmkit.bought_together`."""
    found = table[(table["q_value"] < _SURE) & (table["lift"] > 1)]
    if not len(found):
        return Block("Bought together", "No items are bought together more often than chance would have it")
    top = found.iloc[0]
    columns = [name for name in map(str, table) if name.startswith("item_")]
    shown = [*columns, "baskets", "support", "confidence", "lift", "q_value"]
    names = {"support": "share_of_baskets", "confidence": "share_with_the_last"}
    return Block(
        "Bought together",
        f"{top['confidence']:.0%} of the baskets with {top['item_a']} also hold {top['item_b']}: {top['lift']:.1f} times chance",
        f"{number(len(found))} pairs stand together more often than by chance, at most 1% of them falsely (Benjamini–Hochberg). "
        "A pair that a promotion or a season put together looks the same: look at it again on later baskets.",
        table=Table(found[shown].head(_SHOWN).rename(columns=names)),
        more=(Table(found, f"All {len(found)}"),) if len(found) > _SHOWN else (),
    )
