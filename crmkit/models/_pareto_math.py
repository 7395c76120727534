"""Pareto/NBD formulas as free functions on arrays: one paper, one equation each.

``x`` is the number of repeat purchases, ``t_x`` the time of the last one and ``T`` the time observed, both since the
first purchase, in any one unit of time. Purchase rates vary between customers as Gamma(r, alpha), drop-out rates as
Gamma(s, beta); ``alpha`` and ``beta`` may be one number or one per customer.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, expit, exprel, gammaln, xlogy

from crmkit._types import Bools, Floats

Terms = Callable[..., tuple[Floats, list[Floats]]]

_NEGLIGIBLE = 30.0
_END = 40.0
_BLOCK = 2_048


# -- Likelihood ------------------------------------------------------------------------------------------------------


def pareto_terms(x: Floats, t_x: Floats, T: Floats) -> Terms:
    """Log-likelihood of each customer and its slopes in r, alpha, s and beta, as a function of these.

    Fader & Hardie (2005), "A note on deriving the Pareto/NBD model and related expressions", equation 15 before its
    integral is written as a difference of two ₂F₁; nothing is dropped. Slopes come from the same nodes. Rows are
    fastest in `pareto_order`: a block has as many nodes as its hardest row needs.
    """
    xs, of_x = np.unique(x, return_inverse=True)

    def evaluate(r: float, alpha: Floats | float, s: float, beta: Floats | float) -> tuple[Floats, list[Floats]]:
        counts, slope = gammaln(r + xs) - gammaln(r), digamma(r + xs) - digamma(r)
        rows = np.empty((5, len(x)))
        for block in _blocks(len(x)):
            rows[:, block] = _rows(r, _of(alpha, block), s, _of(beta, block), x[block], t_x[block], T[block])
        rows[:2] += counts[of_x], slope[of_x]
        return rows[0], list(rows[1:])

    return evaluate


def pareto_order(x: Floats, t_x: Floats, T: Floats) -> NDArray[np.intp]:
    """Rows by how deep their integrands fall, roughly: the power times the logarithm of the interval."""
    ease = 0.1 * T.max(initial=0.0) + 1e-300
    return np.argsort((x + 2) * np.log((ease + T) / (ease + t_x)), kind="stable")


def _blocks(n: int) -> list[slice]:
    return [slice(first, first + _BLOCK) for first in range(0, max(n, 1), _BLOCK)]


def _of(parameter: Floats | float, block: slice) -> Floats | float:
    return parameter[block] if isinstance(parameter, np.ndarray) and parameter.ndim else parameter


def _rows(
    r: float, alpha: Floats | float, s: float, beta: Floats | float, x: Floats, t_x: Floats, T: Floats
) -> tuple[Floats, ...]:
    """Log-likelihood without its gamma functions, and its slopes: two stories, alive at T or gone at some y before."""
    p, near, gap = r + x, alpha + t_x, np.log((alpha + T) / (alpha + t_x))
    left, time = beta + t_x, np.log((beta + T) / (beta + t_x))
    gone = decay(p, s + 1, alpha, beta, t_x, T)
    until_t, until_b = np.log(near / alpha), np.log(left / beta)
    odds = np.log(s / left) + gone.log + p * gap + s * time
    dead = expit(odds)
    alive = 1 - dead
    return (
        np.logaddexp(0, odds) - r * until_t - x * np.log(near) - s * until_b - p * gap - s * time,
        -until_t - alive * gap - dead * gone.log_alpha,
        r / alpha - p * (alive / (alpha + T) + dead * gone.per_alpha),
        dead / s - until_b - alive * time - dead * gone.log_beta,
        s / beta - alive * s / (beta + T) - dead * (s + 1) * gone.per_beta,
    )


# -- Answers ---------------------------------------------------------------------------------------------------------


def pareto_alive(
    r: float, alpha: Floats | float, s: float, beta: Floats | float, x: Floats, t_x: Floats, T: Floats
) -> Floats:
    """P(alive at T | x, t_x, T) of the Pareto/NBD model: Schmittlein, Morrison & Colombo (1987), equations 11 to 13."""
    gone = decay(r + x, s + 1, alpha, beta, t_x, T).log
    gap, time = np.log1p((T - t_x) / (alpha + t_x)), np.log1p((T - t_x) / (beta + t_x))
    return np.asarray(expit(np.log((beta + t_x) / s) - gone - (r + x) * gap - s * time))


def pareto_purchases(
    r: float, alpha: Floats | float, s: float, beta: Floats | float, x: Floats, T: Floats, horizon: float
) -> Floats:
    """Purchases expected in (T, T + horizon] of a customer alive at T; with x = T = 0 a new customer.

    Fader & Hardie (2005), equation 41 without P(alive), in a form that is smooth through s = 1.
    """
    length = np.log1p(horizon / (beta + T))
    return np.asarray((r + x) / (alpha + T) * (beta + T) * length * exprel((1 - s) * length))


def pareto_discounted_purchases(
    r: float, alpha: Floats | float, s: float, beta: Floats | float, x: Floats, T: Floats, horizon: float, delta: float
) -> Floats:
    """∫ e^(-delta·t) dE[X(t)] over (0, horizon] of a customer alive at T; horizon may be infinite where delta is not 0.

    Fader, Hardie & Lee (2005), "RFM and CLV", equation A3 (there in Tricomi's function, without end): the rate
    (r + x)/(alpha + T) times ∫ e^(-delta·t) ((beta + T)/(beta + T + t))^s dt, as `decay` integrates.
    """
    if delta == 0:
        return pareto_purchases(r, alpha, s, beta, x, T, horizon)
    lefts, of_left = np.unique(beta + T, return_inverse=True)
    length = np.minimum(np.log1p(horizon / lefts), np.log1p(_END / (delta * lefts)))
    length = np.minimum(length, _END / max(s - 1, 1e-300))
    nodes, weights = _legendre(128)
    log = np.multiply.outer(nodes, length)
    years = np.einsum("k,kc->c", weights, np.exp((1 - s) * log - delta * lefts * np.expm1(log)))
    return np.asarray((r + x) / (alpha + T) * (lefts * length * years)[of_left])


def pareto_no_purchase(
    r: float, alpha: Floats | float, s: float, beta: Floats | float, x: Floats, T: Floats, horizon: float
) -> Floats:
    """P(no purchase in (T, T + horizon]) of a customer alive at T.

    Such a customer's rates are Gamma(r + x, alpha + T) and Gamma(s, beta + T), so this is the likelihood of a new
    customer who does not buy again: silent to the end, or gone before.
    """
    p, alpha, beta = r + x, alpha + T, beta + T
    gone = decay(p, s + 1, alpha, beta, np.zeros_like(p), np.full_like(p, horizon)).log
    silent = np.exp(-p * np.log1p(horizon / alpha) - s * np.log1p(horizon / beta))
    return np.asarray(np.minimum(silent + s / beta * np.exp(gone), 1.0))


def pareto_probability_of(r: float, alpha: float, s: float, beta: float, n: Floats, t: float) -> Floats:
    """P(a new customer makes n repeat purchases within t): Fader & Hardie (2006), "Deriving an expression for P(X(t) = x)".

    Negative binomial over the time alive, averaged over that time: trapezoids in log(y/(t - y)), where every term is
    positive and the integrand smooth; larger counts take smaller steps.
    """
    whole = _negative_binomial(r, alpha, n, np.array([t]))[:, 0] - s * np.log1p(t / beta)
    chances, size = np.exp(whole), np.frexp(n + 1)[1]
    for power in np.unique(size):
        step = min(0.25, 0.7 / 2 ** (power / 2))
        nodes = np.arange(-_END - np.log1p(t / beta), _END, step)
        y = t * expit(nodes)
        ends = np.log(s * step / (beta + y)) - s * np.log1p(y / beta) + np.log(expit(-nodes))
        for rows in np.array_split(np.flatnonzero(size == power), 1 + (size == power).sum() // 128):
            chances[rows] += np.einsum("nk,k->n", np.exp(_negative_binomial(r, alpha, n[rows], y) + ends), y)
    return np.asarray(chances)


def _negative_binomial(r: float, alpha: float, n: Floats, t: Floats) -> Floats:
    """log P(n purchases within t) at Gamma(r, alpha) rates; a row for every n."""
    n = n[:, None]
    ways = gammaln(r + n) - gammaln(r) - gammaln(n + 1)
    return np.asarray(ways - r * np.log1p(t / alpha) + xlogy(n, t / (alpha + t)))


# -- The integral over the moment of drop-out ------------------------------------------------------------------------


class Decay(NamedTuple):
    """An integral of falling powers, in logs, and means over its integrand: of log((c + y)/(c + start)) and 1/(c + y)."""

    log: Floats
    log_alpha: Floats
    per_alpha: Floats
    log_beta: Floats
    per_beta: Floats


def decay(
    p: Floats | float, q: Floats | float, alpha: Floats | float, beta: Floats | float, start: Floats, end: Floats
) -> Decay:
    """log of ∫ ((alpha + start)/(alpha + y))^p ((beta + start)/(beta + y))^q dy over (start, end); -inf where empty.

    Every Pareto/NBD quantity that papers write as a difference of two ₂F₁ is such an integral of positive terms.
    Gauss–Legendre in l = log((c + y)/(c + start)), c the smaller of alpha and beta, where the integrand is smooth, cut
    where it is below e^-30: 16 nodes give eleven digits, more are taken for intervals of many powers of ten.
    """
    columns = np.broadcast_arrays(p, q, alpha, beta, start, end)
    parts = [_decay(*(column[block] for column in columns)) for block in _blocks(len(columns[0]))]
    return Decay(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _decay(p: Floats, q: Floats, alpha: Floats, beta: Floats, start: Floats, end: Floats) -> Decay:
    swap = alpha > beta
    near, far = np.minimum(alpha, beta) + start, np.maximum(alpha, beta) + start
    k, m = np.where(swap, q, p) - 1, np.where(swap, p, q)
    share = near / far
    length = _length(k, m, share, np.log1p((end - start) / near))
    fall = k * length + m * np.log1p(share * np.expm1(length))
    nodes, weights = _gauss(length.max(initial=0.0), fall.max(initial=0.0))
    log_near = np.multiply.outer(nodes, length)
    growth = np.exp(log_near)
    ratio = growth - 1
    ratio *= share
    ratio += 1
    log_far = np.log(ratio)
    density = log_far * -m
    density -= log_near * k
    np.exp(density, out=density)
    density *= weights[:, None]
    mass = density.sum(axis=0)
    scaled = length / mass
    of_near = _over_nodes(nodes, density) * scaled, (density / growth).sum(axis=0) / (mass * near)
    of_far = np.einsum("kc,kc->c", density, log_far) / mass, (density / ratio).sum(axis=0) / (mass * far)
    of_alpha, of_beta = _swapped(swap, of_near, of_far)
    with np.errstate(divide="ignore"):
        return Decay(np.log(near * length * mass), *of_alpha, *of_beta)


def _length(k: Floats, m: Floats, share: Floats, length: Floats) -> Floats:
    """Where to stop: -log of the integrand, k·l + m·log(1 + share·(e^l - 1)), is at least (k + m·share)·l."""
    enough = _NEGLIGIBLE + np.maximum(-k, 0) * length
    slope = np.maximum(k + m * share, 1e-300)
    with np.errstate(over="ignore"):
        far = np.log1p(np.expm1(np.minimum(enough / np.maximum(m, 1e-300), 600)) / share)
        return np.minimum(np.minimum(length, enough / slope), far)


def _over_nodes(nodes: Floats, density: Floats) -> Floats:
    return np.asarray(np.einsum("k,kc->c", nodes, density))


def _swapped(
    swap: Bools, of_near: tuple[Floats, Floats], of_far: tuple[Floats, Floats]
) -> tuple[list[Floats], list[Floats]]:
    if not swap.any():
        return list(of_near), list(of_far)
    pairs = list(zip(of_near, of_far, strict=True))
    return [np.where(swap, b, a) for a, b in pairs], [np.where(swap, a, b) for a, b in pairs]


@cache
def _legendre(n: int) -> tuple[Floats, Floats]:
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return (nodes + 1) / 2, weights / 2


def _gauss(length: float, fall: float) -> tuple[Floats, Floats]:
    """Nodes and weights on (0, 1), as many as eleven digits take: more where the integrand falls deep or the way is long."""
    if length > 5 or fall > 1.5 * _NEGLIGIBLE:
        return _legendre(32 if length <= 10 else 64)
    return _legendre(8 if length <= 1.5 and fall <= 3 else 12 if length <= 3 and fall <= 12 else 16)
