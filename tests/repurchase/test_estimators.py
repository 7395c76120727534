"""Repurchase formulas against independent ones: quadrature, simulation, scikit-learn, other optimisers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.special import expit, gammaln, polygamma, psi
from sklearn.linear_model import LogisticRegression

from crmkit import ContractError, ModelError
from crmkit.repurchase import _hazard_math as hazard
from crmkit.repurchase import _rates_math as gap
from crmkit.repurchase import _trip_share_math as trip
from crmkit.repurchase import features as summary
from crmkit.repurchase._gamma_math import log_gamma
from crmkit.repurchase.hazard import BoostedHazard, WeeklyHazard
from crmkit.repurchase.rates import RepurchaseRate
from crmkit.repurchase.trip_share import TripShare

CASES = [
    (0.3, 5.0, 0.0, 0.0, 1.0),
    (1.4, 30.0, 7.0, 60.0, 80.0),
    (2.0, 12.0, 400.0, 3600.0, 3650.0),
    (1.0, 5.0, 0.0, 0.0, 0.0),
]


# -- Gamma rates with drop-out ---------------------------------------------------------------------------------------


def survival(day: float, r: float, alpha: float, x: float, T: float) -> float:
    """P(no purchase by a day), mixed over the posterior gamma numerically."""
    rate = stats.gamma(r + x, scale=1 / (alpha + T))
    return quad(lambda lam: np.exp(-lam * day) * rate.pdf(lam), 0, rate.ppf(1 - 1e-12), limit=200)[0]


@pytest.mark.parametrize(("r", "alpha", "x", "t_x", "T"), CASES)
def test_purchase_probability_is_the_mixed_exponential(r: float, alpha: float, x: float, t_x: float, T: float) -> None:
    ours = gap.purchase_probability(*map(np.float64, (r, alpha, x, T)), 14.0)
    assert ours == pytest.approx(1 - survival(14.0, r, alpha, x, T), rel=1e-6)


def test_gamma_rates_are_the_maximum_found_by_another_route() -> None:
    rng = np.random.default_rng(1)
    T = rng.integers(20, 300, 4000).astype(float)
    x = rng.poisson(rng.gamma(1.3, 1 / 25, 4000) * T).astype(float)
    log_r, log_alpha = gap.fit_gamma_rates(gap.GammaCells.of(np.zeros(4000, dtype=np.int64), x, T, 1), strength=0.0)

    def loss(theta: np.ndarray) -> float:
        r, alpha = np.exp(theta)
        return -stats.nbinom.logpmf(x, r, alpha / (alpha + T)).sum()

    other = minimize(loss, [0.0, 3.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-8})
    assert (log_r[0], log_alpha[0]) == pytest.approx(other.x, abs=1e-4)


def test_gamma_rates_recover_each_items_own_prior() -> None:
    rng = np.random.default_rng(2)
    group = np.repeat(np.arange(3), 6000)
    r, alpha = np.array([0.8, 1.5, 3.0]), np.array([60.0, 30.0, 15.0])
    T = rng.integers(100, 400, len(group)).astype(float)
    x = rng.poisson(rng.gamma(r[group], 1 / alpha[group]) * T).astype(float)
    log_r, log_alpha = gap.fit_gamma_rates(gap.GammaCells.of(group, x, T, 3), (0.0, 3.0), strength=1.0)
    assert np.exp(log_r) == pytest.approx(r, rel=0.08)
    assert np.exp(log_alpha) == pytest.approx(alpha, rel=0.1)


@pytest.mark.parametrize(("x", "t_x", "T"), [(0.0, 0.0, 60.0), (3.0, 40.0, 60.0), (9.0, 60.0, 60.0)])
def test_odds_of_having_stopped_are_those_of_bayes(x: float, t_x: float, T: float) -> None:
    r, alpha, weights = 1.4, 20.0, np.array([[0.1, 0.2, 0.3, 0.2, 0.1, 0.1]])

    def seen(days: float) -> float:
        rate = stats.gamma(r, scale=1 / alpha)
        return quad(lambda lam: lam**x * np.exp(-lam * days) * rate.pdf(lam), 0, 3, limit=200, epsabs=1e-16)[0]

    on = (weights[0] * (1 - gap.STOPPING) ** (x + 1)).sum() * seen(T)
    off = (weights[0] * gap.STOPPING * (1 - gap.STOPPING) ** x).sum() * seen(t_x)
    ours = gap.stop_log_odds(*(np.array([value]) for value in (r, alpha, x, t_x, T)), weights)
    assert ours[0] == pytest.approx(np.log(off / on), rel=1e-5, abs=1e-6)


def pairs_that_stop(n: int, p: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frequency, recency and T of pairs that stop after any purchase with one probability."""
    rng = np.random.default_rng(seed)
    rate, T = rng.gamma(2.0, 1 / 20, n), rng.integers(200, 400, n).astype(float)
    lives = rng.geometric(p, n)
    arrivals = np.cumsum(rng.exponential(1 / rate[:, None], (n, 150)), axis=1)
    counted = (arrivals <= T[:, None]) & (np.arange(150) < lives[:, None] - 1)
    x = counted.sum(axis=1)
    last = np.where(x > 0, np.take_along_axis(arrivals, np.maximum(x - 1, 0)[:, None], 1)[:, 0], 0.0)
    return x.astype(float), np.ceil(last), T


