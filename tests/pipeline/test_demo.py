"""The first command of the README: the whole job on data/sample; page, workbook and Parquet of it say the same."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pypdfium2
import pytest
import zxingcpp
from python_calamine import CalamineWorkbook

from crmkit.reports.formats import label


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


# -- The same numbers everywhere -----------------------------------------------------------------------------------

NOT_IN_A_FILE = {
    "Expected value", "Second purchase", "Offers 4", "Data quality 2", "Backtest of Lifetime value", "Backtest of Lifetime value 2",
    "Backtest of Lifetime value 3", "Choice of the value model 2", "Backtest of Churn", "Backtest of Churn 2", "Backtest of Churn 3",
    "Churn targeting", "Churn targeting 2", "Backtest of Next purchase", "Backtest of Next purchase 2", "Backtest of Next purchase 3",
}  # fmt: skip
"""Sheets whose numbers are the workbook's and the page's alone; their main figures are compared with run.json below."""


def sheets_of(current: Path) -> dict[str, list[list[Any]]]:
    """Heads and rows of each sheet but the first, which explains."""
    book = CalamineWorkbook.from_path(current / "report.xlsx")
    return {name: book.get_sheet_by_name(name).to_python()[3:] for name in book.sheet_names[1:]}


def tables_of(current: Path) -> list[list[list[str]]]:
    """Heads and rows of each table of the page."""
    page = (current / "report.html").read_text(encoding="utf-8")
    tables = re.findall(r"<table>(.*?)</table>", page, re.DOTALL)
    rows = [re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL) for table in tables]
    return [
        [[unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)] for row in some] for some in rows
    ]


def same(text: str, value: Any) -> bool:
    """Whether a cell of the page says what a cell of the workbook holds, to the last digit shown."""
    if value == "":
        return text in ("–", "")
    if isinstance(value, (date, datetime)):
        return text in (f"{value:%d %b %Y}", f"{value:%b %Y}")
    if isinstance(value, str):
        return text == value
    bare = text.rstrip("%").replace(",", "")
    step = 10.0 ** -len(bare.partition(".")[2]) / (100 if text.endswith("%") else 1)
    return abs(float(bare) / (100 if text.endswith("%") else 1) - float(value)) <= step / 2 * (1 + 1e-9)


def test_every_table_of_the_page_is_a_sheet_with_the_same_values(current: Path) -> None:
    tables, sheets = tables_of(current), sheets_of(current)
    assert len(tables) == len(sheets) > 35
    for table, (name, sheet) in zip(tables, sheets.items(), strict=True):
        assert table[0] == sheet[0], name
        assert len(table) in (len(sheet), 61), name
        for shown, held in zip(table[1:], sheet[1:], strict=False):
            assert all(map(same, shown, held)), (name, shown, held)


class Files:
    """The run's tables by name."""

    def __init__(self, current: Path) -> None:
        self._home = current

    def __getattr__(self, name: str) -> pd.DataFrame:
        return pd.read_parquet(self._home / f"{name}.parquet")


def _by_tier(of: Files) -> pd.DataFrame:
    found = of.customers.groupby("tier").agg(customers=("value", "size"), value=("value", "sum")).reset_index()
    shares = {f"share_of_{name}": found[name] / found[name].sum() for name in ("customers", "value")}
    return found.assign(**shares)


def _concentration(of: Files) -> pd.DataFrame:
    value = np.sort(of.customers["value"].to_numpy())[::-1]
    points = np.array([0.01, 0.05, 0.1, 0.2, 0.5])
    held = np.interp(points * len(value), np.arange(len(value) + 1), np.r_[0, value.cumsum()]) / value.sum()
    return pd.DataFrame({"share_of_customers": points, "share_of_value": held})


def _cohorts(of: Files) -> pd.DataFrame:
    table = of.cohorts.assign(share=lambda one: one["active"] / one["customers"])
    wide = table.pivot(index=["cohort", "customers"], columns="period", values="share")
    return wide.rename(columns="share_after_{}".format).reset_index()


