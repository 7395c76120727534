"""Text as typed SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from crmkit.engine.duckdb import Engine
from crmkit.engine.spark import SparkEngine
from crmkit.ingest.contracts import Contract
from crmkit.ingest.numbers import in_another_currency, plain_number
from crmkit.ingest.parts import Reading
from crmkit.ingest.times import Clock, late_clock, readable

_WHOLE = r"^-?[0-9]+\.0+$"
MOMENTS = ("TIMESTAMP", "DATE")


@dataclass(frozen=True)
class Writing:
    """How the texts of one part are written; columns in ``plain`` are numbers or times of the engine's own."""

    clock: Clock
    reading: Reading
    plain: frozenset[str]

    def numbers(self, name: str) -> Reading:
        """How the numbers of a contract column are written."""
        return Reading() if name in self.plain else self.reading


def casts_of(
    engine: Engine | SparkEngine,
    staged: str,
    contract: Contract,
    present: Mapping[str, str],
    writing: Writing,
    extra: Mapping[str, tuple[str, str]],
) -> str:
    """A query for typed columns, and for a faulty row its first reason and the value that caused it."""
    raws = {name: _raw(engine, contract.columns[name], given) for name, given in present.items()}
    for name, (one, other) in contract.products.items():
        if contract.computed(name, present):
            raws[name] = _product(engine, raws[one], raws[other], writing.numbers(one), writing.numbers(other))
    texts = ", ".join(f"{text} as raw_{name}" for name, text in raws.items())
    casts = ", ".join(_cast(engine, contract, name, name in raws, writing) for name in contract.columns)
    screens = ", ".join(f"{screen} as {name}" for name, screen in contract.screens(raws).items())
    nobody = {reason: ("customer_id", rule) for reason, rule in contract.nobody.items()}
    faults = _currency_faults(engine, contract, raws, writing) | contract.faults(raws) | dict(extra) | nobody
    reasons = " ".join(f"when {rule} then '{reason}'" for reason, (_, rule) in faults.items())
    values = " ".join(f"when '{reason}' then {_shown(contract, name)}" for reason, (name, _) in faults.items())
    names = ", ".join(contract.columns)
    amount = "amount" if "amount" in contract.columns else "cast(0 as decimal(18, 4))"
    day = ", " + _day(writing.clock) if "purchased_at" in contract.columns else ""
    return f"""with texts as (select {engine.place} as record, {texts} from {staged}),
        typed as (select *, {casts} from texts),
        dated as (select *, {screens}{day} from typed),
        judged as (select *, case {reasons} end as reason from dated)
        select record, {names}{", day, hour" if day else ""}, reason,
        case reason {values} end as value{"" if "amount" in contract.columns else f", {amount} as amount"} from judged"""


def _day(clock: Clock) -> str:
    """The trading day's number, and the hour on the wall."""
    began = f"purchased_at - interval '{clock.cutoff}' minute" if clock.cutoff else "purchased_at"
    return f"cast(unix_date(cast({began} as date)) as integer) as day, cast(extract(hour from purchased_at) as integer) as hour"


def _currency_faults(
    engine: Engine | SparkEngine, contract: Contract, raws: Mapping[str, str], writing: Writing
) -> dict[str, tuple[str, str]]:
    money = [name for name in raws if contract.columns[name] == "money" and writing.numbers(name).currency]
    return {
        f"{name} is in another currency": (name, in_another_currency(engine, f"raw_{name}", writing.reading))
        for name in money
    }


def _raw(engine: Engine | SparkEngine, kind: str, given: str) -> str:
    text = engine.trimmed(engine.quoted(given))
    if kind == "id":
        whole = f"{text} like '%.0%' and {engine.matches(text, _WHOLE)}"
        return f"case when {whole} then split_part({text}, '.', 1) else {text} end"
    if kind in ("time", "date"):  # 20260301.0 of a column of floats
        return f"case when {text} like '%.0' and {engine.matches(text, _WHOLE)} then split_part({text}, '.', 1) else {text} end"
    return text


def _product(engine: Engine | SparkEngine, one: str, other: str, of_one: Reading, of_other: Reading) -> str:
    factors = [_decimal(plain_number(engine, text, way)) for text, way in ((one, of_one), (other, of_other))]
    wide = f"cast({factors[0]} as decimal(19, 4))"  # one more digit: the product is exact, with 8 places, everywhere
    return f"coalesce(cast({wide} * {factors[1]} as string), {one} || ' × ' || {other})"


def _cast(engine: Engine | SparkEngine, contract: Contract, name: str, there: bool, writing: Writing) -> str:
    kind = contract.columns[name]
    raw = f"raw_{name}" if there else "cast(null as string)"
    if kind in ("money", "number"):
        cast = _decimal(plain_number(engine, raw, writing.numbers(name)))
    elif kind == "time":
        cast = _time(engine, raw, writing.clock)
    elif kind == "date":
        cast = _date(engine, raw, None if name in writing.plain else writing.reading.date_format)
    else:
        cast = raw
    return f"{cast} as {name}"


def _decimal(number: str) -> str:
    """Text as a decimal of four places; one with a power of ten by way of a double, as DuckDB 1 misreads 5e-17."""
    by_double = f"try_cast(try_cast({number} as double) as decimal(18, 4))"
    has_power = f"contains({number}, 'e') or contains({number}, 'E')"
    return f"case when {has_power} then {by_double} else try_cast({number} as decimal(18, 4)) end"


def _time(engine: Engine | SparkEngine, raw: str, clock: Clock) -> str:
    """Text as the wall-clock time; hours past 24 are the next day's, up to where the next trading day begins."""
    text, time_format = readable(engine, raw, clock.time_format)
    local = engine.local_time(text, time_format, clock.recorded_in, clock.time_zone)
    if not clock.cutoff:
        return local
    is_late, rewritten = late_clock(engine, text)
    late = engine.local_time(rewritten, time_format, clock.recorded_in, clock.time_zone)
    in_day = f"extract(hour from {late}) * 60 + extract(minute from {late}) < {clock.cutoff}"
    return f"case when {is_late} then case when {in_day} then {late} + interval '1' day end else {local} end"


def _date(engine: Engine | SparkEngine, raw: str, date_format: str | None) -> str:
    if date_format is None:
        return engine.local_day(raw)
    return f"cast({engine.local_time(*readable(engine, raw, date_format), None, None)} as date)"


def _shown(contract: Contract, name: str) -> str:
    """The offending value, for the report; ids are persons and are never shown."""
    return "cast(null as string)" if contract.columns[name] == "id" else f"raw_{name}"
