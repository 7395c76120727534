"""Base rates of past origins: how many churned, how many a model predicted, and what last year says of this season."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import pandas as pd
from scipy.special import expit

from crmkit._types import Floats
from crmkit.churn._logistic_math import shift_to_rate
from crmkit.churn.training import STEP, YEAR
from crmkit.evaluation.metrics.intervals import jeffreys_share

__all__ = ["base_rates", "year_ago", "year_ago_in_words"]


def base_rates(
    z: Floats, churned: pd.Series[float], day: pd.Series[int], date_of: Callable[[int], date]
) -> pd.DataFrame:
    """Of each origin: day, n, observed and predicted share of customers without a purchase, and shift, the log-odds between.

    Parameters
    ----------
    z : array (n_rows,)
        Log-odds that the model gives to the rows of a training table.
    churned, day : Series (n_rows,)
        What happened, and the rows' day numbers.
    date_of : callable
        From a day number to its date.
    """
    parts = []
    for one in sorted(day.unique()):
        place = np.flatnonzero(day == one)
        label, here = churned.to_numpy()[place], z[place]
        shift = shift_to_rate(here, jeffreys_share(label))
        parts.append((date_of(one), len(label), float(label.mean()), float(expit(here).mean()), shift))
    return pd.DataFrame(parts, columns=["day", "n", "observed", "predicted", "shift"])


def year_ago(rates: pd.DataFrame, as_of: date) -> float:
    """What the same window a year (364 days) before adds to the log-odds: how far off the model was then.

    0 where no such origin is known, and where the shift is within twice its noise: its standard error, or, where that is
    larger, the usual step from one origin to the next (a median, over √2; a season's smooth course hardly adds to it).

    Examples
    --------
    >>> rates = pd.DataFrame({"day": [date(2016, 11, 10), date(2016, 11, 24)], "n": [1000, 1000],
    ...     "observed": [0.6, 0.3], "predicted": [0.59, 0.6], "shift": [0.04, -1.25]})
    >>> year_ago(rates, date(2017, 11, 23)), year_ago(rates, date(2017, 11, 9)), year_ago(rates, date(2017, 6, 1))
    (-1.25, 0.0, 0.0)
    """
    place = _row_of(rates, as_of)
    if place is None:
        return 0.0
    row = rates.iloc[place]
    steps = rates["shift"].diff().abs().drop(rates.index[[place, min(place + 1, len(rates) - 1)]])
    usual = 1.4826 * float(np.nan_to_num(steps.median())) / np.sqrt(2)
    share = (row["observed"] * row["n"] + 0.5) / (row["n"] + 1)
    error = 1 / np.sqrt(row["n"] * share * (1 - share))
    return float(row["shift"]) if abs(row["shift"]) > 2 * max(error, usual) else 0.0


def _row_of(rates: pd.DataFrame, as_of: date) -> int | None:
    """The origin nearest to a year before, if it is within half a step."""
    if not len(rates):
        return None
    away = (pd.to_datetime(rates["day"]) - pd.Timestamp(as_of - timedelta(days=YEAR))).dt.days.abs()
    place = int(np.argmin(away))
    return place if away.iloc[place] <= STEP / 2 else None


def year_ago_in_words(rates: pd.DataFrame, as_of: date) -> str:
    """By how much the model was off in the same window a year before, in words; empty where it adds nothing."""
    place, shift = _row_of(rates, as_of), year_ago(rates, as_of)
    if place is None or not shift:
        return ""
    row = rates.iloc[place]
    return (
        f" In the same window a year earlier {row['observed']:.1%} churned against {row['predicted']:.1%} predicted, so "
        f"the log-odds are shifted by {shift:+.2f}."
    )
