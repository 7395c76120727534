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
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from crmkit.exceptions import ExtractError, NoInputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Extract", "Part", "read_extract"]

_DELIMITERS = (",", ";", "\t", "|")
_CHUNK = 1 << 20
_BOM = "\ufeff"


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
                relation, _ = engine.csv(part.path, part.columns, part.delimiter)
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
        Field separator of CSV files. When not given it is the one of ``, ; TAB |`` that splits the header line into
        most fields; a header without any of them is taken as a single column.

    Returns
    -------
    Extract
        The parts in order of their names.

    Raises
    ------
    ExtractError
        No file matches; a file is empty, is not UTF-8 text, or has a column name twice.

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
        import pyarrow as pa

        table = pa.table(table)
        names = table.column_names
    if names is None:
        raise ExtractError(
            f"A {type(table).__name__} is not a table crmkit can read. Give a path, a glob, or a dataframe that "
            "speaks Arrow (pandas, polars, pyarrow, …)."
        )
    return Part("dataframe", _unique(tuple(map(str, names)), "dataframe"), table=table)


def _file_part(path: Path, delimiter: str | None) -> Part:
    if path.stat().st_size == 0:
        raise ExtractError(f"{path.name} is empty: the delivery failed. Nothing was loaded from it.")
    if _is_parquet(path):
        import pyarrow.parquet as pq

        return Part(path.name, tuple(pq.read_schema(path).names), path=path)
    header = _header_line(path)
    mark = delimiter or max(_DELIMITERS, key=header.count)
    columns = tuple(name.strip() for name in next(csv.reader([header], delimiter=mark)))
    return Part(path.name, _unique(columns, path.name), path=path, delimiter=mark)


def _header_line(path: Path) -> str:
    with open_bytes(path) as file:
        line = file.readline(_CHUNK)
    try:
        text = line.decode("utf-8").removeprefix(_BOM).rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise not_utf8(path.name, error.start) from None
    if not text.strip():
        raise ExtractError(f"{path.name} starts with an empty line where the column names should be.")
    return text


def _unique(names: tuple[str, ...], source: str) -> tuple[str, ...]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ExtractError(f"{source} has a column name twice: {twice}. Rename one of them.")
    return names


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def open_bytes(path: Path) -> IO[bytes]:
    """Open a plain or gzip file for its content, whatever its name says."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if zipped else path.open("rb")  # type: ignore[return-value]


def not_utf8(name: str, byte: int) -> ExtractError:
    """The error for a text file in another encoding."""
    return ExtractError(
        f"{name} is not UTF-8 text (byte {byte:,} of it). Re-export it as UTF-8; nothing was loaded from it."
    )


@dataclass(frozen=True)
class Fingerprint:
    """What one pass over the bytes of a text file tells."""

    sha256: str
    lines: int


def fingerprint(path: Path) -> Fingerprint:
    """Hash the content, count physical lines and check the encoding, in one pass."""
    digest, newlines, last = hashlib.sha256(), 0, b"\n"
    decoder = codecs.getincrementaldecoder("utf-8")()
    done = 0
    try:
        for chunk in _chunks(path):
            digest.update(chunk)
            newlines += chunk.count(b"\n")
            decoder.decode(chunk)
            last, done = chunk[-1:], done + len(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise not_utf8(path.name, done + error.start) from None
    except (EOFError, gzip.BadGzipFile, OSError) as error:
        raise ExtractError(f"{path.name} ended early, after byte {done:,} of its content: {error}") from error
    return Fingerprint(digest.hexdigest(), newlines + (last != b"\n"))


def _chunks(path: Path) -> Iterator[bytes]:
    with open_bytes(path) as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def records(part: Part) -> Iterator[tuple[int, bool]]:
    """Physical line on which each record of a CSV starts, and whether it is blank; the header is the first.

    Slow and exact: only for files where records and physical lines differ.
    """
    assert part.path is not None
    with open_bytes(part.path) as file:
        lines: Iterable[str] = codecs.getreader("utf-8-sig")(file)
        reader = csv.reader(lines, delimiter=part.delimiter)
        start = 1
        for row in reader:
            yield start, not row
            start = reader.line_num + 1
