"""Batches of members with what they are due to buy, and ids as the places where they stand in an index."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from crmkit._types import Floats, Ints

__all__ = ["Batch", "ascending", "places", "values_of"]


class Batch(NamedTuple):
    """Due rows of whole members, ordered by member and item: where a row stands in ``due``, whose and what it is."""

    row: Ints
    member: Ints
    item: Ints
    p: Floats
    spend: Floats


def places(values: pd.Series | NDArray[np.generic], known: pd.Index) -> Ints:
    """Where each value stands in an index, -1 where it does not.

    >>> places(pd.Series(["b", "c"]), pd.Index(["a", "b"])).tolist()
    [1, -1]
    """
    if isinstance(values, pd.Series) and isinstance(values.dtype, pd.CategoricalDtype):
        of_kind = np.append(known.get_indexer(values.cat.categories.astype(object)), -1)
        return np.asarray(of_kind[values.cat.codes], dtype=np.int64)
    wanted = pd.Index(values)
    return known.get_indexer(wanted if pd.api.types.is_numeric_dtype(wanted) else wanted.astype(object)).astype(
        np.int64
    )


def values_of(column: pa.Array) -> pd.Series | NDArray[np.generic]:
    """A column of a file: text that is kept as a dictionary stays so."""
    found: pd.Series | NDArray[np.generic] = (
        column.to_pandas() if pa.types.is_dictionary(column.type) else column.to_numpy(zero_copy_only=False)
    )
    return found


def ascending(values: Ints) -> bool:
    """Whether no value is below the one before it."""
    return bool((values[1:] >= values[:-1]).all())
