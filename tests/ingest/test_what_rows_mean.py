"""Exports as shops have them: which of their rows are sales, whose, in what currency; the right money of each."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmkit.exceptions import ContractError, CrmkitWarning
from crmkit.ingest.extracts import read_extract
from crmkit.ingest.layouts import layout, layouts, note_of, recognised, settings_for, settings_of
from crmkit.ingest.parts import Reading
from crmkit.ingest.tables import Rates
from crmkit.pipeline.check import check_files
from crmkit.pipeline.config import read_config
from crmkit.summaries.customers import rfm_table
from crmkit.transactions.log import Transactions
from crmkit.transactions.rejections import Rejections

SHOPIFY = """\
Name,Email,Financial Status,Paid at,Currency,Subtotal,Shipping,Total,Discount Amount,Created at,Lineitem quantity,Lineitem name,Lineitem price,Lineitem sku,Cancelled at,Refunded Amount,Vendor
#2001,ann@example.org,paid,2025-11-03 10:00:00 +0000,GBP,64.40,4.00,68.40,9.60,2025-11-03 09:59:00 +0000,1,Scarf,37.00,S-1,,0.00,Acme
#2001,ann@example.org,,,,,,,,2025-11-03 09:59:00 +0000,1,Hat,37.00,H-1,,,Acme
#2002,bob@example.org,refunded,2025-11-04 12:00:00 +0000,GBP,40.00,0.00,40.00,0.00,2025-11-04 11:59:00 +0000,1,Coat,40.00,C-1,2025-11-05 08:00:00 +0000,40.00,Acme
#2003,ann@example.org,paid,2025-12-03 10:00:00 +0000,GBP,20.00,0.00,20.00,0.00,2025-12-03 09:59:00 +0000,2,Sock,10.00,K-1,,0.00,Acme
#2004,cat@example.org,partially_refunded,2025-12-04 10:00:00 +0000,GBP,100.00,0.00,100.00,0.00,2025-12-04 09:59:00 +0000,1,Boots,100.00,B-1,,30.00,Acme
"""
LOYVERSE = """\
Date,Receipt number,Receipt type,Gross sales,Discounts,Net sales,Taxes,Total collected,Payment type,POS,Store,Customer name,Customer contacts,Status
8/17/25 12:16 PM,1-0003,Sale,160.00,10.00,150.00,0,150.00,Cash,POS,Store,Ann,ann@example.org,Closed
8/17/25 12:20 PM,1-0004,Sale,80.00,0,80.00,0,80.00,Cash,POS,Store,Bob,bob@example.org,Cancelled
8/18/25 12:30 PM,1-0005,Refund,-80.00,0,-80.00,0,-80.00,Card,POS,Store,Ann,ann@example.org,Closed
"""
KOREAN = """\
매출일자,영수증번호,회원번호,상품코드,수량,매출금액,할인금액,순매출액,반품여부
20250301,A1,0001,P1,1,12000,0,12000,N
20250303,A2,0001,P1,1,12000,0,12000,Y
20250305,A3,0002,P2,2,"24,000","2,000","22,000",N
"""


def written(folder: Path, text: str, name: str = "export.csv") -> str:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return str(file)


def split(source: Any, reading: dict[str, Any] | None = None, **options: Any) -> tuple[Transactions, Rejections]:
    extract = read_extract(source, **(reading or {}))
    return Transactions.split_extract(extract, until="2025-12-31", **options)


def spend(log: Transactions) -> dict[str, float]:
    table = rfm_table(log)
    return dict(zip(table["customer_id"], table["total_spend"].astype(float), strict=True))


# -- Layouts -------------------------------------------------------------------------------------------------------------


def test_of_a_shopify_export_what_was_cancelled_discounted_and_refunded_is_no_money(tmp_path: Path) -> None:
    log, found = split(written(tmp_path, SHOPIFY), time_zone="Europe/London", **layout("shopify-orders"))
    assert spend(log) == {"ann@example.org": 84.40, "cat@example.org": 70.0}
    assert (found.rows_read, found.rows_used, found.rows_left_out) == (5, 4, 1)
    assert found.amount_used == Decimal("154.40")


def test_of_a_loyverse_export_a_cancelled_receipt_is_left_out(tmp_path: Path) -> None:
    log, found = split(written(tmp_path, LOYVERSE), **layout("loyverse-receipts"))
    assert spend(log) == {"ann@example.org": 70.0}
    assert found.rows_left_out == 1


def test_of_a_korean_till_a_returned_line_takes_its_sale_back(tmp_path: Path) -> None:
    stated = settings_for("korean-pos", KOREAN.partition("\n")[0].split(","))
    reading = {name: stated.pop(name) for name in ("currency", "thousands")}
    log, _ = split(written(tmp_path, KOREAN), reading, **stated.pop("columns"), **stated)
    assert spend(log) == {"0001": 0.0, "0002": 22_000.0}


@pytest.mark.parametrize(
    ("text", "name"), [(SHOPIFY, "shopify-orders"), (LOYVERSE, "loyverse-receipts"), (KOREAN, "korean-pos")]
)
def test_check_knows_the_layout_and_says_what_to_know(tmp_path: Path, text: str, name: str) -> None:
    report = check_files([written(tmp_path, text)])
    assert f"These are the columns of layout {name!r}" in str(report)
    assert note_of(name).partition("\n")[0] in str(report)
    assert "says which rows are left out" in str(report) or "says what a row is" in str(report)


@pytest.mark.parametrize("name", sorted(set(layouts()) - {"instacart", "olist"}))
def test_each_layout_is_known_by_its_header_and_reads_a_row(tmp_path: Path, name: str) -> None:
    ready = settings_of(name, "transactions") | {"title": name}
    header = next(csv.reader([_header(name)]))
    assert recognised(header) == name
    words = _row(ready, header)
    lines = io.StringIO()
    csv.writer(lines).writerows([header, [words.get(column, "") for column in header]])
    report = check_files([written(tmp_path, lines.getvalue())])
    assert report.guess.layout == name
    assert report.rejections is None or report.rejections.rows_used == 1, str(report)
    assert report.rejections is not None or "time_zone" in report.refused


def _header(name: str) -> str:
    from crmkit.ingest.layouts import _content

    return str(_content(name)["header"])


def _row(ready: dict[str, Any], header: list[str]) -> dict[str, str]:
    """A sale as the layout writes it."""
    day, clock = "2025-03-04", "10:15:00"
    form = ready.get("time_format")
    when = pd.Timestamp(f"{day} {clock}").strftime(form) if form else f"{day} {clock}"
    given = {
        "customer_id": "c1",
        "amount": "12.50",
        "quantity": "2",
        "unit_price": "6.25",
        "order_id": "o1",
        "discount": "0",
    }
    given["currency"] = ready.get("currency", "USD")
    if ready.get("decimal") == ",":
        given |= {name: given[name].replace(".", ",") for name in ("amount", "unit_price")}
    row = {column: given.get(name, "x1") for name, column in ready["columns"].items() if isinstance(column, str)}
    at = ready["columns"]["purchased_at"]
    row |= {at: when} if isinstance(at, str) else {at[0]: when.partition(" ")[0], at[1]: clock}
    return {column: text for column, text in row.items() if column in header}


def test_a_layout_in_the_configuration_brings_what_its_rows_mean(tmp_path: Path) -> None:
    written(tmp_path, LOYVERSE)
    config = tmp_path / "crmkit.toml"
    config.write_text('until = 2025-08-31\n[transactions]\nfiles = "export.csv"\nlayout = "loyverse-receipts"\n')
    options = read_config(config).transactions.line_options()
    assert options["leave_out"] == {"Status": ["cancelled", "canceled"]}
    assert options["kinds"] == {"column": "Receipt type", "return": ["Refund"]}


def test_columns_that_are_joined_can_be_configured(tmp_path: Path) -> None:
    config = tmp_path / "crmkit.toml"
    config.write_text(
        'until = 2025-08-31\n[transactions]\nfiles = "a.csv"\ndeduct = ["Refund"]\n'
        '[transactions.columns]\npurchased_at = ["Date", "Time"]\n'
    )
    options = read_config(config).transactions.line_options()
    assert (options["purchased_at"], options["deduct"]) == (["Date", "Time"], ["Refund"])


# -- Columns that are not read -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "values", "told"),
    [
        ("State", ["ok", "Cancelled"], "State holds 'Cancelled' in 1 of 2 rows"),
        ("Zustand", ["bezahlt", "Storniert"], 'leave_out = { "Zustand" = ["Storniert"] }'),
        ("状態", ["完了", "キャンセル"], "状態 holds 'キャンセル'"),
        ("반품", ["N", "Y"], 'kinds = { column = "반품", return = ["Y"] }'),
        ("Refund total", ["0", "12.50"], 'deduct = ["Refund total"]'),
        ("Voided at", ["", "2025-01-02"], 'leave_out = { "Voided at" = ["*"] }'),
    ],
)
def test_check_tells_of_columns_that_seem_to_say_what_is_no_sale(
    tmp_path: Path, column: str, values: list[str], told: str
) -> None:
    rows = [f"c{n},2025-01-0{n + 1},1.50,{value}" for n, value in enumerate(values)]
    report = check_files([written(tmp_path, "\n".join([f"customer_id,purchased_at,amount,{column}", *rows, ""]))])
    assert "Not read: " in str(report)
    assert told in str(report)


def test_check_is_silent_about_other_columns(tmp_path: Path) -> None:
    rows = "c1,2025-01-01,1.50,closed,12\nc2,2025-01-02,2.50,paid,13\n"
    report = check_files([written(tmp_path, f"customer_id,purchased_at,amount,Status,Table\n{rows}")])
    assert "Not read: " not in str(report)


def test_a_column_of_refunds_is_not_taken_for_the_amount(tmp_path: Path) -> None:
    report = check_files(
        [written(tmp_path, "customer_id,order_date,Refunded amount,Net total\nc1,2025-01-01,0,5.00\n")]
    )
    assert report.guess.columns["amount"] == "Net total"


# -- Money that is taken off ---------------------------------------------------------------------------------------------


def test_money_to_be_taken_off_that_cannot_be_read_rejects_the_row(tmp_path: Path) -> None:
    text = (
        "customer_id,purchased_at,amount,refund\na,2025-01-01,5.00,some\nb,2025-01-01,5.00,-2.00\nc,2025-01-01,5.00,\n"
    )
    log, found = split(written(tmp_path, text), deduct=["refund"])
    assert spend(log) == {"b": 3.0, "c": 5.0}
    assert found.counts["reason"].tolist() == ["'refund' is not a number"]
    assert found.amount_read == found.amount_used + found.amount_rejected


def test_a_column_to_be_taken_off_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="deduct"):
        split(written(tmp_path, "customer_id,purchased_at,amount\na,2025-01-01,1\n"), deduct=["refund"])


# -- Currencies ----------------------------------------------------------------------------------------------------------

ORDERS = "order_id,customer_id,purchased_at,currency,amount\n1,C1,2025-03-01,USD,100.00\n2,C1,2025-04-01,INR,8319.00\n3,C2,2025-03-05,usd,40.00\n4,C3,2025-03-07,JPY,15000\n"


def test_amounts_in_several_currencies_are_not_added(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"3 currencies: USD 140.00 in 2 rows, INR 8,319.00 in 1 rows, JPY 15,000"):
        split(written(tmp_path, ORDERS))


def test_with_one_currency_stated_rows_in_others_are_rejected(tmp_path: Path) -> None:
    log, found = split(written(tmp_path, ORDERS), {"currency": "USD"})
    assert spend(log) == {"C1": 100.0, "C2": 40.0}
    assert found.counts["reason"].tolist() == ["amount is in another currency"]
    assert found.amount_rejected == Decimal(23_319)


def test_one_currency_is_no_matter(tmp_path: Path) -> None:
    text = "customer_id,purchased_at,amount,currency\na,2025-01-01,1,EUR\nb,2025-01-01,2,\n"
    with pytest.warns(CrmkitWarning, match="say no currency among others that do: 1, with 2.00"):
        _, found = split(written(tmp_path, text))
    assert found.amount_used == 3


# -- Files that overlap --------------------------------------------------------------------------------------------------

HEAD = "order_id,customer_id,purchased_at,amount\n"
JANUARY = HEAD + "1,C1,2025-01-10,10.00\n2,C2,2025-01-20,20.00\n3,C1,2025-01-31,30.00\n"
FEBRUARY = HEAD + "3,C1,2025-01-31,30.00\n4,C2,2025-02-10,40.00\n5,C3,2025-02-20,50.00\n"


def test_an_order_that_stands_in_two_files_is_loaded_once(tmp_path: Path) -> None:
    files = [written(tmp_path, FEBRUARY, "feb.csv"), written(tmp_path, JANUARY, "jan.csv")]
    log, found = split(files)
    assert spend(log) == {"C1": 40.0, "C2": 60.0, "C3": 50.0}
    assert (found.rows_used, found.rows_duplicate, found.amount_duplicate) == (5, 1, 30)


@pytest.mark.filterwarnings("ignore::crmkit.exceptions.CrmkitWarning")
@pytest.mark.parametrize(
    "other",
    ["3,C1,2025-01-31,31.00\n", "3,C2,2025-01-31,30.00\n", "3,C1,2025-02-01,30.00\n", "3,C1,2025-01-31,30.00\n" * 2],
)
def test_an_order_with_other_lines_is_kept(tmp_path: Path, other: str) -> None:
    files = [written(tmp_path, JANUARY, "jan.csv"), written(tmp_path, HEAD + other, "other.csv")]
    assert split(files)[1].rows_duplicate == 0


@pytest.mark.filterwarnings("ignore::crmkit.exceptions.CrmkitWarning")
def test_equal_lines_of_one_file_are_all_kept(tmp_path: Path) -> None:
    files = [written(tmp_path, HEAD + "3,C1,2025-01-31,30.00\n" * 2, "a.csv"), written(tmp_path, JANUARY, "b.csv")]
    assert split(files)[1].rows_duplicate == 0


# -- Nobody --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["nan", "NULL", "None", "N/A", "-", "999999990", "XAXX010101000"])
def test_a_word_for_missing_is_no_member(tmp_path: Path, word: str) -> None:
    text = f"customer_id,purchased_at,amount\n{word},2025-01-01,5.00\na,2025-01-01,2.00\n"
    log, found = split(written(tmp_path, text))
    assert spend(log) == {"a": 2.0}
    assert found.rows_rejected == 1
    lines = pd.read_parquet(log.lines)
    assert sorted(lines["amount"].astype(float)) == [2.0, 5.0]


def test_a_product_called_none_is_a_product(tmp_path: Path) -> None:
    log, _ = split(written(tmp_path, "customer_id,purchased_at,amount,product_id\na,2025-01-01,2.00,None\n"))
    assert pd.read_parquet(log.lines)["product_id"].tolist() == ["None"]


# -- Rows and money add up ------------------------------------------------------------------------------------------------

ROW = st.tuples(
    st.sampled_from(["a", "b", "", "nan", "till"]),
    st.sampled_from(["2025-01-01", "2025-01-02 10:00:00", "soon", "2026-05-05"]),
    st.sampled_from(["1.50", "-2.00", "x", "", "1e3", "0.0001"]),
    st.sampled_from(["o1", "o2", ""]),
    st.sampled_from(["closed", "Cancelled", ""]),
    st.sampled_from(["sale", "refund", "void", "odd"]),
    st.sampled_from(["", "0.50", "-0.25", "?"]),
    st.sampled_from(["EUR", "eur", "USD", ""]),
    st.sampled_from(["", "1.00", "-9", "?"]),
    st.sampled_from(["", "2025-01-01", "2025-03-01", "2026-06-01", "soon"]),
)
NAMES = ["customer_id", "purchased_at", "amount", "order_id", "Status", "Type", "Refund", "currency", "Back", "Back at"]
OPTIONS: dict[str, Any] = {
    "leave_out": {"Status": ["cancelled"]},
    "kinds": {"column": "Type", "sale": ["sale"], "return": ["refund"], "cancelled": ["void"]},
    "deduct": ["Refund"],
    "refunds": {"Back": "Back at"},
    "non_members": ["till"],
    "reject_unreadable": ["amount", "purchased_at"],
    "ids": "casefold",
}
HEADS = pd.DataFrame({"number": ["o1", "o3"], "Status": ["closed", "Cancelled"], "Seller": ["x", "y"]})
RATES = pd.DataFrame({"currency": ["USD"], "day": ["2025-01-02"], "rate": ["0.5"]})


def check_sums(tables: list[Any], heads: Any = None, **more: Any) -> tuple[Any, ...]:
    """That rows and money add up: of lines as they are, or, with heads, joined to their orders, which say the status."""
    join = {} if heads is None else {"join": {"files": heads, "on": {"order_id": "number"}}}
    if heads is not None:
        tables = [
            table.drop(columns="Status") if isinstance(table, pd.DataFrame) else table.drop("Status")
            for table in tables
        ]
    parts = [read_extract(table, currency="EUR", **join).parts[0] for table in tables]
    extract = type(read_extract(tables[0]))(tuple(parts), Reading(currency="EUR"))
    _, found = Transactions.split_extract(extract, until="2025-12-31", **OPTIONS, **more)
    assert found.rows_read == found.rows_used + found.rows_left_out + found.rows_rejected + found.rows_duplicate
    placed = found.amount_used + found.amount_left_out + found.amount_rejected + found.amount_duplicate
    assert found.amount_read == placed
    return found.totals, found.counts[["reason", "rows"]].astype("str").values.tolist()


@pytest.mark.filterwarnings("ignore::crmkit.exceptions.CrmkitWarning")
@given(
    st.lists(st.lists(ROW, min_size=1, max_size=12), min_size=1, max_size=3),
    st.sampled_from(["plain", "joined", "rates"]),
)
@settings(max_examples=12, deadline=None)
def test_rows_and_money_add_up_whatever_is_stated(parts: list[list[tuple[str, ...]]], what: str) -> None:
    tables = [pd.DataFrame(rows, columns=NAMES) for rows in parts]
    more = {"joined": {"heads": HEADS, "order_columns": ["Type"]}, "rates": {"rates": Rates.from_extract(RATES)}}
    check_sums(tables, **more.get(what, {}))


@pytest.mark.filterwarnings("ignore::crmkit.exceptions.CrmkitWarning")
def test_rows_and_money_add_up_on_spark_as_here(spark: Any) -> None:
    rows = [
        ("a", "2025-01-01", "1.50", "o1", "closed", "sale", "0.50", "EUR", "1.00", "2025-03-01"),
        ("a", "2025-01-02 10:00:00", "2.00", "o2", "closed", "refund", "", "eur", "", ""),
        ("b", "2025-01-01", "5.00", "o3", "Cancelled", "sale", "", "EUR", "5.00", "2025-03-01"),
        ("nan", "2025-01-01", "1e3", "o4", "", "sale", "?", "EUR", "", ""),
        ("till", "2025-01-01", "7", "o5", "", "sale", "", "USD", "", ""),
        ("b", "2025-01-03", "7", "o5", "", "odd", "", "", "", ""),
        ("b", "2025-01-03", "7", "o6", "", "void", "", "", "", ""),
        ("None", "2025-01-03", "7", "o6", "", "sale", "-1", "", "1", "2025-03-01"),
        ("B", "2025-01-03", "9", "o1", "", "sale", "", "", "1", "2026-03-01"),
        ("B", "2025-01-03", "9", "o1", "", "sale", "", "", "1", "2024-03-01"),
        ("B", "2025-01-03", "9", "o1", "", "sale", "", "", "2", ""),
    ]
    frame = pd.DataFrame(rows, columns=NAMES)
    there = spark.createDataFrame(frame)
    assert check_sums([there]) == check_sums([frame])
    assert check_sums([there], spark.createDataFrame(HEADS)) == check_sums([frame], HEADS)
