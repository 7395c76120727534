"""Formulas of the BG/CNBD-k and MBG/CNBD-k models, in which the times between purchases are Erlang-k: more regular than chance.

An Erlang-k gap is k stages at the customer's rate; a purchase ends every k-th stage, and ``stage`` 0 … k - 1 counts
those passed since the last purchase. Everything else is as in the BG/NBD model, with ``first_coin`` = 1 where the first
purchase may be the last as well: Reutterer, Platzer & Schröder (2021), "Leveraging purchase regularity for predicting
customer behavior the easy way", International Journal of Research in Marketing 38(1). Own derivations.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaln, digamma, expit, gammaln, xlogy

from crmkit._types import Floats
from crmkit.models._bgnbd_math import Likelihood, nbd_probability_of
from crmkit.models._dropout_math import FORGOTTEN, Nodes, discounted, dropout_nodes, mean_over

Decay = Callable[[NDArray[np.inexact]], tuple[NDArray[np.inexact], NDArray[np.inexact]]]
Reach = Callable[[int], Floats]

_RARE, _LEADING = 0.01, 8


# -- What the time since the last purchase says about the stage -----------------------------------------------------------------------------


def stages(k: int, shape: Floats | float, silence: Floats | float) -> Floats:
    """Weights of the stages 0 … k - 1 after a silence, relative to stage 0; the first axis is the stage.

    ``shape`` is r + k·x and ``silence`` is (T - t_x) / (alpha + T): j stages within it weigh (shape)_j · silence^j / j!.
    """
    first = np.ones(np.broadcast(shape, silence).shape)
    weights = [first]
    for j in range(1, k):
        weights.append(weights[-1] * (shape + (j - 1)) * silence / j)
    return np.array(weights)


def regular_likelihood(k: int, x: Floats, t_x: Floats, T: Floats, count: Floats, first_coin: int) -> Likelihood:
    """Log-likelihood and gradient by (r, alpha, a, b), but for `gaps_likelihood`, which is free of these."""
    xs, of_x = np.unique(x, return_inverse=True)
    coins, tossed, n = x + first_coin, x + first_coin > 0, count.sum()
    n_x, c_x = np.bincount(of_x, count).astype(float), xs + first_coin

    def evaluate(params: Floats) -> tuple[float, Floats]:
        r, alpha, a, b = params
        shape, ends, since = r + k * x, alpha + T, alpha + t_x
        parts = stages(k, shape, (T - t_x) / ends)
        silent = parts.sum(axis=0)
        steps = np.arange(k)[:, None]
        harmonic = np.concatenate([np.zeros((1, len(x))), np.cumsum(1 / (shape + steps[:-1]), axis=0)])
        last = 1 / (b + np.maximum(coins, 1) - 1)
        odds = np.where(tossed, shape * np.log(ends / since) + np.log(a * last) - np.log(silent), -np.inf)
        gone = count * expit(odds)
        here = count - gone
        by_shape, by_alpha = (parts * harmonic).sum(axis=0) / silent, -(parts * steps).sum(axis=0) / silent / ends
        counts = (
            gammaln(r + k * xs) - gammaln(r) + gammaln(b + c_x) - gammaln(b) + gammaln(a + b) - gammaln(a + b + c_x)
        )
        each = np.log(silent) + np.logaddexp(0, odds) - shape * np.log(ends)
        dropout = digamma(a + b) - digamma(a + b + c_x)
        gap = np.log(ends / since)
        gradient = (
            n_x @ (digamma(r + k * xs) - digamma(r))
            + n * np.log(alpha)
            - count @ np.log(ends)
            + here @ by_shape
            + gone @ gap,
            n * r / alpha - count @ (shape / ends) + here @ by_alpha + gone @ (shape * (1 / ends - 1 / since)),
            n_x @ dropout + gone.sum() / a,
            n_x @ (digamma(b + c_x) - digamma(b) + dropout) - gone @ last,
        )
        return float(n_x @ counts + n * r * np.log(alpha) + count @ each), np.array(gradient)

    return evaluate


def gaps_likelihood(k: int, purchases: float, log_gaps: float) -> float:
    """What the likelihood owes to the gaps and k alone: (k - 1)·Σ log gap - log Γ(k) for each purchase."""
    return float((k - 1) * log_gaps - purchases * gammaln(k))


def regular_alive(
    r: float, alpha: float, a: float, b: float, k: int, x: Floats, t_x: Floats, T: Floats, first_coin: int
) -> Floats:
    """P(alive at T | x, t_x, T), on the log-odds scale; 1 where no coin was tossed."""
    coins, shape = x + first_coin, r + k * x
    silent = np.log(stages(k, shape, (T - t_x) / (alpha + T)).sum(axis=0))
    odds = np.log((b + np.maximum(coins, 1) - 1) / a) - shape * np.log1p((T - t_x) / (alpha + t_x)) + silent
    return np.where(coins > 0, expit(odds), 1.0)


def regular_no_purchase(r: float, alpha: float, k: int, x: Floats, t_x: Floats, T: Floats, horizon: float) -> Floats:
    """P(no purchase in (T, T + horizon]) of a customer alive at T: the gap's survival to T + horizon, given it to T."""
    shape, end = r + k * x, alpha + T + horizon
    now, then = (stages(k, shape, (t - t_x) / (alpha + t)).sum(axis=0) for t in (T, T + horizon))
    silence: Floats = np.exp(shape * np.log((alpha + T) / end)) * then / now
    return silence


