"""Validation: the parts of an extract as text in, valid rows typed out, each other row with its file, line and reason.

Everything delivered is first text, whatever it came as, so that a CSV, a Parquet file and a dataframe meet the same
rules and give the same answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
import pandas as pd

from crmkit.engine.base import SqlEngine
from crmkit.engine.texts import literal
from crmkit.exceptions import ConfigError, ContractError, ExtractError, SourceChangedError
from crmkit.ingest.casts import ColumnFormats, currency_rules, empty_columns, ids_rewritten, unreadable_deductions
from crmkit.ingest.contracts import Contract, Names, pieces_of
from crmkit.ingest.conversion import converted
from crmkit.ingest.extracts import Extract
from crmkit.ingest.heads import HEAD, keys_of_lines, without_head
from crmkit.ingest.notations import refuse_shared_notation
from crmkit.ingest.open_formats import formats_of
from crmkit.ingest.parts import Heads, Part
from crmkit.ingest.plain_rows import typed_rows
from crmkit.ingest.positions import Positions, positions_of
from crmkit.ingest.pseudonyms import pseudonymised
from crmkit.ingest.row_meaning import NOTHING_STATED, RowMeaning
from crmkit.ingest.rules import FIELDS, TORN, WITHOUT_CONDITION, Rule, refund_rules
from crmkit.ingest.sale_words import unread_values
from crmkit.ingest.staged_rows import StagedRows, check_stated, stage_rows
from crmkit.ingest.staging import Fingerprint, prepared
from crmkit.ingest.times import TimeRules

__all__ = ["ValidatedPart", "validate_part"]

_SMALL = 2**28
"""Bytes of a delivery up to which typed rows stay in memory; beyond, they are kept on disk."""


@dataclass(frozen=True)
class ValidatedPart:
    """One part, sorted into valid and invalid rows.

    Attributes
    ----------
    rows : str
        Name of the engine's relation of typed rows: ``record``, which counts the rows that could be split into fields,
        the contract's columns, and the reason for which a row is not used.
    rejected : str
        Name of the engine's relation of rows that are not used: file, record, line, reason, value, amount; ``record``
        counts from 1 without the header.
    rows_read : int
    amount_read : Decimal
        Sum of the readable amounts of all rows of the part.
    sha256 : str
        Tells one delivery from another: of the file's content, unpacked; where the file is one of several sheets, or its
        folders state columns of the contract, of the content together with these. Empty for a dataframe.
    places : Positions
    rules : mapping of str to Rule
        Reason → rule, of all that were looked for.
    ids_rewritten : int
        Rows whose customer id has characters of full width, or that are not seen; it is taken without them.
    heads : Heads, optional
        Joined to its lines; ``orders`` is the engine's relation of those that its lines belong to.
    unread : mapping of str to Series
        How often each value stands in columns that are not read and may say what a row is.
    """

    name: str
    rows: str
    rejected: str
    rows_read: int
    amount_read: Decimal
    sha256: str
    places: Positions
    rules: Mapping[str, Rule]
    ids_rewritten: int = 0
    heads: Heads | None = None
    orders: str = ""
    unread: Mapping[str, pd.Series[int]] = field(default_factory=dict)


def validate_part(
    engine: SqlEngine,
    extract: Extract,
    part: Part,
    contract: Contract,
    names: Names,
    time_rules: TimeRules,
    call: str,
    meaning: RowMeaning = NOTHING_STATED,
    rules: Sequence[Rule] = (),
) -> ValidatedPart:
    """Read one part through a contract; ``rules`` and those of ``meaning`` add to the contract's own."""
    source = part.name if len(extract.parts) > 1 or part.path else "The extract"
    present = contract.resolve(part.columns, names, source, call, extract.columns)
    check_stated(meaning, extract.columns)
    _check_renamed(extract, part, contract, names, present)
    before = _state(part)
    readable, content = prepared(part, engine)
    staged = stage_rows(engine, readable, contract, names, present, meaning, content)
    if _state(part) != before:
        raise SourceChangedError(f"{part.name} changed while it was read. Run again when the delivery is complete.")
    formats = formats_of(staged, names, time_rules)
    said = staged.said([*meaning.columns, HEAD])
    looked_for = _rules(staged, formats, meaning, said, rules)
    keep = engine.stage if extract.size < _SMALL else engine.keep
    typed = typed_rows(staged, formats, meaning, said, looked_for, keep)
    if contract.non_members:
        refuse_shared_notation(staged, typed, meaning)
    if meaning.rate_table is not None and "currency" in present:
        typed = converted(engine, typed, contract, meaning.rate_table, part.reading.currency)
    rewritten, unread = ids_rewritten(staged), _unread(staged, names, meaning) if contract.non_members else {}
    keys = keys_of_lines(engine, staged.table, part.heads) if part.heads else ""
    engine.drop(staged.table)
    n_staged, total = _totals(engine, typed)
    places = positions_of(readable, content, staged.broken["record"].to_numpy(dtype=np.int64) - 1, n_staged)
    if extract.pseudonyms:
        typed = pseudonymised(engine, typed, contract, list(present), extract.pseudonyms, keep)
    return ValidatedPart(
        part.name,
        typed,
        _rejected(engine, typed, part, staged.broken, places),
        n_staged + len(staged.broken),
        total,
        _sha256(part, present, content) if content else "",
        places,
        {rule.reason: rule for rule in (*WITHOUT_CONDITION, *looked_for)},
        rewritten,
        part.heads,
        keys,
        unread,
    )


