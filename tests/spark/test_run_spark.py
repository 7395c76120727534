"""The nightly run on Spark: the tables that it gives on one machine, and nothing of a member comes to the driver."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crmkit import RunResult, run
from crmkit.exceptions import ConfigError
from crmkit.pipeline.campaign_folder import send
from crmkit.pipeline.config import config_of
from crmkit.testing import generated_sales

pytestmark = pytest.mark.xdist_group("spark")

DAYS = ("2017-08-15", "2017-09-07")
TABLES = ("transactions", "members")
ON_SPARK: dict[str, Any] = {name: {"table": f"shop_{name}"} for name in TABLES} | {"engine": {"kind": "spark"}}
MEMBERS = 260
BOUNDED = {
    "lorenz_of": "a thousand points",
    "customer_cells": "whole days of the calendar; money to the cent beyond 200,000 customers",
    "state": "origins of at most 50,000 customers, to learn from",
    "check_last_days": "days of the calendar",
    "_late_end": "days of the calendar",
    "tell_changes": "days of the calendar",
    "life_cycle": "runs of each item",
    "brand_usage": "nine groups of each item",
    "panel": "at most a million pairs of past days, to learn from",
    "win_back": "as many as the list shall have",
    "some_rows": "at most 200,000 customers, to learn clusters from and to draw futures of",
}
"""What may bring more rows here than a part of the members, and what bounds it."""

COLLECTORS = ("collect", "head", "tail", "take", "toArrow", "toLocalIterator", "toPandas")
BROUGHT: list[tuple[int, set[str]]] = []
"""How many rows each call of Spark has brought to the driver, and the functions that it came from."""

CONFIG: dict[str, Any] = {
    "until": "2017-09-07",
    "value": {"model": "BG/NBD"},
    "repurchase": {"by": "category"},
    "service": {"files": "service.csv"},
    "brand_usage": {},
    "life_cycle": {"min_items": 5},
    "bundles": {"min_support": 5},
    "clusters": {"n_clusters": 3},
    "deals": {"files": "deals.csv"},
    "redemptions": {"files": "redemptions.csv"},
    "campaign": {"every": 14, "starts": "2017-08-16"},
    "offers": {"slots": 3, "control": 0.3},
    "relationships": {},
    "potential": {"by": "category"},
    "forecast": {},
    "management": {},
    "trials": {},
    "early_notice": {},
    "win_back": {"n": 40},
    "target_groups": {"buyers": {"conditions": {"spend much": "total_spend > 50", "turn": "own_brand_change < 0"}}},
}


def shop_in(folder: Path, n_customers: int, seed: int = 3) -> dict[str, pd.DataFrame]:
    """A small shop's deliveries, as files and as tables."""
    sales = generated_sales(n_customers=n_customers, days=250, seed=seed)
    sales["brand_type"] = np.where(sales["product_id"].astype(int) % 3, "national", "store")
    members = pd.DataFrame({"customer_id": sales["customer_id"].unique()})
    members["no_contact"] = ["x" if place % 9 == 0 else "" for place in range(len(members))]
    desk = {"record_id": range(20), "customer_id": members["customer_id"][:20], "recorded_at": "2017-07-01"}
    desk |= {"kind": ["complaint", "survey"] * 10, "topic": "late", "score": [None, 7] * 10}
    tables = {"transactions": sales, "members": members, "service": pd.DataFrame(desk)}
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    goods = sorted(sales["category"].unique())[:4]
    deals = pd.DataFrame(
        {"deal_id": [f"D{place}" for place in range(len(goods))], "category": goods, "value": [0.5, 1.0] * 2}
    )
    deals = deals.assign(
        title="Off", funder="Maker", funder_share=0.5, margin=0.4, budget=60, starts="2017-01-01", ends="2018-12-31"
    )
    deals.to_csv(folder / "deals.csv", index=False)
    coupons = members[["customer_id"]].merge(deals[["deal_id"]], how="cross")
    coupons = coupons.assign(code="", redeemed_at="2017-08-20", amount=0.5, order_id="")[::3]
    coupons.to_csv(folder / "redemptions.csv", index=False)
    return tables


def nights(config: dict[str, Any], home: Path, out: Path) -> list[RunResult]:
    """Two nights; the lists of the first are sent, so the second measures them and plans with what they brought."""
    found = []
    for day in DAYS:
        night = run(CONFIG | config, out, home=home, as_of=day)
        found.append(replace(night, folder=night.folder.resolve()))
        if day == DAYS[0]:
            send(out, "2017-08-16")
    return found


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    shop_in(folder, MEMBERS)
    return folder


@pytest.fixture(scope="module")
def here(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> list[RunResult]:
    """Two nights on one machine."""
    files = {name: {"files": f"{name}.csv"} for name in TABLES}
    return nights(files, shop, tmp_path_factory.mktemp("here"))


@pytest.fixture(scope="module")
def there(shop: Path, spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RunResult]]:
    """The same two nights on Spark, from tables by name."""
    for name in TABLES:
        text = pd.read_csv(shop / f"{name}.csv", dtype=str).fillna("")
        spark.createDataFrame(text).write.saveAsTable(f"shop_{name}", mode="overwrite")
    with pytest.MonkeyPatch.context() as patch:
        listen(patch, type(spark.range(1)))
        yield nights(ON_SPARK, shop, tmp_path_factory.mktemp("there"))
    for name in TABLES:
        spark.sql(f"drop table shop_{name}")


def listen(patch: pytest.MonkeyPatch, frame: type) -> None:
    """Take down how many rows come to the driver, and from where they were asked for."""
    for name in COLLECTORS:
        original = getattr(frame, name)

        def told(self: Any, *args: Any, _original: Callable[..., Any] = original, **options: Any) -> Any:
            found = _original(self, *args, **options)
            asked = {one.name for one in traceback.extract_stack()}
            BROUGHT.append((len(found) if hasattr(found, "__len__") else sys.maxsize, asked))
            return found

        patch.setattr(frame, name, told)


def test_nothing_that_grows_with_members_comes_to_the_driver(there: list[RunResult]) -> None:
    many = [(n, asked) for n, asked in BROUGHT if n >= MEMBERS / 2 and not asked & BOUNDED.keys()]
    assert len(BROUGHT) > 50
    assert any(n >= MEMBERS for n, _ in BROUGHT)  # the bounded ones are seen, so the others would be
    assert [(n, sorted(asked)) for n, asked in many] == []


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"engine": {}}, "a table without files is one of Spark"),
        ({"store": {"folder": "store"}}, "a store is loaded from files"),
        ({"transactions": {}}, "files are not stated"),
    ],
)
def test_what_makes_no_sense_on_spark_is_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config_of(CONFIG | ON_SPARK | more)


@pytest.mark.parametrize("night", [0, 1])
def test_the_tables_are_those_of_one_machine(here: list[RunResult], there: list[RunResult], night: int) -> None:
    tables, others = here[night].tables, there[night].tables
    assert set(others) == set(tables)
    assert {"offers", "planned", "relationships", "potential", "redemptions"} <= set(tables)
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
        here_alone = [told for told in other.notes if told.startswith("These stages worked on this machine")]
        assert [told for told in other.notes if told not in here_alone] == one.notes
        assert "plan-offers" in here_alone[0]
