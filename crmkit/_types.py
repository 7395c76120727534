"""One name for each kind of array, table and document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Bools", "Floats", "Ids", "Int16s", "Int32s", "Interval", "Ints", "Json", "Numbers", "Singles", "Table"]

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Ints = NDArray[np.int64]
Int32s = NDArray[np.int32]
Int16s = NDArray[np.int16]
Bools = NDArray[np.bool_]

Numbers: TypeAlias = "Floats | float"
"""A column of numbers, or one for all rows."""

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
"""What a JSON document holds."""

Ids: TypeAlias = "pd.Series | pd.Index | NDArray[np.generic] | Sequence[str] | Sequence[int]"
"""Ids of customers, in order."""


class Interval(NamedTuple):
    """An estimate with its interval; unpacks as ``estimate, low, high``.

    >>> print(Interval(0.74, 0.731, 0.749))
    0.74 (0.731 to 0.749)
    """

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.estimate:.4g} ({self.low:.4g} to {self.high:.4g})"


class Table(Protocol):
    """A pandas, polars or Arrow table: its columns by name, and how many rows."""

    def __getitem__(self, name: str, /) -> Any: ...

    def __iter__(self) -> Iterator[object]: ...

    def __len__(self) -> int: ...
