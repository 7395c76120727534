"""What a step changes in the meaning of a store's lines: which lines it adds, and which earlier ones mean something else now.

Returns of a product by a member are matched to that member's sales of the product alone, so a step settles again the pairs that it
touches, from a snapshot of their lines, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crmkit.engine.duckdb import DuckDBEngine
from crmkit.engine.texts import sql_text
from crmkit.transactions.ledger import first_file
from crmkit.transactions.line_meaning import LineMeaning
from crmkit.transactions.returns import WINDOW, lines_with_kinds, lines_with_returns
from crmkit.transactions.tables import LINES, NAMES, StoreState, StoreTables, as_delivered, month_of

if TYPE_CHECKING:
    pass

__all__ = ["PAIR", "NewMeaning", "Settlement", "receipt_number", "settle_step", "with_delivered"]

_MEANING = ("kind", "how", "buy_day", "units", *NAMES)


@dataclass(frozen=True)
class Settlement:
    """Relations of the engine.

    Attributes
    ----------
    fresh : str
        The step's lines with what they mean.
    changed : str
        Earlier lines that mean something else now.
    returned : str
        The newest snapshot of each pair that was settled again; one row without a line where nothing is left of it.
    """

    fresh: str
    changed: str
    returned: str | None


@dataclass(frozen=True)
class NewMeaning:
    """What holds for all lines of the store from now on.

    Attributes
    ----------
    lines : LineMeaning
        With the products table and the classes.
    products_changed : str, optional
        Relation of the products (product_id) whose lines may mean something else than before.
    classes_changed : bool
    """

    lines: LineMeaning
    products_changed: str | None = None
    classes_changed: bool = False


def number_of(text: str) -> str:
    """A number that stands for a text, the same on every machine."""
    return f"cast(md5_number_lower({text}) >> 1 as bigint)"


PAIR = number_of("customer_id || chr(0) || coalesce(product_id, '')")


def receipt_number(column: str) -> str:
    return number_of(column)


def settle_step(
    engine: DuckDBEngine, tables: StoreTables, state: StoreState, new: str, gone: str, meaning: NewMeaning, load: int
) -> Settlement:
    """Settle ``new`` lines (as delivered) and take ``gone`` ones (file, record and all their columns) away."""
    kinds = engine.view(lines_with_kinds(engine, with_delivered(engine, new), meaning.lines))
    renamed = _renamed(engine, tables, state, gone, meaning)
    pairs, held = _pairs(engine, tables, state, {kinds: 0, gone: 1, renamed: 0})
    open_pairs = engine.stage(sql_text("transactions/unsettled", pairs=pairs, returned=held))
    earlier = engine.stage(_earlier(engine, tables, state, open_pairs, held, kinds, gone, renamed))
    lines = engine.view(
        f"select * from {_as_delivered(engine, earlier)} union all by name select * from {with_delivered(engine, new)}"
    )
    told = engine.view(lines_with_kinds(engine, lines, meaning.lines))
    settled = engine.stage(lines_with_returns(engine, told))
    return _settlement(engine, settled, earlier, open_pairs, load)


def _pairs(engine: DuckDBEngine, tables: StoreTables, state: StoreState, touched: Mapping[str, int]) -> tuple[str, str]:
    """Pairs whose returns a step may concern, and the newest snapshot of the lines of each; ``touched`` says of each relation
    whether its lines leave.
    """
    lines = " union all ".join(
        f"select customer_id, product_id, day, kind, {leaves} as leaves from {table}"
        for table, leaves in touched.items()
    )
    snapshots = tables.relation(engine, state, "returned")
    known = f"{PAIR} in (select pair from {snapshots})" if state.of("returned").rows else "false"
    pairs = engine.stage(sql_text("transactions/pairs", pair=PAIR, touched=lines, known=known))
    of_pairs = engine.stage(f"select * from {snapshots} r where r.pair in (select pair from {pairs})")
    newest = f"(select *, max(load) over (partition by pair) as newest from {of_pairs}) as r"
    return pairs, engine.stage(f"select * from {newest} where load = newest and file is not null")


def with_delivered(engine: DuckDBEngine, lines: str) -> str:
    """Lines with what they said of their items when they were delivered."""
    return engine.view(f"select *, {', '.join(f'{name} as delivered_{name}' for name in NAMES)} from {lines}")


def _as_delivered(engine: DuckDBEngine, lines: str) -> str:
    """Lines of the store without what they mean."""
    return engine.view(f"select {as_delivered(keep=True)} from {lines}")


def _renamed(engine: DuckDBEngine, tables: StoreTables, state: StoreState, gone: str, meaning: NewMeaning) -> str:
    """Lines that other products or classes may make mean something else."""
    if meaning.classes_changed:
        condition = "true"
    elif meaning.products_changed is not None:
        condition = f"l.product_id in (select product_id from {meaning.products_changed})"
    else:
        return tables.tables["lines"].relation(engine, ())
    lines = tables.relation(engine, state, "lines")
    return engine.stage(f"select l.* from {lines} l where {condition} and {_stands(gone)}")


def _stands(gone: str) -> str:
    return f"not exists (select 1 from {gone} g where g.file = l.file and g.record = l.record)"


def _earlier(
    engine: DuckDBEngine,
    tables: StoreTables,
    state: StoreState,
    open_pairs: str,
    held: str,
    kinds: str,
    gone: str,
    renamed: str,
) -> str:
    """A query for the earlier lines that are settled again: those of open pairs, and the renamed."""
    is_open = f"exists (select 1 from {open_pairs} p where p.pair = l.pair)"
    names = ", ".join(f"l.{name}" for name in LINES)
    found = [f"select {names} from {held} l where {is_open}"]
    if months := _reach(engine, tables, state, kinds):
        lines = tables.relation(engine, state, "lines", months)
        found.append(
            f"""select {names} from {lines} l join {open_pairs} p on p.returns = 1 and l.customer_id = p.customer_id
            and coalesce(l.product_id, '') = coalesce(p.product_id, '')"""
        )
    found.append(f"select {names} from {renamed} l")
    union = " union all ".join(found)
    first = "row_number() over (partition by l.file, l.record order by l.day) as copy"
    return f"select * exclude (copy) from (select *, {first} from ({union}) l where {_stands(gone)}) where copy = 1"


def _reach(engine: DuckDBEngine, tables: StoreTables, state: StoreState, kinds: str) -> list[str]:
    """Months in which the goods that a delivery brings back may have been sold."""
    returned = f"(select day, returned_order_id from {kinds} where kind = 'return' and customer_id is not null)"
    days = engine.arrow(f"select distinct unnest(range(day - {WINDOW}, day + 1)) as day from {returned}")
    receipts = tables.relation(engine, state, "receipts")
    named = f"select {receipt_number('returned_order_id')} from {returned} where returned_order_id is not null"
    days = engine.register(days)
    found = engine.arrow(
        f"""select distinct {month_of("day")} as month from {days}
        union select {month_of("day")} from {receipts} where number in ({named})"""
    )
    return [str(month) for month in found["month"].to_pylist()]


def _settlement(engine: DuckDBEngine, settled: str, earlier: str, open_pairs: str, load: int) -> Settlement:
    fresh = engine.view(f"select * from {settled} where file >= {first_file(load)}")
    differs = " or ".join(f"l.{name} is distinct from e.{name}" for name in _MEANING)
    changed = engine.stage(
        f"select l.* from {settled} l join {earlier} e on l.file = e.file and l.record = e.record where {differs}"
    )
    any_open = len(engine.arrow(f"select 1 as one from {open_pairs} limit 1")) > 0
    columns = ", ".join(f"l.{name}" for name in LINES)
    same = "l.customer_id = p.customer_id and coalesce(l.product_id, '') = coalesce(p.product_id, '')"
    returned = f"select p.pair, {load} as load, {columns} from {open_pairs} p left join {settled} l on {same}"
    return Settlement(fresh, changed, engine.stage(returned) if any_open else None)
