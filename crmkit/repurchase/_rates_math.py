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
from scipy.special import expit

from crmkit._types import Floats, Ints
from crmkit.repurchase._gamma_math import log_gamma
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


def gamma_sums(cells: GammaCells, log_r: Floats, log_alpha: Floats) -> tuple[Floats, Curvature]:
    """Per group, Σ ln Γ(r+x)/Γ(r) + r ln α − (r+x) ln(α+T): the negative binomial with exposure T, without its factors
    of x and T alone; and its derivatives in (ln r, ln α).
    """
    r, alpha = np.exp(log_r), np.exp(log_alpha)
    r_t, alpha_t = r[cells.t_group], alpha[cells.t_group]
    rising, falling = log_gamma(r[cells.x_group] + cells.x), log_gamma(r)
    rises = [cells.by_x(more - less[cells.x_group]) for more, less in zip(rising, falling, strict=True)]
    mass, later, longer = cells.t_count * r_t + cells.t_purchases, 1 / (alpha_t + cells.t), np.log1p(cells.t / alpha_t)
    value = rises[0] - cells.by_t(mass * longer) - cells.by_t(cells.t_purchases) * log_alpha
    count = cells.by_t(cells.t_count)
    d_r = rises[1] - cells.by_t(cells.t_count * longer)
    d_a = count * r / alpha - cells.by_t(mass * later)
    d_aa = cells.by_t(mass * later**2) - count * r / alpha**2
    d_ra = count / alpha - cells.by_t(cells.t_count * later)
    return value, Curvature(
        r * d_r, alpha * d_a, r * (r * rises[2] + d_r), alpha * (alpha * d_aa + d_a), r * alpha * d_ra
    )


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
        partial(gamma_sums, cells),
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
    rows, count = _distinct(group, x, t_x, T)
    group, x, t_x, T = group[rows], x[rows], t_x[rows], T[rows]
    x_cells, t_cells = Cells.of(group, x), Cells.of(np.concatenate([group, group]), np.concatenate([T, t_x]))
    n_x, own = x_cells.sums(count), OWN_PAIRS if n_groups > 1 else 1e-3
    until, last = np.split(t_cells.cell_of, 2)
    log_r, log_alpha = (np.full(n_groups, value) for value in centre)
    weights = np.tile(pooled, (n_groups, 1))
    for _ in range(_ROUNDS):
        went_on, stopped = _endings(x_cells.value, weights[x_cells.group])
        exposure = np.log(np.exp(log_alpha)[t_cells.group] + t_cells.value)
        shape = np.exp(log_r)[x_cells.group] + x_cells.value
        odds = np.log(stopped / went_on)[x_cells.cell_of] + shape[x_cells.cell_of] * (exposure[until] - exposure[last])
        gone = count * expit(odds)
        split = np.concatenate([count - gone, gone])
        t_count, t_purchases = t_cells.sums(split), t_cells.sums(split * np.concatenate([x, x]))
        cells = GammaCells(
            n_groups, x_cells.group, x_cells.value, n_x, t_cells.group, t_cells.value, t_count, t_purchases
        )
        log_r, log_alpha = fit_gamma_rates(cells, centre, strength, (log_r, log_alpha), steps=2)
        weights = _mixture(x_cells, x_cells.sums(gone), n_x, weights, own * pooled, n_groups)
    return (log_r, log_alpha), weights


def _distinct(group: Ints, *columns: Floats) -> tuple[Ints, Floats]:
    """Where each distinct row of whole numbers is first, in their order, and how often there is each."""
    key = group
    for values in columns:
        key = key * (int(values.max(initial=0)) + 1) + values.astype(np.int64)
    _, first, count = np.unique(key, return_index=True, return_counts=True)
    return first, count.astype(np.float64)


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
    return bought_within(r + x, alpha + T, horizon)


def bought_within(shape: Floats, rate: Floats, days: float) -> Floats:
    """P(a purchase within so many days) at a gamma-distributed number a day: 1 − (rate / (rate + days))^shape."""
    return -np.expm1(-shape * np.log1p(days / rate))
