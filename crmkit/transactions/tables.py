"""The tables of a store: which they are, and how one step replaces rows in several of them.

::

    store/
      lines/      the truth: every line that stands, by month, with what it means
      replaced/   lines that corrections took away
      trips/      one row per member, day and receipt, folded from the lines
      spent/      one row per member, day of purchase and day of the money, folded from the lines
      receipts/   on which days a receipt's number has been used
      returned/   lines of the members and products of which something came back, a snapshot of each at its newest load
      rejected/   rows that were not taken, with the reasons
      loads/      the ledger of deliveries
      products/   the products table in use

A load commits the others first, and the lines last, with the versions of all others that belong to them in the same
commit. So the newest version of the lines names a whole state of the store, at every moment; what a load that did not end has
committed elsewhere is named by nothing, and the next load takes it back.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from crmkit._atomic import to_disk
from crmkit.engine.duckdb import DuckDBEngine
from crmkit.exceptions import StoreError
from crmkit.ingest.contracts import ITEM_COLUMNS
from crmkit.ingest.schemas import PRODUCTS
from crmkit.transactions import ledger
from crmkit.transactions.delta import KEPT_HOURS, MOST_SMALL, SMALL, DeltaTable
from crmkit.transactions.delta_files import DeltaFile, TableVersion
from crmkit.transactions.ledger import Ledger
from crmkit.transactions.remote import Remote

__all__ = ["DERIVED", "LINES", "Change", "StoreState", "StoreTables", "as_delivered", "month_of", "spans"]

NAMES = tuple(name for name in ITEM_COLUMNS if name != "product_id")
_MONEY = "decimal(18, 4)"
DELIVERED = {
    "file": "bigint",
    "record": "bigint",
    "customer_id": "string",
    "day": "integer",
    "hour": "integer",
    "amount": _MONEY,
    "order_id": "string",
    "line_id": "string",
    "returned_order_id": "string",
    "store": "string",
    "product_id": "string",
    "quantity": _MONEY,
    "discount": _MONEY,
} | dict.fromkeys(NAMES, "string")
"""A line as it was delivered."""
LINES = (
    DELIVERED
    | {"kind": "string", "how": "string", "buy_day": "integer", "units": _MONEY}
    | {f"delivered_{name}": "string" for name in NAMES}
)
"""A line with what it means; what the products table or a matched sale says of the item stands in its place."""
_TRIPS = {
    "customer_id": "string",
    "day": "integer",
    "order_id": "string",
    "hour": "integer",
    "amount": _MONEY,
    "discount": _MONEY,
    "n_lines": "bigint",
    "n_bought": "bigint",
}
_SPENT = {"customer_id": "string", "buy_day": "integer", "day": "integer", "amount": _MONEY, "bought": "integer"}
_REJECTED = {
    "load": "bigint",
    "place": "integer",
    "file": "string",
    "record": "bigint",
    "line": "bigint",
    "reason": "string",
    "outcome": "string",
    "value": "string",
    "amount": _MONEY,
}
COLUMNS: dict[str, tuple[dict[str, str], bool]] = {
    "replaced": (DELIVERED | {"replaced_by": "bigint"}, True),
    "trips": (_TRIPS, True),
    "spent": (_SPENT, True),
    "receipts": ({"number": "bigint", "day": "integer"}, True),
    "returned": ({"pair": "bigint", "load": "bigint"} | LINES, False),
    "rejected": (_REJECTED, False),
    "loads": (ledger.COLUMNS, False),
    "products": (dict.fromkeys(PRODUCTS.columns, "string"), False),
    "lines": (LINES, True),
}
"""Columns of each table, and whether it lies by month; in the order in which they are committed."""
DERIVED = ("trips", "spent", "receipts", "returned")
"""What can be computed from the lines at any time."""
MERGED = "m-"
"""How the names of files begin that only hold rows of loads that ended."""
_NOTHING = TableVersion(-1, ())
_LEFT_AT_ONCE = 3
"""Months that the loads have left, and of which one load merges the files."""


def month_of(day: str) -> str:
    """The month of a day number, as SQL."""
    return f"strftime(date '1970-01-01' + cast({day} as integer), '%Y-%m')"


def as_delivered(keep: bool = False) -> str:
    """The columns of stored lines as they were delivered, as a select list; with those that are kept beside them."""
    return ", ".join(
        (f"delivered_{name} as {name}" + (f", delivered_{name}" if keep else "")) if name in NAMES else name
        for name in DELIVERED
    )


def spans(engine: DuckDBEngine, rows: str) -> dict[str, tuple[int, int]]:
    """Months of rows, and the first and last day of these in each."""
    found = engine.arrow(
        f"select {month_of('day')} as month, min(day) as first, max(day) as last from {rows} group by 1"
    ).to_pylist()
    return {row["month"]: (row["first"], row["last"]) for row in found}


@dataclass(frozen=True)
class StoreState:
    """One state of the store: a version of every table that is there, and the ledger.

    ``behind`` are the tables of which a load that did not end has committed newer versions.
    """

    versions: Mapping[str, TableVersion]
    ledger: Ledger
    behind: frozenset[str] = frozenset()

    def of(self, table: str) -> TableVersion:
        return self.versions.get(table, _NOTHING)

    def unlike(self, table: str) -> str:
        """What to say of a table whose files have not the rows that were committed; empty when they have."""
        stated, found = self.of("lines").note.get("rows", {}).get(table), self.of(table).rows
        return "" if stated in (None, found) else f"{table}: its log names files of {found:,} rows, not of {stated:,}"

    @property
    def items(self) -> tuple[str, ...]:
        """Item columns that any line has a value of."""
        files = self.of("lines").files
        return tuple(name for name in ITEM_COLUMNS if any(file.nulls.get(name, 0) < file.rows for file in files))


@dataclass(frozen=True)
class Change:
    """What one table gains and gives up in a step."""

    added: tuple[DeltaFile, ...] = ()
    removed: tuple[DeltaFile, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)

    @property
    def rows(self) -> int:
        """How many rows it adds."""
        return sum(file.rows for file in self.added) - sum(file.rows for file in self.removed)


class StoreTables:
    """The folder of a store; of one elsewhere, the folder of its copies."""

    def __init__(self, folder: Path, remote: Remote | None = None) -> None:
        self.folder = folder
        self.remote = remote
        self.tables = {
            name: DeltaTable(folder / name, columns, by_month, remote.below(name) if remote else None)
            for name, (columns, by_month) in COLUMNS.items()
        }
        self.token = ""

    @property
    def parts(self) -> Path:
        """Where files are written before they have their names."""
        return self.folder / ".parts"

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever loaded: there are no lines, and no other table."""
        if self.remote:
            return not any(path.partition("/")[0] in self.tables for path in self.remote.listed())
        lines = self.tables["lines"].folder
        others = any(table.folder.exists() for name, table in self.tables.items() if name != "lines")
        return not others and not any(lines.glob("_delta_log/*.json")) and not any(lines.glob("*/*.parquet"))

    @property
    def place(self) -> str:
        """Its folder or address, to be shown."""
        return self.remote.address if self.remote else str(self.folder)

    # -- Reading -----------------------------------------------------------------------------------------------------

    def state(self) -> StoreState:
        """The newest state.

        Raises
        ------
        StoreError
            A log or a file is lost or damaged; says which, and what to do.
        """
        if self.is_empty:
            return StoreState({}, Ledger(self.tables["loads"].schema.empty_table()))
        state, faults = self.examine()
        if state is None or faults:
            raise StoreError(f"{self.place} is damaged: {'; '.join(faults[:5])}. {self._advice(faults)}")
        return state

    def examine(self) -> tuple[StoreState | None, list[str]]:
        """The newest state as far as it can be read, and what is wrong with it."""
        faults: list[str] = []
        try:
            lines = self.tables["lines"].version(noted=True)
        except StoreError as error:
            return None, [str(error).rstrip(".")]
        versions, behind = {"lines": lines}, set[str]()
        for name, number in lines.note.get("at", {}).items():
            try:
                newest = self.tables[name].version()
                if newest.version != number:
                    behind.add(name)
                    newest = self.tables[name].version(number)
                versions[name] = newest
            except StoreError as error:
                faults.append(str(error).rstrip("."))
        faults += [fault for name, held in versions.items() for fault in self.tables[name].missing(held).values()]
        told = StoreState(versions, Ledger(self.tables["loads"].schema.empty_table()))
        faults += [fault for name in versions if (fault := told.unlike(name))]
        if any(fault.startswith("loads") for fault in faults):
            return None, faults
        try:
            loads = self.tables["loads"].read(versions.get("loads", _NOTHING))
        except StoreError as error:
            return None, [str(error).rstrip(".")]
        return StoreState(versions, Ledger(loads.sort_by("number")), frozenset(behind)), faults

    def _advice(self, faults: list[str]) -> str:
        if faults and all(fault.partition("/")[0].partition(":")[0] in DERIVED for fault in faults):
            return (
                "Nothing was changed. These are computed from the lines: run store.rebuild(), or crmkit store rebuild."
            )
        return (
            "Nothing was changed. Put the folder back from a copy; or run store.rebuild() (crmkit store rebuild), which keeps every delivery whose "
            "lines are all there and says which files to load again."
        )

    def relation(self, engine: DuckDBEngine, state: StoreState, table: str, months: Iterable[str] | None = None) -> str:
        """The rows of a table (of some months) as a relation of the engine."""
        return self.tables[table].relation(engine, state.of(table).of(months))

    # -- Writing -----------------------------------------------------------------------------------------------------

    def prepared(self) -> StoreState:
        """The newest state, under the lock: what a load that did not end has left is removed.

        Files written from now on bear a token of this writer.
        """
        self.token = uuid4().hex[:12]
        if self.is_empty:
            self.tables["lines"].commit(_NOTHING, (), (), {"load": 0, "at": {}})
            to_disk(self.folder)
        state = self.state()
        shutil.rmtree(self.parts, ignore_errors=True)
        self.parts.mkdir(mode=0o700)
        restored = {name: self.tables[name].restored(state.of(name).version) for name in state.behind}
        for name in set(self.tables) - set(state.versions):
            if self.remote and self.tables[name].is_there:  # of a first load that has not ended, and may be at work yet
                restored[name] = self.tables[name].restored(0)
            elif not self.remote:
                shutil.rmtree(self.tables[name].folder, ignore_errors=True)
        return replace(state, versions={**state.versions, **restored}, behind=frozenset())

    def replaced(
        self,
        engine: DuckDBEngine,
        table: str,
        state: StoreState,
        rows: str | None,
        gone: str | None = None,
        days: Mapping[str, tuple[int, int]] | None = None,
        keep: str = "true",
    ) -> Change:
        """New rows, and others gone.

        Parameters
        ----------
        rows : str, optional
            Relation of the new rows.
        gone : str, optional
            Condition on ``t`` of earlier rows that go.
        days : mapping, optional
            Months that may have such rows, and their first and last day in each; all when not given.
        keep : str
            Condition on ``t`` of rows that are kept where files are merged; ``{merged}`` are all rows of these files.
        """
        held, kind = state.of(table), self.tables[table]
        fresh = self._spans(engine, kind, rows) if rows else {}
        asked = ({file.month for file in held.files} if days is None else set(days)) if gone else set()
        change = Change()
        for month in sorted({*fresh, *asked, *_left(held, fresh)}):
            files = held.of([month], days.get(month) if days else None) if month in asked else []
            hit = files if gone and files and self._any(engine, kind, files, gone) else []
            merged = _to_merge(held, month, hit, MOST_SMALL if month in fresh or hit else 1)
            selects = [_select(kind, kind.relation(engine, hit), f"not coalesce({gone}, false)")] if hit else []
            if merged:
                relation = kind.relation(engine, merged)
                selects.append(_select(kind, relation, keep.format(merged=relation)))
            if month in fresh:
                selects.append(_select(kind, str(rows), fresh[month]))
            if selects:
                added = kind.write(engine, " union all ".join(selects), month, self.parts, self.token)
                change = Change((*change.added, *added), (*change.removed, *hit, *merged))
        return change

    def merged(self, engine: DuckDBEngine, table: str, state: StoreState, keep: str = "true") -> Change:
        """All files of each month as one; their rows are those of loads that ended, and their names say so."""
        kind, change = self.tables[table], Change()
        for month in sorted({file.month for file in state.of(table).files}):
            files = state.of(table).of([month])
            if len(files) > 1:
                relation = kind.relation(engine, files)
                rows = _select(kind, relation, keep.format(merged=relation))
                added = kind.write(engine, rows, month, self.parts, MERGED + self.token)
                change = Change((*change.added, *added), (*change.removed, *files))
        return change

    def _spans(self, engine: DuckDBEngine, kind: DeltaTable, rows: str) -> dict[str, str]:
        """Months of new rows, and the condition that a row of each meets."""
        if not kind.by_month:
            return {"": "true"} if len(engine.arrow(f"select 1 as one from {rows} limit 1")) else {}
        days = spans(engine, rows)
        return {month: f"t.day between {first} and {last}" for month, (first, last) in days.items()}

    def _any(self, engine: DuckDBEngine, kind: DeltaTable, files: list[DeltaFile], gone: str) -> bool:
        found = engine.arrow(f"select 1 as one from {kind.relation(engine, files)} t where {gone} limit 1")
        return len(found) > 0

    def publish(self, state: StoreState, changes: Mapping[str, Change], load: int, merged: bool = False) -> None:
        """Commit all changes: the lines last, with the versions that belong to them."""
        at = {name: version.version for name, version in state.versions.items() if name != "lines"}
        for name, table in self.tables.items():
            change = changes.get(name, Change())
            if name != "lines" and change:
                at[name] = table.commit(state.of(name), change.added, change.removed, {"load": load}, merged)
        rows = {name: state.of(name).rows + changes.get(name, Change()).rows for name in self.tables}
        lines, note = changes.get("lines", Change()), {"load": load, "at": at, "rows": rows}
        self.tables["lines"].commit(state.of("lines"), lines.added, lines.removed, note, merged)
        shutil.rmtree(self.parts, ignore_errors=True)

    def vacuum(self, hours: float = KEPT_HOURS) -> int:
        """Remove files that no state of the last ``hours`` has; returns how many."""
        return sum(len(table.vacuum(hours)) for table in self.tables.values() if table.is_there)


def _left(held: TableVersion, fresh: Mapping[str, str]) -> list[str]:
    """A few months that the loads have left with several small files."""
    count = Counter(file.month for file in held.files if file.size < SMALL)
    return [month for month, n in sorted(count.items()) if n > 1 and month and month not in fresh][:_LEFT_AT_ONCE]


def _to_merge(held: TableVersion, month: str, hit: list[DeltaFile], most: int) -> list[DeltaFile]:
    """Small files of a month, beside those that are rewritten, when they are more than so many."""
    small = [file for file in held.of([month]) if file not in hit and file.size < SMALL]
    return small if len(small) > most else []


def _select(kind: DeltaTable, relation: str, condition: str) -> str:
    return f"select {kind.selected('t.{name}')} from {relation} t where {condition}"
