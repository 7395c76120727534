"""Campaigns together: what they brought on average, and how large a control group would have to be to see it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import ndtri, stdtrit

from crmkit._checks import require_columns
from crmkit._types import Floats
from crmkit.campaigns.sample_size import holdout_size
from crmkit.exceptions import ConfigError, ContractError

__all__ = ["PooledEffect", "control_sentence", "pool_effects"]


@dataclass(frozen=True)
class PooledEffect:
    """The mean effect of campaigns, each of which has its own; prints as a sentence.

    Attributes
    ----------
    effect, low, high : float
        Mean of the effects per member, and its interval.
    spread : float
        Standard deviation of the campaigns' true effects around it.
    campaigns : int
    level : float
    """

    effect: float
    low: float
    high: float
    spread: float
    campaigns: int
    level: float

    def __str__(self) -> str:
        verdict = "" if not self.low <= 0 <= self.high else ": no significant effect"
        return (
            f"{self.campaigns:,} campaigns added {self.effect:+,.4g} per member on average ({self.level:.0%} interval "
            f"{self.low:+,.4g} to {self.high:+,.4g}){verdict}; their true effects differ by {self.spread:,.4g} (standard "
            "deviation)."
        )


def pool_effects(effects: pd.DataFrame, level: float = 0.95) -> PooledEffect:
    """Random effects: campaigns weighed by how exactly each was measured and by how much they differ.

    The variance between campaigns is that of Paule and Mandel; the interval of the mean is Student's with the weighted
    residual variance (Hartung and Knapp), which holds what it says for few campaigns too.

    Parameters
    ----------
    effects : DataFrame
        effect, se: one row per campaign, as many as were measured.
    level : float

    Returns
    -------
    PooledEffect
        Of a single campaign its own effect, with a normal interval.

    Raises
    ------
    ContractError
        A column is missing, there is no campaign, or a standard error is not above 0.

    References
    ----------
    IntHout, J., Ioannidis, J. P. A., Borm, G. F. (2014), "The Hartung-Knapp-Sidik-Jonkman method for random effects
    meta-analysis is straightforward and considerably outperforms the standard DerSimonian-Laird method", BMC Medical
    Research Methodology 14.

    Examples
    --------
    >>> print(pool_effects(pd.DataFrame({"effect": [1.0, 2.0, 3.0], "se": [1.0, 1.0, 1.0]})))
    3 campaigns added +2 per member on average (95% interval -0.4841 to +4.484): no significant effect; their true effects differ by 0 (standard deviation).
    """
    if not 0 < level < 1:
        raise ConfigError(f"level={level!r} is not between 0 and 1.")
    require_columns(effects, ["effect", "se"], "effects")
    y, variance = effects["effect"].to_numpy(float), effects["se"].to_numpy(float) ** 2
    if not len(y) or not (np.isfinite(y).all() and (variance > 0).all() and np.isfinite(variance).all()):
        raise ContractError(
            "effects needs at least one campaign, each with a finite effect and a standard error above 0."
        )
    between = _between(y, variance)
    weight = 1 / (variance + between)
    mean = float(weight @ y / weight.sum())
    if len(y) == 1:
        half = float(ndtri((1 + level) / 2)) * math.sqrt(variance[0])
        return PooledEffect(mean, mean - half, mean + half, 0.0, 1, level)
    residual = float(weight @ (y - mean) ** 2 / (len(y) - 1))
    half = float(stdtrit(len(y) - 1, (1 + level) / 2)) * math.sqrt(max(residual, 1.0) / weight.sum())
    return PooledEffect(mean, mean - half, mean + half, math.sqrt(between), len(y), level)


def _between(y: Floats, variance: Floats) -> float:
    """The variance between campaigns at which the weighted residuals are as large as they should be."""

    def excess(between: float) -> float:
        weight = 1 / (variance + between)
        mean = weight @ y / weight.sum()
        return float(weight @ (y - mean) ** 2) - (len(y) - 1)

    if len(y) == 1 or excess(0.0) <= 0:
        return 0.0
    high = float(np.var(y) * len(y) + variance.max())
    while excess(high) > 0:
        high *= 2
    return float(brentq(excess, 0.0, high))


def control_sentence(mean: float, sd: float, planned: int, held_back: int, lift: float = 0.05) -> str:
    """Whether a control group of this size can see an effect of ``lift``, and else how many it would need.

    Parameters
    ----------
    mean, sd : float
        Of the outcome of a member, adjusted for the time before where it is.
    planned, held_back : int
        Members.
    lift : float
        Effect as a share of the mean.

    Examples
    --------
    >>> control_sentence(100.0, 80.0, planned=540, held_back=60)
    'A control group of 60 cannot see an effect of 5%: it would need 2,233 of 22,327 members.'
    """
    if not (mean > 0 and sd > 0):
        return ""
    share = held_back / (planned + held_back)
    needed = holdout_size(lift, mean=mean, sd=sd, share=share)
    if needed.held_out <= held_back:
        return ""
    return (
        f"A control group of {held_back:,} cannot see an effect of {lift:.0%}: it would need {needed.held_out:,} of "
        f"{needed.total:,} members."
    )