@pytest.mark.parametrize("p", [0.03, 0.2])
def test_stopping_is_recovered_from_purchases_that_stop(p: float) -> None:
    x, t_x, T = pairs_that_stop(8_000, p, seed=4)
    rates = gap.fit_stopping_rates(np.zeros(8_000, dtype=np.int64), x, t_x, T, 1)
    assert rates.weights[0] @ gap.STOPPING == pytest.approx(p, rel=0.15)
    assert np.exp(rates.log_r[0]) == pytest.approx(2.0, rel=0.15)
    assert np.exp(rates.log_alpha[0]) == pytest.approx(20.0, rel=0.15)


def test_an_item_with_few_pairs_is_near_the_whole_and_one_with_many_keeps_its_own() -> None:
    slow, fast = pairs_that_stop(4_000, 0.02, seed=1), pairs_that_stop(4_000, 0.3, seed=2)
    group = np.repeat([0, 1, 2], [4_000, 4_000, 1])
    x, t_x, T = (np.concatenate([a, b, b[:1]]) for a, b in zip(slow, fast, strict=True))
    rates = gap.fit_stopping_rates(group, x, t_x, T, 3)
    mean = rates.weights @ gap.STOPPING
    assert mean[0] < 0.05 < 0.2 < mean[1]
    assert abs(mean[2] - rates.pooled @ gap.STOPPING) < 0.05


def test_probability_of_having_stopped_rises_with_silence() -> None:
    pairs = pd.DataFrame({"item": "milk", "frequency": 10, "recency": 70, "T": [70, 84, 120, 300, 3000]})
    stopped = RepurchaseRate().fit(pairs).probability_stopped(pairs)
    assert stopped.is_monotonic_increasing
    assert stopped.between(0, 1).all()


def test_thousands_of_purchases_and_none_for_years_stay_numbers() -> None:
    pairs = pd.DataFrame({"item": "milk", "frequency": [5000, 0, 0], "recency": [5000, 0, 0], "T": [20_000, 20_000, 0]})
    model = RepurchaseRate().fit(pairs)
    assert np.isfinite(model.weekly_survival(pairs)).all()
    assert model.probability_stopped(pairs).between(0, 1).all()


def test_an_item_never_seen_takes_the_pooled_prior() -> None:
    pairs = pd.DataFrame({"item": ["milk"] * 50, "frequency": 5, "recency": 60, "T": 70})
    model = RepurchaseRate().fit(pairs)
    tea = pd.DataFrame({"item": ["tea"], "frequency": [0], "recency": [0], "T": [3]})
    _, item_log_rate, _ = model.logits(tea)
    assert item_log_rate[0] == pytest.approx(np.log(model.pooled_["r"] / model.pooled_["alpha"]))


