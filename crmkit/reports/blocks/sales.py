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
    return Block(
        "Sales",
        f"Members spent {money(weeks['sales'].sum(), currency)} in {len(weeks)} weeks",
        f"The median full week brought {money(full['sales'].median(), currency)} from "
        f"{number(full['customers'].median())} members."
        if len(full)
        else "No week is observed in full yet.",
        SalesDisplay(weeks),
        Table(weeks.tail(_WEEKS)),
        (Table(weeks, f"All {len(weeks)} weeks"),),
    )
