"""Tables of lists cut by members: a part has all of what is printed for some of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pandas as pd

from crmkit._checks import require_columns
from crmkit.reports.lists.content import ListOptions

__all__ = ["ListPart", "parts_of"]


class ListPart(NamedTuple):
    """What is printed for some members."""

    offers: pd.DataFrame
    due: pd.DataFrame
    options: ListOptions


def parts_of(offers: pd.DataFrame, due: pd.DataFrame, size: int, options: ListOptions) -> Iterator[ListPart]:
    """The offers of ``size`` members at a time in the order of their ids, with what else is said to them; one empty part
    where nobody has an offer.

    >>> offers = pd.DataFrame({"customer_id": ["2", "3", "1"]})
    >>> [sorted(part.offers["customer_id"]) for part in parts_of(offers, offers, 2, {})]
    [['1', '2'], ['3']]
    """
    require_columns(offers, ("customer_id",), "offers", "OfferPlan.solve(…).offers has them.")
    require_columns(due, ("customer_id",), "due")
    members = pd.Index(offers["customer_id"].unique()).sort_values()
    offered, needed = _cut(offers, members, size), _cut(due, members, size)
    tips, usual = options.get("tips"), options.get("usual")
    tip = None if tips is None else _cut(tips, members, size)
    use = None if usual is None else _cut(usual, members, size)
    for k in range(max(1, -(-len(members) // size))):
        own: ListOptions = {**options, "tips": tip and tip(k), "usual": use and use(k)}
        yield ListPart(offered(k), needed(k), own)


def _cut(table: pd.DataFrame, members: pd.Index[str], size: int) -> Callable[[int], pd.DataFrame]:
    """The rows of any part of the members."""
    rows = table.groupby(members.get_indexer(pd.Index(table["customer_id"])) // size).indices
    return lambda k: table.iloc[rows.get(k, [])]
