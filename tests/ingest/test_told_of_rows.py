"""What seems to mean something else than it is read as is told by the load itself, with its rows and money."""

from __future__ import annotations

import io
import warnings
from typing import Any

import pandas as pd
import pytest

from crmkit.exceptions import ContractError
from crmkit.ingest.extracts import read_extract
from crmkit.transactions.log import Transactions
from crmkit.transactions.rejections import Rejections

HEAD = "customer_id,purchased_at,amount"


def loaded(text: str, **options: Any) -> tuple[pd.DataFrame, Rejections, list[str]]:
    """The lines of a small table, what became of its rows, and what was told."""
    table = pd.read_csv(io.StringIO(text), dtype="str", keep_default_na=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        log, found = Transactions.split_extract(read_extract(table), until="2026-12-31", **options)
    return pd.read_parquet(log.lines), found, [str(one.message) for one in caught]


@pytest.mark.parametrize(
    ("column", "values", "told"),
    [
        ("Order Status", ["wc-completed", "wc-cancelled"], "leave_out={'Order Status': ['wc-cancelled']}"),
        ("取引区分", ["売上", "返品伝票"], "取引区分 holds '返品伝票' in 1 of 2 rows"),
        ("결제상태", ["결제완료", "결제취소"], "leave_out={'결제상태': ['결제취소']}"),
        ("Tipo documento", ["Scontrino", "Nota di credito"], "Tipo documento holds 'Nota di credito'"),
        ("สถานะ", ["สำเร็จ", "ยกเลิก"], "สถานะ holds 'ยกเลิก'"),
        ("S/H", ["S", "H"], "kinds={'column': 'S/H', 'return': ['H']}"),
        ("sign", ["+", "-"], "kinds={'column': 'sign', 'return': ['-']}"),
        ("is_return", ["False", "True"], "kinds={'column': 'is_return', 'return': ['True']}"),
        ("test_order", ["0", "1"], "leave_out={'test_order': ['1']}"),
        ("total_refunded", ["0", "4.00"], "deduct=['total_refunded']"),
        ("shop_currency", ["EUR", "JPY"], "amounts are in several currencies (EUR in 1 rows, JPY in 1 rows)"),
    ],
)
def test_a_column_that_is_not_read_is_told(column: str, values: list[str], told: str) -> None:
    rows = "".join(f"c{n},2026-01-0{n + 1},{n + 1}.00,{value}\n" for n, value in enumerate(values))
    _, _, said = loaded(f"{HEAD},{column}\n{rows}")
    assert len(said) == 1
    assert told in said[0]


@pytest.mark.parametrize(
    "values",
    [
        ["paid", "not refunded"],
        ["non-refundable", "paid"],
        ["미취소", "완료"],
        ["Milk", "Bread"],
        ["1", "0"],
        ["EUR", "EUR"],
    ],
)
def test_other_columns_are_not(values: list[str]) -> None:
    rows = "".join(f"c{n},2026-01-0{n + 1},{n + 1}.00,{value}\n" for n, value in enumerate(values))
    assert loaded(f"{HEAD},Note\n{rows}")[2] == []


def test_one_that_is_stated_is_not_told() -> None:
    text = (
        f"{HEAD},Status\na,2026-01-01,1.00,paid\nb,2026-01-01,2.00,wc-cancelled\nb,2026-01-01,4.00,wc-cancelled-late\n"
    )
    lines, found, said = loaded(text, leave_out={"Status": ["wc-cancel*"]})
    assert (said, lines["amount"].sum(), found.amount_left_out) == ([], 1, 6)


def test_a_column_called_currency_of_several_is_refused() -> None:
    with pytest.raises(
        ContractError, match=r"several currencies \(EUR in 1 rows, JPY in 1 rows\). They cannot be added"
    ):
        loaded(f"{HEAD},Currency\na,2026-01-01,1.00,EUR\na,2026-01-01,100,JPY\n")


def test_goods_that_come_back_with_money_paid_are_told_and_signed_when_stated() -> None:
    text = f"{HEAD},quantity,product_id\na,2026-01-01,10.00,1,P\na,2026-01-05,10.00,-1,P\n"
    lines, _, said = loaded(text)
    assert "a quantity below 0 and an amount above 0: 1, which count as 10.00 paid" in said[0]
    lines, _, said = loaded(text, kinds={"column": "quantity", "return": ["-*"]})
    assert (said, lines["amount"].sum()) == ([], 0)


def test_lines_without_an_order_that_stand_in_two_files_are_told(tmp_path: Any) -> None:
    (tmp_path / "a.csv").write_text(
        f"{HEAD}\na,2026-01-30 10:00,1.00\nb,2026-01-31 10:00,20.00\nb,2026-01-31 10:00,20.00\n"
    )
    (tmp_path / "b.csv").write_text(f"{HEAD}\nb,2026-01-31 10:00,20.00\na,2026-02-01 10:00,1.00\n")
    with pytest.warns(
        UserWarning, match=r"in two files with the same content: 1, with 20.00\. All of them are counted"
    ):
        Transactions.split_extract(read_extract(str(tmp_path / "*.csv")), until="2026-12-31")


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("Walk-in Customer", "customer_id is a word for anybody"),
        ("비회원", "customer_id is a word for anybody"),
        ("Consumidor final", "customer_id is a word for anybody"),
    ],
)
def test_nobody_is_no_member_and_kept_in_sales(word: str, reason: str) -> None:
    lines, found, _ = loaded(f"{HEAD}\n{word},2026-01-01,10.00\na,2026-01-01,1.00\n")
    assert (lines["amount"].sum(), lines["customer_id"].dropna().tolist()) == (11, ["a"])
    assert found.counts["reason"].tolist() == [reason]


