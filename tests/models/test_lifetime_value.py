"""Gamma-gamma spend and customer lifetime value."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import approx_fprime

from crmkit.exceptions import ContractError, CrmkitWarning, ModelError
from crmkit.models import BGNBD, CustomerLifetimeValue, GammaGamma
from crmkit.models import _btyd_math as formulas

TABLE = pd.DataFrame(
    {
        "frequency": [0, 1, 1, 1, 1, 2, 2, 3, 6, 9],
        "recency": [0, 35, 196, 14, 90, 105, 250, 210, 140, 259],
        "T": 273,
        "monetary_value": [np.nan, 12, 25, 45, 90, 15, 60, 18, 50, 22],
    }
)
WEIGHT = [300, 20, 20, 20, 20, 10, 10, 15, 8, 8]


@pytest.fixture(scope="module")
def spend():
    return GammaGamma().fit(TABLE, sample_weight=WEIGHT)


@pytest.fixture(scope="module")
def clv():
    return CustomerLifetimeValue(BGNBD(), GammaGamma()).fit(TABLE, sample_weight=WEIGHT)


@pytest.mark.parametrize("unit", [100, 1e9, 1e-6])
def test_the_currency_unit_does_not_matter(spend, unit):
    other = GammaGamma().fit(TABLE.assign(monetary_value=TABLE["monetary_value"] * unit), sample_weight=WEIGHT)
    expected = np.array(list(spend.params_.values())) * [1, 1, unit]
    assert list(other.params_.values()) == pytest.approx(expected, rel=1e-7)
    assert other.log_likelihood_ == pytest.approx(spend.log_likelihood_ - spend.n_customers_ * np.log(unit), rel=1e-9)
    assert other.expected_value(
        TABLE.assign(monetary_value=TABLE["monetary_value"] * unit)
    ).to_numpy() == pytest.approx(spend.expected_value(TABLE).to_numpy() * unit, rel=1e-7)


def test_gamma_gamma_gradient_is_the_slope():
    x, z = TABLE[["frequency", "monetary_value"]].to_numpy(dtype=float)[1:].T
    likelihood, params = formulas.gamma_gamma_likelihood(x, z, np.array(WEIGHT[1:], float)), np.array([3.0, 4.0, 30.0])
    slope = approx_fprime(params, lambda p: likelihood(p)[0], 1e-7)
    np.testing.assert_allclose(likelihood(params)[1], slope, rtol=1e-4)


def test_nobody_without_repeats_is_the_population_mean(spend):
    p, q, gamma = spend.params_.values()
    none = pd.DataFrame({"frequency": [0, 0, 0], "monetary_value": [np.nan, 0.0, 99.0]})
    assert spend.expected_value(none).to_numpy() == pytest.approx(p * gamma / (q - 1))


def test_own_mean_is_shrunk_towards_the_populations(spend):
    mean = spend.expected_value(TABLE).iloc[0]
    own = pd.DataFrame({"frequency": [1, 10, 10_000], "monetary_value": 3 * mean})
    assert spend.expected_value(own).is_monotonic_increasing
    assert spend.expected_value(own).between(mean, 3 * mean).all()


def test_returns_are_left_out_and_counted():
    table = pd.concat([TABLE, pd.DataFrame({"frequency": 2, "recency": 9, "T": 99, "monetary_value": [0.0, -5.0]})])
    with pytest.warns(CrmkitWarning, match="2 customers left out of the fit"):
        model = GammaGamma().fit(table, sample_weight=[*WEIGHT, 5, 5])
    assert model.n_left_out_ == 2
    assert model.params_ == GammaGamma().fit(TABLE, sample_weight=WEIGHT).params_
    assert (model.expected_value(table) > 0).all()


def test_missing_spend_of_a_repeat_buyer_is_refused(spend):
    bad = TABLE.assign(monetary_value=np.nan)
    for call in (GammaGamma().fit, spend.expected_value):
        with pytest.raises(
            ContractError, match="9 where not: monetary_value is a finite number where frequency is above 0"
        ):
            call(bad)


def test_no_repeat_buyer_is_refused():
    with pytest.raises(ModelError, match="None of 1 customers has bought on a second day"):
        GammaGamma().fit(TABLE.iloc[:1])


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (
            pd.DataFrame({"frequency": 3, "monetary_value": 20.0}, index=range(50)),
            "keeps rising, or is flat, along (p|q|gamma)",
        ),
        (pd.DataFrame({"frequency": 2, "monetary_value": np.exp(np.linspace(0, 12, 400) ** 1.2)}), "q is not above 1"),
        (pd.DataFrame({"frequency": [1], "monetary_value": [8.0]}), "keeps rising, or is flat"),
    ],
    ids=["all alike", "heavy tail", "one customer"],
)
def test_a_weak_prior_keeps_the_population_mean_finite(table, why):
    with pytest.warns(CrmkitWarning, match=f"GammaGamma: .*{why}.*weak prior took over"):
        model = GammaGamma().fit(table)
    assert model.prior_used_
    assert model.params_["q"] > 1
    observed = np.average(table["monetary_value"], weights=table["frequency"])
    assert model.expected_value(table.assign(frequency=0)).to_numpy() == pytest.approx(observed)
    assert (model.expected_value(table) > 0).all()
    assert np.isfinite(model.covariance_).all()


def test_value_is_margin_times_spend_times_purchases(clv):
    value = clv.predict(TABLE)
    purchases = clv.purchases_.discounted_purchases(TABLE, 365, 0.10)
    np.testing.assert_allclose(value, clv.spend_.expected_value(TABLE) * purchases)
    third = CustomerLifetimeValue(BGNBD(), GammaGamma(), margin=1 / 3).fit(TABLE, sample_weight=WEIGHT)
    np.testing.assert_allclose(third.predict(TABLE), value / 3)


def test_discounting_by_the_day_comes_to_the_same(clv):
    """Each day's expected purchases, discounted to the middle of that day."""
    days = np.array([clv.purchases_.expected_purchases(TABLE, day) for day in range(366)])
    weights = 1.1 ** (-(np.arange(365) + 0.5) / 365.25)
    summed = weights @ np.diff(days, axis=0)
    np.testing.assert_allclose(clv.purchases_.discounted_purchases(TABLE, 365, 0.10), summed, rtol=1e-6)


def test_value_grows_with_the_horizon_and_falls_with_the_discount(clv):
    def total(**settings):
        return (
            CustomerLifetimeValue(BGNBD(), GammaGamma(), **settings)
            .fit(TABLE, sample_weight=WEIGHT)
            .predict(TABLE)
            .sum()
        )

    assert total(horizon=0) == 0
    assert total(horizon=90) < total(horizon=365) < total(horizon=365, annual_discount=0)


def test_the_given_models_stay_as_they_are():
    purchases, spend = BGNBD(), GammaGamma()
    CustomerLifetimeValue(purchases, spend).fit(TABLE, sample_weight=WEIGHT)
    assert not hasattr(purchases, "params_")
    assert not hasattr(spend, "params_")


@pytest.mark.parametrize("setting", ["horizon", "annual_discount", "margin"])
def test_settings_that_make_no_sense_are_refused(setting):
    model = CustomerLifetimeValue(BGNBD(), GammaGamma()).set_params(**{setting: -0.5})
    with pytest.raises(ModelError, match=f"{setting} must be a finite number, 0 or more; it is -0.5"):
        model.fit(TABLE, sample_weight=WEIGHT)
