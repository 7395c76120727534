"""One delivery of sales: what is kept, what it means, and what became of every row.

Parts come through the door; lines delivered before are set aside; every kept line gets its kind, and returns are matched
to the sales they take back. :mod:`crmkit.transactions` and :mod:`crmkit.store` are built on this.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from crmkit import door
from crmkit.contracts import ITEM_COLUMNS, SALES
from crmkit.engine import Engine, SparkEngine, literal, sql_text
from crmkit.exceptions import ConfigError
from crmkit.extracts import Extract

if TYPE_CHECKING:
    from crmkit.tables import Products

__all__ = ["NOBODYS", "Received", "Rejections", "account", "as_day", "day_number", "filled_items", "receive", "settle"]

WINDOW = 90
MOST = 200  # returns of one product by one member that are matched; more are no member's

_EPOCH = date(1970, 1, 1)
_CONFLICT = "line_id repeats with other content"
_LISTED = "customer_id is a card of nobody"

NOBODYS = (*SALES.nobody, _LISTED)
"""Reasons for which a row is rejected for members, and kept for sales."""


def day_number(day: str | date) -> int:
    """Days since 1970-01-01 of an ISO date.

    >>> day_number("1970-01-31")
    30
    """
    return (as_day(day) - _EPOCH).days


def as_day(day: str | date) -> date:
    """A date, or the day an ISO date names.

    >>> as_day("2017-12-31")
    datetime.date(2017, 12, 31)
    """
    try:
        return date.fromisoformat(day) if isinstance(day, str) else date(day.year, day.month, day.day)
    except (ValueError, AttributeError):
        raise ConfigError(f"{day!r} is not a day. Write it as in '2017-12-31'.") from None


@dataclass(frozen=True)
class Rejections:
    """What became of every row that was read; prints as one sentence.

    Attributes
    ----------
    rows_read, rows_used, rows_rejected, rows_duplicate : int
        ``rows_read = rows_used + rows_rejected + rows_duplicate``, always.
    amount_read, amount_used, amount_rejected, amount_duplicate : Decimal
        The same for money; an amount that cannot be read counts as 0.
    counts : DataFrame
        reason, rows, amount, most frequent first. Rows that are sound but nobody's (the card is missing, say) are
        rejected for members and kept for sales.
    files : DataFrame
        file, sha256, rows_read, rows_used, rows_rejected, rows_duplicate.
    kinds : DataFrame
        kind, how, rows, amount of the lines that are kept: sale, free (nothing was paid), adjustment (money without
        goods), return (with how it was matched to its sale), and the classes that were given.
    path : Path
        Parquet file of the rejected rows, in no order; ``place`` counts the files.
    """

    files: pd.DataFrame = field(repr=False)
    counts: pd.DataFrame = field(repr=False)
    kinds: pd.DataFrame = field(repr=False)
    path: Path
    amount_read: Decimal
    amount_used: Decimal
    amount_rejected: Decimal
    amount_duplicate: Decimal

    @property
    def rows(self) -> pd.DataFrame:
        """file, record, line, reason, value, amount of each rejected row.

        ``record`` counts from 1 after the header, ``line`` is the physical line of the file. Customer ids are never
        shown.
        """
        rows = pd.read_parquet(self.path).sort_values(["place", "record"], kind="stable", ignore_index=True)
        return rows.drop(columns="place")

    @property
    def rows_read(self) -> int:
        return int(self.files["rows_read"].sum())

    @property
    def rows_used(self) -> int:
        return int(self.files["rows_used"].sum())

    @property
    def rows_rejected(self) -> int:
        return int(self.files["rows_rejected"].sum())

    @property
    def rows_duplicate(self) -> int:
        return int(self.files["rows_duplicate"].sum())

    def __str__(self) -> str:
        parts = [f"{n:,} where {reason}" for reason, n in zip(self.counts["reason"], self.counts["rows"], strict=True)]
        reasons = f": {', '.join(parts)}" if parts else ""
        return (
            f"{self.rows_read:,} rows read; used {self.rows_used:,}; duplicate {self.rows_duplicate:,}; "
            f"rejected {self.rows_rejected:,}{reasons}"
        )


@dataclass(frozen=True)
class Received:
    """A delivery inside the engine.

    Attributes
    ----------
    admitted : list of Admitted
        Its parts.
    resent : set of int
        Places of the parts whose content was delivered before.
    repeated : str
        Relation of the lines whose (order_id, line_id) was delivered before.
    lines : str
        Relation of the lines that are kept; nobody's have no customer_id.
    """

    admitted: list[door.Admitted]
    resent: frozenset[int]
    repeated: str
    lines: str


def receive(
    engine: Engine | SparkEngine,
    source: Extract,
    columns: Mapping[str, str],
    clock: door.Clock,
    last: date,
    nobody: Sequence[str] = (),
    earlier: str | None = None,
    known: Collection[str] = (),
    progress: Callable[[str], None] | None = None,
) -> Received:
    """Take a delivery through the door.

    ``earlier`` is a relation of lines kept from deliveries before it, whose ``file`` is above 0 and higher in a later
    one; ``known`` are the hashes of their files.
    """
    admitted = _admit_parts(engine, source, columns, clock, last, nobody, progress)
    resent = _resent([part.sha256 for part in admitted], known)
    sound = _sound(admitted, resent)
    repeated = _repeated(engine, sound, earlier)
    lines = engine.view(_lines(sound, repeated, _count(engine, repeated) > 0))
    return Received(admitted, resent, repeated, lines)


def settle(
    engine: Engine | SparkEngine,
    lines: str,
    products: Products | None,
    classes: Mapping[str, Sequence[str]] | None,
    home: Path,
) -> None:
    """Add what the products table knows, say what each line is, match returns, and write lines, trips and days."""
    known = engine.view(_known(engine, lines, products, classes or {}))
    engine.save(_settled(engine, known), home / "lines.parquet")
    stored = engine.parquet(home / "lines.parquet")
    with engine.reading("The extract"):
        for fold in ("trips", "days"):
            engine.save(sql_text(fold, lines=stored), home / f"{fold}.parquet")


def _admit_parts(
    engine: Engine | SparkEngine,
    source: Extract,
    columns: Mapping[str, str],
    clock: door.Clock,
    last: date,
    nobody: Sequence[str],
    progress: Callable[[str], None] | None,
) -> list[door.Admitted]:
    late = {f"purchased_at is after {last}": ("purchased_at", f"day > {day_number(last)}")}
    listed = {_LISTED: f"raw_customer_id in ({', '.join(map(literal, nobody))})"} if nobody else {}
    admitted = []
    for part in source.parts:
        if progress:
            progress(part.name)
        call = "Transactions.from_extract"
        admitted.append(door.admit(engine, source, part, SALES, columns, clock, call, late, listed))
    return admitted


def _resent(hashes: list[str], known: Collection[str]) -> frozenset[int]:
    """Places of the parts whose content was delivered before; a dataframe has no hash and is always new."""
    return frozenset(
        place for place, digest in enumerate(hashes) if digest and (digest in known or digest in hashes[:place])
    )


def _sound(admitted: list[door.Admitted], resent: frozenset[int]) -> str:
    """A query for the sound rows of all parts not delivered before, nobody's among them; ``file`` is the part's number."""
    nobodys = ", ".join(map(literal, NOBODYS))
    return " union all ".join(
        f"select {number} as file, * from {part.rows} where "
        + ("false" if number in resent else f"(reason is null or reason in ({nobodys}))")
        for number, part in enumerate(admitted)
    )


def _repeated(engine: Engine | SparkEngine, sound: str, earlier: str | None) -> str:
    """Lines whose (order_id, line_id) was delivered before: file, record, amount, reason, and whether they differ.

    What was delivered before comes first, its latest correction foremost. A column that one of the two lacks makes no
    difference; another member does. Where every line names its store, each store numbers its own receipts.
    """
    content = ("coalesce(customer_id, '')", "day", "store", "product_id", "quantity", "amount", "discount")
    columns = "record, order_id, line_id, customer_id, day, store, product_id, quantity, amount, discount"
    lines = f"select file, {columns}, reason from ({sound})"
    if earlier is not None:
        lines += f" union all select -file, {columns}, cast(null as string) from {earlier}"
    keyed = "order_id is not null and line_id is not null"
    storeless = engine.frame(f"select 1 as found from ({lines}) where {keyed} and store is null limit 1").size
    key = ["order_id", "line_id"] if storeless else ["order_id", "line_id", "store"]
    number = engine.number_of(*key)
    crowded = _crowded(engine, f"select {number} as number from ({lines}) where {keyed}")
    differs = " or ".join(f"coalesce({value} <> first_value({value}) over same, false)" for value in content)
    return engine.stage(
        f"""with repeats as (select l.*, case when file < 0 then 0 when l.reason is null then 1 else 2 end as rank
            from ({lines}) l join {crowded} c on {number} = c.number where {keyed}),
        deliveries as (select *, row_number() over same as delivery, {differs} as differs from repeats
            window same as (partition by {", ".join(key)} order by rank, file, record))
        select file, record, amount, reason, differs from deliveries where delivery > 1 and file >= 0"""
    )


def _crowded(engine: Engine | SparkEngine, numbers: str) -> str:
    """Numbers that come more than once; counted a share at a time, so that a large delivery needs little memory."""
    numbers = engine.stage(numbers)
    shares = 1 + _count(engine, numbers) // engine.keys_at_once
    crowded = [
        engine.stage(
            f"select number from {numbers} where abs(number % {shares}) = {share} group by number having count(*) > 1"
        )
        for share in range(shares)
    ]
    engine.drop(numbers)
    return engine.view(" union all ".join(f"select number from {table}" for table in crowded))


def _lines(sound: str, repeated: str, any_repeated: bool) -> str:
    """A query for the lines that are kept; nobody's have no customer_id."""
    columns = ", ".join(
        f"l.{name}" for name in SALES.columns if name not in ("customer_id", "purchased_at", "unit_price")
    )
    unless_repeated = f"left join {repeated} r on l.file = r.file and l.record = r.record where r.record is null"
    return f"""with lines as ({sound})
        select l.file, l.record, case when l.reason is null then l.customer_id end as customer_id, l.day, l.hour, {columns}
        from lines l {unless_repeated if any_repeated else ""}"""


