"""MBG/NBD: the first purchase may have been the last."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.optimize import approx_fprime
from scipy.stats import beta

from crmkit.exceptions import CrmkitWarning
from crmkit.models import BGNBD, MBGNBD
from crmkit.models import _bgnbd_math as formulas

TABLE = pd.DataFrame({"frequency": [0, 1, 1, 2, 3, 6, 9], "recency": [0, 5, 28, 15, 30, 20, 37], "T": 39.0})
WEIGHT = [300, 40, 40, 20, 15, 8, 8]


@pytest.fixture(scope="module")
def model():
    return MBGNBD().fit(TABLE, sample_weight=WEIGHT)


def likelihood_by_definition(r, alpha, a, b, x, t_x, T):
    """The story integrated numerically over the dropout probability; over the rate it is a gamma function."""

    def at(p):
        alive = (1 - p) ** (x + 1) * (alpha + T) ** -(r + x)
        ended = p * (1 - p) ** x * (alpha + t_x) ** -(r + x)
        return (alive + ended) * beta.pdf(p, a, b)

    rates = np.prod(r + np.arange(x)) * alpha**r
    return rates * quad(at, 0, 1, epsabs=0, epsrel=1e-10)[0]


def test_likelihood_is_the_story_integrated():
    params = (0.6, 7.0, 1.2, 2.5)
    for x, t_x, T in ((0, 0.0, 20.0), (1, 5.0, 39.0), (4, 30.0, 39.0), (9, 39.0, 39.0)):
        one = [np.array([float(value)]) for value in (x, t_x, T)]
        value, _ = formulas.bgnbd_likelihood(*one, np.ones(1), first_coin=1)(np.array(params))
        assert value == pytest.approx(np.log(likelihood_by_definition(*params, x, t_x, T)), rel=1e-8)


def test_gradient_is_the_slope():
    x, t_x, T = TABLE.to_numpy(dtype=float).T
    likelihood = formulas.bgnbd_likelihood(x, t_x, T, np.array(WEIGHT, float), first_coin=1)
    params = np.array([0.3, 6.0, 0.7, 1.4])
    np.testing.assert_allclose(
        likelihood(params)[1], approx_fprime(params, lambda p: likelihood(p)[0], 1e-7), rtol=1e-4
    )


def test_lifetimes_agrees(model):
    """The second witness, on a grid: expectation and P(alive)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lifetimes import ModifiedBetaGeoFitter
    witness = ModifiedBetaGeoFitter()
    witness.params_ = pd.Series(model.params_)
    rows = [(x, t * (x > 0), T) for x in (0, 1, 2, 5, 20, 80) for T in (1, 10, 39, 150) for t in (0.2 * T, T)]
    grid = pd.DataFrame(rows, columns=["frequency", "recency", "T"], dtype=float)
    x, t, T = (grid[name] for name in grid)
    for weeks in (1, 13, 52):
        theirs = witness.conditional_expected_number_of_purchases_up_to_time(weeks, x, t, T)
        np.testing.assert_allclose(model.expected_purchases(grid, weeks), theirs, rtol=1e-9)
        new = witness.expected_number_of_purchases_up_to_time(weeks)
        assert model.expected_purchases_new(weeks) == pytest.approx(float(new), rel=1e-9)
    np.testing.assert_allclose(model.probability_alive(grid), witness.conditional_probability_alive(x, t, T), rtol=1e-9)


def test_the_silent_one_time_buyer_is_given_up(model):
    """What BG/NBD cannot say: one purchase, and then the longer nothing the less alive."""
    once = pd.DataFrame({"frequency": 0, "recency": 0.0, "T": [0.0, 1.0, 10.0, 100.0, 1e4]})
    alive = model.probability_alive(once)
    r, alpha, a, b = model.params_.values()
    assert alive.iloc[0] == pytest.approx(b / (a + b))
    assert (alive.diff().dropna() < 0).all()
    assert alive.iloc[-1] == pytest.approx(b / a * (alpha / (alpha + 1e4)) ** r, rel=0.3)
    bg = BGNBD().fit(TABLE, sample_weight=WEIGHT)
    assert (bg.probability_alive(once) == 1).all()


def test_many_one_time_buyers_get_the_prior_and_a_reason():
    """95 % bought once: dropout at once and a low rate explain that equally well, and the fit runs away."""
    table = pd.DataFrame({"frequency": [0] * 285 + [1] * 15, "recency": [0.0] * 285 + [1.0] * 15, "T": 52.0})
    with pytest.warns(CrmkitWarning, match=r"MBG/NBD: .*along (r|alpha|a|b), .*A weak prior was used: r, alpha / max"):
        model = MBGNBD().fit(table)
    assert model.prior_used_
    assert model.converged_
    assert all(0 < error < np.inf for error in model.standard_errors_.values())
