"""What is implausible about a log as a whole, told once where it is made."""

from __future__ import annotations

from datetime import date, timedelta

from crmkit._days import day_number
from crmkit.engine.base import SqlEngine
from crmkit.transactions.rejections import Rejections

__all__ = ["implausible"]

_FEW_ROWS, _FEW_MEMBERS = 1000, 30
_SHARE = 0.1
_FEW_TRIPS, _FEW_ORDERS, _MOSTLY, _LOOKED_AT = 2, 3, 0.9, 5_000
_QUIET = 7


def implausible(engine: SqlEngine, found: Rejections, lines: str, trips: str, until: date) -> list[str]:
    """A sentence for each: many invalid rows, an end long after the last line, one member with a tenth of all receipts.

    Small tables are tried out, and told nothing.
    """
    told = [*_one_member(engine, trips), *_order_totals(engine, lines)]
    return told if found.rows_read < _FEW_ROWS else [*_invalid(found), *_late_end(engine, lines, until), *told]


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
    counts = f"""(select customer_id, count(*) as n, greatest(sum(amount), 0) as money
        from {trips} group by customer_id) as counts"""
    found = engine.frame(
        f"""select count(*) as members, max(n) as most, cast(sum(n) as bigint) as total, cast(max(money) as double) as most_money,
            cast(sum(money) as double) as money from {counts}"""
    ).iloc[0]
    if found["members"] == found["total"] >= _FEW_MEMBERS:
        return [
            "Every customer has exactly one purchase. If the extract has one row per customer, it is a table of customers, not a "
            "log of purchases: deliver one row per purchase or line."
        ]
    if found["members"] < _FEW_MEMBERS or found["total"] < _FEW_TRIPS * found["members"]:
        return []
    shares = {
        "receipts": found["most"] / found["total"],
        "money": found["most_money"] / (found["money"] or 1.0),
    }
    told = [f"{share:.0%} of all {what}" for what, share in shares.items() if share > _SHARE]
    if not told:
        return []
    return [
        f"One customer id has {' and '.join(told)}, and may be no member's. suspect_cards names it; state such ids under non_members."
    ]


def _order_totals(engine: SqlEngine, lines: str) -> list[str]:
    """A sentence where all lines of an order bear the same amount, as where the total of an order stands on each."""
    found = engine.frame(
        f"""select count(*) as n, count(case when least = most then 1 end) as same, count(distinct most) as amounts,
            sum(case when least = most then total - most else 0 end) as more from (
                select order_id, min(amount) as least, max(amount) as most, sum(amount) as total from (
                    select order_id, customer_id, day, amount, kind from {lines} limit {_LOOKED_AT}
                ) as looked_at where order_id is not null and kind = 'sale' group by order_id, customer_id, day having count(*) > 1
            ) as orders"""
    ).iloc[0]
    if found["n"] < _FEW_ORDERS or found["same"] < _MOSTLY * found["n"] or found["amounts"] < _FEW_ORDERS:
        return []
    return [
        f"All lines of an order bear the same amount, in {int(found['same']):,} of {int(found['n']):,} orders of several lines that were "
        f"looked at. If it is the total of the order, {found['more']:,.2f} too much are counted there: name the amount of the line, or "
        "quantity and unit_price without amount."
    ]
