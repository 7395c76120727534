"""BG/NBD: units, bad rows, data without an answer, and predictions at the extremes."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.optimize import approx_fprime
from scipy.special import hyp2f1, roots_jacobi
from sklearn.base import clone

from crmkit.exceptions import ContractError, CrmkitWarning, ModelError
from crmkit.models import BGNBD, MBGNBD, load_model
from crmkit.models import _bgnbd_math as formulas

TABLE = pd.DataFrame({"frequency": [0, 1, 1, 2, 3, 6, 9], "recency": [0, 5, 28, 15, 30, 20, 37], "T": 39.0})
WEIGHT = [300, 40, 40, 20, 15, 8, 8]
CORNERS = pd.DataFrame(
    [(x, t, T) for x in (0, 1, 40, 5000) for T in (0, 1, 365, 3650) for t in {0, T / 2 * (x > 0), T * (x > 0)}],
    columns=["frequency", "recency", "T"],
    dtype=float,
)


@pytest.fixture(scope="module")
def model():
    return BGNBD().fit(TABLE, sample_weight=WEIGHT)


def at(r, alpha, a, b):
    model = BGNBD().fit(TABLE, sample_weight=WEIGHT)
    model.params_ = {"r": r, "alpha": alpha, "a": a, "b": b}
    return model


@pytest.mark.parametrize("unit", [1 / 7, 24.0, 86_400.0], ids=["weeks", "hours", "seconds"])
def test_the_unit_of_time_does_not_matter(model, unit):
    other = BGNBD().fit(TABLE.assign(recency=TABLE["recency"] * unit, T=TABLE["T"] * unit), sample_weight=WEIGHT)
    expected = np.array(list(model.params_.values())) * [1, unit, 1, 1]
    assert list(other.params_.values()) == pytest.approx(expected, rel=1e-8)
    purchases = TABLE["frequency"] @ WEIGHT
    assert other.log_likelihood_ == pytest.approx(model.log_likelihood_ - purchases * np.log(unit), abs=1e-6)


def test_doubling_the_table_changes_only_the_errors(model):
    twice = BGNBD().fit(pd.concat([TABLE, TABLE]), sample_weight=WEIGHT * 2)
    assert list(twice.params_.values()) == pytest.approx(list(model.params_.values()), rel=1e-6)
    half = np.array(list(model.standard_errors_.values())) / np.sqrt(2)
    assert list(twice.standard_errors_.values()) == pytest.approx(half, rel=1e-5)
    assert twice.log_likelihood_ == pytest.approx(2 * model.log_likelihood_)


def test_gradient_is_the_slope():
    x, t_x, T = TABLE.to_numpy(dtype=float).T
    likelihood, params = formulas.bgnbd_likelihood(x, t_x, T, np.array(WEIGHT, float)), np.array([0.3, 6.0, 0.7, 1.4])
    slope = approx_fprime(params, lambda p: likelihood(p)[0], 1e-7)
    np.testing.assert_allclose(likelihood(params)[1], slope, rtol=1e-4)


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ((1.5, 3, 9), "frequency is a whole number, 0 or more"),
        ((-1, 0, 9), "frequency is a whole number, 0 or more"),
        ((np.nan, 0, 9), "frequency is a whole number, 0 or more"),
        ((np.inf, 3, 9), "frequency is a whole number, 0 or more"),
        ((1, -3, 9), "recency is 0 or more"),
        ((1, np.nan, 9), "recency is 0 or more"),
        ((1, 10, 9), "recency is not above T"),
        ((0, 3, 9), "recency is 0 where frequency is 0"),
        ((0, 0, np.nan), "T is a finite number, 0 or more"),
        ((0, 0, np.inf), "T is a finite number, 0 or more"),
    ],
)
def test_bad_rows_are_counted_by_rule(model, row, rule):
    bad = pd.concat([TABLE, pd.DataFrame([row] * 2, columns=TABLE.columns)])
    for call in (BGNBD().fit, model.probability_alive):
        with pytest.raises(ContractError, match=f"of 9 .*2 where not: {rule}"):
            call(bad)


def test_all_faults_come_in_one_message():
    bad = pd.DataFrame({"frequency": [1.5, 0], "recency": [1, 2], "T": [9, 1]})
    with pytest.raises(ContractError, match=r"whole number.*where frequency is 0.*not above T"):
        BGNBD().fit(bad)


def test_text_is_refused():
    with pytest.raises(ContractError, match="'frequency' does not hold numbers"):
        BGNBD().fit(TABLE.assign(frequency="many"))


def test_an_empty_table_is_refused():
    with pytest.raises(ModelError, match="the table is empty"):
        BGNBD().fit(TABLE.iloc[:0])


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (
            pd.DataFrame({"frequency": 0, "recency": 0.0, "T": [10.0, 30.0, 90.0] * 50}),
            "no customer in the table bought twice",
        ),
        (pd.DataFrame({"frequency": 0, "recency": 0.0, "T": [0.0]}), "no customer in the table bought twice"),
        (
            pd.DataFrame({"frequency": 5, "recency": 90.0, "T": [90.0] * 50}),
            "keeps rising, or is flat, along (r|alpha|a|b)",
        ),
        (TABLE.iloc[[3]], "keeps rising, or is flat"),
    ],
    ids=["no repeats", "first day", "all alike", "one customer"],
)
def test_a_weak_prior_takes_over_where_the_data_do_not_decide(table, why):
    with pytest.warns(CrmkitWarning, match=f"BG/NBD: .*{why}.*weak prior was used"):
        model = BGNBD().fit(table)
    assert model.prior_used_
    assert all(0 < value < np.inf for value in [*model.params_.values(), *model.standard_errors_.values()])
    assert model.expected_purchases(CORNERS, 365).between(0, 1e5).all()


def test_the_prior_is_in_the_tables_unit():
    table = pd.DataFrame({"frequency": 0, "recency": 0.0, "T": [10.0, 30.0, 90.0] * 50})
    with pytest.warns(CrmkitWarning):
        days, weeks = BGNBD().fit(table), BGNBD().fit(table / 7)
    assert days.params_["alpha"] == pytest.approx(7 * weeks.params_["alpha"])
    assert days.params_["a"] == pytest.approx(1)


@pytest.mark.parametrize("horizon", [0, 1, 365, 1e6])
@pytest.mark.parametrize(
    "params",
    [
        (0.24, 4.4, 0.79, 2.4),
        (0.24, 4.4, 0.1, 0.3),
        (1, 10, 0.3, 0.7),
        (0.5, 30, 1, 2),
        (1, 10, 1, 1),
        (1, 5, 3, 7),
        (2, 9, 2000, 8000),
    ],
    ids=["cdnow", "a + b < 1", "a + b = 1", "a = 1", "a = b = 1", "a whole", "even dropout"],
)
def test_predictions_are_finite_at_the_extremes(params, horizon):
    model = at(*params)
    purchases = model.expected_purchases(CORNERS, horizon)
    discounted = model.discounted_purchases(CORNERS, horizon, 0.1)
    ceiling = (params[0] + CORNERS["frequency"]) * horizon / (params[1] + CORNERS["T"])
    assert purchases.between(0, ceiling + 1e-9).all()
    assert discounted.between(0, purchases + 1e-9).all()
    assert model.probability_alive(CORNERS).between(0, 1).all()
    assert model.probability_no_purchase(CORNERS, horizon).between(0, 1).all()
    assert 0 <= model.expected_purchases_new(horizon) < np.inf


def expected_by_definition(r, alpha, a, b, x, T, horizon, delta=0.0):
    """∫ of the purchase rate of a living customer, averaged over the dropout probability by Gauss-Jacobi; no closed form."""
    with np.errstate(invalid="ignore"):
        nodes, weights = roots_jacobi(120, b + x - 1, a - 1)
    p, weights = (1 + nodes) / 2, weights / weights.sum()

    def rate(t):
        return (r + x) / (alpha + T) * weights @ (1 + p * t / (alpha + T)) ** -(r + x + 1) * np.exp(-delta * t)

    return sum(quad(rate, *ends, epsabs=0, epsrel=1e-11)[0] for ends in ((0, horizon / 20), (horizon / 20, horizon)))


@pytest.mark.parametrize("delta", [0.0, np.log(1.1) / 365.25])
@pytest.mark.parametrize(("a", "b"), [(0.79, 2.4), (0.2, 0.5), (1.0, 2.0), (0.4, 0.6), (1.5, 0.3), (300.0, 900.0)])
def test_expectations_equal_their_definition(a, b, delta):
    for x, T in ((0.0, 0.0), (3.0, 90.0), (60.0, 700.0)):
        mine = formulas.bgnbd_discounted_purchases(0.6, 20.0, a, b, np.array([x]), np.array([T]), 365.0, delta)
        assert mine[0] == pytest.approx(expected_by_definition(0.6, 20.0, a, b, x, T, 365.0, delta), rel=1e-9)


def test_quadrature_and_closed_form_agree():
    """Equation 10 with Euler's transformation of its ₂F₁, where that is far from all of its poles."""
    x, T = CORNERS["frequency"].to_numpy(), CORNERS["T"].to_numpy()
    r, alpha, a, b, horizon = 0.83, 20.0, 0.61, 2.57, 90.0
    z, c = horizon / (alpha + T + horizon), a + b + x - 1
    closed = c / (a - 1) * (1 - (1 - z) ** (a - 1) * hyp2f1(a + b - 1 - r, a - 1, c, z))
    np.testing.assert_allclose(formulas.bgnbd_purchases(r, alpha, a, b, x, T, horizon), closed, rtol=1e-10)