def regular_probability_of(
    r: float, alpha: float, a: float, b: float, k: int, n: Floats, t: float, first_coin: int
) -> Floats:
    """P(a new customer makes n repeat purchases within t): between k·n and k·n + k - 1 stages, or the end at the n-th."""
    coins = n + first_coin
    passed = sum((nbd_probability_of(r, alpha, k * n + j, t) for j in range(k)), np.zeros(len(n)))
    alive = np.exp(betaln(a, b + coins) - betaln(a, b)) * passed
    ends = np.exp(betaln(a + 1, b + np.maximum(coins, 1) - 1) - betaln(a, b))
    reached = np.where(n > 0, betainc(np.maximum(k * n, 1), r, t / (alpha + t)), 1.0)
    chance: Floats = alive + np.where(coins > 0, ends * reached, 0.0)
    return chance


# -- What lies ahead of the living -----------------------------------------------------------------------------------


def purchases_from_stage(k: int, stage: int, shape: Floats, a: float, b: Floats, stretch: Floats) -> Floats:
    """Purchases of a living customer over ``stretch`` times the scale of its Gamma(shape) rate, from a stage on."""

    def decays(c: NDArray[np.inexact]) -> tuple[NDArray[np.inexact], NDArray[np.inexact]]:
        grown = np.log1p(c * stretch)
        value = -np.expm1(-shape * grown) / c
        return value, (shape * stretch * np.exp(-(shape + 1) * grown) - value) / c

    def reached(m: int) -> Floats:
        return np.asarray(betainc(m, shape, stretch / (1 + stretch)))

    nodes = dropout_nodes(a, np.unique(b), float(np.max(shape * stretch, initial=0.0)))
    return _over_dropout(k, stage, b, nodes, decays, reached)


def rate_from_stage(k: int, stage: int, shape: Floats, b: Floats, u: Floats, nodes: Nodes) -> Floats:
    """The purchase rate of the same customer at time u, both in units of the scale of the Gamma(shape) rate."""

    def decays(c: NDArray[np.inexact]) -> tuple[NDArray[np.inexact], NDArray[np.inexact]]:
        value = shape * np.exp(-(shape + 1) * np.log1p(c * u))
        return value, -(shape + 1) * u / (1 + c * u) * value

    def reached(m: int) -> Floats:
        ways = gammaln(shape + m) - gammaln(shape) - gammaln(m)
        density: Floats = np.exp(ways + xlogy(m - 1, u) - (shape + m) * np.log1p(u))
        return density

    return _over_dropout(k, stage, b, nodes, decays, reached)


