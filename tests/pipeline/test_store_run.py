"""A run on a store: only new files are read, and the tables are those of a run on all files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from crmkit import RunResult, Store, run
from crmkit.pipeline.stages import STAGES
from crmkit.testing import generated_sales

pytest.importorskip("deltalake")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    sales = generated_sales(n_customers=120, days=250, seed=4)
    for month, lines in sales.groupby(sales["purchased_at"].dt.month):
        lines.to_csv(tmp_path / f"till-{month:02d}.csv", index=False)
    return tmp_path


def night(shop: Path, out: str, until: str, **sections: Any) -> RunResult:
    place = [one.name for one in STAGES].index("score-repurchases")
    config = {"until": until, "transactions": {"files": "till-*.csv"}, **sections}
    return run(config, shop / out, home=shop, stages=STAGES[: place + 1])


def test_a_store_is_given_new_files_alone_and_gives_the_same_tables(shop: Path) -> None:
    later = shop / "later"
    later.mkdir()
    for name in ("till-08.csv", "till-09.csv"):
        (shop / name).rename(later / name)
    store = {"store": {"folder": "warehouse"}}
    first = night(shop, "kept", "2017-07-31", **store)
    assert first.manifest["read"]["rows"] > 0
    for file in later.iterdir():
        file.rename(shop / file.name)
    second = night(shop, "kept", "2017-09-07", **store)
    loads = Store(shop / "warehouse").loads
    assert [len(files) for files in loads["files"]] == [7, 2]
    assert second.manifest["read"]["rows"] == loads["rows_read"].iloc[-1]
    plain = night(shop, "plain", "2017-09-07")
    pd.testing.assert_frame_equal(second.tables["repurchases"], plain.tables["repurchases"])
    scores = ["customer_id", "frequency", "T", "total_spend", "value", "p_churn"]
    pd.testing.assert_frame_equal(second.tables["customers"][scores], plain.tables["customers"][scores])


def test_a_night_without_new_files_reads_nothing_and_goes_on(shop: Path) -> None:
    store = {"store": {"folder": "warehouse"}}
    night(shop, "out", "2017-09-07", **store)
    again = night(shop, "out", "2017-09-07", title="Another", **store)
    assert {one["action"] for one in again.manifest["stages"] if one["stage"] == "load"} == {"kept"}
    other = night(shop, "elsewhere", "2017-09-07", **store)
    assert other.manifest["read"]["rows"] == 0
    pd.testing.assert_frame_equal(other.tables["customers"], again.tables["customers"])
    assert len(Store(shop / "warehouse").loads) == 1
