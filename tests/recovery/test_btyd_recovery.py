"""Simulate from known parameters, fit, and find them again inside the intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crmkit.models import BGNBD, GammaGamma

PURCHASES = {"r": 0.8, "alpha": 40.0, "a": 0.7, "b": 2.5}
SPEND = {"p": 6.0, "q": 4.0, "gamma": 15.0}


def buyers(n, rng, r, alpha, a, b, days=730):
    """Customers of the BG/NBD story: exponential gaps, and a coin after every repeat purchase."""
    rate, dropout, T = rng.gamma(r, 1 / alpha, n), rng.beta(a, b, n), rng.uniform(days / 2, days, n)
    x, last, now, alive = np.zeros(n), np.zeros(n), np.zeros(n), np.arange(n)
    while len(alive):
        now[alive] += rng.exponential(1 / rate[alive])
        alive = alive[now[alive] <= T[alive]]
        x[alive] += 1
        last[alive] = now[alive]
        alive = alive[rng.random(len(alive)) > dropout[alive]]
    return pd.DataFrame({"frequency": x, "recency": last, "T": T})


def receipts(n, rng, p, q, gamma):
    """Customers of the gamma-gamma story: the mean of x gamma receipts around a personal scale."""
    x, nu = rng.geometric(0.3, n), rng.gamma(q, 1 / gamma, n)
    return pd.DataFrame({"frequency": x, "monetary_value": rng.gamma(p * x, 1 / (nu * x))})


def z_scores(model, truth):
    return [
        (np.log(model.params_[k]) - np.log(v)) / (model.standard_errors_[k] / model.params_[k])
        for k, v in truth.items()
    ]


def test_bgnbd_recovers_its_parameters():
    model = BGNBD().fit(buyers(5_000, np.random.default_rng(1), **PURCHASES))
    assert np.abs(z_scores(model, PURCHASES)).max() < 2.5


def test_gamma_gamma_recovers_its_parameters():
    model = GammaGamma().fit(receipts(5_000, np.random.default_rng(2), **SPEND))
    assert np.abs(z_scores(model, SPEND)).max() < 2.5


def test_bgnbd_forecasts_the_purchases_to_come():
    """Fit on a first year, and count what the same simulated customers then do."""
    rng = np.random.default_rng(3)
    n, year = 20_000, 365.0
    seen, ahead = np.zeros((2, n)), np.zeros(n)
    rate, dropout = rng.gamma(PURCHASES["r"], 1 / PURCHASES["alpha"], n), rng.beta(PURCHASES["a"], PURCHASES["b"], n)
    now, alive = np.zeros(n), np.arange(n)
    while len(alive):
        now[alive] += rng.exponential(1 / rate[alive])
        alive = alive[now[alive] <= 2 * year]
        early = alive[now[alive] <= year]
        seen[0, early] += 1
        seen[1, early] = now[early]
        ahead[alive[now[alive] > year]] += 1
        alive = alive[rng.random(len(alive)) > dropout[alive]]
    table = pd.DataFrame({"frequency": seen[0], "recency": seen[1], "T": year})
    model = BGNBD().fit(table)
    assert model.expected_purchases(table, year).sum() == pytest.approx(ahead.sum(), rel=0.03)
    assert model.probability_no_purchase(table, year).mean() == pytest.approx((ahead == 0).mean(), abs=0.01)


@pytest.mark.long
@pytest.mark.parametrize(
    ("model", "simulate", "truth"),
    [(BGNBD(), buyers, PURCHASES), (GammaGamma(), receipts, SPEND)],
    ids=["bgnbd", "spend"],
)
def test_intervals_cover(model, simulate, truth):
    """95 % intervals hold the truth in 95 % of 400 simulations, give or take three standard errors."""
    fits = (model.fit(simulate(3_000, np.random.default_rng(seed), **truth)) for seed in range(400))
    covered = np.mean([np.abs(z_scores(fit, truth)) < 1.96 for fit in fits], axis=0)
    assert (np.abs(covered - 0.95) < 0.033).all(), covered