def test_faulty_pairs_are_counted() -> None:
    pairs = pd.DataFrame({"item": ["a", "b"], "frequency": [1, -1], "recency": [5, 0], "T": [4, 3]})
    with pytest.raises(ContractError, match="2 pairs do not have an item"):
        RepurchaseRate().fit(pairs)
    with pytest.raises(ContractError, match=r"Columns not found: \['T'\]"):
        RepurchaseRate().fit(pairs.drop(columns="T"))
    with pytest.raises(ContractError, match=r"Columns not found: \['item'\]"):
        RepurchaseRate().fit(pairs.drop(columns="item"))
    with pytest.raises(ModelError, match="no customer × item pair"):
        RepurchaseRate().fit(pairs.iloc[:0])


def test_log_gamma_and_its_slopes_are_those_of_scipy() -> None:
    x = np.concatenate([np.geomspace(1e-9, 1e6, 20_000), np.arange(1.0, 50)])
    for ours, theirs in zip(log_gamma(x), (gammaln(x), psi(x), polygamma(1, x)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-14, atol=1e-13)


def test_a_hazard_is_the_same_whatever_the_order_of_its_rows() -> None:
    rng, n = np.random.default_rng(14), 40_000
    z, wait = rng.normal(size=(n, 3)), rng.geometric(0.02, n).astype(float)
    weeks, ended = hazard.weeks_at_risk(wait, rng.choice([14, 28, 84], n))
    turned = rng.permutation(n)
    one, other = (hazard.fit_weekly_hazard(z[rows], weeks[rows], ended[rows]) for rows in (np.arange(n), turned))
    for name in ("week", "level", "slope"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=0, atol=1e-9)


# -- Trips and shares ------------------------------------------------------------------------------------------------


def test_decayed_days_are_the_integral() -> None:
    expected = quad(lambda age: np.exp(-age / 60), 0, 90)[0]
    assert trip.decayed_days(np.array([90.0]), 60.0)[0] == pytest.approx(expected)


def test_gamma_counts_are_the_maximum_of_the_negative_binomial() -> None:
    rng = np.random.default_rng(5)
    t = rng.uniform(20, 60, 3000)
    x = rng.poisson(rng.gamma(1.5, 1 / 10, 3000) * t).astype(float)
    shape, rate = trip.fit_gamma_counts(x, t)

    def loss(theta: np.ndarray) -> float:
        return -stats.nbinom.logpmf(x, np.exp(theta[0]), np.exp(theta[1]) / (np.exp(theta[1]) + t)).sum()

    other = minimize(loss, [0.0, 2.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-8})
    assert np.log([shape, rate]) == pytest.approx(other.x, abs=0.005)


def test_gamma_counts_that_do_not_vary_stay_finite() -> None:
    shape, rate = trip.fit_gamma_counts(np.full(50, 6.0), np.full(50, 30.0))
    assert shape / rate == pytest.approx(0.2, rel=0.02)


def test_beta_shares_are_the_maximum_of_the_beta_binomial() -> None:
    rng = np.random.default_rng(6)
    n = rng.integers(5, 60, 3000)
    k = rng.binomial(n, rng.beta(0.9, 4.0, 3000))
    log_a, log_b = trip.fit_beta_shares(
        np.zeros(3000, dtype=np.int64), k.astype(float), n.astype(float), 1, (0.0, 1.0), 0.0
    )

    def loss(theta: np.ndarray) -> float:
        return -stats.betabinom.logpmf(k, n, *np.exp(theta)).sum()

    other = minimize(loss, [0.0, 1.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-8})
    assert (log_a[0], log_b[0]) == pytest.approx(other.x, abs=1e-3)


def test_trips_times_share_is_the_mixture_that_simulation_gives() -> None:
    rng, n = np.random.default_rng(7), 400_000
    members, a, b = trip.GammaRate(np.array([3.0]), np.array([12.0])), np.array([2.0]), np.array([9.0])
    trips = rng.poisson(14 * rng.gamma(3.0, 1 / 12, n))
    never = ((1 - rng.beta(2.0, 9.0, n)) ** trips).mean()
    assert trip.waits_longer(trip.purchase_rate(members, a, b), 14.0)[0] == pytest.approx(never, abs=0.004)


# -- Weekly hazard ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wait", "follow", "at_risk", "bought"),
    [(1, 84, 1, 1), (7, 84, 1, 1), (8, 84, 2, 2), (84, 90, 12, 12), (85, 90, 12, 0), (np.inf, 20, 2, 0), (18, 20, 2, 0), (3, 6, 0, 0)],
)  # fmt: skip
def test_weeks_end_with_the_purchase_or_with_the_last_week_watched_in_full(
    wait: float, follow: float, at_risk: int, bought: int
) -> None:
    weeks, ended = hazard.weeks_at_risk(np.array([wait]), np.array([follow]))
    assert (weeks[0], ended[0]) == (at_risk, bought)