def test_expectation_is_continuous_through_a_equal_to_one():
    x, T = CORNERS["frequency"].to_numpy(), CORNERS["T"].to_numpy()
    below, at_one, above = (formulas.bgnbd_purchases(0.8, 20.0, a, 2.5, x, T, 90.0) for a in (0.999, 1.0, 1.001))
    np.testing.assert_allclose((below + above) / 2, at_one, rtol=1e-5)


def test_silence_by_its_definition(model):
    """P(no purchase) of a living customer is E[exp(-rate · horizon)]."""
    r, alpha = model.params_["r"], model.params_["alpha"]
    alive = model.probability_alive(TABLE)
    still = ((alpha + TABLE["T"]) / (alpha + TABLE["T"] + 10)) ** (r + TABLE["frequency"])
    pd.testing.assert_series_equal(model.probability_no_purchase(TABLE, 10), 1 - alive * (1 - still), check_names=False)


def test_no_discount_is_the_plain_expectation(model):
    plain = model.expected_purchases(TABLE, 365)
    pd.testing.assert_series_equal(model.discounted_purchases(TABLE, 365, 0.0), plain, check_names=False)


@pytest.mark.parametrize("horizon", [-1, np.nan, np.inf, "90", None])
def test_a_horizon_that_makes_no_sense_is_refused(model, horizon):
    for call in (model.expected_purchases, model.probability_no_purchase):
        with pytest.raises(ModelError, match="horizon must be a finite number, 0 or more"):
            call(TABLE, horizon)
    with pytest.raises(ModelError, match="horizon"):
        model.expected_purchases_new(horizon)


