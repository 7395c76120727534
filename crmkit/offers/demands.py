"""What lists shall be, beside their budgets: worth more to members of more value, and mostly for what members are due to buy.

Each demand has a price: that of worth is what a unit of it gains in the plan for a member one standard deviation above the mean
value (and loses below it), that of needs what another offer must gain more. The smallest prices at which the demands are
met are their shadow prices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd

from crmkit._types import Floats
from crmkit.offers.problem import Problem, lists_near, solved
from crmkit.offers.result import OfferResult, no_demands
from crmkit.offers.solver.dual import price
from crmkit.offers.solver.market import Candidates

__all__ = ["with_demands", "worth_follows_value"]

_STEPS, _NEAR = 7, 2e-3
"""Prices that are tried, and how far above the demand is near enough."""
_SAMPLE = 20_000
"""Of more members than these the price of a demand is found on about so many."""
_DEAREST_WORTH = 0.1
"""Gain that a unit of worth may stand for, at most, with a member one standard deviation above the mean value."""
NEEDS, WORTH = "share of offers for a need", "correlation of a list's worth with the member's value"


def with_demands(problem: Problem) -> OfferResult:
    """The plan at the smallest prices at which its demands are met, or nearly so where they cannot be.

    No plan that meets them as well gains more than the bound.
    """
    plan = problem.result(*solved(problem.market()))
    prices, costs, priced = dict[str, float](), dict[str, float](), problem
    for name, demand in ((WORTH, _worth), (NEEDS, _needs), (WORTH, _worth)):
        before, (priced, found) = plan.objective, demand(priced, plan)
        if found:
            plan = priced.result(*solved(priced.market()))
        prices[name] = found or prices.get(name, 0.0)
        costs[name] = costs.get(name, 0.0) + max(before - plan.objective, 0.0)
    wanted = {WORTH: problem.terms.worth_by_value, NEEDS: problem.terms.need_share}
    reached = {WORTH: worth_follows_value(plan.offers, problem.people), NEEDS: _need_share(plan.offers)}
    rows = [(name, least, reached[name], prices[name], costs[name]) for name, least in wanted.items() if least > 0]
    return replace(plan, demands=pd.DataFrame(rows, columns=no_demands().columns))


def worth_follows_value(offers: pd.DataFrame, people: pd.DataFrame) -> float:
    """Correlation of what lists are worth with what their members are, over members with a list.

    >>> offers = pd.DataFrame({"customer_id": ["a", "a", "b", "c"], "worth": [1.0, 1.0, 1.0, 3.0]})
    >>> people = pd.DataFrame({"customer_id": ["a", "b", "c"], "value": [20.0, 10.0, 30.0]})
    >>> round(worth_follows_value(offers, people), 3)
    1.0
    """
    worth = offers.groupby("customer_id")["worth"].sum()
    value = people.set_index("customer_id")["value"].astype(float) if "value" in people else pd.Series(dtype=float)
    return _correlation(np.asarray(worth, dtype=np.float64), np.asarray(value.reindex(worth.index), dtype=np.float64))


def _correlation(worth: Floats, value: Floats) -> float:
    known = np.isfinite(value)
    worth, value = worth[known], value[known]
    if len(worth) < 3 or worth.std() == 0 or value.std() == 0:
        return float("nan")
    return float(np.corrcoef(worth, value)[0, 1])


def _worth(problem: Problem, plan: OfferResult) -> tuple[Problem, float]:
    """The problem with the price at which worth follows value, and the price; 0 where the plan needs none."""
    wanted = problem.terms.worth_by_value
    now = worth_follows_value(plan.offers, problem.people)
    if wanted <= 0 or np.isnan(now) or now >= wanted:
        return problem, 0.0

    def reached(found: Candidates) -> float:
        worth = problem.worths(found)
        listed = worth > 0
        return _correlation(worth[listed], np.asarray(problem.people["value"], dtype=np.float64)[listed])

    charge = _smallest(lambda at: replace(problem, worth_reward=at), reached, now, wanted, _DEAREST_WORTH)
    return replace(problem, worth_reward=charge), charge


def _needs(problem: Problem, plan: OfferResult) -> tuple[Problem, float]:
    """The problem with the price at which enough of the offers are for needs, and the price; 0 where the plan needs none."""
    wanted, now = problem.terms.need_share, _need_share(plan.offers)
    if now >= wanted:
        return problem, 0.0
    others = plan.offers.loc[~plan.offers["need"].astype(bool)]
    dearest = float(others["expected_gain"].max()) + problem.most_rewarded(others)

    def reached(found: Candidates) -> float:
        return float(found.need.mean()) if len(found.need) else 1.0

    charge = _smallest(lambda at: replace(problem, other_charge=at), reached, now, wanted, dearest)
    return replace(problem, other_charge=charge), charge


def _smallest(
    priced: Callable[[float], Problem], reached: Callable[[Candidates], float], now: float, wanted: float, high: float
) -> float:
    """About the smallest price at which the demand is met; ``high`` where it is met nowhere below.

    Where nothing is known above, the next price is an eighth; else it is where a straight line between what is reached at
    both ends meets the demand (regula falsi), never nearer to an end than a tenth. Prices have three digits, so that no
    processor's last one decides.
    """
    low, least, most = 0.0, now, None
    for _ in range(_STEPS):
        share = 1 / 8 if most is None else min(max((wanted + _NEAR / 2 - least) / (most - least), 0.1), 0.9)
        middle = float(f"{low + (high - low) * share:.2e}")
        there = reached(_taken(priced(middle)))
        if wanted <= there <= wanted + _NEAR:
            return middle
        if there >= wanted:
            high, most = middle, there
        else:
            low, least = middle, there
    return high


def _taken(problem: Problem) -> Candidates:
    """What a plan on these terms holds, found on a sample of the members where they are many."""
    whole = problem.market()
    market, share = whole.sample(_SAMPLE)
    return problem.figures(solved(market)[0] if share == 1 else lists_near(market, price(market)))


def _need_share(offers: pd.DataFrame) -> float:
    return float(offers["need"].mean()) if len(offers) else 1.0
