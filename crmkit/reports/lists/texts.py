"""Texts from outside as they are printed: one line, without what controls a device."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

__all__ = ["clean", "ending_of", "label"]


def clean(text: str) -> str:
    """One line of text: spaces for line ends and tabs, no characters that control a device or turn the writing."""
    spaced = " ".join(unicodedata.normalize("NFC", text).split())
    return "".join(character for character in spaced if unicodedata.category(character)[0] != "C")


@cache
def label(item: str) -> str:
    """An item's name as one would write it.

    >>> label("FRZN MEAT/MEAT DINNERS")
    'Frzn meat/meat dinners'
    >>> label("제주 삼다수 2L")  # units and initials are no shouting
    '제주 삼다수 2L'
    """
    shouted = item.isupper() and any(word.isupper() for word in re.findall(r"[^\W\d_]{3,}", item))
    return clean(item).capitalize() if shouted else clean(item)


def ending_of(customer_id: object) -> str:
    """The last four characters of an id, fewer of a short one; none where one is not in every font that lists take.

    >>> ending_of("007700001609"), ending_of("1609"), ending_of("0077000016猫9")
    ('1609', '09', '')
    """
    whole = str(customer_id)
    ending = clean(whole[-min(4, len(whole) // 2) :]) if len(whole) > 1 else ""
    return ending if ending.isascii() else ""
