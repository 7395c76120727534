"""BG/NBD: units, bad rows, data without an answer, and predictions at the extremes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.optimize import approx_fprime

from crmkit.exceptions import ContractError, CrmkitWarning, ModelError
from crmkit.models import BGNBD
from crmkit.models import _btyd_math as formulas

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
            "nobody in the table bought twice",
        ),
        (pd.DataFrame({"frequency": 0, "recency": 0.0, "T": [0.0]}), "nobody in the table bought twice"),
        (
            pd.DataFrame({"frequency": 5, "recency": 90.0, "T": [90.0] * 50}),
            "keeps rising, or is flat, along (r|alpha|a|b)",
        ),
        (TABLE.iloc[[3]], "keeps rising, or is flat"),
    ],
    ids=["no repeats", "first day", "all alike", "one customer"],
)
def test_a_weak_prior_takes_over_where_the_data_do_not_decide(table, why):
    with pytest.warns(CrmkitWarning, match=f"BGNBD: .*{why}.*weak prior took over"):
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
    """∫ of the purchase rate of a living customer, averaged over the dropout probability; no closed form."""
    from scipy.stats import beta

    def rate(t):
        value, _ = quad(lambda u: (1 + beta.ppf(u, a, b + x) * t / (alpha + T)) ** -(r + x + 1), 0, 1, epsabs=1e-9)
        return (r + x) / (alpha + T) * value * np.exp(-delta * t)

    return quad(rate, 0, horizon, epsabs=1e-8)[0]


@pytest.mark.parametrize("delta", [0.0, np.log(1.1) / 365.25])
@pytest.mark.parametrize(("a", "b"), [(0.79, 2.4), (0.2, 0.5), (1.0, 2.0), (0.4, 0.6), (1.5, 0.3), (300.0, 900.0)])
def test_expectations_equal_their_definition(a, b, delta):
    for x, T in ((0.0, 0.0), (3.0, 90.0), (60.0, 700.0)):
        mine = formulas.bgnbd_discounted_purchases(0.6, 20.0, a, b, np.array([x]), np.array([T]), 365.0, delta)
        assert mine[0] == pytest.approx(expected_by_definition(0.6, 20.0, a, b, x, T, 365.0, delta), rel=1e-6)


def test_quadrature_and_closed_form_agree():
    x, T = CORNERS["frequency"].to_numpy(), CORNERS["T"].to_numpy()
    closed = formulas.bgnbd_purchases(0.8, 20.0, 0.6, 2.5, x, T, 90.0)
    np.testing.assert_allclose(formulas._purchases_by_quadrature(0.8, 0.6, 2.5, x, 90 / (20 + T)), closed, rtol=1e-8)


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
