"""Figures of a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crmkit.displays import GREEN, PALE, Display, legend, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["BudgetDisplay"]


class BudgetDisplay(Display):
    """What is planned of each funder's budget; table: funder, budget, spent."""

    title = "Budgets and what the plan uses of them"

    def _draw(self, ax: Axes) -> None:
        rows = self.table.sort_values("budget").tail(12)
        ax.barh(short(rows["funder"]), rows["budget"], color=PALE, label="budget")
        ax.barh(short(rows["funder"]), rows["spent"], color=GREEN, height=0.5, label="planned")
        ax.set(xlabel="money")
        legend(ax, loc="lower right")
