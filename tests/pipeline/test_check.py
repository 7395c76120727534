"""Looking before loading: the report of a trial, guesses from names and values, a configuration that runs; ready layouts."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from decimal import Decimal
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import crmkit
from crmkit import ConfigError, PublishError, Transactions, read_extract
from crmkit.exceptions import NoInputError
from crmkit.ingest.column_inference import guessed
from crmkit.ingest.contracts import Contract, pieces_of
from crmkit.ingest.layouts import layouts, settings_of
from crmkit.ingest.schemas import DEALS, MEMBERS, PRODUCTS, TIPS
from crmkit.pipeline.check import check_files
from crmkit.pipeline.config import read_config
from crmkit.pipeline.init import initial_config, write_config
from crmkit.pipeline.sections import section_of
from crmkit.testing import generated_sales

SAMPLE = Path(crmkit.__file__).parents[1] / "data" / "sample"
UCI = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
HEADER = "customer_id,purchased_at,amount,category\n"

Till = Callable[..., Path]


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "crmkit", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def online_retail(path: Path, n_customers: int = 250) -> Path:
    """Sales in the layout of Online Retail, month first, with nobody's lines, a cancellation and a free one."""
    sales = generated_sales(n_customers, days=365, seed=5)
    rows = pd.DataFrame(
        {
            "InvoiceNo": 536365 + sales["order_id"].astype(int),
            "StockCode": sales["product_id"],
            "Description": "WHITE HANGING HEART, T-LIGHT",
            "Quantity": 1 + np.arange(len(sales)) % 3,
            "InvoiceDate": sales["purchased_at"].dt.strftime("%m/%d/%Y %H:%M").str.replace(r"^0", "", regex=True),
            "UnitPrice": sales["amount"],
            "CustomerID": sales["customer_id"].astype(int) + 12346,
            "Country": "United Kingdom",
        }
    )
    rows["CustomerID"] = rows["CustomerID"].astype("Int64")
    rows.loc[rows.index[::9], "CustomerID"] = pd.NA
    rows.to_csv(path, index=False)
    return path


# -- Guesses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "row", "columns"),
    [
        ("Kundennummer;Belegnummer;Kaufdatum;Artikelnummer;Menge;Betrag", "1;b;2026-01-01;a;1;2", "customer_id order_id purchased_at product_id quantity amount"),
        ("고객번호,영수증번호,구매일시,상품코드,수량,금액", "1,b,2026-01-01,a,1,2", "customer_id order_id purchased_at product_id quantity amount"),
        ("会員番号,レシート番号,購入日時,商品コード,数量,金額", "1,b,2026-01-01,a,1,2", "customer_id order_id purchased_at product_id quantity amount"),
        ("会员号,小票号,交易时间,商品编码,数量,金额", "1,b,2026-01-01,a,1,2", "customer_id order_id purchased_at product_id quantity amount"),
        ("card_no,receipt,till_time,sku,quantity,net_paid", "1,b,2026-01-01,a,1,2", "customer_id order_id purchased_at product_id quantity amount"),
        (UCI, "1,a,x,1,2026-01-01,2,7,UK", "order_id product_id - quantity purchased_at unit_price customer_id -"),
        ("Customer Number,Transaction Date,Total Amount,Shop", "1,2026-01-01,2,a", "customer_id purchased_at amount -"),
    ],
)  # fmt: skip
def test_columns_are_guessed_from_their_names(till: Till, header: str, row: str, columns: str) -> None:
    guess = guessed([str(till(f"{header}\n{row}\n".encode()))])
    delivered = re.split("[;,]", header)
    pairs = zip(columns.split(), delivered, strict=True)
    assert {n: g for n, g in guess.columns.items() if n != "store"} == {n: g for n, g in pairs if n != "-"}
    assert (guess.table, guess.missing) == ("transactions", [])


_NEVER_GUESSED = {"area", "street", "unit", "vip_since"}
"""Columns of members that mean something only where they are stated."""


@pytest.mark.parametrize("contract", [DEALS, MEMBERS, PRODUCTS, TIPS], ids=lambda contract: contract.name)
def test_a_table_under_its_own_names_is_known_whole(till: Till, contract: Contract) -> None:
    guess = guessed([str(till(",".join(contract.columns).encode() + b"\n"))])
    assert guess.table == contract.name
    told_by_words = set(contract.columns) - _NEVER_GUESSED
    assert guess.columns == {name: name for name in contract.columns if name in told_by_words}


