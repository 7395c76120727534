"""Where a change of revenue comes from: customers, how often they come, what they take, what it costs; and who came and went."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd

from crmkit._days import day_of
from crmkit.engine.choose import engine_for
from crmkit.engine.texts import sql_text
from crmkit.exceptions import ConfigError
from crmkit.summaries._revenue_math import explained, to_the_cent
from crmkit.summaries.cohorts import PERIODS, first_days, number_of
from crmkit.transactions.log import Transactions, check_item, check_log

__all__ = ["customer_flows", "potential", "revenue_tree"]

STATUSES = ("new", "returning", "retained", "lapsed", "returns only")
FACTORS = ("customers", "frequency", "basket", "price")


def customer_flows(log: Transactions, period: str = "month", as_of: str | date | None = None) -> pd.DataFrame:
    """New, returning, retained and lapsed customers of each period, with their money.

    Parameters
    ----------
    log : Transactions
    period : {"month", "week", "quarter"}
    as_of : date, optional
        By default the log's ``until``.

    Returns
    -------
    DataFrame
        period (its first day), status (new: first purchase; retained: bought in the period before; returning: bought earlier than
        that; lapsed: bought in the period before and not in this one; returns only), customers, receipts, items, revenue (returns
        taken off) and revenue_before (of the same customers in the period before). Only periods that were observed to their end;
        revenue less revenue_before, over all statuses, is the change of revenue. A pandas table, of a log that is `on_spark` too.

    Notes
    -----
    Customers who bought before the log began are new in it.

    Examples
    --------
    >>> till = pd.DataFrame({"customer_id": ["a", "b", "a", "c"], "amount": [10, 5, 20, 4],
    ...     "purchased_at": ["2017-01-09", "2017-01-20", "2017-02-01", "2017-02-05"]})
    >>> found = customer_flows(Transactions.from_extract(till, until="2017-02-28"))
    >>> found[["status", "customers", "revenue", "revenue_before"]]
         status  customers  revenue  revenue_before
    0       new          2     15.0             0.0
    1    lapsed          1      0.0             5.0
    2       new          1      4.0             0.0
    3  retained          1     20.0            10.0
    """
    if period not in PERIODS:
        raise ConfigError(f"period={period!r} is not known; there are {list(PERIODS)}.")
    check_log(log)
    close = log.close_of(as_of)
    with engine_for(log) as engine:
        text = sql_text("summaries/customer_flows", trips=engine.parquet(log.trips))
        table = engine.frame(text, {"as_of": close, "period": period})
    whole = table[table["period"] <= number_of(day_of(close) + timedelta(days=1), period) - 1].reset_index(drop=True)
    return whole.assign(period=first_days(whole["period"].to_numpy(), period))


def revenue_tree(log: Transactions, period: str = "month", as_of: str | date | None = None) -> pd.DataFrame:
    """Revenue as customers x frequency x basket x price, and what of its change each explains, to the cent.

    Parameters
    ----------
    log : Transactions
    period : {"month", "week", "quarter"}
    as_of : date, optional
        By default the log's ``until``.

    Returns
    -------
    DataFrame
        period, revenue (of members, returns taken off), customers (who bought), frequency (receipts per customer), basket (lines per
        receipt), price (revenue per line), change (of revenue since the period before), and by_customers, by_frequency, by_basket,
        by_price, which add up to it to the cent; missing where there is no period before. A pandas table.

    References
    ----------
    Ang (2005), The LMDI approach to decomposition analysis: a practical guide, Energy Policy 33, 867-871.

    Examples
    --------
    >>> till = pd.DataFrame({"customer_id": ["a", "a", "a", "b"], "amount": [10, 10, 15, 5],
    ...     "purchased_at": ["2017-01-09", "2017-02-01", "2017-02-05", "2017-02-07"]})
    >>> tree = revenue_tree(Transactions.from_extract(till, until="2017-02-28"))
    >>> tree[["revenue", "change", "by_customers", "by_frequency", "by_basket", "by_price"]]
       revenue  change  by_customers  by_frequency  by_basket  by_price
    0     10.0     NaN           NaN           NaN        NaN       NaN
    1     30.0    20.0         12.62          7.38        0.0       0.0
    """
    flows = customer_flows(log, period, as_of)
    came = flows[flows["status"].isin(STATUSES[:3])].groupby("period")[["customers", "receipts", "items"]].sum()
    money = flows.groupby("period")["revenue"].sum()
    table = came[came["customers"] > 0].join(money).reset_index()
    table = table.assign(
        frequency=table["receipts"] / table["customers"],
        basket=table["items"] / table["receipts"],
        price=table["revenue"] / table["items"],
    )
    factors, cents = table[list(FACTORS)].to_numpy(np.float64), np.rint(table["revenue"] * 100).to_numpy(np.int64)
    found = pd.DataFrame(np.nan, index=table.index, columns=["change", *(f"by_{name}" for name in FACTORS)])
    if len(table) > 1:
        change = np.diff(cents)
        parts = explained(factors[:-1], factors[1:]) * 100
        known = np.isfinite(parts).all(axis=1) & _follows(table["period"], period)
        rows = np.column_stack([change, to_the_cent(np.where(known[:, None], parts, 0.0), change)]) / 100
        found.iloc[1:] = np.where(known[:, None], rows, np.nan)
    return pd.concat([table[["period", "revenue", *FACTORS]], found], axis=1)


def _follows(periods: pd.Series[pd.Timestamp], period: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Whether each period but the first comes right after the one before it."""
    numbers = np.array([number_of(day.date(), period) for day in periods])
    return np.asarray(np.diff(numbers) == 1, dtype=np.bool_)


