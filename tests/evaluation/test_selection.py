"""Choosing a model: on earlier origins only, beside rules of thumb, never by one number."""

from __future__ import annotations

from datetime import date, timedelta
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crmkit import (
    ConfigError,
    CrmkitWarning,
    LeakError,
    ModelError,
    Transactions,
    backtest,
    btyd_summary,
    holdout_summary,
)
from crmkit.evaluation.baselines import OwnRate, OwnRateIfSeenLately, PredictZero
from crmkit.evaluation.selection import choose_model, default_candidates
from crmkit.models import BGNBD, CustomerLifetimeValue, GammaGamma, load_model
from crmkit.testing import generated_log, generated_sales

GROCERY = Path(__file__).parents[3] / "shared" / "data" / "btyd_small" / "groceryElog.parquet"
MEASURES = ["rmse_ratio", "rmse", "mae", "correlation", "bias_of_total", "capture"]


@pytest.fixture(scope="module")
def log() -> Transactions:
    return generated_log(n_customers=500, days=365, seed=11)


@pytest.fixture(scope="module")
def cdnow() -> Transactions:
    folder = find_spec("lifetimes").submodule_search_locations[0]  # type: ignore[union-attr,index]
    names = ["master", "customer_id", "purchased_at", "discs", "amount"]
    lines = pd.read_csv(Path(folder) / "datasets" / "CDNOW_sample.txt", sep=r"\s+", header=None, names=names, dtype=str)
    lines = lines.assign(amount=lines["amount"].astype(float), order_id=range(len(lines)))
    lines["purchased_at"] = pd.to_datetime(lines["purchased_at"])
    return Transactions.from_extract(lines.drop(columns=["master", "discs"]), until="1998-06-30")


def test_the_choice_is_the_best_of_the_earlier_origins(log: Transactions) -> None:
    choice = choose_model(log, horizon=60)
    before = choice.scores[choice.scores["role"] == "choice"]
    ratios = before.groupby("candidate", sort=False)["rmse_ratio"].mean().round(3)
    assert choice.name == ratios.idxmin()  # of equal ones the first
    assert choice.table.index[0] == choice.name
    ends = [row.origin + timedelta(days=row.horizon) for row in before.itertuples()]
    assert max(ends) <= log.until - timedelta(days=60)
    assert set(choice.scores.loc[choice.scores["role"] == "holdout", "origin"]) == {date(2017, 11, 1)}


def test_what_happens_in_the_holdout_moves_no_choice() -> None:
    sales = generated_sales(n_customers=400, days=365, seed=5)
    wild = pd.DataFrame(
        {"customer_id": "000001", "purchased_at": pd.date_range("2017-11-05 10:00", periods=50), "amount": 9.0}
    ).assign(order_id=lambda t: "x" + t.index.astype(str), line_id="1", product_id="7", category="Category 01")
    one, other = (
        choose_model(Transactions.from_extract(table, until="2017-12-31"), horizon=60)
        for table in (sales, pd.concat([sales, wild]))
    )
    assert one.name == other.name
    pd.testing.assert_frame_equal(one.table, other.table, check_exact=True)
    assert not one.holdout.equals(other.holdout)


def test_no_measure_stands_alone_and_predicting_zero_stands_beside(log: Transactions) -> None:
    choice = choose_model(log, horizon=60)
    assert choice.table.columns.tolist() == MEASURES
    zero = choice.holdout.loc["predict zero"]
    assert zero["rmse_ratio"] == 1
    assert zero["bias_of_total"] == -1
    assert np.isnan(zero["correlation"])
    assert choice.holdout.drop(index="predict zero").notna().all(axis=None)
    for words in (choice.why, "Earlier origins, which decided", "Holdout: 60 days after 2017-11-01", "predict zero"):
        assert words in str(choice)


