"""The first screen of the report: what changed since the last run, and what to do now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from crmkit.engine.frames import Frame, is_spark, to_pandas
from crmkit.engine.tables import grouped, n_rows, total
from crmkit.exceptions import CrmkitError
from crmkit.pipeline.history import Published
from crmkit.pipeline.stage import stage
from crmkit.reports.blocks.changes import changes, sales_since, tasks
from crmkit.reports.formats import money, number
from crmkit.summaries.sales import sales_summary
from crmkit.transactions.log import Transactions

if TYPE_CHECKING:
    from crmkit.pipeline.settings import Churn, Value

_SHOWN, _NEARLY = 12, 0.2
_READ = ["customer_id", "value", "p_churn", "value_at_risk", "segment", "life_stage"]


@stage("change_block", may_fail=True)
def tell_changes(
    log: Transactions,
    as_of: date,
    customers: Frame,
    earlier_runs: Sequence[Published],
    tier_changes: pd.DataFrame | None = None,
    overdue: pd.DataFrame | None = None,
    last_campaign_told: Mapping[str, str] | None = None,
    *,
    value: Value,
    churn: Churn,
    currency: str,
) -> dict[str, object]:
    """What is different from the last run, in sentences with figures."""
    before, since = _earlier(earlier_runs, is_spark(customers))
    days = to_pandas(sales_summary(log, period="day"))
    told = [sales_since(days, since, as_of, currency=currency)]
    if tier_changes is not None and not is_spark(tier_changes) and len(tier_changes):
        moves = tier_changes["move"].value_counts()
        told.append(
            f"Tiers: {number(moves.get('up', 0))} moved up, {number(moves.get('down', 0))} down; new customers: "
            f"{number(moves.get('new', 0))}, no longer there: {number(moves.get('lapsed', 0))}."
        )
    if last_campaign_told and last_campaign_told.get("told"):
        told.append(f"Last campaign: {last_campaign_told['told'].split(', with CUPED')[0].rstrip('.')}.")
    now, then = _figures(customers, value, churn), None if before is None else _figures(before, value, churn)
    if overdue is not None:
        now |= {"overdue complaints": float(len(overdue))}
        if then is not None and since is not None and earlier_runs[0].has("overdue"):
            then |= {"overdue complaints": float(len(earlier_runs[0].table("overdue")))}
    segments = None if before is None else _segments(before, customers)
    return {"change_block": changes(now, then, since, told, segments, currency=currency)}


def _earlier(runs: Sequence[Published], on_spark: bool) -> tuple[Frame | None, date | None]:
    """Customers as the last run had them, where it can be read and says as much."""
    if not runs or not runs[0].has("customers"):
        return None, None
    try:
        return runs[0].table("customers", _READ, on_spark), runs[0].day
    except CrmkitError:
        return None, None


def _figures(customers: Frame, value: Value, churn: Churn) -> dict[str, float]:
    stages = grouped(customers, "life_stage", n=("customer_id", "size")).set_index("life_stage")["n"]
    return {
        "customers": float(n_rows(customers)),
        "slipping (life stage)": float(stages.get("slipping", 0)),
        "away (life stage)": float(stages.get("away", 0)),
        f"expected not to buy within {churn.horizon} days": total(customers, "p_churn"),
        f"money at risk within {churn.horizon} days": total(customers, "value_at_risk"),
        f"money expected within {value.horizon} days": total(customers, "value"),
    }


def _segments(before: Frame, now: Frame) -> pd.DataFrame:
    counted = [grouped(one, "segment", n=("customer_id", "size")).set_index("segment")["n"] for one in (before, now)]
    both = pd.concat(counted, axis=1, keys=["before", "now"]).fillna(0).astype("int64")
    return both.sort_index().rename_axis("segment").reset_index()


@stage("task_block", may_fail=True)
def list_tasks(
    win_back: pd.DataFrame | None = None,
    overdue: pd.DataFrame | None = None,
    recovery: pd.DataFrame | None = None,
    plan: Mapping[str, float | str] | None = None,
    campaign_plan: Mapping[str, str] | None = None,
    deals: pd.DataFrame | None = None,
    deals_left: pd.DataFrame | None = None,
    offers: Path | None = None,
    visits: pd.DataFrame | None = None,
    purchase_plan: pd.DataFrame | None = None,
    *,
    currency: str,
) -> dict[str, object]:
    """What is waiting to be done, in the order in which it should be."""
    budgets = None
    if deals is not None and deals_left is not None and campaign_plan is not None:
        budgets = budgets_running_out(deals, deals_left, _planned(offers), campaign_plan["first_day"])
    found = [
        _overdue(overdue),
        _recovery(recovery),
        _win_back(win_back, currency),
        _lists(plan, campaign_plan),
        _budgets(budgets),
        _visits(visits),
        _orders(purchase_plan),
    ]
    shown = None if budgets is None else budgets.head(_SHOWN)
    return {"task_block": tasks([one for one in found if one], shown, currency=currency)}


def _visits(table: pd.DataFrame | None) -> tuple[str, str] | None:
    return (
        (f"Visit {number(len(table))} customers: visits.parquet.", "Visits")
        if table is not None and len(table)
        else None
    )


def _orders(table: pd.DataFrame | None) -> tuple[str, str] | None:
    return (
        (f"Order {number(len(table))} products: orders/.", "Purchase plan")
        if table is not None and len(table)
        else None
    )


def _overdue(table: pd.DataFrame | None) -> tuple[str, str] | None:
    if table is None or not len(table):
        return None
    people = table["responsible"].fillna("nobody").value_counts().sort_index()
    whose = ", ".join(f"{name} {number(n)}" for name, n in people.head(_SHOWN).items())
    return (
        f"Answer {number(len(table))} overdue complaint{'s' * (len(table) > 1)}, the longest "
        f"{number(table['days_overdue'].max())} days late ({whose}): overdue.parquet.",
        "Overdue complaints",
    )


def _recovery(table: pd.DataFrame | None) -> tuple[str, str] | None:
    if table is None or not n_rows(table):
        return None
    return (
        f"Call {number(n_rows(table))} customers with an open complaint; they get no promotion: recovery.parquet.",
        "Service",
    )


def _win_back(table: pd.DataFrame | None, currency: str) -> tuple[str, str] | None:
    if table is None or not n_rows(table):
        return None
    risk, n, held = total(table, "value_at_risk"), n_rows(table), 0
    if not is_spark(table) and "held_back" in table:
        kept = table[table["held_back"].astype(bool)]
        risk, n, held = risk - kept["value_at_risk"].sum(), n - len(kept), len(kept)
    aside = f" {number(held)} more are held back, to see what it brings." if held else ""
    return f"Win back {number(n)} customers, {money(risk, currency)} at risk: win_back.parquet.{aside}", "Win-back"


def _lists(plan: Mapping[str, float | str] | None, due: Mapping[str, str] | None) -> tuple[str, str] | None:
    if not plan or not plan["members"] or not due:
        return None
    first, last = (f"{date.fromisoformat(due[name]):%d %B %Y}" for name in ("first_day", "last_day"))
    return (
        f"Send {number(float(plan['members']))} lists for {first} to {last} (lists/), then say so: crmkit sent {due['campaign']}.",
        "Lists",
    )


def _budgets(budgets: pd.DataFrame | None) -> tuple[str, str] | None:
    if budgets is None or not len(budgets):
        return None
    return (
        f"Renew the budget or let end: {number(len(budgets))} deal{'s' * (len(budgets) > 1)} with at most {_NEARLY:.0%} of the "
        "budget left after these lists (below; less than 0 is overspent).",
        "Offers",
    )


def _planned(offers: Path | None) -> pd.Series[float]:
    """Expected cost of the lists that are planned, by deal."""
    if offers is None:
        return pd.Series(dtype="float64")
    return grouped(offers, "deal_id", cost=("expected_cost", "sum")).set_index("deal_id")["cost"]


def budgets_running_out(deals: pd.DataFrame, left: pd.DataFrame, planned: pd.Series[float], day: str) -> pd.DataFrame:
    """Deals that run on a day and of whose budget little is left once what is outstanding and planned has been redeemed.

    >>> deals = pd.DataFrame({"deal_id": ["D1", "D2"], "title": ["a", "b"], "starts": ["2018-01-01"] * 2,
    ...                       "ends": ["2018-01-31"] * 2, "budget": [10.0, 10.0]})
    >>> left = deals.assign(redeemed=[6.0, 0.0], outstanding=[1.0, 0.0])
    >>> budgets_running_out(deals, left, pd.Series({"D1": 2.5}), "2018-01-10")[["deal_id", "left"]]
      deal_id  left
    0      D1   0.5
    """
    table = deals[["deal_id", "title", "starts", "ends", "budget"]].copy()
    used = left.set_index("deal_id")
    for name in ("redeemed", "outstanding"):
        table[name] = table["deal_id"].map(used[name]).fillna(0.0).astype(float)
    table["planned"] = table["deal_id"].map(planned).fillna(0.0).astype(float)
    table["budget"] = table["budget"].astype(float)
    table["left"] = table["budget"] - table[["redeemed", "outstanding", "planned"]].sum(axis=1)
    runs = (pd.to_datetime(table["starts"]) <= pd.Timestamp(day)) & (pd.to_datetime(table["ends"]) >= pd.Timestamp(day))
    few = table[runs & (table["budget"] > 0) & (table["left"] <= _NEARLY * table["budget"])]
    order = few.assign(share=few["left"] / few["budget"]).sort_values(["share", "deal_id"], kind="stable")
    shown: pd.DataFrame = order[["deal_id", "title", "ends", "budget", "left"]].reset_index(drop=True)
    shown["ends"] = pd.to_datetime(shown["ends"])
    return shown