def _segments(of: Files) -> pd.DataFrame:
    found = of.customers.groupby("segment").agg(customers=("value", "size"), total_spend=("total_spend", "sum"))
    return found.reset_index()


def _life_stages(of: Files) -> pd.DataFrame:
    counted = {"customers": ("value", "size"), "total_spend": ("total_spend", "sum"), "value": ("value", "sum")}
    return of.customers.groupby("life_stage").agg(**counted).reset_index()


def _churn(of: Files) -> pd.DataFrame:
    risks = {
        "customers": ("value", "size"),
        "mean_p_churn": ("p_churn", "mean"),
        "value_at_risk": ("value_at_risk", "sum"),
    }
    return of.customers.groupby("tier").agg(**risks).reset_index()


def _repurchases(of: Files) -> pd.DataFrame:
    counted = {
        "customers": ("p_purchase", "size"),
        "expected_buyers": ("p_purchase", "sum"),
        "median_p": ("p_purchase", "median"),
    }
    return of.repurchases.groupby("category").agg(**counted).reset_index()


def _funders(of: Files) -> pd.DataFrame:
    cost = of.offers.groupby("deal_id")["expected_cost"].sum()
    spent = of.deals.set_index("deal_id")["funder"].to_frame().assign(spent=cost).fillna({"spent": 0.0})
    return spent.groupby("funder")["spent"].sum().reset_index()


def _budgets(of: Files) -> pd.DataFrame:
    cost = of.offers.groupby("deal_id")["expected_cost"].sum().reindex(of.deals["deal_id"], fill_value=0.0)
    return cost.rename("spent").rename_axis("name").reset_index()


def _dependence(of: Files) -> pd.DataFrame:
    found = of.deal_dependence.merge(of.customers[["customer_id", "tier"]], on="customer_id")
    counted = {
        "customers": ("deal_share", "size"),
        "deal_share": ("deal_share", "mean"),
        "discounts": ("discounts", "sum"),
    }
    return found.groupby("tier").agg(**counted).reset_index()


def _moves(of: Files) -> pd.DataFrame:
    moves = of.tier_changes.assign(change=lambda one: one["value_after"].fillna(0) - one["value_before"].fillna(0))
    found = moves.groupby(["move", "cause"]).agg(customers=("move", "size"), change=("change", "sum"))
    return found.rename(columns={"change": "change_of_value"}).reset_index()


def _rejected(of: Files) -> pd.DataFrame:
    found = of.rejections.assign(amount=of.rejections["amount"].astype(float))
    return found.groupby("reason").agg(rows=("reason", "size"), amount=("amount", "sum")).reset_index()


def _now(of: Files) -> pd.DataFrame:
    customers = of.customers
    stages = customers["life_stage"].value_counts()
    money = {
        f"money {name} within {n} days": customers[one].sum()
        for name, n, one in (("at risk", 30, "value_at_risk"), ("expected", 365, "value"))
    }
    said: dict[str, float] = {
        "customers": len(customers),
        "slipping (life stage)": stages["slipping"],
        "away (life stage)": stages["away"],
    }
    said |= {"expected not to buy within 30 days": customers["p_churn"].sum(), **money}
    return pd.DataFrame({"figure": list(said), "now": np.round(list(said.values()))})


