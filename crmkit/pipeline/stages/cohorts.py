"""Customers by when they came, and what all of them will bring."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from crmkit.engine.tables import n_rows, some_rows, total
from crmkit.evaluation.value import past_totals as find_past_totals
from crmkit.models import CustomerLifetimeValue
from crmkit.models.cohort_value import PastTotals
from crmkit.pipeline.notes import note
from crmkit.pipeline.stage import stage
from crmkit.pipeline.stages.customers import unfitted
from crmkit.reports.blocks.cohorts import cohorts as cohort_block
from crmkit.reports.blocks.cohorts import second_purchase as second_block
from crmkit.reports.blocks.revenue import potential as potential_block
from crmkit.reports.blocks.revenue import revenue as revenue_block
from crmkit.reports.blocks.tiers import value_total
from crmkit.summaries.cohorts import cohorts as table_of
from crmkit.summaries.cohorts import second_purchase
from crmkit.summaries.revenue_tree import customer_flows, revenue_tree
from crmkit.summaries.revenue_tree import potential as find_potential
from crmkit.transactions.log import Transactions

if TYPE_CHECKING:
    from crmkit.pipeline.settings import Cohorts, Potential, Value


_FOLLOWED = 50_000
"""Customers whose futures are drawn: the total of more is in proportion, and its interval hangs on the level."""


@stage("cohorts", "second_purchases", "cohort_blocks")
def cohorts(log: Transactions, *, cohorts: Cohorts, currency: str) -> dict[str, object]:
    """Who stays of those who came in each period, and how soon new customers buy again."""
    table, waits = table_of(log, cohorts.period), second_purchase(log)
    told = [cohort_block(table, cohorts.period, currency=currency), second_block(waits, currency=currency)]
    return {"cohorts": table, "second_purchases": waits, "cohort_blocks": told}


@stage("revenue_tree", "customer_flows", "revenue_block")
def revenue(log: Transactions, *, cohorts: Cohorts, currency: str) -> dict[str, object]:
    """Where a change of revenue comes from, and which customers came and went."""
    tree, flows = revenue_tree(log, cohorts.period), customer_flows(log, cohorts.period)
    told = revenue_block(tree, flows, cohorts.period, currency=currency)
    return {"revenue_tree": tree, "customer_flows": flows, "revenue_block": told}


@stage("potential", "potential_block", here=True)
def potential(log: Transactions, *, potential: Potential, currency: str) -> dict[str, object]:
    """What customers could spend, beside those who come as often."""
    if potential.by not in log.items:
        note(f"[potential] needs {potential.by} of the lines, or of the products; they have {list(log.items)}.")
        return {}
    found = find_potential(log, potential.by, potential.window, potential.bands)
    return {"potential": found, "potential_block": potential_block(found, currency=currency)}


@stage("past_totals", max_age="backtests.max_age", ages=["judged"], may_fail=True)
def look_back(judged: Transactions, value_choice: Mapping[str, str], *, value: Value) -> dict[str, object]:
    """What the model would have forecast in total at earlier dates, and what came."""
    return {"past_totals": find_past_totals(unfitted(value, value_choice["name"]), judged)}


@stage("value_total", "value_total_block", may_fail=True)
def forecast_total(
    customer_summary: pd.DataFrame,
    customer_values: pd.DataFrame,
    value_model: CustomerLifetimeValue,
    past_totals: PastTotals | None = None,
    *,
    currency: str,
) -> dict[str, object]:
    """What all customers will bring, with an interval that holds the level."""
    some = some_rows(customer_summary, _FOLLOWED)
    found = value_model.cohort(some, past=past_totals)
    if (n := n_rows(customer_summary)) > len(some):
        found = found.of_more(n, total(customer_values, "value") / found.expected.estimate)
    told = None if found.realised is None else found.realised._asdict()
    return {"value_total": told, "value_total_block": value_total(found, value_model.horizon, currency=currency)}
