"""Share of sales with a member's card: how much of the business is known by name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import pandas as pd

from crmkit.engine.choose import engine_for
from crmkit.engine.texts import sql_text
from crmkit.exceptions import ConfigError
from crmkit.transactions.log import Transactions, check_log, names

__all__ = ["card_share"]

PERIODS = ("month", "week", "all")
GROUPS = ("store", "hour")


def card_share(
    log: Transactions, by: str | Sequence[str] | None = None, period: str = "month", as_of: str | date | None = None
) -> pd.DataFrame:
    """Share of sales and of receipts with a member's card, over time, by store and by hour of the day.

    Parameters
    ----------
    log : Transactions
        Lines without a member count as sales without a card.
    by : {"store", "hour"} or both, optional
    period : {"month", "week", "all"}
    as_of : date, optional
        By default the log's ``until``.

    Returns
    -------
    DataFrame
        period (its first day; not for ``"all"``), the columns in ``by``, sales, card_sales, receipts, card_receipts, and share,
        card_sales of sales (missing where there were none). A pandas table, of a log that is `on_spark` too.

    Raises
    ------
    ConfigError
        There is no such period or group.

    Examples
    --------
    >>> till = pd.DataFrame({"customer_id": ["a", None, "a"], "purchased_at": ["2017-01-05 09:10", "2017-01-05 09:20",
    ...     "2017-01-06 17:00"], "amount": [3.0, 1.0, 4.0]})
    >>> log, _ = Transactions.split_extract(till, until="2017-01-31")
    >>> card_share(log, by="hour", period="all")[["hour", "share"]]
       hour  share
    0     9   0.75
    1    17   1.00
    """
    check_log(log)
    groups = names(by)
    if period not in PERIODS or not set(groups) <= set(GROUPS):
        raise ConfigError(f"period={period!r}, by={groups!r}: periods are {list(PERIODS)}, groups {list(GROUPS)}.")
    columns = "".join(f", {name}" for name in groups)
    with engine_for(log) as engine:
        values = {"as_of": log.close_of(as_of), "period": period}
        text = sql_text("summaries/card_share", lines=engine.parquet(log.lines), by=columns)
        table = engine.frame(text, values)
    days = pd.to_datetime(table["starts"].to_numpy("int64"), unit="D")
    table.insert(0, "period", np.asarray(days, dtype="datetime64[us]"))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = table["card_sales"].to_numpy(np.float64) / table["sales"].to_numpy(np.float64)
    table["share"] = np.where(np.isfinite(share), share, np.nan)
    return table.drop(columns=["starts", *(["period"] if period == "all" else [])])
