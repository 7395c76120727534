"""The same million lines, delivered in every way crmkit reads, give the same tables."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyarrow.dataset import dataset

from crmkit import Transactions, btyd_summary, holdout_summary, purchase_gaps, read_extract, rfm_table
from crmkit.transactions.rejections import Rejections

N_LINES, UNTIL, SPLIT = 1_000_000, "2025-12-31", "2025-06-30"
NAMES = {"customer_id": "card", "purchased_at": "at", "amount": "paid", "order_id": "receipt", "quantity": "pieces"}

Found = tuple[list[pd.DataFrame], Rejections]


class Capsule:
    """A table of a library nobody has heard of: it has the Arrow capsule, and nothing else."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


@pytest.fixture(scope="module")
def table(lines_of: Callable[..., pd.DataFrame]) -> pa.Table:
    """Times with a zone, decimal money, float cards with nulls and NaN, returns."""
    lines = lines_of(N_LINES, 30_000)
    rng = np.random.default_rng(11)
    money = [Decimal(int(cents)).scaleb(-2) for cents in (lines["amount"] * 100).round()]
    cards = lines["customer_id"].astype("float64").to_numpy(copy=True)
    cards[rng.random(N_LINES) < 0.001] = np.nan
    return pa.table(
        {
            "card": pa.array(cards, mask=rng.random(N_LINES) < 0.02),
            "at": pa.array(lines["purchased_at"].dt.tz_localize("UTC").astype("datetime64[us, UTC]")),
            "paid": pa.array(money, pa.decimal128(18, 4), mask=rng.random(N_LINES) < 0.001),
            "receipt": lines["order_id"].to_numpy(dtype=object),
            "pieces": lines["quantity"].to_numpy(),
            "category": pa.array(lines["category"].to_numpy(dtype=object), mask=rng.random(N_LINES) < 0.01),
        }
    )


@pytest.fixture(scope="module")
def files(table: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("delivery")
    named = {name: home / name for name in ("till.csv", "till.csv.gz", "packed", "plain.gz", "till.parquet")}
    pl.DataFrame(table).with_columns(pl.col("card").fill_nan(None)).write_csv(
        named["till.csv"], datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ"
    )
    with named["till.csv"].open("rb") as plain, gzip.open(named["till.csv.gz"], "wb", compresslevel=1) as packed:
        shutil.copyfileobj(plain, packed)
    shutil.copy(named["till.csv.gz"], named["packed"])
    shutil.copy(named["till.csv"], named["plain.gz"])
    pq.write_table(table, named["till.parquet"])
    return named


def summaries(source: object) -> Found:
    log, rejections = Transactions.split_extract(
        read_extract(source), until=UNTIL, time_zone="America/New_York", **NAMES
    )
    tables = [rfm_table(log), btyd_summary(log), holdout_summary(log, SPLIT), purchase_gaps(log, by="category")]
    return tables, rejections


@pytest.fixture(scope="module")
def expected(table: pa.Table) -> Found:
    return summaries(table)


def agree(found: Found, expected: Found) -> None:
    for one, other in zip(found[0], expected[0], strict=True):
        whole = [name for name in other.columns if other[name].dtype != "float64"]
        pd.testing.assert_frame_equal(one[whole], other[whole], check_exact=True)
        pd.testing.assert_frame_equal(one, other, rtol=1e-9, atol=0)
    assert str(found[1]) == str(expected[1])
    assert found[1].amount_used == expected[1].amount_used
    assert found[1].amount_rejected == expected[1].amount_rejected


@pytest.mark.parametrize("name", ["till.csv", "till.csv.gz", "packed", "plain.gz", "till.parquet"])
def test_files_agree(files: dict[str, Path], expected: Found, name: str) -> None:
    agree(summaries(files[name]), expected)


DATAFRAMES: dict[str, Callable[[pa.Table], object]] = {
    "pandas": lambda table: table.to_pandas(),
    "pandas with Arrow types": lambda table: table.to_pandas(types_mapper=pd.ArrowDtype),
    "polars": pl.DataFrame,
    "polars lazy": lambda table: pl.DataFrame(table).lazy(),
    "Arrow capsule": Capsule,
    "Arrow reader": lambda table: table.to_reader(max_chunksize=50_000),
    "Arrow dataset": dataset,
    "DuckDB relation": lambda table: duckdb.connect().from_arrow(table),
    "float money": lambda table: table.set_column(2, "paid", table["paid"].cast(pa.float64())),
}


@pytest.mark.parametrize("kind", DATAFRAMES)
def test_dataframes_agree(table: pa.Table, expected: Found, kind: str) -> None:
    agree(summaries(DATAFRAMES[kind](table)), expected)


def test_text_and_whole_number_ids_agree(table: pa.Table, expected: Found) -> None:
    known = table.filter(pc.is_finite(table["card"]))
    whole = known.set_column(0, "card", known["card"].cast(pa.int64()))
    text = whole.set_column(0, "card", whole["card"].cast(pa.string()))
    for version in (whole, text):
        tables, rejections = summaries(version)
        agree((tables, expected[1]), expected)
        assert "customer_id" not in str(rejections)


def test_the_data_hold_what_they_should(expected: Found) -> None:
    tables, rejections = expected
    reasons = dict(zip(rejections.counts["reason"], rejections.counts["rows"], strict=True))
    assert reasons["customer_id is missing"] > 20_000, "nulls and NaN are both missing"
    assert reasons["amount is missing"] > 500
    assert rejections.rows_read == N_LINES
    assert min(map(len, tables)) > 25_000
