"""Prices of the budgets: the Lagrangian dual, from a sample of the members first, then from all.

Members come one by one to the same budgets. At the right prices every member's best list, chosen alone, nearly spends
what there is. Whatever the prices, the value of the lists so chosen plus the budgets at their price is at least the gain
of every possible plan: the bound is proven, not estimated.

References
----------
Fisher, M. L. (1981), "The Lagrangian relaxation method for solving integer programming problems", Management Science 27(1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.optimize import minimize

from crmkit._types import Floats
from crmkit.offers.solver.market import Demand, Limits, Market

__all__ = ["Prices", "bound_of", "price", "price_from", "proven"]


_SAMPLES = ((5_000, 120), (40_000, 40))
_STEPS, _STEPS_OF_MANY = ((10_000, 200), (40_000, 40)), 6
_SINGLE = 1.2e-7
_FEW, _PATIENCE = 4_000, 4
_AHEAD, _ENOUGH = 0.02, 5e-5
_GRID = 2.0**-26
"""Prices are looked at on a grid, so that the last digits of a processor's linear algebra do not lead to other ones."""


class Responders(Protocol):
    """All that is asked of members, wherever they are: what they take together at given prices."""

    @property
    def limits(self) -> Limits: ...

    def __len__(self) -> int: ...

    def demand(self, prices: Floats, rewards: Floats) -> Demand: ...


@dataclass(frozen=True)
class Prices:
    """Prices of budgets (gain of one more unit), rewards for reaching members of funders, and the bound they prove."""

    budgets: Floats
    rewards: Floats
    bound: float


def price(market: Market) -> Prices:
    """Prices at which the bound is smallest, or nearly.

    Quasi-Newton steps on samples of members with their share of the budgets, each beginning where the last one ended,
    then a few on all members.
    """
    found = np.zeros(len(market.limits.budget) + len(market.limits.reach))
    steps = next((tries for most, tries in _STEPS if len(market) <= most), _STEPS_OF_MANY)
    for n, tries in (*_SAMPLES, (len(market), steps)):
        part, share = market.sample(n)
        if share < 1 or n == len(market):
            found = _lowest(part, found, tries)
    return proven(market, _prices(found, market.limits))


def price_from(members: Responders, start: Prices) -> Prices:
    """Prices from those of a sample: a few steps on all members, of whom no more is asked than what they take together."""
    found = _lowest(members, np.concatenate([start.budgets, start.rewards]), _STEPS_OF_MANY)
    return proven(members, _prices(found, members.limits))


def proven(members: Responders, found: Prices) -> Prices:
    """The prices with the bound that they prove."""
    value = members.demand(found.budgets, found.rewards).value
    bound = bound_of(value, members.limits, found.budgets, found.rewards, members.limits.reach)
    return Prices(found.budgets, found.rewards, bound)


def _prices(found: Floats, limits: Limits) -> Prices:
    budgets, rewards = np.split(found, [len(limits.budget)])
    return Prices(budgets, rewards, np.inf)


def bound_of(value: float, limits: Limits, prices: Floats, rewards: Floats, reach: Floats) -> float:
    """No plan within the budgets that reaches so many members gains more than this, from the value of the members' best
    lists at these prices; rounding to single precision is allowed for."""
    money = prices @ limits.budget
    return float(value + money - rewards @ reach + _SINGLE * (abs(value) + money))


def _lowest(market: Responders, start: Floats, steps: int) -> Floats:
    """The point of the smallest bound found from ``start``: quasi-Newton, then subgradient steps where that is stuck."""
    limits, scale = market.limits, _scale(market.limits)
    dual = _Dual(market, scale, start)
    if len(start):
        minimize(
            dual.at, start / scale, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(start),
            options={"maxfun": steps, "maxcor": 20, "ftol": 1e-9},
        )  # fmt: skip
    if len(market) <= _FEW and len(limits.budget):
        dual.descend(steps)
    return dual.best


class _Dual:
    """The bound as a function of scaled prices; remembers where it was smallest."""

    def __init__(self, market: Responders, scale: Floats, start: Floats) -> None:
        self.market, self.scale, self.best, self.bound = market, scale, start, np.inf

    def at(self, point: Floats) -> tuple[float, Floats]:
        limits, found = self.market.limits, np.round(point / _GRID) * _GRID * self.scale
        prices, rewards = np.split(found, [len(limits.budget)])
        demand = self.market.demand(prices, rewards)
        bound = float(demand.value + prices @ limits.budget - rewards @ limits.reach)
        if bound < self.bound:
            self.bound, self.best = bound, found
        left = limits.budget - limits.spent(demand.cost, demand.offers)
        return bound, np.concatenate([left, limits.by @ demand.offers - limits.reach]) * self.scale

    def descend(self, steps: int) -> None:
        """Projected subgradient steps towards a level a little below the best, nearer each time that nothing is won."""
        ahead, stalled, point = _AHEAD, 0, self.best / self.scale
        for _ in range(steps):
            before = self.bound
            bound, slope = self.at(point)
            stalled = 0 if self.bound < before * (1 - ahead / 10) else stalled + 1
            if stalled == _PATIENCE:
                ahead, stalled, point = ahead / 2, 0, self.best / self.scale
                continue
            slope[(point <= 0) & (slope > 0)] = 0
            length = float(slope @ slope)
            if length == 0 or ahead < _ENOUGH:
                return
            point = np.maximum(0, point - (bound - self.bound + ahead * abs(self.bound)) / length * slope)


def _scale(limits: Limits) -> Floats:
    scale: Floats = 1 / np.sqrt(np.maximum(np.concatenate([limits.budget, limits.reach]), 1e-9))
    return scale
