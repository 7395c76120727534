"""Service signals: what is known on a day, planted effects found again, and none where none was planted."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crmkit import ChurnModel, ContractError, CrmkitWarning, ModelError, ServiceRecords, Transactions
from crmkit.models.churn_classifier import ChurnLogistic
from crmkit.panel import Snapshots, snapshots
from crmkit.service import contact_lists, satisfaction_index, service_signals
from crmkit.testing import generated_log

SNAPSHOT = Path(__file__).parents[2] / "shared" / "data" / "ecommerce_churn" / "ecommerce_churn.parquet"


def desk(*rows: tuple[str, str, str, float | None, str | None]) -> ServiceRecords:
    table = pd.DataFrame(rows, columns=["customer_id", "kind", "recorded_at", "score", "resolved_at"])
    return ServiceRecords.from_extract(table.assign(record_id=range(len(table)), topic="delivery"))


def test_a_complaint_is_open_from_its_day_until_it_is_resolved() -> None:
    records = desk(("a", "complaint", "2017-05-01 18:00", None, "2017-05-10 09:00"))
    days = ["2017-05-01", "2017-05-09", "2017-05-10"]
    assert [service_signals(records, day)["open_complaints"].tolist() for day in days] == [[1], [1], [0]]
    assert len(service_signals(records, "2017-04-30")) == 0


def test_a_recovery_of_the_same_topic_closes_it_and_a_later_complaint_opens_anew() -> None:
    records = desk(
        ("a", "complaint", "2017-05-01", None, None), ("a", "recovery", "2017-05-05", None, None),
        ("a", "complaint", "2017-05-08", None, None),
    )  # fmt: skip
    assert service_signals(records, "2017-05-06")["open_complaints"].tolist() == [0]
    later = service_signals(records, "2017-05-08").iloc[0]
    assert (later["open_complaints"], later["past_complaints"], later["recovered"]) == (1, 2, 1)


def test_later_records_move_nothing() -> None:
    past = [("a", "survey", "2017-05-01", 3.0, None), ("b", "survey", "2017-05-02", 9.0, None)]
    later = [("a", "survey", "2017-06-01", 0.0, None), ("c", "complaint", "2017-06-01", None, None)]
    for ask in (service_signals, satisfaction_index):
        pd.testing.assert_frame_equal(
            ask(desk(*past), "2017-05-20"), ask(desk(*past, *later), "2017-05-20"), check_exact=True
        )


def test_one_answer_says_less_than_many_and_an_old_one_less_than_a_new() -> None:
    others = [("x", "survey", "2017-05-01", 8.0, None)] * 10
    once = desk(("a", "survey", "2017-05-01", 0.0, None), ("b", "survey", "2016-01-01", 0.0, None), *others)
    index = satisfaction_index(once, "2017-05-01").set_index("customer_id")["satisfaction"]
    assert index["a"] < index["b"] < 0 < index["x"]
    often = desk(*[("a", "survey", "2017-05-01", 0.0, None)] * 5, *others)
    assert satisfaction_index(often, "2017-05-01").set_index("customer_id").loc["a", "satisfaction"] < index["a"] / 1.5
    same = satisfaction_index(desk(*[("a", "survey", "2017-05-01", 7.0, None)] * 3), "2017-05-01")
    assert same["satisfaction"].tolist() == [0.0]
    assert len(satisfaction_index(desk(("a", "complaint", "2017-05-01", None, None)), "2017-05-01")) == 0


def test_who_complains_leaves_the_promotion_list_for_the_recovery_list() -> None:
    members = pd.DataFrame({"customer_id": list("abcd"), "value_at_risk": [1.0, 9.0, 5.0, 7.0]})
    records = desk(
        ("a", "complaint", "2017-05-01", None, None), ("b", "complaint", "2017-05-02", None, None),
        ("c", "complaint", "2017-05-02", None, "2017-05-03"), ("new", "complaint", "2017-05-02", None, None),
    )  # fmt: skip
    promotion, recovery = contact_lists(members, records, "2017-05-20")
    assert promotion["customer_id"].tolist() == ["c", "d"]
    assert recovery["customer_id"].tolist() == ["b", "a", "new"]
    assert recovery["topics"].tolist() == ["delivery"] * 3
    with pytest.raises(ContractError, match="customer_id"):
        contact_lists(pd.DataFrame({"id": [1]}), records, "2017-05-20")


# -- Effects in the churn model ----------------------------------------------------------------------------------------

ORIGIN, HORIZON = "2017-11-30", 30


@pytest.fixture(scope="module")
def log() -> Transactions:
    return generated_log(n_customers=2500, days=365, seed=4)


def planted(log: Transactions, log_odds_ratio: float, seed: int) -> ServiceRecords:
    """Complaints that are open on one past day each, likelier before a silence: their odds ratio given all else is known."""
    rng, rows, step = np.random.default_rng(seed), [], 14
    with snapshots(log) as shop:
        newest = shop.day(ORIGIN) - HORIZON
        for day in [newest - step * k for k in range(14)]:
            state = shop.state(day)
            silent = shop.labels(state, day, HORIZON)
            chance = 1 / (1 + np.exp(-(-2.2 + log_odds_ratio * silent)))
            who = state["customer_id"][rng.random(len(state)) < chance]
            rows.append(
                pd.DataFrame(
                    {"customer_id": who, "recorded_at": Snapshots.date(day), "resolved_at": Snapshots.date(day + 1)}
                )
            )
    table = pd.concat(rows, ignore_index=True).assign(kind="complaint", score=None, topic="price")
    return ServiceRecords.from_extract(table.assign(record_id=range(len(table))))


@pytest.mark.parametrize(("effect", "seed"), [(1.0, 0), (0.0, 1)])
def test_a_planted_effect_is_found_with_its_interval_and_none_where_none_is(
    log: Transactions, effect: float, seed: int
) -> None:
    records = planted(log, effect, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrmkitWarning)
        model = ChurnModel(HORIZON).fit(log, ORIGIN, service=records)
    found = model.service_effects_.set_index("term").loc["open_complaints"]
    assert found["low"] < effect < found["high"]
    assert (found["low"] > 0) == (effect > 0)
    assert found["high"] - found["low"] < 0.8
    assert len(model.predict(log, ORIGIN, service=records))
    if effect:
        with pytest.raises(ModelError, match="Give them"):
            model.predict(log, ORIGIN)


def test_complaints_in_the_snapshot_data_go_with_churn() -> None:
    if not SNAPSHOT.exists():
        pytest.skip("the snapshot data are not here")
    rows = pd.read_parquet(SNAPSHOT)
    columns = ["Complain", "SatisfactionScore", "Tenure", "DaySinceLastOrder", "OrderCount"]
    table = rows[columns].astype(float).fillna(rows[columns].median())
    effects = ChurnLogistic(anchor=None).fit(table, rows["Churn"]).effects().set_index("term")
    assert effects.loc["Complain", "low"] > 1.0, "complainants leave several times as often"
    assert effects.loc["Tenure", "high"] < 0