def _totals(engine: SqlEngine, typed: str) -> tuple[int, Decimal]:
    """How many rows there are, and their money."""
    sums = engine.arrow(f"select count(*) as n, coalesce(sum(amount), 0) as total from {typed}")
    return sums["n"][0].as_py(), Decimal(sums["total"][0].as_py()).quantize(Decimal("0.0001"))


def _unread(rows: StagedRows, names: Names, meaning: RowMeaning) -> dict[str, pd.Series[int]]:
    """What the columns hold that nothing is read of."""
    read = {piece for name in rows.contract.columns for piece in pieces_of(names.get(name, name))}
    read |= {name for name, _ in rows.part.constants}
    unread = [name for name in rows.part.columns if name not in read | set(meaning.asked)]
    return unread_values(rows.engine, rows.source, unread, less_money=bool(meaning.taken_off))


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


def _check_renamed(extract: Extract, part: Part, contract: Contract, names: Names, present: Mapping[str, str]) -> None:
    """Raise when a part lacks a column that others have, and has one instead that stands beside it nowhere.

    A column that is only gained or given up is no fault: the files without it lack its values. Nor is one whose own name
    the caller states.
    """
    there = extract.columns
    open_names = [name for name in contract.columns if name not in present and names.get(name) != name]
    wanted = [piece for name in open_names for piece in pieces_of(names.get(name, name)) if piece in there]
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


def _rules(
    rows: StagedRows, formats: ColumnFormats, meaning: RowMeaning, said: Mapping[str, str], rules: Sequence[Rule]
) -> list[Rule]:
    """Every rule, in the order in which it is looked for; the user's own are tried first."""
    engine, contract = rows.engine, rows.contract
    row_rules = meaning.row_rules(said)
    _check_rules(engine, contract, row_rules[len(row_rules) - len(meaning.rules) :])
    return [
        *([without_head(said[HEAD])] if HEAD in said else []),
        *meaning.left_out_rules(said),
        *currency_rules(engine, contract, rows.columns, formats, meaning.rate_table is not None),
        *contract.rules_for(rows.columns),
        *unreadable_deductions(
            rows.deducted(meaning.deduct) | dict.fromkeys(rows.deducted(meaning.refunds), "refunded")
        ),
        *(rule for column in meaning.refunds.values() for rule in refund_rules(column)),
        *rules,
        *row_rules,
        *meaning.non_member_rules,
        *contract.non_members,
    ]


def _check_rules(engine: SqlEngine, contract: Contract, rules: Sequence[Rule]) -> None:
    """Raise for a user's rule whose condition is no SQL over the contract's columns."""
    nothing = ", ".join([*empty_columns(contract), "cast(null as integer) as day", "cast(null as integer) as hour"])
    for rule in rules:
        try:
            with engine.named_source(f"The condition {rule.condition!r} of the rule {rule.reason!r}"):
                engine.frame(f"select 1 as n from (select {nothing}) as nothing where ({rule.condition})")
        except ExtractError as error:
            raise ConfigError(f"{error}. Columns are {', '.join(contract.columns)}, day and hour.") from None


def _rejected(engine: SqlEngine, typed: str, part: Part, broken: pd.DataFrame, places: Positions) -> str:
    """Rows that are not used, and broken records, with their places and reasons, in the order of the part."""
    name = literal(part.name)
    if not places.has_lines:
        return engine.keep(
            f"""select {name} as file, record, cast(null as bigint) as line, reason, value, amount from {typed}
            where reason is not null order by record"""
        )
    unused = engine.arrow(f"select record from {typed} where reason is not null order by record")["record"].to_numpy()
    placed = engine.register(places.of_staged(unused.astype(np.int64)).assign(staged=unused))
    torn = places.of_records(broken["record"].to_numpy(dtype=np.int64) - 1)
    reasons = [TORN.get(kind, FIELDS).reason for kind in broken["kind"]]
    torn = torn.assign(reason=np.array(reasons, dtype=object), value=broken["message"].to_numpy(dtype=object))
    lost = engine.register(torn)
    return engine.keep(
        f"""select {name} as file, placed.record, cast(placed.line as bigint) as line, reason, value, amount
        from {typed} typed join {placed} placed on typed.record = placed.staged where reason is not null
        union all
        select {name}, record, cast(line as bigint), cast(reason as string), cast(value as string),
        cast(0 as decimal(18, 4)) from {lost}
        order by 2"""
    )