def test_scores_are_what_they_say(log: Transactions) -> None:
    choice = choose_model(log, {"rate": OwnRate()}, horizon=60, by="purchases")
    known = btyd_summary(log, "2017-11-01")
    bought = holdout_summary(log, "2017-11-01")["holdout_purchases"]
    expected = known["frequency"] / known["T"].clip(lower=91) * 60
    row = choice.holdout.loc["rate"]
    assert row["mae"] == pytest.approx((expected - bought).abs().mean())
    assert row["rmse"] == pytest.approx(np.sqrt(((expected - bought) ** 2).mean()))
    assert row["correlation"] == pytest.approx(np.corrcoef(expected, bought)[0, 1])
    assert row["bias_of_total"] == pytest.approx(expected.sum() / bought.sum() - 1)
    assert 0 < row["capture"] <= 1


def test_the_chosen_model_is_fitted_on_the_whole_log(log: Transactions) -> None:
    choice = choose_model(log, {"BG/NBD": BGNBD()}, horizon=60)
    known = btyd_summary(log)
    expected = BGNBD().fit(known).expected_purchases(known, 90)
    pd.testing.assert_series_equal(choice.model_.expected_purchases(known, 90), expected)


def test_the_chosen_model_is_saved_with_its_days_and_figures(log: Transactions, tmp_path: Path) -> None:
    choice = choose_model(log, {"BG/NBD": BGNBD()}, horizon=60)
    training = load_model(choice.model_.save(tmp_path / "model.json")).training_
    assert training["window"] == [
        (date(1970, 1, 1) + timedelta(days=log.first_day())).isoformat(),
        log.until.isoformat(),
    ]
    assert training["metrics"]["holdout"] == f"60 days after {log.until - timedelta(days=60)}"
    assert training["metrics"]["rmse"] == choice.holdout.loc["BG/NBD", "rmse"]


def test_the_given_candidates_are_not_fitted(log: Transactions) -> None:
    given = {"BG/NBD": BGNBD(), "zero": PredictZero()}
    choose_model(log, given, horizon=60)
    assert not hasattr(given["BG/NBD"], "params_")
    assert list(given) == ["BG/NBD", "zero"]


class Broken(PredictZero):
    def fit(self, customers: object, y: None = None, sample_weight: object = None) -> Broken:
        raise ModelError("no good")


def test_a_candidate_that_fails_is_named_and_left_out(log: Transactions) -> None:
    choice = choose_model(log, {"broken": Broken(), "zero": PredictZero()}, horizon=60)
    assert choice.name == "zero"
    assert "no good" in choice.failed["broken"]
    assert "Not scored: broken" in str(choice)
    with pytest.raises(ModelError, match="No candidate could be scored"):
        choose_model(log, {"broken": Broken()}, horizon=60)


def test_too_little_history_is_said(log: Transactions) -> None:
    with pytest.raises(LeakError, match="too short to choose"):
        choose_model(log, horizon=364)
    with pytest.raises(ModelError, match="whole number of days"):
        choose_model(log, horizon=2.5)  # type: ignore[arg-type]


def test_rules_of_thumb() -> None:
    table = pd.DataFrame({"frequency": [0, 4, 4, 1], "recency": [0, 200, 300, 1], "T": [9, 365, 365, 10]})
    assert PredictZero().fit(table).expected_purchases(table, 90).tolist() == [0, 0, 0, 0]
    rate = OwnRate().fit(table).expected_purchases(table, 365)
    assert rate.tolist() == pytest.approx([0, 4, 4, 365 / 91])
    assert OwnRateIfSeenLately().fit(table).expected_purchases(table, 365).tolist() == pytest.approx(
        [0, 0, 4, 365 / 91]
    )


def test_cdnow(cdnow: Transactions) -> None:
    """39 weeks ahead of 39 weeks, 2,357 customers: the published comparison, and an honest choice."""
    choice = choose_model(cdnow, horizon=273, by="purchases")
    held = choice.holdout
    assert held.loc["BG/NBD", ["mae", "rmse", "correlation", "bias_of_total"]].round(4).tolist() == pytest.approx(
        [0.7855, 1.6080, 0.6256, -0.1215], abs=1e-4
    )
    assert held.loc["Pareto/NBD", ["mae", "rmse", "correlation", "bias_of_total"]].round(4).tolist() == pytest.approx(
        [0.7545, 1.6028, 0.6302, -0.1150], abs=1e-4
    )
    assert held.loc["predict zero", "mae"] == pytest.approx(0.7985, abs=1e-4)
    assert held.loc["NBD", "bias_of_total"] == pytest.approx(0.557, abs=1e-3)
    assert held.loc[choice.name, "correlation"] > 0.625
    assert held.loc[choice.name, "rmse"] < 1.61


