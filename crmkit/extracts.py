"""Extracts as they are delivered: files or dataframes, named and looked at, not yet read.

``read_extract`` only finds the parts and reads their column names. What the columns mean is said later, at the door
(:mod:`crmkit.door`), which reads each part once.
"""

from __future__ import annotations

import codecs
import csv
import glob
import gzip
import hashlib
import io
import os
import re
import shutil
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from crmkit.exceptions import ConfigError, ExtractError, NoInputError, SourceChangedError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Extract", "Part", "read_extract"]

_DELIMITERS = (",", ";", "\t", "|")
_CHUNK = 1 << 20
_BOM = codecs.BOM_UTF8
_BROKEN_GZIP = (EOFError, zlib.error, OSError)
_END = "\0 end of file"
_FOREIGN = {
    rb"PK\x03\x04": "an Excel workbook or a zip archive",
    rb"\xd0\xcf\x11\xe0": "an old Excel workbook",
    rb"%PDF": "a PDF document",
    rb"SQLite format 3": "an SQLite database",
    rb"\x28\xb5\x2f\xfd": "compressed with zstandard",
    rb"\xff\xfe|\xfe\xff|[^\x00]\x00[^\x00]\x00|\x00[^\x00]\x00[^\x00]": "UTF-16 text",
    rb"\s*<": "HTML or XML",
    rb"\s*(\{|\[\s*(\{|$))": "JSON",
}


@dataclass(frozen=True)
class Part:
    """One file, or one dataframe, of an extract."""

    name: str
    columns: tuple[str, ...]
    path: Path | None = None
    table: Any = field(default=None, repr=False)
    delimiter: str = ","

    @property
    def is_csv(self) -> bool:
        """Whether this part is text with a header line."""
        return self.path is not None and not _is_parquet(self.path)


