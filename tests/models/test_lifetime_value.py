"""Gamma-gamma spend and customer lifetime value."""

from __future__ import annotations

import copy
import math
import re
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import approx_fprime
from sklearn.base import clone

from crmkit.exceptions import ContractError, CrmkitWarning, DeliveryWarning, ModelError
from crmkit.models import BGNBD, CustomerLifetimeValue, GammaGamma, load_model
from crmkit.models import _bgnbd_math as formulas
from crmkit.models._value_math import draw_means
from crmkit.models.bgbb import BGBB
from crmkit.models.bgcnbd import BGCNBD, MBGCNBD
from crmkit.models.cohort_value import PastTotals, level_of
from crmkit.models.mbgnbd import MBGNBD
from crmkit.models.nbd import NBD
from crmkit.models.pareto_nbd import ParetoNBD

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
    with pytest.warns(CrmkitWarning, match="2 customers were excluded from the fit"):
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
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = GammaGamma().fit(table)
    assert re.search(f"Gamma-Gamma: .*{why}.*weak prior was used", str(said[0].message))
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


# -- All that is still to come -------------------------------------------------------------------------------------------


def test_an_infinite_horizon_is_the_limit_of_long_ones():
    def value(horizon):
        model = CustomerLifetimeValue(BGNBD(), GammaGamma(), horizon=horizon, annual_discount=0.2)
        return model.fit(TABLE, sample_weight=WEIGHT).predict(TABLE)

    decades, always = value(365.25 * 150), value(math.inf)
    np.testing.assert_allclose(decades, always, rtol=1e-6)
    assert (value(365) < always).all()


def test_an_infinite_horizon_needs_a_discount_and_draws_no_future():
    endless = CustomerLifetimeValue(BGNBD(), GammaGamma(), horizon=math.inf)
    with pytest.raises(ModelError, match="annual_discount must be above 0 for an infinite horizon"):
        clone(endless).set_params(annual_discount=0.0).fit(TABLE, sample_weight=WEIGHT)
    endless.fit(TABLE, sample_weight=WEIGHT)
    with pytest.raises(ModelError, match="finite horizon"):
        endless.predict_interval(TABLE)
    assert endless.cohort(TABLE).realised is None
    assert (endless.expected_interval(TABLE)["low"] > 0).all()


# -- Intervals -----------------------------------------------------------------------------------------------------------


def test_expected_interval_is_the_spread_over_parameters(clv):
    """Against draws of the parameters from the normal on their logarithms, where it is narrow."""
    narrow = copy.copy(clv)
    narrow.log_covariance_ = clv._log_covariance() / 100
    interval = narrow.expected_interval(TABLE, level=0.95)
    rng = np.random.default_rng(0)
    logs = rng.multivariate_normal(
        np.log([*clv.purchases_.params_.values(), *clv.spend_.params_.values()]), narrow.log_covariance_, 600
    )
    draws = np.array([clv._at(row).predict(TABLE) for row in logs])
    spread = np.log(draws).std(axis=0)
    np.testing.assert_allclose(np.log(interval["high"] / interval["expected"]) / 1.96, spread, rtol=0.1)
    np.testing.assert_allclose(interval["expected"], clv.predict(TABLE))


def test_intervals_widen_with_the_level_and_narrow_with_customers(clv):
    wide, narrow = clv.expected_interval(TABLE, 0.99), clv.expected_interval(TABLE, 0.5)
    assert (wide["low"] < narrow["low"]).all()
    assert (wide["high"] > narrow["high"]).all()
    more = CustomerLifetimeValue(BGNBD(), GammaGamma()).fit(TABLE, sample_weight=np.array(WEIGHT) * 100)
    halved = np.log(clv.expected_interval(TABLE)["high"] / clv.predict(TABLE)) / 10
    np.testing.assert_allclose(np.log(more.expected_interval(TABLE)["high"] / more.predict(TABLE)), halved, rtol=1e-3)


@pytest.mark.parametrize("level", [0, 1, -0.5, 95])
def test_a_level_that_makes_no_sense_is_refused(clv, level):
    for call in (clv.expected_interval, clv.predict_interval, clv.cohort):
        with pytest.raises(ModelError, match="level must lie between 0 and 1"):
            call(TABLE, level=level)


