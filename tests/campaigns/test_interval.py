"""Intervals of a difference of means: they hold as often as they say, for few members with skewed spend too."""

from __future__ import annotations

import numpy as np
import pytest

from crmkit._types import Floats
from crmkit.campaigns._interval_math import difference_interval


def spend(rng: np.random.Generator, n: int) -> Floats:
    """Four in five buy, for amounts of which few are large."""
    return np.where(rng.random(n) < 0.8, rng.lognormal(3, 1.1, n), 0.0)


@pytest.mark.parametrize("held_back", [20, 60])
def test_it_holds_for_small_groups_of_skewed_spend_where_a_normal_one_does_not(held_back: int) -> None:
    rng = np.random.default_rng(held_back)
    holds, normal = 0, 0
    for _ in range(150):
        planned, control = 4.0 + spend(rng, 600), spend(rng, held_back)
        low, high = difference_interval(planned, control)
        holds += low <= 4 <= high
        error = np.sqrt(planned.var(ddof=1) / 600 + control.var(ddof=1) / held_back)
        normal += abs(planned.mean() - control.mean() - 4) <= 1.96 * error
    assert holds / 150 >= 0.91
    assert holds > normal


def test_large_groups_have_the_normal_interval_and_the_way_does_not_jump_between_them() -> None:
    rng = np.random.default_rng(1)
    planned, control = rng.normal(1, 1, 3000), rng.normal(0, 1, 450)
    low, high = difference_interval(planned, control)
    error = np.sqrt(planned.var(ddof=1) / 3000 + control.var(ddof=1) / 450)
    middle = planned.mean() - control.mean()
    assert (low, high) == pytest.approx((middle - 1.959964 * error, middle + 1.959964 * error))
    low, high = difference_interval(planned, control[:399])
    error = np.sqrt(planned.var(ddof=1) / 3000 + control[:399].var(ddof=1) / 399)
    assert high - low == pytest.approx(2 * 1.959964 * error, rel=0.06)


def test_turning_the_groups_round_turns_the_interval_round_and_order_changes_nothing() -> None:
    rng = np.random.default_rng(2)
    planned, control = spend(rng, 200), spend(rng, 30)
    low, high = difference_interval(planned, control)
    assert difference_interval(control, planned) == pytest.approx((-high, -low))
    assert difference_interval(planned[::-1], rng.permutation(control)) == pytest.approx((low, high))


def test_nothing_that_varies_leaves_no_doubt() -> None:
    assert difference_interval(np.full(20, 2.0), np.full(20, 1.0)) == (1.0, 1.0)
