"""Where a row stands: its file, record and line."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from crmkit._types import Ints
from crmkit.exceptions import ExtractError
from crmkit.ingest.parts import Part
from crmkit.ingest.staging import Fingerprint, records

__all__ = ["Positions"]


@dataclass(frozen=True)
class Positions:
    """Where the rows of one part stand: the record they are, counted from 1 after the header, and its physical line.

    Records are numbered here from the header, which is 0, with the blank ones; ``staged`` holds the number of each row
    that could be split into fields, ``starts`` the line of every number. Where a row is a line they are not needed.
    """

    has_lines: bool
    staged: Ints | None = None
    starts: Ints | None = None
    blank: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    skipped: int = 0

    def of_staged(self, rows: Ints) -> pd.DataFrame:
        """record and line of staged rows, which count from 1."""
        return self.of_records(rows if self.staged is None else self.staged[rows - 1])

    def of_records(self, numbers: Ints) -> pd.DataFrame:
        """record and line of records by their number."""
        lines = (numbers + 1 if self.starts is None else self.starts[numbers]) + self.skipped
        seen = np.array(numbers - np.searchsorted(self.blank, numbers), dtype=np.int64)
        known = pd.array(lines if self.has_lines else [pd.NA] * len(lines), dtype="Int64")
        return pd.DataFrame({"record": seen, "line": known})


def positions_of(part: Part, content: Fingerprint | None, broken: Ints, n_staged: int) -> Positions:
    """Count the records of a text file a second way, and see that each is either staged or broken."""
    if content is None or not (content.lines or content.starts is not None):
        return Positions(has_lines=False)
    n_rows = n_staged + len(broken)
    if content.starts is not None:
        is_staged = np.ones(n_rows + 1, dtype=bool)
        is_staged[[0, *broken]] = False
        return Positions(True, np.flatnonzero(is_staged), content.starts)
    starts, blank = None, np.zeros(0, dtype=np.int64)
    if content.lines != n_rows + 1:
        signed = np.fromiter(records(part, content.skipped), dtype=np.int64)
        starts, blank = np.abs(signed), np.flatnonzero(signed < 0)
        n_counted = len(signed) - len(blank) - 1
        if n_counted != n_rows:
            raise ExtractError(
                f"{part.name}: {n_rows:,} rows were read where {n_counted:,} were counted. "
                "Look for a quote that is not closed; nothing was loaded from it."
            )
    if starts is None and not len(broken):
        return Positions(has_lines=True, skipped=content.skipped)
    is_staged = np.ones(n_rows + len(blank) + 1, dtype=bool)
    is_staged[[0, *broken, *blank]] = False
    return Positions(True, np.flatnonzero(is_staged), starts, blank, content.skipped)