def _over_dropout(k: int, stage: int, b: Floats, nodes: Nodes, decays: Decay, reached: Reach) -> Floats:
    """Σ over purchases i = 1, 2 … of E[q^(i - 1)] times what belongs to i·k - stage stages.

    With rho^k = q = 1 - p the sum is one of k terms over the roots of unity, each a ``decays`` of 1 - rho·root; where q
    is small these cancel, and the ``reached`` of the first few purchases are all there is.
    """
    cell = np.unique(b, return_inverse=True)[1]
    leading = [reached(i * k - stage) for i in range(1, _LEADING + 1)]

    def ahead(p: Floats, q: Floats) -> tuple[Floats, Floats]:
        value, slope = _by_roots(k, stage, np.minimum(p, 1 - _RARE), decays)
        if not (q < _RARE).any():
            return value, slope
        first = sum((q**i * term for i, term in enumerate(leading)), np.zeros(q.shape))
        then = sum((-i * q ** (i - 1) * term for i, term in enumerate(leading) if i), np.zeros(q.shape))
        return np.where(q < _RARE, first, value), np.where(q < _RARE, then, slope)

    return np.maximum(mean_over(nodes, cell, ahead), 0.0)


def _by_roots(k: int, stage: int, p: Floats, decays: Decay) -> tuple[Floats, Floats]:
    """The sum over the roots of unity (conjugates together) and its derivative by p."""
    log_rho = np.log1p(-p) / k
    rho, value, slope, power = np.exp(log_rho), np.zeros(p.shape), np.zeros(p.shape), stage + 1 - k
    for root in range(k // 2 + 1):
        alone = root in (0, k / 2)
        turn = np.exp(2j * np.pi * root / k) if not alone else (-1.0) ** (root > 0)
        c = -np.expm1(log_rho) if root == 0 else 1 - rho * turn
        here, change = decays(c)
        twist = (2 - alone) * turn ** (stage + 1)
        value += (twist * here).real
        slope += (twist * (power * here - rho * turn * change)).real
    scale = np.exp(power * log_rho) / k
    return scale * value, -scale / (k * (1 - p)) * slope


def regular_purchases(
    r: float,
    alpha: float,
    a: float,
    b: float,
    k: int,
    x: Floats,
    t_x: Floats,
    T: Floats,
    horizon: float,
    first_coin: int,
) -> Floats:
    """Purchases expected in (T, T + horizon] of a customer alive at T: exact, over the stage the silence leaves open."""

    def from_stage(stage: int, x: Floats, T: Floats) -> Floats:
        return purchases_from_stage(k, stage, r + k * x + stage, a, b + x + first_coin, horizon / (alpha + T))

    return _over_stages(r, alpha, k, x, t_x, T, from_stage)


def regular_discounted_purchases(
    r: float,
    alpha: float,
    a: float,
    b: float,
    k: int,
    x: Floats,
    t_x: Floats,
    T: Floats,
    horizon: float,
    delta: float,
    first_coin: int,
) -> Floats:
    """The same, each purchase discounted from its own moment; the horizon may be infinite if delta is above 0."""
    if delta == 0:
        return regular_purchases(r, alpha, a, b, k, x, t_x, T, horizon, first_coin)
    ahead = min(horizon, FORGOTTEN / delta)

    def from_stage(stage: int, x: Floats, T: Floats) -> Floats:
        shape, coins, end = r + k * x + stage, b + x + first_coin, ahead / (alpha + T)
        nodes = dropout_nodes(a, np.unique(coins), float(np.max((shape + 1) * end, initial=0.0)) ** 0.5)
        return discounted(
            lambda u: rate_from_stage(k, stage, shape, coins, u, nodes), end, delta * (alpha + T), 1 + 2 * shape
        )

    return _over_stages(r, alpha, k, x, t_x, T, from_stage)


def _over_stages(
    r: float, alpha: float, k: int, x: Floats, t_x: Floats, T: Floats, from_stage: Callable[..., Floats]
) -> Floats:
    """The mean over the stage, whose weights know t_x; what lies ahead of a stage is evaluated once per distinct (x, T)."""
    pairs, of_pair = np.unique(x + 1j * T, return_inverse=True)
    weights = stages(k, r + k * x, (T - t_x) / (alpha + T))
    weights /= weights.sum(axis=0)
    ahead = (from_stage(stage, pairs.real.copy(), pairs.imag.copy())[of_pair] for stage in range(k))
    return sum((weight * value for weight, value in zip(weights, ahead, strict=True)), np.zeros(len(x)))
