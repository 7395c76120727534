"""Rules as data: what a sound row of each table is, and the reasons for which rows are rejected.

A reason is its own key: it is what the report prints, what the tests are named after, and it maps to one condition in
portable SQL that holds for a faulty row. ``raw_<column>`` is the text as delivered.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal

from crmkit.exceptions import ContractError
from crmkit.ingest.parts import NO_HEADER, are_values

__all__ = ["ITEM_COLUMNS", "Contract"]

Kind = Literal["id", "text", "money", "number", "time", "date"]

ITEM_COLUMNS = ("product_id", "category", "brand", "brand_type", "manufacturer", "department")

_LARGEST = "1000000000000"


@dataclass(frozen=True)
class Contract:
    """What a sound row of one table is.

    Parameters
    ----------
    name : str
        What the table holds, for messages.
    columns : mapping of str to kind
        ``id`` and ``text`` stay text; ``money`` and ``number`` become decimals of four places; ``time`` becomes the
        shop's wall clock; ``date`` a day.
    required : tuple of str
        Columns that must be there, with a value in every row.
    rules : mapping of str to str
        Reason, which starts with the name of its column → SQL condition that holds for a faulty row.
    products : mapping of str to pair of str
        A column that may be left out when both factors are delivered: it is their product.
    nobody : mapping of str to str
        Reason → condition for a row that is sound but belongs to no member; looked for last.
    """

    name: str
    columns: Mapping[str, Kind]
    required: tuple[str, ...]
    rules: Mapping[str, str] = field(default_factory=dict)
    products: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    nobody: Mapping[str, str] = field(default_factory=dict)

    def resolve(
        self,
        delivered: tuple[str, ...],
        names: Mapping[str, str],
        source: str,
        call: str,
        elsewhere: Container[str] = (),
    ) -> dict[str, str]:
        """Contract column → delivered column: those named, and those already called by the contract's name.

        A column that is not required may be named and not be there when other files of the extract, ``elsewhere``, have it.

        Raises
        ------
        ContractError
            All unknown and missing names in one message, with what is there and what to write; or, that these look like
            values.
        """
        found = {name: names.get(name, name) for name in self.columns if names.get(name, name) in delivered}
        needed = [name for name in self.required if name not in found and not self.computed(name, found)]
        needed += [factor for name in needed for factor in self._factors(name)]
        lost = {
            name: given
            for name, given in names.items()
            if given not in delivered and (name in needed or given not in elsewhere)
        }
        absent = [f"{given!r} (for {name}{_hint(given, delivered)})" for name, given in lost.items()]
        missing = [name for name in self.required if name in needed and not lost.keys() & {name, *self._factors(name)}]
        faults = self.unknown(names)
        if absent:
            faults += [f"Columns not found: {', '.join(absent)}."]
        if missing:
            near = _nearest(missing[0], delivered)
            faults += [
                f"Columns not found: {missing}. Name them: {call}(…, {missing[0]}={repr(near) if near else '…'})."
            ]
        if (absent or missing) and are_values(delivered):
            raise ContractError(f"{source} seems to have no header: {NO_HEADER}")
        if faults:
            raise ContractError(f"{' '.join(faults)} {source} has {list(delivered)}.")
        return found

    def _factors(self, name: str) -> tuple[str, ...]:
        return self.products.get(name, ())

    def computed(self, name: str, found: Mapping[str, str]) -> bool:
        """Whether a column is not delivered but follows from two that are."""
        return name not in found and name in self.products and all(factor in found for factor in self.products[name])

    def unknown(self, names: Iterable[str]) -> list[str]:
        """A sentence for each name that is not a column of this contract."""
        near = {name: get_close_matches(name, self.columns, n=1) for name in names if name not in self.columns}
        return [
            f"{name!r} is not a column of {self.name}{f'; did you mean {close[0]!r}' if close else ''} "
            f"(there are {', '.join(self.columns)})."
            for name, close in near.items()
        ]

    def faults(self, present: Mapping[str, str]) -> dict[str, tuple[str, str]]:
        """Reason → (column, condition) for the columns that are there, in the order in which they are looked for."""
        found: dict[str, tuple[str, str]] = {}
        for name in self.required:
            if f"{name} is missing" not in self.nobody:
                found[f"{name} is missing"] = (name, f"raw_{name} is null")
        for name in present:
            found |= {reason: (name, rule) for reason, rule in _KIND_FAULTS[self.columns[name]](name).items()}
        for reason, rule in self.rules.items():
            column = reason.split(" ", 1)[0]
            if column in present:
                found[reason] = (column, rule)
        return found

    def screens(self, present: Iterable[str]) -> dict[str, str]:
        """Columns to be computed before `faults`: whether a row may have one of the faults that are costly to look for."""
        ids = ", ".join(["''", *(f"raw_{name}" for name in present if self.columns[name] == "id")])
        texts = ", ".join(["''", *(f"raw_{name}" for name in present if self.columns[name] in ("id", "text"))])
        odd = " or ".join(f"contains(concat_ws({ids}), {mark})" for mark in ("chr(10)", "chr(13)", "'e'", "'E'"))
        return {"has_nul": f"contains(concat_ws({texts}), chr(0))", "has_odd_id": odd}


def _nearest(name: str, there: tuple[str, ...]) -> str | None:
    """The delivered column that is spelt most like a name, when any is near."""
    plain = {"".join(filter(str.isalnum, column.casefold())): column for column in there}
    near = get_close_matches("".join(filter(str.isalnum, name.casefold())), plain, n=1, cutoff=0.8)
    return plain[near[0]] if near else None


def _hint(name: str, there: tuple[str, ...]) -> str:
    near = _nearest(name, there)
    return f"; did you mean {near!r}" if near else ""


def _text_faults(name: str) -> dict[str, str]:
    return {f"{name} holds a NUL character": f"has_nul and contains(raw_{name}, chr(0))"}


def _id_faults(name: str) -> dict[str, str]:
    raw = f"raw_{name}"
    return _text_faults(name) | {
        f"{name} holds a line break": f"has_odd_id and (contains({raw}, chr(10)) or contains({raw}, chr(13)))",
        f"{name} lost its digits (1.2E+12)": (
            f"has_odd_id and (lower({raw}) like '%e+%' or lower({raw}) like '%.%e%') and try_cast({raw} as double) is not null"
        ),
    }


def _number_faults(name: str) -> dict[str, str]:
    lost = f"raw_{name} is not null and {name} is null"
    size = f"abs(try_cast(raw_{name} as double))"
    return {
        f"{name} is beyond 1,000,000,000,000": f"abs({name}) > {_LARGEST} or ({lost} and {size} between 1e12 and 1e308)",
        f"{name} is not a number": lost,
    }


def _time_faults(name: str) -> dict[str, str]:
    return {
        f"{name} is not a time": f"raw_{name} is not null and {name} is null",
        f"{name} is a placeholder date": (
            f"{name} < timestamp '1980-01-01 00:00:00' or {name} >= timestamp '9999-01-01 00:00:00'"
        ),
    }


def _date_faults(name: str) -> dict[str, str]:
    return {f"{name} is not a date": f"raw_{name} is not null and {name} is null"}


_KIND_FAULTS = {
    "id": _id_faults,
    "text": _text_faults,
    "money": _number_faults,
    "number": _number_faults,
    "time": _time_faults,
    "date": _date_faults,
}
