"""Tables of any library, on their way into an engine and out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from crmkit.exceptions import ExtractError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["collected", "is_spark", "of_rows"]
_GROUP = 200_000


def is_spark(table: object) -> bool:
    """Whether a table is a Spark DataFrame.

    >>> is_spark([1, 2])
    False
    """
    return type(table).__module__.startswith("pyspark.sql") and type(table).__name__ == "DataFrame"


def streamed(table: Any, path: Path) -> Path:
    """A Spark DataFrame as one Parquet file; executors pack Arrow batches, the driver writes them as they come."""
    import pyarrow.parquet as pq

    def packed(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for batch in batches:
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, batch.schema) as stream:
                stream.write_batch(batch)
            yield pa.RecordBatch.from_pydict({"batch": [sink.getvalue().to_pybytes()]})

    rows = plainly_named(table).mapInArrow(packed, "batch binary").toLocalIterator(prefetchPartitions=True)
    with pq.ParquetWriter(path, table.limit(0).toArrow().schema, compression="zstd") as writer:
        for part in _grouped(rows):
            writer.write_table(part.rename_columns(table.columns).cast(writer.schema))
    return path


def plainly_named(table: Any) -> Any:
    """A Spark DataFrame whose columns are called by their places: some names stop ``mapInArrow``."""
    return table.toDF(*(f"column_{place}" for place in range(len(table.columns))))


def _grouped(rows: Iterator[Any]) -> Iterator[pa.Table]:
    """Packed batches as tables of many rows, so that a Parquet file has few row groups."""
    import pyarrow as pa

    batches: list[pa.RecordBatch] = []
    for row in rows:
        batches += pa.ipc.open_stream(row["batch"])
        if sum(batch.num_rows for batch in batches) >= _GROUP:
            yield pa.Table.from_batches(batches)
            batches = []
    if batches:
        yield pa.Table.from_batches(batches)


def arrow_if_foreign(table: Any) -> Any:
    """DuckDB scans pandas, polars and Arrow itself; anything else comes through the Arrow capsule."""
    family = type(table).__module__.partition(".")[0]
    if family in ("pandas", "polars", "pyarrow"):
        return table
    if hasattr(table, "__arrow_c_stream__"):
        import pyarrow as pa

        return pa.table(table)
    raise ExtractError(
        f"A {type(table).__name__} is not a table crmkit can read. Give a path, a glob, or a dataframe that speaks "
        "Arrow (pandas, polars, pyarrow, …)."
    )


def collected(table: Any) -> pd.DataFrame:
    """A table as pandas; a Spark DataFrame is computed and comes to the driver."""
    found: pd.DataFrame = table.toArrow().to_pandas() if is_spark(table) else table
    return found


def of_rows(state: Any, answer: Callable[[pd.DataFrame], pd.DataFrame], kinds: str) -> Any:
    """The answer to a table; to a Spark DataFrame it is given where the rows are, with columns of these types."""
    if not is_spark(state):
        return answer(state)

    def answered(parts: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for part in parts:
            yield answer(part).rename(columns=str)

    return state.mapInPandas(answered, kinds)
