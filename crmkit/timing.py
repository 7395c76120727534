"""`NextPurchase`: when each customer will need each item again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from crmkit.exceptions import ModelError
from crmkit.features import item_state
from crmkit.models.repurchase import RepurchaseRate
from crmkit.transactions import Transactions

__all__ = ["NextPurchase"]

LONGEST = 84


class NextPurchase(BaseEstimator):  # type: ignore[misc]
    """Probability and day of the next purchase of every customer and item.

    Rates are gamma-distributed over the customers of an item (an empirical-Bayes prior per item, shrunk to the pooled
    one), the open spell since the last purchase counts as exposure, and a pair may have stopped for good.

    Parameters
    ----------
    by : str
        Item column of the log: category, product_id, brand, …
    exclude : sequence of str
        Items that are no goods (deposits, miscellaneous codes).

    Attributes
    ----------
    estimator_ : RepurchaseRate
        The estimator over the feature table.

    Examples
    --------
    >>> till = pd.DataFrame({"customer_id": ["a"] * 4, "category": ["Milk"] * 4, "amount": [1, 1, 1, 1],
    ...                      "purchased_at": ["2017-01-01", "2017-01-08", "2017-01-15", "2017-01-22"]})
    >>> log = Transactions.from_extract(till, until="2017-01-26")
    >>> due = NextPurchase(by="category").fit(log).predict(log, horizon=14)
    >>> due.loc[0, "reason"]
    'bought 4 times, every 7 days or so, last 4 days ago'
    """

    def __init__(self, by: str = "category", exclude: Sequence[str] = ()) -> None:
        self.by = by
        self.exclude = exclude

    def fit(self, log: Transactions, as_of: str | date | None = None) -> Self:
        """Learn from what happened up to the close of ``as_of`` (default: the log's ``until``)."""
        self.estimator_ = RepurchaseRate().fit(item_state(log, self.by, as_of, self.exclude))
        return self

    def predict(self, log: Transactions, as_of: str | date | None = None, horizon: int = 14) -> pd.DataFrame:
        """One row per customer and item bought before.

        Returns
        -------
        DataFrame
            customer_id; the item column; p_purchase, P(bought on days as_of + 1 … as_of + horizon); expected_day, given
            that it comes within 84 days; day_10, day_50, day_90, days from ``as_of`` by which it has been bought with
            that probability (missing when beyond 84 days); p_stopped; reason; n_purchases; spend, mean money per
            purchase day; as_of; horizon.
        """
        check_is_fitted(self, "estimator_")
        if not 0 < horizon <= LONGEST:
            raise ModelError(f"horizon={horizon} is not between 1 and {LONGEST} days.")
        close = date(1970, 1, 1) + timedelta(days=log.close_of(as_of))
        state = item_state(log, self.by, as_of, self.exclude)
        model = self.estimator_
        return pd.DataFrame(
            {
                "customer_id": state["customer_id"],
                self.by: state["item"],
                "p_purchase": model.probability_of_purchase(state, horizon),
                "expected_day": model.expected_day(state, LONGEST),
                **{f"day_{round(100 * q)}": model.quantile(state, q, LONGEST) for q in (0.1, 0.5, 0.9)},
                "p_stopped": model.probability_stopped(state),
                "reason": _reasons(state),
                "n_purchases": state["frequency"] + 1,
                "spend": state["spend"],
                "as_of": pd.Timestamp(close),
                "horizon": horizon,
            }
        )


def _reasons(state: pd.DataFrame) -> pd.Series[str]:
    """Each pair's history in words."""
    silence = state["T"] - state["recency"]
    gap = np.maximum(1, np.round(state["recency"] / np.maximum(state["frequency"], 1))).astype(int)
    last = np.where(silence == 0, "last today", "last " + _days(silence) + " ago")
    often = "bought " + _times(state["frequency"] + 1) + ", every " + _days(gap) + " or so, "
    return pd.Series(np.where(state["frequency"] > 0, often + last, "bought once, " + last), dtype="str")


def _days(n: pd.Series[int]) -> pd.Series[str]:
    return pd.Series(np.where(n == 1, "1 day", n.astype("str") + " days"), dtype="str")


def _times(n: pd.Series[int]) -> pd.Series[str]:
    return pd.Series(np.where(n == 2, "twice", n.astype("str") + " times"), dtype="str")
