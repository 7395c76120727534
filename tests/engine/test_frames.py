"""Functions of rows give the same here and where the rows are, whatever the columns are called."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from crmkit.engine.frames import map_columns, map_partitions, map_rows, to_pandas

pytestmark = pytest.mark.xdist_group("spark")

TABLE = pd.DataFrame(
    {
        "customer_id": ["b", "a", None],
        "a `b`.c": [1.5, np.nan, 3.0],
        "n": [1, 2, 3],
        "at": pd.Timestamp("2026-01-02 03:04"),
    }
)
KINDS = "customer_id string, twice double, lists array<bigint>, at timestamp_ntz"


def answer(rows: pd.DataFrame) -> pd.DataFrame:
    found = pd.DataFrame({"customer_id": rows["customer_id"], "twice": 2 * rows["a `b`.c"]})
    found["lists"] = [[n, n] for n in rows["n"]]
    return found.assign(at=rows["at"] + pd.Timedelta(days=1))


def given(spark: Any) -> Any:
    kinds = "customer_id string, `a ``b``.c` double, n bigint, at timestamp_ntz"
    return spark.createDataFrame(pa.Table.from_pandas(TABLE, preserve_index=False), kinds)


def in_order(table: Any) -> pd.DataFrame:
    return to_pandas(table).sort_values("customer_id", ignore_index=True)


def test_rows_are_answered_where_they_are(spark: Any) -> None:
    here, there = (
        map_rows(TABLE, answer, KINDS),
        map_rows(given(spark).repartition(3), answer, KINDS),
    )
    assert not isinstance(there, pd.DataFrame)
    mine, theirs = in_order(here), in_order(there)
    assert [list(rows) for rows in theirs.pop("lists")] == mine.pop("lists").tolist()
    pd.testing.assert_frame_equal(theirs, mine, check_dtype=False)


def test_columns_are_added_and_the_others_untouched(spark: Any) -> None:
    answers = {"a score": (["a `b`.c", "n"], lambda rows: rows["a `b`.c"] + rows["n"]), "one": (["n"], len_of)}
    one = given(spark).coalesce(1)
    there = map_columns(one, answers)
    assert there.dtypes[:4] == one.dtypes
    pd.testing.assert_frame_equal(in_order(there), in_order(map_columns(TABLE, answers)), check_dtype=False)


def len_of(rows: pd.DataFrame) -> Any:
    return np.full(len(rows), float(list(rows.columns) == ["n"]))


def test_a_partition_is_answered_whole_and_an_empty_one_not_at_all(spark: Any) -> None:
    def count(rows: pa.Table) -> pa.Table:
        return pa.table({"n": [len(rows)]})

    some = spark.range(0, 25_000, 1, 2).where("id >= 0 and id < 20000")
    assert sorted(to_pandas(map_partitions(some, count, "n bigint"))["n"]) == [7500, 12500]
    assert len(to_pandas(map_partitions(some.where("id < 0"), count, "n bigint"))) == 0
