"""What serving members cost: a member's own costs, and shared ones divided to the cent by orders, lines or visits."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import ArrayLike

from crmkit._types import Ints
from crmkit.engine.choose import engine_for
from crmkit.engine.frames import to_pandas
from crmkit.exceptions import ContractError
from crmkit.ingest.tables import Costs
from crmkit.transactions.log import Transactions

__all__ = ["allocate_costs", "largest_remainder"]

_RULES = ("orders", "lines", "visits")


def largest_remainder(total: int, weights: ArrayLike) -> Ints:
    """Divide whole units by weights so that they add up exactly.

    Everyone gets the whole part of the exact share; the units left over go, one each, to the largest remainders (the
    earlier one of equal remainders). No one is further than one unit from the exact share.

    Parameters
    ----------
    total : int
        Units to divide, cents say; 0 or more.
    weights : array-like of int, shape (n,)
        0 or more, and not all 0.

    Returns
    -------
    ndarray of int, shape (n,)

    References
    ----------
    Hamilton's method; Balinski & Young (2001), *Fair Representation*, 2nd ed., Brookings.

    Examples
    --------
    >>> largest_remainder(100, [1, 1, 1]).tolist()
    [34, 33, 33]
    """
    shares = np.asarray(weights)
    if shares.ndim != 1 or not np.issubdtype(shares.dtype, np.integer) or not (shares >= 0).all() or not shares.any():
        raise ContractError("weights must be whole numbers, 0 or more, and not all 0.")
    if not 0 <= total < 2**63:
        raise ContractError(f"total={total} must be a whole number of units, 0 or more.")
    whole = int(shares.sum())
    each, rest = divmod(int(total), whole)
    exact = shares.astype(np.int64)
    over = exact * rest if rest * int(shares.max()) < 2**63 else exact.astype(object) * rest
    part = exact * each + (over // whole).astype(np.int64)
    left = int(total) - int(part.sum())
    order = np.argsort(-(over % whole).astype(np.float64), kind="stable")
    part[order[:left]] += 1
    return part


def allocate_costs(costs: Costs, log: Transactions, as_of: str | date | None = None) -> pd.DataFrame:
    """Each cost, or the part of it that fell in days observed by ``as_of``, as amounts of members.

    A cost with a customer_id is that member's. A shared one is divided by what its ``allocated_by`` says, over the trade
    between ``starts`` and ``ends``: orders (receipts), lines, or visits (days with a receipt). Trade without a member
    bears its part, which no member is charged; the same holds for a cost in whose days nothing was sold.

    Parameters
    ----------
    costs : Costs
    log : Transactions
    as_of : date, optional
        Of a period that is not over, the days so far count, and so much of the cost.

    Returns
    -------
    DataFrame
        cost_id, kind, customer_id (missing where no member is charged), allocated_by ("own" for a member's), amount (to the cent). The
        amounts of a cost add up to it exactly.

    Raises
    ------
    ContractError
        A shared cost does not say by what it is divided.

    Examples
    --------
    >>> till = pd.DataFrame({"customer_id": ["a", "a", "b"], "amount": [5.0, 5, 9], "order_id": [1, 2, 3],
    ...                      "purchased_at": ["2017-05-02", "2017-05-09", "2017-05-20"]})
    >>> log = Transactions.from_extract(till, until="2017-05-31")
    >>> sheet = pd.DataFrame({"cost_id": [1, 2], "kind": ["delivery", "visit"], "customer_id": [None, "b"],
    ...                       "amount": [100, 12.5], "starts": "2017-05-01", "ends": "2017-05-31",
    ...                       "allocated_by": ["orders", None]})
    >>> allocate_costs(Costs.from_extract(sheet), log)
      cost_id      kind customer_id allocated_by  amount
    0       1  delivery           a       orders   66.67
    1       1  delivery           b       orders   33.33
    2       2     visit           b          own   12.50
    """
    day = log.close_of(as_of)
    sheet = _observed(costs.frame, day)
    own = sheet[sheet["customer_id"].notna()].assign(allocated_by="own", amount=lambda rows: rows["cents"] / 100)
    shared = sheet[sheet["customer_id"].isna()]
    if unsaid := shared.loc[~shared["allocated_by"].isin(_RULES), "cost_id"].tolist():
        raise ContractError(
            f"{len(unsaid)} shared costs do not say by what they are divided: cost_id {unsaid[:5]}. "
            f"Write one of {list(_RULES)} in allocated_by, or give a customer_id."
        )
    drivers = _drivers(log, shared, day)
    parts = [_divided(row, drivers) for row in shared.itertuples()]
    columns = ["cost_id", "kind", "customer_id", "allocated_by", "amount"]
    found = pd.concat([own[columns], *parts], ignore_index=True) if parts else own[columns]
    order = pd.Index(sheet["cost_id"]).get_indexer(pd.Index(found["cost_id"]))
    return found.iloc[np.argsort(order, kind="stable")].reset_index(drop=True)


def _observed(sheet: pd.DataFrame, day: int) -> pd.DataFrame:
    """Costs that had begun, with their days as numbers and the cents of the days observed."""
    first, last = (
        pd.to_datetime(sheet[name]).to_numpy("datetime64[D]").astype(np.int64) for name in ("starts", "ends")
    )
    seen = np.minimum(last, day) - first + 1
    cents = np.rint(np.round(sheet["amount"].to_numpy(np.float64) * 100, 4) * seen / (last - first + 1)).astype(
        np.int64
    )
    table = sheet.assign(first=first, last=np.minimum(last, day), cents=cents)
    return table[first <= day]


def _drivers(log: Transactions, shared: pd.DataFrame, day: int) -> pd.DataFrame:
    periods = shared[["first", "last"]].drop_duplicates().set_axis(["starts", "ends"], axis=1)
    if periods.empty:
        return pd.DataFrame(columns=["starts", "ends", "customer_id", *_RULES])
    with engine_for(log) as engine:
        lines = engine.parquet(log.lines)
        named = engine.register(pa.Table.from_pandas(periods, preserve_index=False))
        found = engine.summary("summaries/cost_drivers", {"as_of": day}, lines=lines, periods=named)
        return to_pandas(found)


def _divided(cost: Any, drivers: pd.DataFrame) -> pd.DataFrame:
    rows = drivers[(drivers["starts"] == cost.first) & (drivers["ends"] == cost.last)]
    ids: Any = rows["customer_id"].to_numpy(dtype=object) if len(rows) else np.array([None], dtype=object)
    weights = rows[cost.allocated_by].to_numpy(dtype=np.int64) if len(rows) else np.ones(1, dtype=np.int64)
    cents = largest_remainder(int(cost.cents), weights)
    table = {"cost_id": cost.cost_id, "kind": cost.kind, "customer_id": ids, "allocated_by": cost.allocated_by}
    return pd.DataFrame(table | {"amount": cents / 100})
