"""Customers at risk of churn."""

from __future__ import annotations

import pandas as pd

from crmkit.engine.tables import grouped, n_rows, total
from crmkit.reports.block import Block, Table
from crmkit.reports.formats import money

__all__ = ["churn"]


def churn(customers: pd.DataFrame, horizon: int, *, currency: str = "") -> Block:
    """Risk by tier; columns tier, p_churn, value_at_risk."""
    table = grouped(
        customers,
        "tier",
        customers=("customer_id", "size"),
        mean_p_churn=("p_churn", "mean"),
        value_at_risk=("value_at_risk", "sum"),
    )
    return Block(
        "Customers at risk of churn",
        f"{total(customers, 'p_churn'):,.0f} of {n_rows(customers):,} customers are expected not to buy in the next "
        f"{horizon} days",
        f"Value at risk: {money(table['value_at_risk'].sum(), currency)} (expected spend × probability of churn).",
        table=Table(table),
    )
