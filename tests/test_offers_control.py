"""Control groups: drawn by the member's id and the key alone."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import pandas as pd
import pytest

from crmkit.exceptions import ConfigError
from crmkit.offers import control_group

MEMBERS = [f"{n:06d}" for n in range(5000)]


def drawn(share: float, key: str = "spring", members: list[str] = MEMBERS) -> set[str]:
    return set(control_group(members, share, key)["customer_id"])


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_each_member_is_drawn_with_probability_share(share: float) -> None:
    deviation = (share * (1 - share) / len(MEMBERS)) ** 0.5
    assert abs(len(drawn(share)) / len(MEMBERS) - share) < 4 * deviation


def test_share_0_draws_nobody_and_share_1_everybody() -> None:
    assert drawn(0) == set()
    assert drawn(1) == set(MEMBERS)


def test_a_larger_share_contains_the_smaller() -> None:
    draws = [drawn(share) for share in (0, 0.001, 0.1, 0.1001, 0.5, 0.999, 1)]
    assert all(smaller <= larger for smaller, larger in pairwise(draws))


def test_a_member_is_drawn_or_not_whoever_else_is_there() -> None:
    half = MEMBERS[::2]
    assert drawn(0.3, members=half[::-1]) == drawn(0.3) & set(half)


def test_the_draw_is_the_md5_of_key_and_id() -> None:
    below = {m for m in MEMBERS if int(hashlib.md5(f"spring:{m}".encode()).hexdigest()[:8], 16) < 0.3 * 2**32}
    assert drawn(0.3) == below


def test_another_key_is_another_draw() -> None:
    both = len(drawn(0.3) & drawn(0.3, key="summer")) / len(MEMBERS)
    assert both == pytest.approx(0.09, abs=0.02)


def test_a_member_given_twice_is_drawn_once_and_a_quote_in_an_id_is_text() -> None:
    table = control_group(["o'hara", "b", "o'hara"], 1, "spring")
    assert table["customer_id"].tolist() == ["b", "o'hara"]


def test_nobody_to_draw_from() -> None:
    assert control_group(pd.Series([], dtype=str), 0.5, "spring").columns.tolist() == ["customer_id"]


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match="not between 0 and 1"):
        control_group(MEMBERS, share, "spring")
