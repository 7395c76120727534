"""The rows of some customers at a time, in memory: what they need there grows with the part, not with the log."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from crmkit._types import Ints
from crmkit.engine.base import SqlEngine
from crmkit.engine.frames import SparkFrame, map_keys

__all__ = ["Partitions", "coded", "some"]

_ROWS = 2_000_000
_PART = 400_000
_WORKERS = 2

_T = TypeVar("_T")


@dataclass(frozen=True)
class Partitions:
    """The rows of a query, all of a customer's together, about 400,000 at a time.

    Attributes
    ----------
    engine : SqlEngine
    select : str
        Query with a column customer_id.
    values : mapping
        Values that it names.
    """

    engine: SqlEngine
    select: str
    values: Mapping[str, object] = field(default_factory=dict)

    @cached_property
    def _n_rows(self) -> int:
        rows = self.engine.frame(f"select count(*) as n from ({self.select}) as t", self.values)
        return int(rows["n"].iloc[0])

    @property
    def few(self) -> bool:
        """Whether there are so few rows that they may stay in memory together."""
        return self._n_rows <= _ROWS

    @cached_property
    def _parts(self) -> list[Callable[[], pa.Table]]:
        n = max(1, -(-self._n_rows // _PART))
        return self.engine.split(self.select, "customer_id", n, self.values)

    def __len__(self) -> int:
        return len(self._parts)

    def __iter__(self) -> Iterator[pa.Table]:
        """The parts, brought to this machine one after another."""
        for read in self._parts:
            yield read()

    def answers(self, answer: Callable[[pa.Table], _T]) -> Iterator[_T]:
        """A function's answers to the parts, in their order; two threads work where the engine has as many."""
        workers = min(self.engine.threads, _WORKERS)
        with ThreadPoolExecutor(workers) as pool:
            begun: deque[Future[_T]] = deque()
            for read in self._parts:
                begun.append(pool.submit(_answered, answer, read))
                if len(begun) > workers:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()

    def whole(self, condition: str = "true") -> pa.Table:
        """All rows that meet a condition, brought to this machine together."""
        return self.engine.arrow(f"select * from ({self.select}) as t where {condition}", self.values)

    def spread(self, answer: Callable[[pa.Table], pd.DataFrame], kinds: str) -> SparkFrame:
        """The answers to all parts as a Spark DataFrame, not computed yet; ``kinds`` are its columns and their types."""
        rows: Any = self.engine.table(self.select, self.values)
        return map_keys(rows, "customer_id", answer, kinds, _PART)


def _answered(answer: Callable[[pa.Table], _T], read: Callable[[], pa.Table]) -> _T:
    return answer(read())


def some(share: float) -> str:
    """A condition that a share of the customers meets, the same ones on all days, by a hash of the id."""
    return f"substr(md5('panel:' || customer_id), 1, 8) < '{int(share * 16**8):08x}'" if share < 1 else "true"


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
