"""The purchase plan: what is ordered lasts as long as it should, in packs, fresh, within the money; and the past agrees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import crmkit as ck
from crmkit import ConfigError, ContractError, Transactions, purchase_plan, simulate_purchases
from crmkit.ingest.tables import Stock


@pytest.fixture(scope="module")
def log() -> Transactions:
    rng = np.random.default_rng(2)
    rows = [
        pd.DataFrame(
            {"product_id": f"p{k:02d}", "purchased_at": pd.date_range("2017-01-01", periods=364), "quantity": pieces}
        )
        for k in range(30)
        for pieces in [rng.poisson(0.3 + k / 3, 364)]
    ]
    till = pd.concat(rows).query("quantity > 0").assign(customer_id="a", amount=1.0)
    return Transactions.from_extract(till, until="2017-12-30")


def stock_of(**more: object) -> pd.DataFrame:
    stock = pd.DataFrame({"product_id": [f"p{k:02d}" for k in range(30)], "supplier": ["Farm", "Mill"] * 15})
    return stock.assign(**({"stock": 0, "lead_time": 7, "unit_cost": 2.0} | more))


def test_the_level_is_the_quantile_of_poisson_demand(log: Transactions) -> None:
    from scipy.stats import poisson

    orders = purchase_plan(log, stock_of(), service_level=0.95).orders
    rate = np.array([14 * (0.3 + int(name[1:]) / 3) for name in orders["product_id"]])
    right = poisson.ppf(0.95, rate)
    assert orders["expected_demand"].to_numpy() == pytest.approx(rate, rel=0.25)
    assert np.median(orders["order_quantity"].to_numpy() / right) == pytest.approx(1, abs=0.12)
    assert (orders["service_level"] >= 0.95 - 1e-9).all()
    assert (orders["order_by"] == pd.Timestamp("2017-12-31")).all(), "nothing is there, so it is late already"


def test_stock_orders_packs_minimum_and_shelf_life_count(log: Transactions) -> None:
    bare = purchase_plan(log, stock_of()).orders["order_quantity"]
    stocked = purchase_plan(log, stock_of(stock=3, on_order=2)).orders["order_quantity"]
    assert (bare - stocked).to_numpy() == pytest.approx(np.full(30, 5.0))
    packs = purchase_plan(log, stock_of(pack_size=12, min_order=40)).orders["order_quantity"]
    assert (packs % 12 == 0).all()
    assert packs.min() == 48
    fresh = purchase_plan(log, stock_of(shelf_life=3)).orders
    assert (fresh["order_quantity"] <= fresh["expected_demand"] * 3 / 14 + 1e-9).all()
    plenty = purchase_plan(log, stock_of(stock=10_000)).orders
    assert plenty["order_quantity"].sum() == 0
    assert plenty["order_by"].isna().all()


def test_stock_that_expires_is_not_counted_on(log: Transactions) -> None:
    plain = purchase_plan(log, stock_of(stock=100)).orders.set_index("product_id")
    early = purchase_plan(log, stock_of(stock=100, expires=["2018-01-02"] + [None] * 29)).orders.set_index("product_id")
    late = purchase_plan(log, stock_of(stock=100, expires="2018-01-13")).orders.set_index("product_id")
    assert (plain["expiring"] == 0).all()
    assert (late["expiring"] == 0).all(), "the delivery after next is there by then"
    assert early.loc["p00", "expiring"] == 100 - np.ceil(3 * plain.loc["p00", "expected_demand"] / 14)
    assert (early["expiring"].drop("p00") == 0).all()
    assert early.loc["p00", "order_quantity"] > plain.loc["p00", "order_quantity"] == 0
    assert early.loc["p00", "stock"] == 100
    gone = purchase_plan(log, stock_of(stock=100, expires="2017-12-01")).orders
    assert (gone["expiring"] == 100).all()


def test_a_budget_lowers_the_service_level_of_all_alike(log: Transactions) -> None:
    full = purchase_plan(log, stock_of())
    half = purchase_plan(log, stock_of(), budget=0.9 * full.orders["cost"].sum())
    assert half.orders["cost"].sum() <= 0.9 * full.orders["cost"].sum()
    assert 0.3 < half.service_level < 0.95
    nothing = purchase_plan(log, stock_of(), budget=0)
    assert nothing.orders["cost"].sum() == 0


def test_what_members_need_is_ordered_for(log: Transactions) -> None:
    needs = pd.DataFrame({"product_id": ["p00", "p29"], "expected": [280.0, 0.1], "days": 14})
    plain, more = purchase_plan(log, stock_of()).orders, purchase_plan(log, stock_of(), needs=needs).orders
    told = pd.Series(more["expected_demand"].to_numpy(), index=more["product_id"])
    assert told["p00"] == pytest.approx(280)
    assert told.drop("p00").to_numpy() == pytest.approx(
        plain.set_index("product_id")["expected_demand"].drop("p00").to_numpy()
    )


def test_each_supplier_has_a_file(log: Transactions, tmp_path: Path) -> None:
    plan = purchase_plan(log, stock_of(supplier=["../=Farm", "Mill"] * 15))
    files = plan.write(tmp_path / "orders")
    assert [file.name for file in files] == ["001-farm.csv", "002-mill.csv"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["orders"]
    again = pd.concat([pd.read_csv(file) for file in files])
    assert again["order_quantity"].sum() == plan.orders["order_quantity"].sum()
    assert str(plan).startswith("30 of 30 products to order, for ")


def test_stock_that_cannot_be_right_is_refused_or_set_aside(log: Transactions, tmp_path: Path) -> None:
    sheet = pd.DataFrame(
        {"product_id": ["p00", "p01", "p02", "p03", "p04"], "supplier": ["Farm", "Farm", None, "Farm", "Farm"], "stock": [1, 2, 3, "x", 5],
         "lead_time": [7, -1, 7, 7, 7], "pack_size": [1, 1, 1, 1, 0]}
    )  # fmt: skip
    sheet.to_csv(tmp_path / "stock.csv", index=False)
    table, rejected = Stock.split_extract(ck.read_extract(tmp_path / "stock.csv"))
    assert table.frame["product_id"].tolist() == ["p00"]
    assert rejected.sort_values("line")[["line", "reason"]].to_numpy().tolist() == [
        [3, "lead_time is below 0"], [4, "supplier is missing"], [5, "stock is not a number"], [6, "pack_size is not above 0"],
    ]  # fmt: skip
    with pytest.raises(ContractError, match=r"stock.csv line 3: lead_time is below 0. State the days from order"):
        Stock.from_extract(ck.read_extract(tmp_path / "stock.csv"))
    plan = purchase_plan(log, stock_of(product_id=[f"p{k:02d}" for k in range(29)] + ["never sold"]))
    assert plan.unknown["product_id"].tolist() == ["never sold"]
    assert len(plan.orders) == 29
    with pytest.raises(ContractError, match="are below 0 for some products"):
        purchase_plan(log, stock_of(lead_time=-1))
    with pytest.raises(ContractError, match="29 rows repeat a product_id"):
        purchase_plan(log, stock_of(product_id="p00"))
    with pytest.raises(ContractError, match="A budget needs the unit_cost"):
        purchase_plan(log, stock_of(unit_cost=np.nan), budget=10)
    with pytest.raises(ConfigError, match="service_level=1 must lie between"):
        purchase_plan(log, stock_of(), service_level=1)


def test_on_the_past_it_fills_more_than_a_plain_rule_of_the_same_stock(log: Transactions) -> None:
    found = simulate_purchases(log, weeks=20).set_index("plan")
    ours = found.iloc[0]
    assert ours["fill_rate"] > 0.97
    plain = found.iloc[1:]
    as_much = plain[plain["mean_stock"] <= ours["mean_stock"] + 0.02]
    assert len(as_much)
    assert (as_much["fill_rate"] < ours["fill_rate"]).all()
    with pytest.raises(ConfigError, match="weeks have been observed"):
        simulate_purchases(log, weeks=60)


def test_the_run_publishes_plan_and_orders(log: Transactions, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    till = pd.DataFrame({"customer_id": rng.integers(0, 50, 3_000), "purchased_at": pd.Timestamp("2017-01-01") + pd.to_timedelta(rng.integers(0, 200, 3_000), unit="D"), "amount": 2.0, "quantity": 1, "product_id": rng.choice(["m1", "m2", "m3"], 3_000)})  # fmt: skip
    till.to_csv(tmp_path / "till.csv", index=False)
    stock = pd.DataFrame({"product_id": ["m1", "m2", "gone"], "supplier": "Farm", "stock": 5, "lead_time": 3})
    stock.to_csv(tmp_path / "stock.csv", index=False)
    config = {
        "until": "2017-07-19",
        "transactions": {"files": "till.csv"},
        "stock": {"files": "stock.csv"},
        "purchase_plan": {},
    }
    done = ck.run(config, tmp_path / "out", home=tmp_path)
    plan = done.tables["purchase_plan"]
    names = ["product_id", "supplier", "order_quantity", "order_by", "expected_demand", "service_level"]
    assert list(plan)[:6] == names
    assert [file.name for file in (done.folder / "orders").iterdir()] == ["001-farm.csv"]
    assert any("1 of 3 products in the stock have not been sold" in note for note in done.notes)
