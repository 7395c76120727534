"""How numbers and times are written: what a source states about it, as SQL; and what its values leave open."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import product

from crmkit.engine import Engine, SparkEngine, is_usual_time, literal
from crmkit.exceptions import ConfigError
from crmkit.extracts import Reading

__all__ = [
    "AMBIGUOUS",
    "SIGNS",
    "fitting_formats",
    "in_another_currency",
    "is_ambiguous",
    "is_another_order",
    "late_clock",
    "minutes",
    "plain_number",
    "readable",
    "western",
]

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
_MINUS = "\u2212"

AMBIGUOUS = rf"^[(+{_MINUS}-]?[1-9][0-9]{{0,2}}([.,][0-9]{{3}})+[)-]?$"
DATE_LIKE = r"^([0-9]{1,4}[./-][0-9]{1,2}[./-][0-9]{1,4}|[0-9]{8}([0-9]{4,6})?|[0-9]{4} ?[년年]|[3-7][0-9]{4}|[0-9]{1,2}[ /-][A-Za-z]{3,9}[ /-][0-9]{2,4}|[A-Za-z]{3,9} [0-9]{1,2}, [0-9]{4})([^0-9]|$)"
SERIAL = "excel"

_FIRST_SERIAL, _LAST_SERIAL = 36526, 73050  # 2000-01-01 and 2099-12-31
_DAYS = (
    "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%m.%d.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y.%m.%d", "%Y%m%d", "%Y-%m-%d", "%Y/%m/%d",
    "%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d-%m-%y", "%m-%d-%y", "%y-%m-%d", "%y/%m/%d", "%y.%m.%d",
    "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d/%b/%Y", "%b %d, %Y", "%d-%B-%Y", "%d %B %Y", "%B %d, %Y",
    "%Y년 %m월 %d일", "%Y年%m月%d日", "%Y. %m. %d.",
)  # fmt: skip
_TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", " %p %I:%M", " %p %I:%M:%S", "%H%M", "%H%M%S",
          "T%H:%M:%S", ", %H:%M", ", %H:%M:%S", " %H:%M:%S %z", " %H:%M %z")  # fmt: skip


# -- Numbers ---------------------------------------------------------------------------------------------------------


def plain_number(engine: Engine | SparkEngine, text: str, reading: Reading) -> str:
    """Text as a number with a decimal point and nothing else; null where it is not written as stated."""
    signs = _signs(reading.currency)
    blanks = _BLANKS if signs or reading.thousands == " " else ()
    clean = _without(text, (*signs, *blanks, *_grouping(reading.thousands)))
    if reading.mark != ".":
        clean = f"replace({clean}, {literal(reading.mark)}, '.')"
    usual, odd = (engine.matches(text, pattern) for pattern in _patterns(reading, signs))
    return f"case when {usual} then {clean} when {odd} then '-' || {_without(clean, ('-', _MINUS, '(', ')'))} end"


def in_another_currency(engine: Engine | SparkEngine, text: str, reading: Reading) -> str:
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
        return f"^[+-]?{number}{_POWER}$", f"^(?:{_MINUS}{number}|{number}-|\\({number}\\))$"
    sign, blank = f"(?:{'|'.join(map(re.escape, signs))})", _blank()
    before, after = f"(?:{sign}{blank})?", f"(?:{blank}{sign})?"
    return (
        f"^[+-]?{blank}(?:{sign}{blank}[+-]?{blank})?{number}{_POWER}{after}$",
        f"^(?:{_MINUS}{blank}{before}{number}{after}|{before}{_MINUS}{number}|{before}{number}-{after}|"
        f"{before}{number}{blank}{sign}-|\\({before}{number}{after}\\))$",
    )


def is_ambiguous(engine: Engine | SparkEngine, text: str) -> str:
    """Whether a number may be thousands or three decimals; most values are told by their first and last characters."""
    may_be = f"{text} like '%.___' or {text} like '%,___' or {text} like '%-' or {text} < '0'"
    return f"case when {may_be} then {engine.matches(text, AMBIGUOUS)} else false end"


# -- Times -----------------------------------------------------------------------------------------------------------


def western(text: str, time_format: str | None) -> str:
    """Text with the Korean, Chinese and Japanese halves of the day as AM and PM, where the format reads them."""
    if "%p" not in (time_format or ""):
        return text
    return reduce(lambda inner, half: f"replace({inner}, {literal(half)}, {literal(_HALVES[half])})", _HALVES, text)


def readable(engine: Engine | SparkEngine, text: str, time_format: str | None) -> tuple[str, str | None]:
    """Text as the engine reads it, and the format to read it by.

    A day number of a spreadsheet, 46082.4375, becomes a time written year first; only those of this century are taken.
    """
    if time_format != SERIAL or isinstance(engine, SparkEngine):
        return western(text, time_format), time_format
    serial = f"try_cast(replace({text}, ',', '.') as double)"
    is_serial = f"{engine.matches(text, '^[0-9]{5}([.,][0-9]+)?$')} and {serial} >= {_FIRST_SERIAL} and {serial} < {_LAST_SERIAL + 1}"
    moment = f"timestamp '1899-12-30 00:00:00' + to_seconds(cast(round({serial} * 86400) as bigint))"
    return f"case when {is_serial} then cast({moment} as varchar) end", None


def minutes(clock: str) -> int:
    """Minutes after midnight of a trading-day cut-off.

    >>> minutes("05:30")
    330
    """
    found = re.fullmatch("([01]?[0-9]):([0-5][0-9])", clock)
    late = int(found[1]) * 60 + int(found[2]) if found else None
    if late is None or not 0 < late <= 720:
        raise ConfigError(
            f"trading_day_cutoff={clock!r} is not a time after midnight, up to 12:00. Write '05:00', say."
        )
    return late


def late_clock(engine: Engine | SparkEngine, text: str) -> tuple[str, str]:
    """Whether a time counts its hours past 24, and the same text with the hours of the next day."""
    hours: Mapping[str, str] = {
        f"{before}{hour}:": f"{before}{hour - 24:02d}:" for hour in range(24, 37) for before in " T"
    }
    rewritten = reduce(lambda inner, late: f"replace({inner}, {literal(late)}, {literal(hours[late])})", hours, text)
    return engine.matches(text, "[ T](2[4-9]|3[0-6]):[0-5][0-9]"), rewritten


def is_another_order(engine: Engine | SparkEngine, text: str) -> str:
    """Whether text looks like a date that is not written year first; most values are told by their marks."""
    other = f"{engine.matches(text, DATE_LIKE)} and {engine.local_day(text)} is null and not {engine.has_offset(text)}"
    return f"case when {is_usual_time(text)} then false else {other} end"


def fitting_formats(engine: Engine | SparkEngine, table: str, column: str) -> list[str]:
    """The formats that fit most of the values of a column which look like dates and are not written year first."""
    text = engine.trimmed(engine.quoted(column))
    values = engine.stage(f"select distinct {text} as given from {table} where {is_another_order(engine, text)}")
    known = [*(day + time for day, time in product(_DAYS, _TIMES)), SERIAL]
    likely = _counted(engine, f"(select * from {values} limit 200) sample", known)
    counts = _counted(engine, values, [form for form, n in likely.items() if n])
    engine.drop(values)
    most = max(counts.values(), default=0)
    return [form for form, n in counts.items() if n and n == most]


def _counted(engine: Engine | SparkEngine, values: str, formats: list[str]) -> dict[str, int]:
    """How many values each format fits."""
    if not formats:
        return {}
    times = [engine.local_time(*readable(engine, "given", form), None, "UTC") for form in formats]
    parsed = [f"case when extract(year from {one}) between 1980 and 2100 then 1 end" for one in times]
    row = engine.arrow(f"select {', '.join(f'count({one}) as n{n}' for n, one in enumerate(parsed))} from {values}")
    return dict(zip(formats, row.to_pylist()[0].values(), strict=True))
