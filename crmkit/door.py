"""The door: parts of an extract come in as text, sound rows go on typed, the others stay with file, line and reason.

Everything delivered is first text, whatever it came as, so that a CSV, a Parquet file and a dataframe meet the same
rules and give the same answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmkit.contracts import Contract
from crmkit.engine import Engine, check_format, check_zone, quoted, states_offset
from crmkit.exceptions import ContractError, ExtractError, SourceChangedError
from crmkit.extracts import Extract, Fingerprint, Part, check_header, fingerprint, is_gzip, records, with_line_feeds

__all__ = ["Admitted", "Clock", "Places", "admit"]

Whole = NDArray[np.int64]

_BROKEN = {
    "UNQUOTED VALUE": "a quote is not closed where its field ends",
    "LINE SIZE OVER MAXIMUM": "the row is longer than 2,000,000 bytes",
}
_STRUCTURE = "fields do not match the header"
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_WHOLE = r"^-?[0-9]+\.0+$"
_NESTED = ("[]", "STRUCT", "MAP", "UNION", "BLOB", "BIT")


@dataclass(frozen=True)
class Clock:
    """How times are written, and where the shop's day begins.

    ``time_zone`` is the shop's; ``recorded_in`` is the zone of times that state no offset, the shop's own when not
    given; ``time_format`` is a ``strptime`` format for times that are not written year first.
    """

    time_zone: str | None = None
    recorded_in: str | None = None
    time_format: str | None = None

    def __post_init__(self) -> None:
        for zone in (self.time_zone, self.recorded_in):
            if zone is not None:
                check_zone(zone)
        if self.recorded_in and not self.time_zone:
            raise ContractError("recorded_in is given without time_zone. State the shop's own zone: time_zone=….")
        if self.time_format:
            check_format(self.time_format)
            if states_offset(self.time_format) and not self.time_zone:
                raise ContractError(
                    f"time_format={self.time_format!r} reads offsets. State the shop's zone: time_zone=…."
                )


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

    def of_staged(self, rows: Whole) -> pd.DataFrame:
        """record and line of staged rows, which count from 1."""
        return self.of_records(rows if self.staged is None else self.staged[rows - 1])

    def of_records(self, numbers: Whole) -> pd.DataFrame:
        """record and line of records by their number."""
        lines = numbers + 1 if self.starts is None else self.starts[numbers]
        seen = np.array(numbers - np.searchsorted(self.blank, numbers), dtype=np.int64)
        known = pd.array(lines if self.has_lines else [pd.NA] * len(lines), dtype="Int64")
        return pd.DataFrame({"record": seen, "line": known})


@dataclass(frozen=True)
class Admitted:
    """One part, sorted into sound and faulty rows.

    Attributes
    ----------
    sound : str
        Name of the engine's table of typed rows: ``record``, which counts the rows that could be split into fields,
        the contract's columns, and the reason for which a row is faulty.
    rejected : DataFrame
        file, record, line, reason, value, amount; ``record`` counts from 1 without the header.
    rows_read : int
    amount_read : Decimal
        Sum of the readable amounts of all rows of the part.
    sha256 : str
        Of the file's content, unpacked; empty for a dataframe.
    places : Places
    """

    name: str
    sound: str
    rejected: pd.DataFrame
    rows_read: int
    amount_read: Decimal
    sha256: str
    places: Places


def admit(
    engine: Engine,
    extract: Extract,
    part: Part,
    contract: Contract,
    names: Mapping[str, str],
    clock: Clock,
    call: str,
    extra_rules: Mapping[str, tuple[str, str]] | None = None,
) -> Admitted:
    """Read one part through a contract."""
    source = part.name if len(extract.parts) > 1 or part.path else "The extract"
    present = contract.resolve(part.columns, names, source, call)
    before = _state(part)
    check_header(part)
    content = fingerprint(part)
    staged, kinds, broken = _stage(engine, part, present, content)
    if _state(part) != before:
        raise SourceChangedError(f"{part.name} changed while it was read. Run again when the delivery is complete.")
    clock = _check_clock(engine, staged, part, contract, present, clock, kinds)
    typed = _type(engine, staged, contract, present, clock, extra_rules or {})
    engine.drop(staged)
    sums = engine.arrow(f"select count(*) as n, coalesce(sum(amount), 0) as total from {typed}")
    n_staged = sums["n"][0].as_py()
    places = _places(part, content, broken["record"].to_numpy(dtype=np.int64) - 1, n_staged)
    return Admitted(
        part.name,
        typed,
        _rejected(engine, typed, part, broken, places),
        n_staged + len(broken),
        Decimal(sums["total"][0].as_py()).quantize(Decimal("0.0001")),
        content.sha256 if content else "",
        places,
    )


def _state(part: Part) -> tuple[int, int, int] | None:
    if part.path is None:
        return None
    stat = part.path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def _stage(
    engine: Engine, part: Part, present: Mapping[str, str], content: Fingerprint | None
) -> tuple[str, dict[str, str], pd.DataFrame]:
    """The rows of a part as text, in order; the type each column had; and the records that are not rows."""
    if part.is_csv and part.path and content:
        source = part if content.even else with_line_feeds(part, engine.scratch)
        with engine.reading(part.name):
            staged, broken = engine.csv(
                str(source.path), part.columns, part.delimiter, is_gzip(source.path or part.path)
            )
        return staged, {}, broken
    with engine.reading(part.name):
        relation = engine.register(part.table) if part.path is None else engine.parquet(part.path)
        kinds = {given: kind for given, kind in engine.types(relation).items() if given in present.values()}
        _refuse_nested(part, kinds)
        texts = ", ".join(f"{engine.text(given, kind)} as {quoted(given)}" for given, kind in kinds.items())
        staged = engine.stage(f"select {texts} from {relation}")
    return staged, kinds, pd.DataFrame({"record": [], "kind": [], "message": []})


def _refuse_nested(part: Part, kinds: Mapping[str, str]) -> None:
    nested = [
        f"{name!r} ({kind})" for name, kind in kinds.items() if kind.startswith(_NESTED) or kind.endswith(_NESTED)
    ]
    if nested:
        raise ContractError(f"{part.name}: {', '.join(nested)} must hold single values: text, numbers, dates or times.")


def _check_clock(
    engine: Engine,
    staged: str,
    part: Part,
    contract: Contract,
    present: Mapping[str, str],
    clock: Clock,
    kinds: Mapping[str, str],
) -> Clock:
    """The clock for this part: a format is for text, and offsets need the shop's zone."""
    times = [present[name] for name in present if contract.columns[name] == "time"]
    if any(kinds.get(given, "").startswith(("TIMESTAMP", "DATE")) for given in times):
        clock = replace(clock, time_format=None)
    if not times or clock.time_zone or clock.time_format:
        return clock
    holds = " or ".join(engine.has_offset(f"trim({quoted(name)})") for name in times)
    if engine.frame(f"select 1 as found from {staged} where {holds} limit 1").size:
        raise ContractError(
            f"{part.name}: {times[0]!r} states offsets from UTC, so the shop's day needs a zone. "
            "State it: time_zone='Europe/Berlin', say."
        )
    return clock


