"""Redemption modelled: own shares from the log, what an offer does, and budgets that are kept as often as is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from offer_tables import deal_rows, due_rows, members
from scipy.stats import poisson

from crmkit import Transactions
from crmkit.exceptions import ConfigError, ContractError
from crmkit.offers._redemption_math import budget_to_plan, expected_redemption, shrunk_share
from crmkit.offers.deals import Deals
from crmkit.offers.plan import OfferPlan
from crmkit.offers.redemption import RedemptionModel
from crmkit.offers.result import OfferResult
from crmkit.offers.shares import deal_shares

ONE = np.ones(1)


def figures(**changes: float) -> dict[str, float]:
    terms = {"p": 0.5, "share": 0.3, "rate": 0.2, "spend": 10.0, "depth": 2.5, "funder_share": 1.0, "margin": 0.3}
    found = expected_redemption(**{name: value * ONE for name, value in (terms | changes).items()}, other_margin=0.2)
    return {name: float(values[0]) for name, values in found._asdict().items()}


def test_the_formulas_are_those_of_the_docstring() -> None:
    odds_category, odds_brand = np.exp(0.4 * 0.3), 0.3 / 0.7 * np.exp(0.8)
    p, share = odds_category / (1 + odds_category), odds_brand / (1 + odds_brand)
    found = figures(funder_share=0.4)
    redeemed = 0.2 * (0.5 * share + p - 0.5)
    assert found["p_redeem"] == pytest.approx(redeemed)
    gain = 0.2 * (0.7 * (p - 0.5) * 10 * 0.3 + 0.5 * (share - 0.3) * 10 * 0.1)
    gain += redeemed * (0.1 * 10 * 0.3 - 2.5 * 0.6)
    assert found["gain"] == pytest.approx(gain)
    assert found["p_anyway"] == pytest.approx(0.15)


def test_who_never_redeems_costs_nothing_and_who_never_buys_the_brand_hardly_does() -> None:
    assert figures(rate=0.0)["p_redeem"] == figures(rate=0.0)["gain"] == 0
    assert figures(rate=0.0)["p_with_deal"] == figures(rate=0.0)["p_anyway"]
    assert figures(share=0.02)["p_redeem"] < 0.2 * figures(share=0.5)["p_redeem"]
    assert figures(more_bought=0.2)["gain"] > figures(more_bought=0.0)["gain"]
    assert figures(depth=0.0, rate=0.0)["gain"] == pytest.approx(0)
    assert figures(spend=0.0)["gain"] == pytest.approx(0)
    assert figures(depth=1.0)["p_with_deal"] < figures(depth=2.5)["p_with_deal"] < 1


@pytest.mark.parametrize("depth", [0.25, 1.0, 3.0])
def test_budgets_are_kept_with_the_stated_probability(depth: float) -> None:
    budget = depth * np.array([1, 2, 3, 5, 8, 13, 25, 50, 120, 400])
    planned = budget_to_plan(budget, np.full(len(budget), depth))
    overrun = poisson.sf(np.floor(budget / depth + 1e-9), planned / depth)
    assert (overrun <= 0.05 + 1e-12).all()
    assert planned[-1] > 0.9 * budget[-1]
    assert (budget_to_plan(budget, np.full(len(budget), depth), probability=0.5) == budget).all()


def test_an_uncertain_rate_plans_less() -> None:
    rng = np.random.default_rng(2)
    planned = float(budget_to_plan(100 * ONE, ONE, uncertainty=0.3)[0])
    assert planned < float(budget_to_plan(100 * ONE, ONE)[0])
    drawn = rng.poisson(planned * np.maximum(1 + 0.3 * rng.standard_normal(200_000), 0))
    assert (drawn > 100).mean() == pytest.approx(0.05, abs=0.012)
    assert 0 < float(budget_to_plan(100 * ONE, ONE, uncertainty=2.0)[0]) < 30


@pytest.fixture
def log() -> Transactions:
    rows = [
        ("a", "2017-12-31", "Tea", "Mint", "1"), ("a", "2017-12-31", "Tea", "Assam", "2"),
        ("a", "2017-12-01", "Tea", "Assam", "2"), ("b", "2017-12-31", "Tea", "Assam", "2"),
        ("b", "2017-12-31", "Milk", "Farm", "3"), ("b", "2018-01-05", "Tea", "Mint", "1"),
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["customer_id", "purchased_at", "category", "brand", "product_id"])
    return Transactions.from_extract(table.assign(amount=1.0), until="2018-01-10")


def test_own_shares_count_days_up_to_the_close_and_fade(log: Transactions) -> None:
    deals = Deals.from_extract(deal_rows(3, category="Tea", brand=["Mint", None, None], product_id=[None, "2", None]))
    found = deal_shares(log, deals, as_of="2017-12-31").set_index(["customer_id", "deal_id"])
    faded = np.exp(-30 / 250)
    assert found.loc[("a", "D0"), ["category_days", "own_days"]].tolist() == pytest.approx([1 + faded, 1], abs=1e-6)
    assert found.loc[("b", "D0"), "own_days"] == 0
    assert found.loc[("a", "D1"), "own_days"] == pytest.approx(1 + faded, abs=1e-6)
    assert found.loc[("b", "D2"), "share"] == pytest.approx(1)
    overall = 1 / (2 + faded)
    assert found.loc[("b", "D0"), "share"] == pytest.approx(
        float(shrunk_share(0 * ONE, ONE, overall * ONE)[0]), abs=1e-6
    )
    assert set(found.index.get_level_values("customer_id")) == {"a", "b"}


def test_later_purchases_change_no_share(log: Transactions) -> None:
    deals = Deals.from_extract(deal_rows(1, category="Tea", brand="Mint"))
    early = deal_shares(log.up_to("2017-12-31"), deals)
    pd.testing.assert_frame_equal(early, deal_shares(log, deals, as_of="2017-12-31"))
    assert not early.equals(deal_shares(log, deals))


def test_a_deal_that_the_log_cannot_tell_is_refused(split: Callable[..., object]) -> None:
    table = pd.DataFrame({"customer_id": ["a"], "purchased_at": "2017-12-31", "amount": 1.0, "category": "Tea"})
    with pytest.raises(ContractError, match="brand"):
        deal_shares(
            Transactions.from_extract(table, until="2017-12-31"), Deals.from_extract(deal_rows(1, brand="Mint"))
        )


# -- the plan ----------------------------------------------------------------------------------------------------


def shares_of(due: pd.DataFrame, deals: pd.DataFrame, **columns: object) -> pd.DataFrame:
    pairs = due[["customer_id", "category"]].merge(deals[["deal_id", "category"]], on="category")
    return pairs.drop(columns="category").assign(**({"share": 0.5, "own_days": 3.0} | columns))


def planned(deals: pd.DataFrame, due: pd.DataFrame, n: int, model: RedemptionModel, **terms: object) -> OfferResult:
    plan = OfferPlan(Deals.from_extract(deals), **{"control": 0.0, **terms})  # type: ignore[arg-type]
    return plan.solve(due, members(n), redemption=model)


def test_an_offer_says_how_probably_it_is_redeemed_and_costs_that() -> None:
    deals, due = deal_rows(1, value=2.5, margin=0.4), due_rows(["M0000"], ["C0"])
    model = RedemptionModel(shares_of(due, deals), rates=pd.DataFrame({"customer_id": ["M0000"], "rate": [0.6]}))
    plan = planned(deals, due, 1, model)
    offer = plan.offers.iloc[0]
    expected = expected_redemption(*(value * ONE for value in (0.5, 0.5, 0.6, 10.0, 2.5, 1.0, 0.4)), other_margin=0.3)
    assert offer["p_redeem"] == pytest.approx(expected.p_redeem[0])
    assert offer["expected_cost"] == pytest.approx(expected.p_redeem[0] * 2.5)
    assert offer["expected_gain"] == pytest.approx(expected.gain[0])
    assert not offer["is_trial"]
    assert not any("every purchase of the item redeems" in sentence for sentence in plan.assumptions)
    assert any("kept with a probability of 95%" in sentence for sentence in plan.assumptions)


def test_uptake_scales_what_is_expected_of_offers_and_is_said() -> None:
    deals, due = deal_rows(1, value=2.5, margin=0.4), due_rows(["M0000"], ["C0"])
    usual = planned(deals, due, 1, RedemptionModel(shares_of(due, deals))).offers.iloc[0]
    seldom = planned(deals, due, 1, RedemptionModel(shares_of(due, deals), uptake=0.5))
    assert seldom.offers["p_redeem"][0] == pytest.approx(usual["p_redeem"] / 2)
    assert any("redeemed 0.50 times as often" in sentence for sentence in seldom.assumptions)


def test_what_a_member_never_bought_is_offered_as_a_trial_or_not_at_all() -> None:
    deals, due = deal_rows(2, margin=0.4), due_rows(["M0000", "M0001"], ["C0", "C1"])
    shares = shares_of(due, deals)
    shares["own_days"] = np.where(shares["deal_id"] == "D0", 3.0, 0.0)
    assert set(planned(deals, due, 2, RedemptionModel(shares)).offers["deal_id"]) == {"D0"}
    tried = planned(deals, due, 2, RedemptionModel(shares, trials=True)).offers
    assert set(tried.loc[tried["is_trial"], "deal_id"]) == {"D1"}
    assert planned(deals, due, 2, RedemptionModel(shares.head(0))).offers.empty
    assert planned(deals, due, 2, RedemptionModel(shares.assign(share=0.03))).offers.empty
    assert planned(deals, due.assign(p_purchase=0.04), 2, RedemptionModel(shares)).offers.empty


def test_budgets_hold_as_often_as_is_said_when_redemptions_are_drawn() -> None:
    rng = np.random.default_rng(5)
    deals = deal_rows(4, value=[0.5, 1.0, 2.0, 1.0], budget=[12.0, 30.0, 60.0, 8.0], margin=0.5)
    due = due_rows(members(800)["customer_id"].tolist(), ["C0", "C1", "C2", "C3"])
    due = due.assign(p_purchase=rng.beta(3, 3, len(due)))
    model = RedemptionModel(shares_of(due, deals), uncertainty=0.0)
    plan = planned(deals, due, 800, model, store_budget=50.0, slots=3)
    full = planned(deals, due, 800, RedemptionModel(shares_of(due, deals), probability=0.5), slots=3)
    assert plan.shadow_prices["spent"].sum() > 0.5 * plan.shadow_prices["budget"].sum()
    assert plan.shadow_prices["spent"].sum() < full.shadow_prices["spent"].sum()
    assert plan.objective <= plan.bound
    worth, p = plan.offers["worth"].to_numpy(), plan.offers["p_redeem"].to_numpy()
    money = np.stack([np.where(rng.random(len(p)) < p, worth, 0) for _ in range(2000)])
    for deal, budget in zip(plan.shadow_prices["deal_id"], plan.shadow_prices["budget"], strict=True):
        spent = money[:, (plan.offers["deal_id"] == deal).to_numpy()].sum(axis=1)
        assert (spent > budget + 1e-9).mean() <= 0.06


def test_shares_in_a_file_plan_what_shares_in_memory_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crmkit.offers.needs._ROWS", 40)
    monkeypatch.setattr("crmkit.offers.member_shares._ROWS", 7)  # a member's deals are in two pieces
    rng = np.random.default_rng(1)
    deals = deal_rows(6, margin=0.4, budget=30.0, brand_type=["store", None] * 3)
    due = due_rows(members(60)["customer_id"].tolist()[5:], [f"C{n}" for n in range(6)])
    due = due.assign(p_purchase=rng.beta(3, 3, len(due))).sort_values(["customer_id", "category"], ignore_index=True)
    shares = shares_of(due, deals).sort_values("customer_id", kind="stable")
    shares = shares.assign(share=rng.random(len(shares)), own_days=rng.integers(0, 2, len(shares)) * 1.0)
    shares = shares.assign(yearly=rng.random(len(shares)), other_margin=np.where(shares["own_days"] > 0, 0.2, np.nan))
    shares = shares[rng.random(len(shares)) < 0.8]
    shares.to_parquet(tmp_path / "shares.parquet", index=False)
    due.to_parquet(tmp_path / "due.parquet", index=False)
    plans = [
        OfferPlan(Deals.from_extract(deals), control=0.1, trial_slots=1).solve(
            given, members(60), redemption=RedemptionModel(table, trials=True)
        )
        for given, table in ((due, shares), (tmp_path / "due.parquet", tmp_path / "shares.parquet"))
    ]
    assert plans[0].offers["is_trial"].nunique() == 2
    pd.testing.assert_frame_equal(plans[0].offers, plans[1].offers, check_exact=True)
    assert plans[0].bound == plans[1].bound


@pytest.mark.parametrize(
    ("file", "said"),
    [(lambda t: t[::-1], "is not ordered by customer_id"), (lambda t: pd.concat([t, t.tail(1)]), "once")],
)
def test_a_file_of_shares_out_of_order_or_with_repeats_is_refused(
    file: Callable[[pd.DataFrame], pd.DataFrame], said: str, tmp_path: Path
) -> None:
    deals, due = deal_rows(1, margin=0.4), due_rows(["M0000", "M0001"], ["C0"])
    file(shares_of(due, deals)).to_parquet(tmp_path / "shares.parquet", index=False)
    with pytest.raises(ContractError, match=said):
        planned(deals, due, 2, RedemptionModel(tmp_path / "shares.parquet"))


def test_a_model_that_cannot_be_is_refused() -> None:
    shares = pd.DataFrame({"customer_id": ["a"], "deal_id": ["D"], "share": [0.5], "own_days": [1.0]})
    with pytest.raises(ConfigError, match=r"mean=2 is not between 0 and 1; .*probability=1"):
        RedemptionModel(shares, mean=2, probability=1)
    with pytest.raises(ContractError, match=r"Columns not found: \['share'\].*shares has"):
        RedemptionModel(shares.drop(columns="share"))
    with pytest.raises(ContractError, match="more than once"):
        RedemptionModel(pd.concat([shares, shares]))
    with pytest.raises(ContractError, match="rates: a customer_id"):
        RedemptionModel(shares, rates=pd.DataFrame({"customer_id": ["a", "a"], "rate": 0.1}))
