"""The track record: sums made in SQL are those of the rows, the baseline knows no more, drift is told once."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crmkit import (
    BGNBD,
    ChurnModel,
    CustomerLifetimeValue,
    GammaGamma,
    NextPurchase,
    Transactions,
    btyd_summary,
    holdout_summary,
    metrics,
    rfm_table,
)
from crmkit.evaluation.scorecard import (
    COLUMNS,
    churn_record,
    drift,
    repurchase_record,
    told,
    track_record,
    value_record,
)
from crmkit.exceptions import LeakError
from crmkit.summaries.items import item_bought
from crmkit.testing import generated_log

DAY, CHURN, DUE, VALUE = date(2017, 10, 1), 30, 14, 60


@pytest.fixture(scope="module")
def log() -> Transactions:
    return generated_log(n_customers=400, days=365)


@pytest.fixture(scope="module")
def published(log: Transactions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run as of ``DAY`` would have published."""
    folder, known = tmp_path_factory.mktemp("run"), log.up_to(DAY)
    customers = btyd_summary(known).merge(rfm_table(known), on="customer_id")
    clv = CustomerLifetimeValue(BGNBD(), GammaGamma(), horizon=VALUE).fit(customers)
    customers["expected_purchases"] = clv.purchases_.expected_purchases(customers, VALUE)
    customers["value"] = clv.predict(customers)
    customers = customers.merge(ChurnModel(CHURN).fit(known).predict(known), on="customer_id")
    customers.to_parquet(folder / "customers.parquet")
    NextPurchase(by="category").fit(known).predict(known, horizon=DUE).to_parquet(folder / "repurchases.parquet")
    return folder


def test_churn_is_scored_as_its_rows_are(published: Path, log: Transactions) -> None:
    record = churn_record(published / "customers.parquet", log, DAY, CHURN)
    rows = pd.read_parquet(published / "customers.parquet")
    came = holdout_summary(log, DAY, DAY + timedelta(days=CHURN)).set_index("customer_id")["holdout_purchases"]
    churned = (rows["customer_id"].map(came).fillna(0) == 0).astype(float)
    assert record["n"] == len(rows)
    assert record["score"] == pytest.approx(metrics.log_loss(churned, rows["p_churn"]))
    assert record["calibration_error"] == pytest.approx(metrics.calibration_error(churned, rows["p_churn"]), abs=1e-3)
    assert (record["observed"], record["expected"]) == (churned.sum(), pytest.approx(rows["p_churn"].sum()))
    likely = rows["p_churn"] >= 0.5
    assert (record["called"], record["came_true"]) == (likely.sum(), churned[likely].sum())
    assert record["low"] < record["expected"] < record["high"]
    ordered = rows.assign(churned=churned).sort_values(["p_churn", "customer_id"], ignore_index=True)
    parts = [ordered.loc[places] for places in np.array_split(ordered.index, 10)]
    far = [abs(part["p_churn"].sum() - part["churned"].sum()) for part in parts]
    reach = [1.959964 * np.sqrt((part["p_churn"] * (1 - part["p_churn"])).sum()) for part in parts]
    assert record["coverage"] == np.mean(np.array(far) <= np.array(reach))
    assert record["coverage"] > 0.5


def test_the_baseline_of_churn_knows_no_more_than_the_day(published: Path, log: Transactions) -> None:
    """It is a share by days since the last purchase, as it was a horizon before the day."""
    record = churn_record(published / "customers.parquet", log, DAY, CHURN)
    before = DAY - timedelta(days=CHURN)
    past = rfm_table(log, before)
    came = holdout_summary(log, before, DAY).set_index("customer_id")["holdout_purchases"]
    churned = (past["customer_id"].map(came) == 0).astype(float)
    span = np.floor(np.log2(1 + past["days_since_last"]))
    overall = (churned.sum() + 0.5) / (len(past) + 1)
    rates = (churned.groupby(span).sum() + overall) / (churned.groupby(span).size() + 1)
    rows = pd.read_parquet(published / "customers.parquet")
    usual = np.floor(np.log2(1 + rows["days_since_last"])).map(rates).fillna(overall)
    after = holdout_summary(log, DAY, DAY + timedelta(days=CHURN)).set_index("customer_id")["holdout_purchases"]
    lost = (rows["customer_id"].map(after).fillna(0) == 0).astype(float)
    assert record["baseline_score"] == pytest.approx(metrics.log_loss(lost, usual))
    assert record["score"] < record["baseline_score"]


