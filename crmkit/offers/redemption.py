"""What a plan knows of redemption: each member's share of what a deal is for, and how readily coupons are redeemed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from crmkit._checks import require_columns
from crmkit._types import Bools, Floats, Ints
from crmkit.engine.pieces import Source, columns_of
from crmkit.exceptions import ConfigError, ContractError
from crmkit.offers._redemption_math import budget_to_plan, expected_redemption
from crmkit.offers.batches import Batch
from crmkit.offers.member_shares import REPEATED, MemberShares, shares_in_file
from crmkit.offers.solver.market import Figures

__all__ = ["RedemptionHabits", "RedemptionModel"]


@dataclass(frozen=True)
class RedemptionModel:
    """Redemption as it is known before a plan; `OfferPlan.solve` takes it.

    With it an offer's cost is its expected redemption, its gain counts what later purchases lose, and budgets are planned
    so far that redemptions stay within them with ``probability``. Without it every purchase of the item is taken to redeem
    its deal.

    Parameters
    ----------
    shares : DataFrame or path
        customer_id, deal_id, share, own_days, as ``deal_shares(log, deals)`` gives them (a Parquet file whose rows are
        ordered by customer_id is read a piece at a time, so that it may be larger than memory); a member and deal that is not in
        it never bought in the deal's category, and is not offered it. With yearly (purchases of the category expected in a
        year) a deal that converts gains over a year. With other_margin (see `other_margins`) it is known
        what the member's other purchases there earn, otherwise they earn the plan's margin.
    rates : DataFrame, optional
        customer_id, rate: ``redemption_rates(…).members``; other members have the rate ``mean``.
    mean, uncertainty : float
        Rate of redemption at a purchase that qualifies, of a member of whom nothing is known, and the standard deviation
        of it as a share: those of ``redemption_rates``.
    probability : float
        With which each budget is kept.
    category_response, brand_response : float
        Log odds ratios, at a discount of 25 % and with the coupon in mind, of buying in the category, and of the deal's
        goods among it.
    pantry : float
        Share of the added purchases that later ones lose.
    more_bought : float
        Purchases that a redemption adds by a larger quantity, net of what later ones lose.
    least_p, least_share : float
        No offer is made where the category is less probably bought, or the deal's goods are a smaller share of it.
    trials : bool
        Whether goods that a member never bought may be offered, marked as trial offers.
    uptake, trial_uptake : float
        Redemptions of offers of goods that the member bought before, and of trial offers, as a multiple of what need, shares
        and the members' rates foretell (`offer_uptake`).
    retention : float
        Of the later purchases of whoever was moved to the store's brand, the share that stay with it over a year: a prior until
        `switch_retention` has measured it.
    outstanding : Series of float, optional
        deal_id → the money that redemptions of offers sent earlier are still expected to take of its budget.

    Examples
    --------
    >>> shares = pd.DataFrame({"customer_id": ["a"], "deal_id": ["D1"], "share": [0.4], "own_days": [3.0]})
    >>> RedemptionModel(shares).mean
    0.2
    """

    shares: Source = field(repr=False)
    rates: pd.DataFrame | None = field(default=None, repr=False)
    mean: float = 0.2
    uncertainty: float = 0.2
    probability: float = 0.95
    category_response: float = 0.4
    brand_response: float = 0.8
    pantry: float = 0.3
    more_bought: float = 0.1
    least_p: float = 0.05
    least_share: float = 0.04
    trials: bool = False
    uptake: float = 1.0
    trial_uptake: float = 1.0
    retention: float = 0.1
    outstanding: pd.Series | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        between = ("mean", "pantry", "least_p", "least_share", "retention")
        faults = [
            *(f"{name}={getattr(self, name)!r} is not between 0 and 1" for name in between if not 0 <= getattr(self, name) <= 1),
            *([f"probability={self.probability!r} is not from 0.5 to below 1"] if not 0.5 <= self.probability < 1 else []),
            *(
                f"{name}={getattr(self, name)!r} is not a finite number of at least 0"
                for name in ("uncertainty", "category_response", "brand_response", "more_bought", "uptake", "trial_uptake")
                if not 0 <= getattr(self, name) < float("inf")
            ),
        ]  # fmt: skip
        if faults:
            raise ConfigError("; ".join(faults) + ".")
        require_columns(columns_of(self.shares), ["customer_id", "deal_id", "share", "own_days"], "shares")
        if isinstance(self.shares, pd.DataFrame) and self.shares.duplicated(["customer_id", "deal_id"]).any():
            raise ContractError(REPEATED)
        if self.rates is not None:
            require_columns(self.rates, ["customer_id", "rate"], "rates")
            if self.rates["customer_id"].duplicated().any():
                raise ContractError("rates: a customer_id is there more than once. Pass one row per member.")

    def money_to_plan(self, budget: Floats, depth: Floats) -> Floats:
        """How much of each budget is planned in all, where a redemption takes ``depth`` of it at most."""
        return budget_to_plan(budget, depth, self.probability, self.uncertainty)

    def committed(self, deal_ids: pd.Series) -> Floats:
        """What earlier offers are expected to take of each deal's budget."""
        if self.outstanding is None:
            return np.zeros(len(deal_ids))
        return deal_ids.map(self.outstanding).fillna(0.0).to_numpy(float)

    def sentences(self) -> list[str]:
        """What a plan assumes with this model."""
        return [
            f"a coupon in hand is redeemed at {self.mean:.0%} of the purchases that qualify where a member's own rate is not known",
            f"with the coupon in mind a discount of 25 % multiplies the odds of buying the deal's goods within the category by "
            f"{np.exp(self.brand_response):.2f}, and {self.pantry:.0%} of the added purchases are taken from later ones",
            f"whoever redeems buys {self.more_bought:.0%} more at once, net of what later purchases lose",
            *self._of_trials_and_switches(),
            f"each budget is kept with a probability of {self.probability:.0%}",
        ]

    def _of_trials_and_switches(self) -> list[str]:
        known = [f"offers are redeemed {self.uptake:.2f} times as often as need, share and readiness foretell"]
        trial = [f"trial offers are redeemed {self.trial_uptake:.2f} times as often as their goods' share foretells"]
        switch = [
            f"{self.retention:.0%} of the later purchases of whoever is moved to the store's brand stay with it over a year"
        ]
        return known * (self.uptake != 1) + trial * self.trials + switch * ("yearly" in columns_of(self.shares))