def potential(
    log: Transactions, by: str = "category", window: int = 365, bands: int = 5, as_of: str | date | None = None
) -> pd.DataFrame:
    """What each customer could spend, beside customers who come as often: headroom, and a proxy of the share of wallet.

    Parameters
    ----------
    log : Transactions
    by : str, default "category"
        Item column.
    window : int, default 365
        Days looked at.
    bands : int, default 5
        Groups of customers of equal size, by purchase days.
    as_of : date, optional
        By default the log's ``until``.

    Returns
    -------
    DataFrame
        customer_id, band (1 comes least often), spend, share_of_weeks (weeks with a purchase since their first), items (categories
        bought), items_elsewhere (bought by at least half of the band, and not by them), headroom (money by which the band's means
        exceed their spend, category by category) and share_of_wallet, spend of spend and headroom. Of a log that is `on_spark` a
        Spark DataFrame, without the last column.

    Notes
    -----
    What is bought elsewhere cannot be seen. Both figures are proxies: somebody may need less than others do.

    Examples
    --------
    >>> till = pd.DataFrame({"customer_id": ["a", "a", "b"], "amount": [10.0, 6.0, 4.0], "category": ["Tea", "Milk", "Tea"],
    ...     "purchased_at": "2017-01-09"})
    >>> log = Transactions.from_extract(till, until="2017-01-31")
    >>> potential(log, bands=1)[["customer_id", "items_elsewhere", "headroom", "share_of_wallet"]].round(2)
      customer_id  items_elsewhere  headroom  share_of_wallet
    0           a                0       0.0              1.0
    1           b                1       6.0              0.4
    """
    check_item(log, by)
    if bands < 1 or window < 1:
        raise ConfigError(f"bands={bands!r}, window={window!r}: must be at least 1.")
    with engine_for(log) as engine:
        values = {"as_of": log.close_of(as_of), "window": window, "bands": bands}
        text = sql_text("summaries/potential", item=engine.quoted(by), lines=engine.parquet(log.lines))
        table = engine.table(text, values)
    if log.on_spark:
        return table
    return table.assign(share_of_wallet=table["spend"] / (table["spend"] + table["headroom"]))
