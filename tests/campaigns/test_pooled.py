"""Pooled campaigns: a known mean is recovered, and the interval holds as often as is said, with few campaigns too."""

from __future__ import annotations

import numpy as np
import pytest

from crmkit.campaigns.effect import CampaignEffect
from crmkit.campaigns.pooled import pooled_effect
from crmkit.exceptions import ConfigError, ContractError


def campaign(effect: float, se: float) -> CampaignEffect:
    return CampaignEffect(effect, effect - 1.959964 * se, effect + 1.959964 * se, 100.0, 900, 100, 0.95, 0.0)


def test_one_campaign_stays_as_it_is() -> None:
    found = pooled_effect([campaign(3.0, 1.0)])
    assert (found.effect, found.spread) == pytest.approx((3.0, 0.0))
    assert (found.low, found.high) == pytest.approx((3 - 1.959964, 3 + 1.959964), abs=1e-6)
    assert found.seen


def test_exact_campaigns_weigh_more_and_noisy_ones_are_drawn_to_the_mean() -> None:
    found = pooled_effect([campaign(0.0, 0.1), campaign(2.0, 0.1), campaign(9.0, 5.0)])
    assert found.campaigns["weight"].iloc[2] < 0.15
    kept = found.spread**2 / (found.spread**2 + 25)
    assert kept < 0.3
    assert found.campaigns["shrunk"].iloc[2] == pytest.approx(kept * 9 + (1 - kept) * found.effect)
    assert found.campaigns["shrunk"].iloc[0] == pytest.approx(0.0, abs=0.05)
    assert found.spread > 1
    weighted = found.campaigns["weight"] @ found.campaigns["effect"]
    assert found.effect == pytest.approx(weighted)


@pytest.mark.parametrize(("n", "spread"), [(2, 0.0), (4, 1.0), (10, 0.5), (26, 2.0)])
def test_the_interval_holds_the_mean_as_often_as_it_says(n: int, spread: float) -> None:
    rng = np.random.default_rng([n, 7])
    held = 0
    for _ in range(400):
        se = rng.uniform(0.5, 2.0, n)
        effects = 1.0 + spread * rng.standard_normal(n) + se * rng.standard_normal(n)
        found = pooled_effect([campaign(effect, error) for effect, error in zip(effects, se, strict=True)])
        held += found.low <= 1.0 <= found.high
    assert held / 400 >= 0.92


def test_what_cannot_be_pooled_is_refused() -> None:
    with pytest.raises(ContractError, match="no campaigns"):
        pooled_effect([])
    with pytest.raises(ContractError, match="no interval"):
        pooled_effect([campaign(1.0, 0.0)])
    with pytest.raises(ConfigError, match="level=1"):
        pooled_effect([campaign(1.0, 1.0)], level=1)