@pytest.mark.parametrize(
    ("header", "table", "columns"),
    [
        ("card_no,geschlecht,geburtsjahr,age", "members", "customer_id gender birth_year age_group"),
        ("会員番号,性別,生年", "members", "customer_id gender birth_year"),
        ("recipe_id,category,recipe", "tips", "tip_id category title"),
        (
            "coupon_id,title,category,sponsor,value,value_heavy_users,regular_price,max_per_customer,budget,start_date,end_date",
            "deals",
            "deal_id title category funder value value_heavy price limit_per_member budget starts ends",
        ),
    ],
)
def test_other_tables_are_guessed_too(till: Till, header: str, table: str, columns: str) -> None:
    guess = guessed([str(till(f"{header}\n".encode()))])
    assert (guess.table, guess.missing) == (table, [])
    assert guess.columns == dict(zip(columns.split(), header.split(","), strict=True))


@pytest.mark.parametrize(
    ("rows", "settings"),
    [
        (["2026-01-01;1.50", "2026-01-02;2.00"], {}),
        (["24.12.2026;1,50", "01.02.2026;2,00"], {"decimal": ",", "time_format": "%d.%m.%Y"}),
        (["2026-01-01;1.234,50", "2026-01-02;2,00"], {"decimal": ",", "thousands": "."}),
        (["2026-01-01;1,234.50", "2026-01-02;2.00"], {"thousands": ","}),
        (["2026-01-01;₩2,500", "2026-01-02;₩900"], {"currency": "KRW", "thousands": ","}),
        (["2026-01-01;1,50 €", "2026-01-02;2,00 €"], {"currency": "EUR", "decimal": ","}),
        (["03/25/2026 09:00;1.5", "03/04/2026 10:00;2"], {"time_format": "%m/%d/%Y %H:%M"}),
        (["2026-01-01;1.000", "2026-01-02;2.000"], {"decimal": "."}),
    ],
)
def test_numbers_and_times_are_guessed_from_values(till: Till, rows: list[str], settings: dict[str, str]) -> None:
    body = "\n".join(["card;datum;betrag", *(f"1;{row}" for row in rows), ""])
    guess = guessed([str(till(body.encode()))])
    assert guess.settings == settings
    assert set(guess.doubts) == set(settings)
    report = check_files([str(till(body.encode()))])
    assert (report.refused, report.rejections.rows_used) == ("", 2)


def test_a_guess_that_could_be_another_says_so(till: Till) -> None:
    guess = guessed([str(till(b"card,date,amount\n1,03/04/2026,1\n1,05/06/2026,1\n"))])
    assert guess.doubts["time_format"].endswith("%m/%d/%Y would fit too")
    assert "# confirm: date holds '03/04/2026'; %m/%d/%Y would fit too" in section_of(guess, "till.csv")


def test_the_encoding_and_titles_are_guessed(till: Till) -> None:
    body = "매출 보고서\n\n고객번호,구매일시,금액\n" + "0077,2026-03-01 10:00,2500\n" * 3 + "우유와 치즈,2026-03-01,1\n"
    report = check_files([str(till(body.encode("cp949")))])
    assert (report.guess.settings, report.rejections.rows_read) == ({"encoding": "cp949", "skip_rows": 2}, 4)
    assert 'encoding = "cp949"  # confirm:' in str(report)


# -- The report ------------------------------------------------------------------------------------------------------


def test_the_report_says_what_is_there_and_what_would_happen(till: Till) -> None:
    body = "0077,2026-03-01 10:00,1.50,A\n0078,2026-03-02,2.50,B\n,2026-03-02,4,B\nx,soon,8.00,A\ny,2026-01-01,free,A\nshort\n"
    path = till(body)
    text = str(check_files([str(path)]))
    for line in (
        "till.csv: text in utf-8, fields between ','",
        "  purchased_at  purchased_at",
        "6 read = 2 used + 4 rejected + 0 duplicate",
        "16.00 read = 4.00 used + 12.00 rejected + 0.00 duplicate",
        "days   2026-03-01 to 2026-03-02",
        "1 where amount is not a number (0.00): till.csv line 6",
        "1 where purchased_at is not a time (8.00): till.csv line 5",
        "until = 2026-03-02  # confirm:",
        "[transactions.columns]",
        'customer_id = "customer_id"',
    ):
        assert line in text, text
    assert "0077" not in text