@pytest.mark.parametrize("delta", [2.6e-4, 0.1])
@pytest.mark.parametrize(("a", "b"), [(0.79, 2.4), (0.1, 0.3), (1.0, 1.0), (20.0, 3.0)])
def test_residual_purchases_equal_their_definition(a, b, delta):
    """∫ e^(-delta·t) dE[X(t)] to infinity, by parts, of the closed expectation; finite also where a < 1."""
    for x, T in ((0.0, 0.0), (4.0, 200.0), (300.0, 3000.0)):
        one = {"x": np.array([x]), "T": np.array([T])}
        mine = formulas.bgnbd_discounted_purchases(0.6, 20.0, a, b, **one, horizon=np.inf, delta=delta)[0]
        steps = np.concatenate([[0], 10.0 ** np.arange(-1, np.log10(45 / delta)), [45 / delta]])
        value = sum(
            quad(
                lambda t, one=one: (
                    delta * np.exp(-delta * t) * formulas.bgnbd_purchases(0.6, 20.0, a, b, **one, horizon=t)[0]
                ),
                *ends,
                epsabs=0,
                epsrel=1e-10,
            )[0]
            for ends in itertools.pairwise(steps)
        )
        assert mine == pytest.approx(value, rel=1e-8)


def test_residual_purchases_are_the_limit_of_a_far_horizon(model):
    far, end = model.discounted_purchases(CORNERS, 2e5, 0.1), model.residual_purchases(CORNERS, 0.1)
    np.testing.assert_allclose(far, end, rtol=1e-9)
    with pytest.raises(ModelError, match="annual_discount must be above 0"):
        model.residual_purchases(CORNERS, 0.0)


