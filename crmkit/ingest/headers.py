"""What a file is, and the names of its columns."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from crmkit.exceptions import ConfigError, ExtractError
from crmkit.ingest.files import archive_members, decoded, encoding_of, first_lines, kind_of
from crmkit.ingest.json_lines import as_lines, json_names
from crmkit.ingest.parts import Part, Reading, called, unique
from crmkit.ingest.worksheets import read_sheet

if TYPE_CHECKING:
    pass


_DELIMITERS = (",", ";", "\t", "|")


_BLANK_LINES = 100
_LONGEST = 131_072
"""Characters of a line of names: the csv module takes no longer field."""


def file_part(path: Path, reading: Reading) -> Part:
    if path.stat().st_size == 0:
        raise ExtractError(f"{path.name} is empty: the delivery failed. Nothing was loaded from it.")
    kind = kind_of(path)
    if kind == "parquet":
        return Part(path.name, unique(parquet_names(path), path.name), kind, path, reading=reading)
    if kind == "excel":
        names = read_sheet(path, reading.sheet, reading.skip_rows).names
        return Part(path.name, called(names, path.name), kind, path, reading=reading)
    return _text_part(path, reading)


def _text_part(path: Path, reading: Reading) -> Part:
    member = _member(path, reading.member)
    encoding = encoding_of(path, member, reading.encoding)
    part = Part(path.name, (), "csv", path, reading=reading, encoding=encoding, member=member)
    lines = first_lines(path, member, encoding, reading.encoding, reading.skip_rows + 1)
    header = lines[-1] if len(lines) > reading.skip_rows else ""
    if not header.strip():
        lines = first_lines(path, member, encoding, reading.encoding, _BLANK_LINES)
    told = re.fullmatch("sep=(.)", header.strip(' \ufeff"\r\n'), re.IGNORECASE)  # written for Excel
    if told:
        return _text_part(path, replace(reading, skip_rows=reading.skip_rows + 1, delimiter=told[1]))
    if next(filter(str.strip, lines[reading.skip_rows :]), "").lstrip().startswith("{"):
        names = json_names(line_pieces(part), path.name)
        return replace(part, columns=unique(tuple(names), path.name), kind="json")
    if not header.strip():
        raise ExtractError(f"{path.name} starts with an empty line where the column names should be.")
    mark = reading.delimiter or max(_DELIMITERS, key=lambda one: len(_header_fields(header, one, path.name, False)))
    return replace(part, columns=called(_header_fields(header, mark, path.name), path.name), delimiter=mark)


def _member(path: Path, stated: str | None) -> str | None:
    """The file to read in a zip archive; none when the file is no archive."""
    there = archive_members(path)
    if stated is not None and stated not in there:
        raise ConfigError(f"{path.name} has no member {stated!r}. It has {there}.")
    if not there or stated is not None:
        return stated
    if len(there) > 1:
        raise ExtractError(f"{path.name} holds {len(there)} files: {there}. Name one: member=….")
    return there[0]


def parquet_names(path: Path) -> tuple[str, ...]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return tuple(pq.read_schema(path).names)
    except (pa.ArrowException, OSError) as error:
        raise ExtractError(f"{path.name} is a broken Parquet file: {error}") from None


def _header_fields(header: str, delimiter: str, source: str, strict: bool = True) -> list[str]:
    if len(header) > _LONGEST:
        raise ExtractError(
            f"{source}: the first line has {len(header):,} characters, more than column names have. Deliver the file with "
            "a line of column names, and each row on a line of its own."
        )
    try:
        return next(csv.reader([header], delimiter=delimiter, strict=strict))
    except csv.Error as error:
        raise ExtractError(f"{source}: the line of column names cannot be read: {error}.") from None


class Digest(Protocol):
    """What adds up a hash, as those of `hashlib` do."""

    def update(self, data: bytes, /) -> None: ...


def pieces(part: Part, digest: Digest | None = None) -> Iterator[str]:
    """The text of a part in pieces; its bytes go into ``digest``."""
    assert part.path is not None
    for raw, text in decoded(part.path, part.member, part.encoding, part.reading.encoding):
        if digest is not None:
            digest.update(raw)
        yield text


def line_pieces(part: Part, digest: Digest | None = None) -> Iterator[str]:
    return as_lines(pieces(part, digest))
