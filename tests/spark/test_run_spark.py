"""The nightly run on Spark: the tables that it gives on one machine, and nothing of a member comes to the driver."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from crmkit import RunResult, run
from crmkit.pipeline.stages import STAGES
from crmkit.testing import generated_sales

pytestmark = pytest.mark.xdist_group("spark")

LOOKING_BACK = {"backtest-value", "backtest-churn", "backtest-repurchase"}

NIGHT = [one for one in STAGES if one.name not in LOOKING_BACK]
DAYS = ("2017-08-15", "2017-09-07")
CONFIG: dict[str, Any] = {"until": "2017-09-07", "repurchase": {"by": "category"}}


def shop_in(folder: Path, n_customers: int, seed: int = 3) -> dict[str, pd.DataFrame]:
    """A small shop's deliveries, as files and as tables."""
    sales = generated_sales(n_customers=n_customers, days=250, seed=seed)
    members = pd.DataFrame({"customer_id": sales["customer_id"].unique()})
    members["no_contact"] = ["x" if place % 9 == 0 else "" for place in range(len(members))]
    tables = {"transactions": sales, "members": members}
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    return tables


def nights(config: dict[str, Any], home: Path, out: Path, stages: list[Any] = NIGHT) -> list[RunResult]:
    return [run(CONFIG | config, out, home=home, as_of=day, stages=stages) for day in DAYS]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    shop_in(folder, 260)
    return folder


@pytest.fixture(scope="module")
def here(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> list[RunResult]:
    """Two nights on one machine."""
    files = {name: {"files": f"{name}.csv"} for name in ("transactions", "members")}
    return nights(files, shop, tmp_path_factory.mktemp("here"))


@pytest.fixture(scope="module")
def there(shop: Path, spark: Any, tmp_path_factory: pytest.TempPathFactory) -> list[RunResult]:
    """The same two nights on Spark, from tables by name."""
    for name in ("transactions", "members"):
        text = pd.read_csv(shop / f"{name}.csv", dtype=str).fillna("")
        spark.createDataFrame(text).write.saveAsTable(f"shop_{name}", mode="overwrite")
    tables = {name: {"table": f"shop_{name}"} for name in ("transactions", "members")}
    yield nights(tables | {"engine": {"kind": "spark"}}, shop, tmp_path_factory.mktemp("there"))
    for name in tables:
        spark.sql(f"drop table shop_{name}")


@pytest.mark.parametrize("night", [0, 1])
def test_the_tables_are_those_of_one_machine(here: list[RunResult], there: list[RunResult], night: int) -> None:
    tables, others = here[night].tables, there[night].tables
    assert set(others) == set(tables)
    assert len(tables) > 8
    for name, table in tables.items():
        same(name, others[name], table)


def same(name: str, found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Equal but for the order of rows, widths of numbers, where a rejected row stood, and the names of runs."""
    where = [column for column in ("file", "line", "record", "run") if column in expected]
    expected, found = expected.drop(columns=where), found.drop(columns=where)
    assert list(found.columns) == list(expected.columns), name
    keys = list(expected.select_dtypes(["str", "datetime"]).columns) or list(expected.columns)
    expected, found = (one.sort_values(keys, ignore_index=True) for one in (expected, found))
    pd.testing.assert_frame_equal(found, expected, rtol=1e-6, check_dtype=False, obj=name)


def test_the_numbers_of_the_run_are_those_of_one_machine(here: list[RunResult], there: list[RunResult]) -> None:
    for one, other in zip(here, there, strict=True):
        assert other.manifest["read"] == one.manifest["read"]
        assert other.manifest["rows"] == {name: n for name, n in one.manifest["rows"].items() if n is not None}
        assert other.notes == one.notes
