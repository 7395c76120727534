"""Redemption modelled: own shares from the log, what an offer does, and budgets that are kept as often as is said."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from offer_tables import deal_rows
from scipy.stats import poisson

from crmkit import Transactions
from crmkit.exceptions import ContractError
from crmkit.offers._redemption_math import budget_to_plan, expected_redemption, shrunk_share
from crmkit.offers.deals import Deals
from crmkit.offers.shares import deal_shares

ONE = np.ones(1)


def figures(**changes: float) -> dict[str, float]:
    terms = {"p": 0.5, "share": 0.3, "rate": 0.2, "spend": 10.0, "depth": 2.5, "funder_share": 1.0, "margin": 0.3}
    found = expected_redemption(**{name: value * ONE for name, value in (terms | changes).items()}, other_margin=0.2)
    return {name: float(values[0]) for name, values in found._asdict().items()}


def test_the_formulas_are_those_of_the_docstring() -> None:
    odds_category, odds_brand = np.exp(0.2 * 0.3), 0.3 / 0.7 * np.exp(0.4)
    p, share = odds_category / (1 + odds_category), odds_brand / (1 + odds_brand)
    found = figures(funder_share=0.4)
    redeemed = 0.2 * (0.5 * share + p - 0.5)
    assert found["p_redeem"] == pytest.approx(redeemed)
    gain = 0.7 * (p - 0.5) * 10 * 0.3 + 0.5 * (share - 0.3) * 10 * 0.1 - redeemed * 2.5 * 0.6
    assert found["gain"] == pytest.approx(gain)
    assert found["p_anyway"] == pytest.approx(0.15)


def test_who_never_redeems_costs_nothing_and_who_never_buys_the_brand_hardly_does() -> None:
    assert figures(rate=0.0)["p_redeem"] == 0
    assert figures(share=0.02)["p_redeem"] < 0.2 * figures(share=0.5)["p_redeem"]
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
