"""Worksheets of Excel workbooks, as rows of text."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crmkit._checks import require
from crmkit.exceptions import ConfigError, ExtractError
from crmkit.ingest.files import check_unpacked

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Worksheet", "cell_text", "read_sheet"]
_EXACT = 2**53

NUMBER = re.compile(r"[^\w\s]*[0-9][0-9.,' ]*[^\w\s]*")
DAY = re.compile(
    r"([0-9]{1,4}[./-] ?[0-9]{1,2}[./-] ?[0-9]{1,4}|[0-9]{1,2}[ ./-][A-Za-z]{3,9}[ ./-][0-9]{2,4}"
    r"|[A-Za-z]{3,9} [0-9]{1,2}, [0-9]{4}|[0-9]{4}[년年] ?[0-9]{1,2}[월月].*)(?![0-9]).*"
)


def cell_text(value: object, decimal: str = ".") -> str | None:
    """A value as the text it would be in a file that writes its decimals with ``decimal``; nothing is missing.

    >>> cell_text(77.0), cell_text(1.5, ","), cell_text(dt.datetime(2026, 3, 1, 10)), cell_text("")
    ('77', '1,5', '2026-03-01 10:00:00', None)
    """
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        exact = value.is_integer() and abs(value) < _EXACT
        return str(int(value)) if exact else repr(value).replace(".", decimal)
    if isinstance(value, dt.datetime):
        return value.isoformat(" ")
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bytes):
        return value.hex()
    return str(value).replace(".", decimal) if _is_number(value) else str(value)


def _is_number(value: object) -> bool:
    from decimal import Decimal

    return isinstance(value, Decimal | int)


# -- Worksheets ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Worksheet:
    """A worksheet: its column names, its rows that are not blank, and the sheet row of the names and of each row.

    ``name`` is its own, where the workbook has several sheets.
    """

    names: list[str]
    rows: list[list[Any]]
    starts: list[int]
    name: str | None = None

    def arrow(self, columns: Sequence[str], decimal: str) -> pa.Table:
        """Columns that hold one kind of value keep it; others are text."""
        import pyarrow as pa

        padded = [[*row, *[None] * (len(columns) - len(row))] for row in self.rows]
        by_column = list(zip(*padded, strict=True)) if padded else [()] * len(columns)
        arrays = [_column([None if v == "" else v for v in values], decimal) for values in by_column]
        return pa.table(arrays, names=list(columns))


def _column(values: list[object], decimal: str) -> pa.Array:
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    uniform = {dt.datetime: pa.timestamp("us"), dt.date: pa.date32(), float: pa.float64()}
    if len(kinds) == 1 and (kind := kinds.pop()) in uniform:
        return pa.array(values, uniform[kind])
    return pa.array([cell_text(value, decimal) for value in values], pa.string())


def read_sheet(path: Path, sheet: str | None, skip_rows: int) -> Worksheet:
    """Read one worksheet; the first row that is not blank, after those to skip, names the columns.

    Raises
    ------
    ExtractError
        It cannot be read, is protected, or has several sheets with content and none is named.
    """
    calamine = require("python_calamine", "excel")
    check_unpacked(path)
    try:
        book = calamine.CalamineWorkbook.from_path(path)
        name = _chosen(book, sheet, path.name, calamine.SheetVisibleEnum.Visible)
        cells = book.get_sheet_by_name(name).to_python(skip_empty_area=False)
    except (calamine.CalamineError, calamine.PasswordError) as error:
        reason = str(error).partition("\n")[0]
        raise ExtractError(f"{path.name} cannot be read as a workbook: {reason}") from None
    filled = [n for n, row in enumerate(cells) if n >= skip_rows and any(value != "" for value in row)]
    if not filled:
        raise ExtractError(f"{path.name}: the sheet {name!r} is empty. Name another: sheet=….")
    names = [cell_text(value) or "" for value in cells[filled[0]]]
    one_of_several = name if len(book.sheet_names) > 1 else None
    return Worksheet(names, [cells[n] for n in filled[1:]], [n + 1 for n in filled], one_of_several)


def _chosen(book: Any, sheet: str | None, source: str, visible: object) -> str:
    names = list(book.sheet_names)
    if sheet is not None:
        if sheet not in names:
            raise ConfigError(f"{source} has no sheet {sheet!r}. It has {names}.")
        return sheet
    shown = [meta.name for meta in book.sheets_metadata if meta.visible == visible]
    filled = [name for name in shown if book.get_sheet_by_name(name).end is not None]
    if len(filled) != 1:
        raise ExtractError(f"{source} has {len(filled)} sheets with content: {filled or names}. Name one: sheet=….")
    return str(filled[0])
