"""The simple rules that purchase models and lifetime values are compared with."""

from __future__ import annotations

from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from crmkit._types import Table
from crmkit.models._columns import aligned

__all__ = ["RULES", "OwnRate", "OwnRateIfSeenLately", "PredictZero", "RecentRate"]

SHORTEST = 91


class PredictZero(BaseEstimator):  # type: ignore[misc]
    """Predicts no repeat purchase and no spend: the trivial baseline."""

    def fit(self, customers: Table, y: None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Nothing to learn."""
        return self

    def expected_purchases(self, customers: pd.DataFrame, horizon: float) -> pd.Series[float]:
        """0 for everyone."""
        return aligned(np.zeros(len(customers)), customers, "expected_purchases")

    def expected_spend(self, customers: pd.DataFrame, horizon: float) -> pd.Series[float]:
        """0 for everyone."""
        return aligned(np.zeros(len(customers)), customers, "expected_spend")


class OwnRate(PredictZero):
    """Each customer goes on at the rate of the past: frequency / T, T counted as 91 days at least.

    The first purchase is not counted: it made the customer one, whoever never came back has a rate of 0.
    """

    def expected_purchases(self, customers: pd.DataFrame, horizon: float) -> pd.Series[float]:
        """The rate times ``horizon``."""
        rate: pd.Series[float] = customers["frequency"] / np.maximum(customers["T"], SHORTEST)
        return rate * horizon

    def expected_spend(self, customers: pd.DataFrame, horizon: float) -> pd.Series[float]:
        """The same times the mean spend of repeat purchases."""
        return self.expected_purchases(customers, horizon) * customers["monetary_value"].fillna(0.0)


class OwnRateIfSeenLately(OwnRate):
    """The rate of the past for whoever bought in the last 91 days, nothing for the others: the hiatus heuristic.

    Wübben & von Wangenheim (2008), "Instant customer base analysis: managerial heuristics often get it right", Journal of
    Marketing 72(3).
    """

    def expected_purchases(self, customers: pd.DataFrame, horizon: float) -> pd.Series[float]:
        """The rate times ``horizon``, or 0."""
        recent: pd.Series[bool] = customers["T"] - customers["recency"] <= SHORTEST
        return super().expected_purchases(customers, horizon) * recent


class RecentRate(PredictZero):
    """The rate of the recent past, in which a purchase of age a counts exp(−a / 60 days); columns from `recent_spend`."""

    def expected_purchases(self, customers: pd.DataFrame, horizon: float) -> pd.Series[float]:
        """The rate of purchases times ``horizon``."""
        rate: pd.Series[float] = customers["recent_purchases"]
        return rate * horizon

    def expected_spend(self, customers: pd.DataFrame, horizon: float) -> pd.Series[float]:
        """The rate of spend times ``horizon``."""
        rate: pd.Series[float] = customers["recent_spend"]
        return rate * horizon


RULES: dict[str, PredictZero] = {
    "predict zero": PredictZero(),
    "own rate": OwnRate(),
    "own rate if seen in the last 91 days": OwnRateIfSeenLately(),
    "recent rate (60-day decay)": RecentRate(),
}
"""What needs no model, by the name under which it is printed."""
