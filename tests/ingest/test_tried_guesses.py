"""Guesses of columns are tried on the values: names that only hold a word, what cannot be read, prices taken for money."""

from __future__ import annotations

from pathlib import Path

import pytest

from crmkit.ingest.column_inference import Guess, guessed
from crmkit.ingest.column_names import named


def guess_of(folder: Path, text: str) -> Guess:
    file = folder / "till.csv"
    file.write_text(text, encoding="utf-8")
    return guessed([str(file)])


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("Country", "quantity"),
        ("Account", "quantity"),
        ("Reorder", "order_id"),
        ("OrderType", "order_id"),
        ("TaxAmount", "amount"),
        ("Shipping total", "amount"),
        ("Discount Amount", "amount"),
        ("RefundReason", "amount"),
        ("CustomerName", "customer_id"),
        ("Update", "purchased_at"),
        ("부가세금액", "amount"),
        ("送料合計", "amount"),
        ("Rabattbetrag", "amount"),
    ],
)
def test_a_name_that_says_something_else_is_not_taken(column: str, name: str) -> None:
    assert named([column], "transactions").get(name) is None


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("net_amount_usd", "amount"),
        ("OrderDateUTC", "purchased_at"),
        ("Gesamtbetrag", "amount"),
        ("Buchungsdatum", "purchased_at"),
        ("총구매금액", "amount"),
        ("Lineitem quantity", "quantity"),
    ],
)
def test_a_name_that_holds_a_word_is_taken(column: str, name: str) -> None:
    assert named([column], "transactions") == {name: column}


HEAD = "order_id,customer_id,order_date,qty,{0}\n"
LINES = ["1,a,2026-01-02,2,{},{}", "1,b,2026-01-03,3,{},{}", "2,c,2026-01-03,4,{},{}", "3,c,2026-01-03,1,{},{}"]
PRICES, TOTALS = ["2.50", "3.00", "1.00", "1.00"], ["5.00", "9.00", "4.00", "1.00"]


def priced(folder: Path, names: str, first: list[str], second: list[str]) -> Guess:
    lines = [line.format(one, other) for line, one, other in zip(LINES, first, second, strict=True)]
    return guess_of(folder, "\n".join([HEAD.format(names).strip(), *lines, ""]))


def test_a_price_that_is_called_amount_is_not_the_money_of_a_line(tmp_path: Path) -> None:
    guess = priced(tmp_path, "amount,charged", PRICES, TOTALS)
    assert (guess.columns["amount"], guess.columns["unit_price"]) == ("charged", "amount")
    assert guess.doubts["amount"] == "charged is qty × amount in the sample, so amount is the price of a piece"


def test_money_that_is_called_price_is_the_money_of_a_line(tmp_path: Path) -> None:
    guess = priced(tmp_path, "price,amount", TOTALS, PRICES)
    assert (guess.columns["amount"], guess.columns["unit_price"]) == ("price", "amount")


def test_money_that_fits_its_price_is_sure(tmp_path: Path) -> None:
    guess = priced(tmp_path, "price,amount", PRICES, TOTALS)
    assert (guess.columns["amount"], guess.columns["unit_price"], guess.doubts) == ("amount", "price", {})


def test_money_that_fits_no_price_is_doubtful(tmp_path: Path) -> None:
    guess = priced(tmp_path, "price,amount", PRICES, ["1.00", "2.00", "3.00", "4.00"])
    assert "is it the money of the whole line?" in guess.doubts["amount"]


def test_an_amount_that_does_not_grow_with_the_pieces_is_a_price(tmp_path: Path) -> None:
    rows = [f"{n},c{n},2026-01-0{n},p{n % 3},{n % 4 + 1},{n % 3 + 1}.50" for n in range(1, 10)]
    guess = guess_of(tmp_path, "\n".join(["order_id,customer_id,order_date,sku,qty,amount", *rows, ""]))
    assert (guess.columns.get("amount"), guess.columns["unit_price"], guess.missing) == (None, "amount", [])


def test_pieces_that_are_called_amount_are_no_money(tmp_path: Path) -> None:
    rows = [f"2000-11-0{n},c{n},p{n},{n % 2 + 1},{90 + n}" for n in range(1, 9)]
    guess = guess_of(tmp_path, "\n".join(["DT_DATE,CUSTOMER,PRODUCT_ID,AMOUNT,SALES_PRICE", *rows, ""]))
    assert (guess.columns["quantity"], guess.columns["amount"]) == ("AMOUNT", "SALES_PRICE")


def test_an_optional_column_that_would_reject_rows_is_dropped_and_told(tmp_path: Path) -> None:
    guess = guess_of(tmp_path, "customer_id,date,amount,Discount\na,2026-01-02,5,WELCOME\nb,2026-01-02,5,X10\n")
    assert "discount" not in guess.columns
    assert guess.telling == ["Discount was not taken for discount: 2 of 2 values of Discount are no numbers."]


def test_a_required_column_that_cannot_be_read_leaves_its_place_to_the_next(tmp_path: Path) -> None:
    guess = guess_of(tmp_path, "customer_id,date,amount,net total\na,2026-01-02,cash,5.00\nb,2026-01-02,card,6.00\n")
    assert guess.columns["amount"] == "net total"
    assert "2 of 2 values of amount are no numbers" in guess.telling[0]


def test_a_sure_name_bears_a_few_faults(tmp_path: Path) -> None:
    rows = "".join(f"c,2026-01-02,5,{'?' if n == 4 else n}\n" for n in range(1, 21))
    guess = guess_of(tmp_path, "customer_id,date,amount,quantity\n" + rows)
    assert guess.columns["quantity"] == "quantity"
    assert guess.doubts["quantity"] == "1 of 20 values of quantity are no numbers"


def test_a_name_that_is_known_in_part_is_marked(tmp_path: Path) -> None:
    guess = guess_of(tmp_path, "customer_id,date,net amount usd\na,2026-01-02,5.00\n")
    assert guess.doubts == {"amount": "guessed by a part of its name"}
