"""The report in other languages: each sentence is looked up, with what is filled in, in the messages of a language.

The English sentence is the key, since sentences come from every room and are kept in files from night to night as text:
``"Tier {text} holds {share} of the value"``. What stands in braces is a number, a share, money, a day or any text, by its
name; days and money are written anew as the language writes them, by Babel. What has no message stays English.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from functools import cache
from importlib import resources

from crmkit.exceptions import ConfigError

__all__ = ["LANGUAGES", "Words", "pattern_of", "words_of"]

LANGUAGES = ("en", "ko", "zh", "ja")

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH = "|".join(_MONTHS) + "|January|February|March|April|June|July|August|September|October|November|December"
_NUMBER = r"\d[\d,]*(?:\.\d+)?"
_MONEY = rf"(?:[A-Z]{{3}} )?[-−+]?{_NUMBER}"
_KINDS = {
    "n": rf"[-−+±]?{_NUMBER}(?:e[-+]?\d+)?|nan",
    "share": rf"[-−+]?{_NUMBER}%",
    "money": _MONEY,
    "day": rf"\d{{1,2}} (?:{_MONTH}) \d{{4}}|(?:{_MONTH}) \d{{4}}|\d{{4}}-\d{{2}}-\d{{2}}",
}
_TEXT = r"(?:[^()]|\([^()]*\))+?"
"""Any text whose parentheses close."""
_WRITTEN = re.compile(
    rf"\b(?:(?P<day>\d{{1,2}}) )?(?P<month>{_MONTH}) (?P<year>\d{{4}}|\d{{2}})\b"
    rf"|\b(?P<code>[A-Z]{{3}}) (?P<amount>[-−+]?{_NUMBER})"
)
_SLOT = re.compile(r"\{([a-z]+)\d*\}")
_NAMES = re.compile(r"(?:^|_)(?:id|title|name|item|product|category|store|file|cluster|supplier|condition|group)$")
"""Columns whose text is the shop's own."""


class Words:
    """What the report says, in one language.

    Examples
    --------
    >>> words = words_of("ja")
    >>> words("The expected value of all 273 customers is USD 502,277.")
    '顧客273人全体の期待価値は$502,277です。'
    >>> words("Sales of the Moon"), words_of("en")("As it is")
    ('Sales of the Moon', 'As it is')
    """

    def __init__(self, language: str) -> None:
        self.language = language
        self._texts, how = _messages(language)
        self._locale, self._stop, self._space = how
        self._known: dict[str, str] = {}
        self.missing: dict[str, None] = {}
        """Pieces that were to be said and have no message, in their order."""

    def __call__(self, text: str) -> str:
        """A title, sentence, heading or label."""
        if not self._texts or not text:
            return text
        if text not in self._known:
            self._known[text] = self._whole(text) or self._space.join(self._pieces(text))
        return self._known[text]

    def cell(self, column: object, text: str) -> str:
        """A text of a table: said in the language where crmkit wrote it, as it is where it is the shop's own."""
        if not self._texts or _NAMES.search(str(column)):
            return text
        return self._within(text)

    def _pieces(self, text: str) -> Iterator[str]:
        """One sentence after the other."""
        rest = text
        while rest:
            for pattern, answer in _patterns(self.language):
                if (found := pattern.match(rest)) and (found["stop"] or 0 < found.end() == len(rest)):
                    filled = {name: self._within(part) for name, part in found.groupdict().items() if name != "stop"}
                    yield answer.format(**filled) + (self._stop if found["stop"] else "")
                    rest = rest[found.end() :]
                    break
            else:
                piece, _, rest = rest.partition(". ")
                if re.search("[a-z]{3}", _WRITTEN.sub("", piece)):
                    self.missing[piece] = None
                yield self._written(piece) + ("." + " " * (not self._space) if rest else "")

    def _whole(self, text: str) -> str | None:
        """A text that is a message as it stands, its first letter aside."""
        bare, stop = (text[:-1], self._stop) if text.endswith(".") else (text, "")
        for one in (bare, bare[:1].lower() + bare[1:]):
            if one in self._texts:
                return self._texts[one] + stop
        return None

    def _within(self, part: str) -> str:
        """What is filled into a sentence: words that are known, a list of such, or names and numbers."""
        if found := self._whole(part):
            return found
        for pattern, answer in _patterns(self.language):
            if (found_part := pattern.fullmatch(part)) and not found_part["stop"]:
                return answer.format(**{name: self._within(one) for name, one in found_part.groupdict().items() if one})
        parts = part.split(", ")
        return ", ".join(map(self._within, parts)) if len(parts) > 1 else self._written(part)

    def _written(self, text: str) -> str:
        """Days and money as the language writes them."""
        return _WRITTEN.sub(lambda found: _day(found, self._locale) or _money(found, self._locale), text)


