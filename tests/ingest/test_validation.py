"""What a hostile trial of reading found: files that count as one, numbers read wrong, headers that are values, and the rest."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import closing
from datetime import date
from decimal import Decimal
from pathlib import Path
from sqlite3 import connect

import pandas as pd
import pytest
import xlsxwriter

from crmkit import ContractError, ExtractError, Members, Store, Transactions, read_extract
from crmkit.ingest.column_inference import guessed
from crmkit.ingest.encodings import likely_first
from crmkit.ingest.parts import are_values
from crmkit.pipeline.check import check_files
from crmkit.pipeline.config import read_config

NAMES = "customer_id,purchased_at,amount"
HEADER = f"{NAMES},category\n"
SOUND = "0077,2026-03-01 10:00,1.50,A\n"
NO = "amount is not a number"

Till = Callable[..., Path]
Split = Callable[..., tuple[pd.DataFrame, object]]


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "crmkit", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def read(source: object, until: str = "2026-12-31", **options: str) -> tuple[pd.DataFrame, object]:
    extract = source if hasattr(source, "parts") else read_extract(source)
    log, rejections = Transactions.split_extract(extract, until=until, **options)
    return pd.read_parquet(log.lines).sort_values(["file", "record"], ignore_index=True), rejections


def written(folder: Path, **files: str) -> list[Path]:
    for name, content in files.items():
        (folder / f"{name}.csv").write_text(content, encoding="utf-8")
    return [folder / f"{name}.csv" for name in files]


# -- Duplicates -----------------------------------------------------------------------------------------------------


def in_folders(home: Path, *names: str) -> Path:
    for name in names:
        (home / name).mkdir(parents=True)
        (home / name / "x.csv").write_text(HEADER + SOUND)
    return home


def test_equal_files_of_two_stores_are_two_deliveries(tmp_path: Path) -> None:
    lines, rejections = read(in_folders(tmp_path / "st", "store=A", "store=B"))
    assert sorted(lines["store"]) == ["A", "B"]
    assert (rejections.rows_used, rejections.rows_duplicate) == (2, 0)
    _, again = read([tmp_path / "st" / "store=A", tmp_path / "st" / "store=A" / "x.csv"])
    assert (again.rows_used, again.rows_duplicate) == (1, 1)  # named twice without its folder's column
    lines, mapped = read(in_folders(tmp_path / "f", "filiale=A", "filiale=B"), store="filiale")
    assert sorted(lines["store"]) == ["A", "B"]
    assert mapped.rows_used == 2


def test_a_folder_that_says_nothing_about_the_rows_does_not_make_a_file_new(tmp_path: Path) -> None:
    _, rejections = read(in_folders(tmp_path / "in", "delivered=2026-03-01", "delivered=2026-03-02"))
    assert (rejections.rows_used, rejections.rows_duplicate) == (1, 1)


def book(path: Path, *sheets: str) -> Path:
    with closing(xlsxwriter.Workbook(path)) as made:
        for month, name in enumerate(sheets, start=1):
            sheet = made.add_worksheet(name)
            sheet.write_row(0, 0, NAMES.split(","))
            sheet.write_row(1, 0, ["77", f"2026-{month:02d}-15", 1.5])
    return path


def test_two_sheets_of_a_workbook_are_two_deliveries(tmp_path: Path) -> None:
    path, store = book(tmp_path / "b.xlsx", "Jan", "Feb"), Store(tmp_path / "store")
    told = [store.load(read_extract(path, sheet=sheet), until="2026-12-31") for sheet in ("Jan", "Feb", "Jan")]
    assert [one.rows_used for one in told] == [1, 1, 0]
    assert told[2].rows_duplicate == 1


def test_a_plain_file_keeps_its_own_sha256(tmp_path: Path) -> None:
    import hashlib

    (path,) = written(tmp_path, till=HEADER + SOUND)
    for file in (path, book(tmp_path / "one.xlsx", "Jan")):
        _, rejections = read(file)
        assert rejections.files["sha256"].tolist() == [hashlib.sha256(file.read_bytes()).hexdigest()]


# -- Numbers ---------------------------------------------------------------------------------------------------------


def amounts(till: Till, *texts: str, **options: str) -> list[str]:
    body = "".join(f'{n},2026-01-01,"{text}",A\n' for n, text in enumerate(texts))
    lines, rejections = read(read_extract(till(body), **options))
    told = dict(zip(rejections.rows["record"] - 1, rejections.rows["reason"], strict=True))
    sums = {int(n): f"{amount.normalize():f}" for n, amount in zip(lines["customer_id"], lines["amount"], strict=True)}
    return [told.get(n) or sums[n] for n in range(len(texts))]


@pytest.mark.parametrize(
    ("options", "texts", "expected"),
    [
        ({"thousands": ","}, ["0,123", "-0,123", "000,123", "1,234", "0", "0.5"], [NO, NO, NO, "1234", "0", "0.5"]),
        (
            {"decimal": ",", "thousands": "."},
            ["0.500", "00.500", "10.500", "0,5", "0", "0,500"],
            [NO, NO, "10500", "0.5", "0", "0.5"],
        ),
        ({"thousands": " "}, ["0 123", "1 234"], [NO, "1234"]),
    ],
)
def test_groups_of_three_do_not_begin_with_zero(
    till: Till, options: dict[str, str], texts: list[str], expected: list[str]
) -> None:
    assert amounts(till, *texts, **options) == expected
    assert "thousands" not in guessed([str(till('1,2026-01-01,"0,123",A\n'))]).settings


@pytest.mark.parametrize(
    ("options", "texts", "expected"),
    [
        ({}, ["12.50-", "(12.50)", "\u221212.50", "12-"], ["-12.5", "-12.5", "-12.5", "-12"]),
        ({}, ["-12.50-", "(-1)", "-(1)", "(1", "1)", "()", "-", "1\u2212", "((1))", "( 1)", "(1e3)", "1--"], [NO] * 12),
        ({"decimal": ",", "thousands": "."}, ["1.234,56-", "(1.234,56)", "\u22121.234,56"], ["-1234.56"] * 3),
        (
            {"currency": "EUR", "decimal": ","},
            ["€1,50-", "1,50-€", "1,50 €-", "(€ 1,50)", "(1,50 €)", "\u2212€1,50", "€\u22121,50"],
            ["-1.5"] * 7,
        ),
        ({"currency": "EUR", "decimal": ","}, ["-€1,50-", "(€1,50€", "€-"], [NO] * 3),
    ],
)
def test_numbers_below_zero_in_all_their_ways(
    till: Till, options: dict[str, str], texts: list[str], expected: list[str]
) -> None:
    assert amounts(till, *texts, **options) == expected


@pytest.mark.parametrize("text", ["1.000-", "(1.000)", "\u22121.000"])
def test_below_zero_too_thousands_are_not_guessed(till: Till, text: str) -> None:
    with pytest.raises(ContractError, match="may be thousands or three decimals"):
        amounts(till, text, text)


@pytest.mark.parametrize(
    ("quantity", "price", "amount"),
    [
        ("8000000", "2500", "20000000000"),
        ("1e3", "99999999", "99999999000"),
        ("1000000", "1000000", "1000000000000"),
        ("-0.3333", "0.3333", "-0.1111"),
        ("999999.9999", "999999.9999", "999999999800.0000"),
        ("1000000", "1000000.01", None),
        ("99999999999999", "0.0001", None),
        ("8801234567890", "2500", None),
        ("99999999999999", "99999999999999", None),
        ("1e300", "1e300", None),
    ],
)
def test_a_product_is_exact_or_only_its_row_is_rejected(
    till: Till, quantity: str, price: str, amount: str | None
) -> None:
    body = f"customer_id,purchased_at,quantity,unit_price\n1,2026-01-01,{quantity},{price}\n2,2026-01-01,2,2.5\n"
    lines, rejections = read(till(body.encode()))
    expected = [Decimal(amount)] if amount else []
    assert lines["amount"].tolist() == [*expected, Decimal(5)]
    assert len(rejections.rows) == (amount is None)
    assert all("is beyond" in reason or "not a number" in reason for reason in rejections.rows["reason"])


def test_a_product_beyond_all_reason_is_called_so(till: Till) -> None:
    rows = "1,2026-01-01,900000000000,900000000000\n1,2026-01-01,2000000,1000000\n"
    path = till(f"customer_id,purchased_at,quantity,unit_price\n{rows}2,2026-01-01,2,2.5\n".encode())
    _, rejections = read(path)
    assert rejections.rows["reason"].tolist() == ["amount is beyond 1,000,000,000,000"] * 2
    done = command("check", path)
    assert (done.returncode, "2 where amount is beyond" in done.stdout) == (0, True)


# -- Columns that come and go ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("newer_first", [False, True])
@pytest.mark.parametrize("given", ["filiale", "store"])
def test_a_column_may_be_in_some_files_only(tmp_path: Path, newer_first: bool, given: str) -> None:
    files = written(tmp_path, a1=f"{NAMES}\n1,2026-01-01,1.00\n", a2=f"{NAMES},{given}\n2,2026-02-01,2.00,S1\n")
    extract = read_extract(files[::-1] if newer_first else files)
    assert extract.columns == (*NAMES.split(","), given)
    lines, _ = read(extract, store=given)
    assert dict(zip(lines["customer_id"], lines["store"].astype(object).fillna("-"), strict=True)) == {
        "1": "-",
        "2": "S1",
    }


def test_a_gained_column_is_told_by_check(tmp_path: Path) -> None:
    written(tmp_path, a1=f"{NAMES}\n1,2026-01-01,1.00\n", a2=f"{NAMES},Discount\n2,2026-02-01,2.00,0.5\n")
    report = check_files([str(tmp_path)])
    assert report.guess.columns["discount"] == "Discount"
    assert "a1.csv: text in utf-8, fields between ',', without Discount" in str(report)
    assert report.rejections.rows_used == 2


def test_a_name_that_no_file_has_is_refused(tmp_path: Path) -> None:
    files = written(tmp_path, a1=f"{NAMES}\n1,2026-01-01,1.00\n", a2=f"{NAMES},filiale\n2,2026-02-01,2.00,S1\n")
    with pytest.raises(ContractError, match=r"'fliale' \(for store\)"):
        read(read_extract(files), store="fliale")


@pytest.mark.parametrize("newer_first", [False, True])
@pytest.mark.parametrize(
    ("old", "new", "columns", "named"),
    [
        ("category", "kategorie", {}, ("category", "kategorie")),
        ("filiale", "markt", {"store": "filiale"}, ("filiale", "markt")),
        ("filiale", "store", {"store": "filiale"}, ("filiale", "store")),
    ],
)
def test_a_column_that_was_renamed_is_an_error_with_both_names(
    tmp_path: Path, newer_first: bool, old: str, new: str, columns: dict[str, str], named: tuple[str, str]
) -> None:
    files = written(tmp_path, a1=f"{NAMES},{old}\n1,2026-01-01,1.00,A\n", a2=f"{NAMES},{new}\n1,2026-02-01,1.00,A\n")
    with pytest.raises(ContractError) as caught:
        read(read_extract(files[::-1] if newer_first else files), **columns)
    assert f"a2.csv lacks the columns [{named[0]!r}], which a1.csv has, and has [{named[1]!r}] instead" in str(
        caught.value
    )


def test_a_required_column_must_be_in_every_file(tmp_path: Path) -> None:
    files = written(
        tmp_path, a1="card,purchased_at,amount\n1,2026-01-01,1\n", a2="karte,purchased_at,amount\n1,2026-01-01,1\n"
    )
    for order in (files, files[::-1]):
        with pytest.raises(ContractError, match=r"'card' \(for customer_id.*a2.csv has \['karte'"):
            read(read_extract(order), customer_id="card")
    files = written(
        tmp_path,
        b1="customer_id,purchased_at,menge,unit_price\n1,2026-01-01,1,1\n",
        b2="customer_id,purchased_at,anzahl,unit_price\n1,2026-01-01,1,1\n",
    )
    with pytest.raises(ContractError, match=r"'menge' \(for quantity\).*b2.csv has .*'anzahl'"):
        read(read_extract(files), quantity="menge")


# -- Files without a header ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["0077", "2026-03-01 10:00", "1.50", "A"], True),
        (["C-0077", "01-Mar-2026", "milk"], True),
        (["C-0077", "24.12.2026", "milk"], True),
        (["0077", "€1,50", "A"], True),
        (["4711", "unnamed 2", "A"], True),
        (["0077"], True),
        (["card", "2026", "paid"], False),
        (["card", "2026-01", "paid"], False),
        (["unnamed 1", "card", "unnamed 3"], False),
        (["H2O", "3M tape", "A4 5", "no. 7"], False),
        ([], False),
    ],
)
def test_names_that_are_values(names: list[str], expected: bool) -> None:
    assert are_values(names) is expected


@pytest.mark.parametrize("first", ["0077,2026-03-01 10:00,1.50,A", "0077,2026-03-01 10:00,0077,A"])
def test_a_file_without_a_header_shows_no_customer(till: Till, tmp_path: Path, first: str) -> None:
    path = till(f"{first}\n{first.replace('0077', '0078')}\n".encode())
    with pytest.raises((ContractError, ExtractError), match=r"till\.csv seems to have no header") as caught:
        read(path)
    assert "0077" not in str(caught.value)
    (tmp_path / "c.toml").write_text(
        'until = 2026-12-31\n[transactions]\nfiles = "till.csv"\ncolumns = { customer_id = "card" }\n'
    )
    for arguments in (["check", path], ["check", path, "--config", tmp_path / "c.toml"], ["init", path, "--out", "x"]):
        done = command(*arguments)
        assert done.returncode == 65
        assert "seems to have no header" in done.stdout + done.stderr
        assert "0077" not in done.stdout + done.stderr


def test_a_later_file_without_a_header_shows_no_customer(tmp_path: Path) -> None:
    files = written(tmp_path, a=HEADER + SOUND, b="0079,2026-03-02 10:00,1.50,A\n")
    report = check_files([str(file) for file in files])
    assert "b.csv seems to have no header" in report.refused
    assert "0079" not in str(report)


def test_a_header_of_years_is_a_header(tmp_path: Path) -> None:
    (path,) = written(tmp_path, a=f"{NAMES},2025,2026\n1,2026-01-01,1,2,3\n")
    assert read(path)[1].rows_used == 1
    (tmp_path / "c.toml").write_text('until = 2026-12-31\n[transactions]\nfiles = "a.csv"\n')
    for config in (None, read_config(tmp_path / "c.toml")):
        report = check_files([str(path)], config)
        assert (report.refused, report.rejections.rows_used) == ("", 1)
    assert (
        Members.from_extract(read_extract(written(tmp_path, m="customer_id,2025-01-01\n1,x\n")[0])).frame.shape[0] == 1
    )


# -- Nothing left ----------------------------------------------------------------------------------------------------


def test_check_ends_with_65_when_nothing_is_left(till: Till) -> None:
    done = command("check", till("1,1772323200,1,A\n2,1772323201,1,A\n"))
    assert done.returncode == 65
    assert "2 values of 'purchased_at' are written like '1772323200'" in done.stdout
    assert "Deliver all alike, as in 2026-03-01 10:00." in done.stdout
    done = command("check", till("1,soon,1,A\n2,later,1,A\n"))
    assert done.returncode == 65
    assert "every row is rejected.\n" in done.stdout
    done = command("check", till(",2026-01-01,1,A\n"))
    assert (done.returncode, "Check that the right column is named for customer_id" in done.stdout) == (65, True)
    assert command("check", till("1,1772323200,1,A\n2,2026-01-01,1,A\n")).returncode == 0
    assert command("check", till("")).returncode == 0
    assert command("check", till(b"foo,bar\n1,2\n")).returncode == 65


@pytest.mark.parametrize(
    ("values", "form"),
    [
        (["46082", "46083.4375"], "excel"),
        (["01-Mar-2026", "28-FEB-2026"], "%d-%b-%Y"),
        (["1 March 2026 10:30", "2 June 2026 10:30"], "%d %B %Y %H:%M"),
        (["Mar 13, 2026", "Jun 2, 2026"], "%b %d, %Y"),
        ([20260301, 20260302], "%Y%m%d"),
        ([20260301.0, 20260302.0], "%Y%m%d"),
        ([46082.0, 46083.5], "excel"),
    ],
)
def test_a_format_is_advised_where_one_fits(tmp_path: Path, values: list[object], form: str) -> None:
    frame = pd.DataFrame({"customer_id": ["1", "2"], "purchased_at": values, "amount": [1.0, 2.0]})
    path = tmp_path / "p.parquet"
    frame.to_parquet(path)
    report = check_files([str(path)])
    assert report.guess.settings["time_format"] == form
    assert (report.is_loadable, report.rejections.rows_used) == (True, 2)


def test_days_that_came_as_numbers_have_a_format(tmp_path: Path) -> None:
    frame = pd.DataFrame({"customer_id": ["1", "2"], "joined": [20260301, 20251224]})
    frame.to_parquet(tmp_path / "m.parquet")
    with pytest.raises(ContractError, match=r"'joined' holds 2 values .* date_format='%Y%m%d'"):
        Members.from_extract(read_extract(tmp_path / "m.parquet"))
    members = Members.from_extract(read_extract(tmp_path / "m.parquet", date_format="%Y%m%d"))
    assert [str(day)[:10] for day in members.frame["joined"]] == ["2026-03-01", "2025-12-24"]


def test_day_numbers_of_a_spreadsheet_can_be_stated(till: Till) -> None:
    texts = ["46082", "46083.4375", "46083,4375", "46083.99999", "36526", "36525", "73051", "4.6e4", "2026-03-01"]
    body = "".join(f'{n},"{text}",1,A\n' for n, text in enumerate(texts))
    lines, rejections = read(till(body), time_format="excel", until="2100-01-01")
    hours = lines["hour"].fillna(-1).astype(int)  # a whole day number has no time of day
    days = [f"{date.fromordinal(day + 719163)} {hour}" for day, hour in zip(lines["day"], hours, strict=True)]
    assert days == ["2026-03-01 -1", "2026-03-02 10", "2026-03-02 10", "2026-03-02 23", "2000-01-01 -1"]
    assert rejections.rows["value"].tolist() == texts[5:]
    lines, _ = read(
        till("1,46083.0625,1,A\n"),
        time_format="excel",
        time_zone="Asia/Seoul",
        recorded_in="UTC",
        trading_day_cutoff="12:00",
    )
    assert (date.fromordinal(lines["day"][0] + 719163), lines["hour"][0]) == (date(2026, 3, 1), 10)
    with pytest.raises(ContractError, match=r"They fit time_format='excel'\. State it"):
        read(till("1,46083.0625,1,A\n"))


def test_day_numbers_of_a_spreadsheet_in_a_configuration(till: Till, tmp_path: Path) -> None:
    path = till("1,46082,1,A\n2,46083.5,1,A\n")
    assert command("init", path, "--out", tmp_path / "c.toml").returncode == 0
    assert 'time_format = "excel"  # confirm: ' in (tmp_path / "c.toml").read_text()
    report = check_files([str(path)], read_config(tmp_path / "c.toml"))
    assert (report.refused, str(report.days[1])) == ("", "2026-03-02")


def test_day_numbers_of_a_spreadsheet_as_days(tmp_path: Path) -> None:
    (path,) = written(tmp_path, m="customer_id,joined\n1,46082\n2,\n")
    frame = Members.from_extract(read_extract(path, date_format="excel")).frame
    assert str(frame["joined"][0])[:10] == "2026-03-01"


# -- Encodings -------------------------------------------------------------------------------------------------------

WESTERN = {
    "fr": "client;catégorie\n1;Pâtisserie à emporter\n2;Crème fraîche épaisse\n3;Bœuf haché, élevé en plein air\n",
    "es": "cliente;categoría\n1;Jamón ibérico\n2;Piña y plátano\n3;Niño pequeño, pañales\n",
    "de": "Kunde;Warengruppe\n1;Käse und Brötchen\n2;Süßes & Gemüse\n3;Öl, Essig für Salat\n",
    "sv": "kund;varugrupp\n1;Mjölk och ägg\n2;Köttbullar på Åland\n3;Bröd\n",
}
CENTRAL = {
    "pl": "klient;kategoria\n1;Żółty ser\n2;Świeże pieczywo, łosoś wędzony\n3;Mąka pszenna i masło\n",
    "cs": "zákazník;kategorie\n1;Sýry a mléčné výrobky\n2;Čerstvé pečivo, rohlíky\n3;Žitný chléb, křen\n",
}


@pytest.mark.parametrize("language", [*WESTERN, *CENTRAL])
def test_western_text_is_taken_for_western(language: str) -> None:
    encoding = "cp1252" if language in WESTERN else "cp1250"
    content = (WESTERN | CENTRAL)[language].encode(encoding)
    assert likely_first(content, content.partition(b"\n")[0])[0] == encoding


@pytest.mark.parametrize("end", ["le", "be"])
def test_utf16_without_a_mark(till: Till, end: str) -> None:
    path = till((HEADER + SOUND).encode(f"utf-16-{end}"))
    with pytest.raises(ExtractError) as caught:
        read_extract(path)
    assert str(caught.value).endswith(f"state encoding='utf-16-{end}', or re-export it as UTF-8.")
    for stated in ("utf-16", "UTF16", f"utf-16-{end}"):
        assert read(read_extract(path, encoding=stated))[1].rows_used == 1


# -- Databases -------------------------------------------------------------------------------------------------------


@pytest.fixture
def shop(tmp_path: Path) -> str:
    with closing(connect(tmp_path / "shop.db")) as base:
        base.execute("create table sales (card_no text, purchased_at text, amount text)")
        base.execute("insert into sales values ('0077', '2026-03-01', '1.50'), ('0078', '2026-03-02', 'x; -- y')")
        base.commit()
    return f"sqlite:///{tmp_path}/shop.db"


def test_check_and_init_take_a_table_or_a_query(shop: str, tmp_path: Path) -> None:
    for option, value in (("--table", "sales"), ("--query", "select * from sales")):
        done = command("check", shop, option, value)
        assert done.returncode == 0, done.stdout
        assert "2 read = 1 used + 1 rejected" in done.stdout
        assert f'{option[2:]} = "{value}"' in done.stdout
    done = command("init", shop, "--table", "sales", "--out", tmp_path / "c.toml")
    assert done.returncode == 0, done.stderr
    assert 'table = "sales"' in (tmp_path / "c.toml").read_text()
    done = command("check", "--config", tmp_path / "c.toml", shop)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("query", "n"),
    [
        ("select * from sales;", 2),
        ("select * from sales; -- all", 2),
        ("select * from sales -- all", 2),
        ("select * from sales;\n-- all\n-- of them\n", 2),
        ("select * from sales where amount = 'x; -- y'", 1),
    ],
)
def test_remarks_after_a_query(shop: str, query: str, n: int) -> None:
    assert read(read_extract(shop, query=query), customer_id="card_no")[1].rows_read == n


# -- Smaller things --------------------------------------------------------------------------------------------------

LINE = '{"customer_id": "1", "purchased_at": "2026-01-01", "amount": 1}\n'


def test_json_lines_may_begin_with_blank_lines(till: Till) -> None:
    _, rejections = read(till(f"\n \n{LINE}nothing\n".encode()))
    assert (rejections.rows_used, rejections.rows["line"].tolist()) == (1, [4])


def test_an_object_with_a_name_twice_is_rejected(till: Till) -> None:
    twice = '{"customer_id": "1", "purchased_at": "2026-01-01", "amount": 1, "amount": 9}\n'
    for content in (twice + LINE, LINE + twice):
        lines, rejections = read(till(content.encode()))
        assert lines["amount"].tolist() == [Decimal(1)]
        assert rejections.rows["reason"].tolist() == ["the line is not a JSON object, or has a name twice"]


def zipped(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_archives_without_a_file(tmp_path: Path) -> None:
    for path in (zipped(tmp_path / "a.zip"), zipped(tmp_path / "b.zip", **{"only/": b"", "Thumbs.db": b"x"})):
        with pytest.raises(ExtractError, match="is a zip archive without any file in it"):
            read_extract(path)
    assert read(zipped(tmp_path / "c.zip", **{"c.csv": (HEADER + SOUND).encode(), ".DS_Store": b"x"}))[1].rows_used == 1


@pytest.mark.parametrize("stated", [None, "cp949"])
def test_archives_of_what_is_not_text(tmp_path: Path, stated: str | None) -> None:
    file = io.BytesIO()
    pd.DataFrame({"customer_id": ["1"]}).to_parquet(file)
    packed = gzip.compress((HEADER + SOUND).encode())
    (tmp_path / "p.gz").write_bytes(gzip.compress(file.getvalue()))
    (tmp_path / "g.gz").write_bytes(gzip.compress(packed))
    zipped(tmp_path / "p.zip", p=file.getvalue())
    zipped(tmp_path / "g.zip", g=packed)
    for kind, what in (("p", "Parquet inside an archive"), ("g", "an archive inside another")):
        for end in ("gz", "zip"):
            with pytest.raises(ExtractError, match=f"{kind}.{end} is {what}"):
                read_extract(tmp_path / f"{kind}.{end}", encoding=stated)


def test_a_gzip_that_ends_early_says_where(till: Till) -> None:
    body = (HEADER + "".join(f"{n},2026-03-01,1,{n * 7919 % 9973}\n" for n in range(3_000))).encode()
    packed = gzip.compress(body, mtime=0)
    with pytest.raises(ExtractError, match="ended early, after byte") as caught:
        read_extract(till(packed[: len(packed) // 2]))
    told = int(str(caught.value).split("after byte ")[1].split(" ")[0].replace(",", ""))
    assert len(body) * 0.3 < told < len(body) * 0.7


def test_what_systems_leave_in_folders_is_no_data(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER + SOUND)
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "~$a.xlsx"):
        (tmp_path / name).write_bytes(b"\x00\x01")
    for source in (tmp_path, tmp_path / "*"):
        assert [part.name for part in read_extract(source).parts] == ["a.csv"]
    (tmp_path / "notes.db").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ExtractError, match=r"notes\.db"):
        read_extract(tmp_path)


def test_check_says_that_members_may_be_sales(till: Till) -> None:
    report = check_files([str(till(b"card_no,date,net\n1,2026-01-01,2\n"))])
    assert report.guess.table == "members"
    assert "If these are sales, write [transactions] and name the column of: amount." in str(report)
    report = check_files([str(till(b"card_no,join_date,gender\n1,2026-01-01,f\n"))])
    assert "If these are sales" not in str(report)


def test_check_counts_the_rows_of_other_tables(till: Till) -> None:
    report = check_files([str(till(b"customer_id,joined\n1,2026-01-01\n,2026-01-01\n3,soon\n"))])
    assert (report.n_rows, report.is_loadable) == (3, True)
    for line in (
        "3 read = 1 valid + 2 invalid",
        "1 where customer_id is missing: till.csv line 3",
        "1 where joined is not a date: till.csv line 4",
    ):
        assert line in str(report)
    done = command("check", till(b"customer_id,joined\n1,soon\n"))
    assert (done.returncode, "Nothing is left" in done.stdout) == (65, True)


def test_a_column_stated_by_its_own_name_may_come_where_another_goes(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("customer_id,purchased_at,amount,till_version\n1,2026-03-01,2,9\n")
    (tmp_path / "b.csv").write_text("customer_id,purchased_at,amount,discount\n1,2026-03-02,2,1\n")
    extract = read_extract(str(tmp_path / "*.csv"))
    with pytest.raises(ContractError, match=r"state the column by its own name: discount='discount'"):
        Transactions.split_extract(extract, until="2026-12-31")
    _, found = Transactions.split_extract(extract, until="2026-12-31", discount="discount")
    assert found.rows_used == 2
