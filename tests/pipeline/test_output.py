"""What is handed out: tables as CSV and Excel files with the values of Parquet, and the blocks that were asked for."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from crmkit import ConfigError, CrmkitWarning
from crmkit.pipeline.config import config_of
from crmkit.pipeline.output_settings import ReportContents
from crmkit.pipeline.stages.reports import report
from crmkit.pipeline.table_formats import write_formats
from crmkit.reports.block import Block

HOSTILE = '=HYPERLINK("http://example.com","x")'


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    customers = pd.DataFrame(
        {
            "customer_id": ["0077", "0078", HOSTILE], "value": [1234.5, np.nan, -3.25], "tier": ["A", None, "+B"],
            "n_purchases": [3, 1, 2], "last_day": pd.to_datetime(["2017-05-31", None, "2017-06-01"]), "no_contact": [True, False, False],
        }
    )  # fmt: skip
    customers.to_parquet(tmp_path / "customers.parquet", row_group_size=2)
    customers.head(0).to_parquet(tmp_path / "nobody.parquet")
    return tmp_path


def test_values_are_those_of_parquet_and_nothing_is_a_formula(tables: Path) -> None:
    assert write_formats(tables, ["parquet", "csv", "xlsx"]) == []
    was = pq.read_table(tables / "customers.parquet").to_pandas()
    text = pd.read_csv(tables / "tables" / "customers.csv", dtype={"customer_id": str}, parse_dates=["last_day"])
    sheet = pd.read_excel(tables / "tables" / "customers.xlsx", dtype={"customer_id": str}, engine="calamine")
    for found in (text, sheet):
        assert list(found.columns) == list(was.columns)
        np.testing.assert_array_equal(found["value"], was["value"])
        np.testing.assert_array_equal(found["n_purchases"], was["n_purchases"])
        assert found["customer_id"].tolist()[:2] == ["0077", "0078"]
        assert pd.to_datetime(found["last_day"]).tolist()[::2] == was["last_day"].tolist()[::2]
    assert text["customer_id"].iloc[2] == f"'{HOSTILE}"
    assert text["tier"].iloc[2] == "'+B"
    assert sheet["customer_id"].iloc[2] == HOSTILE  # a text cell, which is no formula
    assert (tables / "tables" / "customers.csv").read_bytes().startswith("\ufeff".encode())


def test_a_table_without_rows_has_its_heads(tables: Path) -> None:
    write_formats(tables, ["csv", "xlsx"])
    assert (tables / "tables" / "nobody.csv").read_text(encoding="utf-8-sig").startswith("customer_id,value,tier")
    assert not len(pd.read_excel(tables / "tables" / "nobody.xlsx", engine="calamine"))


def test_equal_tables_give_equal_files(tables: Path) -> None:
    write_formats(tables, ["csv", "xlsx"])
    first = {file.name: file.read_bytes() for file in (tables / "tables").iterdir()}
    write_formats(tables, ["csv", "xlsx"])
    assert {file.name: file.read_bytes() for file in (tables / "tables").iterdir()} == first


def test_what_no_sheet_holds_is_told(tables: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crmkit.pipeline.table_formats.MOST_ROWS", 2)
    (note,) = write_formats(tables, ["xlsx"])
    assert note == "customers has 3 rows, more than a sheet of a workbook holds: there is no customers.xlsx."


def test_without_formats_there_is_nothing_more(tables: Path) -> None:
    assert write_formats(tables, ["parquet"]) == []
    assert not (tables / "tables").exists()
    with pytest.raises(ConfigError, match=r"output\.formats"):
        config_of({"until": "2017-01-01", "transactions": {"files": "a.csv"}, "output": {"formats": ["ods"]}})


BLOCKS = {
    "sales_block": Block("Sales", "Much was sold"),
    "offer_block": Block("Offers", "Some were made"),
    "value_check": Block(
        "Backtest of value", "Predicted and actual", verdict="The rule is nearer.", judged="No better."
    ),
}


def page(tmp_path: Path, *wanted: str) -> str:
    contents = ReportContents(blocks=list(wanted))
    made = report(
        date(2017, 5, 31),
        BLOCKS,
        [],
        [],
        {"after_as_of": 0},
        title="June",
        currency="",
        report=contents,
        folder=tmp_path,
    )
    assert made is not None
    return Path(str(made["report"])).read_text(encoding="utf-8")


def test_blocks_are_chosen_and_ordered_and_trust_stays(tmp_path: Path) -> None:
    found = page(tmp_path, "Offers", "sales")
    assert found.index("Some were made") < found.index("Much was sold")
    assert "Predicted and actual" not in found
    assert "The rule is nearer." in found


def test_a_block_that_is_not_there_is_told_with_the_nearest(tmp_path: Path) -> None:
    with pytest.warns(CrmkitWarning, match=r"no block 'Offer'\. Did you mean 'Offers'\? It has Sales, Offers"):
        assert "Some were made" not in page(tmp_path, "Offer")
