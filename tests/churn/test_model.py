"""Churn: one target, no leak, sane at the extremes."""

from __future__ import annotations

import json
import sys
import warnings
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from crmkit import ChurnModel, ContractError, CrmkitWarning, LeakError, ModelError, Transactions, backtest, btyd_summary
from crmkit.churn.base_rates import year_ago
from crmkit.churn.estimators import ChurnClassifier, LightGBMTrees
from crmkit.churn.flags import FLAGS, flags_of
from crmkit.churn.model import load_churn_model
from crmkit.churn.scores import ChurnScores
from crmkit.churn.selection import warn_of_leaks
from crmkit.churn.training import TrainingTable
from crmkit.evaluation.metrics.intervals import paired_difference
from crmkit.evaluation.metrics.probabilities import calibration_error, log_loss, roc_auc
from crmkit.models import BGNBD, MBGNBD, ParetoNBD
from crmkit.summaries.snapshots import Snapshots, snapshots
from crmkit.testing import generated_sales


@pytest.fixture(scope="module")
def sales() -> pd.DataFrame:
    return generated_sales(n_customers=600, days=300, seed=5)


@pytest.fixture(scope="module")
def log(sales: pd.DataFrame) -> Transactions:
    return Transactions.from_extract(sales, until="2017-10-27")


@pytest.fixture(scope="module")
def model(log: Transactions) -> ChurnModel:
    return ChurnModel(horizon=30).fit(log)


@pytest.fixture(scope="module")
def regular() -> pd.DataFrame:
    """Customers who come like clockwork until they stop: what a buy-till-you-die model cannot see, and gaps can."""
    rng = np.random.default_rng(1)
    rows = []
    for number in range(700):
        gap, stop = rng.integers(5, 40), rng.exponential(400)
        days = rng.integers(0, 60) + np.arange(0, 300, gap) + rng.integers(-1, 2, len(np.arange(0, 300, gap)))
        rows += [
            (f"r{number:04d}", day, 10 + number % 7, rng.choice(list("ABCD")))
            for day in days
            if 0 <= day < min(stop, 300)
        ]
    table = pd.DataFrame(rows, columns=["customer_id", "day", "amount", "category"])
    return table.assign(purchased_at=pd.Timestamp("2017-01-01") + pd.to_timedelta(table.pop("day"), unit="D"))


@pytest.fixture(scope="module")
def clockwork(regular: pd.DataFrame) -> Transactions:
    return Transactions.from_extract(regular, until="2017-10-27")


@pytest.fixture(scope="module")
def chosen(clockwork: Transactions) -> ChurnModel:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrmkitWarning)
        return ChurnModel(horizon=30).fit(clockwork)


def test_one_row_a_customer_with_the_contracts_columns(model: ChurnModel, log: Transactions) -> None:
    risk = model.predict(log)
    assert list(risk.columns) == ["customer_id", "p_churn", "value_at_risk", "reason_1", "reason_2", "reason_3"]
    assert risk["customer_id"].tolist() == btyd_summary(log)["customer_id"].tolist()
    assert risk["p_churn"].between(0, 1).all()
    assert (risk["value_at_risk"] >= 0).all()
    assert np.isfinite(risk["value_at_risk"]).all()
    assert (risk["reason_1"] != "").all()


def test_it_is_not_one_minus_the_probability_of_being_alive(model: ChurnModel, log: Transactions) -> None:
    customers = btyd_summary(log)
    once = customers["frequency"] == 0
    assert (BGNBD().fit(customers).probability_alive(customers)[once] == 1).all()
    assert (model.predict(log).loc[once, "p_churn"] > 0.1).all()


def test_risk_of_one_time_buyers_rises_with_time_since_the_last_purchase(model: ChurnModel, log: Transactions) -> None:
    customers = btyd_summary(log)
    once = model.predict(log)[customers["frequency"] == 0].assign(T=customers["T"])
    assert once.sort_values("T")["p_churn"].is_monotonic_increasing


