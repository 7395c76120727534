"""Trial and repeat of new products, counted again by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crmkit import ConfigError, Transactions, trial_repeat


@pytest.fixture(scope="module")
def till() -> pd.DataFrame:
    rng, n = np.random.default_rng(8), 6_000
    day = rng.integers(0, 200, n)
    product = rng.choice(["old", "own", "brand"], n, p=[0.7, 0.2, 0.1])
    late = (product != "old") & (day < 60)
    rows = pd.DataFrame(
        {
            "customer_id": rng.integers(0, 900, n).astype(str),
            "purchased_at": pd.Timestamp("2017-01-01") + pd.to_timedelta(day, unit="D"),
            "amount": 1.0,
            "product_id": product,
            "category": "Tea",
            "brand_type": np.where(product == "own", "store", "national"),
        }
    )
    return rows[~late].reset_index(drop=True)


def test_counted_again_by_hand(till: pd.DataFrame) -> None:
    log = Transactions.from_extract(till, until="2017-07-31")
    found = trial_repeat(log)
    assert found["product_id"].tolist() == ["own"]
    row, own = found.iloc[0], till[till["product_id"] == "own"]
    assert row["launched"] == own["purchased_at"].min()
    days = own.drop_duplicates(["customer_id", "purchased_at"]).sort_values("purchased_at")
    assert row["triers"] == days["customer_id"].nunique()
    since = till[till["purchased_at"] >= row["launched"]]
    assert row["category_buyers"] == since["customer_id"].nunique()
    first = days.groupby("customer_id")["purchased_at"].min()
    second = days.groupby("customer_id")["purchased_at"].nth(1)
    wait = (days.loc[second.index].set_index("customer_id")["purchased_at"] - first).dt.days
    share = 1.0
    watched = wait.fillna((pd.Timestamp("2017-07-31") - first).dt.days)
    for day in sorted(wait.dropna().unique()):
        if day <= 90:
            share *= 1 - (wait == day).sum() / (watched >= day).sum()
    assert row["repeat_share"] == pytest.approx(1 - share, abs=1e-9)
    assert row["low"] < row["repeat_share"] < row["high"]


def test_conditions_and_limits(till: pd.DataFrame) -> None:
    log = Transactions.from_extract(till, until="2017-07-31")
    assert set(trial_repeat(log, where="true")["product_id"]) == {"own", "brand"}
    assert trial_repeat(log, least=10_000).empty
    short = Transactions.from_extract(till[till["purchased_at"] < "2017-05-01"], until="2017-04-30")
    pd.testing.assert_frame_equal(trial_repeat(log, as_of="2017-04-30"), trial_repeat(short))
    with pytest.raises(ConfigError, match="The condition 'brnd = 1'"):
        trial_repeat(log, where="brnd = 1")
