"""What a row means, said in another column: no sale, a return, an order's own columns, a day and its time of day."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

from crmkit.exceptions import ConfigError, ContractError
from crmkit.ingest.row_meaning import RowMeaning
from crmkit.summaries.customers import rfm_table
from crmkit.summaries.sales import sales_summary
from crmkit.transactions.log import Transactions
from crmkit.transactions.rejections import Rejections

UNTIL = "2025-12-31"
Loaded = tuple[Transactions, Rejections]


def till(*rows: tuple[Any, ...], columns: str = "customer_id purchased_at amount Status") -> pd.DataFrame:
    return pd.DataFrame(rows, columns=columns.split())


def days_of(log: Transactions) -> list[str]:
    days = pd.read_parquet(log.lines)["day"]
    return sorted(set(pd.to_datetime(days, unit="D").dt.date.astype(str)))


def reconciles(found: Rejections) -> bool:
    rows = found.rows_used + found.rows_left_out + found.rows_rejected + found.rows_duplicate
    money = found.amount_used + found.amount_left_out + found.amount_rejected + found.amount_duplicate
    return (rows, money) == (found.rows_read, found.amount_read)


# -- Left out --------------------------------------------------------------------------------------------------------

ORDERS = till(
    ("a", "2025-03-01 10:00", "10.00", "paid"),
    ("a", "2025-03-02 10:00", "20.00", " Cancelled "),
    ("b", "2025-03-03 10:00", "40.00", "FAILED"),
    ("b", "2025-03-04 10:00", "x", "failed"),
    ("c", "2025-03-05 10:00", "80.00", None),
)


def test_rows_are_left_out_by_what_another_column_says_and_counted_with_their_money() -> None:
    log, found = Transactions.split_extract(ORDERS, until=UNTIL, leave_out={"Status": ["cancelled", "failed"]})
    assert str(found) == (
        "5 rows read; used 2; duplicate 0; rejected 0; left out 3: 2 where 'Status' is 'failed', 1 where 'Status' is "
        "'cancelled'"
    )
    assert (found.amount_left_out, found.amount_used) == (Decimal("60"), Decimal("90"))
    assert reconciles(found)
    assert rfm_table(log)["customer_id"].tolist() == ["a", "c"]
    assert found.rows["outcome"].unique().tolist() == ["left out"]
    assert found.rows_invalid == 0


def test_any_value_leaves_a_row_out() -> None:
    _, found = Transactions.split_extract(ORDERS, until=UNTIL, leave_out={"Status": ["*"]})
    assert (found.rows_used, found.rows_left_out) == (1, 4)


def test_rows_that_are_left_out_are_no_fault() -> None:
    assert Transactions.from_extract(ORDERS, until=UNTIL, leave_out={"Status": ["failed"]}).items == ()


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(ContractError, match=r"Columns not found: \['status'\] \(did you mean 'Status'\?\)"):
        Transactions.split_extract(ORDERS, until=UNTIL, leave_out={"status": ["failed"]})


# -- Kinds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", [1, -1])
def test_a_return_is_negative_however_it_is_signed(sign: int) -> None:
    sold = till(
        ("a", "2025-03-01", 12.0, 2, "tea", "SALE"),
        ("a", "2025-03-03", 6.0 * sign, 1 * sign, "tea", "refund"),
        ("b", "2025-03-03", 5.0, 1, "tea", "Void"),
        columns="customer_id purchased_at amount quantity product_id Type",
    )
    kinds = {"column": "Type", "sale": ["sale"], "return": ["REFUND"], "cancelled": ["void"]}
    log, found = Transactions.split_extract(sold, until=UNTIL, kinds=kinds)
    assert found.kinds[["kind", "how", "rows"]].fillna("").to_numpy().tolist() == [
        ["return", "by member and product", 1],
        ["sale", "", 1],
    ]
    assert rfm_table(log)["total_spend"].tolist() == [6.0]
    assert reconciles(found)


def test_a_word_that_kinds_do_not_name_is_rejected_where_sales_are_named() -> None:
    sold = till(("a", "2025-03-01", 1.0, "sale"), ("a", "2025-03-02", 2.0, "loan"), ("a", "2025-03-03", 4.0, None))
    _, found = Transactions.split_extract(sold, until=UNTIL, kinds={"column": "Status", "sale": ["sale"]})
    assert found.counts["reason"].tolist() == ["'Status' says another kind than those stated"]
    _, found = Transactions.split_extract(sold, until=UNTIL, kinds={"column": "Status", "return": ["loan"]})
    assert (found.rows_rejected, found.amount_used) == (0, Decimal("3"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kinds": {"sale": ["a"]}}, "must have column"),
        ({"kinds": {"column": "Type", "returns": ["a"]}}, "there is no .'returns'."),
        ({"kinds": {"column": "Type", "sale": ["a"], "return": ["A"]}}, "cannot mean both sale and return"),
        ({"leave_out": {"Status": "failed"}}, "is not a list of words"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RowMeaning(**options)


# -- An order's own columns --------------------------------------------------------------------------------------------


def test_what_the_first_line_of_an_order_says_holds_for_all_its_lines() -> None:
    lines = till(
        ("a", "2025-03-01", 10.0, "1", "2025-03-02"),
        (None, None, 20.0, "1", None),
        ("b", "2025-03-03", 40.0, "2", None),
        (None, None, 80.0, "2", None),
        columns="customer_id purchased_at amount order_id Cancelled",
    )
    log, found = Transactions.split_extract(
        lines, until=UNTIL, order_columns=["customer_id", "purchased_at", "Cancelled"], leave_out={"Cancelled": ["*"]}
    )
    assert (found.rows_left_out, found.amount_left_out, found.rows_rejected) == (2, Decimal("30"), 0)
    assert rfm_table(log)["total_spend"].tolist() == [120.0]
    with pytest.raises(ContractError, match="order_columns need the number of the order"):
        Transactions.split_extract(lines.drop(columns="order_id"), until=UNTIL, order_columns=["Cancelled"])


# -- Days and times ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "day",
    [
        "2025-07-18",
        "2025-07-18 00:00:00",
        "2025-07-18T00:00:00Z",
        "2025/7/18",
        pd.Timestamp("2025-07-18"),
        pd.Timestamp("2025-07-18").date(),
    ],
    ids=str,
)
def test_a_day_without_a_time_of_day_stays_the_day_it_says(day: object) -> None:
    rules = {"trading_day_cutoff": "05:00", "time_zone": "America/New_York", "recorded_in": "UTC"}
    log, _ = Transactions.split_extract(till(("a", day, 1.0, "")), until=UNTIL, **rules)
    assert days_of(log) == ["2025-07-18"]
    assert pd.read_parquet(log.lines)["hour"].isna().all()
    assert sales_summary(log, by="hour", period="all")["hour"].isna().all()


def test_rows_with_and_without_a_time_of_day() -> None:
    rows = till(("a", "2025-07-18", 1.0, ""), ("a", "2025-07-20 00:30", 1.0, ""), ("a", "2025-07-22 00:00", 1.0, ""))
    log, _ = Transactions.split_extract(rows, until=UNTIL, trading_day_cutoff="05:00")
    assert days_of(log) == ["2025-07-18", "2025-07-19", "2025-07-21"]
    assert pd.read_parquet(log.lines).sort_values("day")["hour"].fillna(-1).tolist() == [-1, 0, 0]


def test_a_format_of_days_alone_states_no_hour() -> None:
    log, _ = Transactions.split_extract(
        till(("a", "18.07.2025", 1.0, "")), until=UNTIL, time_format="%d.%m.%Y", trading_day_cutoff="05:00"
    )
    assert days_of(log) == ["2025-07-18"]


@pytest.mark.parametrize(
    ("clock", "hour"),
    [
        ("09:05:30", 9),
        ("9:05", 9),
        ("9:05 PM", 21),
        ("12:10 am", 0),
        ("905", 9),
        ("090530", 9),
        ("21", 21),
        ("1899-12-31 21:05:00", 21),
        (None, -1),
    ],
)
def test_a_day_and_its_time_of_day_stand_in_two_columns(clock: str | None, hour: int) -> None:
    rows = pd.DataFrame({"customer_id": ["a", "b"], "Date": "2025-07-18", "Time": [clock, "13:00"], "amount": 1.0})
    log, found = Transactions.split_extract(rows, until=UNTIL, purchased_at=["Date", "Time"])
    lines = pd.read_parquet(log.lines).sort_values("customer_id")
    assert (days_of(log), found.rows_rejected) == (["2025-07-18"], 0)
    assert lines["hour"].fillna(-1).tolist() == [hour, 13]


def test_the_format_is_that_of_the_day_where_the_time_is_joined() -> None:
    rows = pd.DataFrame(
        {"customer_id": "a", "Date": ["18/07/2025", "19/07/2025"], "Time": ["02:10 PM", None], "amount": 1.0}
    )
    log, _ = Transactions.split_extract(rows, until=UNTIL, purchased_at=["Date", "Time"], time_format="%d/%m/%Y")
    assert pd.read_parquet(log.lines).sort_values("day")["hour"].fillna(-1).tolist() == [14, -1]
    with pytest.raises(ContractError, match=r"fit time_format='%d/%m/%Y'\. State it"):
        Transactions.split_extract(rows, until=UNTIL, purchased_at=["Date", "Time"])
    with pytest.raises(ConfigError, match="stands in a column of its own"):
        Transactions.split_extract(rows, until=UNTIL, purchased_at=["Date", "Time"], time_format="%d/%m/%Y %H:%M")


def test_an_id_may_be_joined_and_a_number_not() -> None:
    rows = pd.DataFrame({"customer_id": "a", "purchased_at": "2025-01-01", "amount": 1.0, "shop": [1, 2], "no": [7, 7]})
    log, _ = Transactions.split_extract(rows, until=UNTIL, order_id=["shop", "no"])
    assert sorted(pd.read_parquet(log.lines)["order_id"]) == ["1 7", "2 7"]
    with pytest.raises(ContractError, match="amount cannot be joined"):
        Transactions.split_extract(rows, until=UNTIL, amount=["shop", "no"])
    with pytest.raises(ContractError, match="'date' \\(for purchased_at"):
        Transactions.split_extract(rows, until=UNTIL, purchased_at=["date", "no"])
