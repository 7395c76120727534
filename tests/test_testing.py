"""The simulated chain: the same luck for every policy, coupons used once at most, and shoppers as they are known to be."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import pytest

from crmkit.testing import SimulatedChain


@pytest.fixture(scope="module")
def year() -> tuple[SimulatedChain, pd.DataFrame]:
    chain = SimulatedChain(n_members=150, seed=3)
    lines, _ = chain.advance(364)
    return chain, lines


def coupons(chain: SimulatedChain, lines: pd.DataFrame, share: float = 0.25) -> pd.DataFrame:
    """A coupon for each member's own favourite brand of each category."""
    times = lines.groupby(["customer_id", "category", "brand"]).size().rename("n").reset_index()
    found = times.sort_values("n", kind="stable").drop_duplicates(["customer_id", "category"], keep="last")
    price = chain.price[found["category"].str[-2:].astype(int), found["brand"].str[-2:].astype(int)]
    return found.assign(deal_id=found["category"] + " " + found["brand"], worth=np.round(share * price, 2))


def test_the_same_seed_gives_the_same_chain_and_another_does_not(year: tuple[SimulatedChain, pd.DataFrame]) -> None:
    again, _ = SimulatedChain(n_members=150, seed=3).advance(28)
    pd.testing.assert_frame_equal(again, year[1][: len(again)])
    other, _ = SimulatedChain(n_members=150, seed=4).advance(28)
    assert not other.equals(again)


def test_a_coupon_is_used_once_at_most_by_few_and_only_by_whom_it_was_sent_to(
    year: tuple[SimulatedChain, pd.DataFrame],
) -> None:
    chain, lines = copy.deepcopy(year[0]), year[1]
    sent = coupons(chain, lines)
    _, used = chain.advance(14, sent)
    assert not used.duplicated(["customer_id", "deal_id"]).any()
    keys = set(zip(sent["customer_id"], sent["deal_id"], strict=True))
    assert set(zip(used["customer_id"], used["deal_id"], strict=True)) <= keys
    assert 0.02 < len(used) / len(sent) < 0.10
    assert used["customer_id"].nunique() < 0.5 * 150


def test_members_without_a_coupon_meet_the_same_luck(year: tuple[SimulatedChain, pd.DataFrame]) -> None:
    one, two = copy.deepcopy(year[0]), copy.deepcopy(year[0])
    half = set(one.members[:75])
    sent = coupons(one, year[1])
    with_lists, _ = one.advance(28, sent[sent["customer_id"].isin(half)])
    without, _ = two.advance(28)
    columns = ["customer_id", "purchased_at", "category", "brand", "quantity", "amount"]
    left, right = (table.loc[~table["customer_id"].isin(half), columns] for table in (with_lists, without))
    pd.testing.assert_frame_equal(left.reset_index(drop=True), right.reset_index(drop=True))
    assert not with_lists.equals(without)


def test_what_coupons_bring_forward_is_missing_later(year: tuple[SimulatedChain, pd.DataFrame]) -> None:
    one, two = copy.deepcopy(year[0]), copy.deepcopy(year[0])
    now, _ = one.advance(14, coupons(one, year[1], share=0.5))
    then, _ = two.advance(14)
    later, _ = one.advance(70)
    usual, _ = two.advance(70)
    assert now["quantity"].sum() > then["quantity"].sum()
    assert later["quantity"].sum() < usual["quantity"].sum()
