"""The text of a part, brought to where the engine reads it: one encoding, one kind of line end, nothing but records."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING

from crmkit._types import Ints
from crmkit.engine.base import SqlEngine
from crmkit.exceptions import ExtractError
from crmkit.ingest.files import is_gzip
from crmkit.ingest.headers import file_part, line_pieces, pieces
from crmkit.ingest.json_lines import record_starts, write_json
from crmkit.ingest.parts import Part, called, changed
from crmkit.ingest.tidiness import MARKS, TidyScan
from crmkit.ingest.worksheets import Worksheet, read_sheet

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Fingerprint", "prepared"]
_CHUNK = 1 << 20
_END = "\0 end of file"
_LONGEST_ROW = 2_000_000


# -- What validation reads ---------------------------------------------------------------------------------------------


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
    untidy : sequence of pair of int, optional
        First and last of the lines on which cells may need trimming; not known when not given.
    marks : frozenset of str
        Those of `crmkit.ingest.tidiness.MARKS` that it may hold.
    """

    sha256: str
    lines: int = 0
    even: bool = True
    skipped: int = 0
    starts: Ints | None = None
    torn: tuple[int, ...] = ()
    nested: frozenset[str] = frozenset()
    sheet: str | None = None
    untidy: Sequence[tuple[int, int]] | None = None
    marks: frozenset[str] = frozenset(MARKS)


def prepared(part: Part, engine: SqlEngine) -> tuple[Part, Fingerprint | None]:
    """The part as the engine can read it, copied to a file of its own where it has to be, and what one pass over it tells.

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
        return _prepared_json(part, engine)
    if file_part(part.path, part.reading).columns != part.own_columns:
        raise changed(part)
    return _prepared_text(part, engine) if part.kind == "csv" else (part, Fingerprint(_sha256(part.path)))


def relation_of(engine: SqlEngine, part: Part) -> str:
    """A prepared part as a relation of the engine; its valid records, where it is text."""
    if part.path is None:
        return engine.register(part.table)
    if part.kind == "csv":
        return engine.csv(part.path, part.own_columns, part.delimiter, is_gzip(part.path))[0]
    return engine.parquet(part.path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _prepared_sheet(part: Part, path: Path) -> tuple[Part, Fingerprint]:
    sheet = read_sheet(path, part.reading.sheet, part.reading.skip_rows)
    if called(sheet.names, part.name) != part.own_columns:
        raise changed(part)
    table = _sheet_table(sheet, part)
    content = Fingerprint(_sha256(path), starts=record_starts(sheet.starts), sheet=sheet.name)
    return replace(part, path=None, kind="table", table=table), content


def _sheet_table(sheet: Worksheet, part: Part) -> pa.Table:
    longest = max(map(len, sheet.rows), default=0)
    if longest > len(part.own_columns):
        raise ExtractError(f"{part.name} has rows longer than its line of column names. Name every column.")
    return sheet.arrow(part.own_columns, part.reading.mark)


def _prepared_json(part: Part, engine: SqlEngine) -> tuple[Part, Fingerprint]:
    digest, copy = hashlib.sha256(), engine.scratch_file(".parquet")
    told = write_json(line_pieces(part, digest), part.own_columns, part.reading.mark, copy)
    if told.names != set(part.own_columns):
        raise changed(part)
    content = Fingerprint(
        digest.hexdigest(),
        starts=record_starts(told.starts),
        torn=tuple(told.torn),
        nested=frozenset(told.nested),
    )
    return replace(part, path=copy, kind="parquet"), content


def _prepared_text(part: Part, engine: SqlEngine) -> tuple[Part, Fingerprint]:
    """A text file as UTF-8 without its container and the lines above its names; as it stands where it is that."""
    assert part.path is not None
    skip, digest = part.reading.skip_rows, hashlib.sha256()
    as_it_stands = part.encoding == "utf-8" and part.member is None and not skip
    copy = None if as_it_stands else engine.scratch_file(".csv")
    last, scan = "\n", TidyScan(part.delimiter)
    with open(copy or os.devnull, "w", encoding="utf-8", newline="") as target:
        for text in _without_lines(pieces(part, digest), skip):
            scan.look_at(text)
            last = text[-1:] or last
            if copy:
                target.write(text)
    lines = scan.n_ended + (last not in "\r\n")
    even = scan.returns == 0 or scan.feeds == scan.returns == scan.pairs
    plain = replace(part, path=copy or part.path, member=None, encoding="utf-8")
    marks = frozenset(scan.marks)
    return plain, Fingerprint(digest.hexdigest(), lines, even, skip, untidy=scan.ended(), marks=marks)


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


def with_line_feeds(part: Part, engine: SqlEngine) -> Part:
    """A prepared text part as a copy in which every line ends in a line feed."""
    assert part.path is not None
    copy = engine.scratch_file(".csv")
    with _open_text(part.path) as source, copy.open("w", encoding="utf-8", newline="\n") as target:
        shutil.copyfileobj(source, target, _CHUNK)
    return replace(part, path=copy)


def _open_text(path: Path) -> IO[str]:
    """Open a UTF-8 file for its text, every kind of line end read as a line feed."""
    content = gzip.open(path, "rb") if is_gzip(path) else path.open("rb")  # noqa: SIM115
    return io.TextIOWrapper(content, encoding="utf-8-sig", newline=None)


@contextmanager
def _long_fields() -> Iterator[None]:
    """The csv module takes fields as long as the engine does; the limit is the process's own, and is put back."""
    before = csv.field_size_limit(_LONGEST_ROW)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def records(part: Part, skipped: int = 0) -> Iterator[int]:
    """Physical line on which each record of a prepared CSV starts, negative where it is blank; the header is the first.

    Slow and exact: only for files where records and physical lines differ.
    """
    assert part.path is not None
    start = 1
    with _open_text(part.path) as file, _long_fields():
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
