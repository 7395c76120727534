"""Figures as objects: each holds the numbers it draws, and draws them on axes that are given or made; and what a notebook shows.

matplotlib is imported when a figure is drawn, never before; nothing global is set.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import Collection
    from matplotlib.image import AxesImage
    from matplotlib.patches import Patch
    from matplotlib.typing import ColorType

__all__ = ["Display", "InNotebook", "shown"]

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
        _edge(ax)
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


def contrast(one: ColorType, other: ColorType) -> float:
    """Contrast of two colours, 1 to 21, as the Web Content Accessibility Guidelines 2.2 define it.

    >>> round(contrast("#000000", "#ffffff"), 2), round(contrast(BLUE, "white"), 2)
    (21.0, 5.19)
    """
    dark, light = sorted(map(_luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def text_over(image: AxesImage, value: float) -> str:
    """The colour of words over a value of a map of colours."""
    red, green, blue, _ = image.to_rgba(np.array([value]))[0]
    return text_on((red, green, blue))


def text_on(ground: ColorType) -> str:
    """Black or white, whichever reads better on a colour: the contrast is 4.5 at least."""
    return max(("black", "white"), key=lambda ink: contrast(ink, ground))


def _luminance(colour: ColorType) -> float:
    from matplotlib.colors import to_rgb

    parts = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in to_rgb(colour)]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def _edge(ax: Axes) -> None:
    """What is pale gets an edge that can be seen on white."""
    from matplotlib.colors import to_rgba_array

    areas: list[Patch | Collection] = [*ax.patches, *ax.collections]
    for drawn in areas:
        face = to_rgba_array(drawn.get_facecolor())
        if len(face) and (face == to_rgba_array(PALE)).all():
            drawn.set(edgecolor=GREY, linewidth=0.5)


def short(names: pd.Series[str]) -> list[str]:
    """Names that fit beside an axis."""
    return [name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…" for name in names.astype(str)]


def legend(ax: Axes, **options: Any) -> None:
    """Name what is drawn, small and without a frame."""
    ax.legend(fontsize=8, frameon=False, **options)


# -- In a notebook ---------------------------------------------------------------------------------------------------

_ROWS, _COLUMNS = 8, 10


class InNotebook:
    """A result that a notebook shows as its ``str`` and the first rows of ``notebook_table``.

    >>> class Answer(InNotebook):
    ...     def __str__(self):
    ...         return "a < b"
    >>> Answer()._repr_html_()
    '<div><p>a &lt; b</p></div>'
    """

    __slots__ = ()

    def _repr_html_(self) -> str:
        return shown(self._notebook_words(), self._notebook_table())

    def _notebook_words(self) -> str:
        """The lines; its ``str`` where that is all words."""
        return str(self)

    def _notebook_table(self) -> pd.DataFrame | None:
        """Numbers below the words; None where the words say all."""
        return None


def shown(text: str, table: pd.DataFrame | None = None) -> str:
    """Lines as paragraphs, and at most eight rows of a table."""
    lines = "".join(f"<p>{escape(line)}</p>" for line in text.splitlines() if line.strip())
    if table is None or not len(table):
        return f"<div>{lines}</div>"
    few = table.iloc[:_ROWS, :_COLUMNS]
    rows = few.to_html(border=0, escape=True, float_format=lambda number: f"{number:,.4g}", na_rep="–")
    cut = f"<p>{len(few):,} of {len(table):,} rows.</p>" if len(few) < len(table) else ""
    return f"<div>{lines}{rows}{cut}</div>"
