"""Sample size of an experiment: members needed to detect an effect of a stated size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from crmkit.displays import InNotebook
from crmkit.exceptions import ConfigError, ContractError

if TYPE_CHECKING:
    from crmkit._types import Floats

__all__ = ["HoldoutSize", "holdout_size"]


@dataclass(frozen=True)
class HoldoutSize(InNotebook):
    """Members that are needed; prints as a sentence.

    Attributes
    ----------
    treated, held_out : int
        Members with the offer, and without.
    treated_cuped, held_out_cuped : int
        The same when the outcome is adjusted for what each member did before (CUPED).
    mean, sd, correlation : float
        Of the outcome, and its correlation with the time before.
    effect : float
        In the unit of the outcome.
    """

    treated: int
    held_out: int
    treated_cuped: int
    held_out_cuped: int
    mean: float
    sd: float
    correlation: float
    effect: float

    @property
    def total(self) -> int:
        """Members in all, without CUPED."""
        return self.treated + self.held_out

    @property
    def total_cuped(self) -> int:
        """Members in all, with CUPED."""
        return self.treated_cuped + self.held_out_cuped

    def __str__(self) -> str:
        cuped = f"; with CUPED (correlation {self.correlation:.2f}) {self.held_out_cuped:,} of {self.total_cuped:,}"
        return (
            f"To detect an effect of {self.effect:,.4g} on a mean of {self.mean:,.4g} (sd {self.sd:,.4g}), hold out "
            f"{self.held_out:,} of {self.total:,} members{cuped if self.correlation else ''}."
        )


def holdout_size(
    lift: float,
    *,
    history: ArrayLike | None = None,
    before: ArrayLike | None = None,
    mean: float | None = None,
    sd: float | None = None,
    correlation: float = 0.0,
    share: float = 0.5,
    power: float = 0.8,
    level: float = 0.05,
) -> HoldoutSize:
    """Members needed to detect a relative effect with a two-sided test of two means.

    Give what members did (``history``, say their spend in 28 days, and ``before``, the 28 days before those), or its
    mean and standard deviation. Of a rate give the mean alone: its standard deviation follows.

    With variance ``sd^2``, a share h held out and effect ``d = lift mean`` the number in all is::

        n = (z_{1 - level / 2} + z_power)^2 sd^2 / (d^2 h (1 - h))

    and with CUPED ``sd^2 (1 - correlation^2)`` stands for ``sd^2``.

    Parameters
    ----------
    lift : float
        Relative effect: 0.03 is 3 % more than without.
    history, before : arrays of float, shape (n_members,), optional
        Outcome of each member in a stretch of time, and in the one before it.
    mean, sd, correlation : float, optional
        Instead of ``history``.
    share : float
        Share that is held out.
    power, level : float
        Probability of detecting the effect, and significance level.

    Returns
    -------
    HoldoutSize

    Raises
    ------
    ConfigError
        A number is out of its range, or neither history nor mean is given.
    ContractError
        ``history`` and ``before`` are not of the same members.

    References
    ----------
    Deng, A., Xu, Y., Kohavi, R., Walker, T. (2013), "Improving the sensitivity of online controlled experiments by
    utilizing pre-experiment data", WSDM.

    Examples
    --------
    >>> print(holdout_size(0.10, mean=0.106, share=0.1))
    To detect an effect of 0.0106 on a mean of 0.106 (sd 0.3078), hold out 7,356 of 73,554 members.
    """
    from scipy.special import ndtri

    mean, sd, correlation = _moments(history, before, mean, sd, correlation)
    _check(lift=(lift, -1.0, 100.0), share=(share, 0, 1), power=(power, 0, 1), level=(level, 0, 1))
    effect = lift * mean
    if effect == 0 or not sd > 0 or abs(correlation) >= 1:
        raise ConfigError(
            f"An effect of {effect:g} on an outcome with sd {sd:g} and correlation {correlation:g} cannot be detected: "
            "lift, mean and sd must differ from 0, the correlation from 1."
        )
    needed = (ndtri(1 - level / 2) + ndtri(power)) ** 2 * (sd / effect) ** 2
    plain = [math.ceil(needed / part) for part in (share, 1 - share)]
    cuped = [math.ceil(needed * (1 - correlation**2) / part) for part in (share, 1 - share)]
    return HoldoutSize(plain[0], plain[1], cuped[0], cuped[1], mean, sd, correlation, effect)


def _moments(
    history: ArrayLike | None, before: ArrayLike | None, mean: float | None, sd: float | None, correlation: float
) -> tuple[float, float, float]:
    if history is None:
        if mean is None:
            raise ConfigError("Neither history nor mean is given. Pass history=…, or mean= and sd=.")
        if sd is None and not 0 < mean < 1:
            raise ConfigError(f"sd is missing: mean={mean!r} is not a rate between 0 and 1.")
        return mean, math.sqrt(mean * (1 - mean)) if sd is None else sd, correlation
    outcome = _numbers("history", history)
    if before is None:
        return float(outcome.mean()), float(outcome.std(ddof=1)), correlation
    earlier = _numbers("before", before)
    if len(earlier) != len(outcome):
        raise ContractError(
            f"before has {len(earlier):,} members, history {len(outcome):,}. Give both of the same, in one order."
        )
    varies = outcome.std() > 0 and earlier.std() > 0
    return (
        float(outcome.mean()), float(outcome.std(ddof=1)), float(np.corrcoef(outcome, earlier)[0, 1]) if varies else 0.0
    )  # fmt: skip


def _numbers(name: str, values: ArrayLike) -> Floats:
    found = np.asarray(values, dtype=float)
    if found.ndim != 1 or len(found) < 2 or not np.isfinite(found).all():
        raise ContractError(f"{name} is not a column of at least two finite numbers, one per member.")
    return found


def _check(**ranges: tuple[float, float, float]) -> None:
    faults = [
        f"{name}={value!r} is not between {low:g} and {high:g}"
        for name, (value, low, high) in ranges.items()
        if not low < value < high
    ]
    if faults:
        raise ConfigError("; ".join(faults) + ".")
