"""Repurchase timing as formulas on arrays: purchases at a gamma-distributed rate, which may stop.

A pair (customer, item) buys as a Poisson process of rate λ from its first purchase on, λ ~ Gamma(r, α) over the pairs
of an item (Ehrenberg 1959, The pattern of consumer purchases, Applied Statistics 8); after any purchase it stops for
good with probability q (the drop-out of Fader, Hardie & Lee 2005, with one q for all).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import exprel, gammaln, polygamma, psi

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_STEPS = 60
_TOLERANCE = 1e-8


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
        x_key, x_of = np.unique(_key(group, x), return_inverse=True)
        t_key, t_of = np.unique(_key(group, t), return_inverse=True)
        x_width, t_width = _width(x), _width(t)
        return cls(
            n_groups,
            x_key // x_width,
            (x_key % x_width).astype(np.float64),
            np.bincount(x_of).astype(np.float64),
            t_key // t_width,
            (t_key % t_width).astype(np.float64),
            np.bincount(t_of).astype(np.float64),
            np.bincount(t_of, weights=x).astype(np.float64),
        )

    def by_x(self, values: Floats) -> Floats:
        """Sum over the pairs of each group of a function of x."""
        return _summed(self.x_group, self.x_count * values, self.n_groups)

    def by_t(self, values: Floats) -> Floats:
        """Sum over the cells of each group of a function of t."""
        return _summed(self.t_group, values, self.n_groups)


def _summed(group: Ints, values: Floats, n_groups: int) -> Floats:
    return np.bincount(group, values, n_groups).astype(np.float64, copy=False)


def _width(values: Floats) -> int:
    return int(values.max(initial=0)) + 1


def _key(group: Ints, values: Floats) -> Ints:
    return group.astype(np.int64) * _width(values) + values.astype(np.int64)


def gamma_log_likelihood(cells: GammaCells, log_r: Floats, log_alpha: Floats) -> Floats:
    """Per group, Σ ln Γ(r+x)/Γ(r) + r ln α − (r+x) ln(α+T): the negative binomial with exposure T, without its factors
    of x and T alone.
    """
    r, alpha = np.exp(log_r), np.exp(log_alpha)
    rising = cells.by_x(gammaln(r[cells.x_group] + cells.x) - gammaln(r[cells.x_group]))
    mass = cells.t_count * r[cells.t_group] + cells.t_purchases
    spread = cells.by_t(-mass * np.log1p(cells.t / alpha[cells.t_group]))
    return rising + spread - cells.by_t(cells.t_purchases) * log_alpha


def _derivatives(cells: GammaCells, log_r: Floats, log_alpha: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Gradient and Hessian of `gamma_log_likelihood` in (ln r, ln α), per group."""
    r, alpha = np.exp(log_r), np.exp(log_alpha)
    r_x, r_t, alpha_t = r[cells.x_group], r[cells.t_group], alpha[cells.t_group]
    mass = cells.t_count * r_t + cells.t_purchases
    d_r = cells.by_x(psi(r_x + cells.x) - psi(r_x)) - cells.by_t(cells.t_count * np.log1p(cells.t / alpha_t))
    d_rr = cells.by_x(polygamma(1, r_x + cells.x) - polygamma(1, r_x))
    d_a = cells.by_t(cells.t_count * r_t / alpha_t - mass / (alpha_t + cells.t))
    d_aa = cells.by_t(mass / (alpha_t + cells.t) ** 2 - cells.t_count * r_t / alpha_t**2)
    d_ra = cells.by_t(cells.t_count * (1 / alpha_t - 1 / (alpha_t + cells.t)))
    return r * d_r, alpha * d_a, r * (r * d_rr + d_r), alpha * (alpha * d_aa + d_a), r * alpha * d_ra


def fit_gamma_rates(
    cells: GammaCells, centre: tuple[float, float] = (0.0, 3.0), strength: float = 1.0
) -> tuple[Floats, Floats]:
    """ln r and ln α of every group at once, by damped Newton steps; each group is shrunk to ``centre``.

    Parameters
    ----------
    cells : GammaCells
    centre : (ln r, ln α)
        Mean of the normal prior on the logarithms.
    strength : float
        Its precision: 1 weighs about as much as the data of a handful of pairs, so that large groups keep their own.
    """
    log_r, log_alpha = (np.full(cells.n_groups, value) for value in centre)
    damping = np.full(cells.n_groups, 1e-3)

    def objective(u: Floats, v: Floats) -> Floats:
        penalty = 0.5 * strength * ((u - centre[0]) ** 2 + (v - centre[1]) ** 2)
        return gamma_log_likelihood(cells, u, v) - penalty

    best = objective(log_r, log_alpha)
    for _ in range(_STEPS):
        g_u, g_v, h_uu, h_vv, h_uv = _derivatives(cells, log_r, log_alpha)
        g_u, g_v = g_u - strength * (log_r - centre[0]), g_v - strength * (log_alpha - centre[1])
        step_u, step_v = _newton(g_u, g_v, h_uu - strength, h_vv - strength, h_uv, damping)
        moved = objective(log_r + step_u, log_alpha + step_v)
        better = moved >= best
        log_r = np.where(better, log_r + step_u, log_r)
        log_alpha = np.where(better, log_alpha + step_v, log_alpha)
        settled = np.abs(moved - best) <= _TOLERANCE * (1 + np.abs(best))
        best, damping = np.where(better, moved, best), np.where(better, damping / 10, damping * 10)
        if settled.all():
            break
    return log_r, log_alpha


