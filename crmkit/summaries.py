"""Summaries: one row per customer (or customer and item), each computed by one SQL file over the log.

Every function takes ``as_of`` (default: the log's ``until``) and sees only what happened up to the close of that day.
Tables are pandas; for a log that is `on_spark` they are Spark DataFrames, computed when they are used.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING

from crmkit.engine import engine_for
from crmkit.exceptions import ContractError, LeakError
from crmkit.transactions import Transactions

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["btyd_summary", "holdout_summary", "purchase_gaps", "rfm_table"]


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
    day = log.close_of(as_of)
    return _over_days(log, "rfm_table", [day, day])


def btyd_summary(log: Transactions, as_of: str | date | None = None) -> pd.DataFrame:
    """The sufficient statistics of buy-till-you-die models, in days.

    Returns
    -------
    DataFrame
        customer_id; frequency, repeat purchase days (purchase days − 1); recency, days from the first to the last
        purchase day; T, days from the first purchase day to ``as_of``; monetary_value, mean money per repeat purchase
        day (missing when frequency is 0); sum_log_gap, sum of the logarithms of the days between purchase days.

    Notes
    -----
    Several receipts on one day are one purchase. Days without goods (returns only, gift cards) do not count, nor does
    their money, unless it is below 0: what is taken back comes off the day that brought it; when no sale is found for
    it, off the day on which it came back, or, if nothing was bought then, off the repeat purchases. The money of the
    first purchase day is left out together with what comes off it.

    References
    ----------
    Fader, Hardie & Lee (2005), "Counting your customers" the easy way, Marketing Science 24(2).

    Examples
    --------
    >>> import pandas as pd
    >>> till = pd.DataFrame({"customer_id": ["a", "a"], "purchased_at": ["2017-01-01", "2017-01-08"],
    ...                      "amount": [10, 20]})
    >>> btyd_summary(Transactions.from_extract(till, until="2017-01-10")).drop(columns="sum_log_gap")
      customer_id  frequency  recency  T  monetary_value
    0           a          1        7  9            20.0
    """
    day = log.close_of(as_of)
    return _over_days(log, "btyd_summary", [day, day])


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
    first, last = log.close_of(split), log.close_of(until)
    if first >= last:
        raise LeakError(f"split={split} leaves no observed day after it (the window ends {until or log.until}).")
    return _over_days(log, "holdout_summary", [first, first, last, first])


def purchase_gaps(log: Transactions, by: str, as_of: str | date | None = None) -> pd.DataFrame:
    """How regularly each customer buys each item.

    Parameters
    ----------
    log : Transactions
    by : str
        An item column of the log: product_id, category, brand, brand_type, manufacturer or department.
    as_of : date, optional

    Returns
    -------
    DataFrame
        customer_id, the item column, n_purchases (days), first_day, last_day, elapsed (days from the last to
        ``as_of``), mean_gap, sd_gap, mean_log_gap (of the days between purchase days; missing when there are too few).

    Examples
    --------
    >>> import pandas as pd
    >>> till = pd.DataFrame({"customer_id": ["a"] * 3, "category": ["Milk"] * 3, "amount": [1, 1, 1],
    ...                      "purchased_at": ["2017-01-01", "2017-01-05", "2017-01-11"]})
    >>> gaps = purchase_gaps(Transactions.from_extract(till, until="2017-01-20"), by="category")
    >>> gaps[["category", "n_purchases", "elapsed", "mean_gap"]]
      category  n_purchases  elapsed  mean_gap
    0     Milk            3        9       5.0
    """
    check_item(log, by)
    day = log.close_of(as_of)
    with engine_for(log) as engine:
        return engine.summary("purchase_gaps", [day, day], item=by, lines=engine.parquet(log.lines))


def names(by: object) -> list[str]:
    """The columns that ``by`` names: none, one, or several."""
    if by is None:
        return []
    return [str(name) for name in by] if isinstance(by, Iterable) and not isinstance(by, str) else [str(by)]


def check_item(log: Transactions, by: str) -> None:
    """Raise unless ``by`` is an item column that the log has."""
    if by not in log.items:
        raise ContractError(
            f"by={by!r} is not an item column of this log; it has {list(log.items)}. Name the column when the log is "
            "made: Transactions.from_extract(…, category=…), or give products=…."
        )


def _over_days(log: Transactions, name: str, values: list[int]) -> pd.DataFrame:
    with engine_for(log) as engine:
        return engine.summary(name, values, days=engine.parquet(log.days))
