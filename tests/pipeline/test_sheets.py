"""A page about one customer, from a published run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pypdfium2
import pytest
from typer.testing import CliRunner

import crmkit as ck
from crmkit.exceptions import ContractError, ExtractError
from crmkit.pipeline.cli import app
from crmkit.pipeline.sheets import write_sheet
from crmkit.testing import generated_sales


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("shop")
    generated_sales(n_customers=60, days=200).to_csv(home / "till.csv", index=False)
    ck.run({"until": "2017-07-19", "transactions": {"files": "till.csv"}}, home / "out", home=home)
    return home / "out"


def test_the_page_is_written_where_it_is_asked_for(out: Path, tmp_path: Path) -> None:
    asked = ["sheet", "000007", "--run", str(out), "--out", str(tmp_path / "page.html")]
    said = CliRunner().invoke(app, asked)
    assert said.exit_code == 0, said.output
    assert "Customer 000007" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]


def test_as_pdf_it_is_one_page(out: Path, tmp_path: Path) -> None:
    write_sheet("000007", out, tmp_path / "page.pdf")
    pages = pypdfium2.PdfDocument(tmp_path / "page.pdf")
    assert len(pages) == 1
    text = pages[0].get_textpage().get_text_range()
    assert "Customer 000007" in text
    assert "value, " in text, "with its interval"


def test_what_cannot_be_shown_is_said(out: Path, tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"There is no customer 'x' among 60"):
        write_sheet("x", out, tmp_path / "page.html")
    with pytest.raises(ExtractError):
        write_sheet("000007", tmp_path / "nowhere", tmp_path / "page.html")
    copy = tmp_path / "out"
    shutil.copytree(out, copy, symlinks=True)
    for record in (copy / "CURRENT").resolve().glob(".check-delivery.json"):
        record.write_text("{}", encoding="utf-8")
    with pytest.raises(ExtractError, match=r"The lines that the run .* read are gone"):
        write_sheet("000007", copy, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
