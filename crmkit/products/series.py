"""What was sold of each item, period by period: the series that are forecast."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from crmkit._types import Floats, Ints
from crmkit.engine.choose import engine_for
from crmkit.engine.texts import sql_text
from crmkit.exceptions import ConfigError
from crmkit.transactions.log import Transactions, check_item

__all__ = ["PERIODS", "Series", "series_of"]

PERIODS = {"day": (1, 7, 182), "week": (7, 52, 156), "28 days": (28, 13, 65)}
"""Days of a period, periods of a season, and how many of them are looked at."""
_FEWEST = 8


@dataclass(frozen=True)
class Series:
    """What was sold of each item, period by period, up to the close of a day.

    Attributes
    ----------
    items, wholes : Index, array
        The items, and what each is part of (its latest one; "" where nothing is asked for).
    history : array of shape (n, periods)
        Oldest first.
    first : array of shape (n,)
        Period in which each item was sold first; 0 where that was before.
    day : int
        The day at whose close they end.
    length, season : int
        Days of a period, periods of a season.
    """

    items: pd.Index
    wholes: Any
    history: Floats
    first: Ints
    day: int
    length: int
    season: int

    @property
    def starts(self) -> Ints:
        """First day of each period."""
        n = self.history.shape[1]
        return self.day + 1 - self.length * np.arange(n, 0, -1)


def series_of(
    log: Transactions,
    by: str,
    period: str = "week",
    measure: str = "quantity",
    within: str | None = None,
    as_of: str | date | None = None,
) -> Series:
    """The series that are forecast; see `forecast`."""
    for name in filter(None, (by, within)):
        check_item(log, name)
    if period not in PERIODS:
        raise ConfigError(f"period={period!r} is not one of {list(PERIODS)}.")
    if measure not in ("quantity", "sales"):
        raise ConfigError(f"measure={measure!r} is neither 'quantity' nor 'sales'.")
    length, season, most = PERIODS[period]
    day = log.close_of(as_of)
    with engine_for(log) as engine:
        lines = engine.parquet(log.lines)
        opened = engine.frame(f"select min(day) as day from {lines} where units > 0 and day <= :as_of", {"as_of": day})
        text = sql_text(
            "products/item_periods",
            item=engine.quoted(by),
            within=engine.quoted(within) if within else "''",
            lines=lines,
        )
        opening = opened["day"][0]
        periods = 0 if pd.isna(opening) else min((day - int(opening) + 1) // length, most)
        if periods < _FEWEST:
            raise ConfigError(
                f"{periods} whole periods ({period}) have been observed; a forecast needs {_FEWEST}. Choose a shorter period."
            )
        sold = engine.frame(text, {"as_of": day, "length": length, "periods": periods})
    return _series(sold, measure, periods, day, length, season)


def _series(sold: pd.DataFrame, measure: str, periods: int, day: int, length: int, season: int) -> Series:
    code, items = pd.factorize(sold["item"], sort=True)
    history, first = np.zeros((len(items), periods)), np.zeros(len(items), dtype=np.int64)
    np.add.at(history, (code, periods - 1 - sold["ago"].to_numpy("int64")), sold[measure].fillna(0).to_numpy("float64"))
    first[code] = np.maximum(periods - 1 - (day - sold["first"].to_numpy("int64")) // length, 0)
    latest = sold.assign(code=code)[["code", "whole"]].drop_duplicates("code").sort_values("code")
    return Series(
        pd.Index(items), latest["whole"].fillna("").to_numpy(), np.maximum(history, 0.0), first, day, length, season
    )
