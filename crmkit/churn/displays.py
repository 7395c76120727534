"""Figures of churn: the share of churners, or of their money, in the top of a list."""

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
    """Share of an outcome in the top share of customers; table: list, share_of_rows, share_of_outcome."""

    title = "Cumulative gains"

    def _draw(self, ax: Axes) -> None:
        ax.plot([0, 100], [0, 100], color=GREY, linewidth=1, linestyle=":", label="a random list")
        lists = self.table.groupby("list", sort=False)
        for (name, rows), colour in zip(lists, (BLUE, ORANGE, GREEN), strict=False):
            x, y = 100 * rows["share_of_rows"], 100 * rows["share_of_outcome"]
            ax.plot(x, y, color=colour, label=str(name))
        ax.set(xlabel="top % of customers", ylabel="% of churned value", xlim=(0, 100), ylim=(0, 102))
        legend(ax, loc="lower right")


def churn_gains(y: ArrayLike, lists: Mapping[str, ArrayLike], value: ArrayLike | None = None) -> GainsDisplay:
    """A gains chart: the share of churners (or of their money) in the top of each list.

    Where no customer churned, the table is empty.

    Parameters
    ----------
    y : array (n,)
        1 for a customer who churned.
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
