"""The user's own session and tables of Spark: read where they are, and left as they were."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from crmkit import Transactions, rfm_table
from crmkit.engine.choose import on_spark
from crmkit.exceptions import ConfigError

pytestmark = pytest.mark.xdist_group("spark")

UNTIL = "2025-12-31"

MESSY = [
    # customer_id, purchased_at, amount, order_id, product_id, quantity
    (" 0077", "2017-01-01 09:00:00", "2.50", "r1", "p'1", "1"),
    ("0077 ", "2017-01-02T23:30:00Z", "3.5", "r2", "p2", "2"),
    ("\u3000a\u00a0", "2017-03-12 10:00:00+02", "-3.5", "r3", "p2", "-2"),
    ("0077", "2017-03-12 10:00:00 +0200", "-3.5", "r4", "p2", "-2"),
    (None, "2017-01-02", "1e2", "r5", "p2", None),
    ("", "soon", "1", "r6", "p", "1"),
    ("b\nc", "2017-01-05", "1", "r7", "p", "1"),
    ("nul\x00", "2017-01-05", "1", "r8", None, "1"),
    ("12.0", "2017-01-05", "abc", "r9", "p", "1"),
    ("12.0", "2017-01-06", "1_000", "r9", "p", "1"),
    ("12.0", "2017-01-06", ".5", "r9", "p", "1.0"),
    ("1.2E+12", "2017-01-06", "7", "r10", "p", "1"),
    ("99999999", "2017-01-06", "7", "r11", "p", "1"),
    ("till's own", "2017-01-06", "7", "r12", "p", "1"),
    ("z", "2018-01-06", "7", "r13", "p", "1"),
    ("z", "2017-02-06 24:10:00", "7", "r14", "p", "1"),
    ("z", "2017-02-06", "0", "r14", "gift_10", "1"),
    ("0077", "2017-01-01 10:00:00", "2.50", "r1", "p'1", "1"),
]


def test_the_users_own_table_is_read_where_it_is(spark: Any, tmp_path: Path) -> None:
    names = ["customer_id", "purchased_at", "amount", "order_id", "product_id", "quantity"]
    spark.createDataFrame(MESSY, ", ".join(f"{name} string" for name in names)).write.saveAsTable("lake_sales")
    found = []
    try:
        for place, table in enumerate((pd.DataFrame(MESSY, columns=names), spark.table("lake_sales"))):
            log, told = Transactions.split_extract(
                table, until="2017-12-31", time_zone="America/New_York", recorded_in="Europe/Berlin",
                non_members=["till's own"], classes={"gift card": ["gift_%"]}, folder=tmp_path / str(place),
            )  # fmt: skip
            lines = (
                pd.concat(map(pd.read_parquet, log.lines))
                .drop(columns="record")
                .sort_values(["order_id", "day", "hour"])
            )
            rows = told.rows.drop(columns=["record", "file"]).sort_values(["reason", "value"])
            money = (told.amount_read, told.amount_used, told.amount_rejected, told.amount_duplicate)
            found.append((str(told), money, told.kinds, rows.reset_index(drop=True), lines.reset_index(drop=True)))
    finally:
        spark.sql("drop table lake_sales")
    (said, money, *tables), (other_said, other_money, *other_tables) = found
    assert (other_said, other_money) == (said, money)
    assert said.count("where") >= 8
    for table, other in zip(tables, other_tables, strict=True):
        pd.testing.assert_frame_equal(other, table, check_dtype=False)


def test_times_in_another_notation_are_refused_on_spark(spark: Any, tmp_path: Path) -> None:
    table = spark.createDataFrame([("a", "31.12.2016", "1")], "customer_id string, purchased_at string, amount string")
    with pytest.raises(ConfigError, match="cannot be read on Spark"):
        Transactions.split_extract(table, until=UNTIL, time_format="%d.%m.%Y", folder=tmp_path)


def test_the_session_is_left_as_it_was(lines_of: Callable[..., pd.DataFrame], spark: Any, tmp_path: Path) -> None:
    log = Transactions.from_extract(lines_of(3000, 100), until=UNTIL, folder=tmp_path)
    settings = dict(spark.sparkContext.getConf().getAll())
    far = rfm_table(pickle.loads(pickle.dumps(on_spark(log))).up_to(UNTIL))  # noqa: S301
    assert len(far.toArrow()) == len(rfm_table(log))
    assert spark.catalog.listTables() == []
    assert dict(spark.sparkContext.getConf().getAll()) == settings
