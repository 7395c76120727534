"""How numbers and times are written: what a source states about it, as SQL; and what its values leave open."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product

import pandas as pd

from crmkit.engine.base import SqlEngine
from crmkit.engine.duckdb import check_format
from crmkit.engine.texts import check_zone, is_usual_time, literal, states_offset
from crmkit.exceptions import ConfigError, ContractError
from crmkit.ingest.calendars import CALENDARS, check_calendar, common_year
from crmkit.ingest.month_names import english_months
from crmkit.ingest.numbers import MINUS, western

__all__ = [
    "AMBIGUOUS",
    "TimeRules",
    "calendar_of",
    "fitting_formats",
    "formats_fitting",
    "has_no_hour",
    "is_ambiguous",
    "is_another_order",
    "is_midnight",
    "joined_time",
    "minutes",
    "readable",
    "wall_clock",
]

AMBIGUOUS = rf"^[(+{MINUS}-]?[1-9][0-9]{{0,2}}([.,][0-9]{{3}})+[)-]?$"
_LETTER = r"[^\x00-@\[-`{-~]"
"""A letter of any script, or another character beyond ASCII: classes of Unicode take longer to compile than a small file to read."""
DATE_LIKE = r"^([0-9]{1,4}[./-][0-9]{1,2}[./-][0-9]{1,4}|[0-9]{8}([0-9]{4,6})?|[0-9]{4} ?[년年]|[3-7][0-9]{4}|[0-9]{1,2}[.]?[ /-](de )?@{3,12}[.]?[ /-](de )?[0-9]{2,4}|@{3,12}[.]? [0-9]{1,2}, [0-9]{4})([^0-9]|$)".replace(
    "@", _LETTER
)
SERIAL = "excel"

CLOCK_FORMAT = "%H:%M:%S"
"""How a time of day from a column of its own is written once it is joined to its day."""

_FIRST_SERIAL, _LAST_SERIAL = 36526, 73050  # 2000-01-01 and 2099-12-31
_DAYS = (
    "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%m.%d.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y.%m.%d", "%Y%m%d", "%Y-%m-%d", "%Y/%m/%d",
    "%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d-%m-%y", "%m-%d-%y", "%y-%m-%d", "%y/%m/%d", "%y.%m.%d",
    "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d/%b/%Y", "%b %d, %Y", "%d-%B-%Y", "%d %B %Y", "%B %d, %Y",
    "%d. %B %Y", "%d. %b %Y", "%d de %B de %Y", "%d %b %y", "%d/%B/%Y", "%d/%b/%y",
    "%Y년 %m월 %d일", "%Y年%m月%d日", "%Y. %m. %d.",
)  # fmt: skip
_TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", " %p %I:%M", " %p %I:%M:%S", "%H%M", "%H%M%S",
          "T%H:%M:%S", ", %H:%M", ", %H:%M:%S", ", %I:%M %p", ", %I:%M:%S %p", " %H:%M:%S %z", " %H:%M %z")  # fmt: skip


def is_ambiguous(engine: SqlEngine, text: str) -> str:
    """Whether a number may be thousands or three decimals; most values are told by their first and last characters."""
    ends = f"{text} like '%.___' or {text} like '%,___' or {text} like '%-' or {text} < '0'"
    may_be = f"length({text}) > 4 and ({ends})"
    return f"case when {may_be} then {engine.matches(text, AMBIGUOUS)} else false end"


def readable(engine: SqlEngine, text: str, time_format: str | None) -> tuple[str, str | None]:
    """Text as the engine reads it, and the format to read it by.

    A day number of a spreadsheet, 46082.4375, becomes a time written year first; only those of this century are taken.
    """
    if time_format != SERIAL:
        named = time_format is not None and re.search("%[bB]", time_format)
        text = western(text, time_format)
        return english_months(engine, text, str(time_format)) if named else text, time_format
    serial = f"try_cast(replace({text}, ',', '.') as double)"
    is_serial = f"{engine.matches(text, '^[0-9]{5}([.,][0-9]+)?$')} and {serial} >= {_FIRST_SERIAL} and {serial} < {_LAST_SERIAL + 1}"
    moment = engine.plus_seconds(
        "cast(date '1899-12-30' as timestamp_ntz)", f"try_cast(round({serial} * 86400) as bigint)"
    )
    return f"case when {is_serial} then cast({moment} as string) end", None


def minutes(cutoff: str) -> int:
    """Minutes after midnight of a trading-day cut-off.

    >>> minutes("05:30")
    330
    """
    found = re.fullmatch("([01]?[0-9]):([0-5][0-9])", cutoff)
    late = int(found[1]) * 60 + int(found[2]) if found else None
    if late is None or not 0 < late <= 720:
        raise ConfigError(
            f"trading_day_cutoff={cutoff!r} is not a time after midnight, up to 12:00. Write '05:00', say."
        )
    return late


def wall_clock(engine: SqlEngine, raw: str, rules: TimeRules, joined: bool, whole_days: bool) -> str:
    """Text as the wall-clock time; hours past 24 are the next day's, up to where the next trading day begins.

    A day without a time of day stays the day it says, whatever zones are stated.
    """
    time_format = rules.time_format
    raw = common_year(engine, raw, rules.calendar) if rules.calendar else raw
    if joined and time_format and not states_hour(time_format):
        with_hour = _wall_clock(engine, raw, rules, f"{time_format} {CLOCK_FORMAT}")
        return f"coalesce({with_hour}, {_day_only(engine, raw, time_format)})"
    if whole_days or (time_format not in (None, SERIAL) and not states_hour(time_format or "")):
        return _day_only(engine, raw, time_format)
    found = _wall_clock(engine, raw, rules, time_format)
    if rules.recorded_in and time_format is None:
        found = f"case when contains({raw}, ':') then {found} else {_day_only(engine, raw, None)} end"
    return found


def _day_only(engine: SqlEngine, raw: str, time_format: str | None) -> str:
    if time_format is None:
        bare = f"regexp_replace({raw}, {literal(f'{_MIDNIGHT}.*$')}, '')"
        return f"cast({engine.local_day(bare)} as timestamp_ntz)"
    return engine.local_time(*readable(engine, raw, time_format), None, None)


def _wall_clock(engine: SqlEngine, raw: str, rules: TimeRules, stated: str | None) -> str:
    text, time_format = readable(engine, raw, stated)
    local = engine.local_time(text, time_format, rules.recorded_in, rules.time_zone)
    if not rules.cutoff:
        return local
    is_late, rewritten = late_clock(engine, text)
    late = engine.local_time(rewritten, time_format, rules.recorded_in, rules.time_zone)
    in_day = f"extract(hour from {late}) * 60 + extract(minute from {late}) < {rules.cutoff}"
    return f"case when {is_late} then case when {in_day} then {late} + interval '1' day end else {local} end"


_MIDNIGHT = "[ T]0?0:00"


def is_midnight(engine: SqlEngine, text: str) -> str:
    """Whether a time in text is midnight, as of days that were written with a time: 2025-03-04 00:00:00."""
    tail = "(:00([.]0+)?)?( ?[Aa][.]?[Mm][.]?)?( ?(Z|[+-][0-9]{2}(:?[0-9]{2})?))?$"
    return engine.matches(text, f"({_MIDNIGHT}|[ T]12:00(:00)? ?[Aa][.]?[Mm]){tail}")


def has_no_hour(raw: str, time_format: str | None, joined: bool) -> str:
    """Whether a time in text has no time of day."""
    if time_format == SERIAL:
        return f"not (contains({raw}, '.') or contains({raw}, ','))"
    if time_format and not joined:
        return "false" if states_hour(time_format) else "true"
    return f"not contains({raw}, ':')"


def states_hour(time_format: str) -> bool:
    """Whether a ``strptime`` format reads a time of day.

    >>> states_hour("%d/%m/%Y"), states_hour("%d/%m/%Y %H:%M"), states_hour("%c")
    (False, True, True)
    """
    return re.search("%-?[HIXTcs]", time_format) is not None


def joined_time(engine: SqlEngine, day: str, clock: str) -> str:
    """A day and a time of day, from two columns, as one text; the time as in 09:05:00, whatever it is written as."""
    tidy = f"regexp_replace({day}, {literal(f'{_MIDNIGHT}(:00([.]0+)?)?$')}, '')"
    return f"case when {clock} is null then {tidy} else {tidy} || ' ' || coalesce({_tidy_clock(engine, clock)}, {clock}) end"


def _tidy_clock(engine: SqlEngine, clock: str) -> str:
    """09:05, 9:05 AM, 905, 90500, 9, or a spreadsheet's time of the year 1899, as 09:05:00."""
    text = f"upper(regexp_replace({clock}, '^(1899|1900)-[0-9]{{2}}-[0-9]{{2}}[ T]', ''))"
    digits = f"lpad({text}, case when length({text}) <= 4 then 4 else 6 end, '0')"
    spelt = f"substring({digits}, 1, 2) || ':' || substring({digits}, 3, 2) || ':' || rpad(substring({digits}, 5, 2), 2, '0')"
    hour, rest = (f"regexp_extract({text}, '^([0-9]{{1,2}})(:[0-9]{{2}}(:[0-9]{{2}})?)', {n})" for n in (1, 2))
    number = f"try_cast({hour} as integer)"
    is_pm, is_am = (engine.matches(text, f"{half}[.]? ?M[.]?$") for half in "PA")
    of_day = f"case when {is_pm} then {number} % 12 + 12 when {is_am} then {number} % 12 else {number} end"
    with_seconds = f"rpad({rest}, 6, ':00')"
    return f"""case when {engine.matches(text, "^[0-9]{1,2}([.]0+)?$")} then lpad(split_part({text}, '.', 1), 2, '0') || ':00:00'
        when {engine.matches(text, "^[0-9]{3,6}$")} then {spelt}
        when {rest} <> '' then lpad(cast({of_day} as string), 2, '0') || {with_seconds} end"""


