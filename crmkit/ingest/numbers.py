"""How numbers are written: signs, grouping, decimals, currencies."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import reduce

from crmkit.engine.base import SqlEngine
from crmkit.engine.texts import literal
from crmkit.ingest.parts import Reading

__all__ = ["SIGNS", "in_another_currency", "plain_number", "western"]

SIGNS: dict[str, tuple[str, ...]] = {
    "AUD": ("AU$", "A$", "$"),
    "BRL": ("R$",),
    "CAD": ("CA$", "C$", "$"),
    "CHF": (
        "SFr.",
        "Fr.",
    ),
    "CNY": ("CN¥", "¥", "￥", "元"),
    "CZK": ("Kč",),
    "DKK": ("kr.", "kr"),
    "EUR": ("€",),
    "GBP": ("£",),
    "HKD": ("HK$", "$"),
    "HUF": ("Ft",),
    "INR": ("₹", "Rs.", "Rs"),
    "JPY": ("JP¥", "¥", "￥", "円"),
    "KRW": ("₩", "￦", "원"),
    "MXN": ("MX$", "$"),
    "NOK": ("kr.", "kr"),
    "NZD": ("NZ$", "$"),
    "PLN": ("zł",),
    "RUB": ("₽", "руб."),
    "SEK": ("kr.", "kr"),
    "SGD": ("S$", "$"),
    "THB": ("฿",),
    "TRY": ("₺", "TL"),
    "TWD": ("NT$", "$"),
    "USD": ("US$", "$"),
    "VND": ("₫",),
    "ZAR": ("R",),
}
_HALVES = {"오전": "AM", "오후": "PM", "上午": "AM", "下午": "PM", "午前": "AM", "午後": "PM"}
_BLANKS = (" ", "\u00a0", "\u202f")
_GROUP_MARKS = {" ": "[ \u00a0\u202f]", "'": "['’]", "’": "['’]"}
_POWER = "(?:[eE][+-]?[0-9]+)?"
MINUS = "\u2212"


# -- Numbers ---------------------------------------------------------------------------------------------------------


def plain_number(engine: SqlEngine, text: str, reading: Reading) -> str:
    """Text as a number with a decimal point and nothing else; null where it is not written as stated."""
    signs = _signs(reading.currency)
    blanks = _BLANKS if signs or reading.thousands == " " else ()
    clean = _without(text, (*signs, *blanks, *_grouping(reading.thousands)))
    if reading.mark != ".":
        clean = f"replace({clean}, {literal(reading.mark)}, '.')"
    usual, odd = (engine.matches(text, pattern) for pattern in _patterns(reading, signs))
    return f"case when {usual} then {clean} when {odd} then '-' || {_without(clean, ('-', MINUS, '(', ')'))} end"


def in_another_currency(engine: SqlEngine, text: str, reading: Reading) -> str:
    """Whether a sign or code of a currency other than the stated one stands beside the number."""
    others = sorted({sign for signs in SIGNS.values() for sign in signs}, key=len, reverse=True)
    other = "|".join([r"\p{Sc}", "[A-Z]{3}", *map(re.escape, others)])
    blank, number = _blank(), "[0-9][0-9.,' ’]*"
    bare = _without(text, _signs(reading.currency))
    return engine.matches(bare, f"^[+-]?(?:{other}){blank}[+-]?{number}$|^[+-]?{number}{blank}(?:{other})$")


def _signs(currency: str | None) -> tuple[str, ...]:
    return (currency, *SIGNS.get(currency, ())) if currency else ()


def _grouping(thousands: str | None) -> tuple[str, ...]:
    return ("'", "’") if thousands in ("'", "’") else (thousands,) if thousands else ()


def _without(text: str, marks: Sequence[str]) -> str:
    return reduce(lambda inner, mark: f"replace({inner}, {literal(mark)}, '')", marks, text)


def _blank() -> str:
    return f"[{''.join(_BLANKS)}]*"


def _patterns(reading: Reading, signs: tuple[str, ...]) -> tuple[str, str]:
    """A whole number of groups of three where a mark between them is stated, decimals, a power of ten, one sign.

    The second is for the other ways to write a number below zero: 12.50-, (12.50) and the long minus; without a power.
    """
    mark = re.escape(reading.mark)
    group = _GROUP_MARKS.get(reading.thousands or "", re.escape(reading.thousands or ""))
    whole = f"(?:[1-9][0-9]{{0,2}}(?:{group}[0-9]{{3}})+|[0-9]+)" if reading.thousands else "[0-9]+"
    number = f"(?:{whole}(?:{mark}[0-9]*)?|{mark}[0-9]+)"
    if not signs:
        return f"^[+-]?{number}{_POWER}$", f"^(?:{MINUS}{number}|{number}-|\\({number}\\))$"
    sign, blank = f"(?:{'|'.join(map(re.escape, signs))})", _blank()
    before, after = f"(?:{sign}{blank})?", f"(?:{blank}{sign})?"
    return (
        f"^[+-]?{blank}(?:{sign}{blank}[+-]?{blank})?{number}{_POWER}{after}$",
        f"^(?:{MINUS}{blank}{before}{number}{after}|{before}{MINUS}{number}|{before}{number}-{after}|"
        f"{before}{number}{blank}{sign}-|\\({before}{number}{after}\\))$",
    )


# -- Times -----------------------------------------------------------------------------------------------------------


def western(text: str, time_format: str | None) -> str:
    """Text with the Korean, Chinese and Japanese halves of the day as AM and PM, where the format reads them."""
    if "%p" not in (time_format or ""):
        return text
    return reduce(lambda inner, half: f"replace({inner}, {literal(half)}, {literal(_HALVES[half])})", _HALVES, text)
