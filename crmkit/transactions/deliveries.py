"""One delivery of sales: what is kept, what it means, and what became of every row.

Parts are validated; lines delivered before are set aside; every kept line gets its kind, and returns are matched to the
sales they take back. `Transactions` and `Store` are built on this.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import date

from crmkit.engine.base import SqlEngine
from crmkit.engine.texts import literal
from crmkit.exceptions import ContractError
from crmkit.ingest.column_names import is_sure
from crmkit.ingest.contracts import ITEM_COLUMNS, Names
from crmkit.ingest.extracts import Extract
from crmkit.ingest.heads import orders_in_two_files
from crmkit.ingest.rules import NON_MEMBER_REASONS, dated_after, refunded_after
from crmkit.ingest.sale_words import several_currencies
from crmkit.ingest.schemas import SALES
from crmkit.ingest.times import TimeRules
from crmkit.ingest.validation import ValidatedPart, validate_part
from crmkit.transactions.doubts import unread_of
from crmkit.transactions.duplicates import count_rows, receipts_in_two_files, repeated_keys, resent_files
from crmkit.transactions.line_meaning import LineMeaning
from crmkit.transactions.rejections import CollectedLines

__all__ = ["collect_lines", "filled_items"]


def collect_lines(
    engine: SqlEngine,
    source: Extract,
    columns: Names,
    time_rules: TimeRules,
    meaning: LineMeaning,
    last: date,
    earlier: Callable[[str], str | None] | None = None,
    known: Collection[str] = (),
    progress: Callable[[str], None] | None = None,
    *,
    any_without_store: bool = False,
) -> CollectedLines:
    """Validate a delivery and collect the lines that are kept.

    ``earlier`` gives, for a query of rows, a relation of the lines kept before of their receipts, whose ``file`` is above 0 and
    higher in a later delivery; ``known`` are the hashes of the files delivered before, ``any_without_store`` says whether any
    line of them with a key names no store.
    """
    validated = _validated_parts(engine, source, columns, time_rules, meaning, last, progress)
    _refuse_money_of_split_orders(engine, validated, meaning)
    _refuse_unread_currencies(source, columns, validated)
    resent = resent_files([part.sha256 for part in validated], known)
    sound = _sound(validated, resent, ["refunded", "refunded_on"] if meaning.refunds else [])
    if meaning.rates is None:
        _refuse_mixed_currencies(engine, source, columns, sound)
    repeated = repeated_keys(engine, sound, earlier(sound) if earlier else None, any_without_store)
    if earlier is None and len(validated) - len(resent) > 1:
        again = engine.stage(receipts_in_two_files(engine, sound))
        repeated = engine.view(f"select * from {repeated} union all select * from {again}")
    lines = engine.view(_lines(sound, repeated, count_rows(engine, repeated) > 0, bool(meaning.refunds)))
    return CollectedLines(validated, resent, repeated, lines, _has_currency(source, columns))


def _validated_parts(
    engine: SqlEngine,
    source: Extract,
    columns: Names,
    time_rules: TimeRules,
    meaning: LineMeaning,
    last: date,
    progress: Callable[[str], None] | None,
) -> list[ValidatedPart]:
    late = [dated_after(last), *(refunded_after(last, column) for column in meaning.refunds.values())]
    validated = []
    for part in source.parts:
        if progress:
            progress(part.name)
        call = "Transactions.from_extract"
        validated.append(validate_part(engine, source, part, SALES, columns, time_rules, call, meaning, late))
    return validated


def _refuse_money_of_split_orders(engine: SqlEngine, validated: list[ValidatedPart], meaning: LineMeaning) -> None:
    """Raise where money of an order is to be taken off and its lines stand in two files: it would be taken off twice."""
    heads = validated[0].heads if len(validated) > 1 else None
    if heads is None or not (given := [name for name in meaning.taken_off if name in heads.columns]):
        return
    if n := orders_in_two_files(engine, [part.orders for part in validated]):
        raise ContractError(
            f"{n:,} orders have lines in two files, and {given[0]!r} of the joined files would be taken off in each. Deliver the "
            "lines of an order in one file."
        )


def _sound(validated: list[ValidatedPart], resent: frozenset[int], more: Sequence[str]) -> str:
    """A query for the valid rows of all parts not delivered before, those of non-members among them; ``file`` is the part's number."""
    non_members = ", ".join(map(literal, NON_MEMBER_REASONS))
    columns = ", ".join(["record", *SALES.columns, "day", "hour", "reason", *more])
    return " union all ".join(
        f"select {number} as file, {columns} from {part.rows} where "
        + ("false" if number in resent else f"(reason is null or reason in ({non_members}))")
        for number, part in enumerate(validated)
    )


