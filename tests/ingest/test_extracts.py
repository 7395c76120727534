"""Reading extracts: what a file is, where its rows stand, and what is refused rather than misread."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from crmkit import Members, Transactions, read_extract
from crmkit.engine.duckdb import DuckDBEngine
from crmkit.exceptions import ConfigError, ContractError, ExtractError, NoInputError, SourceChangedError
from crmkit.ingest.times import TimeRules

HEADER = "customer_id,purchased_at,amount,category\n"
SOUND = "0077,2026-03-01 10:00,1.50,A\n"
FAULTY = "x,soon,1,A\n"
WORKBOOK = b"PK\x03\x04\x14\x00\x06\x00" + bytes(range(256))

Split = Callable[..., tuple[pd.DataFrame, object]]


def places(rejections) -> list[tuple[int, int]]:
    return list(zip(rejections.rows["record"], rejections.rows["line"], strict=True))


# -- where rows stand ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (SOUND + FAULTY, [(2, 3)]),
        (SOUND + FAULTY.strip(), [(2, 3)]),
        ('1,2026-01-01,1,"A\nB"\n' + FAULTY, [(2, 4)]),
        ("\n\n" + SOUND + "\n" + FAULTY + "\n", [(2, 6)]),
        ("short,1\n" + SOUND + "l,2026-01-01,1,A,more\n" + FAULTY, [(1, 2), (3, 4), (4, 5)]),
        ('1,2026-01-01,1,"A\n\nB"\n\nshort,1\n' + FAULTY, [(2, 6), (3, 7)]),
        ('1,2026-01-01,1,"A\u2028B\x0b\x0c\x85"\n\n' + FAULTY, [(2, 4)]),
        ('1,soon,1,"A\nB"\n2,soon,1,"say ""A"",\nB"\nshort\n3,soon,1,C\n', [(1, 2), (2, 4), (3, 6), (4, 7)]),
    ],
    ids=[
        "plain",
        "no final newline",
        "newline in quotes",
        "blank lines",
        "ragged",
        "all three",
        "unicode breaks",
        "many",
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf", b"\xef\xbb\xbf\xef\xbb\xbf"], ids=["", "BOM", "two BOMs"])
def test_record_and_physical_line_are_right(split: Split, body: str, expected: list, end: str, mark: bytes) -> None:
    _, rejections = split(mark + (HEADER + body).replace("\n", end).encode())
    assert places(rejections) == expected


def test_a_conflicting_line_is_named_by_its_place_in_its_file(tmp_path: Path) -> None:
    head = "customer_id,purchased_at,amount,order_id,line_id\n"
    (tmp_path / "a.csv").write_text(head + "1,2026-01-01,1.00,r1,1\n")
    (tmp_path / "b.csv").write_text(head + "torn\n\n1,2026-01-01,1.00,r1,1\n1,2026-01-01,9.00,r1,1\n")
    _, rejections = Transactions.split_extract(read_extract(tmp_path / "*.csv"), until="2026-12-31")
    told = rejections.rows[["file", "record", "line", "reason"]].to_numpy().tolist()
    assert told == [
        ["b.csv", 1, 2, "fields do not match the header"],
        ["b.csv", 3, 5, "line_id repeats with other content"],
    ]
    assert (rejections.rows_duplicate, rejections.amount_duplicate) == (1, Decimal("1.00"))


def test_a_large_file_keeps_its_places(till: Callable[..., Path]) -> None:
    odd = {1_000: 'x,soon,1,"A\nB"\n', 150_000: "short\n", 299_000: "\n", 299_999: "x,soon,1,last\n"}
    rows = [odd.get(number, f"{number},2026-01-01 10:00:00,1.00,{'A' * 120}\n") for number in range(300_000)]
    _, rejections = Transactions.split_extract(read_extract(till("".join(rows))), until="2026-12-31")
    assert rejections.rows_read == 299_999
    assert places(rejections) == [(1_001, 1_002), (150_001, 150_003), (299_999, 300_002)]


def test_a_header_without_rows_is_zero_rows(split: Split) -> None:
    for body in ("", "\n\n"):
        lines, rejections = split(body)
        assert (len(lines), rejections.rows_read, str(rejections.amount_read)) == (0, 0, "0.0000")
    lines, rejections = split(HEADER.strip().encode())
    assert (len(lines), rejections.rows_read) == (0, 0)


# -- what is read as it stands ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "categories"),
    [
        ('1,2026-01-01,1,TV 32" LED\n2,2026-01-01,1,"B"\n', ['TV 32" LED', "B"]),
        ('1,2026-01-01,1,"TV 32"" LED"\n', ['TV 32" LED']),
        ('1,2026-01-01,1, "TV, LED"\n', ["TV, LED"]),
        ("1,2026-01-01,1,A,\n2,2026-01-01,1,B,\n", ["A", "B"]),
        ("#1,2026-01-01,1,A\n#2,2026-01-01,1,B\n", ["A", "B"]),
        ("1,2026-01-01,1,None\n2,2026-01-01,1,NA\n", ["None", "NA"]),
        ("1,2026-01-01,1,A\r\n2,2026-01-01,1,B\n3,2026-01-01,1,C\r\n", ["A", "B", "C"]),
        ('1,2026-01-01,1,"A\r\nB"\n2,2026-01-01,1,C\n', ["A\nB", "C"]),
    ],
    ids=["inch", "doubled", "after space", "trailing comma", "hash", "words for null", "mixed ends", "CRLF in quotes"],
)
def test_odd_rows_are_read_as_they_stand(split: Split, body: str, categories: list[str]) -> None:
    lines, rejections = split(body)
    assert rejections.rows_rejected == 0
    assert lines["category"].tolist() == categories


def test_carriage_returns_alone_end_lines(split: Split) -> None:
    lines, rejections = split((HEADER + SOUND + FAULTY + SOUND).replace("\n", "\r").encode())
    assert (len(lines), places(rejections)) == (2, [(2, 3)])


def test_a_carriage_return_inside_a_row_ends_the_row(split: Split) -> None:
    _, rejections = split(SOUND + "78,2026-03-01,2\rx,A\n" + SOUND)
    assert (rejections.rows_read, places(rejections)) == (4, [(2, 3), (3, 4)])


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_that_splits_the_header(till: Callable[..., Path], delimiter: str) -> None:
    names = delimiter.join(['"a,b;c|d"', "customer_id", "e"])
    assert read_extract(till(names.encode())).columns == ("a,b;c|d", "customer_id", "e")


def test_columns_without_a_name_are_called_by_their_place(split: Split, till: Callable[..., Path]) -> None:
    assert read_extract(till(b",a,b,\n")).columns == ("unnamed 1", "a", "b", "unnamed 4")
    lines, _ = split(b",customer_id,purchased_at,amount,\n0,77,2026-01-01,1.50,\n")
    assert lines["customer_id"].tolist() == ["77"]


def test_gzip_is_told_by_content_not_by_name(split: Split) -> None:
    packed = gzip.compress((HEADER + SOUND).encode())
    for content, name in [(packed, "till.csv"), (SOUND, "till.csv.gz"), (packed, "till.gz"), (packed * 1, "till.txt")]:
        lines, rejections = split(content, name)
        assert (len(lines), rejections.rows_read) == (1, 1)


@pytest.mark.parametrize("name", ["o'clock.csv", 'a"b.csv', "a[1].csv", "a b.csv", "a*b.csv", "a?b.csv", "a{b}%s;.csv"])
def test_any_file_name_is_that_file_only(till: Callable[..., Path], split: Split, name: str) -> None:
    for decoy in ("a1.csv", "axb.csv"):
        till(FAULTY * 3, decoy)
    lines, rejections = split(SOUND, name)
    assert (len(lines), rejections.rows_read) == (1, 1)


def test_parquet_under_any_name(till: Callable[..., Path], split: Split) -> None:
    file = io.BytesIO()
    pd.DataFrame({"customer_id": ["1"], "purchased_at": ["2026-01-01"], "amount": [1.0]}).to_parquet(file)
    for name in ("p.parquet", "p[1]*.csv"):
        assert len(split(file.getvalue(), name)[0]) == 1


def test_columns_may_stand_in_another_order_and_be_added(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("customer_id,purchased_at,amount\n1,2026-01-01,1.00\n")
    (tmp_path / "2.csv").write_text("amount,category,customer_id,purchased_at,more\n2.00,Milk,2,2026-02-01,x\n")
    log = Transactions.from_extract(read_extract(tmp_path / "*.csv"), until="2026-12-31")
    lines = pd.read_parquet(log.lines).sort_values("file")
    assert lines[["customer_id", "category"]].astype(object).fillna("-").to_numpy().tolist() == [
        ["1", "-"],
        ["2", "Milk"],
    ]


def test_head_shows_text(till: Callable[..., Path]) -> None:
    extract = read_extract(till(SOUND * 9))
    assert extract.head(2)["customer_id"].tolist() == ["0077", "0077"]
    assert repr(extract) == "Extract of 1 part (till.csv) with columns customer_id, purchased_at, amount, category"


# -- rejected, with a reason -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", ['78,2026-03-01,2,"Milk', '78,2026-03-01,2,"TV" LED\n', '78,2026-03-01,2,"a \\" b"\n'])
def test_a_row_with_a_stray_quote_is_rejected(split: Split, body: str) -> None:
    lines, rejections = split(SOUND + body)
    assert len(lines) == 1
    assert rejections.rows["reason"].tolist() == ["a quote is not closed where its field ends"]


def test_rows_between_stray_quotes_are_rejected_not_lost(split: Split) -> None:
    lines, rejections = split(SOUND + '78,2026-03-01,2,"Milk\n' + SOUND + '79,2026-03-01,2,"Milk"\n' + SOUND)
    assert (len(lines), places(rejections)) == (2, [(2, 3)])


@pytest.mark.parametrize("size", [1, 20_000])
def test_a_quote_that_is_never_closed_is_an_error(split: Split, size: int) -> None:
    with pytest.raises(ExtractError, match="record on line 3 does not end; a quote is opened in it"):
        split(SOUND + '78,2026-03-01,2,"Milk\n' + SOUND * size)


def test_a_row_of_megabytes_is_rejected(split: Split) -> None:
    lines, rejections = split("1,2026-01-01,1," + "M" * 3_000_000 + "\n" + SOUND)
    assert (len(lines), rejections.rows["reason"].tolist()) == (1, ["the row is longer than 2,000,000 bytes"])


def test_nul_characters_are_rejected(split: Split) -> None:
    lines, rejections = split("7\x008,2026-03-01,2,A\n78,2026-03-01,2,Mi\x00lk\n" + SOUND)
    assert len(lines) == 1
    assert [reason[-21:] for reason in rejections.rows["reason"]] == ["holds a NUL character"] * 2


def test_ids_do_not_hold_line_breaks(split: Split) -> None:
    _, rejections = split('"7\n8",2026-03-01,2,A\n')
    assert rejections.rows["reason"].tolist() == ["customer_id holds a line break"]


# -- refused, nothing loaded -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty: the delivery failed"),
        (gzip.compress(b"", mtime=0), "starts with an empty line"),
        (b"\n\n\n", "starts with an empty line"),
        (b"\n" + (HEADER + SOUND).encode(), "starts with an empty line"),
        (b'{\n"customer_id": "1", "amount": 1}\n', r"is JSON, but line 1 is not an object"),
        (b'[{"customer_id": "1"}]', "is a JSON array, not one object per line"),
        (b"[\n", "is a JSON array"),
        (b"{}\n", "is JSON without a single name"),
        (WORKBOOK, "is a broken archive"),
        (gzip.compress(WORKBOOK, mtime=0), "is an archive inside another"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "cannot be read as a workbook"),
        (b"<!DOCTYPE html><table>", "is HTML or XML"),
        (b"\n\n <html>", "is HTML or XML|starts with an empty line"),
        (b"%PDF-1.7\n", "is a PDF document"),
        (b"\x28\xb5\x2f\xfd1234", "is compressed with zstandard"),
        ((HEADER + SOUND).encode("utf-16-le"), "is UTF-16 text"),
        ((HEADER + SOUND).encode("utf-16-be"), "is UTF-16 text"),
        (("käse," + HEADER).encode("latin-1"), r"not UTF-8 text \(byte 1, on line 1\)"),
        (
            (HEADER + SOUND * 40_000 + "78,2026-01-01,1,K").encode() + b"\xe4se\n",
            r"not UTF-8 text \(byte 1,160,058, on line 40,002\)",
        ),
        ((HEADER + "78,2026-01-01,1,K").encode() + b"\xc3", "not UTF-8 text"),
        (b'customer_id,"amount\n1,2\n', "line of column names cannot be read"),
        (b"customer_id,amount,amount\n", r"has a column name twice .*\['amount'\]"),
        (b"customer_id,amount, Amount\n", r"has a column name twice .*\['Amount', 'amount'\]"),
        (b"PAR1 cut short", "is a broken Parquet file"),
        (gzip.compress((HEADER + SOUND * 9_999).encode(), mtime=0)[:-9], "ended early, after byte"),
        (gzip.compress((HEADER + SOUND * 9_999).encode(), mtime=0)[:15], "ended early, after byte 0 "),
        (gzip.compress((HEADER + SOUND).encode(), mtime=0) + b"more", "ended early|cannot be read"),
    ],
)
def test_what_is_not_a_table_is_refused(split: Split, content: bytes, message: str) -> None:
    with pytest.raises(ExtractError, match=message):
        split(content)


def test_a_damaged_gzip_is_refused(split: Split) -> None:
    noise = "".join(f"{number},2026-03-01,1,{os.urandom(20).hex()}\n" for number in range(2_000))
    packed = bytearray(gzip.compress((HEADER + noise).encode()))
    for place in (len(packed) // 2, len(packed) - 6):
        broken = packed.copy()
        broken[place] ^= 255
        with pytest.raises(ExtractError, match=r"ended early|not UTF-8"):
            split(bytes(broken))


def test_no_match_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(NoInputError, match=r"No file matches .*nothing\*\.csv"):
        read_extract(tmp_path / "nothing*.csv")
    with pytest.raises(NoInputError, match="No file matches"):
        read_extract(tmp_path)
    with pytest.raises(NoInputError, match="No file matches"):
        read_extract(tmp_path / "till.csv")
    with pytest.raises(ExtractError, match="list of files is empty"):
        read_extract([])


def test_a_delimiter_is_one_character(till: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match="is not one character"):
        read_extract(till(SOUND), delimiter="||")


@pytest.mark.parametrize("thing", [None, 5, {"customer_id": ["1"]}, [pd.DataFrame()], pd.Series([1]), pl.Series([1])])
def test_what_is_not_a_dataframe_is_refused(thing: object) -> None:
    with pytest.raises(ExtractError, match=r"is not a table crmkit can read|has no columns with names"):
        read_extract(thing)


def test_a_file_that_grows_while_it_is_read_is_refused(
    till: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, read = till(SOUND), DuckDBEngine.csv

    def read_and_grow(*arguments: object) -> object:
        found = read(*arguments)
        with path.open("a") as file:
            file.write(SOUND)
        return found

    monkeypatch.setattr(DuckDBEngine, "csv", read_and_grow)
    with pytest.raises(SourceChangedError, match=r"till\.csv changed while it was read"):
        Transactions.split_extract(read_extract(path), until="2026-12-31")


def test_a_file_replaced_after_it_was_named_is_refused(till: Callable[..., Path]) -> None:
    extract = read_extract(till(SOUND))
    till(b"purchased_at,customer_id,amount,category\n2026-03-01,0077,1.50,A\n")
    with pytest.raises(SourceChangedError, match="has other columns than when it was named"):
        Transactions.split_extract(extract, until="2026-12-31")


def test_the_second_count_finds_a_lost_row(till: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    read = DuckDBEngine.csv

    def read_and_lose(self: DuckDBEngine, *arguments: object) -> object:
        staged, broken = read(self, *arguments)
        return self.stage(f"select * from {staged} limit 1"), broken

    monkeypatch.setattr(DuckDBEngine, "csv", read_and_lose)
    with pytest.raises(ExtractError, match="1 rows were read where 2 were counted"):
        Transactions.split_extract(read_extract(till(SOUND * 2)), until="2026-12-31")


def test_errors_of_the_engine_show_no_row(till: Callable[..., Path]) -> None:
    table = pa.table(
        {"customer_id": ["1"], "purchased_at": ["2026-01-01"], "amount": pa.array([Decimal(1)], pa.decimal256(50, 2))}
    )
    with pytest.raises(ExtractError, match="dataframe cannot be read") as caught:
        Transactions.split_extract(table, until="2026-12-31")
    assert "\n" not in str(caught.value)


# -- columns ---------------------------------------------------------------------------------------------------------


def test_a_name_in_other_capitals_is_suggested(till: Callable[..., Path]) -> None:
    extract = read_extract(till(b"Customer ID,Till Time,Amount \n1,2026-01-01,1\n"))
    with pytest.raises(ContractError, match="customer_id='Customer ID'"):
        Transactions.split_extract(extract, until="2026-12-31")
    with pytest.raises(ContractError, match=r"'till_time' \(for purchased_at; did you mean 'Till Time'\)"):
        Transactions.split_extract(extract, until="2026-12-31", purchased_at="till_time")


def test_an_unknown_contract_column_is_suggested(till: Callable[..., Path]) -> None:
    with pytest.raises(ContractError, match="did you mean 'quantity'"):
        Transactions.split_extract(read_extract(till(SOUND)), until="2026-12-31", quantitty="amount")


def test_a_column_renamed_in_a_later_file_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "2026-01.csv").write_text("card_no,purchased_at,amount\n1,2026-01-01,1\n")
    (tmp_path / "2026-07.csv").write_text("card_number,purchased_at,amount\n1,2026-07-01,1\n")
    with pytest.raises(ContractError, match=r"'card_no' \(for customer_id.*2026-07.csv has \['card_number'"):
        Transactions.split_extract(read_extract(tmp_path / "*.csv"), until="2026-12-31", customer_id="card_no")


def test_a_file_without_header_is_refused(split: Split) -> None:
    with pytest.raises(ContractError, match="seems to have no header"):
        split(SOUND.encode())


@pytest.mark.parametrize(
    "values", [[[1], [2]], [{"a": 1}, {"a": 2}], [b"\xff", b"1"]], ids=["lists", "structs", "bytes"]
)
def test_nested_values_are_refused(values: list) -> None:
    table = pa.table({"customer_id": values, "purchased_at": ["2026-01-01"] * 2, "amount": [1, 2], "other": [[1], [2]]})
    with pytest.raises(ContractError, match="must hold single values"):
        Transactions.split_extract(table, until="2026-12-31")


# -- ids, amounts, times ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("0077", "0077"),
        (" 0077\t", "0077"),
        ("12345.0", "12345"),
        ("12345.00", "12345"),
        ("-1.0", "-1"),
        ("12345.50", "12345.50"),
        ("9007199254740993", "9007199254740993"),
        ("98765432109876543210987", "98765432109876543210987"),
        ("1E12", "1E12"),
        ("A.B_E+X", "A.B_E+X"),
    ],
)
def test_ids_stay_text(split: Split, text: str, kept: str) -> None:
    lines, _ = split(f"{text},2026-01-01,1,A\n")
    assert lines["customer_id"].tolist() == [kept]


@pytest.mark.parametrize("text", ["1.23E+12", "1E+12", "1.23e12", "1e+20", "9.0071992547409930e+15"])
def test_ids_in_powers_of_ten_are_rejected(split: Split, text: str) -> None:
    lines, rejections = split(f"{text},2026-01-01,1,A\n")
    assert (len(lines), rejections.rows["reason"].tolist()) == (0, ["customer_id lost its digits (1.2E+12)"])
    assert rejections.rows["value"].isna().all(), "ids are persons"


@pytest.mark.parametrize("text", ["", "  ", "\t", "\u00a0", '""'])
def test_white_space_is_no_customer(split: Split, text: str) -> None:
    _, rejections = split(f"{text},2026-01-01,1,A\n")
    assert rejections.rows["reason"].tolist() == ["customer_id is missing"]


@pytest.mark.parametrize("dtype", ["int64", "float64", "Int64", "float32", "object"])
def test_whole_numbers_as_ids_are_the_same_ids(split: Split, dtype: str) -> None:
    frame = pd.DataFrame(
        {"customer_id": pd.Series([12345, 7]).astype(dtype), "purchased_at": "2026-01-01", "amount": 1}
    )
    assert split(frame)[0]["customer_id"].tolist() == ["12345", "7"]


@pytest.mark.parametrize(("dtype", "exact"), [("float64", 2**53), ("float32", 2**24)])
def test_float_ids_beyond_exact_whole_numbers_are_rejected(split: Split, dtype: str, exact: int) -> None:
    ids = np.array([exact - 1, exact, np.nan, np.inf], dtype=dtype)
    frame = pl.DataFrame({"customer_id": ids, "purchased_at": ["2026-01-01"] * 4, "amount": ids})
    lines, rejections = split(frame)
    assert lines["customer_id"].tolist()[:1] == [str(exact - 1)][: len(lines)]
    assert "customer_id lost its digits (1.2E+12)" in rejections.rows["reason"].tolist()


def test_object_columns_with_late_text_keep_their_zeros(split: Split) -> None:
    ids = [5] * 30_000 + ["0077", "K77", np.nan, None, pd.NA]
    frame = pd.DataFrame({"customer_id": pd.Series(ids, dtype=object), "purchased_at": "2026-01-01", "amount": 1})
    lines, rejections = split(frame)
    assert (lines["customer_id"].dropna().tolist()[-2:], rejections.rows_rejected) == (["0077", "K77"], 3)


@pytest.mark.parametrize(
    "text",
    ["inf", "-inf", "nan", "NaN", "1e400", "0x1F", "1_000", "true", '"1,50"', '"1,234.50"', "1.234.50", "$3.00", "5 €",
     "--1", "-5-", "(-5.00)", "1e", "."],
)  # fmt: skip
def test_amounts_that_are_not_numbers_are_rejected(split: Split, text: str) -> None:
    lines, rejections = split(f"1,2026-01-01,{text},A\n{SOUND}")
    assert (len(lines), rejections.rows["reason"].tolist()) == (1, ["amount is not a number"])
    assert rejections.rows["value"].tolist() == [text.strip('"')]
    assert rejections.amount_read == rejections.amount_used == Decimal("1.5")


@pytest.mark.parametrize("text", ["1000000000001", "-1e13", "99999999999999", "1e14", "1e30"])
def test_amounts_beyond_all_reason_are_rejected(split: Split, text: str) -> None:
    _, rejections = split(f"1,2026-01-01,{text},A\n")
    assert rejections.rows["reason"].tolist() == ["amount is beyond 1,000,000,000,000"]


@pytest.mark.parametrize(
    ("text", "amount"),
    [("-0", "0"), ("+5", "5"), ("1e3", "1000"), (".5", "0.5"), ("1.", "1"), (" 7 ", "7"), ("1e-9", "0"), ("0.00005", "0.0001"), ("1000000000000", "1000000000000")],
)  # fmt: skip
def test_amounts_are_read_exactly(split: Split, text: str, amount: str) -> None:
    lines, _ = split(f"1,2026-01-01,{text},A\n")
    assert lines["amount"].tolist() == [Decimal(amount)]


@pytest.mark.parametrize(
    "text",
    ["1772359200", "24:00:00",
     "2026-03-01 24:00:00", "2026-03-01 25:10", "2025-02-29", "2026-13-01", "0000-00-00", "now", "infinity", "epoch",
     "2026-03-01 10:00:60", "2026-03-01 10:00 UTC", "2026-03-01 10:00 Europe/Berlin",
     "2026-03-01 (BC)", "2026-W09-1", "2026-03-01 10", "290000-01-01"],
)  # fmt: skip
def test_times_are_never_guessed(split: Split, text: str) -> None:
    for zone in ({}, {"time_zone": "Asia/Seoul"}):
        _, rejections = split(f"1,{text},1,A\n", **zone)
        assert rejections.rows[["reason", "value"]].to_numpy().tolist() == [["purchased_at is not a time", text]]


@pytest.mark.parametrize("text", ["1900-01-01", "9999-12-31", "0001-01-01", "1970-01-01"])
def test_placeholder_dates_are_rejected(split: Split, text: str) -> None:
    _, rejections = split(f"1,{text},1,A\n")
    assert rejections.rows["reason"].tolist() == ["purchased_at is a placeholder date"]


def test_days_after_until_are_rejected(split: Split) -> None:
    lines, rejections = split("1,2026-12-31 23:59:59.999,1,A\n1,2027-01-01,1,A\n")
    assert (len(lines), rejections.rows["reason"].tolist()) == (1, ["purchased_at is after 2026-12-31"])


@pytest.mark.parametrize(
    "text",
    ["2026-03-04", "2026/03/04", "2026-3-4", "2026-03-04T10:00", "2026-03-04 10:00:00.123456789", " 2026-03-04 "],
)
def test_times_written_year_first_are_read(split: Split, text: str) -> None:
    lines, _ = split(f"1,{text},1,A\n")
    assert lines["day"].tolist() == [(date(2026, 3, 4) - date(1970, 1, 1)).days]


def test_a_time_format_settles_day_and_month(split: Split) -> None:
    body = "1,03/04/2026,1,A\n1,25/04/2026,1,A\n1,04/25/2026,1,A\n"
    lines, rejections = split(body, time_format="%d/%m/%Y")
    assert [str(date.fromordinal(day + 719163)) for day in lines["day"]] == ["2026-04-03", "2026-04-25"]
    assert rejections.rows["value"].tolist() == ["04/25/2026"]
    with pytest.raises(ConfigError, match="'%Q' is not a format"):
        split(body, time_format="%Q")


def test_a_time_format_does_not_touch_what_is_a_time_already(split: Split) -> None:
    frame = pd.DataFrame({"customer_id": ["1"], "purchased_at": pd.to_datetime(["2026-03-04 05:00"]), "amount": [1]})
    assert split(frame, time_format="%d/%m/%Y")[0]["hour"].tolist() == [5]


# -- zones -----------------------------------------------------------------------------------------------------------


def local(lines: pd.DataFrame) -> list[str]:
    return [f"{date.fromordinal(day + 719163)} {hour}" for day, hour in zip(lines["day"], lines["hour"], strict=True)]


def test_times_recorded_in_utc_move_to_the_shop(split: Split) -> None:
    body = "1,2026-03-08 04:59:00,1,A\n1,2026-03-08 06:59:00,1,A\n1,2026-03-08 07:01:00,1,A\n1,2026-11-01 05:30:00,1,A\n1,2026-11-01 06:30:00,1,A\n"
    lines, _ = split(body, recorded_in="UTC", time_zone="America/New_York")
    assert local(lines) == ["2026-03-07 23", "2026-03-08 1", "2026-03-08 3", "2026-11-01 1", "2026-11-01 1"]


@pytest.mark.parametrize(
    "text",
    [
        "2026-06-01T02:30:00Z",
        "2026-06-01 02:30Z",
        "2026-06-01 04:30:00+02:00",
        "2026-05-31 22:30:00-0400",
        "2026-06-01 08:00:00 +0530",
        "2026-06-01 02:30:00.5+00",
    ],
)
def test_offsets_move_to_the_shop(split: Split, text: str) -> None:
    lines, rejections = split(f"1,{text},1,A\n", time_zone="America/New_York")
    assert rejections.rows_rejected == 0
    assert local(lines) == ["2026-05-31 22"]


def test_times_without_offset_among_others_are_the_shops_or_as_recorded(split: Split) -> None:
    body = "1,2026-06-01 02:30,1,A\n1,2026-06-01T02:30Z,1,A\n"
    assert local(split(body, time_zone="America/New_York")[0]) == ["2026-06-01 2", "2026-05-31 22"]
    both = split(body, time_zone="America/New_York", recorded_in="UTC")[0]
    assert local(both) == ["2026-05-31 22", "2026-05-31 22"]


@pytest.mark.parametrize("text", ["2026-06-01T02:30:00Z", "2026-06-01 04:30+02", "2026-06-01 04:30:00 +0200"])
def test_offsets_without_a_zone_are_refused(split: Split, text: str) -> None:
    with pytest.raises(ContractError, match="states offsets from UTC"):
        split(SOUND + f"1,{text},1,A\n")
    frame = pd.DataFrame(
        {"customer_id": ["1"], "purchased_at": pd.to_datetime(["2026-06-01"]).tz_localize("UTC"), "amount": [1]}
    )
    with pytest.raises(ContractError, match="states offsets from UTC"):
        split(frame)


def test_formats_with_offsets_move_to_the_shop(split: Split) -> None:
    body, form = "1,03/04/2026 23:30 -0500,1,A\n", "%d/%m/%Y %H:%M %z"
    for recorded in ({}, {"recorded_in": "Asia/Seoul"}):
        assert local(split(body, time_format=form, time_zone="Europe/Berlin", **recorded)[0]) == ["2026-04-04 6"]
    with pytest.raises(ContractError, match=r"reads offsets\. State the shop's zone"):
        split(body, time_format=form)


def test_zones_are_checked(split: Split) -> None:
    with pytest.raises(ConfigError, match="no time zone 'Mars'"):
        split(SOUND, time_zone="Mars")
    with pytest.raises(ContractError, match="recorded_in is given without time_zone"):
        TimeRules(recorded_in="UTC")


def test_a_single_column_is_a_table(till: Callable[..., Path]) -> None:
    members = Members.from_extract(read_extract(till(b"card_no\n0077\n0078\n")), customer_id="card_no")
    assert members.frame["customer_id"].tolist() == ["0077", "0078"]


@pytest.mark.parametrize(
    ("text", "amount"),
    [("5.551115e-17", "0.0000"), ("1e2", "100.0000"), ("1.2345E+1", "12.3450"), ("-2.5e-1", "-0.2500")],
)
def test_a_power_of_ten_is_read_as_it_is_written(split: Split, text: str, amount: str) -> None:
    lines, _ = split(f"1,2026-01-01,{text},Milk\n")
    assert str(lines["amount"][0]) == amount
