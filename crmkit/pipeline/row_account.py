"""What rows of a delivery would count as, in a few lines: what is a sale, a return, left out; in which currency, by which clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from crmkit.ingest.column_inference import Guess
from crmkit.ingest.row_meaning import ANY, RowMeaning

__all__ = ["row_account"]


def row_account(guess: Guess) -> list[str]:
    """Lines of what is a sale, and so on; nothing for another table than sales."""
    if guess.table != "transactions":
        return []
    rows, settings = RowMeaning(**guess.row_options), guess.settings
    told = {
        "sale": _of_kind(rows, "sale") or "every other row",
        "return": _of_kind(rows, "return") or "quantity or amount below zero",
        "left out": "; ".join(_left_out(rows)) or "none",
        "taken off": ", ".join(_taken_off(rows)),
        "currency": guess.delivered.get("currency")
        or settings.get("currency")
        or "not stated: all money is taken to be in one",
        "clock": _clock(settings),
        "calendar": settings.get("calendar", ""),
    }
    return ["What rows count as", *(f"  {name:<9}  {said}" for name, said in told.items() if said)]


def _of_kind(rows: RowMeaning, role: str) -> str:
    return f"{rows.kinds['column']} is {_either(rows.kinds[role])}" if role in rows.kinds else ""


def _left_out(rows: RowMeaning) -> Iterator[str]:
    for column, words in rows.leave_out.items():
        yield f"{column} is {_either(words)}"
    if "cancelled" in rows.kinds:
        yield _of_kind(rows, "cancelled")


def _either(words: str | Sequence[str]) -> str:
    listed = [words] if isinstance(words, str) else list(words)
    return "filled" if ANY in listed else " or ".join(listed)


def _taken_off(rows: RowMeaning) -> Iterator[str]:
    yield from rows.deduct
    for column, day in rows.refunds.items():
        yield f"{column} on the day {day}"


def _currency(guess: Guess) -> str:
    column, stated = guess.delivered.get("currency"), guess.settings.get("currency")
    return f"that of {column}" if column else stated or "not stated: all money is taken to be in one"


def _clock(settings: Mapping[str, object]) -> str:
    zone, recorded = settings.get("time_zone"), settings.get("recorded_in")
    if zone is None:
        return "as the times stand; one that states its offset needs time_zone"
    return f"{zone}, from times in {recorded}" if recorded else str(zone)
