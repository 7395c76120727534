"""Figures as objects: each holds the numbers it draws, and draws them on axes that are given or made.

matplotlib is imported when a figure is drawn, never before; nothing global is set.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Display"]

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


def short(names: pd.Series[str]) -> list[str]:
    """Names that fit beside an axis."""
    return [name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…" for name in names.astype(str)]


def legend(ax: Axes, **options: Any) -> None:
    """Name what is drawn, small and without a frame."""
    ax.legend(fontsize=8, frameon=False, **options)
