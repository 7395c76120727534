"""The offer plan."""

from __future__ import annotations

from crmkit.offers.displays import BudgetDisplay
from crmkit.offers.result import OfferResult
from crmkit.reports.block import Block, Table
from crmkit.reports.formats import money, number

__all__ = ["offers"]

_FUNDERS = 12


def offers(plan: OfferResult, *, currency: str = "") -> Block:
    """The offer plan: what it is expected to gain, its budgets, and what it rests on."""
    funders = (
        plan.shadow_prices.groupby("funder")
        .agg(deals=("deal_id", "size"), budget=("budget", "sum"), spent=("spent", "sum"))
        .sort_values("budget", ascending=False, kind="stable")
        .reset_index()
    )
    more = [
        Table(plan.budgets, "Every budget and its shadow price"),
        Table(plan.demands, "What lists were demanded to be"),
    ]
    if len(funders) > _FUNDERS:
        more.insert(0, Table(funders, f"All {len(funders)} funders"))
    return Block(
        "Offers",
        f"{number(plan.n_offers)} offers to {number(plan.n_served)} members are expected to gain "
        f"{money(plan.objective, currency)}",
        f"{number(plan.n_control)} members are held back as a control group. Upper bound "
        f"{money(plan.bound, currency)} (optimality gap {plan.gap:.2%}). Expected redemptions cost "
        f"{money(funders['spent'].sum(), currency)} of the deals' budgets of {money(funders['budget'].sum(), currency)}.",
        BudgetDisplay(funders),
        Table(funders.head(_FUNDERS)),
        tuple(more),
        (
            *plan.shortages,
            *plan.shortfall_sentences(),
            *plan.demand_sentences(),
            *plan.price_sentences(),
            *plan.exclusion_sentences(),
            *(f"assumed: {sentence}" for sentence in plan.assumptions),
        ),
    )
