"""Figures of churn: how much of the leavers, and of their money, the best part of a list holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from crmkit.displays import BLUE, GREEN, GREY, ORANGE, Display, legend
from crmkit.evaluation.metrics.money import gains_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["GainsDisplay", "churn_gains"]


class GainsDisplay(Display):
    """Share of an outcome that the best share of customers holds; table: list, share_of_rows, share_of_outcome."""

    title = "What the best part of the list holds"

    def _draw(self, ax: Axes) -> None:
        ax.plot([0, 100], [0, 100], color=GREY, linewidth=1, linestyle=":", label="a random list")
        lists = self.table.groupby("list", sort=False)
        for (name, rows), colour in zip(lists, (BLUE, ORANGE, GREEN), strict=False):
            x, y = 100 * rows["share_of_rows"], 100 * rows["share_of_outcome"]
            ax.plot(x, y, color=colour, label=str(name))
        ax.set(xlabel="best % of customers", ylabel="% of what was lost", xlim=(0, 100), ylim=(0, 102))
        legend(ax, loc="lower right")


def churn_gains(y: ArrayLike, lists: Mapping[str, ArrayLike], value: ArrayLike | None = None) -> GainsDisplay:
    """A gains chart: of each list's score, how many of the leavers (or of their money) its best part holds.

    Where nobody left there is nothing to hold, and the table is empty.

    Parameters
    ----------
    y : array (n,)
        1 for a customer who left.
    lists : mapping of str to array (n,)
        Name of a list and the score that ranks it.
    value : array (n,), optional
        Money expected of each if they had stayed; then the outcome is money.

    Examples
    --------
    >>> churn_gains([1, 0, 0, 1], {"model": [0.9, 0.1, 0.2, 0.8]}).table["share_of_outcome"].iloc[[0, 5, 10]].tolist()
    [0.0, 0.5, 1.0]
    """
    outcome = np.asarray(y, dtype=np.float64) * (1.0 if value is None else np.asarray(value, dtype=np.float64))
    if not outcome.sum() > 0:
        return GainsDisplay(pd.DataFrame({"list": [], "share_of_rows": [], "share_of_outcome": []}))
    parts = [pd.DataFrame({"list": name} | gains_table(outcome, score)) for name, score in lists.items()]
    return GainsDisplay(pd.concat(parts, ignore_index=True))
