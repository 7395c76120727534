"""One table of a store in the open Delta format: whole versions, files named by their content.

Only this file and :mod:`crmkit.transactions.remote` name delta-rs. Rows are written by the engine, as Parquet; each file's name holds the SHA-256 of its content, and
a commit of the table's log says which files a version has. A reader takes the files of one version and sees all of it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from crmkit._atomic import sync
from crmkit._checks import require
from crmkit._hashes import file_hash
from crmkit.engine.duckdb import DuckDBEngine
from crmkit.exceptions import BusyError, PublishError, StoreError
from crmkit.transactions.delta_files import DeltaFile, TableVersion, files_of, stated, statistics
from crmkit.transactions.remote import Remote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crmkit._types import Json

__all__ = ["DeltaTable"]

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
class DeltaTable:
    """A folder that is a Delta table.

    Parameters
    ----------
    folder : Path
    columns : mapping of str to str
        SQL type of each column.
    by_month : bool
        Whether rows lie in one folder a month (``month=2017-03``).
    remote : Remote, optional
        Where the table is, if not in the folder, which then holds copies of its files.
    """

    folder: Path
    columns: Mapping[str, str]
    by_month: bool = True
    remote: Remote | None = None

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def is_there(self) -> bool:
        """Whether the table has a log."""
        return self.remote.is_table() if self.remote else (self.folder / "_delta_log").is_dir()

    def _opened(self, number: int | None = None) -> Any:
        if self.remote:
            return _delta().DeltaTable(self.remote.address, version=number, storage_options=dict(self.remote.options))
        return _delta().DeltaTable(str(self.folder), version=number)

    def _reason(self, error: Exception) -> str:
        return self.remote.masked(error) if self.remote else _reason(error)

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
            table = self._opened(number)
            files = files_of(pa.table(table.get_add_actions(flatten=True)))
            note = self._note_of(table) if noted else {}
        except Exception as error:  # delta-rs raises what its parts raise: Delta, Arrow, OS and value errors
            raise StoreError(f"{self.name}: its log is damaged ({self._reason(error)}).") from None
        return TableVersion(int(table.version()), files, note, table)

    def _note_of(self, table: Any) -> dict[str, Json]:
        """What the newest commit of ours says; only maintenance by others may have followed it.

        An entry of the log that was emptied is none to delta-rs, so the newest is looked at by itself.
        """
        log = self.folder / "_delta_log"
        names = self.remote.listed("_delta_log") if self.remote else os.listdir(log)
        newest = max(Path(name).name for name in names if name.endswith(".json"))
        text = self.remote.text(f"_delta_log/{newest}") if self.remote else (log / newest).read_text(encoding="utf-8")
        if '"commitInfo"' not in text:
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
        there = self.remote.listed() if self.remote and version.files else {}
        for file in version.files:
            size = there[file.path].size if file.path in there else None if self.remote else self._size(file)
            if size is None:
                faults[file] = f"{self.name}/{file.path} is lost"
            elif size != file.size:
                faults[file] = f"{self.name}/{file.path} has {size:,} bytes, not {file.size:,}"
        return faults

    def altered(self, version: TableVersion) -> dict[DeltaFile, str]:
        """Files that are gone, or whose content is not what their names state, and what to say of each."""
        faults = self.missing(version)
        for file in version.files:
            if file not in faults and file.sha256 and self._digest(file.path) != file.sha256:
                faults[file] = f"{self.name}/{file.path} has been altered"
        return faults

    def _size(self, file: DeltaFile) -> int | None:
        """Bytes that it has here; None when it is not here."""
        try:
            return os.stat(f"{self.folder}/{file.path}").st_size
        except OSError:
            return None

    def _digest(self, path: str) -> str:
        return self.remote.digest(path) if self.remote else file_hash(self.folder / path)

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
        """Files on this machine; those that are elsewhere are copied when they are first asked for."""
        wanted = list(files)
        if self.remote:
            for file in wanted:
                if self._size(file) != file.size:
                    self.remote.fetch(file.path, self.folder / file.path, file.sha256)
        return [self.folder / file.path for file in wanted]

    def relation(self, engine: DuckDBEngine, files: Sequence[DeltaFile]) -> str:
        """Files as a relation of the engine; none is a relation without rows."""
        if files:
            return engine.parquet(*map(str, self.paths(files)))
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
        days, nulls = statistics(footer)
        path = str(target.relative_to(self.folder))
        if self.remote:
            self.remote.send(target, path)
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
        BusyError
            The table is on another machine, and somebody else wrote to it meanwhile.
        PublishError
            Another program wrote to the table meanwhile, or it cannot be written.
        """
        transaction = require("deltalake.transaction", "store")
        now = int(time.time() * 1000)
        actions = [
            transaction.RemoveAction(file.path, not merged, now, file.size, self._place(file)) for file in removed
        ]
        actions += [
            transaction.AddAction(file.path, file.size, self._place(file), now, not merged, stated(file))
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
            raise self._unwritten(error) from None
        number = int(table.version()) + 1
        if self.remote:
            return number
        sync(self.folder / "_delta_log" / f"{number:020d}.json")
        sync(self.folder / "_delta_log")
        return number

    def restored(self, version: int) -> TableVersion:
        """Take back what was committed after a version."""
        try:
            self._opened().restore(version)
        except Exception as error:  # as in `version`
            raise self._unwritten(error) from None
        return self.version()

    def _unwritten(self, error: Exception) -> PublishError:
        where = self.remote.address if self.remote else self.folder
        if self.remote and type(error).__name__ == "CommitFailedError":
            return BusyError(f"Another load has written to {where} meanwhile; nothing of this one counts. Load again.")
        return PublishError(f"{where} cannot be written: {self._reason(error)}.")

    def vacuum(self, hours: float = KEPT_HOURS) -> list[str]:
        """Remove files that no version of the last ``hours`` has, and old entries of the log; returns the files.

        The library only says which: its own removal would be a version of its own.
        """
        table = self._opened()
        table.cleanup_metadata()
        unneeded = partial(table.vacuum, hours, dry_run=True, enforce_retention_duration=False)
        left = list(unneeded(full=True))
        if self.remote:
            left = self.remote.without(left, unneeded(full=False), self.folder)
        for path in left:
            (self.folder / path).unlink(missing_ok=True)
        return left

    def _place(self, file: DeltaFile) -> dict[str, str | None]:
        return {"month": file.month} if self.by_month else {}

    def _created(self) -> Any:
        delta = _delta()
        schema = self.schema.append(pa.field("month", pa.string())) if self.by_month else self.schema
        return delta.DeltaTable.create(
            self.remote.address if self.remote else str(self.folder),
            storage_options=dict(self.remote.options) if self.remote else None,
            schema=delta.Schema.from_arrow(schema),
            mode="ignore",
            partition_by=["month"] if self.by_month else None,
            configuration={"delta.checkpointInterval": "10"},
        )


def _delta() -> Any:
    return require("deltalake", "store")


def _reason(error: Exception) -> str:
    return os.linesep.join(str(error).splitlines()[:1]).rstrip(".") or type(error).__name__
