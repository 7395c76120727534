"""Shifted beta-geometric: the papers' figures, sums by hand, simulation, extremes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import approx_fprime

from crmkit.exceptions import ContractError, CrmkitWarning, ModelError
from crmkit.models import ShiftedBetaGeometric, load_model
from crmkit.models import _sbg_math as formulas

HIGH_END = [1000, 869, 743, 653, 593, 551, 517, 491, 468, 445, 427, 409, 394]
REGULAR = [1000, 631, 468, 382, 326, 289, 262, 241, 223, 207, 194, 183, 173]


def cohort(left, years=7):
    """Customers of a cohort by their renewals, and how many they are."""
    table = pd.DataFrame({"renewals": range(years + 1), "cancelled": [True] * years + [False]})
    return table, [*-np.diff(left[: years + 1]), left[years]]


@pytest.mark.parametrize(
    ("left", "alpha", "beta", "log_likelihood"), [(HIGH_END, 0.668, 3.806, -1611.2), (REGULAR, 0.704, 1.182, -1680.3)]
)
def test_the_papers_two_segments(left, alpha, beta, log_likelihood):
    table, number = cohort(left)
    model = ShiftedBetaGeometric().fit(table, sample_weight=number)
    assert model.params_ == pytest.approx({"alpha": alpha, "beta": beta}, abs=6e-4)
    assert model.log_likelihood_ == pytest.approx(log_likelihood, abs=0.06)
    assert model.converged_
    shown = model.survival(np.arange(8, 13))
    np.testing.assert_allclose(
        shown, np.array(left[8:]) / 1000, atol=0.02, err_msg="the paper's holdout, years 8 to 12"
    )


def test_gradient_is_the_slope():
    n, c, count = np.array([0.0, 3, 5]), np.array([1.0, 0, 1]), np.array([4.0, 9, 2])
    likelihood, params = formulas.sbg_likelihood(n, c, count), np.array([0.7, 2.5])
    slope = approx_fprime(params, lambda p: likelihood(p)[0], 1e-7)
    np.testing.assert_allclose(likelihood(params)[1], slope, rtol=1e-5)


def test_answers_are_sums_of_retention_rates():
    model = ShiftedBetaGeometric.from_parameters(alpha=0.668, beta=3.806)
    table = pd.DataFrame({"renewals": [0, 4, 4], "cancelled": [0, 0, 1]})
    chain = np.cumprod(model.retention_rate(np.arange(4, 9)))
    assert model.probability_active(table, 5).iloc[1] == pytest.approx(chain[-1], rel=1e-12)
    discounted = (chain / 1.1 ** np.arange(1, 6)).sum()
    found = model.expected_renewals(table, 5, annual_discount=0.10)
    assert found.iloc[1] == pytest.approx(discounted, rel=1e-12)
    assert found.iloc[2] == 0
    long = model.expected_renewals(table, 2000, annual_discount=0.10)
    np.testing.assert_allclose(model.residual_renewals(table, 0.10), long, rtol=1e-9)


def test_the_second_papers_residual_lifetime():
    """Fader & Hardie (2010), at 10 % a year: a renewal that falls due at once counts in full."""
    model = ShiftedBetaGeometric.from_parameters(alpha=0.668, beta=3.806)
    table = pd.DataFrame({"renewals": [0, 1, 2, 3, 4], "cancelled": 0})
    due_now = model.residual_renewals(table, 0.10) * 1.10
    direct = [sum(np.cumprod(model.retention_rate(np.arange(n, n + 3000))) / 1.1 ** np.arange(3000)) for n in range(5)]
    np.testing.assert_allclose(due_now, direct, rtol=1e-9)
    assert due_now.is_monotonic_increasing, "who has renewed before is worth more, though nobody's own chance changes"


def test_known_parameters_are_found_again():
    rng, n = np.random.default_rng(1), 40_000
    at = rng.geometric(rng.beta(1.3, 4.0, n))
    watched = rng.integers(1, 9, n)
    table = pd.DataFrame({"renewals": np.minimum(at - 1, watched), "cancelled": at <= watched})
    model = ShiftedBetaGeometric().fit(table)
    for name, true in {"alpha": 1.3, "beta": 4.0}.items():
        assert abs(model.params_[name] - true) < 4 * model.standard_errors_[name]


def test_months_discount_by_the_month():
    table = pd.DataFrame({"renewals": [0], "cancelled": [0]})
    monthly = ShiftedBetaGeometric.from_parameters(alpha=0.7, beta=9.0, renewals_per_year=12)
    yearly = ShiftedBetaGeometric.from_parameters(alpha=0.7, beta=9.0)
    found = monthly.expected_renewals(table, 1, 0.21).iloc[0]
    assert found == pytest.approx(yearly.expected_renewals(table, 1).iloc[0] / 1.21 ** (1 / 12))


def test_a_base_in_which_nobody_cancels_rests_on_the_prior():
    with pytest.warns(CrmkitWarning, match="A weak prior was used"):
        model = ShiftedBetaGeometric().fit(pd.DataFrame({"renewals": [3, 5, 9], "cancelled": 0}))
    assert model.prior_used_
    assert np.isfinite(list(model.params_.values())).all()


def test_bad_tables_and_bad_questions_are_told():
    with pytest.raises(
        ContractError, match=r"1 where not: renewals is a whole number.*1 where not: cancelled is 0 or 1"
    ):
        ShiftedBetaGeometric().fit(pd.DataFrame({"renewals": [1.5, 1], "cancelled": [0, 2]}))
    with pytest.raises(ModelError, match="No renewal has fallen due"):
        ShiftedBetaGeometric().fit(pd.DataFrame({"renewals": [0, 0], "cancelled": [0, 0]}))
    model = ShiftedBetaGeometric.from_parameters(alpha=0.7, beta=1.2)
    table = pd.DataFrame({"renewals": [0], "cancelled": [0]})
    with pytest.raises(ModelError, match="annual_discount must be above 0"):
        model.residual_renewals(table, 0.0)
    with pytest.raises(ModelError, match="whole number, 0 to 10,000"):
        model.expected_renewals(table, 2.5)
    assert model.expected_renewals(table.iloc[:0], 3).empty


def test_it_is_saved_and_loaded(tmp_path):
    table, number = cohort(REGULAR)
    model = ShiftedBetaGeometric(renewals_per_year=12).fit(table, sample_weight=number)
    again = load_model(model.save(tmp_path / "model.json"))
    assert again.params_ == model.params_
    assert again.renewals_per_year == 12
