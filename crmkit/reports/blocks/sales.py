"""Sales over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crmkit.displays import BLUE, PALE, Display

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SalesDisplay"]


class SalesDisplay(Display):
    """Sales per week; table: week (its Monday), sales, customers."""

    title = "Sales per week"

    def _draw(self, ax: Axes) -> None:
        ax.fill_between(self.table["week"], self.table["sales"], color=PALE)
        ax.plot(self.table["week"], self.table["sales"], color=BLUE)
        ax.set(ylabel="sales", ylim=(0, None))
        ax.yaxis.set_major_formatter("{x:,.0f}")
        ax.tick_params(axis="x", labelrotation=30)