def test_risk_of_one_time_buyers_rises_with_time_since_the_last_purchase_in_the_richest_model_too(
    chosen: ChurnModel,
) -> None:
    assert isinstance(chosen.estimator_, ChurnClassifier)
    gone = [10, 30, 60, 120, 240]
    once = pd.DataFrame({"customer_id": [str(day) for day in gone], "purchased_at": "2017-01-01", "amount": 12.0})
    once["purchased_at"] = pd.Timestamp("2017-10-27") - pd.to_timedelta(gone, unit="D")
    with snapshots(Transactions.from_extract(once.assign(category="A"), until="2017-10-27")) as shop:
        state = shop.state().sort_values("T")
    risk = ChurnScores(chosen, state, Snapshots.date(17_466)).p
    assert risk[-1] > risk[0] + 0.1
    assert (np.diff(risk) > -0.05).all()


def test_risk_falls_as_the_horizon_grows(log: Transactions, model: ChurnModel) -> None:
    short, long = (ChurnModel(days).fit(log).predict(log)["p_churn"] for days in (7, 90))
    assert (long <= short).mean() > 0.99
    assert long.mean() < short.mean() - 0.05
    curve = model.probability_within(log, [1, 7, 30, 90, 365])
    assert (np.diff(curve.drop(columns="customer_id").to_numpy(), axis=1) <= 0).all()
    np.testing.assert_allclose(curve[30], model.predict(log)["p_churn"], rtol=1e-9)


def test_every_customer_of_the_richest_model_is_likelier_to_come_over_more_days(
    chosen: ChurnModel, clockwork: Transactions
) -> None:
    curve = chosen.probability_within(clockwork, [1, 7, 30, 90, 365]).drop(columns="customer_id").to_numpy()
    assert (np.diff(curve, axis=1) <= 0).all()
    assert ((curve >= 0) & (curve <= 1)).all()


@pytest.mark.parametrize("kind", ["model", "chosen"])
def test_no_extreme_of_a_customer_gives_anything_but_a_probability(
    kind: str, request: pytest.FixtureRequest, clockwork: Transactions
) -> None:
    fitted = request.getfixturevalue(kind)
    with snapshots(clockwork) as shop:
        state = shop.state().head(1)
    grid = [
        (x, t, T)
        for x in (0, 1, 50, 5000)
        for t in (0, 1, 400, 40_000)
        for T in (0, 1, 500, 50_000)
        if t <= T and (x > 0 or t == 0)
    ]
    many = state.loc[np.repeat(state.index, len(grid))].reset_index(drop=True)
    many[["frequency", "recency", "T"]] = np.array(grid)
    many["days_since_last"] = many["T"] - many["recency"]
    for extreme in (0.0, 1e9):
        many[["spend", "spend_84", "spend_168", "squared_gaps"]] = extreme
        p = ChurnScores(fitted, many, Snapshots.date(17_466)).p
        assert ((p >= 0) & (p <= 1)).all()


@pytest.mark.parametrize("name", ["sales", "regular"])
def test_future_rows_move_nothing(name: str, request: pytest.FixtureRequest) -> None:
    sales = request.getfixturevalue(name)
    past = sales[sales["purchased_at"] <= "2017-07-31 23:59"]
    before = Transactions.from_extract(past, until="2017-07-31")
    after = Transactions.from_extract(sales.sample(frac=1, random_state=0), until="2017-10-27")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrmkitWarning)
        models = ChurnModel(30).fit(before), ChurnModel(30).fit(after, "2017-07-31")
    for ask in ("features", "predict", "explain", "win_back", "flags"):
        known, later = (getattr(m, ask)(log, "2017-07-31") for m, log in zip(models, (before, after), strict=True))
        pd.testing.assert_frame_equal(known, later, check_exact=True)


def test_another_customers_future_moves_nothing(
    chosen: ChurnModel, regular: pd.DataFrame, clockwork: Transactions
) -> None:
    stranger = pd.DataFrame(
        {
            "customer_id": "r0001",
            "purchased_at": pd.date_range("2017-08-01", "2017-10-01"),
            "amount": 999.0,
            "category": "A",
        }
    )
    more = Transactions.from_extract(pd.concat([regular, stranger]), until="2017-10-27")
    mine, theirs = (chosen.predict(log, "2017-07-31") for log in (clockwork, more))
    pd.testing.assert_frame_equal(mine, theirs, check_exact=True)