def _known(
    engine: Engine | SparkEngine, lines: str, products: Products | None, classes: Mapping[str, Sequence[str]]
) -> str:
    """A query for the lines with what the products table says of them, each with its kind."""
    columns, joined = {name: f"l.{name}" for name in engine.types(lines)}, ""
    if products is not None:
        table = engine.register(products.frame)
        columns |= {
            name: f"coalesce(p.{name}, l.{name})"
            for name in products.frame.columns
            if name in columns and name != "product_id"
        }
        joined = f"left join {table} p on l.product_id = p.product_id"
    selects = ", ".join(f"{value} as {name}" for name, value in columns.items())
    return f"with known as (select {selects} from {lines} l {joined}) select *, {_kind(classes)} as kind from known"


def _kind(classes: Mapping[str, Sequence[str]]) -> str:
    """What a line is: goods that came back, money without goods, a class that was given, given away, or sold."""
    given = " ".join(
        f"when product_id like {literal(pattern)} or category like {literal(pattern)} then {literal(name)}"
        for name, patterns in classes.items()
        for pattern in patterns
    )
    return f"""case when quantity < 0 or (amount < 0 and (quantity is null or returned_order_id is not null)) then 'return'
        when quantity = 0 or amount < 0 then 'adjustment' {given}
        when amount = 0 then 'free' else 'sale' end"""