def late_clock(engine: SqlEngine, text: str) -> tuple[str, str]:
    """Whether a time counts its hours past 24, and the same text with the hours of the next day."""
    hours: Mapping[str, str] = {
        f"{before}{hour}:": f"{before}{hour - 24:02d}:" for hour in range(24, 37) for before in " T"
    }
    rewritten = reduce(lambda inner, late: f"replace({inner}, {literal(late)}, {literal(hours[late])})", hours, text)
    return engine.matches(text, "[ T](2[4-9]|3[0-6]):[0-5][0-9]"), rewritten


def is_another_order(engine: SqlEngine, text: str) -> str:
    """Whether text looks like a date that is not written year first; most values are told by their marks."""
    other = f"{engine.matches(text, DATE_LIKE)} and {engine.local_day(text)} is null and not {engine.has_offset(text)}"
    return f"case when {is_usual_time(text)} then false else {other} end"


def fitting_formats(engine: SqlEngine, table: str, column: str) -> list[str]:
    """The formats that fit most of the values of a column which look like dates and are not written year first."""
    text = engine.trimmed(engine.quoted(column))
    values = engine.stage(f"select distinct {text} as given from {table} where {is_another_order(engine, text)}")
    some = engine.frame(f"select given from {values} limit 200")["given"].tolist()
    known = [form for form in (*(day + time for day, time in product(_DAYS, _TIMES)), SERIAL) if _has_shape(form, some)]
    likely = _counted(engine, f"(select * from {values} limit 200) sample", known)
    counts = _counted(engine, values, [form for form, n in likely.items() if n])
    engine.drop(values)
    most = max(counts.values(), default=0)
    return [form for form, n in counts.items() if n and n == most]


