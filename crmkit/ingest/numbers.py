"""How numbers are written: signs, grouping, decimals, currencies."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import reduce

from crmkit.engine.base import SqlEngine
from crmkit.engine.texts import literal
from crmkit.ingest.parts import Reading

__all__ = ["SIGNS", "in_another_currency", "in_western_digits", "plain_number", "western"]

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
    "JPY": ("JP¥", "¥", "￥", "円", "\\"),  # 0x5C of cp932 and cp949 is shown as the sign of yen and won
    "KRW": ("₩", "￦", "원", "\\"),
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
_NO_BREAK = "\u00a0\u202f"
_BLANKS = (" ", "\u00a0", "\u202f")
_GROUP_MARKS = {" ": "[ \u00a0\u202f]", "'": "['’]", "’": "['’]"}
_POWER = "(?:[eE][+-]?[0-9]+)?"
MINUS = "\u2212"


# -- Numbers ---------------------------------------------------------------------------------------------------------


def plain_number(engine: SqlEngine, text: str, reading: Reading) -> str:
    """Text as a number with a decimal point and nothing else; null where it is not written as stated.

    What most files hold is matched first; digits of other scripts, accounting signs and groups of India only where that
    fails, so that they cost nothing elsewhere.
    """
    usual = _cases(engine, text, reading, _patterns(reading, _signs(reading.currency)))
    tidy = _tidy(text, reading)
    other = _cases(engine, tidy, reading, _patterns(reading, _signs(reading.currency), of_india=True))
    return f"case {usual} else case {other} {_grouped_by_blanks(engine, tidy, reading)} end end"


def _grouped_by_blanks(engine: SqlEngine, text: str, reading: Reading) -> str:
    """1'234.50, 1 234.50 with a blank of any kind: such groups of three mean nothing else, and are read without being stated."""
    if reading.thousands or reading.currency:
        return ""
    pattern = f"^[+-]?[1-9][0-9]{{0,2}}(?:['’ \u00a0\u202f][0-9]{{3}})+(?:{re.escape(reading.mark)}[0-9]*)?$"
    plain = f"replace({_without(text, ('’', chr(39), *_BLANKS))}, {literal(reading.mark)}, '.')"
    return f"when {engine.matches(text, pattern)} then {plain}"


def _cases(engine: SqlEngine, text: str, reading: Reading, patterns: tuple[str, str]) -> str:
    signs = _signs(reading.currency)
    blanks = _BLANKS if signs or reading.thousands == " " else ()
    clean = _without(text, (*signs, *blanks, *_grouping(reading.thousands)))
    if reading.mark != ".":
        clean = f"replace({clean}, {literal(reading.mark)}, '.')"
    usual, odd = (engine.matches(text, pattern) for pattern in patterns)
    return f"when {usual} then {clean} when {odd} then '-' || {_without(clean, ('-', MINUS, '(', ')'))}"


def _tidy(text: str, reading: Reading) -> str:
    """Text in Western digits and signs, without a spreadsheet's guards and the marks that stand for no decimals.

    2,400 in full width or in Arabic digits, ▲300 and △300 below zero, '-107 and ="107", 12.- and 2,500/- without decimals.
    """
    western = f"translate({text}, {literal(_FOREIGN)}, {literal(_WESTERN + reading.mark)})"
    for ending in (f"[{reading.mark}](-{{1,2}}|—)$", "/-$", "^=?[\"']+", "[\"']+$"):
        western = f"regexp_replace({western}, {literal(ending)}, '')"
    western = f"trim(regexp_replace(regexp_replace({western}, '^ *[▲△] *', '-'), '^- +', '-'))"
    if reading.negative is None:
        return western
    bare = f"trim(replace({western}, {literal(reading.negative)}, ''))"
    return f"case when contains({western}, {literal(reading.negative)}) then '-' || {bare} else {western} end"


_ZEROS = "\uff10\u0660\u06f0\u0966\u09e6\u0e50\u0ed0\u17e0\u1040"  # full width, Arabic, Persian, Hindi, Bengali, Thai, Lao, Khmer, Burmese
_INVISIBLE = "\u200b\u200e\u200f\u202a\u202b\u202c\u2066\u2067\u2068\u2069\ufeff\u066c"
_FOREIGN = (
    "".join(chr(ord(zero) + n) for zero in _ZEROS for n in range(10))
    + "，．－﹣–＋（）％￥＄￦\u3000\u066b"
    + _INVISIBLE
)
_WESTERN = "0123456789" * len(_ZEROS) + ",.---+()%¥$₩ "


