"""Text as typed SQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from crmkit.engine.base import SqlEngine
from crmkit.engine.texts import literal
from crmkit.ingest.contracts import Contract
from crmkit.ingest.numbers import SIGNS, in_another_currency, in_western_digits, plain_number
from crmkit.ingest.parts import Reading
from crmkit.ingest.row_meaning import RowMeaning
from crmkit.ingest.rules import Rule, another_currency, screens
from crmkit.ingest.staged_rows import StagedRows
from crmkit.ingest.times import TimeRules, has_no_hour, readable, wall_clock

_WHOLE = r"^-?[0-9]+\.0+$"
MOMENTS = ("TIMESTAMP", "DATE")
_DECIMAL = "decimal(18, 4)"
_TYPES = {"money": _DECIMAL, "number": _DECIMAL, "time": "timestamp_ntz", "date": "date"}


@dataclass(frozen=True)
class ColumnFormats:
    """How the texts of one part are written.

    Attributes
    ----------
    plain : set of str
        Contract columns that come as numbers or times of the engine's own.
    joined : set of str
        Contract columns whose time of day stood in a column of its own.
    whole_days : bool
        Whether no purchase has a time of day: all are at midnight.
    """

    time_rules: TimeRules
    reading: Reading
    plain: frozenset[str] = frozenset()
    joined: frozenset[str] = frozenset()
    whole_days: bool = False

    def numbers(self, name: str) -> Reading:
        """How the numbers of a contract column are written."""
        return Reading() if name in self.plain else self.reading

    def is_quick(self, name: str, kind: str) -> bool:
        """Whether the values of a column may be written as the engine itself writes them."""
        if kind == "time":
            rules = self.time_rules
            return not (rules.time_format or rules.recorded_in or rules.calendar or self.whole_days)
        return kind in ("money", "number") and self.numbers(name).mark == "."


def casts_of(
    rows: StagedRows, formats: ColumnFormats, meaning: RowMeaning, said: Mapping[str, str], rules: Sequence[Rule]
) -> str:
    """A query for typed columns, and for an invalid row its first reason and the value that caused it.

    ``said`` are columns of the extract to carry along, each with the name of its text in small letters.
    """
    engine, contract = rows.engine, rows.contract
    raws = _raws(rows, formats)
    if meaning.ids and "customer_id" in raws:
        raws["customer_id"] = f"lower({raws['customer_id']})"
    given = [f"{_trimmed(rows, column)} as given_{name}" for name, column in rows.present.items()]
    given += [f"lower({engine.trimmed(engine.quoted(column))}) as {name}" for column, name in said.items()]
    deducted = rows.deducted(meaning.deduct) | dict.fromkeys(rows.deducted(meaning.refunds), "refunded")
    given += [f"{text} as raw_refunded_at" for text in _refunded_at(rows, meaning)]
    given += [f"{_trimmed(rows, column)} as raw_{name}" for column, name in deducted.items()]
    texts = [f"{raws.get(name, 'cast(null as string)')} as raw_{name}" for name in contract.columns]
    kinds = {name: contract.columns[name] for name in raws}
    read = {name: quick_reads(name, kind) for name, kind in kinds.items() if formats.is_quick(name, kind)}
    quick = "".join(f", {quickly} as quick_{name}" for name, (quickly, _) in read.items())
    plain = "".join(
        f", case when not ({read[name][1] if name in read else 'false'}) then "
        f"{plain_number(engine, f'raw_{name}', formats.numbers(name))} end as plain_{name}"
        for name, kind in kinds.items()
        if kind in ("money", "number")
    )
    is_return = meaning.is_return(said)
    casts = ", ".join(
        f"{_less(name, careful_cast(rows, name, formats, read.get(name), name in raws, is_return), deducted)} as {name}"
        for name in contract.columns
    )
    joined = "".join(f", {text} as {name}" for name, text in contract.joined_texts(raws).items())
    screened = ", ".join(f"{screen} as {name}" for name, screen in screens(engine.matches).items())
    reasons = " ".join(f"when ({rule.condition}) then {literal(rule.reason)}" for rule in rules)
    day = f", {trading_day(formats)}" if "purchased_at" in contract.columns else ""
    amount = "" if "amount" in contract.columns else f", cast(0 as {_DECIMAL}) as amount"
    late = ["raw_refunded_at"] if meaning.refunds else []
    carried = "".join(f", {name}" for name in (*said.values(), *(f"raw_{name}" for name in deducted.values()), *late))
    off = "".join(f", {_deducted(engine, name, formats)} as {name}" for name in deducted.values())
    day += _refunded_on(engine, formats, "refunded" in deducted.values()) if meaning.refunds else ""
    refunded = ", refunded, refunded_on" if meaning.refunds else ""
    return f"""with given as (select {rows.place} as record, {", ".join(given)} from {rows.table}),
        texts as (select record, {", ".join(texts)}{carried} from given),
        quick as (select *{quick}{joined} from texts),
        plain as (select *{plain} from quick),
        typed as (select *, {casts} from {f"(select *{off} from plain) as less" if off else "plain"}),
        dated as (select *, {screened}{day} from typed),
        judged as (select *, case {reasons} end as reason from dated)
        select record, {", ".join(output_columns(rows, said))}{refunded}, reason, {values_shown(rows, rules)} as value{amount}
        from judged"""


def _refunded_at(rows: StagedRows, meaning: RowMeaning) -> list[str]:
    """The text of the day on which money was given back, where that is stated."""
    there = rows.engine.types(rows.table)
    return [_trimmed(rows, column) if column in there else empty_text() for column in meaning.refunds.values()]


def _refunded_on(engine: SqlEngine, formats: ColumnFormats, is_there: bool) -> str:
    """The time and the number of the day on which money was given back, as those of the sale are written, or year first."""
    rules, raw = formats.time_rules, "raw_refunded_at"
    plain = TimeRules(rules.time_zone, rules.recorded_in, None, rules.trading_day_cutoff)
    ways = dict.fromkeys(wall_clock(engine, raw, way, False, False) for way in (rules, plain))
    moment = f"coalesce({', '.join(ways)})" if len(ways) > 1 else next(iter(ways))
    no_hour = has_no_hour(raw, None, False)
    began = (
        f"case when {no_hour} then {moment} else {moment} - interval '{rules.cutoff}' minute end"
        if rules.cutoff
        else moment
    )
    money = "" if is_there else f", cast(0 as {_DECIMAL}) as refunded"
    return f", {moment} as refunded_at, cast(unix_date(cast({began} as date)) as integer) as refunded_on{money}"


def output_columns(rows: StagedRows, said: Mapping[str, str]) -> list[str]:
    """Columns of the typed rows between record and reason."""
    columns = rows.contract.columns
    return [*columns, *(["day", "hour"] if "purchased_at" in columns else []), *said.values()]


def values_shown(rows: StagedRows, rules: Sequence[Rule]) -> str:
    """The value that is shown for the reason of a row."""
    shown = [rule for rule in rules if _is_shown(rows.contract, rule.column)]
    values = " ".join(
        f"when {literal(rule.reason)} then {_masked(rows.engine, rows.contract, rule.column)}" for rule in shown
    )
    return f"case reason {values} end" if shown else empty_text()


def empty_text() -> str:
    return "cast(null as string)"


def _less(name: str, number: str, deducted: Mapping[str, str]) -> str:
    if name != "amount" or not deducted:
        return number
    off = "".join(f" - coalesce({one}, 0)" for one in deducted.values())
    return f"cast({number}{off} as {_DECIMAL})"


def _deducted(engine: SqlEngine, name: str, formats: ColumnFormats) -> str:
    """Money to be taken off, whatever its sign; nothing where nothing is written."""
    number = _decimal(plain_number(engine, f"raw_{name}", formats.reading))
    return f"case when raw_{name} is null then cast(0 as {_DECIMAL}) else abs({number}) end"


def unreadable_deductions(deducted: Mapping[str, str]) -> list[Rule]:
    """Rules for money that is to be taken off and cannot be read."""
    advice = "Deliver numbers as in 1234.50, or state decimal, thousands and currency."
    return [Rule(f"{column!r} is not a number", f"{name} is null", advice) for column, name in deducted.items()]


def _trimmed(rows: StagedRows, column: str) -> str:
    """A cell without white space around it; where the bytes of the file show none, it is not looked for."""
    text = rows.engine.quoted(column)
    careful = rows.engine.trimmed(text)
    return careful if rows.untidy == "true" else f"case when {rows.untidy} then {careful} else nullif({text}, '') end"


def quick_reads(name: str, kind: str, marks: str = "eE_") -> tuple[str, str]:
    """What the engine reads by itself, and whether that is what is meant: it takes more ways to write than are accepted.

    ``marks`` are those of a number's other ways to be written which the cells may hold.
    """
    if kind == "time":
        meant = f"cast(quick_{name} as string) = raw_{name} and quick_{name} between {_FIRST} and {_LAST}"
    else:
        odd = " or ".join(f"contains(raw_{name}, '{mark}')" for mark in marks)
        meant = f"quick_{name} is not null and not ({odd})"
    return f"try_cast(raw_{name} as {_TYPES[kind]})", meant


_FIRST, _LAST = "timestamp '1000-01-01 00:00:00'", "timestamp '9999-12-31 23:59:59'"


def _raws(rows: StagedRows, formats: ColumnFormats) -> dict[str, str]:
    """The text of each contract column that is there, or that follows from others."""
    engine, contract = rows.engine, rows.contract
    raws = {name: _raw(engine, contract.columns[name], f"given_{name}", rows.untidy) for name in rows.present}
    for name in rows.columns:
        if name not in raws:
            one, other = contract.derived[name]
            raws[name] = _product(engine, raws[one], raws[other], formats.numbers(one), formats.numbers(other))
    return raws


def trading_day(formats: ColumnFormats, has_hour: bool = False) -> str:
    """The trading day's number, and the hour on the wall; a day without a time of day stays the day it says."""
    cutoff = formats.time_rules.cutoff
    began = f"purchased_at - interval '{cutoff}' minute" if cutoff else "purchased_at"
    hour, no_hour = "cast(extract(hour from purchased_at) as integer)", "false" if has_hour else _has_no_hour(formats)
    if no_hour == "true":
        began, hour = "purchased_at", "cast(null as integer)"
    elif no_hour != "false":
        began = f"case when {no_hour} then purchased_at else {began} end" if cutoff else began
        hour = f"case when {no_hour} then null else {hour} end"
    return f"cast(unix_date(cast({began} as date)) as integer) as day, {hour} as hour"