def formats_fitting(engine: SqlEngine, values: Sequence[str]) -> list[str]:
    """The formats by which all of a few values can be read."""
    table = engine.register(pd.DataFrame({"given": list(values)}, dtype="str"))
    known = [day + time for day, time in product(_DAYS, _TIMES) if _has_shape(day + time, values)]
    counts = _counted(engine, table, known)
    return [form for form, n in counts.items() if n == len(values)]


def calendar_of(engine: SqlEngine, values: Sequence[str]) -> tuple[str, str | None] | None:
    """Another calendar by which all of a few values are days of our time, and the format that they need then."""
    given = engine.register(pd.DataFrame({"given": list(values)}, dtype="str"))
    for calendar in CALENDARS:
        common = engine.frame(f"select {common_year(engine, 'given', calendar)} as given from {given}")["given"]
        if common.isna().any() or set(common) == set(values):
            continue
        year = f"extract(year from {engine.local_day('given')})"
        table = engine.register(pd.DataFrame({"given": common}, dtype="str"))
        plain = engine.frame(f"select count(*) as n from {table} where {year} between 1980 and 2060")["n"][0]
        if plain == len(values):
            return calendar, None
        if calendar != "jalali" and (formats := formats_fitting(engine, common.tolist())):
            return calendar, formats[0]
    return None


