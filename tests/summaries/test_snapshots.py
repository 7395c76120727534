"""Snapshots of customers: against plain pandas, and nothing of what comes later."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crmkit import ContractError, LeakError, Products, Transactions, btyd_summary
from crmkit.churn.features import THEMES, customer_features, date_terms
from crmkit.summaries.snapshots import snapshots
from crmkit.testing import generated_sales

DAY = "2017-08-15"


@pytest.fixture(scope="module")
def sales() -> pd.DataFrame:
    return generated_sales(n_customers=300, days=300, seed=2)


@pytest.fixture(scope="module")
def log(sales: pd.DataFrame) -> Transactions:
    return Transactions.from_extract(sales, until="2017-10-27")


def test_the_state_is_what_pandas_counts(sales: pd.DataFrame, log: Transactions) -> None:
    with snapshots(log) as shop:
        state = shop.state(DAY).set_index("customer_id")
    past = sales[sales["purchased_at"] < "2017-08-16"]
    day = past["purchased_at"].dt.normalize()
    for who, days in day.groupby(past["customer_id"]):
        age = (pd.Timestamp(DAY) - pd.Series(days.unique()).sort_values()).dt.days.to_numpy()
        gaps, row = -np.diff(age), state.loc[who]
        assert row["days_since_last"] == age[-1]
        assert row["longest_gap"] == max(gaps, default=0)
        assert row["last_gap"] == (gaps[-1] if len(gaps) else 0)
        assert row["longer_gaps"] == (gaps >= age[-1]).sum()
        assert row["squared_gaps"] == (gaps**2).sum()
        assert row["days_28"] == (age < 28).sum()
        assert row["decayed_60"] == pytest.approx(np.exp(-age / 60).sum(), rel=1e-12)
        assert row["n_categories"] == past.loc[days.index, "category"].nunique()
    money = past.groupby("customer_id")["amount"].sum()
    np.testing.assert_allclose(state["spend"], money.loc[state.index], atol=1e-6)


def test_it_holds_the_columns_of_the_buy_till_you_die_summary(log: Transactions) -> None:
    with snapshots(log) as shop:
        state = shop.state(DAY)
    summary = btyd_summary(log, DAY).drop(columns="first_value")
    pd.testing.assert_frame_equal(state[summary.columns], summary, check_exact=True)


def test_discounts_brands_and_returns_by_the_day_they_were_known() -> None:
    till = pd.DataFrame(
        {
            "customer_id": "a", "purchased_at": ["2017-01-01", "2017-01-10", "2017-02-10"], "amount": [6.0, 9.0, -9.0],
            "quantity": [1, 1, -1], "order_id": ["1", "2", "3"], "returned_order_id": [None, None, "2"],
            "product_id": ["s", "n", "n"], "discount": [2.0, 0.0, 0.0],
        }
    )  # fmt: skip
    goods = Products.from_extract(
        pd.DataFrame({"product_id": ["s", "n"], "category": ["x", "y"], "brand_type": ["store", "national"]})
    )
    log = Transactions.from_extract(till, until="2017-03-01", products=goods)
    with snapshots(log) as shop:
        early, late = (customer_features(shop.state(day), 30) for day in ("2017-01-31", "2017-02-28"))
        assert shop.state("2017-01-31")["spend"].tolist() == [15.0]
        assert shop.state("2017-02-28")["spend"].tolist() == [6.0]
    assert early["store_brand_share"].tolist() == [pytest.approx(0.4)]
    assert early["discount_share"].tolist() == [pytest.approx(2 / 17)]
    assert late["categories"].tolist() == early["categories"].tolist()


def test_labels_are_the_days_after_and_no_others() -> None:
    till = pd.DataFrame(
        {
            "customer_id": ["in", "in", "out", "out"],
            "amount": 1.0,
            "purchased_at": ["2017-01-01", "2017-01-20", "2017-01-01", "2017-01-21"],
        }
    )
    with snapshots(Transactions.from_extract(till, until="2017-02-01")) as shop:
        state = shop.state("2017-01-10")
        assert shop.labels(state, "2017-01-10", 10).tolist() == [0.0, 1.0]
        assert shop.labels(state, "2017-01-10", 11).tolist() == [0.0, 0.0]
        assert shop.labels(state, "2017-01-20", 10).tolist() == [1.0, 0.0]
        with pytest.raises(LeakError, match="not all observed"):
            shop.labels(state, "2017-01-25", 10)
        with pytest.raises(LeakError, match="last day observed"):
            shop.state("2017-02-02")


def test_every_feature_is_finite_and_speaks_of_one_theme(log: Transactions) -> None:
    with snapshots(log) as shop:
        state = shop.state(DAY)
    table = customer_features(state, 30, np.zeros(len(state)), date_terms(17_000, 30))
    assert np.isfinite(table.to_numpy()).all()
    told = [name for names in THEMES.values() for name in names]
    assert len(told) == len(set(told))
    assert set(table.columns) == set(told) - set(THEMES["service"])
    with pytest.raises(ContractError, match="days_since_last"):
        customer_features(btyd_summary(log, DAY), 30)


def test_a_share_of_the_customers_is_the_same_on_all_days(log: Transactions) -> None:
    with snapshots(log) as shop, snapshots(log) as whole:
        part = whole.some(0.4)
        early, late, all_of = part.state("2017-06-01"), part.state(DAY), shop.state(DAY)
    assert 0.25 < len(late) / len(all_of) < 0.55
    assert set(early["customer_id"]) <= set(late["customer_id"])
    whole = all_of[all_of["customer_id"].isin(late["customer_id"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(whole, late, check_exact=True)


def test_partitions_of_the_customers_give_what_all_of_them_together_give(
    log: Transactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked() -> list[pd.DataFrame]:
        with snapshots(log) as shop:
            return [shop.state(DAY), shop.state(), shop.window(shop.day(DAY), shop.day(DAY) + 30)]

    whole = asked()
    for name in ("_ROWS", "_PART"):
        monkeypatch.setattr(f"crmkit.summaries._partitions.{name}", 400)
    with snapshots(log) as shop:
        assert 5 <= len(shop._rows) <= 16
    for one, parts in zip(whole, asked(), strict=True):
        pd.testing.assert_frame_equal(one, parts, check_exact=True)


def test_a_window_holds_what_was_bought_and_taken_back_in_it(sales: pd.DataFrame, log: Transactions) -> None:
    with snapshots(log) as shop:
        window = shop.window(shop.day("2017-03-31"), shop.day("2017-04-30")).set_index("customer_id")
    april = sales[sales["purchased_at"].between("2017-04-01", "2017-04-30 23:59:59")]
    by = april.groupby("customer_id")
    expected = pd.DataFrame(
        {
            "purchases": by["purchased_at"].agg(lambda at: at.dt.normalize().nunique()),
            "spend": by["amount"].sum(),
            "n_categories": by["category"].nunique(),
        }
    ).reindex(window.index, fill_value=0)
    pd.testing.assert_frame_equal(window, expected, check_dtype=False, check_names=False)


def test_customers_without_categories_or_lines_have_none() -> None:
    till = pd.DataFrame({"customer_id": ["a", "b"], "purchased_at": "2017-01-01", "amount": [1.0, 2.0]})
    with snapshots(Transactions.from_extract(till, until="2017-01-31")) as shop:
        assert shop.state()[["n_lines", "n_categories", "categories_84"]].to_numpy().tolist() == [[1, 0, 0]] * 2
        assert len(shop.state("2016-12-31")) == 0


def test_the_order_of_the_rows_moves_no_bit(sales: pd.DataFrame, log: Transactions) -> None:
    other = Transactions.from_extract(sales.sample(frac=1, random_state=1), until="2017-10-27")
    with snapshots(log) as one, snapshots(other) as two:
        pd.testing.assert_frame_equal(one.state(DAY), two.state(DAY), check_exact=True)
