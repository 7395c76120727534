"""Figures of repurchase timing: each holds the numbers it draws (`displays.Display`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crmkit.displays import BLUE, GREEN, GREY, INK, ORANGE, PALE, Display, text_over
from crmkit.evaluation import metrics
from crmkit.exceptions import ContractError, ModelError
from crmkit.repurchase.explanation import LONGEST, Explanation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["DueDisplay", "ListDisplay", "PairDisplay", "due_items", "list_accuracy", "pair_curve"]

_LONGEST_NAME = 28


class ListDisplay(Display):
    """How much of what a member buys is on the list of the k likeliest items; table: model, k, recall, precision."""

    title = "Share of what was bought that the list held"

    def _draw(self, ax: Axes) -> None:
        colours = (BLUE, ORANGE, GREEN, GREY)
        for (model, rows), colour in zip(self.table.groupby("model", sort=False), colours, strict=False):
            ax.plot(rows["k"], 100 * rows["recall"], "o-", color=colour, markersize=3, label=str(model))
        ax.set(xlabel="items on the list", ylabel="% of the items bought", ylim=(0, 100))
        ax.legend(fontsize=8, frameon=False, loc="lower right")


@dataclass(frozen=True)
class PairDisplay(Display):
    """When one member will need one item again; table: day, p_bought. Purchases are drawn as ticks under the curve.

    Attributes
    ----------
    explanation : Explanation
        Whose curve it is.
    """

    explanation: Explanation

    @property
    def title(self) -> str:  # type: ignore[override]
        return f"{self.explanation.item}: when member {self.explanation.customer_id} buys it again"

    def _draw(self, ax: Axes) -> None:
        close = pd.Timestamp(self.explanation.as_of)
        ahead = close + pd.to_timedelta(self.table["day"], unit="D")
        ax.plot(ahead[:1].repeat(2), [-8, 102], color=GREY, linewidth=1, linestyle=":")
        ax.fill_between(ahead, 100 * self.table["p_bought"], color=PALE)
        ax.plot(ahead, 100 * self.table["p_bought"], color=BLUE)
        bought = self.explanation.purchases["day"]
        ax.plot(bought, np.full(len(bought), -4), "|", color=ORANGE, markersize=9, markeredgewidth=1.5)
        ax.annotate(
            "bought", (bought.iloc[-1], -4), (0, 7), textcoords="offset points", fontsize=8, color=ORANGE, ha="right"
        )
        ax.annotate(
            self.explanation.expectation,
            (close, 96),
            (-5, 0),
            textcoords="offset points",
            fontsize=8,
            color=INK,
            ha="right",
        )
        first = max(bought.min(), close - pd.Timedelta(days=3 * LONGEST))
        ax.set(ylabel="% bought by then", ylim=(-8, 102), xlim=(first - pd.Timedelta(days=5), ahead.iloc[-1]))
        ax.tick_params(axis="x", labelrotation=30)


class DueDisplay(Display):
    """Which items are due, and when; table: one row an item, and a column of expected purchases for each week ahead."""

    title = "Next purchases expected in each week ahead"

    def _draw(self, ax: Axes) -> None:
        weeks = self.table.columns[1:]
        values = self.table[weeks].to_numpy(dtype=np.float64)
        image = ax.imshow(values, aspect="auto", cmap="Blues", vmin=0, vmax=max(float(values.max(initial=0)), 1e-9))
        ax.set_yticks(np.arange(len(self.table)), [_short(str(name)) for name in self.table.iloc[:, 0]])
        ax.set_xticks(np.arange(len(weeks)), [str(week) for week in weeks])
        ax.set(xlabel="week ahead")
        for (row, column), value in np.ndenumerate(values):
            colour = text_over(image, value)
            ax.text(column, row, f"{value:,.0f}", ha="center", va="center", fontsize=7, color=colour)


def list_accuracy(
    answers: pd.DataFrame,
    models: Mapping[str, str],
    bought: str = "bought",
    ks: Sequence[int] = (1, 3, 5, 10, 15, 20, 30),
) -> ListDisplay:
    """Recall and precision of each model's list at several lengths.

    Parameters
    ----------
    answers : DataFrame
        customer_id, a 0/1 column that says what was bought, and a column of scores per model.
    models : mapping
        Name to show = column of ``answers``.
    bought : str
    ks : sequence of int

    Examples
    --------
    >>> rows = pd.DataFrame({"customer_id": ["a", "a", "b"], "bought": [1, 0, 1], "p": [0.9, 0.2, 0.4]})
    >>> list_accuracy(rows, {"model": "p"}, ks=[1, 2]).table
       model  k  recall  precision
    0  model  1     1.0        1.0
    1  model  2     1.0        0.5
    """
    who, y = answers["customer_id"], answers[bought]
    rows: list[dict[str, Any]] = [
        {
            "model": name,
            "k": k,
            "recall": metrics.recall_at_k(who, y, answers[column], k),
            "precision": metrics.precision_at_k(who, y, answers[column], k),
        }
        for name, column in models.items()
        for k in ks
    ]
    return ListDisplay(pd.DataFrame(rows))


def pair_curve(explanation: Explanation) -> PairDisplay:
    """The curve of one pair, from `NextPurchase.explain`; a pair never bought has none."""
    if explanation.curve.empty:
        raise ModelError(f"{explanation.customer_id} has never bought {explanation.item}: there is no curve to draw.")
    return PairDisplay(explanation.curve, explanation)


def due_items(distribution: pd.DataFrame, most: int = 15) -> DueDisplay:
    """First purchases expected in each of the next 12 weeks of the ``most`` items with the most of them.

    Parameters
    ----------
    distribution : DataFrame
        From `NextPurchase.predict_distribution`; take rows of it to draw one member's or one group's items.
    """
    days = [7 * week for week in range(1, LONGEST // 7 + 1)]
    if [day for day in days if day not in distribution]:
        raise ContractError(
            f"The table has {list(distribution)[:4]} …; due_items draws what predict_distribution(log) gives."
        )
    item = str(distribution.columns[1])
    by_then = distribution.groupby(item)[days].sum()
    weekly = by_then.diff(axis=1)
    weekly[7] = by_then[7]
    weekly.columns = pd.Index(range(1, len(days) + 1))
    order = weekly.sum(axis=1).sort_values(ascending=False, kind="stable").index[:most]
    return DueDisplay(weekly.loc[order].reset_index())


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
