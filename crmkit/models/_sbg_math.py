"""Shifted beta-geometric formulas as free functions on arrays.

``n`` is the number of renewals made, ``c`` whether the customer has cancelled since (1) or is still active (0).
Fader & Hardie (2007), "How to project customer retention", Journal of Interactive Marketing 21(1), 76-90.
"""

from __future__ import annotations

import numpy as np
from scipy.special import betaln, digamma, hyp2f1

from crmkit._types import Floats
from crmkit.models._bgnbd_math import Likelihood

__all__ = ["sbg_likelihood", "sbg_renewals", "sbg_residual", "sbg_retention", "sbg_survival"]


def sbg_likelihood(n: Floats, c: Floats, count: Floats) -> Likelihood:
    """Log-likelihood and gradient in (alpha, beta): B(alpha + c, beta + n) / B(alpha, beta), equations (5) and (6)."""

    def evaluate(params: Floats) -> tuple[float, Floats]:
        alpha, beta = params
        value = betaln(alpha + c, beta + n) - betaln(alpha, beta)
        both = digamma(alpha + beta) - digamma(alpha + beta + c + n)
        slopes = (digamma(alpha + c) - digamma(alpha) + both, digamma(beta + n) - digamma(beta) + both)
        return float(np.einsum("i,i->", count, value)), np.array([np.einsum("i,i->", count, slope) for slope in slopes])

    return evaluate


def sbg_retention(alpha: float, beta: float, n: Floats) -> Floats:
    """P(renews once more | n renewals so far): (beta + n) / (alpha + beta + n), equation (8)."""
    rate: Floats = (beta + n) / (alpha + beta + n)
    return rate


def sbg_survival(alpha: float, beta: float, n: Floats, k: Floats) -> Floats:
    """P(renews k times more | n renewals so far): B(alpha, beta + n + k) / B(alpha, beta + n)."""
    survival: Floats = np.exp(betaln(alpha, beta + n + k) - betaln(alpha, beta + n))
    return survival


def sbg_renewals(alpha: float, beta: float, n: Floats, horizon: int, discount: float = 0.0) -> Floats:
    """Expected renewals at the next ``horizon`` opportunities, the k-th times exp(-discount · k)."""
    k = np.arange(1.0, horizon + 1)
    renewals: Floats = sbg_survival(alpha, beta, n[:, None], k) @ np.exp(-discount * k)
    return renewals


def sbg_residual(alpha: float, beta: float, n: Floats, discount: float) -> Floats:
    """All renewals to come, the k-th times exp(-discount · k).

    Fader & Hardie (2010), "Customer-base valuation in a contractual setting", Marketing Science 29(1), 85-93, equation (6),
    with the next renewal one period ahead: theirs, in which it falls due at once, is exp(discount) times as much.
    """
    z = np.exp(-discount)
    ahead: Floats = z * sbg_retention(alpha, beta, n) * hyp2f1(1.0, beta + n + 1, alpha + beta + n + 1, z)
    return ahead
