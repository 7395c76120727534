"""The simple rules that a purchase model is compared with."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from crmkit.models._columns import aligned

__all__ = ["LastSeason", "OwnPastRate", "PredictZero"]
_SHORTEST = 91


# -- Candidates that need no model -------------------------------------------------------------------------------------


class PredictZero(BaseEstimator):  # type: ignore[misc]
    """Nobody buys again: what every score must be read against."""

    def fit(self, customers: Any, y: None = None, sample_weight: Any = None) -> Self:
        """Nothing to learn."""
        return self

    def expected_purchases(self, customers: Any, horizon: float) -> pd.Series[float]:
        """0 for everyone."""
        return aligned(np.zeros(len(customers)), customers, "expected_purchases")


class OwnPastRate(PredictZero):
    """Each customer goes on at the rate of the past: frequency / T, T counted as 91 days at least."""

    def expected_purchases(self, customers: Any, horizon: float) -> pd.Series[float]:
        """The rate times ``horizon``."""
        rate: pd.Series[float] = customers["frequency"] / np.maximum(customers["T"], _SHORTEST)
        return rate * horizon


class LastSeason(OwnPastRate):
    """The rate of the past for whoever bought in the last 91 days, nothing for the others: the hiatus heuristic.

    Wübben & von Wangenheim (2008), "Instant customer base analysis: managerial heuristics often get it right", Journal of
    Marketing 72(3).
    """

    def expected_purchases(self, customers: Any, horizon: float) -> pd.Series[float]:
        """The rate times ``horizon``, or 0."""
        recent: pd.Series[bool] = customers["T"] - customers["recency"] <= _SHORTEST
        return super().expected_purchases(customers, horizon) * recent
