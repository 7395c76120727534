"""Scores of churn lists: independent integration, known corners, ties."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import beta

from crmkit import ConfigError, ContractError, ModelError
from crmkit.churn.displays import churn_gains
from crmkit.evaluation.metrics.money import expected_maximum_profit, gains_table, value_captured
from crmkit.evaluation.metrics.probabilities import reliability_line


def by_quadrature(y, p, clv=200.0, incentive=10.0, contact=1.0, accept=(6.0, 14.0)):
    """The best threshold of all at each probability of acceptance, on a fine grid."""
    g, best = np.linspace(0, 1, 20_001), np.zeros(20_001)
    for cut in np.unique(p):
        reached = p >= cut
        left, stayed = (reached & (y == 1)).mean(), (reached & (y == 0)).mean()
        best = np.maximum(best, left * (g * (clv - incentive) - contact) - stayed * (incentive + contact))
    return np.trapezoid(best * beta(*accept).pdf(g), g)


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.86])
@pytest.mark.parametrize("settings", [{}, {"clv": 50.0, "incentive": 20.0, "contact": 5.0, "accept": (2.0, 2.0)}])
def test_profit_is_that_of_trying_every_threshold(rate, settings):
    rng = np.random.default_rng(int(100 * rate))
    y = (rng.random(400) < rate).astype(float)
    p = np.round(1 / (1 + np.exp(-rng.normal(size=400) - y)), 2)
    assert expected_maximum_profit(y, p, **settings).profit == pytest.approx(by_quadrature(y, p, **settings), abs=1e-6)


def test_profit_has_the_digits_of_another_program():
    """Three cases from one stream of ``default_rng(0)``, with the paper's defaults, as a peer's published code has them."""
    rng = np.random.default_rng(0)
    for n, rate, expected in ((500, 0.10, 3.1428792158), (5_000, 0.30, 12.6511857800), (2_000, 0.86, 46.6183658380)):
        y = (rng.random(n) < rate).astype(float)
        p = np.clip(0.3 + 0.5 * y + rng.normal(0, 0.3, n), 0, 1)
        assert expected_maximum_profit(y, p).profit == pytest.approx(expected, abs=1e-9)


def acceptance(profit, a=6.0, b=14.0):
    """E[profit(γ)⁺] over γ ~ Beta(a, b), by adaptive quadrature."""
    return quad(lambda g: max(profit(g), 0.0) * beta(a, b).pdf(g), 0, 1, limit=500, epsabs=1e-12, epsrel=1e-12)[0]


@pytest.mark.parametrize("left", [0.02, 0.2, 0.86])
def test_perfect_and_empty_rankings_have_the_profit_of_their_integral(left):
    y = np.repeat([1.0, 0.0], [round(1000 * left), round(1000 * (1 - left))])
    everybody = acceptance(lambda g: left * (190 * g - 1) - (1 - left) * 11)
    assert expected_maximum_profit(y, np.zeros(1000)).profit == pytest.approx(everybody, abs=1e-8)
    only_leavers = expected_maximum_profit(y, y)
    assert only_leavers.profit == pytest.approx(acceptance(lambda g: left * (190 * g - 1)), abs=1e-8)
    assert only_leavers.share == pytest.approx(left * beta(6, 14).sf(1 / 190), rel=1e-9)
    nobody = expected_maximum_profit(y, y, contact=189.0)
    assert 0 <= nobody.profit < 1e-6


def test_a_score_that_knows_nothing_is_worth_all_or_none():
    y = np.repeat([1.0, 0.0], [30, 70])
    flat = expected_maximum_profit(y, np.full(100, 0.5))
    assert flat.profit == pytest.approx(by_quadrature(y, np.full(100, 0.5)), abs=1e-6)
    worst = expected_maximum_profit(y, -y)
    assert 0 <= worst.profit <= flat.profit + 1e-12
    assert expected_maximum_profit(y, y).profit > flat.profit


def test_campaigns_that_make_no_sense_are_refused():
    with pytest.raises(ConfigError, match="incentive is below clv"):
        expected_maximum_profit([0, 1], [0.1, 0.9], clv=5, incentive=10)
    with pytest.raises(ModelError, match="leavers and stayers"):
        expected_maximum_profit([1, 1], [0.1, 0.9])
    with pytest.raises(ContractError, match="finite scores"):
        expected_maximum_profit([1, 0], [0.1, np.nan])


def test_value_captured_is_one_for_a_flat_score_and_most_for_the_oracle():
    rng = np.random.default_rng(0)
    y, value = (rng.random(1000) < 0.3).astype(float), rng.gamma(1, 100, 1000)
    assert value_captured(y, value, np.ones(1000)) == pytest.approx(1.0)
    assert value_captured(y, value, y * value) > value_captured(y, value, y)
    assert value_captured(y, value, y * value) == pytest.approx(
        np.sort(y * value)[-100:].sum() / (0.1 * (y * value).sum())
    )


def test_gains_share_out_ties_and_end_at_all():
    table = gains_table([1, 0, 1, 0], [0.5] * 4, n_points=4)
    np.testing.assert_allclose(table["share_of_outcome"], [0, 0.25, 0.5, 0.75, 1])
    money = gains_table([90, 10, 0, 0], [4, 3, 2, 1], n_points=4)["share_of_outcome"]
    np.testing.assert_allclose(money, [0, 0.9, 1, 1, 1])
    with pytest.raises(ModelError, match="No row"):
        gains_table([0, 0], [1, 2])


def test_a_line_finds_the_stretch_of_log_odds():
    rng = np.random.default_rng(2)
    z = rng.normal(size=60_000)
    y = (rng.random(60_000) < 1 / (1 + np.exp(-(0.3 + 0.6 * z)))).astype(float)
    line = reliability_line(y, 1 / (1 + np.exp(-z)))
    assert line["intercept"] == pytest.approx(0.3, abs=0.04)
    assert line["slope"] == pytest.approx(0.6, abs=0.04)
    with pytest.raises(ModelError, match="equal"):
        reliability_line([1, 1], [0.4, 0.5])


def test_figures_hold_their_numbers_and_draw_them():
    rng = np.random.default_rng(3)
    y, value = (rng.random(300) < 0.3).astype(float), rng.gamma(1, 100, 300)
    p = 1 / (1 + np.exp(-rng.normal(size=300) - y))
    gains = churn_gains(y, {"model": p, "by value": p * value}, value)
    assert gains.table.groupby("list")["share_of_outcome"].last().tolist() == [1.0, 1.0]
    lines = gains.plot().get_lines()
    np.testing.assert_allclose(
        lines[1].get_ydata(), 100 * gains.table.loc[gains.table["list"] == "model", "share_of_outcome"]
    )