def _settled(engine: Engine | SparkEngine, lines: str) -> str:
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


def _matched(engine: Engine | SparkEngine, lines: str) -> tuple[str, str] | None:
    """Returned lines with the sold ones that they take back, and the sold lines that are void; None when nothing is.

    Void is what was taken back whole on the day of its sale.
    """
    returned = engine.stage(sql_text("returned", lines=lines).replace("?", str(MOST)))
    if not _count(engine, returned):
        return None
    sold = engine.stage(sql_text("sold", lines=lines, returned=returned))
    chosen = engine.view(" union all ".join(f"select * from {table}" for table in _chosen(engine, returned, sold)))
    piles = f"""select *, sum(case when day = sold_day then units else 0 end) over (partition by pile_file, pile_record)
        = pile_units as void from {chosen}"""
    matches = engine.stage(piles)
    void = engine.stage(
        f"""select s.file, s.record from {sold} s join (select distinct pile_file, pile_record from {matches} where void) p
        on s.pile_file = p.pile_file and s.pile_record = p.pile_record"""
    )
    return matches, void


def _chosen(engine: Engine | SparkEngine, returned: str, sold: str) -> list[str]:
    """Tables of returned lines with their piles of sold ones, together one row for each that is matched.

    Most members' returns of a product choose piles that hold enough for all, and are matched at once. Elsewhere they
    choose one after the other, as time went by, from what those before them left.
    """
    nothing = engine.view(f"select pile_file, pile_record, units from {sold} where false")
    at_once = engine.stage(_choices(returned, sold, nothing))
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
        found.append(engine.stage(_choices(turn, some_sold, taken)))
        taken = engine.stage(
            f"""select pile_file, pile_record, sum(units) as units from (select pile_file, pile_record, units from {taken}
            union all select pile_file, pile_record, units from {found[-1]}) group by pile_file, pile_record"""
        )
    return found


def _choices(returned: str, sold: str, taken: str) -> str:
    return sql_text("returns", returned=returned, sold=sold, taken=taken).replace("?", str(WINDOW))


def _most(engine: Engine | SparkEngine, returned: str) -> int:
    return int(engine.frame(f"select coalesce(max(place), 0) as n from {returned}")["n"][0])


