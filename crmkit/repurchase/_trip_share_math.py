"""A member's shopping trips, and the share of them on which an item is bought, as formulas on arrays.

Trips come as a Poisson process of rate λ ~ Gamma, an item is on the list of a trip with probability q ~ Beta (the
trips and the shares of Ehrenberg 1959 and of Skellam 1948). Past days are decayed: a day of age a counts exp(−a / τ), and the
days that were watched count as much, so that both posteriors keep their closed form and forget.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from crmkit._types import Floats, Ints
from crmkit.repurchase._gamma_math import log_gamma
from crmkit.repurchase._newton import Curvature, maximise_groups
from crmkit.repurchase._rates_math import summed

__all__ = [
    "GammaRate",
    "decayed_days",
    "fit_beta_shares",
    "fit_gamma_counts",
    "purchase_rate",
    "runs",
    "waits_longer",
    "weeks_longer",
]

_STEPS = 40
_TOLERANCE = 1e-7


class GammaRate(NamedTuple):
    """Shape and rate (days) of a gamma-distributed number of purchases a day."""

    shape: Floats
    rate: Floats


def decayed_days(T: Floats, tau: float) -> Floats:
    """∫₀ᵀ exp(−a / τ) da: how much T watched days weigh."""
    days: Floats = -tau * np.expm1(-T / tau)
    return days


def runs(*columns: Floats) -> tuple[Ints, Ints]:
    """First row, and length, of every run of rows with equal columns: what depends on these alone is computed once for each.

    >>> [found.tolist() for found in runs(np.array([3.0, 3.0, 3.0, 5.0]), np.array([1.0, 1.0, 2.0, 2.0]))]
    [[0, 2, 3], [2, 1, 1]]
    """
    first = np.ones(len(columns[0]), dtype=bool)
    first[1:] = np.logical_or.reduce([values[1:] != values[:-1] for values in columns])
    start: Ints = np.flatnonzero(first)
    return start, np.diff(start, append=len(first))


def fit_gamma_counts(x: Floats, t: Floats, weight: Floats | None = None) -> tuple[float, float]:
    """Shape and rate of highest likelihood of Poisson counts ``x``, whole or decayed, over exposures ``t``.

    A weak normal prior of standard deviation 3 on the logarithms keeps them finite where counts do not vary.
    """
    weights = np.ones_like(x) if weight is None else weight
    centre = np.log([1.0, max(float(t @ weights), 1.0) / max(float(x @ weights), 0.1)])

    def loss(theta: Floats) -> tuple[float, Floats]:
        r, a = np.exp(theta)
        value, d_r, _ = (more - less for more, less in zip(log_gamma(r + x), log_gamma(np.array([r])), strict=True))
        value = value + r * np.log(a) - (r + x) * np.log(a + t)
        d_r = d_r + np.log(a) - np.log(a + t)
        d_a = r / a - (r + x) / (a + t)
        away = theta - centre
        slope = np.array([r * float(weights @ d_r), a * float(weights @ d_a)])
        return -float(weights @ value) + float(away @ away) / 18, -slope + away / 9

    found = np.exp(minimize(loss, centre, jac=True, method="L-BFGS-B", bounds=[(-12, 12), (-12, 12)]).x)
    return float(found[0]), float(found[1])


def fit_beta_shares(
    group: Ints, k: Floats, n: Floats, n_groups: int, centre: tuple[float, float], strength: float = 1.0
) -> tuple[Floats, Floats]:
    """ln a and ln b of every group at once, of k purchases on n trips, whole or decayed, by damped Newton steps.

    Each group is shrunk to ``centre`` (ln a, ln b) by a normal prior of precision ``strength``.
    """
    start = np.full(n_groups, centre[0]), np.full(n_groups, centre[1])
    sums = partial(_beta_sums, group, np.minimum(k, n), n)
    return maximise_groups(sums, start, centre, strength, _STEPS, _TOLERANCE)


def _beta_sums(group: Ints, k: Floats, n: Floats, log_a: Floats, log_b: Floats) -> tuple[Floats, Curvature]:
    """The beta-binomial log-likelihood without its factors of k and n alone, and its derivatives in (ln a, ln b), per group."""
    a, b = np.exp(log_a), np.exp(log_b)
    count, a_k, b_k = np.bincount(group, minlength=len(a)), a[group] + k, b[group] + n - k
    of_a, of_b, of_both = (
        [
            summed(group, mine, len(a)) - count * prior
            for mine, prior in zip(log_gamma(own), log_gamma(start), strict=True)
        ]
        for own, start in ((a_k, a), (b_k, b), (a_k + b_k, a + b))
    )
    d_a, d_b = of_a[1] - of_both[1], of_b[1] - of_both[1]
    d_aa, d_bb = of_a[2] - of_both[2], of_b[2] - of_both[2]
    curvature = Curvature(a * d_a, b * d_b, a * (a * d_aa + d_a), b * (b * d_bb + d_b), -a * b * of_both[2])
    return of_a[0] + of_b[0] - of_both[0], curvature


def purchase_rate(trips: GammaRate, a: Floats, b: Floats) -> GammaRate:
    """The gamma of the same mean and variance as (trips a day) × (share of trips), for a share ~ Beta(a, b)."""
    mean_trips, mean_share = trips.shape / trips.rate, a / (a + b)
    square_trips = mean_trips**2 + mean_trips / trips.rate
    square_share = mean_share * (a + 1) / (a + b + 1)
    mean = mean_trips * mean_share
    spread = square_trips * square_share - mean**2
    return GammaRate(mean**2 / spread, mean / spread)


def waits_longer(rate: GammaRate, day: float) -> Floats:
    """P(no purchase within ``day`` days) at a gamma-distributed rate: (rate / (rate + day))^shape."""
    return np.exp(-rate.shape * np.log1p(day / rate.rate))


def weeks_longer(rate: GammaRate, weeks: int) -> Floats:
    """P(no purchase by the end of week 0, 1, …), shape (n, weeks + 1)."""
    return np.column_stack([waits_longer(rate, 7.0 * week) for week in range(weeks + 1)])
