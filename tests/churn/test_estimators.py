"""The classifiers of churn: scikit-learn's checks, an independent fit, the trees of another evaluator."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from crmkit.churn._logistic_math import clustered_covariance, fit_logistic, log_odds, shift_to_rate
from crmkit.churn.estimators import BoostedTrees, ChurnClassifier, ChurnLogistic, LightGBMTrees
from crmkit.exceptions import CrmkitError


@parametrize_with_checks(
    [ChurnLogistic(), BoostedTrees(n_trees=10), ChurnClassifier((ChurnLogistic(), BoostedTrees(10)))]
)
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(3000, 4)), columns=["a", "b", "c", "btyd_log_odds"])
    X["b"] = X["b"].round()
    z = X["btyd_log_odds"] + X["a"] * X["b"] - 1
    return X, (rng.random(3000) < 1 / (1 + np.exp(-z.to_numpy()))).astype(float)


def test_the_posterior_mode_is_that_of_another_optimiser(table):
    X, y = table[0].to_numpy(), table[1]
    prior = np.array([0.0, 0.0, 0.0, 1.0])

    def loss(b):
        z = b[0] + X @ b[1:]
        return (np.logaddexp(0, z) - y * z).sum() + 25 / 2 * ((b[1:] - prior) ** 2).sum()

    expected = minimize(loss, np.zeros(5), method="BFGS", options={"gtol": 1e-8}).x
    np.testing.assert_allclose(fit_logistic(X, y, 25, prior), expected, atol=1e-5)


def test_separated_classes_do_not_run_away():
    X, y = np.linspace(-1, 1, 50)[:, None] * 1e3, np.repeat([0.0, 1.0], 25)
    assert np.isfinite(fit_logistic(X, y, 1.0, np.zeros(1))).all()
    assert np.isfinite(fit_logistic(X, np.ones(50), 1.0, np.zeros(1))).all()


def test_rows_given_twice_are_no_more_evidence_when_they_are_one_customers(table):
    X, y = table[0].to_numpy()[:500], table[1][:500]
    b = fit_logistic(np.vstack([X, X]), np.append(y, y), 2e-6, np.zeros(4))
    apart = clustered_covariance(X, y, b, 1e-6, np.arange(500))
    together = clustered_covariance(np.vstack([X, X]), np.append(y, y), b, 2e-6, np.tile(np.arange(500), 2))
    np.testing.assert_allclose(together, apart, rtol=1e-6)


def test_a_shift_gives_the_rate():
    z = np.random.default_rng(1).normal(size=1000) * 3
    for rate in (0.001, 0.5, 0.97):
        assert (1 / (1 + np.exp(-z - shift_to_rate(z, rate)))).mean() == pytest.approx(rate, abs=1e-9)
    assert np.isfinite(log_odds([0.0, 1.0])).all()


def test_without_evidence_the_answer_is_the_anchors(table):
    X, y = table
    few = np.r_[np.flatnonzero(y == 1)[:3], np.flatnonzero(y == 0)[:3]]
    held = ChurnLogistic(strength=1e6).fit(X.iloc[few], y[few])
    moved = held.decision_function(X) - X["btyd_log_odds"]
    assert np.ptp(moved) < 1e-3
    free = ChurnLogistic(strength=1e-3).fit(X, y)
    assert np.ptp(free.decision_function(X) - X["btyd_log_odds"]) > 0.5


def test_contributions_sum_to_the_log_odds(table):
    model = ChurnLogistic().fit(*table)
    total = model.intercept_ + model.contributions(table[0]).sum(axis=1)
    np.testing.assert_array_equal(total, model.decision_function(table[0]))


def test_effects_are_per_unit_and_cover_what_was_planted(table):
    X, y = table
    effects = ChurnLogistic(anchor=None, strength=1e-3).fit(X * [1, 1, 1, 10], y).effects().set_index("term")
    low, high = effects.loc["btyd_log_odds", ["low", "high"]]
    assert 0.05 < low < high < 0.15
    assert effects.loc["c", "low"] < 0 < effects.loc["c", "high"]


def test_trees_answer_as_scikit_learns_do(table):
    X, y = table
    other = HistGradientBoostingClassifier(
        max_iter=100, learning_rate=0.06, max_leaf_nodes=8, min_samples_leaf=40, l2_regularization=10,
        early_stopping=False, random_state=0,
    ).fit(X.to_numpy(), y)  # fmt: skip
    mine = BoostedTrees().fit(X, y)
    extremes = pd.concat([X, pd.DataFrame(np.array([[-1e300] * 4, [1e300] * 4, [0.0] * 4]), columns=X.columns)])
    np.testing.assert_allclose(
        mine.decision_function(extremes), other.decision_function(extremes.to_numpy()), rtol=0, atol=1e-12
    )


def test_the_average_is_of_log_odds_and_its_step_is_learned_on_customers_not_seen(table):
    X, y = table
    whose = np.arange(3000) // 3
    model = ChurnClassifier().fit(X, y, groups=whose)
    mean = np.mean([one.decision_function(X) for one in model.estimators_], axis=0)
    np.testing.assert_allclose(model.decision_function(X), model.intercept_ + model.slope_ * mean, atol=1e-12)
    assert np.mean((model.held_out_ > 0) == y) < np.mean((mean > 0) == y)
    assert 0.7 < model.slope_ < 1.3


def test_an_unfitted_model_says_so_in_both_trees_of_errors(table):
    from crmkit import CrmkitError

    for kind in (ChurnLogistic(), BoostedTrees(), ChurnClassifier()):
        with pytest.raises(NotFittedError, match="not fitted") as caught:
            kind.predict_proba(table[0])
        assert isinstance(caught.value, CrmkitError)


# -- LightGBM --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"n_trees": 7, "max_leaf_nodes": 31, "min_samples_leaf": 5, "l2": 0.0}])
def test_lightgbms_trees_answer_as_lightgbm_does(table, settings):
    lightgbm = pytest.importorskip("lightgbm")
    X, y = table
    grown = {}
    honest = lightgbm.train
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lightgbm, "train", lambda *a, **k: grown.setdefault("model", honest(*a, **k)))
        model = LightGBMTrees(**settings).fit(X, y)
    unseen = np.random.default_rng(5).normal(size=(5000, 4)) * 3
    unseen[:100] = np.sort(model.forest_.threshold[model.forest_.threshold < np.inf])[:1]  # on a threshold goes left
    np.testing.assert_array_equal(
        model.decision_function(pd.DataFrame(unseen, columns=X.columns)), grown["model"].predict(unseen, raw_score=True)
    )


def test_a_table_too_small_for_a_split_gives_the_base_rate():
    pytest.importorskip("lightgbm")
    X, y = np.arange(20.0)[:, None], np.repeat([0.0, 1.0], [15, 5])
    np.testing.assert_allclose(LightGBMTrees().fit(X, y).predict_proba(X)[:, 1], 0.25, atol=1e-6)


def test_scikit_learns_own_checks_of_lightgbms_trees():
    pytest.importorskip("lightgbm")
    results = check_estimator(LightGBMTrees(n_trees=10), on_fail=None)
    assert [one["check_name"] for one in results if one["status"] == "failed"] == []


def test_without_lightgbm_the_extra_is_named(table, monkeypatch):
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(CrmkitError, match=r"pip install 'crmkit\[lightgbm\]'"):
        LightGBMTrees().fit(*table)
