"""A million lines give the same tables on Spark as embedded; on Spark they are Spark DataFrames."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from crmkit import Rejections, Transactions, btyd_summary, holdout_summary, purchase_gaps, rfm_table
from crmkit.engine.choose import on_spark
from crmkit.engine.duckdb import DuckDBEngine
from crmkit.engine.frames import is_spark
from crmkit.engine.spark import SparkEngine
from crmkit.engine.texts import sql_text
from crmkit.exceptions import ConfigError, LeakError
from crmkit.summaries.customers import weekly_spend
from crmkit.summaries.items import item_bought, item_state
from crmkit.summaries.sales import sales_summary, weekly_sales
from crmkit.summaries.snapshots import STATE, WINDOW, snapshots

pytestmark = pytest.mark.xdist_group("spark")

N_LINES, UNTIL, SPLIT = 1_000_000, "2025-12-31", "2025-06-30"


TABLES: dict[str, Callable[[Transactions], Any]] = {
    "rfm_table": rfm_table,
    "btyd_summary": btyd_summary,
    "btyd_summary in the past": lambda log: btyd_summary(log, SPLIT),
    "btyd_summary before all sales": lambda log: btyd_summary(log, "2020-01-01"),
    "holdout_summary": lambda log: holdout_summary(log, SPLIT),
    "purchase_gaps": lambda log: purchase_gaps(log, by="category"),
    "item_state": lambda log: item_state(log, by="category"),
    "item_state without an item": lambda log: item_state(log, by="category", exclude=["Milk", 'TV 32" LED']),
    "item_state of levels": lambda log: item_state(log, by=["product_id", "category"], as_of="2024-04-30"),
    "item_bought": lambda log: item_bought(log, "category", SPLIT, 30),
    "sales_summary": lambda log: sales_summary(log, by="category", period="month"),
    "sales_summary by week": lambda log: sales_summary(log, period="week"),
    "sales_summary by day and hour": lambda log: sales_summary(log, by=["hour", "category"], period="day"),
    "sales_summary by year": lambda log: sales_summary(log, period="year"),
    "sales_summary of all": lambda log: sales_summary(log, by="customer_id", period="all"),
    "weekly_sales": weekly_sales,
    "weekly_spend": weekly_spend,
    "the log as it was": lambda log: rfm_table(log.up_to(SPLIT)),
}


@pytest.fixture(scope="module")
def log(lines_of: Callable[..., pd.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> Transactions:
    """Its folder has a name that a glob would misread."""
    lines = lines_of(N_LINES, 30_000)
    lines["product_id"] = lines["category"] + " " + (lines["order_id"].astype(int) % 40).astype(str)
    lines.loc[::97, "category"] = None
    lines.loc[::89, "quantity"] = None
    home = tmp_path_factory.mktemp("kept") / "a [log] {of} *one*"
    return Transactions.from_extract(lines, until=UNTIL, folder=home)


@pytest.fixture(scope="module")
def far(log: Transactions, spark: Any) -> Transactions:
    return on_spark(log)


def agree(found: Any, expected: pd.DataFrame) -> None:
    assert is_spark(found)
    collected = found.toArrow().to_pandas()
    whole = [name for name in expected.columns if expected[name].dtype != "float64"]
    pd.testing.assert_frame_equal(collected[whole], expected[whole], check_exact=True)
    pd.testing.assert_frame_equal(collected, expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("name", TABLES)
def test_spark_agrees(log: Transactions, far: Transactions, name: str) -> None:
    expected = TABLES[name](log)
    assert len(expected) > 0 or "before" in name
    agree(TABLES[name](far), expected)


@pytest.mark.parametrize("kinds", [STATE, WINDOW])
def test_what_is_told_of_customers_is_the_same_to_the_last_bit(
    log: Transactions, far: Transactions, kinds: str
) -> None:
    def asked(one: Transactions) -> Any:
        with snapshots(one) as shop:
            day = shop.day(SPLIT)
            return shop.ask(lambda told: told.state(day) if kinds == STATE else told.window(day, day + 30), kinds)

    mine, theirs = asked(log), asked(far)
    assert is_spark(theirs)
    found = theirs.toArrow().to_pandas().sort_values("customer_id", ignore_index=True)
    pd.testing.assert_frame_equal(found, mine, check_exact=True)


@pytest.mark.parametrize(
    ("fold", "order"), [("trips", "customer_id, day, order_id"), ("days", "customer_id, buy_day, day")]
)
def test_lines_fold_into_the_same_rows(log: Transactions, spark: Any, tmp_path: Path, fold: str, order: str) -> None:
    with SparkEngine(spark) as engine:
        engine.save(sql_text(f"transactions/{fold}", lines=engine.parquet(log.lines)), tmp_path / f"{fold}.parquet")
    with DuckDBEngine() as near:
        mine = near.frame(f"select * from {near.parquet(log.folder / f'{fold}.parquet')} order by {order}")
        theirs = near.frame(f"select * from {near.parquet(tmp_path / f'{fold}.parquet')} order by {order}")
    pd.testing.assert_frame_equal(theirs, mine, check_exact=True)


@pytest.fixture(scope="module")
def till(lines_of: Callable[..., pd.DataFrame]) -> pa.Table:
    """Times with a zone, decimal money, float cards with nulls and NaN, returns; a name that SQL would misread."""
    lines, rng = lines_of(N_LINES, 30_000), np.random.default_rng(11)
    money = [Decimal(int(cents)).scaleb(-2) for cents in (lines["amount"] * 100).round()]
    cards = lines["customer_id"].astype("float64").to_numpy(copy=True)
    cards[rng.random(N_LINES) < 0.001] = np.nan
    return pa.table(
        {
            "card": pa.array(cards, mask=rng.random(N_LINES) < 0.02),
            "at": pa.array(lines["purchased_at"].dt.tz_localize("UTC").astype("datetime64[us, UTC]")),
            "paid": pa.array(money, pa.decimal128(18, 4), mask=rng.random(N_LINES) < 0.001),
            "receipt": lines["order_id"].to_numpy(dtype=object),
            "how `many`": lines["quantity"].to_numpy(),
            "category": pa.array(lines["category"].to_numpy(dtype=object), mask=rng.random(N_LINES) < 0.01),
        }
    )


def read(table: object, folder: Path) -> tuple[Transactions, Rejections]:
    return Transactions.split_extract(
        table, until=UNTIL, time_zone="America/New_York", folder=folder, customer_id="card", purchased_at="at",
        amount="paid", order_id="receipt", quantity="how `many`",
    )  # fmt: skip


def test_a_spark_dataframe_comes_through_the_door(till: pa.Table, spark: Any, tmp_path: Path) -> None:
    near, one = read(till, tmp_path / "near")
    far, other = read(spark.createDataFrame(till), tmp_path / "far")
    assert str(other) == str(one)
    assert (other.amount_used, other.amount_rejected) == (one.amount_used, one.amount_rejected)
    assert other.rows_read == N_LINES
    assert (near.on_spark, far.on_spark) == (False, True)
    agree(btyd_summary(far), btyd_summary(near))
    agree(purchase_gaps(far, by="category"), purchase_gaps(near, by="category"))


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
            lines = pd.read_parquet(log.lines).drop(columns="record").sort_values(["order_id", "day", "hour"])
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


def test_an_empty_spark_dataframe_is_empty(spark: Any, tmp_path: Path) -> None:
    empty = spark.createDataFrame([], "customer_id string, purchased_at timestamp_ntz, amount decimal(10, 2)")
    log, rejections = Transactions.split_extract(empty, until=UNTIL, folder=tmp_path)
    assert rejections.rows_read == 0
    agree(rfm_table(log), rfm_table(replace(log, on_spark=False)))


def test_the_session_is_left_as_it_was(far: Transactions, spark: Any) -> None:
    settings = dict(spark.sparkContext.getConf().getAll())
    agree(weekly_sales(far), weekly_sales(pickle.loads(pickle.dumps(far)).up_to(UNTIL)).toArrow().to_pandas())  # noqa: S301
    assert spark.catalog.listTables() == []
    assert dict(spark.sparkContext.getConf().getAll()) == settings


def test_the_same_questions_are_refused(far: Transactions) -> None:
    with pytest.raises(LeakError, match="as_of=2026-01-01 is after 2025-12-31"):
        rfm_table(far, as_of="2026-01-01")
    with pytest.raises(LeakError, match="leaves no observed day"):
        holdout_summary(far, split=UNTIL)
