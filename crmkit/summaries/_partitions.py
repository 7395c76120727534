"""The rows of some customers at a time, in memory: what they need there grows with the part, not with the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from crmkit._types import Ints
from crmkit.engine.base import SqlEngine
from crmkit.engine.frames import map_partitions

__all__ = ["Partitions", "coded"]

_ROWS, _MOST = 2_000_000, 16


@dataclass(frozen=True)
class Partitions:
    """The rows of a query, all of a customer's together: two million at a time, or on Spark a partition at a time.

    Attributes
    ----------
    engine : SqlEngine
    select : str
        Query with a column customer_id.
    """

    engine: SqlEngine
    select: str

    @cached_property
    def number(self) -> int:
        """How many parts there are on this machine; no more than 16, since each takes a pass over the rows."""
        n = int(self.engine.arrow(f"select count(*) as n from ({self.select}) as t")["n"][0].as_py())
        return min(max(1, -(-n // _ROWS)), _MOST)

    def __iter__(self) -> Iterator[pa.Table]:
        """The parts, brought to this machine one after another."""
        if self.number == 1:
            yield self.engine.arrow(self.select)
            return
        which = f"{self.engine.number_of('customer_id')} % {self.number}"
        for part in range(self.number):
            yield self.engine.arrow(f"select * from ({self.select}) as t where {which} = {part}")

    def spread(self, answer: Callable[[pa.Table], pa.Table], kinds: str) -> Any:
        """The answers to all parts as a Spark DataFrame, not computed yet; ``kinds`` are its columns and their types."""
        rows: Any = self.engine.table(self.select)
        return map_partitions(rows.repartition("customer_id"), answer, kinds)


def coded(column: pa.ChunkedArray, exclude: Sequence[str] = ()) -> tuple[Ints, pd.Index[str]]:
    """Text as numbers in the order of the names, and the names; what is missing or excluded is −1.

    >>> codes, names = coded(pa.chunked_array([["b", None, "a", "b"]]))
    >>> codes.tolist(), list(names)
    ([1, -1, 0, 1], ['a', 'b'])
    """
    dictionary = pc.dictionary_encode(column).combine_chunks()
    names, codes = dictionary.dictionary, dictionary.indices.fill_null(len(dictionary.dictionary)).to_numpy()
    order = pc.sort_indices(names).to_numpy().astype(np.int64)
    if exclude:
        order = order[~pc.is_in(names, pa.array(exclude, names.type)).to_numpy(zero_copy_only=False)[order]]
    rank = np.full(len(names) + 1, -1)
    rank[order] = np.arange(len(order))
    return rank[codes], pd.Index(names.take(pa.array(order)).to_pandas())
