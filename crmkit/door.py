"""The door: parts of an extract come in as text, sound rows go on typed, the others stay with file, line and reason.

Everything delivered is first text, whatever it came as, so that a CSV, a Parquet file and a dataframe meet the same
rules and give the same answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmkit.contracts import Contract
from crmkit.engine import Engine, SparkEngine, check_format, check_zone, literal, states_offset
from crmkit.exceptions import ContractError, ExtractError, SourceChangedError
from crmkit.extracts import Extract, Fingerprint, Part, Reading, prepared, records, with_line_feeds
from crmkit.files import is_gzip
from crmkit.notation import (
    fitting_formats,
    in_another_currency,
    is_ambiguous,
    is_another_order,
    late_clock,
    minutes,
    plain_number,
    readable,
)

__all__ = ["Admitted", "Clock", "Places", "admit"]

Whole = NDArray[np.int64]

_BROKEN = {
    "UNQUOTED VALUE": "a quote is not closed where its field ends",
    "LINE SIZE OVER MAXIMUM": "the row is longer than 2,000,000 bytes",
    "JSON": "the line is not a JSON object, or has a name twice",
}
_STRUCTURE = "fields do not match the header"
_WHOLE = r"^-?[0-9]+\.0+$"
_MOMENTS = ("TIMESTAMP", "DATE")
_NESTED = ("[]", "STRUCT", "MAP", "UNION", "BLOB", "BIT")


@dataclass(frozen=True)
class Clock:
    """How times are written, and where the shop's day begins.

    ``time_zone`` is the shop's; ``recorded_in`` is the zone of times that state no offset, the shop's own when not
    given; ``time_format`` is a ``strptime`` format for times that are not written year first, or ``"excel"`` for the day
    numbers of a spreadsheet. Purchases before
    ``trading_day_cutoff`` ("05:00") belong to the day before, and a clock that counts on after midnight (25:10) is read.
    """

    time_zone: str | None = None
    recorded_in: str | None = None
    time_format: str | None = None
    trading_day_cutoff: str | None = None

    def __post_init__(self) -> None:
        for zone in (self.time_zone, self.recorded_in):
            if zone is not None:
                check_zone(zone)
        if self.trading_day_cutoff is not None:
            minutes(self.trading_day_cutoff)
        if self.recorded_in and not self.time_zone:
            raise ContractError("recorded_in is given without time_zone. State the shop's own zone: time_zone=….")
        if self.time_format:
            check_format(self.time_format)
            if states_offset(self.time_format) and not self.time_zone:
                raise ContractError(
                    f"time_format={self.time_format!r} reads offsets. State the shop's zone: time_zone=…."
                )

    @property
    def cutoff(self) -> int:
        """Minutes after midnight at which the shop's day begins."""
        return minutes(self.trading_day_cutoff) if self.trading_day_cutoff else 0


@dataclass(frozen=True)
class Writing:
    """How the texts of one part are written; columns in ``plain`` are numbers or times of the engine's own."""

    clock: Clock
    reading: Reading
    plain: frozenset[str]

    def numbers(self, name: str) -> Reading:
        """How the numbers of a contract column are written."""
        return Reading() if name in self.plain else self.reading


@dataclass(frozen=True)
class Places:
    """Where the rows of one part stand: the record they are, counted from 1 after the header, and its physical line.

    Records are numbered here from the header, which is 0, with the blank ones; ``staged`` holds the number of each row
    that could be split into fields, ``starts`` the line of every number. Where a row is a line they are not needed.
    """

    has_lines: bool
    staged: Whole | None = None
    starts: Whole | None = None
    blank: Whole = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    skipped: int = 0

    def of_staged(self, rows: Whole) -> pd.DataFrame:
        """record and line of staged rows, which count from 1."""
        return self.of_records(rows if self.staged is None else self.staged[rows - 1])

    def of_records(self, numbers: Whole) -> pd.DataFrame:
        """record and line of records by their number."""
        lines = (numbers + 1 if self.starts is None else self.starts[numbers]) + self.skipped
        seen = np.array(numbers - np.searchsorted(self.blank, numbers), dtype=np.int64)
        known = pd.array(lines if self.has_lines else [pd.NA] * len(lines), dtype="Int64")
        return pd.DataFrame({"record": seen, "line": known})


