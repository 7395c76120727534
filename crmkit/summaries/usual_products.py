"""What members usually buy of an item: the product, and what was last paid for it."""

from __future__ import annotations

from datetime import date

import pandas as pd

from crmkit._checks import require_columns
from crmkit.engine.choose import engine_for
from crmkit.exceptions import ContractError
from crmkit.transactions.log import Transactions, check_item

__all__ = ["usual_products"]

_FADE = 250.0


def usual_products(log: Transactions, by: str, wanted: pd.DataFrame, as_of: str | date | None = None) -> pd.DataFrame:
    """The product that each member buys most often of an item.

    Purchase days fade with age (exp(−age / 250 days)), so that a new habit overtakes an old one.

    Parameters
    ----------
    log : Transactions
        With product_id.
    by : str
        Item column: category, say.
    wanted : DataFrame
        customer_id and the item column: the pairs to look up. A pair that was never bought has no row in the result.
    as_of : date, optional

    Returns
    -------
    DataFrame
        customer_id, the item column, product_id, n_days (purchase days of the product), last_day, last_paid (money for one
        of it, on that day, after discounts; missing where nothing was paid). On Spark a Spark DataFrame.

    Raises
    ------
    ContractError
        The log lacks product_id or the item column, or ``wanted`` lacks a column.

    Examples
    --------
    >>> till = pd.DataFrame({"customer_id": ["a"] * 3, "purchased_at": ["2017-01-01", "2017-01-08", "2017-01-15"],
    ...                      "amount": [2.0, 2.2, 5.0], "quantity": [1, 1, 2], "category": ["Milk"] * 3,
    ...                      "product_id": ["m1", "m1", "m2"]})
    >>> log = Transactions.from_extract(till, until="2017-01-20")
    >>> usual_products(log, "category", pd.DataFrame({"customer_id": ["a"], "category": ["Milk"]})).iloc[:, :4]
      customer_id category product_id  n_days
    0           a     Milk         m1       2
    """
    check_item(log, by)
    check_item(log, "product_id")
    require_columns(wanted, ["customer_id", by], "wanted")
    pairs = wanted[["customer_id", by]].rename(columns={by: "item"}).dropna()
    if pairs.duplicated().any():
        raise ContractError(f"wanted: a customer_id and {by} are there twice. Pass each pair once.")
    with engine_for(log) as engine:
        found = engine.summary(
            "summaries/usual_products",
            {"as_of": log.close_of(as_of), "fade": _FADE},
            item=by,
            lines=engine.parquet(log.lines),
            wanted=engine.register(pairs),
        )
    return found.rename(columns={"item": by})
