"""Tables by member, a piece at a time: one in memory is one piece, a Parquet file ordered by member comes in pieces of whole
members, so that it may be larger than memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

__all__ = ["Source", "columns_of", "whole_members", "written"]

Source: TypeAlias = "pd.DataFrame | str | os.PathLike[str]"
"""A table in memory, or the path of a Parquet file."""

_ROWS = 1_000_000


def columns_of(source: Source) -> list[str]:
    """Columns that are there.

    >>> columns_of(pd.DataFrame({"x": [1]}))
    ['x']
    """
    return list(source.columns) if isinstance(source, pd.DataFrame) else list(pq.read_schema(source).names)


def whole_members(
    source: Source, columns: Sequence[str] | None = None, key: str = "customer_id", rows: int | None = None
) -> Iterator[pd.DataFrame]:
    """The rows, all of a member in one piece of about so many; at least one piece, if of no rows.

    >>> [len(piece) for piece in whole_members(pd.DataFrame({"customer_id": ["a", "a", "b"]}))]
    [3]
    """
    if isinstance(source, pd.DataFrame):
        yield source if columns is None else source[list(columns)]
        return
    with pq.ParquetFile(source) as file:
        rest = file.schema_arrow.empty_table() if columns is None else file.schema_arrow.empty_table().select(columns)
        for batch in file.iter_batches(rows or _ROWS, columns=columns):
            piece = pa.concat_tables([rest, pa.Table.from_batches([batch]).select(rest.column_names)])
            last = pc.index(piece[key], piece[key][-1]).as_py() if len(piece) else 0
            if last:
                yield piece.slice(0, last).to_pandas()
            rest = piece.slice(last)
        yield rest.to_pandas()


def written(pieces: Iterable[pd.DataFrame], path: Path) -> Path:
    """Pieces below one another as a Parquet file; what columns hold is taken from the first."""
    coming = iter(pieces)
    head = pa.Table.from_pandas(next(coming), preserve_index=False)
    with pq.ParquetWriter(path, head.schema, compression="zstd") as writer:
        writer.write_table(head)
        for piece in coming:
            writer.write_table(pa.Table.from_pandas(piece, schema=head.schema, preserve_index=False))
    return path
