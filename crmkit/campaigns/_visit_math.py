"""Arithmetic of visits: what one is expected to gain, distances, the days' neighbourhoods, and the order within a day."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

__all__ = ["anchors", "expected_gain", "kilometres", "ordered", "shrunk"]

_EARTH = 6371.0


def shrunk(total: Floats, n: Floats, mean: float, weight: float) -> Floats:
    """Means of few observations, pulled to the mean of all, which counts as ``weight`` of them (an empirical-Bayes mean).

    >>> shrunk(np.array([10.0, 0.0]), np.array([2.0, 0.0]), mean=1.0, weight=2.0).tolist()
    [3.0, 1.0]
    """
    return (total + weight * mean) / (n + weight)


def expected_gain(
    value_at_risk: Floats, p_met: Floats, sold: Floats, effect: float, margin: float, minute: float, minutes: float
) -> Floats:
    """Money that a visit is expected to bring, less the time it takes: p(met) (effect × at risk + margin × sold) - time.

    >>> expected_gain(np.array([100.0]), np.array([0.5]), np.array([40.0]), 0.1, 0.25, 0.1, 30.0).tolist()
    [7.0]
    """
    return p_met * (effect * value_at_risk + margin * sold) - minute * minutes


def kilometres(first: Floats, second: Floats) -> Floats:
    """Distances as the crow flies between rows of (latitude, longitude): a row for each of the first, a column for each other.

    >>> kilometres(np.array([[52.52, 13.40]]), np.array([[48.14, 11.58]])).round().tolist()
    [[504.0]]
    """
    a, b = np.radians(first)[:, None, :], np.radians(second)[None, :, :]
    half = np.sin((b - a) / 2) ** 2
    inner = half[..., 0] + np.cos(a[..., 0]) * np.cos(b[..., 0]) * half[..., 1]
    return np.asarray(2 * _EARTH * np.arcsin(np.sqrt(np.clip(inner, 0, 1))), dtype=np.float64)


def anchors(places: Floats, weights: Floats, n: int) -> Floats:
    """Centres of ``n`` neighbourhoods, one a day, of the places that are most worth going to (k-means, always the same)."""
    best = places[np.argsort(-weights, kind="stable")]
    distinct = np.unique(best.round(6), axis=0)
    if len(distinct) <= n:
        return distinct[np.arange(n) % len(distinct)]
    begin = best[[0]]
    while len(begin) < n:  # the farthest from those chosen, so that no chance is needed
        begin = np.vstack([begin, best[[int(np.argmax(kilometres(best, begin).min(axis=1)))]]])
    centres, _ = kmeans2(best, begin, iter=20, minit="matrix", missing="warn")
    return np.where(np.isfinite(centres), centres, begin)


def ordered(
    travel: Floats, home: Floats, opens: Floats, closes: Floats, minutes: float, start: float
) -> tuple[Ints, Floats]:
    """The order of a day's visits, and when each begins (minutes after midnight): always the nearest that is open next.

    Parameters
    ----------
    travel : array of shape (n, n)
        Minutes between places.
    home : array of shape (n,)
        Minutes from where the day begins.
    opens, closes : arrays of shape (n,)
        Minutes after midnight.
    minutes, start : float
        Of a visit; when the day begins.

    Returns
    -------
    order : array
        A visit that cannot end before its place closes is left out.
    begins : array

    Examples
    --------
    >>> far = np.array([[0.0, 5.0], [5.0, 0.0]])
    >>> order, begins = ordered(far, np.array([10.0, 15.0]), np.zeros(2), np.full(2, 1440.0), 30.0, 480.0)
    >>> order.tolist(), begins.tolist()
    ([0, 1], [490.0, 525.0])
    """
    left, now, way = list(range(len(home))), start, home
    order, begins = list[int](), list[float]()
    while left:
        arrive = now + way[left]
        at = np.maximum(arrive, opens[left])
        possible = at + minutes <= closes[left]
        if not possible.any():
            break
        place = int(np.argmin(np.where(possible, at, np.inf)))
        one = left.pop(place)
        order.append(one)
        begins.append(float(at[place]))
        now, way = float(at[place]) + minutes, travel[one]
    return np.array(order, dtype=np.int64), np.array(begins, dtype=np.float64)
