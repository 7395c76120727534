"""Cohorts and second purchases: counted again by hand, tied to the cent, blind to the future."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crmkit import ConfigError, Transactions, cohorts, second_purchase
from crmkit.summaries.cohorts import kaplan_meier


@pytest.fixture(scope="module")
def till() -> pd.DataFrame:
    rng, n = np.random.default_rng(3), 3_000
    return pd.DataFrame(
        {
            "customer_id": rng.integers(0, 400, n).astype(str),
            "purchased_at": pd.Timestamp("2016-10-05") + pd.to_timedelta(rng.integers(0, 300, n), unit="D"),
            "amount": np.round(rng.gamma(2, 6, n), 2),
        }
    )


@pytest.fixture(scope="module")
def log(till: pd.DataFrame) -> Transactions:
    return Transactions.from_extract(till, until="2017-08-02")


@pytest.mark.parametrize(("period", "code"), [("month", "M"), ("week", "W-SUN"), ("quarter", "Q-DEC")])
def test_counted_again_by_hand(till: pd.DataFrame, log: Transactions, period: str, code: str) -> None:
    at = till["purchased_at"].dt.to_period(code)
    first = at.groupby(till["customer_id"]).transform("min")
    age = (at - first).map(lambda gap: gap.n)
    rows = pd.DataFrame(
        {"cohort": first.dt.start_time, "period": age, "id": till["customer_id"], "amount": till["amount"]}
    )
    rows = rows[at < pd.Timestamp("2017-08-03").to_period(code)]
    by_hand = rows.groupby(["cohort", "period"]).agg(active=("id", "nunique"), revenue=("amount", "sum")).reset_index()
    found = cohorts(log, period)
    came = found[found["active"] > 0].reset_index(drop=True)
    pd.testing.assert_frame_equal(
        came[["cohort", "period", "active", "revenue"]], by_hand, check_dtype=False, rtol=1e-12
    )
    sizes = rows.groupby("cohort")["id"].nunique()
    assert (found["customers"] == found["cohort"].map(sizes)).all()


def test_what_is_not_observed_has_no_row_and_what_did_not_happen_is_zero() -> None:
    till = pd.DataFrame({"customer_id": ["a", "b"], "purchased_at": ["2017-01-05", "2017-03-10"], "amount": [3, 4]})
    found = cohorts(Transactions.from_extract(till, until="2017-04-30"))
    assert found["period"].tolist() == [0, 1, 2, 3, 0, 1]
    assert found["active"].tolist() == [1, 0, 0, 0, 1, 0]
    unfinished = cohorts(Transactions.from_extract(till, until="2017-04-29"))
    assert unfinished["period"].tolist() == [0, 1, 2, 0]
    assert cohorts(Transactions.from_extract(till, until="2017-03-30"), as_of="2017-01-20").empty


def test_money_ties_to_the_cent_with_returns_taken_off() -> None:
    till = pd.DataFrame(
        {
            "customer_id": ["a", "a", "a"],
            "purchased_at": ["2017-01-05", "2017-01-06", "2017-02-10"],
            "amount": [30.10, 9.05, -9.05],
            "product_id": ["x", "y", "y"],
            "quantity": [1, 1, -1],
        }
    )
    found = cohorts(Transactions.from_extract(till, until="2017-02-28"))
    assert found["revenue"].sum() == pytest.approx(30.10, abs=1e-9)
    assert found["active"].tolist() == [1, 0]


def test_the_future_changes_nothing(till: pd.DataFrame, log: Transactions) -> None:
    short = Transactions.from_extract(till[till["purchased_at"] < "2017-05-01"], until="2017-04-30")
    pd.testing.assert_frame_equal(cohorts(log, as_of="2017-04-30"), cohorts(short))
    pd.testing.assert_frame_equal(second_purchase(log, as_of="2017-04-30"), second_purchase(short))


def test_second_purchases_counted_again_by_hand(till: pd.DataFrame, log: Transactions) -> None:
    days = till.drop_duplicates(["customer_id", "purchased_at"]).sort_values("purchased_at")
    firsts = days.groupby("customer_id")["purchased_at"].nth([0, 1])
    both = days.loc[firsts.index].groupby("customer_id")["purchased_at"].agg(["min", "max", "size"])
    came = both["size"] == 2
    wait = ((both["max"].where(came, pd.Timestamp("2017-08-02"))) - both["min"]).dt.days
    survival, by_hand = 1.0, {}
    for day in sorted(wait[came].unique()):
        survival *= 1 - (came & (wait == day)).sum() / (wait >= day).sum()
        by_hand[day] = 1 - survival
    found = second_purchase(log)
    assert found["days"].tolist() == list(by_hand)
    np.testing.assert_allclose(found["share"], list(by_hand.values()), rtol=1e-12)
    assert (found["low"] <= found["share"]).all()
    assert (found["share"] <= found["high"]).all()


def test_the_interval_covers_what_it_says() -> None:
    rng, covered = np.random.default_rng(5), 0
    for _ in range(400):
        wait, watched = rng.exponential(30, 150), rng.uniform(10, 90, 150)
        seen, event = np.minimum(wait, watched), wait <= watched
        order = np.argsort(seen)
        _, low, high = kaplan_meier(event[order].astype(float), np.arange(150, 0, -1.0), 0.95)
        at = np.searchsorted(seen[order], 30) - 1
        covered += low[at] <= 1 - np.exp(-1) <= high[at]
    assert 0.92 <= covered / 400 <= 0.98


def test_nothing_that_cannot_be_answered_is_answered(log: Transactions) -> None:
    with pytest.raises(ConfigError, match=r"period='year' is not known; there are \['week', 'month', 'quarter'\]"):
        cohorts(log, "year")
    with pytest.raises(ConfigError, match="level=95 is not between 0 and 1"):
        second_purchase(log, level=95)
    empty = second_purchase(log, as_of="2016-10-01")
    assert empty.empty
    share, low, high = kaplan_meier(np.array([4.0]), np.array([4.0]), 0.95)
    assert share.tolist() == low.tolist() == high.tolist() == [1.0]
