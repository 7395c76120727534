"""How good the forecast would have been at earlier dates, beside the last value and the same period of the last season."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd

from crmkit._types import Bools, Floats
from crmkit.exceptions import ConfigError
from crmkit.products.forecast import Projection, project
from crmkit.products.series import Series, series_of
from crmkit.transactions.log import Transactions

__all__ = ["forecast_accuracy"]

_FEWEST = 8


def forecast_accuracy(
    log: Transactions,
    by: str = "category",
    horizon: int = 4,
    period: str = "week",
    *,
    measure: str = "quantity",
    within: str | None = None,
    origins: int = 4,
    as_of: str | date | None = None,
) -> pd.DataFrame:
    """Forecasts of earlier dates compared with what was sold then, without events.

    Parameters
    ----------
    log, by, horizon, period, measure, within, as_of
        As in `forecast`.
    origins : int
        How many earlier dates, ``horizon`` periods apart, the last one ``horizon`` periods before ``as_of``; fewer where the
        log is short.

    Returns
    -------
    DataFrame
        method (forecast, last value, same period of the last season where there is one); mase (mean absolute error over that
        of the last value within the history, mean over the items), weighted_mase and weighted_rmsse (weighted by what was
        sold before), coverage_80 and coverage_95 (share of what came that lay within the interval), origins, items.

    Raises
    ------
    ConfigError
        As `forecast`, or the history is too short for one origin.

    References
    ----------
    Hyndman & Koehler (2006), International Journal of Forecasting 22(4), 679-688.

    Examples
    --------
    >>> from crmkit.testing import generated_log
    >>> found = forecast_accuracy(generated_log(n_customers=300), origins=2)
    >>> found["method"].tolist()
    ['forecast', 'last value']
    """
    series = series_of(log, by, period, measure, within, as_of)
    periods = series.history.shape[1]
    cuts = [periods - horizon * (k + 1) for k in range(origins) if periods - horizon * (k + 1) >= _FEWEST]
    if not cuts:
        raise ConfigError(f"{periods} periods are too short to look {horizon} ahead from an earlier date.")
    rows = [row for cut in cuts for row in _scores(series, cut, horizon)]
    table = pd.DataFrame(rows).groupby("method", sort=False).mean().reset_index()
    every = table["method"].map(pd.DataFrame(rows)["method"].value_counts()) == len(cuts)
    return table[every].assign(origins=len(cuts), items=len(series.items)).reset_index(drop=True)


def cut_at(series: Series, cut: int) -> tuple[Series, Bools]:
    """The series as they were known after so many periods, and which of them had begun."""
    begun = series.history[:, :cut].sum(axis=1) > 0
    known = replace(
        series,
        items=series.items[begun],
        wholes=np.asarray(series.wholes)[begun],
        history=series.history[begun, :cut],
        first=np.minimum(series.first[begun], cut - 1),
        day=series.day - series.length * (series.history.shape[1] - cut),
    )
    return known, begun


def _scores(series: Series, cut: int, horizon: int) -> list[dict[str, object]]:
    known, begun = cut_at(series, cut)
    came = series.history[begun, cut : cut + horizon]
    ones = np.ones_like(known.history), np.ones((horizon, len(known.items)))
    made = project(known, horizon, *ones)
    rules = {"forecast": made.mean.T, "last value": np.repeat(known.history[:, -1:], horizon, axis=1)}
    if cut >= 2 * series.season:
        places = cut - series.season + np.arange(horizon) % series.season
        rules["same period of the last season"] = known.history[:, places]
    covered = _covered(made, came)
    return [
        {"method": name, **_errors(known.history, came, rule), **(covered if name == "forecast" else {})}
        for name, rule in rules.items()
    ]


def _covered(made: Projection, came: Floats) -> dict[str, float]:
    def inside(low: int, high: int) -> float:
        least, most = np.minimum(made.at(low), made.mean).T, np.maximum(made.at(high), made.mean).T
        return float(((came >= least - 1e-9) & (came <= most + 1e-9)).mean())

    return {"coverage_80": inside(1, 2), "coverage_95": inside(0, 3)}


def _errors(history: Floats, came: Floats, made: Floats) -> dict[str, float]:
    steps = np.diff(history, axis=1)
    scale, square = np.abs(steps).mean(axis=1), (steps**2).mean(axis=1)
    ok = scale > 0
    if not ok.any():
        return {"mase": float("nan"), "weighted_mase": float("nan"), "weighted_rmsse": float("nan")}
    weight = history[ok].sum(axis=1) / history[ok].sum()
    mase = np.abs(came - made)[ok].mean(axis=1) / scale[ok]
    rmsse = np.sqrt(((came - made) ** 2)[ok].mean(axis=1) / square[ok])
    return {
        "mase": float(mase.mean()),
        "weighted_mase": float(mase @ weight),
        "weighted_rmsse": float(rmsse @ weight),
    }
