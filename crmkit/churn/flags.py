"""Flags of customers by time since the last purchase and by risk: when an absence is unusual, and each flag's threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
import pandas as pd
from scipy.stats import gamma

from crmkit._types import Bools, Floats
from crmkit.churn.features import usual_interval, usual_variation
from crmkit.engine.tables import grouped
from crmkit.exceptions import ModelError

__all__ = ["FLAGS", "changed_thresholds", "flags_of", "proposed_thresholds", "unusual_absence"]


FLAGS = ("active", "cooling", "at risk", "frozen", "lost", "returned")
UNUSUAL = 0.1


def unusual_absence(state: pd.DataFrame, as_of: date, horizon: int) -> pd.DataFrame:
    """Since when each customer has been away for unusually long; columns as in `ChurnModel.early_warning`."""
    frequency, recency, squares = (
        state[name].to_numpy(dtype=np.float64) for name in ("frequency", "recency", "squared_gaps")
    )
    gap, shape = usual_interval(frequency, recency, float(horizon)), usual_variation(frequency, recency, squares) ** -2
    after = np.ceil(gamma.ppf(1 - UNUSUAL, shape, scale=gap / shape)).astype(np.int64)
    away = state["days_since_last"].to_numpy(dtype=np.int64)
    passed = away > after
    since = pd.Timestamp(as_of) - pd.to_timedelta(np.where(passed, away - after - 1, 0), unit="D")
    return pd.DataFrame(
        {
            "customer_id": state["customer_id"],
            "days_since_last": away,
            "usual_interval": gap,
            "unusual_after": after,
            "unusual_since": pd.Series(since, index=state.index).where(passed),
        }
    )


def flags_of(state: pd.DataFrame, p: Floats, unusual: Bools, thresholds: Mapping[str, float]) -> pd.Series[str]:
    """One of `FLAGS` for each customer: the first rule that holds."""
    away = state["days_since_last"].to_numpy()
    rules = {
        "lost": away >= thresholds["lost_after"],
        "frozen": away >= thresholds["frozen_after"],
        "at risk": p >= thresholds["at_risk"],
        "cooling": unusual & (p >= thresholds["cooling"]),
        "returned": state["last_gap"].to_numpy() >= thresholds["frozen_after"],
    }
    return pd.Series(np.select(list(rules.values()), list(rules), "active"), index=state.index, dtype="str")


def proposed_thresholds(state: pd.DataFrame, horizon: int) -> dict[str, float]:
    """Thresholds from customers' longest intervals that ended in a purchase: one in ten was longer than frozen_after, one in a
    hundred than lost_after.

    >>> state = pd.DataFrame({"frequency": [3.0] * 101, "longest_gap": np.arange(101.0)})
    >>> proposed_thresholds(state, horizon=30)
    {'frozen_after': 90.0, 'lost_after': 99.0, 'at_risk': 0.5, 'cooling': 0.25}
    """
    longest = grouped(state[state["frequency"] > 0], "longest_gap", n=("longest_gap", "size"))
    days, n = (longest[name].to_numpy(dtype=np.float64) for name in ("longest_gap", "n"))
    frozen, lost = _quantiles(days, n, (0.90, 0.99)) if len(days) else (3.0 * horizon, 6.0 * horizon)
    frozen = max(float(np.ceil(frozen)), float(horizon))
    return {
        "frozen_after": frozen,
        "lost_after": max(float(np.ceil(lost)), frozen + 1),
        "at_risk": 0.5,
        "cooling": 0.25,
    }


def _quantiles(values: Floats, n: Floats, shares: Sequence[float]) -> list[float]:
    """Quantiles of values in their order, each there ``n`` times, linear between neighbours.

    >>> _quantiles(np.array([1.0, 4.0]), np.array([2.0, 1.0]), (0.5, 0.75))
    [1.0, 2.5]
    """
    until = np.cumsum(n)
    place = np.asarray(shares) * (until[-1] - 1)
    below, above = (values[np.searchsorted(until, side(place), "right")] for side in (np.floor, np.ceil))
    found: list[float] = (below + (above - below) * (place % 1)).tolist()
    return found


def changed_thresholds(thresholds: Mapping[str, float], changes: Mapping[str, float]) -> dict[str, float]:
    """Thresholds with some of them changed; a name that is not one of them, or values out of order, is a ModelError."""
    if unknown := sorted(set(changes) - set(thresholds)):
        raise ModelError(f"Unknown thresholds: {unknown}. There are {sorted(thresholds)}.")
    new = {**thresholds, **{name: float(value) for name, value in changes.items()}}
    if not (0 < new["frozen_after"] <= new["lost_after"] and 0 <= new["cooling"] <= new["at_risk"] <= 1):
        raise ModelError(
            f"Thresholds must be in order, 0 < frozen_after <= lost_after, 0 <= cooling <= at_risk <= 1: {new}."
        )
    return new