FITTED = pd.concat([TABLE] * 30, ignore_index=True).assign(
    sum_log_gap=lambda t: (
        t["frequency"] * np.log((t["recency"] / t["frequency"].clip(lower=1)).clip(lower=1))
        - 0.4 * t["frequency"].clip(upper=3)
    )
)


@pytest.mark.parametrize(
    "purchases",
    [BGNBD(), MBGNBD(), ParetoNBD(), NBD(), BGCNBD(k=1), MBGCNBD(k=3)],
    ids=lambda m: type(m).__name__ + str(getattr(m, "k", "")),
)
@pytest.mark.parametrize("horizon", [30, 365])
def test_futures_have_the_mean_that_is_predicted(purchases, horizon):
    """The draws of what customers may realise, and the formulas of what is expected, are two ways to one number."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrmkitWarning)
        model = CustomerLifetimeValue(purchases, GammaGamma(), horizon=horizon).fit(FITTED)
    known = copy.copy(model)
    known.log_covariance_ = 0 * model._log_covariance()
    many = FITTED.iloc[np.repeat(np.arange(10), 800)]
    draws = np.concatenate(list(known._futures(many, 25, seed=1)), axis=1).reshape(25, 10, 800)
    error = draws.std(axis=(0, 2)) / np.sqrt(25 * 800)
    off = (draws.mean(axis=(0, 2)) - model.predict(FITTED.iloc[:10])) / np.maximum(error, 1e-12)
    assert np.abs(off).max() < 4.2


def test_futures_with_a_discount_bring_less_in_proportion(clv):
    many = TABLE.iloc[np.repeat(np.arange(10), 800)]

    def total(annual_discount):
        model = copy.copy(clv).set_params(annual_discount=annual_discount)
        model.log_covariance_ = 0 * clv._log_covariance()
        return np.concatenate(list(model._futures(many, 10, seed=1)), axis=1).mean() / model.predict(TABLE).mean()

    assert total(3.0) == pytest.approx(total(0.0), rel=0.01)


def test_realised_intervals_are_wider_than_expected_ones_and_repeat(clv):
    one, other = clv.predict_interval(TABLE, 0.8, seed=3), clv.predict_interval(TABLE, 0.8, seed=3)
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    expected = clv.expected_interval(TABLE, 0.8)
    assert (one["low"] <= expected["low"]).all()
    assert one["high"].iloc[-1] > expected["high"].iloc[-1]
    assert one.loc[0, ["low", "high"]].tolist() == [0, 0], "a one-time buyer most probably brings nothing"


def test_intervals_are_the_same_in_chunks_and_keep_the_index(clv, monkeypatch):
    table = TABLE.set_index(np.arange(100, 110))
    whole = clv.predict_interval(table, n_draws=400)
    monkeypatch.setattr("crmkit.models._futures.CHUNK", 3)
    parts = clv.predict_interval(table, n_draws=400)
    assert parts.index.equals(table.index)
    np.testing.assert_allclose(parts["high"], whole["high"], rtol=0.2, atol=9)


def test_an_empty_table_has_empty_intervals(clv):
    for interval in (clv.expected_interval(TABLE.iloc[:0]), clv.predict_interval(TABLE.iloc[:0])):
        assert interval.columns.tolist() == ["expected", "low", "high"]
        assert len(interval) == 0
    assert clv.cohort(TABLE.iloc[:0]).expected.estimate == 0


def test_the_cohort_is_the_sum_and_says_what_it_knows(clv):
    cohort = clv.cohort(TABLE)
    assert cohort.expected.estimate == pytest.approx(clv.predict(TABLE).sum())
    assert (
        cohort.realised.low
        < cohort.expected.low
        < cohort.expected.estimate
        < cohort.expected.high
        < cohort.realised.high
    )
    assert cohort.n_one_time == 1
    assert cohort.value_one_time == pytest.approx(clv.predict(TABLE).iloc[0])
    p, q, gamma = clv.spend_.params_.values()
    assert cohort.spend_one_time == pytest.approx(p * gamma / (q - 1))
    assert f"1 of them bought once; the spend model expects {p * gamma / (q - 1):,.2f} per purchase" in str(cohort)
    assert "No past forecasts were given (past=)" in str(cohort)
    assert "correlation" in str(cohort)


def test_the_level_of_a_cohort_follows_past_forecasts(clv):
    good = PastTotals((100.0,) * 6, (101.0, 99.0, 100.0, 102.0, 98.0, 100.0), 365)
    bad = PastTotals((100.0,) * 6, (140.0, 90.0, 120.0, 150.0, 110.0, 130.0), 365)
    none, near, far = (clv.cohort(TABLE, past=past) for past in (None, good, bad))

    def width(cohort):
        return np.log(cohort.realised.high / cohort.realised.low)

    assert width(near) < width(none)
    assert width(near) < width(far)
    assert far.realised.estimate > near.realised.estimate
    assert near.realised.estimate == pytest.approx(near.expected.estimate, rel=0.01)
    assert "At 6 past origins the 365-day total was -10% to +50% against the forecast." in str(far)
    with pytest.raises(ModelError, match="pairs"):
        PastTotals((1.0,), (0.0,), 30)


def test_the_level_is_the_predictive_of_a_normal_sample():
    """Many past errors: their mean and standard deviation; shorter windows count for less."""
    errors = np.random.default_rng(0).normal(0.2, 0.1, 4_000)
    past = PastTotals((1.0,) * 4_000, tuple(np.exp(errors).tolist()), 90)
    level = level_of(past, 90)
    assert level.centre == pytest.approx(0.2, abs=0.01)
    assert level.scale == pytest.approx(0.1, rel=0.03)
    assert level_of(past, 360).scale == pytest.approx(2 * level.scale)
    assert level_of(past, 30).scale == level.scale
    assert level_of(None, 90).centre == 0


def test_past_errors_of_one_kind_are_covered():
    """95 % intervals from six past errors hold the seventh of the same kind in 90 to 100 %: most where errors are small."""
    rng = np.random.default_rng(1)
    for sd in (0.1, 0.2, 0.3):
        errors = rng.normal(0.0, sd, (400, 7))
        held = []
        for row in errors:
            level = level_of(PastTotals((1.0,) * 6, tuple(np.exp(row[:6]).tolist()), 90), 90)
            low, high = np.quantile(np.log(level.draws(400, np.random.default_rng(0))), [0.025, 0.975])
            held.append(low <= row[6] <= high)
        assert np.mean(held) >= 0.90


def test_a_margin_of_zero_has_intervals_of_zero(clv):
    nothing = copy.copy(clv).set_params(margin=0.0)
    assert (nothing.expected_interval(TABLE) == 0).all(axis=None)
    assert nothing.cohort(TABLE).expected == (0, 0, 0)


def test_futures_at_opportunities_have_the_mean_that_is_predicted():
    donors = pd.DataFrame(
        {
            "frequency": [0, 1, 1, 3, 4, 6],
            "recency": [0, 1, 4, 5, 6, 6],
            "T": 6,
            "monetary_value": [0, 9, 30, 20, 12, 25.0],
        }
    )
    weight = [300, 60, 40, 30, 30, 40]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrmkitWarning)
        model = CustomerLifetimeValue(BGBB(), GammaGamma(), horizon=5, annual_discount=0.3)
        model.fit(donors, sample_weight=weight)
    model.log_covariance_ = 0 * model._log_covariance()
    many = donors.iloc[np.repeat(np.arange(6), 3_000)]
    draws = np.concatenate(list(model._futures(many, 10, seed=1)), axis=1).reshape(10, 6, 3_000)
    error = draws.std(axis=(0, 2)) / np.sqrt(10 * 3_000)
    assert (np.abs(draws.mean(axis=(0, 2)) - model.predict(donors)) < 4.2 * error).all()


def test_covariates_move_the_value_and_its_intervals():
    table = BGNBD().fit(FITTED).simulate(600, 700.0, seed=2)
    table["age"] = np.random.default_rng(0).normal(size=len(table))
    table["monetary_value"] = draw_means(
        np.random.default_rng(1), 6.0, 4.0, 15.0, table["frequency"].to_numpy(dtype=float)
    )
    model = CustomerLifetimeValue(ParetoNBD(rate_covariates=("age",)), GammaGamma()).fit(table)
    assert "age" in model.feature_names_in_
    interval = model.expected_interval(table)
    assert (interval["low"] < interval["expected"]).all()
    assert model.cohort(table, n_draws=50).realised.low > 0


def test_bootstrap_agrees_with_the_curvature(clv):
    """The parametric bootstrap and Laplace's normal see the same uncertainty of the whole, give or take a third."""
    known = copy.copy(clv.purchases_)
    table = known.simulate(1_500, 500.0, seed=4)
    table["monetary_value"] = draw_means(
        np.random.default_rng(1), 6.0, 4.0, 15.0, table["frequency"].to_numpy(dtype=float)
    )
    model = CustomerLifetimeValue(BGNBD(), GammaGamma()).fit(table)
    resampled = model.bootstrap(table, n=40, seed=1)
    assert model.log_covariance_ is None
    widths = [
        np.log(one.cohort(table, n_draws=0).expected.high / one.predict(table).sum()) for one in (model, resampled)
    ]
    assert widths[1] == pytest.approx(widths[0], rel=0.35)
    pd.testing.assert_series_equal(resampled.predict(table), model.predict(table))


