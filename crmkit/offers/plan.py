"""Which member gets which deal: the most expected gain within every limit, and how far from the best it is.

A deal is worth sending where it moves a purchase that is not certain, more than it costs. Members come one by one to
the same budgets, so the plan prices each budget: at the right prices every member's best list, chosen alone, nearly
spends what there is. Whatever the prices, the lists so chosen plus the budgets at their price bound the gain of every
possible plan from above (the Lagrangian dual), and that is the gap reported.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmkit.exceptions import ConfigError, ContractError
from crmkit.offers import exact
from crmkit.offers.control import control_group
from crmkit.offers.deals import Deals
from crmkit.offers.dual import Prices, bound_at, price
from crmkit.offers.gains import Batch, Candidates, Catalogue, Figures, Habits, candidates_of
from crmkit.offers.market import Block, Limits, Market, attainable, blocks_of
from crmkit.offers.needs import Needs, fortnight_of
from crmkit.offers.people import check_customers, eligible, list_terms
from crmkit.offers.repair import Chosen, lists_at, within_budgets
from crmkit.offers.tips import choose_tips

__all__ = ["EXCLUDED", "OfferPlan", "OfferResult", "fortnight_of"]

Numbers = NDArray[np.float64]
Index = NDArray[np.int64]

EXCLUDED = ("gift card", "deposit", "tobacco", "cigarette")
"""Words of categories in which nothing is offered."""


@dataclass(frozen=True)
class OfferResult:
    """What each member is offered, and how good the plan is.

    Attributes
    ----------
    offers : DataFrame
        customer_id, deal_id, slot (1 is the member's best), expected_gain, p_purchase (without the deal),
        p_with_deal, expected_cost (to the deal's budget), item, value (of the deal for this member, in the unit of
        its kind), worth (money off of one redemption). Ordered by customer_id and slot.
    control : DataFrame
        customer_id of the members who could have been offered something and were drawn to get nothing.
    objective : float
        Sum of the expected gains.
    bound : float
        No plan under the same terms, and lacking no more of what is demanded, can have a larger sum.
    shadow_prices : DataFrame
        deal_id, funder, budget, spent (in expectation), shadow_price: the gain one more unit of budget would bring.
        Every deal of these days, ordered by deal_id.
    n_members : int
        Members who could be offered something, those in control not counted.
    assumptions : tuple of str
        What the figures rest on beside the data.
    budgets : DataFrame
        whose (deal, funder, store), name, budget, spent, shadow_price: every budget that the plan keeps.
    shortfalls : DataFrame
        demand, wanted, reached: what was asked for and could not be had; empty when all of it could.
    tips : DataFrame
        customer_id, tip_id, title, category, slot.
    left_out : Mapping
        Reason → how many members or deals were left out for it.
    on_prior : float
        Share of the objective from deals whose response no campaign has measured.
    """

    offers: pd.DataFrame = field(repr=False)
    control: pd.DataFrame = field(repr=False)
    objective: float
    bound: float
    shadow_prices: pd.DataFrame = field(repr=False)
    n_members: int
    assumptions: tuple[str, ...] = field(repr=False)
    budgets: pd.DataFrame = field(repr=False)
    shortfalls: pd.DataFrame = field(repr=False)
    tips: pd.DataFrame = field(repr=False)
    left_out: Mapping[str, int] = field(repr=False)
    on_prior: float

    @property
    def gap(self) -> float:
        """The share of ``bound`` that is not proven to be reached: 0.01 means the plan lacks 1% at most."""
        return (self.bound - self.objective) / abs(self.bound) if self.bound else 0.0

    def price_sentences(self, most: int = 3) -> list[str]:
        """The dearest budgets in words, the dearest first."""
        dear = self.budgets[self.budgets["shadow_price"] >= 0.005].nlargest(most, "shadow_price")
        return [
            f"one more unit of {_whose(whose, name)} buys {price:.2f} of margin"
            for whose, name, price in dear[["whose", "name", "shadow_price"]].itertuples(index=False)
        ]

    def __str__(self) -> str:
        served = self.offers["customer_id"].nunique()
        lines = [
            f"{len(self.offers):,} offers to {served:,} of {self.n_members:,} members; "
            f"{len(self.control):,} more are kept as control",
            f"expected gain {self.objective:,.2f}; no plan exceeds {self.bound:,.2f} (gap {self.gap:.2%})",
            f"deals' budgets spent {self.shadow_prices['spent'].sum():,.2f} of {self.shadow_prices['budget'].sum():,.2f}",
            *self.price_sentences(),
            *(f"short of {row.demand}: {row.reached:,} of {row.wanted:,}" for row in self.shortfalls.itertuples()),
            *(f"left out: {number:,}, {reason}" for reason, number in self.left_out.items()),
            *(f"assumed: {sentence}" for sentence in self.assumptions),
        ]
        return "\n".join(lines)


def _whose(whose: str, name: str) -> str:
    return {"deal": f"the budget of deal {name}", "funder": f"{name}'s money"}.get(whose, "the shop's own money")


@dataclass(frozen=True)
class OfferPlan:
    """Choose offers for every member under the deals' budgets.

    With a deal the odds of the purchase are multiplied by ``response``. A deal then gains what the raised probability
    is worth, less what the shop pays on every purchase with it, those included that would have come anyway::

        p_with_deal   = response p / (1 - p + response p)
        expected_gain = (p_with_deal - p) margin spend - p_with_deal value (1 - funder_share) - contact_cost
        expected_cost = p_with_deal value                                   (what it takes from the deal's budget)

    `crmkit.offers.gains.expected_gain` says how it is with deals on one of several brands. Only offers with a positive
    gain are made (others where a demand needs them), at most ``slots`` a member and one for each of the member's
    categories.

    Parameters
    ----------
    deals : Deals
    slots : int
        Offers on a member's list, at most; a column ``slots`` of the members goes before it.
    control : float
        Share of the members who get nothing, see `control_group`.
    key : str
        Names the draw of the control group; another campaign takes another key.
    response : float
        Odds ratio of a purchase with the deal to one without. Its default is a cautious prior, not an estimate.
    margin : float
        Share of the spend that is earned.
    min_weekly_spend : float
        Members under it get no list; above 0 it needs the column weekly_spend of the members.
    contact_cost : float
        Money for each offer made.
    point_value : float
        Money that a point is worth.
    funder_budgets : mapping of str to float, optional
        Funder → the most that it pays for all its deals together.
    store_budget : float, optional
        The most that the shop pays: its share of all deals, and the contacts.
    min_reach : mapping of str to int, optional
        Funder → members that shall have one of its deals on their list.
    funder_cap : int, optional
        Offers of one funder on a list, at most.
    frequency_cap : int, optional
        Offers that a member may have, those in ``received`` included.
    min_worth : mapping of str to float, optional
        Tier → what a list shall be worth (money off of its deals); needs the column tier of the members.
    excluded : tuple of str
        Nothing is offered in categories with one of these words in their name.
    tips : DataFrame, optional
        tip_id, category, title: recipes and tips, see `choose_tips`.
    tip_slots : int
        Tips on a list, at most.
    control_by : str, optional
        Column of the members within each value of which the control group is drawn to its share exactly.

    References
    ----------
    Fisher, M. L. (1981), "The Lagrangian relaxation method for solving integer programming problems",
    Management Science 27(1).

    Examples
    --------
    >>> deals = Deals.from_extract(pd.DataFrame({
    ...     "deal_id": ["D1"], "title": ["0.50 off milk"], "category": ["Milk"], "funder": ["Dairy"],
    ...     "funder_share": [1], "value": [0.5], "budget": [0.3], "starts": ["2018-01-01"], "ends": ["2018-01-14"]}))
    >>> due = pd.DataFrame({"customer_id": ["a", "b"], "category": ["Milk", "Milk"], "p_purchase": [0.5, 0.9],
    ...                     "spend": [4.0, 4.0]})
    >>> plan = OfferPlan(deals, control=0).solve(due, pd.DataFrame({"customer_id": ["a", "b"]}))
    >>> plan.offers[["customer_id", "deal_id", "slot", "p_with_deal"]].round(3)
      customer_id deal_id  slot  p_with_deal
    0           a      D1     1        0.556
    """

    deals: Deals
    slots: int = 10
    control: float = 0.10
    key: str = "crmkit"
    response: float = 1.25
    margin: float = 0.30
    min_weekly_spend: float = 0.0
    contact_cost: float = 0.0
    point_value: float = 0.10
    funder_budgets: Mapping[str, float] | None = None
    store_budget: float | None = None
    min_reach: Mapping[str, int] | None = None
    funder_cap: int | None = None
    frequency_cap: int | None = None
    min_worth: Mapping[str, float] | None = None
    excluded: tuple[str, ...] = EXCLUDED
    tips: pd.DataFrame | None = None
    tip_slots: int = 1
    control_by: str | None = None

    def __post_init__(self) -> None:
        amounts = {
            "store_budget": self.store_budget,
            "contact_cost": self.contact_cost,
            "point_value": self.point_value,
        }
        named = {"funder_budgets": self.funder_budgets, "min_reach": self.min_reach, "min_worth": self.min_worth}
        rules = {
            f"slots={self.slots!r} is not a whole number above 0": isinstance(self.slots, Integral) and self.slots >= 1,
            f"control={self.control!r} is not between 0 and 1": 0 <= self.control <= 1,
            f"response={self.response!r} is not a finite odds ratio above 0": 0 < self.response < float("inf"),
            f"margin={self.margin!r} is not above 0 and at most 1": 0 < self.margin <= 1,
            f"min_weekly_spend={self.min_weekly_spend!r} is below 0": self.min_weekly_spend >= 0,
            **{f"{name}={value!r} is below 0": value is None or value >= 0 for name, value in amounts.items()},
            **{
                f"{name}={dict(values)!r} has an amount below 0": all(value >= 0 for value in values.values())
                for name, values in named.items()
                if values
            },
            f"funder_cap={self.funder_cap!r} is below 1": self.funder_cap is None or self.funder_cap >= 1,
            f"frequency_cap={self.frequency_cap!r} is below 0": self.frequency_cap is None or self.frequency_cap >= 0,
            **self._unknown_funders(),
        }
        faults = [fault for fault, holds in rules.items() if not holds]
        if faults:
            raise ConfigError("; ".join(faults) + ".")

    def _unknown_funders(self) -> dict[str, bool]:
        there = set(self.deals.frame["funder"])
        given = {"funder_budgets": self.funder_budgets or {}, "min_reach": self.min_reach or {}}
        return {
            f"{name} names {sorted(set(values) - there)}, which fund no deal (there are {sorted(there)[:10]})": (
                set(values) <= there
            )
            for name, values in given.items()
        }

    def solve(
        self,
        due: pd.DataFrame | str | os.PathLike[str],
        customers: pd.DataFrame,
        usage: pd.DataFrame | None = None,
        received: pd.DataFrame | None = None,
    ) -> OfferResult:
        """Draw the control group, then plan the others' lists.

        Parameters
        ----------
        due : DataFrame or path
            customer_id, product_id or category, p_purchase and spend (the member's expected spend on a purchase of
            the item); with as_of and horizon, which are the same in every row, the deals are those that can be
            redeemed on days as_of + 1 … as_of + horizon, otherwise all. A Parquet file whose rows are ordered by
            customer_id is read a piece at a time, so that it may be larger than memory.
        customers : DataFrame
            customer_id, one row per member; weekly_spend where ``min_weekly_spend`` is above 0; a member with
            anything in no_contact, or with open_complaints above 0, gets no list and is not in the control group
            either.
        usage : DataFrame, optional
            customer_id, category, brand_group (national, store, switcher), usage (light, medium, heavy), and
            store_share where it is known: decides how deep deals are and who may have those for a brand group.
        received : DataFrame, optional
            customer_id, deal_id: earlier offers, one row each, for limits per member and ``frequency_cap``.

        Raises
        ------
        ContractError
            A column is missing, a member (or a member's item) is there twice, or a probability is none.
        """
        problem = self._problem(Needs(due), customers, usage, received)
        market = problem.market()
        chosen, prices = solved(market)
        return problem.result(chosen, prices, market.demanding())

    def sensitivity(
        self,
        due: pd.DataFrame | str | os.PathLike[str],
        customers: pd.DataFrame,
        usage: pd.DataFrame | None = None,
        received: pd.DataFrame | None = None,
    ) -> pd.DataFrame:
        """What becomes of the plan when the assumed response is half or twice as strong.

        Parameters
        ----------
        due, customers, usage, received
            As in `solve`.

        Returns
        -------
        DataFrame
            Three rows: response (odds ratio); objective, offers and members of the plan made for it; same_offers (the
            share of this plan's offers that are in it); gain_of_this_plan (what the lists planned now would gain).
        """
        problem = self._problem(Needs(due), customers, usage, received)
        market = problem.market()
        chosen, prices = solved(market)
        now = problem.result(chosen, prices, market.demanding()).offers[["customer_id", "deal_id"]]
        rows = []
        for factor in (0.5, 1.0, 2.0):
            other = replace(self, response=1 + (self.response - 1) * factor)
            plan = other.solve(due, customers, usage, received)
            same = now.merge(plan.offers[["customer_id", "deal_id"]])
            figures = other._problem(Needs(due), customers, usage, received).figures(chosen).figures
            rows.append(
                {
                    "response": other.response,
                    "objective": plan.objective,
                    "offers": len(plan.offers),
                    "members": plan.offers["customer_id"].nunique(),
                    "same_offers": len(same) / max(len(now), 1),
                    "gain_of_this_plan": float(figures.gain.sum()),
                }
            )
        return pd.DataFrame(rows, index=pd.Index(["half", "assumed", "double"], name="effect"))

    def _problem(
        self, needs: Needs, customers: pd.DataFrame, usage: pd.DataFrame | None, received: pd.DataFrame | None
    ) -> _Problem:
        item = needs.item
        needed = ["weekly_spend"] * (self.min_weekly_spend > 0) + ["tier"] * bool(self.min_worth)
        check_customers(customers, needed + ([self.control_by] if self.control_by else []))
        _check_extra("usage", usage, ("customer_id", "category", "brand_group", "usage"))
        _check_extra("received", received, ("customer_id", "deal_id"))
        _same_kind(needs, customers)
        window = needs.fortnight()
        running = (self.deals.active(*window) if window else self.deals).frame.sort_values("deal_id", ignore_index=True)
        barred = running["category"].str.casefold().map(lambda name: any(word in name for word in self.excluded))
        people, left_out = eligible(customers, self.min_weekly_spend)
        if barred.any():
            left_out["deals in categories in which nothing is offered"] = int(barred.sum())
        strata = None if self.control_by is None else people[self.control_by]
        control = control_group(people["customer_id"], self.control, self.key, strata=strata)
        people = people[~people["customer_id"].isin(control["customer_id"])].reset_index(drop=True)
        deals = running[~barred.astype(bool)].reset_index(drop=True)
        catalogue = Catalogue.of(
            deals, item, response=self.response, margin=self.margin, point_value=self.point_value,
            contact_cost=self.contact_cost,
        )  # fmt: skip
        members = _index(people["customer_id"])
        slots, worth = list_terms(people, self.slots, self.frequency_cap, self.min_worth or {}, received)
        habits = Habits.of(members, catalogue, usage, received)
        return _Problem(self, needs, deals, catalogue, habits, people, members, slots, worth, control, left_out)

    def _limits(self, deals: pd.DataFrame) -> tuple[Limits, pd.DataFrame]:
        """What all lists share, and the budgets by name."""
        share = deals["funder_share"].fillna(0).to_numpy(float)
        funders, funder = np.unique(deals["funder"].to_numpy(object).astype(str), return_inverse=True)
        paying = {name: money for name, money in (self.funder_budgets or {}).items() if name in funders}
        use = [np.eye(len(deals)), *((funders[funder] == name)[None] * share for name in paying)]
        budgets = [("deal", name, money) for name, money in zip(deals["deal_id"], deals["budget"], strict=True)]
        budgets += [("funder", name, money) for name, money in paying.items()]
        if self.store_budget is not None:
            use.append((1 - share)[None])
            budgets.append(("store", "store", self.store_budget))
        table = pd.DataFrame(budgets, columns=["whose", "name", "budget"]).astype({"budget": float})
        reach = {name: n for name, n in (self.min_reach or {}).items() if n > 0}
        conflicts = pd.factorize(deals["conflicts"])[0]
        limits = Limits(
            use=np.concatenate(use),
            fee=np.where(table["whose"] == "store", self.contact_cost, 0.0),
            budget=table["budget"].to_numpy(float),
            reach=np.array(list(reach.values()), dtype=float),
            by=np.array([funders[funder] == name for name in reach], dtype=bool).reshape(len(reach), len(deals)),
            groupings=np.stack([pd.factorize(deals["category"])[0], conflicts]).astype(np.int64),
            funder=funder.astype(np.int64),
            funder_cap=self.funder_cap or 10**6,
        )
        return limits, table

    def _assumptions(self, on_prior: float, usage: bool) -> tuple[str, ...]:
        sentences = [
            f"a deal multiplies the odds of the purchase by {self.response:g} (a prior until a campaign has measured it; "
            f"{on_prior:.0%} of the expected gain rests on it)",
            f"{self.margin:.0%} of the spend is earned, and the spend with a deal is what it was without",
            "every purchase of the item redeems its deal, and no less of it is bought afterwards",
        ]
        if usage:
            sentences.append(
                "of a category's purchases 10 % are of the store's brand with national-brand users, 50 % with switchers, "
                "90 % with store-brand users, where their own share is not known"
            )
        return tuple(sentences)


@dataclass(frozen=True)
class _Problem:
    """Everything a plan is made from, checked."""

    plan: OfferPlan
    needs: Needs
    deals: pd.DataFrame
    catalogue: Catalogue
    habits: Habits
    people: pd.DataFrame
    members: pd.Index[Any]
    slots: Index
    worth: Numbers
    control: pd.DataFrame
    left_out: Mapping[str, int]

    def market(self) -> Market:
        """Every candidate that gains something or serves a demand, and fits the budgets."""
        limits, _ = self.plan._limits(self.deals)
        most = limits.affordable(limits.budget)
        reaching: Any = limits.by.any(axis=0)
        blocks: list[Block] = []
        for batch in self._batches():
            found = candidates_of(batch, self.catalogue, self.habits)
            useful = (found.figures.gain > 0) | reaching[found.deal] | (self.worth[found.member] > 0)
            found = found.where(useful & (found.figures.cost <= most[found.deal]) & (self.slots[found.member] > 0))
            blocks += blocks_of(found, self.catalogue.place, self.slots, self.worth)
        return Market([attainable(block) for block in blocks], limits)

    def figures(self, chosen: Chosen) -> Candidates:
        """The chosen candidates again, in full precision, ordered by member, item and deal."""
        n = len(self.deals) + 1
        wanted, rows = np.sort(chosen.row * n + chosen.deal), np.unique(chosen.row)
        partners = np.unique(self.catalogue.partner[self.catalogue.partner >= 0])
        parts = []
        for batch in self._batches():
            some = np.isin(batch.item, partners) if len(partners) else np.zeros(len(batch.row), dtype=bool)
            some |= _among(batch.row, rows)
            found = candidates_of(Batch(*(column[some] for column in batch)), self.catalogue, self.habits)
            parts.append(found.where(_among(found.row * n + found.deal, wanted)))
        if not parts:
            nothing, none = np.empty(0), np.empty(0, np.int64)
            return Candidates(none, none, none, none, nothing, Figures(nothing, nothing, nothing, nothing))
        columns = zip(*((*part[:-1], *part.figures) for part in parts), strict=True)
        member, row, deal, level, worth, *figures = (np.concatenate(column) for column in columns)
        return Candidates(member, row, deal, level, worth, Figures(*figures))

    def _batches(self) -> Any:
        return self.needs.batches(self.members, self.catalogue.items)

    def result(self, chosen: Chosen, prices: Prices, market: Market | None) -> OfferResult:
        """The offers with their figures, strictly within the budgets; ``market`` where a demand bears on the bound."""
        found = self.figures(chosen)
        wanted = self.worth[found.member] > 0
        limits, budgets = self.plan._limits(self.deals)
        kept = within_budgets(limits, found.deal, found.figures.cost, found.figures.gain, wanted)
        found = found.where(kept) if not kept.all() else found
        n = len(self.deals)
        spent = limits.spent(
            np.bincount(found.deal, found.figures.cost, n).astype(float),
            np.bincount(found.deal, minlength=n).astype(float),
        )
        budgets = budgets.assign(spent=spent, shadow_price=prices.budgets)
        own = budgets.iloc[:n]
        gain = found.figures.gain
        objective = float(gain.sum())
        reached = self._reached(found, limits)
        bound = prices.bound
        if market is not None and market.n_candidates > exact.MOST_CANDIDATES:
            bound = _bound_of_the_like(
                market, prices, reached, np.bincount(found.member, found.worth, len(self.people)).astype(float)
            )
        usage = bool(len(self.habits.key))
        on_prior = float(gain[~self.catalogue.measured[found.deal]].sum()) / objective if objective > 0 else 0.0
        return OfferResult(
            offers=self._offers(found),
            control=self.control,
            objective=objective,
            bound=max(bound, objective),
            shadow_prices=self.deals[["deal_id", "funder", "budget"]].assign(
                spent=own["spent"].to_numpy(), shadow_price=own["shadow_price"].to_numpy()
            ),
            n_members=len(self.people),
            assumptions=self.plan._assumptions(on_prior, usage),
            budgets=budgets,
            shortfalls=self._shortfalls(found, limits, reached),
            tips=self._tips(),
            left_out=self.left_out,
            on_prior=on_prior,
        )

    def _offers(self, found: Candidates) -> pd.DataFrame:
        order = np.lexsort((found.deal, -found.figures.gain, found.member))
        member = found.member[order]
        first = np.flatnonzero(np.diff(member, prepend=-1))
        slot = np.arange(len(member)) - np.repeat(first, np.diff(first, append=len(member))) + 1
        place = self._items(found)[order]
        return pd.DataFrame(
            {
                "customer_id": self.people["customer_id"].take(member).reset_index(drop=True),
                "deal_id": pd.Series(self.catalogue.deal_id)
                .astype("str")
                .take(found.deal[order])
                .reset_index(drop=True),
                "slot": slot,
                "expected_gain": found.figures.gain[order],
                "p_purchase": found.figures.p_anyway[order],
                "p_with_deal": found.figures.p_with_deal[order],
                "expected_cost": found.figures.cost[order],
                "item": pd.Series(self.catalogue.items).astype("str").take(place).reset_index(drop=True),
                "value": self.catalogue.level_value[found.level, found.deal][order],
                "worth": found.worth[order],
            }
        )

    def _items(self, found: Candidates) -> Index:
        """The item that each deal stands on."""
        item = np.empty(len(self.deals), dtype=np.int64)
        item[self.catalogue.deals] = np.repeat(np.arange(len(self.catalogue.items)), np.diff(self.catalogue.start))
        return item[found.deal]

    def _reached(self, found: Candidates, limits: Limits) -> Numbers:
        return np.array([len(np.unique(found.member[theirs[found.deal]])) for theirs in limits.by], dtype=float)

    def _shortfalls(self, found: Candidates, limits: Limits, reached: Numbers) -> pd.DataFrame:
        rows: list[tuple[str, float, float]] = []
        names = [name for name, n in (self.plan.min_reach or {}).items() if n > 0]
        for name, wanted, got in zip(names, limits.reach, reached, strict=True):
            rows.append((f"members reached for {name}", wanted, got))
        worth = np.bincount(found.member, found.worth, len(self.people)).astype(float)
        for tier, least in (self.plan.min_worth or {}).items():
            theirs = (self.people["tier"] == tier).to_numpy()
            if least > 0:
                enough = int((worth[theirs] >= least - _CENT).sum())
                rows.append((f"lists of tier {tier} worth {least:g}", float(theirs.sum()), float(enough)))
        table = pd.DataFrame(rows, columns=["demand", "wanted", "reached"])
        return table[table["reached"] < table["wanted"]].astype({"wanted": int, "reached": int}).reset_index(drop=True)

    def _tips(self) -> pd.DataFrame:
        nothing = pd.DataFrame({name: [] for name in ("customer_id", "tip_id", "title", "category", "slot")})
        if self.plan.tips is None or not isinstance(self.needs.source, pd.DataFrame):
            return nothing
        due = self.needs.source
        return choose_tips(
            due[due["customer_id"].isin(self.people["customer_id"])], self.plan.tips, self.plan.tip_slots
        )


_CENT = 0.005
_FEW = 100_000
_EASED, _EASED_OF_MANY = (0.995, 0.99), (0.998,)
"""Slightly below the prices no member is turned away for whom a budget has room."""


def solved(market: Market) -> tuple[Chosen, Prices]:
    """Lists and prices: the exact ones where the market is small."""
    if 0 < market.n_candidates <= exact.MOST_CANDIDATES:
        return exact.best_lists(market)
    prices = price(market)
    eased = _EASED if len(market) <= _FEW else _EASED_OF_MANY
    plans = (lists_at(market, replace(prices, budgets=prices.budgets * factor)) for factor in eased)
    return max(plans, key=lambda chosen: chosen.gain.sum()), prices


def _bound_of_the_like(market: Market, prices: Prices, reached: Numbers, worth: Numbers) -> float:
    """The bound of plans that lack no more than this one of what is demanded."""
    blocks = [
        block if block.worth is None else replace(block, demand=np.minimum(block.demand, worth[block.member]))
        for block in market.blocks
    ]
    reach = np.minimum(market.limits.reach, reached)
    return bound_at(Market(blocks, market.limits), prices.budgets, prices.rewards, reach)


def _index(ids: pd.Series[Any]) -> pd.Index[Any]:
    """Ids to be looked up many times; text as objects, which is not converted at every look."""
    index: pd.Index[Any] = pd.Index(ids if pd.api.types.is_numeric_dtype(ids) else ids.astype(object))
    return index


def _among(values: Index, ordered: Index) -> NDArray[np.bool_]:
    """Which values are among some that are in order."""
    if not len(ordered):
        return np.zeros(len(values), dtype=bool)
    return np.asarray(ordered[np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)] == values)


def _check_extra(name: str, table: pd.DataFrame | None, needed: tuple[str, ...]) -> None:
    missing = [] if table is None else [column for column in needed if column not in table]
    if missing and table is not None:
        raise ContractError(f"{name} lacks {missing}; it has {list(table.columns)}.")


def _same_kind(needs: Needs, customers: pd.DataFrame) -> None:
    if not isinstance(needs.source, pd.DataFrame):
        return
    tables = [table for table in (needs.source, customers) if len(table)]
    if len({pd.api.types.is_numeric_dtype(table["customer_id"]) for table in tables}) > 1:
        raise ContractError(
            "customer_id is text in one of due and customers, and a number in the other. Use text in both."
        )
