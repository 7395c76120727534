"""Everybody is counted once, in one state at each date; every change has its reason."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crmkit import ValueTiers
from crmkit.exceptions import ConfigError, ContractError
from crmkit.segments.migration import migration


def table(ids: str, tiers: str, values: list[float], days: list[int] | None = None) -> pd.DataFrame:
    frame = pd.DataFrame({"customer_id": list(ids), "tier": list(tiers), "value": values})
    return frame if days is None else frame.assign(days_since_last=days)


BEFORE = table("abcdefg", "AABBCCC", [90.0, 80, 40, 30, 5, 4, 3], [2, 5, 8, 40, 200, 90, 1])
AFTER = table("abcdefhi", "ABAACCCB", [95.0, 30, 99, 70, 5, 9, 1, 33], [3, 9, 1, 5, 230, 2, 4, 6])


def test_every_state_and_move_is_found():
    moved = migration(BEFORE, AFTER, earlier=["i"], frozen_after=30, lapsed_after=180)
    found = moved.customers.set_index("customer_id")
    assert found["before"].tolist() == [
        "A",
        "A",
        "B",
        "frozen",
        "lapsed",
        "frozen",
        "C",
        "not yet a customer",
        "lapsed",
    ]
    assert found["after"].tolist() == ["A", "B", "A", "A", "lapsed", "C", "lapsed", "C", "B"]
    expected = ["same", "down", "up", "returned", "still lapsed", "returned", "lapsed", "new", "returned"]
    assert found["move"].tolist() == expected
    assert str(moved) == (
        "9 customers: 1 same, 1 up, 1 down, 1 new, 3 returned, 1 lapsed, 1 still lapsed; value +90.00"
    )


def test_counts_and_money_reconcile():
    moved = migration(BEFORE, AFTER, earlier=["i"], frozen_after=30, lapsed_after=180)
    assert moved.counts.to_numpy().sum() == len(set(BEFORE["customer_id"]) | set(AFTER["customer_id"]))
    assert moved.counts.to_numpy().sum() == moved.moves["customers"].sum() == len(moved.customers)
    change = AFTER["value"].sum() - BEFORE["value"].sum()
    assert moved.money.to_numpy().sum() == pytest.approx(change)
    assert moved.moves["change"].sum() == pytest.approx(change)
    shares = moved.row_shares.sum(axis=1)
    np.testing.assert_allclose(shares[moved.counts.sum(axis=1) > 0], 1.0)
    assert (shares[moved.counts.sum(axis=1) == 0] == 0).all()


def test_changes_are_listed_once_with_reasons_largest_first():
    moved = migration(BEFORE, AFTER, earlier=["i"], frozen_after=30, lapsed_after=180)
    assert len(moved.changes) == len(moved.customers) - 2
    change = (moved.changes["value_after"] - moved.changes["value_before"]).abs()
    assert change.is_monotonic_decreasing
    reasons = moved.changes.set_index("customer_id")["reason"]
    assert reasons.to_dict() == {
        "b": "value fell from 80 to 30",
        "c": "value rose from 40 to 99",
        "d": "bought again",
        "f": "bought again",
        "g": "no longer in the table",
        "h": "first seen since",
        "i": "bought again",
    }


def test_silence_makes_frozen_and_then_lapsed():
    before, after = table("ab", "AA", [9.0, 9], [1, 1]), table("ab", "AA", [9.0, 9], [31, 181])
    moved = migration(before, after, frozen_after=30, lapsed_after=180)
    assert moved.changes["move"].tolist() == ["frozen", "lapsed"]
    assert moved.changes["reason"].tolist() == ["no purchase for long", "no purchase for too long"]


class TestReasons:
    """Thresholds 100 before; another after."""

    @staticmethod
    def reason(before: float, after: float, threshold: float) -> str:
        old, new = (ValueTiers(thresholds=(cut,)).fit(pd.Series([1.0])) for cut in (100.0, threshold))
        tables = [
            pd.DataFrame({"customer_id": ["a"], "value": [value], "tier": rule.transform(pd.Series([value]))})
            for rule, value in ((old, before), (new, after))
        ]
        return migration(*tables, tiers=(old, new)).changes["reason"].item()

    @pytest.mark.parametrize(
        ("before", "after", "threshold", "reason"),
        [
            (120.0, 80.0, 100.0, "value fell from 120 to 80"),
            (120.0, 120.0, 150.0, "threshold moved; value from 120 to 120"),
            (120.0, 130.0, 150.0, "threshold moved; value from 120 to 130"),
            (120.0, 80.0, 150.0, "value fell, and the threshold moved; value from 120 to 80"),
            (120.0, 110.0, 115.5, "value and threshold together; value from 120 to 110"),
            (80.0, 120.25, 100.0, "value rose from 80 to 120.25"),
            (80.0, 80.0, 60.0, "threshold moved; value from 80 to 80"),
        ],
    )
    def test_are_attributed(self, before, after, threshold, reason):
        assert self.reason(before, after, threshold) == reason

    @pytest.mark.parametrize(
        ("before", "after", "threshold", "cause"),
        [
            (95.0, 80.0, 100.0, "value fell"),
            (95.0, 95.0, 120.0, "threshold moved"),
            (95.0, 92.0, 104.0, "value and threshold together"),
        ],
    )
    def test_are_those_of_labels_that_were_held(self, before, after, threshold, cause):
        """At 95 the customer was in A because it had been above 100 once, and left only at 90."""
        old, new = (ValueTiers(thresholds=(cut,)).fit(pd.Series([1.0])) for cut in (100.0, threshold))
        held = pd.Series(["A"])
        tables = [
            pd.DataFrame({"customer_id": ["a"], "value": [value], "tier": rule.transform(pd.Series([value]), held)})
            for rule, value in ((old, before), (new, after))
        ]
        moved = migration(*tables, tiers=(old, new))
        assert moved.changes[["before", "after", "cause"]].to_numpy().tolist() == [["A", "B", cause]]


def test_without_rules_a_label_that_moved_against_its_value_was_moved_by_the_threshold():
    moved = migration(table("abz", "BAA", [50.0, 60, 99], None), table("abz", "ABA", [49.0, 65, 99], None), order="AB")
    assert moved.changes["reason"].tolist() == [
        "threshold moved; value from 60 to 65",
        "threshold moved; value from 50 to 49",
    ]


@pytest.mark.parametrize(
    ("before", "match"),
    [
        (BEFORE.drop(columns="tier"), r"Columns not found: \['tier'\]"),
        (pd.concat([BEFORE, BEFORE.head(2)]), "before: 2 customer_id are repeated"),
        (BEFORE.assign(customer_id=[None, *"bcdefg"]), "1 customer_id are missing"),
        (BEFORE.assign(tier=["A", None, *"BBCCC"]), "1 customers have no tier"),
        (BEFORE.assign(tier="frozen"), r"\['frozen'\] are states"),
        (BEFORE.assign(value=np.nan), "value: 7 of 7"),
        ([1, 2], "is a list"),
    ],
)
def test_tables_that_cannot_be_counted_are_refused(before, match):
    with pytest.raises(ContractError, match=match):
        migration(before, AFTER)


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ConfigError, match=r"misses labels that occur: .*'B'"):
        migration(BEFORE, AFTER, order=["A"])
    with pytest.raises(ConfigError, match="frozen_after=-1"):
        migration(BEFORE, AFTER, frozen_after=-1)
    with pytest.raises(ContractError, match="days_since_last"):
        migration(BEFORE.drop(columns="days_since_last"), AFTER, lapsed_after=90)


def test_nobody_before_is_a_first_month():
    moved = migration(BEFORE.head(0), AFTER)
    assert set(moved.customers["move"]) == {"new"}
    assert moved.counts.to_numpy().sum() == len(AFTER)