def test_hazard_is_the_logistic_regression_on_person_weeks() -> None:
    rng, n = np.random.default_rng(8), 3000
    z = rng.normal(size=(n, 2))
    chance = expit(
        -1.5 + z @ [0.6, -0.3] + np.log(hazard._WEEK)[:, None] * (z @ [-0.2, 0.1]) - 0.1 * hazard._WEEK[:, None]
    ).T
    event = rng.random((n, 12)) < chance
    wait = np.where(event.any(axis=1), 7 * event.argmax(axis=1) + 3, np.inf)
    weeks, ended = hazard.weeks_at_risk(wait, rng.integers(7, 90, n))
    curve = hazard.fit_weekly_hazard(z, weeks, ended, ridge=1e-8)
    rows, week = np.nonzero(np.arange(1, 13) <= weeks[:, None])
    assert [list(column) for column in hazard.person_weeks(weeks)] == [list(rows), list(week + 1)]
    X = np.column_stack([z[rows], z[rows] * np.log(week + 1)[:, None], np.eye(12)[week]])
    flat = LogisticRegression(C=1e8, fit_intercept=False, tol=1e-10, max_iter=2000).fit(X, ended[rows] == week + 1)
    assert curve.level == pytest.approx(flat.coef_[0][:2], abs=0.01)
    assert curve.slope == pytest.approx(flat.coef_[0][2:4], abs=0.01)
    assert curve.week == pytest.approx(flat.coef_[0][4:], abs=0.05)


def test_a_rescaled_curve_answers_the_same() -> None:
    rng = np.random.default_rng(9)
    curve = hazard.HazardCurve(rng.normal(size=12), rng.normal(size=3), rng.normal(size=3))
    z, mean, sd = rng.normal(size=(5, 3)), rng.normal(size=3), rng.uniform(0.5, 2, 3)
    assert curve.rescaled(mean, sd).logits(z * sd + mean) == pytest.approx(curve.logits(z))


WEEKLY = hazard.week_survival(np.random.default_rng(10).normal(-1.5, 1, (50, 12)))


def test_days_and_quantiles_are_inverse() -> None:
    day = hazard.quantile_day(WEEKLY, 0.4)
    reached = 1 - WEEKLY[:, -1] >= 0.4
    assert (np.isnan(day) == ~reached).all()
    days = np.arange(85)
    bought = 1 - hazard.day_survival(WEEKLY, days)
    back = [np.interp(d, days, np.log1p(-row)) for d, row in zip(day[reached], bought[reached], strict=True)]
    assert -np.expm1(back) == pytest.approx(np.full(reached.sum(), 0.4), abs=1e-9)


def test_mean_day_agrees_with_integration() -> None:
    for row in WEEKLY[:5]:
        area = quad(
            lambda t, row=row: np.exp(np.interp(t, 7 * np.arange(13), np.log(row))),
            0,
            84,
            limit=200,
            points=range(7, 84, 7),
        )[0]
        assert hazard.mean_day(row[None])[0] == pytest.approx((area - 84 * row[-1]) / (1 - row[-1]), rel=1e-6)


def test_a_curve_that_hardly_falls_has_its_mean_day_in_the_middle() -> None:
    flat = hazard.week_survival(np.full((1, 12), -30.0))
    assert hazard.mean_day(flat)[0] == pytest.approx(42, abs=0.5)
    assert hazard.mean_day(np.ones((1, 13)))[0] == pytest.approx(42, abs=0.5)


