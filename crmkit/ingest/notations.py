"""Values that cannot be read and share a notation: what is lost with them is one-sided, so the load stops and names it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from crmkit.exceptions import ContractError
from crmkit.ingest.numbers import SIGNS
from crmkit.ingest.row_meaning import RowMeaning
from crmkit.ingest.staged_rows import StagedRows
from crmkit.ingest.times import calendar_of, formats_fitting

__all__ = ["refuse_shared_notation", "shape_of"]

_LOOKED_AT = 20_000
_READ = {"money": "a number", "number": "a number", "time": "a time", "date": "a date"}


def refuse_shared_notation(rows: StagedRows, typed: str, meaning: RowMeaning) -> None:
    """Raise where unreadable values of one column are written alike, and no value that is written so can be read.

    Raises
    ------
    ContractError
        Names the column, how many, one of them, and what to state.
    """
    given = rows.of_kinds("money", "number", "time", "date")
    for name in sorted(set(given) - set(meaning.reject_unreadable)):
        kind = rows.contract.columns[name]
        unreadable = rows.engine.frame(
            f"select value from {typed} where reason = '{name} is not {_READ[kind]}' limit {_LOOKED_AT}"
        )["value"].dropna()
        shared = _shared(unreadable)
        if shared is None or not _is_one_sided(rows, given[name], *shared):
            continue
        shape, n = shared
        example = next(value for value in unreadable if shape_of(value) == shape)
        raise ContractError(
            f"{rows.part.name}: {n:,} values of {given[name]!r} are written like {example!r}, and none that is written so "
            f"can be read as {_READ[kind]}: all of them would be missing. {_advice(rows, given[name], kind, example)} Or "
            f"reject them knowingly: reject_unreadable=[{name!r}]."
        )


def shape_of(value: str) -> str:
    """A value with each run of digits as 9: what its notation is.

    >>> shape_of("12,34,567.50"), shape_of("₹ 2,500.00")
    ('9,9,9.9', '₹ 9,9.9')
    """
    return re.sub(r"\d+", "9", re.sub("[\u00a0\u202f]", " ", value.strip()))


def _shared(unreadable: Iterable[str]) -> tuple[str, int] | None:
    """The notation of at least two, and half, of the values that hold a digit; with how many."""
    shapes = Counter(shape_of(value) for value in unreadable if re.search(r"\d", value))
    if not shapes:
        return None
    shape, n = shapes.most_common(1)[0]
    return (shape, n) if n >= 2 and 2 * n >= shapes.total() else None


def _is_one_sided(rows: StagedRows, given: str, shape: str, n: int) -> bool:
    """Whether no more values are written so than were rejected."""
    pattern = r"\p{Nd}+".join(map(re.escape, shape.split("9")))
    text = rows.engine.trimmed(rows.engine.quoted(given))
    found = rows.engine.frame(
        f"select count(*) as n from {rows.table} where {rows.engine.matches(text, f'^{pattern}$')}"
    )
    return int(found["n"][0]) <= n


def _advice(rows: StagedRows, given: str, kind: str, example: str) -> str:
    if kind in ("time", "date"):
        fitting = formats_fitting(rows.engine, [example])
        option = "time_format" if kind == "time" else "date_format"
        if not fitting and kind == "time" and (other := calendar_of(rows.engine, [example])):
            more = f", time_format={other[1]!r}" if other[1] else ""
            return f"These are years of another calendar: state calendar={other[0]!r}{more}."
        stated = f" or {option}={fitting[0]!r}, if all are written so" if fitting else ""
        return f"Deliver all alike, as in 2026-03-01 10:00{stated}."
    signs = sorted({code for code, known in SIGNS.items() if any(sign in example for sign in (code, *known))})
    hints = [f"currency={code!r}" for code in signs[:3]]
    if re.search(r"\d,\d{2},\d{3}", example) or re.search(r"\d,\d{3}\.", example):
        hints.append("thousands=','")
    elif re.search(r"\d\.\d{3},|\d,\d{1,2}$", example):
        hints.append("decimal=','")
    if mark := re.search(r"(?i)\b(cr|dr)\b|\d(cr|dr)$", example):
        hints.append(f"negative={(mark[1] or mark[2])!r}")
    return f"State how numbers are written: {' or '.join(hints) or 'decimal, thousands, currency, negative'}."
