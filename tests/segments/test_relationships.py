"""Costs are divided to the cent; levels come from stated steps; what costs more than it brings is flagged with the sum."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmkit import Transactions
from crmkit.exceptions import ConfigError, ContractError
from crmkit.ingest.tables import Costs
from crmkit.segments.relationships import LEVELS, PROXY, STATED, RelationshipLevel
from crmkit.summaries.costs import allocate_costs, largest_remainder

TILL = pd.DataFrame(
    {
        "customer_id": ["a", "a", "a", "b", "b", None, "c"],
        "purchased_at": [
            "2017-05-02",
            "2017-05-02",
            "2017-05-02",
            "2017-05-09",
            "2017-06-01",
            "2017-05-03",
            "2017-05-30",
        ],
        "order_id": ["1", "1", "2", "3", "4", "5", "6"],
        "amount": [10.0, 5, 5, 20, 30, 7, 40],
        "category": ["Milk", "Bread", "Milk", "Milk", "Wine", "Milk", "Milk"],
    }
)


@pytest.fixture(scope="module")
def log() -> Transactions:
    return Transactions.split_extract(TILL, until="2017-06-15")[0]


def sheet(*rows: tuple) -> Costs:
    names = ["cost_id", "kind", "customer_id", "amount", "starts", "ends", "allocated_by"]
    return Costs.from_extract(pd.DataFrame(rows, columns=names))


def shares(parts: pd.DataFrame) -> dict:
    return {None if pd.isna(row.customer_id) else row.customer_id: row.amount for row in parts.itertuples()}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("orders", {"a": 40.0, "b": 20.0, "c": 20.0, None: 20.0}),
        ("lines", {"a": 50.0, "b": 16.67, "c": 16.67, None: 16.66}),
        ("visits", {"a": 25.0, "b": 25.0, "c": 25.0, None: 25.0}),
    ],
)
def test_a_shared_cost_follows_the_trade_of_its_days(log, rule, expected):
    parts = allocate_costs(sheet((1, "till", None, 100, "2017-05-01", "2017-05-31", rule)), log)
    assert shares(parts) == expected
    assert round(parts["amount"].sum(), 2) == 100


def test_a_period_that_is_not_over_bears_what_its_days_are_worth(log):
    costs = sheet(
        (1, "rent", None, 300, "2017-06-01", "2017-06-30", "visits"),
        (2, "rent", None, 9, "2017-07-01", "2017-07-31", "lines"),
    )
    assert shares(allocate_costs(costs, log)) == {"b": 150.0}
    assert shares(allocate_costs(costs, log, as_of="2017-06-01")) == {"b": 10.0}


def test_receipts_of_two_stores_are_two_orders_whatever_their_numbers():
    till = pd.DataFrame({"customer_id": [None, None, "a", "a"], "purchased_at": "2017-05-02", "amount": 1.0})
    till = till.assign(order_id=["1", "1", "1", "1"], store=["N", "S", "N", "N"])
    log = Transactions.split_extract(till, until="2017-06-15")[0]
    for rule in ("orders", "visits"):
        parts = allocate_costs(sheet((1, "till", None, 90, "2017-05-01", "2017-05-31", rule)), log)
        assert shares(parts) == {"a": 30.0, None: 60.0}


def test_days_without_trade_are_nobodys(log):
    parts = allocate_costs(sheet((1, "rent", None, 5.55, "2017-05-20", "2017-05-21", "orders")), log)
    assert shares(parts) == {None: 5.55}


def test_a_shared_cost_without_a_rule_is_refused(log):
    with pytest.raises(ContractError, match=r"1 shared costs do not say .* cost_id \['1'\]"):
        allocate_costs(sheet((1, "rent", None, 5, "2017-05-01", "2017-05-31", None)), log)


@given(st.integers(0, 10**15), st.lists(st.integers(0, 10**9), min_size=1, max_size=50).filter(any))
def test_the_largest_remainder_loses_no_cent_and_is_within_one(total, weights):
    parts = largest_remainder(total, weights)
    assert int(parts.sum()) == total
    whole = sum(weights)
    assert all(abs(int(part) * whole - total * weight) < whole for part, weight in zip(parts, weights, strict=True))
    assert all(part == 0 for part, weight in zip(parts, weights, strict=True) if weight == 0)


@pytest.mark.parametrize("weights", [[], [0, 0], [-1, 2], [0.5], [[1]]])
def test_weights_that_divide_nothing_are_refused(weights):
    with pytest.raises(ContractError, match="weights"):
        largest_remainder(5, weights)


def test_costs_and_losses_are_summed(log):
    costs = sheet(
        (1, "visit", "b", 70, "2017-05-01", "2017-05-31", None),
        (2, "till", None, 4, "2017-05-01", "2017-05-31", "orders"),
        (3, "visit", "nobody we know", 11, "2017-05-01", "2017-05-31", None),
    )
    found = RelationshipLevel().assess(log, costs)
    table = found.table.set_index("customer_id")
    assert table["cost"].to_dict() == {"a": 1.6, "b": 70.8, "c": 0.8}
    assert table["income"].to_dict() == {"a": 20.0, "b": 50.0, "c": 40.0}
    assert table["loss"].to_dict() == {"a": 0.0, "b": 20.8, "c": 0.0}
    assert found.costly["customer_id"].tolist() == ["b"]
    assert found.unassigned_cost == 11.8
    assert "1 cost more than they bring, together 20.80" in str(found)
    assert table["cost"].sum() + found.unassigned_cost == pytest.approx(85)


def test_the_margin_makes_income(log):
    found = RelationshipLevel(margin=0.5).assess(log, sheet((1, "visit", "a", 11, "2017-05-01", "2017-05-31", None)))
    assert found.table.set_index("customer_id").loc["a", ["income", "loss", "costs_more"]].tolist() == [10.0, 1.0, True]


def test_a_stated_share_is_called_stated_and_the_rest_a_proxy(log):
    found = RelationshipLevel().assess(log, share=pd.Series({"a": 0.4, "stranger": 0.9}))
    table = found.table.set_index("customer_id")
    assert table["share_source"].to_dict() == {"a": STATED, "b": PROXY, "c": PROXY}
    assert table.loc["a", "share"] == 0.4
    assert table["share"].between(0, 1).all()
    with pytest.raises(ContractError, match="1 estimates are not between 0 and 1"):
        RelationshipLevel().assess(log, share=pd.Series({"a": 40.0}))


def test_what_is_known_is_counted_up_to_the_close(log):
    table = RelationshipLevel().assess(log, as_of="2017-05-31").table.set_index("customer_id")
    assert table["length"].to_dict() == {"a": 29, "b": 22, "c": 1}
    assert table["breadth"].to_dict() == {"a": 2, "b": 1, "c": 1}
    assert table["sales"].to_dict() == {"a": 20.0, "b": 20.0, "c": 40.0}
    assert table["contact"].round(3).to_dict() == {"a": 0.933, "b": 1.0, "c": 1.0}


@pytest.mark.parametrize("window", [28, 29, 34, 35, 84, 364, 365])
def test_who_buys_every_day_or_week_has_the_whole_proxy(window):
    days = pd.date_range("2016-01-01", "2017-03-31")
    daily = pd.DataFrame({"customer_id": "a", "purchased_at": days, "amount": 1.0, "category": "x"})
    weekly = daily[::-7].assign(customer_id="b")
    young = daily[-36:].assign(customer_id="c")
    fortnightly = daily[::-14].assign(customer_id="d")
    log = Transactions.from_extract(pd.concat([daily, weekly, young, fortnightly]), until="2017-03-31")
    share = RelationshipLevel(window=window).assess(log).table.set_index("customer_id")["share"]
    assert share[["a", "b", "c"]].tolist() == [1.0, 1.0, 1.0]
    weeks = -(-window // 7)
    assert share["d"] == pytest.approx(-(-weeks // 2) / weeks, abs=1e-12)


def test_breadth_is_of_items_that_were_kept():
    rows = [
        ("a", "2017-05-02", "1", "Milk", 1, 5.0), ("a", "2017-05-02", "2", "Wine", 1, 9.0),
        ("a", "2017-05-20", "2", "Wine", -1, -9.0), ("b", "2017-05-02", "2", "Wine", 1, 9.0),
        ("b", "2017-05-20", "2", "Wine", -1, -9.0),
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["customer_id", "purchased_at", "product_id", "category", "quantity", "amount"])
    log = Transactions.from_extract(frame, until="2017-06-15")
    assert RelationshipLevel().assess(log).table["breadth"].tolist() == [1, 0]
    assert RelationshipLevel().assess(log, as_of="2017-05-19").table["breadth"].tolist() == [2, 1]


def test_stated_edges_give_the_levels(log):
    edges = {
        "length": (10, 20, 40),
        "breadth": (0, 1, 2),
        "contact": (0.1, 0.5, 0.95),
        "share": (0.1, 0.2, 0.3),
        "cost_ratio": (0.05, 0.1, 0.2),
    }
    stated = RelationshipLevel(edges=edges).assess(log, share=pd.Series({"a": 0.25, "b": 0.9, "c": 0.05}))
    table = stated.table.set_index("customer_id")
    assert table.loc["a", ["length_score", "breadth_score", "contact_score", "share_score"]].tolist() == [4, 3, 3, 3]
    assert table["level"].to_dict() == {"a": "preferred supplier", "b": "partner", "c": "preferred supplier"}
    assert table["lacking"].to_dict() == {
        "a": "less than 50% of the purchases are here; brings less than 1 times what the mean customer does",
        "b": "",
        "c": "",
    }
    assert "cost_ratio_score" not in table
    assert set(table["level"]) <= set(LEVELS)


def test_nobody_is_in_an_alliance_for_standing_in_the_upper_quarter():
    days = pd.date_range("2017-01-01", "2017-12-30", freq="7D")
    rows = [(str(c), day, 5.0 + c, str(d % (1 + c))) for c in range(8) for d, day in enumerate(days[:: 8 - c])]
    names = ["customer_id", "purchased_at", "amount", "category"]
    log = Transactions.from_extract(pd.DataFrame(rows, columns=names), until="2017-12-31")
    level = RelationshipLevel(edges=dict.fromkeys(["length", "breadth", "contact", "share"], (0.1, 0.2, 0.3)))
    table = level.assess(log).table.set_index("customer_id")
    assert "alliance" not in set(table["level"])
    assert table.loc["7", ["level", "lacking"]].tolist() == ["partner", "no agreement is stated"]
    signed = level.assess(log, agreement=pd.Series({"7": True, "0": True})).table.set_index("customer_id")
    assert signed["level"].to_dict() == {**table["level"].to_dict(), "7": "alliance"}
    assert signed.loc["0", "level"] == "preferred supplier"  # an agreement alone makes nobody mean much


def test_a_single_customer_is_no_alliance():
    one = pd.DataFrame({"customer_id": ["x"], "purchased_at": ["2017-05-02"], "amount": [901.0], "category": ["Wine"]})
    table = RelationshipLevel().assess(Transactions.from_extract(one, until="2017-06-15")).table
    assert table["level"].tolist() in (["transactional buyer"], ["preferred supplier"])


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"margin": 0}, "margin"),
        ({"window": 7}, "window"),
        ({"least_share": 50}, "least_share"),
        ({"least_weight": -1}, "least_weight"),
        ({"edges": {"size": (1, 2, 3)}}, r"unknown axes \['size'\]"),
        ({"edges": {"length": (3, 2, 1)}}, "three rising"),
    ],
)
def test_settings_that_make_no_levels_are_refused(log, parameters, match):
    with pytest.raises(ConfigError, match=match):
        RelationshipLevel(**parameters).assess(log)


def test_before_the_first_sale_there_is_no_relationship(log):
    with pytest.raises(ContractError, match="No customer has bought"):
        RelationshipLevel().assess(log, as_of="2016-01-01")


def test_more_of_everything_is_never_a_lower_level():
    rng = np.random.default_rng(0)
    days = pd.date_range("2017-01-01", "2017-12-01")
    rows = [(str(c), days[d], 5.0, str(d % (1 + c % 9))) for c in range(60) for d in rng.integers(0, 330, 1 + c)]
    log = Transactions.from_extract(
        pd.DataFrame(rows, columns=["customer_id", "purchased_at", "amount", "category"]), until="2017-12-31"
    )
    table = RelationshipLevel().assess(log, agreement=pd.Series(True, index=[str(c) for c in range(60)])).table
    axes = ["length", "breadth", "contact", "share", "weight"]
    rank = table["level"].map(LEVELS.index).to_numpy()
    values = table[axes].to_numpy()
    above = (values[:, None] >= values[None]).all(axis=2)
    assert (np.where(above, rank[:, None] - rank[None], 0) >= 0).all()
    assert len(set(table["level"])) == 4
