"""What a list says, by language: texts from a file of messages, days and money as they are written there."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from datetime import date
from functools import cache, lru_cache
from importlib import resources

from crmkit.exceptions import ConfigError

__all__ = ["LANGUAGES", "Wording", "wording_of"]

LANGUAGES = ("en", "ko", "zh", "ja")

_CODE = re.compile("[A-Z]{3}")


@dataclass(frozen=True)
class Wording:
    """Texts of one language, by name."""

    language: str

    def text(self, name: str, /, **filled: object) -> str:
        """A message with its words filled in."""
        return _messages(self.language)[name].format(**filled)

    def day(self, day: date, year: bool = False) -> str:
        """A day of the year.

        >>> Wording("en").day(date(2018, 1, 9), year=True), Wording("ja").day(date(2018, 1, 9))
        ('9 January 2018', '1月9日')
        """
        written = _written_day(self.language, day)
        return self.text("year", day=written, year=day.year) if year else written

    def span(self, first: date, last: date) -> str:
        """Days from first to last.

        >>> Wording("en").span(date(2018, 1, 3), date(2018, 1, 9)), Wording("ko").span(date(2018, 1, 3), date(2018, 1, 9))
        ('3–9 January', '1월 3일~1월 9일')
        """
        return self._days("span", first, last, year=False)

    def window(self, first: date, last: date) -> str:
        """The days that a list speaks of.

        >>> Wording("en").window(date(2018, 1, 1), date(2018, 1, 14))
        '1 to 14 January 2018'
        >>> Wording("en").window(date(2017, 12, 25), date(2018, 1, 7))
        '25 December 2017 to 7 January 2018'
        >>> Wording("ko").window(date(2018, 1, 1), date(2018, 1, 14))
        '2018년 1월 1일 ~ 1월 14일'
        """
        return self._days("window", first, last, year=True)

    def _days(self, name: str, first: date, last: date, year: bool) -> str:
        one = "_in_month" if (first.year, first.month) == (last.year, last.month) else ""
        leads = self.day(first, year=True).startswith(str(first.year))  # the year stands first, as in Korean
        once = first.year == last.year
        start = self.day(first, year=year and (leads or not once))
        end = self.day(last, year=year and not (leads and once))
        return self.text(name + one, first=start, first_day=first.day, last=end)

    def dated(self, first: date, last: date) -> str:
        """Days from first to last, with the year."""
        return self._days("span", first, last, year=True)

    def money(self, amount: float, currency: str) -> str:
        """An amount as it is written in the language; ``currency`` is a code of three letters, a sign, or nothing.

        >>> Wording("ko").money(1500, "KRW"), Wording("en").money(2.5, "USD"), Wording("en").money(2.5, "£")
        ('₩1,500', '$2.50', '£2.50')
        """
        return _written_money(self.language, round(amount, 6), currency)


def wording_of(language: str) -> Wording:
    """The texts of a language.

    Raises
    ------
    ConfigError
        There are none.
    """
    if language not in LANGUAGES:
        raise ConfigError(f"Lists are not written in {language!r}. There are {list(LANGUAGES)}.")
    return Wording(language)


@cache
def _messages(language: str) -> dict[str, str]:
    file = resources.files("crmkit").joinpath("reports", "lists", "messages", f"{language}.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))


@lru_cache(4096)
def _written_day(language: str, day: date) -> str:
    from babel.dates import format_date

    texts = _messages(language)
    return str(format_date(day, texts["day"], locale=texts["locale"]))


@lru_cache(65536)
def _written_money(language: str, amount: float, currency: str) -> str:
    from babel.numbers import format_currency

    if _CODE.fullmatch(currency):
        return str(format_currency(amount, currency, locale=_messages(language)["locale"]))
    return f"{currency}{amount:,.2f}"
