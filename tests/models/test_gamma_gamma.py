"""Gamma-gamma spend: its units, its weights, the test of what it assumes, and the model for when that fails."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import chi2

from crmkit.exceptions import ContractError, CrmkitWarning
from crmkit.models import BGNBD, CustomerLifetimeValue, GammaGamma, load_model
from crmkit.models import _bgnbd_math as btyd
from crmkit.models import _value_math as formulas
from crmkit.models.gamma_gamma import GammaGammaTrend

SPEND = {"p": 6.0, "q": 4.0, "gamma": 15.0}


def customers(n, per_doubling=1.0, seed=0):
    """Repeat buyers and one-time buyers; spend per purchase times per_doubling for each doubling of 1 + frequency."""
    rng = np.random.default_rng(seed)
    x = rng.geometric(0.3, n) - 1.0
    z = formulas.spend_level(per_doubling, x) * formulas.draw_means(rng, **SPEND, x=x)
    return pd.DataFrame({"frequency": x, "recency": np.where(x > 0, 200.0, 0.0), "T": 365.0, "monetary_value": z})


def test_a_currency_a_billion_times_smaller_gives_the_same_p_and_q():
    table = customers(2_000)
    one, other = GammaGamma().fit(table), GammaGamma().fit(table.assign(monetary_value=1e9 * table["monetary_value"]))
    assert other.params_["p"] == pytest.approx(one.params_["p"], rel=1e-9)
    assert other.params_["q"] == pytest.approx(one.params_["q"], rel=1e-9)
    assert other.params_["gamma"] == pytest.approx(1e9 * one.params_["gamma"], rel=1e-9)
    assert other.correlation_ == pytest.approx(one.correlation_, rel=1e-9)


def test_a_customer_of_weight_zero_is_not_there():
    table = customers(500)
    odd = pd.DataFrame({"frequency": [3.0], "recency": [1.0], "T": [9.0], "monetary_value": [1e7]})
    weight = [*np.ones(len(table)), 0.0]
    model = GammaGamma().fit(pd.concat([table, odd]), sample_weight=weight)
    assert list(model.params_.values()) == pytest.approx(list(GammaGamma().fit(table).params_.values()), rel=1e-6)
    assert model.n_customers_ == (table["frequency"] > 0).sum()


def test_correlation_is_pearsons():
    table = customers(500)
    bought = table[table["frequency"] > 0]
    expected = np.corrcoef(bought["frequency"], bought["monetary_value"])[0, 1]
    assert GammaGamma().fit(table).correlation_ == pytest.approx(expected)
    with pytest.warns(CrmkitWarning):
        assert GammaGamma().fit(pd.DataFrame({"frequency": 3, "monetary_value": [9.0, 11.0]})).correlation_ is None


# -- Where spend follows frequency ---------------------------------------------------------------------------------------


def test_trend_gradient_is_the_slope():
    table = customers(50)
    x, z = table.loc[table["frequency"] > 0, ["frequency", "monetary_value"]].to_numpy().T
    likelihood, params = formulas.trend_likelihood(x, z, np.ones(len(x))), np.array([3.0, 4.0, 30.0, 0.8])
    slope = approx_fprime(params, lambda p: likelihood(p)[0], 1e-7)
    np.testing.assert_allclose(likelihood(params)[1], slope, rtol=1e-4)


def test_a_trend_of_one_is_the_gamma_gamma_model():
    table = customers(200)
    x, z = table.loc[table["frequency"] > 0, ["frequency", "monetary_value"]].to_numpy().T
    count = np.ones(len(x))
    plain = btyd.gamma_gamma_likelihood(x, z, count)(np.array([3.0, 4.0, 30.0]))[0]
    assert formulas.trend_likelihood(x, z, count)(np.array([3.0, 4.0, 30.0, 1.0]))[0] == pytest.approx(plain, rel=1e-12)


def test_the_trend_density_integrates_to_one():
    """Over the spend of a customer with three purchases."""
    z = np.exp(np.linspace(-9, 14, 20_001))
    density = [
        formulas.trend_likelihood(np.array([3.0]), np.array([one]), np.ones(1))(np.array([2.0, 3.0, 20.0, 1.6]))[0]
        for one in z[::20]
    ]
    assert np.trapezoid(np.exp(density) * z[::20], np.log(z[::20])) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("per_doubling", [0.6, 1.0, 1.6])
def test_the_trend_is_found_again(per_doubling):
    model = GammaGammaTrend().fit(customers(4_000, per_doubling, seed=3))
    truth = SPEND | {"per_doubling": per_doubling}
    z = [
        (np.log(model.params_[k]) - np.log(v)) / (model.standard_errors_[k] / model.params_[k])
        for k, v in truth.items()
    ]
    assert np.abs(z).max() < 3


def test_the_currency_unit_does_not_matter_to_the_trend():
    table = customers(1_000, 1.4)
    one, other = (
        GammaGammaTrend().fit(table.assign(monetary_value=unit * table["monetary_value"])) for unit in (1, 1e9)
    )
    expected = np.array(list(one.params_.values())) * [1, 1, 1e9, 1]
    assert list(other.params_.values()) == pytest.approx(expected, rel=1e-6)


def test_a_weak_prior_holds_the_trend_too():
    table = pd.DataFrame({"frequency": [1, 2, 3] * 20, "monetary_value": 20.0})
    with pytest.warns(CrmkitWarning, match="Gamma-Gamma with trend: .*weak prior was used"):
        model = GammaGammaTrend().fit(table)
    assert np.isfinite(model.expected_value(table.assign(frequency=0))).all()
    assert model.params_["per_doubling"] == pytest.approx(1, abs=0.1)


# -- The test, and what follows from it ------------------------------------------------------------------------------------


def test_independent_spend_passes_and_is_reported():
    clv = CustomerLifetimeValue(BGNBD(), GammaGamma()).fit(timed(3_000))
    found = clv.spend_dependence_
    assert type(clv.spend_) is GammaGamma
    assert found["p_value"] > 0.01
    assert found["per_doubling_low"] < 1 < found["per_doubling_high"]
    assert found["correlation_low"] < 0 < found["correlation_high"]
    twice = 2 * (GammaGammaTrend().fit(timed(3_000)).log_likelihood_ - clv.spend_.log_likelihood_)
    assert found["p_value"] == pytest.approx(chi2.sf(twice, 1))


@pytest.mark.parametrize("per_doubling", [0.6, 1.6])
def test_a_strong_trend_is_followed(per_doubling):
    table = timed(3_000, per_doubling)
    clv = CustomerLifetimeValue(BGNBD(), GammaGamma()).fit(table)
    assert isinstance(clv.spend_, GammaGammaTrend)
    assert clv.spend_dependence_["p_value"] < 1e-6
    assert "the spend model follows it" in str(clv.cohort(table, n_draws=0))
    truth = formulas.spend_level(per_doubling, np.zeros(1)) * SPEND["p"] * SPEND["gamma"] / (SPEND["q"] - 1)
    nobody = pd.DataFrame({"frequency": [0], "monetary_value": [0.0]})
    assert clv.spend_.expected_value(nobody).iloc[0] == pytest.approx(truth[0], rel=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrmkitWarning)
        plain = GammaGamma().fit(table)
    assert abs(plain.expected_value(nobody).iloc[0] / truth[0] - 1) > 0.12


def test_a_weak_trend_is_reported_and_left_alone():
    clv = CustomerLifetimeValue(BGNBD(), GammaGamma()).fit(timed(20_000, 1.1))
    assert clv.spend_dependence_["p_value"] < 0.01
    assert type(clv.spend_) is GammaGamma


def test_what_cannot_be_tested_is_left_out():
    table = pd.DataFrame(
        {"frequency": [0, 1, 1, 1, 1], "recency": [0, 5, 28, 15, 30], "T": 39.0, "monetary_value": [0, 3, 5, 9, 20]}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrmkitWarning)
        clv = CustomerLifetimeValue(BGNBD(), GammaGamma()).fit(table)
    assert clv.spend_dependence_ is None
    assert "Spend and frequency" not in str(clv.cohort(table, n_draws=0))


# -- The first purchase --------------------------------------------------------------------------------------------------

FIRST = pd.DataFrame(
    {
        "frequency": [0, 0, 1, 2, 3],
        "monetary_value": [None, None, 20.0, 30.0, 40.0],
        "first_value": [5.0, 80, 10, 30, 20],
    }
)


def test_the_first_purchase_is_one_more_of_the_same():
    """A fit on all purchase days is the plain fit on one purchase more and the mean over all of them."""
    rng = np.random.default_rng(0)
    table = FIRST.loc[rng.integers(0, 5, 500)].reset_index(drop=True)
    own = rng.gamma(3.0, 1 / 3, 500)
    table["first_value"] *= own * rng.gamma(4.0, 0.25, 500)
    table["monetary_value"] *= own
    x = table["frequency"]
    mean = (table["monetary_value"].fillna(0) * x + table["first_value"]) / (x + 1)
    plain = GammaGamma().fit(pd.DataFrame({"frequency": x + 1, "monetary_value": mean}))
    model = GammaGamma(first_purchase=True).fit(table)
    assert model.params_ == plain.params_
    assert model.feature_names_in_.tolist() == ["frequency", "monetary_value", "first_value"]
    said = model.expected_value(FIRST)
    assert said[0] < said[1], "one-time buyers are told apart by what they spent"


def test_the_first_purchase_needs_its_column():
    with pytest.raises(ContractError, match="first_value"):
        GammaGamma(first_purchase=True).fit(FIRST.drop(columns="first_value"))
    with pytest.raises(ContractError, match="1 where not: first_value is a finite number"):
        GammaGamma(first_purchase=True).fit(FIRST.assign(first_value=[None, 1.0, 1, 1, 1]))


def test_simulated_spend_has_the_models_mean():
    model = GammaGamma.from_parameters(p=6.0, q=6.0, gamma=15.0, first_purchase=True)
    x = np.full(60_000, 2.0)
    spent = model.simulate_spend(x, np.random.default_rng(0))
    for column in ("monetary_value", "first_value"):
        assert spent[column].mean() == pytest.approx(6 * 15 / 5, rel=0.02)
    assert np.corrcoef(spent["monetary_value"], spent["first_value"])[0, 1] > 0.3


def test_a_value_with_a_trend_is_saved_and_loaded(tmp_path):
    table = timed(1_000, 1.8)
    clv = CustomerLifetimeValue(BGNBD(), GammaGamma()).fit(table)
    again = load_model(clv.save(tmp_path / "value.json"))
    pd.testing.assert_series_equal(again.predict(table), clv.predict(table), rtol=0, atol=0)
    assert again.spend_dependence_ == clv.spend_dependence_


def timed(n, per_doubling=1.0):
    """BG/NBD customers with such spend."""
    model = BGNBD().fit(
        pd.DataFrame({"frequency": [0, 1, 1, 2, 3, 6, 9], "recency": [0, 5, 28, 15, 30, 20, 37], "T": 39}),
        sample_weight=[300, 40, 40, 20, 15, 8, 8],
    )
    model.params_ = {"r": 0.8, "alpha": 40.0, "a": 0.7, "b": 2.5}
    rng = np.random.default_rng(5)
    table = model.simulate(n, rng.uniform(365, 730, n), seed=7)
    x = table["frequency"].to_numpy(dtype=float)
    return table.assign(monetary_value=formulas.spend_level(per_doubling, x) * formulas.draw_means(rng, **SPEND, x=x))
