"""Tables of any library, on their way into an engine and out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, overload

import numpy as np
import pyarrow as pa

from crmkit._checks import require
from crmkit.exceptions import ExtractError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pyspark.sql import DataFrame, Row
    from pyspark.sql.types import StructType
    from typing_extensions import TypeIs

    from crmkit._types import Floats

__all__ = ["is_spark", "map_columns", "map_keys", "map_partitions", "map_rows", "to_pandas"]

SparkFrame: TypeAlias = "DataFrame"
"""A Spark DataFrame."""

Frame: TypeAlias = "pd.DataFrame | SparkFrame"
"""A table here, or where the rows are."""

Kinds: TypeAlias = "str | StructType"
"""Columns and their types, as Spark's ``schema`` takes them."""

Answers: TypeAlias = "Mapping[str, tuple[Sequence[str], Callable[[pd.DataFrame], Floats | pd.Series]]]"
"""New column → the columns that it needs, and what it is of a pandas table of these."""

FrameT = TypeVar("FrameT", "pd.DataFrame", "SparkFrame")

_GROUP = 200_000


def is_spark(table: object) -> TypeIs[SparkFrame]:
    """Whether a table is a Spark DataFrame.

    >>> is_spark([1, 2])
    False
    """
    return type(table).__module__.startswith("pyspark.sql") and type(table).__name__ == "DataFrame"


def kind_of_table(value: object) -> Literal["table", "dataset"] | None:
    """Whether a value is a table in memory, or a dataset of Spark's; None for anything else.

    >>> kind_of_table([1, 2]) is None
    True
    """
    if type(value).__name__ != "DataFrame":
        return None
    return "dataset" if is_spark(value) else "table"


def is_table(given: object) -> TypeIs[Frame]:
    """Whether what was given is a table, and not ids.

    >>> is_table([1, 2])
    False
    """
    return hasattr(given, "columns")


def listed(given: Iterable[str | Path | Sequence[Path]]) -> list[str | Path]:
    """Paths, and lists of paths, as one list.

    >>> listed(["a", [Path("b"), Path("c")]]) == ["a", Path("b"), Path("c")]
    True
    """
    return [path for one in given for path in ([one] if isinstance(one, str | Path) else one)]


def streamed(table: SparkFrame, path: Path) -> Path:
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


def plainly_named(table: SparkFrame) -> SparkFrame:
    """A Spark DataFrame whose columns are called by their places: some names stop ``mapInArrow``."""
    return table.toDF(*(f"column_{place}" for place in range(len(table.columns))))


def _grouped(rows: Iterator[Row]) -> Iterator[pa.Table]:
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


def arrow_if_foreign(table: object) -> Any:
    """DuckDB scans pandas, polars and Arrow itself; anything else comes through the Arrow capsule."""
    family = type(table).__module__.partition(".")[0]
    if family == "pandas":
        return _forwards(table)
    if family in ("polars", "pyarrow"):
        return table
    if hasattr(table, "__arrow_c_stream__"):
        import pyarrow as pa

        return pa.table(table)
    raise ExtractError(
        f"A {type(table).__name__} is not a table crmkit can read. Give a path, a glob, or a dataframe that speaks "
        "Arrow (pandas, polars, pyarrow, …)."
    )


def _forwards(table: Any) -> Any:
    """A pandas frame whose columns lie forwards in memory; those of a reversed one, ``frame[::-1]``, DuckDB cannot read."""
    plain = [name for name, kind in enumerate(table.dtypes) if isinstance(kind, np.dtype)]
    backwards = any(table.iloc[:, name].to_numpy().strides[0] < 0 for name in plain)
    return table.copy() if backwards or getattr(table.index, "step", 1) < 0 else table


@overload
def to_pandas(table: Frame) -> pd.DataFrame: ...
@overload
def to_pandas(table: Frame | None) -> pd.DataFrame | None: ...
def to_pandas(table: Frame | None) -> pd.DataFrame | None:
    """A table as pandas; a Spark DataFrame is computed and comes to the driver."""
    found: pd.DataFrame | None = table.toArrow().to_pandas() if is_spark(table) else table
    return found