def _has_no_hour(formats: ColumnFormats) -> str:
    """Whether a purchase has no time of day."""
    if formats.whole_days:
        return "true"
    joined = "purchased_at" in formats.joined
    return has_no_hour("raw_purchased_at", formats.time_rules.time_format, joined)


def currency_rules(
    engine: SqlEngine, contract: Contract, present: Iterable[str], formats: ColumnFormats, has_rates: bool
) -> list[Rule]:
    """Rules for amounts in another currency than the one stated: a sign beside them, or a column without rates, says so."""
    present = list(present)
    money = [name for name in present if contract.columns[name] == "money" and formats.numbers(name).currency]
    stated = formats.reading.currency
    if stated and {"currency", "amount"} <= set(present) and not has_rates:
        known = ", ".join(literal(code.lower()) for code in (stated, *SIGNS.get(stated, ())))
        return [
            another_currency("amount", f"lower(raw_currency) not in ({known})"),
            *_signs_of_others(engine, money, formats),
        ]
    return _signs_of_others(engine, money, formats)


def _signs_of_others(engine: SqlEngine, money: Iterable[str], formats: ColumnFormats) -> list[Rule]:
    return [another_currency(name, in_another_currency(engine, f"raw_{name}", formats.reading)) for name in money]


def _raw(engine: SqlEngine, kind: str, given: str, untidy: str) -> str:
    if kind == "id":
        given = f"case when {given} like '=%' or {given} like '''%' then {_unguarded(given)} else {given} end"
        if untidy != "false":
            given = _narrow(engine, given)
        whole = f"contains({given}, '.0') and {engine.matches(given, _WHOLE)}"
        return f"case when {whole} then split_part({given}, '.', 1) else {given} end"
    if kind in ("time", "date"):  # 20260301.0 of a column of floats
        whole = f"{given} like '%.0' and {engine.matches(given, _WHOLE)}"
        return f"case when {whole} then split_part({given}, '.', 1) else {in_western_digits(given)} end"
    return given


