"""Control groups: drawn by the member's id and the key alone."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from crmkit.campaigns.sample_size import holdout_size
from crmkit.exceptions import ConfigError, ContractError
from crmkit.offers.control_group import control_group

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


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 1.0])
def test_each_stratum_gives_its_share_to_the_next_member(share: float) -> None:
    strata = pd.Series(["gold", "plain", "plain", None, "plain"] * 1000)
    drawn_ids = control_group(MEMBERS, share, "spring", strata=strata)["customer_id"]
    counts = strata[np.isin(MEMBERS, drawn_ids)].fillna("none").value_counts().to_dict()
    assert counts == {} if share == 0 else counts == {"plain": 3000 * share, "gold": 1000 * share, "none": 1000 * share}


def test_strata_draw_the_lowest_hashes() -> None:
    drawn_ids = set(control_group(MEMBERS, 0.1, "spring", strata=["all"] * 5000)["customer_id"])
    assert drawn_ids == set(sorted(MEMBERS, key=lambda m: hashlib.md5(f"spring:{m}".encode()).hexdigest())[:500])


# -- how many ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "found", "published"),
    [
        ({"lift": 0.03, "mean": 152, "sd": 198, "correlation": 0.80}, lambda size: size.held_out, 29_352),
        ({"lift": 0.03, "mean": 152, "sd": 198, "correlation": 0.80}, lambda size: size.held_out_cuped, 10_623),
        ({"lift": 0.10, "mean": 0.65, "sd": 15, "share": 0.1}, lambda size: size.total, 4_600_000),
        ({"lift": 0.10, "mean": 0.106, "share": 0.1}, lambda size: size.total, 73_000),
    ],
)
def test_sizes_are_the_published_ones(terms: dict[str, float], found: object, published: int) -> None:
    """The published means and deviations are rounded to three digits, hence one percent."""
    assert found(holdout_size(**terms)) == pytest.approx(published, rel=0.012)  # type: ignore[operator]


def test_so_many_members_see_the_effect_as_often_as_was_asked() -> None:
    rng = np.random.default_rng(5)
    size = holdout_size(0.1, mean=10, sd=8, correlation=0.7, share=0.3, power=0.8)
    seen = {False: 0, True: 0}
    for cuped, treated, held in ((False, size.treated, size.held_out), (True, size.treated_cuped, size.held_out_cuped)):
        for _ in range(800):
            before = rng.normal(size=treated + held)
            after = 10 + 8 * (0.7 * before + np.sqrt(1 - 0.49) * rng.normal(size=treated + held))
            after[:treated] += 1
            y = after - 5.6 * before if cuped else after
            error = np.sqrt(y[:treated].var() / treated + y[treated:].var() / held)
            seen[cuped] += abs(y[:treated].mean() - y[treated:].mean()) > 1.96 * error
    assert seen[False] / 800 == pytest.approx(0.8, abs=0.05)
    assert seen[True] / 800 == pytest.approx(0.8, abs=0.05)


def test_the_history_gives_mean_deviation_and_correlation() -> None:
    rng = np.random.default_rng(6)
    before = rng.gamma(2, 50, 5000)
    after = before * 0.8 + rng.gamma(2, 20, 5000)
    size = holdout_size(0.05, history=after, before=before)
    assert size == holdout_size(
        0.05, mean=after.mean(), sd=after.std(ddof=1), correlation=float(np.corrcoef(after, before)[0, 1])
    )
    assert size.held_out_cuped < size.held_out / 2
    assert f"{size.held_out_cuped:,} of {size.total_cuped:,}" in str(size)


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"lift": 0.1}, "Neither history nor mean"),
        ({"lift": 0.1, "mean": 5}, "sd is missing"),
        ({"lift": 0.0, "mean": 5, "sd": 1}, "cannot be detected"),
        ({"lift": 0.1, "mean": 5, "sd": 1, "correlation": 1.0}, "cannot be detected"),
        ({"lift": 0.1, "mean": 5, "sd": 1, "share": 1.0, "power": 2}, "share=1.0 .*power=2"),
    ],
)
def test_sizes_that_cannot_be_told_are_refused(terms: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        holdout_size(**terms)


def test_histories_of_other_members_are_refused() -> None:
    with pytest.raises(ContractError, match="before has 2 members, history 3"):
        holdout_size(0.1, history=[1, 2, 3], before=[1, 2])
    with pytest.raises(ContractError, match="finite numbers"):
        holdout_size(0.1, history=[1, np.nan, 3])
