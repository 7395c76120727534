"""Years of other calendars, as SQL: the same text with the year of the common one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from crmkit.engine.base import SqlEngine
from crmkit.engine.texts import literal
from crmkit.exceptions import ConfigError

__all__ = ["CALENDARS", "check_calendar", "common_year"]


def check_calendar(name: str) -> None:
    """Raise unless a calendar is known."""
    if name not in CALENDARS:
        raise ConfigError(
            f"There is no calendar {name!r}. Write one of {', '.join(map(repr, CALENDARS))}, or leave it out."
        )


def common_year(engine: SqlEngine, text: str, calendar: str) -> str:
    """A day or time in text with the year of the common calendar; text that states no such year stays as it is."""
    return CALENDARS[calendar](engine, text)


def _thai(engine: SqlEngine, text: str) -> str:
    """2568 is 2025, wherever the year stands."""
    year = f"regexp_extract({text}, '(2[45][0-9][0-9])', 1)"
    return f"case when {year} <> '' then replace({text}, {year}, cast(try_cast({year} as integer) - 543 as string)) else {text} end"


def _roc(engine: SqlEngine, text: str) -> str:
    """民國114年, 114/03/05 and 1140305 are of 2025; the year stands first."""
    bare = f"regexp_replace({text}, '^(中華)?(民國|民国) *', '')"
    year = f"regexp_extract({bare}, '^([0-9]{{2,3}})([^0-9]|[0-9]{{4}}([^0-9]|$))', 1)"
    return f"case when {year} <> '' then {_shifted(year, 1911)} || regexp_replace({bare}, '^[0-9]{{2,3}}', '') else {text} end"


_ERAS = {"令和": 2018, "平成": 1988, "昭和": 1925, "R": 2018, "H": 1988, "S": 1925}


def _japanese(engine: SqlEngine, text: str) -> str:
    """令和7年3月5日 and R7.03.05 are of 2025; the first year of an era is written 元 or 1."""
    whens = []
    for era, before in _ERAS.items():
        year = f"replace(regexp_extract({text}, '^{era} *([0-9]{{1,2}}|元)', 1), '元', '1')"
        rest = f"regexp_replace({text}, '^{era} *([0-9]{{1,2}}|元)', '')"
        whens.append(f"when {text} like {literal(era + '%')} and {year} <> '' then {_shifted(year, before)} || {rest}")
    return f"case {' '.join(whens)} else {text} end"


def _shifted(year: str, by: int) -> str:
    return f"cast(try_cast({year} as integer) + {by} as string)"


_LEAPS = (1, 5, 9, 13, 17, 22, 26, 30)
"""Years of the 33 of a cycle that have 366 days: exact from 1244 to 1472 (1865 to 2094)."""
_NOWRUZ = 3366
"""21 March 1979, the first day of 1358, in days after 1 January 1970."""


def _jalali(engine: SqlEngine, text: str) -> str:
    """1404/01/01 is 21 March 2025; the year stands first."""
    pattern = "^(1[34][0-9][0-9])[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})([^0-9]|$)"
    year, month, day = (f"try_cast(regexp_extract({text}, {literal(pattern)}, {n}) as integer)" for n in (1, 2, 3))
    before = f"case when {month} <= 7 then 31 * ({month} - 1) else 30 * ({month} - 1) + 6 end"
    is_leap = f"{year} % 33 in ({', '.join(map(str, _LEAPS))})"
    longest = f"case when {month} <= 6 then 31 when {month} <= 11 or {is_leap} then 30 else 29 end"
    number = f"365 * ({year} - 1358) + {_leaps_before(year)} - {_leaps_of(1358)} + {before} + {day} - 1 + {_NOWRUZ}"
    common = f"cast(date '1970-01-01' + cast({number} as integer) as string)"
    rest = f"regexp_replace({text}, '^[0-9]+[-/.][0-9]+[-/.][0-9]+', '')"
    is_day = f"{month} between 1 and 12 and {day} between 1 and {longest}"
    return (
        f"case when {engine.matches(text, pattern)} then case when {is_day} then {common} || {rest} end else {text} end"
    )


def _leaps_before(year: str) -> str:
    counts = " + ".join(f"case when {year} % 33 > {leap} then 1 else 0 end" for leap in _LEAPS)
    return f"(8 * cast(floor({year} / 33.0) as integer) + {counts})"


def _leaps_of(year: int) -> int:
    return 8 * (year // 33) + sum(year % 33 > leap for leap in _LEAPS)


CALENDARS: Mapping[str, Callable[[SqlEngine, str], str]] = {
    "thai": _thai,
    "roc": _roc,
    "japanese": _japanese,
    "jalali": _jalali,
}
