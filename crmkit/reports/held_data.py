"""A page with all that is held of one customer: the right of access."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from crmkit.reports.block import Block, Table
from crmkit.reports.report import Report

__all__ = ["held_data"]


def held_data(held: Mapping[str, Mapping[str, Sequence[Mapping[str, object]]]]) -> Report:
    """Place → table → rows, as a report with one block a place.

    Examples
    --------
    >>> page = held_data({"store": {"lines": [{"customer_id": "a", "amount": 2.5}]}})
    >>> [block.title for block in page.blocks]
    ['1 row in 1 table of store']
    """
    page = Report("What is held of one customer")
    for place, tables in held.items():
        rows = sum(map(len, tables.values()))
        more = tuple(Table(pd.DataFrame(list(found)), name) for name, found in tables.items())
        title = f"{rows:,} row{'s' * (rows != 1)} in {len(more)} table{'s' * (len(more) != 1)} of {place}"
        page.blocks.append(Block(place, title, more=more))
    return page
