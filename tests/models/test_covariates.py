"""Covariates of purchase models: found again, in any unit, and refused where they say nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import approx_fprime
from sklearn.base import clone

from crmkit.exceptions import ContractError, CrmkitWarning, ModelError
from crmkit.models import _pareto_math as formulas
from crmkit.models import load_model
from crmkit.models._covariates import Move, moved_likelihood
from crmkit.models.pareto_nbd import ParetoNBD

NAMES = ("gender", "channel")
# CLVTools' apparel retailer, both covariates on both rates: what its documentation prints, in weeks over two years.
TRUTH = {
    "r": 1.837843,
    "alpha": 92.912349,
    "s": 0.591999,
    "beta": 49.622727,
    "rate_gender": 0.285874,
    "rate_channel": 0.624124,
    "dropout_gender": -0.642993,
    "dropout_channel": 0.790679,
}
TABLE = pd.DataFrame({"frequency": [0, 1, 1, 2, 2, 3, 6, 9], "recency": [0, 5, 28, 15, 34, 30, 38, 37], "T": 39.0})
WEIGHT = [300, 40, 20, 15, 10, 10, 5, 5]


def shoppers(n, seed, truth=TRUTH):
    """Customers of an apparel-like shop, with their covariates."""
    rng = np.random.default_rng(seed)
    covariates = pd.DataFrame({"gender": rng.integers(0, 2, n), "channel": rng.integers(0, 2, n)})
    model = ParetoNBD(NAMES, NAMES)
    vars(model).update(dict.fromkeys(model._fitted) | {"params_": truth})
    return model.simulate(n, rng.uniform(92, 104, n), seed, covariates)


@pytest.fixture(scope="module")
def customers():
    return shoppers(6_000, seed=1)


@pytest.fixture(scope="module")
def model(customers):
    return ParetoNBD(rate_covariates=NAMES, dropout_covariates=NAMES).fit(customers)


def test_coefficients_are_found_again(model):
    assert list(model.params_) == list(TRUTH)
    z = np.array([(model.params_[name] - value) / model.standard_errors_[name] for name, value in TRUTH.items()])
    assert np.abs(z).max() < 2.8
    assert model.converged_
    assert model.covariance_.shape == (8, 8)
    assert np.array_equal(model.covariance_, model.covariance_.T)
    assert np.sqrt(np.diag(model.covariance_)).tolist() == list(model.standard_errors_.values())


def test_what_is_known_beforehand_pays(model, customers):
    plain = ParetoNBD().fit(customers)
    assert model.log_likelihood_ > plain.log_likelihood_ + 50
    assert model.aic_ == pytest.approx(16 - 2 * model.log_likelihood_)
    assert model.aic_ < plain.aic_


def test_gradient_is_the_slope():
    rng = np.random.default_rng(0)
    T = rng.uniform(0.3, 1, 300)
    x = rng.integers(0, 6, 300).astype(float)
    t_x, count, z = np.where(x > 0, T * rng.random(300), 0.0), rng.random(300), rng.normal(size=(300, 3))
    moves = [Move(1, -1, z[:, :2]), Move(3, -1, z[:, 1:])]
    likelihood = moved_likelihood(formulas.pareto_terms(x, t_x, T), 4, moves, count)
    params = np.array([0.5, 0.3, 0.7, 0.9, 0.2, -0.4, 0.3, 0.1])
    slope = approx_fprime(params, lambda p: likelihood(p)[0], 1e-7)
    np.testing.assert_allclose(likelihood(params)[1], slope, rtol=1e-4, atol=1e-4)


def test_a_dummy_that_splits_a_sample_is_two_fits_on_one_scale():
    """Likelihood of a customer with a covariate is that of a plain model at moved parameters."""
    table = TABLE.assign(z=[0.0, 1, 2, -1, 0.5, 3, -2, 1])
    model = ParetoNBD(("z",), ("z",)).fit(table, sample_weight=WEIGHT)
    p = model.params_
    alpha, beta = p["alpha"] * np.exp(-p["rate_z"] * table["z"]), p["beta"] * np.exp(-p["dropout_z"] * table["z"])
    x, t_x, T = (table[name].to_numpy(dtype=float) for name in ("frequency", "recency", "T"))
    rows = [formulas.pareto_terms(x[[i]], t_x[[i]], T[[i]])(p["r"], alpha[i], p["s"], beta[i])[0][0] for i in range(8)]
    assert model.log_likelihood_ == pytest.approx(np.dot(rows, WEIGHT), rel=1e-10)
    expected = [
        formulas.pareto_alive(p["r"], alpha[i], p["s"], beta[i], x[[i]], t_x[[i]], T[[i]])[0]
        * formulas.pareto_purchases(p["r"], alpha[i], p["s"], beta[i], x[[i]], T[[i]], 10.0)[0]
        for i in range(8)
    ]
    assert model.expected_purchases(table, 10).tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("shift", "factor"), [(40.0, 1.0), (600.0, 1.0), (0.0, 1000.0), (-0.01, 1e-3)])
def test_the_unit_and_origin_of_a_covariate_do_not_matter(model, customers, shift, factor):
    other = customers.assign(gender=customers["gender"] * factor + shift)
    again = clone(model).fit(other)
    assert again.log_likelihood_ == pytest.approx(model.log_likelihood_, abs=1e-6)
    assert again.params_["rate_gender"] * factor == pytest.approx(model.params_["rate_gender"], rel=1e-6)
    assert again.standard_errors_["rate_gender"] * factor == pytest.approx(
        model.standard_errors_["rate_gender"], rel=1e-5
    )
    np.testing.assert_allclose(again.expected_purchases(other, 52), model.expected_purchases(customers, 52), rtol=1e-6)
    np.testing.assert_allclose(again.probability_alive(other), model.probability_alive(customers), rtol=1e-6)


def test_the_covariance_follows_the_origin(model, customers):
    """At another origin the errors of alpha are those of alpha e^(-coefficient · shift), by the delta method."""
    again = clone(model).fit(customers.assign(gender=customers["gender"] - 0.5))
    names, factor = list(model.params_), np.exp(-0.5 * model.params_["rate_gender"])
    slopes = np.zeros(8)
    slopes[names.index("alpha")] = factor
    slopes[names.index("rate_gender")] = -0.5 * factor * model.params_["alpha"]
    assert again.params_["alpha"] == pytest.approx(factor * model.params_["alpha"], rel=1e-7)
    assert again.standard_errors_["alpha"] == pytest.approx(np.sqrt(slopes @ model.covariance_ @ slopes), rel=1e-5)


def test_weights_are_repeated_rows(customers):
    some, weight = customers.head(400), np.arange(400) % 3
    weighted = ParetoNBD(("gender",), ()).fit(some, sample_weight=weight)
    repeated = ParetoNBD(("gender",), ()).fit(some.loc[some.index.repeat(weight)])
    assert list(weighted.params_.values()) == pytest.approx(list(repeated.params_.values()), rel=1e-6)


def test_every_answer_is_aligned_and_finite(model, customers):
    mixed = customers.sample(frac=0.1, random_state=0)
    answers = {
        "alive": model.probability_alive,
        "purchases": lambda table: model.expected_purchases(table, 52),
        "none": lambda table: model.probability_no_purchase(table, 52),
        "discounted": lambda table: model.discounted_purchases(table, 52, 0.1),
        "residual": lambda table: model.residual_purchases(table, 0.1),
    }
    for answer in answers.values():
        whole, some = answer(customers), answer(mixed)
        assert np.isfinite(whole).all()
        pd.testing.assert_series_equal(some, whole.loc[mixed.index], rtol=1e-12)


def test_new_customers_need_their_covariates(model):
    kinds = pd.DataFrame({"gender": [0, 0, 1, 1], "channel": [0, 1, 0, 1]}, index=list("abcd"))
    expected = model.expected_purchases_new(52, covariates=kinds)
    assert expected.index.tolist() == list("abcd")
    for kind, value in expected.items():
        row = kinds.loc[[kind]]
        chances = model.probability_of(np.arange(400), 52, covariates=row)
        assert chances.sum() == pytest.approx(1, abs=1e-9)
        assert chances @ np.arange(400) == pytest.approx(value, rel=1e-6)
        known = row.assign(frequency=0, recency=0, T=0)
        assert model.expected_purchases(known, 52).iloc[0] == pytest.approx(value, rel=1e-12)
    with pytest.raises(ModelError, match=r"has covariates \['gender', 'channel'\]: say which customers are meant"):
        model.expected_purchases_new(52)
    with pytest.raises(ModelError, match="one customer at a time; covariates has 4 rows"):
        model.probability_of(1, 52, covariates=kinds)
    with pytest.raises(ModelError, match="a row for each of the 3 customers; it has 4"):
        model.simulate(3, 52, seed=0, covariates=kinds)
    with pytest.raises(ContractError, match=r"Columns not found: \['channel'\]"):
        model.expected_purchases_new(52, covariates=kinds[["gender"]])


def test_simulated_customers_carry_their_covariates(model):
    kinds = pd.DataFrame({"gender": [0, 1] * 20_000, "channel": 1})
    customers = model.simulate(40_000, 52, seed=3, covariates=kinds)
    assert customers["gender"].tolist() == kinds["gender"].tolist()
    means = customers.groupby("gender")["frequency"].mean()
    expected = model.expected_purchases_new(52, covariates=kinds.head(2))
    np.testing.assert_allclose(means, expected, rtol=0.05)


def test_a_covariate_on_one_rate_only(customers):
    model = ParetoNBD(dropout_covariates=["channel"]).fit(customers)
    assert list(model.params_) == ["r", "alpha", "s", "beta", "dropout_channel"]
    assert model.params_["dropout_channel"] > 0
    assert model.expected_purchases(customers, 10).between(0, 100).all()


def test_a_saved_model_keeps_its_signed_coefficients(model, customers, tmp_path):
    again = load_model(model.save(tmp_path / "model.json"))
    assert tuple(again.rate_covariates) == NAMES
    assert again.params_ == model.params_
    assert again.params_["dropout_gender"] < 0
    pd.testing.assert_series_equal(
        again.residual_purchases(customers, 0.1), model.residual_purchases(customers, 0.1), rtol=0, atol=0
    )
    assert again.save(tmp_path / "again.json").read_bytes() == (tmp_path / "model.json").read_bytes()


@pytest.mark.parametrize("z", [1.0, 0.0], ids=["all one", "all zero"])
def test_a_covariate_that_does_not_vary_is_named(z):
    with pytest.warns(CrmkitWarning, match=r"flat, along rate_z.*coefficients of standardised covariates normal"):
        model = ParetoNBD(("z",)).fit(TABLE.assign(z=z), sample_weight=WEIGHT)
    assert model.params_["rate_z"] == pytest.approx(0, abs=1e-8)
    assert np.isfinite(list(model.standard_errors_.values())).all()


def test_covariates_that_tell_the_same_are_named():
    table = TABLE.assign(z=[0.0, 1, 2, -1, 0.5, 3, -2, 1], twice=[0.0, 2, 4, -2, 1, 6, -4, 2])
    with pytest.warns(CrmkitWarning, match="flat, along rate_(z|twice)"):
        model = ParetoNBD(("z", "twice")).fit(table, sample_weight=WEIGHT)
    assert np.isfinite([*model.params_.values(), *model.standard_errors_.values()]).all()


def test_bad_covariates_are_refused(model, customers):
    with pytest.raises(ContractError, match=r"Columns not found: \['gender', 'channel'\]"):
        model.expected_purchases(TABLE, 10)
    with pytest.raises(ContractError, match="1 where not: gender is a finite number"):
        model.expected_purchases(customers.head(3).assign(gender=[0, np.nan, 1]), 10)
    with pytest.raises(ContractError, match="'gender' does not hold numbers"):
        clone(model).fit(customers.assign(gender="female"))
    with pytest.raises(ModelError, match=r"rate_covariates must be a tuple of column names; write \('gender',\)"):
        ParetoNBD("gender").fit(customers)
    with pytest.raises(ModelError, match=r"dropout_covariates holds \['T'\]"):
        ParetoNBD((), ("T",)).fit(customers)


def test_a_covariate_far_from_zero_says_so():
    """A year number would make alpha, which stands for year 0, too large for a number."""
    table = TABLE.assign(z=1e9 + np.array([0.0, 1, 2, -1, 0.5, 3, -2, 1]))
    with pytest.raises(ModelError, match="Subtract the means first"):
        ParetoNBD(("z",)).fit(table, sample_weight=WEIGHT)
