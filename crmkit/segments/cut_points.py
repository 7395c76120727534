"""Where a measure is cut: free functions on arrays, each with its rule for ties. No customers, no tables.

Cut points are observed values (the inverted cumulative distribution, no interpolation), so repeating every customer, or
changing the currency, moves no customer across one.
"""

from __future__ import annotations

import numpy as np

from crmkit._types import Floats, Ints

__all__ = [
    "distinct_edges",
    "distinct_quantiles",
    "log_scaled",
    "log_unit",
    "natural_breaks",
    "quantile_ranks",
    "quantiles",
    "score",
    "tier_codes",
    "value_shares",
]

_CELLS = 1000


def quantiles(values: Floats, below: Floats) -> Floats:
    """Smallest observed values with at least the share ``below`` of customers at or under them.

    >>> quantiles(np.array([1.0, 2, 3, 4, 5]), np.array([0.2, 0.5])).tolist()
    [1.0, 3.0]
    """
    return np.sort(values)[quantile_ranks(values.size, below) - 1]


def quantile_ranks(n: int, below: Floats) -> Ints:
    """Which of ``n`` sorted values `quantiles` takes, counted from 1.

    >>> quantile_ranks(5, np.array([0.2, 0.5])).tolist()
    [1, 3]
    """
    return np.clip(np.ceil(np.round(n * below, 6)).astype(np.int64), 1, n)


def distinct_quantiles(values: Floats, n: int) -> tuple[float, ...]:
    """Distinct edges of ``n`` bands of equally many; one at the maximum would leave the top score empty.

    Where all would be there, the largest value below the maximum is the edge, or the maximum if there is no other value.

    >>> distinct_quantiles(np.array([1.0] * 8 + [2, 3]), 5), distinct_quantiles(np.array([1.0] + [3] * 9), 5)
    ((1.0,), (1.0,))
    """
    below = values[values < values.max()]
    return distinct_edges(quantiles(values, np.arange(1, n) / n), values.max(), below.max() if below.size else None)


def distinct_edges(found: Floats, largest: float, next_largest: float | None) -> tuple[float, ...]:
    """The rule of `distinct_quantiles`, from the quantiles and the two largest values; None where there is one value only.

    >>> distinct_edges(np.array([3.0, 3.0]), 3.0, 1.0), distinct_edges(np.array([1.0, 3.0]), 3.0, 1.0)
    ((1.0,), (1.0,))
    """
    inner = np.unique(found)
    inner = inner[inner < largest]
    if inner.size or not found.size:
        return tuple(inner.tolist())
    return (float(largest if next_largest is None else next_largest),)


def score(values: Floats, edges: tuple[float, ...], n: int) -> Ints:
    """1 to ``n``, spread over the distinct edges; a value at an edge is below it.

    >>> score(np.array([1.0, 2, 3]), (1.0,), 5).tolist()
    [1, 5, 5]
    """
    spread: Ints = np.rint(np.linspace(1, n, len(edges) + 1)).astype(np.int64)
    return spread[np.searchsorted(edges, values, side="left")]


def tier_codes(values: Floats, thresholds: Floats) -> Ints:
    """0 for the best tier: how many thresholds (highest first) the value does not exceed.

    >>> tier_codes(np.array([9.0, 5, 1]), np.array([5.0, 2])).tolist()
    [0, 1, 2]
    """
    codes: Ints = len(thresholds) - np.searchsorted(thresholds[::-1], values, side="left")
    return codes


def value_shares(values: Floats, shares: Floats) -> Floats:
    """Value of the last of the fewest best customers who together hold each share of all positive value (Pareto, ABC).

    >>> value_shares(np.array([70.0, 20, 6, 3, 1, 0]), np.array([0.8, 0.95])).tolist()
    [20.0, 6.0]
    """
    best = np.sort(values)[::-1]
    held = np.cumsum(np.maximum(best, 0.0))
    place = np.searchsorted(held, shares * held[-1] * (1 - 1e-12), side="left")
    reached: Floats = best[np.minimum(place, best.size - 1)]
    return reached


def log_unit(values: Floats) -> float:
    """The tenth percentile of what is above 0, or 1 where nothing is: the unit that frees `log_scaled` of the currency."""
    positive = np.abs(values[values != 0])
    return float(quantiles(positive, np.array([0.1]))[0]) if positive.size else 1.0


def log_scaled(values: Floats, unit: float | Floats) -> Floats:
    """sign(x) · ln(1 + |x| / unit): logarithmic in the large, and at home with 0 and refunds.

    >>> log_scaled(np.array([0.0, 1.0, -1.0]), 1.0).round(3).tolist()
    [0.0, 0.693, -0.693]
    """
    scaled: Floats = np.sign(values) * np.log1p(np.abs(values) / unit)
    return scaled


def natural_breaks(values: Floats, n: int) -> Floats:
    """Lowest value of each class but the lowest, best class first, when ``n`` classes of log value vary least within.

    Fisher (1958), "On grouping for maximum homogeneity", J. Amer. Stat. Assoc. 53, exact over at most 1,000 cells of
    the log scale. Where fewer distinct values are found, classes in the middle stay empty.

    >>> natural_breaks(np.array([1.0, 2, 100, 110, 9000]), 3).tolist()
    [9000.0, 100.0]
    """
    unique, counts = np.unique(values, return_counts=True)
    if unique.size == 1:
        return np.full(n - 1, np.nextafter(unique[0], np.inf))
    scaled = log_scaled(unique, log_unit(values))
    if unique.size > _CELLS:
        cell = np.minimum(((scaled - scaled[0]) / (scaled[-1] - scaled[0]) * _CELLS).astype(np.int64), _CELLS - 1)
        start = np.flatnonzero(np.diff(cell, prepend=-1))
    else:
        start = np.arange(unique.size)
    weight, first, second = (np.add.reduceat(counts * scaled**power, start) for power in (0, 1, 2))
    lowest = unique[start[_fisher(weight, first, second, min(n, start.size))]]
    return np.concatenate([lowest[::-1], np.full(n - 1 - lowest.size, lowest[0])])


def _fisher(weight: Floats, first: Floats, second: Floats, n: int) -> Ints:
    """Cells with which the second to the last of ``n`` classes begin, by dynamic programming over sums of squares."""
    w, s, q = (np.concatenate([[0.0], np.cumsum(column)]) for column in (weight, first, second))
    begin, end = np.ogrid[0 : weight.size, 1 : weight.size + 1]
    inside = np.where(end > begin, w[end] - w[begin], 1.0)
    within = np.where(end > begin, q[end] - q[begin] - (s[end] - s[begin]) ** 2 / inside, np.inf)
    best, choices = within[0], []
    for _ in range(n - 1):
        total = np.concatenate([[np.inf], best[:-1]])[:, None] + within
        choices.append(total.argmin(axis=0))
        best = total.min(axis=0)
    cuts, last = [], weight.size - 1
    for choice in reversed(choices):
        cuts.append(int(choice[last]))
        last = cuts[-1] - 1
    return np.array(cuts[::-1], dtype=np.int64)
