"""One page about one customer, to be read before a visit or a call."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING

import pandas as pd

from crmkit._checks import require_columns
from crmkit._days import as_day
from crmkit.displays import BLUE, Display
from crmkit.exceptions import ContractError
from crmkit.reports.block import Block, Table
from crmkit.reports.formats import money
from crmkit.reports.report import Report
from crmkit.summaries.customers import customer_purchases
from crmkit.transactions.log import Transactions

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["MonthsDisplay", "customer_sheet"]

_LIKELY, _STOPPED, _OFTEN, _SHOWN = 0.5, 0.5, 3, 8
_RISKY, _NEAREST = 0.5, 3


class MonthsDisplay(Display):
    """What a customer spent in each month; table: month, spend."""

    title = "Spend by month"

    def _draw(self, ax: Axes) -> None:
        ax.bar(range(len(self.table)), self.table["spend"], color=BLUE)
        ax.set_xticks(range(len(self.table)), [f"{day:%b %y}" for day in self.table["month"]], rotation=45, ha="right")
        ax.axhline(0, linewidth=0.8, color="black")


def customer_sheet(
    customer_id: object,
    log: Transactions,
    customers: pd.DataFrame,
    repurchases: pd.DataFrame | None = None,
    offers: pd.DataFrame | None = None,
    *,
    as_of: str | date | None = None,
    currency: str = "",
) -> Report:
    """A page about one customer: what was bought, what was dropped, what comes next, value and risk, offers, what to say.

    Parameters
    ----------
    customer_id : str or number
    log : Transactions
    customers : DataFrame
        One row per customer, as ``customers.parquet`` of a run or put together by hand: customer_id, and of value, tier,
        tier_since, p_churn, value_at_risk, reason_1 … what there is.
    repurchases : DataFrame, optional
        From ``NextPurchase.predict``.
    offers : DataFrame, optional
        What was planned for the customer: deal_id, title and ends, where known.
    as_of : date, optional
        By default the log's ``until``.
    currency : str, optional

    Returns
    -------
    Report
        ``save("sheet.html")`` writes the page, ``save("sheet.xlsx")`` the same as a workbook.

    Raises
    ------
    ContractError
        The table has no such customer; the nearest ids are named.

    Examples
    --------
    >>> from crmkit.testing import generated_log
    >>> log = generated_log(n_customers=50)
    >>> from crmkit import rfm_table
    >>> page = customer_sheet("000007", log, rfm_table(log))
    >>> page.title
    'Customer 000007'
    """
    row, close = _row_of(customers, str(customer_id)), as_day(log.until if as_of is None else as_of)
    bought = customer_purchases(log, customer_id, close)
    due = _of(repurchases, row["customer_id"])
    page = Report(f"Customer {row['customer_id']}", as_of=close, currency=currency)
    for value, label in _cards(row, bought, close, currency):
        page.add_card(value, label)
    item = _item_of(due)
    page.blocks += [_advice(row, due, item, bought, close, currency)]
    if len(bought):
        page.blocks += [_months(bought, currency), _categories(bought, close, currency)]
    if len(due):
        page.blocks += [_needs(due, item, close), *_dropped(due, item, close)]
    page.blocks += [*_standing(row, currency), *_offered(_of(offers, row["customer_id"]))]
    return page


def _row_of(customers: pd.DataFrame, customer_id: str) -> pd.Series:
    require_columns(
        customers, ["customer_id"], advice="Give the customers of a run, or a table with one row per customer."
    )
    ids = customers["customer_id"].astype(str)
    found = customers[ids == customer_id]
    if len(found):
        return found.iloc[0]
    ending = ids[ids.str.endswith(customer_id.lstrip("0") or "0")].tolist()
    near = [*ending[:_NEAREST], *get_close_matches(customer_id, ids.tolist(), n=_NEAREST)]
    raise ContractError(
        f"There is no customer {customer_id!r} among {len(customers):,}."
        + (f" The nearest ids: {', '.join(list(dict.fromkeys(near))[:_NEAREST])}." if near else "")
    )


def _of(table: pd.DataFrame | None, customer_id: object) -> pd.DataFrame:
    return pd.DataFrame() if table is None else table[table["customer_id"] == customer_id].reset_index(drop=True)


def _item_of(due: pd.DataFrame) -> str:
    return str(due.columns[1]) if len(due) else ""


def _cards(row: pd.Series, bought: pd.DataFrame, close: date, currency: str) -> Iterator[tuple[str, str]]:
    if "tier" in row:
        yield str(row["tier"]), "tier" + (f" since {row['tier_since']:%d %b %Y}" if "tier_since" in row else "")
    if "value" in row:
        yield money(row["value"], currency), "expected value"
    if "p_churn" in row:
        yield f"{row['p_churn']:.0%}", "risk of churn"
    visits = bought.loc[bought["items"] > 0, "day"]
    if len(visits):
        yield f"{(pd.Timestamp(close) - visits.max()).days:,}", "days since the last purchase"


def _months(bought: pd.DataFrame, currency: str) -> Block:
    months = bought.assign(month=bought["day"].dt.to_period("M").dt.start_time).groupby("month")
    table = months.agg(spend=("amount", "sum"), days=("day", "nunique"), items=("items", "sum"))
    every = pd.date_range(table.index.min(), table.index.max(), freq="MS", name="month")
    table = table.reindex(every, fill_value=0).reset_index()
    receipts = bought.groupby(["day", "receipt"])["amount"].sum().reset_index()
    top = receipts.sort_values("amount", ascending=False, kind="stable").iloc[0]
    return Block(
        "Purchases",
        f"{money(bought['amount'].sum(), currency)} on {bought.loc[bought['items'] > 0, 'day'].nunique():,} days since {bought['day'].min():%d %b %Y}",
        f"The largest purchase was {money(top['amount'], currency)} on {top['day']:%d %b %Y}.",
        MonthsDisplay(table),
        Table(table.tail(12)),
        (Table(table, f"All {len(table)} months"),) if len(table) > 12 else (),
    )


def _categories(bought: pd.DataFrame, close: date, currency: str) -> Block:
    known = bought[bought["category"].notna()]
    if not len(known):
        return Block("Categories", "The lines of this customer have no categories")
    table = known.groupby("category").agg(spend=("amount", "sum"), days=("day", "nunique"), last_bought=("day", "max"))
    table["share_of_spend"] = table["spend"] / table["spend"].sum()
    table = table.sort_values(["spend"], ascending=False, kind="stable").reset_index()
    top = table.iloc[0]
    return Block(
        "Categories",
        f"{top['category']} is {top['share_of_spend']:.0%} of the money",
        f"{len(table)} categories in all.",
        table=Table(table.head(_SHOWN)),
        more=(Table(table, f"All {len(table)}"),) if len(table) > _SHOWN else (),
    )


def _needs(due: pd.DataFrame, item: str, close: date) -> Block:
    next_ones = due.sort_values(["p_purchase", item], ascending=[False, True], kind="stable").head(_SHOWN)
    by = [close + timedelta(days=int(day)) if day == day else None for day in next_ones["day_50"]]
    table = next_ones[[item, "p_purchase"]].assign(
        half_have_bought_by=pd.to_datetime(pd.Series(by, index=next_ones.index))
    )
    likely = int((due["p_purchase"] >= _LIKELY).sum())
    ahead = int(due["horizon"].iloc[0])
    return Block(
        "Next needs",
        f"More likely than not to be bought in the next {ahead} days: {likely} of {len(due)} items",
        "The probability is that of these days; by the date, half of such customers have bought.",
        table=Table(table.assign(why=next_ones["reason"])),
    )


def _lost(due: pd.DataFrame) -> pd.DataFrame:
    lost = due[(due["p_stopped"] >= _STOPPED) & (due["n_purchases"] >= _OFTEN)]
    return lost.sort_values("spend", ascending=False, kind="stable")


def _dropped(due: pd.DataFrame, item: str, close: date) -> Iterator[Block]:
    lost = _lost(due)
    if len(lost):
        yield Block(
            "Dropped",
            f"Probably given up, of what was bought {_OFTEN} times or more: {len(lost)}",
            "With the probability that the customer has given the item up.",
            table=Table(lost[[item, "p_stopped", "n_purchases", "spend", "reason"]].head(_SHOWN)),
        )


def _standing(row: pd.Series, currency: str) -> Iterator[Block]:
    if "p_churn" not in row:
        return
    reasons = [
        row[name] for name in ("reason_1", "reason_2", "reason_3") if isinstance(row.get(name), str) and row[name]
    ]
    at_risk = f" {money(row['value_at_risk'], currency)} is at risk." if "value_at_risk" in row else ""
    yield Block(
        "Risk",
        f"The probability that this customer will not come within the churn horizon is {row['p_churn']:.0%}",
        f"Why: {'; '.join(reasons) or 'no reason stands out'}.{at_risk}",
    )


def _offered(offers: pd.DataFrame) -> Iterator[Block]:
    if len(offers):
        shown = [name for name in ("position", "title", "deal_id", "ends", "p_redeem") if name in offers]
        yield Block("Offers", f"{len(offers)} offers are planned", table=Table(offers[shown]))


def _advice(row: pd.Series, due: pd.DataFrame, item: str, bought: pd.DataFrame, close: date, currency: str) -> Block:
    """What to talk about: risk first, then what was given up, then what is due."""
    said = []
    if row.get("open_complaints", 0) > 0:
        said.append("There is an open complaint: settle it before anything is offered.")
    if row.get("p_churn", 0) >= _RISKY:
        said.append(f"May be leaving: {row.get('reason_1', 'away for unusually long')}. Ask what has changed.")
    if len(due):
        said += [f"Used to buy {name}, and has probably stopped: ask why." for name in _lost(due)[item].head(2)]
        ready = due.sort_values(["p_purchase", item], ascending=[False, True], kind="stable").head(3)
        said.append(f"Due next: {', '.join(map(str, ready[item]))}.")
    if not said:
        said.append("Nothing stands out." if len(bought) else "Has bought nothing yet.")
    return Block("What to say", said[0], notes=tuple(said[1:]))
