"""What to tell of a delivery: what may not mean what it seems to, with how many rows and how much money."""

from __future__ import annotations

import pandas as pd

from crmkit.engine.base import SqlEngine
from crmkit.ingest.heads import heads_without_lines
from crmkit.ingest.sale_words import told_of_values
from crmkit.ingest.validation import ValidatedPart
from crmkit.transactions.duplicates import count_rows
from crmkit.transactions.rejections import CollectedLines

__all__ = ["doubts", "ids_without_zeros", "unread_of"]


def doubts(engine: SqlEngine, collected: CollectedLines) -> list[str]:
    """What to tell of a delivery: ids that were rewritten or may be one member's, and orders that stand in two files."""
    said = [
        f"{part.name}: customer ids written in full width or with invisible characters, taken as the plain ids: "
        f"{part.ids_rewritten:,}."
        for part in collected.validated
        if part.ids_rewritten
    ]
    said += _ids_written_otherwise(engine, collected.lines)
    said += _unsigned_returns(engine, collected.lines)
    said += _without_currency(engine, collected)
    said += _orders_without_lines(engine, collected)
    said += _told_of_unread(collected)
    if len(collected.validated) < 2:
        return said
    return [*said, *_orders_in_two_files(engine, collected.lines), *_alike_in_two_files(engine, collected.lines)]


def ids_without_zeros(where: str, n: int | str) -> str:
    """What to say of ids that others are with more or fewer zeros before them."""
    return (
        f"Customer ids that differ from those of {where} by leading zeros alone: {n if isinstance(n, str) else format(n, ',')}. Zeros are lost where ids are kept as "
        "numbers; if they are the same members, deliver ids as text everywhere."
    )


def _orders_without_lines(engine: SqlEngine, collected: CollectedLines) -> list[str]:
    """A sentence where joined files name orders of which no line was delivered; they count nothing."""
    heads = [part.heads for part in collected.validated if part.heads]
    n = heads_without_lines(engine, heads[0], [part.orders for part in collected.validated]) if heads else 0
    return [f"Orders of the joined files without a line in this delivery, which count nothing: {n:,}."] if n else []


def _told_of_unread(collected: CollectedLines) -> list[str]:
    """A sentence for each column that is not read and seems to say that rows are no sales, or in another currency."""
    n_rows = sum(part.rows_read for part in collected.validated)
    told = told_of_values(unread_of(collected.validated), n_rows, has_currency=collected.has_currency, in_python=True)
    return [f"Not read: {sentence}" for sentence in told]


def _unsigned_returns(engine: SqlEngine, lines: str) -> list[str]:
    """A sentence where lines bring goods back and their money counts as paid."""
    found = engine.frame(
        f"select count(*) as n, coalesce(sum(amount), 0) as total from {lines} where quantity < 0 and amount > 0"
    ).iloc[0]
    if not found["n"]:
        return []
    return [
        f"Lines with a quantity below 0 and an amount above 0: {found['n']:,}, which count as {found['total']:,.2f} paid. If they are "
        "returns whose amount is written without a sign, state kinds with the column of quantities and return=['-*']."
    ]


def _without_currency(engine: SqlEngine, collected: CollectedLines) -> list[str]:
    """A sentence where some amounts say their currency and others do not."""
    if not collected.has_currency:
        return []
    sums = [
        engine.frame(
            f"""select count(currency) as said, sum(case when currency is null then 1 else 0 end) as n,
            sum(case when currency is null then amount else 0 end) as total from {part.rows} where reason is null"""
        ).iloc[0]
        for part in collected.validated
    ]
    n, total = (sum(one[name] or 0 for one in sums) for name in ("n", "total"))
    if not n or not sum(one["said"] for one in sums):
        return []
    return [f"Rows that say no currency among others that do: {int(n):,}, with {total:,.2f}; they count as they are."]