@dataclass(frozen=True)
class Extract:
    """What was delivered: its parts in order, not read yet.

    Examples
    --------
    >>> import pandas as pd
    >>> read_extract(pd.DataFrame({"card_no": ["0077"], "paid": [1.5]}))
    Extract of 1 part (dataframe) with columns card_no, paid
    """

    parts: tuple[Part, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names of the first part."""
        return self.parts[0].columns

    def head(self, n: int = 5) -> pd.DataFrame:
        """First rows of the first part, as text."""
        from crmkit.engine import Engine

        part = self.parts[0]
        with Engine() as engine:
            if part.is_csv and part.path:
                relation, _ = engine.csv(part.path, part.columns, part.delimiter, is_gzip(part.path))
            else:
                relation = engine.register(part.table) if part.path is None else engine.parquet(part.path)
            return engine.frame(f"select * from {relation} limit {int(n)}")

    def __repr__(self) -> str:
        n = len(self.parts)
        names = self.parts[0].name + (f" … {self.parts[-1].name}" if n > 1 else "")
        return f"Extract of {n} part{'s' if n > 1 else ''} ({names}) with columns {', '.join(self.columns)}"


def read_extract(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Any, *, delimiter: str | None = None
) -> Extract:
    """Name the parts of an extract; nothing is read but column names.

    Parameters
    ----------
    source : path, glob, list of paths, or dataframe
        CSV (plain or gzip, UTF-8, with a header line) and Parquet files; or a pandas, polars or Arrow table, or any
        object that has the Arrow capsule. Files of one extract may differ in the order of their columns.
    delimiter : str, optional
        Field separator of CSV files, one character. When not given it is the one of ``, ; TAB |`` that splits the
        header line into most fields; a header without any of them is taken as a single column. A column whose name is
        empty is called ``unnamed`` and its place.

    Returns
    -------
    Extract
        The parts in order of their names.

    Raises
    ------
    ExtractError
        No file matches; a file is empty, is neither Parquet nor UTF-8 text, or has a column name twice.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "till.csv"
    >>> _ = file.write_text("card_no;paid\\n0077;1.50\\n")
    >>> read_extract(file).columns
    ('card_no', 'paid')
    """
    if isinstance(source, str | os.PathLike):
        paths = _matching(os.fspath(source))
    elif isinstance(source, list | tuple) and all(isinstance(item, str | os.PathLike) for item in source):
        paths = list(chain.from_iterable(_matching(os.fspath(item)) for item in source))
    else:
        return Extract((_frame_part(source),))
    if not paths:
        raise ExtractError("The list of files is empty. Name at least one file.")
    return Extract(tuple(_file_part(path, delimiter) for path in paths))


def _matching(pattern: str) -> list[Path]:
    path = Path(pattern)
    found = [path] if path.exists() else sorted(map(Path, glob.glob(pattern, recursive=True)))
    files = [item for item in found if item.is_file()]
    if not files:
        raise NoInputError(f"No file matches {pattern!r} (looked from {Path.cwd().name}/). Check the path or the glob.")
    return files


def _frame_part(table: Any) -> Part:
    lazy = type(table).__module__.startswith("polars") and hasattr(table, "collect_schema")
    names = table.collect_schema().names() if lazy else getattr(table, "column_names", getattr(table, "columns", None))
    if names is None and hasattr(table, "__arrow_c_stream__"):
        table = _arrow(table)
        names = table.column_names
    if names is None:
        raise ExtractError(
            f"A {type(table).__name__} is not a table crmkit can read. Give a path, a glob, or a dataframe that "
            "speaks Arrow (pandas, polars, pyarrow, …)."
        )
    return Part("dataframe", _unique(tuple(map(str, names)), "dataframe"), table=table)


def _arrow(table: Any) -> Any:
    import pyarrow as pa

    try:
        return pa.table(table)
    except pa.ArrowException:
        raise ExtractError(f"A {type(table).__name__} has no columns with names. Give a table.") from None


def _file_part(path: Path, delimiter: str | None) -> Part:
    if delimiter is not None and len(delimiter) != 1:
        raise ConfigError(f"delimiter={delimiter!r} is not one character. Name the one that stands between fields.")
    if path.stat().st_size == 0:
        raise ExtractError(f"{path.name} is empty: the delivery failed. Nothing was loaded from it.")
    if _is_parquet(path):
        return Part(path.name, _unique(_parquet_names(path), path.name), path=path)
    header = _header_line(path)
    mark = delimiter or max(_DELIMITERS, key=lambda one: len(next(csv.reader([header], delimiter=one))))
    names = [name.strip() for name in _header_fields(header, mark, path.name)]
    columns = tuple(name or f"unnamed {place}" for place, name in enumerate(names, start=1))
    return Part(path.name, _unique(columns, path.name), path=path, delimiter=mark)


def _parquet_names(path: Path) -> tuple[str, ...]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return tuple(pq.read_schema(path).names)
    except (pa.ArrowException, OSError) as error:
        raise ExtractError(f"{path.name} is a broken Parquet file: {error}") from None


def _header_line(path: Path) -> str:
    try:
        with open_bytes(path) as file:
            line = file.readline(_CHUNK)
    except _BROKEN_GZIP as error:
        raise ExtractError(f"{path.name} ended early, in its first line: {error}") from None
    while line.startswith(_BOM):
        line = line.removeprefix(_BOM)
    foreign = [kind for start, kind in _FOREIGN.items() if re.match(start, line)]
    if foreign:
        raise ExtractError(f"{path.name} is {foreign[0]}, which is not read. Export it as CSV in UTF-8, or as Parquet.")
    try:
        text = re.split(rb"[\r\n]", line, maxsplit=1)[0].decode("utf-8")
    except UnicodeDecodeError as error:
        raise not_utf8(path.name, error.start) from None
    if not text.strip():
        raise ExtractError(f"{path.name} starts with an empty line where the column names should be.")
    return text


def _header_fields(header: str, delimiter: str, source: str) -> list[str]:
    try:
        return next(csv.reader([header], delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise ExtractError(f"{source}: the line of column names cannot be read: {error}.") from None


def _unique(names: tuple[str, ...], source: str) -> tuple[str, ...]:
    count = Counter(name.casefold() for name in names)
    twice = sorted(name for name in set(names) if count[name.casefold()] > 1)
    if twice:
        raise ExtractError(f"{source} has a column name twice (capitals do not count): {twice}. Rename one of them.")
    return names


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def is_gzip(path: Path) -> bool:
    """Whether the content is gzip, whatever the name says."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def open_bytes(path: Path) -> IO[bytes]:
    """Open a plain or gzip file for its content."""
    return gzip.open(path, "rb") if is_gzip(path) else path.open("rb")  # type: ignore[return-value]


def open_text(path: Path) -> IO[str]:
    """Open a UTF-8 file for its text, every kind of line end read as a line feed."""
    return io.TextIOWrapper(open_bytes(path), encoding="utf-8-sig", newline=None)


def not_utf8(name: str, byte: int) -> ExtractError:
    """The error for a text file in another encoding."""
    return ExtractError(
        f"{name} is not UTF-8 text (byte {byte:,} of it). Re-export it as UTF-8; nothing was loaded from it."
    )


@dataclass(frozen=True)
class Fingerprint:
    """What one pass over the bytes of a file tells; a Parquet file has no lines."""

    sha256: str
    lines: int = 0
    even: bool = True


def fingerprint(part: Part) -> Fingerprint | None:
    """Hash the content of a file; of text also count the lines, see whether all end alike, and check the encoding."""
    if part.path is None:
        return None
    if not part.is_csv:
        with part.path.open("rb") as file:
            return Fingerprint(hashlib.file_digest(file, "sha256").hexdigest())
    digest, ends, last = hashlib.sha256(), Counter[str](), b"\n"
    for chunk in _checked(part.path):
        digest.update(chunk)
        ends += Counter(lf=chunk.count(b"\n"), cr=chunk.count(b"\r"), crlf=(last + chunk).count(b"\r\n"))
        last = chunk[-1:]
    lines = ends["lf"] + ends["cr"] - ends["crlf"] + (last not in b"\r\n")
    even = ends["cr"] == 0 or ends["lf"] == ends["cr"] == ends["crlf"]
    return Fingerprint(digest.hexdigest(), lines, even)


def _checked(path: Path) -> Iterator[bytes]:
    """The content of a text file in chunks, each seen to be UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    done = held = 0
    try:
        with open_bytes(path) as file:
            while chunk := file.read(_CHUNK):
                decoder.decode(chunk)
                yield chunk
                done, held = done + len(chunk), len(decoder.getstate()[0])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise not_utf8(path.name, done - held + error.start) from None
    except _BROKEN_GZIP as error:
        raise ExtractError(f"{path.name} ended early, after byte {done:,} of its content: {error}") from None


def with_line_feeds(part: Part, folder: Path) -> Part:
    """The part as a copy in which every line ends in a line feed."""
    assert part.path is not None
    handle, name = tempfile.mkstemp(suffix=".csv", dir=folder)
    with open_text(part.path) as source, open(handle, "w", encoding="utf-8", newline="\n") as target:
        shutil.copyfileobj(source, target, _CHUNK)
    return replace(part, path=Path(name))


def check_header(part: Part) -> None:
    """Raise `SourceChangedError` when a file's column names are no longer those that were read first."""
    if part.path is not None and _file_part(part.path, part.delimiter).columns != part.columns:
        raise SourceChangedError(f"{part.name} has other columns than when it was named. Call read_extract again.")


def records(part: Part) -> Iterator[int]:
    """Physical line on which each record of a CSV starts, negative where it is blank; the header is the first.

    Slow and exact: only for files where records and physical lines differ.
    """
    assert part.path is not None
    start = 1
    with open_text(part.path) as file:
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
        f"{part.name}: the record on line {last:,} does not end; a quote is opened in it and not closed. Mend it, or "
        "export the file with quotes doubled inside quoted fields; nothing was loaded from it."
    )
