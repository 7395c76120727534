"""How the values of a part are written: what they are themselves, what was stated, and what they leave open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from crmkit.engine.base import SqlEngine
from crmkit.engine.texts import is_usual_time, states_offset
from crmkit.exceptions import ConfigError, ContractError
from crmkit.ingest.casts import MOMENTS, ColumnFormats
from crmkit.ingest.contracts import Names, pieces_of
from crmkit.ingest.staged_rows import StagedRows
from crmkit.ingest.times import (
    CLOCK_FORMAT,
    SERIAL,
    TimeRules,
    fitting_formats,
    is_ambiguous,
    is_another_order,
    is_midnight,
    states_hour,
)

__all__ = ["formats_of"]


def formats_of(rows: StagedRows, names: Names, time_rules: TimeRules) -> ColumnFormats:
    """How the columns of a part are written.

    Raises
    ------
    ContractError
        The values of a column leave it open and nothing was stated, or they state offsets and no zone is given.
    """
    rules = _of_this_part(rows, time_rules)
    joined = frozenset(name for name in rows.of_kinds("time") if len(pieces_of(names.get(name, name))) > 1)
    if joined and rules.time_format and states_hour(rules.time_format):
        raise ConfigError(
            f"time_format={rules.time_format!r} reads a time of day, which stands in a column of its own here. State how "
            "the day is written: time_format='%d/%m/%Y', say."
        )
    formats = ColumnFormats(rules, rows.part.reading, _plain(rows), joined, _has_whole_days(rows, rules))
    _check_open(rows, formats)
    return formats


def _of_this_part(rows: StagedRows, rules: TimeRules) -> TimeRules:
    """A format is for text, and offsets need the shop's zone."""
    engine, times = rows.engine, list(rows.of_kinds("time").values())
    if any(rows.kinds.get(given, "").startswith(MOMENTS) for given in times):
        rules = replace(rules, time_format=None)
    if not times or rules.time_zone or rules.time_format:
        return rules
    holds = " or ".join(_holds_offset(engine, engine.quoted(name)) for name in times)
    if engine.frame(f"select 1 as found from {rows.table} where {holds} limit 1").size:
        raise ContractError(
            f"{rows.part.name}: {times[0]!r} states offsets from UTC, so the shop's day needs a zone. "
            "State it: time_zone='Europe/Berlin', say."
        )
    return rules


def _holds_offset(engine: SqlEngine, text: str) -> str:
    return f"case when {is_usual_time(text)} then false else {engine.has_offset(f'trim({text})')} end"


def _plain(rows: StagedRows) -> frozenset[str]:
    """Columns that come as what they are; a time that comes as a number does not."""
    kinds = {name: rows.kinds.get(given, "VARCHAR") for name, given in rows.present.items()}
    computed = set(rows.columns) - set(kinds)
    plain = {name for name, kind in kinds.items() if _is_plain(rows.contract.columns[name], kind)}
    return frozenset(computed | plain)


def _is_plain(kind: str, given: str) -> bool:
    return given.startswith(MOMENTS) if kind in ("time", "date") else given != "VARCHAR"


def _has_whole_days(rows: StagedRows, rules: TimeRules) -> bool:
    """Whether every purchase is at midnight: days that were written as times."""
    given, written = rows.present.get("purchased_at"), rules.time_format or ""
    if given is None or written == SERIAL or states_offset(written):
        return False
    text = rows.engine.quoted(given)
    other = f"{text} is not null and not {is_midnight(rows.engine, text)}"
    return not rows.engine.frame(f"select 1 as found from {rows.table} where {other} limit 1").size


def _check_open(rows: StagedRows, formats: ColumnFormats) -> None:
    """Raise when the values of a column leave open how they are written, and nothing was stated."""
    reading = formats.reading
    stated = {
        "time": formats.time_rules.time_format,
        "date": reading.date_format,
        "money": reading.decimal or reading.thousands,
        "number": reading.decimal or reading.thousands,
    }
    asked = {
        name: given
        for name, given in rows.present.items()
        if name not in formats.plain and not stated.get(rows.contract.columns[name], "nothing to state")
    }
    counts = [_counts(rows.engine, rows.contract.columns[name], name, given) for name, given in asked.items()]
    if not counts:
        return
    found = rows.engine.arrow(f"select {', '.join(counts)} from {rows.table}").to_pylist()[0]
    for name in asked:
        _refuse_open(rows, name, formats, {what: found[f"{what}_{name}"] for what in ("open", "all", "example")})


def _counts(engine: SqlEngine, kind: str, name: str, given: str) -> str:
    """How many values can be read in two ways, how many there are, and one of the former."""
    text = engine.quoted(given)
    is_open = (is_ambiguous if kind in ("money", "number") else is_another_order)(engine, text)
    found = f"case when {is_open} then {text} end"
    return f"count({found}) as open_{name}, count({text}) as all_{name}, min({found}) as example_{name}"


def _refuse_open(rows: StagedRows, name: str, formats: ColumnFormats, found: Mapping[str, object]) -> None:
    n, n_all, example = int(str(found["open"])), int(str(found["all"])), str(found["example"] or "")
    source, given, kind = rows.part.name, rows.present[name], rows.contract.columns[name]
    if kind in ("money", "number"):
        if n * 10 > n_all:
            mark, other = (".", ",") if "." in example else (",", ".")
            raise ContractError(
                f"{source}: {given!r} holds {n:,} numbers like {example!r} among {n_all:,}, which may be thousands or "
                f"three decimals. State decimal={mark!r}, or decimal={other!r} and thousands={mark!r}."
            )
    elif n * 2 > n_all:
        fitting = fitting_formats(rows.engine, rows.table, given)
        if name in formats.joined:
            fitting = list(dict.fromkeys(form.removesuffix(f" {CLOCK_FORMAT}") for form in fitting))
        option = "time_format" if kind == "time" else "date_format"
        if fitting:
            fit = " or ".join(f"{option}={form!r}" for form in fitting)
            meant = "State the one that is meant" if len(fitting) > 1 else "State it"
            raise ContractError(
                f"{source}: {given!r} holds {n:,} values like {example!r} among {n_all:,}. They fit {fit}. {meant}."
            )