def test_a_label_window_past_the_end_is_refused(log: Transactions) -> None:
    with snapshots(log) as shop:
        state = shop.state("2017-10-01")
        assert set(shop.labels(state, "2017-10-01", 26)) == {0.0, 1.0}
        with pytest.raises(LeakError, match="not all observed"):
            shop.labels(state, "2017-10-01", 27)


def test_a_label_in_the_features_is_warned_of(clockwork: Transactions, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Snapshots.state

    def leaking(shop: Snapshots, as_of: object = None) -> pd.DataFrame:
        state, day = honest(shop, as_of), shop.day(as_of)  # type: ignore[arg-type]
        if day + 30 <= shop.log.close_of(None):
            state["last_gap"] = 200 * shop.labels(state, day, 30).astype(int)
        return state

    monkeypatch.setattr(Snapshots, "state", leaking)
    with pytest.warns(CrmkitWarning, match="implausibly high"):
        ChurnModel(30).fit(clockwork, "2017-09-27")


def test_a_model_too_good_to_be_true_is_warned_of_though_no_feature_is() -> None:
    test = pd.DataFrame({"customer_id": list("abcd"), "label": [0.0, 1, 0, 1], "days_since_last": [1.0, 1, 2, 2]})
    rest = test.assign(fell=0.0, day=0, frequency=0, recency=0, T=0, btyd_log_odds=0.0)
    warn_of_leaks(pd.DataFrame({"auc": [0.6, 0.969]}), rest)
    with pytest.warns(CrmkitWarning, match=r"AUC of the model 0\.980 is implausibly high"):
        warn_of_leaks(pd.DataFrame({"auc": [0.6, 0.98]}), rest)
    with pytest.warns(CrmkitWarning, match=r"AUC of days_since_last 1\.000 is"):
        warn_of_leaks(pd.DataFrame({"auc": [0.6]}), rest.assign(days_since_last=-rest["label"]))


def test_as_of_after_the_log_and_a_horizon_of_nothing_are_refused(log: Transactions) -> None:
    with pytest.raises(LeakError, match="last day observed"):
        ChurnModel(30).fit(log, "2018-01-01")
    with pytest.raises(ModelError, match="at least 1"):
        ChurnModel(0).fit(log)
    with pytest.raises(ModelError, match="at least 1"):
        ChurnModel(2.5).fit(log)  # type: ignore[arg-type]


def test_value_at_risk_is_the_probability_times_money_given_that_they_come(
    model: ChurnModel, log: Transactions
) -> None:
    customers, risk = btyd_summary(log), model.predict(log)
    params = model.purchases_.params_
    rate = (params["r"] + customers["frequency"]) / (params["alpha"] + customers["T"])
    comes = 1 - ((params["alpha"] + customers["T"]) / (params["alpha"] + customers["T"] + 30)) ** (
        params["r"] + customers["frequency"]
    )
    expected = risk["p_churn"] * rate * 30 / comes * model.spend_.expected_value(customers)
    assert risk["value_at_risk"].to_numpy() == pytest.approx(expected.to_numpy())


def test_value_is_scored_against_what_those_who_came_spent(log: Transactions) -> None:
    check = backtest(ChurnModel(30), log, split="2017-09-27")
    came = check.predictions["churned"] == 0
    assert (check.predictions.loc[~came, "spent"] == 0).all()
    sums = check.predictions.loc[came, ["value", "spent"]].sum()
    assert check.value_ratio.tolist() == [pytest.approx(sums["value"] / sums["spent"])]
    assert 0.75 < check.value_ratio.iloc[0] < 1.15


# -- The choice ------------------------------------------------------------------------------------------------------


def test_gaps_that_a_rate_cannot_see_make_the_panel_win(chosen: ChurnModel) -> None:
    table = chosen.choice_.set_index("candidate")
    assert list(table.index)[-2:] == ["logistic", "average of logistic and trees"]
    winner = table.index[table["chosen"]]
    assert list(winner) in (["logistic"], ["average of logistic and trees"])
    assert (table.loc[winner, "gain"] > table.loc[winner, "standard_error"]).all()
    assert winner[0] in chosen.note_


@pytest.mark.parametrize("kind", ["model", "chosen"])
def test_the_note_prints_the_losses_that_the_choice_was_made_by(kind: str, request: pytest.FixtureRequest) -> None:
    fitted: ChurnModel = request.getfixturevalue(kind)
    table = fitted.choice_.set_index("candidate")
    for name, loss in table["judged_by"].items():
        assert f"{name} {loss:.4f}" in fitted.note_
    lowest, (winner,) = table["judged_by"].idxmin(), table.index[table["chosen"]]
    assert fitted.note_.startswith(f"{winner}: ")
    assert (f"The gain of {lowest} is within a standard error." in fitted.note_) == (lowest != winner)


def test_too_few_earlier_days_are_made_up_for_by_customers_held_out(
    clockwork: Transactions, chosen: ChurnModel
) -> None:
    """Judged by what learned from four days, a model that learns from nine would be thought worse than it is."""
    with snapshots(clockwork) as shop:
        past = TrainingTable(shop, shop.day("2017-07-31"), 60, None)
        assert (len(past.origins(past.newest - 70)), len(past.origins(past.newest))) == (4, 9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrmkitWarning)
        short = ChurnModel(horizon=60).fit(clockwork, "2017-07-31")
    assert "for held-out customers at 2017-06-01" in short.note_
    assert isinstance(short.estimator_, ChurnClassifier)
    assert "held-out" not in chosen.note_


def test_purchases_at_random_until_a_coin_falls_leave_the_buy_till_you_die_model(model: ChurnModel) -> None:
    assert isinstance(model.estimator_, BGNBD | MBGNBD | ParetoNBD)
    assert set(model.choice_["candidate"]) > {"BG/NBD", "logistic"}


@pytest.mark.parametrize(
    ("n", "days", "why"), [(150, 300, "too few for a regression"), (600, 50, "days of history are too few")]
)
def test_small_bases_and_short_logs_are_answered_by_bg_nbd_and_said(n: int, days: int, why: str) -> None:
    sales = generated_sales(n_customers=n, days=days, seed=3)
    until = (pd.Timestamp("2017-01-01") + pd.Timedelta(days=days - 1)).date()
    log = Transactions.from_extract(sales, until=until)
    customers = btyd_summary(log)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrmkitWarning)
        fitted, alone = ChurnModel(30).fit(log), BGNBD().fit(customers)
    assert why in fitted.note_
    expected = alone.probability_no_purchase(customers, 30)
    np.testing.assert_allclose(fitted.predict(log)["p_churn"], expected, rtol=1e-5)


