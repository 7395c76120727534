"""BG/CNBD-k and MBG/CNBD-k: regular times between purchases."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.optimize import approx_fprime
from scipy.special import betainc, betaln
from scipy.stats import gamma

from crmkit.exceptions import ContractError, CrmkitWarning, ModelError
from crmkit.models import BGCNBD, BGNBD, MBGCNBD, MBGNBD
from crmkit.models import _bgcnbd_math as formulas

TABLE = pd.DataFrame(
    {
        "frequency": [0, 1, 1, 2, 3, 6, 9],
        "recency": [0.0, 5.0, 28.0, 30.0, 20.0, 38.0, 37.0],
        "T": 39.0,
        "sum_log_gap": [0.0, np.log(5), np.log(28), 5.0, 5.2, 9.0, 10.5],
    }
)
WEIGHT = [100, 30, 20, 20, 15, 8, 8]
TRUTH = {"r": 1.5, "alpha": 10.0, "a": 0.6, "b": 2.0}


def at(kind, k, **params):
    """A model held at known parameters."""
    model = kind(k=2).fit(TABLE, sample_weight=WEIGHT)
    model.params_, model.k_ = params, k
    return model


both = pytest.mark.parametrize(("kind", "simple"), [(BGCNBD, BGNBD), (MBGCNBD, MBGNBD)], ids=["BG", "MBG"])


@both
def test_one_stage_is_the_plain_model(kind, simple):
    weight = [300, 60, 30, 20, 30, 8, 5]
    one, plain = kind(k=1).fit(TABLE, sample_weight=weight), simple().fit(TABLE, sample_weight=weight)
    assert list(one.params_.values()) == pytest.approx(list(plain.params_.values()), rel=1e-7)
    assert one.log_likelihood_ == pytest.approx(plain.log_likelihood_, abs=1e-8)
    assert list(one.standard_errors_.values()) == pytest.approx(list(plain.standard_errors_.values()), rel=1e-4)
    for question, ahead in {
        "probability_alive": {},
        "expected_purchases": {"horizon": 26},
        "probability_no_purchase": {"horizon": 26},
        "discounted_purchases": {"horizon": 26, "annual_discount": 40.0},
        "residual_purchases": {"annual_discount": 40.0},
    }.items():
        mine, theirs = getattr(one, question)(TABLE, **ahead), getattr(plain, question)(TABLE, **ahead)
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)
    assert one.probability_of([0, 1, 7], 20) == pytest.approx(plain.probability_of([0, 1, 7], 20), rel=1e-6)


@pytest.mark.parametrize("first_coin", [0, 1])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_likelihood_is_the_story_integrated(k, first_coin):
    """Erlang densities and survival, a coin per purchase; both integrals done numerically."""
    r, alpha, a, b = 0.9, 7.0, 1.2, 2.5
    for gaps, rest in (([], 9.0), ([4.0], 0.0), ([3.0, 5.0, 4.0], 6.0)):
        x, t_x = len(gaps), sum(gaps)
        coins = x + first_coin

        def given(rate, gaps=gaps, rest=rest, coins=coins):
            bought = np.prod([gamma.pdf(gap, k, scale=1 / rate) for gap in gaps]) * gamma.pdf(rate, r, scale=1 / alpha)
            still = np.exp(betaln(a, b + coins) - betaln(a, b)) * gamma.sf(rest, k, scale=1 / rate)
            ended = np.exp(betaln(a + 1, b + coins - 1) - betaln(a, b)) if coins else 0.0
            return bought * (still + ended)

        value = sum(quad(given, *ends, epsabs=0, epsrel=1e-10)[0] for ends in ((0, 0.2), (0.2, 2), (2, 40)))
        one = [np.array([float(number)]) for number in (x, t_x, t_x + rest)]
        mine, _ = formulas.regular_likelihood(k, *one, np.ones(1), first_coin)(np.array([r, alpha, a, b]))
        mine += formulas.gaps_likelihood(k, x, float(np.sum(np.log(gaps))))
        assert mine == pytest.approx(np.log(value), abs=1e-7)


@pytest.mark.parametrize("first_coin", [0, 1])
@pytest.mark.parametrize("k", [1, 3])
def test_gradient_is_the_slope(k, first_coin):
    x, t_x, T, _ = TABLE.to_numpy(dtype=float).T
    likelihood = formulas.regular_likelihood(k, x, t_x, T, np.array(WEIGHT, float), first_coin)
    params = np.array([0.7, 6.0, 0.7, 1.4])
    np.testing.assert_allclose(
        likelihood(params)[1], approx_fprime(params, lambda p: likelihood(p)[0], 1e-7), rtol=1e-4
    )


@pytest.mark.parametrize("k", [1, 2, 3, 4, 8, 24])
@pytest.mark.parametrize(("a", "b"), [(0.79, 2.4), (0.1, 0.3), (0.3, 0.02), (1.0, 1.0), (20.0, 3.0), (3.0, 70.0)])
def test_expectation_equals_the_sum_over_purchases(k, a, b):
    """Σ E[q^(i-1)] · P(i·k - stage stages are passed), term by term: a beta ratio times a negative binomial tail."""
    for x in (0, 3, 60):
        for stretch in (0.3, 5.0):
            for stage in {0, k - 1}:
                shape = 0.6 + k * x + stage
                i = np.arange(1, 100 + int(60 * (shape + 30) * stretch / k))
                kept = np.exp(betaln(a, b + x + i - 1) - betaln(a, b + x))
                exact = kept @ betainc(i * k - stage, shape, stretch / (1 + stretch))
                one = np.array([shape]), a, np.array([b + x]), np.array([stretch])
                mine = formulas.purchases_from_stage(k, stage, *one)[0]
                assert mine == pytest.approx(exact, rel=1e-8, abs=1e-13)


@pytest.mark.parametrize("k", [2, 3, 7])
def test_discounting_equals_its_definition(k):
    """∫ e^(-delta·t) dE[X(t)], by parts, of the undiscounted expectation."""
    one = {"x": np.array([2.0]), "t_x": np.array([20.0]), "T": np.array([29.0])}
    params = {"r": 0.7, "alpha": 9.0, "a": 0.4, "b": 1.3, "k": k, "first_coin": 1}
    for delta, end in ((0.002, 100.0), (0.1, np.inf)):
        stop = min(end, 45 / delta)

        def expected(t):
            return formulas.regular_purchases(**params, **one, horizon=t)[0]

        parts = (quad(lambda t, d=delta: d * np.exp(-d * t) * expected(t), *ends)[0] for ends in ((0, 30), (30, stop)))
        exact = sum(parts) + np.exp(-delta * stop) * expected(stop)
        mine = formulas.regular_discounted_purchases(**params, **one, horizon=end, delta=delta)[0]
        assert mine == pytest.approx(exact, rel=1e-7)


def test_what_is_ahead_equals_what_longer_lives_hold():
    """The purchases expected after day 40, over everybody, are those of 70 days less those of 40."""
    model = at(MBGCNBD, 3, **TRUTH)
    made = model.simulate(100_000, until=40.0, seed=4)
    exact = model.expected_purchases_new(70.0) - model.expected_purchases_new(40.0)
    ahead = model.expected_purchases(made, 30.0)
    assert ahead.mean() == pytest.approx(exact, abs=4 * ahead.std() / np.sqrt(len(made)))


def test_silence_by_its_definition():
    """P(no purchase | alive) is the Erlang survival to T + h over that to T, averaged over the rate."""
    model = at(BGCNBD, 3, **TRUTH)
    x, t_x, T, horizon = 2, 8.0, 11.0, 5.0

    def history(rate, end):
        return (
            rate ** (3 * x)
            * np.exp(-rate * t_x)
            * gamma.sf(end - t_x, 3, scale=1 / rate)
            * gamma.pdf(rate, 1.5, scale=0.1)
        )

    silent = quad(history, 0, 9, args=(T + horizon,))[0] / quad(history, 0, 9, args=(T,))[0]
    row = pd.DataFrame({"frequency": [x], "recency": [t_x], "T": [T]})
    alive = model.probability_alive(row).iloc[0]
    assert model.probability_no_purchase(row, horizon).iloc[0] == pytest.approx(1 - alive * (1 - silent), rel=1e-7)


def test_being_late_by_the_own_clock_counts_more():
    """Ten purchases a week apart, then three weeks of nothing: regular timing gives the customer up sooner."""
    row = pd.DataFrame({"frequency": [10], "recency": [70.0], "T": [91.0]})
    lively = {"r": 2.0, "a": 0.5, "b": 3.0}
    plain, regular = at(BGCNBD, 1, alpha=14.0, **lively), at(BGCNBD, 4, alpha=3.5, **lively)
    assert regular.probability_alive(row).iloc[0] < plain.probability_alive(row).iloc[0] / 2


@pytest.mark.parametrize("kind", [BGCNBD, MBGCNBD])
@pytest.mark.parametrize("k", [1, 2, 4])
def test_k_is_found(kind, k):
    made = at(kind, k, **TRUTH).simulate(3_000, until=120.0, seed=k)
    model = kind().fit(made)
    assert model.k_ == k
    assert len(model.k_log_likelihoods_) == k + 1
    assert model.k_log_likelihoods_.argmax() == k - 1
    assert model.log_likelihood_ == pytest.approx(model.k_log_likelihoods_.max())


def test_a_k_given_is_kept():
    model = BGCNBD(k=3).fit(TABLE, sample_weight=WEIGHT)
    assert model.k_ == 3
    assert model.k_log_likelihoods_.tolist() == [model.log_likelihood_]


@pytest.mark.parametrize("k", [0, -1, 1.5, 25, "2", np.nan])
def test_a_k_that_makes_no_sense_is_refused(k):
    with pytest.raises(ModelError, match="k must be a whole number of 1 to 24"):
        BGCNBD(k=k).fit(TABLE)


def test_a_table_without_gaps_is_told_where_they_come_from():
    with pytest.raises(ContractError, match=r"not found: \['sum_log_gap'\].*which btyd_summary\(log\) gives"):
        MBGCNBD().fit(TABLE.drop(columns="sum_log_gap"))


def test_answers_do_not_need_the_gaps():
    model = MBGCNBD(k=2).fit(TABLE, sample_weight=WEIGHT)
    plain = TABLE.drop(columns="sum_log_gap")
    pd.testing.assert_series_equal(model.expected_purchases(plain, 10), model.expected_purchases(TABLE, 10))
    assert model.feature_names_in_.tolist() == ["frequency", "recency", "T"]


@pytest.mark.parametrize(
    ("gaps", "rule"),
    [
        ([0.5, *TABLE["sum_log_gap"][1:]], "0 where frequency is 0"),
        ([*TABLE["sum_log_gap"][:-1], np.nan], "sum_log_gap is a finite number"),
        (TABLE["sum_log_gap"] + TABLE["frequency"] * np.log(7), "as it is in recency's unit of time"),
    ],
    ids=["no gap", "missing", "days beside weeks"],
)
def test_gaps_that_cannot_be_are_refused(gaps, rule):
    with pytest.raises(ContractError, match=rule):
        BGCNBD().fit(TABLE.assign(sum_log_gap=gaps))


def test_nobody_bought_twice():
    with pytest.warns(CrmkitWarning, match="BG/CNBD-k: no customer in the table bought twice"):
        model = BGCNBD().fit(TABLE.iloc[:1], sample_weight=[50])
    assert model.k_ == 1


def test_customers_by_the_clock_run_into_the_end_of_the_search():
    rng = np.random.default_rng(0)
    x, gap = rng.integers(5, 30, 200), rng.gamma(6, 2.0, 200)
    table = pd.DataFrame({"frequency": x, "recency": x * gap, "T": x * gap + gap / 3, "sum_log_gap": x * np.log(gap)})
    with pytest.warns(CrmkitWarning) as said:
        model = BGCNBD().fit(table)
    assert model.k_ == 24
    assert any("still rises at k = 24" in str(warning.message) for warning in said)
