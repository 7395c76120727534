"""Extracts as they are delivered: files, dataframes or database tables, named and looked at, not yet read.

``read_extract`` only finds the parts and reads their column names. What the columns mean is said later, at the door
(:mod:`crmkit.door`), which reads each part once.
"""

from __future__ import annotations

import atexit
import csv
import gzip
import hashlib
import io
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crmkit.databases import copy_query, is_url, source_name
from crmkit.engine import Engine, check_format, literal, quoted
from crmkit.exceptions import ConfigError, ExtractError, SourceChangedError
from crmkit.files import Kind, codec, decoded, encoding_of, first_lines, is_gzip, kind_of, matching, members
from crmkit.formats import NO_HEADER, Sheet, are_values, as_lines, json_names, read_sheet, record_starts, write_json

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Extract", "Fingerprint", "Part", "Reading", "prepared", "read_extract"]

_DELIMITERS = (",", ";", "\t", "|")
_CHUNK = 1 << 20
_BLANK_LINES = 100
_END = "\0 end of file"
_GROUPS = (".", ",", "'", "’", " ")
_NOTHING = "__HIVE_DEFAULT_PARTITION__"
_OPTION_OF: dict[str, tuple[str, tuple[Kind, ...]]] = {
    "encoding": ("text files", ("csv", "json")),
    "delimiter": ("CSV files", ("csv",)),
    "sheet": ("workbooks", ("excel",)),
    "member": ("zip archives", ("csv", "json")),
    "skip_rows": ("CSV files and workbooks", ("csv", "excel")),
}


@dataclass(frozen=True)
class Reading:
    """How a source is written, stated once and never guessed; see `read_extract` for each option.

    Examples
    --------
    >>> Reading(decimal=",", thousands=",")
    Traceback (most recent call last):
        ...
    crmkit.exceptions.ConfigError: decimal and thousands are both ','. State both, each its own mark.
    """

    encoding: str | None = None
    delimiter: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    currency: str | None = None
    date_format: str | None = None
    sheet: str | None = None
    member: str | None = None
    table: str | None = None
    query: str | None = None
    skip_rows: int = 0

    def __post_init__(self) -> None:
        if self.delimiter is not None and len(self.delimiter) != 1:
            raise ConfigError(
                f"delimiter={self.delimiter!r} is not one character. Name the one that stands between fields."
            )
        if self.decimal not in (None, ".", ","):
            raise ConfigError(f"decimal={self.decimal!r} is neither '.' nor ','.")
        if self.thousands not in (None, *_GROUPS):
            raise ConfigError(f"thousands={self.thousands!r} is not one of {', '.join(map(repr, _GROUPS))}.")
        if self.thousands == self.mark:
            raise ConfigError(f"decimal and thousands are both {self.mark!r}. State both, each its own mark.")
        if self.currency is not None and not re.fullmatch("[A-Z]{3}", self.currency):
            raise ConfigError(f"currency={self.currency!r} is not a code of three capitals. Write it as in 'EUR'.")
        if self.skip_rows < 0:
            raise ConfigError(f"skip_rows={self.skip_rows} is below 0. It is the number of lines above the names.")
        if self.encoding is not None:
            codec(self.encoding)
        if self.date_format is not None:
            check_format(self.date_format)

    @property
    def mark(self) -> str:
        """The decimal mark."""
        return self.decimal or "."


@dataclass(frozen=True)
class Part:
    """One file, one dataframe, or one database table of an extract."""

    name: str
    columns: tuple[str, ...]
    kind: Kind = "table"
    path: Path | None = None
    table: Any = field(default=None, repr=False)
    reading: Reading = Reading()
    delimiter: str = ","
    encoding: str = "utf-8"
    member: str | None = None
    constants: tuple[tuple[str, str], ...] = ()

    @property
    def constant_columns(self) -> str:
        """The columns that the folders' names state, as the end of a select."""
        values = {name: "null" if value == _NOTHING else literal(value) for name, value in self.constants}
        return "".join(f", cast({value} as varchar) as {quoted(name)}" for name, value in values.items())

    @property
    def own_columns(self) -> tuple[str, ...]:
        """The columns of the file itself."""
        return self.columns[: len(self.columns) - len(self.constants)]