@dataclass(frozen=True)
class Admitted:
    """One part, sorted into sound and faulty rows.

    Attributes
    ----------
    rows : str
        Name of the engine's relation of typed rows: ``record``, which counts the rows that could be split into fields,
        the contract's columns, and the reason for which a row is faulty.
    rejected : str
        Name of the engine's relation of rejected rows: file, record, line, reason, value, amount; ``record`` counts
        from 1 without the header.
    rows_read : int
    amount_read : Decimal
        Sum of the readable amounts of all rows of the part.
    sha256 : str
        Tells one delivery from another: of the file's content, unpacked; where the file is one of several sheets, or its
        folders state columns of the contract, of the content together with these. Empty for a dataframe.
    places : Places
    """

    name: str
    rows: str
    rejected: str
    rows_read: int
    amount_read: Decimal
    sha256: str
    places: Places


def admit(
    engine: Engine | SparkEngine,
    extract: Extract,
    part: Part,
    contract: Contract,
    names: Mapping[str, str],
    clock: Clock,
    call: str,
    extra_rules: Mapping[str, tuple[str, str]] | None = None,
    nobody: Mapping[str, str] | None = None,
) -> Admitted:
    """Read one part through a contract; ``extra_rules`` and ``nobody`` add to the contract's own, for this delivery."""
    source = part.name if len(extract.parts) > 1 or part.path else "The extract"
    present = contract.resolve(part.columns, names, source, call, extract.columns)
    _check_renamed(extract, part, contract, names, present)
    before = _state(part)
    readable, content = prepared(part, engine.scratch) if isinstance(engine, Engine) else (part, None)
    staged, kinds, broken = _stage(engine, readable, present, content)
    if _state(part) != before:
        raise SourceChangedError(f"{part.name} changed while it was read. Run again when the delivery is complete.")
    clock = _check_clock(engine, staged, part, contract, present, clock, kinds)
    writing = _writing(contract, present, clock, part.reading, kinds)
    _check_open(engine, staged, part, contract, present, writing)
    rules = dict(extra_rules or {}) | {reason: ("customer_id", rule) for reason, rule in (nobody or {}).items()}
    typed = engine.keep(_typed(engine, staged, contract, present, writing, rules))
    engine.drop(staged)
    sums = engine.arrow(f"select count(*) as n, coalesce(sum(amount), 0) as total from {typed}")
    n_staged = sums["n"][0].as_py()
    places = _places(readable, content, broken["record"].to_numpy(dtype=np.int64) - 1, n_staged)
    return Admitted(
        part.name,
        typed,
        _rejected(engine, typed, part, broken, places),
        n_staged + len(broken),
        Decimal(sums["total"][0].as_py()).quantize(Decimal("0.0001")),
        _sha256(part, present, content) if content else "",
        places,
    )


def _sha256(part: Part, present: Mapping[str, str], content: Fingerprint) -> str:
    """The file's own, unless its sheet or its folders say more about the rows than the file alone."""
    stated = [(name, value) for name, value in part.constants if name in present.values()]
    if not stated and content.sheet is None:
        return content.sha256
    return hashlib.sha256(json.dumps([content.sha256, content.sheet, stated]).encode()).hexdigest()


def _state(part: Part) -> tuple[int, int, int] | None:
    if part.path is None:
        return None
    stat = part.path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def _stage(
    engine: Engine | SparkEngine, part: Part, present: Mapping[str, str], content: Fingerprint | None
) -> tuple[str, dict[str, str], pd.DataFrame]:
    """The rows of a part as text, in order; the type each column had; and the records that are not rows."""
    if part.kind == "csv" and part.path and content and isinstance(engine, Engine):
        source = part if content.even else with_line_feeds(part, engine.scratch)
        path = source.path or part.path
        with engine.reading(part.name):
            staged, broken = engine.csv(path, part.own_columns, part.delimiter, is_gzip(path))
            if part.constants:
                staged = engine.stage(f"select *{part.constant_columns} from {staged}")
        return staged, {}, broken
    with engine.reading(part.name):
        relation = engine.register(part.table) if part.path is None else engine.parquet(part.path)
        kinds = {given: kind for given, kind in engine.types(relation).items() if given in present.values()}
        _refuse_nested(part, kinds | dict.fromkeys(_nested_in(content, kinds), "lists or objects []"))
        texts = [f"{engine.text(given, kind)} as {engine.quoted(given)}" for given, kind in kinds.items()]
        constants = part.constant_columns.removeprefix(", ")
        staged = engine.stage(f"select {', '.join([*texts, *filter(None, [constants])])} from {relation}")
    torn = content.torn if content else ()
    broken = pd.DataFrame({"record": np.array(torn, dtype=np.int64) + 1, "kind": "JSON", "message": None})
    return staged, kinds, broken


