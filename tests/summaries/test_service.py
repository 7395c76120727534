"""Service signals: what is known on a day, planted effects found again, and none where none was planted."""

from __future__ import annotations

import warnings
from datetime import date, timedelta
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crmkit import ChurnModel, ContractError, CrmkitWarning, ModelError, ServiceRecords, Transactions, backtest
from crmkit.churn.estimators import ChurnLogistic
from crmkit.churn.training import SERVICE_TERMS, TrainingTable, service_effects, signals
from crmkit.evaluation.metrics.intervals import paired_difference
from crmkit.evaluation.metrics.probabilities import log_loss
from crmkit.segments.contact_lists import contact_lists
from crmkit.summaries.service import satisfaction_index, service_signals
from crmkit.summaries.snapshots import Snapshots, snapshots

SNAPSHOT = Path(__file__).parents[3] / "shared" / "data" / "ecommerce_churn" / "ecommerce_churn.parquet"


def package_data(package: str, *steps: str) -> Path:
    """A data file inside an installed package, found without importing the package."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0], *steps)


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


# -- Effects in the churn model: records generated, purchases real ---------------------------------------------------

ORIGIN, HORIZON = "1998-03-31", 90


@pytest.fixture(scope="module")
def log() -> Transactions:
    """CDNOW, the tenth of every paper."""
    names = ["master_id", "customer_id", "purchased_at", "n_cds", "amount"]
    path = package_data("lifetimes", "datasets", "CDNOW_sample.txt")
    lines = pd.read_csv(path, sep=r"\s+", names=names, dtype=str)
    return Transactions.from_extract(lines, until="1998-06-30", time_format="%Y%m%d")


@pytest.fixture(scope="module")
def outcomes(log: Transactions) -> dict[date, tuple[pd.Series, np.ndarray]]:
    """Who was known, and who then bought nothing, on the days that the model learns from, and on the one it answers for."""
    with snapshots(log) as shop:
        top = shop.day(ORIGIN)
        days = [top, *[top - HORIZON - 14 * k for k in range(20)]]
        states = {day: shop.state(day) for day in days}
        return {
            Snapshots.date(day): (state["customer_id"], shop.labels(state, day, HORIZON))
            for day, state in states.items()
        }


def complaints(outcomes: dict, log_odds_ratio: float, seed: int) -> ServiceRecords:
    """Complaints that are open on one day each, likelier before a silence: their odds ratio given all else is known.

    A complaint depends on the outcome alone, so log-odds(silent | all else, complaint) is that without it, plus the ratio,
    plus a constant.
    """
    rng, rows = np.random.default_rng(seed), []
    for day, (who, silent) in outcomes.items():
        chance = 1 / (1 + np.exp(-(-2.2 + log_odds_ratio * silent)))
        told = who[rng.random(len(who)) < chance]
        rows.append(pd.DataFrame({"customer_id": told, "recorded_at": day, "resolved_at": day + timedelta(days=1)}))
    table = pd.concat(rows, ignore_index=True).assign(kind="complaint", score=None, topic="price")
    return ServiceRecords.from_extract(table.assign(record_id=range(len(table))))


def answers(outcomes: dict, less: float, seed: int) -> ServiceRecords:
    """Answers to a survey of three in ten customers on each day, lower by ``less`` before a silence."""
    rng, rows = np.random.default_rng(seed), []
    for day, (who, silent) in outcomes.items():
        score = np.clip(rng.normal(6 - less * silent, 1.5), 0, 10).round(1)
        asked = rng.random(len(who)) < 0.3
        rows.append(pd.DataFrame({"customer_id": who[asked], "recorded_at": day, "score": score[asked]}))
    table = pd.concat(rows, ignore_index=True).assign(kind="survey")
    return ServiceRecords.from_extract(table.assign(record_id=range(len(table))))


def fitted(log: Transactions, records: ServiceRecords) -> ChurnModel:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrmkitWarning)
        return ChurnModel(HORIZON).fit(log, ORIGIN, service=records)


@pytest.mark.parametrize(("effect", "seed"), [(1.0, 0), (0.0, 1)])
def test_a_planted_effect_is_found_with_its_interval_and_none_where_none_is(
    log: Transactions, outcomes: dict, effect: float, seed: int
) -> None:
    records = complaints(outcomes, effect, seed)
    model = fitted(log, records)
    found = model.service_effects_.set_index("term").loc["open_complaints"]
    assert found["low"] < effect < found["high"]
    assert (found["low"] > 0) == (effect > 0)
    assert found["high"] - found["low"] < 0.8
    assert len(model.predict(log, ORIGIN, service=records))
    if effect:
        with pytest.raises(ModelError, match="Pass them"):
            model.predict(log, ORIGIN)


@pytest.mark.parametrize("less", [1.5, 0.0])
def test_dissatisfaction_raises_the_risk_where_it_was_planted_and_only_there(
    log: Transactions, outcomes: dict, less: float
) -> None:
    found = fitted(log, answers(outcomes, less, 2)).service_effects_.set_index("term").loc["satisfaction"]
    assert (found["high"] < 0) == (less > 0)
    assert (found["low"] < 0 < found["high"]) == (less == 0)


def test_a_backtest_with_service_records_answers_better_where_they_matter(log: Transactions, outcomes: dict) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrmkitWarning)
        records = complaints(outcomes, 3.0, 3)
        plain, told = (
            backtest(ChurnModel(HORIZON), log, split=ORIGIN, service=given).predictions for given in (None, records)
        )
    gain = paired_difference(log_loss, plain["churned"], told["churn model"], plain["churn model"])
    assert gain.high < -0.005


@pytest.mark.long
@pytest.mark.parametrize("effect", [0.0, 0.7])
def test_intervals_hold_the_planted_effect_as_often_as_they_say(
    log: Transactions, outcomes: dict, effect: float
) -> None:
    held = []
    with snapshots(log) as shop:
        past = TrainingTable(shop, shop.day(ORIGIN), HORIZON, None)
        tables = {day: past.table(day) for day in past.origins(past.newest)}
        for seed in range(60):
            records = complaints(outcomes, effect, 100 + seed)
            rows = [table.assign(**signals(past.state(day), records, past.date(day))) for day, table in tables.items()]
            effects = service_effects(pd.concat(rows, ignore_index=True), [*past.features, *SERVICE_TERMS])
            found = effects.set_index("term").loc["open_complaints"]
            held.append(found["low"] < effect < found["high"])
    assert 0.87 <= np.mean(held) <= 1.0, "95% of 60, within three standard errors"


def test_complaints_in_the_snapshot_data_go_with_churn() -> None:
    if not SNAPSHOT.exists():
        pytest.skip("the snapshot data are not here")
    rows = pd.read_parquet(SNAPSHOT)
    columns = ["Complain", "SatisfactionScore", "Tenure", "DaySinceLastOrder", "OrderCount"]
    table = rows[columns].astype(float).fillna(rows[columns].median())
    effects = ChurnLogistic(anchor=None).fit(table, rows["Churn"]).effects().set_index("term")
    assert effects.loc["Complain", "low"] > 1.0, "complainants leave several times as often"
    assert effects.loc["Tenure", "high"] < 0
    half = np.random.default_rng(0).random(len(table)) < 0.5
    known = {
        name: ChurnLogistic(anchor=None)
        .fit(table.loc[half, use], rows["Churn"][half])
        .predict_proba(table.loc[~half, use])
        for name, use in {"all": columns, "without": columns[2:]}.items()
    }
    gain = paired_difference(log_loss, rows["Churn"][~half], known["all"][:, 1], known["without"][:, 1])
    assert gain.high < -0.01, "what the service desk knew helps to tell who leaves, among those not learned from"