_SHAPES = {
    "Y": r"\d{1,4}", "y": r"\d{1,2}", "m": r"\d{1,2}", "d": r"\d{1,2}", "H": r"\d{1,2}", "I": r"\d{1,2}", "M": r"\d{1,2}",
    "S": r"\d{1,2}(?:\.\d+)?", "b": r"\w+\.?", "B": r"\w+", "p": r"\w[\w.]*", "z": r"(?:Z|[+-][\d:]+)",
}  # fmt: skip


def _has_shape(time_format: str, values: Sequence[str]) -> bool:
    """Whether a value may be written so, by its marks; to try all formats in the engine takes seconds."""
    if time_format == SERIAL:
        return any(re.fullmatch(r"\d{5}([.,]\d+)?", value) for value in values)
    pieces = re.split("%(.)", time_format)
    pattern = "".join(_SHAPES[piece] if n % 2 else re.escape(piece) for n, piece in enumerate(pieces))
    return any(re.fullmatch(pattern.replace("\\ ", r"\s*"), value) for value in values)


def _counted(engine: SqlEngine, values: str, formats: list[str]) -> dict[str, int]:
    """How many values each format fits."""
    if not formats:
        return {}
    times = [engine.local_time(*readable(engine, "given", form), None, "UTC") for form in formats]
    parsed = [f"case when extract(year from {one}) between 1980 and 2100 then 1 end" for one in times]
    row = engine.arrow(f"select {', '.join(f'count({one}) as n{n}' for n, one in enumerate(parsed))} from {values}")
    return dict(zip(formats, row.to_pylist()[0].values(), strict=True))


@dataclass(frozen=True)
class TimeRules:
    """How times are written, and where the shop's day begins.

    ``time_zone`` is the shop's; ``recorded_in`` is the zone of times that state no offset, the shop's own when not
    given; ``time_format`` is a ``strptime`` format for times that are not written year first, or ``"excel"`` for the day
    numbers of a spreadsheet. Purchases before
    ``trading_day_cutoff`` ("05:00") belong to the day before, and a clock that counts on after midnight (25:10) is read.
    ``calendar`` says whose years are written: ``"thai"``, ``"roc"``, ``"japanese"`` or ``"jalali"``.
    """

    time_zone: str | None = None
    recorded_in: str | None = None
    time_format: str | None = None
    trading_day_cutoff: str | None = None
    calendar: str | None = None

    def __post_init__(self) -> None:
        if self.calendar is not None:
            check_calendar(self.calendar)
        for zone in (self.time_zone, self.recorded_in):
            if zone is not None:
                check_zone(zone)
        if self.trading_day_cutoff is not None:
            minutes(self.trading_day_cutoff)
        if self.recorded_in and not self.time_zone:
            raise ContractError("recorded_in is given without time_zone. State the shop's own zone: time_zone=….")
        if self.time_format:
            check_format(self.time_format)
            if states_offset(self.time_format) and not self.time_zone:
                raise ContractError(
                    f"time_format={self.time_format!r} reads offsets. State the shop's zone: time_zone=…."
                )

    @property
    def cutoff(self) -> int:
        """Minutes after midnight at which the shop's day begins."""
        return minutes(self.trading_day_cutoff) if self.trading_day_cutoff else 0
