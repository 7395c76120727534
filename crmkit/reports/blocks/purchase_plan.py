"""What to order."""

from __future__ import annotations

import pandas as pd

from crmkit.reports.block import Block, Table
from crmkit.reports.formats import money, number

__all__ = ["purchase_plan"]

_SHOWN = 12


def purchase_plan(orders: pd.DataFrame, service_level: float = 0.95, *, currency: str = "") -> Block:
    """Orders to place, from `crmkit.purchase_plan`."""
    placed = orders[orders["order_quantity"] > 0]
    if not len(placed):
        return Block("Purchase plan", "Nothing needs to be ordered")
    by_supplier = placed.groupby("supplier").agg(
        products=("product_id", "size"), pieces=("order_quantity", "sum"), cost=("cost", "sum")
    )
    cost = f" for {money(placed['cost'].sum(), currency)}" if placed["cost"].notna().any() else ""
    soon = placed.sort_values(["order_by", "expected_demand"], ascending=[True, False], kind="stable")
    return Block(
        "Purchase plan",
        f"{number(len(placed))} products are to be ordered of {number(len(by_supplier))} suppliers{cost}",
        f"Each then lasts until the delivery after next with a probability of {service_level:.0%}; a file for each supplier is in the folder orders/.",
        table=Table(soon.head(_SHOWN)),
        more=(Table(by_supplier.reset_index(), "By supplier"), Table(orders, "All products")),
    )
