"""The members' warehouse: loaded once, corrected by day, late is welcome, whole after a kill."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

from crmkit import (  # fmt: skip
    BusyError,
    ContractError,
    CrmkitWarning,
    ExtractError,
    LeakError,
    Products,
    RefusedError,
    StoreError,
    Transactions,
    btyd_summary,
    read_extract,
    rfm_table,
)
from crmkit.engine.duckdb import DuckDBEngine
from crmkit.testing import generated_sales
from crmkit.transactions.delta import MOST_SMALL
from crmkit.transactions.store import Store
from crmkit.transactions.suspect_cards import suspect_cards

UNTIL = "2017-12-31"


@pytest.fixture(scope="module")
def sales() -> pd.DataFrame:
    return generated_sales(n_customers=200, days=365, seed=21)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def summaries(log: Transactions) -> list[pd.DataFrame]:
    return [btyd_summary(log), rfm_table(log)]


def same(one: Transactions, other: Transactions) -> None:
    for mine, theirs in zip(summaries(one), summaries(other), strict=True):
        pd.testing.assert_frame_equal(mine, theirs, check_exact=True)


def months(sales: pd.DataFrame) -> list[pd.DataFrame]:
    return [rows for _, rows in sales.groupby(sales["purchased_at"].dt.month)]


def test_deliveries_add_up_to_the_whole_in_any_order(store: Store, sales: pd.DataFrame) -> None:
    for rows in reversed(months(sales)):
        store.load(rows, until=UNTIL)
    same(store.transactions(UNTIL), Transactions.from_extract(sales, until=UNTIL))
    assert store.loads["rows_used"].sum() == len(sales)


def test_what_the_store_has_is_not_loaded_again(store: Store, sales: pd.DataFrame, tmp_path: Path) -> None:
    first, second = sales.iloc[:300], sales.iloc[200:500]
    store.load(first, until=UNTIL)
    found = store.load(second, until=UNTIL)
    assert (found.rows_used, found.rows_duplicate) == (200, 100)
    file = tmp_path / "till.csv"
    sales.iloc[500:600].drop(columns=["order_id", "line_id"]).to_csv(file, index=False)
    store.load(str(file), until=UNTIL)
    again = store.load(str(file), until=UNTIL)
    assert (again.rows_used, again.rows_duplicate) == (0, 100)
    assert len(pd.read_parquet(store.transactions(UNTIL).lines)) == 600


def test_a_correction_replaces_the_days_that_it_holds(store: Store, sales: pd.DataFrame) -> None:
    store.load(sales, until=UNTIL)
    day = sales["purchased_at"].dt.normalize()
    wrong = day.mode()[0]
    right = sales[day == wrong].assign(amount=99.0).iloc[1:]
    found = store.correct(right, until=UNTIL)
    assert found.rows_used == len(right)
    expected = pd.concat([sales[day != wrong], right])
    same(store.transactions(UNTIL), Transactions.from_extract(expected, until=UNTIL))


def test_a_correction_of_one_store_leaves_the_others(store: Store, sales: pd.DataFrame) -> None:
    sales = sales.assign(store=[("north", "south")[n % 2] for n in range(len(sales))])
    store.load(sales, until=UNTIL)
    day = sales["purchased_at"].dt.normalize()
    here = (day == day.mode()[0]) & (sales["store"] == "north")
    store.correct(sales[here].assign(amount=1.0), until=UNTIL)
    expected = sales.assign(amount=sales["amount"].where(~here, 1.0))
    same(store.transactions(UNTIL), Transactions.from_extract(expected, until=UNTIL))


def test_a_return_in_a_later_delivery_finds_its_sale(store: Store) -> None:
    sale = pd.DataFrame(
        {"customer_id": ["a"], "purchased_at": ["2017-01-01"], "product_id": ["tea"], "quantity": [2], "amount": [10.0]}
    )
    store.load(sale, until=UNTIL)
    store.load(sale.assign(purchased_at="2017-01-20", quantity=-2, amount=-10.0), until=UNTIL)
    lines = pd.read_parquet(store.transactions(UNTIL).lines).sort_values("file")
    assert lines["how"].tolist()[1] == "by member and product"
    assert lines["buy_day"].nunique() == 1


def test_a_log_stays_readable_while_the_store_takes_one_more_load(store: Store, sales: pd.DataFrame) -> None:
    store.load(sales.iloc[:400], until=UNTIL)
    log = store.transactions(UNTIL)
    before = summaries(log)
    store.load(sales.iloc[400:], until=UNTIL)
    for one, other in zip(before, summaries(log), strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_two_loads_at_once_are_refused(store: Store, sales: pd.DataFrame) -> None:
    store.load(sales.iloc[:10], until=UNTIL)
    with FileLock(store.path / ".lock"), pytest.raises(BusyError, match="Another load"):
        store.load(sales.iloc[10:20], until=UNTIL)


def test_a_load_may_wait_for_the_one_at_work(store: Store, sales: pd.DataFrame) -> None:
    store.load(sales.iloc[:10], until=UNTIL)
    lock = FileLock(store.path / ".lock", thread_local=False)
    lock.acquire()
    release = threading.Timer(0.5, lock.release)
    release.start()
    Store(store.path, wait=30).load(sales.iloc[10:20], until=UNTIL)
    release.join()
    assert len(store.loads) == 2


def test_an_empty_folder_is_said(store: Store) -> None:
    with pytest.raises(ContractError, match="holds nothing yet"):
        store.transactions(UNTIL)


def till(*rows: tuple[object, ...]) -> pd.DataFrame:
    """customer_id, purchased_at, amount, order_id, line_id, store of each line."""
    return pd.DataFrame(rows, columns=["customer_id", "purchased_at", "amount", "order_id", "line_id", "store"])


ONE = ("x", "2017-03-01", 1.0, 1, 1, None)


def amounts(store: Store) -> list[float]:
    lines = pd.read_parquet(store.transactions(store.loads["until"].max()).lines)
    return sorted(lines["amount"].astype(float))


def test_nobodys_lines_are_not_loaded_again(store: Store) -> None:
    anonymous = (None, "2017-03-01", 5.0, 2, 1, None)
    store.load(till(ONE, anonymous), until=UNTIL)
    found = store.load(till(ONE, anonymous, ("x", "2017-03-01", 1.0, 3, 1, None)), until=UNTIL)
    assert (found.rows_used, found.rows_duplicate, found.rows_rejected) == (1, 1, 1)
    assert amounts(store) == [1.0, 1.0, 5.0]


def test_a_line_of_nobodys_that_comes_again_as_a_members_differs(store: Store) -> None:
    store.load(till((None, *ONE[1:])), until=UNTIL)
    found = store.load(till(ONE), until=UNTIL)
    assert found.counts["reason"].tolist() == ["line_id repeats with other content"]
    assert amounts(store) == [1.0]


@pytest.mark.parametrize(("now", "then"), [(None, "A"), ("A", None)], ids=["store gained", "store lost"])
def test_where_no_store_is_named_the_whole_day_is_corrected(store: Store, now: str | None, then: str | None) -> None:
    store.load(till((*ONE[:5], now)), until=UNTIL)
    store.correct(till((*ONE[:2], 2.0, 9, 1, then)), until=UNTIL)
    assert amounts(store) == [2.0]


def test_a_line_that_a_correction_moves_to_another_day_stands_once(store: Store) -> None:
    store.load(till(ONE, ("x", "2017-03-01", 4.0, 2, 1, None)), until=UNTIL)
    store.correct(till(("x", "2017-03-05", *ONE[2:])), until=UNTIL)
    assert amounts(store) == [1.0, 4.0]
    assert store.loads["rows_replaced"].tolist() == [0, 1]
    assert store.loads.loc[1, ["first_day", "last_day"]].tolist() == ["2017-03-05"] * 2


def test_what_was_corrected_away_does_not_come_back(store: Store) -> None:
    gone = ("x", "2017-03-01", 4.0, 2, 1, None)
    store.load(till(ONE, gone), until=UNTIL)
    store.correct(till(("x", "2017-03-01", 2.0, *ONE[3:])), until=UNTIL)
    found = store.load(till(gone, ("x", "2017-03-01", 2.0, *ONE[3:])), until=UNTIL)
    assert (found.rows_used, found.rows_duplicate) == (0, 2)
    assert amounts(store) == [2.0]


def test_a_correction_that_would_lose_its_days_is_refused(store: Store) -> None:
    store.load(till(ONE), until=UNTIL)
    sound = till(*(("x", "2017-03-02", 1.0, n, 1, None) for n in range(2, 50)))
    faulty = till((*ONE[:2], "1,5", *ONE[3:]))
    for rows, reason in ((till(ONE).head(0), "corrects nothing"), (pd.concat([sound, faulty]), "would be lost")):
        with pytest.raises(RefusedError, match=reason):
            store.correct(rows, until=UNTIL)
    assert amounts(store) == [1.0]
    assert len(store.loads) == 1


def test_a_file_of_which_nothing_was_used_may_come_again(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "till.csv"
    file.write_text("customer_id;purchased_at;amount\nx;2017-03-01;3,50\n")
    assert store.load(str(file), until=UNTIL).rows_used == 0
    assert store.load(read_extract(str(file), decimal=","), until=UNTIL).rows_used == 1
    assert store.load(str(file), until=UNTIL).rows_duplicate == 1


def test_a_file_that_lost_rows_says_so_when_it_comes_again(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "till.csv"
    file.write_text("customer_id,purchased_at,amount\nx,2017-03-01,3.50\nx,soon,1\n,2017-03-01,1\n")
    store.load(str(file), until=UNTIL)
    with pytest.warns(CrmkitWarning, match=r"till.csv was loaded before, when 1 of its rows"):
        store.load(str(file), until=UNTIL)


def test_lines_without_a_key_that_look_delivered_are_added_and_said(store: Store) -> None:
    rows = till(ONE, ("x", "2017-03-01", 1.0, 1, 1, None), ("y", "2017-03-02", 2.0, 2, 1, None)).drop(columns="line_id")
    store.load(rows, until=UNTIL)
    with pytest.warns(CrmkitWarning, match=r"^2 lines without order_id and line_id look like"):
        found = store.load(pd.concat([rows.head(2), till(("z", *ONE[1:])).drop(columns="line_id")]), until=UNTIL)
    assert (found.rows_used, found.rows_duplicate) == (3, 0)


@pytest.mark.parametrize(("earlier", "later"), [("0002", "2"), ("2", "0002")], ids=["zeros lost", "zeros gained"])
def test_ids_without_their_zeros_are_told_from_night_to_night(store: Store, earlier: str, later: str) -> None:
    store.load(till((earlier, *ONE[1:])), until=UNTIL)
    rows = till((later, "2017-03-09", 2.0, 2, 1, None), ("77", "2017-03-09", 2.0, 3, 1, None))
    for load in (store.load, store.correct):
        with pytest.warns(CrmkitWarning, match="differ from those of the store by leading zeros alone: 1"):
            load(rows, until=UNTIL)
        store.erase([later])


def test_products_and_classes_hold_until_others_are_given(store: Store, sales: pd.DataFrame) -> None:
    rows = till(ONE, ("x", "2017-03-02", 9.0, 2, 1, None)).assign(product_id=["1", "2"])
    products = pd.DataFrame({"product_id": ["1", "2", "3"], "category": ["Milk", "gift card", "Tea"]})
    store.load(rows, until=UNTIL, products=Products.from_extract(products), classes={"gift card": ["gift%"]})
    store.load(till(("y", "2017-03-03", 1.0, 3, 1, None)).assign(product_id="3"), until=UNTIL)
    log = store.transactions(UNTIL)
    lines = pd.read_parquet(log.lines).sort_values("day")
    assert lines["category"].tolist() == ["Milk", "gift card", "Tea"]
    assert lines["kind"].tolist() == ["sale", "gift card", "sale"]
    assert log.items == ("product_id", "category")


def test_days_that_no_load_has_seen_are_refused(store: Store) -> None:
    store.load(till(ONE), until="2017-03-31")
    with pytest.raises(LeakError, match="2017-04-01 is after 2017-03-31"):
        store.transactions("2017-04-01")


def test_a_log_stays_readable_until_its_files_are_removed(store: Store, sales: pd.DataFrame) -> None:
    store.load(sales.iloc[:200], until=UNTIL)
    log = store.transactions(UNTIL)
    before = summaries(log)
    store.load(sales.iloc[200:400], until=UNTIL)
    store.compact()
    for one, other in zip(before, summaries(log), strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    Store(store.path, keep_days=0).compact()
    with pytest.raises(ExtractError, match="from a Store"):
        suspect_cards(log)


def damaged(store: Store, how: str) -> None:
    """Take a table's log away, or a file, or cut it, or change what it says."""
    what, _, table = how.partition(" ")
    if what == "log":
        shutil.rmtree(store.path / table / "_delta_log")
        return
    live = sorted(path for path in store.transactions().lines if table in str(path))[0]
    if what == "lost":
        live.unlink()
    elif what == "cut":
        live.write_bytes(live.read_bytes()[:-100])
    else:
        lines = pd.read_parquet(live)
        lines.assign(amount=lines["amount"] * 1000).to_parquet(live)


