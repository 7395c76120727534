"""Where in a text file cells may have white space or odd characters around them, told by its bytes.

Trimming every cell costs more than everything else that is done with it, and most files need none. A look at the bytes
tells, a piece of the file at a time, that there is nothing to trim.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

__all__ = ["TidyScan", "rows_of_lines"]

_LEADS = b"\xc2\xe1\xe2\xe3\xef"
"""Bytes that may begin a character which is white, not seen, or of full width."""

_ODD_PAIRS = tuple(
    bytes.fromhex(pair)
    for pair in ("c285", "c2a0", "c2ad", "e19a", "e1a0", "e280", "e281", "e380", "efbb", "efbc", "efbd", "efbe", "efbf")
)
"""How white space of other scripts, invisible characters, and full-width ones begin in UTF-8."""

_MOST_RANGES = 30
_EDGE, _BLANK = 1, 2


@dataclass
class TidyScan:
    """Reads the pieces of a file in order, and keeps which of its lines may hold a cell that needs care."""

    delimiter: str
    lines: list[tuple[int, int]] = field(default_factory=list)
    _tail: bytes = b"\n"
    _ended: int = 0

    def __post_init__(self) -> None:
        edges = {*b'\r\n"', *self.delimiter.encode("utf-8")}
        self._kinds = bytes(_EDGE if byte in edges else _BLANK * (byte == 0x20) for byte in range(256))
        self._usual = bytes(
            byte for byte in range(256) if byte in edges or (byte >= 0x20 and byte not in (0x7F, *_LEADS))
        )
        self._pairs = np.zeros(1 << 16, dtype=bool)
        self._pairs[[int.from_bytes(pair) for pair in _ODD_PAIRS]] = True

    def look_at(self, text: str, n_lines: int) -> None:
        """The next piece, which ends so many lines."""
        piece = self._tail + text.encode("utf-8")
        if self._is_untidy(piece):
            self._add(self._ended)
            self.lines[-1] = (self.lines[-1][0], self._ended + n_lines + 1)
        self._tail, self._ended = piece[-2:], self._ended + n_lines

    def ended(self) -> list[tuple[int, int]]:
        """Ranges of lines, counted from 1."""
        if self._is_untidy(self._tail + b"\n"):
            self._add(self._ended)
        return self.lines

    def _add(self, first: int) -> None:
        """A range that begins with the line before, as a cell may end where the piece begins."""
        if self.lines and self.lines[-1][1] >= first:
            self.lines[-1] = (self.lines[-1][0], first + 1)
        else:
            self.lines.append((max(first, 1), first + 1))

    def _is_untidy(self, piece: bytes) -> bool:
        kinds = np.frombuffer(piece.translate(self._kinds), dtype=np.uint8)
        if (kinds[1:] * kinds[:-1] == _EDGE * _BLANK).any():
            return True
        unusual = piece.translate(None, self._usual)
        return bool(unusual) and (min(unusual) < 0x80 or self._is_odd(piece))

    def _is_odd(self, piece: bytes) -> bool:
        content = np.frombuffer(piece, dtype=np.uint8).astype(np.uint16)
        return bool(self._pairs[content[:-1] << 8 | content[1:]].any())


def rows_of_lines(lines: Sequence[tuple[int, int]], n_lines: int, n_rows: int, place: str) -> str:
    """A condition that holds at least for the rows that stand on some lines of a file; ``place`` numbers them from 1.

    A row may stand lower than its number says, by as many lines as hold no row, or more of one: those are counted.

    >>> rows_of_lines([(1, 3), (900, 1000)], n_lines=2001, n_rows=2000, place="n")
    'n between 0 and 2 or n between 899 and 999'
    >>> rows_of_lines([], 2001, 2000, "n"), rows_of_lines([(1, 1900)], 2001, 2000, "n")
    ('false', 'true')
    """
    slack = n_lines - 1 - n_rows
    wide = [(first - 1 - slack, last - 1) for first, last in lines]
    if slack < 0 or 2 * sum(last - first + 1 for first, last in wide) > n_rows:
        return "true" if lines or slack < 0 else "false"
    return " or ".join(f"{place} between {first} and {last}" for first, last in _joined(wide)) or "false"


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """A few ranges that hold all: those that are nearest to each other are one."""
    gaps = sorted(((after[0] - before[1], n) for n, (before, after) in enumerate(pairwise(ranges))), reverse=True)
    cuts = sorted(n + 1 for _, n in gaps[: _MOST_RANGES - 1])
    return (
        [(ranges[first][0], ranges[last - 1][1]) for first, last in pairwise([0, *cuts, len(ranges)])] if ranges else []
    )
