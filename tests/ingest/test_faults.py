"""Deliveries that are wrong in ways that once cost time, showed persons, or lost rows: each is told, or read."""

from __future__ import annotations

import time
from pathlib import Path

import pandas as pd
import pytest

from crmkit.exceptions import ConfigError, ContractError, CrmkitWarning, ExtractError
from crmkit.ingest.extracts import read_extract
from crmkit.pipeline.check import check_files
from crmkit.pipeline.terminal import for_terminal
from crmkit.transactions.log import Transactions
from crmkit.transactions.store import Store

HEAD = "customer_id,purchased_at,amount"


def till(folder: Path, text: str) -> Path:
    file = folder / "till.csv"
    file.write_text(text, encoding="utf-8", newline="")
    return file


def split(source: object, **options: object) -> tuple[pd.DataFrame, object]:
    log, found = Transactions.split_extract(source, until="2026-12-31", **options)  # type: ignore[arg-type]
    return pd.read_parquet(log.lines), found


@pytest.mark.parametrize("header", ["x" * 200_000, 'a,"' + "x" * 200_000 + '",b', ",".join(["name"] * 40_000)])
def test_a_first_line_that_is_too_long_for_names_is_told(tmp_path: Path, header: str) -> None:
    with pytest.raises(
        ExtractError, match=r"till.csv: the first line has \d+,\d+ characters, more than column names have"
    ):
        read_extract(till(tmp_path, f"{header}\n1,2,3\n"))


def test_a_long_field_beside_a_line_break_in_quotes_is_read(tmp_path: Path) -> None:
    long = "x" * 200_000
    text = f'{HEAD},category\na,2026-01-01,1,"two\nlines"\nb,2026-01-02,2,{long}\nc,soon,3,tea\n'
    lines, found = split(read_extract(till(tmp_path, text)))
    assert lines["category"].str.len().tolist() == [9, 200_000]
    assert found.rows["line"].tolist() == [5]  # type: ignore[attr-defined]


def test_to_find_how_days_may_be_written_takes_no_seconds(tmp_path: Path) -> None:
    extract = read_extract(till(tmp_path, f"{HEAD}\na,03/04/2026,1\n"))
    began = time.process_time()
    with pytest.raises(ContractError, match=r"time_format='%d/%m/%Y' or time_format='%m/%d/%Y'\. State the one"):
        split(extract)
    assert time.process_time() - began < 3


@pytest.mark.parametrize(
    "line",
    [
        "Anna Schmidt,4111111111111111,gold",
        "Anna,4111 1111 1111 1111,x",
        "a@example.org,x,y",
        "+49-30-1234567,Anna,Berlin",
    ],
)
def test_a_file_without_names_shows_no_person(tmp_path: Path, line: str) -> None:
    file = till(tmp_path, f"{line}\n{line}\n")
    with pytest.raises(ContractError, match="seems to have no header") as raised:
        split(read_extract(file))
    report = str(check_files([str(file)]))
    for word in line.split(","):
        assert len(word) < 4 or word not in f"{raised.value}{report}"


def test_of_a_card_number_in_the_column_of_amounts_only_the_beginning_is_shown(tmp_path: Path) -> None:
    text = f"{HEAD}\na,2026-01-01,4111 1111 1111 1111\nb,2026-01-01,anna@example.org\nc,4111111111111111,2\nd,2026-01-01,few\n"
    _, found = split(read_extract(till(tmp_path, text)), reject_unreadable=["amount", "purchased_at"])
    assert found.rows["value"].tolist() == ["41…", "an…", "41…", "few"]  # type: ignore[attr-defined]


def test_a_column_name_does_not_steer_the_terminal(tmp_path: Path) -> None:
    report = str(check_files([str(till(tmp_path, f"{HEAD},no\x1b[2Jte\na,2026-01-01,1,x\n"))]))
    assert "\x1b" not in for_terminal(report)


@pytest.mark.parametrize("column", ["customer_id", "purchased_at", "amount", "quantity"])
def test_a_frame_may_be_reversed(column: str) -> None:
    frame = pd.DataFrame(
        {
            "customer_id": ["a", "b", "c"],
            "purchased_at": pd.to_datetime(["2026-01-01"] * 3),
            "amount": [1.0, 2.0, 3.0],
            "quantity": 1,
        }
    )
    lines, _ = split(frame.sort_values(column)[::-1])
    assert sorted(lines["amount"].astype(float)) == [1.0, 2.0, 3.0]
    assert split(frame.set_index(pd.RangeIndex(3))[::-1])[1].rows_used == 3  # type: ignore[attr-defined]


