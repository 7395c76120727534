"""Candidates as blocks of members, the limits they share, and what the members would take at given prices.

A block is a rectangle: one row per member, one column per candidate, padded. What the members of a block take at
given prices (`demand_of`) depends on that block and the prices only, so blocks may be worked on in any order, in
threads or on several machines; the prices are all they share.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from crmkit._types import Bools, Floats, Int32s, Ints, Singles

__all__ = [
    "DEAREST",
    "ROUNDING",
    "Block",
    "Candidates",
    "Demand",
    "Figures",
    "Limits",
    "Market",
    "attainable",
    "blocks_of",
    "demand_of",
]

T = TypeVar("T")

ROUNDING = 1 + 2.0**-33
"""A budget that is met exactly is not exceeded, whatever the last digits of the sum."""

_ROWS = 8192
_HALVINGS = 14

DEAREST = 16.0
"""What a unit of a list's least worth may cost in gain."""


class Figures(NamedTuple):
    """What a candidate is expected to bring and to cost."""

    p_anyway: Floats
    p_with_deal: Floats
    cost: Floats
    gain: Floats


class Candidates(NamedTuple):
    """Due items with a deal on them: member, row in due, deal, how deep it is (a row of ``level_value``), the money off
    of one redemption, whether it is a need (due, and of goods that the member knows), whether the member ever bought such goods (or it is not
    known), and the figures."""

    member: Ints
    row: Ints
    deal: Ints
    level: Ints
    worth: Floats
    need: Bools
    bought: Bools
    figures: Figures

    def where(self, kept: Bools | Ints) -> Candidates:
        """Some of them."""
        return Candidates(
            self.member[kept], self.row[kept], self.deal[kept], self.level[kept], self.worth[kept], self.need[kept],
            self.bought[kept], Figures(*(column[kept] for column in self.figures)),
        )  # fmt: skip

    def charged(self, charge: float) -> Candidates:
        """The same where a deal that is for no need must gain so much more."""
        if charge == 0:
            return self
        return self._replace(figures=self.figures._replace(gain=self.figures.gain - charge * ~self.need))

    def rewarded(self, reward: Floats | None) -> Candidates:
        """The same where each is rewarded with so much more gain."""
        if reward is None:
            return self
        return self._replace(figures=self.figures._replace(gain=self.figures.gain + reward))


@dataclass(frozen=True)
class Block:
    """Members with their candidates, in single precision; -inf gain is padding.

    Attributes
    ----------
    member : array of int, shape (n,)
    slots : array of int, shape (n,)
        Offers that fit on each list.
    least_worth : array of float, shape (n,)
        What each list must be worth at least.
    gain, cost, worth : arrays of float, shape (n, width)
        ``worth`` is None where no list of the block has a least worth.
    deal, row : arrays of int, shape (n, width)
        The deal, and the row of ``due``.
    same : tuple of arrays of bool
        Element k says where a candidate and the k-th after it are of the same place, of which one may be taken.
    """

    member: Ints
    slots: Ints
    least_worth: Floats
    gain: Singles
    cost: Singles
    worth: Singles | None
    deal: NDArray[np.uint16]
    row: Int32s
    same: tuple[Bools, ...]

    def rows(self, chosen: Ints | slice) -> Block:
        """Some of the members."""
        return Block(
            self.member[chosen], self.slots[chosen], self.least_worth[chosen], self.gain[chosen], self.cost[chosen],
            None if self.worth is None else self.worth[chosen], self.deal[chosen], self.row[chosen],
            tuple(pairs[chosen] for pairs in self.same),
        )  # fmt: skip

    def score(self, price: Floats, fee: Floats) -> Singles:
        """Gain less what the candidate's deal costs at these prices, and a fee for each offer of the deal."""
        score = self.gain - price.astype(np.float32)[self.deal] * self.cost
        return score - fee.astype(np.float32)[self.deal] if fee.any() else score


