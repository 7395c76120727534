"""Rows that were delivered before."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from crmkit.engine.base import SqlEngine
from crmkit.ingest.rules import REPEATED_LINE
from crmkit.ingest.validation import ValidatedPart


def resent_files(hashes: list[str], known: Collection[str]) -> frozenset[int]:
    """Positions of the parts whose content was delivered before; a dataframe has no hash and is always new."""
    return frozenset(
        place for place, digest in enumerate(hashes) if digest and (digest in known or digest in hashes[:place])
    )


def repeated_keys(engine: SqlEngine, sound: str, earlier: str | None, any_without_store: bool = False) -> str:
    """Lines whose (order_id, line_id) was delivered before: file, record, amount, reason, and whether they differ.

    What was delivered before comes first, its latest correction foremost. A column that one of the two lacks makes no
    difference; another member does. Where every line of a number names its store, each store numbers its own receipts.
    """
    content = ("coalesce(customer_id, '')", "day", "store", "product_id", "quantity", "amount", "discount")
    columns = "record, order_id, line_id, customer_id, day, store, product_id, quantity, amount, discount"
    lines = f"select file, {columns}, reason from ({sound})"
    if earlier is not None:
        lines += f" union all select -file, {columns}, cast(null as string) from {earlier}"
    keyed = "order_id is not null and line_id is not null"
    storeless = engine.frame(f"select 1 as found from ({lines}) where {keyed} and store is null limit 1").size
    key = ["order_id", "line_id"] if storeless or any_without_store else ["order_id", "line_id", "store"]
    number = engine.number_of(*key)
    repeated_numbers = _numbers_seen_twice(engine, f"select {number} as number from ({lines}) where {keyed}")
    differs = " or ".join(f"coalesce({value} <> first_value({value}) over same, false)" for value in content)
    place = "case when unplaced then '' else store end"
    return engine.stage(
        f"""with repeats as (select l.*, case when file < 0 then 0 when l.reason is null then 1 else 2 end as rank,
                max(case when store is null then 1 else 0 end) over (partition by order_id, line_id) = 1 as unplaced
            from ({lines}) l join {repeated_numbers} c on {number} = c.number where {keyed}),
        deliveries as (select *, row_number() over same as delivery, {differs} as differs from repeats
            window same as (partition by order_id, line_id, {place} order by rank, file, record))
        select file, record, amount, reason, differs from deliveries where delivery > 1 and file >= 0"""
    )


def receipts_in_two_files(engine: SqlEngine, sound: str) -> str:
    """A query for the lines of receipts that stand in an earlier file with the same lines, as `repeated_keys` gives them.

    They have no line_id, by which single lines would be told: a receipt is the same when its number, store, member and day
    are, and all of its lines. One that differs is kept.
    """
    key = "order_id, coalesce(store, '') as store, coalesce(customer_id, '') as customer_id, day"
    shared = "f.order_id = r.order_id and f.store = r.store and f.customer_id = r.customer_id and f.day = r.day"
    content = engine.number_of(
        "coalesce(product_id, '')", "coalesce(quantity, 0)", "amount", "coalesce(category, '')", "coalesce(hour, -1)"
    )
    lines = f"select file, record, amount, reason, {key}, {content} as content from ({sound}) as sound"
    return f"""with lines as ({lines} where order_id is not null and line_id is null),
        receipts as (select file, order_id, store, customer_id, day, count(*) as n, sum(amount) as total,
            sum(cast(content as decimal(38, 0))) as content
            from lines group by file, order_id, store, customer_id, day),
        again as (select distinct r.file, r.order_id, r.store, r.customer_id, r.day from receipts r join receipts f
            on {shared} and f.n = r.n and f.total = r.total and f.content = r.content and f.file < r.file)
        select f.file, f.record, f.amount, f.reason, false as differs from lines f join again r on f.file = r.file and {shared}"""


def _numbers_seen_twice(engine: SqlEngine, numbers: str) -> str:
    """Numbers that come more than once; counted a share at a time, so that a large delivery needs little memory."""
    numbers = engine.stage(numbers)
    shares = 1 + count_rows(engine, numbers) // engine.keys_at_once
    repeated_numbers = [
        engine.stage(
            f"select number from {numbers} where abs(number % {shares}) = {share} group by number having count(*) > 1"
        )
        for share in range(shares)
    ]
    engine.drop(numbers)
    return engine.view(" union all ".join(f"select number from {table}" for table in repeated_numbers))


def conflicting(part: ValidatedPart, number: int, conflicts: pd.DataFrame) -> pd.DataFrame:
    here = conflicts[conflicts["file"] == number]
    places = part.places.of_staged(here["record"].to_numpy(dtype="int64"))
    return places.assign(
        place=number,
        file=part.name,
        reason=REPEATED_LINE.reason,
        value=pd.Series(dtype="str"),
        amount=here["amount"].to_numpy(),
    )


def count_rows(engine: SqlEngine, table: str) -> int:
    return int(engine.frame(f"select count(*) as n from {table}")["n"][0])