def shop_with_a_rush(times: float) -> Transactions:
    """Customers at random, but ``times`` as many visits in the same fortnight of two years."""
    rng, n, days, first = np.random.default_rng(0), 1200, 580, pd.Timestamp("2015-06-01")
    when = np.ones(days)
    for start in ("2015-11-27", "2016-11-25"):
        place = (pd.Timestamp(start) - first).days
        when[place : place + 14] = times
    rate, d = rng.gamma(2, 1 / 40, n)[:, None], np.arange(days)
    start, life = rng.integers(0, 300, n)[:, None], rng.exponential(700, n)[:, None]
    bought = (rng.random((n, days)) < np.minimum(rate * when, 0.9)) & (d >= start) & (d <= start + life)
    who, day = np.nonzero(bought)
    till = {"customer_id": who.astype(str), "purchased_at": first + pd.to_timedelta(day, unit="D"), "amount": 10.0}
    return Transactions.from_extract(pd.DataFrame(till), until="2016-12-31")


@pytest.mark.parametrize("times", [4.0, 0.3, 1.0])
def test_last_years_base_rate_corrects_this_years_and_is_said(times: float, tmp_path: Path) -> None:
    log, day = shop_with_a_rush(times), date(2016, 11, 24)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrmkitWarning)
        fitted = ChurnModel(14).fit(log, day)
    with snapshots(log) as shop:
        state = shop.state(day)
        silent = shop.labels(state, day, 14)
    scores = ChurnScores(fitted, state, day)
    plain, corrected = expit(scores.uncorrected), scores.p
    np.testing.assert_array_equal(corrected, fitted.predict(log, day)["p_churn"])
    if times == 1:
        np.testing.assert_array_equal(corrected, plain)
        assert "a year earlier" not in fitted.note_
        return
    assert f"a year earlier {fitted.base_rates_.iloc[1]['observed']:.1%} churned against" in fitted.note_
    assert calibration_error(silent, corrected) < calibration_error(silent, plain) / 2
    assert paired_difference(log_loss, silent, corrected, plain).high < -0.05
    assert abs(corrected.mean() - silent.mean()) < 0.07 < abs(plain.mean() - silent.mean())
    loaded = load_churn_model(fitted.save(tmp_path / "churn.json"))
    np.testing.assert_array_equal(loaded.predict(log, day)["p_churn"], corrected)


