"""A supplier's report: right where it says something, and silent about everybody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import crmkit as ck
from crmkit import ConfigError, ContractError, Transactions, supplier_report
from crmkit.pipeline.cli import app
from crmkit.reports.disclosure import DisclosureRules


def till_of(n: int = 12_000) -> pd.DataFrame:
    rng = np.random.default_rng(8)
    product = rng.integers(0, 12, n)
    return pd.DataFrame(
        {
            "customer_id": np.char.add("C", rng.integers(0, 400, n).astype(str)),
            "purchased_at": pd.Timestamp("2016-06-10") + pd.to_timedelta(rng.integers(0, 560, n), unit="D"),
            "amount": rng.integers(100, 2_000, n) / 100,
            "product_id": product.astype(str),
            "category": np.array(["Milk", "Tea", "Bread"])[product % 3],
            "manufacturer": np.where(product < 4, "Acme", np.where(product == 4, "Tiny & Co", "Others")),
            "brand": np.where(product < 2, "Gold", np.where(product < 4, "Silver", "Else")),
        }
    )


@pytest.fixture(scope="module")
def till() -> pd.DataFrame:
    return till_of()


@pytest.fixture(scope="module")
def log(till: pd.DataFrame) -> Transactions:
    return Transactions.from_extract(till, until="2017-12-21")


@pytest.fixture(scope="module")
def members() -> pd.DataFrame:
    area = ["north"] * 250 + ["south"] * 147 + ["isle"] * 3
    return pd.DataFrame({"customer_id": [f"C{k}" for k in range(400)], "area": area})


def test_it_says_what_the_lines_say_rounded(till: pd.DataFrame, log: Transactions, members: pd.DataFrame) -> None:
    cells = supplier_report("Acme", log, members).cells
    assert cells["period"].drop_duplicates().tolist() == [
        "2016-07-01",
        "2016-10-01",
        "2017-01-01",
        "2017-04-01",
        "2017-07-01",
    ]
    quarter = till[till["purchased_at"].dt.to_period("Q") == "2017Q1"]
    own, before = quarter[quarter["manufacturer"] == "Acme"], till[till["purchased_at"].dt.to_period("Q") == "2016Q4"]
    now, then = set(own["customer_id"]), set(before.loc[before["manufacturer"] == "Acme", "customer_id"])
    found = cells[cells["period"] == "2017-01-01"].set_index(["table", "row", "measure"])["value"]
    assert found["total", "all", "sales"] == pytest.approx(own["amount"].sum(), abs=5)
    assert found["total", "all", "buyers"] == pytest.approx(len(now), abs=2.5)
    assert found["total", "all", "category_buyers"] == pytest.approx(quarter["customer_id"].nunique(), abs=2.5)
    assert found["buyers", "continuing", "buyers"] == pytest.approx(len(now & then), abs=2.5)
    assert found["buyers", "lapsed", "buyers"] == pytest.approx(len(then - now), abs=2.5)
    days = own.groupby("customer_id")["purchased_at"].nunique()
    assert found["repeat", "bought_again", "buyers"] == pytest.approx((days > 1).sum(), abs=2.5)
    gold = own.loc[own["brand"] == "Gold", "amount"].sum()
    assert found["brands", "Gold", "sales"] == pytest.approx(gold, abs=5)
    assert np.isnan(found["areas", "isle", "sales"]), "three members"
    assert np.isnan(found["areas", "south", "sales"]), "it would give the three away"
    assert found["areas", "north", "sales"] > 0
    assert (found.dropna() % 5 == 0).all()


def test_no_member_and_no_rival_is_named(log: Transactions, members: pd.DataFrame, tmp_path: Path) -> None:
    page = supplier_report("Acme", log, members).page
    text = page.save(tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.save(tmp_path / "page.xlsx").stat().st_size > 5_000
    assert not [f"C{k}" for k in range(400) if f">C{k}<" in text]
    assert "Tiny" not in text
    assert "Others" not in text
    assert "Else" not in text


def test_buyers_of_the_category_are_not_told_where_hardly_any_bought_of_others_only(till: pd.DataFrame) -> None:
    own = till.assign(manufacturer=till["manufacturer"].where(~till["customer_id"].isin(["C1", "C2"]), "Others"))
    own["manufacturer"] = own["manufacturer"].where(own["customer_id"].isin(["C1", "C2"]), "Acme")
    report = supplier_report("Acme", Transactions.from_extract(own, until="2017-12-21"))
    found = report.cells[report.cells["table"] == "total"].pivot(index="period", columns="measure", values="value")
    assert found["category_buyers"].isna().all(), "less the buyers that would tell of two"
    assert (found["buyers"] > 300).all()
    assert report.page.blocks[0].sentence == ""


def test_deals_are_told_where_enough_redeemed_and_enough_did_not(log: Transactions) -> None:
    deals = pd.DataFrame(
        {"deal_id": ["D1", "D2", "D3"], "title": "1.00 off", "starts": "2017-05-01", "sent": [200, 200, 12],
         "redeemed": [42, 6, 11], "budget": 100.0, "spent": [42.0, 6.0, 11.0], "effect": 33.0, "low": 4.0, "high": 61.0}
    )  # fmt: skip
    cells = supplier_report("Acme", log, deals=deals).cells
    found = cells[cells["table"] == "deals"].set_index(["row", "measure"])["value"]
    assert found["D1 1.00 off"].to_dict() == {
        "sent": 200, "redeemed": 40, "budget": 100, "spent": 40, "effect": 30, "low": 0, "high": 60,
    }  # fmt: skip
    assert np.isnan(found["D2 1.00 off", "redeemed"])
    assert np.isnan(found["D2 1.00 off", "spent"])
    assert found["D2 1.00 off", "sent"] == 200
    assert np.isnan(found["D3 1.00 off", "redeemed"]), "all but one redeemed it"


def test_what_cannot_be_reported_is_said(till: pd.DataFrame, log: Transactions) -> None:
    with pytest.raises(ContractError, match=r"There is no manufacturer 'tiny' among 3. Did you mean \['Tiny & Co'\]"):
        supplier_report("tiny", log)
    two = till.assign(manufacturer=till["manufacturer"].where(till.index % 2 == 0, "ACME "))
    with pytest.raises(ContractError, match=r"'Acme' is spelt in 2 ways: \['ACME', 'Acme'\]"):
        supplier_report("Acme", Transactions.from_extract(two, until="2017-12-21"))
    with pytest.raises(ConfigError, match="period='week' is not one of"):
        supplier_report("Acme", log, period="week")
    with pytest.raises(ConfigError, match="No whole quarter has been observed yet"):
        supplier_report("Acme", log, as_of="2016-09-01")
    with pytest.raises(ContractError, match="by='department' is not an item column"):
        supplier_report("Acme", log, by="department")
    nothing = supplier_report("Acme", log, rules=DisclosureRules(min_cell=390)).page.blocks[0]
    assert nothing.title == "There were too few buyers in every period to report sales"


@pytest.mark.long
def test_the_command_writes_it_and_releases_it_again_as_it_was(
    till: pd.DataFrame, members: pd.DataFrame, tmp_path: Path
) -> None:
    till.to_csv(tmp_path / "till.csv", index=False)
    members.to_csv(tmp_path / "members.csv", index=False)
    config = {
        "until": "2017-12-21", "transactions": {"files": "till.csv"}, "members": {"files": "members.csv"},
        "suppliers": {"min_cell": 12},
    }  # fmt: skip
    out = tmp_path / "out"
    ck.run(config, out, home=tmp_path)
    said = CliRunner().invoke(app, ["supplier", "acme", "--run", str(out)])
    assert said.exit_code == 0, said.output
    assert "cells, of which" in said.output
    assert sorted(file.name for file in (out / "suppliers" / "acme").iterdir()) == ["report.html", "report.xlsx"]
    first = (out / "suppliers" / "acme" / "report.html").read_bytes()
    till[till["customer_id"] != "C7"].to_csv(tmp_path / "till.csv", index=False)
    ck.run(config, out, home=tmp_path)
    assert CliRunner().invoke(app, ["supplier", "Acme", "--run", str(out)]).exit_code == 0
    assert (out / "suppliers" / "acme" / "report.html").read_bytes() == first
    ck.run(config | {"suppliers": {"min_cell": 10}}, out, home=tmp_path)
    with pytest.raises(ConfigError, match="could be subtracted from each other"):
        CliRunner().invoke(app, ["supplier", "Acme", "--run", str(out)], catch_exceptions=False)