def _refuse_mixed_currencies(engine: SqlEngine, source: Extract, columns: Names, sound: str) -> None:
    """Raise where amounts are in several currencies, and none of them was stated: they would be summed."""
    if not _has_currency(source, columns):
        return
    found = engine.frame(
        f"""select upper(currency) as currency, count(*) as n, sum(amount) as total from ({sound}) as sound
        where currency is not null group by upper(currency) order by n desc, currency"""
    )
    if len(found) > 1:
        told = ", ".join(f"{code} {total:,.2f} in {n:,} rows" for code, n, total in found.itertuples(index=False))
        raise ContractError(
            f"The amounts are in {len(found)} currencies: {told}. They cannot be added. State one with "
            f"currency={found['currency'][0]!r} (rows in others are then rejected), or give rates=Rates.from_extract(…)."
        )


def _refuse_unread_currencies(source: Extract, columns: Names, validated: list[ValidatedPart]) -> None:
    """Raise where a column that is called as the one of currencies holds several, and is not read."""
    if _has_currency(source, columns) or source.parts[0].reading.currency:
        return
    for name, values in unread_of(validated).items():
        if is_sure(name, SALES.name, "currency") and (told := several_currencies(name, values)):
            raise ContractError(
                f"{told}. They cannot be added. Name it, currency={name!r}, and state one of them, read_extract(…, currency=…) (rows in "
                "others are then rejected), or give rates=Rates.from_extract(…)."
            )


def _has_currency(source: Extract, columns: Names) -> bool:
    return columns.get("currency", "currency") in source.columns


def _lines(sound: str, repeated: str, any_repeated: bool, with_refunds: bool) -> str:
    """A query for the lines that are kept; those of non-members have no customer_id."""
    names = [name for name in SALES.columns if name not in ("customer_id", "purchased_at", "unit_price", "currency")]
    unless_repeated = f"left join {repeated} r on l.file = r.file and l.record = r.record where r.record is null"
    kept = f"lines l {unless_repeated if any_repeated else ''}"
    member = "case when l.reason is null then l.customer_id end as customer_id"
    own = {name: f"l.{name}" for name in names}
    if not with_refunds:
        return f"with lines as ({sound}) select l.file, l.record, {member}, l.day, l.hour, {', '.join(own.values())} from {kept}"
    later = "l.refunded <> 0 and l.refunded_on > l.day"
    sale = own | {
        "amount": f"cast(l.amount + case when {later} then l.refunded else 0 end as decimal(18, 4)) as amount"
    }
    back = own | dict.fromkeys(("order_id", "line_id"), "cast(null as string)")
    back |= dict.fromkeys(("quantity", "discount"), "cast(null as decimal(18, 4))")
    back |= {"returned_order_id": "l.order_id", "amount": "cast(-l.refunded as decimal(18, 4))"}
    return f"""with lines as ({sound}), kept as (select l.* from {kept})
        select l.file, l.record, {member}, l.day, l.hour, {", ".join(sale.values())} from kept l
        union all
        select l.file, {REFUND_OF} as record, {member}, l.refunded_on as day, cast(null as integer) as hour,
        {", ".join(f"{value} as {name}" for name, value in back.items())} from kept l where {later}"""


REFUND_OF = "-l.record"
"""The number of the line that takes money back on a later day than that of its row: each row has one of its own."""


def filled_items(engine: SqlEngine, lines: str) -> tuple[str, ...]:
    """Item columns that have a value anywhere."""
    counts = ", ".join(f"count({name}) as {name}" for name in ITEM_COLUMNS)
    filled = engine.frame(f"select {counts} from {lines}").iloc[0]
    return tuple(name for name in ITEM_COLUMNS if filled[name])
