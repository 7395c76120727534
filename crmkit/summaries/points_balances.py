"""Points of each card over a period, and what the points that stand will cost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd
from scipy.special import ndtri

from crmkit._checks import require_columns
from crmkit._days import as_day, day_number
from crmkit._types import Interval
from crmkit.engine.choose import engine_of
from crmkit.engine.texts import sql_text
from crmkit.exceptions import ConfigError

__all__ = ["PointsLiability", "points_balances", "points_liability"]

_YEARS_AHEAD = 730


def points_balances(ledger: pd.DataFrame, since: str | date, until: str | date) -> pd.DataFrame:
    """Opening + earned + bonus + adjusted - returned - redeemed - expired = closing, for each card and to the point.

    Parameters
    ----------
    ledger : DataFrame
        From `PointsLedger.entries`; pandas or Spark.
    since, until : date
        First and last day of the period.

    Returns
    -------
    DataFrame
        customer_id, opening, earned, bonus, adjusted, returned, redeemed, expired, closing.

    Examples
    --------
    >>> ledger = pd.DataFrame({"customer_id": "a", "day": pd.to_datetime(["2017-01-02", "2017-02-03", "2017-02-04"]),
    ...     "kind": ["earned", "earned", "redeemed"], "points": [5, 3, -4]})
    >>> points_balances(ledger, "2017-02-01", "2017-02-28")[["opening", "earned", "redeemed", "closing"]]
       opening  earned  redeemed  closing
    0        5       3         4        4
    """
    require_columns(ledger, ["customer_id", "day", "kind", "points"], "The ledger")
    first, last = day_number(since), day_number(until)
    if first > last:
        raise ConfigError(f"since={since} is after until={until}.")
    with engine_of(ledger) as engine:
        text = sql_text("summaries/points_balances", ledger=engine.register(ledger))
        return engine.table(text, {"since": first, "until": last})


@dataclass(frozen=True)
class PointsLiability:
    """What the points that stand will cost.

    Attributes
    ----------
    points : int
        That stand, of all cards above 0.
    money : float
        If every one of them is spent.
    breakage : Interval
        Share of them that is never spent; missing where the past is too short to say.
    expected : Interval
        Money, less breakage.
    window : int
        Days over which the past was watched.
    horizon : int
        Days in which a point can be spent, or two years where none expires.
    """

    points: int
    money: float
    breakage: Interval
    expected: Interval
    window: int
    horizon: int

    def __str__(self) -> str:
        if np.isnan(self.breakage.estimate):
            return (
                f"{self.points:,} points stand, worth {self.money:,.2f}; how many of them will never be spent cannot be said "
                "yet: none that stood earlier has been redeemed."
            )
        return (
            f"{self.points:,} points stand, worth {self.money:,.2f}. {self.breakage.estimate:.0%} of them are expected never to "
            f"be spent (95% interval {self.breakage.low:.0%} to {self.breakage.high:.0%}), which leaves "
            f"{self.expected.estimate:,.2f} ({self.expected.low:,.2f} to {self.expected.high:,.2f})."
        )


def points_liability(
    ledger: pd.DataFrame,
    as_of: str | date,
    worth: float,
    expires: int | None = None,
    window: int = 182,
    level: float = 0.95,
) -> PointsLiability:
    """The liability for points, with breakage estimated from what became of the points that stood ``window`` days ago.

    Parameters
    ----------
    ledger : DataFrame
        From `PointsLedger.entries`; pandas or Spark.
    as_of : date
    worth : float
        Money that a point is worth.
    expires : int, optional
        Days in which a point can be spent; two years are taken where none expires.
    window : int, default 182
        Days; at most ``expires``.
    level : float, default 0.95
        Coverage of the interval.

    Returns
    -------
    PointsLiability

    Notes
    -----
    With B what a card held at the origin and U what of it was redeemed in the window, the share redeemed is r = sum U / sum B. Its
    variance is that of a ratio over cards, n / (n - 1) sum (U - r B)^2 / (sum B)^2, so that one card with many points counts as one
    card. What is left after the window, 1 - r, is carried forward at the same pace to the horizon: (1 - r)^(horizon / window).
    If members slow down as points age, breakage is larger than that.

    References
    ----------
    Cochran (1977), Sampling Techniques, section 6.3.

    Examples
    --------
    >>> ledger = pd.DataFrame({"customer_id": ["a", "b", "a"], "day": pd.to_datetime(["2017-01-02", "2017-01-02", "2017-06-01"]),
    ...     "kind": ["earned", "earned", "redeemed"], "points": [50, 50, -25]})
    >>> found = points_liability(ledger, "2017-07-31", worth=0.10, expires=182)
    >>> found.points, found.breakage.estimate
    (75, 0.75)
    """
    require_columns(ledger, ["customer_id", "day", "kind", "points"], "The ledger")
    if not 0 < level < 1 or window < 1:
        raise ConfigError(f"level={level!r}, window={window!r}: a level is between 0 and 1, a window at least 1 day.")
    close, horizon = as_day(as_of), expires or _YEARS_AHEAD
    days = min(window, horizon)
    values = {"origin": day_number(close - timedelta(days=days)), "until": day_number(close)}
    with engine_of(ledger) as engine:
        known = engine.register(ledger)
        past = engine.frame(sql_text("summaries/points_spent", ledger=known), values).iloc[0]
        now = engine.frame(sql_text("summaries/points_spent", ledger=known), values | {"origin": values["until"]}).iloc[
            0
        ]
    money = float(now["stood"]) * worth
    kept = _share_kept(past, horizon / days, level)
    left = Interval(*(money * (1 - share) for share in (kept.estimate, kept.high, kept.low)))
    return PointsLiability(int(now["stood"]), money, kept, left, days, horizon)


def _share_kept(past: pd.Series[float], times: float, level: float) -> Interval:
    """Share of points that are never spent, from sums over the cards that held some."""
    n, stood = float(past["cards"]), float(past["stood"])
    if n < 2 or not past["used"] > 0:
        return Interval(np.nan, np.nan, np.nan)
    share = float(past["used"]) / stood
    squares = past["used_2"] - 2 * share * past["used_stood"] + share**2 * past["stood_2"]
    width = float(ndtri((1 + level) / 2)) * np.sqrt(max(n / (n - 1) * squares, 0.0)) / stood
    low, high = (min(max(1 - share + sign * width, 0.0), 1.0) for sign in (-1, 1))
    return Interval(*(float(one**times) for one in (1 - share, low, high)))