def test_a_stray_date_far_ahead_is_not_the_end(till: Till) -> None:
    body = "".join(f"{n % 50},2026-{1 + n % 6:02d}-{1 + n % 28:02d},1,A\n" for n in range(600)) + "1,2107-11-02,1,A\n"
    report = check_files([str(till(body))])
    assert str(report.days[1]) == "2026-06-28"
    assert "and 1 rows dated long after" in str(report)


def test_what_cannot_be_loaded_is_told_with_what_to_do(till: Till) -> None:
    report = check_files([str(till(b"foo,bar\n1,2\n"))])
    assert "Not found: customer_id, purchased_at, amount" in str(report)
    assert "# missing: customer_id, purchased_at, amount" in str(report)
    report = check_files([str(till(b'{"a": 1}\n'))])
    assert "JSON lines" in str(report)
    report = check_files([str(till(b"%PDF-1.7"))])
    assert "Nothing could be loaded: till.csv is a PDF document" in str(report)
    assert command("check", till(b"%PDF-1.7")).returncode == 65
    with pytest.raises(NoInputError):
        check_files([str(till(HEADER.encode()).parent / "none.csv")])


def test_a_configuration_or_a_layout_decides_instead_of_guesses(tmp_path: Path) -> None:
    path = online_retail(tmp_path / "retail.csv", 30)
    by_layout = check_files([str(path)], layout="uci-online-retail")
    (tmp_path / "crmkit.toml").write_text(
        'until = 2018-12-31\n[transactions]\nfiles = "retail.csv"\nlayout = "uci-online-retail"\n'
    )
    by_config = check_files([str(path)], read_config(tmp_path / "crmkit.toml"))
    assert by_layout.rejections.rows_used == by_config.rejections.rows_used > 0
    assert by_layout.rejections.amount_used == by_config.rejections.amount_used
    done = command("check", path, "--layout", "uci-online-retail")
    assert (done.returncode, "Trial load" in done.stdout) == (0, True)
    done = command("check", path, "--config", tmp_path / "crmkit.toml")
    assert (done.returncode, "Trial load" in done.stdout) == (0, True)
    done = command("check", path, "--layout", "uci-online")
    assert done.returncode == 78
    assert "did you mean 'uci-online-retail'" in done.stderr


# -- A configuration to begin with -----------------------------------------------------------------------------------


def confirmed(out: Path) -> dict[str, object]:
    text = out.read_text(encoding="utf-8")
    assert "# confirm:" in text
    return tomllib.loads(text)


def test_the_configuration_written_for_the_sample_runs(tmp_path: Path) -> None:
    for name in ("transactions_2017-01.csv.gz", "transactions_2017-02.csv.gz", "transactions_2017-03.csv.gz"):
        (tmp_path / name).write_bytes((SAMPLE / name).read_bytes())
    for name in ("products.csv.gz", "members.csv", "deals.csv"):
        (tmp_path / name).write_bytes((SAMPLE / name).read_bytes())
    out = tmp_path / "crmkit.toml"
    done = command("init", *sorted(tmp_path.glob("*.csv*")), "--out", out)
    assert done.returncode == 0, done.stderr
    content = confirmed(out)
    assert set(content) >= {"until", "transactions", "products", "members", "deals"}
    assert str(content["until"]) == "2017-03-31"
    assert content["transactions"]["files"] == [f"transactions_2017-0{n}.csv.gz" for n in (1, 2, 3)]
    done = command("run", out, "--out", tmp_path / "out", "--quiet")
    assert done.returncode == 0, done.stderr
    assert "rows read" in done.stdout


def test_the_configuration_written_for_online_retail_runs(tmp_path: Path) -> None:
    path = online_retail(tmp_path / "data.csv")
    out = tmp_path / "crmkit.toml"
    assert command("init", path, "--out", out).returncode == 0
    content = confirmed(out)
    assert content["transactions"]["time_format"] == "%m/%d/%Y %H:%M"
    done = command("run", out, "--out", tmp_path / "out", "--quiet")
    assert done.returncode == 0, done.stderr


def test_a_configuration_that_is_there_is_never_overwritten(till: Till, tmp_path: Path) -> None:
    path, out = till(HEADER + "1,2026-01-01,1,A\n"), tmp_path / "crmkit.toml"
    out.write_text("mine")
    with pytest.raises(PublishError, match="already exists and was not changed"):
        write_config([str(path)], out)
    assert out.read_text() == "mine"
    assert command("init", path, "--out", out).returncode == 74
    with pytest.raises(PublishError, match="cannot be written"):
        write_config([str(path)], tmp_path / "none" / "crmkit.toml")


