"""What holds for every plan, whatever the market."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from crmkit.exceptions import ContractError
from crmkit.offers.control_group import control_group
from crmkit.offers.deals import Deals
from crmkit.offers.plan import OfferPlan
from crmkit.offers.solver import exact

CATEGORIES = ["Milk", "Tea", "Soap", "Nuts"]


@st.composite
def markets(draw: st.DrawFn) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Deals, due items and members, with ties and with budgets of nothing."""
    n_deals = draw(st.integers(1, 6))
    n_members = draw(st.integers(1, 12))
    column = lambda values, n: draw(st.lists(st.sampled_from(values), min_size=n, max_size=n))  # noqa: E731
    deals = pd.DataFrame(
        {
            "deal_id": [f"D{i}" for i in range(n_deals)],
            "title": "off",
            "category": column(CATEGORIES, n_deals),
            "funder": "Maker",
            "funder_share": column([1.0, 0.95, 0.0], n_deals),
            "value": column([0.25, 0.5, 1.0], n_deals),
            "budget": column([0.0, 0.3, 1.0, 2.5, 100.0], n_deals),
            "starts": "2018-01-01",
            "ends": "2018-01-14",
        }
    )
    members = pd.DataFrame({"customer_id": [f"M{i}" for i in range(n_members)]})
    due = members.merge(pd.DataFrame({"category": CATEGORIES}), how="cross")
    due["p_purchase"] = column([0.0, 0.2, 0.5, 0.9, 1.0], len(due))
    due["spend"] = column([1.0, 4.0, 4.5, 20.0], len(due))
    kept = draw(st.lists(st.booleans(), min_size=len(due), max_size=len(due)))
    return deals, due[np.array(kept)], members


def nothing_fits(deals: pd.DataFrame, due: pd.DataFrame) -> bool:
    """Whether something is due and no deal is for any of it, which a plan refuses."""
    return len(due) > 0 and not set(deals["category"]) & set(due["category"])


@given(markets(), st.integers(1, 4), st.sampled_from([0.0, 0.3]))
def test_a_plan_keeps_its_terms(
    market: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame], slots: int, control: float
) -> None:
    deals, due, members = market
    terms = OfferPlan(Deals.from_extract(deals), slots=slots, control=control)
    if nothing_fits(deals, due):
        with pytest.raises(ContractError, match="No deal is for anything that is due"):
            terms.solve(due, members)
        return
    plan = terms.solve(due, members)
    offers = plan.offers.merge(deals[["deal_id", "category", "budget"]], on="deal_id")
    spent = offers.groupby("deal_id").agg(cost=("expected_cost", "sum"), budget=("budget", "first"))
    assert (spent["cost"] <= spent["budget"] + 1e-9).all()
    assert not offers.duplicated(["customer_id", "category"]).any()
    assert offers.groupby("customer_id").size().le(slots).all()
    assert offers.groupby("customer_id")["position"].max().eq(offers.groupby("customer_id").size()).all()
    assert not offers["customer_id"].isin(plan.control["customer_id"]).any()
    assert (offers["expected_gain"] > 0).all()
    assert 0 <= plan.gap < 1
    assert plan.objective <= plan.bound


@st.composite
def terms(draw: st.DrawFn) -> dict[str, object]:
    """Terms of a plan, each perhaps not asked for."""
    maybe = lambda values: draw(st.sampled_from([None, *values]))  # noqa: E731
    asked = {
        "store_budget": maybe([0.0, 0.4, 3.0]),
        "funder_cap": maybe([1, 2]),
        "funder_budgets": maybe([{"Maker": 0.5}, {"Maker": 2.0, "Other": 0.0}]),
        "min_reach": maybe([{"Maker": 3}, {"Other": 20}]),
        "min_worth": maybe([{"gold": 0.6}, {"gold": 1.5, "plain": 0.3}]),
        "contact_cost": maybe([0.02]),
    }
    return {name: value for name, value in asked.items() if value is not None}


