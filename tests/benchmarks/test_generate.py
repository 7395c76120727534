"""What the generator promises: the same lines for the same seed, their shape, and a log like the door's."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from generate import write_csv, write_log, write_parquet

from crmkit import Transactions, read_extract
from crmkit.summaries.sales import sales_summary

NAMES = {"customer_id": "card_no", "purchased_at": "till_time", "amount": "net_paid", "order_id": "receipt"}


@pytest.fixture(scope="module")
def months(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_parquet(tmp_path_factory.mktemp("till"), 50_000)


@pytest.fixture(scope="module")
def till(months: list[Path]) -> pd.DataFrame:
    return pd.concat(map(pd.read_parquet, months), ignore_index=True)


def test_the_same_seed_writes_the_same_lines(till: pd.DataFrame, tmp_path: Path) -> None:
    again = pd.concat(map(pd.read_parquet, write_parquet(tmp_path / "again", 50_000, threads=1)), ignore_index=True)
    other = pd.concat(map(pd.read_parquet, write_parquet(tmp_path / "other", 50_000, seed=1)), ignore_index=True)
    pd.testing.assert_frame_equal(again, till, check_exact=True)
    assert not other.equals(till)


def test_lines_are_shaped_like_a_till(till: pd.DataFrame, months: list[Path]) -> None:
    assert (len(months), len(till.columns)) == (24, 15)
    assert len(till) == pytest.approx(50_000, rel=0.02)
    assert len(till) / till["receipt"].nunique() == pytest.approx(2.5, rel=0.02)
    assert till["card_no"].isna().mean() == pytest.approx(0.4, abs=0.02)
    assert till["till_time"].dt.to_period("M").nunique() == 24
    assert till["sku"].value_counts(normalize=True).iloc[0] > 0.02
    assert not till.duplicated(["receipt", "line_id"]).any()


def test_the_log_is_the_doors(till: pd.DataFrame, months: list[Path], tmp_path: Path) -> None:
    csv = write_csv(months, tmp_path / "till.csv")
    log = write_log(months, tmp_path / "log")
    loaded, rejections = Transactions.split_extract(
        read_extract(csv), until=log.until, folder=tmp_path / "loaded", product_id="sku", **NAMES
    )
    assert rejections.rows_read == len(till)
    mine, theirs = pd.read_parquet(log.lines), pd.read_parquet(loaded.lines)
    assert set(mine.columns) == set(theirs.columns)
    assert mine["amount"].sum() == theirs["amount"].sum()
    measures = ["sales", "customers", "receipts"]
    pd.testing.assert_frame_equal(
        sales_summary(log, "category")[measures], sales_summary(loaded, "category")[measures], check_exact=True
    )
