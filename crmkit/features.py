"""Point-in-time features and labels: what was known at the close of a day, and what happened on the days after it.

Tables are pandas; for a log that is `on_spark` they are Spark DataFrames, computed when they are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

from crmkit.engine import engine_for
from crmkit.exceptions import LeakError
from crmkit.summaries import check_item
from crmkit.transactions import Transactions

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["item_bought", "item_state", "weekly_sales", "weekly_spend"]


def item_state(
    log: Transactions, by: str, as_of: str | date | None = None, exclude: Sequence[str] = ()
) -> pd.DataFrame:
    """What is known of each customer and item at the close of ``as_of``.

    Returns
    -------
    DataFrame
        customer_id, item, frequency (repeat purchase days), recency and T (days from the first purchase to the last,
        and to ``as_of``), spend (mean money per purchase day). Items in ``exclude`` are left out.

    Examples
    --------
    >>> import pandas as pd
    >>> till = pd.DataFrame({"customer_id": ["a"] * 2, "category": ["Milk"] * 2, "amount": [1, 2],
    ...                      "purchased_at": ["2017-01-01", "2017-01-05"]})
    >>> item_state(Transactions.from_extract(till, until="2017-01-20"), by="category")
      customer_id  item  frequency  recency   T  spend
    0           a  Milk          1        4  19    1.5
    """
    check_item(log, by)
    day = log.close_of(as_of)
    with engine_for(log) as engine:
        excluded = engine.register(pa.table({"item": pa.array(list(exclude), pa.string())}))
        return engine.summary("item_state", [day, day], item=by, lines=engine.parquet(log.lines), excluded=excluded)


def item_bought(log: Transactions, by: str, as_of: str | date, horizon: int) -> pd.DataFrame:
    """Customer and item pairs that were bought on days as_of + 1 … as_of + horizon.

    Raises
    ------
    LeakError
        Those days are not all observed.
    """
    check_item(log, by)
    day = log.close_of(as_of)
    if day + horizon > log.close_of(None):
        raise LeakError(f"The {horizon} days after {as_of} are not all observed: the log ends on {log.until}.")
    with engine_for(log) as engine:
        return engine.summary("item_bought", [day, day + horizon], item=by, lines=engine.parquet(log.lines))


def weekly_spend(log: Transactions, as_of: str | date | None = None, days: int = 84) -> pd.DataFrame:
    """Money per week over the last ``days`` days, or since the first purchase when that is later (at least one week).

    Returns
    -------
    DataFrame
        customer_id, weekly_spend.

    Examples
    --------
    >>> import pandas as pd
    >>> till = pd.DataFrame({"customer_id": ["a"], "purchased_at": ["2017-01-01"], "amount": [100]})
    >>> weekly_spend(Transactions.from_extract(till, until="2017-01-28"))
      customer_id  weekly_spend
    0           a          25.0
    """
    day = log.close_of(as_of)
    with engine_for(log) as engine:
        return engine.summary("weekly_spend", [day, days, day, days, day], days=engine.parquet(log.days))


def weekly_sales(log: Transactions, as_of: str | date | None = None) -> pd.DataFrame:
    """Sales to members per week, up to the close of ``as_of``.

    Returns
    -------
    DataFrame
        week (its Monday), sales, customers, receipts.

    Examples
    --------
    >>> import pandas as pd
    >>> till = pd.DataFrame({"customer_id": ["a", "b"], "purchased_at": ["2017-01-01", "2017-01-03"], "amount": [1, 2]})
    >>> weekly_sales(Transactions.from_extract(till, until="2017-01-28"))
            week  sales  customers  receipts
    0 2016-12-26    1.0          1         1
    1 2017-01-02    2.0          1         1
    """
    with engine_for(log) as engine:
        return engine.summary("weekly_sales", [log.close_of(as_of)], trips=engine.parquet(log.trips))


def n_later(log: Transactions, day: date) -> int:
    """Lines of the log, to members, that are dated after a day."""
    with engine_for(log) as engine:
        lines = engine.parquet(log.lines)
        later = f"select count(*) as n from {lines} where day > ? and customer_id is not null"
        return int(engine.frame(later, [log.close_of(day)])["n"][0])