@pytest.mark.parametrize("word", ["Grand Total", "合計", "Summe"])
def test_a_line_of_totals_is_no_sale(word: str) -> None:
    lines, found, _ = loaded(f"{HEAD}\na,2026-01-01,1.00\nb,2026-01-01,2.00\n{word},2026-01-01,3.00\n")
    assert (lines["amount"].sum(), found.amount_rejected) == (3, 3)


def test_an_id_with_an_outlying_share_is_told_among_few_rows() -> None:
    rows = "".join(f"m{n % 40},2026-01-{n % 28 + 1:02d},2.00\n" for n in range(200))
    nobody = "".join(f"0,2026-01-{n % 28 + 1:02d},2.00\n" for n in range(150))
    assert "and 43% of all money, and may be no member" in loaded(f"{HEAD}\n{rows}{nobody}")[2][0]


def test_the_total_of_an_order_on_each_of_its_lines_is_told() -> None:
    rows = "".join(f"a,2026-01-0{order},{order}0.00,{order}\n" for order in (1, 2, 3, 4) for _ in range(2))
    assert "100.00 too much are counted there" in loaded(f"{HEAD},order_id\n{rows}")[2][0]


def test_ids_that_may_be_the_same_are_told() -> None:
    said = loaded(f"{HEAD}\n1234 5678,2026-01-01,1\n12345678,2026-01-01,1\n078,2026-01-01,1\n78,2026-01-02,1\n")[2]
    assert [sentence.partition(": 1")[0] for sentence in said] == [
        "Customer ids that differ from others by blanks, dashes or points alone",
        "Customer ids that differ from those of others of this delivery by leading zeros alone",
    ]


@pytest.mark.parametrize(
    ("written", "read"),
    [("1'234.50", 1234.5), ("1\u202f234.50", 1234.5), ("12\u00a0500", 12500), ("- 5.00", -5), ("1 234", 1234)],
)
def test_groups_and_signs_that_mean_one_thing_are_read(written: str, read: float) -> None:
    lines, _, _ = loaded(f"{HEAD}\na,2026-01-01,{written}\n")
    assert float(lines["amount"][0]) == read


@pytest.mark.parametrize("day", ["２０２６／０１／０２", "٢٠٢٦-٠١-٠٢", "2026–01–02 １０：００"])
def test_days_in_digits_of_another_script_are_read(day: str) -> None:
    assert loaded(f"{HEAD}\na,{day},1.00\n")[0]["day"].tolist() == [20455]