def test_a_bootstrap_is_saved_and_loaded(clv, tmp_path):
    resampled = copy.copy(clv)
    resampled.log_covariance_ = 2 * clv._log_covariance()
    again = load_model(resampled.save(tmp_path / "value.json"))
    pd.testing.assert_frame_equal(again.expected_interval(TABLE), resampled.expected_interval(TABLE), check_exact=True)


# -- Many customers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("horizon", [1, 365, math.inf])
@pytest.mark.parametrize("longest", [120, 730, 3650])
@pytest.mark.parametrize("purchases", [BGNBD(), MBGNBD(), ParetoNBD(), NBD()], ids=lambda m: type(m).__name__)
def test_what_is_carried_between_nodes_is_what_is_computed(purchases, longest, horizon):
    rng = np.random.default_rng(0)
    T = rng.integers(0, longest, 2_000).astype(float)
    x = np.minimum(rng.geometric(0.1, 2_000) - 1, T)
    many = pd.DataFrame({"frequency": x, "recency": np.where(x > 0, T * rng.random(2_000), 0.0), "T": T})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrmkitWarning)
        model = CustomerLifetimeValue(purchases, GammaGamma(), horizon=horizon).fit(TABLE, sample_weight=WEIGHT)
    np.testing.assert_allclose(model.purchases_ahead(many), model._ahead(many), rtol=1e-9)


