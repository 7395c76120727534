"""One table of a store in the open Delta format: whole versions, files named by their content.

Only this file names delta-rs. Rows are written by the engine, as Parquet; each file's name holds the SHA-256 of its content, and
a commit of the table's log says which files a version has. A reader takes the files of one version and sees all of it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from crmkit._atomic import sync
from crmkit._checks import require
from crmkit._hashes import file_hash
from crmkit.engine.duckdb import DuckDBEngine
from crmkit.exceptions import PublishError, StoreError
from crmkit.ingest.contracts import ITEM_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crmkit._types import Json

__all__ = ["DeltaFile", "DeltaTable", "TableVersion"]

SMALL = 32 * 2**20
"""Bytes below which a file is merged with others of its month."""
MOST_SMALL = 8
"""Small files that a month may have before the next write merges them."""
KEPT_HOURS = 7 * 24
"""How long files of replaced versions stay readable."""
_NOTE = "crmkit"
_MAINTENANCE = ("OPTIMIZE", "VACUUM START", "VACUUM END", "SET TBLPROPERTIES")
_ARROW = {
    "bigint": pa.int64(),
    "integer": pa.int32(),
    "string": pa.string(),
    "boolean": pa.bool_(),
    "string[]": pa.list_(pa.string()),
    "bigint[]": pa.list_(pa.int64()),
    "decimal(18, 4)": pa.decimal128(18, 4),
}


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


@dataclass(frozen=True)
class DeltaTable:
    """A folder that is a Delta table.

    Parameters
    ----------
    folder : Path
    columns : mapping of str to str
        SQL type of each column.
    by_month : bool
        Whether rows lie in one folder a month (``month=2017-03``).
    """

    folder: Path
    columns: Mapping[str, str]
    by_month: bool = True

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def is_there(self) -> bool:
        """Whether the table has a log."""
        return (self.folder / "_delta_log").is_dir()

    def version(self, number: int | None = None, *, noted: bool = False) -> TableVersion:
        """The files of a version (default: the newest), and the note of its commit where that is asked for.

        Raises
        ------
        StoreError
            The log is lost or damaged.
        """
        if not self.is_there:
            raise StoreError(f"{self.name}: its log, {self.name}/_delta_log, is lost.")
        try:
            table = _delta().DeltaTable(str(self.folder), version=number)
            files = _files_of(pa.table(table.get_add_actions(flatten=True)))
            note = self._note_of(table) if noted else {}
        except Exception as error:  # delta-rs raises what its parts raise: Delta, Arrow, OS and value errors
            raise StoreError(f"{self.name}: its log is damaged ({_reason(error)}).") from None
        return TableVersion(int(table.version()), files, note, table)

    def _note_of(self, table: Any) -> dict[str, Json]:
        """What the newest commit of ours says; only maintenance by others may have followed it.

        An entry of the log that was emptied is none to delta-rs, so the newest is looked at by itself.
        """
        newest = max(name for name in os.listdir(self.folder / "_delta_log") if name.endswith(".json"))
        if '"commitInfo"' not in (self.folder / "_delta_log" / newest).read_text(encoding="utf-8"):
            raise ValueError(f"{newest} is not whole")
        for commit in table.history(20):
            if _NOTE in commit:
                note: dict[str, Any] = json.loads(commit[_NOTE])
                return note
            if commit["operation"] not in (*_MAINTENANCE, "CREATE TABLE"):
                raise ValueError(f"another program wrote to it: {commit['operation']}")
        return {}

    def missing(self, version: TableVersion) -> dict[DeltaFile, str]:
        """Files of the version that are gone, or are not as long as they were, and what to say of each."""
        faults = {}
        for file in version.files:
            try:
                size = os.stat(f"{self.folder}/{file.path}").st_size
            except OSError:
                faults[file] = f"{self.name}/{file.path} is lost"
            else:
                if size != file.size:
                    faults[file] = f"{self.name}/{file.path} has {size:,} bytes, not {file.size:,}"
        return faults

    def altered(self, version: TableVersion) -> dict[DeltaFile, str]:
        """Files that are gone, or whose content is not what their names state, and what to say of each."""
        faults = self.missing(version)
        for file in version.files:
            if file not in faults and file.sha256 and file_hash(self.folder / file.path) != file.sha256:
                faults[file] = f"{self.name}/{file.path} has been altered"
        return faults

    @property
    def schema(self) -> pa.Schema:
        """The columns as Arrow types."""
        return pa.schema([(name, _ARROW[kind]) for name, kind in self.columns.items()])

    def read(self, version: TableVersion) -> pa.Table:
        """All rows of a version."""
        schema = self.schema
        try:
            tables = [pq.ParquetFile(path).read().cast(schema) for path in self.paths(version.files)]
        except (OSError, pa.ArrowException) as error:
            raise StoreError(f"{self.name}: a file cannot be read ({_reason(error)}).") from None
        return pa.concat_tables([schema.empty_table(), *tables])

    def paths(self, files: Iterable[DeltaFile]) -> list[Path]:
        return [self.folder / file.path for file in files]

    def relation(self, engine: DuckDBEngine, files: Sequence[DeltaFile]) -> str:
        """Files as a relation of the engine; none is a relation without rows."""
        if files:
            return engine.parquet(*(f"{self.folder}/{file.path}" for file in files))
        return engine.view(f"select {self.selected('cast(null as {kind}) as {name}')} where false")

    def selected(self, form: str) -> str:
        """The columns as a select list."""
        return ", ".join(form.format(name=name, kind=kind) for name, kind in self.columns.items())

    def write(self, engine: DuckDBEngine, rows: str, month: str, parts: Path, token: str) -> list[DeltaFile]:
        """Write the rows of a query as one file, named by the writer's token and its content; no rows, no file."""
        part = parts / f"{uuid4().hex}.parquet"
        order = " order by day" if self.by_month else ""
        engine.save(f"select {self.selected('cast({name} as {kind}) as {name}')} from ({rows}) rows{order}", part)
        footer = pq.read_metadata(part)
        if not footer.num_rows:
            part.unlink()
            return []
        home = self.folder / f"month={month}" if self.by_month else self.folder
        home.mkdir(parents=True, exist_ok=True)
        target = home / f"{token}-{file_hash(part)}.parquet"
        sync(part)
        part.replace(target)
        sync(home)
        days, nulls = _statistics(footer)
        path = str(target.relative_to(self.folder))
        return [DeltaFile(path, month, footer.num_rows, target.stat().st_size, *days, nulls)]

    def commit(
        self,
        held: TableVersion,
        added: Iterable[DeltaFile],
        removed: Iterable[DeltaFile],
        note: Mapping[str, object],
        merged: bool = False,
    ) -> int:
        """Replace files of the newest version in one step and return the new one; ``merged``: the rows stay the same.

        Raises
        ------
        PublishError
            Another program wrote to the table meanwhile, or it cannot be written.
        """
        transaction = require("deltalake.transaction", "store")
        now = int(time.time() * 1000)
        actions = [
            transaction.RemoveAction(file.path, not merged, now, file.size, self._place(file)) for file in removed
        ]
        actions += [
            transaction.AddAction(file.path, file.size, self._place(file), now, not merged, _stated(file))
            for file in added
        ]
        told = transaction.CommitProperties(custom_metadata={_NOTE: json.dumps(note)}, max_commit_retries=0)
        after = transaction.PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)
        try:
            table = held.handle or self._created()
            table.create_write_transaction(
                actions,
                "append",
                table.schema(),
                ["month"] if self.by_month else [],
                commit_properties=told,
                post_commithook_properties=after,
            )
        except Exception as error:  # as in `version`
            raise PublishError(f"{self.folder} cannot be written: {_reason(error)}.") from None
        number = int(table.version()) + 1
        sync(self.folder / "_delta_log" / f"{number:020d}.json")
        sync(self.folder / "_delta_log")
        return number

    def restored(self, version: int) -> TableVersion:
        """Take back what was committed after a version."""
        _delta().DeltaTable(str(self.folder)).restore(version)
        return self.version()

    def vacuum(self, hours: float = KEPT_HOURS) -> list[str]:
        """Remove files that no version of the last ``hours`` has, and old entries of the log; returns the files.

        The library only says which: its own removal would be a version of its own.
        """
        table = _delta().DeltaTable(str(self.folder))
        table.cleanup_metadata()
        left = table.vacuum(retention_hours=hours, dry_run=True, enforce_retention_duration=False, full=True)
        for path in left:
            (self.folder / path).unlink(missing_ok=True)
        return list(left)

    def _place(self, file: DeltaFile) -> dict[str, str | None]:
        return {"month": file.month} if self.by_month else {}

    def _created(self) -> Any:
        delta = _delta()
        schema = self.schema.append(pa.field("month", pa.string())) if self.by_month else self.schema
        return delta.DeltaTable.create(
            str(self.folder),
            schema=delta.Schema.from_arrow(schema),
            mode="ignore",
            partition_by=["month"] if self.by_month else None,
            configuration={"delta.checkpointInterval": "10"},
        )


def _delta() -> Any:
    return require("deltalake", "store")


def _files_of(actions: pa.Table) -> tuple[DeltaFile, ...]:
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


def _statistics(footer: pq.FileMetaData) -> tuple[tuple[int | None, int | None], dict[str, int]]:
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


def _stated(file: DeltaFile) -> str:
    """The statistics of a file as Delta writes them."""
    smallest = {} if file.first_day is None else {"day": file.first_day}
    largest = {} if file.last_day is None else {"day": file.last_day}
    return json.dumps({"numRecords": file.rows, "minValues": smallest, "maxValues": largest, "nullCount": file.nulls})


def _reason(error: Exception) -> str:
    return os.linesep.join(str(error).splitlines()[:1]).rstrip(".") or type(error).__name__
