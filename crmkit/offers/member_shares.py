"""What share of their purchases members make of what deals are for, as arrays: of all, or of as many as a file is read for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from crmkit._types import Bools, Floats, Ints
from crmkit.exceptions import ContractError
from crmkit.offers.batches import ascending, places, values_of

__all__ = ["REPEATED", "MemberShares", "shares_in_file"]

REPEATED = "shares: a customer_id and deal_id are there more than once. Pass one row of each."

_ROWS = 500_000
_COLUMNS = ["customer_id", "deal_id", "share", "own_days", "other_margin", "yearly"]
_ARRAYS = ("key", "share", "bought", "other_margin", "yearly")


@dataclass(frozen=True)
class MemberShares:
    """Members and deals of which something is known, ordered by ``key``: member × deals + deal.

    Attributes
    ----------
    share, bought, yearly : array
        Of the deal's goods in the category, whether any were ever bought, and purchases of the category in a year.
    other_margin : array of float
        What the member's other purchases there earn; NaN where it is not known.
    last : int
        The last member of whom it was read.
    """

    n_deals: int
    key: Ints
    share: Floats
    bought: Bools
    other_margin: Floats
    yearly: Floats
    last: int = -1

    @classmethod
    def of(cls, table: pd.DataFrame | None, members: pd.Index, deal_ids: pd.Index) -> Self:
        """Of these members and deals; of none where there is no table."""
        if table is None:
            none = np.empty(0)
            return cls(len(deal_ids), none.astype(np.int64), none, none > 0, none, none)
        member, deal = (
            members.get_indexer(pd.Index(table["customer_id"])),
            deal_ids.get_indexer(pd.Index(table["deal_id"])),
        )
        columns = {name: table[name].to_numpy(float) for name in _COLUMNS[2:] if name in table}
        return cls._of(member.astype(np.int64), deal.astype(np.int64), columns, len(deal_ids))

    @classmethod
    def _of(cls, member: Ints, deal: Ints, columns: dict[str, Floats], n_deals: int) -> Self:
        known = np.flatnonzero((member >= 0) & (deal >= 0))
        key = (member * n_deals + deal)[known]
        if not ascending(key):
            order = np.argsort(key, kind="stable")
            key, known = key[order], known[order]
        missing = {"other_margin": np.nan, "yearly": 0.0}
        there = {name: columns[name][known] for name in columns}
        share, own, other, yearly = (
            there.get(name, np.full(len(key), missing.get(name, 0.0))) for name in ("share", "own_days", *missing)
        )
        return cls(n_deals, key, share, own > 0, other, yearly, int(member.max(initial=-1)))

    def between(self, first: int, last: int, coming: Iterator[MemberShares]) -> MemberShares:
        """What is known from one member to another: of what is here already, and of what is still to be read."""
        found = self._since(first)
        while found.last <= last and (piece := next(coming, None)) is not None:
            found = found._and(piece._since(first))
        return found

    def _since(self, member: int) -> MemberShares:
        start = np.searchsorted(self.key, member * self.n_deals)
        return self._some(slice(start, None)) if start else self

    def _and(self, later: MemberShares) -> MemberShares:
        key, share, bought, other_margin, yearly = (
            np.concatenate([getattr(self, name), getattr(later, name)]) for name in _ARRAYS
        )
        last = max(self.last, later.last)
        both = MemberShares(self.n_deals, key, share, bought, other_margin, yearly, last)
        if not ascending(both.key):
            both = both._some(np.argsort(both.key, kind="stable"))
        if (both.key[1:] == both.key[:-1]).any():
            raise ContractError(REPEATED)
        return both

    def _some(self, rows: slice | Ints) -> MemberShares:
        return replace(self, **{name: getattr(self, name)[rows] for name in _ARRAYS})

    def value(self, column: Floats | Bools, member: Ints, deal: Ints, otherwise: float) -> Floats:
        """One of the arrays for each member and deal, and something else where nothing is known of them."""
        if not len(self.key):
            return np.full(len(member), otherwise)
        wanted = member * self.n_deals + deal
        at = np.minimum(np.searchsorted(self.key, wanted), len(self.key) - 1)
        found: Floats = np.where(self.key[at] == wanted, column[at], otherwise)
        return found


def shares_in_file(path: str | os.PathLike[str], members: pd.Index, deal_ids: pd.Index) -> Iterator[MemberShares]:
    """What a Parquet file knows of these members and deals, a piece at a time.

    Raises
    ------
    ContractError
        The file is not ordered by customer_id, or has a member and deal twice.
    """
    last = -1
    with pq.ParquetFile(path, read_dictionary=_COLUMNS[:2]) as file:
        names = [name for name in _COLUMNS if name in file.schema_arrow.names]
        for piece in file.iter_batches(_ROWS, columns=names):
            table = pa.Table.from_batches([piece])
            who, what, *columns = (values_of(table[name].combine_chunks()) for name in names)
            member, deal = places(who, members), places(what, deal_ids)
            there = member[member >= 0]
            if not ascending(there) or (len(there) and there[0] < last):
                raise ContractError(f"{path} is not ordered by customer_id. Order it, or give it as a DataFrame.")
            last = int(there[-1]) if len(there) else last
            figures = {name: np.asarray(column, dtype=float) for name, column in zip(names[2:], columns, strict=True)}
            yield MemberShares._of(member, deal, figures, len(deal_ids))