def test_repurchases_are_scored_as_their_rows_are(published: Path, log: Transactions) -> None:
    record = repurchase_record(published / "repurchases.parquet", log, DAY, DUE, "category")
    rows = pd.read_parquet(published / "repurchases.parquet")
    bought = item_bought(log, "category", DAY, DUE).assign(came=1.0)
    came = rows.merge(bought, how="left", left_on=["customer_id", "category"], right_on=["customer_id", "item"])["came"]
    came = came.fillna(0.0)
    assert record["score"] == pytest.approx(metrics.log_loss(came, rows["p_purchase"]))
    assert record["observed"] == came.sum()
    assert record["score"] < record["baseline_score"]


def test_values_are_scored_in_the_money_they_were_stated_in(published: Path, log: Transactions) -> None:
    record = value_record(published / "customers.parquet", log, DAY, VALUE, annual_discount=0.0, margin=0.5)
    rows = pd.read_parquet(published / "customers.parquet")
    spent = holdout_summary(log, DAY, DAY + timedelta(days=VALUE)).set_index("customer_id")["holdout_spend"]
    real = 0.5 * rows["customer_id"].map(spent).fillna(0.0)
    assert record["observed"] == pytest.approx(real.sum())
    assert record["score"] == pytest.approx((rows["value"] - real).abs().mean())
    assert record["bias_of_total"] == pytest.approx(rows["value"].sum() / real.sum() - 1)
    later = value_record(published / "customers.parquet", log, DAY, VALUE, annual_discount=0.5, margin=0.5)
    assert later["observed"] < record["observed"]
    assert "coverage" not in record
    for low, high, held in ((0.0, 2 * real.sum(), 1.0), (0.0, 0.5 * real.sum(), 0.0)):
        told = value_record(published / "customers.parquet", log, DAY, VALUE, 0.0, 0.5, (low, high))
        assert (told["low"], told["high"], told["coverage"]) == pytest.approx((low, high, held))


def test_days_that_are_not_observed_are_not_scored(published: Path, log: Transactions) -> None:
    with pytest.raises(LeakError):
        churn_record(published / "customers.parquet", log.up_to(DAY + timedelta(days=CHURN - 1)), DAY, CHURN)


def test_the_record_of_a_day_stands_however_much_comes_later(published: Path, log: Transactions) -> None:
    early = log.up_to(DAY + timedelta(days=CHURN))
    file = published / "customers.parquet"
    assert churn_record(file, early, DAY, CHURN) == churn_record(file, log, DAY, CHURN)


def scored(*skills: float, question: str = "Churn") -> list[dict[str, object]]:
    row = {"question": question, "horizon": 30, "n": 10, "measure": "log-loss", "baseline": "b", "baseline_score": 1.0}
    return [
        row | {"day": pd.Timestamp("2017-01-01") + pd.Timedelta(days=place), "score": skill, "run": str(place)}
        for place, skill in enumerate(skills)
    ]


def test_drift_is_told_from_the_night_on_which_it_began() -> None:
    table = track_record(scored(0.5, 0.5, 0.5, 0.6, 0.7, 0.5, 0.9))
    assert drift(table, "Churn", 0.5) == {"since": "2017-01-07", "by": pytest.approx(0.6363636, abs=1e-6)}
    assert drift(table, "Churn", 0.15) == {"since": "2017-01-07", "by": pytest.approx(0.6363636, abs=1e-6)}
    assert drift(table.head(6), "Churn", 0.15) == {"since": "2017-01-04", "by": None}
    assert drift(table.head(3), "Churn", 0.15) == {"since": None, "by": None}
    assert drift(table, "Next purchase", 0.15) == {"since": None, "by": None}
    assert drift(track_record(scored(1.2)), "Churn", 0.15)["since"] == "2017-01-01"


def test_a_record_grows_and_keeps_its_types() -> None:
    first = track_record(scored(0.5))
    both = track_record(scored(0.5, 0.4)[1:] + scored(0.9, question="Next purchase"), first)
    assert both["question"].tolist() == ["Churn", "Churn", "Next purchase"]
    assert track_record([], both).equals(both)
    for table in (first, both, track_record([])):
        assert {name: str(kind) for name, kind in table.dtypes.items()} == COLUMNS
    again = track_record(scored(0.8), first)
    assert again["score"].tolist() == [0.5]


def test_the_newest_record_is_told_in_a_sentence() -> None:
    row = scored(0.25)[0] | {"expected": 46.2, "observed": 44.0, "called": 46, "came_true": 44}
    (sentence,) = told(track_record([row]))
    assert (
        "46 expected, 44 observed. Of 46 called likely, 44 came true. Log-loss 0.250, better than 1.000 (b)."
        in sentence
    )
