"""The workbook: the page's numbers as numbers, ids as text, and nothing that runs."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from python_calamine import CalamineWorkbook

from crmkit import PublishError, Report
from crmkit.reports.block import Block, Table

HOSTILE = '=HYPERLINK("http://example.com","x")'


@pytest.fixture
def report() -> Report:
    customers = pd.DataFrame(
        {
            "customer_id": list("abcd"), "value": [90.0, 6.0, 3.0, 1.0], "tier": list("ABBC"), "p_churn": 0.25,
            "value_at_risk": 1.0, "segment": ["champions", HOSTILE, "loyal", "loyal"], "total_spend": 4.0,
        }
    )  # fmt: skip
    return (
        Report("June", as_of=date(2017, 6, 30), currency="EUR")
        .add_card(4, "customers")
        .add_tiers(customers)
        .add_segments(customers)
        .add_churn(customers, horizon=30)
        .add_note("Notes", HOSTILE)
    )


def sheets(path: Path) -> dict[str, list[list[Any]]]:
    book = CalamineWorkbook.from_path(path)
    return {name: book.get_sheet_by_name(name).to_python() for name in book.sheet_names}


def test_every_table_of_the_page_is_a_sheet_with_its_message(report: Report, tmp_path: Path) -> None:
    found = sheets(report.save(tmp_path / "report.xlsx"))
    assert list(found) == [
        "Read me", "Value tiers", "Concentration", "Concentration 2", "Segments", "Customers at risk of churn",
    ]  # fmt: skip
    tiers = found["Value tiers"]
    assert tiers[0][0] == report.blocks[0].title
    assert tiers[3] == ["tier", "customers", "value", "share of customers", "share of value"]
    assert tiers[4] == ["A", 1, 90, 0.25, 0.9]


def test_the_first_sheet_says_what_the_page_says(report: Report, tmp_path: Path) -> None:
    told = {text for row in sheets(report.save(tmp_path / "report.xlsx"))["Read me"] for text in row}
    assert {"June", "Amounts in EUR. As of the close of 30 June 2017.", "4", HOSTILE} <= told
    assert all(any(block.title in str(text) for text in told) for block in report.blocks if block.sentence)


def test_text_is_no_formula_and_ids_keep_their_zeros(report: Report, tmp_path: Path) -> None:
    import zipfile

    table = pd.DataFrame(
        {"week": [pd.Timestamp("2017-01-02")], "sales": [5.0], "customers": [1], "store_id": ["007"], "days": [7]}
    )
    path = report.add_sales(table).save(tmp_path / "report.xlsx")
    assert sheets(path)["Sales"][4] == [date(2017, 1, 2), 5, 1, "007"]
    with zipfile.ZipFile(path) as book:
        text = {name: book.read(name).decode() for name in book.namelist() if name.endswith(".xml")}
    assert not any("<f>" in sheet or "hyperlink" in sheet for name, sheet in text.items() if "worksheets" in name)
    assert 'quotePrefix="1"' in text["xl/styles.xml"]
    assert HOSTILE.replace('"', "&quot;") in text["xl/sharedStrings.xml"] or HOSTILE in text["xl/sharedStrings.xml"]
    assert "autoFilter" in text["xl/worksheets/sheet2.xml"]
    assert "<pane" in text["xl/worksheets/sheet2.xml"]


def test_equal_numbers_give_an_equal_workbook(report: Report, tmp_path: Path) -> None:
    first, second = (report.save(tmp_path / name).read_bytes() for name in ("a.xlsx", "b.xlsx"))
    assert first == second


def test_missing_numbers_are_empty_cells(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "week": pd.to_datetime(["2017-01-02", None]),
            "sales": [float("nan"), float("inf")],
            "customers": [1, 2],
            "days": 7,
        }
    )
    report = Report("June", blocks=[Block("Sales", "Sales of two weeks", table=Table(table))])
    rows = sheets(report.save(tmp_path / "report.xlsx"))["Sales"]
    assert rows[4:] == [[date(2017, 1, 2), "", 1, 7], ["", "inf", 2, 7]]


def test_a_workbook_that_cannot_be_written_leaves_nothing(report: Report, tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="cannot be written"):
        report.save(tmp_path / "absent" / "report.xlsx")
    assert not list(tmp_path.iterdir())
