"""Deals for goods that nobody sells or buys by that name: told one by one, with the nearest name."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

import pandas as pd

from crmkit._checks import nearest
from crmkit.engine.choose import engine_for
from crmkit.exceptions import UnmatchedDealsError
from crmkit.offers.deals import Deals
from crmkit.offers.needs import Needs
from crmkit.transactions.log import Transactions

__all__ = ["unmatched_deals", "unmatched_sentences"]

_NAMED = ("product_id", "category", "brand")
_MOST = 10


def unmatched_deals(log: Transactions, deals: Deals, as_of: str | date | None = None) -> pd.DataFrame:
    """Deals that name a product, category or brand which no line of the log has.

    Parameters
    ----------
    log : Transactions
        With the columns that deals name; what it lacks is not looked at.
    deals : Deals
    as_of : date, optional

    Returns
    -------
    DataFrame
        deal_id, column, named, and nearest: the name that is spelt most like it, missing where none is near. One row per
        deal and column, ordered by deal_id.

    Examples
    --------
    >>> till = pd.DataFrame({"customer_id": ["a"], "purchased_at": ["2017-01-01"], "amount": 1, "category": "Cheese"})
    >>> deals = Deals.from_extract(pd.DataFrame({
    ...     "deal_id": ["D1"], "title": ["Cheese"], "category": ["CHEESES"], "funder": ["Maker"], "value": [1],
    ...     "budget": [10], "starts": ["2017-01-03"], "ends": ["2017-01-16"]}))
    >>> unmatched_deals(Transactions.from_extract(till, until="2017-01-02"), deals)
      deal_id    column    named nearest
    0      D1  category  CHEESES  Cheese
    """
    found = []
    with engine_for(log) as engine:
        for column in (name for name in _NAMED if name in log.items):
            text = f"select distinct {column} as name from {engine.parquet(log.lines)} where day <= :as_of and {column} is not null"
            there = set(engine.frame(text, {"as_of": log.close_of(as_of)})["name"])
            found.append(_missing(deals.frame, column, there))
    empty = pd.DataFrame({name: pd.Series(dtype="str") for name in ("deal_id", "column", "named", "nearest")})
    together = pd.concat([empty, *found], ignore_index=True)
    return together.sort_values(["deal_id", "column"], ignore_index=True)


def _missing(deals: pd.DataFrame, column: str, there: Collection[str]) -> pd.DataFrame:
    named = deals.loc[deals[column].notna() & ~deals[column].isin(there), ["deal_id", column]]
    near = {name: nearest(str(name), map(str, sorted(there, key=str))) for name in named[column].unique()}
    return pd.DataFrame(
        {
            "deal_id": named["deal_id"].astype("str"),
            "column": column,
            "named": named[column].astype("str"),
            "nearest": named[column].map(near).astype("str").where(named[column].map(near).notna()),
        }
    )


def unmatched_sentences(found: pd.DataFrame, where: str) -> list[str]:
    """A sentence for each deal, ten at most."""
    told = [
        f"Deal {row.deal_id} is for {row.column} {row.named!r}, which {where}"
        + (f"; did you mean {row.nearest!r}?" if isinstance(row.nearest, str) else ".")
        for row in found.head(_MOST).itertuples()
    ]
    return told + ([f"So are {len(found) - _MOST:,} more deals."] if len(found) > _MOST else [])


def check_matched(needs: Needs, deals: pd.DataFrame, offers: pd.DataFrame) -> None:
    """Raise where no deal is for anything that is due, with each deal's name and the nearest.

    Raises
    ------
    UnmatchedDealsError
        No deal is for anything that is due.
    """
    item = needs.item
    if len(offers) or not len(deals) or deals[item].isna().all():
        return
    due: set[str] = set()
    for piece in needs.pieces([item]):
        due |= set(piece[item].dropna().unique())
    found = _missing(deals, item, due)
    if not len(found) or not due:
        return
    if len(found) == len(deals):
        told = " ".join(unmatched_sentences(found, "is no item that is due"))
        raise UnmatchedDealsError(f"No deal is for anything that is due, so no list can be planned. {told}")
