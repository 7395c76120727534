"""What is expected of one customer and item, in words and numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import pandas as pd

__all__ = ["LONGEST", "Explanation", "window_in_words"]

LONGEST = 84
"""Days ahead that a curve reaches."""


@dataclass(frozen=True)
class Explanation:
    """What is expected of one customer and item; prints as sentences.

    Attributes
    ----------
    customer_id, item : str
    as_of : date
    horizon : int
    p_purchase : float
        P(bought within ``horizon`` days).
    expectation : str
        When, in words.
    purchases : DataFrame
        day and units of every purchase of the pair.
    curve : DataFrame
        day (0 … 84) and p_bought; empty for a pair never bought.
    reasons : DataFrame
        summary, contribution: what moves the pair's logit away from the average pair's, the largest first.
    """

    customer_id: str
    item: str
    as_of: date
    horizon: int
    p_purchase: float
    expectation: str
    purchases: pd.DataFrame = field(repr=False)
    curve: pd.DataFrame = field(repr=False)
    reasons: pd.DataFrame = field(repr=False)

    def __str__(self) -> str:
        n = len(self.purchases)
        bought = f"bought on {n} day{'s' * (n != 1)}, last on {self.purchases['day'].max():%Y-%m-%d}; " if n else ""
        said = f"{self.item}: {bought}{self.expectation}; bought within {self.horizon} days with probability {self.p_purchase:.0%}."
        why = [f"  {row.contribution:+.2f}  {row.summary}" for row in self.reasons.head(5).itertuples()]
        return "\n".join([said, *why])


def window_in_words(answer: pd.Series, close: date) -> str:
    """The range of days that holds eight purchases of ten, as dates; or that it is more likely not to come."""
    if not np.isfinite(answer["day_10"]):
        return f"no purchase expected within {LONGEST} days"
    first = close + timedelta(days=max(1, int(np.ceil(answer["day_10"]))))
    if not np.isfinite(answer["day_90"]):
        return f"from {first} on, or not within {LONGEST} days"
    return f"likely {first} to {close + timedelta(days=int(np.ceil(answer['day_90'])))}"
