"""Visits: who goes where, and what visits achieved."""

from __future__ import annotations

import pandas as pd

from crmkit.reports.block import Block, Table
from crmkit.reports.formats import money, number

__all__ = ["visits"]

_SHOWN = 12


def visits(plan: pd.DataFrame, told: str, results: pd.DataFrame | None = None, *, currency: str = "") -> Block:
    """A plan of visits; from ``VisitPlan.solve``."""
    if not len(plan):
        return Block("Visits", "No customer is worth a visit, or nobody can go there", told)
    shifts = plan.groupby(["field_person", "day"]).agg(
        visits=("customer_id", "size"), expected_gain=("expected_gain", "sum"), travel_minutes=("travel_minutes", "sum")
    )
    notes = []
    if results is not None and len(results):
        met = results[results["met"] == 1]
        notes.append(
            f"Of {number(len(results))} visits so far {number(len(met))} met the customer, and "
            f"{money(met['sold'].sum(), currency)} were ordered."
        )
    return Block(
        "Visits",
        f"{number(len(plan))} visits are planned, with an expected gain of {money(plan['expected_gain'].sum(), currency)}",
        f"{told[0].upper()}{told[1:]}. What a visit saves is an assumption until it is measured against the control group.",
        table=Table(shifts.reset_index().head(_SHOWN)),
        more=(Table(plan, f"All {len(plan)} visits"),),
        notes=tuple(notes),
    )
