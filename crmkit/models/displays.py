"""Figures of a purchase model, from the model alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmkit.displays import BLUE, GREY, INK, PALE, Display, legend
from crmkit.exceptions import ModelError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from crmkit.models.purchase_model import PurchaseModel

__all__ = ["AliveMatrixDisplay", "RepeatDisplay", "alive_matrix", "repeat_purchases"]


# -- Repeat purchases --------------------------------------------------------------------------------------------------


class RepeatDisplay(Display):
    """How many customers repeated how often; table: repeats, actual, expected."""

    title = "Customers by repeat purchases"

    def _draw(self, ax: Axes) -> None:
        place = np.arange(len(self.table))
        ax.bar(place - 0.2, self.table["actual"], 0.38, color=PALE, edgecolor=GREY, linewidth=0.5, label="actual")
        ax.bar(place + 0.2, self.table["expected"], 0.38, color=BLUE, label="expected")
        ax.set_xticks(place, self.table["repeats"])
        ax.set(xlabel="repeat purchase days", ylabel="customers")
        ax.yaxis.set_major_formatter("{x:,.0f}")
        legend(ax)


def repeat_purchases(model: PurchaseModel, customers: pd.DataFrame, most: int = 7) -> RepeatDisplay:
    """Customers by how often they repeated, beside the model's probabilities summed over their times observed.

    Parameters
    ----------
    model : a fitted purchase model
    customers : DataFrame
        The table it was fitted on: frequency, T.
    most : int, default 7
        The last row stands for this many and more.

    Returns
    -------
    RepeatDisplay
        table: repeats ("0" to "7+"), actual, expected; both add to the number of customers.

    Examples
    --------
    >>> from crmkit.models import BGNBD
    >>> table = pd.DataFrame({"frequency": [0, 1, 1, 2, 3, 6, 9], "recency": [0, 5, 28, 15, 30, 20, 37], "T": 39})
    >>> table = table.loc[table.index.repeat([300, 40, 40, 20, 15, 8, 8])]
    >>> repeat_purchases(BGNBD().fit(table), table, most=2).table.round(1).values.tolist()
    [['0', 300, 299.8], ['1', 80, 78.6], ['2+', 51, 52.6]]
    """
    actual = np.bincount(np.minimum(customers["frequency"].to_numpy(dtype=int), most), minlength=most + 1)
    counts = customers.groupby("T").size()
    chances = np.array([model.probability_of(np.arange(most), float(time)) for time in counts.index])
    expected = counts.to_numpy() @ chances.reshape(len(counts), most)
    labels = [*map(str, range(most)), f"{most}+"]
    return RepeatDisplay(
        pd.DataFrame({"repeats": labels, "actual": actual, "expected": [*expected, len(customers) - expected.sum()]})
    )


# -- Who is alive ------------------------------------------------------------------------------------------------------


class AliveMatrixDisplay(Display):
    """P(alive) by frequency (columns) and recency in days (rows); cells that cannot occur are missing."""

    title = "Probability of being active"

    def _draw(self, ax: Axes) -> None:
        rows, columns = self.table.index.to_numpy(dtype=float), self.table.columns.to_numpy(dtype=float)
        mesh = ax.pcolormesh(columns, rows, self.table.to_numpy(), cmap="viridis", vmin=0, vmax=1, shading="nearest")
        bar = ax.figure.colorbar(mesh, ax=ax)
        bar.ax.tick_params(labelsize=8, colors=INK)
        ax.set(xlabel="repeat purchase days", ylabel="recency: days from first to last purchase")


def alive_matrix(model: PurchaseModel, T: int, frequency: int = 30, rows: int = 60) -> AliveMatrixDisplay:
    """P(alive) of customers first seen ``T`` days ago, for each frequency and recency.

    Parameters
    ----------
    model : a fitted purchase model
    T : int
        Days observed.
    frequency : int, default 30
        Repeat purchase days, from 0 to this many.
    rows : int, default 60
        How many recencies, at most, evenly from 0 to T.

    Returns
    -------
    AliveMatrixDisplay
        table: recency as index, frequency as columns. Missing where there are more purchases than days, or a recency
        without a repeat purchase.

    Examples
    --------
    >>> from crmkit.models import BGNBD
    >>> table = pd.DataFrame({"frequency": [0, 1, 1, 2, 3, 6, 9], "recency": [0, 5, 28, 15, 30, 20, 37], "T": 39})
    >>> model = BGNBD().fit(table, sample_weight=[300, 40, 40, 20, 15, 8, 8])
    >>> alive_matrix(model, T=40, frequency=3, rows=3).table.round(2)
    frequency    0     1     2     3
    recency
    0          1.0   NaN   NaN   NaN
    20         NaN  0.50  0.54  0.50
    40         NaN  0.65  0.79  0.85
    """
    if not T >= 1:
        raise ModelError(f"T must be at least one day; it is {T!r}.")
    recencies = np.unique(np.linspace(0, T, min(rows, T + 1)).round().astype(int))
    grid = pd.MultiIndex.from_product([recencies, range(frequency + 1)], names=["recency", "frequency"]).to_frame(
        index=False
    )
    possible = (grid["recency"] >= grid["frequency"]) & ((grid["frequency"] > 0) | (grid["recency"] == 0))
    cells = _with_even_gaps(grid[possible].assign(T=T))
    grid.loc[possible, "p_alive"] = model.probability_alive(cells).to_numpy()
    return AliveMatrixDisplay(grid.pivot(index="recency", columns="frequency", values="p_alive"))


def _with_even_gaps(cells: pd.DataFrame) -> pd.DataFrame:
    """What a model of regular timing asks for; P(alive) does not depend on it."""
    times = cells["frequency"].clip(lower=1)
    return cells.assign(sum_log_gap=cells["frequency"] * np.log(np.maximum(cells["recency"] / times, 1.0)))
