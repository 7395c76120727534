"""Money given back that stands on the row of its sale is taken off on its own day, in all of the ways in which rows come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from crmkit.exceptions import ConfigError
from crmkit.ingest.extracts import read_extract
from crmkit.ingest.layouts import layout
from crmkit.ingest.tables import Rates
from crmkit.pipeline.check import check_files
from crmkit.summaries.customers import rfm_table
from crmkit.transactions.log import Transactions
from crmkit.transactions.store import Store

SALES = """\
customer_id,purchased_at,amount,order_id,refund,refunded_at
ann,2026-01-02 10:00,10.00,1,4.00,2026-02-05
ann,2026-01-05 11:00,10.00,2,0,
bob,2026-01-05 11:00,4.00,3,-4.00,2026-01-20 02:00
cat,2026-01-05 11:00,4.00,4,1.00,
cat,2026-01-06 11:00,4.00,5,1.00,2026-01-01
cat,2026-01-06 11:00,4.00,6,1.00,2027-01-01
cat,2026-01-06 11:00,4.00,7,1.00,soon
cat,2026-01-06 11:00,4.00,8,some,2026-01-07
"""
REFUNDS = {"refunds": {"refund": "refunded_at"}}
LINES = [
    ("ann", "01-02", 10.0, "sale"),
    ("ann", "01-05", 10.0, "sale"),
    ("ann", "02-05", -4.0, "return"),
    ("bob", "01-05", 4.0, "sale"),
    ("bob", "01-19", -4.0, "return"),
    ("cat", "01-05", 3.0, "sale"),
]


def lines_of(log: Transactions) -> list[tuple[Any, ...]]:
    lines = pd.concat(map(pd.read_parquet, log.lines))
    days = pd.to_datetime(lines["day"], unit="D").dt.strftime("%m-%d")
    return sorted(zip(lines["customer_id"], days, lines["amount"].astype(float), lines["kind"], strict=True))


def written(folder: Path, text: str = SALES, name: str = "sales.csv") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_it_is_taken_off_on_its_own_day(tmp_path: Path) -> None:
    log, found = Transactions.split_extract(
        read_extract(written(tmp_path)), until="2026-12-31", trading_day_cutoff="05:00", **REFUNDS
    )
    assert lines_of(log) == LINES
    assert (found.rows_read, found.rows_used, found.rows_rejected) == (8, 4, 4)
    assert set(found.counts["reason"]) == {
        "'refunded_at' is before the sale",
        "'refunded_at' is after 2026-12-31",
        "'refunded_at' is not a time",
        "'refund' is not a number",
    }
    assert found.amount_read == found.amount_used + found.amount_rejected


def test_the_past_does_not_know_of_it(tmp_path: Path) -> None:
    log, _ = Transactions.split_extract(read_extract(written(tmp_path)), until="2026-12-31", **REFUNDS)
    spent = {
        day: rfm_table(log, day).set_index("customer_id")["total_spend"].astype(float).to_dict()
        for day in ("2026-01-10", "2026-12-31")
    }
    assert spent["2026-01-10"] == {"ann": 20.0, "bob": 4.0, "cat": 3.0}
    assert spent["2026-12-31"] == {"ann": 16.0, "bob": 0.0, "cat": 3.0}


def test_a_store_takes_it_with_its_sale_and_a_correction_of_the_sale_takes_it_away(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    found = store.load(read_extract(written(tmp_path)), until="2026-12-31", trading_day_cutoff="05:00", **REFUNDS)
    assert (found.rows_used, lines_of(store.transactions())) == (4, LINES)
    right = (
        "customer_id,purchased_at,amount,order_id,refund,refunded_at\nann,2026-01-02 10:00,10.00,1,5.00,2026-02-06\n"
    )
    store.correct(read_extract(written(tmp_path, right, "right.csv")), until="2026-12-31", **REFUNDS)
    expected = [*LINES[:2], ("ann", "02-06", -5.0, "return"), *LINES[3:]]
    assert lines_of(store.transactions()) == expected


def test_it_is_worth_the_rate_of_its_sale(tmp_path: Path) -> None:
    sales = "customer_id,purchased_at,amount,currency,refund,refunded_at\na,2026-01-02,10.00,USD,4.00,2026-01-09\n"
    rates = Rates.from_extract(pd.DataFrame({"currency": ["USD"], "day": ["2026-01-01"], "rate": ["0.5"]}))
    log, _ = Transactions.split_extract(
        read_extract(written(tmp_path, sales), currency="EUR"), until="2026-12-31", rates=rates, **REFUNDS
    )
    assert [line[2] for line in lines_of(log)] == [5.0, -2.0]


def test_more_than_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Name one column of money"):
        Transactions.split_extract(read_extract(written(tmp_path)), until="2026-12-31", refunds={"a": "b", "c": "d"})


def test_a_payment_of_stripe_is_refunded_on_the_day_of_its_refund(tmp_path: Path) -> None:
    text = (
        "id,Created date (UTC),Amount,Amount Refunded,Currency,Captured,Converted Amount,Converted Amount Refunded,"
        "Converted Currency,Fee,Refunded date (UTC),Status,Customer ID\n"
        "ch_1,2026-01-02 10:00:00,10.00,10.00,eur,true,10.00,10.00,eur,0.30,2026-02-03 09:00:00,Refunded,cus_1\n"
        "ch_2,2026-01-03 10:00:00,7.00,0.00,eur,true,7.00,0.00,eur,0.30,,Paid,cus_1\n"
        "ch_3,2026-01-03 10:00:00,9.00,0.00,eur,false,9.00,0.00,eur,0.30,,Failed,cus_2\n"
    )
    told = str(check_files([written(tmp_path, text)]))
    assert "taken off amount, on the day of the refund" in told
    log, found = Transactions.split_extract(
        read_extract(written(tmp_path, text)), until="2026-12-31", **layout("stripe-charges")
    )
    assert lines_of(log) == [
        ("cus_1", "01-02", 10.0, "sale"),
        ("cus_1", "01-03", 7.0, "sale"),
        ("cus_1", "02-03", -10.0, "return"),
    ]
    assert found.rows_left_out == 1


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::crmkit.exceptions.CrmkitWarning")
def test_spark_takes_it_off_as_here(tmp_path: Path, spark: Any) -> None:
    frame = pd.read_csv(written(tmp_path), dtype="str", keep_default_na=False)
    log, found = Transactions.split_extract(
        spark.createDataFrame(frame), until="2026-12-31", trading_day_cutoff="05:00", folder=tmp_path / "log", **REFUNDS
    )
    assert (lines_of(log), found.rows_used) == (LINES, 4)
