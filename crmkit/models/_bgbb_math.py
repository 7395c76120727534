"""BG/BB formulas as free functions on arrays: one paper, one equation each.

Purchases can happen only at numbered opportunities (a year's appeal, a monthly delivery): ``x`` of the ``n``
opportunities after the first purchase were taken, the last of them at ``t_x`` (0 where none was). A living customer takes
an opportunity with a personal probability Beta(alpha, beta), and drops out before each with one of Beta(gamma, delta).

Fader, Hardie & Shang (2010), "Customer-base analysis in a discrete-time noncontractual setting", Marketing Science 29(6),
1086-1108.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import betaln, digamma, expit, gammaln

from crmkit._types import Bools, Floats
from crmkit.models._value_math import Future

Likelihood = Callable[[Floats], tuple[float, Floats]]

_AREA = 65_536


# -- Likelihood ------------------------------------------------------------------------------------------------------


def bgbb_likelihood(x: Floats, t_x: Floats, n: Floats, count: Floats) -> Likelihood:
    """Log-likelihood of the BG/BB model and its gradient, as a function of (alpha, beta, gamma, delta).

    Fader, Hardie & Shang (2010), equation 5; nothing is dropped. The sum over the opportunity of drop-out is a recursion
    of positive terms, in blocks that fit the cache.
    """
    order = np.argsort(t_x - n, kind="stable")
    x, t_x, n, count = x[order], t_x[order], n[order], count[order]

    def evaluate(params: Floats) -> tuple[float, Floats]:
        alpha, beta, gamma, delta = params
        log_sum, *means = _gone(alpha, beta, gamma, delta, x, t_x, n)
        odds = log_sum + _end(alpha, beta, gamma, delta, x, t_x, n)
        value = betaln(alpha + x, beta + n - x) + betaln(gamma, delta + n) + np.logaddexp(0, odds)
        alive = _slopes(x, n, alpha, beta, gamma, delta, died=0)
        ended = _slopes(x, t_x, alpha, beta, gamma, delta, died=1)
        dead = count * expit(odds)
        shared = np.array([digamma(alpha), digamma(beta), digamma(gamma), digamma(delta)])
        shared -= np.repeat([digamma(alpha + beta), digamma(gamma + delta)], 2)
        slopes = [
            _dot(count, now) + _dot(dead, then + mean - now)
            for now, then, mean in zip(alive, ended, means, strict=True)
        ]
        total = _dot(count, value) - count.sum() * (betaln(alpha, beta) + betaln(gamma, delta))
        return float(total), np.array(slopes) - count.sum() * shared

    return evaluate


def _end(alpha: float, beta: float, gamma: float, delta: float, x: Floats, t_x: Floats, n: Floats) -> Floats:
    """log of P(the same purchases, and gone right after the last) over P(the same purchases, and alive after n)."""
    purchases = betaln(alpha + x, beta + t_x - x) - betaln(alpha + x, beta + n - x)
    return np.asarray(purchases + betaln(gamma + 1, delta + t_x) - betaln(gamma, delta + n))


def _gone(alpha: float, beta: float, gamma: float, delta: float, x: Floats, t_x: Floats, n: Floats) -> Floats:
    """log of the sum over the opportunity of drop-out, its first term 1, and its mean slopes; rows longest first."""
    parts, first = [np.empty((5, 0))], 0
    while first < len(x):
        longest = int(n[first] - t_x[first])
        rows = slice(first, first + _AREA // (longest + 1) + 1)
        silent = (n - t_x)[rows, None] > np.arange(longest)
        parts.append(_sums(alpha, beta, gamma, delta, x[rows, None], t_x[rows, None] + np.arange(longest), silent))
        first = rows.stop
    return np.concatenate(parts, axis=1)


def _sums(alpha: float, beta: float, gamma: float, delta: float, x: Floats, j: Floats, silent: Bools) -> Floats:
    """The same of rows by their opportunities j: a term is the one before times the chances to miss and to stay."""
    miss, both, stay, all_ = beta + j - x, alpha + beta + j, delta + j, gamma + delta + 1 + j
    terms = np.cumprod(miss * stay / (both * all_), axis=1)
    terms = np.where(silent, np.concatenate([np.ones((len(j), 1)), terms], axis=1)[:, :-1], 0.0)
    total = terms.sum(axis=1)
    later = (total[:, None] - np.cumsum(terms, axis=1)) / np.maximum(total, 1.0)[:, None]
    for_miss, for_both, for_stay, for_all = ((later / part).sum(axis=1) for part in (miss, both, stay, all_))
    with np.errstate(divide="ignore"):
        return np.stack([np.log(total), -for_both, for_miss - for_both, -for_all, for_stay - for_all])


def _slopes(
    x: Floats, n: Floats, alpha: float, beta: float, gamma: float, delta: float, died: int
) -> tuple[Floats, Floats, Floats, Floats]:
    """Slopes of log B(alpha + x, beta + n - x) + log B(gamma + died, delta + n)."""
    both, all_ = digamma(alpha + beta + n), digamma(gamma + died + delta + n)
    stays = digamma(delta + n) - all_
    return digamma(alpha + x) - both, digamma(beta + n - x) - both, digamma(gamma + died) - all_, stays


def _dot(u: Floats, v: Floats) -> float:
    return float(np.einsum("i,i->", u, v))


# -- Answers ---------------------------------------------------------------------------------------------------------


def bgbb_alive(alpha: float, beta: float, gamma: float, delta: float, x: Floats, t_x: Floats, n: Floats) -> Floats:
    """P(alive at opportunity n + 1 | x, t_x, n) of the BG/BB model: Fader, Hardie & Shang (2010), equation 11."""
    order = np.argsort(t_x - n, kind="stable")
    back = np.argsort(order, kind="stable")
    log_sum = _gone(alpha, beta, gamma, delta, x[order], t_x[order], n[order])[0][back]
    odds = log_sum + _end(alpha, beta, gamma, delta, x, t_x, n)
    return np.asarray(expit(-odds) * (delta + n) / (gamma + delta + n))


def bgbb_purchases(
    alpha: float, beta: float, gamma: float, delta: float, x: Floats, n: Floats, horizon: int, discount: float = 0.0
) -> Floats:
    """Purchases expected at opportunities n + 1 … n + horizon of a customer alive at n + 1, each times e^(-discount·ahead).

    Fader, Hardie & Shang (2010), equation 13 without P(alive), its difference of gamma functions as the sum it stands
    for, so that it holds at gamma = 1.
    """
    stays, factor, total = np.ones_like(n), np.exp(-discount), np.zeros_like(n)
    for ahead in range(1, horizon + 1):
        total += stays * factor**ahead
        stays = stays * (delta + n + ahead) / (gamma + delta + n + ahead)
    return (alpha + x) / (alpha + beta + n) * total


def bgbb_residual_purchases(
    alpha: float, beta: float, gamma: float, delta: float, x: Floats, n: Floats, discount: float
) -> Floats:
    """The same without end: Fader, Hardie & Shang (2010), equation 14, discount the force of interest per opportunity.

    Its ₂F₁(1, b; c; v) is a continued fraction of Gauss, all terms of which are positive and below 1; the number of
    terms grows as the discount falls.
    """
    v, b, c = np.exp(-discount), delta + n + 1, gamma + delta + n + 1
    fraction = np.ones_like(n)
    for k in range(int(20 / np.sqrt(-np.expm1(-discount))) + 20, 0, -1):
        even = k * (c - b + k - 1) / ((c + 2 * k - 2) * (c + 2 * k - 1))
        odd = (b + k - 1) * (c + k - 2) / ((c + 2 * k - 3) * (c + 2 * k - 2))
        fraction = 1 - v * odd / (1 - v * even / fraction)
    return np.asarray((alpha + x) / (alpha + beta + n) * v / fraction)


def bgbb_no_purchase(
    alpha: float, beta: float, gamma: float, delta: float, x: Floats, n: Floats, horizon: int
) -> Floats:
    """P(no purchase at opportunities n + 1 … n + horizon) of a customer alive at n + 1.

    One minus the chances that the first purchase comes at each: alive so far, missed all before, takes this one.
    """
    stays, misses, buys = np.ones_like(n), np.ones_like(n), np.zeros_like(n)
    for ahead in range(1, horizon + 1):
        buys += stays * misses * (alpha + x) / (alpha + beta + n + ahead - 1)
        misses = misses * (beta + n - x + ahead - 1) / (alpha + beta + n + ahead - 1)
        stays = stays * (delta + n + ahead) / (gamma + delta + n + ahead)
    return 1 - buys


def bgbb_probability_of(alpha: float, beta: float, gamma: float, delta: float, n: Floats, opportunities: int) -> Floats:
    """P(a new customer makes n repeat purchases in so many opportunities): Fader, Hardie & Shang (2010), equation 8."""
    chances = np.zeros_like(n)
    for lived in range(opportunities + 1):
        died = int(lived < opportunities)
        k = np.minimum(n, lived)
        ways = gammaln(lived + 1) - gammaln(k + 1) - gammaln(lived - k + 1)
        taken = ways + betaln(alpha + k, beta + lived - k) - betaln(alpha, beta)
        spans = betaln(gamma + died, delta + lived) - betaln(gamma, delta)
        chances += np.where(n <= lived, np.exp(taken + spans), 0.0)
    return chances


# -- Simulation ------------------------------------------------------------------------------------------------------


def simulate_opportunities(
    rng: np.random.Generator, until: Floats, buys: Floats, drops: Floats
) -> tuple[Floats, Floats, Floats, Bools]:
    """Frequency, recency, sum of log gaps, and whether alive for opportunity ``until`` + 1; one pass per opportunity."""
    x, last, logs = np.zeros((3, len(until)))
    alive = rng.random(len(until)) >= drops
    for now in range(1, int(until.max(initial=0)) + 1):
        taken = alive & (now <= until) & (rng.random(len(until)) < buys)
        logs[taken] += np.log(now - last[taken])
        x[taken] += 1
        last[taken] = now
        alive &= (now > until) | (rng.random(len(until)) >= drops)
    return x, last, logs, alive


def take_opportunities(rng: np.random.Generator, buys: Floats, drops: Floats, horizon: int, discount: float) -> Future:
    """Purchases at the next ``horizon`` opportunities of customers alive for the first of them, and their mean discount.

    A customer alive for the next opportunity lives through a geometric number of them, and takes each with probability
    ``buys``; which ones are taken is exchangeable, so each is discounted by the mean of e^(-discount · j) over those lived.
    """
    lived = np.minimum(rng.geometric(np.clip(drops, 1e-12, 1.0)), horizon)
    purchases = rng.binomial(lived, buys).astype(float)
    ahead = np.cumsum(np.exp(-discount * np.arange(1, horizon + 1))) / np.arange(1, horizon + 1)
    return Future(purchases, np.append(ahead, 1.0)[lived - 1])
