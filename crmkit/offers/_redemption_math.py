"""Redemption of coupons: own shares, rates of redemption, what a deal moves and what it takes from budgets."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import betaln, ndtri

from crmkit._types import Floats, Numbers

__all__ = ["Redemption", "budget_to_plan", "expected_redemption", "raised", "shrunk_rate", "shrunk_share"]

DEPTH = 0.25
"""The discount, as a share of the price, at which responses are stated."""


class Redemption(NamedTuple):
    """What is expected of each offer: probabilities of buying the deal's goods anyway and with the deal, of redeeming it,
    and the gain before contact costs."""

    p_anyway: Floats
    p_with_deal: Floats
    p_redeem: Floats
    gain: Floats


def shrunk_share(own: Floats, total: Floats, overall: Floats, weight: float = 2.0) -> Floats:
    """A member's own share of a category's purchases, shrunk towards that of all members.

    ``(own + weight overall) / (total + weight)``: the mean of a beta posterior whose prior counts as ``weight`` purchases.

    >>> shrunk_share(np.array([0.0, 3.0]), np.array([0.0, 4.0]), np.array([0.25, 0.25])).round(3).tolist()
    [0.25, 0.583]
    """
    found: Floats = (own + weight * overall) / (total + weight)
    return found


def shrunk_rate(
    redeemed: Floats, qualified: Floats, prior: float = 0.2, prior_weight: float = 100.0, weight: float | None = None
) -> tuple[Floats, float, float]:
    """Each member's probability of redeeming a coupon in hand at a purchase that qualifies for it.

    A beta-binomial hierarchy: the mean of all members has a stated prior, worth ``prior_weight`` qualifying purchases, and
    each member's own rate is shrunk towards it with a weight of ``weight`` purchases. A small weight is a prior with most
    of its mass near 0: most members never redeem. Without a stated weight it is the one under which the counts are most
    probable, with a log-normal prior around 1. At a qualifying purchase in about a quarter of the offers a prior of .2
    is a redemption of 5 % of the coupons handed out, the middle of the published 2 to 8 %.

    Returns
    -------
    rate : array of float, shape (n,)
    mean : float
        Of all members.
    uncertainty : float
        Standard deviation of that mean, as a share of it.

    >>> rate, mean, _ = shrunk_rate(np.array([0.0, 3.0]), np.array([5.0, 5.0]))
    >>> rate.round(3).tolist(), round(mean, 3)
    ([0.04, 0.525], 0.209)
    """
    hits, trials = prior * prior_weight + redeemed.sum(), prior_weight + qualified.sum()
    mean = float(hits / trials)
    sd = math.sqrt(mean * (1 - mean) / (trials + 1))
    own = _weight_of(redeemed, qualified, mean) if weight is None else weight
    return (redeemed + own * mean) / (qualified + own), mean, sd / mean if mean > 0 else 0.0


_WEIGHTS = np.exp2(np.arange(-2, 5.25, 0.25))


def _weight_of(redeemed: Floats, qualified: Floats, mean: float) -> float:
    """The most probable weight of the beta-binomial with this mean, its logarithm having a standard normal prior."""
    if not 0 < mean < 1 or not len(redeemed):
        return 1.0
    cells, n = np.unique(np.stack([redeemed, qualified]), axis=1, return_counts=True)
    a, b = mean * _WEIGHTS[:, None], (1 - mean) * _WEIGHTS[:, None]
    likelihood = ((betaln(a + cells[0], b + cells[1] - cells[0]) - betaln(a, b)) * n).sum(axis=1)
    return float(_WEIGHTS[np.argmax(likelihood - np.log(_WEIGHTS) ** 2 / 2)])


def raised(p: Floats, log_odds: Floats) -> Floats:
    """A probability whose odds are multiplied by the exponential of ``log_odds``.

    >>> raised(np.array([0.0, 0.5, 1.0]), np.log([2.0])).round(4).tolist()
    [0.0, 0.6667, 1.0]
    """
    factor = np.exp(log_odds)
    found: Floats = factor * p / (1 - p + factor * p)
    return found


def expected_redemption(
    p: Floats,
    share: Floats,
    rate: Floats,
    spend: Floats,
    depth: Floats,
    funder_share: Floats,
    margin: Floats,
    other_margin: Numbers,
    category_response: float = 0.4,
    brand_response: float = 0.8,
    pantry: float = 0.3,
    more_bought: float = 0.1,
    kept: Numbers = 0.0,
) -> Redemption:
    """What an offer is expected to do, where redeeming is not taken for granted.

    A coupon is in hand and in mind at a share ``rate`` of the member's purchases; at the others it changes nothing. Where it
    is, with discount ``d`` (money off as a share of the spend, stated per 25 %), the category's odds of being bought, and
    the deal's goods' odds of being the ones bought in it, rise::

        p'       = odds(p) exp(category_response share d / .25)
        share'   = odds(share) exp(brand_response d / .25)
        p_redeem = rate (p share' + p' - p)
        gain     = rate ((1 - pantry) (p' - p) spend margin
                         + p (share' - share) spend (margin - other_margin) (1 + kept))
                   + p_redeem (more_bought spend margin - depth (1 - funder_share))

    A purchase that is moved to the deal's goods can move later ones: ``kept`` of them, over a year. Purchases that the deal adds are partly taken from later ones (pantry loading). Whoever redeems buys more of it at once,
    also those who were certain to buy: ``more_bought`` is the part of that which later purchases do not lose.

    Parameters
    ----------
    p : array of float
        Probability of buying in the category without a deal.
    share : array of float
        Share of the member's purchases there that are of the deal's goods.
    rate : array of float
        Probability of redeeming at a purchase that qualifies.
    spend, depth : arrays of float
        Money spent on a purchase, and money off of one redemption.
    funder_share, margin : arrays of float
        Part of the money off that somebody else pays; share of the spend earned on the deal's goods.
    other_margin : float or array of float
        Share of the spend earned on other goods of the category.
    category_response, brand_response : float
        Log odds ratios at a discount of 25 % with the coupon in mind: priors until campaigns have measured them.
    pantry : float
        Share of the added purchases that are taken from later ones: a prior too.
    more_bought : float
        Purchases that a redemption adds by a larger quantity, net of what later ones lose: a prior too.
    kept : float or array of float
        Later purchases of the category that are moved to the deal's goods by one that the deal moved.

    Returns
    -------
    Redemption

    References
    ----------
    Gupta, S. (1988), "Impact of sales promotions on when, what, and how much to buy", Journal of Marketing Research 25(4).
    """
    discount = np.divide(depth, spend, out=np.zeros(np.shape(depth)), where=spend > 0).clip(0, 1) / DEPTH
    p_raised = raised(p, category_response * share * discount)
    share_raised = raised(share, brand_response * discount)
    with_coupon = p * share_raised + p_raised - p
    p_redeem = rate * with_coupon
    added = (1 - pantry) * (p_raised - p) * spend * margin
    switched = p * (share_raised - share) * spend * (margin - other_margin) * (1 + kept)
    gain = rate * (added + switched) + p_redeem * (more_bought * spend * margin - depth * (1 - funder_share))
    return Redemption(p * share, p * share + rate * (with_coupon - p * share), p_redeem, gain)


def budget_to_plan(budget: Floats, depth: Floats, probability: float = 0.95, uncertainty: float = 0.0) -> Floats:
    """The expected redemptions, in money, at which a budget is kept with a stated probability.

    Redemptions of coupons of at most ``depth`` with mean ``m`` in all have a variance of at most ``depth m`` (each of them
    is a Bernoulli trial), to which the uncertainty of the rate common to all adds ``(uncertainty m)^2``. The mean planned
    solves ``m + z sqrt(depth m + (uncertainty m)^2) = budget``, a quadratic equation.

    Parameters
    ----------
    budget, depth : arrays of float
        Money that is left, and the largest money off of one redemption.
    probability : float
        With which the budget is kept; 0.5 or less plans the whole of it.
    uncertainty : float
        Standard deviation of the mean rate of redemption, as a share of it.

    Examples
    --------
    Fifty coupons' worth of budget pays for about 40 expected redemptions; of one coupon's, hardly any can be promised:

    >>> budget_to_plan(np.array([50.0, 1.0, 0.0]), np.ones(3)).round(2).tolist()
    [39.64, 0.22, 0.0]
    """
    z = max(float(ndtri(probability)), 0.0)
    lead = 1 - (z * uncertainty) ** 2
    half = budget + z * z * depth / 2
    found: Floats = np.asarray(
        budget**2 / (half + np.sqrt(np.maximum(half**2 - lead * budget**2, 0)))
        if z > 0
        else np.array(budget, dtype=float)
    )
    return np.nan_to_num(found)