def test_a_later_line_without_a_store_moves_no_line_of_two_stores() -> None:
    """Each store numbers its own receipts: a return in one of them is no repeat of a sale in the other."""
    columns = ["customer_id", "purchased_at", "amount", "order_id", "line_id", "store", "quantity"]
    rows = [
        ("a", "2026-01-01", 5.0, "1", "1", "north", 1),
        ("b", "2026-01-02", -3.0, "1", "1", "south", -1),
        ("a", "2026-02-01", 2.0, "9", "1", None, 1),
        ("a", "2026-02-01", 2.0, "9", "1", "north", 1),
    ]
    early, _ = split(pd.DataFrame(rows[:2], columns=columns))
    early = early.sort_values("record")
    later, found = split(pd.DataFrame(rows, columns=columns))
    later = later.sort_values("record")
    assert early["amount"].tolist() == later["amount"].tolist()[:2]
    assert found.rows_duplicate == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("written", ['"=""00078"""', "'00078", " 00078 "])
def test_an_id_is_the_same_whatever_guards_it(tmp_path: Path, written: str) -> None:
    lines, _ = split(read_extract(till(tmp_path, f"{HEAD}\n00078,2026-01-01,1\n{written},2026-01-02,1\n")))
    assert lines["customer_id"].tolist() == ["00078"] * 2


@pytest.mark.parametrize("written", ["０００７８", "000\u200b78", "00\u00ad078"])
@pytest.mark.parametrize("kind", ["csv", "frame"])
def test_an_id_in_full_width_or_with_invisible_characters_is_the_plain_one_and_is_told(
    tmp_path: Path, written: str, kind: str
) -> None:
    file = till(tmp_path, f"{HEAD}\n00078,2026-01-01,1\n{written},2026-01-02,1\nÄ1,2026-01-02,1\n")
    source = read_extract(file) if kind == "csv" else pd.read_csv(file, dtype={"customer_id": str})
    with pytest.warns(CrmkitWarning, match=r"invisible characters, taken as the plain ids: 1\.$"):
        lines, _ = split(source)
    assert lines["customer_id"].tolist() == ["00078", "00078", "Ä1"]


def test_ids_that_lost_their_zeros_in_a_file_of_numbers_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"{HEAD}\n0002,2026-01-01,1\n0003,2026-01-01,1\n")
    numbers = pd.DataFrame({"customer_id": [2, 9], "purchased_at": ["2026-01-02"] * 2, "amount": [1.0, 2.0]})
    numbers.to_parquet(tmp_path / "b.parquet")
    files = [str(tmp_path / "a.csv"), str(tmp_path / "b.parquet")]
    with pytest.warns(
        CrmkitWarning, match=r"differ from those of others of this delivery by leading zeros alone: 1\. Zeros are lost"
    ):
        lines, _ = split(read_extract(files))
    assert sorted(lines["customer_id"]) == ["0002", "0003", "2", "9"]
    with pytest.warns(CrmkitWarning, match="leading zeros alone: 1"):
        Store(tmp_path / "store").load(read_extract(files), until="2026-12-31")


