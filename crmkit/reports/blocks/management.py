"""The management pack as blocks: a page and a workbook for whoever runs the shop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pandas as pd

from crmkit.displays import BLUE, GREY, PALE, Display, legend
from crmkit.reports.block import Block, Table
from crmkit.reports.formats import money, number
from crmkit.summaries.management import ManagementPack

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["HoursDisplay", "MonthsBesideDisplay", "management", "management_blocks"]

_SHOWN, _DAYS = 12, 14
_PARTS = {"store": "Stores", "class": "Customer classes", "area": "Areas", "street": "Streets"}


class MonthsBesideDisplay(Display):
    """Sales by month beside the year before; table: period, partial, sales, sales_year_ago."""

    title = "Sales by month (pale: the month is not over)"

    def _draw(self, ax: Axes) -> None:
        places = range(len(self.table))
        shade = [PALE if part else BLUE for part in self.table["partial"]]
        ax.bar(places, self.table["sales"], color=shade)
        before = self.table["sales_year_ago"]
        if before.notna().any():
            ax.plot(places, before, "o", color=GREY, label="364 days before")
            legend(ax, loc="upper left", bbox_to_anchor=(0, -0.22))
        ax.set_xticks(places, [f"{day:%b %y}" for day in self.table["period"]], rotation=45, ha="right")
        ax.yaxis.set_major_formatter("{x:,.0f}")


class HoursDisplay(Display):
    """Sales by hour of the day; table: hour, sales."""

    title = "Sales by hour of the day"

    def _draw(self, ax: Axes) -> None:
        ax.bar(self.table["hour"], self.table["sales"], color=BLUE)
        ax.set(xlabel="hour")
        ax.yaxis.set_major_formatter("{x:,.0f}")


def management(pack: ManagementPack, *, currency: str = "") -> Block:
    """The month in one block, for the report of the run."""
    months = pack.tables["sales_by_month"]
    return Block(
        "Management",
        _month_told(months, currency),
        f"The pack has {len(pack.tables)} tables in the folder management/, and each ties to the lines to the cent.",
        MonthsBesideDisplay(months.tail(13)),
        Table(_narrow(months.tail(_SHOWN))),
        notes=pack.missing,
    )


def management_blocks(pack: ManagementPack, *, currency: str = "") -> list[Block]:
    """Every table of the pack."""
    return [management(pack, currency=currency), *_details(pack, currency)]


def _details(pack: ManagementPack, currency: str) -> Iterator[Block]:
    tables = pack.tables
    if "like_for_like" in tables and len(tables["like_for_like"]):
        yield _like_for_like(tables["like_for_like"])
    yield Block(
        "Weeks and days",
        f"The last {_DAYS} days, each beside the same weekday a year before",
        table=Table(_narrow(tables["sales_by_day"].tail(_DAYS))),
        more=(Table(tables["sales_by_week"], "All weeks"), Table(tables["sales_by_day"], "All days")),
    )
    if "sales_by_category" in tables:
        yield _part(tables["sales_by_category"], "category", "Categories", currency)
    for name, topic in _PARTS.items():
        if f"sales_by_{name}" in tables:
            yield _part(tables[f"sales_by_{name}"], name, topic, currency)
    if "sales_by_hour" in tables:
        yield _hours(tables["sales_by_hour"])
    if "stock" in tables:
        yield _stock(tables["stock"], currency)
    yield _cards(tables["card_share"])
    yield Block(
        "Returns and corrections",
        "What the money of each month is made of",
        "Returns by how their sale was found; kinds of lines that are no goods are named.",
        table=Table(tables["corrections"].tail(_SHOWN)),
        more=(Table(tables["corrections"], "All months"),),
    )
    yield Block(
        "Reconciliation",
        "Every table ties to the lines to the cent",
        table=Table(tables["reconciliation"]),
    )


def _stock(stock: pd.DataFrame, currency: str) -> Block:
    """What to look at first: sold out and short, by what sells most; then what stands still or expires."""
    count = stock["state"].value_counts()
    urgent = stock[stock["state"].isin(["sold out", "short"])].sort_values("sold_28", ascending=False, kind="stable")
    idle = stock[stock["state"].isin(["stands still", "expires"])].sort_values("stock", ascending=False, kind="stable")
    worth = f" In all the stock cost {money(stock['value'].sum(), currency)}." if stock["value"].notna().any() else ""
    more = (Table(idle.head(_SHOWN), "What stands still or expires"), Table(stock, "All products"))
    return Block(
        "Stock",
        f"Of {number(len(stock))} products {number(count.get('sold out', 0))} are sold out and "
        f"{number(count.get('short', 0))} last less than a week",
        f"{number(count.get('stands still', 0))} were not sold for 84 days, {number(count.get('expires', 0))} will expire before they "
        f"are sold, {number(count.get('unknown product', 0))} were never sold.{worth}",
        table=Table(urgent.head(_SHOWN)),
        more=more if len(idle) else more[1:],
    )


def _month_told(months: pd.DataFrame, currency: str) -> str:
    whole = months[~months["partial"]]
    if not len(whole):
        return "No month has been observed in full yet"
    last = whole.iloc[-1]
    change = f", {last['change']:+.1%} on the same weekdays a year before" if last["change"] == last["change"] else ""
    return f"{last['period']:%B %Y}: {money(last['sales'], currency)}{change}, {number(last['receipts'])} receipts"


def _narrow(table: pd.DataFrame) -> pd.DataFrame:
    """Without the counts of a year before, which the full tables have; whole periods are not marked."""
    shown = table.drop(
        columns=[name for name in map(str, table) if name.endswith("_year_ago") and name != "sales_year_ago"]
    )
    shown = shown.rename(columns={"change": "growth"})
    unknown = [name for name in ("sales_year_ago", "growth") if name in shown and shown[name].isna().all()]
    shown = shown.drop(columns=unknown)
    if not table["partial"].any():
        return shown.drop(columns="partial")
    return shown.assign(partial=["in part" if part else "" for part in table["partial"]])


def _part(table: pd.DataFrame, by: str, topic: str, currency: str) -> Block:
    whole = table[~table["partial"]] if (~table["partial"]).any() else table
    last = whole[whole["period"] == whole["period"].max()]
    top = last.sort_values("sales", ascending=False, kind="stable")
    total = top["sales"].sum()
    shown = top.assign(share_of_sales=top["sales"] / total if total else 0.0)
    named = shown[shown[by].notna()]
    first = named.iloc[0] if len(named) else shown.iloc[0]
    return Block(
        topic,
        f"{'Store ' if by == 'store' else ''}{first[by]} brought {first['share_of_sales']:.0%} of the sales of {first['period']:%B %Y}",
        "An empty name stands for sales that cannot be told apart: to nobody known, or of goods without one.",
        table=Table(_narrow(shown.head(_SHOWN)).drop(columns=["period", "days", "partial"], errors="ignore")),
        more=(Table(table, f"All months by {by}"),),
    )


def _like_for_like(table: pd.DataFrame) -> Block:
    last = table.iloc[-1]
    return Block(
        "Like for like",
        f"Stores open in both years: {last['change']:+.1%} in {last['period']:%B %Y}",
        f"{number(last['stores'])} stores sold both in the month and a year before; they are {last['share_of_sales']:.0%} of its sales.",
        table=Table(table.tail(_SHOWN).rename(columns={"change": "growth"})),
    )


def _hours(table: pd.DataFrame) -> Block:
    known = table[table["hour"].notna()]
    hours = known.groupby("hour")[["sales", "receipts"]].sum().reset_index()
    hours["share_of_sales"] = hours["sales"] / hours["sales"].sum()
    busiest = hours.sort_values(["sales", "hour"], ascending=[False, True]).iloc[0]
    return Block(
        "Hours",
        f"The hour from {busiest['hour']:.0f} o'clock brings {busiest['share_of_sales']:.0%} of the sales",
        display=HoursDisplay(hours),
        table=Table(hours),
        more=(Table(table, "All months by hour"),),
    )


def _cards(table: pd.DataFrame) -> Block:
    last = table.iloc[-1]
    return Block(
        "Card share",
        f"{last['share']:.0%} of the sales of {last['period']:%B %Y} were with a card",
        table=Table(table.tail(_SHOWN)),
    )
