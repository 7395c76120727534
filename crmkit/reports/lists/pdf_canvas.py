"""A PDF under way: text and blocks at places in millimetres, in a font that is known to have every character."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from crmkit.exceptions import ConfigError
from crmkit.reports.lists.fonts import check_characters, faces, unreadable

__all__ = ["BOLD", "GREEN", "GREY", "INK", "RED", "REGULAR", "WHITE", "Canvas"]

Colour = tuple[int, int, int]
Rectangles = tuple[tuple[float, float, float, float], ...]

GREEN, INK, GREY, WHITE, RED = (0, 94, 66), (28, 32, 30), (105, 112, 108), (255, 255, 255), (190, 30, 45)
REGULAR, BOLD = "", "B"
_MOST_PATHS, _MOST_TEXTS = 2000, 20_000

_IDEOGRAPH = "\u2e80-\u2fff\u3005-\ua4cf\uf900-\ufaff\uff66-\uff9f"
_UNITS = re.compile(rf"\s*(?:[{_IDEOGRAPH}][、。，．！？：）」』]*|[^\s{_IDEOGRAPH}]+)")
"""What is not broken: a word, or a single ideograph or kana with what may not begin a line."""


class Canvas:
    """A PDF under way: text and blocks at places in millimetres, widths measured once."""

    def __init__(self, font: str | Path | None, day: date) -> None:
        from fpdf import FPDF

        self._pdf = FPDF(unit="mm", format="A4")
        self._pdf.set_creation_date(datetime(day.year, day.month, day.day, tzinfo=UTC))
        self._pdf.set_auto_page_break(False)
        self._pdf.alias_nb_pages("")
        self._pdf.set_draw_color(*GREY)
        self._pdf.set_line_width(0.25)
        regular, bold = faces(font)
        self._face = regular
        self._embed(REGULAR, regular)
        self._embed(BOLD, bold)
        self._encoded: dict[tuple[str, str], str] = {}
        self._paths: dict[tuple[float, float, Rectangles], str] = {}
        self._widths: dict[tuple[str, str], float] = {}
        self._wrapped: dict[tuple[str, float, float, int], list[str]] = {}

    @property
    def pages(self) -> int:
        return int(self._pdf.pages_count)

    def _embed(self, style: str, path: Path) -> None:
        try:
            self._pdf.add_font("list", style, path)
        except Exception as error:
            raise unreadable(path, error) from error

    def check(self, texts: Iterable[tuple[str, str]]) -> None:
        """Raise when the font lacks a character of any (text, where it stands)."""
        fonts: Any = self._pdf.fonts
        regular, bold = fonts["list"], fonts["listB"]
        try:
            check_characters(self._face, set(regular.cmap) & set(bold.cmap), texts)
        except ConfigError as error:
            raise ConfigError(f"{error} In a configuration it is [lists] font.") from None

    def page(self) -> None:
        self._pdf.add_page()
        for style in (REGULAR, BOLD):  # a page names the fonts that it uses
            self._pdf.set_font("list", style, 10)
            self._pdf.text(0, 0, "")

    def block(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        self._pdf.set_fill_color(*colour)
        self._pdf.rect(x, y, width, height, style="F")

    def bars(self, x: float, y: float, rectangles: Rectangles, colour: Colour) -> None:
        """Many filled rectangles (x, y, width, height from a corner of theirs), written at once.

        Each is filled by itself: as one path, readers of PDF draw their edges in grey, and long codes are not read back
        from a page of 150 dots an inch.
        """
        key = (x, y, rectangles)
        if len(self._paths) > _MOST_PATHS:
            self._paths.clear()
        if key not in self._paths:
            k, top = self._pdf.k, self._pdf.h
            edges = (
                f"{(x + at) * k:.2f} {(top - y - down) * k:.2f} {width * k:.2f} {-height * k:.2f} re f"
                for at, down, width, height in rectangles
            )
            self._paths[key] = " ".join(edges)
        self._pdf.set_fill_color(*colour)
        self._pdf._out(self._paths[key])

    def frame(self, x: float, y: float, width: float, height: float, dashed: bool = False) -> None:
        self._pdf.set_dash_pattern(dash=1.2 if dashed else 0, gap=1 if dashed else 0)
        self._pdf.rect(x, y, width, height)

    def write(
        self,
        x: float,
        y: float,
        text: str,
        style: str = REGULAR,
        size: float = 10,
        colour: Colour = INK,
    ) -> None:
        if len(self._encoded) > _MOST_TEXTS:
            self._encoded.clear()
        font: Any = self._pdf.fonts[f"list{style}"]
        if (text, style) not in self._encoded:
            self._encoded[text, style] = font.encode_text(text)
        red, green, blue = (f"{part / 255:.4g}" for part in colour)
        k, top = self._pdf.k, self._pdf.h
        self._pdf._out(
            f"q {red} {green} {blue} rg BT /F{font.i} {size:.2f} Tf {x * k:.2f} {(top - y) * k:.2f} Td "
            f"{self._encoded[text, style]} ET Q"
        )

    def write_to(self, x: float, y: float, text: str, style: str, size: float, colour: Colour) -> None:
        """Text that ends at ``x``."""
        self.write(x - self.width(text, style, size), y, text, style, size, colour)

    def width(self, text: str, style: str, size: float) -> float:
        """Width of a text in millimetres."""
        if (text, style) not in self._widths:
            self._pdf.set_font("list", style, 100)
            self._widths[text, style] = self._pdf.get_string_width(text) / 100
        return self._widths[text, style] * size

    def fit(self, text: str, room: float, style: str, size: float) -> str:
        """The text, shortened with an ellipsis when it is wider than the room."""
        if self.width(text, style, size) <= room:
            return text
        kept = next((n for n in range(len(text) - 1, 0, -1) if self.width(text[:n] + "…", style, size) <= room), 0)
        return text[:kept].rstrip() + "…"

    def wrap(self, text: str, room: float, size: float, lines: int) -> list[str]:
        """The text in at most so many lines, broken at spaces and between ideographs, the last one shortened."""
        key = (text, room, size, lines)
        if key not in self._wrapped:
            self._wrapped[key] = self._broken(text, room, size, lines)
        return self._wrapped[key]

    def sized(self, text: str, room: float, style: str, sizes: Sequence[float]) -> tuple[str, float]:
        """The text in the first size in which it fits; in the last one it is shortened."""
        size = next((one for one in sizes if self.width(text, style, one) <= room), sizes[-1])
        return self.fit(text, room, style, size), size

    def wrapped(self, text: str, room: float, ways: Sequence[tuple[float, int]]) -> tuple[list[str], float]:
        """The text broken in the first of these sizes and numbers of lines in which all of it fits, and the size."""
        for size, most in ways:
            lines = self.wrap(text, room, size, most)
            if not any(line.endswith("…") for line in lines):
                break
        return lines, size

    def _broken(self, text: str, room: float, size: float, lines: int) -> list[str]:
        broken: list[str] = []
        rest = _UNITS.findall(text)
        while rest and len(broken) < lines - 1:
            n = len(rest)
            while n > 1 and self.width("".join(rest[:n]).strip(), REGULAR, size) > room:
                n -= 1
            broken.append(self.fit("".join(rest[:n]).strip(), room, REGULAR, size))
            rest = rest[n:]
        return broken + ([self.fit("".join(rest).strip(), room, REGULAR, size)] if rest else [])

    def write_file(self, path: Path) -> None:
        """Write the document to a file."""
        self._pdf.output(str(path))
