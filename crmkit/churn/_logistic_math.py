"""Logistic regression with a prior, and what may be said of its coefficients: free functions on arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from crmkit._types import Floats, Ints

__all__ = ["clustered_covariance", "fit_logistic", "log_odds", "shift_to_rate"]

_STEPS = 100
_EDGE = 1e-6


def log_odds(p: ArrayLike) -> Floats:
    """ln(p / (1 − p)), of probabilities kept ``1e-6`` away from 0 and 1.

    >>> log_odds([0.5, 0.8]).round(3).tolist()
    [0.0, 1.386]
    """
    kept = np.clip(np.asarray(p, dtype=np.float64), _EDGE, 1 - _EDGE)
    return np.asarray(np.log(kept) - np.log1p(-kept), dtype=np.float64)


def fit_logistic(X: Floats, y: Floats, strength: float, prior: Floats, start: Floats | None = None) -> Floats:
    """Intercept and coefficients that maximise Σ (y z − ln(1 + e^z)) − strength/2 Σ (β − prior)², z = a + X β.

    The posterior mode under independent normal priors of variance 1 / strength around ``prior``, none on the intercept;
    by Newton's method with halved steps, so that it goes up at every step (le Cessie & van Houwelingen 1992).

    Parameters
    ----------
    X : array (n, p)
        Finite.
    y : array (n,)
        0 or 1.
    strength : float
        Above 0.
    prior : array (p,)
    start : array (1 + p,), optional
        A guess.

    Returns
    -------
    array (1 + p,)

    Examples
    --------
    >>> X, y = np.array([[-1.0], [0.0], [1.0], [2.0]]), np.array([0.0, 1.0, 0.0, 1.0])
    >>> fit_logistic(X, y, strength=1.0, prior=np.zeros(1)).round(3).tolist()
    [-0.226, 0.453]
    """
    A = np.column_stack([np.ones(len(X)), X])
    centre, penalty = np.append(0.0, prior), np.append(1e-9, np.full(X.shape[1], strength))

    def loss(b: Floats) -> tuple[float, Floats]:
        z = A @ b
        return float(np.sum(np.logaddexp(0, z) - y * z) + penalty @ (b - centre) ** 2 / 2), z

    b = centre.copy() if start is None else start
    value, z = loss(b)
    for _ in range(_STEPS):
        p = expit(z)
        slope = A.T @ (y - p) - penalty * (b - centre)
        step = np.linalg.solve(information(A, p * (1 - p), penalty), slope)
        if np.abs(step).max() < 1e-9:
            return np.asarray(b + step, dtype=np.float64)
        size = 1.0
        while size > 1e-9 and not (lower := loss(b + size * step))[0] <= value + 1e-13 * abs(value):
            size /= 2
        if size <= 1e-9:
            break
        b, (value, z) = b + size * step, lower
    return np.asarray(b, dtype=np.float64)


def information(A: Floats, weight: Floats, penalty: Floats) -> Floats:
    """A'WA + diag(penalty): minus the second derivative of the penalised log-likelihood."""
    half = A * np.sqrt(weight)[:, None]
    return np.asarray(
        half.T @ half + np.diag(penalty), dtype=np.float64
    )  # one matrix, so half of the product is computed


def clustered_covariance(X: Floats, y: Floats, b: Floats, strength: float, group: Ints) -> Floats:
    """Covariance of `fit_logistic`'s answer when rows of one group (a customer's snapshots) are not independent.

    The sandwich I⁻¹ (Σ_g s_g s_g') I⁻¹ with s_g the sum of the group's scores, times G / (G − 1) for G groups (Liang & Zeger
    1986); the penalty is part of the information I.

    >>> X, y = np.array([[-1.0], [0.0], [1.0], [2.0]]), np.array([0.0, 1.0, 0.0, 1.0])
    >>> b = fit_logistic(X, y, strength=1.0, prior=np.zeros(1))
    >>> bool(np.all(np.diag(clustered_covariance(X, y, b, 1.0, np.arange(4))) > 0))
    True
    """
    A = np.column_stack([np.ones(len(X)), X])
    p = expit(A @ b)
    bread = np.linalg.inv(information(A, p * (1 - p), np.append(1e-9, np.full(X.shape[1], strength))))
    whose, codes = np.unique(group, return_inverse=True)
    n, order = len(whose), np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(n))
    scores = np.add.reduceat((A * (y - p)[:, None])[order], starts, axis=0)
    return np.asarray(bread @ (scores.T @ scores) @ bread * n / max(n - 1, 1), dtype=np.float64)


def shift_to_rate(z: Floats, rate: float) -> float:
    """The number that, added to all log-odds, makes their mean probability ``rate``; by bisection.

    >>> round(shift_to_rate(np.array([0.0, 0.0]), 0.8), 6)
    1.386294
    """
    low, high = -30.0, 30.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if expit(z + middle).mean() < rate else (low, middle)
    return (low + high) / 2
