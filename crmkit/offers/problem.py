"""The plan's terms, made into candidates and limits, and what was chosen made into offers.

A problem may be of all members or of some: members meet in the sums only, which is how a cluster plans.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd

from crmkit._checks import as_text
from crmkit._types import Bools, Floats, Ints
from crmkit.exceptions import ContractError
from crmkit.offers.batches import Batch
from crmkit.offers.candidates import Catalogue, Habits, best_of, candidates_of
from crmkit.offers.control_group import control_group
from crmkit.offers.eligibility import brand_groups, check_customers, check_table, eligible, list_terms
from crmkit.offers.needs import Needs
from crmkit.offers.redemption import RedemptionHabits, RedemptionModel
from crmkit.offers.result import OfferResult, PlanTotals, result_of
from crmkit.offers.solver import exact
from crmkit.offers.solver.dual import Prices, price
from crmkit.offers.solver.market import Block, Candidates, Figures, Limits, Market, attainable, blocks_of
from crmkit.offers.solver.repair import Chosen, lists_at, within_budgets
from crmkit.offers.terms import Terms, limits_of, offered_deals
from crmkit.offers.tips import choose_tips

__all__ = ["Problem", "eased_value", "lists_near", "solved"]


_CENT = 0.005
_FEW = 100_000
_EASED, _EASED_OF_MANY = (0.995, 0.99), (0.998,)
"""Slightly below the prices no member is turned away for whom a budget has room."""


@dataclass(frozen=True)
class Problem:
    """Everything a plan is made from, checked."""

    terms: Terms
    needs: Needs
    deals: pd.DataFrame
    catalogue: Catalogue
    habits: Habits
    people: pd.DataFrame
    members: pd.Index
    slots: Ints
    worth: Floats
    limits: Limits
    control: pd.DataFrame
    exclusions: Mapping[str, int]
    redemption: RedemptionHabits | None = None
    other_charge: float = 0.0
    worth_reward: float = 0.0

    @classmethod
    def of(
        cls,
        terms: Terms,
        needs: Needs,
        customers: pd.DataFrame,
        usage: pd.DataFrame | None,
        received: pd.DataFrame | None,
        control: pd.DataFrame | None = None,
        redemption: RedemptionModel | None = None,
    ) -> Self:
        """The problem of these members; the control group is drawn among them unless it is given."""
        item = needs.item
        check_customers(customers, terms.columns_of_members())
        usage = None if usage is None else brand_groups(usage)
        check_table("received", received, ("customer_id", "deal_id"))
        _same_kind(needs, customers)
        people, exclusions = eligible(customers, terms.min_weekly_spend, terms.universal)
        if control is None:
            strata = None if terms.control_by is None else people[terms.control_by]
            control = control_group(people["customer_id"], terms.control, terms.key, strata=strata)
        people = people[~people["customer_id"].isin(control["customer_id"])].reset_index(drop=True)
        deals, _ = offered_deals(terms, needs)
        catalogue = Catalogue.of(
            deals, item, response=terms.response, margin=terms.margin, point_value=terms.point_value,
            contact_cost=terms.contact_cost, least_need=terms.least_need,
        )  # fmt: skip
        members = _index(people["customer_id"])
        slots, worth = list_terms(people, terms.slots, terms.frequency_cap, terms.min_worth or {}, received)
        habits = Habits.of(members, catalogue, usage, received)
        limits = limits_of(terms, deals)
        redeeming = None
        if redemption is not None:
            whole = redemption.money_to_plan(limits.budget, _deepest(limits, catalogue, deals, needs))
            limits = replace(limits, budget=np.maximum(whole - limits.use @ redemption.committed(deals["deal_id"]), 0))
            redeeming = RedemptionHabits.of(redemption, members, pd.Index(catalogue.deal_id))
        return cls(
            terms,
            needs,
            deals,
            catalogue,
            habits,
            people,
            members,
            slots,
            worth,
            limits,
            control,
            exclusions,
            redeeming,
        )

    def market(self) -> Market:
        """Every candidate that gains something or serves a demand, and fits the budgets."""
        most = self.limits.affordable(self.limits.budget)
        reaching: Any = self.limits.by.any(axis=0)
        blocks: list[Block] = []
        for batch, redemption in self._batches():
            found = candidates_of(batch, self.catalogue, self.habits, redemption)
            found = found.charged(self.other_charge).rewarded(self._reward(found))
            found = found.where(~self._needless(found))
            useful = (found.figures.gain > 0) | reaching[found.deal] | (self.worth[found.member] > 0)
            found = found.where(useful & (found.figures.cost <= most[found.deal]) & (self.slots[found.member] > 0))
            if self.redemption is not None and self.terms.trial_slots is not None:
                found = found.where(best_of(found, ~found.bought, self.terms.trial_slots))
            blocks += blocks_of(found, self.catalogue.place, self.slots, self.worth)
        return Market([attainable(block) for block in blocks], self.limits)

    def _needless(self, found: Candidates) -> Bools:
        """Money of the shop for members who buy without it."""
        if self.terms.perks_below == 0:
            return np.zeros(len(found.member), dtype=bool)
        few = self.people["deal_share"].to_numpy(float) < self.terms.perks_below
        return few[found.member] & (found.worth > 0) & (self.catalogue.funder_share[found.deal] < 1)

    def _reward(self, found: Candidates) -> Floats | None:
        """What the worth of these candidates is rewarded with: more with members of more value, less than nothing below the mean."""
        if self.worth_reward == 0:
            return None
        return self.worth_reward * standing(self.people["value"])[found.member] * found.worth

    def most_rewarded(self, offers: pd.DataFrame) -> float:
        """The largest reward of these offers."""
        if self.worth_reward == 0 or not len(offers):
            return 0.0
        by_member = pd.Series(standing(self.people["value"]), index=self.people["customer_id"].to_numpy())
        rewards = self.worth_reward * offers["customer_id"].map(by_member).astype(float) * offers["worth"]
        return max(float(rewards.max()), 0.0)

    def kept(self, chosen: Chosen) -> Candidates:
        """The chosen candidates in full precision, strictly within the budgets."""
        found = self.figures(chosen)
        wanted = self.worth[found.member] > 0
        kept = within_budgets(self.limits, found.deal, found.figures.cost, found.figures.gain, wanted)
        return found if kept.all() else found.where(kept)

    def figures(self, chosen: Chosen) -> Candidates:
        """The chosen candidates again, in full precision, ordered by member, item and deal."""
        n = len(self.deals) + 1
        wanted, rows = np.sort(chosen.row * n + chosen.deal), np.unique(chosen.row)
        partners = np.unique(self.catalogue.partner[self.catalogue.partner >= 0])
        parts = []
        for batch, redemption in self._batches():
            some = np.isin(batch.item, partners) if len(partners) else np.zeros(len(batch.row), dtype=bool)
            some |= _among(batch.row, rows)
            chosen_of = Batch._make(column[some] for column in batch)
            found = candidates_of(chosen_of, self.catalogue, self.habits, redemption)
            parts.append(found.where(_among(found.row * n + found.deal, wanted)))
        if not parts:
            nothing, none = np.empty(0), np.empty(0, np.int64)
            nobody = Figures(nothing, nothing, nothing, nothing)
            return Candidates(none, none, none, none, nothing, nothing > 0, nothing > 0, nobody)
        columns = zip(*((*part[:-1], *part.figures) for part in parts), strict=True)
        member, row, deal, level, worth, need, bought, *figures = (np.concatenate(column) for column in columns)
        return Candidates(member, row, deal, level, worth, need, bought, Figures(*figures))

    def _batches(self) -> Iterator[tuple[Batch, RedemptionHabits | None]]:
        batches = self.needs.batches(self.members, self.catalogue.items)
        return ((batch, None) for batch in batches) if self.redemption is None else self.redemption.beside(batches)

    def result(self, chosen: Chosen, prices: Prices, market: Market | None) -> OfferResult:
        """The plan; ``market`` where a demand bears on the bound."""
        found = self.kept(chosen)
        value = None if market is None else eased_value(market, prices, self.worths(found))
        reward = self._reward(found)
        return result_of(
            self.terms, self.needs, self.limits, self.sums(found), prices, value, self.exclusions,
            usage=bool(len(self.habits.key)), redemption=None if self.redemption is None else self.redemption.model,
            allowance=self.other_charge * int((~found.need).sum()) - (0.0 if reward is None else float(reward.sum())),
            offers=self.offers(found), control=self.control, n_control=len(self.control),
            planned=self.people[["customer_id"]], tips=self.tips(),
        )  # fmt: skip

    def worths(self, found: Candidates) -> Floats:
        """What each member's list is worth."""
        return np.bincount(found.member, found.worth, len(self.people)).astype(float)

    def sums(self, found: Candidates) -> PlanTotals:
        """What of these offers is added up over members."""
        n, worth, least = len(self.deals), self.worths(found), self.terms.least_worth()
        tiers = {tier: (self.people["tier"] == tier).to_numpy() for tier in least}
        return PlanTotals(
            gain=np.bincount(found.deal, found.figures.gain, n).astype(float),
            cost=np.bincount(found.deal, found.figures.cost, n).astype(float),
            offers=np.bincount(found.deal, minlength=n).astype(float),
            members=np.array([len(self.people), len(np.unique(found.member))], dtype=float),
            reached=np.array(
                [len(np.unique(found.member[theirs[found.deal]])) for theirs in self.limits.by], dtype=float
            ),
            tier_members=np.array([theirs.sum() for theirs in tiers.values()], dtype=float),
            tier_lists=np.array(
                [(worth[theirs] >= least[tier] - _CENT).sum() for tier, theirs in tiers.items()], dtype=float
            ),
        )

    def offers(self, found: Candidates) -> pd.DataFrame:
        """The offers as a table, ordered by member and position."""
        order = np.lexsort((found.deal, -found.figures.gain, found.member))
        member = found.member[order]
        first = np.flatnonzero(np.diff(member, prepend=-1))
        position = np.arange(len(member)) - np.repeat(first, np.diff(first, append=len(member))) + 1
        place = self._items(found)[order]
        offers = pd.DataFrame(
            {
                "customer_id": self.people["customer_id"].take(member).reset_index(drop=True),
                "deal_id": as_text(pd.Series(self.catalogue.deal_id)).take(found.deal[order]).reset_index(drop=True),
                "position": position,
                "expected_gain": found.figures.gain[order],
                "p_purchase": found.figures.p_anyway[order],
                "p_with_deal": found.figures.p_with_deal[order],
                "expected_cost": found.figures.cost[order],
                "item": as_text(pd.Series(self.catalogue.items)).take(place).reset_index(drop=True),
                "value": self.catalogue.level_value[found.level, found.deal][order],
                "worth": found.worth[order],
                "need": found.need[order],
            }
        )
        cost, worth = found.figures.cost, found.worth
        p_redeem = np.divide(cost, worth, out=found.figures.p_with_deal.copy(), where=worth > 0)
        return offers.assign(p_redeem=p_redeem[order], is_trial=~found.bought[order])

    def _items(self, found: Candidates) -> Ints:
        """The item that each deal stands on."""
        item = np.empty(len(self.deals), dtype=np.int64)
        item[self.catalogue.deals] = np.repeat(np.arange(len(self.catalogue.items)), np.diff(self.catalogue.start))
        return item[found.deal]

    def tips(self) -> pd.DataFrame:
        """Tips for the members, none where there are no tips."""
        if self.terms.tips is None:
            return pd.DataFrame({name: [] for name in ("customer_id", "tip_id", "title", "category", "slot")})
        return choose_tips(self.needs.source, self.terms.tips, self.terms.tip_slots, members=self.members)


