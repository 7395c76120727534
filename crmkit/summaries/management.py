"""The management pack: sales by every period and part of the shop beside the year before, each table tied to the lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmkit._checks import customer_index
from crmkit.displays import InNotebook
from crmkit.engine.base import SqlEngine
from crmkit.engine.choose import engine_for
from crmkit.engine.frames import to_pandas
from crmkit.exceptions import CrmkitError
from crmkit.summaries.card_share import card_share
from crmkit.summaries.stock import stock_report
from crmkit.transactions.log import Transactions, check_log

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ManagementPack", "management_pack"]

_PLACES = {"area": "area", "street": "street"}
_WHOLE = {"day": 1, "week": 7}
_CENT = 0.005


@dataclass(frozen=True)
class ManagementPack(InNotebook):
    """Tables for whoever runs the shop.

    Attributes
    ----------
    tables : mapping of str to DataFrame
        sales_by_day, sales_by_week, sales_by_month, and by month sales_by_hour, sales_by_category, sales_by_store,
        sales_by_class, sales_by_area, sales_by_street, as far as the lines and members have these: the columns of
        `sales_summary`, with ``partial`` where not every day of the period was observed. like_for_like (stores that sold in
        both periods), card_share, stock (`stock_report`, where a stock is given), corrections (what the money of each month is: sales, returns, services) and
        reconciliation (the sum of each table, that of the lines, and the difference, which is 0).
    missing : tuple of str
        What cannot be told, and what to deliver for it.
    """

    tables: Mapping[str, pd.DataFrame]
    missing: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        total = self.tables["reconciliation"]["lines"].iloc[0]
        return f"{len(self.tables)} tables, each of which ties to {total:,.2f} of sales; missing: {len(self.missing)}"


def management_pack(
    log: Transactions,
    customers: pd.DataFrame | None = None,
    members: pd.DataFrame | None = None,
    as_of: str | date | None = None,
    classes: str = "tier",
    stock: pd.DataFrame | None = None,
) -> ManagementPack:
    """Sales by day, week, month, hour, category, store, area and customer class, beside the same weekdays a year before.

    Parameters
    ----------
    log : Transactions
    customers : DataFrame, optional
        customer_id and the column of ``classes``: customers, receipts and sales are counted by class.
    members : DataFrame, optional
        customer_id and, where known, area and street.
    as_of : date, optional
        By default the log's ``until``.
    classes : str
        Column of ``customers`` that says to which class a customer belongs.
    stock : DataFrame, optional
        What is there, for the `stock_report`.

    Returns
    -------
    ManagementPack

    Raises
    ------
    ContractError
        A table gives a customer twice, or lacks a column.
    CrmkitError
        A table does not tie to the lines.

    Examples
    --------
    >>> from crmkit.testing import generated_log
    >>> pack = management_pack(generated_log(n_customers=50))
    >>> pack.tables["reconciliation"]["difference"].abs().max()
    np.float64(0.0)
    """
    check_log(log)
    day = log.close_of(as_of)
    with engine_for(log) as engine:
        lines = engine.parquet(log.lines)
        parts, missing = _parts(engine, log, lines, customers, members, classes)
        wide = engine.view(_widened(engine, lines, customers, members, classes))
        tables = {f"sales_by_{period}": _sales(engine, wide, day, period) for period in ("day", "week", "month")}
        tables |= {f"sales_by_{part}": _sales(engine, wide, day, "month", part) for part in parts}
        corrections = to_pandas(engine.summary("summaries/corrections", {"as_of": day}, lines=lines))
        total = float(
            engine.frame(
                f"select cast(sum(amount) as double) as total from {lines} where day <= :as_of", {"as_of": day}
            )["total"][0]
        )
    if "sales_by_store" in tables:
        tables["like_for_like"] = _like_for_like(tables["sales_by_store"])
    if tables["sales_by_month"]["sales_year_ago"].isna().all():
        missing.append("The log holds no whole period a year before, so nothing is compared with it.")
    tables |= {"card_share": card_share(log, as_of=as_of), "corrections": corrections}
    tables["reconciliation"] = _reconciled(tables, 0.0 if np.isnan(total) else total)
    if stock is None:
        missing.append("No stock is delivered: no stock report. Name it in [stock].")
    elif "product_id" not in log.items:
        missing.append("No line has a product_id: no stock report.")
    else:
        tables["stock"] = stock_report(log, stock, as_of)
    return ManagementPack(tables, tuple(missing))


def _parts(
    engine: SqlEngine,
    log: Transactions,
    lines: str,
    customers: pd.DataFrame | None,
    members: pd.DataFrame | None,
    classes: str,
) -> tuple[list[str], list[str]]:
    """Columns by which sales can be divided, and a sentence for each by which they cannot."""
    parts, missing = [], list[str]()
    for name, column in (("hour", "hour"), ("store", "store")):
        found = engine.frame(f"select 1 as found from {lines} where {column} is not null limit 1")
        if len(found):
            parts.append(name)
        else:
            missing.append(f"No line has {'a time of day' if name == 'hour' else 'a store'}: no sales by {name}.")
    if "category" in log.items:
        parts.insert(1, "category")
    else:
        missing.append("No line has a category: no sales by category. Name it, or give products.")
    if customers is not None:
        customer_index(customers, (classes,), "The table of customers")
        parts.append("class")
    else:
        missing.append("No classes of customers are given: no sales by class.")
    places = [name for name in _PLACES if members is not None and name in members and members[name].notna().any()]
    if "area" not in places:
        missing.append("No member has an area: no sales by area. Name the column area of the members.")
    return parts + places, missing


def _widened(
    engine: SqlEngine, lines: str, customers: pd.DataFrame | None, members: pd.DataFrame | None, classes: str
) -> str:
    """Lines with the class and the place of their customer."""
    joins, columns = "", ""
    if customers is not None:
        table = customers[["customer_id", classes]].rename(columns={classes: "class"})
        joins += f" left join {engine.register(table.astype('str'))} c on c.customer_id = l.customer_id"
        columns += f", c.{engine.quoted('class')} as {engine.quoted('class')}"
    if members is not None:
        places = [name for name in _PLACES if name in members]
        table = customer_index(members, tuple(places), "The table of members")[places].reset_index()
        joins += f" left join {engine.register(table)} m on m.customer_id = l.customer_id"
        columns += "".join(f", m.{name} as {name}" for name in places)
    return f"select l.*{columns} from {lines} l{joins}"


def _sales(engine: SqlEngine, lines: str, day: int, period: str, part: str = "") -> pd.DataFrame:
    name = engine.quoted(part) if part else ""
    table = to_pandas(
        engine.summary(
            "summaries/sales_summary",
            {"as_of": day, "period": period},
            lines=lines,
            by=f", {name}" if part else "",
            order=f", {name} nulls last" if part else "",
        )
    )
    whole = table["period"].dt.days_in_month if period == "month" else _WHOLE[period]
    table.insert(list(table).index("days") + 1, "partial", table["days"] < whole)
    return table


def _like_for_like(by_store: pd.DataFrame) -> pd.DataFrame:
    """Sales of stores that sold in both periods; stores that opened or closed in between are left out."""
    both = by_store[(by_store["receipts"] > 0) & (by_store["receipts_year_ago"].fillna(0) > 0)]
    sums = both.groupby("period").agg(
        stores=("store", "nunique"), sales=("sales", "sum"), sales_year_ago=("sales_year_ago", "sum")
    )
    whole = by_store.groupby("period").agg(days=("days", "max"), partial=("partial", "max"), all_sales=("sales", "sum"))
    table = whole.join(sums, how="inner").reset_index()
    return table.assign(
        change=table["sales"] / table["sales_year_ago"] - 1, share_of_sales=table["sales"] / table["all_sales"]
    )


def _reconciled(tables: Mapping[str, pd.DataFrame], total: float) -> pd.DataFrame:
    """Each table beside the lines; one that does not tie raises."""
    summed = {
        name: table["sales"].sum() for name, table in tables.items() if "sales" in table and name != "like_for_like"
    }
    found = pd.DataFrame({"table": list(summed), "sales": list(summed.values())}).assign(lines=total)
    found["difference"] = (found["sales"] - found["lines"]).round(4) + 0.0
    if len(off := found[found["difference"].abs() > _CENT]):
        raise CrmkitError(f"Tables do not tie to the lines: {dict(zip(off['table'], off['difference'], strict=True))}.")
    return found
