"""Campaigns together: pooled effects, the response's posterior, and groups; each interval holds what it says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crmkit.campaigns.lift import added_purchases, response_scale
from crmkit.campaigns.pooling import control_sentence, pool_effects
from crmkit.exceptions import ConfigError, ContractError


@pytest.mark.parametrize("spread", [0.0, 2.0])
def test_the_pooled_interval_holds_the_mean_effect_as_often_as_it_says(spread: float) -> None:
    rng, held = np.random.default_rng(7), []
    for _ in range(600):
        se = rng.uniform(0.5, 4.0, 8)
        effect = 1.0 + spread * rng.normal(size=8) + se * rng.normal(size=8)
        found = pool_effects(pd.DataFrame({"effect": effect, "se": se}))
        held.append(found.low <= 1.0 <= found.high)
    assert np.mean(held) >= 0.93


def test_campaigns_that_agree_are_weighed_by_their_precision() -> None:
    found = pool_effects(pd.DataFrame({"effect": [1.0, 2.0], "se": [1.0, 1e3]}))
    assert found.effect == pytest.approx(1.0, abs=1e-4)
    apart = pool_effects(pd.DataFrame({"effect": [-10.0, 10.0], "se": [0.1, 0.1]}))
    assert apart.spread == pytest.approx(14.14, abs=0.01)
    one = pool_effects(pd.DataFrame({"effect": [3.0], "se": [1.0]}))
    assert (one.effect, round(one.low, 2), round(one.high, 2)) == (3.0, 1.04, 4.96)


def test_what_cannot_be_pooled_is_refused() -> None:
    with pytest.raises(ContractError, match="at least one campaign"):
        pool_effects(pd.DataFrame({"effect": [], "se": []}))
    with pytest.raises(ContractError, match="standard error above 0"):
        pool_effects(pd.DataFrame({"effect": [1.0], "se": [0.0]}))
    with pytest.raises(ConfigError, match="level=2"):
        pool_effects(pd.DataFrame({"effect": [1.0], "se": [1.0]}), level=2)


def test_a_control_group_that_is_large_enough_says_nothing() -> None:
    assert control_sentence(100.0, 10.0, planned=9000, held_back=1000) == ""
    assert control_sentence(100.0, 200.0, planned=900, held_back=100).startswith("A control group of 100 cannot see")
    assert control_sentence(0.0, 10.0, planned=90, held_back=10) == ""


def test_the_response_accumulates_and_its_interval_holds_the_truth() -> None:
    rng, held = np.random.default_rng(3), []
    for _ in range(600):
        truth = rng.normal(1.0, 0.5)
        lift = truth * 20.0 + 25.0 * rng.normal(size=10)
        found = response_scale(pd.DataFrame({"expected_lift": 20.0, "lift": lift, "lift_se": 25.0}))
        held.append(found.low <= truth <= found.high)
    assert np.mean(held) == pytest.approx(0.95, abs=0.03)
    evidence = pd.DataFrame({"expected_lift": 20.0, "lift": 40.0, "lift_se": 20.0}, index=range(30))
    scales = [response_scale(evidence.head(n)) for n in (0, 1, 5, 30)]
    assert [one.scale for one in scales] == sorted(one.scale for one in scales)
    assert (scales[0].scale, scales[0].weight) == (1.0, 0.0)
    assert scales[-1].scale > 1.85
    assert scales[-1].sd < scales[1].sd < 0.5


def test_a_campaign_without_spread_says_nothing_of_the_response() -> None:
    found = response_scale(pd.DataFrame({"expected_lift": [5.0], "lift": [0.0], "lift_se": [0.0]}))
    assert (found.scale, found.campaigns) == (1.0, 0)


def test_added_purchases_are_those_beyond_what_was_expected_and_its_error_is_right() -> None:
    rng = np.random.default_rng(11)
    ids = pd.Series([f"{number:04d}" for number in range(500)])
    groups = [pd.DataFrame({"customer_id": part}) for part in (ids[:400], ids[400:])]
    pairs = pd.DataFrame({"customer_id": ids}).merge(pd.DataFrame({"deal_id": ["D1", "D2"]}), how="cross")
    pairs["p_anyway"] = rng.beta(2, 4, len(pairs))
    raised = (pairs["customer_id"].isin(groups[0]["customer_id"]) & (pairs["deal_id"] == "D1")) * 0.2
    found = []
    for _ in range(300):
        bought = rng.random(len(pairs)) < pairs["p_anyway"] * (1 - raised) + raised
        found.append(added_purchases(pairs.assign(bought=bought), *groups, by="deal_id").set_index("deal_id"))
    lifts = pd.DataFrame([one["lift"] for one in found])
    planned = pairs["customer_id"].isin(groups[0]["customer_id"])
    truth = (raised * (1 - pairs["p_anyway"]))[planned & (pairs["deal_id"] == "D1")].sum()
    assert lifts["D1"].mean() == pytest.approx(truth, rel=0.1)
    assert lifts["D2"].mean() == pytest.approx(0.0, abs=4)
    assert np.mean([one.loc["D1", "se"] for one in found]) == pytest.approx(lifts["D1"].std(), rel=0.15)
