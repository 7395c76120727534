"""Is the delivery what was meant?"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pandas as pd

from crmkit.engine.choose import engine_for
from crmkit.exceptions import (
    RefusedError,
)
from crmkit.offers.result import OfferResult
from crmkit.pipeline.notes import note
from crmkit.transactions.deliveries import NON_MEMBER_REASONS
from crmkit.transactions.log import Transactions
from crmkit.transactions.rejections import Rejections

_QUIET, _FAR = 14, 5


def check_last_days(log: Transactions, day: date) -> None:
    """Note days without a line before ``day`` that are more than ever; raise `RefusedError` where they are far more."""
    with engine_for(log) as engine:
        known = f"select distinct day from {engine.parquet(log.lines)} where day <= :as_of order by day"
        days = engine.frame(known, {"as_of": log.close_of(day)})["day"]
    if len(days) < 2:
        return
    since, longest = log.close_of(day) - int(days.iloc[-1]), int(days.diff().max())
    last = day - timedelta(days=since)
    said = (
        f"The latest transaction is dated {last}, but results are as of {day} and therefore assume no purchases since. "
        f"Are files missing? Until then at most {longest} days lay between two days with a transaction; now {since}. "
        f"Deliver the missing days, or run with --as-of {last}."
    )
    if since > max(_QUIET, _FAR * longest):
        raise RefusedError(said)
    if since >= longest:
        note(said)


def check_members(customers: pd.DataFrame, members: pd.DataFrame) -> None:
    """Note customers who are not among the members; raise `RefusedError` where none is."""
    unmatched = int((~customers["customer_id"].isin(members["customer_id"])).sum())
    if unmatched == len(customers):
        raise RefusedError(
            f"None of the {len(customers):,} customers is among the {len(members):,} members, so "
            "contact opt-outs could not be applied. Ids may have lost their leading zeros, or have been written in another way than "
            "in the transactions: deliver the members with the ids of the till."
        )
    if unmatched:
        note(
            f"{unmatched:,} of {len(customers):,} customers are not among the members: their contact opt-outs are unknown."
        )


def why_none(running: pd.DataFrame, due: pd.DataFrame, result: OfferResult) -> str:
    """Why a plan has no offers; ``running`` are the deals of its days."""
    item = str(due.columns[1])
    if not len(running):
        return "no deal runs on its days; see starts and ends of the deals"
    if not running[item].isin(due[item]).any():
        return f"none of the {_plural(item)} with a current deal has repurchase predictions"
    if not len(result.planned):
        return (
            "the control group has every member who could get one; lower offers.control"
            if len(result.control)
            else "every member is excluded by offers.min_weekly_spend or by opting out of contact"
        )
    if not (running["budget"] > 0).any():
        return "the budgets of all deals of its days are 0"
    return "none would gain anything within the budgets of deals, funders and store"


def check_rejected(received: Rejections, rejections: Path, most: float) -> None:
    """Raise `RefusedError` when too many rows are invalid; rows that only lack a member are not."""
    invalid = received.counts[~received.counts["reason"].isin(NON_MEMBER_REASONS)]
    n_invalid = int(invalid["rows"].sum())
    if received.rows_read and n_invalid > most * received.rows_read:
        raise RefusedError(
            f"{n_invalid:,} of {received.rows_read:,} rows are invalid, more than max_rejected = {most:g} allows.\n"
            f"{_first_faults(received, rejections)}\nCorrect the extract, or raise max_rejected under [transactions]."
        )
    if not received.rows_used:
        raise RefusedError(f"No row could be used. {received}.\n{_first_faults(received, rejections)}")


def _first_faults(received: Rejections, rejections: Path) -> str:
    """One example of each reason, with its place and what to do about it."""
    advice = dict(zip(received.counts["reason"], received.counts["advice"], strict=True))
    first = pd.read_parquet(rejections, columns=["file", "line", "reason"]).drop_duplicates("reason")
    return "\n".join(
        f"  {row.file} line {row.line}: {row.reason}. {advice[str(row.reason)]}" for row in first.itertuples()
    )


def _plural(item: str) -> str:
    return {"category": "categories", "product_id": "products"}.get(item, f"{item}s")
