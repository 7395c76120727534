"""How numbers are written round the world, and what happens where a notation cannot be read."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from crmkit.engine.duckdb import DuckDBEngine
from crmkit.exceptions import ConfigError, ContractError
from crmkit.ingest.extracts import read_extract
from crmkit.ingest.numbers import plain_number
from crmkit.ingest.parts import Reading
from crmkit.transactions.log import Transactions

UNTIL = "2025-12-31"


def numbers(values: list[str], **stated: Any) -> list[Decimal | None]:
    with DuckDBEngine() as engine:
        table = engine.register(pd.DataFrame({"n": range(len(values)), "given": values}))
        found = engine.frame(
            f"select {plain_number(engine, 'given', Reading(**stated))} as plain from {table} order by n"
        )
    return [None if pd.isna(value) else Decimal(value) for value in found["plain"]]


@pytest.mark.parametrize(
    ("text", "value", "stated"),
    [
        ("▲300", "-300", {}),
        ("△ 1,200", "-1200", {"thousands": ","}),
        ("'-107", "-107", {}),
        ('="107.50"', "107.50", {}),
        ("２，４００", "2400", {"thousands": ","}),
        ("－１２．５", "-12.5", {}),
        ("١٢٫٥", "12.5", {}),
        ("۱٬۲۳۴٫۵", "1234.5", {"decimal": ",", "thousands": "."}),
        ("१२.५", "12.5", {}),
        ("\u200e-5", "-5", {}),
        ("1,23,456.00", "123456", {"thousands": ","}),
        ("12,34,567.50", "1234567.50", {"thousands": ",", "currency": "INR"}),
        ("Rs.2,500/-", "2500", {"thousands": ",", "currency": "INR"}),
        ("\\1,200", "1200", {"thousands": ",", "currency": "JPY"}),
        ("\\2,400", "2400", {"thousands": ",", "currency": "KRW"}),
        ("￥１，２００", "1200", {"thousands": ",", "currency": "JPY"}),
        ("12.-", "12", {}),
        ("1.200,--", "1200", {"decimal": ",", "thousands": "."}),
        ("12.50 CR", "-12.50", {"negative": "CR"}),
        ("12.50-", "-12.50", {}),
    ],
)
def test_notations_that_are_read(text: str, value: str, stated: dict[str, Any]) -> None:
    assert numbers([text], **stated) == [Decimal(value)]


@pytest.mark.parametrize(
    "text", ["1,23,456.00", "1,200", "12.50CR", "▲", "-▲3", "--5", "1.2.3", "₹5", "0x1F", "１，２"]
)
def test_nothing_is_read_that_was_not_stated(text: str) -> None:
    assert numbers([text]) == [None]


@pytest.mark.parametrize("text", ["1,2,3", "12,34", "1,2345,678", "01,23,456"])
def test_groups_must_be_those_of_thousands_or_of_india(text: str) -> None:
    assert numbers([text], thousands=",") == [None]


def test_a_mark_of_numbers_below_zero_is_no_number() -> None:
    with pytest.raises(ConfigError, match="is no mark of numbers below zero"):
        Reading(negative="-1")


# -- What cannot be read and is written alike ----------------------------------------------------------------------------


def sales(folder: Path, *amounts: str) -> Path:
    file = folder / "till.csv"
    rows = [f'C{n},2025-03-01,"{amount}"' for n, amount in enumerate(amounts)]
    file.write_text("\n".join(["customer_id,purchased_at,amount", *rows]) + "\n", encoding="utf-8")
    return file


MANY = ["5.00"] * 200


@pytest.mark.parametrize(
    ("amounts", "advice"),
    [
        (["1,23,456.00", "12,34,567.50"], "thousands=','"),
        (["₹ 2.50", "₹ 1.00"], "currency='INR'"),
        (["12.50CR", "8.00CR", "free"], "negative='CR'"),
        (["1.5 Stk", "2.5 Stk"], "State how numbers are written"),
    ],
)
def test_the_load_stops_at_a_notation_that_cannot_be_read(tmp_path: Path, amounts: list[str], advice: str) -> None:
    extract = read_extract(sales(tmp_path, *MANY, *amounts))
    with pytest.raises(ContractError, match="2 values of 'amount' are written like") as raised:
        Transactions.split_extract(extract, until=UNTIL)
    assert advice in str(raised.value)
    _, found = Transactions.split_extract(extract, until=UNTIL, reject_unreadable=["amount"])
    assert found.rows_rejected == len(amounts)


@pytest.mark.parametrize("amounts", [["free", "gratis"], ["1.2.3"], ["1.2.3", "4x", "5y", "6z"]])
def test_single_faults_and_words_are_rejected(tmp_path: Path, amounts: list[str]) -> None:
    _, found = Transactions.split_extract(read_extract(sales(tmp_path, *MANY, *amounts)), until=UNTIL)
    assert found.rows_rejected == len(amounts)


def test_days_that_do_not_exist_are_no_notation(tmp_path: Path) -> None:
    file = tmp_path / "till.csv"
    days = ["2025-03-01"] * 9 + ["2025-02-29", "2025-02-30"]
    file.write_text("customer_id,purchased_at,amount\n" + "".join(f"a,{day},1\n" for day in days))
    _, found = Transactions.split_extract(read_extract(file), until=UNTIL)
    assert found.rows_rejected == 2


def test_times_that_are_written_otherwise_stop_the_load(tmp_path: Path) -> None:
    file = tmp_path / "till.csv"
    days = ["2025-03-01"] * 90 + ["31.03.2025", "30.03.2025"]
    file.write_text("customer_id,purchased_at,amount\n" + "".join(f"a,{day},1\n" for day in days))
    with pytest.raises(ContractError, match=r"2 values of 'purchased_at' .* time_format='%d\.%m\.%Y'"):
        Transactions.split_extract(read_extract(file), until=UNTIL)


@pytest.mark.parametrize(("encoding", "text"), [("cp932", "\\1,200"), ("cp932", "▲300"), ("cp949", "\\1,200")])
def test_signs_of_asian_code_pages(tmp_path: Path, encoding: str, text: str) -> None:
    file = tmp_path / "pos.csv"
    file.write_bytes(f'customer_id,purchased_at,amount\nA,2025-03-01,"{text}"\n'.encode(encoding))
    currency = {"cp932": "JPY", "cp949": "KRW"}[encoding]
    extract = read_extract(file, encoding=encoding, thousands=",", currency=currency)
    _, found = Transactions.split_extract(extract, until=UNTIL)
    assert found.amount_used == {"\\1,200": 1200, "▲300": -300}[text]
