"""One load of a store: a delivery becomes lines that stand, and every other row a rejection, a duplicate or a replaced line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import pandas as pd
import pyarrow as pa

from crmkit._folders import temporary_folder
from crmkit.engine.duckdb import DuckDBEngine
from crmkit.engine.texts import sql_text
from crmkit.exceptions import RefusedError
from crmkit.ingest.contracts import Names
from crmkit.ingest.extracts import Extract
from crmkit.ingest.schemas import PRODUCTS
from crmkit.ingest.tables import Products
from crmkit.ingest.times import TimeRules
from crmkit.transactions.deliveries import collect_lines
from crmkit.transactions.doubts import doubts, ids_without_zeros
from crmkit.transactions.ledger import Load, first_file
from crmkit.transactions.line_meaning import LineMeaning
from crmkit.transactions.rejections import CollectedLines, Rejections, reconcile
from crmkit.transactions.settlement import NewMeaning, Settlement, receipt_number, settle_step
from crmkit.transactions.tables import DELIVERED, Change, StoreState, StoreTables, as_delivered, month_of, spans

__all__ = ["NEWEST", "Delivery", "fold_changes", "load_delivery", "products_in", "products_of"]

_INVALID = 0.01
NEWEST = "not exists (select 1 from {merged} n where n.pair = t.pair and n.load > t.load)"


@dataclass(frozen=True)
class Delivery:
    """A delivery and how it is read; products and classes of its meaning are None where those of the store hold on."""

    source: Extract
    columns: Names
    time_rules: TimeRules
    meaning: LineMeaning
    until: date
    corrects: bool


def load_delivery(engine: DuckDBEngine, tables: StoreTables, delivery: Delivery) -> tuple[int, Rejections, list[str]]:
    """Load under the lock that the caller holds; returns the load's number, what became of the rows, what to warn of."""
    state = tables.prepared()
    step = _Step(engine, tables, state, delivery)
    received = step.received()
    new = engine.view(_delivered(received.lines, step.number))
    gone = engine.stage(step.gone(new))
    meaning = step.meaning()
    settled = settle_step(engine, tables, state, new, gone, meaning, step.number)
    found = reconcile(engine, received, settled.fresh, temporary_folder("rejections") / "rejected.parquet")
    load = step.entry(found, settled, gone, meaning)
    if delivery.corrects:
        _check_whole(found, sum(load.used))
    said = [*doubts(engine, received), *step.warnings(found, new)]
    changes = step.changes(settled, gone, new, found, load, meaning)
    tables.publish(state, changes, step.number)
    return step.number, found, said


