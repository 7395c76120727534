"""What stays of what coupons moved: the retention of switches, against known truths."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crmkit import Transactions
from crmkit.campaigns.kept import switch_retention


def switchers(n: int, kept: float, seed: int = 0) -> tuple[Transactions, pd.DataFrame]:
    """Members who buy tea every week, a tenth of it the store's; after week 26 so many more of the other purchases are."""
    rng = np.random.default_rng(seed)
    weeks = np.tile(np.arange(52), n)
    member = np.repeat([f"M{number:03d}" for number in range(n)], 52)
    own = rng.random(n * 52) < np.where(weeks > 26, 0.1 + 0.9 * kept, 0.1)
    day = pd.Timestamp("2017-01-02") + pd.to_timedelta(7 * weeks, unit="D")
    till = pd.DataFrame({"customer_id": member, "purchased_at": day, "amount": 2.0, "category": "Tea"})
    log = Transactions.from_extract(till.assign(brand_type=np.where(own, "store", "national")), until="2017-12-31")
    redeemed = pd.DataFrame({"customer_id": np.unique(member), "category": "Tea", "brand_type": "store"})
    return log, redeemed.assign(redeemed_at="2017-07-03")


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.4])
def test_the_retention_of_switches_is_found(kept: float) -> None:
    found = switch_retention(*switchers(60, kept))
    assert (found.switches, found.purchases) == (60, 60 * 25)
    assert found.retention == pytest.approx(kept, abs=3 * found.sd + 0.01)
    assert found.sd < 0.02


def test_without_switches_or_before_them_the_prior_stays() -> None:
    log, redeemed = switchers(3, 0.4)
    assert switch_retention(log, redeemed.head(0)).retention == pytest.approx(0.1)
    early = switch_retention(log, redeemed, as_of="2017-07-03")
    assert (early.retention, early.purchases) == (pytest.approx(0.1), 0)
