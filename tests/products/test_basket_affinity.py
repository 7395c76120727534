"""What is bought together: counted again by hand, against SciPy, under chance, over time."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2_contingency

from crmkit import ConfigError, ContractError, Transactions, bought_together


def till_of(rng: np.random.Generator, n_baskets: int, shares: list[float]) -> pd.DataFrame:
    """Baskets whose items come independently of each other."""
    has = rng.random((n_baskets, len(shares))) < shares
    basket, item = np.nonzero(has)
    return pd.DataFrame(
        {
            "customer_id": (basket % 97).astype(str),
            "order_id": basket.astype(str),
            "purchased_at": pd.Timestamp("2017-01-01") + pd.to_timedelta(basket % 300, unit="D"),
            "category": np.array([f"c{k:02d}" for k in range(len(shares))])[item],
            "amount": 1.0,
            "quantity": 1,
        }
    )


@pytest.fixture(scope="module")
def till() -> pd.DataFrame:
    till = till_of(np.random.default_rng(0), 3_000, [0.5, 0.3, 0.2, 0.2, 0.1, 0.02])
    joined = till[till["category"] == "c02"].sample(frac=0.5, random_state=0).assign(category="c06")
    return pd.concat([till, joined, joined.assign(amount=2.0)], ignore_index=True)


@pytest.fixture(scope="module")
def log(till: pd.DataFrame) -> Transactions:
    return Transactions.from_extract(till, until="2017-12-31")


@pytest.mark.parametrize("size", [2, 3])
def test_counted_again_by_hand(till: pd.DataFrame, log: Transactions, size: int) -> None:
    baskets = till.groupby("order_id")["category"].agg(frozenset)
    single = Counter(item for basket in baskets for item in basket)
    sets = Counter(found for basket in baskets for found in combinations(sorted(basket), size))
    wanted = {frozenset(found): count for found, count in sets.items() if count >= 40}
    found = bought_together(log, min_support=40, size=size)
    names = [f"item_{letter}" for letter in "abc"[:size]]
    assert {frozenset(row): n for *row, n in found[[*names, "baskets"]].itertuples(index=False)} == wanted
    for row in found.to_dict("records"):
        items = [row[name] for name in names]
        assert [single[item] for item in items] == sorted(single[item] for item in items)
        first = sum(set(items[:-1]) <= basket for basket in baskets)
        assert row["support"] == pytest.approx(row["baskets"] / len(baskets))
        assert row["confidence"] == pytest.approx(row["baskets"] / first)
        by_chance = np.prod([single[item] / len(baskets) for item in items])
        assert row["lift"] == pytest.approx(row["support"] / by_chance)
        assert row["leverage"] == pytest.approx(row["support"] - by_chance, abs=1e-11)
        both, last = row["baskets"], single[items[-1]]
        table = [[both, first - both], [last - both, len(baskets) - first - last + both]]
        assert row["p_value"] == pytest.approx(chi2_contingency(table, correction=False).pvalue, rel=1e-9)
    assert found["leverage"].is_monotonic_decreasing
    assert (found["q_value"] >= found["p_value"]).all()


def test_the_planted_pair_is_found_and_chance_is_not(log: Transactions) -> None:
    found = bought_together(log, min_support=40)
    sure = found[(found["q_value"] < 0.01) & (found["lift"] > 1)]
    assert sure[["item_a", "item_b"]].to_numpy().tolist() == [["c06", "c02"]]
    assert sure["confidence"].iloc[0] == 1


def test_under_chance_alone_hardly_anything_is_called_sure() -> None:
    called = 0
    for seed in range(20):
        till = till_of(np.random.default_rng(100 + seed), 1_000, [0.3] * 12)
        log = Transactions.from_extract(till, until="2017-12-31")
        called += bool((bought_together(log, min_support=1)["q_value"] < 0.05).any())
    assert called <= 4, "at most one in twenty is expected, and 4 of 20 has a chance below 2 %"


def test_support_may_be_a_share_and_days_may_be_bounded(log: Transactions) -> None:
    whole = bought_together(log, min_support=0.05)
    assert (whole["support"] >= 0.05).all()
    parts = [
        bought_together(log, min_support=1, as_of="2017-05-31"),
        bought_together(log, min_support=1, since="2017-05-31"),
    ]
    counts = pd.concat(parts).assign(
        pair=lambda rows: [frozenset(p) for p in zip(rows["item_a"], rows["item_b"], strict=True)]
    )
    summed = counts.groupby("pair")["baskets"].sum()
    every = bought_together(log, min_support=1)
    assert {
        frozenset(pair): n for *pair, n in every[["item_a", "item_b", "baskets"]].itertuples(index=False)
    } == summed.to_dict()


def test_nothing_that_cannot_be_answered_is_answered(log: Transactions) -> None:
    with pytest.raises(ConfigError, match="items are put together in twos or threes"):
        bought_together(log, size=4)
    with pytest.raises(ConfigError, match="min_support=0 must be above 0"):
        bought_together(log, min_support=0)
    with pytest.raises(ContractError, match="by='brand' is not an item column"):
        bought_together(log, by="brand")
    assert bought_together(log, min_support=1e9).empty
    assert bought_together(log, as_of="2016-01-01").empty
    assert bought_together(log, size=3, as_of="2016-01-01").columns[2] == "item_c"


def test_sets_are_looked_at_again_in_later_baskets(till: pd.DataFrame, log: Transactions) -> None:
    found = bought_together(log, min_support=20, retest="2017-06-30")
    early = bought_together(log, min_support=20, as_of="2017-06-30")
    pd.testing.assert_frame_equal(found[list(early)], early)
    late = bought_together(log, min_support=1, since="2017-06-30")
    pairs = {frozenset((row.item_a, row.item_b)): row for row in late.itertuples()}
    for row in found.itertuples():
        again = pairs[frozenset((row.item_a, row.item_b))]
        assert row.later_baskets == again.baskets
        assert row.later_lift == pytest.approx(again.lift)
        assert row.later_p_value == pytest.approx(again.p_value)


def test_a_pair_of_one_promotion_is_flagged_and_does_not_last() -> None:
    till = till_of(np.random.default_rng(5), 4_000, [0.2, 0.2, 0.2, 1.0])
    poster = (till["purchased_at"] >= "2017-03-01") & (till["purchased_at"] <= "2017-03-31")
    joined = till[poster & (till["category"] == "c00")].assign(category="c01")
    log = Transactions.from_extract(
        pd.concat([till, joined]).drop_duplicates(["order_id", "category"]), until="2017-12-31"
    )
    promotions = pd.DataFrame({"category": ["c01"], "starts": ["2017-03-01"], "ends": ["2017-03-31"]})
    found = bought_together(log, min_support=5, retest="2017-06-30", promotions=promotions).set_index(
        ["item_a", "item_b"]
    )
    pair = found[[{"c00", "c01"} == set(names) for names in found.index]].iloc[0]
    others = found[[{"c00", "c02"} == set(names) for names in found.index]].iloc[0]
    assert pair["q_value"] < 0.01
    assert pair["share_promoted"] > 0.4
    assert pair["lift"] > 1
    assert pair["later_p_value"] > 0.01
    assert others["share_promoted"] == 0
    with pytest.raises(ContractError, match="Columns not found: \\['starts', 'ends'\\]"):
        bought_together(log, promotions=pd.DataFrame({"category": ["c01"]}))


def test_categories_and_stores_share_customers() -> None:
    till = pd.DataFrame(
        {
            "customer_id": list("aaabbbccd"),
            "store": ["north", "south", "north", "north", "south", "south", "north", "south", "east"],
            "purchased_at": pd.date_range("2017-01-01", periods=9),
            "category": ["Milk", "Tea", "Tea", "Milk", "Tea", "Tea", "Milk", "Milk", "Tea"],
            "amount": 1.0,
        }
    )
    log = Transactions.from_extract(till, until="2017-02-28")
    stores = bought_together(log, by="store", min_support=1, each="customer")
    assert stores[["item_a", "item_b", "baskets"]].to_numpy().tolist() == [["north", "south", 3]]
    assert bought_together(log, min_support=1, each="customer")["baskets"].tolist() == [2]
    with pytest.raises(ConfigError, match="each='visit' is neither"):
        bought_together(log, each="visit")
    with pytest.raises(ContractError, match="by='store' is not an item column"):
        bought_together(log, by="store")
