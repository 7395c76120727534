"""Buy-till-you-die formulas as free functions on arrays: one paper, one equation each.

``x`` is the number of repeat purchases, ``t_x`` the time of the last one and ``T`` the time observed, both since the
first purchase; ``z`` is the mean spend per repeat purchase and ``count`` how many customers share a row.
Any unit of time and money will do, as long as it is the same throughout.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import betaincinv, digamma, expit, gammaln, hyp2f1, ndtr

Floats = NDArray[np.float64]
Likelihood = Callable[[Floats], tuple[float, Floats]]
Link = Callable[[Floats], tuple[Floats, Floats]]

PRIOR_SD = 2.0
_EDGE, _WALL = 10.0, 12.0
_NEAR_ONE = 1e-4
_BLOCK = 16_384


# -- Fitting ---------------------------------------------------------------------------------------------------------


class Maximum(NamedTuple):
    """The top of a log-likelihood: its parameters, value and covariance, and the coordinate that ran away, if any."""

    params: Floats
    value: float
    covariance: Floats
    runaway: int | None


def maximise(likelihood: Likelihood, link: Link, start: Floats, n: float, prior_sd: float = np.inf) -> Maximum:
    """Maximise ``likelihood(link(theta))``, with an optional normal prior of mean 0 on every coordinate of theta.

    BFGS on the analytic gradient (its linear algebra stays in NumPy: waking BLAS threads for L-BFGS-B costs more than
    the likelihood), then Newton steps whose Hessian is a central difference of that gradient; its inverse, carried
    through the link by the delta method, is the covariance. A coordinate *runs away* when it passes exp(±10), when the
    likelihood is flat along it (a standard error above 10 on the log scale), or when it still rises.
    """

    def loss(theta: Floats) -> tuple[float, Floats]:
        held = np.clip(theta, -_WALL, _WALL)
        params, jacobian = link(held)
        value, gradient = likelihood(params)
        slope = held / prior_sd**2 - gradient @ jacobian
        return float(held @ held / prior_sd**2 / 2 - value) / n, np.where(held == theta, slope / n, 0.0)

    theta, hessian = _newton(loss, minimize(loss, start, jac=True, method="BFGS", options={"gtol": 1e-6}).x)
    params, jacobian = link(theta)
    value, gradient = likelihood(params)
    covariance = jacobian @ np.linalg.pinv(hessian * n, hermitian=True) @ jacobian.T
    return Maximum(
        params, value, (covariance + covariance.T) / 2, _runaway(theta, gradient @ jacobian / n, hessian * n)
    )


def _newton(loss: Likelihood, theta: Floats) -> tuple[Floats, Floats]:
    theta = np.clip(theta, -_WALL, _WALL)
    for _ in range(8):
        hessian = _hessian(loss, theta)
        if np.linalg.eigvalsh(hessian)[0] <= 0:
            break
        step = np.linalg.solve(hessian, loss(theta)[1])
        theta = np.clip(theta - np.clip(step, -1, 1), -_WALL, _WALL)
        if np.abs(step).max() < 1e-6:
            break
    return theta, hessian


def _hessian(loss: Likelihood, theta: Floats, step: float = 1e-4) -> Floats:
    rows = [(loss(theta + e)[1] - loss(theta - e)[1]) / (2 * step) for e in step * np.eye(len(theta))]
    hessian = np.array(rows)
    return (hessian + hessian.T) / 2


def _runaway(theta: Floats, gradient: Floats, hessian: Floats) -> int | None:
    widths, axes = np.linalg.eigh(hessian)
    if np.abs(theta).max() > _EDGE:
        return int(np.abs(theta).argmax())
    if widths[0] < 1 / _EDGE**2:
        return int(np.abs(axes[:, 0]).argmax())
    return None if np.abs(gradient).max() < 1e-6 else int(np.abs(gradient).argmax())


def in_logs(theta: Floats) -> tuple[Floats, Floats]:
    """Positive parameters from their logarithms, and the Jacobian."""
    params = np.exp(theta)
    return params, np.diag(params)


def holding_mean(theta: Floats) -> tuple[Floats, Floats]:
    """Gamma-gamma parameters (p, q, gamma) from (log p, log(q - 1)), holding the population mean p·gamma/(q - 1) at 1."""
    p, excess = np.exp(theta)
    gamma = excess / p
    return np.array([p, 1 + excess, gamma]), np.array([[p, 0.0], [0.0, excess], [-gamma, gamma]])


def _dot(u: Floats, v: Floats) -> float:
    """Inner product on one thread: waking the threads of a BLAS costs more than the product."""
    return float(np.einsum("i,i->", u, v))


# -- BG/NBD ----------------------------------------------------------------------------------------------------------


def bgnbd_likelihood(x: Floats, t_x: Floats, T: Floats, count: Floats) -> Likelihood:
    """Log-likelihood of the BG/NBD model and its gradient, as a function of (r, alpha, a, b).

    Fader, Hardie & Lee (2005), "Counting your customers the easy way", Marketing Science 24(2), equation 6; nothing is
    dropped. Gamma functions are evaluated once per distinct ``x``, logarithms once per distinct time; what is left per
    row is the weight of the branch in which the last purchase was the end, for repeat buyers, a cache-sized block at a
    time.
    """
    (xs, of_x), (ts, of_t), (Ts, of_T) = (np.unique(column, return_inverse=True) for column in (x, t_x, T))
    n, n_x, n_T, x_T = count.sum(), _sums(of_x, count), _sums(of_T, count), _sums(of_T, count * x)
    repeat = np.flatnonzero(x > 0)
    blocks = [repeat[start : start + _BLOCK] for start in range(0, len(repeat), _BLOCK)]
    cells = [(x[rows], count[rows], of_x[rows], of_t[rows], of_T[rows]) for rows in blocks]

    def evaluate(params: Floats) -> tuple[float, Floats]:
        r, alpha, a, b = params
        log_T, rate = np.log(alpha + Ts), 1 / (alpha + Ts)
        log_t, sooner = np.log(alpha + ts), 1 / (alpha + ts)
        last = 1 / (b + np.maximum(xs, 1) - 1)
        log_last = np.log(a * last)
        ends = np.zeros(5)
        for x, count, of_x, of_t, of_T in cells:
            gap, shape = log_T[of_T] - log_t[of_t], r + x
            odds = shape * gap + log_last[of_x]
            fade = np.exp(-np.abs(odds))
            gone = count * np.where(odds > 0, 1.0, fade) / (1 + fade)
            ends += (
                _dot(count, np.maximum(odds, 0) + np.log(1 + fade)),
                _dot(gone, gap),
                _dot(gone, shape * (sooner[of_t] - rate[of_T])),
                gone.sum(),
                _dot(gone, last[of_x]),
            )
        counts = gammaln(r + xs) - gammaln(r) + gammaln(b + xs) - gammaln(b) + gammaln(a + b) - gammaln(a + b + xs)
        value = _dot(n_x, counts) + n * r * np.log(alpha) - _dot(r * n_T + x_T, log_T) + ends[0]
        dropout = digamma(a + b) - digamma(a + b + xs)
        gradient = (
            _dot(n_x, digamma(r + xs) - digamma(r)) + n * np.log(alpha) - _dot(n_T, log_T) + ends[1],
            n * r / alpha - _dot(r * n_T + x_T, rate) - ends[2],
            _dot(n_x, dropout) + ends[3] / a,
            _dot(n_x, digamma(b + xs) - digamma(b) + dropout) - ends[4],
        )
        return float(value), np.array(gradient)

    return evaluate


def _sums(level: NDArray[np.intp], values: Floats) -> Floats:
    return np.bincount(level, values).astype(float)


def bgnbd_alive(r: float, alpha: float, a: float, b: float, x: Floats, t_x: Floats, T: Floats) -> Floats:
    """P(alive at T | x, t_x, T) of the BG/NBD model; 1 for x = 0.

    Fader & Hardie (2008), "Computing P(alive) using the BG/NBD model", note 021; on the log-odds scale.
    """
    last = np.log(b + np.maximum(x, 1) - 1)
    odds = last - np.log(a) - (r + x) * np.log1p((T - t_x) / (alpha + t_x))
    return np.where(x > 0, expit(odds), 1.0)


def bgnbd_purchases(
    r: float, alpha: float, a: float, b: float, x: Floats, T: Floats, horizon: Floats | float
) -> Floats:
    """Purchases expected in (T, T + horizon] of a customer alive at T, under the BG/NBD model.

    Fader, Hardie & Lee (2005), equation 10 without P(alive), after Euler's transformation of its ₂F₁: the parameters
    stay small, and it holds for a + b < 1. Its limit is taken at a = 1; where the closed form overflows (thousands of
    purchases, very even dropout) the same expectation is a quadrature. With x = T = 0 it is equation 9, a new customer.
    """
    if abs(a - 1) < _NEAR_ONE:
        sides = (bgnbd_purchases(r, alpha, 1 + side, b, x, T, horizon) for side in (-2 * _NEAR_ONE, 2 * _NEAR_ONE))
        return sum(sides, np.zeros(())) / 2
    x, T, horizon = np.broadcast_arrays(x, T, horizon)
    stretch = horizon / (alpha + T)
    c = a + b + x - 1
    with np.errstate(all="ignore"):
        series = hyp2f1(a + b - 1 - r, a - 1, c, stretch / (1 + stretch))
        purchases = np.asarray(c / (a - 1) * (1 - np.exp((1 - a) * np.log1p(stretch)) * series))
    ceiling = (r + x) * stretch
    unsafe = ~((purchases >= 0) & (purchases <= ceiling))
    purchases[unsafe] = _purchases_by_quadrature(r, a, b, x[unsafe], stretch[unsafe])
    return purchases


def _purchases_by_quadrature(r: float, a: float, b: float, x: Floats, stretch: Floats) -> Floats:
    """E[(1 - (1 + p·stretch)^-(r+x)) / p] over the dropout probability p ~ Beta(a, b + x), always between 0 and its ceiling.

    Trapezoids on the normal score of p's quantile, where the integrand is smooth: eight digits from 401 nodes.
    """
    xs, of_x = np.unique(x, return_inverse=True)
    nodes = np.linspace(-9, 9, 401) if len(x) else np.empty(0)
    weights = np.exp(-(nodes**2) / 2)
    total = np.zeros(len(x))
    for node, weight in zip(nodes, weights / weights.sum(), strict=True):
        p = np.maximum(betaincinv(a, b + xs, ndtr(node)), 1e-300)[of_x]
        total += weight * -np.expm1(-(r + x) * np.log1p(p * stretch)) / p
    return total


def bgnbd_discounted_purchases(
    r: float, alpha: float, a: float, b: float, x: Floats, T: Floats, horizon: float, delta: float
) -> Floats:
    """∫ e^(-delta·t) dE[X(t)] over (0, horizon] of a customer alive at T: each purchase discounted from its own moment.

    Integration by parts of ``bgnbd_purchases``, then Gauss–Legendre in log(1 + t/(alpha + T)), 32 nodes: ten digits
    or more over ten years.
    """
    nodes, weights = np.polynomial.legendre.leggauss(32)
    length = np.log1p(horizon / (alpha + T))
    plain = bgnbd_purchases(r, alpha, a, b, x, T, horizon)
    total = np.exp(-delta * horizon) * plain
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        time = (alpha + T) * np.expm1(node * length)
        density = weight * length * (alpha + T + time) * delta * np.exp(-delta * time)
        total += density * bgnbd_purchases(r, alpha, a, b, x, T, time)
    discounted: Floats = np.minimum(total, plain)
    return discounted


def bgnbd_silence(r: float, alpha: float, alive: Floats, x: Floats, T: Floats, horizon: float) -> Floats:
    """P(no purchase in (T, T + horizon]) under the BG/NBD model, from P(alive at T).

    A living customer's rate is Gamma(r + x, alpha + T) and the coin is tossed only after a purchase, so
    1 - alive · (1 - ((alpha + T)/(alpha + T + horizon))^(r + x)): Fader, Hardie & Lee (2005), equation 7 at x = 0.
    """
    return 1 + alive * np.expm1(-(r + x) * np.log1p(horizon / (alpha + T)))


# -- Gamma-gamma -----------------------------------------------------------------------------------------------------


def gamma_gamma_likelihood(x: Floats, z: Floats, count: Floats) -> Likelihood:
    """Log-likelihood of the gamma-gamma model and its gradient, as a function of (p, q, gamma).

    Fader & Hardie (2013), "The gamma-gamma model of monetary value", note 025, equation 1a; nothing is dropped.
    """
    xs, of_x = np.unique(x, return_inverse=True)
    n, n_x, total = count.sum(), _sums(of_x, count), np.log(x * z)
    log_z, x_total = _dot(count, np.log(z)), _dot(count * x, total)

    def evaluate(params: Floats) -> tuple[float, Floats]:
        p, q, gamma = params
        log_sum, both = np.log(gamma + x * z), count * (p * x + q)
        gammas = gammaln(p * xs + q) - gammaln(p * xs) - gammaln(q)
        value = _dot(n_x, gammas) + n * q * np.log(gamma) + p * x_total - log_z - _dot(both, log_sum)
        psi = digamma(p * xs + q)
        gradient = (
            _dot(n_x * xs, psi - digamma(p * xs)) + x_total - _dot(count * x, log_sum),
            _dot(n_x, psi - digamma(q)) + n * np.log(gamma) - _dot(count, log_sum),
            n * q / gamma - _dot(both, 1 / (gamma + x * z)),
        )
        return float(value), np.array(gradient)

    return evaluate


def gamma_gamma_mean(p: float, q: float, gamma: float, x: Floats, z: Floats) -> Floats:
    """Expected mean spend per purchase given ``x`` purchases of mean ``z``; p·gamma/(q - 1) at x = 0.

    Fader & Hardie (2013), note 025, equation 5.
    """
    return p * (gamma + x * z) / (p * x + q - 1)
