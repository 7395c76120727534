"""What a group of customers is worth together, and how far such a forecast can be off."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

from crmkit._types import Floats, Interval
from crmkit.displays import InNotebook
from crmkit.exceptions import ModelError

__all__ = ["CohortValue", "PastTotals"]

_SPREAD, _FREEDOM, _WEIGHT = 0.20, 2.0, 1.0


@dataclass(frozen=True)
class PastTotals:
    """Totals that were predicted at past origins, and what came; made by `past_totals`.

    Attributes
    ----------
    predicted, actual : tuple of float
        One pair an origin, all above 0.
    horizon : int
        Days ahead of each.

    Examples
    --------
    >>> PastTotals(predicted=(100.0, 120.0), actual=(110.0, 114.0), horizon=90)
    PastTotals(predicted=(100.0, 120.0), actual=(110.0, 114.0), horizon=90)
    """

    predicted: tuple[float, ...]
    actual: tuple[float, ...]
    horizon: int

    def __post_init__(self) -> None:
        if len(self.predicted) != len(self.actual) or not all(value > 0 for value in (*self.predicted, *self.actual)):
            raise ModelError("Past totals come in pairs, predicted and actual, all of them above 0.")

    @property
    def log_errors(self) -> Floats:
        """Logarithm of actual over predicted, of each origin."""
        errors: Floats = np.log(
            np.asarray(self.actual, dtype=np.float64) / np.asarray(self.predicted, dtype=np.float64)
        )
        return errors


class Level(NamedTuple):
    """The logarithm of actual over predicted total, as a Student distribution."""

    centre: float
    scale: float
    freedom: float

    def draws(self, n: int, rng: np.random.Generator) -> Floats:
        """Factors on a total, ``n`` even quantiles of their distribution in random order."""
        even: Floats = student.ppf((np.arange(n) + 0.5) / n, self.freedom)
        return np.exp(self.centre + self.scale * rng.permutation(even))


def level_of(past: PastTotals | None, horizon: float) -> Level:
    """How far the level of a forecast may be off, judged by past ones: the predictive of a normal mean and variance.

    The errors of past origins (a trend, a season, a model that is wrong) are a sample of what the next one will be. With few
    of them a prior counts: a standard deviation of 20 % of the logarithm with the weight of 2 observations, a mean of 0 with
    the weight of 1 (Gelman et al. 2013, Bayesian Data Analysis, section 3.3); without any it is taken to be right. Where past
    windows were shorter than the horizon, the variance grows in proportion, as that of a level that drifts.
    """
    errors = past.log_errors if past else np.empty(0)
    n = len(errors)
    if not n:
        return Level(0.0, float(np.sqrt(1 + 1 / _WEIGHT)) * _SPREAD, np.inf)
    mean = float(errors.mean())
    weight, freedom = _WEIGHT + n, _FREEDOM + n
    squares = _FREEDOM * _SPREAD**2 + float(((errors - mean) ** 2).sum()) + _WEIGHT * n / weight * mean**2
    longer = max(1.0, horizon / past.horizon) if past else 1.0
    return Level(n * mean / weight, float(np.sqrt(squares / freedom * (1 + 1 / weight) * longer)), freedom)


@dataclass(frozen=True)
class CohortValue(InNotebook):
    """What a group of customers is worth together; prints as sentences.

    Attributes
    ----------
    expected : Interval
        estimate, low, high of the model's expected value, if the model is right: how well its parameters are known.
    realised : Interval or None
        What they will really bring: the estimate moved by the mean of past errors, shrunk, and an interval that holds the
        level (by past forecasts), chance and the parameters. None for an infinite horizon.
    level : float
        Coverage aimed for.
    n_customers, n_one_time : int
        All, and those without a repeat purchase.
    value_one_time : float
        The part of the expected value that one-time buyers hold.
    spend_one_time : float
        What the spend model expects of each of their purchases, on average.
    past : PastTotals or None
        What the level was judged by; None: by a prior alone.
    note : str
        On spend and frequency.
    """

    expected: Interval
    realised: Interval | None
    level: float
    n_customers: int
    n_one_time: int
    value_one_time: float
    spend_one_time: float
    past: PastTotals | None = field(repr=False, default=None)
    note: str = field(repr=False, default="")

    def of_more(self, n_customers: int, times: float) -> CohortValue:
        """The same of more customers, of whom these are a sample: their value is so many times that of these."""
        expected, realised = (
            None if one is None else Interval(*(number * times for number in one))
            for one in (self.expected, self.realised)
        )
        assert expected is not None
        return replace(
            self,
            expected=expected,
            realised=realised,
            n_customers=n_customers,
            n_one_time=round(self.n_one_time * n_customers / self.n_customers),
            value_one_time=self.value_one_time * times,
        )

    def __str__(self) -> str:
        value, low, high = self.expected
        lines = [
            f"{self.n_customers:,} customers: {value:,.0f} expected. If the model is right, uncertainty of its parameters "
            f"alone gives {low:,.0f} to {high:,.0f} ({self.level:.0%})."
        ]
        if self.realised:
            lines.append(
                f"Actual value: {self.realised.low:,.0f} to {self.realised.high:,.0f} ({self.level:.0%}), with the "
                f"uncertainty of the overall level, chance and parameters. {self.judged_by}"
            )
        lines.append(
            f"{self.n_one_time:,} of them bought once; the spend model expects {self.spend_one_time:,.2f} per purchase of "
            f"such customers, {self.value_one_time:,.0f} in all."
        )
        return "\n".join([*lines, *([self.note] if self.note else [])])

    @property
    def judged_by(self) -> str:
        """What the level of the forecast was judged by, in words."""
        if self.past is None or not self.past.actual:
            return f"No past forecasts were given (past=), so a standard deviation of {_SPREAD:.0%} of the level is assumed."
        errors = np.exp(self.past.log_errors) - 1
        n = len(errors)
        return (
            f"At {n} past origin{'s' * (n > 1)} the {self.past.horizon}-day total was {errors.min():+.0%}"
            + (f" to {errors.max():+.0%}" if n > 1 else "")
            + " against the forecast."
        )
