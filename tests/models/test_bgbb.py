"""BG/BB: every history has its chance, the sums are right at their limits, and opportunities are whole."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import approx_fprime
from scipy.special import betaln, comb

from crmkit.exceptions import ContractError, CrmkitWarning, ModelError
from crmkit.models import _bgbb_math as formulas
from crmkit.models import load_model
from crmkit.models.bgbb import BGBB

CELLS = pd.DataFrame(
    [(0, 0, 6), (1, 1, 6), (1, 3, 6), (1, 6, 6), (2, 2, 6), (2, 5, 6), (3, 4, 6), (3, 6, 6), (5, 6, 6), (6, 6, 6)],
    columns=["frequency", "recency", "T"],
)
WEIGHT = [350, 110, 40, 13, 60, 33, 40, 60, 73, 120]
NAMES = ("alpha", "beta", "gamma", "delta")
PARAMS = [(1.2, 0.75, 0.66, 2.78), (0.5, 3.0, 1.0, 2.0), (20.0, 60.0, 4.0, 900.0), (0.01, 0.02, 0.03, 0.01)]


@pytest.fixture(scope="module")
def model():
    return BGBB().fit(CELLS, sample_weight=WEIGHT)


def at(*params, **settings):
    model = BGBB(**settings).fit(CELLS, sample_weight=WEIGHT)
    model.params_ = dict(zip(NAMES, params, strict=True))
    return model


def histories(n):
    """Distinct rows of n opportunities, and how many histories share each."""
    rows = [(0, 0, n)] + [(x, t, n) for t in range(1, n + 1) for x in range(1, t + 1)]
    x, t_x, T = np.array(rows, dtype=float).T
    return x, t_x, T, np.where(x > 0, comb(t_x - 1, np.maximum(x - 1, 0)), 1.0)


def log_likelihoods(params, x, t_x, n):
    ones = np.ones(1)
    return np.array(
        [formulas.bgbb_likelihood(*np.array([row]).T, ones)(np.array(params))[0] for row in zip(x, t_x, n, strict=True)]
    )


@pytest.mark.parametrize("params", PARAMS)
@pytest.mark.parametrize("n", [0, 1, 6, 12])
def test_the_chances_of_all_histories_add_up(params, n):
    x, t_x, T, ways = histories(n)
    chances = ways * np.exp(log_likelihoods(params, x, t_x, T))
    assert chances.sum() == pytest.approx(1, rel=1e-11)
    by_count = np.bincount(x.astype(int), chances, minlength=n + 1)
    np.testing.assert_allclose(formulas.bgbb_probability_of(*params, np.arange(n + 1.0), n), by_count, rtol=1e-10)


@pytest.mark.parametrize("params", PARAMS)
def test_likelihood_is_the_papers_sum(params):
    """Equation 5, term by term in beta functions, up to a long and silent history."""
    alpha, beta, gamma, delta = params
    for x, t_x, n in ((0, 0, 6), (4, 5, 6), (6, 6, 6), (30, 40, 500), (0, 0, 500), (500, 500, 500)):
        terms = [betaln(alpha + x, beta + n - x) + betaln(gamma, delta + n)]
        terms += [betaln(alpha + x, beta + i - x) + betaln(gamma + 1, delta + i) for i in range(t_x, n)]
        expected = np.logaddexp.reduce(terms) - betaln(alpha, beta) - betaln(gamma, delta)
        assert log_likelihoods(params, [x], [t_x], [n])[0] == pytest.approx(expected, rel=1e-10, abs=1e-11)


def test_gradient_is_the_slope():
    x, t_x, n = CELLS.to_numpy(dtype=float).T
    likelihood = formulas.bgbb_likelihood(x, t_x, n + np.arange(10) % 3, np.array(WEIGHT, float))
    for params in PARAMS:
        p = np.array(params)
        slope = approx_fprime(p, lambda q: likelihood(q)[0], p * 1e-7)
        np.testing.assert_allclose(likelihood(p)[1], slope, rtol=1e-4, atol=1e-3)


def test_lifetimes_agrees(model):
    """The second witness, at our parameters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lifetimes import BetaGeoBetaBinomFitter
    witness, (x, t_x, n) = BetaGeoBetaBinomFitter(), CELLS.to_numpy(dtype=float).T
    witness.params_ = pd.Series(model.params_)
    theirs = witness.conditional_expected_number_of_purchases_up_to_time(5, x, t_x, n)
    np.testing.assert_allclose(model.expected_purchases(CELLS, 5), theirs, rtol=1e-9)
    theirs = witness.conditional_probability_alive(1, x, t_x, n)
    np.testing.assert_allclose(model.probability_alive(CELLS), theirs, rtol=1e-9)


