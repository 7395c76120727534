"""What members told the service desk, and whom to win back."""

from __future__ import annotations

from datetime import date

import pandas as pd

from crmkit.campaigns.won_back import WonBack
from crmkit.engine.tables import first_rows, grouped, n_rows, total
from crmkit.reports.block import Block, Table
from crmkit.reports.formats import money, number

__all__ = ["handling", "overdue", "service", "win_back", "won_back"]

_SHOWN, _FIRST = 20, 10
_OF_LIST = ("customer_id", "flag", "unusual_since", "value_at_risk", "reason_1", "offer_title", "held_back")


def service(signals: pd.DataFrame, *, currency: str = "") -> Block:
    """Open complaints and satisfaction; from ``service_signals``."""
    waiting = int((signals["open_complaints"] > 0).sum())
    table = pd.DataFrame(
        {
            "customers": [waiting, int((signals["past_complaints"] > 0).sum()), int((signals["n_answers"] > 0).sum())],
        },
        index=pd.Index(
            ["with an open complaint", "with a complaint, open or not", "who answered a survey"], name="who"
        ),
    )
    return Block(
        "Service",
        f"{number(waiting)} customers have an open complaint",
        "They get no promotion and are listed in recovery.parquet, the most at risk first.",
        table=Table(table.reset_index()),
    )


def win_back(customers: pd.DataFrame, *, currency: str = "") -> Block:
    """Customers who are cooling, at risk, frozen or lost; from ``ChurnModel.win_back``."""
    table = grouped(customers, "flag", customers=("customer_id", "size"), value_at_risk=("value_at_risk", "sum"))
    shown = [name for name in _OF_LIST if name in customers.columns]
    return Block(
        "Win-back",
        f"{number(n_rows(customers))} customers to win back hold {money(total(customers, 'value_at_risk'), currency)} at risk",
        "All are listed in win_back.parquet with their reasons, the most money at risk first. Those held back are not contacted, so "
        "that what contacts achieve can be measured.",
        table=Table(first_rows(customers, _FIRST)[shown], "The first of the list"),
        more=(Table(table.sort_values("value_at_risk", ascending=False, ignore_index=True), "By state"),),
    )


def overdue(table: pd.DataFrame, *, currency: str = "") -> Block:
    """Complaints that should have been resolved; from ``overdue_complaints``."""
    if not len(table):
        return Block("Overdue complaints", "No complaint is overdue")
    return Block(
        "Overdue complaints",
        f"Complaints overdue: {number(len(table))}, the longest by {number(table['days_overdue'].iloc[0])} days",
        f"People responsible for them: {number(table['responsible'].nunique())}; complaints with nobody responsible: "
        f"{number(table['responsible'].isna().sum())}.",
        table=Table(table.head(_SHOWN)),
        more=(Table(table, f"All {len(table)}"),) if len(table) > _SHOWN else (),
    )


def handling(
    overall: pd.DataFrame,
    groups: dict[str, pd.DataFrame],
    gap: pd.DataFrame,
    outcome: pd.DataFrame,
    least: int = 10,
    *,
    currency: str = "",
) -> Block:
    """How complaints were handled; from ``handling_satisfaction``, ``service_gap`` and ``recovery_outcome``."""
    known = len(overall) and pd.notna(overall["mean"].iloc[0])
    title = (
        f"Customers rate the handling of their complaints {overall['mean'].iloc[0]:.1f} of 10"
        if known
        else f"Fewer than {least} customers have rated the handling of their complaints"
    )
    told = f"95% interval {overall['low'].iloc[0]:.1f} to {overall['high'].iloc[0]:.1f}. " if known else ""
    notes = []
    if len(gap):
        one = gap.iloc[0]
        notes.append(
            f"Perception less expectation: {one['gap']:+.2f} points (95% interval {one['low']:+.2f} to {one['high']:+.2f}, "
            f"{number(one['answers'])} answers)."
        )
    if len(outcome):
        shares = {row["resolved"]: row["share"] for _, row in outcome.iterrows()}
        said = [
            f"{shares[key]:.0%} {words}"
            for key, words in (("yes", "where it was resolved"), ("no", "where it was not"))
            if key in shares
        ]
        notes.append(
            f"Bought again within 90 days of a complaint: {', '.join(said)}. This is an association, not an effect."
        )
    tables = [Table(table, f"By {by}") for by, table in groups.items() if len(table)]
    return Block(
        "Handling of complaints",
        title,
        f"{told}Groups with fewer than {least} answers are not shown one by one.",
        table=tables[0] if tables else None,
        more=(*tables[1:], *([Table(gap, "Perception and expectation")] if len(gap) else [])),
        notes=tuple(notes),
    )


def won_back(found: WonBack, day: date, *, currency: str = "") -> Block:
    """What a win-back list achieved; from `won_back`."""
    return Block("Win-back", f"What the win-back list of {day} achieved", str(found))