def test_names_stand_for_the_columns_of_the_summaries() -> None:
    above = ("category",)
    columns = {name: np.ones(3) for name in summary.needs(above)}
    table = summary.summaries(columns, above, [np.zeros(3)] * 4)
    assert table.shape == (3, len(summary.names(above)))
    assert len(set(summary.names(above))) == len(summary.themes(above)) == table.shape[1]
    assert np.isfinite(table).all()


def state(n: int, seed: int = 11) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 6, n)
    recency = np.where(x > 0, rng.integers(20, 90, n), 0)
    table = {name: np.ones(n) for name in summary.needs()}
    return pd.DataFrame(
        table | {"item": rng.choice(["a", "b"], n), "frequency": x, "recency": recency, "T": recency + 10, "visit_T": 120,
                 "visit_recency": 110, "decayed_250": x / 2 + 1, "visits_decayed_since_first": x + 2.0, "visit_days": 9, "n_item_days": 5}
    )  # fmt: skip


def test_without_enough_purchases_the_closed_form_answers() -> None:
    pairs = state(60)
    rates, shares = RepurchaseRate().fit(pairs), TripShare().fit(pairs)
    model = WeeklyHazard(rates, shares).fit(pairs, pd.DataFrame({"wait": 5.0, "follow": 84}, index=pairs.index))
    assert model.curves_ == {}
    mean = np.log(rates.weekly_survival(pairs)) / 2 + np.log(shares.weekly_survival(pairs)) / 2
    assert np.log(model.weekly_survival(pairs)) == pytest.approx(mean)
    assert model.contributions(pairs).empty


def test_rows_are_answered_alone_and_in_place() -> None:
    pairs = state(3000)
    rates, shares = RepurchaseRate().fit(pairs), TripShare().fit(pairs)
    wait = np.where(np.random.default_rng(12).random(3000) < 0.5, 9.0, np.nan)
    model = WeeklyHazard(rates, shares).fit(pairs, pd.DataFrame({"wait": wait, "follow": 84}))
    assert set(model.curves_) == {"new", "regular"}
    whole = model.probability_of_purchase(pairs, 14)
    some = pairs.iloc[[7, 2999, 0]]
    pd.testing.assert_series_equal(model.probability_of_purchase(some, 14), whole.iloc[[7, 2999, 0]], rtol=1e-10)
    assert model.probability_stopped(pairs).between(0, 1).all()


def test_trees_see_what_a_line_in_the_logs_cannot() -> None:
    pairs = state(6000)
    rates, shares = RepurchaseRate().fit(pairs), TripShare().fit(pairs)
    middle = pairs["frequency"].isin([3]).to_numpy()
    soon = np.random.default_rng(13).random(6000) < np.where(middle, 0.9, 0.2)
    waits = pd.DataFrame({"wait": np.where(soon, 4.0, np.nan), "follow": 84})
    line, trees = (kind(rates, shares).fit(pairs, waits) for kind in (WeeklyHazard, BoostedHazard))
    regular = pairs["frequency"] >= 2
    apart = [
        model.probability_of_purchase(pairs, 7)[regular & middle].mean()
        - model.probability_of_purchase(pairs, 7)[regular & ~middle].mean()
        for model in (line, trees)
    ]
    assert apart[1] > apart[0] + 0.1
    assert trees.probability_of_purchase(pairs, 84).between(0, 1).all()


def test_a_curve_drawn_to_one_on_some_summaries_answers_their_mean() -> None:
    rng = np.random.default_rng(4)
    z = rng.normal(size=(3, 4))
    whole = hazard.HazardCurve(rng.normal(size=hazard.WEEKS), rng.normal(size=4), rng.normal(size=4))
    few = hazard.HazardCurve(rng.normal(size=hazard.WEEKS), rng.normal(size=2), rng.normal(size=2))
    drawn = whole.drawn_to(few, [1, 3], 0.25)
    np.testing.assert_allclose(drawn.logits(z), 0.75 * whole.logits(z) + 0.25 * few.logits(z[:, [1, 3]]), atol=1e-12)
    assert (whole.drawn_to(few, [1, 3], 0.0).level == whole.level).all()
