"""Sales by period and any columns of the lines, beside the same weekdays a year before: the management report's table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from crmkit.engine.base import SqlEngine
from crmkit.engine.choose import engine_for
from crmkit.exceptions import ConfigError, ContractError
from crmkit.transactions.log import Transactions, check_log, names

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["sales_summary", "weekly_sales"]

_PERIODS = ("day", "week", "month", "year", "all")


def sales_summary(
    log: Transactions, by: str | Sequence[str] | None = None, period: str = "month", as_of: str | date | None = None
) -> pd.DataFrame:
    """Sales, customers, receipts and items of each period, and the same 364 days before.

    Parameters
    ----------
    log : Transactions
    by : str or sequence of str, optional
        Line columns that divide the sales: customer_id, product_id, category, brand, brand_type, manufacturer,
        department, store, hour. None gives one row per period.
    period : {"month", "day", "week", "year", "all"}
        Weeks begin on Monday; ``"all"`` is everything up to ``as_of`` in one period.
    as_of : date, optional
        Only lines up to the close of this day count. By default the log's ``until``.

    Returns
    -------
    DataFrame
        period (its first day; of ``"all"``, the first with a sale on); the columns of ``by``, missing where the line
        had no value; days, how many days of the period were observed, from the log's first day with a sale on, so that
        a part month is seen; sales (money, returns taken off); customers, distinct members; receipts; items, lines on
        which goods were bought, since quantities mix pieces with kilograms; sales_year_ago, customers_year_ago,
        receipts_year_ago, items_year_ago; change, sales / sales_year_ago − 1. Ordered by period and ``by``, missing
        values last; a row for each group that has lines in the period or a year before.

    Raises
    ------
    ContractError
        The lines have no such column, or nothing in it.
    ConfigError
        There is no such period.

    Notes
    -----
    *A year before* is 364 days, so Mondays are compared with Mondays: June is compared with the days from 2 or 3 June
    of the year before, as many as have been observed so far. The columns are missing where not all of those days lie
    in the log, from its first day with a sale on; change also where nothing was sold then.

    To roll up, name fewer columns or a longer period; to drill down, more columns or a shorter one. Sales and items
    of the parts make up the whole to the cent. Distinct customers do not: who buys in two categories is one customer;
    nor do receipts when a column divides them (category does, store does not).

    A line without a customer counts in all but customers. A receipt is one by its member, day, store
    and number, since tills of two stores count alike; lines without a number are one receipt per member, day and store
    (and one of no member). One that only takes back is a receipt too.

    Examples
    --------
    >>> import pandas as pd
    >>> till = pd.DataFrame({"customer_id": ["a", "a", "b", "a"], "amount": [10.0, 5.0, 20.0, 18.0],
    ...                      "purchased_at": ["2017-01-01", "2017-01-03", "2017-02-03", "2018-01-02"],
    ...                      "category": ["Milk", "Milk", "Bread", "Milk"]})
    >>> log = Transactions.from_extract(till, until="2018-02-28")
    >>> sales_summary(log)[["period", "days", "sales", "customers", "sales_year_ago", "change"]]
          period  days  sales  customers  sales_year_ago  change
    0 2017-01-01    31   15.0          1             NaN     NaN
    1 2017-02-01    28   20.0          1             NaN     NaN
    2 2018-01-01    31   18.0          1             5.0     2.6
    3 2018-02-01    28    0.0          0            20.0    -1.0
    >>> sales_summary(log, by="category", period="all")[["category", "sales", "items"]]
      category  sales  items
    0    Bread   20.0      1
    1     Milk   33.0      3
    """
    columns = names(by)
    if period not in _PERIODS:
        raise ConfigError(f"period={period!r} is not one of {list(_PERIODS)}.")
    check_log(log)
    day = log.close_of(as_of)
    with engine_for(log) as engine:
        lines = engine.parquet(log.lines)
        _check_columns(log, engine, lines, columns)
        table: pd.DataFrame = engine.summary(
            "summaries/sales_summary",
            {"as_of": day, "period": period},
            lines=lines,
            by="".join(f", {name}" for name in columns),
            order="".join(f", {name} nulls last" for name in columns),
        )
    return table


def _check_columns(log: Transactions, engine: SqlEngine, lines: str, columns: Sequence[str]) -> None:
    """Raise unless each is a line column that has values, and is named once."""
    there = ["customer_id", *log.items, "hour"]
    if "store" in columns and len(engine.frame(f"select 1 as found from {lines} where store is not null limit 1")):
        there.append("store")
    if len(set(columns)) < len(columns) or not set(columns) <= set(there):
        raise ContractError(
            f"by={columns} must name columns of the lines, each once; they have {there}. Name a column when the log is "
            "made: Transactions.from_extract(…, category=…), or give products=…."
        )


def weekly_sales(log: Transactions, as_of: str | date | None = None) -> pd.DataFrame:
    """Sales to members per week, up to the close of ``as_of``.

    Returns
    -------
    DataFrame
        week (its Monday), sales, customers, receipts, days (7, but for a first or last week that is observed in part).

    Examples
    --------
    >>> import pandas as pd
    >>> till = pd.DataFrame({"customer_id": ["a", "b"], "purchased_at": ["2017-01-01", "2017-01-03"], "amount": [1, 2]})
    >>> weekly_sales(Transactions.from_extract(till, until="2017-01-28"))
            week  sales  customers  receipts  days
    0 2016-12-26    1.0          1         1     1
    1 2017-01-02    2.0          1         1     7
    """
    with engine_for(log) as engine:
        values = {"as_of": log.close_of(as_of)}
        return engine.summary("summaries/weekly_sales", values, trips=engine.parquet(log.trips))


def n_later(log: Transactions, day: date) -> int:
    """Lines of the log, to members, that are dated after a day."""
    with engine_for(log) as engine:
        lines = engine.parquet(log.lines)
        later = f"select count(*) as n from {lines} where day > :as_of and customer_id is not null"
        return int(engine.frame(later, {"as_of": log.close_of(day)})["n"][0])