@pytest.mark.parametrize("how", ["log trips", "log lines", "log loads", "log spent", "lost lines", "cut lines"])
def test_a_damaged_store_refuses_and_says_what_to_do(store: Store, sales: pd.DataFrame, how: str) -> None:
    store.load(sales.iloc[:200], until=UNTIL)
    damaged(store, how)
    with pytest.raises(StoreError, match=f"damaged: {how.split()[1]}.*rebuild"):
        store.load(sales.iloc[200:300], until=UNTIL)
    with pytest.raises(StoreError, match="damaged"):
        store.transactions(UNTIL)
    assert not store.check().is_whole


@pytest.mark.parametrize("table", ["trips", "lines", "loads", "spent", "receipts"])
def test_a_lost_log_is_built_anew(store: Store, sales: pd.DataFrame, table: str) -> None:
    for rows in (sales.iloc[:300], sales.iloc[250:600]):
        store.load(rows, until=UNTIL)
    store.correct(sales.iloc[:20].assign(amount=5.0), until=UNTIL)
    expected, n_loads = summaries(store.transactions(UNTIL)), len(store.loads)
    damaged(store, f"log {table}")
    assert store.rebuild().is_whole
    assert store.check().is_whole
    for one, other in zip(expected, summaries(store.transactions(UNTIL)), strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    assert len(store.loads) == n_loads
    assert store.load(sales.iloc[:600], until=UNTIL).rows_used == 0


def test_deliveries_of_a_lost_file_are_dropped_and_can_come_again(store: Store, tmp_path: Path) -> None:
    for day in ("01", "02"):
        file = tmp_path / f"till-{day}.csv"
        file.write_text(f"customer_id,purchased_at,amount\nx,2017-{day}-01,1\ny,2017-{day}-02,2\n")
        store.load(str(file), until=UNTIL)
    damaged(store, "lost month=2017-02")
    again = store.rebuild().load_again
    assert again[["file", "rows"]].to_numpy().tolist() == [["till-02.csv", 2]]
    assert amounts(store) == [1.0, 2.0]
    assert store.load(str(tmp_path / "till-02.csv"), until=UNTIL).rows_used == 2
    assert amounts(store) == [1.0, 1.0, 2.0, 2.0]


def edited(log: str, how: str) -> str:
    """A commit of a table's log as an accident or a careless hand may leave it."""
    lines = log.splitlines()
    return {
        "cut": log[: len(log) // 2],
        "emptied": "",
        "garbled": log.replace('"add"', "add").replace("{", "[", 3),
        "of another file": log.replace(".parquet", ".parquer"),
        "without its note": "\n".join(line for line in lines if "commitInfo" not in line),
        "without its files": "\n".join(line for line in lines if '"add"' not in line),
        "longer": log.replace('"size":', '"size":1'),
        "of no numbers": log.replace('"size":', '"size":"x",'),
    }[how]


@pytest.mark.parametrize(
    "how",
    [
        "cut",
        "emptied",
        "garbled",
        "of another file",
        "without its note",
        "without its files",
        "longer",
        "of no numbers",
    ],
)
def test_a_log_that_was_edited_is_told_and_takes_no_load(store: Store, how: str) -> None:
    for day in (1, 2):
        store.load(till(("x", f"2017-03-0{day}", 1.0, day, 1, None)), until=UNTIL)
    newest = max((store.path / "lines" / "_delta_log").glob("*.json"))
    newest.write_text(edited(newest.read_text(), how))
    assert not store.check().is_whole
    with pytest.raises(StoreError):
        store.load(till(("x", "2017-03-03", 1.0, 3, 1, None)), until=UNTIL)


def test_a_changed_file_is_found_by_its_hash(store: Store, sales: pd.DataFrame) -> None:
    store.load(sales.iloc[:200], until=UNTIL)
    assert store.check().is_whole
    damaged(store, "altered lines")
    report = store.check()
    assert not report.is_whole
    assert any("lines/" in fault for fault in report.faults)


def test_a_load_of_which_every_row_was_rejected_has_observed_nothing(store: Store) -> None:
    store.load(till(ONE), until="2017-03-31")
    store.load(till(("x", "soon", *ONE[2:])), until="2017-06-30")
    with pytest.raises(LeakError, match="2017-06-30 is after 2017-03-31"):
        store.transactions("2017-06-30")
    assert store.transactions().until == date(2017, 3, 31)


def test_a_night_long_past_is_as_it_was_known_then(store: Store, sales: pd.DataFrame) -> None:
    nights = [sales.iloc[:300], sales.iloc[300:500], sales.iloc[500:600]]
    for rows in nights:
        store.load(rows, until=UNTIL)
    store.correct(sales.iloc[:30].assign(amount=7.0), until=UNTIL)
    Store(store.path, keep_days=0).compact()
    for n in (1, 2, 3):
        known = Transactions.from_extract(pd.concat(nights[:n]), until=UNTIL)
        same(store.transactions(UNTIL, version=n), known)
    same(store.transactions(UNTIL, version=4), store.transactions(UNTIL))
    with pytest.raises(ContractError, match="has the versions 1 to 4"):
        store.transactions(version=5)


def test_files_stay_few_and_other_readers_see_the_same_sums(store: Store, sales: pd.DataFrame) -> None:
    deltalake = pytest.importorskip("deltalake")
    days = sales["purchased_at"].dt.day_of_year
    opened = list[int]()
    for first in range(1, 91, 3):
        store.load(sales[days.between(first, first + 2)], until=UNTIL)
        opened.append(sum(1 for _ in Path("/proc/self/fd").glob("*")))
    assert max(opened[10:]) <= max(opened[:10]) + 2
    log = store.transactions(UNTIL)
    assert len(log.lines) <= 3 + MOST_SMALL
    total = sales.loc[days.lt(91), "amount"].round(4).sum()
    delta = deltalake.DeltaTable(str(store.path / "lines"))
    assert sorted(delta.file_uris()) == sorted(map(str, log.lines))
    assert float(pd.Series(delta.to_pyarrow_table()["amount"].to_pylist()).sum()) == pytest.approx(total)
    with DuckDBEngine() as engine:
        held = engine.frame(f"select cast(sum(amount) as double) as total from {engine.parquet(log.lines)}")
    assert held["total"][0] == pytest.approx(total)


def test_what_another_program_wrote_is_refused(store: Store, sales: pd.DataFrame) -> None:
    deltalake = pytest.importorskip("deltalake")
    store.load(sales.iloc[:50], until=UNTIL)
    lines = deltalake.DeltaTable(str(store.path / "lines"))
    deltalake.write_deltalake(str(store.path / "lines"), lines.to_pyarrow_table(), mode="append")
    with pytest.raises(StoreError, match="another program wrote to it"):
        store.load(sales.iloc[50:60], until=UNTIL)


def test_history_says_what_became_of_every_file(store: Store, tmp_path: Path) -> None:
    def loaded(name: str, rows: str, *, correct: bool = False) -> None:
        file = tmp_path / name
        file.write_text(f"customer_id,purchased_at,amount,order_id,line_id\n{rows}")
        (store.correct if correct else store.load)(str(file), until=UNTIL)

    loaded("a.csv", "x,2017-03-01,1,1,1\n")
    loaded("again.csv", "x,2017-03-01,1,1,1\n")
    loaded("bad.csv", "x,soon,1,2,1\n")
    loaded("right.csv", "x,2017-03-01,2,1,1\n", correct=True)
    assert store.history()[["file", "fate"]].to_numpy().tolist() == [
        ["a.csv", "loaded"],
        ["again.csv", "duplicate"],
        ["bad.csv", "rejected"],
        ["right.csv", "corrected"],
    ]


def equals_one_load_of_all(store: Store, seed: int, n_files: int = 8, corrected: Collection[int] = (2, 5)) -> None:
    """Late files in any order, corrections, returns that reach back, products that change: lines, trips and days are equal."""
    rng = np.random.default_rng(seed)
    mixed, truth, products = mixed_year(rng, n_files), [], None
    for place, group in enumerate(rng.permutation(n_files)):
        rows = mixed[mixed["group"] == group].drop(columns="group")
        if place == 3:
            names = pd.DataFrame({"product_id": [f"p{n}" for n in range(4)], "category": list("xyxy")})
            products = Products.from_extract(names)
        store.load(rows, until=UNTIL, products=products)
        truth.append(rows)
        if place in corrected:
            whole = pd.concat(truth)
            day = whole["purchased_at"].dt.normalize()
            right = whole[day.isin(day.sample(3, random_state=seed))].assign(amount=lambda t: 2 * t["amount"])
            store.correct(right, until=UNTIL)
            truth = [whole[~day.isin(right["purchased_at"].dt.normalize())], right]
    expected, _ = Transactions.split_extract(pd.concat(truth), until=UNTIL, products=products)
    for table in ("lines", "trips", "days"):
        pd.testing.assert_frame_equal(rows_of(store.transactions(UNTIL), table), rows_of(expected, table))
    assert store.check().is_whole


@pytest.mark.parametrize("seed", range(3))
def test_a_mixed_year_equals_one_load_of_all(store: Store, seed: int) -> None:
    equals_one_load_of_all(store, seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(19, 50))
def test_many_mixed_years_equal_one_load_of_all(store: Store, seed: int) -> None:
    equals_one_load_of_all(store, seed)


@pytest.mark.long
def test_twenty_late_files_and_ten_corrections_equal_one_load_of_all(store: Store) -> None:
    equals_one_load_of_all(store, seed=50, n_files=24, corrected=range(2, 22, 2))


def mixed_year(rng: np.random.Generator, n_files: int, n: int = 300) -> pd.DataFrame:
    """Few members and products, many returns, some that name their receipt, in so many groups."""
    quantity = rng.integers(1, 4, n) * np.where(rng.random(n) < 0.15, -1, 1)
    named = (quantity < 0) & (rng.random(n) < 0.4)
    return pd.DataFrame(
        {
            "customer_id": np.where(rng.random(n) < 0.05, None, [f"c{k}" for k in rng.integers(0, 10, n)]),
            "purchased_at": pd.Timestamp("2017-01-01") + pd.to_timedelta(rng.integers(0, 300 * 86400, n), unit="s"),
            "amount": quantity * rng.integers(1, 4, n) * 1.0,
            "quantity": quantity,
            "product_id": np.where(rng.random(n) < 0.05, None, [f"p{k}" for k in rng.integers(0, 4, n)]),
            "order_id": [f"o{k}" for k in range(n)],
            "line_id": 1,
            "returned_order_id": np.where(named, [f"o{k}" for k in rng.integers(0, n, n)], None),
            "group": rng.integers(0, n_files, n),
        }
    )


def rows_of(log: Transactions, table: str) -> pd.DataFrame:
    """A table of a log as text, in one order, without where its rows stand."""
    files = log.days if table == "days" else getattr(log, table)
    rows = pd.concat(map(pd.read_parquet, files if isinstance(files, list) else [files]))
    names = sorted(name for name in rows if name not in ("file", "record", "month") and "delivered" not in name)
    return rows[names].astype(str).sort_values(names, ignore_index=True)


def test_each_store_numbers_its_own_receipts(store: Store) -> None:
    found = store.load(till((*ONE[:5], "A"), (*ONE[:5], "B")), until=UNTIL)
    assert found.rows_used == 2
    store.correct(till(("y", "2017-03-05", 9.0, 1, 1, "B")), until=UNTIL)
    assert amounts(store) == [1.0, 9.0]


def test_a_day_of_nobodys_lines_comes_once_and_can_be_corrected(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "cash.csv"
    file.write_text("customer_id,purchased_at,amount\n,2017-03-01,5\n,2017-03-02,6\n")
    for _ in range(2):
        store.load(str(file), until=UNTIL)
    assert amounts(store) == [5.0, 6.0]
    store.correct(till((None, "2017-03-01", 7.0, None, None, None)), until=UNTIL)
    assert amounts(store) == [6.0, 7.0]


def test_a_column_gained_makes_no_other_line(store: Store) -> None:
    store.load(till(ONE), until=UNTIL)
    assert store.load(till((*ONE[:5], "A")).assign(product_id="p"), until=UNTIL).rows_duplicate == 1


def test_a_failed_load_leaves_the_store_as_it_was(store: Store, sales: pd.DataFrame) -> None:
    store.load(sales.iloc[:100], until=UNTIL)
    with pytest.raises(ContractError, match="Columns not found"):
        store.load(sales.drop(columns="amount"), until=UNTIL)
    assert len(store.loads) == 1
    store.load(sales.iloc[100:200], until=UNTIL)
    assert len(pd.read_parquet(store.transactions(UNTIL).lines)) == 200


FULL = """
import resource, sys, pandas as pd, crmkit as ck
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    ck.Store(sys.argv[1]).load(pd.read_parquet(sys.argv[2]), until="2017-12-31")
except ck.PublishError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a file's size are POSIX")
def test_a_full_disk_is_said_and_leaves_the_store_as_it_was(store: Store, tmp_path: Path) -> None:
    sales = generated_sales(n_customers=3000, days=365, seed=9)
    store.load(sales.iloc[:100], until=UNTIL)
    sales.iloc[100:].to_parquet(tmp_path / "rows.parquet")
    command = [sys.executable, "-c", FULL, str(store.path), str(tmp_path / "rows.parquet")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("No space left on the disk")
    assert store.loads["rows_used"].tolist() == [100]
    assert store.check().is_whole


LOAD = """
import sys, pandas as pd
from crmkit.transactions.store import Store
print("ready", flush=True)
Store(sys.argv[1]).load(pd.read_parquet(sys.argv[2]), until="2017-12-31")
"""


def loading(folder: Path, rows: pd.DataFrame) -> subprocess.Popen[bytes]:
    """A process that has begun to load rows."""
    rows.to_parquet(folder / "rows.parquet")
    command = [sys.executable, "-c", LOAD, str(folder / "store"), str(folder / "rows.parquet")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def killed_loads(folder: Path, sales: pd.DataFrame, kills: int, seed: int) -> int:
    """Kill that many loads at random moments of the time that one takes here; after each the store is as before or after.

    Returns how many got through.
    """
    store, began = Store(folder / "store"), time.monotonic()
    assert loading(folder, sales.iloc[:200]).wait() == 0
    usual = time.monotonic() - began
    rng, done = random.Random(seed), 1
    for attempt in range(kills):
        process = loading(folder, sales.iloc[200 + 20 * attempt : 220 + 20 * attempt])
        time.sleep(rng.uniform(0.0, usual))
        process.send_signal(signal.SIGKILL)
        process.wait()
        now = len(store.loads)
        assert now in (done, done + 1)
        log = store.transactions(UNTIL)
        assert len(pd.read_parquet(log.lines)) == store.loads["rows_used"].sum()
        assert btyd_summary(log)["frequency"].ge(0).all()
        done = now
    store.load(sales.iloc[: 200 + 20 * kills], until=UNTIL)
    assert len(store.loads) == done + 1
    same(store.transactions(UNTIL), Transactions.from_extract(sales.iloc[: 200 + 20 * kills], until=UNTIL))
    assert store.check().is_whole
    return done - 1


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a POSIX signal")
def test_the_store_is_as_before_or_after_a_kill(tmp_path: Path, sales: pd.DataFrame) -> None:
    killed_loads(tmp_path, sales, kills=6, seed=1)


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a POSIX signal")
def test_the_store_survives_a_hundred_kills(tmp_path: Path) -> None:
    through = killed_loads(tmp_path, generated_sales(n_customers=2500, days=365, seed=22), kills=100, seed=2)
    assert 0 < through < 100


def test_who_is_erased_is_in_no_file_and_everything_still_adds_up(store: Store, sales: pd.DataFrame) -> None:
    for rows in months(sales):
        store.load(rows, until=UNTIL)
    store.correct(sales[sales["purchased_at"].dt.date == sales["purchased_at"].dt.date.iloc[0]], until=UNTIL)
    before = rfm_table(store.transactions(UNTIL)).set_index("customer_id")
    lines = pd.read_parquet(store.transactions(UNTIL).lines)
    gone = list(before.index[:3])
    assert store.erase(gone) == lines["customer_id"].isin(gone).sum()
    assert [path for path in store.path.rglob("*.parquet") if names_one(path, gone)] == []
    after = rfm_table(store.transactions(UNTIL)).set_index("customer_id")
    pd.testing.assert_frame_equal(after, before.drop(index=gone), check_exact=True)
    now = pd.read_parquet(store.transactions(UNTIL).lines)
    assert (len(now), now["amount"].sum()) == (len(lines), lines["amount"].sum())
    assert store.check().is_whole
    assert store.erase(gone) == 0
    assert store.load(months(sales)[0], until=UNTIL).rows_used == 0
    shutil.rmtree(store.path / "lines" / "_delta_log")
    store.rebuild()
    same_again = rfm_table(store.transactions(UNTIL)).set_index("customer_id")
    pd.testing.assert_frame_equal(same_again, after, check_exact=True)


def names_one(path: Path, customers: list[str]) -> bool:
    table = pd.read_parquet(path)
    return "customer_id" in table and bool(table["customer_id"].isin(customers).any())