def _type(
    engine: Engine,
    staged: str,
    contract: Contract,
    present: Mapping[str, str],
    clock: Clock,
    extra: Mapping[str, tuple[str, str]],
) -> str:
    """Typed columns, and for a faulty row its first reason and the value that caused it."""
    raws = {name: _raw(engine, contract.columns[name], given) for name, given in present.items()}
    for name, (one, other) in contract.products.items():
        if contract.computed(name, present):
            raws[name] = _product(engine, raws[one], raws[other])
    texts = ", ".join(f"{text} as raw_{name}" for name, text in raws.items())
    casts = ", ".join(_cast(engine, contract, name, name in raws, clock) for name in contract.columns)
    faults = contract.faults(raws) | dict(extra)
    reasons = " ".join(f"when {rule} then '{reason}'" for reason, (_, rule) in faults.items())
    values = " ".join(f"when '{reason}' then {_shown(contract, name)}" for reason, (name, _) in faults.items())
    names = ", ".join(contract.columns)
    amount = "amount" if "amount" in contract.columns else "cast(0 as decimal(18, 4))"
    day = ", " + _DAY if "purchased_at" in contract.columns else ""
    return engine.stage(
        f"""with texts as (select rowid + 1 as record, {texts} from {staged}),
        typed as (select *, {casts} from texts),
        dated as (select *{day} from typed),
        judged as (select *, case {reasons} end as reason from dated)
        select record, {names}{", day, hour" if day else ""}, reason,
        case reason {values} end as value{"" if "amount" in contract.columns else f", {amount} as amount"} from judged"""
    )


