"""New products: trial and repeat."""

from __future__ import annotations

import pandas as pd

from crmkit.reports.block import Block, Table
from crmkit.reports.formats import number

__all__ = ["trials"]

_SHOWN = 10


def trials(table: pd.DataFrame, horizon: int = 90, *, currency: str = "") -> Block:
    """Trial and repeat of new products; from `crmkit.trial_repeat`."""
    if not len(table):
        return Block("New products", "No new product has been tried by enough customers yet")
    best = table.sort_values(["repeat_share", "product_id"], ascending=[False, True]).iloc[0]
    shown = table.rename(columns={"low": "share_low", "high": "share_high"})
    return Block(
        "New products",
        f"Of {number(len(table))} new products {best['product_id']} is bought again most: by {best['repeat_share']:.0%} within {horizon} days",
        "Trial is the share of the category's buyers since the launch; repeat is the share of triers who bought a second time "
        "(Kaplan-Meier, with its 95% interval).",
        table=Table(shown.head(_SHOWN)),
        more=(Table(shown, f"All {len(table)}"),) if len(table) > _SHOWN else (),
    )
