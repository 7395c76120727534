"""Figures as objects: each holds the numbers it draws, and draws them on axes that are given or made.

matplotlib is imported when a figure is drawn, never before; nothing global is set.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "BudgetDisplay",
    "Display",
    "FrequencyDisplay",
    "ReliabilityDisplay",
    "SalesDisplay",
    "SegmentDisplay",
    "TierDisplay",
]

_LONGEST = 24
INK, BLUE, ORANGE, GREEN, GREY, PALE = "#22303c", "#0072b2", "#d55e00", "#009e73", "#8a949c", "#dfe6ec"


@dataclass(frozen=True)
class Display(ABC):
    """A figure and its numbers.

    Attributes
    ----------
    table : DataFrame
        What is drawn.
    """

    table: pd.DataFrame
    title: ClassVar[str] = ""

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw on ``ax``, or on new axes, and return them."""
        if ax is None:
            import matplotlib.pyplot as plt

            _, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
        self._draw(ax)
        for label in (*ax.get_xticklabels(), *ax.get_yticklabels()):
            label.set_parse_math(False)
        ax.set_title(self.title, loc="left", fontsize=10, color=INK, fontweight="bold")
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
        ax.tick_params(labelsize=8, colors=INK)
        return ax

    @abstractmethod
    def _draw(self, ax: Axes) -> None:
        """Draw the figure itself; ``plot`` does the rest."""


class ReliabilityDisplay(Display):
    """Predicted probability against what happened; table: model, mean_predicted, observed_rate, count."""

    title = "Predicted and actual share"

    def _draw(self, ax: Axes) -> None:
        ax.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":", label="as it should be")
        for (model, rows), colour in zip(self.table.groupby("model", sort=False), (BLUE, ORANGE, GREEN), strict=False):
            ax.plot(rows["mean_predicted"], rows["observed_rate"], "o-", color=colour, markersize=4, label=str(model))
        ax.set(xlabel="predicted probability", ylabel="observed share", xlim=(0, 1), ylim=(0, 1))
        legend(ax)


class FrequencyDisplay(Display):
    """Purchases in the holdout by purchases before it; table: frequency, customers, actual, and one column a model."""

    title = "Purchases after the split"

    def _draw(self, ax: Axes) -> None:
        place = np.arange(len(self.table))
        ax.bar(place, self.table["actual"], color=PALE, label="actual", width=0.7)
        models = [name for name in self.table.columns if name not in ("frequency", "customers", "actual")]
        for name, colour in zip(models, (BLUE, ORANGE, GREEN), strict=False):
            ax.plot(place, self.table[name], "o-", color=colour, markersize=4, label=name)
        ax.set_xticks(place, self.table["frequency"])
        ax.set(xlabel="repeat purchase days before the split", ylabel="mean purchases after it")
        legend(ax)


class SalesDisplay(Display):
    """Sales per week; table: week (its Monday), sales, customers."""

    title = "Sales per week"

    def _draw(self, ax: Axes) -> None:
        ax.fill_between(self.table["week"], self.table["sales"], color=PALE)
        ax.plot(self.table["week"], self.table["sales"], color=BLUE)
        ax.set(ylabel="sales", ylim=(0, None))
        ax.yaxis.set_major_formatter("{x:,.0f}")
        ax.tick_params(axis="x", labelrotation=30)


class TierDisplay(Display):
    """Share of customers and of value in each tier; table: tier, share_of_customers, share_of_value."""

    title = "Who carries the value"

    def _draw(self, ax: Axes) -> None:
        place = np.arange(len(self.table))
        for shift, name, colour, label in (
            (-0.2, "share_of_customers", GREY, "customers"),
            (0.2, "share_of_value", BLUE, "value"),
        ):
            bars = ax.bar(place + shift, 100 * self.table[name], 0.38, color=colour, label=label)
            ax.bar_label(bars, fmt="{:.0f}%", fontsize=8, color=INK)
        ax.set_xticks(place, _short(self.table["tier"]))
        ax.set(xlabel="tier", ylabel="% of all")
        legend(ax)


class SegmentDisplay(Display):
    """Customers in each named segment; table: segment, customers, total_spend."""

    title = "Customers by segment"

    def _draw(self, ax: Axes) -> None:
        rows = self.table.sort_values("customers")
        bars = ax.barh(_short(rows["segment"]), rows["customers"], color=BLUE)
        ax.bar_label(bars, fmt="{:,.0f}", fontsize=8, color=INK, padding=2)
        ax.set(xlabel="customers")
        ax.margins(x=0.1)


class BudgetDisplay(Display):
    """What is planned of each funder's budget; table: funder, budget, spent."""

    title = "Budgets and what the plan uses of them"

    def _draw(self, ax: Axes) -> None:
        rows = self.table.sort_values("budget").tail(12)
        ax.barh(_short(rows["funder"]), rows["budget"], color=PALE, label="budget")
        ax.barh(_short(rows["funder"]), rows["spent"], color=GREEN, height=0.5, label="planned")
        ax.set(xlabel="money")
        legend(ax, loc="lower right")


def _short(names: pd.Series[str]) -> list[str]:
    """Names that fit beside an axis."""
    return [name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…" for name in names.astype(str)]


def legend(ax: Axes, **options: Any) -> None:
    """Name what is drawn, small and without a frame."""
    ax.legend(fontsize=8, frameon=False, **options)


def reliability(tables: Mapping[str, Mapping[str, Any]]) -> ReliabilityDisplay:
    """One reliability curve a model, from ``scoring.reliability_table``."""
    rows = [pd.DataFrame(dict(table)).assign(model=model) for model, table in tables.items()]
    return ReliabilityDisplay(pd.concat(rows, ignore_index=True))