_DAY = "unix_date(cast(purchased_at as date)) as day, cast(extract(hour from purchased_at) as integer) as hour"


def _raw(engine: Engine, kind: str, given: str) -> str:
    text = engine.trimmed(quoted(given))
    if kind == "id":
        whole = f"{text} like '%.0%' and {engine.matches(text, _WHOLE)}"
        return f"case when {whole} then split_part({text}, '.', 1) else {text} end"
    return text


def _product(engine: Engine, one: str, other: str) -> str:
    numbers = f"{engine.matches(one, _NUMBER)} and {engine.matches(other, _NUMBER)}"
    product = f"try_cast({one} as decimal(18, 4)) * try_cast({other} as decimal(18, 4))"
    return f"case when {numbers} then cast({product} as varchar) else {one} || ' × ' || {other} end"


def _cast(engine: Engine, contract: Contract, name: str, there: bool, clock: Clock) -> str:
    kind = contract.columns[name]
    raw = f"raw_{name}" if there else "cast(null as varchar)"
    if kind in ("money", "number"):
        cast = f"case when {engine.matches(raw, _NUMBER)} then try_cast({raw} as decimal(18, 4)) end"
    elif kind == "time":
        cast = engine.local_time(raw, clock.time_format, clock.recorded_in, clock.time_zone)
    elif kind == "date":
        cast = engine.local_day(raw)
    else:
        cast = raw
    return f"{cast} as {name}"


def _shown(contract: Contract, name: str) -> str:
    """The offending value, for the report; ids are persons and are never shown."""
    return "cast(null as varchar)" if contract.columns[name] == "id" else f"raw_{name}"


def _places(part: Part, content: Fingerprint | None, broken: Whole, n_staged: int) -> Places:
    """Count the records of a text file a second way, and see that each is either staged or broken."""
    if content is None or not content.lines:
        return Places(has_lines=False)
    n_rows = n_staged + len(broken)
    starts, blank = None, np.zeros(0, dtype=np.int64)
    if content.lines != n_rows + 1:
        signed = np.fromiter(records(part), dtype=np.int64)
        starts, blank = np.abs(signed), np.flatnonzero(signed < 0)
        n_counted = len(signed) - len(blank) - 1
        if n_counted != n_rows:
            raise ExtractError(
                f"{part.name}: {n_rows:,} rows were read where {n_counted:,} were counted. "
                "Look for a quote that is not closed; nothing was loaded from it."
            )
    if starts is None and not len(broken):
        return Places(has_lines=True)
    is_staged = np.ones(n_rows + len(blank) + 1, dtype=bool)
    is_staged[[0, *broken, *blank]] = False
    return Places(True, np.flatnonzero(is_staged), starts, blank)


def _rejected(engine: Engine, typed: str, part: Part, broken: pd.DataFrame, places: Places) -> pd.DataFrame:
    """Faulty rows and broken records with their reasons, in the order of the part."""
    faulty = engine.frame(f"select record, reason, value, amount from {typed} where reason is not null order by record")
    told = places.of_staged(faulty["record"].to_numpy(dtype=np.int64))
    faulty = faulty.assign(record=told["record"], line=told["line"])
    if len(broken):
        torn = places.of_records(broken["record"].to_numpy(dtype=np.int64) - 1)
        reasons = [_BROKEN.get(kind, _STRUCTURE) for kind in broken["kind"]]
        torn = torn.assign(reason=reasons, value=broken["message"], amount=np.full(len(torn), Decimal(0)))
        faulty = pd.concat([faulty, torn], ignore_index=True).sort_values("record", ignore_index=True)
    faulty.insert(0, "file", part.name)
    return faulty