def _newton(
    g_u: Floats, g_v: Floats, h_uu: Floats, h_vv: Floats, h_uv: Floats, damping: Floats
) -> tuple[Floats, Floats]:
    """A Newton step of at most 1 in each group; along the gradient where the Hessian is not negative definite."""
    size = damping * (np.abs(h_uu) + np.abs(h_vv))
    a, b = h_uu - size, h_vv - size
    determinant = a * b - h_uv**2
    sound = (a < 0) & (determinant > 0)
    safe = np.where(sound, determinant, 1.0)
    u = np.where(sound, -(b * g_u - h_uv * g_v) / safe, g_u / (1 + np.abs(h_uu)))
    v = np.where(sound, -(a * g_v - h_uv * g_u) / safe, g_v / (1 + np.abs(h_vv)))
    length = np.maximum(1.0, np.maximum(np.abs(u), np.abs(v)))
    return u / length, v / length


def stop_log_odds(r: Floats, alpha: Floats, x: Floats, t_x: Floats, T: Floats, q: float) -> Floats:
    """ln odds that a pair has stopped: ln q/(1−q) + (r+x) ln((α+T)/(α+t_x)); −inf for a pair that never bought again.

    Fader, Hardie & Lee (2005), eq. 7, with one drop-out probability q. A first purchase alone tells nothing of
    stopping, so such pairs are taken as active.
    """
    silence = (r + x) * (np.log(alpha + T) - np.log(alpha + t_x))
    return np.where(x > 0, np.log(q) - np.log1p(-q) + silence, -np.inf)


def fit_stopping(r: Floats, alpha: Floats, x: Floats, t_x: Floats, T: Floats) -> float:
    """The drop-out probability q of highest likelihood, given every pair's gamma prior."""
    repeated = x > 0
    if not repeated.any():
        return 1e-6
    r, alpha, x, t_x, T = (values[repeated] for values in (r, alpha, x, t_x, T))
    silence = (r + x) * (np.log(alpha + T) - np.log(alpha + t_x))

    def loss(logit: float) -> float:
        log_q, log_stay = -np.logaddexp(0, -logit), -np.logaddexp(0, logit)
        return -float((x * log_stay + np.logaddexp(0, log_q - log_stay + silence)).sum())

    found = minimize_scalar(loss, bounds=(-14.0, 3.0), method="bounded")
    return float(1 / (1 + np.exp(-found.x)))


def purchase_probability(r: Floats, alpha: Floats, x: Floats, T: Floats, horizon: float) -> Floats:
    """P(an active pair buys within the horizon) = 1 − ((α+T)/(α+T+h))^(r+x)."""
    return -np.expm1(-(r + x) * np.log1p(horizon / (alpha + T)))


def purchase_quantile(r: Floats, alpha: Floats, x: Floats, T: Floats, share: Floats) -> Floats:
    """Day by which an active pair has bought with probability ``share`` (inf at 1)."""
    with np.errstate(divide="ignore", over="ignore"):
        return (alpha + T) * np.expm1(-np.log1p(-np.minimum(share, 1.0)) / (r + x))


def mean_day_within(r: Floats, alpha: Floats, x: Floats, T: Floats, horizon: float) -> Floats:
    """E[day of the next purchase | it comes within the horizon] of an active pair.

    (∫₀ʰ S(t) dt − h S(h)) / F(h), where ∫₀ʰ S = (α+T) L exprel(−(r+x−1)L) and L = ln((α+T+h)/(α+T)).
    """
    shape, span = r + x, np.log1p(horizon / (alpha + T))
    area = (alpha + T) * span * exprel(-(shape - 1) * span)
    within = -np.expm1(-shape * span)
    day: Floats = np.clip((area - horizon * np.exp(-shape * span)) / within, 0, horizon)
    return day