@pytest.mark.skipif(not GROCERY.exists(), reason="the online grocery's orders are not here")
def test_online_grocery_is_regular() -> None:
    orders = pd.read_parquet(GROCERY)
    orders.columns = ["customer_id", "purchased_at", *orders.columns[2:]]
    orders = orders.assign(customer_id=orders["customer_id"].astype(str), amount=1.0, order_id=range(len(orders)))
    log = Transactions.from_extract(orders[["customer_id", "purchased_at", "amount", "order_id"]], until="2007-12-30")
    choice = choose_model(log, horizon=364, by="purchases")
    assert choice.name == "MBG/CNBD-k"
    assert choice.model_.k_ == 2
    assert choice.holdout.loc[choice.name, "mae"] <= 1.40
    assert choice.holdout.loc[choice.name, "correlation"] > 0.828


def test_money_decides_as_in_a_backtest(log: Transactions) -> None:
    """The score that chooses is the one by which a lifetime value is compared with its baselines."""
    choice = choose_model(log, {"BG/NBD": BGNBD(), "own rate": OwnRate()}, horizon=60)
    check = backtest(CustomerLifetimeValue(BGNBD(), GammaGamma()), log, split="2017-11-01", horizon=60)
    assert check.metric == "rmse_value"
    assert choice.by == "value"
    for name in ("BG/NBD", "own rate"):
        assert choice.holdout.loc[name, "rmse"] == pytest.approx(check.mean.loc[name, "rmse_value"])
        assert choice.holdout.loc[name, "mae"] == pytest.approx(check.mean.loc[name, "mae_value"])
    assert choice.difference is not None
    assert choice.difference.estimate == pytest.approx(choice.table["rmse"].iloc[0] - choice.table["rmse"].iloc[1])
    with pytest.raises(ConfigError, match="'value' or 'purchases'"):
        choose_model(log, horizon=60, by="money")  # type: ignore[arg-type]


class Peeking(PredictZero):
    """Looks for the outcome in the table that it is given."""

    def expected_purchases(self, customers: pd.DataFrame, horizon: float) -> pd.Series[float]:
        assert not [name for name in customers.columns if name.startswith("holdout")]
        return super().expected_purchases(customers, horizon)


def test_no_candidate_is_shown_the_outcome(log: Transactions) -> None:
    assert choose_model(log, {"peeking": Peeking()}, horizon=60).failed == {}


class Leaking(PredictZero):
    """Has seen the outcome: what a customer table does that was made after the fact."""

    log: Transactions

    def expected_purchases(self, customers: pd.DataFrame, horizon: float) -> pd.Series[float]:
        origin = date(2017, 1, 1) + timedelta(days=int((customers["T"] + customers["first"]).iloc[0]))
        after = holdout_summary(self.log, origin, origin + timedelta(days=int(horizon)))
        return customers[["customer_id"]].merge(after, on="customer_id")["holdout_purchases"].astype(float)


def test_a_planted_leak_is_found(log: Transactions, monkeypatch: pytest.MonkeyPatch) -> None:
    from crmkit.evaluation import selection

    Leaking.log, known_at = log, selection.known_at

    def dated(log: Transactions, origin: date) -> pd.DataFrame:
        known = known_at(log, origin)
        return known.assign(first=(origin - date(2017, 1, 1)).days - known["T"])

    monkeypatch.setattr(selection, "known_at", dated)
    with pytest.warns(CrmkitWarning, match="predicted by leak are implausibly accurate .*target leakage"):
        choose_model(log, {"leak": Leaking(), "own rate": OwnRate()}, horizon=60)


def test_the_candidates_hold_models_and_rules_of_thumb() -> None:
    assert {"BG/NBD", "MBG/NBD", "Pareto/NBD", "NBD", "MBG/CNBD-k", "own rate", "predict zero"} <= set(
        default_candidates()
    )