def test_expectations_equal_fifty_digits():
    """Against mpmath where closed forms fail: a -> 1 from both sides, a + b < 1 at x = 0, whole r, 5,000 purchases."""
    mp = pytest.importorskip("mpmath")
    params = [
        (0.24, 4.4, 0.79, 2.4),
        (0.24, 4.4, 0.1, 0.3),
        (0.8, 20, 1 - 1e-6, 2.5),
        (0.8, 20, 1 + 1e-9, 0.2),
        (1.0, 10, 0.3, 0.7),
        (3 + 1e-9, 9, 2 + 1e-7, 4.0),
        (0.1, 1, 0.01, 0.01),
        (12.0, 60, 0.05, 5.0),
    ]
    histories = [(0, 0), (0, 3650), (1, 365), (60, 365), (400, 3650), (5000, 3650)]
    with mp.workdps(60):
        for (r, alpha, a, b), (x, T), horizon in itertools.product(params, histories, (1, 730, 1e5)):
            R, A, B, s = mp.mpf(r) + x, mp.mpf(a) + mp.mpf(10) ** -30, mp.mpf(b) + x, mp.mpf(horizon) / (alpha + T)
            B += mp.mpf(10) ** -29
            series = mp.hyp2f1(A - 1, A + B - 1 - R, A + B - 1, s / (1 + s))
            exact = float((A + B - 1) / (A - 1) * (1 - (1 + s) ** (1 - A) * series))
            mine = formulas.bgnbd_purchases(r, alpha, a, b, np.array([x]), np.array([T]), horizon)[0]
            assert mine == pytest.approx(exact, rel=1e-10), (r, alpha, a, b, x, T, horizon)