def test_a_file_of_column_names_alone_among_others_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"{HEAD}\na,2026-01-01,1\n")
    (tmp_path / "b.csv").write_text(f"{HEAD}\n")
    with pytest.warns(CrmkitWarning, match=r"^b\.csv has column names and no row\."):
        _, found = split(read_extract(str(tmp_path / "*.csv")))
    assert found.rows_read == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("encoding", ["utf-32", "utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("is_marked", [True, False], ids=["marked", "unmarked"])
def test_text_of_four_bytes_a_character_is_not_taken_for_two(tmp_path: Path, encoding: str, is_marked: bool) -> None:
    file, mark = tmp_path / "till.csv", "\ufeff" if is_marked and encoding[-2:] in ("le", "be") else ""
    file.write_bytes(f"{mark}{HEAD}\nä,2026-01-01,1\n".encode(encoding))
    if mark or encoding == "utf-32":
        assert split(read_extract(file))[0]["customer_id"].tolist() == ["ä"]
        return
    with pytest.raises(
        ExtractError, match=f"{encoding[:6].upper()} text without its mark; state encoding='{encoding}'"
    ):
        read_extract(file)
    for stated in (encoding, encoding[:6]):
        assert split(read_extract(file, encoding=stated))[0]["customer_id"].tolist() == ["ä"]


@pytest.mark.parametrize("encoding", ["punycode", "idna", "undefined", "unicode_escape", "raw_unicode_escape", "rot13"])
def test_an_encoding_that_no_file_has_is_refused(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(ConfigError, match=f"There is no encoding '{encoding}'"):
        read_extract(till(tmp_path, f"{HEAD}\na,2026-01-01,1\n"), encoding=encoding)


def test_hidden_sheets_are_not_asked_about(tmp_path: Path) -> None:
    book = pytest.importorskip("xlsxwriter").Workbook(tmp_path / "till.xlsx")
    for name, customer in (("old", "x"), ("till", "a"), ("older", "y")):
        sheet = book.add_worksheet(name)
        for row, cells in enumerate((HEAD.split(","), [customer, "2026-01-01", 1])):
            sheet.write_row(row, 0, cells)
    book.get_worksheet_by_name("old").hide()
    book.get_worksheet_by_name("older").very_hidden()
    book.get_worksheet_by_name("till").activate()
    book.close()
    assert split(read_extract(tmp_path / "till.xlsx"))[0]["customer_id"].tolist() == ["a"]
    assert split(read_extract(tmp_path / "till.xlsx", sheet="old"))[0]["customer_id"].tolist() == ["x"]


@pytest.mark.parametrize("name", ["return", "sale", "free", "adjustment"])
def test_a_class_cannot_make_returns_of_sales(name: str) -> None:
    rows = pd.DataFrame({"customer_id": ["a"], "purchased_at": ["2026-01-01"], "amount": [1.0], "category": ["tea"]})
    with pytest.raises(ConfigError, match=rf"classes: \['{name}'\] cannot be stated"):
        split(rows, classes={name: ["tea"]})
    with pytest.raises(ConfigError, match=r"classes\['service'\] = 'tea' is not a list of words"):
        split(rows, classes={"service": "tea"})


def test_a_class_holds_for_negative_lines_too() -> None:
    rows = pd.DataFrame(
        {
            "customer_id": "a",
            "purchased_at": "2026-01-01",
            "amount": [5.0, -1.0, -2.0, -5.0],
            "quantity": [1, -1, 0, -1],
            "category": ["tea", "coupon", "coupon", "tea"],
        }
    )
    lines, found = split(rows, classes={"discount": ["coupon"]})
    assert lines.sort_values("record")["kind"].tolist() == ["sale", "discount", "discount", "return"]
    assert float(found.kinds["amount"].sum()) == -3.0  # type: ignore[attr-defined]


@pytest.mark.parametrize("written", ["'", '=""', "=x", "a'b"])
def test_an_id_that_only_looks_guarded_stays(tmp_path: Path, written: str) -> None:
    quoted = '"' + written.replace('"', '""') + '"'
    lines, _ = split(read_extract(till(tmp_path, f"{HEAD}\n{quoted},2026-01-01,1\n")))
    assert lines["customer_id"].tolist() == [written]


def test_a_first_line_that_names_the_separator_is_obeyed(tmp_path: Path) -> None:
    lines, found = split(read_extract(till(tmp_path, f"sep=;\n{HEAD.replace(',', ';')}\na;2026-01-01;1\nb;soon;1\n")))
    assert lines["customer_id"].tolist() == ["a"]
    assert found.rows["line"].tolist() == [4]  # type: ignore[attr-defined]


def test_the_layout_is_proposed_where_columns_are_not_found(tmp_path: Path) -> None:
    header = "TRANSACTION_DT,CUSTOMER,AGE_GROUP,CUSTOMER_ID,PRODUCT_SUBCLASS,PRODUCT_ID,AMOUNT,ASSET,SALES_PRICE"
    with pytest.raises(ContractError, match=r"columns of layout 'ta-feng': Transactions.from_extract\(…, \*\*layout"):
        split(read_extract(till(tmp_path, f"{header}\n11/1/2000,1,45-49,115,1,4,2,24,30\n")))


@pytest.mark.parametrize(
    ("encoding", "header"),
    [
        ("cp949", "고객번호,구매일,금액"),
        ("cp932", "会員番号,購入日,金額"),
        ("gb18030", "会员号,购买日期,金额"),
        ("cp1252", "Kundennummer,Datum,Betrag,Größe"),
    ],
)
def test_the_suggested_encoding_knows_the_header_and_reads_the_whole_file(
    tmp_path: Path, encoding: str, header: str
) -> None:
    file = tmp_path / "till.csv"
    rows = "".join(f"{n},2026-01-0{n % 9 + 1},1.50\n" for n in range(20))
    file.write_bytes(f"{header}\n{rows}".encode(encoding))
    report = check_files([str(file)])
    assert report.guess.settings["encoding"] == encoding
    assert report.guess.columns["amount"] in header


@pytest.mark.parametrize("day", ["2568-03-01", "2568/3/1 10:00", "1403-12-11"])
def test_a_year_of_another_calendar_is_told_and_never_advised(tmp_path: Path, day: str) -> None:
    file = till(tmp_path, f"{HEAD}\na,{day},1\nb,2026-01-01,1\n")
    _, found = split(read_extract(file))
    assert found.counts["reason"].tolist() == ["purchased_at is in a year of another calendar"]  # type: ignore[attr-defined]
    assert check_files([str(file)]).days is not None
    assert "until = 2026-01-01" in str(check_files([str(file)]))
