"""Customers by when they came: who stays, what they bring, and how soon they buy a second time."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
from scipy.special import ndtri

from crmkit._types import Floats, Ints
from crmkit.engine.choose import engine_for
from crmkit.exceptions import ConfigError
from crmkit.transactions.log import Transactions, check_log

__all__ = ["cohorts", "second_purchase"]

PERIODS = ("week", "month", "quarter")
_EPOCH = date(1970, 1, 1)


def cohorts(log: Transactions, period: str = "month", as_of: str | date | None = None) -> pd.DataFrame:
    """Retention and revenue of customers by the period of their first purchase.

    Parameters
    ----------
    log : Transactions
    period : {"month", "week", "quarter"}
        Weeks begin on Monday.
    as_of : date, optional
        Only what happened up to the close of this day counts. By default the log's ``until``.

    Returns
    -------
    DataFrame
        cohort (the first day of the period in which they first bought), period (0 is that one, 1 the next), customers (of the
        cohort), active (how many of them bought in the period), revenue (money, returns taken off). Only periods that were
        observed to their end have a row; one in which nobody of the cohort came has a row of zeros. A pandas table, of a log
        that is `on_spark` too: its size does not depend on the number of customers.

    Raises
    ------
    ConfigError
        There is no such period.

    Notes
    -----
    The first cohort of a log holds everybody who bought before the log began as well, so it is not one of new customers.

    Examples
    --------
    >>> till = pd.DataFrame({"customer_id": ["a", "a", "b", "b"], "amount": [10, 5, 20, 4],
    ...     "purchased_at": ["2017-01-09", "2017-02-01", "2017-01-30", "2017-03-05"]})
    >>> found = cohorts(Transactions.from_extract(till, until="2017-04-10"))
    >>> found
          cohort  period  customers  active  revenue
    0 2017-01-01       0          2       2     30.0
    1 2017-01-01       1          2       1      5.0
    2 2017-01-01       2          2       1      4.0

    >>> found.pivot(index="cohort", columns="period", values="active").div(found.groupby("cohort")["customers"].first(), axis=0)
    period        0    1    2
    cohort
    2017-01-01  1.0  0.5  0.5
    """
    if period not in PERIODS:
        raise ConfigError(f"period={period!r} is not known; there are {list(PERIODS)}.")
    check_log(log)
    close = log.close_of(as_of)
    with engine_for(log) as engine:
        values = {"as_of": close, "period": period}
        found = engine.summary("summaries/cohorts", values, days=engine.parquet(log.days))
        cells = engine.frame(f"select * from {engine.register(found)} order by cohort, period")
    last = number_of(_EPOCH + timedelta(days=close + 1), period) - 1
    whole = cells[cells["cohort"] + cells["period"] <= last]
    table = _every_cell(whole, last)
    table["cohort"] = first_days(table["cohort"].to_numpy(), period)
    sizes = table.loc[table["period"] == 0].set_index("cohort")["active"]
    table.insert(2, "customers", table["cohort"].map(sizes).astype("int64"))
    return table


def _every_cell(cells: pd.DataFrame, last: int) -> pd.DataFrame:
    """A row for every period that a cohort was observed in."""
    starts = cells["cohort"].unique()
    ages = last - starts + 1
    every = pd.DataFrame(
        {
            "cohort": np.repeat(starts, ages),
            "period": np.concatenate([np.arange(age) for age in ages]) if len(ages) else np.array([], dtype=np.int64),
        }
    )
    table = every.merge(cells, how="left", on=["cohort", "period"])
    return table.fillna({"active": 0, "revenue": 0.0}).astype({"active": "int64", "revenue": "float64"})


def number_of(day: date, period: str) -> int:
    """Weeks, months or quarters are numbered as in the SQL text."""
    if period == "week":
        return ((day - _EPOCH).days + 3) // 7
    months = 12 * day.year + day.month - 1
    return months if period == "month" else months // 3


def first_days(numbers: Ints, period: str) -> pd.DatetimeIndex:
    if period == "week":
        return pd.DatetimeIndex(np.asarray(7 * numbers - 3, dtype="datetime64[D]").astype("datetime64[us]"))
    months = numbers if period == "month" else 3 * numbers
    return pd.DatetimeIndex((months - 12 * 1970).astype("datetime64[M]").astype("datetime64[us]"))


def second_purchase(log: Transactions, as_of: str | date | None = None, level: float = 0.95) -> pd.DataFrame:
    """How many of those who bought once buy again, and how soon (Kaplan–Meier).

    Customers who have not come back yet count as long as they were watched: a plain share would call the newest ones lost.

    Parameters
    ----------
    log : Transactions
    as_of : date, optional
        By default the log's ``until``.
    level : float, default 0.95
        Coverage of the interval.

    Returns
    -------
    DataFrame
        days since the first purchase day, and share (who had bought again by then) with low and high; customers, how many
        were still watched and had not bought again before. One row per day on which somebody came back.

    References
    ----------
    Kaplan & Meier (1958), Journal of the American Statistical Association 53, 457-481; Greenwood's variance on the scale of
    log(-log S), as Kalbfleisch & Prentice (2002), The Statistical Analysis of Failure Time Data, section 1.4.

    Examples
    --------
    >>> till = pd.DataFrame({"customer_id": ["a", "a", "b", "c", "c", "d"], "amount": 1.0, "purchased_at":
    ...     ["2017-01-01", "2017-01-08", "2017-01-01", "2017-01-02", "2017-01-22", "2017-01-25"]})
    >>> second_purchase(Transactions.from_extract(till, until="2017-01-31")).round(3)
       days  share    low   high  customers
    0     7  0.333  0.055  0.946          3
    1    20  0.667  0.226  0.991          2
    """
    if not 0 < level < 1:
        raise ConfigError(f"level={level!r} is not between 0 and 1.")
    with engine_for(log) as engine:
        values = {"as_of": log.close_of(as_of)}
        found = engine.summary("summaries/second_purchases", values, days=engine.parquet(log.days))
        waits = engine.frame(f"select * from {engine.register(found)} order by days")
    at_risk = waits["customers"][::-1].cumsum()[::-1]
    share, low, high = kaplan_meier(waits["returned"].to_numpy(np.float64), at_risk.to_numpy(np.float64), level)
    table = pd.DataFrame({"days": waits["days"], "share": share, "low": low, "high": high, "customers": at_risk})
    return table[waits["returned"] > 0].reset_index(drop=True)


def kaplan_meier(events: Floats, at_risk: Floats, level: float) -> tuple[Floats, Floats, Floats]:
    """Share that had its event by each time, and a pointwise interval; at 0 or 1 the interval is the share itself.

    >>> share, low, high = kaplan_meier(np.array([1.0, 1.0]), np.array([4.0, 2.0]), level=0.95)
    >>> share.tolist()
    [0.25, 0.625]
    """
    survival = np.cumprod(1 - events / at_risk)
    with np.errstate(divide="ignore", invalid="ignore"):
        greenwood = np.cumsum(events / (at_risk * (at_risk - events)))
        width = ndtri((1 + level) / 2) * np.sqrt(greenwood) / np.abs(np.log(survival))
        bounds = [survival ** np.exp(sign * width) for sign in (-1, 1)]
    inside, share = (survival > 0) & (survival < 1), np.asarray(1 - survival, dtype=np.float64)
    low, high = (np.asarray(np.where(inside, 1 - bound, share), dtype=np.float64) for bound in bounds)
    return share, low, high