@pytest.mark.parametrize("first_coin", [0, 1])
def test_chances_and_likelihood_equal_fifty_digits(first_coin):
    """P(alive), the distribution and the likelihood against mpmath, up to 5,000 purchases in ten years of days."""
    mp = pytest.importorskip("mpmath")
    with mp.workdps(60):
        for r, alpha, a, b in (
            (0.24, 4.4, 0.1, 0.3),
            (2.0, 4.0, 1.0, 60.0),
            (0.1, 1.0, 0.01, 0.01),
            (9.0, 70.0, 40.0, 3.0),
        ):
            for x, t_x, T in (
                (0, 0, 3650),
                (1, 1, 3650),
                (1, 3650, 3650),
                (60, 300, 365),
                (5000, 3000, 3650),
                (5000, 3650, 3650),
            ):
                R, A, P, B = mp.mpf(r), mp.mpf(alpha), mp.mpf(a), mp.mpf(b)
                coins = x + first_coin
                kept = mp.beta(P, B + coins) / mp.beta(P, B)
                last = mp.beta(P + 1, B + coins - 1) / mp.beta(P, B) if coins else mp.mpf(0)
                bought = mp.gamma(R + x) / mp.gamma(R) * A**R
                alive, gone = kept * bought / (A + T) ** (R + x), last * bought / (A + t_x) ** (R + x)
                share = mp.mpf(T) / (A + T)
                exactly = mp.rf(R, x) / mp.factorial(x) * (A / (A + T)) ** R * share**x
                reached = mp.betainc(x, R, 0, share, regularized=True) if x else mp.mpf(1)
                of_n = kept * exactly + last * reached
                one = [np.array([float(value)]) for value in (x, t_x, T)]
                params = r, alpha, a, b
                mine = formulas.bgnbd_alive(*params, *one, first_coin)[0]
                assert mine == pytest.approx(float(alive / (alive + gone)), rel=1e-8, abs=1e-300)
                mine = formulas.bgnbd_likelihood(*one, np.ones(1), first_coin)(np.array(params))[0]
                assert mine == pytest.approx(float(mp.log(alive + gone)), rel=1e-12)
                mine = formulas.bgnbd_probability_of(*params, np.array([float(x)]), float(T), first_coin)[0]
                assert mine == pytest.approx(float(of_n), rel=1e-8)


def test_near_daily_shoppers():
    """Three years of customers who come almost every day: nothing overflows, and the fit is where the truth is."""
    truth = {"r": 2.0, "alpha": 4.0, "a": 0.5, "b": 60.0}
    table = at(**truth).simulate(3_000, until=1_095, seed=5)
    model = BGNBD().fit(table)
    assert table["frequency"].mean() > 100
    assert model.converged_
    for name, value in truth.items():
        assert abs(model.params_[name] - value) < 4 * model.standard_errors_[name]
    assert model.expected_purchases(table, 3_650).between(0, 3_650 * 20).all()


def test_a_fit_that_stops_short_gets_the_prior_and_says_that_it_did_not_converge(monkeypatch):
    monkeypatch.setattr(formulas, "_newton", lambda loss, theta: (np.array([0.0, -1.0, 0.0, 1.0]), np.eye(4)))
    with pytest.warns(CrmkitWarning, match=r"keeps rising.*weak prior was used"):
        model = BGNBD().fit(TABLE, sample_weight=WEIGHT)
    assert model.prior_used_
    assert not model.converged_


def test_a_fit_that_nearly_arrives_says_so(monkeypatch):
    monkeypatch.setattr(formulas, "CONVERGED", 0.0)
    with pytest.warns(CrmkitWarning, match="BG/NBD: the fit did not converge: gradient norm"):
        model = BGNBD().fit(TABLE, sample_weight=WEIGHT)
    assert not model.converged_


def test_an_ordinary_fit_converges(model):
    assert model.converged_
    assert not model.prior_used_


def test_training_is_known_whatever_the_order(model):
    mixed = TABLE.sample(frac=1, random_state=3)
    again = BGNBD().fit(mixed, sample_weight=np.array(WEIGHT)[mixed.index])
    assert again.training_ == model.training_
    assert model.training_["n_customers"] == sum(WEIGHT)
    assert model.training_["n_cells"] == len(TABLE)
    other = BGNBD().fit(TABLE, sample_weight=[301, *WEIGHT[1:]])
    assert other.training_["cells_sha256"] != model.training_["cells_sha256"]


# -- Covariates ------------------------------------------------------------------------------------------------------

COVARIATES = {"r": 0.9, "alpha": 20.0, "a": 0.6, "b": 2.5, "rate_club": 0.4, "rate_age": -0.3, "dropout_club": 0.5}
both = pytest.mark.parametrize("kind", [BGNBD, MBGNBD], ids=["BG", "MBG"])


