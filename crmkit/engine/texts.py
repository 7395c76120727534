"""SQL as text: the files of the rooms, names, literals, time zones and formats."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from crmkit.exceptions import ConfigError

__all__ = ["bound", "check_zone", "sql_text"]

_DAY = "^[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}"
_HOUR = "[ T]([01]?[0-9]|2[0-3]):[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?"
WALL_CLOCK = f"{_DAY}({_HOUR})?$"
OFFSET = f"{_DAY}{_HOUR} ?(Z|[+-][0-9]{{2}}(:?[0-9]{{2}})?)$"
NO_SECONDS = "([ T][0-9]{1,2}:[0-9]{2}) ?([Z+-])"
_USUAL = ("____-__-__ __:__:__", "____-__-__ __:__", "____-__-__")
BLANKS = " \t\r\n\u00a0\ufeff"
WHITE = (
    BLANKS + "\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
EXACT = {"FLOAT": 2**24, "DOUBLE": 2**53}
"""The largest whole number that a floating type holds exactly, by the engine's name of the type."""


@cache
def raw_sql(name: str) -> str:
    room, _, question = name.partition("/")
    return (resources.files("crmkit") / room / "sql" / f"{question}.sql").read_text(encoding="utf-8")


def sql_text(name: str, **names: str) -> str:
    """The text of ``crmkit/<room>/sql/<question>.sql``, named ``room/question``, with the names of relations and columns.

    >>> "group by" in sql_text("summaries/rfm_table", days="days")
    True
    """
    return raw_sql(name).format(**names)


def bound(text: str, values: Mapping[str, object], mark: str) -> tuple[str, dict[str, object]]:
    """A text with its values' names after an engine's own mark, and the values that it names.

    >>> bound("select ':day', x::int from days where day <= :day and day > :day - 7", {"day": 5, "other": 1}, "$")
    ("select ':day', x::int from days where day <= $day and day > $day - 7", {'day': 5})
    """
    used: dict[str, object] = {}

    def marked(found: re.Match[str]) -> str:
        name = found["name"]
        if name not in values:
            return found[0]
        used[name] = values[name]
        return mark + name

    return (_NAMED.sub(marked, text), used) if values else (text, used)


_NAMED = re.compile(r"""'[^']*'|"[^"]*"|`[^`]*`|--[^\n]*|(?<![:\w]):(?P<name>[a-z_][a-z_0-9]*)""")
"""A value's name, or what a name is not looked for in: quotes and comments."""


def quoted(name: str) -> str:
    """An identifier as SQL writes it.

    >>> quoted('a "name"')
    '"a ""name\"""'
    """
    return '"' + name.replace('"', '""') + '"'


def is_usual_time(text: str) -> str:
    """Whether text has the marks of a day, or of a time without offset, that is written year first; cheap to see."""
    return "(" + " or ".join(f"{text} like {literal(form)}" for form in _USUAL) + ")"


def check_zone(name: str) -> str:
    """Return a time zone's name, or raise when there is none of that name.

    >>> check_zone("America/New_York")
    'America/New_York'
    """
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(f"There is no time zone {name!r}. Use an IANA name such as 'Europe/Berlin'.") from None
    return name


def states_offset(time_format: str) -> bool:
    """Whether times of a ``strptime`` format carry their offset or zone.

    >>> states_offset("%d/%m/%Y %H:%M %z")
    True
    """
    return "%z" in time_format or "%Z" in time_format


def literal(text: str | None) -> str:
    """Text as SQL writes it.

    >>> literal("o'clock")
    "'o''clock'"
    """
    return "'" + (text or "").replace("'", "''") + "'"


def struct(entries: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{literal(key)}: {literal(value)}" for key, value in entries.items()) + "}"
