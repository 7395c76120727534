"""What is known ahead, promotions and public holidays, and what such events did to sales before."""

from __future__ import annotations

import numpy as np
import pandas as pd

from crmkit._checks import require, require_columns
from crmkit._days import day_number, day_of
from crmkit._types import Bools, Floats
from crmkit.exceptions import ConfigError
from crmkit.products.series import Series

__all__ = ["event_factors", "events_of", "public_holidays"]

_BESIDE, _OCCASIONS = 4, 0.5


def events_of(events: pd.DataFrame | None, holidays: str | None, series: Series, horizon: int, by: str) -> pd.DataFrame:
    """Events and public holidays as one table: name, starts, ends (day numbers), item or missing."""
    tables = []
    if events is not None:
        require_columns(events, ["name", "starts", "ends"], "The table of events", "Give name, starts and ends.")
        days = {side: pd.to_datetime(events[side]).map(day_number).astype("int64") for side in ("starts", "ends")}
        item = events[by] if by in events else pd.Series([None] * len(events), index=events.index)
        tables.append(pd.DataFrame({"name": events["name"].astype(str), **days, "item": item}))
    if holidays:
        first, last = int(series.starts[0]), series.day + horizon * series.length
        tables.append(public_holidays(holidays, first, last))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["name", "starts", "ends", "item"])


def public_holidays(country: str, first: int, last: int) -> pd.DataFrame:
    """Public holidays of a country ("US") or a part of it ("DE-BY") between two days, as events."""
    package = require("holidays", "forecast")
    land, _, part = country.partition("-")
    years = range(day_of(first).year, day_of(last).year + 1)
    try:
        found = package.country_holidays(land, subdiv=part or None, years=years)
    except (NotImplementedError, AttributeError):
        raise ConfigError(
            f"holidays={country!r}: the package holidays knows no such country. Write it as 'US' or 'DE-BY'."
        ) from None
    days = sorted((day_number(day), name) for day, name in found.items() if first <= day_number(day) <= last)
    return pd.DataFrame([(name, day, day, None) for day, name in days], columns=["name", "starts", "ends", "item"])


def event_factors(series: Series, events: pd.DataFrame, horizon: int) -> tuple[Floats, Floats]:
    """By what sales were multiplied in each period, shape (n, periods), and will be, shape (horizon, n)."""
    n, periods = series.history.shape
    factors = np.ones((n, periods + horizon))
    if not len(events):
        return factors[:, :periods], factors[:, periods:].T
    shown = np.zeros((n, periods), dtype=bool)
    exposures = {name: _exposure(series, of, horizon) for name, of in events.groupby("name", sort=True)}
    for exposure in exposures.values():
        shown |= exposure[:, :periods] > 0
    usual = _usual(series.history, shown)
    for exposure in exposures.values():
        factors *= np.maximum(1.0 + _effect(series.history, usual, exposure[:, :periods]) * exposure, 0.05)
    return factors[:, :periods], factors[:, periods:].T


def _exposure(series: Series, events: pd.DataFrame, horizon: int) -> Floats:
    """Share of each period's days on which an event is on; shape (n, periods + horizon)."""
    n, periods = series.history.shape
    opening = int(series.starts[0])
    on = np.zeros((n, (periods + horizon) * series.length), dtype=bool)
    for starts, ends, item in zip(events["starts"], events["ends"], events["item"], strict=True):
        span = slice(max(int(starts) - opening, 0), max(int(ends) - opening + 1, 0))
        if pd.isna(item):
            on[:, span] = True
        elif item in series.items:
            on[series.items.get_loc(item), span] = True
    return np.asarray(on.reshape(n, -1, series.length).mean(axis=2), dtype=np.float64)


def _usual(history: Floats, shown: Bools) -> Floats:
    """Mean of the periods without any event, of the four before and the four after each."""
    kernel = np.ones(2 * _BESIDE + 1)
    plain = np.where(shown, 0.0, history)
    total = np.apply_along_axis(lambda row: np.convolve(row, kernel, "same"), 1, plain)
    count = np.apply_along_axis(lambda row: np.convolve(row, kernel, "same"), 1, (~shown).astype(float))
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), history), dtype=np.float64)


def _effect(history: Floats, usual: Floats, exposure: Floats) -> float:
    """What a whole period of an event adds, as a share of usual sales; shrunk by how many periods have seen it."""
    weight = float((exposure**2 * usual).sum())
    occasions = int((exposure.max(axis=0) > 0).sum())
    if weight <= 0 or not occasions:
        return 0.0
    raw = float((exposure * (history - usual)).sum()) / weight
    return raw * occasions / (occasions + _OCCASIONS)
