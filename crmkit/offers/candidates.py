"""What a deal is expected to gain with a member, and which deals a member can be offered at all.

Everything is worked out batch by batch, a batch being some members with all their due items; what leaves is one row per
candidate (a due item with a deal on it).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmkit._checks import as_text
from crmkit._types import Bools, Floats, Ints, Numbers
from crmkit.offers.batches import Batch
from crmkit.offers.redemption import RedemptionHabits
from crmkit.offers.solver.market import Candidates, Figures

__all__ = [
    "BRAND_SHARE",
    "BRAND_SHARE_DAYS",
    "Catalogue",
    "Habits",
    "best_of",
    "candidates_of",
    "expected_gain",
]


BRAND_SHARE = {"national": 0.1, "switcher": 0.5, "store": 0.9}
"""Share of a category's purchases that is of the store's brand, where only the group of the user is known."""

BRAND_SHARE_DAYS = 2.0
"""Purchase days that this weighs as much as where a member's own share is known: no member is beyond conversion."""

_NO_MONEY = ["early notice", "perk"]

_LEVELS = ("light", "medium", "heavy")


def expected_gain(
    p: Numbers,
    spend: Numbers,
    depth: Numbers,
    funder_share: Numbers,
    response: Numbers,
    margin: Numbers,
    contact_cost: float = 0.0,
    brand_share: Numbers = 1.0,
    other_margin: Numbers = 0.0,
) -> Figures:
    """Gain and cost of offering deals.

    With a deal the odds of buying what it is for are multiplied by ``response``. What is bought more is worth its
    margin, less the margin of what would have been bought instead; every purchase with the deal costs its depth, those
    included that would have come anyway::

        p_anyway      = p brand_share
        p_with_deal   = response p_anyway / (1 - p_anyway + response p_anyway)
        instead       = (p - p_anyway) / (1 - p_anyway)
        expected_cost = p_with_deal depth
        expected_gain = (p_with_deal - p_anyway) spend (margin - instead other_margin)
                        - expected_cost (1 - funder_share) - contact_cost

    Parameters
    ----------
    p : array of float
        Probability of buying the item, whatever brand of it, without a deal.
    spend : array of float
        Money spent on a purchase.
    depth : array of float
        Money off of one redemption.
    funder_share, response, margin : arrays of float
        Part of the cost that somebody else pays; odds ratio; share of the spend that is earned.
    contact_cost : float
        Money for each offer made.
    brand_share : array of float
        Share of the member's purchases of the item that are of the deal's brand anyway.
    other_margin : array of float
        Share of the spend that is earned on the other brand.

    Returns
    -------
    Figures
        p_anyway, p_with_deal, cost, gain: arrays of float.

    Examples
    --------
    A certain buyer of the national brand, offered 20 % of 5.00 off the store's own, which earns more:

    >>> found = expected_gain(1.0, 5.0, 1.0, 0.0, 1.25, 0.40, brand_share=0.1, other_margin=0.20)
    >>> round(float(found.p_with_deal), 4), round(float(found.gain), 4)
    (0.122, -0.1)
    """
    p_anyway = np.asarray(p, float) * brand_share
    p_with = response * p_anyway / (1 - p_anyway + response * p_anyway)
    instead = np.divide(p - p_anyway, 1 - p_anyway, out=np.zeros(np.shape(p_anyway)), where=p_anyway < 1)
    cost = p_with * depth
    worth = (p_with - p_anyway) * spend * (margin - instead * other_margin)
    return Figures(p_anyway, p_with, cost, worth - cost * (1 - np.asarray(funder_share, float)) - contact_cost)


