"""JSON lines, as rows of text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from crmkit.exceptions import ExtractError
from crmkit.ingest.worksheets import cell_text

if TYPE_CHECKING:
    from crmkit._types import Ints

__all__ = ["Written", "json_names", "write_json", "write_rows"]

_BATCH = 50_000


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


def _object(line: str, decimal: str = ".") -> dict[str, object] | None:
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


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
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


def record_starts(starts: Sequence[int]) -> Ints:
    """Lines as an array."""
    return np.asarray(starts, dtype=np.int64)
