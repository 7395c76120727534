"""Fonts of the lists: the files, whether they have every character, and the part of one that a web page needs."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

from crmkit.exceptions import ConfigError

__all__ = ["check_characters", "faces", "subset_of"]

_OWN_CHARACTERS = "".join(map(chr, range(32, 127))) + "–…"


def faces(font: str | Path | None) -> tuple[Path, Path]:
    """Regular and bold font files; one that is given serves as both."""
    if font is not None:
        return Path(font), Path(font)
    import matplotlib as mpl

    shipped = Path(mpl.get_data_path()) / "fonts" / "ttf"
    return shipped / "DejaVuSans.ttf", shipped / "DejaVuSans-Bold.ttf"


def check_characters(font: Path, known: set[int], texts: Iterable[tuple[str, str]]) -> None:
    """Raise when a font lacks a character of any (text, where it stands), naming the character and the place.

    >>> check_characters(Path("small.ttf"), set(range(32, 127)) | {0x2013, 0x2026}, [("un café", "the item 'un café'")])
    Traceback (most recent call last):
    crmkit.exceptions.ConfigError: The font small.ttf lacks 'é' (U+00E9) in the item 'un café'. Name one that has them:
    font='NotoSansCJK-Regular.ttc', say.
    """
    lacking = {character: "" for character in _OWN_CHARACTERS if ord(character) not in known}
    fine = set(_OWN_CHARACTERS)
    for text, place in texts:
        for character in set(text) - fine:
            if ord(character) not in known:
                lacking.setdefault(character, place)
            fine.add(character)
    if lacking:
        shown = ", ".join(
            f"{character!r} (U+{ord(character):04X}){f' in {place}' if place else ''}"
            for character, place in sorted(lacking.items())[:10]
        )
        more = f" and {len(lacking) - 10} more" if len(lacking) > 10 else ""
        raise ConfigError(
            f"The font {font.name} lacks {shown}{more}. Name one that has them: font='NotoSansCJK-Regular.ttc', say."
        )


def subset_of(font: Path, texts: Iterable[tuple[str, str]]) -> str:
    """A font's outlines of these texts' characters, as the address of a web font.

    Raises
    ------
    ConfigError
        The font cannot be read, or lacks a character.
    """
    from fontTools import subset

    options = subset.Options(font_number=0)
    try:
        face = subset.load_font(str(font), options)
    except Exception as error:
        raise unreadable(font, error) from error
    there = list(texts)
    check_characters(font, set(face.getBestCmap()), there)
    part = subset.Subsetter(options)
    part.populate(text=_OWN_CHARACTERS + "".join({character for text, _ in there for character in text}))
    part.subset(face)
    out = BytesIO()
    face.save(out)
    return f"data:font/{'otf' if 'CFF ' in face else 'ttf'};base64,{base64.b64encode(out.getvalue()).decode()}"


def unreadable(font: Path, error: Exception) -> ConfigError:
    """The error of a file that is no font."""
    return ConfigError(f"The font {font} cannot be read ({error}). Give a .ttf, .otf or .ttc file.")