def in_another_currency(engine: SqlEngine, text: str, reading: Reading) -> str:
    """Whether a sign or code of a currency other than the stated one stands beside the number."""
    others = sorted({sign for signs in SIGNS.values() for sign in signs}, key=len, reverse=True)
    other = "|".join([r"\p{Sc}", "[A-Z]{3}", *map(re.escape, others)])
    blank, number = _blank(), "[0-9][0-9.,' ’]*"
    bare = _without(text, _signs(reading.currency))
    ends = f"{text} < '0' or {text} > ':' or right({text}, 1) < '0' or right({text}, 1) > '9'"
    found = engine.matches(bare, f"^[+-]?(?:{other}){blank}[+-]?{number}$|^[+-]?{number}{blank}(?:{other})$")
    return f"case when {ends} then {found} else false end"  # most end in digits


def _signs(currency: str | None) -> tuple[str, ...]:
    return (currency, *SIGNS.get(currency, ())) if currency else ()


def _grouping(thousands: str | None) -> tuple[str, ...]:
    return ("'", "’") if thousands in ("'", "’") else (thousands,) if thousands else ()


def _without(text: str, marks: Sequence[str]) -> str:
    return reduce(lambda inner, mark: f"replace({inner}, {_character(mark)}, '')", marks, text)


def _character(mark: str) -> str:
    """A mark as SQL writes it; a backslash means something else in the texts of some engines."""
    return "chr(92)" if mark == "\\" else literal(mark)


def _blank() -> str:
    return f"[{''.join(_BLANKS)}]*"


def _patterns(reading: Reading, signs: tuple[str, ...], of_india: bool = False) -> tuple[str, str]:
    """A whole number of groups of three where a mark between them is stated, decimals, a power of ten, one sign.

    The second is for the other ways to write a number below zero: 12.50-, (12.50) and the long minus; without a power.
    """
    mark = re.escape(reading.mark)
    group = _GROUP_MARKS.get(reading.thousands or "", re.escape(reading.thousands or ""))
    groups = f"[1-9][0-9]{{0,2}}(?:{group}[0-9]{{3}})+"
    if of_india and reading.thousands == ",":
        groups += "|[1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3}"
    whole = f"(?:{groups}|[0-9]+)" if reading.thousands else "[0-9]+"
    number = f"(?:{whole}(?:{mark}[0-9]*)?|{mark}[0-9]+)"
    ended = f"(?:{whole}(?:{mark}[0-9]+)?|{mark}[0-9]+)"  # 12.- is 12.00, not -12
    if not signs:
        return f"^[+-]?{number}{_POWER}$", f"^(?:{MINUS}{number}|{ended}-|\\({number}\\))$"
    sign, blank = f"(?:{'|'.join(map(re.escape, signs))})", _blank()
    before, after = f"(?:{sign}{blank})?", f"(?:{blank}{sign})?"
    return (
        f"^[+-]?{blank}(?:{sign}{blank}[+-]?{blank})?{number}{_POWER}{after}$",
        f"^(?:{MINUS}{blank}{before}{number}{after}|{before}{MINUS}{number}|{before}{ended}-{after}|"
        f"{before}{number}{blank}{sign}-|\\({before}{number}{after}\\))$",
    )


def in_western_digits(text: str) -> str:
    """A day or time whose digits and marks are of another script in those that all read: ２０２５／０１／０２ is 2025/01/02."""
    digits = "".join(chr(ord(zero) + n) for zero in _ZEROS for n in range(10))
    western = f"translate({text}, {literal(digits + '－–／．：')}, {literal('0123456789' * len(_ZEROS) + '--/.:')})"
    return f"case when bit_length({text}) <> 8 * length({text}) then {western} else {text} end"


# -- Times -----------------------------------------------------------------------------------------------------------


def western(text: str, time_format: str | None) -> str:
    """Text with the Korean, Chinese and Japanese halves of the day as AM and PM, where the format reads them; 1:05\u202fPM has a space."""
    if "%p" not in (time_format or ""):
        return text
    spaced = f"translate({text}, {literal(_NO_BREAK)}, '  ')"
    return reduce(lambda inner, half: f"replace({inner}, {literal(half)}, {literal(_HALVES[half])})", _HALVES, spaced)
