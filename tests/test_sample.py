"""data/sample: rebuilt by its script, sound where it should be, and bad exactly where its README says."""

from __future__ import annotations

import csv
import doctest
import gzip
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "data" / "sample"


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_sample", ROOT / "scripts" / "make_sample.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


make_sample = load_script()


def content(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def transaction_rows() -> pd.DataFrame:
    """Return every row of every file with the file's name; ragged rows keep what cells they have."""
    rows = []
    for path in sorted(SAMPLE.glob("transactions*.csv.gz")):
        head, *body = csv.reader(content(path).decode().splitlines())
        assert head == make_sample.LINE_COLUMNS
        rows += [
            {"file": path.name, "cells": len(row)} | dict(zip(head, row, strict=False)) for row in body
        ]  # a short row leaves its last columns missing
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return transaction_rows()


@pytest.fixture(scope="module")
def unique_rows(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.drop_duplicates(["receipt", "line_id"])


@pytest.fixture(scope="module")
def planted(unique_rows: pd.DataFrame) -> pd.DataFrame:
    return unique_rows[unique_rows["receipt"].str.startswith("99")]


@pytest.fixture(scope="module")
def refunds(unique_rows: pd.DataFrame) -> pd.DataFrame:
    return unique_rows[unique_rows["receipt"].str.startswith("98")]


@pytest.fixture(scope="module")
def sound(unique_rows: pd.DataFrame) -> pd.DataFrame:
    return unique_rows[~unique_rows["receipt"].str.startswith(("98", "99"))]


@pytest.fixture(scope="module")
def source() -> object:
    return make_sample.read_source()


def table(name: str) -> pd.DataFrame:
    return pd.read_csv(SAMPLE / name, dtype=str, keep_default_na=False)


def cents(amounts: pd.Series) -> pd.Series:
    return (amounts.astype(float) * 100).round().astype("int64")


def test_the_script_rebuilds_the_folder_byte_for_byte(tmp_path: Path) -> None:
    make_sample.main(tmp_path)
    built = sorted(path.name for path in tmp_path.iterdir())
    assert len(built) == 17
    differing = [name for name in built if content(tmp_path / name) != content(SAMPLE / name)]
    assert differing == []


def test_gzip_files_carry_no_time_and_no_name() -> None:
    headers = {path.read_bytes()[:8] for path in SAMPLE.glob("*.gz")}
    assert headers == {b"\x1f\x8b\x08\x00\x00\x00\x00\x00"}


def test_the_examples_in_the_script_hold() -> None:
    result = doctest.testmod(make_sample)
    assert result.attempted > 0
    assert result.failed == 0


def test_the_folder_stays_small() -> None:
    assert sum(path.stat().st_size for path in SAMPLE.iterdir()) <= 10 * 2**20


def test_a_receipt_has_one_household_one_store_and_one_time(source: object) -> None:
    lines = source.lines  # type: ignore[attr-defined]
    receipts = lines[["basket_id", "household_id", "store_id", "local"]].drop_duplicates()
    assert receipts["basket_id"].is_unique


def test_sound_lines_add_up_to_the_source_to_the_cent(sound: pd.DataFrame, source: object) -> None:
    chosen = source.sample  # type: ignore[attr-defined]
    assert len(sound) == len(chosen)
    assert cents(sound["net_paid"]).sum() == (chosen["sales_value"] - chosen["coupon_disc"]).sum()
    assert cents(sound["discount"]).sum() == chosen["discount_cents"].sum()
    assert set(sound["card_no"]) == {f"0077{household:08d}" for household in source.households}  # type: ignore[attr-defined]


def test_the_known_first_line_is_in_local_time(source: object) -> None:
    first = source.lines.iloc[0]  # type: ignore[attr-defined]
    assert (first["household_id"], str(first["local"])) == (900, "2017-01-01 06:53:26")


def test_lines_lie_in_the_file_of_their_local_month(sound: pd.DataFrame, refunds: pd.DataFrame) -> None:
    both = pd.concat([sound, refunds])
    assert (both["till_time"].str[:7] == both["file"].str[13:20]).all()
    assert (both["till_time"].str.len() == 19).all()


def test_lines_of_a_receipt_are_numbered_from_one(sound: pd.DataFrame) -> None:
    number = sound["line_id"].astype(int)
    assert (number == sound.groupby("receipt").cumcount() + 1).all()


def planted_counts(planted: pd.DataFrame) -> dict[str, int]:
    full = planted[planted["cells"] == len(make_sample.LINE_COLUMNS)]
    when = pd.to_datetime(full["till_time"], format="%Y-%m-%d %H:%M:%S", errors="coerce")
    return {
        "missing card_no": int((full["card_no"] == "").sum()),
        "unreadable till_time": int(when.isna().sum()),
        "net_paid not a number": int(pd.to_numeric(full["net_paid"], errors="coerce").isna().sum()),
        "placeholder till_time": int((when.dt.year == 1900).sum()),
        "till_time after 2017-12-31": int((when >= "2018-01-01").sum()),
        "ragged line": len(planted) - len(full),
    }


def test_planted_faults_are_as_many_as_stated(planted: pd.DataFrame) -> None:
    assert planted_counts(planted) == make_sample.PLANTED
    assert len(planted) == sum(make_sample.PLANTED.values()) == 31


def test_the_readme_states_the_faults_per_file(planted: pd.DataFrame) -> None:
    text = (SAMPLE / "README.md").read_text(encoding="utf-8")
    for file, part in planted.groupby("file"):
        counts = planted_counts(part).values()
        cells = " | ".join(str(n or "") for n in counts)
        assert f"| {str(file)[13:20]} | {cells} | {len(part)} |" in text
    totals = " | ".join(map(str, make_sample.PLANTED.values()))
    assert f"| **all** | {totals} | {len(planted)} |" in text


def test_ragged_lines_are_two_short_and_two_long(planted: pd.DataFrame) -> None:
    assert sorted(planted.loc[planted["cells"] != 10, "cells"]) == [3, 7, 11, 11]


def test_refunds_are_a_real_sale_come_back(refunds: pd.DataFrame, sound: pd.DataFrame) -> None:
    assert len(refunds) == make_sample.REFUNDS
    assert set(refunds["quantity"]) == {"-1"}
    pairs = refunds.merge(sound, on=["card_no", "sku", "store", "category"], suffixes=("", "_sold"))
    match = cents(pairs["net_paid"]) == -cents(pairs["net_paid_sold"])
    days = (pd.to_datetime(pairs["till_time"]) - pd.to_datetime(pairs["till_time_sold"])).dt.days
    assert set(pairs.loc[match & days.between(3, 8), "receipt"]) == set(refunds["receipt"])


def test_march_was_sent_twice() -> None:
    first, again = (SAMPLE / f"transactions_2017-03{end}.csv.gz" for end in ("", "_resent"))
    assert first.read_bytes() == again.read_bytes()


def test_september_starts_with_the_last_day_of_august(rows: pd.DataFrame) -> None:
    keep = make_sample.LINE_COLUMNS
    august = rows[(rows["file"] == "transactions_2017-08.csv.gz") & rows["till_time"].str.startswith("2017-08-31")]
    september = rows[rows["file"] == "transactions_2017-09.csv.gz"].head(len(august))
    pd.testing.assert_frame_equal(august[keep].reset_index(drop=True), september[keep].reset_index(drop=True))


def test_nothing_else_is_delivered_twice(rows: pd.DataFrame) -> None:
    again = rows[rows.duplicated(["receipt", "line_id"])]
    assert set(again["file"]) == {"transactions_2017-03_resent.csv.gz", "transactions_2017-09.csv.gz"}
    assert set(again["till_time"].str[:7]) == {"2017-03", "2017-08"}
    assert not again["receipt"].str.startswith("99").any()


def test_products_cover_what_is_sold_and_three_have_hostile_names(sound: pd.DataFrame) -> None:
    products = table("products.csv.gz")
    assert list(products.columns) == make_sample.PRODUCT_COLUMNS
    assert products["sku"].is_unique
    unknown = sound[~sound["sku"].isin(products["sku"])]
    assert set(unknown["quantity"]) == {"0"}
    assert set(products["brand_type"]) == {"national", "store"}
    name = products["name"]
    assert [int(name.str.contains(sign, regex=False).sum()) for sign in ('"', "<b>")] == [1, 1]
    assert int(name.str.startswith("=").sum()) == 1
    assert (name != "").all()


def test_every_chosen_household_is_a_member(source: object) -> None:
    members = table("members.csv")
    assert list(members.columns) == make_sample.MEMBER_COLUMNS
    assert members["card_no"].is_unique
    assert len(members) == len(source.households)  # type: ignore[attr-defined]
    assert set(members["joined"]) == {""}


def test_every_deal_is_for_something_the_sample_buys(sound: pd.DataFrame) -> None:
    deals = table("deals.csv")
    assert list(deals.columns) == make_sample.DEAL_COLUMNS
    assert set(deals["category"]) <= set(sound["category"]) - {""}
    assert set(deals["sku"]) - {""} <= set(sound["sku"])


def test_deals_are_well_formed() -> None:
    deals = table("deals.csv")
    assert deals["deal_id"].is_unique
    assert deals["deal_id"].str.fullmatch(r"C\d+-\d\d").all()
    assert deals.groupby(deals["deal_id"].str.split("-").str[0]).size().max() <= make_sample.DEALS_PER_CAMPAIGN
    assert (deals["starts"] <= deals["ends"]).all()
    assert deals["value"].astype(float).between(0.25, 5).all()
    assert deals["budget"].astype(float).between(5, 80).all()
    assert ((deals["funder"] == "store") == (deals["brand_type"] == "store")).all()
    assert (deals["funder_share"].astype(float) == (deals["brand_type"] == "national")).all()


def test_deals_run_in_the_first_fortnight_of_2018() -> None:
    deals = table("deals.csv")
    current = deals[(deals["starts"] <= "2018-01-14") & (deals["ends"] >= "2018-01-01")]
    assert set(current["deal_id"].str.split("-").str[0]) == {"C15", "C20", "C21", "C22", "C23"}


def test_barcodes_are_in_store_ean13_with_a_sound_check_digit() -> None:
    codes = table("deals.csv")["barcode"]
    assert codes.is_unique
    assert codes.str.fullmatch(r"2\d{12}").all()
    weighted = sum(codes.str[place].astype(int) * (3 if place % 2 else 1) for place in range(13))
    assert (weighted % 10 == 0).all()
