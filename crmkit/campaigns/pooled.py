"""Several campaigns together: one effect, with what differs between campaigns in its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import ndtri, stdtrit

from crmkit._types import Floats
from crmkit.campaigns.effect import CampaignEffect
from crmkit.exceptions import ConfigError, ContractError

__all__ = ["PooledEffect", "pooled_effect"]


@dataclass(frozen=True)
class PooledEffect:
    """The mean effect of campaigns per member; prints as a sentence.

    Attributes
    ----------
    effect, low, high : float
        Mean of the campaigns' effects, and its interval.
    spread : float
        Standard deviation of the true effects between campaigns.
    campaigns : DataFrame
        effect, se, weight (share of the information), shrunk (the campaign's own effect, drawn to the mean as far as it is
        noise), in the order given.
    level : float
        Of the interval.
    """

    effect: float
    low: float
    high: float
    spread: float
    campaigns: pd.DataFrame = field(repr=False)
    level: float

    @property
    def seen(self) -> bool:
        """Whether the interval excludes 0."""
        return not self.low <= 0 <= self.high

    def __str__(self) -> str:
        verdict = "" if self.seen else ": no significant effect"
        return (
            f"{len(self.campaigns)} campaigns added {self.effect:+,.4g} per member on average ({self.level:.0%} interval "
            f"{self.low:+,.4g} to {self.high:+,.4g}){verdict}; between campaigns the effect varies by {self.spread:,.4g} (sd)."
        )


def pooled_effect(effects: Sequence[CampaignEffect], level: float = 0.95) -> PooledEffect:
    """Pool the effects of campaigns by a random-effects model.

    Each campaign's effect is its own true effect plus noise, and the true effects vary around a mean. Their variance is
    that at which the weighted squared deviations are as large as expected (Paule and Mandel); the interval of the mean is
    that of Hartung and Knapp, a Student t on the deviations that were seen, and no narrower than without it.

    Parameters
    ----------
    effects : sequence of CampaignEffect
        One at least, each with its control group.
    level : float
        Of the interval.

    Returns
    -------
    PooledEffect

    Raises
    ------
    ContractError
        There is no campaign, or one without an interval.

    References
    ----------
    Paule, R. C., Mandel, J. (1982), "Consensus values and weighting factors", J. Res. Natl. Bur. Stand. 87(5).
    Hartung, J., Knapp, G. (2001), "A refined method for the meta-analysis of controlled clinical trials with binary
    outcome", Statistics in Medicine 20(24).

    Examples
    --------
    >>> made = [CampaignEffect(effect, effect - 3, effect + 3, 100, 900, 100, 0.95, 0) for effect in (1.0, 2.0, 3.0, 2.0)]
    >>> print(pooled_effect(made))
    4 campaigns added +2 per member on average (95% interval -0.4356 to +4.436): no significant effect; between campaigns the effect varies by 0 (sd).
    """
    if not 0 < level < 1:
        raise ConfigError(f"level={level!r} is not between 0 and 1.")
    if not effects:
        raise ContractError("There are no campaigns to pool. Pass at least one CampaignEffect.")
    y = np.array([one.effect for one in effects], dtype=float)
    se = np.array([(one.high - one.low) / 2 / float(ndtri((1 + one.level) / 2)) for one in effects])
    if not (np.isfinite(y).all() and np.isfinite(se).all() and (se > 0).all()):
        raise ContractError("A campaign's effect has no interval of its own. Measure it with campaign_effect first.")
    variance = _between(y, se)
    weight = 1 / (se**2 + variance)
    mean = float(weight @ y / weight.sum())
    half = _half_width(y, weight, mean, level)
    kept = variance / (variance + se**2)
    table = pd.DataFrame(
        {"effect": y, "se": se, "weight": weight / weight.sum(), "shrunk": kept * y + (1 - kept) * mean}
    )
    return PooledEffect(mean, mean - half, mean + half, math.sqrt(variance), table, level)


def _between(y: Floats, se: Floats) -> float:
    """Variance of the true effects: where the generalised Q statistic equals its degrees of freedom; 0 if it never is above."""

    def excess(variance: float) -> float:
        weight = 1 / (se**2 + variance)
        return float(weight @ (y - weight @ y / weight.sum()) ** 2) - (len(y) - 1)

    if len(y) < 2 or excess(0.0) <= 0:
        return 0.0
    top = float((y - y.mean()) @ (y - y.mean())) + float((se**2).max())
    return float(brentq(excess, 0.0, top))


def _half_width(y: Floats, weight: Floats, mean: float, level: float) -> float:
    known = float(ndtri((1 + level) / 2)) / math.sqrt(weight.sum())
    if len(y) < 2:
        return known
    inflated = max(float(weight @ (y - mean) ** 2) / (len(y) - 1), 1.0)
    return float(stdtrit(len(y) - 1, (1 + level) / 2)) * math.sqrt(inflated / weight.sum())
