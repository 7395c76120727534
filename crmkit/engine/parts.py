"""Rows in parts on disk. A part is a file of Arrow streams, to which each batch of rows adds one, so that memory holds a batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["PART", "batch_rows", "read_part", "write_parts"]

PART = "_part"
"""Column that says in which part a row belongs, from 0; it is not kept."""

_LEAST = 300_000
_EACH = 1_000


def batch_rows(n: int) -> int:
    """How many rows to write at a time in so many parts."""
    return max(_LEAST, _EACH * n)


def write_parts(batches: Iterable[pa.RecordBatch], folder: Path, n: int) -> list[Path]:
    """Write rows in ``n`` parts; there is no file of a part without rows."""
    paths = [folder / f"{place}.arrow" for place in range(n)]
    for batch in batches:
        for place, rows in _sorted_out(batch, n):
            _append(rows, paths[place])
    return paths


def read_part(path: Path, schema: pa.Schema) -> pa.Table:
    """All rows of a part."""
    import pyarrow as pa

    if not path.exists():
        return schema.empty_table()
    with pa.OSFile(str(path)) as file:
        tables = []
        while file.tell() < file.size():
            tables.append(pa.ipc.open_stream(file).read_all())
    return pa.concat_tables(tables)


def _sorted_out(batch: pa.RecordBatch, n: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The rows of each part that there are any of."""
    import pyarrow as pa

    part = batch.column(PART).to_numpy()
    count = np.bincount(part, minlength=n)
    start = np.cumsum(count) - count
    rows = batch.drop_columns([PART]).take(pa.array(np.argsort(part, kind="stable").astype(np.int32)))
    for place in np.flatnonzero(count):
        yield int(place), rows.slice(start[place], count[place])


def _append(rows: pa.RecordBatch, path: Path) -> None:
    import pyarrow as pa

    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.OSFile(str(path), "ab") as file, pa.ipc.new_stream(file, rows.schema, options=options) as stream:
        stream.write_batch(rows)
