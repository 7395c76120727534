"""How much of what customers buy is bought on a deal, and whether that grows: lists must not train bargain hunters."""

from __future__ import annotations

from datetime import date

import pandas as pd

from crmkit.engine.choose import engine_for
from crmkit.engine.frames import to_pandas
from crmkit.transactions.log import Transactions

__all__ = ["deal_dependence"]

_WEIGHT = 10.0
"""Lines that the share of all customers weighs as much as in a trend, so that a few lines are no trend."""


def deal_dependence(log: Transactions, as_of: str | date | None = None, window: int = 182) -> pd.DataFrame:
    """Share of each customer's purchases made on a deal, and its trend.

    A purchase is a line with units bought; it is on a deal where its discount is above 0, whoever paid for it. The trend
    compares two windows, each share drawn towards that of all customers, which weighs as much as ten lines.

    Parameters
    ----------
    log : Transactions
        With discount; without it no purchase is on a deal.
    as_of : date, optional
    window : int
        Days.

    Returns
    -------
    DataFrame
        customer_id, deal_share (of the purchases of the last ``window`` days), deal_share_change (against the window before;
        missing where nothing was bought in that), discounts (money in the window). One row per customer who bought in it.

    Examples
    --------
    >>> till = pd.DataFrame({"customer_id": "a", "purchased_at": ["2017-06-01", "2017-12-01", "2017-12-02"], "amount": 2.0,
    ...                      "discount": [0.0, 0.5, 0.0]})
    >>> deal_dependence(Transactions.from_extract(till, until="2017-12-31")).round(3)
      customer_id  deal_share  deal_share_change  discounts
    0           a         0.5              0.058        0.5
    """
    with engine_for(log) as engine:
        table = to_pandas(
            engine.summary(
                "summaries/deal_dependence",
                {"as_of": log.close_of(as_of), "window": window},
                lines=engine.parquet(log.lines),
            )
        )
    sums = table.drop(columns="customer_id").sum()
    n_lines = float(sums["n_lines"] + sums["n_lines_before"])
    overall = float(sums["n_on_deal"] + sums["n_on_deal_before"]) / n_lines if n_lines else 0.0
    now, before = (
        (table[f"n_on_deal{when}"] + _WEIGHT * overall) / (table[f"n_lines{when}"] + _WEIGHT)
        for when in ("", "_before")
    )
    return pd.DataFrame(
        {
            "customer_id": table["customer_id"],
            "deal_share": table["n_on_deal"] / table["n_lines"],
            "deal_share_change": (now - before).where(table["n_lines_before"] > 0),
            "discounts": table["discounts"],
        }
    )
