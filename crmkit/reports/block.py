"""A block of a report: the message, the sentence behind it, a figure and the numbers. HTML and workbook are made of the same."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from crmkit.displays import Display

__all__ = ["Block", "Table"]


@dataclass(frozen=True)
class Table:
    """Numbers with a caption, as they are: each output writes them in its own way."""

    frame: pd.DataFrame
    caption: str = ""


@dataclass(frozen=True)
class Block:
    """One message of a report.

    Attributes
    ----------
    topic : str
        What it is about, in a word or two: the name of its sheet in the workbook.
    title : str
        The message itself, as one would say it.
    sentence : str
        What stands behind the message, and how to read it.
    display : Display, optional
        The figure.
    table : Table, optional
        The numbers beside the figure: few rows.
    more : tuple of Table
        Further numbers, which are folded away on the page and are sheets of their own in the workbook.
    notes : tuple of str
        What the numbers rest on.
    verdict : str
        How far they can be trusted; stands at the head of the report too.
    """

    topic: str
    title: str
    sentence: str = ""
    display: Display | None = None
    table: Table | None = None
    more: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    verdict: str = ""

    @property
    def tables(self) -> tuple[Table, ...]:
        """Every table that has rows."""
        found = (self.table, *self.more) if self.table else self.more
        return tuple(table for table in found if len(table.frame))