@dataclass(frozen=True)
class Catalogue:
    """Deals as arrays, one element per deal; which deals stand on an item is deals[start[item] : start[item + 1]].

    ``level_value`` is the value for light, medium and heavy users and, last, for those of whom nothing is known, each in
    the unit of the deal's kind; ``unit`` is the money that one of it is worth.
    """

    deal_id: NDArray[np.object_]
    items: pd.Index
    start: Ints
    deals: Ints
    category: Ints
    categories: pd.Index
    place: Ints
    level_value: Floats
    unit: Floats
    percent: Bools
    funder_share: Floats
    response: Floats
    measured: Bools
    margin: Floats
    brand_type: NDArray[np.object_]
    brand_group: NDArray[np.object_]
    partner: Ints
    limit: Floats
    other_margin: float
    contact_cost: float
    least_need: float = 0.0

    @classmethod
    def of(
        cls, deals: pd.DataFrame, item: str, *, response: float, margin: float, point_value: float, contact_cost: float,
        least_need: float = 0.0,
    ) -> Self:  # fmt: skip
        """The catalogue of deals in the order of their ids; ``item`` is the column of what is due."""
        kind = deals["kind"].fillna("amount").to_numpy(object)
        partner = deals["bundle_with"].where(pd.Series(kind == "bundle", index=deals.index))
        items = pd.Index(sorted({*deals[item].dropna(), *partner.dropna()}), dtype=object)
        on = items.get_indexer(deals[item])
        order = np.argsort(on, kind="stable")[(on < 0).sum() :]
        categories = pd.Index(sorted(set(deals["category"])), dtype=object)
        unit = np.select([kind == "points", np.isin(kind, _NO_MONEY)], [point_value, 0.0], 1.0)
        base = deals["value"].to_numpy(float)
        values = [deals[f"value_{level}"].to_numpy(float) for level in _LEVELS]
        values[1] = np.where(np.isnan(values[1]), base, values[1])
        values = [np.where(np.isnan(value), values[1], value) for value in values]
        conflicts = as_text(deals["conflicts"])
        places = ("conflict " + conflicts).where(conflicts.notna(), "category " + as_text(deals["category"]))
        measured = deals["response"].notna().to_numpy()
        return cls(
            deal_id=deals["deal_id"].to_numpy(object),
            items=items,
            start=np.searchsorted(on[order], np.arange(len(items) + 1)),
            deals=order,
            category=categories.get_indexer(deals["category"]).astype(np.int64),
            categories=categories,
            place=np.unique(places.to_numpy(object).astype(str), return_inverse=True)[1].astype(np.int64),
            level_value=np.stack([*values, base]),
            unit=unit,
            percent=kind == "percent",
            funder_share=deals["funder_share"].fillna(0).to_numpy(float),
            response=deals["response"].fillna(response).to_numpy(float),
            measured=measured,
            margin=deals["margin"].fillna(margin).to_numpy(float),
            brand_type=deals["brand_type"].to_numpy(object),
            brand_group=deals["brand_group"].to_numpy(object),
            partner=np.where(partner.isna(), -1, items.get_indexer(partner)),
            limit=deals["limit_per_member"].fillna(np.inf).to_numpy(float),
            other_margin=margin,
            contact_cost=contact_cost,
            least_need=least_need,
        )


@dataclass(frozen=True)
class Habits:
    """What is known of members beside their due items, found by member and category, or member and deal.

    ``usage`` maps member × categories + category to a level (0 light … 2 heavy) and a share of the store's brand.
    """

    key: Ints
    level: Ints
    group: NDArray[np.object_]
    store_share: Floats
    received_key: Ints
    received: Ints

    @classmethod
    def of(
        cls, members: pd.Index, catalogue: Catalogue, usage: pd.DataFrame | None, received: pd.DataFrame | None
    ) -> Self:
        nothing = pd.DataFrame({name: [] for name in ("customer_id", "category", "brand_group", "usage", "deal_id")})
        usage = nothing if usage is None else usage
        received = nothing if received is None else received
        key = _pair(members, usage["customer_id"], catalogue.categories, usage["category"])
        group = usage["brand_group"].to_numpy(object)
        prior = pd.Series(group, dtype=object).map(BRAND_SHARE).to_numpy(float)
        share = usage["store_share"].to_numpy(float) if "store_share" in usage else np.full(len(usage), np.nan)
        if "n_days" in usage:
            days = usage["n_days"].to_numpy(float)
            share = (days * share + BRAND_SHARE_DAYS * prior) / (days + BRAND_SHARE_DAYS)
        level = pd.Index(_LEVELS).get_indexer(pd.Index(usage["usage"]))
        order = np.argsort(key, kind="stable")
        order = order[key[order] >= 0]
        deals = _pair(members, received["customer_id"], pd.Index(catalogue.deal_id), received["deal_id"])
        found, times = np.unique(deals[deals >= 0], return_counts=True)
        return cls(key[order], level[order], group[order], np.where(np.isnan(share), prior, share)[order], found, times)

    def of_category(self, member: Ints, category: Ints, n: int) -> tuple[Ints, NDArray[np.object_], Floats]:
        """Level (3 where unknown), group (None) and share of the store's brand (none) of each member and category."""
        if not len(self.key):
            return np.full(len(member), 3), np.full(len(member), None, dtype=object), np.full(len(member), np.nan)
        at, known = _lookup(self.key, member * n + category)
        level = np.where(known & (self.level[at] >= 0), self.level[at], 3)
        return (
            level,
            np.where(known, self.group[at], np.array(None, dtype=object)),
            np.where(known, self.store_share[at], np.nan),
        )

    def times(self, member: Ints, deal: Ints, n: int) -> Ints:
        """How often each member had each deal."""
        if not len(self.received_key):
            return np.zeros(len(member), dtype=np.int64)
        at, known = _lookup(self.received_key, member * n + deal)
        return np.where(known, self.received[at], 0)


