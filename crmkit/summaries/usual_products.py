"""What members usually buy of an item: the product, and what was last paid for it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pandas as pd

from crmkit._checks import require_columns
from crmkit.engine.base import SqlEngine
from crmkit.engine.choose import engine_for
from crmkit.engine.pieces import Source, columns_of
from crmkit.engine.texts import sql_text
from crmkit.exceptions import ContractError
from crmkit.transactions.log import Transactions, check_item

__all__ = ["usual_products", "write_usual_products"]

_FADE = 250.0
_FOUND = ("product_id", "n_days", "last_day", "last_paid")


def usual_products(log: Transactions, by: str, wanted: Source, as_of: str | date | None = None) -> pd.DataFrame:
    """The product that each member buys most often of an item.

    Purchase days fade with age (exp(−age / 250 days)), so that a new habit overtakes an old one.

    Parameters
    ----------
    log : Transactions
        With product_id.
    by : str
        Item column: category, say.
    wanted : DataFrame, or path of a Parquet file
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
    with engine_for(log) as engine:
        text, values = _question(engine, log, by, wanted, as_of)
        own = [] if by == "product_id" else [f"item as {engine.quoted(by)}"]
        columns = ", ".join(["customer_id", *own, *_FOUND])
        return engine.table(f"select {columns} from ({text}) as found order by customer_id, item", values)


def write_usual_products(
    log: Transactions, by: str, wanted: Source, path: Path, as_of: str | date | None = None
) -> Path:
    """The table of `usual_products` as a Parquet file, what is bought being called item: it may be larger than memory."""
    with engine_for(log) as engine:
        text, values = _question(engine, log, by, wanted, as_of)
        engine.save(text, path, values)
    return path


def _question(
    engine: SqlEngine, log: Transactions, by: str, wanted: Source, as_of: str | date | None
) -> tuple[str, Mapping[str, object]]:
    check_item(log, by)
    check_item(log, "product_id")
    require_columns(columns_of(wanted), ["customer_id", by], "wanted")
    item = engine.quoted(by)
    pairs = engine.view(
        f"""select customer_id, {item} as item from {engine.register(wanted)}
        where customer_id is not null and {item} is not null"""
    )
    if len(engine.frame(f"select 1 as n from {pairs} group by customer_id, item having count(*) > 1 limit 1")):
        raise ContractError(f"wanted: a customer_id and {by} are there twice. Pass each pair once.")
    text = sql_text("summaries/usual_products", item=item, lines=engine.parquet(log.lines), wanted=pairs)
    return text, {"as_of": log.close_of(as_of), "fade": _FADE}