def known(kind, params=None):
    """A model with covariates, held at known parameters."""
    model = kind(rate_covariates=("club", "age"), dropout_covariates=("club",))
    vars(model).update(dict.fromkeys(model._fitted) | {"params_": params or COVARIATES})
    return model


def people(kind, n, seed):
    rng = np.random.default_rng(seed)
    covariates = pd.DataFrame({"club": rng.integers(0, 2, n).astype(float), "age": rng.normal(size=n)})
    return known(kind).simulate(n, rng.uniform(200, 400, n), seed, covariates)


@both
def test_coefficients_are_found_again(kind):
    customers = people(kind, 6_000, seed=8)
    model = clone(known(kind)).fit(customers)
    assert list(model.params_) == list(COVARIATES)
    z = [(model.params_[name] - value) / model.standard_errors_[name] for name, value in COVARIATES.items()]
    assert np.abs(z).max() < 3
    assert model.converged_
    assert model.aic_ < kind().fit(customers).aic_ - 100


@both
def test_rows_sum_to_the_likelihood_and_slopes_to_its_gradient(kind):
    x, t_x, T = TABLE.to_numpy(dtype=float).T
    params, count = np.array([0.3, 6.0, 0.7, 1.4]), np.array(WEIGHT, float)
    value, gradient = formulas.bgnbd_likelihood(x, t_x, T, count, kind._first_coin)(params)
    rows, slopes = formulas.bgnbd_terms(x, t_x, T, kind._first_coin)(*params)
    assert rows @ count == pytest.approx(value, rel=1e-12)
    assert [slope @ count for slope in slopes] == pytest.approx(gradient, rel=1e-9)


@both
def test_answers_are_those_of_a_plain_model_with_moved_parameters(kind):
    table = TABLE.assign(club=1.0, age=2.0)
    moved = at(r=0.9, alpha=20 * np.exp(-0.4 + 0.6), a=0.6 * np.exp(0.5), b=2.5)
    plain = kind().fit(TABLE, sample_weight=[300, 60, 30, 20, 30, 8, 5] if kind is BGNBD else WEIGHT)
    plain.params_ = moved.params_
    model = known(kind)
    for question, ahead in {
        "probability_alive": {},
        "expected_purchases": {"horizon": 26},
        "probability_no_purchase": {"horizon": 26},
        "discounted_purchases": {"horizon": 26, "annual_discount": 0.1},
        "residual_purchases": {"annual_discount": 0.1},
    }.items():
        mine, theirs = getattr(model, question)(table, **ahead), getattr(plain, question)(TABLE, **ahead)
        np.testing.assert_allclose(mine, theirs, rtol=1e-12)
    new = table[["club", "age"]].iloc[:1]
    assert model.expected_purchases_new(26, new).tolist() == pytest.approx([plain.expected_purchases_new(26)])
    assert model.probability_of([0, 3], 26, new) == pytest.approx(plain.probability_of([0, 3], 26))


@both
def test_a_row_has_the_same_answer_among_many(kind):
    """More rows than are evaluated at once."""
    customers = people(kind, 40_000, seed=9)
    model, some = known(kind), [0, 5, 32_767, 32_768, 39_999]
    whole = model.expected_purchases(customers, 90)
    np.testing.assert_allclose(model.expected_purchases(customers.iloc[some], 90), whole.iloc[some], rtol=1e-9)


@both
def test_covariates_are_saved(kind, tmp_path):
    customers = people(kind, 2_000, seed=8)
    model = clone(known(kind)).fit(customers)
    again = load_model(model.save(tmp_path / "model.json"))
    assert again.get_params() == model.get_params()
    pd.testing.assert_series_equal(
        again.expected_purchases(customers, 90), model.expected_purchases(customers, 90), rtol=0, atol=0
    )
