"""Days as numbers: whole days since 1970-01-01, the one epoch."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from crmkit.exceptions import ConfigError

if TYPE_CHECKING:
    pass

__all__ = ["as_day", "day_number", "day_of"]

_EPOCH = date(1970, 1, 1)


def day_number(day: str | date) -> int:
    """Days since 1970-01-01 of an ISO date.

    >>> day_number("1970-01-31")
    30
    """
    return (as_day(day) - _EPOCH).days


def day_of(number: int) -> date:
    """The date that is so many days after 1970-01-01.

    >>> day_of(30)
    datetime.date(1970, 1, 31)
    """
    return _EPOCH + timedelta(days=number)


def as_day(day: str | date) -> date:
    """A date, or the day an ISO date names.

    >>> as_day("2017-12-31")
    datetime.date(2017, 12, 31)
    """
    try:
        return date.fromisoformat(day) if isinstance(day, str) else date(day.year, day.month, day.day)
    except (ValueError, AttributeError):
        raise ConfigError(f"{day!r} is not a day. Write it as in '2017-12-31'.") from None
