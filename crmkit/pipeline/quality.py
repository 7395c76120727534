"""Is the delivery what was meant?"""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd

from crmkit.engine.choose import engine_for
from crmkit.exceptions import (
    RefusedError,
)
from crmkit.ingest.schemas import SALES
from crmkit.offers.result import OfferResult
from crmkit.transactions.log import Transactions
from crmkit.transactions.rejections import Rejections

_NOBODY = tuple(SALES.nobody)
_QUIET, _FAR = 14, 5


def quiet(log: Transactions, day: date) -> list[str]:
    """A note where the days without a line before ``day`` are more than ever; far more are refused."""
    with engine_for(log) as engine:
        known = f"select distinct day from {engine.parquet(log.lines)} where day <= ? order by day"
        days = engine.frame(known, [log.close_of(day)])["day"]
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
    """Raise when too many rows are faulty; rows that only lack a customer are nobody's, not faulty."""
    faulty = rejections.counts[~rejections.counts["reason"].isin(_NOBODY)]
    n_faulty = int(faulty["rows"].sum())
    if rejections.rows_read and n_faulty > most * rejections.rows_read:
        raise RefusedError(
            f"{n_faulty:,} of {rejections.rows_read:,} rows are faulty, more than max_rejected = {most:g} allows.\n"
            f"{_first_faults(rejections)}\n{_advice(faulty['reason'].iloc[0])}"
        )
    if not rejections.rows_used:
        raise RefusedError(f"No row could be used. {rejections}.\n{_first_faults(rejections)}")


def _first_faults(rejections: Rejections) -> str:
    """One example of each reason, with its place."""
    first = rejections.rows.drop_duplicates("reason")
    return "\n".join(f"  {row.file} line {row.line}: {row.reason}" for row in first.itertuples())


def _advice(reason: str) -> str:
    if reason.startswith("purchased_at is after"):
        return "Set until to the last day of the delivery; --as-of then has the numbers stand for an earlier day."
    stated = {
        "purchased_at is not a time": "state time_format under [transactions]",
        "amount is not a number": "state decimal and thousands under [transactions]",
        "fields do not match the header": "state delimiter under [transactions]",
    }
    return (
        f"Mend the extract, {stated[reason]}, or raise max_rejected."
        if reason in stated
        else ("Mend the extract, or raise max_rejected under [transactions].")
    )
