"""Value tiers: how the value is spread, and who moved."""

from __future__ import annotations

from datetime import date

import pandas as pd

from crmkit.engine.tables import grouped
from crmkit.models.cohort_value import CohortValue
from crmkit.reports.block import Block, Table
from crmkit.reports.formats import money, number
from crmkit.segments.displays import TierDisplay, migration_flow
from crmkit.segments.lorenz import lorenz_of
from crmkit.segments.migration import Migration

__all__ = ["concentration", "tier_changes", "tiers", "value_total"]

_MOVED = {"up": "moved up", "down": "moved down", "new": "came new", "same": "stayed where they were"}


def tiers(customers: pd.DataFrame, *, currency: str = "") -> Block:
    """How much of the value each tier holds; columns value and tier."""
    table = grouped(customers, "tier", customers=("value", "size"), value=("value", "sum"))
    table["share_of_customers"] = table["customers"] / table["customers"].sum()
    table["share_of_value"] = table["value"] / table["value"].sum()
    top = table.iloc[0]
    return Block(
        "Value tiers",
        f"Tier {top['tier']} holds {top['share_of_value']:.0%} of the value with "
        f"{top['share_of_customers']:.0%} of the customers",
        f"The expected value of all {number(table['customers'].sum())} customers is "
        f"{money(table['value'].sum(), currency)}.",
        TierDisplay(table),
        Table(table),
    )


def value_total(found: CohortValue, horizon: float, *, currency: str = "") -> Block:
    """What all customers will bring together; from ``CustomerLifetimeValue.cohort``."""
    ahead = f"in the next {horizon:,.0f} days" if horizon < float("inf") else "in all"
    if found.realised is None:
        value, low, high = found.expected
        return Block(
            "Expected value",
            f"All {number(found.n_customers)} customers together are expected to bring {money(value, currency)} {ahead}",
            f"{money(low, currency)} to {money(high, currency)} by the uncertainty of the model's parameters alone.",
        )
    value, low, high = found.realised
    rows = {
        "with the uncertainty of its parameters alone": found.expected,
        "with that of the level and chance": found.realised,
    }
    table = pd.DataFrame([(name, *row) for name, row in rows.items()], columns=["value", "estimate", "low", "high"])
    return Block(
        "Expected value",
        f"All {number(found.n_customers)} customers together will bring {money(low, currency)} to {money(high, currency)} {ahead}",
        f"The estimate is {money(value, currency)} ({found.level:.0%} interval). {found.judged_by} {number(found.n_one_time)} of "
        f"the customers bought once; they hold {money(found.value_one_time, currency)} of the forecast.",
        table=Table(table),
    )


def concentration(customers: pd.DataFrame, *, currency: str = "") -> Block:
    """Concentration of value; column value."""
    curve = lorenz_of(customers, "value")
    tenth = curve.shares.loc[curve.shares["share_of_customers"] == 0.10, "share_of_value"].iloc[0]
    return Block(
        "Concentration",
        f"The best tenth of the customers holds {tenth:.0%} of the value",
        f"The Gini coefficient is {curve.gini:.2f} (0 when all are equal, 1 when one holds all).",
        curve,
        Table(curve.shares),
        (Table(curve.table, "The curve, one row per hundredth of the customers"),),
    )


def tier_changes(moved: Migration, since: date, *, currency: str = "") -> Block:
    """Who is in another tier than at an earlier day, and why; from ``migration``."""
    n = moved.moves.set_index("move")["customers"]
    counted = {move: number(n.get(move, 0)) for move in _MOVED}
    said = ", ".join(f"{counted[move]} {words}" for move, words in _MOVED.items())
    flow = migration_flow(moved)
    return Block(
        "Tier changes",
        f"{counted['up']} customers moved up a tier and {counted['down']} moved down",
        f"Since {since:%d %B %Y}, of {moved.moves['customers'].sum():,} customers {said}. A customer leaves a tier only when the "
        "value is clearly outside it. They are listed in tier_changes.parquet.",
        flow,
        Table(moved.causes),
        (Table(flow.table, "Tier migration"),),
    )