def _pair(left: pd.Index, one: pd.Series, right: pd.Index, other: pd.Series) -> Ints:
    """One number for each pair of places, -1 where either is not there."""
    first, second = left.get_indexer(pd.Index(one)), right.get_indexer(pd.Index(other))
    return np.where((first < 0) | (second < 0), -1, first * len(right) + second).astype(np.int64)


def _lookup(keys: Ints, wanted: Ints) -> tuple[Ints, Bools]:
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return at, keys[at] == wanted


def candidates_of(
    batch: Batch, catalogue: Catalogue, habits: Habits, redemption: RedemptionHabits | None = None
) -> Candidates:
    """Every deal on every due item that the member may have, ordered by member, item and deal."""
    times = np.diff(catalogue.start)[batch.item]
    at = np.repeat(np.arange(len(batch.row)), times)
    deal = catalogue.deals[
        np.arange(len(at)) - np.repeat(np.cumsum(times) - times, times) + catalogue.start[batch.item[at]]
    ]
    member, p, spend = batch.member[at], batch.p[at], batch.spend[at]
    level, group, store_share = habits.of_category(member, catalogue.category[deal], len(catalogue.categories))
    need = p >= catalogue.least_need
    allowed = (
        np.isfinite(p)
        & np.isfinite(spend)
        & (habits.times(member, deal, len(catalogue.deal_id)) < catalogue.limit[deal])
    )
    if (wanted := pd.notna(catalogue.brand_group)).any():
        allowed &= ~wanted[deal] | (catalogue.brand_group[deal] == group)
    if (catalogue.partner >= 0).any():
        p, spend = _bundled(batch, catalogue.partner[deal], member, p, spend)
        allowed &= np.isfinite(p)
    value = catalogue.level_value[level, deal] * catalogue.unit[deal]
    depth = np.where(catalogue.percent[deal], value / 100 * spend, value)
    bought = np.ones(len(at), dtype=bool)
    if redemption is not None:
        share, bought = redemption.of_pairs(member, deal)
        converts = pd.notna(catalogue.brand_group)[deal]
        allowed &= redemption.allowed(p, share, bought) | converts
        need &= bought
        kept = redemption.kept(member, deal)
        figures = redemption.figures(
            member, share, p, spend, depth, catalogue.funder_share[deal], catalogue.margin[deal],
            redemption.margins(member, deal, catalogue.other_margin), catalogue.contact_cost,
            bought, np.where(catalogue.brand_type[deal] == "store", kept, 0.0),
        )  # fmt: skip
    else:
        figures = expected_gain(
            p, spend, depth, catalogue.funder_share[deal], catalogue.response[deal], catalogue.margin[deal],
            catalogue.contact_cost, _brand_share(catalogue, deal, store_share), catalogue.other_margin,
        )  # fmt: skip
    found = Candidates(member, batch.row[at], deal, level, depth, need, bought, figures)
    return found if allowed.all() else found.where(allowed)


def best_of(found: Candidates, some: Bools, most: int) -> Bools:
    """Every candidate that is not one of ``some``, and of these the best ``most`` of each member."""
    those = np.flatnonzero(some)
    order = those[np.lexsort((found.deal[those], -found.figures.gain[those], found.member[those]))]
    first = np.flatnonzero(np.diff(found.member[order], prepend=-1))
    place = np.arange(len(order)) - np.repeat(first, np.diff(first, append=len(order)))
    kept = ~some
    kept[order[place < most]] = True
    return kept


def _brand_share(catalogue: Catalogue, deal: Ints, store_share: Floats) -> Numbers:
    """Share of the item's purchases that are of the deal's brand; all of them where nothing is known."""
    if np.isnan(store_share).all():
        return 1.0
    brand = catalogue.brand_type[deal]
    share = np.select([brand == "store", brand == "national"], [store_share, 1 - store_share], 1.0)
    return np.where(np.isnan(share), 1.0, share)


def _bundled(batch: Batch, partner: Ints, member: Ints, p: Floats, spend: Floats) -> tuple[Floats, Floats]:
    """For bundles the probability of buying both items, as if independent, and the spend on the less probable one."""
    n = 1 + max(batch.item.max(initial=0), partner.max(initial=0))
    keys = batch.member * n + batch.item
    if not len(keys):
        return p, spend
    at, known = _lookup(keys, member * n + partner)
    other = np.where(known, batch.p[at], np.nan)
    both = partner >= 0
    rarer = np.where(batch.p[at] < p, batch.spend[at], spend)
    return np.where(both, p * other, p), np.where(both, rarer, spend)
