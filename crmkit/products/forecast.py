"""What will be sold of each item in the next periods, with intervals that its own past errors justify."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from crmkit._types import Floats, Ints
from crmkit.exceptions import ConfigError
from crmkit.products._forecast_math import (
    ahead,
    candidates,
    combined,
    reconciled,
    rolling_errors,
    season_index,
    spread,
    without_season,
)
from crmkit.products.events import event_factors, events_of
from crmkit.products.series import Series, series_of
from crmkit.transactions.log import Transactions

__all__ = ["forecast", "project"]

LEVELS = (0.025, 0.10, 0.90, 0.975)
_COLD, _COLD_PRIOR, _SCORED, _AT_ONCE = 8, 4, 4, 20_000


def forecast(
    log: Transactions,
    by: str = "category",
    horizon: int = 4,
    period: str = "week",
    *,
    measure: str = "quantity",
    within: str | None = None,
    events: pd.DataFrame | None = None,
    holidays: str | None = None,
    as_of: str | date | None = None,
) -> pd.DataFrame:
    """What will be sold of each item in each of the next periods.

    Parameters
    ----------
    log : Transactions
    by : str
        Item column: category, product_id, …
    horizon : int
        Periods ahead.
    period : {"week", "day", "28 days"}
        Periods are counted back from the close of ``as_of``, so that none is observed in part.
    measure : {"quantity", "sales"}
        Pieces sold; or money, returns taken off.
    within : str, optional
        Item column that ``by`` divides, as category is divided by product_id. Its totals are forecast too, and the items are
        moved so that they add up to them, each by its share of the uncertainty.
    events : DataFrame, optional
        What is known ahead: name, starts, ends and, where it is of some items only, the column of ``by``: promotions, school
        holidays. What an event of a name does to sales is learned from its earlier days.
    holidays : str, optional
        Country, ``"US"`` or ``"DE-BY"``: its public holidays as events, by the package holidays.
    as_of : date, optional
        By default the log's ``until``; no later line is read.

    Returns
    -------
    DataFrame
        The item column (and that of ``within``), period_start, mean, low, high (an interval of 80 %), low_95, high_95.
        Ordered by item and period. An item sold in none of the periods looked at (156 weeks, 182 days) has no row.

    Raises
    ------
    ConfigError
        ``period`` or ``measure`` is unknown, ``horizon`` is below 1, fewer than 8 periods have been observed, or the
        package holidays does not know the country.
    ContractError
        The log has no such item column, or ``events`` lacks one.

    Notes
    -----
    Ten smoothers, simple, intermittent and with a damped trend, are weighted by how well each would have forecast the series
    before, a short series by how well they did with all. Where two seasons are there (a week of days, a year of weeks),
    seasonal factors are learned from groups of series. An item of fewer than 8 periods is held near to what items of its
    group (``within``) sold when they were new. Intervals are quantiles of past forecast errors of series of about that size.

    References
    ----------
    Teunter, Syntetos & Babai (2011), European Journal of Operational Research 214(3), 606-615; Gardner & McKenzie (1985),
    Management Science 31(10), 1237-1246; Dekker, van Donselaar & Ouwehand (2004), International Journal of Production
    Economics 90(2), 151-167; Wickramasuriya, Athanasopoulos & Hyndman (2019), JASA 114(526), 804-819.

    Examples
    --------
    >>> days = pd.date_range("2017-01-01", periods=140)
    >>> till = pd.DataFrame({"customer_id": "a", "purchased_at": list(days) * 2, "amount": 1.0,
    ...                      "quantity": [2] * 140 + [1] * 140, "category": ["Milk"] * 140 + ["Tea"] * 140})
    >>> log = Transactions.from_extract(till, until="2017-05-20")
    >>> forecast(log, horizon=1)[["category", "mean"]].round(3)
      category  mean
    0     Milk  14.0
    1      Tea   7.0
    """
    series = series_of(log, by, period, measure, within, as_of)
    _check_horizon(horizon)
    past, future = event_factors(series, events_of(events, holidays, series, horizon, by), horizon)
    made = project(series, horizon, past, future)
    return _as_table(series, made, by, within)


@dataclass(frozen=True)
class Projection:
    """Means, deviations and quantiles of error / deviation; shape (horizon, n) and (horizon, n, levels)."""

    mean: Floats
    deviation: Floats
    quantiles: Floats

    def at(self, place: int) -> Floats:
        """The bound at one of the levels, not below 0."""
        return np.asarray(np.maximum(self.mean + self.deviation * self.quantiles[:, :, place], 0.0), dtype=np.float64)


def _check_horizon(horizon: int) -> None:
    if not isinstance(horizon, int) or horizon < 1:
        raise ConfigError(f"horizon={horizon!r} must be a number of periods, 1 or more.")


def project(
    series: Series, horizon: int, past: Floats, future: Floats, levels: tuple[float, ...] = LEVELS
) -> Projection:
    """Means and errors of each series ahead; ``past`` and ``future`` are what events did, as factors of the sales."""
    _, groups = np.unique(np.asarray(series.wholes, dtype=str), return_inverse=True)
    made = _projected(series.history / past, series.first, groups, series.season, horizon, levels)
    made = _scaled(_warmed(series, made, groups), future)
    if len(set(series.wholes)) == 1 and series.wholes[0] == "":
        return made
    return _agreeing(series, made, groups, past, future, levels)


def _projected(
    history: Floats, first: Ints, groups: Ints, season: int, horizon: int, levels: tuple[float, ...]
) -> Projection:
    """In parts of series of about the same size, which bounds the memory."""
    order = np.argsort(-history.sum(axis=1), kind="stable")
    parts = [order[place : place + _AT_ONCE] for place in range(0, len(order), _AT_ONCE)]
    made = [_part(history[of], first[of], groups[of], season, horizon, levels) for of in parts]
    back = np.argsort(order, kind="stable")
    mean, deviation, quantiles = (
        np.concatenate([getattr(one, name) for one in made], axis=1)[:, back]
        for name in ("mean", "deviation", "quantiles")
    )
    return Projection(mean, deviation, quantiles)


def _part(
    history: Floats, first: Ints, groups: Ints, season: int, horizon: int, levels: tuple[float, ...]
) -> Projection:
    index = season_index(history, groups, season)
    periods = history.shape[1]
    plain = without_season(history, index)
    level, slope = candidates(plain, first)
    errors = rolling_errors(plain, first, level, slope, min(horizon, _SCORED))
    weights = combined(errors, np.maximum(periods - first - _SCORED, 0))
    deviation, quantiles = spread(plain, first, level, slope, weights, horizon, levels)
    mean = np.stack(
        [np.einsum("kn,kn->n", weights, ahead(level[:, :, -1], slope[:, :, -1], step + 1)) for step in range(horizon)]
    )
    return _scaled(Projection(mean, deviation, quantiles), index[:, (periods + np.arange(horizon)) % season].T)


def _scaled(made: Projection, factors: Floats) -> Projection:
    return Projection(made.mean * factors, made.deviation * factors, made.quantiles)


def _warmed(series: Series, made: Projection, groups: Ints) -> Projection:
    """New items held near to what items of their group sold when they were new."""
    age = series.history.shape[1] - series.first
    cold = age < _COLD
    if not cold.any() or (np.asarray(series.wholes) == "").all():
        return made
    place = np.arange(series.history.shape[1]) - series.first[:, None]
    young = (place >= 0) & (place < _COLD)
    begun = (series.history * young).sum(axis=1) / np.maximum(young.sum(axis=1), 1)
    known = (series.first > 0) & (age >= _COLD)
    of = known if known.any() else np.ones_like(known)
    typical = pd.Series(begun[of]).groupby(groups[of]).median().reindex(groups).to_numpy()
    usual = np.where(np.isnan(typical), made.mean[0], typical)
    weight = np.where(cold, _COLD_PRIOR / (age + _COLD_PRIOR), 0.0)
    mean = (1 - weight) * made.mean + weight * usual
    deviation = np.sqrt(made.deviation**2 + (weight * usual) ** 2)
    return Projection(mean, deviation, made.quantiles)


def _agreeing(
    series: Series, made: Projection, groups: Ints, past: Floats, future: Floats, levels: tuple[float, ...]
) -> Projection:
    """Items moved so that those of each group add up to what its own history and theirs say together."""
    n = groups.max() + 1
    members = (groups[None] == np.arange(n)[:, None]).astype(np.float64)
    totals = members @ series.history
    with np.errstate(divide="ignore", invalid="ignore"):
        was = np.nan_to_num(totals / (members @ (series.history / past)), nan=1.0, posinf=1.0)
    first = np.array([series.first[groups == group].min() for group in range(n)])
    whole = _projected(totals / was, first, np.zeros(n, dtype=np.int64), series.season, len(future), levels)
    lift = (made.mean @ members.T) / np.maximum((made.mean / future) @ members.T, 1e-12)
    whole = _scaled(whole, np.where(lift > 0, lift, 1.0))
    mean = made.mean.copy()
    for group in range(n):
        of = groups == group
        mean[:, of] = reconciled(
            made.mean[:, of].T, made.deviation[:, of].T ** 2, whole.mean[:, group], whole.deviation[:, group] ** 2
        ).T
    return Projection(mean, made.deviation, made.quantiles)


def _as_table(series: Series, made: Projection, by: str, within: str | None) -> pd.DataFrame:
    horizon, n = made.mean.shape
    starts = pd.Timestamp("1970-01-01") + pd.to_timedelta(series.day + 1 + series.length * np.arange(horizon), unit="D")
    columns: dict[str, object] = {by: series.items.repeat(horizon)}
    if within:
        columns[within] = np.repeat(series.wholes, horizon)
    columns |= {"period_start": np.tile(starts, n), "mean": made.mean.T.ravel()}
    for name, place in (("low", 1), ("high", 2), ("low_95", 0), ("high_95", 3)):
        bound = made.at(place)
        held = np.minimum(bound, made.mean) if place < 2 else np.maximum(bound, made.mean)
        columns[name] = held.T.ravel()
    return pd.DataFrame(columns)
