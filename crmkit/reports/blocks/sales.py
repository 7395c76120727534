"""Sales over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from crmkit.displays import BLUE, PALE, Display
from crmkit.reports.block import Block, Table
from crmkit.reports.formats import money, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SalesDisplay", "sales"]

_WEEKS = 12


class SalesDisplay(Display):
    """Sales per week; table: week (its Monday), sales, customers."""

    title = "Sales per week"

    def _draw(self, ax: Axes) -> None:
        ax.fill_between(self.table["week"], self.table["sales"], color=PALE)
        ax.plot(self.table["week"], self.table["sales"], color=BLUE)
        ax.set(ylabel="sales", ylim=(0, None))
        ax.yaxis.set_major_formatter("{x:,.0f}")
        ax.tick_params(axis="x", labelrotation=30)


def sales(weeks: pd.DataFrame, *, currency: str = "") -> Block:
    """Sales per week, from ``weekly_sales``."""
    if not len(weeks):
        return Block("Sales", "Nothing has been sold to a member yet")
    full = weeks.iloc[1:-1] if len(weeks) > 2 else weeks
    return Block(
        "Sales",
        f"Members spent {money(weeks['sales'].sum(), currency)} in {len(weeks)} weeks",
        f"The median full week brought {money(full['sales'].median(), currency)} from "
        f"{number(full['customers'].median())} members.",
        SalesDisplay(weeks),
        Table(weeks.tail(_WEEKS)),
        (Table(weeks, f"All {len(weeks)} weeks"),),
    )
