"""What an operator asks of a store: is it whole, merge its files, and rebuild it from what is left of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from crmkit._atomic import replacing, sync, to_disk
from crmkit._hashes import file_hash
from crmkit.displays import InNotebook
from crmkit.engine.duckdb import DuckDBEngine
from crmkit.engine.texts import sql_text
from crmkit.exceptions import StoreError
from crmkit.transactions.ledger import FILES, Ledger
from crmkit.transactions.line_meaning import LineMeaning
from crmkit.transactions.loading import NEWEST, fold_changes, products_in
from crmkit.transactions.returns import lines_with_kinds, lines_with_returns
from crmkit.transactions.settlement import PAIR, receipt_number, with_delivered
from crmkit.transactions.tables import MERGED, Change, StoreState, StoreTables, as_delivered, spans

if TYPE_CHECKING:
    from crmkit.ingest.tables import Products

__all__ = ["StoreReport", "check_store", "compact_store", "erase_customers", "rebuild_store", "rename_customers"]

_READY = "ready"
_DETACHED = ("lines", "replaced")
_WITH_CUSTOMERS = (*_DETACHED, "trips", "spent", "returned")
_SUMS = {
    "trips": "select coalesce(sum(amount), 0) as amount, coalesce(sum(n_lines), 0) as n from {}",
    "spent": "select coalesce(sum(amount), 0) as amount, null as n from {}",
}


@dataclass(frozen=True)
class StoreReport(InNotebook):
    """Whether a store is whole; prints as a few lines.

    Attributes
    ----------
    tables : DataFrame
        table, version, files, rows, bytes.
    faults : list of str
        What is lost, altered or does not agree; empty when the store is whole.
    load_again : DataFrame
        load, place, file, sha256, rows of the files some of whose lines are lost; `rebuild` drops them from the store.
    """

    tables: pd.DataFrame = field(repr=False)
    faults: list[str]
    load_again: pd.DataFrame = field(repr=False)

    @property
    def is_whole(self) -> bool:
        return not self.faults and self.load_again.empty

    def __str__(self) -> str:
        said = [f"{row.table}: {row.rows:,} rows in {row.files:,} files" for row in self.tables.itertuples()]
        said += [f"Fault: {fault}." for fault in self.faults]
        said += [f"Load again: {row.file} ({row.rows:,} rows)." for row in self.load_again.itertuples()]
        return "\n".join([*said, "The store is whole." if self.is_whole else "The store is not whole."])


_NONE_AGAIN = pd.DataFrame({name: [] for name in ("load", "place", "file", "sha256", "rows")})


def check_store(tables: StoreTables) -> StoreReport:
    """Read every file, and compare: its content with its name, and the tables with each other."""
    state, faults = tables.examine()
    if state is not None:
        told = [tables.tables[name].altered(version) for name, version in state.versions.items()]
        faults = list(dict.fromkeys([*faults, *(fault for faulty in told for fault in faulty.values())]))
    if state is None or faults:
        return StoreReport(_sizes(state), faults, _NONE_AGAIN)
    with DuckDBEngine() as engine:
        return StoreReport(_sizes(state), _disagreements(engine, tables, state), _incomplete(engine, tables, state))


def _sizes(state: StoreState | None) -> pd.DataFrame:
    rows = [
        (name, version.version, len(version.files), version.rows, sum(file.size for file in version.files))
        for name, version in (state.versions.items() if state else ())
    ]
    return pd.DataFrame(rows, columns=["table", "version", "files", "rows", "bytes"])


def _disagreements(engine: DuckDBEngine, tables: StoreTables, state: StoreState) -> list[str]:
    """Derived tables whose money or lines are not those of the lines."""
    of = "select coalesce(sum(amount), 0) as amount, count(*) as n from {} where customer_id is not null"
    truth = engine.arrow(of.format(tables.relation(engine, state, "lines"))).to_pylist()[0]
    faults = []
    for name, query in _SUMS.items():
        found = engine.arrow(query.format(tables.relation(engine, state, name))).to_pylist()[0]
        if found["amount"] != truth["amount"] or found["n"] not in (None, truth["n"]):
            faults.append(f"{name} has an amount of {found['amount']}, the lines {truth['amount']}; run rebuild")
    return faults


def _incomplete(engine: DuckDBEngine, tables: StoreTables, state: StoreState) -> pd.DataFrame:
    """Files of which the store does not have as many lines as the ledger says."""
    lines, replaced = (tables.relation(engine, state, name) for name in ("lines", "replaced"))
    return _short(engine, state.ledger, f"(select file from {lines} union all select file from {replaced})")


def _short(engine: DuckDBEngine, ledger: Ledger, lines: str) -> pd.DataFrame:
    held = engine.frame(f"select file, count(*) as n from {lines} as l group by file").set_index("file")["n"]
    files = ledger.files
    have = (files["number"] * FILES + files["place"]).map(held).fillna(0).astype("int64")
    short = files[have.ne(files["used"])].rename(columns={"number": "load", "used": "rows"})
    return short[["load", "place", "file", "sha256", "rows"]].reset_index(drop=True)


def compact_store(tables: StoreTables, hours: float) -> None:
    """Merge the files of every month, and remove those that no state of the last ``hours`` has."""
    state = tables.prepared()
    with DuckDBEngine() as engine:
        changes = {
            name: tables.merged(engine, name, state, NEWEST if name == "returned" else "true")
            for name in state.versions
        }
    if any(changes.values()):
        tables.publish(state, changes, state.ledger.last, merged=True)
    tables.vacuum(hours)


def erase_customers(tables: StoreTables, customer_ids: Iterable[object]) -> int:
    """Take the ids of customers out of every file, and remove all files that had them; returns how many lines had one."""
    state = tables.prepared()
    tables.token = MERGED + tables.token
    with DuckDBEngine() as engine:
        ids = pa.table({"customer_id": pa.array(sorted({str(one) for one in customer_ids}), pa.string())})
        theirs = f"t.customer_id in (select customer_id from {engine.register(ids)})"
        changes = {name: _without(engine, tables, state, name, theirs) for name in _WITH_CUSTOMERS}
        n_lines = engine.frame(f"select count(*) as n from {changes['lines'][0]}")["n"][0]
    found = {name: change for name, (_, change) in changes.items()}
    _published(tables, state, found)
    tables.vacuum(0)
    return int(n_lines)


def rename_customers(tables: StoreTables, names: pa.Table) -> int:
    """Give customers other names, ``name`` → ``new``, and remove all files that had the old ones; returns how many lines had one."""
    state = tables.prepared()
    tables.token = MERGED + tables.token
    with DuckDBEngine() as engine:
        named = engine.register(names)
        theirs = f"t.customer_id in (select name from {named})"
        changes, n_lines = dict[str, Change](), 0
        for name in _WITH_CUSTOMERS:
            table = tables.tables[name]
            rows = engine.stage(f"select * from {tables.relation(engine, state, name)} t where {theirs}")
            anew = f"select r.* replace (n.new as customer_id) from {rows} r join {named} n on n.name = r.customer_id"
            if "pair" in table.columns:
                anew = f"select * replace ({PAIR} as pair) from ({anew})"
            days = spans(engine, rows) if table.by_month else None
            changes[name] = tables.replaced(engine, name, state, engine.stage(anew), theirs, days)
            if name == "lines":
                n_lines = int(engine.frame(f"select count(*) as n from {rows}")["n"][0])
    _published(tables, state, changes)
    tables.vacuum(0)
    return n_lines


def _published(tables: StoreTables, state: StoreState, changes: Mapping[str, Change]) -> None:
    """Commit what changed; elsewhere always, so that no load of another machine commits files that are removed next."""
    if any(changes.values()) or tables.remote:
        tables.publish(state, changes, state.ledger.last)


def _without(
    engine: DuckDBEngine, tables: StoreTables, state: StoreState, name: str, theirs: str
) -> tuple[str, Change]:
    """The rows of customers in a table, and the change that takes them away; lines stay, as sales of nobody known."""
    rows = engine.stage(f"select * from {tables.relation(engine, state, name)} t where {theirs}")
    stay = engine.view(f"select * replace (cast(null as string) as customer_id) from {rows}")
    days = spans(engine, rows) if tables.tables[name].by_month else None
    fresh = stay if name in _DETACHED else None
    return rows, tables.replaced(engine, name, state, fresh, theirs, days)


# -- Rebuilding -----------------------------------------------------------------------------------------------------


def rebuild_store(tables: StoreTables) -> StoreReport:
    """Rebuild every table from the lines that are left; what was there is kept beside them, in ``damaged-…``.

    Raises
    ------
    StoreError
        The ledger is lost, so nothing says which lines belong to the store.
    """
    fresh = StoreTables(tables.folder / ".rebuilt")
    again = _NONE_AGAIN
    if not (fresh.folder / _READY).exists():
        shutil.rmtree(fresh.folder, ignore_errors=True)
        with DuckDBEngine() as engine:
            again = _rebuilt(engine, tables, fresh)
        built = [name for name, table in fresh.tables.items() if table.is_there]
        with replacing(fresh.folder / _READY) as part:
            part.write_text("\n".join(built), encoding="utf-8")
        sync(fresh.folder)
    _swap(tables, fresh)
    return StoreReport(_sizes(tables.state()), [], again)


def _rebuilt(engine: DuckDBEngine, tables: StoreTables, fresh: StoreTables) -> pd.DataFrame:
    """Fill ``fresh`` with what can be saved; returns the files to load again."""
    state, _ = tables.examine()
    ledger = _saved_ledger(tables, state)
    known = set(ledger.table["token"].to_pylist())
    saved = {name: _saved(engine, tables, state, name, known) for name in ("lines", "replaced", "rejected", "products")}
    replaced = engine.stage(f"select distinct on (file, record) * from {saved['replaced']}")
    lines = engine.stage(
        f"""select distinct on (file, record) {as_delivered()} from {saved["lines"]} l
        where not exists (select 1 from {replaced} r where r.file = l.file and r.record = l.record)"""
    )
    again = _short(engine, ledger, f"(select file from {lines} union all select file from {replaced})")
    lost = engine.register(pd.DataFrame({"file": again["load"] * FILES + again["place"]}, dtype="int64"))
    whole = f"where file not in (select file from {lost})"
    start = fresh.prepared()
    held = replace(start, ledger=ledger.without(again))
    rows = {
        "replaced": f"select * from {replaced} {whole}",
        "rejected": f"select distinct * from {saved['rejected']}",
        "products": f"select distinct * from {saved['products']}",
        "loads": f"select * from {engine.register(held.ledger.table)}",
    }
    changes = {name: fresh.replaced(engine, name, held, engine.stage(query)) for name, query in rows.items()}
    products = products_in(engine.frame(rows["products"]))
    kept = engine.stage(f"select * from {lines} {whole}")
    changes |= _settled(engine, fresh, held, kept, products)
    given = f"(select order_id, day from {kept} union all select order_id, day from ({rows['replaced']})) as given"
    receipts = engine.stage(sql_text("transactions/receipts", number=receipt_number("order_id"), lines=given))
    changes["receipts"] = fresh.replaced(engine, "receipts", held, receipts)
    fresh.publish(held, changes, ledger.last)
    return again


def _settled(
    engine: DuckDBEngine, fresh: StoreTables, held: StoreState, lines: str, products: Products | None
) -> dict[str, Change]:
    """The lines with what they mean, and all that is computed from them."""
    meaning = LineMeaning(products=products, classes=held.ledger.classes)
    told = engine.view(lines_with_kinds(engine, with_delivered(engine, lines), meaning))
    settled = engine.stage(lines_with_returns(engine, told))
    paired = f"(select *, {PAIR} as pair from {settled} where customer_id is not null)"
    returned = f"""select *, {held.ledger.last} as load from {paired} l
        where pair in (select pair from {paired} r where kind = 'return')"""
    rows = {
        "lines": f"select * from {settled}",
        "returned": returned,
    }
    changes = {name: fresh.replaced(engine, name, held, engine.stage(query)) for name, query in rows.items()}
    nothing = engine.view(f"select * from {settled} where false")
    return changes | fold_changes(engine, fresh, held, settled, nothing)


def _saved_ledger(tables: StoreTables, state: StoreState | None) -> Ledger:
    if state is not None:
        return state.ledger
    found = [
        table.cast(tables.tables["loads"].schema)
        for path in _readable(tables, "loads")
        for table in [pq.read_table(path)]
    ]
    if not found:
        raise StoreError(
            f"{tables.folder}: its ledger, loads/, is lost, so nothing says which lines belong to the store. Put the folder "
            "back from a copy, or load the extracts into a new folder."
        )
    rows = {row["number"]: row for table in found for row in table.to_pylist()}
    return Ledger(pa.Table.from_pylist([rows[n] for n in sorted(rows)], schema=found[0].schema))


def _saved(engine: DuckDBEngine, tables: StoreTables, state: StoreState | None, name: str, known: set[str]) -> str:
    """Rows of a table that can be read: of its files where its log is there, else of all that a load wrote."""
    table = tables.tables[name]
    if state is not None and name in state.versions and not state.unlike(name):
        faulty = table.altered(state.of(name))
        files = [file for file in state.of(name).files if file not in faulty]
        return table.relation(engine, files)
    paths = [
        path for path in _readable(tables, name) if path.name.startswith(MERGED) or path.name.split("-")[0] in known
    ]
    return engine.parquet(paths) if paths else table.relation(engine, ())


def _readable(tables: StoreTables, name: str) -> list[Path]:
    """Files of a table whose content is what their names state, whatever version they belong to."""
    folder = tables.tables[name].folder
    found = [path for path in folder.rglob("*.parquet") if "_delta_log" not in path.parts]
    return sorted(path for path in found if path.stem.rpartition("-")[2] == file_hash(path))


def _swap(tables: StoreTables, fresh: StoreTables) -> None:
    """Put the tables that were rebuilt in the place of the others, the lines last; may be done in several goes."""
    built = (fresh.folder / _READY).read_text(encoding="utf-8").split()
    aside = tables.folder / f"damaged-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    aside.mkdir(mode=0o750, exist_ok=True)
    for name, table in tables.tables.items():
        new = fresh.tables[name].folder
        is_due = new.exists() or name not in built
        if is_due and table.folder.exists():
            table.folder.rename(aside / name)
        if new.exists():
            new.rename(table.folder)
    sync(tables.folder)
    shutil.rmtree(fresh.folder)
    to_disk(tables.folder)