def _unguarded(given: str) -> str:
    """An id without what tells a spreadsheet that it is text: ="00078" and '00078."""
    formula = f"substring({given}, 3, length({given}) - 3)"
    mark = f"when {given} like '''%' and length({given}) > 1 then substring({given}, 2)"
    return f"case when {given} like '=\"%\"' and length({given}) > 3 then {formula} {mark} else {given} end"


_FULL_WIDTH = "".join(map(chr, (0xFF0D, *range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B))))
_NARROW = "".join(chr(ord(mark) - 0xFEE0) for mark in _FULL_WIDTH)
_UNSEEN = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"


def ids_rewritten(rows: StagedRows) -> int:
    """How many customer ids are written with characters of full width, or that are not seen, and are taken as usual ones."""
    if rows.untidy == "false" or rows.contract.columns.get("customer_id") != "id" or "customer_id" not in rows.present:
        return 0
    given = rows.engine.trimmed(rows.engine.quoted(rows.present["customer_id"]))
    ids = f"(select {given} as id from {rows.table}) as ids"
    odd = f"bit_length(id) <> 8 * length(id) and coalesce({_narrow(rows.engine, 'id')}, '') <> id"
    return int(rows.engine.frame(f"select count(*) as n from {ids} where {odd}")["n"][0])


