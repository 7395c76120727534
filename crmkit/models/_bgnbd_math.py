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
from scipy.special import betainc, betaln, digamma, expit, gammaln, xlogy

from crmkit._types import Bools, Floats
from crmkit.models._dropout_math import discounted_alive, purchases_alive

Likelihood = Callable[[Floats], tuple[float, Floats]]
Link = Callable[[Floats], tuple[Floats, Floats]]

PRIOR_SD = 2.0
CONVERGED = 1e-8
_EDGE, _WALL = 10.0, 12.0
_BLOCK = 16_384


# -- Fitting ---------------------------------------------------------------------------------------------------------


class Maximum(NamedTuple):
    """The top of a log-likelihood: its parameters, value and covariance, and the coordinate that ran away, if any.

    ``slope`` is what is left of the gradient of the penalised likelihood: its largest entry, per customer.
    """

    params: Floats
    value: float
    covariance: Floats
    runaway: int | None
    slope: float

    @property
    def converged(self) -> bool:
        """Whether the gradient per customer is at most 1e-8."""
        return self.slope <= CONVERGED


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
    covariance = jacobian @ _inverse(hessian * n) @ jacobian.T
    runaway = _runaway(theta, gradient @ jacobian / n, hessian * n)
    return Maximum(params, value, (covariance + covariance.T) / 2, runaway, float(np.abs(loss(theta)[1]).max()))


def _newton(loss: Likelihood, theta: Floats) -> tuple[Floats, Floats]:
    """Newton steps down from theta, along the absolute curvature where a saddle was left, halved while they lead up."""
    theta = np.clip(theta, -_WALL, _WALL)
    for _ in range(20):
        hessian = _hessian(loss, theta)
        widths, axes = np.linalg.eigh(hessian)
        value, slope = loss(theta)
        step = np.clip(axes @ (axes.T @ slope / np.maximum(np.abs(widths), 1e-12)), -1, 1)
        while np.abs(step).max() > 1e-3 and loss(theta - step)[0] > value:
            step /= 2
        theta = np.clip(theta - step, -_WALL, _WALL)
        if np.abs(step).max() < 1e-6:
            break
    return theta, hessian


def _hessian(loss: Likelihood, theta: Floats, step: float = 1e-4) -> Floats:
    rows = [(loss(theta + e)[1] - loss(theta - e)[1]) / (2 * step) for e in step * np.eye(len(theta))]
    hessian = np.array(rows)
    return (hessian + hessian.T) / 2


def _inverse(hessian: Floats) -> Floats:
    """The inverse, where a direction in which the likelihood is flat counts as known to within e^(±12)."""
    widths, axes = np.linalg.eigh(hessian)
    inverse: Floats = (axes / np.maximum(widths, 1 / _WALL**2)) @ axes.T
    return inverse


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


def bgnbd_likelihood(x: Floats, t_x: Floats, T: Floats, count: Floats, first_coin: int = 0) -> Likelihood:
    """Log-likelihood of the BG/NBD model and its gradient, as a function of (r, alpha, a, b).

    Fader, Hardie & Lee (2005), "Counting your customers the easy way", Marketing Science 24(2), equation 6; with
    ``first_coin`` = 1 that of the MBG/NBD model, Batislam, Denizel & Filiztekin (2007), International Journal of
    Research in Marketing 24(3), in which the first purchase may be the last as well; nothing is dropped. Gamma functions are evaluated once per distinct ``x``, logarithms once per distinct time; what is left per
    row is the weight of the branch in which the last purchase was the end, where there was a coin, a cache-sized block
    at a time.
    """
    (xs, of_x), (ts, of_t), (Ts, of_T) = (np.unique(column, return_inverse=True) for column in (x, t_x, T))
    n, n_x, n_T, x_T = count.sum(), _sums(of_x, count), _sums(of_T, count), _sums(of_T, count * x)
    coins, tossed = xs + first_coin, np.flatnonzero(x + first_coin > 0)
    blocks = [tossed[start : start + _BLOCK] for start in range(0, len(tossed), _BLOCK)]
    cells = [(x[rows], count[rows], of_x[rows], of_t[rows], of_T[rows]) for rows in blocks]

    def evaluate(params: Floats) -> tuple[float, Floats]:
        r, alpha, a, b = params
        log_T, rate = np.log(alpha + Ts), 1 / (alpha + Ts)
        log_t, sooner = np.log(alpha + ts), 1 / (alpha + ts)
        last = 1 / (b + np.maximum(coins, 1) - 1)
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
        counts = (
            gammaln(r + xs) - gammaln(r) + gammaln(b + coins) - gammaln(b) + gammaln(a + b) - gammaln(a + b + coins)
        )
        value = _dot(n_x, counts) + n * r * np.log(alpha) - _dot(r * n_T + x_T, log_T) + ends[0]
        dropout = digamma(a + b) - digamma(a + b + coins)
        gradient = (
            _dot(n_x, digamma(r + xs) - digamma(r)) + n * np.log(alpha) - _dot(n_T, log_T) + ends[1],
            n * r / alpha - _dot(r * n_T + x_T, rate) - ends[2],
            _dot(n_x, dropout) + ends[3] / a,
            _dot(n_x, digamma(b + coins) - digamma(b) + dropout) - ends[4],
        )
        return float(value), np.array(gradient)

    return evaluate