def test_last_years_shift_counts_where_it_is_more_than_the_noise_of_other_days() -> None:
    days = [date(2016, 11, 10), date(2016, 11, 24), date(2016, 12, 8), date(2016, 12, 22)]
    rates = pd.DataFrame({"day": days, "n": 1000, "observed": 0.2, "predicted": 0.3, "shift": [0.02, -0.55, 0.05, 0.0]})
    assert year_ago(rates, date(2017, 11, 24)) == -0.55
    assert year_ago(rates, date(2017, 12, 24)) == 0.0
    assert year_ago(rates, date(2017, 1, 24)) == 0.0
    assert year_ago(rates.assign(n=20), date(2017, 11, 24)) == 0.0, "of 20 customers it says nothing"
    restless = pd.concat([rates.assign(day=days[:1] * 4, shift=[0.6, -0.5, 0.4, -0.6]), rates], ignore_index=True)
    assert year_ago(restless, date(2017, 11, 24)) == 0.0, "where it changes as much from day to day, neither"


# -- Why -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["model", "chosen"])
def test_reasons_sum_to_the_log_odds(
    kind: str, request: pytest.FixtureRequest, log: Transactions, clockwork: Transactions
) -> None:
    fitted, shop = request.getfixturevalue(kind), log if kind == "model" else clockwork
    parts = fitted.explain(shop)
    np.testing.assert_allclose(
        parts.drop(columns=["customer_id", "log_odds"]).sum(axis=1), parts["log_odds"], atol=1e-12
    )
    if kind == "chosen":
        whole, table = fitted.estimator_, fitted.features(shop).drop(columns="customer_id")
        own = whole.intercept_ + whole.slope_ * whole.estimators_[0].decision_function(table)
        np.testing.assert_allclose(parts["log_odds"], own, atol=1e-9)
    else:
        p = fitted.predict(shop)["p_churn"]
        np.testing.assert_allclose(parts["log_odds"], np.log(p / (1 - p)), atol=1e-9)


def test_words_state_what_is_so(chosen: ChurnModel, clockwork: Transactions) -> None:
    risk = chosen.predict(clockwork).set_index("customer_id")
    customers = btyd_summary(clockwork).set_index("customer_id")
    quiet = (customers["T"] - customers["recency"])[lambda s: s > 60].index
    for who in quiet[:20]:
        away = customers.loc[who, "T"] - customers.loc[who, "recency"]
        assert (
            f"no purchase for {away} days" in risk.loc[who, "reason_1"]
            or f"{away} days ago" in risk.loc[who, "reason_1"]
        )
    assert (risk.loc[quiet, "reason_2"] != "").mean() > 0.9