def _alike_in_two_files(engine: SqlEngine, lines: str) -> list[str]:
    """A sentence where lines without order_id and line_id stand in two files with the same content."""
    keyless = f"{lines} where order_id is null and line_id is null and customer_id is not null"
    days = engine.stage(
        f"select day from (select distinct day, file from {keyless}) as d group by day having count(*) > 1"
    )
    if not count_rows(engine, days):
        return []
    looks = "customer_id, day, hour, store, product_id, quantity, amount, category"
    found = engine.frame(
        f"""select sum(n - most) as n, sum((n - most) * amount) as total from (
            select amount, sum(n) as n, max(n) as most from (
                select file, {looks}, count(*) as n from {keyless} and day in (select day from {days}) group by file, {looks}
            ) as counted group by {looks} having count(*) > 1
        ) as alike"""
    ).iloc[0]
    if not found["n"] or found["n"] != found["n"]:
        return []
    return [
        f"Lines without order_id and line_id that stand in two files with the same content: {int(found['n']):,}, with "
        f"{found['total']:,.2f}. All of them are counted. If the files overlap, deliver order_id, or each day in one file only."
    ]


def _ids_written_otherwise(engine: SqlEngine, lines: str) -> list[str]:
    """A sentence where ids differ by capitals, by blanks and marks, or by zeros before them alone; most ids have none of these."""
    ids = engine.stage(f"select distinct customer_id as id from {lines} where customer_id is not null")
    bare = "replace(replace(replace(id, ' ', ''), '-', ''), '.', '')"
    kinds = {
        "Customer ids that differ from others by capitals alone: {:,}. If they are the same members, state ids='casefold'.": "lower(id)",
        "Customer ids that differ from others by blanks, dashes or points alone: {:,}. If they are the same members, deliver them written "
        "alike.": bare,
        ids_without_zeros("others of this delivery", "{:,}"): "trim(leading '0' from id)",
    }
    odd = ", ".join(f"count(case when id <> {plain} then 1 end) as kind_{n}" for n, plain in enumerate(kinds.values()))
    found = engine.frame(f"select {odd} from {ids}").iloc[0]
    twice = {
        told: count_rows(engine, _twice(ids, plain)) if found[f"kind_{n}"] else 0
        for n, (told, plain) in enumerate(kinds.items())
    }
    return [told.format(n) for told, n in twice.items() if n]


def _twice(ids: str, plain: str) -> str:
    return f"(select {plain} as plain from {ids} group by {plain} having count(*) > 1) as twice"


def _orders_in_two_files(engine: SqlEngine, lines: str) -> list[str]:
    """A sentence where orders without line_ids stand in two files with different lines, so that both are counted."""
    receipt = "order_id, coalesce(store, ''), coalesce(customer_id, ''), day"
    kept = f"(select * from {lines} where order_id is not null and line_id is null) as kept"
    found = engine.frame(
        f"""select count(*) as n, coalesce(sum(later), 0) as later from (
            select sum(total) - max(case when place = 1 then total else 0 end) as later from (
                select *, row_number() over (partition by {receipt} order by file) as place,
                    count(*) over (partition by {receipt}) as n_files
                from (select file, order_id, store, customer_id, day, sum(amount) as total from {kept}
                    group by file, order_id, store, customer_id, day) as receipts
            ) as placed where n_files > 1 group by {receipt}
        ) as orders"""
    ).iloc[0]
    if not found["n"]:
        return []
    return [
        f"Orders that stand in two files with different lines: {found['n']:,}. All of their lines are counted; those of the later "
        f"files bear {found['later']:,.2f}. If the files overlap, deliver line_id, or each order in one file only."
    ]


def unread_of(validated: list[ValidatedPart]) -> dict[str, pd.Series[int]]:
    """What the columns hold that are not read, in all parts."""
    names = dict.fromkeys(name for part in validated for name in part.unread)
    found = {name: pd.concat([part.unread[name] for part in validated if name in part.unread]) for name in names}
    return {name: values.groupby(level=0, sort=False).sum() for name, values in found.items()}