def bgnbd_terms(x: Floats, t_x: Floats, T: Floats, first_coin: int = 0) -> Callable[..., tuple[Floats, list[Floats]]]:
    """The same likelihood row by row, and its slopes in r, alpha, a and b, each of which may differ between rows."""
    coins = x + first_coin
    tossed = coins > 0

    def evaluate(r: float, alpha: Floats, a: Floats, b: float) -> tuple[Floats, list[Floats]]:
        ends, since, last = alpha + T, alpha + t_x, 1 / (b + np.maximum(coins, 1) - 1)
        gap = np.log(ends / since)
        odds = np.where(tossed, (r + x) * gap + np.log(a * last), -np.inf)
        gone, dropout = expit(odds), digamma(a + b) - digamma(a + b + coins)
        counts = gammaln(r + x) - gammaln(r) + gammaln(b + coins) - gammaln(b) + gammaln(a + b) - gammaln(a + b + coins)
        value = counts + r * np.log(alpha) - (r + x) * np.log(ends) + np.logaddexp(0, odds)
        return value, [
            digamma(r + x) - digamma(r) + np.log(alpha) - np.log(ends) + gone * gap,
            r / alpha - (r + x) / ends + gone * (r + x) * (1 / ends - 1 / since),
            dropout + gone / a,
            digamma(b + coins) - digamma(b) + dropout - gone * last,
        ]

    return evaluate


def _sums(level: NDArray[np.intp], values: Floats) -> Floats:
    return np.bincount(level, values).astype(float)


def bgnbd_alive(
    r: float, alpha: Floats | float, a: Floats | float, b: float, x: Floats, t_x: Floats, T: Floats, first_coin: int = 0
) -> Floats:
    """P(alive at T | x, t_x, T) of the BG/NBD model, 1 for x = 0; of the MBG/NBD model with ``first_coin`` = 1.

    Fader & Hardie (2008), "Computing P(alive) using the BG/NBD model", note 021; on the log-odds scale.
    """
    coins = x + first_coin
    odds = np.log(b + np.maximum(coins, 1) - 1) - np.log(a) - (r + x) * np.log1p((T - t_x) / (alpha + t_x))
    return np.where(coins > 0, expit(odds), 1.0)


def bgnbd_purchases(
    r: float,
    alpha: Floats | float,
    a: Floats | float,
    b: float,
    x: Floats,
    T: Floats,
    horizon: float,
    first_coin: int = 0,
) -> Floats:
    """Purchases expected in (T, T + horizon] of a customer alive at T, under the BG/NBD or MBG/NBD model.

    Fader, Hardie & Lee (2005), equation 10 without P(alive), as the mean over the rate and the dropout probability from
    which its ₂F₁ comes. With x = T = 0 it is equation 9, a new customer.
    """
    return purchases_alive(r + x, a, b + x + first_coin, horizon / (alpha + T))


def bgnbd_discounted_purchases(
    r: float,
    alpha: Floats | float,
    a: Floats | float,
    b: float,
    x: Floats,
    T: Floats,
    horizon: float,
    delta: float,
    first_coin: int = 0,
) -> Floats:
    """∫ e^(-delta·t) dE[X(t)] over (0, horizon] of a customer alive at T: each purchase discounted from its own moment.

    The horizon may be infinite if delta is above 0.
    """
    if delta == 0:
        return bgnbd_purchases(r, alpha, a, b, x, T, horizon, first_coin)
    return discounted_alive(r + x, a, b + x + first_coin, alpha + T, horizon, delta)