@dataclass(frozen=True)
class Extract:
    """What was delivered: its parts in order, not read yet, and how they are written.

    Examples
    --------
    >>> import pandas as pd
    >>> read_extract(pd.DataFrame({"card_no": ["0077"], "paid": [1.5]}))
    Extract of 1 part (dataframe) with columns card_no, paid
    """

    parts: tuple[Part, ...]
    reading: Reading = Reading()

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names of all parts, in the order of their first use."""
        return tuple(dict.fromkeys(chain.from_iterable(part.columns for part in self.parts)))

    def head(self, n: int = 5) -> pd.DataFrame:
        """First rows of the first part; those of text files as text."""
        with Engine() as engine:
            part, _ = prepared(self.parts[0], engine.scratch)
            with engine.reading(part.name):
                relation = relation_of(engine, part)
                return engine.frame(f"select *{part.constant_columns} from {relation} limit {int(n)}")

    def __repr__(self) -> str:
        n = len(self.parts)
        names = self.parts[0].name + (f" … {self.parts[-1].name}" if n > 1 else "")
        return f"Extract of {n} part{'s' if n > 1 else ''} ({names}) with columns {', '.join(self.columns)}"


def read_extract(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Any,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    currency: str | None = None,
    date_format: str | None = None,
    sheet: str | None = None,
    member: str | None = None,
    table: str | None = None,
    query: str | None = None,
    skip_rows: int = 0,
) -> Extract:
    """Name the parts of an extract; nothing is read but column names.

    Parameters
    ----------
    source : path, folder, glob, list of them, database address, or dataframe
        CSV and JSON lines (plain, gzip or zip), Parquet, Excel and OpenDocument workbooks, each told by its content; a
        folder means the files in it without what systems leave there (hidden files, ``Thumbs.db``, ``desktop.ini``,
        ``~$…``, names that begin with ``_``), and its ``key=value`` folders are columns. A pandas, polars or Arrow table,
        or any object that has the Arrow capsule. The address of a database. Files of one extract may differ in the order of
        their columns, and columns that need not be there may be in some only.
    encoding : str, optional
        Of text files: ``"cp949"``, ``"gb18030"``, ``"cp932"``, ``"cp1252"``, ``"utf-16"`` … UTF-8 when not given; a
        byte order mark decides before either. A byte that cannot be decoded is an error.
    delimiter : str, optional
        Field separator of CSV files, one character. When not given it is the one of ``, ; TAB |`` that splits the
        header line into most fields; a header without any of them is taken as a single column. A column whose name is
        empty is called ``unnamed`` and its place.
    decimal, thousands : str, optional
        Marks in numbers that are text: ``decimal=","`` and ``thousands="."`` read 1.234,50. Without them numbers are
        written as in 1234.50, and others are rejected. 1,234.50 has its mark between groups of three, the first of which
        does not begin with 0. A number below zero may also be written 12.50-, (12.50), or with the long minus U+2212.
    currency : str, optional
        Code of the amounts' currency; its own signs beside a number are accepted, another currency's are not.
    date_format : str, optional
        ``strptime`` format of days (not of purchase times) that are not written year first; ``"excel"`` reads the day
        numbers of a spreadsheet, 36526 (2000-01-01) to 73050 (2099-12-31).
    sheet : str, optional
        Worksheet to read, when there are several.
    member : str, optional
        File in a zip archive, when there are several.
    table, query : str
        What to read from a database, one of the two. It is copied once, when ``read_extract`` is called.
    skip_rows : int
        Lines above the line of column names.

    Returns
    -------
    Extract
        The parts in order of their names.

    Raises
    ------
    ExtractError
        No file matches; a file is empty, is nothing that is read, or has a column name twice; a text is not in the
        encoding stated; a database cannot be reached.
    ConfigError
        An option makes no sense here.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "till.csv"
    >>> _ = file.write_text("card_no;paid\\n0077;1.50\\n")
    >>> read_extract(file).columns
    ('card_no', 'paid')
    """
    reading = Reading(
        encoding, delimiter, decimal, thousands, currency, date_format, sheet, member, table, query, skip_rows
    )
    if isinstance(source, Extract):
        return source
    if isinstance(source, str) and is_url(source):
        return Extract((_database_part(source, reading),), reading)
    if table is not None or query is not None:
        raise ConfigError("table= and query= are for databases. Give its address: 'postgresql://user@host/name'.")
    if isinstance(source, str | os.PathLike):
        found = matching(os.fspath(source))
    elif isinstance(source, list | tuple) and all(isinstance(item, str | os.PathLike) for item in source):
        found = list(chain.from_iterable(matching(os.fspath(item)) for item in source))
    else:
        return Extract((_frame_part(source, reading),), reading)
    if not found:
        raise ExtractError("The list of files is empty. Name at least one file.")
    parts = tuple(_partitioned(_file_part(path, reading), constants) for path, constants in found)
    _check_used(reading, parts)
    return Extract(parts, reading)


def _check_used(reading: Reading, parts: tuple[Part, ...]) -> None:
    """Raise for an option that is for another kind of file than all that were found."""
    kinds = {part.kind for part in parts}
    for option, (what, allowed) in _OPTION_OF.items():
        if getattr(reading, option) and not kinds & set(allowed):
            raise ConfigError(f"{option}= is for {what}, and {parts[0].name} is none. Leave it out.")


# -- Parts of each kind ----------------------------------------------------------------------------------------------


def _database_part(url: str, reading: Reading) -> Part:
    name = source_name(reading.table, reading.query)
    path = _kept_file()
    copy_query(url, reading.table, reading.query, reading.mark, path)
    return Part(name, _unique(_parquet_names(path), name), "parquet", path, reading=reading)


def _kept_file() -> Path:
    """A file that is there until Python ends."""
    folder = Path(tempfile.mkdtemp(prefix="crmkit-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder / "extract.parquet"


def _frame_part(table: Any, reading: Reading) -> Part:
    if hasattr(table, "read_next_batch"):
        path = _copied(table)
        return Part("dataframe", _unique(_parquet_names(path), "dataframe"), "parquet", path, reading=reading)
    lazy = type(table).__module__.startswith("polars") and hasattr(table, "collect_schema")
    names = table.collect_schema().names() if lazy else getattr(table, "column_names", getattr(table, "columns", None))
    if names is None:
        names = getattr(getattr(table, "schema", None), "names", None)
    if names is None and hasattr(table, "__arrow_c_stream__"):
        table = _arrow(table)
        names = table.column_names
    if names is None:
        raise ExtractError(
            f"A {type(table).__name__} is not a table crmkit can read. Give a path, a glob, or a dataframe that "
            "speaks Arrow (pandas, polars, pyarrow, …)."
        )
    return Part("dataframe", _unique(tuple(map(str, names)), "dataframe"), table=table, reading=reading)


def _copied(reader: Any) -> Path:
    """A stream of record batches, which can be read but once, as a file."""
    import pyarrow.parquet as pq

    path = _kept_file()
    with pq.ParquetWriter(path, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
    return path


def _arrow(table: Any) -> Any:
    import pyarrow as pa

    try:
        return pa.table(table)
    except pa.ArrowException:
        raise ExtractError(f"A {type(table).__name__} has no columns with names. Give a table.") from None


def _partitioned(part: Part, stated: dict[str, str]) -> Part:
    """The part with the columns that its folders' names state and the file has not."""
    added = tuple((name, value) for name, value in stated.items() if name not in part.columns)
    columns = _unique(part.columns + tuple(name for name, _ in added), part.name)
    return replace(part, columns=columns, constants=added)


