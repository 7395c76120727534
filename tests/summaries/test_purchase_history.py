"""One history for many days: the same bits in parts, from a longer log, and by exact decimals one at a time."""

from __future__ import annotations

import math
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crmkit import LeakError, Transactions
from crmkit.summaries import _partitions
from crmkit.summaries._exact_math import Exact, decayed
from crmkit.summaries.items import item_bought, item_panel, item_state
from crmkit.summaries.purchase_history import purchase_history
from crmkit.testing import generated_sales

LEVELS = ["product_id", "category"]


@pytest.fixture(scope="module")
def sales() -> pd.DataFrame:
    """Three hundred customers, some of whose purchases come back days later."""
    sold = generated_sales(n_customers=300, days=200, seed=11).assign(quantity=1.0)
    back = sold.sample(frac=0.05, random_state=0)
    later = back["purchased_at"] + pd.to_timedelta(np.arange(len(back)) % 40, unit="D")
    back = back.assign(
        quantity=-1.0,
        amount=-back["amount"],
        purchased_at=later,
        returned_order_id=back["order_id"],
        order_id="r" + back["order_id"],
    )
    return pd.concat([sold, back[later < "2017-07-20"]], ignore_index=True)


@pytest.fixture(scope="module")
def log(sales: pd.DataFrame) -> Transactions:
    return Transactions.split_extract(sales, until="2017-07-20")[0]


def test_sums_are_those_of_decimals_whatever_their_order() -> None:
    ages = np.random.default_rng(0).integers(0, 400, 3000)
    starts = np.arange(0, 3000, 7)
    found = decayed(ages, 150).sums(starts).to_float()
    units = [round(math.exp(-age / 150) * 1e18) for age in range(400)]
    for start, value in zip(starts, found, strict=True):
        exact = sum(units[age] for age in ages[start : start + 7])
        assert value == float(Decimal(exact) / 10**18)
    turned = decayed(ages[:7][::-1], 150).sums(np.array([0])).to_float()
    assert turned[0] == found[0]


def test_a_sum_is_the_nearest_floating_number() -> None:
    rng = np.random.default_rng(1)
    high, low = rng.integers(0, 10**12, 5000), rng.integers(0, 10**12, 5000)
    high[:1000], low[:500] = 0, rng.integers(0, 50, 500)
    found = Exact(high, low).to_float()
    for one, other, value in zip(high.tolist(), low.tolist(), found, strict=True):
        assert value == (one * 10**9 + other) / 10**18  # of whole numbers Python's quotient is rounded once


@pytest.mark.parametrize("day", ["2017-04-30", "2017-07-20"])
def test_the_state_counts_what_was_not_taken_back_by_then(log: Transactions, day: str) -> None:
    lines = pd.read_parquet(log.lines)
    close = log.close_of(day)
    lines = lines[(lines["day"] <= close) & lines["customer_id"].notna() & (lines["units"] != 0)]
    stands = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for row in lines.itertuples():
        stands[row.customer_id, row.category, row.buy_day][0] += row.units
        stands[row.customer_id, row.category, row.buy_day][1] += row.amount
    bought = defaultdict(dict)
    for (customer, item, at), (units, amount) in stands.items():
        if units > 0:
            bought[customer, item][at] = amount
    state = item_state(log, "category", day).set_index(["customer_id", "item"])
    assert set(state.index) == set(bought)
    for pair, days in bought.items():
        row, age = state.loc[pair], [close - at for at in days]
        assert (row["frequency"], row["recency"], row["T"]) == (len(days) - 1, max(age) - min(age), max(age))
        assert row["spend"] == float(sum(days.values())) / len(days)
        units = sum(round(math.exp(-at / 45) * 1e18) for at in age)
        assert row["decayed_45"] == float(Decimal(units) / 10**18)


def test_parts_of_the_customers_give_what_all_of_them_give(log: Transactions, monkeypatch: pytest.MonkeyPatch) -> None:
    def tables() -> list[pd.DataFrame]:
        return [item_state(log, LEVELS, "2017-06-01"), item_bought(log, "category", "2017-06-01", 30)]

    whole = tables()
    for name in ("_ROWS", "_PART"):
        monkeypatch.setattr(_partitions, name, 900)
    for one, other in zip(whole, tables(), strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_one_customer_has_the_same_row_as_among_all(log: Transactions) -> None:
    whole = item_state(log, LEVELS)
    customer = whole["customer_id"].iloc[len(whole) // 2]
    with purchase_history(log, LEVELS, customer_id=customer) as history:
        mine = whole[whole["customer_id"] == customer].reset_index(drop=True)
        pd.testing.assert_frame_equal(history.state(), mine, check_exact=True)


def test_rows_appended_later_move_no_bit(sales: pd.DataFrame, log: Transactions) -> None:
    day = "2017-05-15"
    before = Transactions.split_extract(sales[sales["purchased_at"] < "2017-05-16"], until=day)[0]
    for by in ("category", LEVELS):
        pd.testing.assert_frame_equal(item_state(before, by), item_state(log, by, day), check_exact=True)
    for one, other in zip(
        item_panel(before, LEVELS, ages=[14, 28]), item_panel(log, LEVELS, day, [14, 28]), strict=True
    ):
        pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_a_history_ends_where_it_was_told_to(log: Transactions) -> None:
    with purchase_history(log, "category", as_of="2017-06-01") as history:
        assert len(history.state("2017-05-01")) < len(history.state())
        with pytest.raises(LeakError, match="after 2017-06-01, the last day of this history"):
            history.state("2017-06-02")
        with pytest.raises(LeakError, match="not all observed"):
            history.bought("2017-05-20", 14)
        with purchase_history(history, "category") as same:
            assert same is history


def test_a_log_is_fetched_once_and_again_when_its_files_change(
    sales: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = []
    whole = _partitions.Partitions.whole
    monkeypatch.setattr(_partitions.Partitions, "whole", lambda *given: fetched.append(1) or whole(*given))
    log = Transactions.split_extract(sales, until="2017-07-20", folder=tmp_path / "log")[0]
    first = [item_state(log, "category", day) for day in ("2017-05-15", "2017-07-20", "2017-05-15")]
    assert len(fetched) == 1
    pd.testing.assert_frame_equal(first[0], first[2], check_exact=True)
    fewer = Transactions.split_extract(sales.head(500), until="2017-07-20", folder=tmp_path / "log")[0]
    assert fewer == log
    assert len(item_state(log, "category")) < len(first[1])
