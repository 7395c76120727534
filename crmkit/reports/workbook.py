"""A report as one workbook: the same blocks as the page, a sheet for each table, and one that explains."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from crmkit import __version__
from crmkit._atomic import replacing
from crmkit.reports.block import Block, Table
from crmkit.reports.formats import EXCEL, kind_of, label
from crmkit.reports.languages import words_of

if TYPE_CHECKING:
    from xlsxwriter.workbook import Workbook
    from xlsxwriter.worksheet import Worksheet

__all__ = ["MOST_ROWS", "write_table", "write_workbook"]

MOST_ROWS = 1_048_576 - 4
"""Rows of a sheet, heads aside."""
_LONGEST, _HEAD = 31, 3
_PLAIN = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
_WIDEST, _NARROWEST, _LOOKED_AT = 60, 8, 500
_EXPLANATION = (
    "Each sheet holds one table: its message and sentence on top, then the columns, which can be filtered.",
    "Ids are text, so that leading zeros stay. Shares are fractions shown as percentages. Empty cells are not known.",
    "Text is never a formula, whatever it begins with.",
)


def write_workbook(
    path: Path,
    title: str,
    subtitle: str,
    cards: Sequence[tuple[str, str]],
    blocks: Sequence[Block],
    as_of: date | None = None,
    language: str = "en",
) -> Path:
    """Write the blocks as an Excel workbook; equal content gives equal bytes.

    Raises
    ------
    PublishError
        The file cannot be written; an earlier one is untouched.
    """
    import xlsxwriter

    content = BytesIO()
    with xlsxwriter.Workbook(content, _PLAIN | {"in_memory": True}) as book:
        day = as_of or date(2000, 1, 1)
        book.set_properties({"title": title, "created": datetime(day.year, day.month, day.day)})
        sheets = _Sheets(book, language)
        sheets.explain(title, subtitle, cards, blocks)
        for block in blocks:
            for table in block.tables:
                sheets.add(block, table)
    with replacing(path) as part:
        part.write_bytes(content.getvalue())
    return path


def write_table(path: Path, name: str, parts: Iterable[pd.DataFrame]) -> Path:
    """Write one table as a workbook, a part at a time: column names as they are, ids as text, nothing a formula.

    Raises
    ------
    PublishError
        The file cannot be written; an earlier one is untouched.
    """
    import xlsxwriter

    with replacing(path) as file:
        options = _PLAIN | {"constant_memory": True, "tmpdir": str(path.parent)}
        with xlsxwriter.Workbook(str(file), options) as book:
            book.set_properties({"title": name, "created": datetime(2000, 1, 1)})
            _Sheets(book).stream(name, parts)
    return path


class _Sheets:
    """Sheets of a workbook, their formats and their names."""

    def __init__(self, book: Workbook, language: str = "en") -> None:
        self._book, self._say = book, words_of(language)
        self._names: set[str] = set()
        self._cell = {kind: book.add_format({"num_format": code}) for kind, code in EXCEL.items()}
        self._cell["text"].set_quote_prefix()
        self._bold = book.add_format({"bold": True, "font_size": 14})
        self._plain = book.add_format({"text_wrap": True, "valign": "top"})
        self._head = book.add_format({"bold": True, "bg_color": "#dfe6ec", "bottom": 1, "text_wrap": True})

    def explain(self, title: str, subtitle: str, cards: Sequence[tuple[str, str]], blocks: Sequence[Block]) -> None:
        """The first sheet: what this is, what it says, and how far it can be trusted."""
        say = self._say
        lines: list[tuple[str, str]] = [("", subtitle), *((label, value) for value, label in cards)]
        lines += [("Trust", block.verdict) for block in blocks if block.verdict]
        lines += [(block.topic, f"{block.title}. {block.sentence}") for block in blocks if block.sentence]
        lines += [(block.topic, note) for block in blocks for note in block.notes]
        lines += [("How to read it", sentence) for sentence in _EXPLANATION]
        lines.append(("Made by", f"crmkit {__version__}"))
        sheet = self._sheet(say("Read me"))
        sheet.write_string(0, 0, title, self._bold)
        sheet.set_column(0, 0, 28)
        sheet.set_column(1, 1, 110)
        for row, (topic, text) in enumerate(lines, 1):
            sheet.write_string(row, 0, say(topic), self._plain)
            sheet.write_string(row, 1, say(text), self._plain)

    def add(self, block: Block, table: Table) -> None:
        """A sheet of one table."""
        frame = table.frame.head(MOST_ROWS - _HEAD)
        cut = (
            f" Only the first {len(frame):,} of {len(table.frame):,} rows fit." if len(frame) < len(table.frame) else ""
        )
        say = self._say
        sheet = self._sheet(say(block.topic))
        sheet.write_string(0, 0, say(block.title), self._bold)
        sheet.write_string(1, 0, say((f"{table.caption}. " if table.caption else "") + block.sentence + cut))
        for place, name in enumerate(frame.columns):
            column = frame[name]
            kind = kind_of(column)
            sheet.write_string(_HEAD, place, say(label(name)), self._head)
            sheet.set_column(place, place, _width(str(name), column), None)
            for row, value in enumerate(column, _HEAD + 1):
                said = say.cell(name, value) if isinstance(value, str) else value
                self._write(sheet, row, place, kind, said)
        sheet.freeze_panes(_HEAD + 1, 0)
        sheet.autofilter(_HEAD, 0, _HEAD + len(frame), max(len(frame.columns) - 1, 0))
        sheet.set_landscape()
        sheet.set_paper(9)
        sheet.fit_to_pages(1, 0)
        sheet.repeat_rows(_HEAD)

    def stream(self, name: str, parts: Iterable[pd.DataFrame]) -> None:
        """A sheet of a table that comes in parts."""
        sheet, row, kinds = self._sheet(name), 0, dict[str, str]()
        for part in parts:
            if not kinds:
                kinds = {str(column): kind_of(part[column]) for column in part.columns}
                for place, column in enumerate(part.columns):
                    sheet.set_column(place, place, _width(str(column), part[column]), None)
                    sheet.write_string(0, place, str(column), self._head)
            for values in part.itertuples(index=False):
                row += 1
                for place, (kind, value) in enumerate(zip(kinds.values(), values, strict=True)):
                    self._write(sheet, row, place, kind, value)
        sheet.freeze_panes(1, 0)
        sheet.autofilter(0, 0, row, max(len(kinds) - 1, 0))

    def _write(self, sheet: Worksheet, row: int, column: int, kind: str, value: Any) -> None:
        if pd.isna(value):
            return
        if kind in ("date", "month"):
            sheet.write_datetime(row, column, value.tz_localize(None).to_pydatetime(), self._cell[kind])
        elif kind == "text" or abs(value) == float("inf"):
            sheet.write_string(row, column, str(value), self._cell["text"])
        else:
            sheet.write_number(row, column, float(value), self._cell[kind])

    def _sheet(self, topic: str) -> Worksheet:
        """A sheet under a name that a workbook can take, and that no other has."""
        name = _sheet_name(topic)
        number = 1
        while name.casefold() in self._names:
            number += 1
            name = f"{_sheet_name(topic)[: _LONGEST - 4].rstrip()} {number}"
        self._names.add(name.casefold())
        return self._book.add_worksheet(name)


def _sheet_name(topic: str) -> str:
    """A topic as the name of a sheet.

    >>> _sheet_name("Sales / week: [all]"), _sheet_name("'history'")  # a name that spreadsheets keep for themselves
    ('Sales week all', 'Past')
    """
    plain = " ".join(re.sub(r"[\[\]:*?/\\\x00-\x1f]", " ", topic).split()).strip("'")
    name = plain[:_LONGEST].strip().strip("'") or "Table"
    return "Past" if name.casefold() == "history" else name


def _width(name: str, column: pd.Series) -> int:
    longest = max((len(str(value)) for value in column.head(_LOOKED_AT).dropna()), default=0)
    return int(min(max(longest + 2, len(name) + 2, _NARROWEST), _WIDEST))
