"""Summaries: one row per customer (or customer and item), each computed by one SQL file over the log.

Every function takes ``as_of`` (default: the log's ``until``) and sees only what happened up to the close of that day.
Tables are pandas; for a log that is `on_spark` they are Spark DataFrames, computed when they are used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

from crmkit.engine.choose import engine_for
from crmkit.engine.texts import sql_text
from crmkit.exceptions import LeakError
from crmkit.transactions.log import Transactions, check_log

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "btyd_summary",
    "customer_purchases",
    "holdout_summary",
    "purchases_of",
    "recent_spend",
    "rfm_table",
    "weekly_spend",
]


def rfm_table(log: Transactions, as_of: str | date | None = None) -> pd.DataFrame:
    """Recency, frequency and monetary value as marketing knows them.

    Returns
    -------
    DataFrame
        customer_id, days_since_last (days from the last purchase day to ``as_of``), n_purchases (purchase days),
        total_spend (money, returns taken off). One row per customer with a purchase, ordered by customer_id.

    Examples
    --------
    >>> import pandas as pd
    >>> till = pd.DataFrame({"customer_id": ["a", "a"], "purchased_at": ["2017-01-01", "2017-01-08"],
    ...                      "amount": [10, 20]})
    >>> rfm_table(Transactions.from_extract(till, until="2017-01-10"))
      customer_id  days_since_last  n_purchases  total_spend
    0           a                2            2         30.0
    """
    check_log(log)
    day = log.close_of(as_of)
    return _over_days(log, "rfm_table", {"as_of": day})


def btyd_summary(log: Transactions, as_of: str | date | None = None) -> pd.DataFrame:
    """The sufficient statistics of buy-till-you-die models, in days.

    Returns
    -------
    DataFrame
        customer_id; frequency, repeat purchase days (purchase days − 1); recency, days from the first to the last
        purchase day; T, days from the first purchase day to ``as_of``; monetary_value, mean money per repeat purchase
        day (missing when frequency is 0); sum_log_gap, sum of the logarithms of the days between purchase days;
        first_value, money of the first purchase day.

    Notes
    -----
    Several receipts on one day are one purchase. Days without goods (returns only, gift cards) do not count, nor does
    their money, unless it is below 0: what is taken back comes off the day that brought it; when no sale is found for
    it, off the day on which it came back, or, if nothing was bought then, off the repeat purchases. The money of the
    first purchase day is not part of monetary_value; what comes off it comes off first_value.

    References
    ----------
    Fader, Hardie & Lee (2005), "Counting your customers" the easy way, Marketing Science 24(2).

    Examples
    --------
    >>> import pandas as pd
    >>> till = pd.DataFrame({"customer_id": ["a", "a"], "purchased_at": ["2017-01-01", "2017-01-08"],
    ...                      "amount": [10, 20]})
    >>> btyd_summary(Transactions.from_extract(till, until="2017-01-10")).drop(columns="sum_log_gap")
      customer_id  frequency  recency  T  monetary_value  first_value
    0           a          1        7  9            20.0         10.0
    """
    check_log(log)
    day = log.close_of(as_of)
    return _over_days(log, "btyd_summary", {"as_of": day})


def customer_purchases(log: Transactions, customer_id: object, as_of: str | date | None = None) -> pd.DataFrame:
    """What one customer bought and took back, up to the close of ``as_of``.

    Returns
    -------
    DataFrame
        day, receipt, category (missing where the line had none), amount (money, returns taken off), items (lines on which goods
        were bought). Empty for an id that the log does not know. A pandas table, of a log that is `on_spark` too.

    Examples
    --------
    >>> import pandas as pd
    >>> till = pd.DataFrame({"customer_id": ["a", "a", "b"], "purchased_at": ["2017-01-01", "2017-01-08", "2017-01-09"],
    ...                      "amount": [10, 20, 5], "category": ["Tea", "Milk", "Tea"]})
    >>> customer_purchases(Transactions.from_extract(till, until="2017-01-10"), "a")[["day", "category", "amount"]]
             day category  amount
    0 2017-01-01      Tea    10.0
    1 2017-01-08     Milk    20.0
    """
    with engine_for(log) as engine:
        values = {"customer_id": str(customer_id), "as_of": log.close_of(as_of)}
        return engine.frame(sql_text("summaries/customer_purchases", lines=engine.parquet(log.lines)), values)


def purchases_of(log: Transactions, customer_ids: Sequence[str], as_of: str | date | None = None) -> pd.DataFrame:
    """What some customers bought and took back, up to the close of ``as_of``: one look at the log for all of them.

    Returns
    -------
    DataFrame
        customer_id, and the columns of `customer_purchases` with discount. A pandas table, of a log that is `on_spark` too.

    Examples
    --------
    >>> import pandas as pd
    >>> till = pd.DataFrame({"customer_id": ["a", "b"], "purchased_at": "2017-01-01", "amount": [10, 20], "discount": [1, 0]})
    >>> purchases_of(Transactions.from_extract(till, until="2017-01-10"), ["a"])[["customer_id", "amount", "discount"]]
      customer_id  amount  discount
    0           a    10.0       1.0
    """
    import pandas as pd

    with engine_for(log) as engine:
        ids = engine.register(pd.DataFrame({"customer_id": pd.Series(list(customer_ids), dtype="str")}))
        text = sql_text("summaries/purchases_of", lines=engine.parquet(log.lines), members=ids)
        return engine.frame(text, {"as_of": log.close_of(as_of)})


def holdout_summary(log: Transactions, split: str | date, until: str | date | None = None) -> pd.DataFrame:
    """What the members known at the close of ``split`` did on the days after it, up to ``until``.

    Returns
    -------
    DataFrame
        customer_id, holdout_purchases (purchase days), holdout_spend (money, returns taken off).

    Raises
    ------
    LeakError
        ``split`` leaves no observed day after it.

    Examples
    --------
    >>> import pandas as pd
    >>> till = pd.DataFrame({"customer_id": ["a", "a", "b"], "amount": [10, 20, 5],
    ...                      "purchased_at": ["2017-01-01", "2017-01-08", "2017-01-09"]})
    >>> holdout_summary(Transactions.from_extract(till, until="2017-01-10"), split="2017-01-05")
      customer_id  holdout_purchases  holdout_spend
    0           a                  1           20.0
    """
    check_log(log)
    first, last = log.close_of(split), log.close_of(until)
    if first >= last:
        raise LeakError(f"split={split} leaves no observed day after it (the window ends {until or log.until}).")
    return _over_days(log, "holdout_summary", {"split": first, "until": last})


def recent_spend(log: Transactions, as_of: str | date | None = None, decay_days: int = 60) -> pd.DataFrame:
    """Purchase days and money per day in the recent past: each counts exp(−age / ``decay_days``), and the sum is divided by it.

    Returns
    -------
    DataFrame
        customer_id, recent_purchases, recent_spend (returns taken off), both per day. One row per customer with a
        purchase, as in `rfm_table`.

    Examples
    --------
    >>> import pandas as pd
    >>> till = pd.DataFrame({"customer_id": ["a", "a"], "purchased_at": ["2017-01-01", "2017-03-02"],
    ...                      "amount": [10, 20]})
    >>> recent_spend(Transactions.from_extract(till, until="2017-03-02")).round(4)
      customer_id  recent_purchases  recent_spend
    0           a            0.0228        0.3946
    """
    check_log(log)
    values = {"as_of": log.close_of(as_of), "decay_days": decay_days}
    return _over_days(log, "recent_spend", values)


def _over_days(log: Transactions, name: str, values: Mapping[str, int]) -> pd.DataFrame:
    with engine_for(log) as engine:
        return engine.summary(f"summaries/{name}", values, days=engine.parquet(log.days))


def weekly_spend(log: Transactions, as_of: str | date | None = None, days: int = 84) -> pd.DataFrame:
    """Money per week over the last ``days`` days, or since the first purchase when that is later (at least one week).

    Returns
    -------
    DataFrame
        customer_id, weekly_spend (returns taken off). One row per customer with a purchase, as in `rfm_table`.

    Examples
    --------
    >>> import pandas as pd
    >>> till = pd.DataFrame({"customer_id": ["a"], "purchased_at": ["2017-01-01"], "amount": [100]})
    >>> weekly_spend(Transactions.from_extract(till, until="2017-01-28"))
      customer_id  weekly_spend
    0           a          25.0
    """
    check_log(log)
    day = log.close_of(as_of)
    with engine_for(log) as engine:
        values = {"as_of": day, "window": days}
        return engine.summary("summaries/weekly_spend", values, days=engine.parquet(log.days))
