"""What is implausible about a log as a whole, told once where it is made."""

from __future__ import annotations

from datetime import date, timedelta

from crmkit._days import day_number
from crmkit.engine.base import SqlEngine
from crmkit.transactions.rejections import Rejections

__all__ = ["implausible"]

_FEW_ROWS, _FEW_MEMBERS = 1000, 30
_SHARE = 0.1
_QUIET = 7


def implausible(engine: SqlEngine, found: Rejections, lines: str, trips: str, until: date) -> list[str]:
    """A sentence for each: many invalid rows, an end long after the last line, one member with a tenth of all receipts.

    Small tables are tried out, and told nothing.
    """
    if found.rows_read < _FEW_ROWS:
        return []
    return [*_invalid(found), *_late_end(engine, lines, until), *_one_member(engine, trips)]


def _invalid(found: Rejections) -> list[str]:
    n_invalid, n_read = found.rows_invalid, found.rows_read
    share = n_invalid / n_read
    if share <= _SHARE:
        return []
    reason = found.invalid["reason"].iloc[0]
    return [
        f"{n_invalid:,} of {n_read:,} rows are invalid ({share:.0%}), most of them since {reason}. "
        "See rejections.counts and rejections.rows."
    ]


def _late_end(engine: SqlEngine, lines: str, until: date) -> list[str]:
    days = engine.frame(f"select distinct day from {lines} order by day")["day"]
    if len(days) < 2:
        return []
    since, longest = day_number(until) - int(days.iloc[-1]), int(days.diff().max())
    if since <= max(2 * longest, _QUIET):
        return []
    last = until - timedelta(days=since)
    return [
        f"The latest transaction is dated {last}, but until is {until}: everything takes it that nobody has bought in the {since} days "
        f"since. Before, at most {longest} days lay between two days with a transaction. Deliver what is missing, or state "
        f"until='{last}'."
    ]


def _one_member(engine: SqlEngine, trips: str) -> list[str]:
    counts = f"(select customer_id, count(*) as n from {trips} group by customer_id) as counts"
    found = engine.frame(f"select count(*) as members, max(n) as most, sum(n) as total from {counts}").iloc[0]
    if found["members"] == found["total"] >= _FEW_MEMBERS:
        return [
            "Every customer has exactly one purchase. If the extract has one row per customer, it is a table of customers, not a "
            "log of purchases: deliver one row per purchase or line."
        ]
    share = float(found["most"]) / float(found["total"]) if found["members"] >= _FEW_MEMBERS else 0.0
    if share <= _SHARE:
        return []
    return [
        f"One customer id has {share:.0%} of all receipts, and may be no member's. "
        "suspect_cards names it; state such ids under non_members."
    ]
