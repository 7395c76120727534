"""A store read by others: delta-rs, DuckDB and a plain Spark session see the same rows and the same money."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from crmkit import ContractError, Store
from crmkit.engine.duckdb import DuckDBEngine
from crmkit.testing import generated_sales

deltalake = pytest.importorskip("deltalake")
pytestmark = pytest.mark.xdist_group("spark")
SUMS = "select count(*) as n, sum(amount) as money, count(distinct customer_id) as members from {}"


def test_spark_reads_the_files_of_a_store_as_they_lie_there(spark: Any, tmp_path: Path) -> None:
    sales, store = generated_sales(n_customers=80, days=150, seed=8), Store(tmp_path / "store")
    for _, rows in sales.groupby(sales["purchased_at"].dt.month):
        store.load(rows, until="2017-05-30")
    right = sales[sales["purchased_at"].dt.date.astype(str) == "2017-02-03"].assign(amount=1.5)
    store.correct(right, until="2017-05-30")
    for table in ("lines", "trips"):
        files = store.files(table)
        seen = spark.read.parquet(*map(str, files))
        seen.createOrReplaceTempView("seen")
        (far,) = [tuple(row) for row in spark.sql(SUMS.format("seen")).collect()]
        with DuckDBEngine() as engine:
            near = tuple(engine.arrow(SUMS.format(engine.parquet(files))).to_pylist()[0].values())
        delta = pd.DataFrame(deltalake.DeltaTable(str(store.path / table)).to_pyarrow_table().to_pydict())
        own = (len(delta), sum(delta["amount"], Decimal()), delta["customer_id"].nunique())
        assert far == near == own
    assert far[1] == sum(map(Decimal, pd.concat([
        sales.drop(right.index)["amount"], right["amount"]]).round(2).astype(str)), Decimal())  # fmt: skip
    with pytest.raises(ContractError, match="a store has the tables"):
        store.files("sales")
