"""The result of a plan: offers, control group, budgets with their shadow prices, and the optimality gap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import pandas as pd

from crmkit._types import Floats
from crmkit.displays import InNotebook
from crmkit.offers.needs import Needs
from crmkit.offers.redemption import RedemptionModel
from crmkit.offers.solver.dual import Prices, bound_of
from crmkit.offers.solver.market import Limits
from crmkit.offers.terms import Terms, budget_table, offered_deals

__all__ = ["OfferResult", "PlanTotals", "result_of"]


def no_demands() -> pd.DataFrame:
    """A plan of which nothing is demanded."""
    kinds = {"demand": "str", "wanted": "float64", "reached": "float64", "shadow_price": "float64", "cost": "float64"}
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})


_BARRED = "in a category in which nothing is offered"


@dataclass(frozen=True)
class OfferResult(InNotebook):
    """What each member is offered, and how good the plan is. On Spark offers, control and tips are Spark DataFrames.

    Attributes
    ----------
    offers : DataFrame
        customer_id, deal_id, position (1 is the member's best), expected_gain, p_purchase (without the deal),
        p_with_deal, expected_cost (to the deal's budget), item, value (of the deal for this member, in the unit of
        its kind), worth (money off of one redemption), need (whether it is for a need), p_redeem (probability of redeeming it; every purchase redeems where
        redemption is not modelled) and is_trial (whether the member is known never to have bought what it is for). Ordered
        by customer_id and position.
    control : DataFrame
        customer_id of the members who could have been offered something and were drawn to get nothing.
    planned : DataFrame
        customer_id of the other members who could be offered something, whether they are or not: with ``control`` they
        tell what the campaign brought, see `campaign_effect`.
    objective : float
        Sum of the expected gains.
    bound : float
        No plan under the same terms, and lacking no more of what is demanded, can have a larger sum.
    shadow_prices : DataFrame
        deal_id, funder, budget, spent (in expectation), shadow_price: the gain one more unit of budget would bring.
        Every deal of these days, ordered by deal_id.
    n_members, n_served, n_offers, n_control : int
        Members who could be offered something, those in control not counted; how many of them are; how many offers
        there are, and how many members in control.
    assumptions : tuple of str
        What the figures rest on beside the data.
    budgets : DataFrame
        level (deal, funder, store), name, budget, spent, shadow_price: every budget that the plan keeps.
    shortfalls : DataFrame
        demand, unit, wanted, reached: what was required and could not be met; empty when all of it was.
    tips : DataFrame
        customer_id, tip_id, title, category, slot.
    exclusions : Mapping
        Reason → how many members or deals were excluded for it.
    share_on_prior : float
        Share of the objective from deals whose response no campaign has measured.
    demands : DataFrame
        demand, wanted, reached, shadow_price (expected gain for one more unit), cost (expected gain that the plan would
        have beside, were it not for the demand): what lists shall be, beside their budgets.
    """

    offers: pd.DataFrame = field(repr=False)
    control: pd.DataFrame = field(repr=False)
    planned: pd.DataFrame = field(repr=False)
    objective: float
    bound: float
    shadow_prices: pd.DataFrame = field(repr=False)
    n_members: int
    n_served: int
    n_offers: int
    n_control: int
    assumptions: tuple[str, ...] = field(repr=False)
    budgets: pd.DataFrame = field(repr=False)
    shortfalls: pd.DataFrame = field(repr=False)
    tips: pd.DataFrame = field(repr=False)
    exclusions: Mapping[str, int] = field(repr=False)
    share_on_prior: float
    demands: pd.DataFrame = field(default_factory=no_demands, repr=False)

    @property
    def gap(self) -> float:
        """The share of ``bound`` that is not proven to be reached: 0.01 means the plan lacks 1% at most."""
        return (self.bound - self.objective) / abs(self.bound) if self.bound else 0.0

    @property
    def shortages(self) -> list[str]:
        """Demands on lists that could not be met, in words."""
        short = self.demands[self.demands["reached"] < self.demands["wanted"] - 0.005]
        return [
            f"The {demand} is {reached:.2f}, below the {wanted:.2f} demanded: the deals and budgets of these days allow no more."
            for demand, reached, wanted in short[["demand", "reached", "wanted"]].itertuples(index=False)
        ]

    @property
    def need_share(self) -> float:
        """Share of the offers that are for a need of their member; on Spark it is not known."""
        return float(self.offers["need"].mean()) if isinstance(self.offers, pd.DataFrame) and self.n_offers else 0.0

    def demand_sentences(self) -> list[str]:
        """What lists were demanded to be beside their budgets, and what that costs."""
        columns = self.demands[["demand", "reached", "wanted", "cost", "shadow_price"]]
        return [
            f"{demand}: {reached:.2f} (at least {wanted:.2f} demanded), which costs {cost:,.2f} of expected gain"
            + (f"; shadow price {price:.3f}" if price else "")
            for demand, reached, wanted, cost, price in columns.itertuples(index=False)
        ]

    def price_sentences(self, most: int = 3) -> list[str]:
        """The scarcest budgets in words, the highest shadow price first."""
        dear = self.budgets[self.budgets["shadow_price"] >= 0.005].nlargest(most, "shadow_price")
        return [
            f"each extra 1.00 of {_budget_in_words(level, name)} adds {price:.2f} of margin"
            for level, name, price in dear[["level", "name", "shadow_price"]].itertuples(index=False)
        ]

    def shortfall_sentences(self) -> list[str]:
        """What was required and could not be had, in words."""
        return [
            f"{row.demand}: {row.reached:,} of the required {row.wanted:,} {row.unit}"
            for row in self.shortfalls.itertuples()
        ]

    def exclusion_sentences(self) -> list[str]:
        """How many members or deals were excluded, and why."""
        kinds = {_BARRED: "deals"}
        return [
            f"{number:,} {kinds.get(reason, 'members')} excluded: {reason}"
            for reason, number in self.exclusions.items()
        ]

    def __str__(self) -> str:
        lines = [
            f"{self.n_offers:,} offers to {self.n_served:,} of {self.n_members:,} members; "
            f"{self.n_control:,} members held back as control",
            f"expected gain {self.objective:,.2f}; upper bound {self.bound:,.2f} (optimality gap {self.gap:.2%})",
            f"deals' budgets spent {self.shadow_prices['spent'].sum():,.2f} of {self.shadow_prices['budget'].sum():,.2f}",
            *self.demand_sentences(),
            *self.price_sentences(),
            *self.shortfall_sentences(),
            *self.exclusion_sentences(),
            *(f"assumed: {sentence}" for sentence in self.assumptions),
        ]
        return "\n".join(lines)


def _budget_in_words(level: str, name: str) -> str:
    return {"deal": f"budget for deal {name}", "funder": f"{name}'s budget"}.get(level, "the store's own budget")


@dataclass(frozen=True)
class PlanTotals:
    """What is known of a plan by adding up its members: gain, cost and number of offers of each deal, members who could
    be and who are offered something, members reached for each funder that wants so, and of each tier with a least worth
    its members and the lists that are worth it."""

    gain: Floats
    cost: Floats
    offers: Floats
    members: Floats
    reached: Floats
    tier_members: Floats
    tier_lists: Floats

    def __add__(self, other: PlanTotals) -> PlanTotals:
        return PlanTotals(*(getattr(self, part.name) + getattr(other, part.name) for part in fields(self)))


def result_of(
    terms: Terms,
    needs: Needs,
    limits: Limits,
    sums: PlanTotals,
    prices: Prices,
    value: float | None,
    exclusions: Mapping[str, int],
    usage: bool,
    redemption: RedemptionModel | None = None,
    allowance: float = 0.0,
    **tables: Any,
) -> OfferResult:
    """The plan, from its sums.

    ``value`` is that of the members' best lists at the prices where a demand bears on the bound: the bound is then that of
    plans which lack no more than this one of what is demanded. ``allowance`` is what candidates were charged in it beyond
    their budgets.
    """
    deals, barred = offered_deals(terms, needs)
    n = len(deals)
    budgets = budget_table(terms, deals).assign(spent=limits.spent(sums.cost, sums.offers), shadow_price=prices.budgets)
    own = budgets.iloc[:n]
    objective = float(sums.gain.sum())
    unmeasured = float(sums.gain[deals["response"].isna().to_numpy()].sum())
    share_on_prior = unmeasured / objective if objective > 0 else 0.0
    bound = prices.bound
    if value is not None:
        bound = bound_of(value, limits, prices.budgets, prices.rewards, np.minimum(limits.reach, sums.reached))
    return OfferResult(
        objective=objective,
        bound=max(bound + allowance, objective),
        shadow_prices=deals[["deal_id", "funder", "budget"]].assign(
            spent=own["spent"].to_numpy(), shadow_price=own["shadow_price"].to_numpy()
        ),
        n_members=int(sums.members[0]),
        n_served=int(sums.members[1]),
        n_offers=int(sums.offers.sum()),
        assumptions=_assumptions(terms, share_on_prior, usage, redemption),
        budgets=budgets,
        shortfalls=_shortfalls(terms, limits, sums),
        exclusions=dict(exclusions) | ({_BARRED: barred} if barred else {}),
        share_on_prior=share_on_prior,
        **tables,
    )


def _shortfalls(terms: Terms, limits: Limits, sums: PlanTotals) -> pd.DataFrame:
    rows = [
        (name, "members reached", wanted, reached)
        for name, wanted, reached in zip(terms.wanted_reach(), limits.reach, sums.reached, strict=True)
    ]
    for (tier, least), theirs, enough in zip(
        terms.least_worth().items(), sums.tier_members, sums.tier_lists, strict=True
    ):
        rows.append((f"tier {tier}", f"lists worth at least {least:g}", theirs, enough))
    table = pd.DataFrame(rows, columns=["demand", "unit", "wanted", "reached"])
    return table[table["reached"] < table["wanted"]].astype({"wanted": int, "reached": int}).reset_index(drop=True)


def _assumptions(
    terms: Terms, share_on_prior: float, usage: bool, redemption: RedemptionModel | None
) -> tuple[str, ...]:
    if redemption is not None:
        return (*redemption.sentences(), f"{terms.margin:.0%} of the spend is earned where a deal states no margin")
    sentences = [
        f"a deal multiplies the odds of the purchase by {terms.response:g} (a prior until a campaign has measured it; "
        f"{share_on_prior:.0%} of the expected gain rests on it)",
        f"{terms.margin:.0%} of the spend is earned, and the spend with a deal is what it was without",
        "every purchase of the item redeems its deal, and later purchases do not fall",
    ]
    if usage:
        sentences.append(
            "of a category's purchases 10 % are of the store's brand with national-brand users, 50 % with switchers, "
            "90 % with store-brand users, where their own share is not known; where it is, this weighs two purchase days"
        )
    return tuple(sentences)
