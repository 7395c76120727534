"""Newton's method, damped: for one large problem, and for many small ones at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from crmkit._types import Floats

__all__ = ["Curvature", "maximise_groups", "minimise"]

_ROUNDING = 1e-13


class Curvature(NamedTuple):
    """First and second derivatives of a function of two numbers u and v, one element per group."""

    u: Floats
    v: Floats
    uu: Floats
    vv: Floats
    uv: Floats


def minimise(
    sums: Callable[[Floats, bool], tuple[float, Floats, Floats | None]],
    start: Floats,
    steps: int = 40,
    tolerance: float = 1e-15,
) -> Floats:
    """The lowest point of a convex function; a step that climbs is halved.

    It stops after the step that promises less than ``tolerance``: of a log-likelihood, √(2 · tolerance) standard errors.

    Parameters
    ----------
    sums : callable of (at, curved)
        Value, gradient and, where ``curved``, Hessian; which is asked for again only when steps by the last one no longer
        bring the promise down thirtyfold.
    """
    at, step = start, np.zeros(len(start))
    inverse: Floats = np.eye(len(start))
    best, promised, curved = np.inf, np.inf, True
    for _ in range(steps):
        value, gradient, hessian = sums(at + step, curved)
        if not value <= best + 1e-12 * abs(best):
            step = step / 2
            continue
        best, at = value, at + step
        if hessian is not None:
            inverse = np.asarray(np.linalg.inv(hessian), dtype=np.float64)
        step = np.asarray(-(inverse @ gradient), dtype=np.float64)
        promise = -float(gradient @ step) / 2
        if promise <= tolerance:
            break
        curved, promised = promise > promised / 30, promise
    return at + step


def maximise_groups(
    sums: Callable[[Floats, Floats], tuple[Floats, Curvature]],
    start: tuple[Floats, Floats],
    centre: tuple[float, float],
    strength: float,
    steps: int,
    tolerance: float,
) -> tuple[Floats, Floats]:
    """u and v of the highest penalised value of each group.

    Parameters
    ----------
    sums : callable of (u, v)
        The function without its penalty, and its derivatives, one element per group.
    start : (u, v)
    centre : (float, float)
        Mean of the normal prior that draws each group's u and v to it; ``strength`` is its precision.
    steps : int
        At most.
    tolerance : float
        Share of the value by which the last step of every group may still raise it.
    """

    def penalised(u: Floats, v: Floats) -> tuple[Floats, Curvature]:
        value, d = sums(u, v)
        off_u, off_v = u - centre[0], v - centre[1]
        pull = Curvature(d.u - strength * off_u, d.v - strength * off_v, d.uu - strength, d.vv - strength, d.uv)
        return value - 0.5 * strength * (off_u**2 + off_v**2), pull

    u, v = start
    damping = np.full(len(u), 1e-3)
    best, slopes = penalised(u, v)
    for _ in range(steps):
        step_u, step_v = _step(slopes, damping)
        moved, there = penalised(u + step_u, v + step_v)
        better = moved >= best - _ROUNDING * (1 + np.abs(best))
        u, v = np.where(better, u + step_u, u), np.where(better, v + step_v, v)
        settled = np.abs(moved - best) <= tolerance * (1 + np.abs(best))
        best, damping = np.where(better, moved, best), np.where(better, damping / 10, damping * 10)
        slopes = Curvature(*(np.where(better, new, old) for new, old in zip(there, slopes, strict=True)))
        if settled.all():
            break
    return u, v


def _step(d: Curvature, damping: Floats) -> tuple[Floats, Floats]:
    """A Newton step of at most 1 in each group; along the gradient where the Hessian is not negative definite."""
    size = damping * (np.abs(d.uu) + np.abs(d.vv))
    a, b = d.uu - size, d.vv - size
    determinant = a * b - d.uv**2
    sound = (a < 0) & (determinant > 0)
    safe = np.where(sound, determinant, 1.0)
    u = np.where(sound, -(b * d.u - d.uv * d.v) / safe, d.u / (1 + np.abs(d.uu)))
    v = np.where(sound, -(a * d.v - d.uv * d.u) / safe, d.v / (1 + np.abs(d.vv)))
    length = np.maximum(1.0, np.maximum(np.abs(u), np.abs(v)))
    return u / length, v / length
