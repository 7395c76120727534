"""Which member gets which deal: maximum expected gain within every limit, with a proven optimality gap.

A deal is worth sending where it moves a purchase that is not certain, more than it costs. Members come one by one to
the same budgets, so the plan prices each budget: at the right prices every member's best list, chosen alone, nearly
spends what there is. Whatever the prices, the lists so chosen plus the budgets at their price bound the gain of every
possible plan from above (the Lagrangian dual), and that is the gap reported.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pandas as pd

from crmkit.engine.frames import is_spark, to_pandas
from crmkit.exceptions import ConfigError
from crmkit.offers.demands import with_demands
from crmkit.offers.needs import Needs
from crmkit.offers.on_spark import solve_on_spark
from crmkit.offers.problem import Problem, solved
from crmkit.offers.redemption import RedemptionModel
from crmkit.offers.result import OfferResult
from crmkit.offers.terms import Terms
from crmkit.offers.unmatched import check_matched

if TYPE_CHECKING:
    from crmkit.engine.frames import Frame

__all__ = ["OfferPlan"]


@dataclass(frozen=True)
class OfferPlan(Terms):
    """Choose offers for every member under the deals' budgets.

    With a deal the odds of the purchase are multiplied by ``response``. A deal then gains what the raised probability
    is worth, less what the shop pays on every purchase with it, those included that would have come anyway::

        p_with_deal   = response p / (1 - p + response p)
        expected_gain = (p_with_deal - p) margin spend - p_with_deal value (1 - funder_share) - contact_cost
        expected_cost = p_with_deal value                                   (what it takes from the deal's budget)

    `crmkit.offers.candidates.expected_gain` says how it is with deals on one of several brands. Only offers with a positive
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
        Odds ratio of a purchase with the deal to one without. Its default is a cautious prior, not an estimate; after a
        campaign `measure_response` gives its deals' own, and ``measured.for_deals(deals)`` takes them along.
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
    universal : float
        Share of the members who get nothing in any campaign, so that all of them together can be measured:
        ``control_group(ids, universal, "universal")`` names them. The campaign's own control is drawn among the others.
    least_need : float
        An item is a need of the member where it is bought with at least this probability in the days that are looked at,
        and, where redemption is modelled, where the member has bought before what the deal is for.
    need_share : float
        Share of all offers that shall be for a need, at least: others are then made only where they gain so much more, the
        price of that demand. Not on Spark.
    worth_by_value : float
        Correlation of the worth of members' lists with the members' value (their column value) that is demanded, at
        least: worth is then rewarded with members above the mean value and charged below it, at the smallest price at which
        the demand is met. Not on Spark.
    trial_slots : int, optional
        Offers of goods that the member never bought (trial offers) on a list, at most, the best by expected gain; where
        redemption is modelled.
    perks_below : float
        Members of whose purchases a smaller share than this was on a deal (their column deal_share) need no discount: money
        that the shop itself pays is not offered to them, deals that take no money off (kind ``perk``) are. Not on Spark.

    References
    ----------
    Fisher, M. L. (1981), "The Lagrangian relaxation method for solving integer programming problems",
    Management Science 27(1).

    Examples
    --------
    >>> from crmkit.offers.deals import Deals
    >>> deals = Deals.from_extract(pd.DataFrame({
    ...     "deal_id": ["D1"], "title": ["0.50 off milk"], "category": ["Milk"], "funder": ["Dairy"],
    ...     "funder_share": [1], "value": [0.5], "budget": [0.3], "starts": ["2018-01-01"], "ends": ["2018-01-14"]}))
    >>> due = pd.DataFrame({"customer_id": ["a", "b"], "category": ["Milk", "Milk"], "p_purchase": [0.5, 0.9],
    ...                     "spend": [4.0, 4.0]})
    >>> plan = OfferPlan(deals, control=0).solve(due, pd.DataFrame({"customer_id": ["a", "b"]}))
    >>> plan.offers[["customer_id", "deal_id", "position", "p_with_deal"]].round(3)
      customer_id deal_id  position  p_with_deal
    0           a      D1         1        0.556
    """

    def solve(
        self,
        due: Frame | str | os.PathLike[str],
        customers: Frame,
        usage: Frame | None = None,
        received: Frame | None = None,
        redemption: RedemptionModel | None = None,
    ) -> OfferResult:
        """Draw the control group, then plan the others' lists.

        Where ``due`` is a Spark DataFrame the lists are chosen where the rows are; the other tables may be Spark
        DataFrames too, and offers, control and tips of the result are.

        Parameters
        ----------
        due : pandas or Spark DataFrame, or path
            customer_id, product_id or category, p_purchase and spend (the member's expected spend on a purchase of
            the item); with as_of and horizon, which are the same in every row, the deals are those that can be
            redeemed on days as_of + 1 … as_of + horizon, otherwise all. A Parquet file whose rows are ordered by
            customer_id is read a piece at a time, so that it may be larger than memory.
        customers : DataFrame
            customer_id, one row per member; weekly_spend where ``min_weekly_spend`` is above 0; a member with
            anything in no_contact, or with open_complaints above 0, gets no list and is not in the control group
            either.
        usage : DataFrame, optional
            As `BrandUsage` gives it: customer_id, category, brand_user (or brand_group: national, store, switcher),
            usage_level (or usage: light, medium, heavy), and store_share and n_days where they are known: decides how
            deep deals are and who may have those for a brand group.
        received : DataFrame, optional
            customer_id, deal_id: earlier offers, one row each, for limits per member and ``frequency_cap``.
        redemption : RedemptionModel, optional
            What is known of redemption. Costs are then expected redemptions, budgets are kept with a stated probability,
            and the responses are the model's; without it every purchase of the item redeems its deal. Not on Spark.

        Raises
        ------
        ContractError
            A column is missing, a member (or a member's item) is there twice, a probability is none, or no deal is for
            anything that is due (`unmatched_deals` looks at the whole log).
        """
        if is_spark(due):
            if redemption is not None:
                raise ConfigError("Redemption is not modelled on Spark yet. Plan without redemption=, or in memory.")
            if self.need_share > 0 or self.worth_by_value > 0 or self.perks_below > 0:
                raise ConfigError(
                    "need_share, worth_by_value and perks_below are not planned on Spark yet. Plan with 0, or in memory."
                )
            return solve_on_spark(self, due, customers, usage, received)
        problem = Problem.of(
            self, Needs(due), to_pandas(customers), to_pandas(usage), to_pandas(received), redemption=redemption
        )
        demanded = self.need_share > 0 or self.worth_by_value > 0
        result = with_demands(problem) if demanded else problem.result(*solved(problem.market()))
        check_matched(problem.needs, problem.deals, result.offers)
        return result

    def sensitivity(
        self,
        due: pd.DataFrame | str | os.PathLike[str],
        customers: pd.DataFrame,
        usage: pd.DataFrame | None = None,
        received: pd.DataFrame | None = None,
    ) -> pd.DataFrame:
        """Sensitivity of the plan to the assumed response (half, assumed, double).

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
        if is_spark(due):
            raise ConfigError(
                "sensitivity does not run on Spark. Give it a sample of the members, and budgets as small."
            )
        problem = Problem.of(self, Needs(due), customers, usage, received)
        chosen, prices, market = solved(problem.market())
        now = problem.result(chosen, prices, market).offers[["customer_id", "deal_id"]]
        rows = []
        for factor in (0.5, 1.0, 2.0):
            other = replace(self, response=1 + (self.response - 1) * factor)
            plan = other.solve(due, customers, usage, received)
            same = now.merge(plan.offers[["customer_id", "deal_id"]])
            figures = Problem.of(other, Needs(due), customers, usage, received).figures(chosen).figures
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
