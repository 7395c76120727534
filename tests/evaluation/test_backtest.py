"""Backtests: honest origins, known answers, and no future."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from crmkit import (
    BGNBD,
    ChurnModel,
    CustomerLifetimeValue,
    GammaGamma,
    LeakError,
    ModelError,
    NextPurchase,
    Transactions,
    backtest,
    holdout_summary,
)
from crmkit.evaluation import metrics
from crmkit.evaluation.metrics.money import expected_maximum_profit, value_captured
from crmkit.testing import generated_log

MODELS = {
    "value": CustomerLifetimeValue(BGNBD(), GammaGamma()),
    "churn": ChurnModel(horizon=30),
    "timing": NextPurchase(by="category"),
}


@pytest.fixture(scope="module")
def log() -> Transactions:
    return generated_log(n_customers=800, days=365, seed=11)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_scored_beside_its_baseline_at_three_origins(name: str, log: Transactions) -> None:
    check = backtest(MODELS[name], log)
    assert check.scores["origin"].nunique() == (2 if name == "value" else 3)
    assert len(check.mean) >= 2
    assert np.isfinite(check.mean.iloc[0].to_numpy()).all()
    assert np.isfinite(check.mean[check.metric]).all()
    assert check.verdict in str(check)
    assert len(check.display.table)


@pytest.mark.parametrize("name", MODELS)
def test_what_happens_after_the_window_moves_no_score(name: str, log: Transactions) -> None:
    origin, ahead = date(2017, 8, 31), 30
    whole = backtest(MODELS[name], log, split=origin, horizon=ahead)
    cut = backtest(MODELS[name], log.up_to("2017-09-30"), split=origin, horizon=ahead)
    pd.testing.assert_frame_equal(whole.scores, cut.scores, check_exact=True)


def test_the_given_model_is_not_changed(log: Transactions) -> None:
    model = CustomerLifetimeValue(BGNBD(), GammaGamma(), horizon=365, margin=0.3)
    backtest(model, log, split="2017-09-30")
    assert (model.horizon, model.margin) == (365, 0.3)
    assert not hasattr(model, "purchases_")


def test_churn_scores_are_those_of_the_published_table(log: Transactions) -> None:
    origin = "2017-11-30"
    check = backtest(ChurnModel(horizon=30), log, split=origin)
    risk = ChurnModel(horizon=30).fit(log, origin).predict(log, origin)
    silent = (holdout_summary(log, origin, "2017-12-30")["holdout_purchases"] == 0).astype(float)
    row = check.scores[check.scores["model"] == "churn model"].iloc[0]
    assert row["log_loss"] == pytest.approx(metrics.log_loss(silent, risk["p_churn"]))
    assert row["auc"] == pytest.approx(metrics.roc_auc(silent, risk["p_churn"]))


def test_a_window_past_the_end_of_the_data_is_refused(log: Transactions) -> None:
    with pytest.raises(LeakError, match="not all observed"):
        backtest(ChurnModel(horizon=30), log, split="2017-12-15")


def test_too_little_history_is_said(log: Transactions) -> None:
    with pytest.raises(LeakError, match="too short for a 200-day backtest"):
        backtest(ChurnModel(horizon=200), log)


def test_a_model_without_a_backtest_is_said(log: Transactions) -> None:
    with pytest.raises(ModelError, match="no backtest for a BGNBD"):
        backtest(BGNBD(), log, split="2017-09-30", horizon=30)  # type: ignore[arg-type]


def test_the_verdict_says_when_the_baseline_is_better(log: Transactions) -> None:
    check = backtest(MODELS["churn"], log)
    worse = check.scores.assign(log_loss=np.where(check.scores["model"] == "churn model", 9.0, 0.1))
    worst = replace(check, scores=worse, difference=check.difference._replace(low=8.0, high=9.0))
    assert "churn model is worse than " in worst.verdict


# -- Churn in every score --------------------------------------------------------------------------------------------

ORIGIN = "2017-11-30"
SCORES = ["log_loss", "brier", "auc", "pr_auc", "ece", "top_decile_lift", "value_captured", "empc"]


def test_churn_is_held_against_recency_and_bg_nbd_in_every_score(log: Transactions) -> None:
    check = backtest(MODELS["churn"], log)
    assert check.mean.index.tolist() == ["churn model", "BG/NBD", "recency only"]
    assert check.mean.columns.tolist() == ["n", "base_rate", *SCORES]
    assert set(check.display.table["model"]) == set(check.gains.table["list"]) == set(check.mean.index)
    assert check.gains.table.groupby("list")["share_of_outcome"].last().tolist() == [1.0] * 3
    assert check.gains.plot().get_xlabel() == "top % of customers"
    known = check.predictions
    by_risk_alone = value_captured(known["churned"], known["value"], known["churn model"])
    assert check.mean.loc["churn model", "value_captured"] > 1.3 * by_risk_alone, "who leaves has little to lose"


def test_intervals_hold_the_estimates_and_differences_are_paired(log: Transactions) -> None:
    check = backtest(MODELS["churn"], log)
    table = check.intervals(n=60).set_index(["model", "score"])
    means = check.mean[SCORES].stack()
    np.testing.assert_allclose(table["estimate"].loc[means.index], means)
    assert (table["low"] <= table["estimate"]).all()
    assert (table["estimate"] <= table["high"]).all()
    rival = table.loc["recency only"]
    np.testing.assert_allclose(rival["difference"], table.loc["churn model", "estimate"] - rival["estimate"])
    assert (rival["difference_high"] - rival["difference_low"])["auc"] < (rival["high"] - rival["low"])["auc"] * 0.8
    assert table.loc["churn model", "difference"].isna().all()


def test_an_interval_is_the_one_of_scoring_at_one_origin(log: Transactions) -> None:
    check = backtest(MODELS["churn"], log, split=ORIGIN)
    known = check.predictions
    expected = metrics.paired_difference(
        metrics.log_loss, known["churned"], known["churn model"], known["recency only"]
    )
    row = check.intervals().set_index(["model", "score"]).loc[("recency only", "log_loss")]
    assert row[["difference", "difference_low", "difference_high"]].tolist() == pytest.approx(list(expected), abs=1e-12)
    best = check.mean["log_loss"].iloc[1:].idxmin()
    expected = metrics.paired_difference(metrics.log_loss, known["churned"], known["churn model"], known[best])
    assert list(check.difference) == pytest.approx(list(expected), abs=1e-12)
    assert f"95% interval {expected.low:.4f} to {expected.high:.4f}" in check.verdict


def test_rows_of_a_customer_at_several_days_are_drawn_together(log: Transactions) -> None:
    once = backtest(MODELS["churn"], log, split=ORIGIN)
    twice = once.predictions.assign(origin=date(2017, 1, 1))
    both = replace(once, predictions=pd.concat([once.predictions, twice], ignore_index=True))
    pd.testing.assert_frame_equal(both.intervals(n=40), once.intervals(n=40))


def test_profit_is_that_of_the_firms_own_campaign(log: Transactions) -> None:
    campaign = {"clv": 60.0, "incentive": 5.0, "contact": 0.5, "accept": (2.0, 8.0)}
    check = backtest(MODELS["churn"], log, split=ORIGIN, campaign=campaign)
    known = check.predictions
    for name in check.mean.index:
        expected = expected_maximum_profit(known["churned"], known[name], **campaign).profit
        assert check.mean.loc[name, "empc"] == pytest.approx(expected)
    assert check.mean.loc["churn model", "empc"] < backtest(MODELS["churn"], log, split=ORIGIN).mean["empc"].iloc[0] / 2
    with pytest.raises(ModelError, match="The backtest of a NextPurchase has no option campaign"):
        backtest(MODELS["timing"], log, campaign=campaign)


def test_a_day_on_which_everybody_came_has_no_ranks_and_no_error(log: Transactions) -> None:
    from crmkit.churn.backtest import churn_scores

    scores = churn_scores([0, 0], [0.1, 0.2], [5.0, 5.0], {})
    assert [name for name, value in scores.items() if np.isnan(value)] == [
        "auc", "pr_auc", "top_decile_lift", "value_captured", "empc"
    ]  # fmt: skip
    assert scores["log_loss"] == pytest.approx(-np.log([0.9, 0.8]).mean())


def test_what_happens_after_the_origin_moves_no_prediction_of_a_baseline() -> None:
    from crmkit.repurchase.backtest import _rivals
    from crmkit.summaries.purchase_history import purchase_history
    from crmkit.testing import generated_sales

    sales = generated_sales(n_customers=400, days=365, seed=11)
    origin, model = date(2017, 9, 30), NextPurchase(by="category")
    past = sales[sales["purchased_at"] <= "2017-09-30 23:59"]
    one = Transactions.from_extract(past, until="2017-12-31")
    other = Transactions.from_extract(sales, until="2017-12-31")

    def said_of(log: Transactions) -> pd.DataFrame:
        with purchase_history(log, model.levels, model.exclude) as history:
            return _rivals(history, origin, 14, "base rate")

    said = [said_of(log) for log in (one, other)]
    pd.testing.assert_frame_equal(*said, check_exact=True)
    assert len(said[0]) > 100
    probabilities = said[0].drop(columns=["customer_id", "item"])
    assert probabilities.gt(0).all(axis=None)
    assert probabilities.lt(1).all(axis=None)


def test_a_timing_verdict_has_an_interval_and_outcomes_by_lot_have_no_winner() -> None:
    from crmkit.repurchase.backtest import _HAZARD, _difference

    rng = np.random.default_rng(0)
    n, p = 4_000, rng.uniform(0.2, 0.8, 4_000)
    told = pd.DataFrame({"customer_id": np.arange(n) // 10, "origin": date(2017, 9, 30), "bought": rng.random(n) < p})
    told[_HAZARD], told["coin"], told["as good"] = p, 0.5, np.clip(p + rng.normal(0, 1e-3, n), 0.01, 0.99)
    assert _difference(told, "coin").high < 0
    near = _difference(told, "as good")
    assert near.low <= 0 <= near.high


@pytest.mark.parametrize("horizon", [0, -5, 2.5])
def test_a_horizon_that_is_no_number_of_days_is_refused(log: Transactions, horizon: float) -> None:
    with pytest.raises(ModelError, match="whole number of days"):
        backtest(MODELS["churn"], log, horizon=horizon)  # type: ignore[arg-type]