@dataclass(frozen=True)
class _Step:
    engine: DuckDBEngine
    tables: StoreTables
    state: StoreState
    delivery: Delivery

    @property
    def number(self) -> int:
        return self.state.ledger.last + 1

    def received(self) -> CollectedLines:
        """The delivery's lines; a correction replaces, so it has no duplicates but its own."""
        one, known = self.delivery, set() if self.delivery.corrects else self.state.ledger.taken()
        return collect_lines(
            self.engine,
            one.source,
            one.columns,
            one.time_rules,
            one.meaning,
            one.until,
            None if one.corrects else self._earlier,
            known,
            any_without_store=not one.corrects and self.state.ledger.any_without_store,
        )

    def _earlier(self, rows: str) -> str | None:
        """Lines that the store was given, those that were corrected too, of the receipts that these rows name."""
        engine = self.engine
        if not self.state.of("receipts").rows:
            return None
        asked = engine.stage(f"select distinct order_id from ({rows}) where order_id is not null")
        months = self._months_of_receipts(f"select {receipt_number('order_id')} from {asked}")
        return self._given(f"order_id in (select order_id from {asked})", months) if months else None

    def _months_of_receipts(self, numbers: str) -> list[str]:
        receipts = self.tables.relation(self.engine, self.state, "receipts")
        found = self.engine.arrow(
            f"select distinct {month_of('day')} as month from {receipts} where number in ({numbers})"
        )
        return [str(month) for month in found["month"].to_pylist()]

    def _given(self, condition: str, months: Sequence[str]) -> str:
        """Lines as they were delivered, those that were corrected too."""
        lines, replaced = (
            self.tables.relation(self.engine, self.state, name, months) for name in ("lines", "replaced")
        )
        columns = (
            "file, record, customer_id, day, hour, store, order_id, line_id, product_id, quantity, amount, discount"
        )
        return self.engine.stage(
            f"select {columns} from {lines} where {condition} union all select {columns} from {replaced} where {condition}"
        )

    def gone(self, new: str) -> str:
        """A query for the earlier lines that the delivery takes away."""
        if not self.delivery.corrects:
            nothing = self.tables.tables["lines"].relation(self.engine, ())
            return f"select * from {nothing}"
        days = self.engine.stage(f"select distinct day, store from {new} where record > 0")
        months = self._months(f"select day from {new} where record > 0")
        months += self._months_of_receipts(f"select {receipt_number('order_id')} from {new} where order_id is not null")
        lines = self.tables.relation(self.engine, self.state, "lines", months)
        sold = f"(select * from {lines} where record > 0)"
        gone = self.engine.stage(sql_text("transactions/gone", lines=sold, days=days, new=new))
        every = self.tables.relation(self.engine, self.state, "lines")
        return f"""select * from {gone} union all select r.* from {every} r where r.record < 0
            and exists (select 1 from {gone} g where g.file = r.file and g.record = -r.record)"""

    def _months(self, days: str) -> list[str]:
        found = self.engine.arrow(f"select distinct {month_of('day')} as month from ({days})")
        return [str(month) for month in found["month"].to_pylist()]

    def meaning(self) -> NewMeaning:
        """The products and classes that hold from now on, and what they change of those before."""
        given, held = self.delivery.meaning, products_of(self.tables, self.state)
        products, changed = held, None
        if given.products is not None and (held is None or not given.products.frame.equals(held.frame)):
            products = given.products
            changed = _changed_products(self.engine, products, held)
        before = self.state.ledger.classes
        now = before if given.classes is None else given.classes
        classes = {name: list(patterns) for name, patterns in now.items()}
        return NewMeaning(LineMeaning(products=products, classes=classes), changed, classes != before)

    def entry(self, found: Rejections, settled: Settlement, gone: str, meaning: NewMeaning) -> Load:
        kept = self.engine.frame(
            f"""select file, count(*) as n, min(day) as first, max(day) as last,
            count(*) filter (where order_id is not null and line_id is not null and store is null) > 0 as no_store
            from {settled.fresh} where record > 0 group by file"""
        )
        replaced = int(self.engine.frame(f"select count(*) as n from {gone}")["n"][0])
        one = self.delivery
        paths = [part.path for part in one.source.parts]
        return Load.of(
            self.number,
            self.tables.token,
            one.until,
            one.corrects,
            found,
            paths,
            kept,
            replaced,
            meaning.lines.classes or {},
        )

    def warnings(self, found: Rejections, new: str) -> list[str]:
        """What to say of a delivery that was loaded before, or looks like it."""
        told = self._zeros_lost(new)
        if self.delivery.corrects:
            return told
        again = self.state.ledger.incomplete(found.files["sha256"].tolist())
        said = [
            f"{file} was loaded before, when {lost:,} of its rows were rejected; they are still not in the store. Correct the "
            "file, or what was stated about it, and replace its days with correct."
            for file, lost in zip(again["file"], again["lost"], strict=True)
        ]
        if n := self._alike(new):
            said.append(
                f"{n:,} lines without order_id and line_id look like lines that the store has, and were added. If they were "
                "delivered before, replace their days with correct."
            )
        return told + said

    def _zeros_lost(self, new: str) -> list[str]:
        """A sentence where ids that are new are those of members with more or fewer leading zeros.

        They are looked for in the newest month of the store and those of the delivery, so that this costs what it brings.
        """
        engine, ids = self.engine, "select distinct customer_id, trim(leading '0' from customer_id) as plain"
        months = {
            *self._months(f"select day from {new}"),
            max((f.month for f in self.state.of("trips").files), default=""),
        }
        if not self.state.of("trips").of(months):
            return []
        held = engine.stage(f"{ids} from {self.tables.relation(engine, self.state, 'trips', sorted(months))}")
        found = engine.frame(
            f"""select count(*) as n from ({ids} from {new} where customer_id is not null) l
            where exists (select 1 from {held} h where h.plain = l.plain)
            and not exists (select 1 from {held} h where h.customer_id = l.customer_id)"""
        )
        n = int(found["n"][0])
        return [ids_without_zeros("the store", n)] if n else []

    def _alike(self, new: str) -> int:
        """How many lines that no key tells apart look like one that was delivered before."""
        looks = ("customer_id", "order_id", "hour", "store", "product_id", "quantity", "amount")
        same = " and ".join(f"e.{name} is not distinct from l.{name}" for name in looks)
        keyless = f"(select * from {new} where order_id is null or line_id is null)"
        months = self._months(f"select day from {keyless} l")
        if not months or not self.state.of("lines").of(months):
            return 0
        earlier = self._given(f"day in (select day from {keyless} l)", months)
        alike = f"select 1 from {earlier} e where e.day = l.day and {same}"
        return int(self.engine.frame(f"select count(*) as n from {keyless} l where exists ({alike})")["n"][0])

    def changes(
        self, settled: Settlement, gone: str, new: str, found: Rejections, load: Load, meaning: NewMeaning
    ) -> dict[str, Change]:
        """What every table gains and gives up."""
        engine, tables, state = self.engine, self.tables, self.state
        fresh = engine.view(f"select * from {settled.fresh} union all by name select * from {settled.changed}")
        leaving = engine.stage(
            f"select file, record, day from {gone} union all select file, record, day from {settled.changed}"
        )
        leaves = f"exists (select 1 from {leaving} g where g.file = t.file and g.record = t.record)"
        changes = {
            "lines": tables.replaced(engine, "lines", state, fresh, leaves, spans(engine, leaving)),
            **fold_changes(engine, tables, state, fresh, leaving),
        }
        own = {
            "receipts": sql_text("transactions/receipts", number=receipt_number("order_id"), lines=new),
            "rejected": f"select {self.number} as load, * from {engine.parquet(found.path)}",
            "loads": f"select * from {engine.register(pa.Table.from_pylist([load.row()]))}",
            "replaced": self._undone(gone),
        }
        for name, rows in own.items():
            changes[name] = tables.replaced(engine, name, state, engine.stage(rows))
        if settled.returned:
            changes["returned"] = tables.replaced(engine, "returned", state, settled.returned, keep=NEWEST)
        if meaning.products_changed is not None:
            products = _product_texts(engine, meaning.lines.products)
            changes["products"] = tables.replaced(engine, "products", state, products, "true")
        return changes

    def _undone(self, gone: str) -> str:
        return f"select {as_delivered()}, {self.number} as replaced_by from {gone}"