def kept(table: FrameT) -> FrameT:
    """A table that is not computed again when it is used again: a Spark DataFrame is computed now and stays on the executors."""
    return table.localCheckpoint() if is_spark(table) else table


def ordered_on_spark(table: FrameT, *by: str) -> FrameT:
    """A Spark DataFrame in the order of some columns; another table has its order already, and keeps it."""
    return table.orderBy(*by) if is_spark(table) else table


def map_rows(table: FrameT, answer: Callable[[pd.DataFrame], pd.DataFrame], kinds: Kinds) -> FrameT:
    """The answer to a table; to a Spark DataFrame it is given where the rows are, in batches.

    ``kinds`` are the columns of the answer there and their types, as Spark's ``schema`` takes them.
    """
    if not is_spark(table):
        return answer(table)
    names, schema = list(table.columns), arrow_schema(table, kinds)

    def answered(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for batch in batches:
            rows = answer(batch.to_pandas().set_axis(names, axis=1)).rename(columns=str)
            yield from pa.Table.from_pandas(rows, schema=schema, preserve_index=False).to_batches()

    return plainly_named(table).mapInArrow(answered, kinds)


def map_partitions(table: SparkFrame, answer: Callable[[pa.Table], pa.Table], kinds: Kinds) -> SparkFrame:
    """The answers to the partitions of a Spark DataFrame, each of which is taken whole; an empty one has none."""

    def answered(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        if there := list(batches):
            yield from answer(pa.Table.from_batches(there)).combine_chunks().to_batches()

    return table.mapInArrow(answered, kinds)


def map_keys(
    table: SparkFrame, key: str, answer: Callable[[pa.Table], pd.DataFrame], kinds: Kinds, most: int
) -> SparkFrame:
    """The answers to a Spark DataFrame, given where the rows are, about ``most`` rows at a time with all rows of their keys."""
    schema = arrow_schema(table, kinds)

    def answered(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for rows in _whole_keys(batches, key, most):
            told = answer(rows).rename(columns=str)
            yield from pa.Table.from_pandas(told, schema=schema, preserve_index=False).to_batches()

    return table.repartition(key).sortWithinPartitions(key).mapInArrow(answered, kinds)


def _whole_keys(batches: Iterator[pa.RecordBatch], key: str, most: int) -> Iterator[pa.Table]:
    """Tables of about ``most`` rows, cut where a key ends; the rows of a key follow each other."""
    import pyarrow as pa
    import pyarrow.compute as pc

    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(part.num_rows for part in waiting) >= most:
            rows = pa.Table.from_batches(waiting)
            end = pc.index(rows[key], rows[key][-1]).as_py()
            if end:
                yield rows.slice(0, end)
            waiting = rows.slice(end).to_batches()
    if waiting:
        yield pa.Table.from_batches(waiting)


def arrow_schema(table: SparkFrame, kinds: Kinds) -> pa.Schema:
    """Columns and types, as the session of a Spark DataFrame reads them, as Arrow has them."""
    types = require("pyspark.sql.pandas.types", "spark")
    return types.to_arrow_schema(table.sparkSession.createDataFrame([], kinds).schema)


def map_columns(table: FrameT, answers: Answers) -> FrameT:
    """A table with columns of numbers added, computed where the rows are; the others are untouched.

    Each answer is the columns it needs, and a function of a pandas table of these that gives a number for each row.
    """
    if not is_spark(table):
        return table.assign(**{name: answer(table[list(columns)]) for name, (columns, answer) in answers.items()})
    return _map_columns_there(table, answers)


def _map_columns_there(table: SparkFrame, answers: Answers) -> SparkFrame:
    names, plain = list(table.columns), plainly_named(table)

    def answered(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for batch in batches:
            frame = batch.to_pandas().set_axis(names, axis=1)
            for place, (columns, answer) in enumerate(answers.values()):
                values: Floats | pd.Series | list[float] = answer(frame[list(columns)]) if len(frame) else []
                batch = batch.append_column(f"answer_{place}", pa.array(values, pa.float64()))
            yield batch

    added = plain.sparkSession.createDataFrame([], ", ".join(f"answer_{n} double" for n in range(len(answers)))).schema
    return plain.mapInArrow(answered, type(added)([*plain.schema.fields, *added.fields])).toDF(*names, *answers)
