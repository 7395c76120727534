"""The effect of a campaign: members in the plan against members held back.

They are compared as they were drawn (intention to treat): all members in the plan, with an offer or without, against the
control group. The difference is then due to the campaign and not to the choice of who gets which offer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmkit._types import Floats
from crmkit.campaigns._interval_math import difference_interval
from crmkit.displays import InNotebook
from crmkit.exceptions import ConfigError, ContractError

if TYPE_CHECKING:
    from crmkit._types import Ids

__all__ = ["CampaignEffect", "campaign_effect", "group_of"]


@dataclass(frozen=True)
class CampaignEffect(InNotebook):
    """The effect of a campaign per member; prints as a sentence.

    Attributes
    ----------
    effect, low, high : float
        Difference of the means, and its interval.
    mean : float
        Of the members held back.
    planned, held_back : int
        Members.
    level : float
        Of the interval.
    correlation : float
        Of the outcome with the time before; 0 without CUPED.
    se, sd : float
        Standard error of the effect, and standard deviation of a member's (adjusted) outcome.
    """

    effect: float
    low: float
    high: float
    mean: float
    planned: int
    held_back: int
    level: float
    correlation: float
    se: float
    sd: float

    @property
    def seen(self) -> bool:
        """Whether the interval excludes 0."""
        return not self.low <= 0 <= self.high

    def __str__(self) -> str:
        lift = f", {self.effect / self.mean:+.1%} of {self.mean:,.4g}" if self.mean > 0 else ""
        cuped = f", with CUPED (correlation {self.correlation:.2f})" if self.correlation else ""
        verdict = "" if self.seen else ": no significant effect"
        return (
            f"The campaign added {self.effect:+,.4g} per member ({self.level:.0%} interval {self.low:+,.4g} to "
            f"{self.high:+,.4g}{lift}){verdict}; {self.planned:,} members in the plan, {self.held_back:,} held back{cuped}."
        )


def campaign_effect(
    outcome: pd.Series,
    planned: pd.DataFrame | Ids,
    control: pd.DataFrame | Ids,
    before: pd.Series | None = None,
    level: float = 0.95,
) -> CampaignEffect:
    """Difference in means between the members in the plan and those held back.

    The interval holds for small groups of skewed spend too: up to 400 members in the smaller group it is that of the
    randomisation distribution, below ten Welch's t.

    With ``before`` the outcome is adjusted for what each member did earlier (CUPED): ``y - b (x - mean(x))``, b being the
    slope within the two groups.

    Parameters
    ----------
    outcome : Series of float
        Customer id → what the member did in the campaign's days, the spend say; who is not in it did nothing (0).
    planned, control : DataFrame with customer_id, or sequence of ids
        ``OfferResult.planned`` (members with an offer or without) and ``OfferResult.control``.
    before : Series of float, optional
        The same of a stretch of time before.
    level : float
        Probability that the interval holds the effect.

    Returns
    -------
    CampaignEffect

    Raises
    ------
    ContractError
        A member is in both groups, a group has fewer than two members, or an outcome is not a finite number.

    References
    ----------
    Deng, A., Xu, Y., Kohavi, R., Walker, T. (2013), "Improving the sensitivity of online controlled experiments by
    utilizing pre-experiment data", WSDM.

    Examples
    --------
    >>> spend = pd.Series({"a": 12.0, "b": 11.0, "c": 13.0, "d": 9.0, "e": 10.0})
    >>> print(campaign_effect(spend, planned=["a", "b", "c"], control=["d", "e", "f"]))
    The campaign added +5.667 per member (95% interval -7.447 to +18.78, +89.5% of 6.333): no significant effect; 3 members in the plan, 3 held back.
    """
    if not 0 < level < 1:
        raise ConfigError(f"level={level!r} is not between 0 and 1.")
    groups = [group_of("planned", planned), group_of("control", control)]
    if len(both := groups[0].intersection(groups[1])):
        raise ContractError(f"{len(both):,} members are both in planned and in control. Pass the tables of one plan.")
    after = [_of_members("outcome", outcome, ids) for ids in groups]
    slope = correlation = 0.0
    adjusted = after
    if before is not None:
        earlier = [_of_members("before", before, ids) for ids in groups]
        slope, correlation = _within(earlier, after)
        adjusted = [y - slope * (x - np.concatenate(earlier).mean()) for x, y in zip(earlier, after, strict=True)]
    effect = float(adjusted[0].mean() - adjusted[1].mean())
    low, high = difference_interval(adjusted[0], adjusted[1], level)
    mean, n = float(adjusted[1].mean()), [len(ids) for ids in groups]
    variances = [float(values.var(ddof=1)) for values in adjusted]
    se = math.sqrt(sum(variance / size for variance, size in zip(variances, n, strict=True)))
    sd = math.sqrt(sum(variance * (size - 1) for variance, size in zip(variances, n, strict=True)) / (sum(n) - 2))
    return CampaignEffect(effect, low, high, mean, n[0], n[1], level, correlation, se, sd)


def group_of(name: str, given: pd.DataFrame | Ids) -> pd.Index:
    """The members of a group, a table with customer_id or their ids; two at least."""
    ids: pd.Index = pd.Index(given["customer_id"] if isinstance(given, pd.DataFrame) else given).unique()
    if len(ids) < 2:
        raise ContractError(f"{name} has {len(ids)} members; at least two are needed to estimate the variance.")
    return ids


def _of_members(name: str, values: pd.Series, ids: pd.Index) -> Floats:
    found = values.groupby(level=0).sum(min_count=1).reindex(ids, fill_value=0).to_numpy(float)
    if not np.isfinite(found).all():
        raise ContractError(f"{name} is missing or infinite for {int((~np.isfinite(found)).sum()):,} members.")
    return found


def _within(earlier: Sequence[Floats], after: Sequence[Floats]) -> tuple[float, float]:
    """Slope and correlation within the groups; 0 where nothing varies."""
    x, y = (np.concatenate([values - values.mean() for values in groups]) for groups in (earlier, after))
    if not (x.any() and y.any()):
        return 0.0, 0.0
    return float(x @ y / (x @ x)), float(x @ y / math.sqrt((x @ x) * (y @ y)))