def _nested_in(content: Fingerprint | None, kinds: Mapping[str, str]) -> set[str]:
    return set(content.nested) & set(kinds) if content else set()


def _refuse_nested(part: Part, kinds: Mapping[str, str]) -> None:
    nested = [
        f"{name!r} ({kind})" for name, kind in kinds.items() if kind.startswith(_NESTED) or kind.endswith(_NESTED)
    ]
    if nested:
        raise ContractError(f"{part.name}: {', '.join(nested)} must hold single values: text, numbers, dates or times.")


def _check_clock(
    engine: Engine | SparkEngine,
    staged: str,
    part: Part,
    contract: Contract,
    present: Mapping[str, str],
    clock: Clock,
    kinds: Mapping[str, str],
) -> Clock:
    """The clock for this part: a format is for text, and offsets need the shop's zone."""
    times = [present[name] for name in present if contract.columns[name] == "time"]
    if any(kinds.get(given, "").startswith(_MOMENTS) for given in times):
        clock = replace(clock, time_format=None)
    if not times or clock.time_zone or clock.time_format:
        return clock
    holds = " or ".join(engine.has_offset(f"trim({engine.quoted(name)})") for name in times)
    if engine.frame(f"select 1 as found from {staged} where {holds} limit 1").size:
        raise ContractError(
            f"{part.name}: {times[0]!r} states offsets from UTC, so the shop's day needs a zone. "
            "State it: time_zone='Europe/Berlin', say."
        )
    return clock


def _check_renamed(
    extract: Extract, part: Part, contract: Contract, names: Mapping[str, str], present: Mapping[str, str]
) -> None:
    """Raise when a part lacks a column that others have, and has one instead that stands beside it nowhere.

    A column that is only gained or given up is no fault: the files without it lack its values. Nor is one whose own name
    the caller states.
    """
    there = extract.columns
    open_names = [name for name in contract.columns if name not in present and names.get(name) != name]
    wanted = [names.get(name, name) for name in open_names if names.get(name, name) in there]
    for name in wanted:
        having = [other for other in extract.parts if name in other.columns]
        beside = set(present.values()).union(*(other.columns for other in having))
        instead = [column for column in part.columns if column not in beside]
        if instead:
            raise ContractError(
                f"{part.name} lacks the columns {[name]}, which {having[0].name} has, and has {instead} instead, which "
                "may be the same under another name. If it is, read the files in two extracts; if not, deliver the columns "
                f"alike, or state the column by its own name: {name}={name!r}."
            )


def _writing(
    contract: Contract, present: Mapping[str, str], clock: Clock, reading: Reading, kinds: Mapping[str, str]
) -> Writing:
    computed = {name for name in contract.products if contract.computed(name, present)}
    plain = {name for name, given in present.items() if _is_plain(contract.columns[name], kinds.get(given, "VARCHAR"))}
    return Writing(clock, reading, frozenset(computed | plain))


def _is_plain(kind: str, given: str) -> bool:
    """Whether values come as what they are; a time that comes as a number does not."""
    return given.startswith(_MOMENTS) if kind in ("time", "date") else given != "VARCHAR"


def _check_open(
    engine: Engine | SparkEngine,
    staged: str,
    part: Part,
    contract: Contract,
    present: Mapping[str, str],
    writing: Writing,
) -> None:
    """Raise when the values of a column leave open how they are written, and nothing was stated."""
    stated = {
        "time": writing.clock.time_format,
        "date": writing.reading.date_format,
        "money": writing.reading.decimal or writing.reading.thousands,
        "number": writing.reading.decimal or writing.reading.thousands,
    }
    asked = {
        name: given
        for name, given in present.items()
        if name not in writing.plain and not stated.get(contract.columns[name], "nothing to state")
    }
    counts = [_counted(engine, contract.columns[name], name, given) for name, given in asked.items()]
    if not counts:
        return
    found = engine.arrow(f"select {', '.join(counts)} from {staged}").to_pylist()[0]
    for name, given in asked.items():
        n, n_all, one = (found[f"{what}_{name}"] for what in ("n", "all", "one"))
        _refuse_open(engine, staged, part, contract.columns[name], given, n, n_all, one)