def test_nodes_keep_the_index_and_leave_small_tables_alone(clv):
    many = pd.DataFrame({"frequency": 1.0, "recency": 5.0, "T": np.arange(5.0, 705.0), "monetary_value": 9.0})
    shuffled = many.sample(frac=1, random_state=0)
    pd.testing.assert_series_equal(clv.predict(shuffled).sort_index(), clv.predict(many))
    assert clv.predict(many.iloc[[3]]).iloc[0] == pytest.approx(clv.predict(many).iloc[3], rel=1e-9)


# -- Do the intervals hold what they promise? ----------------------------------------------------------------------------

STORY = {"r": 0.8, "alpha": 40.0, "a": 0.7, "b": 2.5, "p": 6.0, "q": 4.0, "gamma": 15.0}


EXACT = PastTotals((1.0,) * 100_000, (1.0,) * 100_000, 180)
"""A level that is known: what is left is chance and parameters."""


def till(n, rng, ahead, discount):
    """Customers of the BG/NBD and gamma-gamma stories, and the discounted money they bring after T."""
    rate, dropout, T = (
        rng.gamma(STORY["r"], 1 / STORY["alpha"], n),
        rng.beta(STORY["a"], STORY["b"], n),
        rng.uniform(365, 730, n),
    )
    nu = rng.gamma(STORY["q"], 1 / STORY["gamma"], n)
    x, last, spent, brought, now = np.zeros((5, n))
    alive = np.arange(n)
    while len(alive):
        now[alive] += rng.exponential(1 / rate[alive])
        alive = alive[now[alive] <= T[alive] + ahead]
        money, early = rng.gamma(STORY["p"], 1 / nu[alive]), now[alive] <= T[alive]
        before, after = alive[early], alive[~early]
        x[before] += 1
        last[before] = now[before]
        spent[before] += money[early]
        brought[after] += money[~early] * (1 + discount) ** (-(now[after] - T[after]) / 365.25)
        alive = alive[rng.random(len(alive)) > dropout[alive]]
    table = pd.DataFrame({"frequency": x, "recency": last, "T": T.round(6), "monetary_value": spent / np.maximum(x, 1)})
    return table, brought


