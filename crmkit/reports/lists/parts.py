"""Tables of lists cut by members: a part has all of what is printed for some of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pandas as pd
import pyarrow.parquet as pq

from crmkit._checks import require_columns
from crmkit.engine.pieces import Source, columns_of
from crmkit.reports.lists.content import ListOptions

__all__ = ["ListPart", "parts_of"]


class ListPart(NamedTuple):
    """What is printed for some members."""

    offers: pd.DataFrame
    due: pd.DataFrame
    options: ListOptions


def parts_of(offers: Source, due: Source, size: int, options: ListOptions) -> Iterator[ListPart]:
    """The offers of ``size`` members at a time in the order of their ids, with what else is said to them; one empty part
    where nobody has an offer. Of files, which are best ordered by member, one part at a time is in memory.

    >>> offers = pd.DataFrame({"customer_id": ["2", "3", "1"]})
    >>> [sorted(part.offers["customer_id"]) for part in parts_of(offers, offers, 2, {})]
    [['1', '2'], ['3']]
    """
    require_columns(columns_of(offers), ("customer_id",), "offers", "OfferPlan.solve(…).offers has them.")
    require_columns(columns_of(due), ("customer_id",), "due")
    members = pd.Index(_members(offers)).sort_values()
    offered, needed = _cut(offers, members, size), _cut(due, members, size)
    tips, usual = options.get("tips"), options.get("usual")
    tip = None if tips is None else _cut(tips, members, size)
    use = None if usual is None else _cut(usual, members, size)
    for k in range(max(1, -(-len(members) // size))):
        own: ListOptions = {**options, "tips": tip and tip(k), "usual": use and use(k)}
        yield ListPart(offered(k), needed(k), own)


def _members(offers: Source) -> pd.Series[str]:
    if isinstance(offers, pd.DataFrame):
        return pd.Series(offers["customer_id"].unique())
    found: pd.Series[str] = pq.read_table(offers, columns=["customer_id"])["customer_id"].unique().to_pandas()
    return found


def _cut(table: Source, members: pd.Index[str], size: int) -> Callable[[int], pd.DataFrame]:
    """The rows of any part of the members."""
    if not isinstance(table, pd.DataFrame):
        return lambda k: _read(table, members[k * size : (k + 1) * size])
    rows = table.groupby(members.get_indexer(pd.Index(table["customer_id"])) // size).indices
    return lambda k: table.iloc[rows.get(k, [])]


def _read(path: str | os.PathLike[str], members: pd.Index[str]) -> pd.DataFrame:
    """The rows of these members, which follow each other: of a file that is ordered by member little more is read."""
    if not len(members) or not pq.read_metadata(path).num_rows:
        nothing: pd.DataFrame = pq.read_schema(path).empty_table().to_pandas()
        return nothing
    between = [("customer_id", ">=", members[0]), ("customer_id", "<=", members[-1])]
    found = pd.read_parquet(path, filters=between)
    return found[found["customer_id"].isin(members)]