def _counted(engine: Engine | SparkEngine, kind: str, name: str, given: str) -> str:
    """How many values there are, how many can be read in two ways, and one of these."""
    text = engine.quoted(given)
    is_open = (is_ambiguous if kind in ("money", "number") else is_another_order)(engine, text)
    found = f"case when {is_open} then {text} end"
    return f"count({found}) as n_{name}, count({text}) as all_{name}, min({found}) as one_{name}"


def _refuse_open(
    engine: Engine | SparkEngine, staged: str, part: Part, kind: str, given: str, n: int, n_all: int, one: str | None
) -> None:
    if kind in ("money", "number"):
        if n * 10 > n_all:
            mark = "." if "." in (one or "") else ","
            other = "," if mark == "." else "."
            raise ContractError(
                f"{part.name}: {given!r} holds {n:,} numbers like {one!r} among {n_all:,}, which may be thousands or "
                f"three decimals. State decimal={mark!r}, or decimal={other!r} and thousands={mark!r}."
            )
    elif n * 2 > n_all:
        formats = fitting_formats(engine, staged, given)
        option = "time_format" if kind == "time" else "date_format"
        if formats:
            fit = " or ".join(f"{option}={form!r}" for form in formats)
            meant = "State the one that is meant" if len(formats) > 1 else "State it"
            raise ContractError(
                f"{part.name}: {given!r} holds {n:,} values like {one!r} among {n_all:,}. They fit {fit}. {meant}."
            )


def _typed(
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


def _places(part: Part, content: Fingerprint | None, broken: Whole, n_staged: int) -> Places:
    """Count the records of a text file a second way, and see that each is either staged or broken."""
    if content is None or not (content.lines or content.starts is not None):
        return Places(has_lines=False)
    n_rows = n_staged + len(broken)
    if content.starts is not None:
        is_staged = np.ones(n_rows + 1, dtype=bool)
        is_staged[[0, *broken]] = False
        return Places(True, np.flatnonzero(is_staged), content.starts)
    starts, blank = None, np.zeros(0, dtype=np.int64)
    if content.lines != n_rows + 1:
        signed = np.fromiter(records(part, content.skipped), dtype=np.int64)
        starts, blank = np.abs(signed), np.flatnonzero(signed < 0)
        n_counted = len(signed) - len(blank) - 1
        if n_counted != n_rows:
            raise ExtractError(
                f"{part.name}: {n_rows:,} rows were read where {n_counted:,} were counted. "
                "Look for a quote that is not closed; nothing was loaded from it."
            )
    if starts is None and not len(broken):
        return Places(has_lines=True, skipped=content.skipped)
    is_staged = np.ones(n_rows + len(blank) + 1, dtype=bool)
    is_staged[[0, *broken, *blank]] = False
    return Places(True, np.flatnonzero(is_staged), starts, blank, content.skipped)


def _rejected(engine: Engine | SparkEngine, typed: str, part: Part, broken: pd.DataFrame, places: Places) -> str:
    """Faulty rows and broken records with their places and reasons, in the order of the part."""
    name = literal(part.name)
    if not places.has_lines:
        return engine.keep(
            f"""select {name} as file, record, cast(null as bigint) as line, reason, value, amount from {typed}
            where reason is not null order by record"""
        )
    faulty = engine.arrow(f"select record from {typed} where reason is not null order by record")["record"].to_numpy()
    told = engine.register(places.of_staged(faulty.astype(np.int64)).assign(staged=faulty))
    torn = places.of_records(broken["record"].to_numpy(dtype=np.int64) - 1)
    reasons = [_BROKEN.get(kind, _STRUCTURE) for kind in broken["kind"]]
    torn = torn.assign(reason=np.array(reasons, dtype=object), value=broken["message"].to_numpy(dtype=object))
    lost = engine.register(torn)
    return engine.keep(
        f"""select {name} as file, told.record, cast(told.line as bigint) as line, reason, value, amount
        from {typed} typed join {told} told on typed.record = told.staged where reason is not null
        union all
        select {name}, record, cast(line as bigint), cast(reason as string), cast(value as string),
        cast(0 as decimal(18, 4)) from {lost}
        order by 2"""
    )