FROM_FILES: dict[str, Callable[[Files], pd.DataFrame]] = {
    "Since last time": _now,
    "Sales": lambda of: of.sales_by_week[of.sales_by_week["days"] == 7].drop(columns="days"),
    "Sales 2": lambda of: of.sales_by_week,
    "Revenue": lambda of: of.revenue_tree,
    "Revenue 2": lambda of: of.revenue_tree,
    "Revenue 3": lambda of: of.customer_flows,
    "Card use": lambda of: of.card_share.tail(1),
    "Cohorts": _cohorts,
    "Cohorts 2": lambda of: of.cohorts,
    "Second purchase 2": lambda of: of.second_purchases,
    "Value tiers": _by_tier,
    "Concentration": _concentration,
    "Tier changes": _moves,
    "Segments": _segments,
    "Life stages": _life_stages,
    "Customers at risk of churn": _churn,
    "Upcoming repurchases": _repurchases,
    "Upcoming repurchases 2": _repurchases,
    "Offers": _funders,
    "Offers 2": _funders,
    "Offers 3": _budgets,
    "Last campaign": lambda of: of.campaign_effects,
    "Last campaign 2": lambda of: of.campaign_groups,
    "Deal dependence": _dependence,
    "Track record": lambda of: of.scorecard,
    "Choice of the value model": lambda of: of.model_comparison,
    "Data quality": _rejected,
}
"""Name of a sheet → the same numbers from the run's files; the columns that both have are compared, row by row of the sheet."""


OF_A_SECOND_NIGHT = {"Since last time", "Tier changes", "Last campaign", "Last campaign 2", "Track record"}


@pytest.mark.parametrize("name", [name for name in FROM_FILES if name not in OF_A_SECOND_NIGHT])
def test_the_numbers_of_a_sheet_are_those_of_parquet(current: Path, name: str) -> None:
    check_sheet(current, name)


@pytest.mark.long
def test_so_are_those_of_a_second_night(tmp_path: Path) -> None:
    sample, out = Path(__file__).parents[2] / "data" / "sample" / "crmkit.toml", tmp_path / "out"
    run = ["run", str(sample), "--out", str(out), "--quiet", "--as-of"]
    for command in ([*run, "2017-11-30"], ["sent", "2017-12-01", "--out", str(out)], [*run, "2017-12-31"]):
        subprocess.run([sys.executable, "-m", "crmkit", *command], check=True, capture_output=True)
    for name in sorted(OF_A_SECOND_NIGHT):
        check_sheet(out / "CURRENT", name)


def check_sheet(current: Path, name: str) -> None:
    """The columns that a sheet shares with the run's files hold the same."""
    sheets = sheets_of(current)
    heads, *rows = sheets[name]
    sheet, expected = pd.DataFrame(rows, columns=heads), FROM_FILES[name](Files(current)).rename(columns=label)
    shared = [str(column) for column in expected if column in heads]
    texts = [column for column in shared if not pd.api.types.is_numeric_dtype(expected[column])]
    numbers = [column for column in shared if column not in texts]
    assert numbers, shared
    keys = [*(texts or shared[:1]), *(one for one in numbers if one == "period")]
    left, right = (one[shared].assign(**{key: _key(one[key]) for key in keys}) for one in (sheet, expected))
    both = left.merge(right, on=keys, how="left", suffixes=("", "_file"), validate="one_to_one", indicator=True)
    assert (both["_merge"] == "both").all(), both
    for column in (one for one in numbers if one not in keys):
        held = pd.to_numeric(both[column].replace("", np.nan)).to_numpy(float)
        np.testing.assert_allclose(held, both[f"{column}_file"].to_numpy(float), rtol=1e-9, atol=1e-9, err_msg=column)


def _key(column: pd.Series) -> pd.Series:
    """Values to be joined by: days as they are written, numbers rounded."""
    if pd.api.types.is_numeric_dtype(column):
        return column.astype(float).round(9)
    return column.map(
        lambda one: f"{pd.Timestamp(one):%Y-%m-%d}" if isinstance(one, (date, pd.Timestamp)) else str(one)
    )


def test_every_sheet_is_compared_with_the_files_or_named(current: Path) -> None:
    assert set(sheets_of(current)) - set(FROM_FILES) - NOT_IN_A_FILE - {"Concentration 2", "Tier changes 2"} == set()
    scores = json.loads((current / "run.json").read_text())
    for topic, key in (("Churn", "churn"), ("Next purchase", "repurchase"), ("Lifetime value", "value")):
        assert scores[f"{key}_backtest"]["subject"] == topic
