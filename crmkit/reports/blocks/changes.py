"""What changed since the last run, and what to do now: the first screen of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import pandas as pd

from crmkit.reports.block import Block, Table
from crmkit.reports.formats import money, number

__all__ = ["changes", "sales_since", "tasks"]

_WEEK, _YEAR, _FIRST = 7, 364, 28


def sales_since(days: pd.DataFrame, since: date | None, as_of: date, *, currency: str = "") -> str:
    """Sales of the days since the last run beside the same weekdays before them; the last four weeks in a first run.

    Parameters
    ----------
    days : DataFrame
        period (a day) and sales, from `crmkit.sales_summary` by day.
    since, as_of : date

    Examples
    --------
    >>> days = pd.DataFrame({"period": pd.date_range("2017-01-02", periods=14), "sales": [10.0] * 7 + [11.0] * 7})
    >>> sales_since(days, date(2017, 1, 8), date(2017, 1, 15))
    'Sales since 08 January 2017 (7 days): 77.00, +10.0% on the same weekdays one week before.'
    """
    n = (as_of - since).days if since else _FIRST
    start, sales = as_of - timedelta(days=n), days.set_index("period")["sales"]
    told = f"{money(_between(sales, start, as_of), currency)}"
    weeks = -(-n // _WEEK)
    compared = []
    for back, words in ((weeks * _WEEK, "one week" if weeks == 1 else f"{weeks} weeks"), (_YEAR, "a year")):
        shift = timedelta(days=back)
        if not len(sales) or pd.Timestamp(start - shift) + pd.Timedelta(days=1) < sales.index.min():
            continue
        before = _between(sales, start - shift, as_of - shift)
        if before > 0:
            change = _between(sales, start, as_of) / before - 1
            compared.append(f"{change:+.1%} on the same weekdays {words} before")
    when = f"since {since:%d %B %Y} ({number(n)} day{'s' * (n > 1)})" if since else f"of the last {n} days"
    return f"Sales {when}: {', '.join([told, *compared])}."


def _between(sales: pd.Series[float], after: date, until: date) -> float:
    known = (sales.index > pd.Timestamp(after)) & (sales.index <= pd.Timestamp(until))
    return float(sales[known].sum())


def changes(
    now: Mapping[str, float],
    before: Mapping[str, float] | None,
    since: date | None,
    sentences: Sequence[str] = (),
    segments: pd.DataFrame | None = None,
    *,
    currency: str = "",
) -> Block:
    """What is different from the last run, in sentences and figures.

    Parameters
    ----------
    now, before : mapping of str to float
        Figures by their words; None where this is the first run.
    since : date, optional
        The day of the last run.
    sentences : sequence of str
        The sales first, then what else is to be told.
    segments : DataFrame, optional
        segment, before, now: customers of each.
    """
    sales, *more = sentences or ("",)
    if before is None or since is None:
        told = "This is the first run under this folder: from the next one on, what changed stands here."
        return Block("Since last time", sales.rstrip(".") or "This is the first run", told, notes=tuple(more))
    shared = [name for name in now if name in before]
    rows = [(name, round(before[name]), round(now[name]), round(now[name]) - round(before[name])) for name in shared]
    table = pd.DataFrame(rows, columns=["figure", f"{since:%d %b %Y}", "now", "change"])
    moved = [] if segments is None else _moved(segments)
    return Block(
        "Since last time",
        sales.rstrip("."),
        f"Compared with the run of {since:%d %B %Y}. Money is in whole {currency or 'units'}.",
        table=Table(table),
        notes=(*more, *moved),
    )


def _moved(segments: pd.DataFrame) -> list[str]:
    """The segments that grew and shrank most."""
    counts = segments.set_index("segment")
    change = (counts["now"] - counts["before"]).sort_values(kind="stable")
    words = {name: f"{was:,} to {now:,} customers." for name, was, now in segments[["segment", "before", "now"]].values}
    told = [
        f"“{name}” {verb} most: {words[name]}"
        for name, verb, one in (
            (change.index[-1], "grew", change.iloc[-1]),
            (change.index[0], "shrank", -change.iloc[0]),
        )
        if one > 0
    ]
    return [f"Segments: {' '.join(told)}"] if told else []


def tasks(found: Sequence[tuple[str, str]], budgets: pd.DataFrame | None = None, *, currency: str = "") -> Block:
    """What to do, each with the topic of the block that says more.

    Parameters
    ----------
    found : sequence of (str, str)
        Sentence and topic.
    budgets : DataFrame, optional
        deal_id, title, ends, budget, left: deals whose budget is about to run out.
    """
    if not found:
        return Block("What to do", "Nothing is waiting to be done")
    return Block(
        "What to do",
        f"{len(found)} thing{'s' * (len(found) > 1)} to do",
        table=Table(budgets, "Budgets about to run out") if budgets is not None and len(budgets) else None,
        notes=tuple(sentence for sentence, _ in found),
        see=tuple(topic for _, topic in found),
    )