def standing(value: pd.Series) -> Floats:
    """How many standard deviations each value is above the mean; where it is not known, 0.

    >>> standing(pd.Series([1.0, 3.0, None])).tolist()
    [-1.0, 1.0, 0.0]
    """
    known = value.astype(float)
    spread = float(known.std(ddof=0))
    apart = (known - known.mean()) / spread if spread > 0 else known * 0
    return np.asarray(apart.fillna(0.0), dtype=np.float64)


def _deepest(limits: Limits, catalogue: Catalogue, deals: pd.DataFrame, needs: Needs) -> Floats:
    """The most that one redemption takes from each budget; of a percentage it is taken of the price, or of a large spend."""
    price = deals["price"].fillna(needs.large_spend()).to_numpy(float) / 100
    depth = catalogue.level_value.max(axis=0) * catalogue.unit * np.where(catalogue.percent, price, 1.0)
    return np.asarray((limits.use * depth).max(axis=1, initial=0.0) + limits.fee)


def solved(market: Market) -> tuple[Chosen, Prices, Market | None]:
    """Lists and prices, the exact ones where the market is small; and the market where a demand bears on the bound."""
    if 0 < market.n_candidates <= exact.MOST_CANDIDATES:
        return *exact.best_lists(market), None
    prices = price(market)
    return lists_near(market, prices), prices, market.with_minimums()