@pytest.mark.parametrize("params", PARAMS)
def test_all_to_come_is_the_sum_of_its_terms(params):
    x, n = np.array([0.0, 3.0, 40.0]), np.array([0.0, 6.0, 400.0])
    endless = formulas.bgbb_residual_purchases(*params, x, n, np.log(1.1))
    np.testing.assert_allclose(endless, formulas.bgbb_purchases(*params, x, n, 500, np.log(1.1)), rtol=1e-12)


def test_all_to_come_at_hardly_any_discount():
    """For gamma above 1 the undiscounted sum exists: (gamma + delta + n) / (gamma - 1) opportunities."""
    x, n = np.array([2.0]), np.array([6.0])
    nearly = formulas.bgbb_residual_purchases(1.2, 0.75, 3.0, 2.0, x, n, 1e-6)
    assert nearly[0] == pytest.approx((1.2 + 2) / (1.2 + 0.75 + 6) * (3 + 2 + 6) / (3 - 1), rel=1e-4)


def test_silence_and_counts_agree(model):
    new = pd.DataFrame({"frequency": [0], "recency": [0], "T": [0]})
    assert model.probability_no_purchase(new, 7).iloc[0] == pytest.approx(model.probability_of(0, 7), rel=1e-12)
    counts = np.arange(8)
    assert model.probability_of(counts, 7) @ counts == pytest.approx(model.expected_purchases_new(7), rel=1e-12)
    assert model.probability_of(8, 7) == 0.0


def test_simulated_customers_behave_as_the_model_answers():
    model, n = at(1.2, 0.75, 0.66, 2.78), 40_000
    customers = model.simulate(n, 6, seed=1)
    shares = np.bincount(customers["frequency"], minlength=7) / n
    np.testing.assert_allclose(shares, model.probability_of(np.arange(7), 6), atol=0.009)
    assert model.probability_alive(customers).mean() == pytest.approx(customers["alive"].mean(), abs=0.008)
    cells = customers.groupby(["frequency", "recency"]).size() / n
    x, t_x, T, ways = histories(6)
    chances = ways * np.exp(log_likelihoods(tuple(model.params_.values()), x, t_x, T))
    np.testing.assert_allclose(cells, chances[np.lexsort((t_x, x))], atol=0.009)


def test_the_discount_is_per_opportunity_unless_told():
    yearly, monthly = at(*PARAMS[0]), at(*PARAMS[0], opportunities_per_year=12)
    customer = CELLS.iloc[[6]]
    assert yearly.discounted_purchases(customer, 1, 0.1).iloc[0] == pytest.approx(
        yearly.expected_purchases(customer, 1).iloc[0] / 1.1
    )
    assert monthly.discounted_purchases(customer, 1, 0.1).iloc[0] == pytest.approx(
        yearly.expected_purchases(customer, 1).iloc[0] / 1.1 ** (1 / 12)
    )
    assert monthly.residual_purchases(customer, 0.1).iloc[0] > yearly.residual_purchases(customer, 0.1).iloc[0]
    with pytest.raises(ModelError, match="opportunities_per_year must be above 0"):
        at(*PARAMS[0], opportunities_per_year=0).residual_purchases(customer, 0.1)


