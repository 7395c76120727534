"""The response to deals, measured in a campaign with a control group, for the next plan."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import ndtri

from crmkit._types import Floats
from crmkit.campaigns.effect import group_of
from crmkit.exceptions import ConfigError, ContractError
from crmkit.offers.deals import Deals
from crmkit.offers.eligibility import check_table
from crmkit.offers.needs import Needs

if TYPE_CHECKING:
    from crmkit._types import Ids

__all__ = ["MeasuredResponse", "measure_response"]


_FARTHEST = 3.0
"""No deal multiplies the odds by more than its exponential, or divides them by it."""


@dataclass(frozen=True)
class MeasuredResponse:
    """How much deals multiply the odds of a purchase: a campaign's evidence combined with the prior.

    Attributes
    ----------
    response, low, high : float
        Odds ratio over all deals, with its interval.
    prior : float
        The odds ratio assumed before.
    weight : float
        Share of the information that is measured: 0 is the prior alone, 1 the campaign alone.
    groups : DataFrame
        The column asked for by ``by``, n_offers, response, low, high: each group's own, shrunk towards that of all deals
        where it has few offers.
    level : float
        Of the intervals.
    """

    response: float
    low: float
    high: float
    prior: float
    weight: float
    groups: pd.DataFrame = field(repr=False)
    level: float

    def for_deals(self, deals: Deals) -> Deals:
        """The deals of the next plan with what was measured as their response: their group's, or that of all deals.

        A response that a deal states already stays.
        """
        frame, by = deals.frame, self.groups.columns[0]
        measured = frame[by].map(self.groups.set_index(by)["response"]).fillna(self.response)
        return Deals(frame.assign(response=frame["response"].fillna(measured.astype(float))))

    def __str__(self) -> str:
        return (
            f"A deal multiplies the odds of the purchase by {self.response:.2f} ({self.level:.0%} interval {self.low:.2f} "
            f"to {self.high:.2f}); the prior was {self.prior:.2f}, {self.weight:.0%} of the information is measured."
        )


def measure_response(
    due: pd.DataFrame,
    bought: pd.DataFrame,
    deals: Deals,
    *,
    offers: pd.DataFrame,
    planned: pd.DataFrame | Ids,
    control: pd.DataFrame | Ids,
    prior: float = 1.25,
    prior_sd: float = 0.5,
    spread: float = 0.25,
    level: float = 0.95,
) -> MeasuredResponse:
    """The odds ratio of deals, measured in a campaign with a control group, for the next plan.

    For every due item with a deal on it, purchases are counted less their expected number, ``p_purchase``. The difference
    of this excess per member between the members in the plan and those held back, times the members in the plan, is the
    lift ``L``. With the odds ratio r the offers should have lifted purchases by ``S(r)``, the sum of
    ``r p / (1 - p + r p) - p``; the r found minimises::

        (L - S(r))^2 / var(L) + (ln r - ln prior)^2 / prior_sd^2

    Deals on one of several brands, and bundles, are excluded: a purchase of the item does not show a use of the deal.

    Parameters
    ----------
    due : DataFrame
        As it was given to ``OfferPlan.solve``: customer_id, the item column, p_purchase.
    bought : DataFrame
        customer_id and the item column: what was bought in the days of the plan, whoever bought it.
    deals : Deals
    offers, planned, control : DataFrame
        As in `OfferResult`.
    prior, prior_sd : float
        The odds ratio assumed before the campaign, and the standard deviation of its logarithm.
    spread : float
        Standard deviation of the logarithms of single items' odds ratios around that of all.
    level : float
        Of the intervals.

    Returns
    -------
    MeasuredResponse

    Raises
    ------
    ContractError
        A column is missing, or no due item of these members has a deal on it.

    Examples
    --------
    Of a thousand members half are held back; all have an even chance of buying, and 55 of 100 buy with the deal:

    >>> ids = pd.Series(range(1000))
    >>> due = pd.DataFrame({"customer_id": ids, "category": "Milk", "p_purchase": 0.5})
    >>> deals = Deals.from_extract(pd.DataFrame({
    ...     "deal_id": ["D1"], "title": ["0.50 off milk"], "category": ["Milk"], "funder": ["Dairy"], "value": [0.5],
    ...     "budget": [500], "starts": ["2018-01-01"], "ends": ["2018-01-14"]}))
    >>> bought = due[(ids % 20 < 11).where(ids < 500, ids % 2 == 0)]
    >>> offers = due.assign(deal_id="D1", item="Milk")[:500]
    >>> print(measure_response(due, bought, deals, offers=offers, planned=ids[:500], control=ids[500:]))
    A deal multiplies the odds of the purchase by 1.22 (95% interval 0.96 to 1.56); the prior was 1.25, 94% of the information is measured.
    """
    if not (prior > 0 and prior_sd > 0 and spread > 0 and 0 < level < 1):
        raise ConfigError(
            f"prior={prior!r}, prior_sd={prior_sd!r}, spread={spread!r} must be above 0, level={level!r} in 0 … 1."
        )
    item = Needs(due).named_item() or "category"
    found = _experiment(item, due, bought, deals, offers, planned, control)
    everything = _posterior(found, math.log(prior), prior_sd)
    rows = []
    for name in sorted(set(found.offers[item])):
        one = found.of(item, name)
        rows.append((name, len(one.offers), *_posterior(one, everything.mean, spread).interval(level)))
    return MeasuredResponse(
        *everything.interval(level), prior=prior, weight=everything.weight, level=level,
        groups=pd.DataFrame(rows, columns=[item, "n_offers", "response", "low", "high"]),
    )  # fmt: skip


@dataclass(frozen=True)
class _Experiment:
    """Due items with a deal on them: customer_id, the item, excess (bought, less its probability); offers with the item
    and p_purchase; members of both groups."""

    pairs: pd.DataFrame
    offers: pd.DataFrame
    groups: list[pd.Index]

    def of(self, item: str, name: object) -> _Experiment:
        """What concerns one item."""
        return replace(self, pairs=self.pairs[self.pairs[item] == name], offers=self.offers[self.offers[item] == name])

    def lift(self) -> tuple[float, float]:
        """Purchases that the campaign added, and the variance of that number."""
        excess = self.pairs.groupby("customer_id")["excess"].sum()
        groups = [excess.reindex(ids, fill_value=0.0).to_numpy() for ids in self.groups]
        n = len(self.groups[0])
        variance = n**2 * sum(values.var(ddof=1) / len(values) for values in groups)
        return float(n * (groups[0].mean() - groups[1].mean())), float(variance)


def _experiment(
    item: str,
    due: pd.DataFrame,
    bought: pd.DataFrame,
    deals: Deals,
    offers: pd.DataFrame,
    planned: pd.DataFrame | Ids,
    control: pd.DataFrame | Ids,
) -> _Experiment:
    check_table("due", due, ["customer_id", "p_purchase"])
    check_table("bought", bought, ["customer_id", item])
    check_table("offers", offers, ["customer_id", "item", "p_purchase"])
    groups = [group_of("planned", planned), group_of("control", control)]
    items = _told_by_purchases(deals.frame, item)
    pairs = due.loc[
        due[item].isin(items) & due["p_purchase"].notna() & due["customer_id"].isin(groups[0].union(groups[1]))
    ]
    if pairs.empty:
        raise ContractError(
            "No due item of these members has a deal whose use shows in purchases of the item: deals on one of several "
            "brands, and bundles, are excluded."
        )
    keys = pd.MultiIndex.from_frame(bought[["customer_id", item]])
    had = pd.MultiIndex.from_frame(pairs[["customer_id", item]]).isin(keys)
    made = offers[["customer_id", "item", "p_purchase"]].set_axis(["customer_id", item, "p_purchase"], axis=1)
    excess = pairs[["customer_id", item]].assign(excess=had - pairs["p_purchase"])
    return _Experiment(excess, made[made[item].isin(items)], groups)


def _told_by_purchases(deals: pd.DataFrame, item: str) -> set[object]:
    """Items with deals of which a purchase of the item is a purchase with the deal: on every brand, and no bundle."""
    partly = deals["brand_type"].notna() | (deals["kind"].fillna("amount") == "bundle")
    return set(deals[item].dropna()) - set(deals.loc[partly, item])


@dataclass(frozen=True)
class _Posterior:
    """Of the logarithm of an odds ratio: where it is most probable, its deviation, and how much of that is measured."""

    mean: float
    sd: float
    weight: float

    def interval(self, level: float) -> tuple[float, float, float]:
        """The odds ratio, and its interval."""
        half = float(ndtri((1 + level) / 2)) * self.sd
        return math.exp(self.mean), math.exp(self.mean - half), math.exp(self.mean + half)


def _posterior(found: _Experiment, mean: float, sd: float) -> _Posterior:
    lift, variance = found.lift()
    p = found.offers["p_purchase"].to_numpy(float)
    if not (len(p) and variance > 0):
        return _Posterior(mean, sd, 0.0)

    def with_deal(log_ratio: float) -> Floats:
        raised: Floats = np.exp(log_ratio) * p / (1 - p + np.exp(log_ratio) * p)
        return raised

    def misfit(log_ratio: float) -> float:
        return float((lift - (with_deal(log_ratio) - p).sum()) ** 2 / variance + (log_ratio - mean) ** 2 / sd**2)

    best = float(minimize_scalar(misfit, bounds=(-_FARTHEST, _FARTHEST), method="bounded").x)
    slope = float((with_deal(best) * (1 - with_deal(best))).sum())
    measured = slope**2 / variance
    precision = measured + 1 / sd**2
    return _Posterior(best, 1 / math.sqrt(precision), measured / precision)
