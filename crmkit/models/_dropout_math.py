"""Expectations over the dropout probability p ~ Beta(a, b) of a customer who is alive, by one quadrature for all cases.

What lies ahead of such a customer is a ₂F₁ whose closed forms break down one after another (at a = 1, at a + b = 1, for
thousands of purchases, at whole r). Here it is an integral of positive terms, good to ten digits or more everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmkit._types import Floats

Ahead = Callable[[Floats, Floats], tuple[Floats, Floats]]

FORGOTTEN = 40.0
_DEPTH, _STEP, _NARROW = 32.0, 0.3, 0.5
_LENGTHS, _BLOCK, _ROWS = 13.0, 16_384, 32_768


class Nodes(NamedTuple):
    """Nodes (rows) of E[h(p)] = Σ weight · (h(p) + tilt · h'(p)) for each distinct (a, b) (columns); q is 1 - p."""

    p: Floats
    q: Floats
    weight: Floats
    tilt: Floats


def dropout_nodes(a: Floats | float, b: Floats, steepest: float) -> Nodes:
    """Nodes for expectations over Beta(a, b) of functions no larger at p = 0 than ``steepest``² times elsewhere.

    Integrating by parts, E[h] over Beta(a, b) is E[h + h'·(a·p - b·q)/((a + b)(a + b + 1))] over Beta(a + 1, b + 1): the
    tails fall at least as fast as p and q however small a and b are, and nothing of size is subtracted. Trapezoids in
    the logit of p, where the density is log-concave and everything is analytic, converge geometrically.
    """
    depth, mode = _DEPTH + 2 * np.log1p(steepest), np.log((a + 1) / (b + 1))
    low, high = (_where_deep(a, b, mode, side, depth) for side in (-1.0, 1.0))
    step = np.minimum(_STEP, _NARROW * np.sqrt(1 / (a + 1) + 1 / (b + 1)))
    n = int(np.ceil(np.max((high - low) / step, initial=1.0)))
    y = low + (high - low) * np.arange(n + 1)[:, None] / n
    density = np.exp(_log_density(a, b, y) - _log_density(a, b, mode))
    p, q = 1 / (1 + np.exp(-y)), 1 / (1 + np.exp(y))
    tilt = (a * p - b * q) / ((a + b) * (a + b + 1))
    return Nodes(p, q, density / density.sum(axis=0), tilt)


def _log_density(a: Floats | float, b: Floats, y: Floats) -> Floats:
    density: Floats = -(a + 1) * np.logaddexp(0, -y) - (b + 1) * np.logaddexp(0, y)
    return density


def _where_deep(a: Floats | float, b: Floats, mode: Floats, side: float, depth: float) -> Floats:
    """Where, to one side of its mode, the log density has fallen by ``depth``: bisection, taking the outer end."""
    near, far = np.zeros(len(b)), np.full(len(b), 2 * depth + 10)
    top = _log_density(a, b, mode)
    for _ in range(20):
        middle = (near + far) / 2
        deep = top - _log_density(a, b, mode + side * middle) > depth
        near, far = np.where(deep, near, middle), np.where(deep, middle, far)
    return mode + side * far


def mean_over(nodes: Nodes, cell: NDArray[np.intp], h: Ahead) -> Floats:
    """E[h(p)] for each customer, whose (a, b) is the ``cell``-th.

    ``h`` takes p and q, rows of nodes by customers, and gives its value and its derivative by p.
    """
    total = np.zeros(len(cell))
    height = max(1, _BLOCK // max(1, len(cell)))
    for start in range(0, len(nodes.p), height):
        p, q, weight, tilt = (part[start : start + height][:, cell] for part in nodes)
        value, slope = h(p, q)
        total += np.einsum("ij,ij->j", weight, value + tilt * slope)
    return total


def purchases_alive(shape: Floats, a: Floats | float, b: Floats, stretch: Floats) -> Floats:
    """E[(1 - (1 + p·stretch)^-shape) / p]: purchases at a Gamma(shape) rate over ``stretch`` times its own scale."""
    return _by_rows(_purchases_alive, shape, a, b, stretch)


def _purchases_alive(shape: Floats, a: Floats, b: Floats, stretch: Floats) -> Floats:
    levels, cell = np.unique(a + 1j * b, return_inverse=True)
    steepest = float(np.max(shape * stretch, initial=0.0))

    def until_dropout(p: Floats, q: Floats) -> tuple[Floats, Floats]:
        grown = np.log1p(p * stretch)
        value = -np.expm1(-shape * grown) / p
        return value, (shape * stretch * np.exp(-(shape + 1) * grown) - value) / p

    mean = mean_over(dropout_nodes(levels.real, levels.imag, steepest), cell, until_dropout)
    return np.clip(mean, 0.0, shape * stretch)


def discounted_alive(
    shape: Floats, a: Floats | float, b: Floats, scale: Floats, horizon: float, delta: float
) -> Floats:
    """∫ e^(-delta·t) of the purchase rate (shape/scale)·E[(1 + p·t/scale)^-(shape + 1)] over (0, horizon], ∞ included."""
    end = min(horizon, FORGOTTEN / delta)
    return _by_rows(_discounted_alive, shape, a, b, end / scale, delta * scale)


def _discounted_alive(shape: Floats, a: Floats, b: Floats, end: Floats, delta: Floats) -> Floats:
    levels, cell = np.unique(a + 1j * b, return_inverse=True)
    steepest = float(np.max((shape + 1) * end, initial=0.0)) ** 0.5
    nodes = dropout_nodes(levels.real, levels.imag, steepest)

    def rate(u: Floats) -> Floats:
        def still(p: Floats, q: Floats) -> tuple[Floats, Floats]:
            value = np.exp(-(shape + 1) * np.log1p(p * u))
            return value, -(shape + 1) * u / (1 + p * u) * value

        return shape * mean_over(nodes, cell, still)

    return discounted(rate, end, delta, 1 + shape * a / (a + b))


def _by_rows(formula: Callable[..., Floats], *columns: Floats | float) -> Floats:
    """A formula of columns, some rows at a time: with covariates there are nodes for every row."""
    rows = np.broadcast_arrays(*columns)
    starts = range(0, max(len(rows[0]), 1), _ROWS)
    return np.concatenate([formula(*(column[start : start + _ROWS] for column in rows)) for start in starts])


def discounted(rate: Callable[[Floats], Floats], end: Floats, delta: Floats, pace: Floats) -> Floats:
    """∫ e^(-delta·u) rate(u) du over (0, end], for a rate that changes over times of 1/pace at the soonest.

    Gauss–Legendre in log(1 + pace·u), with as many nodes as the longest range needs for eleven digits.
    """
    pace = pace + delta
    length = np.log1p(pace * end)
    longest = max(float(np.max(length, initial=0.0)), 1.0)
    nodes, weights = np.polynomial.legendre.leggauss(4 + int(_LENGTHS / np.arcsinh(np.pi / longest)))
    total = np.zeros(len(end))
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        u = np.expm1(node * length) / pace
        total += weight * length * (u + 1 / pace) * np.exp(-delta * u) * rate(u)
    return total
