"""The door: parts of an extract come in as text, sound rows go on typed, the others stay with file, line and reason.

Everything delivered is first text, whatever it came as, so that a CSV, a Parquet file and a dataframe meet the same
rules and give the same answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd

from crmkit.contracts import Contract
from crmkit.engine import Engine, check_zone, quoted
from crmkit.exceptions import ContractError, ExtractError, SourceChangedError
from crmkit.extracts import Extract, Part, fingerprint, records

__all__ = ["Admitted", "Clock", "admit"]

_STRUCTURE = "fields do not match the header"
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_WHOLE = r"^[0-9]+\.0+$"


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


@dataclass(frozen=True)
class Admitted:
    """One part, sorted into sound and faulty rows.

    Attributes
    ----------
    sound : str
        Name of the engine's table of sound rows: ``record`` and the contract's columns.
    rejected : DataFrame
        file, record, line, reason, value, amount; ``record`` counts from 1 without the header.
    rows_read : int
    amount_read : Decimal
        Sum of the readable amounts of all rows of the part.
    sha256 : str
        Of the file's content; empty for a dataframe.
    """

    name: str
    sound: str
    rejected: pd.DataFrame
    rows_read: int
    amount_read: Decimal
    sha256: str


def admit(
    engine: Engine, extract: Extract, part: Part, contract: Contract, names: Mapping[str, str], clock: Clock, call: str,
    extra_rules: Mapping[str, tuple[str, str]] | None = None,
) -> Admitted:
    """Read one part through a contract."""
    source = part.name if len(extract.parts) > 1 or part.path else "The extract"
    present = contract.resolve(part.columns, names, source, call)
    before = _state(part)
    print_ = fingerprint(part.path) if part.is_csv and part.path else None
    staged, broken = _stage(engine, part)
    if _state(part) != before:
        raise SourceChangedError(f"{part.name} changed while it was read. Run again when the delivery is complete.")
    _check_clock(engine, staged, part, contract, present, clock)
    typed = _type(engine, staged, contract, present, clock, extra_rules or {})
    engine.drop(staged)
    n_staged = int(engine.frame(f"select count(*) as n from {typed}").n[0])
    rejected = engine.frame(f"select record, reason, value, amount from {typed} where reason is not null order by record")
    rejected = _number_lines(part, rejected, broken, n_staged, print_.lines if print_ else None)
    rejected.insert(0, "file", part.name)
    return Admitted(
        part.name, typed, rejected, n_staged + len(broken), _total(engine, typed), print_.sha256 if print_ else ""
    )


def _state(part: Part) -> tuple[int, int, int] | None:
    if part.path is None:
        return None
    stat = part.path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def _stage(engine: Engine, part: Part) -> tuple[str, pd.DataFrame]:
    """All records of a part as text, in order, and the records whose fields do not match the header."""
    if part.is_csv and part.path:
        return engine.csv(part.path, part.columns, part.delimiter)
    relation = engine.register(part.table) if part.path is None else engine.parquet(part.path)
    types = engine.types(relation)
    texts = ", ".join(f"{engine.text(name, kind)} as {quoted(name)}" for name, kind in types.items())
    return engine.stage(f"select {texts} from {relation}"), pd.DataFrame({"record": [], "byte": [], "message": []})


def _check_clock(
    engine: Engine, staged: str, part: Part, contract: Contract, present: Mapping[str, str], clock: Clock
) -> None:
    times = [present[name] for name in present if contract.columns[name] == "time"]
    if not times or clock.time_zone or clock.time_format:
        return
    holds = " or ".join(engine.has_offset(quoted(name)) for name in times)
    if engine.frame(f"select 1 as found from {staged} where {holds} limit 1").size:
        raise ContractError(
            f"{part.name}: {times[0]!r} states offsets from UTC, so the shop's day needs a zone. "
            "State it: time_zone='Europe/Berlin', say."
        )


def _type(
    engine: Engine, staged: str, contract: Contract, present: Mapping[str, str], clock: Clock,
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
    values = " ".join(f"when {rule} then {_shown(contract, name)}" for _, (name, rule) in faults.items())
    names = ", ".join(contract.columns)
    amount = "amount" if "amount" in contract.columns else "cast(0 as decimal(18, 4))"
    day = ", " + _DAY if "purchased_at" in contract.columns else ""
    return engine.stage(
        f"""with texts as (select rowid + 1 as record, {texts} from {staged}),
        typed as (select *, {casts} from texts),
        dated as (select *{day} from typed)
        select record, {names}{", day, hour" if day else ""}, case {reasons} end as reason,
        case {values} end as value{"" if "amount" in contract.columns else f", {amount} as amount"} from dated"""
    )


_DAY = "unix_date(cast(purchased_at as date)) as day, cast(extract(hour from purchased_at) as integer) as hour"


def _raw(engine: Engine, kind: str, given: str) -> str:
    text = f"nullif(trim({quoted(given)}), '')"
    if kind == "id":
        return f"case when {engine.matches(text, _WHOLE)} then split_part({text}, '.', 1) else {text} end"
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
        cast = f"try_cast({raw} as date)"
    else:
        cast = raw
    return f"{cast} as {name}"


def _shown(contract: Contract, name: str) -> str:
    """The offending value, for the report; ids are persons and are never shown."""
    return "cast(null as varchar)" if contract.columns[name] == "id" else f"raw_{name}"


def _total(engine: Engine, typed: str) -> Decimal:
    total = engine.arrow(f"select coalesce(sum(amount), 0) as total from {typed}")["total"][0].as_py()
    return Decimal(total).quantize(Decimal("0.0001"))


def _number_lines(
    part: Part, rejected: pd.DataFrame, broken: pd.DataFrame, n_staged: int, n_lines: int | None
) -> pd.DataFrame:
    """Add broken records to the rejected ones, and the physical line on which each starts."""
    rejected["record"] = rejected["record"].astype("int64")
    if n_lines is None:
        return rejected.assign(line=pd.array([pd.NA] * len(rejected), dtype="Int64"))
    blank, starts = np.array([], dtype=np.int64), np.arange(1, n_lines + 1)
    if n_lines != n_staged + len(broken) + 1:
        found = list(records(part))
        starts = np.array([start for start, _ in found])
        blank = np.flatnonzero([empty for _, empty in found])
    at_broken = broken["record"].to_numpy(dtype=np.int64) - 1
    at_sound = np.setdiff1d(np.arange(1, len(starts)), np.concatenate([at_broken, blank]))
    if len(at_sound) != n_staged:
        raise ExtractError(
            f"{part.name}: {n_staged:,} records were read where {len(at_sound):,} were counted. "
            "Look for mixed line ends or an unclosed quote; nothing was loaded from it."
        )
    position = np.concatenate([at_sound[rejected["record"] - 1], at_broken])
    torn = pd.DataFrame({"reason": _STRUCTURE, "value": broken["message"], "amount": Decimal(0)})
    table = pd.concat([rejected, torn], ignore_index=True) if len(torn) else rejected
    order = np.searchsorted(blank, position)
    table = table.assign(record=position - order, line=pd.array(starts[position], dtype="Int64"))
    return table.sort_values("record", ignore_index=True)


def part_paths(extract: Extract) -> list[Path]:
    """Files of an extract, in order."""
    return [part.path for part in extract.parts if part.path is not None]
