"""Where products stand in their lives: introduction, growth, maturity or decline, from their own sales curve."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from crmkit._types import Floats, Ints
from crmkit.engine.choose import engine_for
from crmkit.engine.frames import to_pandas
from crmkit.exceptions import ConfigError, LeakError
from crmkit.transactions.log import Transactions, check_item

if TYPE_CHECKING:
    from crmkit._types import Bools

__all__ = ["STAGES", "life_cycle", "relative_slope"]

STAGES = ("introduction", "growth", "maturity", "decline", "unknown")
RUN = 28
_YOUNG = 3
_FEWEST = 4


def life_cycle(
    log: Transactions, by: str = "category", as_of: str | date | None = None, runs: int = 6, min_items: int = 12
) -> pd.DataFrame:
    """The stage of each item at the close of ``as_of``, with what it rests on.

    Sales to everyone, members or not, are summed over runs of 28 days that end with ``as_of``, so every run has each
    weekday four times. A straight line through the last ``runs`` of them gives the slope per run, in shares of the mean run.

    ============  ====================================================================================================
    introduction  first sold in the last 84 days, and the log was open for 84 days before that
    growth        the 95 % interval of the slope is above 0
    decline       it is below 0, or nothing was sold in the last 84 days after ``min_items`` lines before
    maturity      it holds 0
    unknown       fewer than ``min_items`` lines sold in those runs, or fewer than 4 of them observed, and none of the above
    ============  ====================================================================================================

    Parameters
    ----------
    log : Transactions
    by : str
        Item column.
    as_of : date, optional
    runs : int
        4 or more.
    min_items : int
        Lines on which the item was sold.

    Returns
    -------
    DataFrame
        The item column, stage, first_day, age (days since; at least that, where ``age_known`` is False: it was sold
        within 84 days of the log's opening), runs (observed, of those asked for), items, sales_84 and sales_84_before
        (money), share_of_peak (latest run / best run since the opening), slope, slope_low, slope_high (missing where fewer
        than 4 runs were observed), evidence (in words).

    Notes
    -----
    A season looks like growth or decline from inside: half a year of slope in autumn is not a trend. ``share_of_peak``,
    and the same call a year earlier, tell them apart.

    Examples
    --------
    >>> days = pd.date_range("2017-01-01", periods=336)
    >>> till = pd.DataFrame({"customer_id": "a", "purchased_at": list(days) * 2,
    ...                      "category": ["Film"] * 336 + ["Cards"] * 336,
    ...                      "amount": [400 - day for day in range(336)] + [100 + day % 7 for day in range(336)]})
    >>> log = Transactions.from_extract(till, until="2017-12-02")
    >>> life_cycle(log)[["category", "stage", "slope"]].round(3)
      category     stage  slope
    0    Cards  maturity  0.000
    1     Film   decline -0.189
    """
    check_item(log, by)
    if not runs >= _FEWEST:
        raise ConfigError(f"runs={runs} must be {_FEWEST} or more; a slope over fewer has no useful interval.")
    day = log.close_of(as_of)
    with engine_for(log) as engine:
        lines = engine.parquet(log.lines)
        curve = to_pandas(engine.summary("products/life_cycle", {"as_of": day}, item=by, lines=lines))
    curve = curve[curve["first"].notna()]
    if curve.empty:
        raise LeakError(f"No {by} has been sold by {as_of or log.until}.")
    opening = int(curve["opening"].iloc[0])
    whole = (day - opening + 1) // RUN
    return _staged(curve, by, day, opening, whole, runs, min_items)


def _staged(
    curve: pd.DataFrame, by: str, day: int, opening: int, whole: int, runs: int, min_items: int
) -> pd.DataFrame:
    names, first, sales, items = _curves(curve, max(whole, runs))
    seen = min(runs, whole)
    age = day - first
    known = first - opening >= _YOUNG * RUN
    lately, before = sales[:, :_YOUNG].sum(axis=1), sales[:, _YOUNG : 2 * _YOUNG].sum(axis=1)
    slope, low, high = relative_slope(sales[:, :seen][:, ::-1]) if seen >= _FEWEST else np.full((3, len(names)), np.nan)
    n_items = items[:, :runs].sum(axis=1)
    enough = (n_items >= min_items) & (seen >= _FEWEST)
    cases = [
        known & (age < _YOUNG * RUN),
        (items[:, :_YOUNG].sum(axis=1) == 0) & (items.sum(axis=1) >= min_items) & (day - opening >= _YOUNG * RUN),
        ~enough,
        low > 0,
        high < 0,
    ]
    peak = np.maximum(sales.max(axis=1), 1e-9)
    table = pd.DataFrame(
        {
            by: names,
            "stage": np.select(cases, ["introduction", "decline", "unknown", "growth", "decline"], "maturity"),
            "first_day": pd.Timestamp("1970-01-01") + pd.to_timedelta(first, unit="D"),
            "age": age,
            "age_known": known,
            "runs": seen,
            "items": n_items,
            "sales_84": lately,
            "sales_84_before": before,
            "share_of_peak": np.clip(sales[:, 0] / peak, 0.0, 1.0),
            "slope": slope,
            "slope_low": low,
            "slope_high": high,
        }
    )
    return table.assign(evidence=_evidence(table, cases, min_items))


def relative_slope(curves: Floats) -> tuple[Floats, Floats, Floats]:
    """Slope of a least-squares line through each row, in shares of the row's mean, and its 95 % interval (Student's t).

    Parameters
    ----------
    curves : array of shape (n, periods)
        Oldest first, three periods or more.

    Returns
    -------
    slope, low, high : arrays of shape (n,)
        0, 0, 0 for a row whose mean is not above 0.

    Examples
    --------
    >>> slope, low, high = relative_slope(np.array([[1.0, 2, 3, 4], [5.0, 5, 5, 5]]))
    >>> slope.tolist(), low.round(9).tolist()
    ([0.4, 0.0], [0.4, 0.0])
    """
    n = curves.shape[1]
    x = np.arange(n) - (n - 1) / 2
    mean = curves.mean(axis=1)
    level = np.where(mean > 0, mean, 1.0)
    slope = curves @ x / (x @ x)
    left = curves - mean[:, None] - slope[:, None] * x
    reach = stats.t.ppf(0.975, n - 2) * np.sqrt((left**2).sum(axis=1) / (n - 2) / (x @ x))
    zero = mean <= 0
    middle, low, high = (np.where(zero, 0.0, side / level) for side in (slope, slope - reach, slope + reach))
    return middle, low, high


def _curves(curve: pd.DataFrame, n: int) -> tuple[list[str], Ints, Floats, Floats]:
    """Names, first days, and money and lines of each item by run, the latest first."""
    code, names = pd.factorize(curve["item"], sort=True)
    first = np.zeros(len(names), dtype=np.int64)
    first[code] = curve["first"].to_numpy(dtype=np.int64)
    sales, items = np.zeros((2, len(names), n))
    ago = curve["ago"].to_numpy(dtype=np.int64)
    inside = ago < n
    sales[code[inside], ago[inside]] = curve["sales"].to_numpy(dtype=np.float64)[inside]
    items[code[inside], ago[inside]] = curve["items"].to_numpy(dtype=np.float64)[inside]
    return list(names), first, sales, items


def _evidence(table: pd.DataFrame, cases: Sequence[Bools], min_items: int) -> list[str]:
    line = [
        f"{100 * slope:+.1f} % of a mean run in each 28 days ({100 * low:+.1f} to {100 * high:+.1f})"
        for slope, low, high in zip(table["slope"], table["slope_low"], table["slope_high"], strict=True)
    ]
    first = [f"first sold {age} days ago" for age in table["age"]]
    few = [
        f"{items:.0f} lines in {runs} runs of 28 days, fewer than {min_items} lines or {_FEWEST} runs"
        for items, runs in zip(table["items"], table["runs"], strict=True)
    ]
    none = np.full(len(table), f"nothing sold in {_YOUNG * RUN} days", dtype=object)
    return list(np.select(cases[:3], [np.array(first, object), none, np.array(few, object)], np.array(line, object)))