@dataclass(frozen=True)
class Limits:
    """What all members share, and what deals exclude each other.

    Attributes
    ----------
    use : array of float, shape (budgets, deals)
        What a unit of a deal's cost takes from each budget.
    fee : array of float, shape (budgets,)
        What each offer takes from each budget.
    budget : array of float, shape (budgets,)
    reach : array of int, shape (funders,)
        Members that shall have an offer of each of these funders.
    by : array of bool, shape (funders, deals)
        Which deals are theirs.
    groupings : array of int, shape (groupings, deals)
        In each grouping the group of a deal, of which one may be on a list; -1 for none.
    funder : array of int, shape (deals,)
    funder_cap : int
        Offers of one funder on a list, at most.
    """

    use: Floats
    fee: Floats
    budget: Floats
    reach: Floats
    by: Bools
    groupings: Ints
    funder: Ints
    funder_cap: int

    @cached_property
    def conflict(self) -> Bools:
        """Shape (deals, deals): which deals are not on one list; every deal is in conflict with itself."""
        alike = (self.groupings[:, :, None] == self.groupings[:, None, :]) & (self.groupings[:, :, None] >= 0)
        found: Bools = alike.any(axis=0) | np.eye(self.groupings.shape[1], dtype=bool)
        return found

    def charges(self, prices: Floats, rewards: Floats) -> tuple[Floats, Floats]:
        """Of each deal: the price of a unit of its cost, and the fee of an offer, less the reward for reaching a member."""
        return prices @ self.use, prices @ self.fee - rewards @ self.by

    def spent(self, cost: Floats, offers: Floats) -> Floats:
        """Of each budget what is spent, from the cost and the number of offers of each deal."""
        total: Floats = self.use @ cost + self.fee * offers.sum()
        return total

    def affordable(self, left: Floats) -> Floats:
        """The largest cost of a single offer of each deal that what is left of the budgets allows."""
        room = np.divide(
            (left - self.fee)[:, None] * ROUNDING, self.use, out=np.full(self.use.shape, np.inf), where=self.use > 0
        )
        most = room.min(axis=0, initial=np.inf)
        return np.where((left * ROUNDING < self.fee).any(), -np.inf, most)


class Demand(NamedTuple):
    """What members take at given prices: the value of their lists to them, cost and number of offers of each deal."""

    value: float
    cost: Floats
    offers: Floats


@dataclass(frozen=True)
class Market:
    """Blocks of members, and their limits."""

    blocks: Sequence[Block]
    limits: Limits

    def __len__(self) -> int:
        return sum(len(block.member) for block in self.blocks)

    @property
    def n_candidates(self) -> int:
        """Pairs of a member and a deal that may be taken."""
        return sum(int(np.isfinite(block.gain).sum()) for block in self.blocks)

    def with_minimums(self) -> Market | None:
        """The market itself where members are to be reached or lists to be worth something."""
        asked = (self.limits.reach > 0).any() or any(block.worth is not None for block in self.blocks)
        return self if asked else None

    def sample(self, n: int) -> tuple[Market, float]:
        """About ``n`` of the members, evenly spread, with their share of the budgets, and the share."""
        step = max(1, len(self) // max(n, 1))
        if step == 1:
            return self, 1.0
        blocks, seen = [], 0
        for block in self.blocks:
            blocks.append(block.rows(slice((-seen) % step, None, step)))
            seen += len(block.member)
        share = sum(len(block.member) for block in blocks) / len(self)
        limits = replace(self.limits, budget=self.limits.budget * share, reach=self.limits.reach * share)
        return Market(_joined(blocks), limits), share

    def demand(self, prices: Floats, rewards: Floats) -> Demand:
        """What all members take at these prices of budgets and rewards for reaching them."""
        price, fee = self.limits.charges(prices, rewards)
        parts = list(in_threads(lambda block: demand_of(block, price, fee), self.blocks))
        nothing = np.zeros(len(price))
        return Demand(
            sum(part.value for part in parts),
            sum((part.cost for part in parts), nothing),
            sum((part.offers for part in parts), nothing),
        )


def in_threads(work: Callable[[Block], T], blocks: Sequence[Block]) -> Iterator[T]:
    """The results of the blocks, in their order."""
    cores = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 8)
    if cores == 1 or sum(block.gain.size for block in blocks) < 100_000:
        yield from map(work, blocks)
        return
    with ThreadPoolExecutor(cores) as pool:
        yield from pool.map(work, blocks)


def demand_of(block: Block, price: Floats, fee: Floats) -> Demand:
    """What the members of one block take when a unit of a deal's cost has a price and each offer of it a fee.

    Each member takes the best list of their own, one candidate of a place. Where a list shall be worth something, the
    worth has a price of the member's own, the one at which the bound is smallest.
    """
    score = block.score(price, fee)
    value = 0.0
    if block.worth is not None:
        extra = worth_price(block, score)
        score += extra[:, None] * block.worth
        value = -float(extra @ block.least_worth)
    taken, best = _best_lists(score, block)
    deal = block.deal[taken]
    return Demand(
        value + best,
        np.bincount(deal, block.cost[taken], minlength=len(price)).astype(float),
        np.bincount(deal, minlength=len(price)).astype(float),
    )


def worth_price(block: Block, score: Singles) -> Singles:
    """The price of a list's worth at which each member's best list just meets its least worth, 0 where it does anyway."""
    assert block.worth is not None
    low, high = np.zeros(len(score), np.float32), np.full(len(score), DEAREST, np.float32)
    met = _worth_at(block, score, low) >= block.least_worth
    for _ in range(_HALVINGS):
        middle: Any = (low + high) / 2
        enough = _worth_at(block, score, middle) >= block.least_worth
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.where(met, np.float32(0), high)