def coverage(n_tables, bootstrap=0, n=1_500):
    """Share of tables (or customers) whose truth the intervals hold: expected and realised, of the whole and of each."""

    def one(seed):
        table, brought = till(n, np.random.default_rng(seed), 180, 0.1)
        model = CustomerLifetimeValue(BGNBD(), GammaGamma(), horizon=180).fit(table)
        model = model.bootstrap(table, n=bootstrap, seed=seed) if bootstrap else model
        right = model._at(np.log(list(STORY.values()))).predict(table)
        cohort = model.cohort(table, level=0.95, n_draws=400 * (not bootstrap), seed=seed, past=EXACT)
        each, realised = (
            model.expected_interval(table, 0.95),
            model.predict_interval(table, 0.8, n_draws=200, seed=seed),
        )
        return [
            cohort.expected.low <= right.sum() <= cohort.expected.high,
            right.between(each["low"], each["high"]).mean(),
            bool(bootstrap) or cohort.realised.low <= brought.sum() <= cohort.realised.high,
            pd.Series(brought).between(realised["low"], realised["high"]).mean(),
        ]

    return np.mean([one(seed) for seed in range(n_tables)], axis=0)


def test_most_intervals_hold_the_truth():
    expected, each, realised, each_realised = coverage(5, n=700)
    assert expected >= 0.6
    assert each > 0.75
    assert realised >= 0.6
    assert 0.8 <= each_realised < 0.93


@pytest.mark.long
def test_intervals_cover():
    """95 % intervals hold the truth in .92 to .98 of 300 simulated tables; 80 % ones of realised value in .8 and some."""
    expected, each, realised, each_realised = coverage(300)
    print(
        f"\ncoverage at 95 %: expected total {expected:.3f}, expected of each {each:.3f}, realised total {realised:.3f}; "
        f"at 80 %: realised of each {each_realised:.3f}"
    )
    assert 0.92 <= expected <= 0.98
    assert 0.92 <= each <= 0.98
    assert 0.92 <= realised <= 0.98
    assert 0.8 <= each_realised <= 0.92


@pytest.mark.long
def test_bootstrapped_intervals_cover():
    expected, each, _, _ = coverage(60, bootstrap=40)
    print(f"\ncoverage at 95 %, parametric bootstrap: expected total {expected:.3f}, of each {each:.3f}")
    assert expected >= 0.88
    assert each >= 0.9


def test_an_endless_horizon_is_saved(tmp_path):
    model = CustomerLifetimeValue(BGNBD(), GammaGamma(), horizon=math.inf).fit(TABLE, sample_weight=WEIGHT)
    again = load_model(model.save(tmp_path / "value.json"))
    assert again.horizon == math.inf
    pd.testing.assert_series_equal(again.predict(TABLE), model.predict(TABLE), check_exact=True)


@pytest.mark.parametrize(("horizon", "told"), [(365, 1), (60, 0)])
def test_a_horizon_beyond_what_anybody_was_observed_is_told_once(horizon, told):
    rng = np.random.default_rng(3)
    frequency = rng.poisson(2, 300)
    table = pd.DataFrame(
        {"frequency": frequency, "T": 90.0, "monetary_value": np.where(frequency, rng.gamma(4, 5, 300), 0.0)}
    )
    table["recency"] = np.where(frequency, rng.uniform(10, 80, 300), 0.0)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        CustomerLifetimeValue(BGNBD(), GammaGamma(), horizon=horizon).fit(table)
    found = [one for one in said if one.category is DeliveryWarning]
    assert len(found) == told
    assert all("no customer has been observed for more than 90" in str(one.message) for one in found)
    assert all(one.filename == __file__ for one in found)
