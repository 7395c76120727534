"""Cards, points and money of members are the same on every engine; few lines, with what is awkward in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from parity.engines import Other, engines, other

from crmkit import (
    PointsBonus,
    PointsLedger,
    PricePromise,
    Transactions,
    at_level,
    cohorts,
    customer_flows,
    level_totals,
    near_identical,
    points_balances,
    points_liability,
    potential,
    revenue_tree,
    rfm_table,
    second_purchase,
    trial_repeat,
)
from crmkit.engine.frames import to_pandas


@pytest.fixture(scope="module")
def log() -> Transactions:
    rng, n = np.random.default_rng(4), 3_000
    till = pd.DataFrame(
        {
            "customer_id": [("C-" if one % 3 else "c") + str(one) for one in rng.integers(0, 120, n)],
            "purchased_at": pd.Timestamp("2017-01-01") + pd.to_timedelta(rng.integers(0, 300, n), unit="D"),
            "amount": np.round(rng.gamma(2, 8, n), 2),
            "product_id": rng.choice([f"p{one}" for one in range(15)], n),
            "quantity": 1,
            "brand_type": rng.choice(["store", "national"], n),
        }
    )
    till["category"] = till["product_id"].str[-1]
    back = till.sample(100, random_state=2).assign(quantity=-1)
    back["amount"], back["purchased_at"] = -back["amount"], back["purchased_at"] + pd.Timedelta(days=4)
    return Transactions.from_extract(pd.concat([till, back], ignore_index=True), until="2017-12-31")


def cards() -> pd.DataFrame:
    n = np.arange(80)
    table = pd.DataFrame({"card": [("C-" if one % 3 else "c") + str(one) for one in n]})
    since = pd.Series(pd.NaT, index=n).mask(pd.Series(n % 5 == 0), pd.Timestamp("2017-06-01"))
    return table.assign(
        member=[f"m{one // 2}" for one in n], unit=[f"u{one // 4}" for one in n], since=pd.to_datetime(since)
    )


def ledger(log: Transactions) -> Any:
    rules = PointsLedger(
        expires=60,
        leave_out="category = '1'",
        bonuses=[PointsBonus("special", "category = '2'", each=3, starts="2017-03-01", ends="2017-03-14")],
        promises=[PricePromise("p3", 5.0, "2017-04-01", "2017-04-30")],
    )
    given = pd.DataFrame({"customer_id": ["C-1", "C-2"], "day": "2017-05-05", "kind": "redeemed", "points": 4})
    return rules.entries(log, given)


def liability(log: Transactions) -> pd.DataFrame:
    found = points_liability(ledger(log), "2017-06-30", 0.1, 60)
    return pd.DataFrame([[found.points, *found.breakage, *found.expected]])


TABLES: dict[str, Callable[[Transactions], Any]] = {
    "rfm_table by member": lambda log: rfm_table(at_level(log, cards(), "member")),
    "rfm_table by unit": lambda log: rfm_table(at_level(log, cards(), "unit")),
    "level_totals": lambda log: level_totals(log, cards()),
    "near_identical": near_identical,
    "cohorts": cohorts,
    "second_purchase": second_purchase,
    "points": ledger,
    "balances of points": lambda log: points_balances(ledger(log), "2017-04-01", "2017-06-30"),
    "liability": liability,
    "revenue_tree": revenue_tree,
    "customer_flows": customer_flows,
    "potential": lambda log: to_pandas(potential(log)).drop(columns="share_of_wallet", errors="ignore"),
    "trial_repeat": lambda log: trial_repeat(log, where="product_id in ('p1', 'p2')", least=1),
}


@pytest.fixture(scope="module", params=engines())
def there(request: pytest.FixtureRequest) -> Other:
    return other(request)


@pytest.mark.parametrize("name", TABLES)
def test_tables_agree(log: Transactions, there: Other, name: str) -> None:
    expected, found = (to_pandas(TABLES[name](one)) for one in (log, there.log(log)))
    keys = [column for column in expected.columns if expected[column].dtype != float]
    expected, found = (one.sort_values(keys, ignore_index=True) if keys else one for one in (expected, found))
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-9)
