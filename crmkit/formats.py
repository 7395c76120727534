"""Tables that come as values rather than as text: worksheets and JSON lines, brought to Arrow with their places."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crmkit._optional import require
from crmkit.exceptions import ConfigError, ExtractError
from crmkit.files import check_unpacked

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Sheet", "Written", "are_values", "cell_text", "json_names", "read_sheet", "write_json", "write_rows"]

_BATCH = 50_000
_EXACT = 2**53
NO_HEADER = (
    "what stands where the column names should be looks like values, which are not shown. "
    "Deliver it with a line of column names."
)

_NUMBER = re.compile(r"[^\w\s]*[0-9][0-9.,' ]*[^\w\s]*")
_DAY = re.compile(
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


def are_values(names: Sequence[str]) -> bool:
    """Whether column names look like a row of values, as they do where a file has no header.

    >>> are_values(["0077", "2026-03-01 10:00", "A"]), are_values(["card_no", "2026", "paid"])
    (True, False)
    """
    n_numbers = sum(_NUMBER.fullmatch(name) is not None for name in names)
    n_nameless = sum(name.startswith("unnamed ") for name in names)
    is_told = any(_DAY.fullmatch(name) or "@" in name for name in names)
    return is_told or (n_numbers > 0 and 2 * (n_numbers + n_nameless) > len(names))


# -- Worksheets ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sheet:
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


def _column(values: list[Any], decimal: str) -> pa.Array:
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    uniform = {dt.datetime: pa.timestamp("us"), dt.date: pa.date32(), float: pa.float64()}
    if len(kinds) == 1 and (kind := kinds.pop()) in uniform:
        return pa.array(values, uniform[kind])
    return pa.array([cell_text(value, decimal) for value in values], pa.string())


def read_sheet(path: Path, sheet: str | None, skip_rows: int) -> Sheet:
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
        name = _chosen(book, sheet, path.name)
        cells = book.get_sheet_by_name(name).to_python(skip_empty_area=False)
    except (calamine.CalamineError, calamine.PasswordError) as error:
        reason = str(error).partition("\n")[0]
        raise ExtractError(f"{path.name} cannot be read as a workbook: {reason}") from None
    filled = [n for n, row in enumerate(cells) if n >= skip_rows and any(value != "" for value in row)]
    if not filled:
        raise ExtractError(f"{path.name}: the sheet {name!r} is empty. Name another: sheet=….")
    names = [cell_text(value) or "" for value in cells[filled[0]]]
    one_of_several = name if len(book.sheet_names) > 1 else None
    return Sheet(names, [cells[n] for n in filled[1:]], [n + 1 for n in filled], one_of_several)


def _chosen(book: Any, sheet: str | None, source: str) -> str:
    names = list(book.sheet_names)
    if sheet is not None:
        if sheet not in names:
            raise ConfigError(f"{source} has no sheet {sheet!r}. It has {names}.")
        return sheet
    shown = [meta.name for meta in book.sheets_metadata if "Visible" in str(meta.visible)]
    filled = [name for name in shown if book.get_sheet_by_name(name).end is not None]
    if len(filled) != 1:
        raise ExtractError(f"{source} has {len(filled)} sheets with content: {filled or names}. Name one: sheet=….")
    return str(filled[0])


# -- JSON lines ------------------------------------------------------------------------------------------------------


@dataclass
class Written:
    """What became of JSON lines: the names seen, the line of each record, those that are none, columns of lists."""

    names: set[str] = field(default_factory=set)
    starts: list[int] = field(default_factory=lambda: [0])
    torn: list[int] = field(default_factory=list)
    nested: set[str] = field(default_factory=set)


def json_names(lines: Iterable[str], source: str) -> list[str]:
    """The names that the objects of a file have, in the order of their first use."""
    names: dict[str, None] = {}
    for number, line in enumerate(lines, start=1):
        record = _object(line) if line.strip() else {}
        if record is None and not names and not _is_whole(line):
            raise ExtractError(
                f"{source} is JSON, but line {number:,} is not an object. Write one object per line (JSON lines)."
            )
        names |= dict.fromkeys(record or {})
    if not names:
        raise ExtractError(f"{source} is JSON without a single name. Check the export.")
    return list(names)


def _is_whole(line: str) -> bool:
    return line.strip().startswith("{") and line.strip().endswith("}")


def _object(line: str, decimal: str = ".") -> dict[str, Any] | None:
    """The object that a line is; none where it is something else, or has a name twice."""
    try:
        found = json.loads(
            line,
            parse_int=str,
            parse_constant=str,
            parse_float=lambda n: n.replace(".", decimal),
            object_pairs_hook=_each_once,
        )
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name twice")
    return found


def write_json(lines: Iterable[str], columns: Sequence[str], decimal: str, path: Path) -> Written:
    """Write JSON lines as a Parquet file of text."""
    told = Written()
    write_rows(_records(lines, columns, decimal, told), columns, path)
    return told


def _records(lines: Iterable[str], columns: Sequence[str], decimal: str, told: Written) -> Iterator[list[str | None]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        told.starts.append(number)
        record = _object(line, decimal)
        if record is None:
            told.torn.append(len(told.starts) - 1)
            continue
        told.names.update(record)
        values = [record.get(name) for name in columns]
        told.nested |= {name for name, value in zip(columns, values, strict=True) if isinstance(value, list | dict)}
        yield [cell_text(value) for value in values]


def write_rows(rows: Iterable[Sequence[str | None]], columns: Sequence[str], path: Path) -> None:
    """Write rows of text as a Parquet file, a batch at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, waiting = pa.schema([(name, pa.string()) for name in columns]), iter(rows)
    with pq.ParquetWriter(path, schema) as writer:
        while batch := list(islice(waiting, _BATCH)):
            arrays = [pa.array(values, pa.string()) for values in zip(*batch, strict=True)]
            writer.write_table(pa.table(arrays, schema=schema))


def as_lines(pieces: Iterable[str]) -> Iterator[str]:
    """Text in pieces as its lines."""
    rest = ""
    for piece in pieces:
        *whole, rest = (rest + piece).split("\n")
        yield from whole
    yield rest


def record_starts(starts: Sequence[int]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Lines as an array."""
    return np.asarray(starts, dtype=np.int64)
