"""New products: who tries them, who buys them again, and how soon."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from crmkit._days import day_of
from crmkit.engine.choose import engine_for
from crmkit.engine.texts import sql_text
from crmkit.exceptions import ConfigError, ExtractError
from crmkit.summaries.cohorts import kaplan_meier
from crmkit.transactions.log import Transactions, check_item

__all__ = ["trial_repeat"]

_OPENS = 28


def trial_repeat(
    log: Transactions,
    where: str = "brand_type = 'store'",
    horizon: int = 90,
    least: int = 20,
    as_of: str | date | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Trial and repeat of products that were launched while the log was kept.

    Parameters
    ----------
    log : Transactions
        With product_id and category.
    where : str
        SQL condition over the columns of a line; by default own-brand products.
    horizon : int, default 90
        Days within which a second purchase is counted.
    least : int, default 20
        Triers below which a product is not shown.
    as_of : date, optional
        By default the log's ``until``.
    level : float, default 0.95
        Coverage of the interval.

    Returns
    -------
    DataFrame
        product_id, category, launched (day of its first sale), triers (customers), category_buyers (customers who bought in the
        category since), trial_share, repeat_share with low and high (of triers, within ``horizon``: Kaplan-Meier, so that those who
        came lately count as long as they were watched), median_days (to the second purchase; missing while fewer than half came
        back). The most tried first. A pandas table, of a log that is `on_spark` too.

    Notes
    -----
    A product is launched when its first sale is later than the 28th day of the log: one that is bought less often than that, or
    that was out of stock when the log began, looks new.

    References
    ----------
    Kaplan & Meier (1958), Journal of the American Statistical Association 53, 457-481.

    Examples
    --------
    >>> till = pd.DataFrame({"customer_id": ["a", "a", "a", "b"], "product_id": ["old", "new", "new", "new"], "category": "Tea",
    ...     "purchased_at": ["2017-01-01", "2017-03-01", "2017-03-08", "2017-03-02"], "amount": 1.0})
    >>> log = Transactions.from_extract(till, until="2017-04-30")
    >>> found = trial_repeat(log, where="true", horizon=30, least=1)
    >>> found[["product_id", "triers", "trial_share", "repeat_share", "median_days"]].values.tolist()
    [['new', 2, 1.0, 0.5, 7.0]]
    """
    for name in ("product_id", "category"):
        check_item(log, name)
    if horizon < 1 or not 0 < level < 1:
        raise ConfigError(f"horizon={horizon!r}, level={level!r}: at least 1 day, and between 0 and 1.")
    with engine_for(log) as engine:
        text = sql_text("products/trials", lines=engine.parquet(log.lines), condition=where)
        try:
            with engine.named_source(f"The condition {where!r}"):
                waits = engine.frame(text, {"as_of": log.close_of(as_of), "opens": _OPENS})
        except ExtractError as error:
            raise ConfigError(f"{error}. Columns are those of a line, brand_type and category among them.") from None
    rows = [
        _product(str(product), group, horizon, level)
        for product, group in waits.groupby("product_id", sort=False)
        if group["customers"].sum() >= least
    ]
    table = pd.DataFrame(rows, columns=_COLUMNS)
    return table.sort_values(["triers", "product_id"], ascending=[False, True], ignore_index=True)


_COLUMNS = [
    "product_id", "category", "launched", "triers", "category_buyers", "trial_share", "repeat_share", "low", "high", "median_days",
]  # fmt: skip


def _product(product: str, waits: pd.DataFrame, horizon: int, level: float) -> list[object]:
    ordered = waits.sort_values("days")
    at_risk = ordered["customers"][::-1].cumsum()[::-1].to_numpy(np.float64)
    share, low, high = kaplan_meier(ordered["returned"].to_numpy(np.float64), at_risk, level)
    days = ordered["days"].to_numpy(np.int64)
    place = int(np.searchsorted(days, horizon, side="right")) - 1
    at = [float(one[place]) if place >= 0 else 0.0 for one in (share, low, high)]
    half = np.flatnonzero(share >= 0.5)
    first, triers = ordered.iloc[0], int(ordered["customers"].sum())
    buyers = int(first["category_buyers"])
    return [
        product, first["category"], pd.Timestamp(day_of(int(first["launched"]))), triers, buyers,
        triers / buyers if buyers else np.nan, *at, float(days[half[0]]) if len(half) else np.nan,
    ]  # fmt: skip
