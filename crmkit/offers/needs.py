"""Due items by member: a table in memory, or a Parquet file read in chunks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from crmkit._checks import require_columns
from crmkit._days import as_day
from crmkit.exceptions import ContractError
from crmkit.offers.batches import Batch, ascending, places, values_of

__all__ = ["Needs", "window_of"]


_MEMBERS = 40_000
_ROWS = 1_000_000
_ITEMS = ("product_id", "brand", "category")


@dataclass(frozen=True)
class Needs:
    """Due items: customer_id, the item column, p_purchase, spend.

    ``source`` is a DataFrame, or the path of a Parquet file whose rows are ordered by customer_id.
    """

    source: pd.DataFrame | str | os.PathLike[str]

    @property
    def columns(self) -> list[str]:
        """Columns that are there."""
        if isinstance(self.source, pd.DataFrame):
            return list(self.source.columns)
        return list(pq.read_schema(self.source).names)

    @property
    def item(self) -> str:
        """The column of what is due.

        Raises
        ------
        ContractError
            A column is missing.
        """
        there, item = self.columns, self.named_item()
        made = (
            "NextPurchase(by=…).predict gives such a table; spend is what the member is expected to spend on the item "
            "when buying it."
        )
        require_columns(there, ("customer_id", "p_purchase", "spend", item or "category or product_id"), "due", made)
        return str(item)

    def named_item(self) -> str | None:
        """The column of what is due, whatever else is missing."""
        return next((name for name in _ITEMS if name in self.columns), None)

    def window(self) -> tuple[date, date] | None:
        """First and last day that is looked at, where the table says so."""
        if isinstance(self.source, pd.DataFrame):
            return window_of(self.source)
        if not {"as_of", "horizon"} <= set(self.columns):
            return None
        return window_of(
            pq.read_table(self.source, columns=["as_of", "horizon"])
            .group_by(["as_of", "horizon"])
            .aggregate([])
            .to_pandas()
        )

    def large_spend(self) -> float:
        """Twice the mean spend on an item; 0 where nothing is due."""
        money, rows = 0.0, 0
        for piece in self.pieces(["spend"]):
            money, rows = money + float(piece["spend"].sum()), rows + int(piece["spend"].notna().sum())
        return 2 * money / rows if rows else 0.0

    def pieces(self, columns: list[str]) -> Iterator[pd.DataFrame]:
        """Some columns of the rows, a piece at a time."""
        if isinstance(self.source, pd.DataFrame):
            yield self.source[columns]
            return
        with pq.ParquetFile(self.source) as file:
            for piece in file.iter_batches(_ROWS, columns=columns):
                yield pa.table([_decoded(piece[name]) for name in columns], columns).to_pandas()

    def batches(self, members: pd.Index, items: pd.Index) -> Iterator[Batch]:
        """Rows of these members and items, some members at a time, ordered by member and item.

        Raises
        ------
        ContractError
            A member's item is there twice, a probability is none, or a file is not ordered by customer_id.
        """
        if isinstance(self.source, pd.DataFrame):
            return self._in_memory(members, items)
        return self._in_file(members, items)

    def _in_memory(self, members: pd.Index, items: pd.Index) -> Iterator[Batch]:
        assert isinstance(self.source, pd.DataFrame)
        due = self.source
        _check(due["p_purchase"], int(due.duplicated(["customer_id", self.item]).sum()), self.item)
        found = _batch(due["customer_id"], due[self.item], due["p_purchase"], due["spend"], 0, members, items)
        edges = [*np.flatnonzero(np.diff(found.member, prepend=-1))[::_MEMBERS], len(found.row)]
        for start, end in pairwise(edges):
            yield Batch._make(column[start:end] for column in found)

    def _in_file(self, members: pd.Index, items: pd.Index) -> Iterator[Batch]:
        names = ["customer_id", self.item, "p_purchase", "spend"]
        before, at = None, 0
        with pq.ParquetFile(self.source, read_dictionary=names[:2]) as file:
            for piece in file.iter_batches(_ROWS, columns=names):
                table = pa.Table.from_batches([piece]).select(names)
                columns = [column.combine_chunks() for column in table.columns]
                who, what, p, spend = map(values_of, columns)
                found = _batch(who, what, p, spend, at, members, items)
                at += piece.num_rows
                if before is not None:
                    if len(found.member) and len(before.member) and found.member[0] < before.member[-1]:
                        raise ContractError(
                            f"{self.source} is not ordered by customer_id. Order it, or give it as a DataFrame."
                        )
                    found = Batch._make(np.concatenate(pair) for pair in zip(before, found, strict=True))
                _check(found.p, _repeats(found), self.item)
                last = np.searchsorted(found.member, found.member[-1]) if len(found.member) else 0
                before = Batch._make(column[last:] for column in found)
                yield Batch._make(column[:last] for column in found)
        if before is not None:
            yield before


def window_of(due: pd.DataFrame) -> tuple[date, date] | None:
    """First and last day that ``due`` looks at, or nothing when it does not say.

    >>> window_of(pd.DataFrame({"as_of": ["2017-12-31"], "horizon": [14]}))
    (datetime.date(2018, 1, 1), datetime.date(2018, 1, 14))
    """
    if not {"as_of", "horizon"} <= set(due.columns) or due.empty:
        return None
    windows = due[["as_of", "horizon"]].drop_duplicates()
    if len(windows) > 1:
        raise ContractError(f"due covers {len(windows)} windows (as_of, horizon). Plan one at a time.")
    day = as_day(windows["as_of"].iloc[0])
    return day + timedelta(days=1), day + timedelta(days=int(windows["horizon"].iloc[0]))


def _check(p: ArrayLike, repeated: int, item: str) -> None:
    if repeated:
        raise ContractError(f"due: {repeated:,} rows repeat an earlier row's customer_id and {item}. Pass each once.")
    values = np.asarray(p, dtype=float)
    if ((values < 0) | (values > 1)).any():
        raise ContractError("due: p_purchase is not between 0 and 1 in every row.")


def _repeats(batch: Batch) -> int:
    return int(((np.diff(batch.member) == 0) & (np.diff(batch.item) == 0)).sum())


def _batch(
    who: pd.Series | NDArray[np.generic],
    what: pd.Series | NDArray[np.generic],
    p: ArrayLike,
    spend: ArrayLike,
    first_row: int,
    members: pd.Index,
    items: pd.Index,
) -> Batch:
    """Rows whose member and item are known, by number, ordered by member and item."""
    member, item = places(who, members), places(what, items)
    known = np.flatnonzero((member >= 0) & (item >= 0))
    member, item = member[known], item[known]
    key = member * (len(items) + 1) + item
    if len(key) and not ascending(key):
        order = np.argsort(key, kind="stable")
        known, member, item = known[order], member[order], item[order]
    return Batch(
        known + first_row, member, item, np.asarray(p, dtype=float)[known], np.asarray(spend, dtype=float)[known]
    )


def _decoded(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