@given(
    markets(), terms(), st.integers(1, 3), st.booleans(), st.lists(st.sampled_from(["x", None]), min_size=6, max_size=6)
)
def test_no_term_is_ever_broken_and_what_is_lacking_is_named(
    market: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame],
    asked: dict[str, object],
    slots: int,
    by_prices: bool,
    conflicts: list[str | None],
) -> None:
    deals, due, members = market
    assume(not nothing_fits(deals, due))
    deals = deals.assign(
        funder=np.where(np.arange(len(deals)) % 2, "Maker", "Other"), conflicts=conflicts[: len(deals)]
    )
    asked = {
        name: {funder: value for funder, value in terms.items() if funder in set(deals["funder"]) or name == "min_worth"}
        if isinstance(terms, dict) else terms
        for name, terms in asked.items()
    }  # fmt: skip
    members = members.assign(tier=["gold", "plain"] * (len(members) // 2) + ["gold"] * (len(members) % 2))
    with mock.patch.object(exact, "MOST_CANDIDATES", 0 if by_prices else 50_000):
        plan = OfferPlan(Deals.from_extract(deals), slots=slots, control=0, **asked).solve(due, members)  # type: ignore[arg-type]
    offers = plan.offers.merge(deals, on="deal_id")
    offers["paid"] = offers["expected_cost"] * offers["funder_share"]
    own = offers["expected_cost"] - offers["paid"] + asked.get("contact_cost", 0.0)
    assert (plan.budgets["spent"] <= plan.budgets["budget"] + 1e-9).all()
    assert own.sum() <= asked.get("store_budget", np.inf) + 1e-9
    for funder, money in asked.get("funder_budgets", {}).items():  # type: ignore[attr-defined]
        assert offers.loc[offers["funder"] == funder, "paid"].sum() <= money + 1e-9
    assert offers.groupby("customer_id").size().max() <= slots or offers.empty
    assert not offers.duplicated(["customer_id", "category"]).any()
    assert not offers.dropna(subset="conflicts").duplicated(["customer_id", "conflicts"]).any()
    most = offers.groupby(["customer_id", "funder"]).size().max()
    assert offers.empty or most <= asked.get("funder_cap", slots)
    short = plan.shortfalls.set_index("demand")["reached"].to_dict()
    for funder, wanted in asked.get("min_reach", {}).items():  # type: ignore[attr-defined]
        reached = offers.loc[offers["funder"] == funder, "customer_id"].nunique()
        assert reached >= wanted or short[funder] == reached
    worth = plan.offers.groupby("customer_id")["worth"].sum().reindex(members["customer_id"]).fillna(0).to_numpy()
    for tier, least in asked.get("min_worth", {}).items():  # type: ignore[attr-defined]
        theirs = worth[(members["tier"] == tier).to_numpy()]
        enough = int((theirs >= least - 0.005).sum())
        assert enough == len(theirs) or short[f"tier {tier}"] == enough
    assert plan.objective <= plan.bound


@given(markets(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(
    market: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame], random: object
) -> None:
    deals, due, members = market
    assume(not nothing_fits(deals, due))
    seed = random.randrange(2**32)  # type: ignore[attr-defined]
    shuffled = [table.sample(frac=1, random_state=seed) for table in (deals, due, members)]
    plan = OfferPlan(Deals.from_extract(deals), slots=2, control=0.2).solve(due, members)
    other = OfferPlan(Deals.from_extract(shuffled[0]), slots=2, control=0.2).solve(*shuffled[1:])
    pd.testing.assert_frame_equal(plan.offers, other.offers)
    pd.testing.assert_frame_equal(plan.control, other.control)
    assert plan.bound == other.bound


@given(st.lists(st.text(min_size=1), unique=True), st.floats(0, 1), st.floats(0, 1), st.text())
def test_a_larger_control_group_contains_the_smaller(ids: list[str], one: float, other: float, key: str) -> None:
    small, large = (set(control_group(ids, share, key)["customer_id"]) for share in sorted([one, other]))
    assert small <= large <= set(ids)
