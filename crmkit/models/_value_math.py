"""Spend that follows frequency, and what customers may still do, as formulas on arrays.

``x`` is the number of repeat purchases, ``t_x`` the time of the last one and ``T`` the time observed, both since the
first purchase; ``z`` is the mean spend per repeat purchase and ``count`` how many customers share a row.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import exprel, gammaln

from crmkit._types import Floats
from crmkit.models._bgnbd_math import Likelihood, gamma_gamma_likelihood

# -- Spend that follows frequency --------------------------------------------------------------------------------------


def spend_level(per_doubling: float, x: Floats) -> Floats:
    """How many times a customer's spend per purchase is that of one without repeat purchases: per_doubling^log₂(1 + x)."""
    level: Floats = np.exp(np.log(per_doubling) * np.log2(1 + x))
    return level


def trend_likelihood(x: Floats, z: Floats, count: Floats) -> Likelihood:
    """Log-likelihood of the gamma-gamma model of ``z / spend_level`` and its gradient, in (p, q, gamma, per_doubling).

    The gamma-gamma model (Fader & Hardie 2013, note 025) in which the scale of spend is multiplied by a power of the
    number of purchases, as a log link on a covariate does; per_doubling = 1 is the model without it.
    """
    doublings = np.log2(1 + x)
    all_doublings = float(np.einsum("i,i->", count, doublings))

    def evaluate(params: Floats) -> tuple[float, Floats]:
        p, q, gamma, per_doubling = params
        level = z / spend_level(per_doubling, x)
        value, gradient = gamma_gamma_likelihood(x, level, count)(params[:3])
        pull = p * x - (p * x + q) * x * level / (gamma + x * level)
        slope = -float(np.einsum("i,i,i->", count, doublings, pull)) / per_doubling
        return value - all_doublings * np.log(per_doubling), np.append(gradient, slope)

    return evaluate


# -- What customers may still do ---------------------------------------------------------------------------------------


class Future(NamedTuple):
    """One possible future of each customer: purchases within the horizon, and their mean discount factor.

    Purchases are spread evenly over the time in which they are made.
    """

    purchases: Floats
    discount: Floats


def stop_after_purchase(
    rng: np.random.Generator,
    rate: tuple[Floats | float, Floats | float],
    dropout: tuple[Floats | float, Floats | float],
    k: int,
    history: tuple[Floats, Floats, Floats],
    ahead: tuple[float, float],
) -> Future:
    """Draw from the (M)BG/(C)NBD-k posterior of a customer alive at T: stages at a gamma rate, and a coin after each k-th.

    Given (x, t_x, T) and life, j < k of the stages of the running interval are over with odds Γ(r + kx + j)/j! ·
    ((T - t_x)/(alpha + T))^j, the rate is Gamma(r + kx + j, alpha + T) and the dropout probability ``Beta(*dropout)``:
    what Platzer & Reutterer's Erlang-k likelihood (MBG/CNBD-k) says before it is integrated. ``ahead`` is (horizon, delta).
    """
    (r, alpha), (x, t_x, T), (horizon, delta) = rate, history, ahead
    stage = _running_stage(rng, r + k * x, (T - t_x) / (alpha + T), k)
    speed = rng.gamma(r + k * x + stage, 1 / (alpha + T))
    without_end = (stage + rng.poisson(speed * horizon)) // k
    coin = np.clip(rng.beta(*dropout), 1e-12, 1.0)
    purchases = np.minimum(without_end, rng.geometric(coin)).astype(float)
    return Future(purchases, exprel(-delta * horizon * (purchases + 1) / (without_end + 1)))


def _running_stage(rng: np.random.Generator, shape: Floats, odds: Floats, k: int) -> Floats:
    """Stages over since the last purchase, 0 to k - 1."""
    stages = np.arange(k)[:, None]
    log_odds = gammaln(shape + stages) - gammaln(stages + 1) + stages * np.log(np.maximum(odds, 1e-300))
    chance = np.cumsum(np.exp(log_odds - log_odds.max(axis=0)), axis=0)
    over: Floats = (rng.random(len(shape)) * chance[-1] > chance).sum(axis=0).astype(float)
    return over


def stop_at_any_time(
    rng: np.random.Generator,
    rate: tuple[Floats | float, Floats | float],
    lifetime: tuple[Floats | float, Floats | float] | None,
    history: tuple[Floats, Floats],
    ahead: tuple[float, float],
) -> Future:
    """Draw from the Pareto/NBD posterior of a customer alive at T; without a ``lifetime`` (s, beta), from the NBD's.

    Given (x, T) and life, the rate is Gamma(r + x, alpha + T) and the rate of dropping out Gamma(s, beta + T): Schmittlein,
    Morrison & Colombo (1987).
    """
    (r, alpha), (x, T), (horizon, delta) = rate, history, ahead
    active = np.full(len(x), horizon)
    if lifetime:
        s, beta = lifetime
        active = np.minimum(rng.exponential(1.0, len(x)) / np.maximum(rng.gamma(s, 1 / (beta + T)), 1e-300), horizon)
    purchases = rng.poisson(rng.gamma(r + x, 1 / (alpha + T)) * active).astype(float)
    return Future(purchases, exprel(-delta * active))


def draw_spend(
    rng: np.random.Generator, p: float, q: float, gamma: float, x: Floats, z: Floats, purchases: Floats
) -> Floats:
    """Money spent in ``purchases`` to come by customers whose ``x`` purchases had mean ``z``, under the gamma-gamma model.

    Each is Gamma(p, nu), and nu given the past Gamma(p·x + q, gamma + x·z): Fader & Hardie (2013), note 025.
    """
    nu = rng.gamma(p * x + q, 1 / (gamma + x * z))
    return rng.gamma(p * np.maximum(purchases, 1)) / np.maximum(nu, 1e-300) * (purchases > 0)


def draw_means(rng: np.random.Generator, p: float, q: float, gamma: float, x: Floats) -> Floats:
    """Mean spend over ``x`` purchases of new customers of the gamma-gamma model; 0 where x is 0."""
    return draw_spend(rng, p, q, gamma, np.zeros(len(x)), np.zeros(len(x)), x) / np.maximum(x, 1)
