"""Orders in one file and their lines in another: each line gets what the head of its order says, never the other way."""

from __future__ import annotations

from collections.abc import Collection
from weakref import WeakKeyDictionary

from crmkit.engine.base import SqlEngine
from crmkit.exceptions import ContractError
from crmkit.ingest.parts import Heads
from crmkit.ingest.rules import Rule
from crmkit.ingest.staging import prepared
from crmkit.ingest.text_rows import as_text

__all__ = [
    "HEAD",
    "PLACE",
    "heads_without_lines",
    "joined_with_heads",
    "keys_of_lines",
    "orders_in_two_files",
    "without_head",
]

PLACE = "crmkit_record"
HEAD = "crmkit_head"
WITHOUT_HEAD = "its order is in none of the joined files"


def without_head(said: str) -> Rule:
    """The rule for a line whose order has no head."""
    return Rule(
        WITHOUT_HEAD,
        f"{said} is null",
        "Deliver the heads of these orders too, or name what tells them apart: join = { on = … }.",
    )


def joined_with_heads(
    engine: SqlEngine, table: str, place: str, heads: Heads, wanted: Collection[str], once: Collection[str]
) -> tuple[str, dict[str, str]]:
    """The lines with the columns of their heads, and the types these came in.

    ``once`` are columns of money, of which the first line of an order alone gets what its head says.
    """
    columns = [name for name in heads.columns if name in wanted]
    found, kinds = _staged(engine, heads, columns)
    on = " and ".join(f"l.key_{n} = h.key_{n}" for n in range(len(heads.on)))
    keys = [f"{engine.trimmed(engine.quoted(line))} as key_{n}" for n, (line, _) in enumerate(heads.on)]
    order = ", ".join(f"l.key_{n}" for n in range(len(heads.on)))
    first = f"row_number() over (partition by {order} order by l.{PLACE}) = 1"
    added = [
        f"case when {first} then h.{engine.quoted(name)} end as {engine.quoted(name)}"
        if name in once
        else f"h.{engine.quoted(name)}"
        for name in columns
    ]
    own = [f"l.{engine.quoted(name)}" for name in engine.types(table)]
    lines = f"(select {place} as {PLACE}, *, {', '.join(keys)} from {table}) as l"
    select = ", ".join([f"l.{PLACE}", *own, *added, f"h.{HEAD}"])
    return engine.stage(f"select {select} from {lines} left join {found} as h on {on}"), kinds


_kept: WeakKeyDictionary[SqlEngine, dict[tuple[object, ...], tuple[str, dict[str, str]]]] = WeakKeyDictionary()
"""Heads that an engine has read already: those of many files of lines are the same."""


def _staged(engine: SqlEngine, heads: Heads, columns: Collection[str]) -> tuple[str, dict[str, str]]:
    """Heads as text, one row per order: ``key_0`` … and the columns."""
    kept = _kept.setdefault(engine, {})
    asked = (_identity(heads), *columns)
    if asked not in kept:
        kept[asked] = _read(engine, heads, columns)
    return kept[asked]


def _identity(heads: Heads) -> tuple[object, ...]:
    """What tells heads apart: their files, or their tables, and how they are read."""
    return tuple((part.path, part.member, part.reading, id(part.table)) for part in heads.parts) + heads.on


def _read(engine: SqlEngine, heads: Heads, columns: Collection[str]) -> tuple[str, dict[str, str]]:
    kinds: dict[str, str] = {}
    tables = []
    for part in heads.parts:
        readable, content = prepared(part, engine)
        wanted = {*columns, *(head for _, head in heads.on)} & set(part.columns)
        table, own, broken, _ = as_text(engine, readable, wanted, content)
        if len(broken):
            raise ContractError(f"{part.name}: {len(broken):,} records of the joined file are torn. Deliver it again.")
        kinds |= own
        there = set(engine.types(table))
        keys = [f"{engine.trimmed(engine.quoted(head))} as key_{n}" for n, (_, head) in enumerate(heads.on)]
        texts = [
            f"{engine.trimmed(engine.quoted(name)) if name in there else 'cast(null as string)'} as {engine.quoted(name)}"
            for name in columns
        ]
        tables.append(f"select {', '.join([*keys, *texts])} from {table}")
    named = ", ".join([f"key_{n}" for n in range(len(heads.on))])
    stated = " and ".join(f"key_{n} is not null" for n in range(len(heads.on)))
    every = engine.stage(f"select distinct * from ({' union all '.join(tables)}) as heads where {stated}")
    twice = f"select {named} from {every} group by {named} having count(*) > 1"
    n_twice = _n_rows(engine, twice)
    if n_twice:
        keys_named = " + ".join(head for _, head in heads.on)
        raise ContractError(
            f"{n_twice:,} orders stand more than once in the joined files, with different values ({keys_named} tells them apart): "
            "their lines would count more than once. Name further columns that tell orders apart, or deliver each once."
        )
    return engine.stage(f"select *, '1' as {HEAD} from {every}"), kinds


# -- Orders without lines --------------------------------------------------------------------------------------------


def keys_of_lines(engine: SqlEngine, table: str, heads: Heads) -> str:
    """The orders of the lines of one part that have a head."""
    keys = [f"{engine.trimmed(engine.quoted(line))} as key_{n}" for n, (line, _) in enumerate(heads.on)]
    return engine.stage(f"select distinct {', '.join(keys)} from {table} where {HEAD} is not null")


def heads_without_lines(engine: SqlEngine, heads: Heads, orders: Collection[str]) -> int:
    """How many orders no line of a delivery belongs to."""
    found = [table for asked, (table, _) in _kept.get(engine, {}).items() if asked[0] == _identity(heads)]
    return _n_rows(engine, f"select 1 as one from {found[0]}") - _n_rows(engine, _together(orders, "union"))


def orders_in_two_files(engine: SqlEngine, orders: Collection[str]) -> int:
    """How many orders have lines in two files."""
    return _n_rows(engine, _together(orders, "union all")) - _n_rows(engine, _together(orders, "union"))


def _together(orders: Collection[str], how: str) -> str:
    return f" {how} ".join(f"select * from {one}" for one in orders)


def _n_rows(engine: SqlEngine, query: str) -> int:
    return int(engine.frame(f"select count(*) as n from ({query}) as found")["n"][0])
