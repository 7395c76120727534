"""Figures of the page as inline SVG, their words in the report's language."""

from __future__ import annotations

import io
import warnings
from functools import cache
from typing import TYPE_CHECKING, Any

from crmkit.displays import Display
from crmkit.reports.languages import Words

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.figure import Figure

__all__ = ["svg"]

_EAST_ASIAN = (
    "Noto Sans CJK JP", "Noto Sans CJK KR", "Noto Sans CJK SC", "Noto Sans KR", "Noto Sans SC", "Noto Sans JP",
    "Malgun Gothic", "Apple SD Gothic Neo", "NanumGothic", "Microsoft YaHei", "PingFang SC", "SimHei", "Yu Gothic",
    "Meiryo", "Hiragino Sans", "WenQuanYi Zen Hei", "Droid Sans Fallback",
)  # fmt: skip
"""By these the room for words is measured, where one is installed; the reader's own fonts draw them."""


def svg(display: Display, words: Words) -> Markup:
    """The figure; equal numbers give equal bytes."""
    import matplotlib
    from markupsafe import Markup
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    fonts = matplotlib.rcParams["font.family"] if words.language == "en" else ["sans-serif", *_east_asian()]
    with (
        matplotlib.rc_context(
            {"svg.hashsalt": "crmkit", "svg.fonttype": "none", "text.parse_math": False, "font.family": fonts}
        ),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font", UserWarning)
        figure, layout = Figure(figsize=(4.8, 3.1)), ConstrainedLayoutEngine()
        canvas: Any = FigureCanvasSVG(figure)
        out = io.StringIO()
        display.plot(figure.add_subplot())
        _say(figure, words)
        figure.set_layout_engine(layout)
        layout.execute(figure)
        figure.set_layout_engine("none")  # or it would be drawn once more, unseen, to be laid out
        canvas.print_svg(out, metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return Markup(text[text.index("<svg") :])


def _say(figure: Figure, words: Words) -> None:
    """Every word of a figure in the language; labels that an axis writes of itself are fixed where they change."""
    from matplotlib.text import Text

    if words.language == "en":
        return
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_text(words.cell("", text.get_text()))
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            places = [place for place in axis.get_ticklocs() if low <= place <= high]
            labels = axis.get_major_formatter().format_ticks(places)
            said = [words.cell("", one) for one in labels]
            if said != labels:
                axis.set_ticks(places, said)


@cache
def _east_asian() -> tuple[str, ...]:
    from matplotlib.font_manager import fontManager

    there = {font.name for font in fontManager.ttflist}
    return tuple(name for name in _EAST_ASIAN if name in there)[:1]
