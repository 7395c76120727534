"""Where in a text file cells may have white space or odd characters around them, told by its bytes.

Trimming every cell costs more than everything else that is done with it, and most files need none. A look at the bytes
tells, a piece of the file at a time, that there is nothing to trim.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

__all__ = ["TidyScan", "rows_of_lines"]

_ODD_PAIRS = tuple(
    bytes.fromhex(pair)
    for pair in ("c285", "c2a0", "c2ad", "e19a", "e1a0", "e280", "e281", "e380", "efbb", "efbc", "efbd", "efbe", "efbf")
)
"""How white space of other scripts, invisible characters, and full-width ones begin in UTF-8."""

MARKS = "=+'_"
"""Marks that make a cell need care where they stand in an id or a number."""

_MOST_RANGES = 30
_FEED, _RETURN, _BLANK = b"\n\r "


@dataclass
class TidyScan:
    """Reads the pieces of a file in order, and keeps which of its lines may hold a cell that needs care.

    ``marks`` are those of `MARKS` that stand anywhere in it, ``feeds``, ``returns`` and ``pairs`` count how its lines end.
    """

    delimiter: str
    lines: list[tuple[int, int]] = field(default_factory=list)
    marks: set[str] = field(default_factory=set)
    feeds: int = 0
    returns: int = 0
    pairs: int = 0
    _tail: bytes = b"\n"

    def __post_init__(self) -> None:
        self._edges = [*b'\r\n"', *self.delimiter.encode("utf-8")]
        self._pairs = np.zeros(1 << 16, dtype=bool)
        self._pairs[[int.from_bytes(pair) for pair in _ODD_PAIRS]] = True

    @property
    def n_ended(self) -> int:
        """Lines that have ended."""
        return self.feeds + self.returns - self.pairs

    def look_at(self, text: str) -> None:
        """The next piece."""
        piece = self._tail + text.encode("utf-8")
        content, ended = np.frombuffer(piece, dtype=np.uint8), self.n_ended
        new = content[len(self._tail) :]
        self.feeds += int(np.count_nonzero(new == _FEED))
        returns = int(np.count_nonzero(new == _RETURN))
        self.returns += returns
        if returns or piece[len(self._tail) - 1] == _RETURN:
            self.pairs += piece.count(b"\r\n", len(self._tail) - 1)
        rows = piece if ended else piece.partition(b"\n")[2] or piece  # the names of columns are no cells
        self.marks |= {mark for mark in MARKS if mark not in self.marks and mark.encode() in rows}
        if self._is_untidy(piece, content):
            self._add(ended)
            self.lines[-1] = (self.lines[-1][0], self.n_ended + 1)
        self._tail = piece[-2:]

    def ended(self) -> list[tuple[int, int]]:
        """Ranges of lines, counted from 1."""
        end = self._tail + b"\n"
        if self._is_untidy(end, np.frombuffer(end, dtype=np.uint8)):
            self._add(self.n_ended)
        return self.lines

    def _add(self, first: int) -> None:
        """A range that begins with the line before, as a cell may end where the piece begins."""
        if self.lines and self.lines[-1][1] >= first:
            self.lines[-1] = (self.lines[-1][0], first + 1)
        else:
            self.lines.append((max(first, 1), first + 1))

    def _is_untidy(self, piece: bytes, content: Bytes) -> bool:
        is_edge = np.logical_or.reduce([content == edge for edge in self._edges])
        n_allowed = sum(np.count_nonzero(content == edge) for edge in self._edges if edge < _BLANK)
        if np.count_nonzero(content < _BLANK) > n_allowed or b"\x7f" in piece:
            return True
        is_blank = content == _BLANK
        at_edge = (is_blank[1:] & is_edge[:-1]).any() or (is_blank[:-1] & is_edge[1:]).any()
        return bool(at_edge) or (not piece.isascii() and self._is_odd(content))

    def _is_odd(self, content: Bytes) -> bool:
        wide = content.astype(np.uint16)
        return bool(self._pairs[wide[:-1] << 8 | wide[1:]].any())


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