def _file_part(path: Path, reading: Reading) -> Part:
    if path.stat().st_size == 0:
        raise ExtractError(f"{path.name} is empty: the delivery failed. Nothing was loaded from it.")
    kind = kind_of(path)
    if kind == "parquet":
        return Part(path.name, _unique(_parquet_names(path), path.name), kind, path, reading=reading)
    if kind == "excel":
        names = read_sheet(path, reading.sheet, reading.skip_rows).names
        return Part(path.name, _called(names, path.name), kind, path, reading=reading)
    return _text_part(path, reading)


def _text_part(path: Path, reading: Reading) -> Part:
    member = _member(path, reading.member)
    encoding = encoding_of(path, member, reading.encoding)
    part = Part(path.name, (), "csv", path, reading=reading, encoding=encoding, member=member)
    lines = first_lines(path, member, encoding, reading.encoding, reading.skip_rows + 1)
    header = lines[-1] if len(lines) > reading.skip_rows else ""
    if not header.strip():
        lines = first_lines(path, member, encoding, reading.encoding, _BLANK_LINES)
    if next(filter(str.strip, lines[reading.skip_rows :]), "").lstrip().startswith("{"):
        names = json_names(_lines(part), path.name)
        return replace(part, columns=_unique(tuple(names), path.name), kind="json")
    if not header.strip():
        raise ExtractError(f"{path.name} starts with an empty line where the column names should be.")
    mark = reading.delimiter or max(_DELIMITERS, key=lambda one: len(next(csv.reader([header], delimiter=one))))
    return replace(part, columns=_called(_header_fields(header, mark, path.name), path.name), delimiter=mark)