def bgnbd_probability_of(
    r: float, alpha: float, a: float, b: float, n: Floats, t: float, first_coin: int = 0
) -> Floats:
    """P(a new customer makes n repeat purchases within t) under the BG/NBD model, and the MBG/NBD with ``first_coin``.

    Fader, Hardie & Lee (2005), equation 8; its sum is the upper tail of a negative binomial, an incomplete beta function.
    """
    coins = n + first_coin
    alive = np.exp(betaln(a, b + coins) - betaln(a, b)) * nbd_probability_of(r, alpha, n, t)
    ends = np.exp(betaln(a + 1, b + np.maximum(coins, 1) - 1) - betaln(a, b))
    reached = np.where(n > 0, betainc(np.maximum(n, 1), r, t / (alpha + t)), 1.0)
    chance: Floats = alive + np.where(coins > 0, ends * reached, 0.0)
    return chance


# -- NBD -------------------------------------------------------------------------------------------------------------


def nbd_likelihood(x: Floats, T: Floats, count: Floats) -> Likelihood:
    """Log-likelihood of the times of x purchases in (0, T] at gamma-distributed rates, as a function of (r, alpha).

    Γ(r + x)/Γ(r) · alpha^r / (alpha + T)^(r + x): Ehrenberg (1959), Applied Statistics 8(1), without the count's own
    T^x/x!, so that it compares with the models of the times.
    """
    (xs, of_x), (Ts, of_T) = (np.unique(column, return_inverse=True) for column in (x, T))
    n, n_x, n_T, x_T = count.sum(), _sums(of_x, count), _sums(of_T, count), _sums(of_T, count * x)

    def evaluate(params: Floats) -> tuple[float, Floats]:
        r, alpha = params
        log_T = np.log(alpha + Ts)
        value = _dot(n_x, gammaln(r + xs) - gammaln(r)) + n * r * np.log(alpha) - _dot(r * n_T + x_T, log_T)
        gradient = (
            _dot(n_x, digamma(r + xs) - digamma(r)) + n * np.log(alpha) - _dot(n_T, log_T),
            n * r / alpha - _dot((r * n_T + x_T) / (alpha + Ts), np.ones(len(Ts))),
        )
        return float(value), np.array(gradient)

    return evaluate


def nbd_no_purchase(r: float, alpha: Floats | float, x: Floats, T: Floats, horizon: float) -> Floats:
    """P(no purchase in (T, T + horizon]) of a customer alive at T whose rate is Gamma(r + x, alpha + T).

    A coin is tossed only after a purchase, so dropout plays no part: ((alpha + T)/(alpha + T + horizon))^(r + x).
    """
    silence: Floats = np.exp(-(r + x) * np.log1p(horizon / (alpha + T)))
    return silence


def nbd_probability_of(r: float, alpha: float, n: Floats, t: float) -> Floats:
    """P(n purchases within t) at gamma-distributed rates: the negative binomial distribution, Ehrenberg (1959)."""
    share = t / (alpha + t)
    logs = gammaln(r + n) - gammaln(r) - gammaln(n + 1) - r * np.log1p(t / alpha) + xlogy(n, share)
    chance: Floats = np.exp(logs)
    return chance


# -- Simulation ------------------------------------------------------------------------------------------------------


def simulate_purchases(
    rng: np.random.Generator,
    until: Floats,
    rate: Floats,
    dropout: Floats | None = None,
    ends: Floats | None = None,
    k: int = 1,
    first_coin: bool = False,
) -> tuple[Floats, Floats, Floats, Bools]:
    """Frequency, recency, sum of log gaps, and whether alive at ``until``, of customers who buy first at time 0.

    Gaps are Erlang-k with mean 1 / rate each stage; after each repeat purchase (and the first, with ``first_coin``) a
    customer drops out with probability ``dropout``, and at the latest at time ``ends``. One pass per purchase number.
    """
    n = len(until)
    dropout, ends = (np.zeros(n) if dropout is None else dropout), (np.full(n, np.inf) if ends is None else ends)
    x, last, logs, now, alive = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.ones(n, dtype=bool)
    if first_coin:
        alive = rng.random(n) >= dropout
    buying = np.flatnonzero(alive)
    while len(buying):
        gap = rng.gamma(k, 1.0, len(buying)) / np.maximum(rate[buying], 1e-300)
        now[buying] += gap
        seen = (now[buying] <= until[buying]) & (now[buying] <= ends[buying])
        buying, gap = buying[seen], gap[seen]
        x[buying] += 1
        last[buying] = now[buying]
        logs[buying] += np.log(gap)
        stays = rng.random(len(buying)) >= dropout[buying]
        alive[buying[~stays]] = False
        buying = buying[stays]
    return x, last, logs, alive & (ends > until)


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
