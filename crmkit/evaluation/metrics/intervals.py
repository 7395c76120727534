"""Intervals by bootstrap over groups of rows, and of a share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from crmkit._types import Floats, Interval
from crmkit.evaluation.metrics._inputs import Score, checked, group_codes, or_missing, score_columns, vector
from crmkit.exceptions import ConfigError, ModelError

if TYPE_CHECKING:
    from crmkit._types import Ints

__all__ = ["bootstrap_draws", "bootstrap_interval", "jeffreys_share", "loss_difference", "paired_difference"]


_CELLS = 4_000_000


# Uncertainty


def jeffreys_share(y: ArrayLike) -> float:
    """(successes + ½) / (n + 1): a share that is never 0 or 1, and ½ of nothing (Jeffreys' prior).

    >>> jeffreys_share([1, 1, 1])
    0.875
    """
    outcome = vector("y", y)
    return float((outcome.sum() + 0.5) / (outcome.size + 1))


def bootstrap_interval(
    score: Score,
    y: ArrayLike,
    p: ArrayLike,
    groups: ArrayLike | None = None,
    n: int = 200,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap interval of ``score(y, p)``.

    Rows are drawn with replacement, or whole groups when ``groups`` is given, which is what rows of one customer need:
    they are not independent. Efron (1979); for groups, Field & Welsh (2007). Draws in which the score does not exist
    (one class only) are excluded; when that is more than half of them, ``ModelError`` says so.

    Parameters
    ----------
    score : callable
        Any score of this module that takes (y, p), or your own on arrays.
    groups : array-like of shape (n_rows,), optional
        Whose row it is.
    n : int
        Number of draws.
    seed : int
        The same seed gives the same interval.
    level : float
        Coverage aimed for, between 0 and 1.

    Examples
    --------
    >>> from crmkit.evaluation.metrics import brier_score
    >>> y = [0, 1, 1, 0, 1, 0, 1, 1]
    >>> estimate, low, high = bootstrap_interval(brier_score, y, [0.2, 0.9, 0.6, 0.4, 0.7, 0.1, 0.8, 0.3])
    >>> round(estimate, 3), low < estimate < high
    (0.125, True)
    """
    y, p = checked(y, p)
    return _bootstrap(lambda rows: score(y[rows], p[rows]), y.size, groups, n, seed, level)


def paired_difference(
    score: Score,
    y: ArrayLike,
    p: ArrayLike,
    q: ArrayLike,
    groups: ArrayLike | None = None,
    n: int = 200,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Bootstrap interval of ``score(y, p) − score(y, q)``: is ``p`` better than ``q`` on the same rows?

    Both are scored on the same draws, so what makes a draw easy for both cancels. Parameters as in
    ``bootstrap_interval``.

    Examples
    --------
    >>> from crmkit.evaluation.metrics import brier_score
    >>> y = [0, 1, 1, 0, 1, 0, 1, 1] * 20
    >>> better, coin = [0.2, 0.9, 0.6, 0.4, 0.7, 0.1, 0.8, 0.3] * 20, [0.5] * 160
    >>> difference = paired_difference(brier_score, y, better, coin)
    >>> round(difference.estimate, 3), difference.high < 0
    (-0.125, True)
    """
    y, p, q = score_columns(y=y, p=p, q=q)
    return _bootstrap(lambda rows: score(y[rows], p[rows]) - score(y[rows], q[rows]), y.size, groups, n, seed, level)


def loss_difference(
    loss: ArrayLike,
    rival: ArrayLike,
    origins: ArrayLike,
    groups: ArrayLike,
    root: bool = False,
    n: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Mean loss less a rival's on the same rows, mean over the origins, with a bootstrap interval over groups.

    A group (a customer) is drawn with all its rows, at all origins, as often for one model as for the other.

    Parameters
    ----------
    loss, rival : array (n_rows,)
        Losses of two models, row by row.
    origins, groups : array (n_rows,)
        When each row was predicted, and whose it is.
    root : bool, default False
        Compare the roots of the means, as for root mean squared errors.
    n, seed, level
        As in ``bootstrap_interval``.

    Examples
    --------
    >>> errors, others = np.array([1.0, 2.0, 0.0, 1.0] * 25), np.array([2.0, 2.0, 1.0, 3.0] * 25)
    >>> found = loss_difference(errors**2, others**2, np.zeros(100), np.arange(100), root=True)
    >>> round(found.estimate, 3), found.high < 0
    (-0.897, True)
    """
    one, other = score_columns(loss=loss, rival=rival)
    n_rows = len(one)
    group, origin = group_codes(groups, n_rows), group_codes(origins, n_rows)
    shape = (int(group.max(initial=0)) + 1, int(origin.max(initial=0)) + 1)
    cell = group * shape[1] + origin
    sums = [np.bincount(cell, column, shape[0] * shape[1]).reshape(shape) for column in (np.ones(n_rows), one, other)]

    def difference(times: Floats) -> Floats:
        """Of draws in which each group stands so many times, (n_draws, n_groups)."""
        count, *totals = (times @ part for part in sums)
        with np.errstate(invalid="ignore", divide="ignore"):
            means = [np.sqrt(total / count) if root else total / count for total in totals]
        return np.asarray(np.nanmean(means[0] - means[1], axis=1))

    rng, draws, step = np.random.default_rng(seed), list[Floats](), max(1, _CELLS // shape[0])
    for first in range(0, n, step):
        drawn = rng.multinomial(shape[0], np.full(shape[0], 1 / shape[0]), min(step, n - first))
        draws.append(difference(drawn.astype(np.float64)))
    low, high = np.quantile(np.concatenate(draws), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(difference(np.ones((1, shape[0])))[0]), float(low), float(high))


def bootstrap_draws(
    statistic: Callable[[Ints], ArrayLike], n_rows: int, groups: ArrayLike | None = None, n: int = 200, seed: int = 0
) -> Floats:
    """``statistic(rows)`` of ``n`` draws of row numbers with replacement, whole groups where ``groups`` is given.

    Parameters
    ----------
    statistic : callable
        From an array of row numbers to a number, or an array of one shape: several scores on the same draws can be
        compared with each other.
    n_rows : int
    groups, n, seed
        As in ``bootstrap_interval``.

    Returns
    -------
    array (n, …)
        Missing where the statistic does not exist in a draw.

    Examples
    --------
    >>> y = np.array([0.0, 1.0, 2.0, 3.0])
    >>> draws = bootstrap_draws(lambda rows: [y[rows].mean(), y[rows].max()], 4, n=50)
    >>> draws.shape, bool((draws[:, 0] <= draws[:, 1]).all())
    ((50, 2), True)
    """
    if n < 1:
        raise ConfigError(f"n must be at least 1 and level between 0 and 1, got n={n}.")
    group = np.arange(n_rows) if groups is None else group_codes(groups, n_rows)
    by_group, size = np.argsort(group, kind="stable"), np.bincount(group)
    start = np.cumsum(size) - size
    rng, draws = np.random.default_rng(seed), []
    for _ in range(n):
        drawn = rng.integers(size.size, size=size.size)
        length = size[drawn]
        within = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
        draws.append(or_missing(statistic, by_group[np.repeat(start[drawn], length) + within]))
    shape = max((np.shape(draw) for draw in draws), key=len)
    return np.array([np.broadcast_to(draw, shape) for draw in draws], dtype=np.float64)


def _bootstrap(
    statistic: Callable[[Ints | slice], float], n_rows: int, groups: ArrayLike | None, n: int, seed: int, level: float
) -> Interval:
    if not 0 < level < 1:
        raise ConfigError(f"n must be at least 1 and level between 0 and 1, got n={n}, level={level}.")
    draws = bootstrap_draws(statistic, n_rows, groups, n, seed)
    found = draws[~np.isnan(draws)]
    if 2 * len(found) < n:
        raise ModelError(f"The score is defined in only {len(found)} of {n} draws. Score more rows together.")
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Interval(statistic(slice(None)), float(low), float(high))
