"""Is the delivery what was meant?"""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd

from crmkit.engine.choose import engine_for
from crmkit.exceptions import (
    RefusedError,
)
from crmkit.offers.result import OfferResult
from crmkit.transactions.deliveries import NON_MEMBER_REASONS
from crmkit.transactions.log import Transactions
from crmkit.transactions.rejections import Rejections

_QUIET, _FAR = 14, 5


def quiet(log: Transactions, day: date) -> list[str]:
    """A note where the days without a line before ``day`` are more than ever; far more are refused."""
    with engine_for(log) as engine:
        known = f"select distinct day from {engine.parquet(log.lines)} where day <= :as_of order by day"
        days = engine.frame(known, {"as_of": log.close_of(day)})["day"]
    if len(days) < 2:
        return []
    since, longest = log.close_of(day) - int(days.iloc[-1]), int(days.diff().max())
    last = day - timedelta(days=since)
    said = (
        f"The last day with a line is {last}, but the numbers stand for {day} (until, or --as-of) and take it that nobody "
        f"has bought since. Days from one to the next: {since}; at most {longest} between any two days with lines before. "
        f"If days are missing, deliver them; otherwise let the numbers stand for {last}."
    )
    if since > max(_QUIET, _FAR * longest):
        raise RefusedError(said)
    return [said] if since >= longest else []


def strangers(customers: pd.DataFrame, members: pd.DataFrame) -> list[str]:
    """A note on customers who are not among the members; no match at all is refused."""
    n_strangers = int((~customers["customer_id"].isin(members["customer_id"])).sum())
    if n_strangers == len(customers):
        raise RefusedError(
            f"None of the {len(customers):,} customers is among the {len(members):,} members, so that nobody's "
            "no_contact would be known. Ids may have lost their leading zeros, or have been written in another way than "
            "in the transactions: deliver the members with the ids of the till."
        )
    said = (
        f"{n_strangers:,} of {len(customers):,} customers are not among the members: no no_contact of theirs is known."
    )
    return [said] if n_strangers else []


def why_none(running: pd.DataFrame, due: pd.DataFrame, result: OfferResult) -> str:
    """Why a plan has no offers; ``running`` are the deals of its days."""
    item = str(due.columns[1])
    if not len(running):
        return "no deal runs on its days; see starts and ends of the deals"
    if not running[item].isin(due[item]).any():
        return f"no {item} of the deals of its days is one whose purchases were timed"
    if not len(result.planned):
        return (
            "the control group has every member who could get one; lower offers.control"
            if len(result.control)
            else "no member may get one; see offers.min_weekly_spend and no_contact of the members"
        )
    if not (running["budget"] > 0).any():
        return "the budgets of all deals of its days are 0"
    return "none would gain anything within the budgets of deals, funders and store"


def refuse(rejections: Rejections, most: float) -> None:
    """Raise when too many rows are invalid; rows that only lack a customer are not."""
    invalid = rejections.counts[~rejections.counts["reason"].isin(NON_MEMBER_REASONS)]
    n_invalid = int(invalid["rows"].sum())
    if rejections.rows_read and n_invalid > most * rejections.rows_read:
        raise RefusedError(
            f"{n_invalid:,} of {rejections.rows_read:,} rows are invalid, more than max_rejected = {most:g} allows.\n"
            f"{_first_faults(rejections)}\nCorrect the extract, or raise max_rejected under [transactions]."
        )
    if not rejections.rows_used:
        raise RefusedError(f"No row could be used. {rejections}.\n{_first_faults(rejections)}")


def _first_faults(rejections: Rejections) -> str:
    """One example of each reason, with its place and what to do about it."""
    advice = dict(zip(rejections.counts["reason"], rejections.counts["advice"], strict=True))
    first = rejections.rows.drop_duplicates("reason")
    return "\n".join(
        f"  {row.file} line {row.line}: {row.reason}. {advice[str(row.reason)]}" for row in first.itertuples()
    )
