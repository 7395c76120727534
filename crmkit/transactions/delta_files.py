"""What one version of a table of a store consists of: its files, and what the log says of each."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from crmkit.ingest.contracts import ITEM_COLUMNS

__all__ = ["DeltaFile", "TableVersion", "files_of", "stated", "statistics"]


@dataclass(frozen=True)
class DeltaFile:
    """One Parquet file of a version.

    Attributes
    ----------
    path : str
        From the table's folder.
    month : str
        ``2017-03``; empty in a table without months.
    rows, size : int
    first_day, last_day : int, optional
        Smallest and largest ``day`` in it.
    nulls : dict
        How many values of each item column are missing.
    """

    path: str
    month: str
    rows: int
    size: int
    first_day: int | None = None
    last_day: int | None = None
    nulls: dict[str, int] = field(default_factory=dict, hash=False)

    @property
    def sha256(self) -> str | None:
        """The digest that its name states; None for a file that another program wrote."""
        digest = Path(self.path).stem.rpartition("-")[2]
        return digest if len(digest) == 64 else None


@dataclass(frozen=True)
class TableVersion:
    """What one version of a table consists of."""

    version: int
    files: tuple[DeltaFile, ...]
    note: dict[str, Any] = field(default_factory=dict)
    handle: Any = field(default=None, repr=False, compare=False)

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.files)

    def of(self, months: Iterable[str] | None = None, days: tuple[int, int] | None = None) -> list[DeltaFile]:
        """Files of these months that may hold rows of days first … last."""
        wanted = None if months is None else set(months)
        return [
            file
            for file in self.files
            if (wanted is None or file.month in wanted)
            and (days is None or file.first_day is None or (file.first_day <= days[1] and file.last_day >= days[0]))  # type: ignore[operator]
        ]


def files_of(actions: pa.Table) -> tuple[DeltaFile, ...]:
    """The files that a log states; only the columns that are asked for are made objects, as a log may have thousands."""

    def told(name: str) -> list[Any]:
        return actions[name].to_pylist() if name in actions.column_names else [None] * len(actions)

    counted = [name for name in ITEM_COLUMNS if f"null_count.{name}" in actions.column_names]
    missing = zip(*(told(f"null_count.{name}") for name in counted), strict=True) if counted else [()] * len(actions)
    names = ("path", "partition.month", "num_records", "size_bytes", "min.day", "max.day")
    return tuple(
        DeltaFile(
            path, month or "", rows or 0, size, first, last,
            {name: n for name, n in zip(counted, nulls, strict=True) if n is not None},
        )
        for path, month, rows, size, first, last, nulls in zip(*map(told, names), missing, strict=True)
    )  # fmt: skip


def statistics(footer: pq.FileMetaData) -> tuple[tuple[int | None, int | None], dict[str, int]]:
    """Smallest and largest day, and missing values by column, of a Parquet file."""
    groups = [footer.row_group(place) for place in range(footer.num_row_groups)]
    nulls: dict[str, int] = {}
    days: list[int] = []
    for group in groups:
        for place in range(group.num_columns):
            column = group.column(place)
            name, told = column.path_in_schema, column.statistics
            if told is not None and "." not in name:
                nulls[name] = nulls.get(name, 0) + (told.null_count or 0)
                days += [told.min, told.max] if name == "day" and told.has_min_max else []
    return (min(days, default=None), max(days, default=None)), nulls


def stated(file: DeltaFile) -> str:
    """The statistics of a file as Delta writes them."""
    smallest = {} if file.first_day is None else {"day": file.first_day}
    largest = {} if file.last_day is None else {"day": file.last_day}
    return json.dumps({"numRecords": file.rows, "minValues": smallest, "maxValues": largest, "nullCount": file.nulls})
