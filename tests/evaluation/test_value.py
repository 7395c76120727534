"""The backtest of lifetime value: honest baselines, paired intervals, and a verdict that knows chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from crmkit import (
    CrmkitWarning,
    CustomerLifetimeValue,
    GammaGamma,
    Transactions,
    backtest,
    btyd_summary,
    holdout_summary,
)
from crmkit.evaluation import value as value_module
from crmkit.evaluation.baselines import RULES
from crmkit.evaluation.value import SAME, ValueBacktest, warn_if_implausible
from crmkit.models import BGNBD, PURCHASE_MODELS
from crmkit.summaries.customers import recent_spend
from crmkit.testing import generated_log

SPLIT = "2017-09-30"


@pytest.fixture(scope="module")
def log() -> Transactions:
    return generated_log(n_customers=800, days=365, seed=11)


@pytest.fixture(scope="module")
def check(log: Transactions) -> ValueBacktest:
    found = backtest(CustomerLifetimeValue(BGNBD(), GammaGamma()), log, split=SPLIT)
    assert isinstance(found, ValueBacktest)
    return found


def test_every_rule_stands_beside_the_model(check: ValueBacktest) -> None:
    assert check.mean.index.tolist() == ["BG/NBD", *RULES, SAME]
    assert check.mean.loc["predict zero", "bias_of_total_value"] == -1
    assert check.mean.loc[SAME, "bias_of_total_value"] == pytest.approx(check.mean.loc["BG/NBD", "bias_of_total_value"])


def test_rules_are_what_they_say(log: Transactions, check: ValueBacktest) -> None:
    known = btyd_summary(log, SPLIT).merge(recent_spend(log, SPLIT), on="customer_id").set_index("customer_id")
    said = check.predictions.set_index("customer_id")
    rate = known["frequency"] * known["monetary_value"].fillna(0) / known["T"].clip(lower=91) * 92
    np.testing.assert_allclose(said["own rate"], rate)
    seen = known["T"] - known["recency"] <= 91
    np.testing.assert_allclose(said["own rate if seen in the last 91 days"], rate * seen)
    np.testing.assert_allclose(said["recent rate (60-day decay)"], known["recent_spend"] * 92)
    assert (said.loc[known["frequency"] == 0, "own rate"] == 0).all(), "the first purchase is not part of the rate"


def test_recent_spend_fades_by_day(log: Transactions) -> None:
    days = pd.read_parquet(log.days)
    mine = days[days["customer_id"] == days["customer_id"].iloc[0]]
    close = (pd.Timestamp(SPLIT) - pd.Timestamp("1970-01-01")).days
    mine = mine[mine["day"] <= close]
    weight = np.exp(-(close - mine["day"]) / 60)
    row = recent_spend(log, SPLIT).set_index("customer_id").loc[mine["customer_id"].iloc[0]]
    assert row["recent_spend"] == pytest.approx((mine["amount"].astype(float) * weight).sum() / 60)
    assert row["recent_purchases"] == pytest.approx((mine["bought"] * weight).sum() / 60)


def test_the_difference_is_of_the_figures_printed(check: ValueBacktest) -> None:
    mean, rival = check.mean, check.rival
    assert check.difference is not None
    assert check.difference.estimate == pytest.approx(mean["rmse_value"].iloc[0] - mean.loc[rival, "rmse_value"])
    assert check.difference_mae.estimate == pytest.approx(mean["mae_value"].iloc[0] - mean.loc[rival, "mae_value"])
    assert check.difference.low < check.difference.estimate < check.difference.high
    for words in (rival, "root mean squared error of the money spent", "95% interval", "Mean absolute error"):
        assert words in check.verdict


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (-3.0, -1.0, "BG/NBD beats "),
        (1.0, 3.0, "BG/NBD is worse than "),
        (-1.0, 1.0, "no difference beyond chance between BG/NBD and "),
    ],
)
def test_the_verdict_follows_the_interval(check: ValueBacktest, low: float, high: float, words: str) -> None:
    shift = (low + high) / 2
    scores = check.scores.assign(
        rmse_value=np.where(
            check.scores["model"] == "BG/NBD", 10 + shift, np.where(check.scores["model"] == "own rate", 10, 20)
        )
    )
    assert check.difference is not None
    other = replace(check, scores=scores, difference=check.difference._replace(estimate=shift, low=low, high=high))
    assert words + "own rate" in other.verdict


@pytest.mark.parametrize("kind", PURCHASE_MODELS, ids=lambda kind: kind.label)
def test_shuffled_outcomes_show_no_skill(kind: type, log: Transactions, monkeypatch: pytest.MonkeyPatch) -> None:
    """What customers did is dealt out at random: no model may be said to beat its baselines."""

    def shuffled(log: Transactions, split: str, until: str | None = None) -> pd.DataFrame:
        after = holdout_summary(log, split, until)
        places = np.random.default_rng(3).permutation(len(after))
        return after.assign(**{name: after[name].to_numpy()[places] for name in ("holdout_purchases", "holdout_spend")})

    monkeypatch.setattr(value_module, "holdout_summary", shuffled)
    check = backtest(CustomerLifetimeValue(kind(), GammaGamma()), log, split=SPLIT)
    assert " beats " not in check.verdict
    assert check.mean["rmse_value"].iloc[0] >= check.mean.loc[SAME, "rmse_value"]


def test_a_planted_leak_in_the_customer_table_is_found(log: Transactions, monkeypatch: pytest.MonkeyPatch) -> None:
    after = holdout_summary(log, SPLIT)["holdout_purchases"].to_numpy(dtype=float)
    monkeypatch.setattr(BGNBD, "expected_purchases", lambda self, known, ahead: pd.Series(after))
    with pytest.warns(CrmkitWarning, match="predicted by BG/NBD are implausibly accurate .*target leakage"):
        backtest(CustomerLifetimeValue(BGNBD(), GammaGamma()), log, split=SPLIT)


def test_known_rates_of_customers_are_no_leak() -> None:
    """The best that an honest model can do is to know every rate; chance is left."""
    rng = np.random.default_rng(0)
    rate = rng.gamma(1.0, 2.0, 5_000)
    warn_if_implausible(pd.Series(rng.poisson(rate)), pd.Series(rate), "the truth")
