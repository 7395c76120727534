"""Which encoding a text that is not UTF-8 is likely in: a suggestion to be confirmed, never acted on."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

from crmkit.ingest.column_names import n_known

__all__ = ["likely_first"]

_ISOLATED = ["cp949", "gb18030", "cp932", "big5", "cp1252", "cp1250", "cp1251", "cp1253", "cp1254"]
_CANDIDATES = [*_ISOLATED, "euc_jp", "iso8859-2", "koi8-r", "cp866", "cp850", "mac-roman", "cp1255", "cp1256", "cp874"]
_WITHIN_LATIN = re.compile(r"[a-z][\u3040-\u9fff\uac00-\ud7a3]|[\u3040-\u9fff\uac00-\ud7a3][a-z]{2,}")
"""East Asian signs in a word of small Latin letters."""
_EAST_ASIAN = {"CJK", "HIRAGANA", "KATAKANA", "HANGUL", "KATAKANA-HIRAGANA"}
_OF_TURKEY = set("ðþýÐÞÝ")
"""Letters of Iceland that stand where Turkey's do; a little less likely."""


def likely_first(sample: bytes, header: bytes) -> list[str]:
    """Encodings that a piece of text may be in, the likeliest first.

    Those in which more names of the header are known come first, then those whose words look least odd: of one script, no
    capital behind a small letter, no sign within. What a library of such guesses says decides between equals.

    >>> rows = "고객번호,구매일,금액\\n0077,2026-03-01,우유 신선한 것 하나\\n".encode("cp949")
    >>> likely_first(rows, rows.partition(b"\\n")[0])[0]
    'cp949'
    """
    whole = b"\n".join(sample.split(b"\n")[1:-1]) if sample.count(b"\n") > 2 else sample
    guess = _librarys_guess(whole)
    places = {name: place for place, name in enumerate(dict.fromkeys([*guess, *_CANDIDATES]))}
    ranked = []
    for name, place in places.items():
        try:
            text, names = whole.decode(name, "strict" if name in guess else "replace"), header.decode(name)
        except UnicodeDecodeError:
            continue
        if "\ufffd" not in text[1:-1]:  # a sample may begin or end within a character
            ranked.append((-n_known(names), round(_oddness(names + "\n" + text), 2), place, name))
    return [name for *_, name in sorted(ranked)]


def _librarys_guess(sample: bytes) -> Sequence[str]:
    from charset_normalizer import from_bytes

    found = from_bytes(sample, cp_isolation=_ISOLATED)
    best = found.best()
    if best is None:
        return []
    as_good = [one for one in found if (one.chaos, one.coherence) == (best.chaos, best.coherence)]
    names = {name for one in as_good for name in one.could_be_from_charset}
    return ["cp1252" if "cp1252" in names else best.encoding]


def _oddness(text: str) -> float:
    """Signs of a wrong encoding, for each word that has letters beyond ASCII."""
    words = {word for word in re.findall(r"[^\s\d!-/:-@\[-`{-~]+", text) if not word.isascii()}
    return sum(map(_is_odd, words)) / max(len(words), 1)


def _is_odd(word: str) -> float:
    kinds = {unicodedata.category(letter) for letter in word}
    signs = any(kind[0] in "CSN" or kind in ("Lm", "Pi", "Pf", "Ps", "Pe", "Po") for kind in kinds)
    scripts = {unicodedata.name(letter, "?").split()[0] for letter in word if letter.isalpha()}
    mixed = len(scripts - _EAST_ASIAN - {"MASCULINE", "FEMININE"}) > 1 or _WITHIN_LATIN.search(word) is not None
    shifted = any(a.islower() and b.isupper() for a, b in pairwise(word))
    return float(signs or mixed or shifted) + 0.1 * (not _OF_TURKEY.isdisjoint(word))
