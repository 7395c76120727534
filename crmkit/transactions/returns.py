"""Returns matched to the sales they undo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from crmkit.engine.base import SqlEngine
from crmkit.engine.texts import literal, sql_text
from crmkit.ingest.contracts import ITEM_COLUMNS
from crmkit.transactions.duplicates import count_rows
from crmkit.transactions.line_meaning import LineMeaning

__all__ = ["lines_with_kinds", "lines_with_returns", "match_returns", "spent_days"]

WINDOW = 90
MOST = 200  # returns of one product by one member that are matched; more are no member's


def match_returns(
    engine: SqlEngine,
    lines: str,
    meaning: LineMeaning,
    home: Path,
) -> None:
    """Add what the products table knows, say what each line is, match returns, and write lines, trips and days."""
    told = engine.view(lines_with_kinds(engine, lines, meaning))
    engine.save(lines_with_returns(engine, told), home / "lines.parquet")
    stored = engine.parquet(home / "lines.parquet")
    with engine.named_source("The extract"):
        engine.save(sql_text("transactions/trips", lines=stored), home / "trips.parquet")
        engine.save(spent_days(sql_text("transactions/spent", lines=stored)), home / "days.parquet")


def spent_days(spent: str) -> str:
    """A query for the days of a log from a query for what was spent on each."""
    return sql_text("transactions/days", spent=f"({spent}) as spent")


def lines_with_kinds(engine: SqlEngine, lines: str, meaning: LineMeaning) -> str:
    """A query for the lines with what the products table says of them, each with its kind."""
    columns, joined = {name: f"l.{name}" for name in engine.types(lines)}, ""
    if meaning.products is not None:
        table = engine.register(meaning.products.frame)
        columns |= {
            name: f"coalesce(p.{name}, l.{name})"
            for name in meaning.products.frame.columns
            if name in columns and name != "product_id"
        }
        joined = f"left join {table} p on l.product_id = p.product_id"
    selects = ", ".join(f"{value} as {name}" for name, value in columns.items())
    return f"with known as (select {selects} from {lines} l {joined}) select *, {_kind(meaning.classes or {})} as kind from known"


def _kind(classes: Mapping[str, Sequence[str]]) -> str:
    """What a line is: a class that was given, goods that came back, money without goods, given away, or sold."""
    given = " ".join(
        f"when product_id like {literal(pattern)} or category like {literal(pattern)} then {literal(name)}"
        for name, patterns in classes.items()
        for pattern in patterns
    )
    return f"""case {given}
        when quantity < 0 or (amount < 0 and (quantity is null or returned_order_id is not null)) then 'return'
        when quantity = 0 or amount < 0 then 'adjustment'
        when amount = 0 then 'free' else 'sale' end"""


def lines_with_returns(engine: SqlEngine, lines: str) -> str:
    """A query for the lines with what returns mean: ``units`` is what a line adds to what its member has, ``buy_day`` the
    day of the purchase that it belongs to. What a returned line does not say of its goods, the sold line does.
    """
    matched = _matched(engine, lines)
    (how, buy_day, units), items, joined = _UNMATCHED, {}, ""
    if matched is not None:
        how, buy_day, units = _MATCHED
        items = {name: f"coalesce(l.{name}, m.{name})" for name in ITEM_COLUMNS if name != "product_id"}
        joined = f"""left join {matched[0]} m on l.file = m.file and l.record = m.record
            left join {matched[1]} v on l.file = v.file and l.record = v.record"""
    columns = ", ".join(f"{items.get(name, f'l.{name}')} as {name}" for name in engine.types(lines))
    return f"""select {columns}, case when l.kind = 'return' then {how} end as how, {buy_day} as buy_day,
        cast({units} as decimal(18, 4)) as units from {lines} l {joined}"""


# How a return was matched, the day it belongs to, and the units of a line: without any match, and with some.
_UNMATCHED = ("'unmatched'", "l.day", "case when l.kind in ('sale', 'free') then coalesce(l.quantity, 1) else 0 end")
_MATCHED = (
    "coalesce(m.how, 'unmatched')",
    "coalesce(m.sold_day, l.day)",
    """case when l.kind in ('sale', 'free') and v.record is null then coalesce(l.quantity, 1)
        when l.kind = 'return' and not m.void then -m.units else 0 end""",
)


def _matched(engine: SqlEngine, lines: str) -> tuple[str, str] | None:
    """Returned lines with the sold ones that they take back, and the sold lines that are void; None when nothing is.

    Void is what was taken back whole on the day of its sale.
    """
    returned = engine.stage(sql_text("transactions/returned", lines=lines), {"most": MOST})
    if not count_rows(engine, returned):
        return None
    sold = engine.stage(sql_text("transactions/sold", lines=lines, returned=returned))
    chosen = engine.view(" union all ".join(f"select * from {table}" for table in _chosen(engine, returned, sold)))
    lots = f"""select *, sum(case when day = sold_day then units else 0 end) over (partition by lot_file, lot_record)
        = lot_units as void from {chosen}"""
    matches = engine.stage(lots)
    void = engine.stage(
        f"""select s.file, s.record from {sold} s join (select distinct lot_file, lot_record from {matches} where void) p
        on s.lot_file = p.lot_file and s.lot_record = p.lot_record"""
    )
    return matches, void


def _chosen(engine: SqlEngine, returned: str, sold: str) -> list[str]:
    """Tables of returned lines with their lots of sold ones, together one row for each that is matched.

    Most members' returns of a product choose lots that hold enough for all, and are matched at once. Elsewhere they
    choose one after the other, as time went by, from what those before them left.
    """
    nothing = engine.view(f"select lot_file, lot_record, units from {sold} where false")
    at_once = _choices(engine, returned, sold, nothing)
    full = engine.stage(
        f"select distinct customer_id, coalesce(product_id, '') as product_id from {at_once} where not fits"
    )
    of_full = "f where t.customer_id = f.customer_id and coalesce(t.product_id, '') = f.product_id"
    found = [engine.stage(f"select * from {at_once} t where not exists (select 1 from {full} {of_full})")]
    waiting = engine.stage(f"select * from {returned} t where exists (select 1 from {full} {of_full})")
    some_sold = engine.stage(f"select * from {sold} t where exists (select 1 from {full} {of_full})")
    taken = nothing
    for place in range(1, _most(engine, waiting) + 1):
        turn = engine.view(f"select * from {waiting} where place = {place}")
        found.append(_choices(engine, turn, some_sold, taken))
        taken = engine.stage(
            f"""select lot_file, lot_record, sum(units) as units from (select lot_file, lot_record, units from {taken}
            union all select lot_file, lot_record, units from {found[-1]}) group by lot_file, lot_record"""
        )
    return found


def _choices(engine: SqlEngine, returned: str, sold: str, taken: str) -> str:
    choices = sql_text("transactions/returns", returned=returned, sold=sold, taken=taken)
    return engine.stage(choices, {"window": WINDOW})


def _most(engine: SqlEngine, returned: str) -> int:
    return int(engine.frame(f"select coalesce(max(place), 0) as n from {returned}")["n"][0])
