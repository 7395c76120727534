"""Sales over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from crmkit.displays import BLUE, PALE, Display, legend
from crmkit.reports.block import Block, Table
from crmkit.reports.formats import money, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SalesDisplay", "sales"]

_WEEKS, _WHOLE = 12, 7


class SalesDisplay(Display):
    """Sales per week; table: week (its Monday), sales, customers, days. Weeks observed in part are hollow dots."""

    title = "Sales per week"

    def _draw(self, ax: Axes) -> None:
        whole = self.table["days"] == _WHOLE
        full, part = self.table[whole], self.table[~whole]
        ax.fill_between(full["week"], full["sales"], color=PALE)
        ax.plot(full["week"], full["sales"], color=BLUE)
        ax.plot(
            part["week"], part["sales"], "o", color=BLUE, markerfacecolor="white", markersize=4, label="part of a week"
        )
        if len(part):
            legend(ax, loc="lower right")
        ax.set(ylabel="sales", ylim=(0, None))
        ax.yaxis.set_major_formatter("{x:,.0f}")
        ax.tick_params(axis="x", labelrotation=30)


def sales(weeks: pd.DataFrame, *, currency: str = "") -> Block:
    """Sales per week, from ``weekly_sales``."""
    if not len(weeks):
        return Block("Sales", "Nothing has been sold to a member yet")
    full = weeks[weeks["days"] == _WHOLE]
    spent = f"Members spent {money(weeks['sales'].sum(), currency)} in {len(weeks)} weeks"
    if not len(full):
        return Block("Sales", spent, "No week is observed in full yet.", SalesDisplay(weeks), Table(_marked(weeks)))
    last, usual = full.iloc[-1], full["sales"].median()
    return Block(
        "Sales",
        f"The last full week, from {last['week']:%d %B %Y}, brought {money(last['sales'], currency)} from members, "
        f"{last['sales'] / usual - 1:+.0%} on the median week"
        if usual > 0
        else spent,
        f"{spent}. The median full week brought {money(usual, currency)} from {number(full['customers'].median())} members.",
        SalesDisplay(weeks),
        Table(_marked(weeks.tail(_WEEKS))),
        (Table(weeks, f"All {len(weeks)} weeks"),),
    )


def _marked(weeks: pd.DataFrame) -> pd.DataFrame:
    """Weeks that are observed in part are marked; where there is none, the days are not shown."""
    part, shown = weeks["days"] < _WHOLE, weeks.drop(columns="days")
    return (
        shown.assign(observed=[f"{n} days" if few else "" for n, few in zip(weeks["days"], part, strict=True)])
        if part.any()
        else shown
    )
