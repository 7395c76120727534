"""Damped Newton steps for many small problems at once."""

from __future__ import annotations

import numpy as np

from crmkit._types import Floats


def newton_step(
    g_u: Floats, g_v: Floats, h_uu: Floats, h_vv: Floats, h_uv: Floats, damping: Floats
) -> tuple[Floats, Floats]:
    """A Newton step of at most 1 in each group; along the gradient where the Hessian is not negative definite."""
    size = damping * (np.abs(h_uu) + np.abs(h_vv))
    a, b = h_uu - size, h_vv - size
    determinant = a * b - h_uv**2
    sound = (a < 0) & (determinant > 0)
    safe = np.where(sound, determinant, 1.0)
    u = np.where(sound, -(b * g_u - h_uv * g_v) / safe, g_u / (1 + np.abs(h_uu)))
    v = np.where(sound, -(a * g_v - h_uv * g_u) / safe, g_v / (1 + np.abs(h_vv)))
    length = np.maximum(1.0, np.maximum(np.abs(u), np.abs(v)))
    return u / length, v / length