def lists_near(market: Market, prices: Prices) -> Chosen:
    """The best of the lists at prices slightly below these."""
    eased = _EASED if len(market) <= _FEW else _EASED_OF_MANY
    plans = (lists_at(market, replace(prices, budgets=prices.budgets * factor)) for factor in eased)
    return max(plans, key=lambda chosen: chosen.gain.sum())


def eased_value(market: Market, prices: Prices, worth: Floats) -> float:
    """The value of the members' best lists where none shall be worth more than it is in the plan."""
    blocks = [
        block if block.worth is None else replace(block, least_worth=np.minimum(block.least_worth, worth[block.member]))
        for block in market.blocks
    ]
    return Market(blocks, market.limits).demand(prices.budgets, prices.rewards).value


def _index(ids: pd.Series) -> pd.Index:
    """Ids to be looked up many times; text as objects, which is not converted at every look."""
    index: pd.Index = pd.Index(ids if pd.api.types.is_numeric_dtype(ids) else ids.astype(object))
    return index


def _among(values: Ints, ordered: Ints) -> Bools:
    """Which values are among some that are in order."""
    if not len(ordered):
        return np.zeros(len(values), dtype=bool)
    return np.asarray(ordered[np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)] == values)


def _same_kind(needs: Needs, customers: pd.DataFrame) -> None:
    if not isinstance(needs.source, pd.DataFrame):
        return
    tables = [table for table in (needs.source, customers) if len(table)]
    if len({pd.api.types.is_numeric_dtype(table["customer_id"]) for table in tables}) > 1:
        raise ContractError(
            "customer_id is text in one of due and customers, and a number in the other. Use text in both."
        )