def test_an_absence_becomes_unusual_after_the_customers_own_rhythm() -> None:
    weekly = pd.DataFrame(
        {"customer_id": "w", "purchased_at": pd.date_range("2017-01-01", "2017-08-27", freq="7D"), "amount": 5.0}
    )
    monthly = pd.DataFrame(
        {"customer_id": "m", "purchased_at": pd.date_range("2017-01-01", "2017-08-27", freq="28D"), "amount": 5.0}
    )
    log = Transactions.from_extract(pd.concat([weekly, monthly]), until="2017-09-30")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrmkitWarning)
        warning = ChurnModel(30).fit(log).early_warning(log).set_index("customer_id")
    assert 8 <= warning.loc["w", "unusual_after"] <= 14
    assert 30 <= warning.loc["m", "unusual_after"] <= 60
    since = warning.loc["w", "unusual_since"]
    assert since == pd.Timestamp("2017-08-27") + pd.Timedelta(days=int(warning.loc["w", "unusual_after"]) + 1)


# -- Flags and lists -------------------------------------------------------------------------------------------------


def test_flags_follow_the_thresholds_and_the_thresholds_stay(chosen: ChurnModel, clockwork: Transactions) -> None:
    flags = chosen.flags(clockwork)
    assert set(flags["flag"]) <= set(FLAGS)
    assert {"active", "frozen"} & set(flags["flag"])
    away = btyd_summary(clockwork).eval("T - recency")
    assert (flags["flag"] == "lost").tolist() == (away >= chosen.thresholds_["lost_after"]).tolist()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrmkitWarning)
        moved = ChurnModel(30).fit(clockwork, "2017-08-31").set_thresholds(frozen_after=77.0, lost_after=200)
        assert moved.fit(clockwork).thresholds_["frozen_after"] == 77.0
    with pytest.raises(ModelError, match="Unknown thresholds"):
        moved.set_thresholds(gone_after=3)
    with pytest.raises(ModelError, match="in order"):
        moved.set_thresholds(frozen_after=300)


def test_who_came_back_after_a_freeze_has_returned(chosen: ChurnModel) -> None:
    thresholds = chosen.thresholds_
    with snapshots(
        Transactions.from_extract(
            pd.DataFrame(
                {
                    "customer_id": "b",
                    "purchased_at": ["2017-01-01", "2017-01-11", "2017-10-26"],
                    "amount": 9.0,
                    "category": "A",
                }
            ),
            until="2017-10-27",
        )
    ) as shop:
        state = shop.state()
    assert state["last_gap"].iloc[0] > thresholds["frozen_after"]
    assert flags_of(state, np.array([0.1]), np.array([False]), thresholds).tolist() == ["returned"]
    assert flags_of(state, np.array([0.9]), np.array([False]), thresholds).tolist() == ["at risk"]


def test_the_win_back_list_is_ordered_by_money_and_holds_nobody_active(
    chosen: ChurnModel, clockwork: Transactions
) -> None:
    rows, risk = chosen.win_back(clockwork), chosen.predict(clockwork).set_index("customer_id")
    assert len(rows)
    assert rows["value_at_risk"].is_monotonic_decreasing
    assert not set(rows["flag"]) & {"active", "returned"}
    np.testing.assert_array_equal(rows["p_churn"], risk.loc[rows["customer_id"], "p_churn"])
    assert len(chosen.win_back(clockwork, n=5)) == 5


def test_spend_that_falls_away_is_seen_before_the_customer_is() -> None:
    sales = generated_sales(n_customers=900, days=300, seed=8)
    fading = sales["customer_id"].str[-1].isin(list("02468"))
    month = (sales["purchased_at"] - pd.Timestamp("2017-01-01")).dt.days // 30
    sales.loc[fading, "amount"] = (sales["amount"] * 0.35**month).clip(lower=0.01).round(2)
    log, day, horizon = Transactions.from_extract(sales, until="2017-10-27"), "2017-07-30", 60
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrmkitWarning)
        fitted = ChurnModel(horizon).fit(log, day)
    partial, p = fitted.partial_defection(log, day), fitted.predict(log, day)["p_churn"]
    assert partial["p_partial"].between(0, 1).all()
    assert (partial["p_partial"] <= 1 - p + 1e-12).all()
    with snapshots(log) as shop:
        state = TrainingTable(shop, shop.day(day) + horizon, horizon, None).state(shop.day(day))
    quiet = (state["days_since_last"] >= horizon).to_numpy()
    assert quiet.any()
    assert (partial["p_partial"][quiet] == 0).all(), "who bought nothing cannot buy less"
    fell = (state["fell"] == 1).to_numpy()
    assert roc_auc(fell, partial["p_partial"]) > 0.7
    assert abs(partial["p_partial"].mean() - fell.mean()) < 0.05