@dataclass(frozen=True)
class RedemptionHabits:
    """The model's tables as arrays: the rate of each member by number, and what is known of some members and the deals."""

    model: RedemptionModel
    rate: Floats
    members: pd.Index
    deal_ids: pd.Index
    known: MemberShares

    @classmethod
    def of(cls, model: RedemptionModel, members: pd.Index, deal_ids: pd.Index) -> RedemptionHabits:
        """Of these members and deals, in this order; where the shares are a file, `beside` reads them."""
        rate = np.full(len(members), model.mean)
        if model.rates is not None:
            place = members.get_indexer(pd.Index(model.rates["customer_id"]))
            rate[place[place >= 0]] = model.rates["rate"].to_numpy(float)[place >= 0]
        table = model.shares if isinstance(model.shares, pd.DataFrame) else None
        return cls(model, rate, members, deal_ids, MemberShares.of(table, members, deal_ids))

    def beside(self, batches: Iterable[Batch]) -> Iterator[tuple[Batch, RedemptionHabits]]:
        """Batches of members in their order, each with what is known of its members."""
        if isinstance(self.model.shares, pd.DataFrame):
            yield from ((batch, self) for batch in batches)
            return
        coming, known = shares_in_file(self.model.shares, self.members, self.deal_ids), self.known
        for batch in batches:
            if len(batch.member):
                known = known.between(batch.member[0], batch.member[-1], coming)
            yield batch, replace(self, known=known)

    def of_pairs(self, member: Ints, deal: Ints) -> tuple[Floats, Bools]:
        """Share of the deal's goods for each member and deal, 0 where unknown, and whether the member ever bought them."""
        known = self.known
        return known.value(known.share, member, deal, 0.0), known.value(known.bought, member, deal, 0.0) > 0

    def margins(self, member: Ints, deal: Ints, otherwise: float) -> Floats:
        """What the member's other purchases in the deal's category earn, as a share of the spend."""
        found = self.known.value(self.known.other_margin, member, deal, np.nan)
        return np.where(np.isnan(found), otherwise, found)

    def kept(self, member: Ints, deal: Ints) -> Floats:
        """Purchases in the year after a switch to the deal's goods that stay with them."""
        return self.model.retention * self.known.value(self.known.yearly, member, deal, 0.0)

    def figures(
        self, member: Ints, share: Floats, p: Floats, spend: Floats, depth: Floats, funder_share: Floats, margin: Floats,
        other_margin: Floats, contact_cost: float, bought: Bools, kept: Floats,
    ) -> Figures:  # fmt: skip
        """Gain and cost of offers; what one costs its budget is its expected redemption."""
        model = self.model
        rate = np.minimum(self.rate[member] * np.where(bought, model.uptake, model.trial_uptake), 1.0)
        found = expected_redemption(
            p, share, rate, spend, depth, funder_share, margin, other_margin, model.category_response,
            model.brand_response, model.pantry, model.more_bought, kept,
        )  # fmt: skip
        return Figures(found.p_anyway, found.p_with_deal, found.p_redeem * depth, found.gain - contact_cost)

    def allowed(self, p: Floats, share: Floats, bought: Bools) -> Bools:
        """Where an offer may be made."""
        model = self.model
        return (p >= model.least_p) & (share >= model.least_share) & (bought | model.trials)
