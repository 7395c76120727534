"""What several test files share: writing a till file, and reading it through the door."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

from crmkit import Rejections, Transactions, read_extract

settings.register_profile("core", max_examples=12, derandomize=True, deadline=None)
settings.register_profile("thorough", max_examples=60, deadline=None)
settings.load_profile("core")  # the same examples everywhere; scripts/test --all draws more, and others each time

HEADER = "customer_id,purchased_at,amount,category\n"


@pytest.fixture
def till(tmp_path: Path) -> Callable[..., Path]:
    """Write text (the header is added) or bytes (as they are) as a file."""

    def write(content: str | bytes, name: str = "till.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else (HEADER + content).encode())
        return path

    return write


@pytest.fixture
def split(till: Callable[..., Path]) -> Callable[..., tuple[pd.DataFrame, Rejections]]:
    """Lines that were accepted, and the rejections, of a file's content or of any source."""

    def through(content: object, name: str = "till.csv", **options: str) -> tuple[pd.DataFrame, Rejections]:
        source = read_extract(till(content, name) if isinstance(content, str | bytes) else content)
        log, rejections = Transactions.split_extract(source, **({"until": "2026-12-31"} | options))
        lines = pd.read_parquet(log.lines).sort_values(["file", "record"], ignore_index=True)
        return lines, rejections

    return through


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A Spark session on two cores, far from UTC. Where CI is set it must start; elsewhere its tests skip without it."""
    settings = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "2g",
        "spark.sql.session.timeZone": "Asia/Seoul",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.warehouse.dir": str(tmp_path_factory.mktemp("warehouse")),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    os.environ["PYSPARK_PYTHON"] = sys.executable
    try:
        from pyspark.sql import SparkSession

        session = SparkSession.builder.master("local[2]").config(map=settings).getOrCreate()
    except Exception as error:
        reason = f"Spark cannot start: {str(error) or type(error).__name__}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def lines_of() -> Callable[..., pd.DataFrame]:
    """Sound sales in random order: receipts with several lines, some returns, two years."""

    def generate(n_lines: int, n_customers: int, seed: int = 7) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        n_orders = max(n_lines // 3, 1)
        order = rng.integers(0, n_orders, n_lines)
        owner = rng.integers(0, n_customers, n_orders)
        start = rng.integers(0, 700 * 86400, n_orders)
        quantity = rng.integers(1, 4, n_lines) * np.where(rng.random(n_lines) < 0.03, -1, 1)
        cents = rng.integers(0, 5000, n_lines) * np.sign(quantity)
        return pd.DataFrame(
            {
                "customer_id": [f"{number:06d}" for number in owner[order]],
                "purchased_at": pd.Timestamp("2024-02-01") + pd.to_timedelta(start[order], unit="s"),
                "amount": cents / 100,
                "order_id": order.astype(str),
                "quantity": quantity,
                "category": rng.choice(["Milk", "Bread", 'TV 32" LED', "Käse"], n_lines),
            }
        )

    return generate


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of a file stay on one worker, so that what they share is made once; those of an engine have a group of theirs."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
