"""Lists within every limit, from the prices of the budgets.

At the prices members take what is best for them. Where that is more than a budget has, those with the least to gain for
its money go without; what is left is filled up; members that are to be reached are, where the limits allow it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from crmkit._types import Bools, Floats, Int16s, Ints, Singles
from crmkit.offers.solver.dual import Prices
from crmkit.offers.solver.market import ROUNDING, Block, Limits, Market, in_threads, worth_price

__all__ = ["Chosen", "lists_at", "lists_from", "within_budgets"]

Score = Callable[[Block], Singles]

_ROUNDS = 10
_ENOUGH = 2e-6


class Chosen(NamedTuple):
    """Offers made: member, row of due, deal, gain and cost in single precision."""

    member: Ints
    row: Ints
    deal: Ints
    gain: Floats
    cost: Floats

    def where(self, kept: Bools) -> Chosen:
        """Some of them."""
        return Chosen._make(column[kept] for column in self)


class _Flat(NamedTuple):
    """Candidates one below the other: block, row and column in it, their figures, and whether their list has a demand."""

    block: Ints
    at: Ints
    column: Ints
    deal: Ints
    cost: Floats
    gain: Floats
    score: Floats
    wanted: Bools


def lists_at(market: Market, prices: Prices) -> Chosen:
    """Lists near these prices that keep every limit.

    Demands (reach of a funder, worth of a list) are met as far as the limits allow.
    """
    price, fee = market.limits.charges(prices.budgets, prices.rewards)

    def score(block: Block) -> Singles:
        found = block.score(price, fee)
        return found if block.worth is None else found + worth_price(block, found)[:, None] * block.worth

    taken = _empty(market)
    _complete(market, taken, score)
    return _chosen(market, taken)


def lists_from(market: Market, block: Ints, at: Ints, column: Ints, prices: Prices) -> Chosen:
    """Lists that have these candidates (of each: block, row and column in it, in this order), and what can be added."""
    price, fee = market.limits.charges(prices.budgets, prices.rewards)
    taken = _empty(market)
    edges = np.searchsorted(block, np.arange(len(taken) + 1))
    for i, (start, end) in enumerate(pairwise(edges)):
        _put(taken[i], at[start:end], column[start:end])
    _trim(market, taken)
    _complete(market, taken, lambda part: part.score(price, fee))
    return _chosen(market, taken)


def _empty(market: Market) -> list[Int16s]:
    shapes = ((len(block.member), min(int(block.slots.max()), block.gain.shape[1])) for block in market.blocks)
    return [np.full(shape, -1, np.int16) for shape in shapes]


def _complete(market: Market, taken: list[Int16s], score: Score) -> None:
    """Add what is worth its price, then whatever still gains; then see to the reach that is demanded."""
    if not market.blocks:
        return
    _fill(market, taken, score, floor=0.0)
    _fill(market, taken, score, floor=-np.inf)
    if (market.limits.reach > 0).any():
        for funder in np.flatnonzero(market.limits.reach > 0):
            _reach(market, taken, int(funder))
        _fill(market, taken, score, floor=-np.inf)


def _trim(market: Market, taken: list[Int16s]) -> None:
    """Take off the lists what budgets do not have room for."""
    flat = _flat(market.blocks, taken)
    out = ~within_budgets(market.limits, flat.deal, flat.cost, flat.gain, flat.wanted)
    for i in np.unique(flat.block[out]):
        mine = out & (flat.block == i)
        slot = (taken[i][flat.at[mine]] == flat.column[mine][:, None]).argmax(axis=1)
        taken[i][flat.at[mine], slot] = -1


def within_budgets(limits: Limits, deal: Ints, cost: Floats, score: Floats, wanted: Bools) -> Bools:
    """Which of these offers stay when every budget that is overdrawn drops those with the least score for its money.

    Offers that are ``wanted`` for the sake of a demand go last.
    """
    kept = np.ones(len(deal), dtype=bool)
    for budget in range(len(limits.budget)):
        use = limits.use[budget, deal] * cost + limits.fee[budget]
        room = limits.budget[budget] * ROUNDING
        if use[kept].sum() <= room:
            continue
        users = np.flatnonzero(kept & (use > 0))
        order = users[np.lexsort((-score[users] / use[users], ~wanted[users]))]
        kept[order[np.cumsum(use[order]) > room]] = False
    return kept


def _add(market: Market, taken: list[Int16s], score: Score, floor: float) -> float:
    """Let members add to their lists what scores above the floor, within the budgets; returns what it gains."""
    limits = market.limits
    left = limits.budget - _spent(market, taken)
    most = limits.affordable(left).astype(np.float32)
    places = {id(block): i for i, block in enumerate(market.blocks)}

    def wish(block: Block) -> Int16s:
        return _wish(block, score, taken[places[id(block)]], most, limits, floor)

    flat = _flat(market.blocks, list(in_threads(wish, market.blocks)), score)
    kept = within_budgets(_with_left(limits, left), flat.deal, flat.cost, flat.score, flat.wanted)
    edges = np.searchsorted(flat.block, np.arange(len(market.blocks) + 1))
    for i in range(len(market.blocks)):
        mine = slice(edges[i], edges[i + 1])
        _put(taken[i], flat.at[mine][kept[mine]], flat.column[mine][kept[mine]])
    return float(flat.gain[kept].sum())


def _fill(market: Market, taken: list[Int16s], score: Score, floor: float) -> None:
    """Add what scores above the floor, round by round, until hardly anything is left to add."""
    total = 0.0
    for _ in range(_ROUNDS):
        added = _add(market, taken, score, floor)
        total += added
        if added <= _ENOUGH * abs(total):
            return


def _wish(block: Block, score: Score, taken: Int16s, most: Singles, limits: Limits, floor: float) -> Int16s:
    """The columns that each member would add: the best of what is within the limits of a single list."""
    wish = np.full_like(taken, -1)
    count = (taken >= 0).sum(axis=1)
    open_rows = np.flatnonzero(count < block.slots)
    if not len(open_rows):
        return wish
    part = block if len(open_rows) == len(block.member) else block.rows(open_rows)
    scores, mine = score(part), taken[open_rows]
    helps = part.gain > 0 if part.worth is None else (part.gain > 0) | (scores > 0)
    scores[~(helps & (scores > floor) & (part.cost <= most[part.deal]))] = -np.inf
    for i in range(mine.shape[1] if count.any() else 0):
        there = np.flatnonzero(mine[:, i] >= 0)
        scores[there, mine[there, i]] = -np.inf
    wish[open_rows] = _best_of_lists(part, scores, mine, limits)
    return wish


def _best_of_lists(block: Block, score: Singles, taken: Int16s, limits: Limits) -> Int16s:
    """Columns to add to each list, the best score first, as many as fit and go with what is on it."""
    k = taken.shape[1]
    wish = np.full_like(taken, -1)
    live = np.flatnonzero(score.max(axis=1) > -np.inf)
    order = np.argsort(-score[live], axis=1, kind="stable")
    ranked = np.take_along_axis(score[live], order, axis=1)
    on = np.where(taken[live] >= 0, _deals(block.rows(live), taken[live]), -1)
    on = np.sort(on, axis=1)[:, ::-1].copy()
    count, slots = (on >= 0).sum(axis=1), block.slots[live]
    before = count.copy()
    rows = np.arange(len(live))
    for rank in range(order.shape[1]):
        rows = rows[(ranked[rows, rank] > -np.inf) & (count[rows] < slots[rows])]
        if not len(rows):
            break
        column = order[rows, rank]
        deal = block.deal[live[rows], column].astype(np.int64)
        others = on[rows]
        fits = ~(limits.conflict[deal[:, None], others] & (others >= 0)).any(axis=1)
        if limits.funder_cap < k:
            fits &= ((limits.funder[others] == limits.funder[deal][:, None]) & (others >= 0)).sum(
                axis=1
            ) < limits.funder_cap
        put, column, deal = rows[fits], column[fits], deal[fits]
        on[put, count[put]] = deal
        wish[live[put], count[put] - before[put]] = column
        count[put] += 1
    return wish


def _put(taken: Int16s, at: Ints, column: Ints) -> None:
    """Put columns in the free slots of their rows; ``at`` is ascending."""
    if not len(at):
        return
    taken[:] = -np.sort(-taken, axis=1)
    count = (taken >= 0).sum(axis=1)
    first = np.flatnonzero(np.diff(at, prepend=-1))
    place = np.arange(len(at)) - np.repeat(first, np.diff(first, append=len(at)))
    taken[at, count[at] + place] = column


def _reach(market: Market, taken: list[Int16s], funder: int) -> None:
    """Give members without an offer of this funder one, those first who lose least by it, until enough are reached."""
    limits = market.limits
    theirs = limits.by[funder]
    slots = max(columns.shape[1] for columns in taken)
    for _ in range(_ROUNDS):
        reached = [(theirs[_deals(b, t)] & (t >= 0)).any(axis=1) for b, t in zip(market.blocks, taken, strict=True)]
        short = int(limits.reach[funder] - sum(int(found.sum()) for found in reached))
        if short <= 0:
            return
        left = limits.budget - _spent(market, taken)
        most = limits.affordable(left)
        found = [
            _entry(i, block, taken[i], ~reached[i], theirs, most, limits, slots)
            for i, block in enumerate(market.blocks)
        ]
        entry = _Entry(*(np.concatenate(column) for column in zip(*found, strict=True)))
        entry = entry.where(np.argsort(-entry.net, kind="stable"))
        use = limits.use[:, entry.deal] * entry.cost + limits.fee[:, None]
        fits = (np.cumsum(use, axis=1) <= left[:, None] * ROUNDING).all(axis=0)
        entry = entry.where(np.flatnonzero(fits)[:short])
        if not len(entry.net):
            return
        for i in np.unique(entry.block):
            mine = entry.where(entry.block == i)
            taken[i][mine.at[:, None], np.arange(taken[i].shape[1])] = np.where(
                mine.out[:, : taken[i].shape[1]], -1, taken[i][mine.at]
            )
            order = np.argsort(mine.at, kind="stable")
            _put(taken[i], mine.at[order], mine.column[order])


class _Entry(NamedTuple):
    """One more offer for a member, what leaves the list for it, and the gain of both."""

    block: Ints
    at: Ints
    column: Ints
    deal: Ints
    cost: Floats
    net: Floats
    out: Bools

    def where(self, kept: Ints | Bools) -> _Entry:
        return _Entry._make(column[kept] for column in self)


def _entry(
    number: int,
    block: Block,
    taken: Int16s,
    open_rows: Bools,
    theirs: Bools,
    most: Floats,
    limits: Limits,
    slots: int,
) -> _Entry:
    width = max(taken.shape[1], 1)
    gain = np.where(theirs[block.deal] & (block.cost <= most[block.deal]), block.gain, -np.inf)
    column = gain.argmax(axis=1)
    rows = np.flatnonzero(open_rows & (gain.max(axis=1) > -np.inf) & (block.slots > 0))
    column = column[rows]
    deal = block.deal[rows, column].astype(np.int64)
    on, there = _deals(block, taken)[rows], taken[rows] >= 0
    bound: Any = limits.by[limits.reach > 0].any(axis=0)
    mine = np.where(
        there, np.take_along_axis(block.gain[rows], np.maximum(taken[rows], 0).astype(np.int64), axis=1), np.inf
    )
    out = there & limits.conflict[deal[:, None], on]
    full = (there.sum(axis=1) >= block.slots[rows]) & ~out.any(axis=1)
    least = np.where(bound[on], np.inf, mine).argmin(axis=1)
    out |= full[:, None] & (np.arange(width) == least[:, None]) & there
    possible = ~(out & bound[on]).any(axis=1)
    net = block.gain[rows, column].astype(float) - np.where(out, mine, 0).sum(axis=1)
    return _Entry(
        np.full(len(rows), number),
        rows,
        column,
        deal,
        block.cost[rows, column].astype(float),
        net,
        np.pad(out, ((0, 0), (0, slots - out.shape[1]))),
    ).where(possible)


def _deals(block: Block, taken: Int16s) -> Ints:
    """The deals on the lists; any deal where a slot is free."""
    return np.take_along_axis(block.deal, np.maximum(taken, 0).astype(np.int64), axis=1).astype(np.int64)


def _flat(blocks: Sequence[Block], columns: Sequence[Int16s], score: Score | None = None) -> _Flat:
    """The candidates in these columns, by block and row."""
    parts = []
    for i, (block, column) in enumerate(zip(blocks, columns, strict=True)):
        at, place = np.nonzero(column >= 0)
        chosen = column[at, place].astype(np.int64)
        gain = block.gain[at, chosen].astype(float)
        scores = gain if score is None else score(block)[at, chosen].astype(float)
        parts.append(
            _Flat(
                np.full(len(at), i), at, chosen, block.deal[at, chosen].astype(np.int64),
                block.cost[at, chosen].astype(float), gain, scores, block.least_worth[at] > 0,
            )
        )  # fmt: skip
    if not parts:
        nothing = np.empty(0)
        index = np.empty(0, np.int64)
        return _Flat(index, index, index, index, nothing, nothing, nothing, np.empty(0, bool))
    return _Flat(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _spent(market: Market, taken: Sequence[Int16s]) -> Floats:
    n = market.limits.use.shape[1]
    cost, offers = np.zeros(n), np.zeros(n)
    for block, columns in zip(market.blocks, taken, strict=True):
        at, place = np.nonzero(columns >= 0)
        chosen = columns[at, place]
        deal = block.deal[at, chosen]
        cost += np.bincount(deal, block.cost[at, chosen], n)
        offers += np.bincount(deal, minlength=n)
    return market.limits.spent(cost, offers)


def _with_left(limits: Limits, left: Floats) -> Limits:
    return replace(limits, budget=left)


def _chosen(market: Market, taken: Sequence[Int16s]) -> Chosen:
    parts = []
    for block, columns in zip(market.blocks, taken, strict=True):
        at, place = np.nonzero(columns >= 0)
        column = columns[at, place]
        integers = (block.member[at], block.row[at, column].astype(np.int64), block.deal[at, column].astype(np.int64))
        parts.append((*integers, block.gain[at, column].astype(float), block.cost[at, column].astype(float)))
    nothing, none = np.empty(0), np.empty(0, np.int64)
    if not parts:
        return Chosen(none, none, none, nothing, nothing)
    return Chosen(*(np.concatenate(column) for column in zip(*parts, strict=True)))
