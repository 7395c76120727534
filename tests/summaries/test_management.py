"""The management pack: every table ties to the lines, and what is compared is comparable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import crmkit as ck
from crmkit import ContractError, Transactions, management_pack
from crmkit.exceptions import CrmkitError
from crmkit.reports.blocks.management import management_blocks
from crmkit.reports.report import Report
from crmkit.summaries.management import _reconciled


def till_of(days: int = 500) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    n = 6_000
    day = rng.integers(0, days, n)
    store = np.where(day < 250, "old", np.where(rng.random(n) < 0.5, "old", "new"))
    return pd.DataFrame(
        {
            "customer_id": np.where(rng.random(n) < 0.3, None, rng.integers(0, 80, n).astype(str)),
            "purchased_at": pd.Timestamp("2016-01-01 08:00")
            + pd.to_timedelta(day, unit="D")
            + pd.to_timedelta(rng.integers(0, 10, n), unit="h"),
            "amount": rng.integers(1, 5_000, n) / 100 * np.where(rng.random(n) < 0.05, -1, 1),
            "order_id": np.arange(n).astype(str),
            "store": store,
            "category": rng.choice(["Milk", "Tea", "Bread"], n),
        }
    )


@pytest.fixture(scope="module")
def till() -> pd.DataFrame:
    return till_of()


@pytest.fixture(scope="module")
def pack(till: pd.DataFrame) -> ck.ManagementPack:
    log, _ = Transactions.split_extract(till, until="2017-05-14")
    customers = pd.DataFrame({"customer_id": np.arange(80).astype(str), "tier": ["A", "B"] * 40})
    members = pd.DataFrame({"customer_id": np.arange(60).astype(str), "area": ["north", "south"] * 30})
    return management_pack(log, customers, members)


def of_march(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["period"] == "2017-03-01"]


def test_every_table_ties_to_the_lines_to_the_cent(till: pd.DataFrame, pack: ck.ManagementPack) -> None:
    told = pack.tables["reconciliation"]
    assert set(told["table"]) == {
        *(f"sales_by_{part}" for part in ("day", "week", "month", "hour", "category", "store", "class", "area")),
        "card_share",
        "corrections",
    }
    assert told["lines"].iloc[0] == pytest.approx(till["amount"].sum(), abs=0.005)
    assert told["difference"].abs().max() == 0
    with pytest.raises(CrmkitError, match="Tables do not tie to the lines"):
        _reconciled({"a": pd.DataFrame({"sales": [2.0]})}, 1.0)


def test_customers_and_receipts_are_counted_by_class(till: pd.DataFrame, pack: ck.ManagementPack) -> None:
    march = till[till["purchased_at"].dt.strftime("%Y-%m") == "2017-03"]
    found = of_march(pack.tables["sales_by_class"]).set_index("class", drop=False)
    even = march[pd.to_numeric(march["customer_id"]) % 2 == 0]
    assert found.loc["A", "sales"] == pytest.approx(even["amount"].sum())
    assert found.loc["A", "receipts"] == even["order_id"].nunique()
    assert found.loc["A", "customers"] == even["customer_id"].nunique()
    nobody = found[found["class"].isna()].iloc[0]
    assert nobody["sales"] == pytest.approx(march.loc[march["customer_id"].isna(), "amount"].sum())


def test_like_for_like_leaves_out_stores_that_opened_since(pack: ck.ManagementPack) -> None:
    found = pack.tables["like_for_like"].set_index("period")
    march = found.loc["2017-03-01"]
    assert march["stores"] == 1
    assert 0.3 < march["share_of_sales"] < 0.7
    by_store = of_march(pack.tables["sales_by_store"]).set_index("store").loc["old"]
    assert march["change"] == pytest.approx(by_store["sales"] / by_store["sales_year_ago"] - 1)


def test_parts_of_periods_are_marked(pack: ck.ManagementPack) -> None:
    months = pack.tables["sales_by_month"]
    assert months.loc[months["partial"], "period"].dt.strftime("%Y-%m").tolist() == ["2017-05"]
    weeks = pack.tables["sales_by_week"]
    assert weeks["partial"].tolist() == [True, *[False] * (len(weeks) - 1)]


def test_what_cannot_be_told_is_said() -> None:
    log = Transactions.from_extract(
        pd.DataFrame({"customer_id": ["a"], "purchased_at": ["2017-01-05"], "amount": [1.0]}), until="2017-01-31"
    )
    pack = management_pack(log)
    assert len(pack.missing) == 7
    assert "No line has a store: no sales by store." in pack.missing
    assert "like_for_like" not in pack.tables
    assert str(pack) == "6 tables, each of which ties to 1.00 of sales; missing: 7"
    with pytest.raises(ContractError, match="1 customer_id are repeated"):
        management_pack(log, pd.DataFrame({"customer_id": ["a", "a"], "tier": "A"}))
    with pytest.raises(ContractError, match="Columns not found: \\['tier'\\]"):
        management_pack(log, pd.DataFrame({"customer_id": ["a"]}))


def test_the_stock_is_told_by_how_long_it_lasts() -> None:
    days = pd.date_range("2017-01-01", "2017-06-30")
    sold = {"milk": days, "tea": days, "jam": days[:30], "beer": days, "cream": days}
    till = pd.concat([pd.DataFrame({"product_id": name, "purchased_at": on}) for name, on in sold.items()])
    log = Transactions.from_extract(till.assign(customer_id="a", amount=2.0, quantity=2), until="2017-06-30")
    stock = pd.DataFrame(
        {
            "product_id": ["milk", "tea", "jam", "new", "beer", "cream"],
            "supplier": "Farm",
            "stock": [0, 12, 5, 9, 40, 40],
            "unit_cost": 1.5,
            "expires": [None] * 5 + ["2017-07-05"],
        }
    )
    told = management_pack(log, stock=stock).tables["stock"].set_index("product_id")
    assert told["state"].to_dict() == {
        "milk": "sold out", "tea": "short", "jam": "stands still", "new": "unknown product", "beer": "in stock",
        "cream": "expires",
    }  # fmt: skip
    assert told.loc["tea", ["sold_28", "sold_84", "days_of_cover", "value"]].tolist() == [56.0, 168.0, 6.0, 18.0]
    assert told.loc["jam", "last_sold"] == pd.Timestamp("2017-01-30")
    pack = management_pack(log, stock=stock)
    block = next(block for block in management_blocks(pack) if block.topic == "Stock")
    assert block.title == "Of 6 products 1 are sold out and 1 last less than a week"
    with pytest.raises(ContractError, match="1 rows repeat a product_id"):
        management_pack(log, stock=pd.concat([stock, stock.head(1)]))


def test_the_page_and_the_workbook_have_all_of_it(pack: ck.ManagementPack, tmp_path: Path) -> None:
    page = Report("June", currency="USD")
    page.blocks += management_blocks(pack, currency="USD")
    assert {"Like for like", "Customer classes", "Areas", "Hours", "Reconciliation"} <= {
        block.topic for block in page.blocks
    }
    text = page.save(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "April 2017: USD" in text
    assert page.save(tmp_path / "page.xlsx").stat().st_size > 10_000


def test_the_run_publishes_the_pack(till: pd.DataFrame, tmp_path: Path) -> None:
    till.to_csv(tmp_path / "till.csv", index=False)
    config = {
        "until": "2017-05-14",
        "transactions": {"files": "till.csv"},
        "management": {},
        "forecast": {"by": "category"},
    }
    config["thresholds"] = {"rejected_rows": {"stop": None}}
    done = ck.run(config, tmp_path / "out", home=tmp_path)
    files = {file.name for file in (done.folder / "management").iterdir()}
    assert {"dashboard.html", "management.xlsx", "sales_by_class.parquet", "reconciliation.parquet"} <= files
    forecast = done.tables["forecast"]
    assert list(forecast)[:5] == ["category", "period_start", "mean", "low", "high"]
    assert "Sales forecast: scaled error" in (done.folder / "report.html").read_text(encoding="utf-8")
    assert ck.run(config, tmp_path / "out", home=tmp_path).repeated
