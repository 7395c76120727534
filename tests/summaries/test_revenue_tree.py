"""The revenue tree adds up to the cent; flows of customers counted again by hand; potential by the definition of its words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crmkit import ConfigError, Transactions, customer_flows, potential, revenue_tree
from crmkit.summaries._revenue_math import explained


@pytest.fixture(scope="module")
def till() -> pd.DataFrame:
    rng, n = np.random.default_rng(3), 3_000
    return pd.DataFrame(
        {
            "customer_id": rng.integers(0, 300, n).astype(str),
            "purchased_at": pd.Timestamp("2016-10-05") + pd.to_timedelta(rng.integers(0, 300, n), unit="D"),
            "amount": np.round(rng.gamma(2, 6, n), 2),
            "order_id": (np.arange(n) // 2).astype(str),
            "category": rng.choice(["Tea", "Milk", "Bread", "Wine"], n, p=[0.4, 0.3, 0.2, 0.1]),
        }
    )


@pytest.fixture(scope="module")
def log(till: pd.DataFrame) -> Transactions:
    back = till.sample(25, random_state=1).assign(purchased_at=pd.Timestamp("2017-07-03"), order_id="back")
    lines = pd.concat([till, back.assign(amount=-back["amount"])], ignore_index=True)
    return Transactions.from_extract(lines, until="2017-08-02")


@pytest.mark.parametrize("period", ["month", "week", "quarter"])
def test_what_the_factors_explain_adds_up_to_the_cent(log: Transactions, period: str) -> None:
    tree = revenue_tree(log, period)
    known = tree.dropna(subset=["change"])
    assert len(known) > 1
    cents = (known.filter(like="by_") * 100).round().astype(int).sum(axis=1)
    assert (cents == (known["change"] * 100).round().astype(int)).all()
    product = tree["customers"] * tree["frequency"] * tree["basket"] * tree["price"]
    np.testing.assert_allclose(product, tree["revenue"], rtol=1e-12)
    np.testing.assert_allclose(tree["revenue"].diff().iloc[1:], tree["change"].iloc[1:], atol=1e-6)


def test_one_factor_alone_explains_all_that_it_changed() -> None:
    before = np.array([[100.0, 2.0, 3.0, 4.0]])
    np.testing.assert_allclose(explained(before, before * [1.5, 1, 1, 1]), [[1200, 0, 0, 0]], atol=1e-9)
    there, back = explained(before, before[:, ::-1]), explained(before[:, ::-1], before)
    np.testing.assert_allclose(there, -back, atol=1e-9)


def test_flows_counted_again_by_hand(till: pd.DataFrame) -> None:
    found = customer_flows(Transactions.from_extract(till, until="2017-08-02")).set_index(["period", "status"])
    at = till["purchased_at"].dt.to_period("M")
    own = till.groupby(["customer_id", at])["amount"].sum()
    months = pd.period_range("2016-10", "2017-07", freq="M")
    bought = own.unstack().reindex(columns=months)
    for k, month in enumerate(months):
        now, before = bought[month].notna(), bought[months[k - 1]].notna() if k else bought[month].isna() & False
        ever = bought.iloc[:, :k].notna().any(axis=1)
        groups = {
            "new": now & ~ever,
            "retained": now & before,
            "returning": now & ever & ~before,
            "lapsed": before & ~now,
        }
        for status, who in groups.items():
            if who.any():
                row = found.loc[(month.start_time, status)]
                assert row["customers"] == who.sum()
                money = bought.loc[who, month].fillna(0).sum()
                assert row["revenue"] == pytest.approx(money, abs=1e-6)
                if status in ("retained", "lapsed"):
                    assert row["revenue_before"] == pytest.approx(bought.loc[who, months[k - 1]].sum(), abs=1e-6)


def test_the_money_of_flows_is_the_change_of_revenue(log: Transactions) -> None:
    flows = customer_flows(log)
    assert "returns only" in set(flows["status"])
    sums = flows.groupby("period")[["revenue", "revenue_before"]].sum()
    np.testing.assert_allclose(sums["revenue"].shift().iloc[1:], sums["revenue_before"].iloc[1:], atol=1e-6)
    np.testing.assert_allclose(revenue_tree(log)["revenue"], sums["revenue"], atol=1e-6)


def test_the_future_changes_nothing(till: pd.DataFrame) -> None:
    short = Transactions.from_extract(till[till["purchased_at"] < "2017-05-01"], until="2017-04-30")
    whole = Transactions.from_extract(till, until="2017-08-02")
    pd.testing.assert_frame_equal(revenue_tree(whole, as_of="2017-04-30"), revenue_tree(short))
    pd.testing.assert_frame_equal(potential(whole, as_of="2017-04-30"), potential(short))
    with pytest.raises(ConfigError, match="period='year'"):
        revenue_tree(whole, "year")


def test_potential_by_hand(till: pd.DataFrame) -> None:
    found = potential(Transactions.from_extract(till, until="2017-08-02"), window=1000, bands=4).set_index(
        "customer_id"
    )
    days = till.groupby("customer_id")["purchased_at"].nunique()
    spend = till.groupby(["customer_id", "category"])["amount"].sum().unstack().reindex(found.index)
    ordered = sorted(days.index, key=lambda one: (days[one], one))
    band = pd.Series({one: 1 + 4 * place // len(ordered) for place, one in enumerate(ordered)}).reindex(found.index)
    assert found["band"].tolist() == band.tolist()
    for _, rows in spend.groupby(band):
        mean, usual = rows.fillna(0).mean(), rows.notna().mean() >= 0.5
        headroom = (mean - rows.fillna(0)).clip(lower=0).sum(axis=1)
        np.testing.assert_allclose(found.loc[rows.index, "headroom"], headroom, atol=1e-9)
        assert found.loc[rows.index, "items_elsewhere"].tolist() == (rows.isna() & usual).sum(axis=1).tolist()
    assert found["share_of_weeks"].between(0, 1).all()
    assert found["share_of_wallet"].between(0, 1).all()
