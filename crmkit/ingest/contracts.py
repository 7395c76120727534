"""What a valid row of a table is: its columns, their kinds, and the rules."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal

from crmkit._checks import nearest
from crmkit.exceptions import ContractError
from crmkit.ingest.layouts import recognised
from crmkit.ingest.parts import NO_HEADER, are_values
from crmkit.ingest.rules import Rule, joined_texts, kind_rules, missing

__all__ = ["ITEM_COLUMNS", "Contract", "Names", "joined_name", "pieces_of"]

Names = Mapping[str, str | Sequence[str]]
"""Contract column → the column of the extract, or several to be joined."""

Kind = Literal["id", "text", "money", "number", "time", "date"]

ITEM_COLUMNS = ("product_id", "category", "brand", "brand_type", "manufacturer", "department")


@dataclass(frozen=True)
class Contract:
    """What a valid row of one table is.

    Parameters
    ----------
    name : str
        What the table holds, for messages.
    columns : mapping of str to kind
        ``id`` and ``text`` stay text; ``money`` and ``number`` become decimals of four places; ``time`` becomes the
        shop's wall clock; ``date`` a day.
    required : tuple of str
        Columns that must be there, with a value in every row.
    rules : tuple of Rule
        Besides those of the kinds of its columns.
    derived : mapping of str to pair of str
        A column that need not be delivered when both factors are: it is their product.
    non_members : tuple of Rule
        For rows that are valid but belong to no member; looked for last.
    """

    name: str
    columns: Mapping[str, Kind]
    required: tuple[str, ...]
    rules: tuple[Rule, ...] = ()
    derived: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    non_members: tuple[Rule, ...] = ()

    def resolve(
        self, delivered: tuple[str, ...], names: Names, source: str, call: str, elsewhere: Container[str] = ()
    ) -> dict[str, str]:
        """Contract column → delivered column: those named, and those already called by the contract's name.

        A column that is not required may be named and not be there when other files of the extract, ``elsewhere``, have it.
        Several that are joined bear their names together, as in ``Date + Time``.

        Raises
        ------
        ContractError
            All unknown and missing names in one message, with what is there and what to write; or, that these look like
            values.
        """
        wanted = {name: pieces_of(names.get(name, name)) for name in self.columns}
        found = {name: joined_name(given) for name, given in wanted.items() if set(given) <= set(delivered)}
        needed = [name for name in self.required if name not in found and not self.computed(name, found)]
        needed += [factor for name in needed for factor in self._factors(name)]
        lost = {
            (name, piece): piece
            for name, given in names.items()
            for piece in pieces_of(given)
            if piece not in delivered and (name in needed or piece not in elsewhere)
        }
        absent = [f"{piece!r} (for {name}{_hint(piece, delivered)})" for name, piece in lost]
        stated = {name for name, _ in lost}
        missing = [name for name in self.required if name in needed and not stated & {name, *self._factors(name)}]
        faults = self.unknown(names) + self._unjoined(names)
        if absent:
            faults += [f"Columns not found: {', '.join(absent)}."]
        if missing:
            near = nearest(missing[0], delivered)
            faults += [
                f"Columns not found: {missing}. Name them: {call}(…, {missing[0]}={repr(near) if near else '…'})."
            ]
        if missing and self.name == "transactions" and (known := recognised(delivered)):
            faults += [f"These are the columns of layout {known!r}: {call}(…, **layout({known!r})) names them all."]
        if (absent or missing) and are_values(delivered):
            raise ContractError(f"{source} seems to have no header: {NO_HEADER}")
        if faults:
            raise ContractError(f"{' '.join(faults)} {source} has {list(delivered)}.")
        return found

    def _unjoined(self, names: Names) -> list[str]:
        """A sentence for each column that is said to be several, and of which only one is read."""
        return [
            f"{name} cannot be joined of {list(pieces_of(given))}: only a time and an id can."
            for name, given in names.items()
            if len(pieces_of(given)) > 1 and self.columns.get(name) not in ("time", "id")
        ]

    def _factors(self, name: str) -> tuple[str, ...]:
        return self.derived.get(name, ())

    def computed(self, name: str, found: Mapping[str, str]) -> bool:
        """Whether a column is not delivered but follows from two that are."""
        return name not in found and name in self.derived and all(factor in found for factor in self.derived[name])

    def unknown(self, names: Iterable[str]) -> list[str]:
        """A sentence for each name that is not a column of this contract."""
        near = {name: get_close_matches(name, self.columns, n=1) for name in names if name not in self.columns}
        return [
            f"{name!r} is not a column of {self.name}{f'; did you mean {close[0]!r}' if close else ''} "
            f"(there are {', '.join(self.columns)})."
            for name, close in near.items()
        ]

    def rules_for(self, present: Iterable[str]) -> list[Rule]:
        """The rules for the columns that are there, in the order in which they are looked for; non-members come last."""
        columns = list(present)
        elsewhere = {rule.reason for rule in self.non_members}
        found = [rule for rule in map(missing, self.required) if rule.reason not in elsewhere]
        found += [rule for name in columns for rule in kind_rules(name, self.columns[name])]
        return found + [rule for rule in self.rules if rule.column in columns]

    def joined_texts(self, present: Iterable[str]) -> dict[str, str]:
        """Columns to be computed before the screens; see `crmkit.ingest.rules.joined_texts`."""
        kinds = {name: self.columns[name] for name in present}
        ids = [name for name, kind in kinds.items() if kind == "id"]
        return joined_texts(ids, [name for name, kind in kinds.items() if kind in ("id", "text")])


def pieces_of(given: str | Sequence[str]) -> tuple[str, ...]:
    """The columns that a name stands for.

    >>> pieces_of("Date"), pieces_of(["Date", "Time"])
    (('Date',), ('Date', 'Time'))
    """
    return (given,) if isinstance(given, str) else tuple(given)


def joined_name(pieces: Sequence[str]) -> str:
    """What joined columns are called.

    >>> joined_name(["Date", "Time"])
    'Date + Time'
    """
    return " + ".join(pieces)


def _hint(name: str, there: tuple[str, ...]) -> str:
    near = nearest(name, there)
    return f"; did you mean {near!r}" if near else ""
