"""Repurchase timing as formulas on arrays: purchases at a gamma-distributed rate, which may stop.

A pair (customer, item) buys as a Poisson process of rate λ from its first purchase on, λ ~ Gamma(r, α) over the pairs
of an item (Ehrenberg 1959, The pattern of consumer purchases, Applied Statistics 8); after any purchase, the first too,
it stops for good with a probability p that differs between pairs (Fader, Hardie & Lee 2005, with the beta distribution
of p replaced by free weights on six values).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import gammaln, psi

from crmkit._types import Floats, Ints
from crmkit.repurchase._newton import Curvature, maximise_groups

STOPPING = np.array([0.002, 0.01, 0.03, 0.08, 0.2, 0.5])
OWN_PAIRS = 20.0

_STEPS = 60
_ROUNDS = 30
_TOLERANCE = 1e-8


@dataclass(frozen=True)
class Cells:
    """The distinct (group, whole value) of some rows.

    Parameters
    ----------
    group, value : arrays, one element per cell
    cell_of : array, one element per row
    """

    group: Ints
    value: Floats
    cell_of: Ints

    @classmethod
    def of(cls, group: Ints, value: Floats) -> Cells:
        """Find the cells of rows."""
        width = int(value.max(initial=0)) + 1
        key, cell_of = np.unique(group.astype(np.int64) * width + value.astype(np.int64), return_inverse=True)
        return cls(key // width, (key % width).astype(np.float64), cell_of)

    def sums(self, weights: Floats) -> Floats:
        """Sum of a weight of the rows of each cell."""
        return summed(self.cell_of, weights, len(self.group))


@dataclass(frozen=True)
class GammaCells:
    """What the likelihood of purchases at gamma rates needs, summed over pairs: the cost of a fit does not grow with
    pairs but with the distinct (group, purchases) and (group, exposure).

    Parameters
    ----------
    n_groups : int
    x_group, x, x_count : arrays
        How many pairs of the group made x purchases.
    t_group, t, t_count, t_purchases : arrays
        How many pairs of the group were exposed for t days, and their purchases.
    """

    n_groups: int
    x_group: Ints
    x: Floats
    x_count: Floats
    t_group: Ints
    t: Floats
    t_count: Floats
    t_purchases: Floats

    @classmethod
    def of(cls, group: Ints, x: Floats, t: Floats, n_groups: int) -> GammaCells:
        """Sum pairs into cells."""
        x_cells, t_cells = Cells.of(group, x), Cells.of(group, t)
        return cls(
            n_groups,
            x_cells.group,
            x_cells.value,
            x_cells.sums(np.ones_like(x)),
            t_cells.group,
            t_cells.value,
            t_cells.sums(np.ones_like(t)),
            t_cells.sums(x),
        )

    def by_x(self, values: Floats) -> Floats:
        """Sum over the pairs of each group of a function of x."""
        return summed(self.x_group, self.x_count * values, self.n_groups)

    def by_t(self, values: Floats) -> Floats:
        """Sum over the cells of each group of a function of t."""
        return summed(self.t_group, values, self.n_groups)


def summed(group: Ints, values: Floats, n_groups: int) -> Floats:
    """Sum of the values of each group."""
    return np.bincount(group, values, n_groups).astype(np.float64, copy=False)


def gamma_log_likelihood(cells: GammaCells, log_r: Floats, log_alpha: Floats) -> Floats:
    """Per group, Σ ln Γ(r+x)/Γ(r) + r ln α − (r+x) ln(α+T): the negative binomial with exposure T, without its factors
    of x and T alone.
    """
    r, alpha = np.exp(log_r), np.exp(log_alpha)
    rising = cells.by_x(gammaln(r[cells.x_group] + cells.x) - gammaln(r[cells.x_group]))
    mass = cells.t_count * r[cells.t_group] + cells.t_purchases
    spread = cells.by_t(-mass * np.log1p(cells.t / alpha[cells.t_group]))
    return rising + spread - cells.by_t(cells.t_purchases) * log_alpha


def gamma_curvature(cells: GammaCells, log_r: Floats, log_alpha: Floats) -> Curvature:
    """Derivatives of `gamma_log_likelihood` in (ln r, ln α), per group."""
    r, alpha = np.exp(log_r), np.exp(log_alpha)
    r_x, r_t, alpha_t = r[cells.x_group], r[cells.t_group], alpha[cells.t_group]
    mass = cells.t_count * r_t + cells.t_purchases
    d_r = cells.by_x(psi(r_x + cells.x) - psi(r_x)) - cells.by_t(cells.t_count * np.log1p(cells.t / alpha_t))
    d_rr = cells.by_x(trigamma(r_x + cells.x) - trigamma(r_x))
    d_a = cells.by_t(cells.t_count * r_t / alpha_t - mass / (alpha_t + cells.t))
    d_aa = cells.by_t(mass / (alpha_t + cells.t) ** 2 - cells.t_count * r_t / alpha_t**2)
    d_ra = cells.by_t(cells.t_count * (1 / alpha_t - 1 / (alpha_t + cells.t)))
    return Curvature(r * d_r, alpha * d_a, r * (r * d_rr + d_r), alpha * (alpha * d_aa + d_a), r * alpha * d_ra)


def trigamma(x: Floats) -> Floats:
    """The second derivative of ln Γ, of positive numbers, to fourteen digits (Abramowitz & Stegun 6.4.6 and 6.4.12)."""
    total = np.zeros_like(x)
    for step in range(10):
        total += 1 / (x + step) ** 2
    y = 1 / (x + 10)
    square = y * y
    series = square * (1 / 6 - square * (1 / 30 - square * (1 / 42 - square * (1 / 30 - square * (5 / 66)))))
    total += y * (1 + y / 2 + series)
    return total


def fit_gamma_rates(
    cells: GammaCells,
    centre: tuple[float, float] = (0.0, 3.0),
    strength: float = 1.0,
    start: tuple[Floats, Floats] | None = None,
    steps: int = _STEPS,
) -> tuple[Floats, Floats]:
    """ln r and ln α of every group at once, by damped Newton steps; each group is shrunk to ``centre``.

    Parameters
    ----------
    cells : GammaCells
    centre : (ln r, ln α)
        Mean of the normal prior on the logarithms.
    strength : float
        Its precision: 1 weighs about as much as the data of a handful of pairs, so that large groups keep their own.
    start : (ln r, ln α), optional
        Where to begin; ``centre`` otherwise.
    steps : int
        Newton steps at most.
    """
    first = start or (np.full(cells.n_groups, centre[0]), np.full(cells.n_groups, centre[1]))
    return maximise_groups(
        partial(gamma_log_likelihood, cells),
        partial(gamma_curvature, cells),
        first,
        centre,
        strength,
        steps,
        _TOLERANCE,
    )


def stop_log_odds(r: Floats, alpha: Floats, x: Floats, t_x: Floats, T: Floats, weights: Floats) -> Floats:
    """ln odds that a pair has stopped: ln B_x − ln A_x + (r+x) ln((α+T)/(α+t_x)).

    A_x = Σ w_j (1−p_j)^(x+1) is the probability of going on after each of x + 1 purchases, B_x = Σ w_j p_j (1−p_j)^x that
    of stopping after the last; ``weights`` (n, 6) are the w_j of each pair's item on `STOPPING`. Fader, Hardie & Lee (2005),
    eq. 7, where a first purchase may be the last (Batislam, Denizel & Filiztekin 2007) and the beta prior is free.
    """
    went_on, stopped = _endings(x, weights)
    odds: Floats = np.log(stopped) - np.log(went_on) + (r + x) * (np.log(alpha + T) - np.log(alpha + t_x))
    return odds


def _endings(x: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """A_x and B_x of `stop_log_odds`, both multiplied by the same factor where they are small."""
    went_on, stopped = np.zeros_like(x), np.zeros_like(x)
    least = np.log1p(-STOPPING[0])
    for j, p in enumerate(STOPPING):
        part = weights[:, j] * np.exp(x * (np.log1p(-p) - least))
        went_on += part * (1 - p)
        stopped += part * p
    return went_on, stopped


@dataclass(frozen=True)
class StoppingRates:
    """Gamma rates and stopping probabilities of items.

    Parameters
    ----------
    log_r, log_alpha : arrays, one element per item
    weights : array (items, 6)
        Share of the item's pairs with each probability of `STOPPING`.
    centre : (ln r, ln α)
        Of all items together.
    pooled : array (6,)
        Weights of all items together.
    """

    log_r: Floats
    log_alpha: Floats
    weights: Floats
    centre: tuple[float, float]
    pooled: Floats


def fit_stopping_rates(group: Ints, x: Floats, t_x: Floats, T: Floats, n_groups: int) -> StoppingRates:
    """Gamma rates per group with a non-parametric mixture over the probability of stopping, by EM.

    First for all groups together, then for each, shrunk to the whole: rates as in `fit_gamma_rates`, weights as by
    `OWN_PAIRS` pairs of the whole added to each group's own (Laird 1978 for the mixture; the E step says who has stopped,
    the M step is one call of the gamma fit in which a stopped pair is exposed only until its last purchase).
    """
    whole = np.zeros_like(group)
    start = np.full(len(STOPPING), 1 / len(STOPPING))
    centre, pooled = _em(whole, x, t_x, T, 1, (0.0, 3.0), start, 1e-3)
    middle = (float(centre[0][0]), float(centre[1][0]))
    (log_r, log_alpha), weights = _em(group, x, t_x, T, n_groups, middle, pooled[0], 1.0)
    return StoppingRates(log_r, log_alpha, weights, middle, pooled[0])


def _em(
    group: Ints,
    x: Floats,
    t_x: Floats,
    T: Floats,
    n_groups: int,
    centre: tuple[float, float],
    pooled: Floats,
    strength: float,
) -> tuple[tuple[Floats, Floats], Floats]:
    x_cells, t_cells = Cells.of(group, x), Cells.of(np.concatenate([group, group]), np.concatenate([T, t_x]))
    n_x, own = x_cells.sums(np.ones_like(x)), OWN_PAIRS if n_groups > 1 else 1e-3
    log_r, log_alpha = (np.full(n_groups, value) for value in centre)
    weights = np.tile(pooled, (n_groups, 1))
    for _ in range(_ROUNDS):
        odds = stop_log_odds(np.exp(log_r)[group], np.exp(log_alpha)[group], x, t_x, T, weights[group])
        gone = np.exp(-np.logaddexp(0, -odds))
        split = np.concatenate([1 - gone, gone])
        t_count, t_purchases = t_cells.sums(split), t_cells.sums(split * np.concatenate([x, x]))
        cells = GammaCells(
            n_groups, x_cells.group, x_cells.value, n_x, t_cells.group, t_cells.value, t_count, t_purchases
        )
        log_r, log_alpha = fit_gamma_rates(cells, centre, strength, (log_r, log_alpha), steps=2)
        weights = _mixture(x_cells, x_cells.sums(gone), n_x, weights, own * pooled, n_groups)
    return (log_r, log_alpha), weights


def _mixture(cells: Cells, gone: Floats, count: Floats, weights: Floats, prior: Floats, n_groups: int) -> Floats:
    """Weights after one EM round: each cell's pairs that went on and that stopped, shared out over `STOPPING`."""
    mass = np.tile(prior, (n_groups, 1))
    mine = weights[cells.group]
    went_on, stopped = _endings(cells.value, mine)
    least = np.log1p(-STOPPING[0])
    for j, p in enumerate(STOPPING):
        part = mine[:, j] * np.exp(cells.value * (np.log1p(-p) - least))
        share = (count - gone) * part * (1 - p) / went_on + gone * part * p / stopped
        mass[:, j] += summed(cells.group, share, n_groups)
    weights_: Floats = mass / mass.sum(axis=1, keepdims=True)
    return weights_


def purchase_probability(r: Floats, alpha: Floats, x: Floats, T: Floats, horizon: float) -> Floats:
    """P(an active pair buys within the horizon) = 1 − ((α+T)/(α+T+h))^(r+x)."""
    return -np.expm1(-(r + x) * np.log1p(horizon / (alpha + T)))
