"""Rows that are written as the engine itself writes them take a short way; each other row is looked at cell by cell.

Most cells of most files need no care, and care costs more than everything else. So the engine reads all rows by itself, and says
of each whether care could have read another thing; only such rows are read again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from crmkit.engine.texts import literal
from crmkit.ingest.casts import (
    SIGNED,
    ColumnFormats,
    careful_cast,
    casts_of,
    empty_text,
    output_columns,
    quick_reads,
    raw_text,
    trading_day,
    type_of,
)
from crmkit.ingest.heads import PLACE
from crmkit.ingest.row_meaning import RowMeaning
from crmkit.ingest.rules import NO_CUSTOMER, Rule, kind_rules
from crmkit.ingest.staged_rows import StagedRows

__all__ = ["typed_rows"]


def typed_rows(
    rows: StagedRows,
    formats: ColumnFormats,
    meaning: RowMeaning,
    said: Mapping[str, str],
    rules: Sequence[Rule],
    keep: Callable[[str], str],
) -> str:
    """The relation that `crmkit.ingest.casts.casts_of` tells of, by the shortest way for each row."""
    if not _has_short_way(rows, formats, meaning):
        return keep(casts_of(rows, formats, meaning, said, rules))
    engine = rows.engine
    short = keep(_plain_casts(rows, formats, meaning, said, rules))
    plain = _as_typed(rows, short, said)
    if not int(engine.frame(f"select count(*) as n from {short} where not is_plain")["n"][0]):
        return engine.view(plain)
    others = f"select record from {short} where not is_plain"
    numbered = rows.table if rows.place == PLACE else f"(select {rows.place} as {PLACE}, * from {rows.table})"
    table = engine.stage(f"select * from {numbered} as numbered where {PLACE} in ({others})")
    careful = keep(casts_of(replace(rows, table=table, place=PLACE, untidy="true"), formats, meaning, said, rules))
    engine.drop(table)
    return engine.view(f"{plain} where is_plain union all select * from {careful}")


def _has_short_way(rows: StagedRows, formats: ColumnFormats, meaning: RowMeaning) -> bool:
    is_sale = {"purchased_at", "amount"} <= set(rows.present)
    is_usual = is_sale and not (len(rows.columns) > len(rows.present) or meaning.taken_off or rows.of_kinds("date"))
    quick = (formats.is_quick(name, "number") for name in rows.of_kinds("money", "number"))
    return rows.untidy != "true" and is_usual and all(quick)


def _as_typed(rows: StagedRows, short: str, said: Mapping[str, str]) -> str:
    """A query for plain rows with all columns of the contract; the one reason that they may have is that nobody is named."""
    kinds = rows.contract.columns
    columns = [
        name if name in rows.present or name not in kinds else f"cast(null as {type_of(kinds[name])}) as {name}"
        for name in output_columns(rows, said)
    ]
    return f"select record, {', '.join(columns)}, reason, {empty_text()} as value from {short}"


def _plain_casts(
    rows: StagedRows, formats: ColumnFormats, meaning: RowMeaning, said: Mapping[str, str], rules: Sequence[Rule]
) -> str:
    """A query for the columns that are there as the engine reads them, and ``is_plain``: whether that is what care would read."""
    engine, kinds = rows.engine, rows.contract.columns
    marks = "eE_" if "_" in rows.marks else "eE"
    read = {name: quick_reads(name, kinds[name], marks) for name in rows.present if formats.is_quick(name, kinds[name])}
    texts = {name: f"nullif({engine.quoted(given)}, '')" for name, given in rows.present.items()}
    slow_times = [name for name in rows.of_kinds("time") if name not in read]
    texts |= {name: raw_text(rows, name, texts[name]) for name in slow_times}
    if meaning.ids and "customer_id" in texts:
        texts["customer_id"] = f"lower({texts['customer_id']})"
    raws = [f"{texts.get(name, empty_text())} as raw_{name}" for name in kinds]
    raws += [f"lower(nullif({engine.quoted(given)}, '')) as {name}" for given, name in said.items()]
    quick = "".join(f", {quickly} as quick_{name}" for name, (quickly, _) in read.items())
    is_return = meaning.is_return(said)
    values = ", ".join(f"{_value(rows, name, formats, read, is_return)} as {name}" for name in kinds)
    columns = [name for name in output_columns(rows, said) if name in rows.present or name not in kinds]
    return f"""with texts as (select {rows.place} as record, ({rows.untidy}) as is_untidy, {", ".join(raws)} from {rows.table}),
        quick as (select *{quick} from texts),
        typed as (select *, {values}, false as has_nul, false as has_odd_id from quick),
        dated as (select *, {trading_day(formats, "purchased_at" in read)} from typed)
        select record, {", ".join(columns)}, case when customer_id is null then {literal(NO_CUSTOMER.reason)} end as reason,
        {_is_plain(rows, read, rules)} as is_plain from dated"""


def _value(
    rows: StagedRows, name: str, formats: ColumnFormats, read: Mapping[str, tuple[str, str]], is_return: str | None
) -> str:
    if name not in rows.present:
        return f"cast(null as {type_of(rows.contract.columns[name])})"
    if name not in read:
        return careful_cast(rows, name, formats, None, True, is_return)
    signed = is_return and name in SIGNED
    return f"case when {is_return} then -abs(quick_{name}) else quick_{name} end" if signed else f"quick_{name}"


def _is_plain(rows: StagedRows, read: Mapping[str, tuple[str, str]], rules: Sequence[Rule]) -> str:
    """Whether care would read each cell of a row as it was read, and would find no fault with the row."""
    meant = [f"raw_{name} is null or ({usable})" for name, (_, usable) in read.items()]
    meant += [f"not coalesce({_may_need_care(rows, name)}, false)" for name in rows.of_kinds("id")]
    never = {rule.reason for name in rows.present for rule in _never(name, rows.contract.columns[name], name in read)}
    faults = [rule.condition for rule in rules if rule.reason not in never and rule != NO_CUSTOMER]
    meant += [f"not coalesce({fault}, false)" for fault in faults]
    tidy = [] if rows.untidy == "false" else ["not is_untidy"]
    return f"coalesce({' and '.join([*tidy, *(f'({one})' for one in meant)])}, false)"


def _may_need_care(rows: StagedRows, name: str) -> str:
    """Whether an id may bear a spreadsheet's guard, be a number with decimals or a power of ten, or hold a line break."""
    guards = [f"raw_{name} like {literal(mark + '%')}" for mark in "='" if mark in rows.marks]
    held = [f"contains(raw_{name}, {literal(mark)})" for mark in (".", *sorted(rows.marks & set("+\n\r")))]
    return " or ".join([*guards, *held])


def _never(name: str, kind: str, is_read: bool) -> tuple[Rule, ...]:
    """Rules that no plain cell breaks."""
    if kind in ("id", "text"):
        return kind_rules(name, kind)
    return tuple(rule for rule in kind_rules(name, kind) if is_read and rule.reason.startswith(f"{name} is not a "))
