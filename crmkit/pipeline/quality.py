"""Is the delivery what was meant?"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pandas as pd

from crmkit.engine.choose import engine_for
from crmkit.engine.duckdb import DuckDBEngine
from crmkit.engine.tables import joined, n_rows
from crmkit.exceptions import (
    RefusedError,
)
from crmkit.ingest.rules import REJECTED
from crmkit.offers.result import OfferResult
from crmkit.pipeline.notes import note
from crmkit.pipeline.settings import Threshold, Thresholds
from crmkit.transactions.log import Transactions
from crmkit.transactions.rejections import Rejections

_QUIET, _LATELY, _KNOWN = 14, 14, 84
_CERTAIN = 8
"""So many lines are expected of a category in a time in which none comes by chance (P = exp(-8))."""


def judge(value: float, threshold: Threshold, name: str, told: str) -> None:
    """A note where a value is above a threshold's ``warn``; `RefusedError` where it is above its ``stop``."""
    if threshold.stop is not None and value > threshold.stop:
        raise RefusedError(f"{told}\nTo accept this, raise stop of {name} under [thresholds], now {threshold.stop:g}.")
    if threshold.warn is not None and value > threshold.warn:
        note(told)


def check_last_days(log: Transactions, day: date, threshold: Threshold) -> None:
    """Judge the days without a transaction before ``day``, in multiples of the longest such time before."""
    with engine_for(log) as engine:
        known = f"select distinct day from {engine.parquet(log.lines)} where day <= :as_of order by day"
        days = engine.frame(known, {"as_of": log.close_of(day)})["day"]
    if len(days) < 2:
        return
    since, longest = log.close_of(day) - int(days.iloc[-1]), int(days.diff().max())
    last = day - timedelta(days=since)
    told = (
        f"The latest transaction is dated {last}, but results are as of {day} and therefore assume no purchases since. "
        f"Are files missing? Until then at most {longest} days lay between two days with a transaction; now {since}. "
        f"Deliver the missing days, or run with --as-of {last}."
    )
    far = Threshold(stop=threshold.stop if since > _QUIET else None)
    judge(since / longest, far, "missing_days", told)
    if threshold.warn is not None and since >= threshold.warn * longest:
        note(told)


def check_categories(log: Transactions, day: date, threshold: Threshold) -> None:
    """Judge the share of sales that categories had which have sold nothing lately."""
    if "category" not in log.items:
        return
    with engine_for(log) as engine:
        found = engine.frame(
            f"""select category, cast(sum(case when day > :as_of - :lately then 1 else 0 end) as bigint) as lately,
            cast(sum(case when day <= :as_of - :lately then 1 else 0 end) as bigint) as lines_before,
            cast(sum(case when day <= :as_of - :lately then amount else 0 end) as double) as before
            from {engine.parquet(log.lines)} where day > :as_of - :known and day <= :as_of and category is not null
            group by category order by category""",
            {"as_of": log.close_of(day), "lately": _LATELY, "known": _LATELY + _KNOWN},
        )
    usual = found["lines_before"] * _LATELY / _KNOWN
    gone = found[(found["lately"] == 0) & (usual >= _CERTAIN)].sort_values("before", ascending=False)
    total = found["before"].sum()
    if not total > 0 or not len(gone):
        return
    share, names = gone["before"].sum() / total, ", ".join(gone["category"].head(3))
    told = (
        f"{len(gone)} categories with {share:.1%} of the sales of the {_KNOWN} days before have sold nothing in the last "
        f"{_LATELY} days: {names}{' …' if len(gone) > 3 else ''}. Is a file, or a part of the products, missing?"
    )
    judge(share, threshold, "vanished_categories", told)


def check_members(customers: pd.DataFrame, members: pd.DataFrame, threshold: Threshold) -> None:
    """Judge the share of customers who are not among the members."""
    n_customers, n_members = n_rows(customers), n_rows(members)
    unmatched = n_customers - n_rows(joined(customers[["customer_id"]], members[["customer_id"]]))
    told = (
        f"{unmatched:,} of {n_customers:,} customers are not among the {n_members:,} members, so contact opt-outs "
        "could not be applied to them. Ids may have lost their leading zeros, or be written in another way than in the "
        "transactions: deliver the members with the ids of the till."
    )
    judge(unmatched / n_customers, threshold, "unmatched_members", told)


def why_none(running: pd.DataFrame, due: pd.DataFrame, result: OfferResult) -> str:
    """Why a plan has no offers; ``running`` are the deals of its days."""
    item = next(name for name in ("product_id", "category") if name in due)
    if not len(running):
        return "no deal is valid on its days; see starts and ends of the deals"
    if not running[item].isin(due[item]).any():
        return f"none of the {_plural(item)} with a current deal has repurchase predictions"
    if not len(result.planned):
        return (
            "every eligible member is in the control group; lower offers.control"
            if len(result.control)
            else "every member is excluded by offers.min_weekly_spend or by opting out of contact"
        )
    if not (running["budget"] > 0).any():
        return "every deal that is valid on its days has a budget of 0"
    return "no offer has an expected gain within the budgets of deals, funders and store"


def check_rejected(received: Rejections, rejections: Path, thresholds: Thresholds) -> None:
    """Judge how many rows, and how much money, are invalid; rows that only lack a member are not."""
    invalid = received.invalid
    n_invalid, amount = received.rows_invalid, float(invalid["amount"].abs().sum())
    if not received.rows_used and received.rows_read > received.rows_duplicate:
        raise RefusedError(f"No row could be used. {received}.\n{_first_faults(received, rejections)}")
    if not n_invalid:
        return
    faults = f"\n{_first_faults(received, rejections)}\nCorrect the extract."
    rows = f"{n_invalid:,} of {received.rows_read:,} rows are invalid.{faults}"
    judge(n_invalid / received.rows_read, thresholds.rejected_rows, "rejected_rows", rows)
    money = abs(float(received.amount_read)) or 1.0
    told = f"Invalid rows account for {amount:,.2f} of the {money:,.2f} read.{faults}"
    judge(amount / money, thresholds.rejected_money, "rejected_money", told)


def _first_faults(received: Rejections, rejections: Path) -> str:
    """One example of each reason, with its place and what to do about it."""
    advice = dict(zip(received.counts["reason"], received.counts["advice"], strict=True))
    with DuckDBEngine() as engine:
        first = engine.frame(
            f"""select arg_min(file, place) as file, arg_min(line, place) as line, reason from (select file, line, reason,
            row_number() over () as place from {engine.parquet(rejections)} where outcome = :outcome) as rows
            group by reason order by min(place)""",
            {"outcome": REJECTED},
        )
    return "\n".join(
        f"  {row.file} line {row.line}: {row.reason}. {advice[str(row.reason)]}" for row in first.itertuples()
    )


def _plural(item: str) -> str:
    return {"category": "categories", "product_id": "products"}.get(item, f"{item}s")