def test_odd_names_are_written_as_toml(tmp_path: Path) -> None:
    path = tmp_path / 'a "b" \\ c.csv'
    path.write_text('"Kunde ""A"" \\",Datum,Betrag\n1,2026-01-01,1\n')
    content = tomllib.loads(initial_config([str(path)], tmp_path))
    assert content["transactions"]["files"] == path.name
    assert content["transactions"]["columns"]["customer_id"] == 'Kunde "A" \\'


# -- The configuration's own options ---------------------------------------------------------------------------------


def configured(tmp_path: Path, body: str) -> object:
    file = tmp_path / "crmkit.toml"
    file.write_text(f'until = 2026-12-31\n[transactions]\nfiles = "till.csv"\n{body}', encoding="utf-8")
    return read_config(file)


def test_every_option_of_a_source_can_be_configured(tmp_path: Path, till: Till) -> None:
    till("고객,구매일시,금액\n1;01/03/2026 25:10;￦1.234,50\n".replace(",", ";", 2).encode("cp949"))
    config = configured(
        tmp_path,
        'encoding = "euc-kr"\ndelimiter = ";"\ndecimal = ","\nthousands = "."\ncurrency = "KRW"\n'
        'time_format = "%d/%m/%Y %H:%M"\ntrading_day_cutoff = "05:00"\n'
        'columns = { customer_id = "고객", purchased_at = "구매일시", amount = "금액" }\n',
    )
    report = check_files([str(tmp_path / "till.csv")], config)
    assert (report.refused, report.rejections.amount_used) == ("", Decimal("1234.50"))
    assert str(report.days[0]) == "2026-03-01"
    assert config.transactions.source(tmp_path) == [str(tmp_path / "till.csv")]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('encodin = "cp949"\n', "transactions.encodin: unknown key; did you mean 'encoding'"),
        ('encoding = "klingon"\n', "There is no encoding 'klingon'"),
        ('decimal = ","\nthousands = ","\n', "both ','"),
        ('layout = "uci"\n', "There is no layout 'uci'"),
        ('[products]\nfiles = "p.csv"\nlayout = "cdnow"\n', "The layout 'cdnow' has no products"),
        ('[members]\nfiles = "p.csv"\ntime_zone = "UTC"\n', "members.time_zone: unknown key"),
    ],
)
def test_mistakes_in_a_source_are_told(tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        configured(tmp_path, body)


def test_what_is_stated_goes_before_the_layout(tmp_path: Path) -> None:
    config = configured(
        tmp_path, 'layout = "cdnow"\ntime_format = "%d.%m.%Y"\ncolumns = { customer_id = "sampleid" }\n'
    )
    sales = config.transactions
    assert (sales.time_format, sales.columns["customer_id"], sales.columns["amount"]) == (
        "%d.%m.%Y",
        "sampleid",
        "sales",
    )


# -- Layouts ---------------------------------------------------------------------------------------------------------

ROWS = {
    "cdnow": [["4", "1", "19970101", "2", "29.33"], ["18", "2", "19970118", "1", "14.96"]],
    "complete-journey": [["900", "330", "31198570044", "1095275", "1", "0.50", "0", "0", "0", "1", "2017-01-01 11:53:26"]] * 2,
    "dunnhumby-sort-of-real": [["200607", "20060413", "5", "20", "1", "1.5", "PRD0900033", "CL00201", "DEP00067", "G00021", "D00005", "CUST0000634693", "LA", "YF", "994100100532898", "L", "LA", "Top Up", "Fresh", "STORE00001", "LS", "E02"]] * 2,
    "instacart": [["1", "2539329", "1", "2017-01-01 08:00", "196", "Soda", "soft drinks", "beverages", "1"]] * 2,
    "olist": [["e481f51cbdc5", "7c396fd4830f", "2017-10-02 10:56:33", "1", "87285b34884572647811a353c7ac498a", "29.99", "utilidades"], ["53cdb2fc8bc7", "af07308b275d", "2018-07-24 20:41:37", "1", "595fac2a385ac33a", "118.70", "perfumaria"]],
    "ta-feng": [["11/1/2000", "1104905", "45-49", "115", "110411", "4710199010372", "2", "24", "30"], ["11/13/2000", "418683", "45-49", "115", "120107", "4710857472535", "1", "48", "46"]],
    "uci-online-retail": [["536365", "85123A", "WHITE HANGING HEART", "6", "12/1/2010 8:26", "2.55", "17850", "United Kingdom"], ["536366", "71053", "LANTERN", "2", "12/13/2010 8:26", "3.39", "17850", "United Kingdom"]],
    "uci-online-retail-ii": [["489434", "85048", "CHRISTMAS LIGHTS", "12", "2009-12-01 07:45:00", "6.95", "13085.0", "United Kingdom"]] * 2,
    "woocommerce-orders": [["2024-01-05 10:11:12", "1001", '"$1,050.00"', "completed", "Anna Jansen", "new", "2× Vase", "2", "", "1050", "Direct"], ["2024-01-06 10:11:12", "1002", "$50.00", "completed", "Koper Een", "returning", "1× Vase", "1", "", "50", ""]],
}  # fmt: skip


def shopify_rows(names: list[str]) -> list[list[str]]:
    order = {"Name": "#1001", "Email": "anna@example.org", "Currency": "EUR", "Created at": "2024-01-05 10:11:12 +0100"}
    lines = [
        {"Lineitem quantity": "2", "Lineitem price": "62.95", "Lineitem sku": "MAT-100", "Vendor": "Matcha"},
        {"Lineitem quantity": "1", "Lineitem price": "37.95", "Lineitem sku": "MAT-50", "Vendor": "Matcha"},
    ]
    return [[(order | line).get(name, "") for name in names] for line in lines]


def content_of(name: str) -> dict[str, object]:
    file = resources.files("crmkit").joinpath("ingest", "layouts", f"{name}.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", sorted([*ROWS, "shopify-orders"]))
def test_a_layout_reads_rows_under_its_exact_header(name: str, till: Till) -> None:
    content = content_of(name)
    header = str(content["header"])
    rows = shopify_rows(header.split(",")) if name == "shopify-orders" else ROWS[name]
    text = "\n".join([header, *(",".join(row) for row in rows), ""])
    clock = {"time_zone": "Europe/Berlin"} if name == "shopify-orders" else {}
    log, rejections = Transactions.split_extract(
        read_extract(till(text.encode())), until="2026-12-31", **crmkit.layout(name), **clock
    )
    assert (rejections.rows_used, rejections.rows_rejected) == (2, 0)
    assert pd.read_parquet(log.lines)["customer_id"].notna().all()


@pytest.mark.parametrize("name", sorted(layouts()))
def test_a_layout_says_where_it_comes_from(name: str) -> None:
    content = content_of(name)
    assert set(content) >= {"title", "origin", "header", "note", "transactions"}
    delivered = str(content["header"]).split(",")
    columns = settings_of(name, "transactions")["columns"]
    assert {piece for given in columns.values() for piece in pieces_of(given)} <= set(delivered)
    assert str(content["origin"]).strip()


def test_the_layouts_are_those_that_are_promised() -> None:
    promised = {
        "uci-online-retail",
        "complete-journey",
        "cdnow",
        "instacart",
        "ta-feng",
        "olist",
        "shopify-orders",
        "woocommerce-orders",
    }
    assert promised <= set(layouts())
    with pytest.raises(ConfigError, match="did you mean 'cdnow'"):
        crmkit.layout("cdnow2")


def test_what_rows_count_as_is_said_before_the_columns(till: Till) -> None:
    rows = ["a,2026-03-01 10:00,5.00,SALE,paid,x", "b,2026-03-02 10:00,5.00,REFUND,failed,y"]
    path = till("\n".join(["card,time,total,Type,Status,Remark", *rows, ""]).encode())
    columns = 'columns = { customer_id = "card", purchased_at = "time", amount = "total" }'
    meaning = 'kinds = { column = "Type", sale = ["SALE"], return = ["REFUND"] }\nleave_out = { "Status" = ["failed"] }'
    stated = path.with_name("shop.toml")
    stated.write_text(
        f'until = 2026-03-31\ncurrency = "EUR"\n[transactions]\nfiles = "{path.name}"\ntime_zone = "Europe/Berlin"\n{columns}\n{meaning}\n'
    )
    said = str(check_files([str(path)], read_config(stated)))
    account, listed = said.partition("What rows count as")[2].split("\n\n")[:2]
    told = {line[2:11].strip(): line[13:] for line in account.strip("\n").splitlines()}
    assert told == {
        "left out": "Status is failed",
        "return": "Type is REFUND",
        "sale": "Type is SALE",
        "currency": "EUR",
        "clock": "Europe/Berlin",
    }
    assert "  Not used: Remark." in listed.splitlines()
