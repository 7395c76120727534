"""Simulate from known parameters, fit, and find them again inside the intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crmkit.models import BGCNBD, BGNBD, MBGCNBD, MBGNBD, NBD, GammaGamma

PURCHASES = {"r": 0.8, "alpha": 40.0, "a": 0.7, "b": 2.5}
SPEND = {"p": 6.0, "q": 4.0, "gamma": 15.0}


def buyers(n, rng, r, alpha, a=0.0, b=1.0, k=1, first_coin=False, days=730.0, split=None):
    """Customers of the story, told here apart from the models': Erlang gaps, and a coin after every purchase.

    With ``split``, what they did until then is the table, and what they did after it stands in ``ahead``.
    """
    rate, T = rng.gamma(r, 1 / alpha, n), rng.uniform(days / 2, days, n) if split is None else np.full(n, days)
    dropout = rng.beta(a, b, n) if a else np.zeros(n)
    seen = T if split is None else np.full(n, split)
    x, last, logs, ahead, now = np.zeros((5, n))
    alive = np.flatnonzero(rng.random(n) >= dropout) if first_coin else np.arange(n)
    while len(alive):
        gap = rng.gamma(k, 1 / rate[alive])
        now[alive] += gap
        early, late = alive[now[alive] <= seen[alive]], alive[(now[alive] > seen[alive]) & (now[alive] <= T[alive])]
        x[early] += 1
        last[early] = now[early]
        logs[early] += np.log(gap[now[alive] <= seen[alive]])
        ahead[late] += 1
        alive = alive[now[alive] <= T[alive]]
        alive = alive[rng.random(len(alive)) >= dropout[alive]]
    return pd.DataFrame({"frequency": x, "recency": last, "T": seen, "sum_log_gap": logs, "ahead": ahead})


def receipts(n, rng, p, q, gamma):
    """Customers of the gamma-gamma story: the mean of x gamma receipts around a personal scale."""
    x, nu = rng.geometric(0.3, n), rng.gamma(q, 1 / gamma, n)
    return pd.DataFrame({"frequency": x, "monetary_value": rng.gamma(p * x, 1 / (nu * x))})


def of_purchases(truth, **story):
    return truth, lambda n, rng, **ahead: buyers(n, rng, **truth, **story, **ahead)


# Model, truth and how its customers come about; one more line is all that a new model needs.
PURCHASE_STORIES = {
    "NBD": (NBD(), *of_purchases({"r": 0.8, "alpha": 40.0})),
    "BGNBD": (BGNBD(), *of_purchases(PURCHASES)),
    "MBGNBD": (MBGNBD(), *of_purchases(PURCHASES, first_coin=True)),
    "BGCNBD": (BGCNBD(), *of_purchases({**PURCHASES, "alpha": 20.0}, k=2)),
    "MBGCNBD": (MBGCNBD(), *of_purchases({**PURCHASES, "alpha": 13.0}, k=3, first_coin=True)),
}
STORIES = {
    **PURCHASE_STORIES,
    "GammaGamma": (GammaGamma(), SPEND, lambda n, rng: receipts(n, rng, **SPEND)),
}
every_story = pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())


def z_scores(model, truth):
    """Errors of the logarithms in standard errors."""
    return [
        (np.log(model.params_[k]) - np.log(v)) / (model.standard_errors_[k] / model.params_[k])
        for k, v in truth.items()
    ]


@every_story
def test_parameters_are_found_again(story):
    """Twenty simulations: no error is beyond four standard errors, and together they are what chance allows."""
    model, truth, simulate = story
    scores = np.array([z_scores(model.fit(simulate(2_000, np.random.default_rng(seed))), truth) for seed in range(20)])
    assert np.abs(scores).max() < 4
    assert np.abs(scores.mean(axis=0)).max() < 4 / np.sqrt(20)
    assert scores.std(axis=0) == pytest.approx(np.ones(len(truth)), abs=0.55)


@pytest.mark.parametrize("story", PURCHASE_STORIES.values(), ids=PURCHASE_STORIES.keys())
def test_the_purchases_to_come_are_forecast(story):
    """Fit on a first year, and count what the same simulated customers then do: in all, and by their silence."""
    model, _, simulate = story
    table = simulate(20_000, np.random.default_rng(3), days=730.0, split=365.0)
    model.fit(table)
    expected, silent = model.expected_purchases(table, 365), model.probability_no_purchase(table, 365)
    assert expected.sum() == pytest.approx(table["ahead"].sum(), rel=0.03)
    assert silent.mean() == pytest.approx((table["ahead"] == 0).mean(), abs=0.01)
    for _, group in table[table["frequency"] > 0].groupby(
        pd.cut(table["T"] - table["recency"], [-1, 30, 90, 180, 365])
    ):
        spread = group["ahead"].std() / np.sqrt(len(group))
        assert expected[group.index].mean() == pytest.approx(group["ahead"].mean(), abs=5 * spread + 0.02)


@pytest.mark.long
@every_story
def test_intervals_cover(story):
    """95 % intervals hold the truth in 92 to 98 % of 200 simulations (their standard error is 1.5 %)."""
    model, truth, simulate = story
    fits = (model.fit(simulate(3_000, np.random.default_rng(seed))) for seed in range(200))
    covered = np.mean([np.abs(z_scores(fit, truth)) < 1.96 for fit in fits], axis=0)
    print(f"\n{type(model).__name__} coverage:", dict(zip(truth, covered.round(3).tolist(), strict=True)))
    assert ((covered >= 0.92) & (covered <= 0.98)).all(), covered
