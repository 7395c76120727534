"""Deals beside needs: a plan in which a stated share of the offers is for what members are due to buy."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from crmkit.offers.problem import Problem, lists_near, solved
from crmkit.offers.result import OfferResult
from crmkit.offers.solver.dual import price

__all__ = ["with_needs_first"]

_HALVINGS = 7
_SAMPLE = 20_000
"""Of more members than these the price of the demand is found on about so many."""


def with_needs_first(problem: Problem) -> OfferResult:
    """The plan at the smallest charge for offers that are for no need at which enough of the others remain.

    The charge is the shadow price of the demand: no plan with as few offers beside the needs gains more than the bound.
    """
    wanted = problem.terms.need_share
    free = problem.result(*solved(problem.market()))
    if _share(free.offers) >= wanted:
        return replace(free, demands=_demand(free, free, wanted, 0.0))
    charge = _smallest_charge(problem, wanted, _dearest(free.offers))
    charged = replace(problem, other_charge=charge)
    plan = charged.result(*solved(charged.market()))
    return replace(plan, demands=_demand(plan, free, wanted, charge))


def _dearest(offers: pd.DataFrame) -> float:
    """The charge at which no offer beside the needs is left."""
    return float(offers.loc[~offers["need"].astype(bool), "expected_gain"].max())


def _smallest_charge(problem: Problem, wanted: float, high: float) -> float:
    """By halving; at ``high`` the demand is met."""
    low = 0.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if _share_at(problem, middle) >= wanted else (middle, high)
    return high


def _share_at(problem: Problem, charge: float) -> float:
    charged = replace(problem, other_charge=charge)
    whole = charged.market()
    market, share = whole.sample(_SAMPLE)
    chosen = solved(market)[0] if share == 1 else lists_near(market, price(market))
    need = charged.figures(chosen).need
    return float(need.mean()) if len(need) else 1.0


def _share(offers: pd.DataFrame) -> float:
    return float(offers["need"].mean()) if len(offers) else 1.0


def _demand(plan: OfferResult, free: OfferResult, wanted: float, charge: float) -> pd.DataFrame:
    row = {
        "demand": "share of offers for a need", "wanted": wanted, "reached": _share(plan.offers),
        "shadow_price": charge, "cost": max(free.objective - plan.objective, 0.0),
    }  # fmt: skip
    return pd.DataFrame([row])
