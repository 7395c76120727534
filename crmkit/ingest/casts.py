"""Text as typed SQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from crmkit.engine.base import SqlEngine
from crmkit.engine.texts import literal
from crmkit.ingest.contracts import Contract
from crmkit.ingest.numbers import in_another_currency, plain_number
from crmkit.ingest.parts import Reading
from crmkit.ingest.rules import Rule, another_currency
from crmkit.ingest.times import TimeRules, late_clock, readable

_WHOLE = r"^-?[0-9]+\.0+$"
MOMENTS = ("TIMESTAMP", "DATE")


@dataclass(frozen=True)
class ColumnFormats:
    """How the texts of one part are written; columns in ``plain`` are numbers or times of the engine's own."""

    time_rules: TimeRules
    reading: Reading
    plain: frozenset[str]

    def numbers(self, name: str) -> Reading:
        """How the numbers of a contract column are written."""
        return Reading() if name in self.plain else self.reading


def casts_of(
    engine: SqlEngine,
    staged: str,
    contract: Contract,
    present: Mapping[str, str],
    formats: ColumnFormats,
    rules: Sequence[Rule],
) -> str:
    """A query for typed columns, and for an invalid row its first reason and the value that caused it."""
    raws = {name: _raw(engine, contract.columns[name], given) for name, given in present.items()}
    for name, (one, other) in contract.derived.items():
        if contract.computed(name, present):
            raws[name] = _product(engine, raws[one], raws[other], formats.numbers(one), formats.numbers(other))
    texts = ", ".join(f"{raws.get(name, 'cast(null as string)')} as raw_{name}" for name in contract.columns)
    casts = ", ".join(_cast(engine, contract, name, formats) for name in contract.columns)
    screens = ", ".join(f"{screen} as {name}" for name, screen in contract.screens(raws).items())
    reasons = " ".join(f"when ({rule.condition}) then {literal(rule.reason)}" for rule in rules)
    values = " ".join(f"when {literal(rule.reason)} then {_shown(contract, rule.column)}" for rule in rules)
    names = ", ".join(contract.columns)
    amount = "amount" if "amount" in contract.columns else "cast(0 as decimal(18, 4))"
    day = ", " + _day(formats.time_rules) if "purchased_at" in contract.columns else ""
    return f"""with texts as (select {engine.place} as record, {texts} from {staged}),
        typed as (select *, {casts} from texts),
        dated as (select *, {screens}{day} from typed),
        judged as (select *, case {reasons} end as reason from dated)
        select record, {names}{", day, hour" if day else ""}, reason,
        case reason {values} end as value{"" if "amount" in contract.columns else f", {amount} as amount"} from judged"""


def _day(time_rules: TimeRules) -> str:
    """The trading day's number, and the hour on the wall."""
    began = f"purchased_at - interval '{time_rules.cutoff}' minute" if time_rules.cutoff else "purchased_at"
    return f"cast(unix_date(cast({began} as date)) as integer) as day, cast(extract(hour from purchased_at) as integer) as hour"


def currency_rules(engine: SqlEngine, contract: Contract, present: Iterable[str], formats: ColumnFormats) -> list[Rule]:
    """Rules for amounts with the sign of another currency than the one stated."""
    money = [name for name in present if contract.columns[name] == "money" and formats.numbers(name).currency]
    return [another_currency(name, in_another_currency(engine, f"raw_{name}", formats.reading)) for name in money]


def _raw(engine: SqlEngine, kind: str, given: str) -> str:
    text = engine.trimmed(engine.quoted(given))
    if kind == "id":
        whole = f"{text} like '%.0%' and {engine.matches(text, _WHOLE)}"
        return f"case when {whole} then split_part({text}, '.', 1) else {text} end"
    if kind in ("time", "date"):  # 20260301.0 of a column of floats
        return f"case when {text} like '%.0' and {engine.matches(text, _WHOLE)} then split_part({text}, '.', 1) else {text} end"
    return text


def _product(engine: SqlEngine, one: str, other: str, of_one: Reading, of_other: Reading) -> str:
    factors = [_decimal(plain_number(engine, text, way)) for text, way in ((one, of_one), (other, of_other))]
    wide = f"cast({factors[0]} as decimal(19, 4))"  # one more digit: the product is exact, with 8 places, everywhere
    return f"coalesce(cast({wide} * {factors[1]} as string), {one} || ' × ' || {other})"


def _cast(engine: SqlEngine, contract: Contract, name: str, formats: ColumnFormats) -> str:
    kind, raw = contract.columns[name], f"raw_{name}"
    if kind in ("money", "number"):
        cast = _decimal(plain_number(engine, raw, formats.numbers(name)))
    elif kind == "time":
        cast = _time(engine, raw, formats.time_rules)
    elif kind == "date":
        cast = _date(engine, raw, None if name in formats.plain else formats.reading.date_format)
    else:
        cast = raw
    return f"{cast} as {name}"


def _decimal(number: str) -> str:
    """Text as a decimal of four places; one with a power of ten by way of a double, as DuckDB 1 misreads 5e-17."""
    by_double = f"try_cast(try_cast({number} as double) as decimal(18, 4))"
    has_power = f"contains({number}, 'e') or contains({number}, 'E')"
    return f"case when {has_power} then {by_double} else try_cast({number} as decimal(18, 4)) end"


def _time(engine: SqlEngine, raw: str, time_rules: TimeRules) -> str:
    """Text as the wall-clock time; hours past 24 are the next day's, up to where the next trading day begins."""
    text, time_format = readable(engine, raw, time_rules.time_format)
    local = engine.local_time(text, time_format, time_rules.recorded_in, time_rules.time_zone)
    if not time_rules.cutoff:
        return local
    is_late, rewritten = late_clock(engine, text)
    late = engine.local_time(rewritten, time_format, time_rules.recorded_in, time_rules.time_zone)
    in_day = f"extract(hour from {late}) * 60 + extract(minute from {late}) < {time_rules.cutoff}"
    return f"case when {is_late} then case when {in_day} then {late} + interval '1' day end else {local} end"


def _date(engine: SqlEngine, raw: str, date_format: str | None) -> str:
    if date_format is None:
        return engine.local_day(raw)
    return f"cast({engine.local_time(*readable(engine, raw, date_format), None, None)} as date)"


_TYPES = {"money": "decimal(18, 4)", "number": "decimal(18, 4)", "time": "timestamp_ntz", "date": "date"}


def empty_columns(contract: Contract) -> list[str]:
    """A contract's columns without a value, as texts and typed: what a rule may name."""
    return [
        f"cast(null as {kind}) as {name}"
        for column, given in contract.columns.items()
        for name, kind in ((column, _TYPES.get(given, "string")), (f"raw_{column}", "string"))
    ]


def _shown(contract: Contract, name: str) -> str:
    """The offending value, for the report; ids are persons and are never shown."""
    return "cast(null as string)" if contract.columns.get(name, "id") == "id" else f"raw_{name}"
