"""Purchases that campaigns added, by the goods of their deals, and what that says of the response of the next plan."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from crmkit._checks import require_columns
from crmkit.campaigns.effect import group_of

__all__ = ["ResponseScale", "added_purchases", "response_scale"]

PRIOR_SD = 0.5
"""How far the response may be from the assumed one before anything was measured, as a share of it."""


def added_purchases(pairs: pd.DataFrame, planned: pd.DataFrame, control: pd.DataFrame, by: str) -> pd.DataFrame:
    """Purchases of the deals' goods that a campaign added, by a column of the pairs.

    Every member in the plan or held back is counted with each deal of a category that they buy in, offered or not
    (intention to treat); what was expected of them anyway is taken off, which makes the comparison sharper.

    Parameters
    ----------
    pairs : DataFrame
        customer_id, p_anyway, bought (whether the goods were bought on the campaign's days), and ``by``.
    planned, control : DataFrame
        customer_id, as in `OfferResult`.
    by : str
        deal_id or funder, say.

    Returns
    -------
    DataFrame
        ``by``, lift (purchases added in all), se.

    Examples
    --------
    >>> pairs = pd.DataFrame({"customer_id": list("abcdef"), "deal_id": "D1", "p_anyway": 0.5, "bought": [1, 1, 0, 0, 1, 0]})
    >>> groups = [pd.DataFrame({"customer_id": list(ids)}) for ids in ("abc", "def")]
    >>> added_purchases(pairs, *groups, by="deal_id").round(3)
      deal_id  lift     se
    0      D1   1.0  1.414
    """
    require_columns(pairs, ["customer_id", "p_anyway", "bought", by], "pairs")
    groups = [group_of("planned", planned), group_of("control", control)]
    excess = pairs["bought"].astype(float) - pairs["p_anyway"]
    sums = excess.groupby([pairs[by], pairs["customer_id"]]).sum()
    squares = sums**2
    n, parts = [len(ids) for ids in groups], []
    for ids, size in zip(groups, n, strict=True):
        own = sums.index.get_level_values(1).isin(ids)
        total, square = (one[own].groupby(level=0).sum() for one in (sums, squares))
        parts.append((total / size, (square - total**2 / size) / (size - 1) / size))
    table = pd.DataFrame({"one": parts[0][0], "other": parts[1][0], "v": parts[0][1], "w": parts[1][1]}).fillna(0.0)
    lift, se = n[0] * (table["one"] - table["other"]), n[0] * np.sqrt((table["v"] + table["w"]).clip(lower=0))
    return pd.DataFrame({"lift": lift, "se": se}).rename_axis(by).reset_index()


@dataclass(frozen=True)
class ResponseScale:
    """How the response to deals compares with the assumed one: 1 is as assumed; prints as a sentence.

    Attributes
    ----------
    scale, sd : float
        Posterior mean and standard deviation.
    low, high : float
        95 % interval.
    weight : float
        Share of the information that was measured.
    campaigns : int
    """

    scale: float
    sd: float
    weight: float
    campaigns: int

    @property
    def low(self) -> float:
        return self.scale - 1.96 * self.sd

    @property
    def high(self) -> float:
        return self.scale + 1.96 * self.sd

    def __str__(self) -> str:
        return (
            f"Over {self.campaigns:,} campaigns the response to deals is {self.scale:.2f} times the assumed one (95% interval "
            f"{self.low:.2f} to {self.high:.2f}); {self.weight:.0%} of the information is measured."
        )


def response_scale(effects: pd.DataFrame, prior_sd: float = PRIOR_SD) -> ResponseScale:
    """The response over all campaigns: each adds its evidence to the posterior of those before.

    With the scale s a campaign should have added ``s S`` purchases, S being expected under the assumed response, and was
    measured to have added L with a standard error e. The posterior of s is normal, with precision
    ``1 / prior_sd^2 + sum S^2 / e^2`` and mean ``(1 / prior_sd^2 + sum S L / e^2) / precision``.

    Parameters
    ----------
    effects : DataFrame
        expected_lift, lift, lift_se: one row per campaign; others than finite ones, and se of 0, do not count.
    prior_sd : float

    Examples
    --------
    >>> print(response_scale(pd.DataFrame({"expected_lift": [20.0] * 4, "lift": [30.0] * 4, "lift_se": [20.0] * 4})))
    Over 4 campaigns the response to deals is 1.25 times the assumed one (95% interval 0.56 to 1.94); 50% of the information is measured.
    """
    require_columns(effects, ["expected_lift", "lift", "lift_se"], "effects")
    known = effects[(effects["lift_se"] > 0) & effects[["expected_lift", "lift"]].notna().all(axis=1)]
    expected, lift, se = (known[name].to_numpy(float) for name in ("expected_lift", "lift", "lift_se"))
    measured, prior = float(((expected / se) ** 2).sum()), 1 / prior_sd**2
    mean = (prior + float((expected * lift / se**2).sum())) / (prior + measured)
    return ResponseScale(mean, 1 / math.sqrt(prior + measured), measured / (prior + measured), len(known))
