"""Complaints as cases: overdue ones first, nobody judged by a few answers, expectation beside perception."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crmkit import (
    ConfigError,
    ServiceRecords,
    Transactions,
    handling_satisfaction,
    overdue_complaints,
    read_extract,
    recovery_outcome,
    service_gap,
)


@pytest.fixture(scope="module")
def desk() -> ServiceRecords:
    rng, n = np.random.default_rng(2), 240
    complaint = np.arange(n) % 2 == 0
    told = pd.Timestamp("2017-01-01") + pd.to_timedelta(rng.integers(0, 150, n), unit="D")
    frame = pd.DataFrame(
        {
            "record_id": np.arange(n),
            "customer_id": rng.integers(0, 80, n).astype(str),
            "kind": np.where(complaint, "complaint", "survey"),
            "recorded_at": told,
            "topic": rng.choice(["delivery", "quality"], n),
            "responsible": np.where(complaint, rng.choice(["Kim", "Lee", "Ana"], n, p=[0.6, 0.35, 0.05]), None),
            "store": np.where(complaint, rng.choice(["s1", "s2"], n), None),
            "due": np.where(rng.random(n) < 0.5, told + pd.Timedelta(days=7), pd.NaT),
            "resolved_at": np.where(complaint & (rng.random(n) < 0.6), told + pd.Timedelta(days=5), pd.NaT),
            "handling": np.where(complaint, rng.integers(3, 11, n), np.nan),
            "score": np.where(complaint, np.nan, rng.integers(4, 9, n)),
            "expected": np.where(complaint, np.nan, 8.0),
        }
    )
    for name in ("due", "resolved_at"):
        frame[name] = pd.to_datetime(frame[name])
    return ServiceRecords.from_extract(frame)


def test_overdue_are_those_past_their_day_the_longest_first(desk: ServiceRecords) -> None:
    found = overdue_complaints(desk, "2017-06-30", deadline=14)
    frame = desk.frame
    day = pd.Timestamp("2017-06-30")
    due = pd.to_datetime(frame["due"]).fillna(pd.to_datetime(frame["recorded_at"]) + pd.Timedelta(days=14))
    by_hand = frame[(frame["kind"] == "complaint") & frame["resolved_at"].isna() & (due < day)]
    assert set(found["record_id"]) == set(by_hand["record_id"])
    assert found["days_overdue"].is_monotonic_decreasing
    assert len(overdue_complaints(desk, "2016-12-31")) == 0
    early = overdue_complaints(desk, "2017-02-15")
    assert early["recorded_at"].max() <= pd.Timestamp("2017-02-15 23:59")


def test_nobody_is_judged_by_a_few_answers(desk: ServiceRecords) -> None:
    found = handling_satisfaction(desk, "2017-06-30", by="responsible").set_index("responsible")
    frame = desk.frame[desk.frame["kind"] == "complaint"]
    counts = frame["responsible"].value_counts()
    assert counts["Ana"] < 10
    assert set(found.index) == {"Kim", "Lee", "others"}
    assert found["answers"].sum() == len(frame)
    assert found.loc["others", ["mean", "low", "high"]].isna().all()
    kim = frame.loc[frame["responsible"] == "Kim", "handling"].astype(float)
    assert found.loc["Kim", "mean"] == pytest.approx(kim.mean())
    assert found.loc["Kim", "low"] < kim.mean() < found.loc["Kim", "high"]
    with pytest.raises(ConfigError, match="by='customer_id' is not known"):
        handling_satisfaction(desk, "2017-06-30", by="customer_id")


def test_perception_is_compared_with_expectation_of_the_same_answers(desk: ServiceRecords) -> None:
    found = service_gap(desk, "2017-06-30").set_index("topic")
    surveys = desk.frame[desk.frame["kind"] == "survey"]
    gap = surveys["score"].astype(float) - surveys["expected"].astype(float)
    assert found.loc["all", "gap"] == pytest.approx(gap.mean())
    assert found.loc["all", "high"] < 0
    assert found["answers"].tolist()[0] == found["answers"].tolist()[1:][0] + found["answers"].tolist()[2]


def test_who_came_back_is_counted_within_the_days_alone() -> None:
    till = pd.DataFrame(
        {
            "customer_id": ["a", "b", "c", "c"],
            "purchased_at": ["2017-03-20", "2017-07-20", "2017-02-01", "2017-08-30"],
            "amount": 1.0,
        }
    )
    desk = pd.DataFrame(
        {
            "record_id": range(4),
            "customer_id": ["a", "b", "c", "c"],
            "kind": "complaint",
            "recorded_at": ["2017-03-01", "2017-03-01", "2017-03-01", "2017-08-25"],
            "resolved_at": ["2017-03-05", "2017-03-05", None, None],
        }
    )
    log = Transactions.from_extract(till, until="2017-08-31")
    found = recovery_outcome(ServiceRecords.from_extract(desk), log, days=90).set_index("resolved")
    assert found["complaints"].to_dict() == {"yes": 2, "no": 1}  # the newest complaint has not been watched for 90 days
    assert found["share"].to_dict() == {"yes": 0.5, "no": 0.0}


def test_what_is_wrong_is_told_with_file_line_and_reason(tmp_path: Path) -> None:
    file = tmp_path / "desk.csv"
    file.write_text(
        "record_id,customer_id,kind,recorded_at,resolved_at,due,handling,expected\n"
        "1,a,complaint,2017-05-02,2017-05-01,,,\n2,a,complaint,2017-05-02,,2017-05-01,,\n"
        "3,a,complaint,2017-05-02,,,11,\n4,a,survey,2017-05-02,,,,-1\n5,a,complaint,2017-05-02,2017-05-02,2017-05-02,10,\n",
        encoding="utf-8",
    )
    table, rejected = ServiceRecords.split_extract(read_extract(str(file)))
    assert len(table.frame) == 1
    assert list(zip(rejected["file"], rejected["line"], rejected["reason"], strict=True)) == [
        ("desk.csv", 2, "resolved_at is before recorded_at"),
        ("desk.csv", 3, "due is before recorded_at"),
        ("desk.csv", 4, "handling is not between 0 and 10"),
        ("desk.csv", 5, "expected is not between 0 and 10"),
    ]
