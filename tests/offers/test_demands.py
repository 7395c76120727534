"""Demands on lists beside their budgets: a share for needs, and worth that follows value, each at a price."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from offer_tables import deal_rows, due_rows, market, members, solve

from crmkit.exceptions import ContractError
from crmkit.offers.deals import Deals
from crmkit.offers.plan import OfferPlan
from crmkit.offers.redemption import RedemptionModel


def test_enough_offers_are_for_needs_and_what_that_costs_is_said() -> None:
    deals, due = market(seed=3, n_members=40, n_deals=8, n_categories=6, share=0.5)
    free = solve(deals, due, members(40), slots=3)
    held = solve(deals, due, members(40), slots=3, least_need=0.5, need_share=0.7)
    p = due.set_index(["customer_id", "category"])["p_purchase"]
    known = p.loc[list(zip(held.offers["customer_id"], held.offers["item"], strict=True))].to_numpy()
    assert ((known >= 0.5) == held.offers["need"]).all()
    assert held.need_share >= 0.7
    demand = held.demands.iloc[0]
    assert demand["reached"] == held.need_share
    assert demand["cost"] == pytest.approx(free.objective - held.objective)
    assert demand["shadow_price"] > 0
    assert held.objective <= held.bound <= free.bound + 1e-6
    assert "share of offers for a need" in str(held)


def test_a_share_that_holds_by_itself_costs_nothing() -> None:
    deals, due = market(seed=4, n_members=20, n_deals=5, n_categories=4, share=0.5)
    held = solve(deals, due, members(20), slots=3, least_need=0.0, need_share=0.7)
    assert held.offers.equals(solve(deals, due, members(20), slots=3).offers)
    assert held.demands["cost"].tolist() == [0.0]


def test_no_more_trials_than_are_asked_for_the_best_first() -> None:
    deals = deal_rows(3, margin=0.4, value=[1.0, 1.0, 2.0])
    due = due_rows(["M0000"], ["C0", "C1", "C2"])
    shares = due[["customer_id", "category"]].merge(deals[["deal_id", "category"]], on="category")
    shares = shares.assign(share=0.5, own_days=[3.0, 0.0, 0.0])
    model = RedemptionModel(shares, trials=True)

    def trials(slots: int | None) -> list[str]:
        plan = OfferPlan(Deals.from_extract(deals), control=0.0, trial_slots=slots)
        offers = plan.solve(due, members(1), redemption=model).offers
        return sorted(offers.loc[offers["is_trial"], "deal_id"])

    assert (trials(None), trials(1), trials(0)) == (["D1", "D2"], ["D2"], [])


def valued(n: int) -> pd.DataFrame:
    return members(n).assign(value=np.random.default_rng(5).lognormal(4, 1, n))


def worth_and_value(offers: pd.DataFrame, people: pd.DataFrame) -> float:
    worth = offers.groupby("customer_id")["worth"].sum().rename("worth").reset_index().merge(people, on="customer_id")
    return float(np.corrcoef(worth["worth"], worth["value"])[0, 1])


def test_worth_follows_value_at_a_price() -> None:
    deals, due = market(seed=3, n_members=60, n_deals=8, n_categories=6, share=0.5)
    people = valued(60)
    free = solve(deals, due, people, slots=4)
    assert worth_and_value(free.offers, people) < 0.4
    held = solve(deals, due, people, slots=4, worth_by_value=0.4)
    demand = held.demands.iloc[0]
    assert demand["reached"] == pytest.approx(worth_and_value(held.offers, people))
    assert demand["reached"] >= 0.395
    assert demand["shadow_price"] > 0
    assert demand["cost"] == pytest.approx(free.objective - held.objective)
    assert held.objective <= held.bound
    assert held.shortages == []
    assert (held.shadow_prices["spent"] <= held.shadow_prices["budget"] + 1e-9).all()


def test_what_cannot_be_met_is_said() -> None:
    deals, due = market(seed=3, n_members=60, n_deals=2, n_categories=2, share=0.5)
    held = solve(deals, due, valued(60), slots=1, worth_by_value=0.95)
    assert len(held.shortages) == 1
    assert "below the 0.95 demanded" in held.shortages[0]


def test_a_plan_with_no_value_is_refused() -> None:
    deals, due = market(seed=3, n_members=10, n_deals=2, n_categories=2, share=0.5)
    with pytest.raises(ContractError, match="value"):
        solve(deals, due, members(10), worth_by_value=0.5)


def test_nothing_is_demanded_of_an_empty_plan() -> None:
    due = due_rows(["M0000"], ["C0"])
    plan = solve(deal_rows(1, budget=0.0), due, members(1), least_need=0.3, need_share=0.7)
    assert plan.offers.empty
    assert plan.demands["cost"].tolist() == [0.0]
    assert np.isfinite(plan.demands[["wanted", "reached", "shadow_price"]].to_numpy()).all()
    assert isinstance(plan.demands, pd.DataFrame)
