"""What a notebook shows of a result: its words and, where that helps, a few rows; everything escaped, nothing that runs."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["InNotebook", "shown"]

_ROWS, _COLUMNS = 8, 10


class InNotebook:
    """A result that a notebook shows as its ``str`` and the first rows of ``notebook_table``.

    >>> class Answer(InNotebook):
    ...     def __str__(self):
    ...         return "a < b"
    >>> Answer()._repr_html_()
    '<div><p>a &lt; b</p></div>'
    """

    __slots__ = ()

    def _repr_html_(self) -> str:
        return shown(self._notebook_words(), self._notebook_table())

    def _notebook_words(self) -> str:
        """The lines; its ``str`` where that is all words."""
        return str(self)

    def _notebook_table(self) -> pd.DataFrame | None:
        """Numbers below the words; None where the words say all."""
        return None


def shown(text: str, table: pd.DataFrame | None = None) -> str:
    """Lines as paragraphs, and at most eight rows of a table."""
    lines = "".join(f"<p>{escape(line)}</p>" for line in text.splitlines() if line.strip())
    if table is None or not len(table):
        return f"<div>{lines}</div>"
    few = table.iloc[:_ROWS, :_COLUMNS]
    rows = few.to_html(border=0, escape=True, float_format=lambda number: f"{number:,.4g}", na_rep="–")
    cut = f"<p>{len(few):,} of {len(table):,} rows.</p>" if len(few) < len(table) else ""
    return f"<div>{lines}{rows}{cut}</div>"
