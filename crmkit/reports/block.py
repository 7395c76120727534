"""A block of a report: the message, the sentence behind it, a figure and the numbers. HTML and workbook are made of the same."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pandas as pd

from crmkit.displays import Display

__all__ = ["Block", "Table", "anchor_of"]


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
    judged : str
        The verdict in a few words, "no better than the simple rule" say.
    see : tuple of str
        Topic of the block that says more of each note; the page links to it.
    chapter : str
        Under which heading of the report it stands.
    """

    topic: str
    title: str
    sentence: str = ""
    display: Display | None = None
    table: Table | None = None
    more: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    verdict: str = ""
    judged: str = ""
    see: tuple[str, ...] = ()
    chapter: str = ""

    @property
    def anchor(self) -> str:
        """Its topic as the page's address of it: small letters, digits and hyphens."""
        return anchor_of(self.topic)

    @property
    def tables(self) -> tuple[Table, ...]:
        """Every table that has rows."""
        found = (self.table, *self.more) if self.table else self.more
        return tuple(table for table in found if len(table.frame))


def anchor_of(topic: str) -> str:
    """A topic as an address within the page.

    >>> anchor_of("Customers at risk of churn")
    'customers-at-risk-of-churn'
    """
    return re.sub(r"[^\w]+", "-", topic.casefold()).strip("-") or "block"