def attainable(block: Block) -> Block:
    """The block with no list required to be worth more than its member's candidates can be together."""
    if block.worth is None:
        return block
    taken, _ = _best_lists(np.where(np.isfinite(block.gain), block.worth, -np.inf), block)
    return replace(
        block, least_worth=np.minimum(block.least_worth, np.where(taken, block.worth, 0).sum(axis=1, dtype=np.float64))
    )


def _worth_at(block: Block, score: Singles, extra: Singles) -> Floats:
    assert block.worth is not None
    taken, _ = _best_lists(score + extra[:, None] * block.worth, block)
    total: Floats = np.where(taken, block.worth, 0).sum(axis=1, dtype=np.float64)
    return total


def _best_lists(score: Singles, block: Block) -> tuple[Bools, float]:
    """Where each member's best list is, one candidate of a place, and the sum of their scores; alters ``score``."""
    _one_of_a_place(score, block.same)
    k = min(int(block.slots.max(initial=0)), score.shape[1])
    best = np.partition(score, score.shape[1] - k, axis=1)[:, score.shape[1] - k :] if k < score.shape[1] else score
    if (block.slots < k).any():
        best = np.sort(best, axis=1)
        best[np.arange(k) < (k - block.slots)[:, None]] = -np.inf
    kept = best > 0
    lowest = np.min(best, axis=1, where=kept, initial=np.inf)
    return score >= lowest[:, None], float(best.sum(dtype=np.float64, where=kept))


def _one_of_a_place(score: Singles, same: tuple[Bools, ...]) -> None:
    """Strike out, in place, every candidate beside which there is a better one of its place."""
    better = [pairs & (score[:, :-k] >= score[:, k:]) for k, pairs in enumerate(same, 1)]
    for k, (left, pairs) in enumerate(zip(better, same, strict=True), 1):
        score[:, k:][left] = -np.inf
        score[:, :-k][pairs & ~left] = -np.inf


def blocks_of(found: Candidates, place: Ints, slots: Ints, least_worth: Floats) -> Iterator[Block]:
    """Cut the candidates of some members, ordered by member, into blocks of members with about equally many.

    Parameters
    ----------
    found : Candidates
    place : array of int
        Of each deal; one deal of a place is taken.
    slots, least_worth : arrays
        Of each member, by their number.
    """
    key = found.member * (place.max(initial=0) + 1) + place[found.deal]
    if len(key) and (np.diff(key) < 0).any():
        found = found.where(np.argsort(key, kind="stable"))
    edges = np.flatnonzero(np.diff(found.member, prepend=-1))
    width = np.diff(edges, append=len(found.member))
    member = found.member[edges]
    kind = np.ceil(np.log2(width)).astype(int) * 2 + (least_worth[member] > 0)
    for one in np.unique(kind):
        those = np.flatnonzero(kind == one)
        for at in range(0, len(those), _ROWS):
            chosen = those[at : at + _ROWS]
            yield _block(found, place, edges[chosen], width[chosen], slots[member[chosen]], least_worth[member[chosen]])


def _block(found: Candidates, place: Ints, start: Ints, width: Ints, slots: Ints, least_worth: Floats) -> Block:
    there = np.arange(width.max()) < width[:, None]
    at = np.where(there, start[:, None] + np.arange(width.max()), start[:, None])
    deal = found.deal[at].astype(np.uint16)
    places = place[deal]
    same: list[Bools] = []
    for k in range(1, there.shape[1]):
        pairs = (places[:, :-k] == places[:, k:]) & there[:, k:]
        if not pairs.any():
            break
        same.append(pairs)
    return Block(
        member=found.member[start],
        slots=slots,
        least_worth=least_worth,
        gain=np.where(there, found.figures.gain[at], -np.inf).astype(np.float32),
        cost=np.where(there, found.figures.cost[at], 0).astype(np.float32),
        worth=np.where(there, found.worth[at], 0).astype(np.float32) if (least_worth > 0).any() else None,
        deal=deal,
        row=found.row[at].astype(np.int32),
        same=tuple(same),
    )


def _joined(parts: Iterable[Block]) -> list[Block]:
    """Blocks of the same shape as one, so that small ones cost little."""
    alike: dict[tuple[int, int, bool], list[Block]] = {}
    for part in parts:
        if len(part.member):
            alike.setdefault((part.gain.shape[1], len(part.same), part.worth is not None), []).append(part)
    return [_stacked(blocks) for blocks in alike.values()]


def _stacked(blocks: list[Block]) -> Block:
    one = blocks[0]
    joined = {
        name: np.concatenate([getattr(block, name) for block in blocks])
        for name in ("member", "slots", "least_worth", "gain", "cost", "deal", "row")
    }
    worth = None if one.worth is None else np.concatenate([block.worth for block in blocks if block.worth is not None])
    same = tuple(np.concatenate([block.same[k] for block in blocks]) for k in range(len(one.same)))
    return Block(**joined, worth=worth, same=same)
