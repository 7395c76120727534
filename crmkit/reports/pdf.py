"""A report as a PDF for print: the same blocks as the page, small, on as few sheets as they need."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crmkit._atomic import replacing
from crmkit.displays import BLUE, INK, PALE, Display
from crmkit.reports.block import Block, Table
from crmkit.reports.formats import in_html, kind_of, label

if TYPE_CHECKING:
    from fpdf import FPDF

__all__ = ["write_pdf"]

_MARGIN, _GAP, _LINE, _ROWS, _LONGEST = 12.0, 5.0, 3.9, 16, 34
_FIGURE = (5.2, 2.2)


def write_pdf(
    path: Path,
    title: str,
    subtitle: str,
    cards: Sequence[tuple[str, str]],
    blocks: Sequence[Block],
    as_of: date | None = None,
) -> Path:
    """Write the blocks on A4, two columns; equal content gives equal bytes.

    Raises
    ------
    PublishError
        The file cannot be written; an earlier one is untouched.
    """
    sheet = _Sheet(title, as_of)
    sheet.head(title, subtitle, cards)
    for block in blocks:
        sheet.block(block)
    with replacing(path) as part:
        part.write_bytes(bytes(sheet.pdf.output()))
    return path


class _Sheet:
    """Two columns that are filled one after the other."""

    def __init__(self, title: str, as_of: date | None) -> None:
        self.pdf = _blank(title, as_of)
        self.width = (self.pdf.w - 2 * _MARGIN - _GAP) / 2
        self.column, self.top = 0, _MARGIN

    def head(self, title: str, subtitle: str, cards: Sequence[tuple[str, str]]) -> None:
        pdf = self.pdf
        pdf.set_xy(_MARGIN, _MARGIN)
        self._font(15, bold=True)
        pdf.multi_cell(pdf.w - 2 * _MARGIN, 7, title, new_x="LMARGIN", new_y="NEXT")
        self._font(8)
        pdf.multi_cell(pdf.w - 2 * _MARGIN, _LINE, subtitle, new_x="LMARGIN", new_y="NEXT")
        if cards:
            wide, y = (pdf.w - 2 * _MARGIN) / len(cards), pdf.get_y() + 2
            for place, (value, name) in enumerate(cards):
                pdf.set_xy(_MARGIN + place * wide, y)
                self._font(12, bold=True, color=BLUE)
                pdf.cell(wide, 6, value)
                pdf.set_xy(_MARGIN + place * wide, y + 6)
                self._font(7)
                pdf.cell(wide, _LINE, name)
            pdf.set_y(y + 11)
        self.top = pdf.get_y() + 2
        self._to(0)

    def block(self, block: Block) -> None:
        needed = self._height(block)
        if self.pdf.get_y() + needed > self.pdf.h - _MARGIN and self.pdf.get_y() > self.top + 1:
            self._next()
        self._text(block.title, 9, bold=True)
        if block.sentence:
            self._text(block.sentence, 7)
        if block.display:
            self._figure(block.display)
        if block.table and len(block.table.frame):
            self._table(block.table)
        for note in block.notes:
            self._text(f"• {note}", 7)
        self.pdf.set_y(self.pdf.get_y() + 3)

    def _height(self, block: Block) -> float:
        text = len(block.title) / 48 * 4.6 + (len(block.sentence) + sum(map(len, block.notes))) / 62 * _LINE
        rows = min(len(block.table.frame), _ROWS) + 3 if block.table else 0
        figure = self.width * _FIGURE[1] / _FIGURE[0] if block.display else 0.0
        return text + 10 + rows * _LINE + figure

    def _to(self, column: int) -> None:
        self.column = column
        self.pdf.set_left_margin(_MARGIN + column * (self.width + _GAP))
        self.pdf.set_xy(_MARGIN + column * (self.width + _GAP), self.top)

    def _next(self) -> None:
        if self.column == 0:
            self._to(1)
            return
        self.pdf.add_page()
        self.top = _MARGIN
        self._to(0)

    def _font(self, size: float, bold: bool = False, color: str = INK) -> None:
        self.pdf.set_font("text", "B" if bold else "", size)
        self.pdf.set_text_color(color)

    def _text(self, text: str, size: float, bold: bool = False) -> None:
        self._font(size, bold)
        height = _LINE if size < 9 else 4.6
        self.pdf.multi_cell(self.width, height, text, align="L", new_x="LMARGIN", new_y="NEXT")

    def _figure(self, display: Display) -> None:
        height = self.width * _FIGURE[1] / _FIGURE[0]
        self.pdf.image(_drawn(display), x=self.pdf.l_margin, y=self.pdf.get_y(), w=self.width, h=height)
        self.pdf.set_y(self.pdf.get_y() + height + 1)

    def _table(self, table: Table) -> None:
        frame = table.frame.head(_ROWS)
        kinds = {name: kind_of(frame[name]) for name in frame.columns}
        text = [[_short(in_html(kind, value)) for value in frame[name]] for name, kind in kinds.items()]
        heads = [label(name) for name in frame.columns]
        weight = [max(*map(len, head.split()), *map(len, column), 4) for head, column in zip(heads, text, strict=True)]
        widths = [self.width * one / sum(weight) for one in weight]
        size = 6.5 if sum(weight) < 60 else 5.2
        self.pdf.set_draw_color(PALE)
        self._heads(heads, widths, list(kinds.values()), size)
        for row in zip(*text, strict=True):
            self._font(size)
            for cell, wide, kind in zip(row, widths, kinds.values(), strict=True):
                fitted = _fitted(self.pdf, cell, wide - 1)
                self.pdf.cell(wide, _LINE, fitted, border="B", align="L" if kind == "text" else "R")
            self.pdf.ln(_LINE)

    def _heads(self, heads: Sequence[str], widths: Sequence[float], kinds: Sequence[str], size: float) -> None:
        """Heads of columns, a word under the other where they are too long, all on one base line."""
        self._font(size, bold=True)
        words = [_lines(self.pdf, head, wide - 1) for head, wide in zip(heads, widths, strict=True)]
        most = max(map(len, words))
        for place in range(most):
            for lines, wide, kind in zip(words, widths, kinds, strict=True):
                shown = [""] * (most - len(lines)) + lines
                last = "B" if place == most - 1 else ""
                self.pdf.cell(
                    wide,
                    _LINE - 0.7,
                    _fitted(self.pdf, shown[place], wide - 1),
                    border=last,
                    align="L" if kind == "text" else "R",
                )
            self.pdf.ln(_LINE - 0.7)


def _blank(title: str, as_of: date | None) -> FPDF:
    import matplotlib
    from fpdf import FPDF

    pdf = FPDF(format="A4")
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    pdf.add_font("text", "", fonts / "DejaVuSans.ttf")
    pdf.add_font("text", "B", fonts / "DejaVuSans-Bold.ttf")
    day = as_of or date(2000, 1, 1)
    pdf.set_creation_date(datetime(day.year, day.month, day.day, tzinfo=UTC))
    pdf.set_title(title)
    pdf.set_auto_page_break(False)
    pdf.set_margins(_MARGIN, _MARGIN, _MARGIN)
    pdf.c_margin = 0.3
    pdf.add_page()
    return pdf


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _fitted(pdf: FPDF, text: str, width: float) -> str:
    """The text, cut where it is too wide for its cell."""
    while len(text) > 1 and pdf.get_string_width(text) > width:
        text = text[:-2] + "…" if len(text) > 2 else text[:1]
    return text


def _lines(pdf: FPDF, text: str, width: float) -> list[str]:
    """The words of a head in lines that fit."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and pdf.get_string_width(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _drawn(display: Display) -> io.BytesIO:
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"text.parse_math": False}):
        figure = Figure(figsize=_FIGURE, dpi=200, layout="constrained")
        display.plot(figure.add_subplot())
        out = io.BytesIO()
        options: dict[str, Any] = {"metadata": {"Software": None}}
        figure.savefig(out, format="png", **options)
    out.seek(0)
    return out
