"""What stays of what coupons moved: who keeps to the store's brand after a switch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from crmkit._checks import require_columns
from crmkit._days import as_day, day_number
from crmkit.engine.choose import engine_for
from crmkit.engine.frames import to_pandas
from crmkit.offers._redemption_math import shrunk_share
from crmkit.offers.shares import NARROWING, matches_deal
from crmkit.transactions.log import Transactions

__all__ = ["SwitchRetention", "switch_retention"]

_LOOK = 365


@dataclass(frozen=True)
class SwitchRetention:
    """Of later purchases in the category, the share that stay with the goods a coupon moved a member to; prints as a sentence.

    Attributes
    ----------
    retention, sd : float
        Posterior mean, and its standard deviation.
    switches : int
        Redemptions that were followed.
    purchases : int
        Later purchase days in their categories.
    """

    retention: float
    sd: float
    switches: int
    purchases: int

    def __str__(self) -> str:
        return (
            f"{self.purchases:,} later purchase days after {self.switches:,} switches to the store's brand: {self.retention:.0%} "
            f"(± {1.96 * self.sd:.0%}) of what was bought otherwise stays with it."
        )


def switch_retention(
    log: Transactions,
    redeemed: pd.DataFrame,
    as_of: str | date | None = None,
    prior: float = 0.1,
    prior_weight: float = 50.0,
) -> SwitchRetention:
    """How much of a switch stays: purchases after a redemption against the member's own share before it.

    With s the member's share of the goods in the category in the year before (shrunk towards that of all switches with the
    weight of two purchases), n later purchase days of which k were of the goods, and a prior worth w days::

        retention = (sum (k - s n) + prior w) / (sum (1 - s) n + w)

    Whoever redeems may have been about to switch anyway; that part is not told apart here.

    Parameters
    ----------
    log : Transactions
    redeemed : DataFrame
        customer_id, category, redeemed_at, and what narrows the goods (brand, product_id, brand_type): redemptions of deals
        on goods to which members were to be moved.
    as_of : date, optional
    prior, prior_weight : float

    Returns
    -------
    SwitchRetention

    Examples
    --------
    A member who never bought the store's tea redeems a coupon for it, and takes it at two of four later purchases:

    >>> days = ["2017-01-01", "2017-01-08", "2017-01-15", "2017-01-22", "2017-01-29", "2017-02-05", "2017-02-12"]
    >>> till = pd.DataFrame({"customer_id": "a", "purchased_at": days, "amount": 1, "category": "Tea",
    ...                      "brand_type": ["national"] * 2 + ["store"] * 3 + ["national"] * 2})
    >>> log = Transactions.from_extract(till, until="2017-02-28")
    >>> redeemed = pd.DataFrame({"customer_id": ["a"], "category": "Tea", "brand_type": "store", "redeemed_at": "2017-01-15"})
    >>> print(switch_retention(log, redeemed, prior_weight=1.0))
    4 later purchase days after 1 switches to the store's brand: 42% (± 39%) of what was bought otherwise stays with it.
    """
    require_columns(redeemed, ["customer_id", "category", "redeemed_at"], "redeemed")
    around = _around(log, redeemed, as_of)
    before, own, after, kept = (around[name].to_numpy(float) for name in around.columns)
    share = shrunk_share(own, before, np.full(len(own), own.sum() / before.sum() if before.sum() else 0.0))
    room = float(((1 - share) * after).sum()) + prior_weight
    found = min(max((float((kept - share * after).sum()) + prior * prior_weight) / room, 0.0), 1.0)
    sd = math.sqrt(found * (1 - found) / (room + 1))
    return SwitchRetention(found, sd, len(redeemed), int(after.sum()))


def _around(log: Transactions, redeemed: pd.DataFrame, as_of: str | date | None) -> pd.DataFrame:
    """Purchase days of the category before and after each switch, and those of its goods."""
    names = ["days_before", "own_before", "days_after", "own_after"]
    if not len(redeemed) or "category" not in log.items:
        return pd.DataFrame({name: pd.Series(dtype=float) for name in names})
    narrowing = [name for name in NARROWING if name in log.items and name in redeemed and redeemed[name].notna().any()]
    table = redeemed[["customer_id", "category", *narrowing]].assign(
        switch=np.arange(len(redeemed)),
        day=[day_number(as_day(day)) for day in pd.to_datetime(redeemed["redeemed_at"]).dt.date],
    )
    with engine_for(log) as engine:
        found = engine.summary(
            "campaigns/around_switches",
            {"as_of": log.close_of(as_of), "look": _LOOK},
            lines=engine.parquet(log.lines),
            switches=engine.register(table),
            matches=" and ".join(matches_deal("l", "s", name) for name in narrowing) or "1 = 1",
        )
    return to_pandas(found)[names].astype(float)
