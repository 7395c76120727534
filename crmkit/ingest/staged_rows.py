"""The rows of one part as text inside the engine, and which of its columns the contract's are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from crmkit._checks import require_columns
from crmkit.engine.base import SqlEngine
from crmkit.exceptions import ContractError
from crmkit.ingest.contracts import Contract, Names, pieces_of
from crmkit.ingest.heads import PLACE, joined_with_heads
from crmkit.ingest.parts import Part
from crmkit.ingest.row_meaning import RowMeaning
from crmkit.ingest.staging import Fingerprint
from crmkit.ingest.text_rows import as_text
from crmkit.ingest.tidiness import MARKS, rows_of_lines
from crmkit.ingest.times import joined_time

__all__ = ["StagedRows", "stage_rows"]


@dataclass(frozen=True)
class StagedRows:
    """One part as text.

    Attributes
    ----------
    present : mapping of str to str
        Contract column → column of ``table``.
    table : str
        The engine's relation of the rows that could be split into fields.
    place : str
        Expression that numbers them in their order, from 1.
    kinds : mapping of str to str
        The type that each column came in, where it was not text.
    broken : DataFrame
        Records that are no rows: record (the header is 1), kind, message.
    untidy : str
        Condition that holds at least for the rows of which a cell may need trimming.
    marks : frozenset of str
        Marks and line breaks that its cells may hold; where records are as many as lines, no cell holds a line break.
    source : str
        Relation of all columns of the part, as they came.
    """

    engine: SqlEngine
    part: Part
    contract: Contract
    present: Mapping[str, str]
    table: str
    place: str
    kinds: Mapping[str, str]
    broken: pd.DataFrame
    untidy: str = "true"
    marks: frozenset[str] = frozenset("\n\r" + MARKS)
    source: str = ""

    def of_kinds(self, *kinds: str) -> dict[str, str]:
        """Contract column → column of the table, of some kinds."""
        return {name: given for name, given in self.present.items() if self.contract.columns[name] in kinds}

    @property
    def columns(self) -> list[str]:
        """Contract columns that are there, those that follow from others too."""
        computed = [name for name in self.contract.derived if self.contract.computed(name, self.present)]
        return [*self.present, *computed]

    def deducted(self, columns: Iterable[str]) -> dict[str, str]:
        """Column of the extract → the name of its text, of those whose money is taken off and that are there."""
        there = set(self.engine.types(self.table))
        return {given: f"deducted_{n}" for n, given in enumerate(column for column in columns if column in there)}

    def said(self, columns: Iterable[str]) -> dict[str, str]:
        """Column of the extract → its name among the texts of a row, of those that are there."""
        there = set(self.engine.types(self.table))
        return {given: f"said_{n}" for n, given in enumerate(column for column in columns if column in there)}


def stage_rows(
    engine: SqlEngine,
    part: Part,
    contract: Contract,
    names: Names,
    present: Mapping[str, str],
    meaning: RowMeaning,
    content: Fingerprint | None,
) -> StagedRows:
    """Bring the rows of a prepared part into the engine as text, with what is joined of several columns."""
    wanted = set(meaning.asked)
    wanted |= {piece for name in present for piece in pieces_of(names.get(name, name))}
    own = wanted | {line for line, _ in part.heads.on} if part.heads else wanted
    table, kinds, broken, source = as_text(engine, part, own & set(part.columns), content)
    untidy, marks = _care(engine, table, content, len(broken))
    rows = StagedRows(engine, part, contract, present, table, engine.place, kinds, broken, untidy, marks, source)
    if part.heads:
        rows = _with_heads(rows, wanted, names, meaning)
    joined = {name: pieces_of(names[name]) for name in present if len(pieces_of(names.get(name, name))) > 1}
    filled = [column for column in meaning.order_columns if column in part.columns]
    return _with_columns(rows, joined, filled) if joined or filled else rows


def _with_heads(rows: StagedRows, wanted: set[str], names: Names, meaning: RowMeaning) -> StagedRows:
    """The rows with what the head of their order says; money of a head would count once a line, so it is no line's."""
    assert rows.part.heads is not None
    for name in rows.of_kinds("money", "number"):
        if given := [piece for piece in pieces_of(names.get(name, name)) if piece in rows.part.heads.columns]:
            raise ContractError(
                f"{given[0]!r} (for {name}) is a column of the joined files, which state it once an order: it would count once for "
                f"each of its lines. Name a column of {rows.part.name}."
            )
    table, present = joined_with_heads(rows.engine, rows.table, rows.place, rows.part.heads, wanted, meaning.taken_off)
    kinds = {**rows.kinds, **{given: kind for given, kind in present.items() if given in wanted}}
    return replace(rows, table=table, place=PLACE, kinds=kinds, untidy="true", marks=frozenset("\n\r" + MARKS))


def _care(engine: SqlEngine, table: str, content: Fingerprint | None, n_broken: int) -> tuple[str, frozenset[str]]:
    """Which rows may hold a cell that needs trimming, and which marks and line breaks any cell may hold."""
    if content is None or content.untidy is None:
        return "true", frozenset("\n\r" + MARKS)
    n_rows = int(engine.frame(f"select count(*) as n from {table}")["n"][0])
    untidy = rows_of_lines(content.untidy, content.lines, n_rows, engine.place)
    return untidy, content.marks | frozenset("" if content.lines == n_rows + n_broken + 1 else "\n\r")


def check_stated(meaning: RowMeaning, there: Sequence[str]) -> None:
    """Raise unless some part has each column that is said to tell what a row is."""
    require_columns(
        there,
        meaning.asked,
        "The extract",
        "Name them under leave_out, kinds, order_columns, deduct or refunds as they are.",
    )


def _with_columns(rows: StagedRows, joined: Mapping[str, tuple[str, ...]], filled: Sequence[str]) -> StagedRows:
    """The rows with columns joined, and with what only the first line of an order says on all its lines."""
    engine = rows.engine
    texts = {name: engine.quoted(name) for name in engine.types(rows.table) if name != PLACE}
    made = {name: _joined(rows, name, pieces) for name, pieces in joined.items()}
    if filled:
        order = made.get("order_id") or _order(rows)
        own = {name: f"nullif(trim({texts[name]}), '')" for name in filled}
        texts |= {name: f"coalesce({text}, max({text}) over (partition by {order}))" for name, text in own.items()}
    named = ", ".join(f"{text} as {engine.quoted(name)}" for name, text in texts.items())
    table = engine.stage(f"select {rows.place} as {PLACE}, {named} from {rows.table}")
    if made:
        more = "".join(f", {text} as {engine.quoted(rows.present[name])}" for name, text in made.items())
        table = engine.stage(f"select *{more} from {table}")
    return replace(rows, table=table, place=PLACE, untidy="true" if filled else rows.untidy.replace(rows.place, PLACE))


def _order(rows: StagedRows) -> str:
    if "order_id" not in rows.present:
        raise ContractError(f"{rows.part.name}: order_columns need the number of the order. Name order_id.")
    return rows.engine.quoted(rows.present["order_id"])


def _joined(rows: StagedRows, name: str, pieces: Sequence[str]) -> str:
    texts = [rows.engine.trimmed(rows.engine.quoted(piece)) for piece in pieces]
    if rows.contract.columns[name] == "id":
        return " || ' ' || ".join(texts)
    if len(texts) != 2:
        raise ContractError(f"{name} is joined of {list(pieces)}. Name two columns: the day, and the time of day.")
    return joined_time(rows.engine, *texts)