def fold_changes(
    engine: DuckDBEngine, tables: StoreTables, state: StoreState, fresh: str, leaving: str
) -> dict[str, Change]:
    """Trips and days of the days that a step touches, summed again."""
    touched = engine.stage(f"select distinct day from {fresh} union select day from {leaving}")
    days = spans(engine, touched)
    held = tables.tables["lines"]
    files = [file for month, span in days.items() for file in state.of("lines").of([month], span)]
    staying = f"""select {held.selected("l.{name}")} from {held.relation(engine, files)} l
        where l.day in (select day from {touched})
        and not exists (select 1 from {leaving} g where g.file = l.file and g.record = l.record)"""
    lines = engine.view(f"{staying} union all select {held.selected('{name}')} from {fresh}")
    gone = f"t.day in (select day from {touched})"
    return {
        name: tables.replaced(
            engine, name, state, engine.stage(sql_text(f"transactions/{name}", lines=lines)), gone, days
        )
        for name in ("trips", "spent")
    }


def products_of(tables: StoreTables, state: StoreState) -> Products | None:
    """The products table in use."""
    paths = tables.tables["products"].paths(state.of("products").files)
    if not paths:
        return None
    return products_in(pd.concat([pd.read_parquet(path) for path in paths], ignore_index=True))


def products_in(frame: pd.DataFrame) -> Products | None:
    """The products table of stored rows; columns without a value are none."""
    return Products(frame.dropna(axis=1, how="all")) if len(frame) else None


def _changed_products(engine: DuckDBEngine, products: Products, held: Products | None) -> str:
    """Products that one of two tables has and the other has not, or has otherwise."""
    now, before = _product_texts(engine, products), _product_texts(engine, held)
    return engine.stage(
        f"""select distinct product_id from (
            (select * from {now} except select * from {before}) union all
            (select * from {before} except select * from {now}))"""
    )


def _product_texts(engine: DuckDBEngine, products: Products | None) -> str:
    """A products table with all its columns, as text."""
    names = list(PRODUCTS.columns)
    frame = pd.DataFrame(columns=names) if products is None else products.frame.reindex(columns=names)
    table = engine.register(frame)
    return engine.view(f"select {', '.join(f'cast({name} as string) as {name}' for name in names)} from {table}")


def _delivered(lines: str, number: int) -> str:
    """A query for the lines of a delivery; ``file`` is made unique over the loads."""
    columns = [f"cast({name} as {kind}) as {name}" for name, kind in DELIVERED.items() if name != "file"]
    return f"select cast(file + {first_file(number)} as bigint) as file, {', '.join(columns)} from {lines}"


def _check_whole(found: Rejections, n_kept: int) -> None:
    """Refuse a correction that would delete valid rows."""
    if not n_kept:
        raise RefusedError(f"{found}.\nA correction without a valid row corrects nothing, so nothing was changed.")
    if found.rows_invalid > _INVALID * found.rows_read:
        raise RefusedError(
            f"{found}.\nThe days that it corrects would be lost with these rows, so nothing was changed. Correct the "
            "extract, or what was stated about it."
        )
