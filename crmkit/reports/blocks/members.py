"""What good and likely members get beside the lists."""

from __future__ import annotations

import pandas as pd

from crmkit.reports.block import Block, Table
from crmkit.reports.formats import money, number
from crmkit.segments.cash_discount import CashDiscount

__all__ = ["cash_discount", "early_notice"]


def early_notice(notices: pd.DataFrame, specials: pd.DataFrame, *, currency: str = "") -> Block:
    """Who is told of coming specials; from `crmkit.early_notice`."""
    told = notices[notices["group"] == "notice"]
    by_deal = told.groupby("deal_id").agg(
        notices=("customer_id", "size"), mean_p_purchase=("p_purchase", "mean"), expected_buyers=("p_purchase", "sum")
    )
    held = notices[notices["group"] == "control"].groupby("deal_id").size()
    table = by_deal.assign(held_back=held.reindex(by_deal.index).fillna(0).astype("int64")).reset_index()
    return Block(
        "Early notice",
        f"{number(len(told))} notices of {number(len(specials))} coming specials go to those likeliest to want them",
        "Those held back show, once the special is over, what the notice achieved.",
        table=Table(table),
    )


def cash_discount(found: CashDiscount, *, currency: str = "") -> Block:
    """A discount for cash and its cost; from `crmkit.cash_discount`."""
    return Block(
        "Cash discount",
        f"{number(len(found.members))} members with a good record get {found.rate:.1%} for cash, which costs at most "
        f"{money(found.cost, currency)} in {found.days} days",
        f"They are expected to spend {money(found.members['expected_spend'].sum(), currency)} in these days.",
        table=Table(found.steps),
    )
