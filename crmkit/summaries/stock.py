"""The stock report: what is there, how long it lasts, what stands still, and what it is worth."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from crmkit._checks import require_columns
from crmkit._days import day_of
from crmkit.engine.choose import engine_for
from crmkit.engine.frames import to_pandas
from crmkit.exceptions import ContractError
from crmkit.transactions.log import Transactions, check_item

__all__ = ["stock_report"]

_LONG = 84


def stock_report(log: Transactions, stock: pd.DataFrame, as_of: str | date | None = None) -> pd.DataFrame:
    """The stock beside what was sold of late.

    Parameters
    ----------
    log : Transactions
        With product_id and quantity.
    stock : DataFrame
        product_id, supplier, stock (pieces), and where known on_order, unit_cost and expires; as `Stock` checks it.
    as_of : date, optional
        By default the log's ``until``.

    Returns
    -------
    DataFrame
        In the order of the stock: product_id, supplier, stock, on_order, sold_28 and sold_84 (pieces less those brought back, in
        so many days), last_sold, days_of_cover (how long the stock lasts at the rate of the last 28 days; missing where nothing
        was sold), value (pieces × unit_cost) and state: "unknown product" (never sold), "sold out", "short" (less than 7 days of
        cover), "stands still" (not sold for 84 days), "expires" (more than is sold by then), or "in stock".

    Raises
    ------
    ContractError
        A column is missing, or a product stands there twice.

    Examples
    --------
    >>> days = pd.date_range("2017-01-01", periods=140)
    >>> till = pd.DataFrame({"customer_id": "a", "purchased_at": days, "amount": 1.0, "quantity": 2, "product_id": "milk"})
    >>> log = Transactions.from_extract(till, until="2017-05-20")
    >>> stock = pd.DataFrame({"product_id": ["milk", "tea"], "supplier": "Farm", "stock": [10, 3]})
    >>> stock_report(log, stock)[["product_id", "sold_28", "days_of_cover", "state"]]
      product_id  sold_28  days_of_cover            state
    0       milk     56.0            5.0            short
    1        tea      0.0            NaN  unknown product
    """
    require_columns(stock, ["product_id", "supplier", "stock"], "The stock", "Check it with Stock.from_extract.")
    if repeated := int(stock["product_id"].duplicated().sum()):
        raise ContractError(f"The stock: {repeated:,} rows repeat a product_id. Give each product once.")
    check_item(log, "product_id")
    close = log.close_of(as_of)
    with engine_for(log) as engine:
        lines = engine.parquet(log.lines)
        sold = to_pandas(engine.summary("summaries/stock_sales", {"as_of": close}, lines=lines))
    table = stock.merge(sold, how="left", on="product_id").reindex(
        columns=[
            "product_id",
            "supplier",
            "stock",
            "on_order",
            "sold_28",
            "sold_84",
            "last_sold",
            "unit_cost",
            "expires",
        ]
    )
    table = table.fillna({"on_order": 0.0, "sold_28": 0.0, "sold_84": 0.0})
    daily = table["sold_28"].clip(lower=0) / 28
    table["days_of_cover"] = table["stock"] / daily.where(daily > 0)
    table["value"] = table["stock"] * table["unit_cost"].astype(float)
    table["state"] = _states(table, pd.Timestamp(day_of(close)))
    return table.drop(columns=["unit_cost", "expires"])


def _states(table: pd.DataFrame, day: pd.Timestamp) -> pd.Series:
    left = (pd.to_datetime(table["expires"]) - day).dt.days
    states = {
        "unknown product": table["last_sold"].isna(),
        "sold out": table["stock"] <= 0,
        "stands still": (day - table["last_sold"]).dt.days >= _LONG,
        "expires": table["days_of_cover"].fillna(np.inf) > left,
        "short": table["days_of_cover"] < 7,
    }
    told = np.select(list(states.values()), list(states), default="in stock")
    return pd.Series(told, index=table.index, dtype="str")