def _narrow(engine: SqlEngine, given: str) -> str:
    """An id in letters and digits of usual width, and without characters that are not seen."""
    narrow = f"nullif(translate({given}, {literal(_FULL_WIDTH + _UNSEEN)}, {literal(_NARROW)}), '')"
    return f"case when {engine.matches(given, '[^ -~]')} then {narrow} else {given} end"


def _product(engine: SqlEngine, one: str, other: str, of_one: Reading, of_other: Reading) -> str:
    factors = [_decimal(plain_number(engine, text, way)) for text, way in ((one, of_one), (other, of_other))]
    wide = f"cast({factors[0]} as decimal(19, 4))"  # one more digit: the product is exact, with 8 places, everywhere
    return f"coalesce(cast({wide} * {factors[1]} as string), {one} || ' × ' || {other})"


def careful_cast(
    rows: StagedRows,
    name: str,
    formats: ColumnFormats,
    quick: tuple[str, str] | None,
    there: bool,
    is_return: str | None,
) -> str:
    engine, kind, raw = rows.engine, rows.contract.columns[name], f"raw_{name}"
    if kind in ("money", "number"):
        number = _decimal(f"plain_{name}") if there else f"cast(null as {_DECIMAL})"
        number = f"case when {quick[1]} then quick_{name} else {number} end" if quick else number
        signed = is_return and name in SIGNED
        return f"case when {is_return} then -abs({number}) else {number} end" if signed else number
    if kind == "time":
        careful = wall_clock(engine, raw, formats.time_rules, name in formats.joined, formats.whole_days)
        return f"case when {quick[1]} then quick_{name} else {careful} end" if quick else careful
    if kind == "date":
        return _date(engine, raw, None if name in formats.plain else formats.reading.date_format)
    return raw


SIGNED = ("amount", "quantity")


def type_of(kind: str) -> str:
    """The SQL type of a column of a contract."""
    return _TYPES.get(kind, "string")


def raw_text(rows: StagedRows, name: str, given: str) -> str:
    """A tidy cell as its contract column reads it."""
    return _raw(rows.engine, rows.contract.columns[name], given, "false")


def _decimal(number: str) -> str:
    """Text as a decimal of four places; one with a power of ten by way of a double, as DuckDB 1 misreads 5e-17."""
    by_double = f"try_cast(try_cast({number} as double) as {_DECIMAL})"
    has_power = f"contains({number}, 'e') or contains({number}, 'E')"
    return f"case when {has_power} then {by_double} else try_cast({number} as {_DECIMAL}) end"


def _date(engine: SqlEngine, raw: str, date_format: str | None) -> str:
    if date_format is None:
        return engine.local_day(raw)
    return f"cast({engine.local_time(*readable(engine, raw, date_format), None, None)} as date)"


def empty_columns(contract: Contract) -> list[str]:
    """A contract's columns without a value, as texts and typed: what a rule may name."""
    return [
        f"cast(null as {kind}) as {name}"
        for column, given in contract.columns.items()
        for name, kind in ((column, _TYPES.get(given, "string")), (f"raw_{column}", "string"))
    ]


def _masked(engine: SqlEngine, contract: Contract, name: str) -> str:
    """A value as the report shows it: of one that looks like a card's number or an address, as where the wrong column is
    named, only the beginning."""
    raw, digits = f"raw_{name}", "15" if contract.columns[name] in ("time", "date") else "13"
    bare = f"replace(replace({raw}, ' ', ''), '-', '')"
    is_personal = f"contains({raw}, '@') or {engine.matches(bare, f'[0-9]{{{digits},19}}')}"
    return f"case when {is_personal} then substring({raw}, 1, 2) || '…' else {raw} end"


def _is_shown(contract: Contract, name: str) -> bool:
    """Whether the offending value is shown in the report; ids are persons and are never shown."""
    return contract.columns.get(name, "id") != "id"
