"""Pages about customers as PDF: two columns of blocks on A4, with as many rows of each table as one page has room for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from crmkit._atomic import replacing
from crmkit.reports.block import Block, Table
from crmkit.reports.formats import in_html, kind_of, label
from crmkit.reports.lists.pdf_canvas import BOLD, GREEN, GREY, INK, REGULAR, Canvas
from crmkit.reports.sheet_content import MonthsDisplay

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["write_sheet_pages"]

_LEFT, _TOP, _BOTTOM, _WIDTH, _GUTTER = 12.0, 36.0, 284.0, 90.0, 6.0
_ROWS = (8, 6, 5, 4, 3, 2, 1, 0)
_LINE, _BARS, _MONTHS, _MOST_COLUMNS = 3.9, 20.0, 24, 5


class Page(Protocol):
    """What a page says."""

    title: str
    cards: list[tuple[str, str]]
    blocks: list[Block]

    @property
    def subtitle(self) -> str: ...


@dataclass(frozen=True)
class _Laid:
    """A block as it will stand: its lines of text, its cells, its bars, and its height."""

    topic: str
    title: list[str]
    text: list[str]
    head: list[str]
    rows: list[list[str]]
    widths: list[float]
    bars: pd.DataFrame | None
    height: float


def write_sheet_pages(file: Path, pages: Iterable[Page], day: date, font: str | Path | None = None) -> list[int]:
    """Write one page for each report; the number of each page.

    Raises
    ------
    ConfigError
        The font lacks a character.
    """
    canvas, at = Canvas(font, day), []
    for report in pages:
        canvas.page()
        at.append(canvas.pages)
        _draw(canvas, report)
    with replacing(file) as part:
        file.parent.mkdir(parents=True, exist_ok=True)
        canvas.write_file(part)
    return at


def _draw(canvas: Canvas, report: Page) -> None:
    columns = _columns(canvas, report.blocks)
    canvas.check(_texts(report, columns))
    canvas.write(_LEFT, 14, canvas.fit(report.title, 186, BOLD, 16), BOLD, 16, GREEN)
    canvas.write(_LEFT, 19, canvas.fit(report.subtitle, 186, REGULAR, 8), REGULAR, 8, GREY)
    room = 186 / max(len(report.cards), 1)
    for place, (value, told) in enumerate(report.cards):
        canvas.write(_LEFT + place * room, 27, canvas.fit(value, room - 3, BOLD, 12), BOLD, 12)
        canvas.write(_LEFT + place * room, 31, canvas.fit(told, room - 3, REGULAR, 7), REGULAR, 7, GREY)
    for x, blocks in zip((_LEFT, _LEFT + _WIDTH + _GUTTER), columns, strict=True):
        y = _TOP
        for block in blocks:
            _draw_block(canvas, block, x, y)
            y += block.height


def _texts(report: Page, columns: tuple[list[_Laid], list[_Laid]]) -> Iterator[tuple[str, str]]:
    yield report.title, "a title"
    for value, told in report.cards:
        yield value + told, "a key figure"
    for block in (*columns[0], *columns[1]):
        cells = [cell for row in (block.head, *block.rows) for cell in row]
        yield "".join([block.topic, *block.title, *block.text, *cells]), f"the block {block.topic!r}"


def _columns(canvas: Canvas, blocks: list[Block]) -> tuple[list[_Laid], list[_Laid]]:
    """The blocks in two columns, with the most rows of tables for which all of them find room on one page."""
    for rows in _ROWS:
        laid = [_lay(canvas, block, rows) for block in blocks]
        ends = np.cumsum([block.height for block in laid])
        first = int(np.searchsorted(ends, _BOTTOM - _TOP, side="right"))
        if sum(block.height for block in laid[first:]) <= _BOTTOM - _TOP:
            break
    return laid[:first], laid[first:]


def _lay(canvas: Canvas, block: Block, most: int) -> _Laid:
    title = canvas.wrap(block.title, _WIDTH * 0.93, 9, 3)
    text = [line for told in (block.sentence, *block.notes) if told for line in canvas.wrap(told, _WIDTH, 7.5, 4)]
    head, rows, widths = _cells(canvas, block.table, most)
    bars = block.display.table if isinstance(block.display, MonthsDisplay) else None
    if bars is not None:
        head, rows = [], []
    height = 4 + _LINE * 1.1 * len(title) + _LINE * len(text) + _LINE * (len(rows) + bool(rows)) + 4
    return _Laid(block.topic, title, text, head, rows, widths, bars, height + (_BARS + 5 if bars is not None else 0))


def _cells(canvas: Canvas, table: Table | None, most: int) -> tuple[list[str], list[list[str]], list[float]]:
    """The table as text, and how wide each column is: long texts give way first."""
    if table is None or not len(table.frame) or not most:
        return [], [], []
    frame = table.frame.iloc[:most, :_MOST_COLUMNS]
    kinds = [kind_of(frame[name]) for name in frame.columns]
    columns = [[in_html(kind, one) for one in frame[name]] for name, kind in zip(frame.columns, kinds, strict=True)]
    head = [label(name) for name in frame.columns]
    wanted = np.array(
        [
            max(canvas.width(one, REGULAR, 7) for one in (name, *cells)) + 2
            for name, cells in zip(head, columns, strict=True)
        ]
    )
    cap = _WIDTH
    while np.minimum(wanted, cap).sum() > _WIDTH and cap > 5:
        cap -= 1
    return head, [list(row) for row in zip(*columns, strict=True)], np.minimum(wanted, cap).tolist()


def _draw_block(canvas: Canvas, block: _Laid, x: float, y: float) -> None:
    canvas.write(x, y + 2.5, block.topic.upper(), BOLD, 6.5, GREEN)
    y += 6.5
    for line in block.title:
        canvas.write(x, y, line, BOLD, 9, INK)
        y += _LINE * 1.1
    for line in block.text:
        canvas.write(x, y, line, REGULAR, 7.5, INK)
        y += _LINE
    if block.bars is not None:
        _draw_bars(canvas, block.bars.tail(_MONTHS), x, y)
    for place, row in enumerate((block.head, *block.rows) if block.rows else ()):
        left = x
        for cell, width in zip(row, block.widths, strict=True):
            canvas.write(left, y, canvas.fit(cell, width - 1, REGULAR, 7), REGULAR, 7, INK if place else GREY)
            left += width
        y += _LINE


def _draw_bars(canvas: Canvas, months: pd.DataFrame, x: float, y: float) -> None:
    """Spend by month as bars upon a line; what was taken back beyond a month's purchases shows as nothing."""
    spend = months["spend"].clip(lower=0).to_numpy(np.float64)
    tallest, wide = max(float(spend.max(initial=0.0)), 1e-9), _WIDTH / len(months)
    for place, (day, one) in enumerate(zip(months["month"], spend, strict=True)):
        height = _BARS * 0.8 * one / tallest
        canvas.block(x + place * wide, y + _BARS - height - 3, wide * 0.75, max(height, 0.2), GREEN)
        if len(months) <= 12 or place % 3 == 0:
            canvas.write(x + place * wide, y + _BARS, f"{day:%b %y}", REGULAR, 5, GREY)
