"""Validation: the parts of an extract as text in, valid rows typed out, each other row with its file, line and reason.

Everything delivered is first text, whatever it came as, so that a CSV, a Parquet file and a dataframe meet the same
rules and give the same answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
import pandas as pd

from crmkit.engine.base import SqlEngine
from crmkit.engine.texts import literal
from crmkit.exceptions import ConfigError, ContractError, ExtractError, SourceChangedError
from crmkit.ingest.casts import MOMENTS, ColumnFormats, casts_of, currency_rules, empty_columns
from crmkit.ingest.contracts import Contract
from crmkit.ingest.extracts import Extract
from crmkit.ingest.files import is_gzip
from crmkit.ingest.parts import Part, Reading
from crmkit.ingest.positions import Positions, positions_of
from crmkit.ingest.row_meaning import NOTHING_STATED, RowMeaning
from crmkit.ingest.rules import FIELDS, TORN, WITHOUT_CONDITION, Rule
from crmkit.ingest.staging import Fingerprint, prepared, with_line_feeds
from crmkit.ingest.times import TimeRules, fitting_formats, is_ambiguous, is_another_order

__all__ = ["ValidatedPart", "validate_part"]

_NESTED = ("[]", "STRUCT", "MAP", "UNION", "BLOB", "BIT")


@dataclass(frozen=True)
class ValidatedPart:
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
    places : Positions
    advice : mapping of str to str
        Reason → what to do about it, of every rule that was looked for.
    """

    name: str
    rows: str
    rejected: str
    rows_read: int
    amount_read: Decimal
    sha256: str
    places: Positions
    advice: Mapping[str, str]


def validate_part(
    engine: SqlEngine,
    extract: Extract,
    part: Part,
    contract: Contract,
    names: Mapping[str, str],
    time_rules: TimeRules,
    call: str,
    meaning: RowMeaning = NOTHING_STATED,
    rules: Sequence[Rule] = (),
) -> ValidatedPart:
    """Read one part through a contract; ``rules`` and those of ``meaning`` add to the contract's own."""
    source = part.name if len(extract.parts) > 1 or part.path else "The extract"
    present = contract.resolve(part.columns, names, source, call, extract.columns)
    _check_renamed(extract, part, contract, names, present)
    before = _state(part)
    readable, content = prepared(part, engine)
    staged, kinds, broken = _stage(engine, readable, present, content)
    if _state(part) != before:
        raise SourceChangedError(f"{part.name} changed while it was read. Run again when the delivery is complete.")
    time_rules = _check_offsets(engine, staged, part, contract, present, time_rules, kinds)
    formats = _formats_of(contract, present, time_rules, part.reading, kinds)
    _check_rules(engine, contract, meaning.row_rules)
    _check_open(engine, staged, part, contract, present, formats)
    columns = [*present, *(name for name in contract.derived if contract.computed(name, present))]
    looked_for = [
        *currency_rules(engine, contract, columns, formats),
        *contract.rules_for(columns),
        *rules,
        *meaning.row_rules,
        *meaning.non_member_rules,
        *contract.non_members,
    ]
    typed = engine.keep(casts_of(engine, staged, contract, present, formats, looked_for))
    engine.drop(staged)
    sums = engine.arrow(f"select count(*) as n, coalesce(sum(amount), 0) as total from {typed}")
    n_staged = sums["n"][0].as_py()
    places = positions_of(readable, content, broken["record"].to_numpy(dtype=np.int64) - 1, n_staged)
    return ValidatedPart(
        part.name,
        typed,
        _rejected(engine, typed, part, broken, places),
        n_staged + len(broken),
        Decimal(sums["total"][0].as_py()).quantize(Decimal("0.0001")),
        _sha256(part, present, content) if content else "",
        places,
        {rule.reason: rule.advice for rule in (*WITHOUT_CONDITION, *looked_for)},
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
    engine: SqlEngine, part: Part, present: Mapping[str, str], content: Fingerprint | None
) -> tuple[str, dict[str, str], pd.DataFrame]:
    """The rows of a part as text, in order; the type each column had; and the records that are not rows."""
    if part.kind == "csv" and part.path and content:
        source = part if content.even else with_line_feeds(part, engine)
        path = source.path or part.path
        with engine.named_source(part.name):
            staged, broken = engine.csv(path, part.own_columns, part.delimiter, is_gzip(path))
            if part.constants:
                staged = engine.stage(f"select *{part.constant_columns} from {staged}")
        return staged, {}, broken
    with engine.named_source(part.name):
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