def _member(path: Path, stated: str | None) -> str | None:
    """The file to read in a zip archive; none when the file is no archive."""
    there = members(path)
    if stated is not None and stated not in there:
        raise ConfigError(f"{path.name} has no member {stated!r}. It has {there}.")
    if not there or stated is not None:
        return stated
    if len(there) > 1:
        raise ExtractError(f"{path.name} holds {len(there)} files: {there}. Name one: member=….")
    return there[0]


def _parquet_names(path: Path) -> tuple[str, ...]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return tuple(pq.read_schema(path).names)
    except (pa.ArrowException, OSError) as error:
        raise ExtractError(f"{path.name} is a broken Parquet file: {error}") from None


def _header_fields(header: str, delimiter: str, source: str) -> list[str]:
    try:
        return next(csv.reader([header], delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise ExtractError(f"{source}: the line of column names cannot be read: {error}.") from None


def _called(names: Sequence[str], source: str) -> tuple[str, ...]:
    """Column names without white space around them; one without a name is called by its place."""
    columns = (name.strip() or f"unnamed {place}" for place, name in enumerate(names, start=1))
    return _unique(tuple(columns), source)


def _unique(names: tuple[str, ...], source: str) -> tuple[str, ...]:
    count = Counter(name.casefold() for name in names)
    twice = sorted(name for name in set(names) if count[name.casefold()] > 1)
    if twice and are_values(names):
        raise ExtractError(f"{source} seems to have no header: {NO_HEADER}")
    if twice:
        raise ExtractError(f"{source} has a column name twice (capitals do not count): {twice}. Rename one of them.")
    return names


# -- What the door reads ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fingerprint:
    """What one pass over a file tells.

    Attributes
    ----------
    sha256 : str
        Of its content, unpacked.
    lines : int
        Physical lines of a text file that is read as it stands; 0 for everything else.
    even : bool
        Whether all lines end alike.
    skipped : int
        Lines above the first that is read.
    starts : array of int, optional
        Where it is known from the source: its line (or sheet row) of the names, and of each record.
    torn : tuple of int
        Records, counted from 1, that are none.
    nested : frozenset of str
        Columns that hold lists or objects.
    sheet : str, optional
        The worksheet, where the workbook has several.
    """

    sha256: str
    lines: int = 0
    even: bool = True
    skipped: int = 0
    starts: NDArray[np.int64] | None = None
    torn: tuple[int, ...] = ()
    nested: frozenset[str] = frozenset()
    sheet: str | None = None


def prepared(part: Part, scratch: Path) -> tuple[Part, Fingerprint | None]:
    """The part as the engine can read it, copied to ``scratch`` where it has to be, and what one pass over it tells.

    Raises
    ------
    SourceChangedError
        Column names are no longer those that were read first.
    """
    if part.path is None:
        return part, None
    if part.kind == "excel":
        return _prepared_sheet(part, part.path)
    if part.kind == "json":
        return _prepared_json(part, scratch)
    if _file_part(part.path, part.reading).columns != part.own_columns:
        raise _changed(part)
    return _prepared_text(part, scratch) if part.kind == "csv" else (part, Fingerprint(_sha256(part.path)))


def relation_of(engine: Engine, part: Part) -> str:
    """A prepared part as a relation of the engine; its sound rows, where it is text."""
    if part.path is None:
        return engine.register(part.table)
    if part.kind == "csv":
        return engine.csv(part.path, part.own_columns, part.delimiter, is_gzip(part.path))[0]
    return engine.parquet(part.path)


def _changed(part: Part) -> SourceChangedError:
    return SourceChangedError(f"{part.name} has other columns than when it was named. Call read_extract again.")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pieces(part: Part, digest: Any = None) -> Iterator[str]:
    """The text of a part in pieces; its bytes go into ``digest``."""
    assert part.path is not None
    for raw, text in decoded(part.path, part.member, part.encoding, part.reading.encoding):
        if digest is not None:
            digest.update(raw)
        yield text


def _lines(part: Part, digest: Any = None) -> Iterator[str]:
    return as_lines(_pieces(part, digest))


def _prepared_sheet(part: Part, path: Path) -> tuple[Part, Fingerprint]:
    sheet = read_sheet(path, part.reading.sheet, part.reading.skip_rows)
    if _called(sheet.names, part.name) != part.own_columns:
        raise _changed(part)
    table = _sheet_table(sheet, part)
    content = Fingerprint(_sha256(path), starts=record_starts(sheet.starts), sheet=sheet.name)
    return replace(part, path=None, kind="table", table=table), content


def _sheet_table(sheet: Sheet, part: Part) -> Any:
    longest = max(map(len, sheet.rows), default=0)
    if longest > len(part.own_columns):
        raise ExtractError(f"{part.name} has rows longer than its line of column names. Name every column.")
    return sheet.arrow(part.own_columns, part.reading.mark)


def _prepared_json(part: Part, scratch: Path) -> tuple[Part, Fingerprint]:
    digest, copy = hashlib.sha256(), _scratch_file(scratch, ".parquet")
    told = write_json(_lines(part, digest), part.own_columns, part.reading.mark, copy)
    if told.names != set(part.own_columns):
        raise _changed(part)
    content = Fingerprint(
        digest.hexdigest(),
        starts=record_starts(told.starts),
        torn=tuple(told.torn),
        nested=frozenset(told.nested),
    )
    return replace(part, path=copy, kind="parquet"), content


def _prepared_text(part: Part, scratch: Path) -> tuple[Part, Fingerprint]:
    """A text file as UTF-8 without its container and the lines above its names; as it stands where it is that."""
    assert part.path is not None
    skip, digest = part.reading.skip_rows, hashlib.sha256()
    as_it_stands = part.encoding == "utf-8" and part.member is None and not skip
    copy = None if as_it_stands else _scratch_file(scratch, ".csv")
    ends, last = Counter[str](), "\n"
    with open(copy or os.devnull, "w", encoding="utf-8", newline="") as target:
        for text in _without_lines(_pieces(part, digest), skip):
            returns = text.count("\r")
            both = (last + text).count("\r\n") if returns or last == "\r" else 0  # two characters are slow to find
            ends += Counter(lf=text.count("\n"), cr=returns, crlf=both)
            last = text[-1:] or last
            if copy:
                target.write(text)
    lines = ends["lf"] + ends["cr"] - ends["crlf"] + (last not in "\r\n")
    even = ends["cr"] == 0 or ends["lf"] == ends["cr"] == ends["crlf"]
    plain = replace(part, path=copy or part.path, member=None, encoding="utf-8")
    return plain, Fingerprint(digest.hexdigest(), lines, even, skip)


def _without_lines(pieces: Iterable[str], n: int) -> Iterator[str]:
    above, left = re.compile(rf"(?:[^\r\n]*(?:\r\n|\r|\n)){{{n}}}"), ""
    waiting = n > 0
    for piece in pieces:
        left = left + piece if waiting else piece
        if waiting:
            found = above.match(left)
            if found is None or found.end() == len(left):
                continue
            left, waiting = left[found.end() :], False
        yield left


def _scratch_file(scratch: Path, suffix: str) -> Path:
    handle, name = tempfile.mkstemp(suffix=suffix, dir=scratch)
    os.close(handle)
    return Path(name)


def with_line_feeds(part: Part, folder: Path) -> Part:
    """A prepared text part as a copy in which every line ends in a line feed."""
    assert part.path is not None
    copy = _scratch_file(folder, ".csv")
    with _open_text(part.path) as source, copy.open("w", encoding="utf-8", newline="\n") as target:
        shutil.copyfileobj(source, target, _CHUNK)
    return replace(part, path=copy)


def _open_text(path: Path) -> IO[str]:
    """Open a UTF-8 file for its text, every kind of line end read as a line feed."""
    content = gzip.open(path, "rb") if is_gzip(path) else path.open("rb")  # noqa: SIM115
    return io.TextIOWrapper(content, encoding="utf-8-sig", newline=None)


def records(part: Part, skipped: int = 0) -> Iterator[int]:
    """Physical line on which each record of a prepared CSV starts, negative where it is blank; the header is the first.

    Slow and exact: only for files where records and physical lines differ.
    """
    assert part.path is not None
    start = 1
    with _open_text(part.path) as file:
        reader = csv.reader(chain(file, [_END]), delimiter=part.delimiter, skipinitialspace=True)
        try:
            for row in reader:
                if row == [_END]:
                    return
                yield start if row else -start
                last, start = start, reader.line_num + 1
        except csv.Error:
            last = start
    raise ExtractError(
        f"{part.name}: the record on line {last + skipped:,} does not end; a quote is opened in it and not closed. "
        "Mend it, or export the file with quotes doubled inside quoted fields; nothing was loaded from it."
    )
