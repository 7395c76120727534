"""Notice goes to the likeliest who may be told, never to more than the capacity, and some are held back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crmkit import CashDiscount, ConfigError, cash_discount, early_notice

RNG = np.random.default_rng(1)
DUE = pd.DataFrame(
    {
        "customer_id": np.repeat([f"c{n:04d}" for n in range(800)], 2),
        "category": ["Coffee", "Tea"] * 800,
        "p_purchase": RNG.random(1600).round(3),
    }
)
SPECIALS = pd.DataFrame({"deal_id": ["d1", "d2"], "category": ["Coffee", "Tea"]})


def test_the_likeliest_are_told_up_to_the_capacity_and_some_are_held_back() -> None:
    found = early_notice(DUE, SPECIALS, capacity=100, control=0.2)
    for deal, item in (("d1", "Coffee"), ("d2", "Tea")):
        rows = found[found["deal_id"] == deal]
        told, held = (rows[rows["group"] == group] for group in ("notice", "control"))
        assert len(told) <= 100
        assert 10 <= len(held) <= 45
        assert told["p_purchase"].is_monotonic_decreasing
        best = DUE[DUE["category"] == item].nlargest(140, "p_purchase")["customer_id"]
        assert set(rows["customer_id"]) <= set(best)
        assert not set(told["customer_id"]) & set(held["customer_id"])
    again = early_notice(DUE.sample(frac=1, random_state=2), SPECIALS, capacity=100, control=0.2)
    pd.testing.assert_frame_equal(found, again)


def test_who_opted_out_or_waits_for_an_answer_is_not_told() -> None:
    members = pd.DataFrame({"customer_id": [f"c{n:04d}" for n in range(800)]})
    members["no_contact"] = np.where(np.arange(800) % 2, "x", None)
    members["open_complaints"] = (np.arange(800) % 3 == 0).astype(int)
    found = early_notice(DUE, SPECIALS, capacity=500, customers=members)
    told = found["customer_id"].str[1:].astype(int)
    assert (told % 2 == 0).all()
    assert (told % 3 != 0).all()
    assert early_notice(DUE.head(0), SPECIALS, capacity=5).empty
    with pytest.raises(ConfigError, match="capacity=0"):
        early_notice(DUE, SPECIALS, capacity=0)


def test_the_discount_is_a_rule_and_its_cost_is_told() -> None:
    members = pd.DataFrame(
        {"customer_id": list("abcd"), "weekly_spend": [70.0, 35.0, 7.0, 70.0], "open_complaints": [0, 0, 0, 1]}
    )
    rule = {"spends 25 a week": "weekly_spend >= 25", "no open complaint": "open_complaints = 0"}
    found = cash_discount(members, rule, rate=0.02, days=70)
    assert isinstance(found, CashDiscount)
    assert found.members["customer_id"].tolist() == ["a", "b"]
    assert found.cost == pytest.approx(0.02 * (700 + 350))
    assert found.steps["left"].tolist() == [3, 2]
    with pytest.raises(ConfigError, match="rate=2"):
        cash_discount(members, rule, rate=2)
