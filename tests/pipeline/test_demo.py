"""The first command of the README: the whole job on data/sample."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pypdfium2
import pytest
import zxingcpp


@pytest.fixture(scope="module")
def current(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "crmkit", "demo", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *_, report, lists = done.stdout.splitlines()
    assert report == f"Report: {out / 'CURRENT' / 'report.html'}"
    assert lists.startswith(f"Lists:  {out / 'CURRENT' / 'lists'}")
    return out / "CURRENT"


def test_every_planted_fault_is_found_and_every_row_has_its_place(current: Path) -> None:
    read = json.loads((current / "run.json").read_text())["read"]
    assert (read["rows"], read["used"], read["rejected"], read["duplicate"]) == (176_971, 163_030, 31, 13_910)
    assert read["amount_used"] == "522290.6600"
    assert sum(read["reasons"].values()) == 31


def test_the_report_is_one_small_page_with_every_section(current: Path) -> None:
    page = (current / "report.html").read_text(encoding="utf-8")
    assert len(page.encode()) < 1_000_000
    titles = [
        "brought USD",
        "of new customers buy in the month after their first",
        "customers together will bring USD",
        "Tier A holds",
        "The best tenth of the customers holds",
        "Lifetime value: no better than",
        "customers are expected not to buy in the next 30 days",
        "Churn: no better than",
        "purchases are expected in the next 14 days",
        "Next purchase: better than",
        "members are expected to gain",
        "of the printed coupons stand beside something the member is due to buy",
        "rows were rejected",
    ]
    headings = re.findall("<h[23][^>]*>(.*?)</h[23]>", page, re.DOTALL)
    assert not [title for title in titles if not any(title in heading for heading in headings)]
    assert page.count("<svg") == 12
    assert (current / "report.xlsx").read_bytes().startswith(b"PK")


def test_members_who_spend_enough_get_a_list_whose_barcodes_scan(current: Path) -> None:
    offers = pd.read_parquet(current / "offers.parquet")
    customers = pd.read_parquet(current / "customers.parquet").set_index("customer_id")
    control = set(pd.read_parquet(current / "control.parquet")["customer_id"])
    listed = offers["customer_id"].unique()
    assert (customers.loc[listed, "weekly_spend"] >= 25).all()
    assert not control & set(listed)
    assert offers.groupby("customer_id").size().max() <= 8
    document = pypdfium2.PdfDocument(current / "lists" / "lists.pdf")
    assert len(document) == len(listed)
    scanned = zxingcpp.read_barcodes(document[0].render(scale=150 / 72).to_pil())
    own = offers[offers["customer_id"] == listed[0]]
    assert len(scanned) == len(own) + 1
    assert own["list_code"].iloc[0] in {one.text for one in scanned}, "one scan for the whole list"


def test_no_budget_is_overspent(current: Path) -> None:
    offers = pd.read_parquet(current / "offers.parquet")
    deals = pd.read_csv(Path(__file__).parents[1].parent / "data" / "sample" / "deals.csv").set_index("deal_id")
    spent = offers.groupby("deal_id")["expected_cost"].sum()
    assert (spent <= deals.loc[spent.index, "budget"] + 1e-9).all()


def test_repurchases_hold_probabilities_for_every_member(current: Path) -> None:
    due = pd.read_parquet(current / "repurchases.parquet")
    customers = pd.read_parquet(current / "customers.parquet")
    assert due["p_purchase"].between(0, 1).all()
    assert set(due["customer_id"]) <= set(customers["customer_id"])
    assert due["customer_id"].nunique() > 0.98 * len(customers)