def filled_items(engine: Engine | SparkEngine, lines: str) -> tuple[str, ...]:
    """Item columns that have a value anywhere."""
    counts = ", ".join(f"count({name}) as {name}" for name in ITEM_COLUMNS)
    filled = engine.frame(f"select {counts} from {lines}").iloc[0]
    return tuple(name for name in ITEM_COLUMNS if filled[name])


def account(engine: Engine | SparkEngine, received: Received, lines: str, path: Path) -> Rejections:
    """Give every row read its place, write the rejected ones, and prove that rows and money add up."""
    admitted, repeated = received.admitted, received.repeated
    _write_rejected(engine, received, path)
    kept = engine.parquet(path)
    counts = engine.frame(
        f"""select reason, count(*) as rows, sum(coalesce(amount, 0)) as amount from {kept}
        group by reason order by rows desc, reason"""
    )
    files = _files(engine, received)
    zero = Decimal("0.0000")
    again = [admitted[place].amount_read for place in received.resent]
    totals = engine.arrow(
        f"""select coalesce(sum(amount), 0) as amount, count(*) as n from {lines} where customer_id is not null
        union all select coalesce(sum(amount), 0), count(*) from {kept}
        union all select coalesce(sum(amount), 0), count(*) from {repeated} where not differs and reason is null"""
    )
    used, rejected, doubled = (zero + Decimal(value.as_py()) for value in totals["amount"])
    kinds = engine.frame(
        f"select kind, how, count(*) as rows, sum(amount) as amount from {lines} group by kind, how order by kind, how"
    )
    found = Rejections(
        files,
        counts,
        kinds,
        path,
        amount_read=sum((part.amount_read for part in admitted), zero),
        amount_used=used,
        amount_rejected=rejected,
        amount_duplicate=sum(again, doubled),
    )
    _prove(found, totals["n"][0].as_py())
    return found


def _write_rejected(engine: Engine | SparkEngine, received: Received, path: Path) -> None:
    """Rejected rows of all parts, those whose key repeats with other content among them."""
    conflicts = engine.frame(
        f"select file, record, amount from {received.repeated} where differs and reason is null order by 1, 2"
    )
    late = engine.register(pd.concat([_conflicting(part, n, conflicts) for n, part in enumerate(received.admitted)]))
    selects = [
        f"""select cast(place as integer) as place, file, record, cast(line as bigint) as line, reason,
        cast(value as string) as value, cast(amount as decimal(18, 4)) as amount from {late}"""
    ]
    selects += [
        f"select {number} as place, * from {part.rejected}"
        for number, part in enumerate(received.admitted)
        if number not in received.resent
    ]
    engine.save(" union all ".join(selects), path)


def _conflicting(part: door.Admitted, number: int, conflicts: pd.DataFrame) -> pd.DataFrame:
    here = conflicts[conflicts["file"] == number]
    places = part.places.of_staged(here["record"].to_numpy(dtype="int64"))
    return places.assign(
        place=number, file=part.name, reason=_CONFLICT, value=pd.Series(dtype="str"), amount=here["amount"].to_numpy()
    )


def _files(engine: Engine | SparkEngine, received: Received) -> pd.DataFrame:
    """What became of the rows of each file."""
    admitted, resent = received.admitted, received.resent
    rejected = [0 if n in resent else _count(engine, part.rejected) for n, part in enumerate(admitted)]
    again = engine.frame(
        f"""select file, sum(case when differs then 1 else 0 end) as differing, sum(case when differs then 0 else 1 end)
        as doubled from {received.repeated} where reason is null group by file"""
    ).set_index("file")
    doubled = [part.rows_read if n in resent else int(again["doubled"].get(n, 0)) for n, part in enumerate(admitted)]
    files = pd.DataFrame(
        {
            "file": [part.name for part in admitted],
            "sha256": [part.sha256 for part in admitted],
            "rows_read": [part.rows_read for part in admitted],
            "rows_rejected": [n + int(again["differing"].get(place, 0)) for place, n in enumerate(rejected)],
            "rows_duplicate": doubled,
        }
    )
    files.insert(3, "rows_used", files["rows_read"] - files["rows_rejected"] - files["rows_duplicate"])
    return files


def _count(engine: Engine | SparkEngine, table: str) -> int:
    return int(engine.frame(f"select count(*) as n from {table}")["n"][0])


def _prove(found: Rejections, n_used: int) -> None:
    money = found.amount_used + found.amount_rejected + found.amount_duplicate
    if n_used != found.rows_used or money != found.amount_read:
        raise AssertionError(
            f"rows do not add up: {found.rows_read} read, {n_used} kept; {found.amount_read} read, {money} placed"
        )
