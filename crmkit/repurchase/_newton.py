"""Newton's method, damped: for one large problem, and for many small ones at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from crmkit._types import Floats

__all__ = ["Curvature", "maximise_groups", "minimise"]


class Curvature(NamedTuple):
    """First and second derivatives of a function of two numbers u and v, one element per group."""

    u: Floats
    v: Floats
    uu: Floats
    vv: Floats
    uv: Floats


def minimise(
    sums: Callable[[Floats], tuple[float, Floats, Floats]], start: Floats, steps: int = 25, tolerance: float = 1e-8
) -> Floats:
    """The lowest point of a convex function, given its value, gradient and Hessian; a step that climbs is halved.

    It stops after the step that promises less than ``tolerance``: of a log-likelihood, √(2 · tolerance) standard errors.
    """
    at, step, best = start, np.zeros(len(start)), np.inf
    for _ in range(steps):
        value, gradient, hessian = sums(at + step)
        if not value <= best + 1e-12 * abs(best):
            step = step / 2
            continue
        best, at = value, at + step
        step = np.asarray(-np.linalg.solve(hessian, gradient), dtype=np.float64)
        if -float(gradient @ step) / 2 <= tolerance:
            break
    return at + step


def maximise_groups(
    value: Callable[[Floats, Floats], Floats],
    curvature: Callable[[Floats, Floats], Curvature],
    start: tuple[Floats, Floats],
    centre: tuple[float, float],
    strength: float,
    steps: int,
    tolerance: float,
) -> tuple[Floats, Floats]:
    """u and v of the highest penalised value of each group.

    Parameters
    ----------
    value, curvature : callables of (u, v)
        The function without its penalty, and its derivatives, one element per group.
    start : (u, v)
    centre : (float, float)
        Mean of the normal prior that draws each group's u and v to it; ``strength`` is its precision.
    steps : int
        At most.
    tolerance : float
        Share of the value by which the last step of every group may still raise it.
    """
    u, v = start
    damping = np.full(len(u), 1e-3)

    def penalised(u: Floats, v: Floats) -> Floats:
        return value(u, v) - 0.5 * strength * ((u - centre[0]) ** 2 + (v - centre[1]) ** 2)

    best = penalised(u, v)
    for _ in range(steps):
        d_u, d_v, d_uu, d_vv, d_uv = curvature(u, v)
        pull = Curvature(
            d_u - strength * (u - centre[0]), d_v - strength * (v - centre[1]), d_uu - strength, d_vv - strength, d_uv
        )
        step_u, step_v = _step(pull, damping)
        moved = penalised(u + step_u, v + step_v)
        better = moved >= best
        u, v = np.where(better, u + step_u, u), np.where(better, v + step_v, v)
        settled = np.abs(moved - best) <= tolerance * (1 + np.abs(best))
        best, damping = np.where(better, moved, best), np.where(better, damping / 10, damping * 10)
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
