"""Reading what tills deliver: containers, encodings, worksheets, JSON lines, folders, and how numbers and times are written."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
import threading
import zipfile
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import xlsxwriter

from crmkit import ConfigError, ContractError, ExtractError, Members, Transactions, read_extract
from crmkit.exceptions import CrmkitWarning, NoInputError, SourceChangedError
from crmkit.ingest.parts import Reading

HEADER = "customer_id,purchased_at,amount,category\n"
SOUND = "0077,2026-03-01 10:00,1.50,A\n"

Split = Callable[..., tuple[pd.DataFrame, object]]
Till = Callable[..., Path]


def read(path: Path, clock: dict[str, Any] | None = None, **options: object) -> tuple[pd.DataFrame, object]:
    """Lines with a customer and the account of a source read with options."""
    log, rejections = Transactions.split_extract(read_extract(path, **options), until="2026-12-31", **(clock or {}))
    return pd.read_parquet(log.lines), rejections


def numbers(till: Till, *texts: str, **options: object) -> list[str]:
    """Amounts as they are read; a rejected one by its reason."""
    body = "".join(f'{n},2026-01-01,"{text}",A\n' for n, text in enumerate(texts, start=1))
    lines, rejections = read(till(body), **options)
    told = dict(zip(rejections.rows["record"], rejections.rows["reason"], strict=True))
    sums = {int(n): f"{amount.normalize():f}" for n, amount in zip(lines["customer_id"], lines["amount"], strict=True)}
    return [told.get(n) or sums[n] for n in range(1, len(texts) + 1)]


# -- Containers ------------------------------------------------------------------------------------------------------


def zipped(path: Path, **members: str | bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_a_zip_of_one_file_is_that_file(tmp_path: Path) -> None:
    body = HEADER + SOUND + "x,soon,1,A\n"
    lines, rejections = read(zipped(tmp_path / "till.csv", **{"a/till.csv": body, "__MACOSX/a": b"x"}))
    assert (len(lines), rejections.rows["line"].tolist()) == (1, [3])
    (tmp_path / "plain.csv").write_text(body)
    _, plain = read(tmp_path / "plain.csv")
    assert plain.files["sha256"].tolist() == rejections.files["sha256"].tolist()


def test_a_zip_of_several_files_asks_for_one(tmp_path: Path) -> None:
    path = zipped(tmp_path / "till.zip", **{"1.csv": HEADER + SOUND, "2.csv": HEADER + SOUND * 2})
    with pytest.raises(ExtractError, match=r"holds 2 files: \['1.csv', '2.csv'\]. Name one: member="):
        read_extract(path)
    assert read(path, member="2.csv")[1].rows_read == 2
    with pytest.raises(ConfigError, match=r"has no member '3.csv'"):
        read_extract(path, member="3.csv")
    with pytest.raises(ConfigError, match="has no member"):
        read_extract(zipped(tmp_path / "x", a=HEADER) and (tmp_path / "till.zip"), member="x.csv")


def test_a_damaged_zip_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "till.zip", **{"1.csv": HEADER + "".join(f"{n},2026-01-01,1,A\n" for n in range(9999))})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    with pytest.raises(ExtractError, match=r"ended early|not UTF-8"):
        read(path)
    path.write_bytes(content[:100])
    with pytest.raises(ExtractError, match="broken archive"):
        read(path)


@pytest.mark.parametrize("kind", ["gzip", "zip", "xlsx"])
def test_what_unpacks_to_far_more_than_it_is_is_refused(tmp_path: Path, kind: str) -> None:
    line = SOUND.encode() * 40
    content = HEADER.encode() + line * (120 * 2**20 // len(line))
    path = tmp_path / f"till.{kind}"
    if kind == "gzip":
        path.write_bytes(gzip.compress(content))
    elif kind == "zip":
        zipped(path, **{"till.csv": content})
    else:
        zipped(path, **{"[Content_Types].xml": "<x/>", "xl/sharedStrings.xml": content})
    with pytest.raises(ExtractError, match="unpacks to more than 200 times its size"):
        read(path)


def test_json_lines_are_read_as_text(till: Till, split: Split) -> None:
    rows = [
        {"customer_id": "0077", "purchased_at": "2026-01-01", "amount": 1.10, "more": [1]},
        {"amount": "2.50", "purchased_at": "2026-01-02", "customer_id": 12345678901234567890},
        {"customer_id": "1", "purchased_at": "soon", "amount": 1, "category": "Käse"},
        {"customer_id": True, "purchased_at": "2026-01-02", "amount": None},
        {"customer_id": "9", "purchased_at": "2026-01-02", "amount": float("nan"), "category": None},
    ]
    lines = [json.dumps(row) for row in rows]
    content = "\n".join([*lines[:2], "", "not json", *lines[2:], '["a"]', ""]).encode()
    for packed, name in ((content, "till.csv"), (gzip.compress(content), "till.jsonl.gz")):
        sound, rejections = split(packed, name)
        assert sound["customer_id"].tolist() == ["0077", "12345678901234567890"]
        assert sound["amount"].tolist() == [Decimal("1.10"), Decimal("2.50")]
        told = rejections.rows[["record", "line", "reason"]].to_numpy().tolist()
        assert told == [
            [3, 4, "the line is not a JSON object, or has a name twice"],
            [4, 5, "purchased_at is not a time"],
            [5, 6, "amount is missing"],
            [6, 7, "amount is not a number"],
            [7, 8, "the line is not a JSON object, or has a name twice"],
        ]
        assert rejections.rows_read == 7


def test_json_names_are_looked_for_in_every_line(till: Till) -> None:
    first = json.dumps({"customer_id": "1", "purchased_at": "2026-01-01", "amount": 1})
    last = json.dumps({"customer_id": "1", "purchased_at": "2026-01-01", "amount": 1, "category": "Milk"})
    path = till(("\n".join([first] * 3_000 + [last]) + "\n").encode())
    extract = read_extract(path)
    assert extract.columns == ("customer_id", "purchased_at", "amount", "category")
    assert pd.read_parquet(Transactions.from_extract(extract, until="2026-12-31").lines)["category"].notna().sum() == 1
    till(first.replace("amount", "paid").encode())
    with pytest.raises(SourceChangedError):
        Transactions.split_extract(extract, until="2026-12-31")


def test_json_columns_of_lists_are_refused_where_they_are_used(till: Till, split: Split) -> None:
    row = {"customer_id": "1", "purchased_at": "2026-01-01", "amount": 1, "category": ["a", "b"]}
    with pytest.raises(ContractError, match=r"'category' .* must hold single values"):
        split(json.dumps(row).encode())


def test_json_numbers_stand_beside_text_with_a_decimal_comma(till: Till) -> None:
    rows = [{"customer_id": n, "purchased_at": "2026-01-01", "amount": a} for n, a in enumerate([1.5, "2,50", 3])]
    lines, _ = read(till("\n".join(map(json.dumps, rows)).encode()), decimal=",")
    assert lines["amount"].astype(float).tolist() == [1.5, 2.5, 3.0]


# -- Worksheets ------------------------------------------------------------------------------------------------------


def workbook(path: Path, **sheets: list[list[object]]) -> Path:
    with xlsxwriter.Workbook(path, {"nan_inf_to_errors": True}) as book:
        moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for y, row in enumerate(rows):
                for x, value in enumerate(row):
                    if isinstance(value, datetime):
                        sheet.write_datetime(y, x, value, moment)
                    elif value is not None:
                        sheet.write(y, x, value)
    return path


NAMES = ["customer_id", "purchased_at", "amount", "category"]


def test_a_worksheet_is_read_by_its_content(tmp_path: Path) -> None:
    noon = datetime(2026, 3, 1, 12)
    rows = [NAMES, [77, noon, 1.5, "A"], [], ["0077", noon, 2, "B"], ["x", noon, "free", None], [None, noon, 4, "C"]]
    with pytest.warns(CrmkitWarning, match="by leading zeros alone: 1"):
        lines, rejections = read(workbook(tmp_path / "till.csv", Sales=rows))
    assert lines["customer_id"].dropna().tolist() == ["77", "0077"]
    assert lines["hour"].tolist()[:2] == [12, 12]
    assert lines["amount"].tolist()[:2] == [Decimal("1.5"), Decimal("2")]
    told = rejections.rows[["record", "line", "reason"]].to_numpy().tolist()
    assert told == [[3, 5, "amount is not a number"], [4, 6, "customer_id is missing"]]


def test_a_time_format_does_not_touch_dates_of_a_worksheet(tmp_path: Path) -> None:
    noon = datetime(2026, 3, 1, 12)
    path = workbook(tmp_path / "a.xlsx", Sales=[NAMES, ["1", noon, 1, "A"], ["2", noon, 2, "A"]])
    lines, _ = read(path, {"time_format": "%d/%m/%Y"}, decimal=",")
    assert lines["hour"].tolist() == [12, 12]
    path = workbook(tmp_path / "b.xlsx", Sales=[NAMES, ["1", "01/03/2026", "1,25", "A"], ["2", "02/03/2026", 2.5, "A"]])
    lines, _ = read(path, {"time_format": "%d/%m/%Y"}, decimal=",")
    assert lines["amount"].astype(float).tolist() == [1.25, 2.5]


def test_several_sheets_ask_for_one(tmp_path: Path) -> None:
    rows = [NAMES, ["1", "2026-01-01", 1, "A"]]
    path = workbook(tmp_path / "a.xlsx", Jan=rows, Feb=[*rows, ["2", "2026-02-01", 2, "B"]], Empty=[])
    with pytest.raises(ExtractError, match=r"has 2 sheets with content: \['Jan', 'Feb'\]. Name one: sheet="):
        read_extract(path)
    assert read(path, sheet="Feb")[1].rows_read == 2
    with pytest.raises(ConfigError, match="has no sheet 'Mar'"):
        read_extract(path, sheet="Mar")
    with pytest.raises(ExtractError, match="the sheet 'Empty' is empty"):
        read_extract(path, sheet="Empty")
    assert read(workbook(tmp_path / "b.xlsx", Jan=rows, Empty=[]))[1].rows_read == 1


def test_titles_above_the_names_of_a_sheet_are_skipped(tmp_path: Path) -> None:
    rows = [["Sales of January"], [], NAMES, ["1", "2026-01-01", 1, "A"], ["2", "soon", 1, "A"]]
    _, rejections = read(workbook(tmp_path / "a.xlsx", Jan=rows), skip_rows=1)
    assert rejections.rows[["record", "line"]].to_numpy().tolist() == [[2, 5]]


def test_a_sheet_that_changed_is_refused(tmp_path: Path) -> None:
    extract = read_extract(workbook(tmp_path / "a.xlsx", Jan=[NAMES]))
    workbook(tmp_path / "a.xlsx", Jan=[[*NAMES[:3], "other"], ["1", "2026-01-01", 1, "A"]])
    with pytest.raises(SourceChangedError):
        Transactions.split_extract(extract, until="2026-12-31")


def test_an_open_document_is_a_workbook_too(tmp_path: Path) -> None:
    cells = "".join(
        f'<table:table-cell office:value-type="string"><text:p>{name}</text:p></table:table-cell>' for name in NAMES
    )
    values = "".join(
        f'<table:table-cell office:value-type="string"><text:p>{value}</text:p></table:table-cell>'
        for value in ("0077", "2026-01-01", "1.50", "A")
    )
    spaces = "office:1.0", "table:1.0", "text:1.0"
    names = " ".join(f'xmlns:{s.partition(":")[0]}="urn:oasis:names:tc:opendocument:xmlns:{s}"' for s in spaces)
    content = (
        f'<office:document-content {names}><office:body><office:spreadsheet><table:table table:name="Jan">'
        f"<table:table-row>{cells}</table:table-row><table:table-row>{values}</table:table-row></table:table>"
        "</office:spreadsheet></office:body></office:document-content>"
    )
    path = tmp_path / "till.ods"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
        archive.writestr("content.xml", content)
    assert read(path)[0]["customer_id"].tolist() == ["0077"]


def test_entities_in_a_workbook_are_not_expanded(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", Jan=[NAMES, ["&amp;lol;", "2026-01-01", 1, "A"]])
    evil = io.BytesIO()
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(evil, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "xl/sharedStrings.xml":
                bombs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 9}">' for n in range(1, 9))
                start, rest = content.split(b"?>", 1)
                content = (
                    start
                    + f'?><!DOCTYPE x [<!ENTITY l0 "lol">{bombs}]>'.encode()
                    + rest.replace(b"customer_id", b"&l8;")
                )
            target.writestr(name, content)
    path.write_bytes(evil.getvalue())
    with pytest.raises((ExtractError, ContractError)) as caught:
        read(path)
    assert len(str(caught.value)) < 2_000


def test_a_missing_reader_of_workbooks_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(Exception, match=r"pip install 'crmkit\[excel\]'"):
        read_extract(workbook(tmp_path / "a.xlsx", Jan=[NAMES]))


# -- Folders ---------------------------------------------------------------------------------------------------------


def test_a_folder_is_the_files_in_it(tmp_path: Path) -> None:
    for month in ("02", "01"):
        (tmp_path / f"2026-{month}.csv").write_text(HEADER + SOUND)
    (tmp_path / "_SUCCESS").write_text("")
    (tmp_path / ".hidden").write_text("x")
    extract = read_extract(tmp_path)
    assert [part.name for part in extract.parts] == ["2026-01.csv", "2026-02.csv"]


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_folders_that_state_a_value_are_columns(tmp_path: Path, kind: str) -> None:
    for n, (store, day) in enumerate([("Köln%2FMitte", "2026-01-01"), ("__HIVE_DEFAULT_PARTITION__", "2026-01-02")]):
        folder = tmp_path / f"category={store}" / f"purchased_at={day}"
        folder.mkdir(parents=True)
        frame = pd.DataFrame({"customer_id": [str(n), "9"], "amount": [1.5, 2.5]})
        frame.to_parquet(folder / "x") if kind == "parquet" else frame.to_csv(folder / "x", index=False)
    extract = read_extract(tmp_path)
    assert extract.columns == ("customer_id", "amount", "category", "purchased_at")
    lines = pd.read_parquet(Transactions.from_extract(extract, until="2026-12-31").lines)
    told = lines.sort_values(["customer_id", "day"])[["customer_id", "category", "day"]].astype(object).fillna("-")
    assert told.to_numpy().tolist()[0] == ["0", "Köln/Mitte", date(2026, 1, 1).toordinal() - 719163]
    assert told.to_numpy().tolist()[1][:2] == ["1", "-"]
    assert set(extract.head(1)["category"]) <= {"Köln/Mitte", None}


def test_a_dataset_written_by_arrow_comes_back(tmp_path: Path) -> None:
    table = pa.table(
        {"customer_id": ["1", "2"], "purchased_at": ["2026-01-01"] * 2, "amount": [1.0, 2.0], "department": ["a", "b"]}
    )
    pq.write_to_dataset(table, tmp_path / "sales", partition_cols=["department"])
    lines, _ = read(tmp_path / "sales")
    assert sorted(lines["department"]) == ["a", "b"]


def test_a_file_that_lost_a_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "2026-01.csv").write_text(HEADER + SOUND)
    (tmp_path / "2026-07.csv").write_text(HEADER.replace("category", "kategorie") + SOUND)
    with pytest.raises(ContractError, match=r"2026-07.csv lacks the columns \['category'\], which 2026-01.csv has"):
        Transactions.split_extract(read_extract(tmp_path / "*.csv"), until="2026-12-31")


def test_links_stay_inside_and_pipes_are_refused(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (outside / "secret.csv").write_text(HEADER + SOUND)
    (inside / "till.csv").write_text(HEADER + SOUND)
    (inside / "latest.csv").symlink_to("till.csv")
    assert len(read_extract(inside / "latest.csv").parts) == 1
    (inside / "leak.csv").symlink_to(outside / "secret.csv")
    for source in (inside, inside / "leak.csv", inside / "*.csv"):
        with pytest.raises(ExtractError, match=r"leak.csv is a link that leads out of in/"):
            read_extract(source)
    (inside / "leak.csv").unlink()
    (tmp_path / "current").symlink_to(inside)
    assert len(read_extract(tmp_path / "current" / "till.csv").parts) == 1
    (inside / "none.csv").symlink_to("gone.csv")
    with pytest.raises(NoInputError, match="link to nothing"):
        read_extract(inside / "none.csv")
    os.mkfifo(inside / "pipe.csv")
    with pytest.raises(ExtractError, match=r"pipe.csv is not a regular file"):
        read_extract(inside / "pipe.csv")
    with pytest.raises(ExtractError, match="null is not a regular file"):
        read_extract("/dev/null")


# -- Dataframes ------------------------------------------------------------------------------------------------------


def frames() -> dict[str, Callable[[pa.Table], object]]:
    return {
        "dataset": ds.dataset,
        "reader": lambda table: table.to_reader(max_chunksize=2),
        "lazy": lambda table: pl.from_arrow(table).lazy(),
        "relation": lambda table: duckdb.connect().from_arrow(table),
        "capsule": Capsule,
    }


class Capsule:
    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, schema: object = None) -> object:
        return self._table.__arrow_c_stream__(schema)


@pytest.mark.parametrize("kind", frames())
def test_every_kind_of_dataframe_is_read_and_read_again(kind: str, split: Split) -> None:
    table = pa.table(
        {"customer_id": ["0077", None, "9"], "purchased_at": ["2026-01-01"] * 3, "amount": [1.5, float("nan"), 3.0]}
    )
    extract = read_extract(frames()[kind](table))
    assert extract.columns == ("customer_id", "purchased_at", "amount")
    for _ in range(2):
        log, rejections = Transactions.split_extract(extract, until="2026-12-31")
        assert pd.read_parquet(log.lines)["amount"].tolist()[:1] == [Decimal("1.5")]
        assert (rejections.rows_read, rejections.rows_rejected) == (3, 1)


def test_options_for_text_do_not_touch_numbers_of_a_dataframe() -> None:
    frame = pd.DataFrame({"customer_id": ["1"], "purchased_at": ["2026-01-01"], "amount": [1.5]})
    lines, _ = read(frame, decimal=",", thousands=".", currency="EUR")  # type: ignore[arg-type]
    assert lines["amount"].tolist() == [Decimal("1.5")]


# -- Encodings -------------------------------------------------------------------------------------------------------

KOREAN = "고객번호,구매일시,금액,분류\n0077,2026-03-01 10:00,2500,우유와 치즈\n0078,2026-03-01 11:00,1200,똠방각하\n"
CHINESE = "客户编号,购买时间,金额,品类\n0077,2026-03-01 10:00,25.5,牛奶和奶酪\n0078,2026-03-01 11:00,12,龘靐㐀\n"
JAPANESE = "顧客番号,購入日時,金額,分類\n0077,2026-03-01 10:00,250,牛乳とチーズ\n0078,2026-03-01 11:00,120,髙﨑①ソ表\n"
GERMAN = "Kundennummer,Kaufdatum,Betrag,Warengruppe\n0077,2026-03-01 10:00,2.50,Käse & Süßes\n0078,2026-03-01 11:00,1,Öl – 5 €\n"

TEXTS = [
    ("cp949", KOREAN), ("euc-kr", KOREAN), ("gb18030", CHINESE), ("GBK", CHINESE), ("gb2312", CHINESE),
    ("cp932", JAPANESE), ("shift_jis", JAPANESE), ("Shift-JIS", JAPANESE), ("cp1252", GERMAN), ("utf-16-le", KOREAN),
    ("utf-16-be", CHINESE), ("utf-8", JAPANESE), ("cp1250", "a,b,c,d\nx,2026-01-01,1,Łódź\ny,2026-01-01,1,ž\n"),
    ("latin-1", GERMAN.replace("–", "-").replace("€", "E")),
]  # fmt: skip
WRITTEN_AS = {"euc-kr": "cp949", "GBK": "gb18030", "gb2312": "gb18030", "shift_jis": "cp932", "Shift-JIS": "cp932"}


@pytest.mark.parametrize(("encoding", "text"), TEXTS, ids=[name for name, _ in TEXTS])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_stated_encoding_is_read_to_the_letter(till: Till, encoding: str, text: str, packed: bool) -> None:
    content = text.encode(WRITTEN_AS.get(encoding, encoding))
    path = till(gzip.compress(content) if packed else content)
    names = text.split("\n")[0].split(",")
    columns = dict(zip(("customer_id", "purchased_at", "amount", "category"), names, strict=True))
    lines, rejections = read(path, columns, encoding=encoding)
    assert rejections.rows_rejected == 0
    assert lines["category"].tolist() == [line.split(",")[3] for line in text.split("\n")[1:3]]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("stated", [None, "cp949"])
def test_a_byte_order_mark_decides(till: Till, encoding: str, stated: str | None) -> None:
    path = till((HEADER + "0077,2026-03-01 10:00,1.50,Käse\n").encode(encoding))
    extract = read_extract(path, encoding=stated)
    assert extract.columns[0] == "customer_id"
    assert extract.head()["category"].tolist() == ["Käse"]


@pytest.mark.parametrize(
    ("encoding", "text"), [("cp949", KOREAN), ("gb18030", CHINESE), ("cp932", JAPANESE)], ids=["ko", "zh", "ja"]
)
def test_what_is_not_utf8_is_refused_with_the_likely_encoding(till: Till, encoding: str, text: str) -> None:
    header, *rows = text.split("\n")
    content = "\n".join([header, *rows[:2] * 20, ""]).encode(encoding)
    with pytest.raises(ExtractError, match=f"state encoding='{encoding}' if it is so"):
        read_extract(till(content))


def test_a_file_that_is_not_utf8_late_is_refused_too(till: Till) -> None:
    content = (HEADER + SOUND * 90_000).encode() + "0077,2026-03-01 10:00,1.50,K\xe4se und Br\xf6tchen\n".encode(
        "latin-1"
    )
    with pytest.raises(ExtractError, match=r"byte 2,610,0\d\d, on line 90,002\)\. (It looks like|State its encoding)"):
        read(till(content))


@pytest.mark.parametrize("encoding", ["cp949", "gb18030", "cp932", "utf-16-le", "cp1252"])
def test_a_byte_that_cannot_be_decoded_is_named(till: Till, encoding: str) -> None:
    before = (HEADER + SOUND * 70_000).encode(encoding)
    bad = {"cp1252": b"\x81", "utf-16-le": b"\x00\xd8", "cp932": b"\x81 "}.get(encoding, b"\xff\xff")
    path = till(before + bad + "\nmore,2026-01-01,1,A\n".encode(encoding))
    with pytest.raises(ExtractError, match=rf"is not {encoding} text \(byte {len(before):,}, on line 70,002, cannot"):
        read(path, encoding=encoding)


def test_places_are_right_in_every_encoding(till: Till) -> None:
    body = HEADER + '1,2026-01-01,1,"우\n유"\n\nshort,1\nx,soon,1,A\n'
    for encoding in ("cp949", "utf-16"):
        for end in ("\n", "\r\n", "\r"):
            _, rejections = read(till(body.replace("\n", end).encode(encoding)), encoding="cp949")
            assert rejections.rows[["record", "line"]].to_numpy().tolist() == [[2, 5], [3, 6]]


def test_an_unknown_encoding_is_refused(till: Till) -> None:
    for name in ("klingon", "base64", "rot13"):
        with pytest.raises(ConfigError, match="There is no encoding"):
            read_extract(till(SOUND), encoding=name)


def test_utf16_without_a_mark_is_refused_with_what_to_state(till: Till) -> None:
    with pytest.raises(ExtractError, match="UTF-16 text without its mark; state encoding='utf-16-le'"):
        read_extract(till((HEADER + SOUND).encode("utf-16-le")))


def test_lines_above_the_names_are_skipped(till: Till) -> None:
    for end in ("\n", "\r\n"):
        text = ("Sales of Köln\n\n" + HEADER + SOUND + "x,soon,1,A\n").replace("\n", end)
        _, rejections = read(till(text.encode()), skip_rows=2)
        assert rejections.rows[["record", "line"]].to_numpy().tolist() == [[2, 5]]
    with pytest.raises(ExtractError, match="starts with an empty line"):
        read_extract(till(SOUND), skip_rows=9)


def test_options_of_other_files_are_refused(till: Till, tmp_path: Path) -> None:
    path = till(SOUND)
    with pytest.raises(ConfigError, match=r"sheet= is for workbooks, and till.csv is none"):
        read_extract(path, sheet="Jan")
    book = workbook(tmp_path / "a.xlsx", Jan=[NAMES])
    with pytest.raises(ConfigError, match=r"encoding= is for text files, and a.xlsx is none"):
        read_extract(book, encoding="cp949")


# -- Numbers ---------------------------------------------------------------------------------------------------------

NO = "amount is not a number"


@pytest.mark.parametrize(
    ("options", "texts", "expected"),
    [
        ({}, ["1.50", "1,50", "1.234,50", "1,234.50", "1 234.50"], ["1.5", NO, NO, NO, "1234.5"]),
        ({"decimal": ","}, ["1,50", "-1,5", ",5", "2", "1.50", "1.234,50", "1e3"], ["1.5", "-1.5", "0.5", "2", NO, NO, "1000"]),
        (
            {"decimal": ",", "thousands": "."},
            ["1.234,50", "1.000", "1.234.567,1", "12.34,5", "1234,5", "1.50", "0.123", ".5"],
            ["1234.5", "1000", "1234567.1", NO, "1234.5", NO, NO, NO],
        ),
        ({"thousands": ","}, ["1,234.50", "1,000", "12,34", "1,2345", "1.5"], ["1234.5", "1000", NO, NO, "1.5"]),
        ({"thousands": " "}, ["1 234.5", "1\u00a0234", "1\u202f234", "1 23"], ["1234.5", "1234", "1234", NO]),
        ({"thousands": "'"}, ["1'234.5", "1’234"], ["1234.5", "1234"]),
        (
            {"currency": "EUR", "decimal": ","},
            ["€ 1,50", "1,50 €", "EUR 1,50", "1,50EUR", "-€1,50", "€-1,50", "1,50", "€€1", "€", "1,5€x"],
            ["1.5", "1.5", "1.5", "1.5", "-1.5", "-1.5", "1.5", NO, NO, NO],
        ),
        ({"currency": "KRW", "thousands": ","}, ["₩2,500", "2500원", "￦2500", "KRW 2500"], ["2500"] * 4),
        ({"currency": "USD", "thousands": ","}, ["$1,234.50", "US$5", "5 USD"], ["1234.5", "5", "5"]),
        ({"currency": "JPY"}, ["￥120", "120円", "¥120"], ["120"] * 3),
    ],
)  # fmt: skip
def test_numbers_are_read_as_stated(till: Till, options: dict[str, str], texts: list[str], expected: list[str]) -> None:
    assert numbers(till, *texts, **options) == expected


@pytest.mark.parametrize("text", ["$3.00", "3.00 USD", "£ 3", "3 kr", "₩2500", "¥5", "-$3", "3 zł", "CHF 3.00"])
def test_another_currency_is_rejected_as_one(till: Till, text: str) -> None:
    assert numbers(till, "€1", text, currency="EUR") == ["1", "amount is in another currency"]


def test_the_value_of_a_rejected_number_is_shown_as_delivered(till: Till) -> None:
    _, rejections = read(till('1,2026-01-01,"1.50 €",A\n' + SOUND.replace("1.50", "2")), decimal=",", currency="EUR")
    assert rejections.rows["value"].tolist() == ["1.50 €"]


@pytest.mark.parametrize("text", ["1.000", "12.345", "-1.234.567", "1,000"])
def test_thousands_or_three_decimals_are_never_guessed(till: Till, text: str) -> None:
    mark = "." if "." in text else ","
    other = "," if mark == "." else "."
    body = "".join(f'{n},2026-01-01,"{text}",A\n' for n in range(3)) + SOUND * 7
    message = rf"'amount' holds 3 numbers like .* State decimal='\{mark}', or decimal='{other}' and thousands='\{mark}'"
    with pytest.raises(ContractError, match=message.replace(r"\,", ",")):
        read(till(body))
    assert read(till(body), {"reject_unreadable": ["amount"]}, decimal=".")[1].rows_read == 10


def test_few_such_numbers_are_read_or_rejected_row_by_row(till: Till) -> None:
    lines, _ = read(till("1,2026-01-01,1.125,A\n" + SOUND * 20))
    assert Decimal("1.125") in lines["amount"].tolist()
    lines, _ = read(till("1,2026-01-01,0.125,A\n" * 20))
    assert set(lines["amount"]) == {Decimal("0.125")}


def test_an_amount_computed_from_marked_numbers(till: Till) -> None:
    body = b'customer_id,purchased_at,quantity,unit_price\n1,2026-01-01,"1.000","2,50"\n1,2026-01-01,2,x\n'
    lines, rejections = read(till(body), decimal=",", thousands=".")
    assert lines["amount"].tolist() == [Decimal("2500")]
    assert rejections.rows["reason"].tolist()[0] in ("unit_price is not a number", NO)


def test_options_that_contradict_themselves_are_refused() -> None:
    for options, message in (
        ({"thousands": "."}, "both '.'"),
        ({"decimal": ";"}, "neither"),
        ({"thousands": "x"}, "is not one of"),
        ({"currency": "euro"}, "three capitals"),
        ({"skip_rows": -1}, "below 0"),
        ({"date_format": "%Q"}, "is not a format"),
    ):
        with pytest.raises(ConfigError, match=message):
            Reading(**options)  # type: ignore[arg-type]


# -- Times -----------------------------------------------------------------------------------------------------------


def local(lines: pd.DataFrame) -> list[str]:
    return [f"{date.fromordinal(day + 719163)} {hour}" for day, hour in zip(lines["day"], lines["hour"], strict=True)]


@pytest.mark.parametrize(
    ("texts", "formats"),
    [
        (["03/04/2026", "05/06/2026"], ["%d/%m/%Y", "%m/%d/%Y"]),
        (["03/04/2026", "25/06/2026"], ["%d/%m/%Y"]),
        (["03/04/2026", "06/25/2026"], ["%m/%d/%Y"]),
        (["24.12.2026 08:30", "01.02.2026 18:00"], ["%d.%m.%Y %H:%M"]),
        (["12/1/2010 8:26", "12/13/2010 18:26"], ["%m/%d/%Y %H:%M"]),
        (["20260304", "20261231"], ["%Y%m%d"]),
        (["26-03-01", "99-12-31"], ["%y-%m-%d"]),
        (["2026-03-01 1:05 PM", "2026-03-01 11:05 AM"], ["%Y-%m-%d %I:%M %p"]),
        (["2026년 3월 1일 오후 2:05", "2026년 12월 1일 오전 2:05"], ["%Y년 %m월 %d일 %p %I:%M"]),
    ],
)
def test_a_column_of_dates_in_another_order_is_refused_with_what_fits(
    till: Till, texts: list[str], formats: list[str]
) -> None:
    body = "".join(f'1,"{text}",1,A\n' for text in texts)
    with pytest.raises(ContractError) as caught:
        read(till(body))
    message = str(caught.value)
    assert "'purchased_at' holds 2 values like" in message
    assert [form for form in formats if f"time_format={form!r}" in message] == formats
    assert message.count("time_format=") == len(formats)
    lines, rejections = read(till(body), {"time_format": formats[0]})
    assert (len(lines), rejections.rows_rejected) == (2, 0)


def test_few_such_dates_are_rejected_row_by_row(till: Till) -> None:
    _, rejections = read(till(SOUND * 2 + "1,03/04/2026,1,A\n1,24:00,1,A\n"))
    assert rejections.rows["reason"].tolist() == ["purchased_at is not a time"] * 2


def test_two_orders_in_one_column_say_which_fits_most(till: Till) -> None:
    with pytest.raises(ContractError, match=r"They fit time_format='%d/%m/%Y'\. State it"):
        read(till("1,25/04/2026,1,A\n1,26/04/2026,1,A\n1,04/13/2026,1,A\n"))


def test_halves_of_the_day_are_read_in_korean_chinese_and_japanese(till: Till) -> None:
    texts = [
        "2026-03-01 오후 2:05",
        "2026-03-01 오전 12:05",
        "2026-03-01 下午 2:05",
        "2026-03-01 午後 2:05",
        "2026-03-01 PM 2:05",
    ]
    body = "".join(f"1,{text},1,A\n" for text in texts)
    lines, _ = read(till(body), {"time_format": "%Y-%m-%d %p %I:%M"})
    assert lines["hour"].tolist() == [14, 0, 14, 14, 14]


def test_days_of_other_tables_have_their_own_format(till: Till) -> None:
    path = till(b"customer_id,joined\n1,24.12.2025\n2,01.02.2026\n3,\n")
    with pytest.raises(ContractError, match=r"'joined' holds 2 values .* date_format='%d.%m.%Y'"):
        Members.from_extract(read_extract(path))
    members = Members.from_extract(read_extract(path, date_format="%d.%m.%Y")).frame
    assert [str(day)[:10] for day in members["joined"]][:2] == ["2025-12-24", "2026-02-01"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01 04:59", "2026-02-28 4"),
        ("2026-03-01 05:00", "2026-03-01 5"),
        ("2026-03-01 23:59", "2026-03-01 23"),
        ("2026-03-01 24:00:00", "2026-03-01 0"),
        ("2026-03-01 25:10", "2026-03-01 1"),
        ("2026-03-01T28:59:59", "2026-03-01 4"),
    ],
)
def test_a_trading_day_begins_at_its_cutoff(till: Till, text: str, expected: str) -> None:
    lines, _ = read(till(f"1,{text},1,A\n"), {"trading_day_cutoff": "05:00"})
    assert local(lines) == [expected]


@pytest.mark.parametrize("text", ["2026-03-01 29:00", "2026-03-01 37:00", "2026-03-01 25:60"])
def test_hours_past_the_cutoff_are_no_times(till: Till, text: str) -> None:
    _, rejections = read(till(f"1,{text},1,A\n"), {"trading_day_cutoff": "05:00"})
    assert rejections.rows["reason"].tolist() == ["purchased_at is not a time"]


def test_a_trading_day_with_a_format_and_a_zone(till: Till) -> None:
    clock = {"trading_day_cutoff": "04:30", "time_format": "%d/%m/%Y %H:%M"}
    assert local(read(till("1,01/03/2026 25:10,1,A\n1,01/03/2026 04:29,1,A\n"), clock)[0]) == [
        "2026-03-01 1",
        "2026-02-28 4",
    ]
    clock = {"trading_day_cutoff": "04:00", "recorded_in": "UTC", "time_zone": "Asia/Seoul"}
    assert local(read(till("1,2026-03-01 18:30,1,A\n"), clock)[0]) == ["2026-03-01 3"]


def test_until_is_a_trading_day(till: Till) -> None:
    lines, _ = read(till("1,2027-01-01 02:00,1,A\n"), {"trading_day_cutoff": "05:00"})
    assert local(lines) == ["2026-12-31 2"]


@pytest.mark.parametrize("cutoff", ["5", "24:00", "13:00", "00:00", "05:60", "noon"])
def test_a_cutoff_is_a_time_before_noon(till: Till, cutoff: str) -> None:
    with pytest.raises(ConfigError, match="is not a time after midnight"):
        read(till(SOUND), {"trading_day_cutoff": cutoff})


# -- All of it at once -----------------------------------------------------------------------------------------------


def test_reading_in_threads_gives_each_its_own(tmp_path: Path) -> None:
    found: dict[int, int] = {}

    def load(n: int) -> None:
        path = tmp_path / f"{n}.csv"
        path.write_bytes((HEADER + SOUND * n).encode("utf-16"))
        found[n] = read(path)[1].rows_read

    threads = [threading.Thread(target=load, args=(n,)) for n in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {1: 1, 2: 2, 3: 3}
