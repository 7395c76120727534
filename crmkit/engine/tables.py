"""The verbs that a run needs of a table, each done where the rows are: pandas, a Spark DataFrame, or a Parquet file.

Sums on Spark are exact (decimal), so they do not hang on the order in which partitions end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from crmkit.engine.choose import engine_of
from crmkit.engine.frames import FrameT, is_spark
from crmkit.engine.spark import SparkEngine

if TYPE_CHECKING:
    from crmkit.engine.frames import Frame

__all__ = [
    "filled",
    "first_rows",
    "grouped",
    "joined",
    "n_rows",
    "some_rows",
    "stored",
    "total",
    "with_difference",
    "with_name",
    "with_product",
]

Measure = tuple[str, str]
How = Literal["inner", "left"]

_IN_SQL = {
    "size": "cast(count(*) as bigint)",
    "count": "cast(count({0}) as bigint)",
    "sum": "cast(sum(cast({0} as decimal(38, 12))) as double)",
    "mean": "cast(sum(cast({0} as decimal(38, 12))) as double) / nullif(count({0}), 0)",
    "median": "median({0})",
    "max": "max({0})",
    "likely": "cast(sum(case when {0} >= 0.5 then 1 else 0 end) as bigint)",
}
_IN_PANDAS = {"likely": lambda column: int((column >= 0.5).sum())}


def n_rows(table: Frame) -> int:
    """How many rows there are.

    >>> n_rows(pd.DataFrame({"x": [1, 2]}))
    2
    """
    return int(table.count()) if is_spark(table) else len(table)


def first_rows(table: Frame | Path, n: int) -> pd.DataFrame:
    """The first rows as pandas.

    >>> first_rows(pd.DataFrame({"x": [1, 3, 2]}), 1)["x"].tolist()
    [1]
    """
    if isinstance(table, pd.DataFrame):
        return table.head(n)
    with engine_of(table) as engine:
        return engine.frame(f"select * from {engine.register(table)} limit {n}")


def some_rows(table: Frame, most: int, key: str = "customer_id") -> pd.DataFrame:
    """About so many rows as pandas, drawn by a hash of a text column and ordered by it; all where there are no more.

    >>> some_rows(pd.DataFrame({"customer_id": [f"{n}" for n in range(1000)]}), 100).shape[0] in range(70, 130)
    True
    """
    n = n_rows(table)
    if n <= most and isinstance(table, pd.DataFrame):
        return table
    with engine_of(table) as engine:
        name, share = engine.quoted(key), min(most / n, 1.0) if n else 1.0
        drawn = f"substr(md5('some:' || {name}), 1, 8) < '{int(share * 16**8):08x}'" if share < 1 else "true"
        return engine.frame(f"select * from {engine.register(table)} where {drawn} order by {name}")


def joined(first: FrameT, *others: Frame, on: str = "customer_id", how: How = "inner") -> FrameT:
    """A table with the columns of others beside its own, where it is; they share the key's name alone.

    >>> left, right = pd.DataFrame({"customer_id": ["a"], "x": [1]}), pd.DataFrame({"customer_id": ["a"], "y": [2]})
    >>> joined(left, right)
      customer_id  x  y
    0           a  1  2
    """
    if not is_spark(first):
        for other in others:
            first = first.merge(_here(other), on=on, how=how)
        return first
    engine = engine_of(first)
    for other in others:
        first = first.join(engine.query(f"select * from {engine.register(other)}"), on, how)
    return first


def _here(table: Frame) -> pd.DataFrame:
    assert not is_spark(table), "what is on Spark is joined there"
    return table


def filled(table: FrameT, column: str) -> FrameT:
    """A table in which a column of whole numbers is 0 where it was missing.

    >>> filled(pd.DataFrame({"n": [None, 2.0]}), "n")["n"].tolist()
    [0, 2]
    """
    if is_spark(table):
        return table.fillna({column: 0})
    return table.assign(**{column: table[column].fillna(0).astype("int64")})


def stacked(tables: Mapping[str, FrameT], name: str) -> FrameT:
    """Tables with the same columns below one another; a column more says which each row is of.

    >>> stacked({"a": pd.DataFrame({"x": [1]}), "b": pd.DataFrame({"x": [2]})}, "of")["of"].tolist()
    ['a', 'b']
    """
    first, *others = (_with_label(table, name, label) for label, table in tables.items())
    if is_spark(first):
        for other in others:
            first = first.unionByName(other)
        return first
    return pd.concat([first, *others])


def _with_label(table: FrameT, name: str, label: str) -> FrameT:
    if not is_spark(table):
        return table.assign(**{name: label})
    engine = engine_of(table)
    return engine.query(
        f"select *, cast(:label as string) as {engine.quoted(name)} from {engine.register(table)}", {"label": label}
    )


def with_difference(table: FrameT, name: str, first: str, second: str) -> FrameT:
    """A table with a column more: one of its columns less another.

    >>> with_difference(pd.DataFrame({"a": [3], "b": [1]}), "c", "a", "b")["c"].tolist()
    [2]
    """
    return _with_column(table, name, table[first] - table[second])


def with_product(table: FrameT, name: str, first: str, second: str) -> FrameT:
    """A table with a column more: one of its columns times another.

    >>> with_product(pd.DataFrame({"a": [3], "b": [2]}), "c", "a", "b")["c"].tolist()
    [6]
    """
    return _with_column(table, name, table[first] * table[second])


def with_name(table: FrameT, old: str, new: str) -> FrameT:
    """A table in which a column is called otherwise.

    >>> with_name(pd.DataFrame({"a": [3]}), "a", "b").columns.tolist()
    ['b']
    """
    return table.withColumnRenamed(old, new) if is_spark(table) else table.rename(columns={old: new})


def _with_column(table: FrameT, name: str, column: Any) -> FrameT:
    return table.withColumn(name, column) if is_spark(table) else table.assign(**{name: column})


def stored(path: Path, columns: Sequence[str] | None = None, on_spark: bool = False) -> Frame:
    """A table that lies in Parquet, as pandas or as a Spark DataFrame of the active session."""
    if not on_spark:
        return pd.read_parquet(path, columns=None if columns is None else list(columns))
    engine = SparkEngine()
    names = "*" if columns is None else ", ".join(map(engine.quoted, columns))
    return engine.query(f"select {names} from {engine.parquet(path)}")


def grouped(table: Frame | Path, *by: str, **measures: Measure) -> pd.DataFrame:
    """One row a group, ordered by it, as pandas: few rows, however many the table has.

    Parameters
    ----------
    table : pandas or Spark DataFrame, or path of a Parquet file
    *by : str
        Columns; rows that lack one are left out.
    **measures
        New column = (column, one of size, count, sum, mean, median, max, and likely: how many are at least one half).

    Examples
    --------
    >>> grouped(pd.DataFrame({"tier": ["A", "B", "A"], "value": [1.0, 2, 3]}), "tier", n=("value", "size"), sum=("value", "sum"))
      tier  n  sum
    0    A  2  4.0
    1    B  1  2.0
    """
    if isinstance(table, pd.DataFrame):
        here = {name: (column, _IN_PANDAS.get(how, how)) for name, (column, how) in measures.items()}
        found: pd.DataFrame = table.groupby(list(by), observed=True).agg(**here).reset_index()
        return found
    with engine_of(table) as engine:
        keys = [engine.quoted(name) for name in by]
        chosen = [
            f"{_IN_SQL[how].format(engine.quoted(column))} as {engine.quoted(name)}"
            for name, (column, how) in measures.items()
        ]
        there = " and ".join(f"{key} is not null" for key in keys)
        return engine.frame(
            f"""select {", ".join([*keys, *chosen])} from {engine.register(table)} where {there}
            group by {", ".join(keys)} order by {", ".join(keys)}"""
        )


def total(table: Frame, column: str) -> float:
    """The sum of a column.

    >>> total(pd.DataFrame({"x": [1.0, 2.0]}), "x")
    3.0
    """
    if not is_spark(table):
        return float(table[column].sum())
    with engine_of(table) as engine:
        name = engine.quoted(column)
        found = engine.frame(f"select {_IN_SQL['sum'].format(name)} as total from {engine.register(table)}")
    return float(found["total"].fillna(0.0).iloc[0])