def _check_offsets(
    engine: SqlEngine,
    staged: str,
    part: Part,
    contract: Contract,
    present: Mapping[str, str],
    time_rules: TimeRules,
    kinds: Mapping[str, str],
) -> TimeRules:
    """The time rules for this part: a format is for text, and offsets need the shop's zone."""
    times = [present[name] for name in present if contract.columns[name] == "time"]
    if any(kinds.get(given, "").startswith(MOMENTS) for given in times):
        time_rules = replace(time_rules, time_format=None)
    if not times or time_rules.time_zone or time_rules.time_format:
        return time_rules
    holds = " or ".join(engine.has_offset(f"trim({engine.quoted(name)})") for name in times)
    if engine.frame(f"select 1 as found from {staged} where {holds} limit 1").size:
        raise ContractError(
            f"{part.name}: {times[0]!r} states offsets from UTC, so the shop's day needs a zone. "
            "State it: time_zone='Europe/Berlin', say."
        )
    return time_rules


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


def _formats_of(
    contract: Contract, present: Mapping[str, str], time_rules: TimeRules, reading: Reading, kinds: Mapping[str, str]
) -> ColumnFormats:
    computed = {name for name in contract.derived if contract.computed(name, present)}
    plain = {name for name, given in present.items() if _is_plain(contract.columns[name], kinds.get(given, "VARCHAR"))}
    return ColumnFormats(time_rules, reading, frozenset(computed | plain))


def _is_plain(kind: str, given: str) -> bool:
    """Whether values come as what they are; a time that comes as a number does not."""
    return given.startswith(MOMENTS) if kind in ("time", "date") else given != "VARCHAR"


def _check_rules(engine: SqlEngine, contract: Contract, rules: Sequence[Rule]) -> None:
    """Raise for a user's rule whose condition is no SQL over the contract's columns."""
    nothing = ", ".join([*empty_columns(contract), "cast(null as integer) as day", "cast(null as integer) as hour"])
    for rule in rules:
        try:
            with engine.named_source(f"The condition {rule.condition!r} of the rule {rule.reason!r}"):
                engine.frame(f"select 1 as n from (select {nothing}) as nothing where ({rule.condition})")
        except ExtractError as error:
            raise ConfigError(f"{error}. Columns are {', '.join(contract.columns)}, day and hour.") from None


def _check_open(
    engine: SqlEngine,
    staged: str,
    part: Part,
    contract: Contract,
    present: Mapping[str, str],
    formats: ColumnFormats,
) -> None:
    """Raise when the values of a column leave open how they are written, and nothing was stated."""
    stated = {
        "time": formats.time_rules.time_format,
        "date": formats.reading.date_format,
        "money": formats.reading.decimal or formats.reading.thousands,
        "number": formats.reading.decimal or formats.reading.thousands,
    }
    asked = {
        name: given
        for name, given in present.items()
        if name not in formats.plain and not stated.get(contract.columns[name], "nothing to state")
    }
    counts = [_counted(engine, contract.columns[name], name, given) for name, given in asked.items()]
    if not counts:
        return
    found = engine.arrow(f"select {', '.join(counts)} from {staged}").to_pylist()[0]
    for name, given in asked.items():
        n, n_all, one = (found[f"{what}_{name}"] for what in ("n", "all", "one"))
        _refuse_open(engine, staged, part, contract.columns[name], given, n, n_all, one)


def _counted(engine: SqlEngine, kind: str, name: str, given: str) -> str:
    """How many values there are, how many can be read in two ways, and one of these."""
    text = engine.quoted(given)
    is_open = (is_ambiguous if kind in ("money", "number") else is_another_order)(engine, text)
    found = f"case when {is_open} then {text} end"
    return f"count({found}) as n_{name}, count({text}) as all_{name}, min({found}) as one_{name}"


def _refuse_open(
    engine: SqlEngine, staged: str, part: Part, kind: str, given: str, n: int, n_all: int, one: str | None
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


def _rejected(engine: SqlEngine, typed: str, part: Part, broken: pd.DataFrame, places: Positions) -> str:
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
    reasons = [TORN.get(kind, FIELDS).reason for kind in broken["kind"]]
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
