"""A part of a delivery (a file, a sheet, a table of a database, a frame) and how it is to be read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crmkit.engine.duckdb import check_format
from crmkit.engine.texts import literal, quoted
from crmkit.exceptions import ConfigError, ExtractError, SourceChangedError
from crmkit.ingest.files import (
    Kind,
    codec,
)
from crmkit.ingest.worksheets import DAY, NUMBER

__all__ = ["Heads", "Part", "Reading", "are_values"]
_GROUPS = (".", ",", "'", "’", " ")
_NOTHING = "__HIVE_DEFAULT_PARTITION__"
OPTION_OF: dict[str, tuple[str, tuple[Kind, ...]]] = {
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
    negative: str | None = None

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
        if self.negative is not None and (not self.negative.strip() or re.search("[0-9.,]", self.negative)):
            raise ConfigError(f"negative={self.negative!r} is no mark of numbers below zero. Write it as in 'CR'.")
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
class Heads:
    """Files with one row per order, to be joined to files of lines.

    ``on`` are pairs of the columns that tell orders apart, in the lines and in the heads; ``columns`` are what the lines get.
    """

    parts: tuple[Part, ...]
    on: tuple[tuple[str, str], ...]
    columns: tuple[str, ...]


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
    heads: Heads | None = None

    @property
    def constant_columns(self) -> str:
        """The columns that the folders' names state, as the end of a select."""
        values = {name: "null" if value == _NOTHING else literal(value) for name, value in self.constants}
        return "".join(f", cast({value} as varchar) as {quoted(name)}" for name, value in values.items())

    @property
    def own_columns(self) -> tuple[str, ...]:
        """The columns of the file itself."""
        joined = len(self.heads.columns) if self.heads else 0
        return self.columns[: len(self.columns) - len(self.constants) - joined]


def called(names: Sequence[str], source: str) -> tuple[str, ...]:
    """Column names without white space around them; one without a name is called by its place."""
    columns = (name.strip() or f"unnamed {place}" for place, name in enumerate(names, start=1))
    return unique(tuple(columns), source)


def unique(names: tuple[str, ...], source: str) -> tuple[str, ...]:
    count = Counter(name.casefold() for name in names)
    twice = sorted(name for name in set(names) if count[name.casefold()] > 1)
    if twice and are_values(names):
        raise ExtractError(f"{source} seems to have no header: {NO_HEADER}")
    if twice:
        raise ExtractError(f"{source} has a column name twice (capitals do not count): {twice}. Rename one of them.")
    return names


def changed(part: Part) -> SourceChangedError:
    return SourceChangedError(f"{part.name} has other columns than when it was named. Call read_extract again.")


NO_HEADER = (
    "the first line looks like data, not column names (not shown here because it may hold personal data). "
    "Deliver the file with a line of column names."
)


_PERSONAL = re.compile(r"@|\d[\d -]{7,}\d")
"""An address, or a number as long as a card's or a telephone's."""


def are_values(names: Sequence[str]) -> bool:
    """Whether column names look like a row of values, as they do where a file has no header.

    >>> are_values(["0077", "2026-03-01 10:00", "A"]), are_values(["card_no", "2026", "paid"])
    (True, False)
    >>> are_values(["Anna Schmidt", "4111 1111 1111 1111", "gold"])
    True
    """
    n_numbers = sum(NUMBER.fullmatch(name) is not None for name in names)
    n_nameless = sum(name.startswith("unnamed ") for name in names)
    is_told = any(DAY.fullmatch(name) or _PERSONAL.search(name) for name in names)
    return is_told or (n_numbers > 0 and 2 * (n_numbers + n_nameless) > len(names))