def words_of(language: str) -> Words:
    """The words of a language.

    Raises
    ------
    ConfigError
        There are none.
    """
    if language not in LANGUAGES:
        raise ConfigError(f"The report is not written in {language!r}. There are {list(LANGUAGES)}.")
    return Words(language)


@cache
def _messages(language: str) -> tuple[dict[str, str], tuple[str, str, str]]:
    """What is said for each English sentence; and the locale, what ends a sentence, and what stands between two."""
    if language == "en":
        return {}, ("en", ".", " ")
    file = resources.files("crmkit").joinpath("reports", "messages", f"{language}.toml")
    texts = tomllib.loads(file.read_text(encoding="utf-8"))
    return texts, (texts.pop("locale"), texts.pop("stop"), texts.pop("space"))


@cache
def _patterns(language: str) -> list[tuple[re.Pattern[str], str]]:
    """Messages to be matched, those with most words of their own first."""
    ordered = sorted(_messages(language)[0].items(), key=lambda one: -len(_SLOT.sub("", one[0])))
    return [(pattern_of(english), answer) for english, answer in ordered]


def pattern_of(english: str) -> re.Pattern[str]:
    """What a sentence looks like when it is filled in, with a full stop or without.

    >>> pattern_of("Tier {text} holds {share}").match("Tier A holds 22%. More.").groupdict()
    {'text': 'A', 'share': '22%', 'stop': '.'}
    """
    parts, end = [], 0
    for slot in _SLOT.finditer(english):
        name = slot[0][1:-1]
        parts += [re.escape(english[end : slot.start()]), f"(?P<{name}>{_KINDS.get(slot[1], _TEXT)})"]
        end = slot.end()
    open_end = english.endswith("}") and _SLOT.findall(english)[-1] not in _KINDS
    after = "$" if open_end else r"(?:\s+|$)"
    return re.compile("".join([*parts, re.escape(english[end:]), r"(?P<stop>\.?)", after]))


def _day(found: re.Match[str], locale: str) -> str:
    """A day or a month as the language writes it; a short year as 2017-01, which fits below an axis."""
    from babel.dates import format_date, format_skeleton

    if not found["month"]:
        return ""
    month = _MONTHS.index(found["month"][:3]) + 1
    if len(found["year"]) == 2:
        return f"20{found['year']}-{month:02d}"
    if not found["day"]:
        return str(format_skeleton("yMMM", date(int(found["year"]), month, 1), locale=locale))
    return str(format_date(date(int(found["year"]), month, int(found["day"])), "long", locale=locale))


def _money(found: re.Match[str], locale: str) -> str:
    """An amount with the digits that it has."""
    from babel.numbers import format_currency

    digits = found["amount"].replace(",", "").replace("−", "-")
    places = "." + "0" * len(digits.partition(".")[2]) if "." in digits else ""
    code, pattern = found["code"], f"¤#,##0{places}"
    plus = "+" if digits.startswith("+") else ""
    return plus + str(format_currency(Decimal(digits), code, pattern, locale=locale, currency_digits=False))