def test_a_log_too_short_for_it_says_so(log: Transactions) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrmkitWarning)
        short = ChurnModel(30).fit(log, "2017-02-10")
    with pytest.raises(ModelError, match="could not be modelled"):
        short.partial_defection(log, "2017-02-10")


# -- Save and load ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["model", "chosen"])
def test_a_saved_model_answers_the_same(
    kind: str, request: pytest.FixtureRequest, clockwork: Transactions, tmp_path: Path
) -> None:
    fitted = request.getfixturevalue(kind)
    loaded = load_churn_model(fitted.save(tmp_path / "churn.json"))
    for ask in ("predict", "explain", "flags", "win_back", "early_warning"):
        pd.testing.assert_frame_equal(
            getattr(loaded, ask)(clockwork), getattr(fitted, ask)(clockwork), check_exact=True
        )
    assert loaded.note_ == fitted.note_
    assert loaded.save(tmp_path / "again.json").read_bytes() == (tmp_path / "churn.json").read_bytes()


def test_lightgbm_may_grow_the_trees_and_is_not_needed_to_read_them(
    clockwork: Transactions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lightgbm")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrmkitWarning)
        fitted = ChurnModel(horizon=30, booster="lightgbm").fit(clockwork)
    assert isinstance(fitted.estimator_.estimators_[1], LightGBMTrees)
    answer = fitted.predict(clockwork)
    path = fitted.save(tmp_path / "churn.json")
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    loaded = load_churn_model(path)
    assert loaded.booster == "lightgbm"
    pd.testing.assert_frame_equal(loaded.predict(clockwork), answer, check_exact=True)
    with pytest.raises(ModelError, match="choose from \\['scikit-learn', 'lightgbm'\\]"):
        ChurnModel(horizon=30, booster="xgboost").fit(clockwork)


def test_a_tampered_file_is_refused_before_it_is_read(
    chosen: ChurnModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = chosen.save(tmp_path / "churn.json")
    head, _, content = path.read_text().partition("\n")
    parsed: list[object] = []
    honest = json.loads
    monkeypatch.setattr(
        "crmkit.churn.documents.json.loads", lambda text, **more: parsed.append(text) or honest(text, **more)
    )
    for broken in (content.replace("0.", "1.", 1), content[:-40], ""):
        path.write_text(f"{head}\n{broken}\n")
        with pytest.raises(ContractError, match="does not match its hash"):
            load_churn_model(path)
    assert len(parsed) == 3, "only first lines are parsed"
    path.write_bytes(b"\x80\x04\x95 a pickle")
    with pytest.raises(ContractError, match="not a churn model"):
        load_churn_model(path)


def test_a_hash_made_anew_does_not_let_a_tree_lead_nowhere(
    clockwork: Transactions, tmp_path: Path, chosen: ChurnModel
) -> None:
    import hashlib

    path = chosen.save(tmp_path / "churn.json")
    content = json.loads(path.read_text().partition("\n")[2])
    if not content["trees"]:
        pytest.skip("the logistic model was chosen")
    content["trees"]["left"][0][0] = 10**6
    text = json.dumps(content)
    head = {"format": "crmkit churn model 1", "sha256": hashlib.sha256(text.encode()).hexdigest()}
    path.write_text(f"{json.dumps(head)}\n{text}\n")
    with pytest.raises(ContractError, match="not there"):
        load_churn_model(path)