@pytest.mark.parametrize("params", [*PARAMS, (1e-3, 1e4, 1e-3, 1e4), (1e4, 1e-3, 1e4, 1e-3)])
def test_answers_are_finite_and_in_range_at_the_extremes(params):
    model = at(*params)
    rows = [
        (x, t, n) for n in (0, 1, 6, 1000) for x in (0, 1, n // 2, n) for t in (x, n) if x <= n and (x > 0) == (t > 0)
    ]
    customers = pd.DataFrame(rows, columns=["frequency", "recency", "T"])
    for horizon in (0, 1, 100):
        purchases = model.expected_purchases(customers, horizon)
        assert purchases.between(0, horizon * (1 + 1e-12)).all()
        assert model.discounted_purchases(customers, horizon, 0.1).between(0, purchases * (1 + 1e-12)).all()
        assert model.probability_no_purchase(customers, horizon).between(-1e-12, 1 + 1e-12).all()
    assert model.probability_alive(customers).between(0, 1).all()
    assert model.residual_purchases(customers, 0.1).between(0, 11).all()
    columns = customers.to_numpy(dtype=float).T
    value, gradient = formulas.bgbb_likelihood(*columns, np.ones(len(customers)))(np.array(params))
    assert np.isfinite([value, *gradient]).all()


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ((1, 1, 6.5), "T is a whole number of opportunities"),
        ((1, 1, 86_400_000), "T is a whole number of opportunities, 100,000 at most"),
        ((1, 1.5, 6), "recency is a whole number"),
        ((3, 2, 6), "frequency is not above recency"),
        ((1, 7, 6), "recency is not above T"),
        ((1, np.nan, 6), "recency is a whole number"),
    ],
)
def test_rows_that_are_no_histories_are_refused(model, row, rule):
    bad = pd.concat([CELLS, pd.DataFrame([row], columns=CELLS.columns)])
    for call in (BGBB().fit, model.probability_alive):
        with pytest.raises(ContractError, match=f"1 where not: {rule}"):
            call(bad)


def test_parts_of_opportunities_are_refused(model):
    for call in (model.expected_purchases, model.probability_no_purchase):
        with pytest.raises(ModelError, match="horizon counts opportunities here, so it must be a whole number"):
            call(CELLS, 2.5)
    with pytest.raises(ModelError, match="100,000 at most; it is 1000000000"):
        model.expected_purchases(CELLS, 1e9)
    with pytest.raises(ModelError, match="until must be whole numbers"):
        model.simulate(3, 2.5, seed=0)


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (pd.DataFrame({"frequency": 0, "recency": 0, "T": [3, 6] * 50}), "no customer in the table bought twice"),
        (pd.DataFrame({"frequency": 6, "recency": 6, "T": [6] * 50}), "keeps rising, or is flat, along"),
        (pd.DataFrame({"frequency": [0], "recency": [0], "T": [0]}), "no customer in the table bought twice"),
    ],
    ids=["no repeats", "always", "no opportunity"],
)
def test_a_weak_prior_takes_over_where_the_data_do_not_decide(table, why):
    with pytest.warns(
        CrmkitWarning, match=f"BG/BB: .*{why}.*weak prior was used: alpha, beta, gamma and delta log-normal"
    ):
        model = BGBB().fit(table)
    assert model.prior_used_
    assert all(0 < value < np.inf for value in [*model.params_.values(), *model.standard_errors_.values()])
    assert model.expected_purchases(table, 10).between(0, 10).all()


def test_staggered_starts_and_long_histories():
    """Customers of different ages, up to 120 opportunities, found again from what a simulation shows."""
    truth = at(0.8, 2.0, 0.9, 12.0)
    customers = truth.simulate(20_000, np.random.default_rng(0).integers(1, 121, 20_000), seed=3)
    fit = BGBB().fit(customers)
    assert fit.converged_
    z = [(fit.params_[k] - v) / fit.standard_errors_[k] for k, v in truth.params_.items()]
    assert np.abs(z).max() < 3


def test_save_and_load_give_the_same_answers(tmp_path):
    model = at(*PARAMS[0], opportunities_per_year=4.0)
    again = load_model(model.save(tmp_path / "model.json"))
    assert again.opportunities_per_year == 4.0
    pd.testing.assert_series_equal(again.residual_purchases(CELLS, 0.1), model.residual_purchases(CELLS, 0.1), rtol=0)
