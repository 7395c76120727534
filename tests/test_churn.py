"""Churn: one target, no leak, sane at the extremes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crmkit import ChurnModel, LeakError, ModelError, Transactions, btyd_summary
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
    assert (model.estimator_.probability_alive(customers)[once] == 1).all()
    assert (model.predict(log).loc[once, "p_churn"] > 0.1).all()


def test_risk_of_one_time_buyers_rises_with_silence(model: ChurnModel, log: Transactions) -> None:
    customers = btyd_summary(log)
    once = model.predict(log)[customers["frequency"] == 0].assign(T=customers["T"])
    assert once.sort_values("T")["p_churn"].is_monotonic_increasing


def test_risk_falls_as_the_horizon_grows(log: Transactions) -> None:
    short, long = (ChurnModel(days).fit(log).predict(log)["p_churn"] for days in (7, 90))
    assert (long <= short).all()
    assert long.mean() < short.mean() - 0.05


def test_future_rows_move_nothing(sales: pd.DataFrame) -> None:
    past = sales[sales["purchased_at"] <= "2017-07-31 23:59"]
    before = Transactions.from_extract(past, until="2017-07-31")
    after = Transactions.from_extract(sales, until="2017-10-27")
    known = ChurnModel(30).fit(before).predict(before)
    later = ChurnModel(30).fit(after, "2017-07-31").predict(after, "2017-07-31")
    pd.testing.assert_frame_equal(known, later, check_exact=True)


def test_as_of_after_the_log_and_a_horizon_of_nothing_are_refused(log: Transactions) -> None:
    with pytest.raises(LeakError, match="last day observed"):
        ChurnModel(30).fit(log, "2018-01-01")
    with pytest.raises(ModelError, match="at least 1"):
        ChurnModel(0).fit(log)


def test_value_at_risk_is_the_probability_times_money_if_active(model: ChurnModel, log: Transactions) -> None:
    customers, risk = btyd_summary(log), model.predict(log)
    params = model.estimator_.params_
    rate = (params["r"] + customers["frequency"]) / (params["alpha"] + customers["T"])
    expected = risk["p_churn"] * rate * 30 * model.spend_.expected_value(customers)
    assert risk["value_at_risk"].to_numpy() == pytest.approx(expected.to_numpy())
