"""The best plan itself where the market is small enough: by integer programming, or by rounding the linear relaxation (HiGHS)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from crmkit._types import Floats, Ints
from crmkit.offers.solver.dual import Prices
from crmkit.offers.solver.market import DEAREST, Market
from crmkit.offers.solver.repair import Chosen, lists_from

__all__ = ["MOST_CANDIDATES", "best_lists"]


MOST_CANDIDATES = 50_000
"""Larger markets are left to the dual."""

_MOST_WHOLE = 2_000
_OPTIONS = {"node_limit": 200, "mip_rel_gap": 5e-4}
_WHOLE, _NEARLY = 1e-7, 1e-4
_HIGHEST, _TIE, _GOLDEN = 1e3, 1e-3, 0.6180339887498949
"""The largest gain as the solver sees it, far above its tolerance; what a tie is decided by; and the golden ratio."""

_SINGLE = 1.2e-7


class _Candidates(NamedTuple):
    """Candidates one below the other, with the block, the row and the column where each stands."""

    block: Ints
    at: Ints
    column: Ints
    member: Ints
    deal: Ints
    gain: Floats
    cost: Floats
    worth: Floats


class _Rows(NamedTuple):
    """Constraints ``matrix x <= limit``."""

    matrix: sparse.csr_array
    limit: Floats


def best_lists(market: Market) -> tuple[Chosen, Prices]:
    """The lists with the most gain, or nearly, and the prices of the budgets in the linear relaxation.

    Up to two thousand candidates the plan is an integer program, proven to 0.05 %. Beyond, whatever the linear relaxation
    takes whole is taken, and the little that is left is filled up.

    Demands that no plan meets are met as far as possible: a member that is not reached, and a unit of worth that a list
    lacks, cost more than they can gain. The bound is that of plans which lack no more than this one.
    """
    found = _candidates(market)
    limits, n = market.limits, len(found.gain)
    budgets = _Rows(sparse.csr_array(limits.use[:, found.deal] * found.cost + limits.fee[:, None]), limits.budget)
    lists, short, most = _lists(market, found)
    rows = _stacked([budgets, *lists], n + len(short))
    value = np.concatenate([found.gain, -short])
    upper = np.concatenate([np.ones(n), most])
    scale = float(found.gain.max())
    scale = _HIGHEST / scale if scale > 0 else 1.0
    forgone = np.concatenate([_forgone(found), np.zeros(len(short))])
    objective = forgone - value * scale
    relaxed = linprog(
        objective, rows.matrix, rows.limit, bounds=np.column_stack([np.zeros(len(value)), upper]), method="highs"
    )
    prices = np.maximum(-relaxed.ineqlin.marginals / scale, 0)
    x, bound = relaxed.x, _weak_duality(rows, value, upper, prices)
    if n <= _MOST_WHOLE and np.abs(x[:n] - np.round(x[:n])).max(initial=0) > _WHOLE:
        kind = np.concatenate([np.ones(n), np.zeros(len(short))])
        solved = milp(
            objective, constraints=LinearConstraint(rows.matrix, ub=rows.limit), integrality=kind, bounds=Bounds(0, upper),
            options=_OPTIONS,
        )  # fmt: skip
        if solved.x is not None:
            x, bound = solved.x, min(bound, (forgone.sum() - solved.mip_dual_bound) / scale)
    taken = np.flatnonzero(x[:n] > 1 - _NEARLY)
    bound += float(short @ x[n:]) + _SINGLE * abs(bound)
    found_prices = Prices(prices[: len(limits.budget)], np.zeros(len(limits.reach)), float(bound))
    return lists_from(market, found.block[taken], found.at[taken], found.column[taken], found_prices), found_prices


def _forgone(found: _Candidates) -> Floats:
    """What a candidate gives up so that no two are equal: its member and deal decide, not a processor's last digits.

    Deals that their funders pay in full gain the same on the same item, whatever they are worth; without a rule it is up to
    the path of the simplex method which of them is taken.
    """
    number = found.member * (found.deal.max(initial=0) + 1) + found.deal
    spread: Floats = number * _GOLDEN % 1.0
    return _TIE * spread


def _weak_duality(rows: _Rows, value: Floats, upper: Floats, prices: Floats) -> float:
    """No plan is worth more than what the limits cost at these prices, and what each candidate is worth beyond its price."""
    beyond, bounded = np.maximum(value - rows.matrix.T @ prices, 0), np.isfinite(upper)
    return float(prices @ rows.limit + beyond[bounded] @ upper[bounded])


def _candidates(market: Market) -> _Candidates:
    parts = []
    for number, block in enumerate(market.blocks):
        at, column = np.nonzero(np.isfinite(block.gain))
        worth = np.zeros(len(at)) if block.worth is None else block.worth[at, column]
        parts.append(
            (np.full(len(at), number), at, column, block.member[at], block.deal[at, column].astype(np.int64),
             block.gain[at, column].astype(float), block.cost[at, column].astype(float), worth.astype(float))
        )  # fmt: skip
    return _Candidates(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _lists(market: Market, found: _Candidates) -> tuple[list[_Rows], Floats, Floats]:
    """What holds for each list and for what lists shall be; the price of what is lacking, and how much can be."""
    limits, n = market.limits, len(found.gain)
    member = np.concatenate([block.member for block in market.blocks])
    slots = np.concatenate([block.slots for block in market.blocks])
    least_worth = np.concatenate([block.least_worth for block in market.blocks])
    order = np.argsort(member)
    place = order[np.searchsorted(member[order], found.member)]
    rows = [_Rows(_sums(place, n), slots.astype(float))]
    for grouping in limits.groupings:
        in_group = np.flatnonzero(grouping[found.deal] >= 0)
        group = found.member[in_group] * (grouping.max() + 1) + grouping[found.deal[in_group]]
        rows.append(_at_most(group, in_group, n, 1))
    if limits.funder_cap < slots.max(initial=0):
        rows.append(
            _at_most(
                found.member * (limits.funder.max() + 1) + limits.funder[found.deal], np.arange(n), n, limits.funder_cap
            )
        )
    lacking: list[Floats] = []
    most: list[Floats] = []
    for funder in np.flatnonzero(limits.reach > 0):
        # one offer a member counts: y <= offers of the funder to the member, sum of y >= reach
        theirs = np.flatnonzero(limits.by[funder][found.deal])
        people, group = np.unique(place[theirs], return_inverse=True)
        y = n + sum(map(len, lacking)) + np.arange(len(people) + 1)
        lacking.append(np.append(np.zeros(len(people)), DEAREST * (1 + np.abs(found.gain).max(initial=0))))
        most.append(np.append(np.ones(len(people)), np.inf))
        matrix = sparse.coo_array(
            (np.concatenate([-np.ones(len(theirs)), np.ones(len(people)), -np.ones(len(people) + 1)]),
             (np.concatenate([group, np.arange(len(people)), np.full(len(people) + 1, len(people))]),
              np.concatenate([theirs, y[:-1], y]))), shape=(len(people) + 1, y[-1] + 1),
        )  # fmt: skip
        rows.append(_Rows(matrix.tocsr(), np.append(np.zeros(len(people)), -limits.reach[funder])))
    wanted = np.flatnonzero(least_worth > 0)
    if len(wanted):
        t = n + sum(map(len, lacking)) + np.arange(len(wanted))
        number = np.full(len(member), -1)
        number[wanted] = np.arange(len(wanted))
        mine = np.flatnonzero(number[place] >= 0)
        matrix = sparse.coo_array(
            (np.concatenate([-found.worth[mine], -np.ones(len(wanted))]),
             (np.concatenate([number[place[mine]], np.arange(len(wanted))]), np.concatenate([mine, t]))),
            shape=(len(wanted), t[-1] + 1),
        )  # fmt: skip
        rows.append(_Rows(matrix.tocsr(), -least_worth[wanted]))
        lacking.append(np.full(len(wanted), DEAREST))
        most.append(np.full(len(wanted), np.inf))
    nothing = np.empty(0)
    return rows, np.concatenate([nothing, *lacking]), np.concatenate([nothing, *most])


def _at_most(group: Ints, columns: Ints, n: int, most: int) -> _Rows:
    """At most so many of each group, left out where there are not more."""
    _, number, size = np.unique(group, return_inverse=True, return_counts=True)
    crowded = size > most
    renumbered = np.cumsum(crowded) - 1
    kept = crowded[number]
    matrix = sparse.coo_array(
        (np.ones(kept.sum()), (renumbered[number[kept]], columns[kept])), shape=(int(crowded.sum()), n)
    )
    return _Rows(matrix.tocsr(), np.full(int(crowded.sum()), float(most)))


def _sums(group: Ints, n: int) -> sparse.csr_array:
    return sparse.coo_array((np.ones(n), (group, np.arange(n))), shape=(int(group.max(initial=-1)) + 1, n)).tocsr()


def _stacked(rows: Sequence[_Rows], width: int) -> _Rows:
    """Constraints one below the other, all of the same width."""
    for one in rows:
        one.matrix.resize((one.matrix.shape[0], width))
    return _Rows(sparse.vstack([one.matrix for one in rows], format="csr"), np.concatenate([one.limit for one in rows]))
