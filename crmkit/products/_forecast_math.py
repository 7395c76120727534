"""Exponential smoothing of many series at once, smooth or intermittent ones; arrays in, arrays out."""

from __future__ import annotations

import numpy as np

from crmkit._types import Bools, Floats, Ints

__all__ = [
    "candidates",
    "combined",
    "demand_over",
    "reconciled",
    "rolling_errors",
    "season_index",
    "spread",
    "without_season",
]

ALPHAS = (0.03, 0.07, 0.15, 0.3, 0.5)
TSB = ((0.1, 0.05), (0.1, 0.1), (0.2, 0.2))
TREND = ((0.1, 0.05), (0.3, 0.1))
DAMPING = 0.9
_BEGIN = 4
_SHARP = 3.0
_PRIOR = 8.0
_CLOSED = 0.05


def candidates(history: Floats, first: Ints) -> tuple[Floats, Floats]:
    """What each of ten smoothers knows after each period: a level, and a damped slope that most of them leave at 0.

    Parameters
    ----------
    history : array of shape (n, periods)
        Not below 0, oldest first.
    first : array of shape (n,)
        The period in which each series begins; what is before is not looked at.

    Returns
    -------
    level, slope : arrays of shape (10, n, periods)

    Notes
    -----
    Simple exponential smoothing (Brown 1959), the intermittent method of Teunter, Syntetos & Babai (2011; probability and
    size of a demand are smoothed apart), and the damped trend (Gardner & McKenzie 1985).

    Examples
    --------
    >>> level, slope = candidates(np.array([[4.0, 4.0, 4.0, 4.0]]), np.array([0]))
    >>> level[:, 0, -1].round(6).tolist()
    [4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0]
    """
    n, periods = history.shape
    begin, chance, size = _beginnings(history, first)
    n_ses, n_tsb = len(ALPHAS), len(TSB)
    level, slope = np.zeros((2, n_ses + n_tsb + len(TREND), n, periods))
    ses = np.repeat(begin[None], n_ses, axis=0)
    p, z = np.repeat(chance[None], n_tsb, axis=0), np.repeat(size[None], n_tsb, axis=0)
    base, rise = np.repeat(begin[None], len(TREND), axis=0), np.zeros((len(TREND), n))
    alpha, (tsb_z, tsb_p), (trend_a, trend_b) = (
        np.array(ALPHAS)[:, None],
        np.array(TSB).T[..., None],
        np.array(TREND).T[..., None],
    )
    for period in range(periods):
        open_, y = period >= first, history[:, period]
        ses = np.where(open_, ses + alpha * (y - ses), ses)
        p = np.where(open_, p + tsb_p * ((y > 0) - p), p)
        z = np.where(open_ & (y > 0), z + tsb_z * (y - z), z)
        ahead = base + DAMPING * rise
        now = ahead + trend_a * (y - ahead)
        rise = np.where(open_, DAMPING * rise + trend_b * (now - base - DAMPING * rise), rise)
        base = np.where(open_, now, base)
        level[:, :, period] = np.concatenate([ses, p * z, base])
        slope[n_ses + n_tsb :, :, period] = rise
    return level, slope


def _beginnings(history: Floats, first: Ints) -> tuple[Floats, Floats, Floats]:
    """Mean, share of periods with a demand, and its mean size, over the first periods of each series."""
    age = np.arange(history.shape[1]) - first[:, None]
    early = (age >= 0) & (age < 2 * _BEGIN)
    seen = np.maximum(early.sum(axis=1), 1)
    total, hits = (history * early).sum(axis=1), ((history > 0) & early).sum(axis=1)
    return total / seen, hits / seen, total / np.maximum(hits, 1)


def ahead(level: Floats, slope: Floats, horizon: int) -> Floats:
    """The forecast of ``horizon`` periods ahead, not below 0."""
    run = DAMPING * (1 - DAMPING**horizon) / (1 - DAMPING)
    return np.maximum(level + run * slope, 0.0)


def rolling_errors(history: Floats, first: Ints, level: Floats, slope: Floats, horizon: int) -> Floats:
    """Squared errors of each candidate, summed over the horizons and averaged over the origins; shape (10, n)."""
    periods = history.shape[1]
    total, n_origins = np.zeros(level.shape[:2]), np.zeros(history.shape[0])
    for step in range(1, min(horizon, periods - 1) + 1):
        counted = np.arange(periods - step) >= first[:, None] + _BEGIN
        error = history[:, step:] - ahead(level[:, :, :-step], slope[:, :, :-step], step)
        total += (error**2 * counted).sum(axis=2)
        n_origins += counted.sum(axis=1)
    return np.asarray(total / np.maximum(n_origins, 1), dtype=np.float64)


def combined(errors: Floats, n_origins: Ints) -> Floats:
    """Weights of the candidates for each series, the better the more; shape (10, n), each column sums to 1.

    A series' own errors are shrunk towards those of all series, as if these were 8 origins more.
    """
    scale = np.maximum(errors.mean(axis=0), 1e-12)
    relative = errors / scale
    pooled = relative.mean(axis=1, keepdims=True)
    shrunk = (n_origins * relative + _PRIOR * pooled) / (n_origins + _PRIOR)
    weight = np.maximum(shrunk, 1e-6) ** -_SHARP
    return np.asarray(weight / weight.sum(axis=0), dtype=np.float64)


def season_index(history: Floats, groups: Ints, length: int) -> Floats:
    """Seasonal factors of each series, shape (n, length), mean 1; all 1 where two whole seasons are not there.

    The factors of a group of series (Dekker, van Donselaar & Ouwehand 2004) are shrunk towards those of all series, and a
    series' own towards its group's, the less so the more seasons there are.

    >>> season_index(np.array([[2.0, 4.0] * 20]), np.array([0]), 2).round(2).tolist()
    [[0.67, 1.33]]
    """
    n, periods = history.shape
    cycles = periods // length
    if cycles < 2:
        return np.ones((n, length))
    recent = history[:, periods - cycles * length :].reshape(n, cycles, length)
    mean = recent.mean(axis=2, keepdims=True)
    total = _factors(recent.sum(axis=0)[None], mean.sum(axis=0)[None])
    members = (groups[None] == np.unique(groups)[:, None]).astype(np.float64)
    of_group = _shrunk(np.einsum("gn,ncl->gcl", members, recent), np.einsum("gn,ncl->gcl", members, mean), total)
    own = _shrunk(recent, mean, of_group[np.searchsorted(np.unique(groups), groups)])
    shifted = (np.arange(length) - periods % length) % length
    return np.asarray(own[:, shifted], dtype=np.float64)


def without_season(history: Floats, index: Floats) -> Floats:
    """The series without their seasonal factors; in a period in which hardly anything is sold, as the one before.

    >>> without_season(np.array([[2.0, 0.0, 6.0, 0.0]]), np.array([[2.0, 0.0]])).tolist()
    [[1.0, 1.0, 3.0, 3.0]]
    """
    length = index.shape[1]
    plain = np.zeros_like(history)
    for period in range(history.shape[1]):
        factor = index[:, period % length]
        before = plain[:, max(period - 1, 0)]
        plain[:, period] = np.where(factor < _CLOSED, before, history[:, period] / np.maximum(factor, _CLOSED))
    return plain


def _factors(recent: Floats, mean: Floats) -> Floats:
    ratio = recent / np.maximum(mean, 1e-12)
    factor = np.where(mean > 0, ratio, 1.0).mean(axis=1)
    return np.asarray(factor / np.maximum(factor.mean(axis=1, keepdims=True), 1e-12), dtype=np.float64)


def _shrunk(recent: Floats, mean: Floats, towards: Floats) -> Floats:
    """Own factors, shrunk by how much they change from season to season."""
    cycles = recent.shape[1]
    factor = _factors(recent, mean)
    noise = ((recent / np.maximum(mean, 1e-12) - factor[:, None]) ** 2).sum(axis=(1, 2)) / max(cycles - 1, 1)
    signal = ((factor - towards) ** 2).sum(axis=1)
    weight = signal / np.maximum(signal + noise / cycles, 1e-12)
    mixed = towards + weight[:, None] * (factor - towards)
    return np.asarray(np.maximum(mixed, 0.0), dtype=np.float64)


def spread(
    history: Floats, first: Ints, level: Floats, slope: Floats, weights: Floats, horizon: int, shares: tuple[float, ...]
) -> tuple[Floats, Floats]:
    """How far what came lay from the combined forecast at earlier origins.

    Returns
    -------
    deviation : array of shape (horizon, n)
        Root mean squared error by horizon, a series' own shrunk towards what series of its size have.
    quantiles : array of shape (horizon, n, shares)
        Quantiles of error / deviation, pooled over series of about the same size.
    """
    n, periods = history.shape
    steps = min(horizon, periods - 1)
    mean = history.sum(axis=1) / np.maximum(periods - first, 1)
    size = np.searchsorted(np.quantile(mean, [0.2, 0.4, 0.6, 0.8]), mean)
    deviation, quantiles = np.zeros((horizon, n)), np.zeros((horizon, n, len(shares)))
    for step in range(1, horizon + 1):
        if step > steps:
            deviation[step - 1], quantiles[step - 1] = deviation[steps - 1], quantiles[steps - 1]
            continue
        counted = np.arange(periods - step) >= first[:, None] + _BEGIN
        made = np.einsum("kn,knt->nt", weights, ahead(level[:, :, :-step], slope[:, :, :-step], step))
        error = np.where(counted, history[:, step:] - made, 0.0)
        deviation[step - 1], quantiles[step - 1] = _scaled(error, counted, mean, size, shares)
    return deviation, quantiles


def _scaled(
    error: Floats, counted: Bools, mean: Floats, size: Ints, shares: tuple[float, ...]
) -> tuple[Floats, Floats]:
    n_origins = counted.sum(axis=1)
    squares = (error**2).sum(axis=1)
    typical = np.zeros(len(mean))
    for group in np.unique(size):
        of = size == group
        typical[of] = squares[of].sum() / max((n_origins[of] * np.maximum(mean[of], 1e-9)).sum(), 1e-12)
    variance = (squares + _PRIOR * typical * mean) / (n_origins + _PRIOR)
    deviation = np.sqrt(np.maximum(variance, 1e-12))
    quantiles = np.zeros((len(mean), len(shares)))
    for group in np.unique(size):
        of = size == group
        scaled = (error[of] / deviation[of, None])[counted[of]]
        quantiles[of] = np.quantile(scaled, shares) if len(scaled) else np.zeros(len(shares))
    return deviation, quantiles


def reconciled(parts: Floats, variance: Floats, whole: Floats, whole_variance: Floats) -> Floats:
    """Parts, shape (n, horizon), moved so that they and their whole agree, each by its share of the uncertainty.

    The weighted least squares of Wickramasuriya, Athanasopoulos & Hyndman (2019) for one level; no part falls below 0.

    >>> reconciled(np.array([[1.0], [3.0]]), np.array([[1.0], [1.0]]), np.array([8.0]), np.array([2.0])).ravel().tolist()
    [2.0, 4.0]
    """
    given = parts.sum(axis=0)
    aim = np.maximum(given + variance.sum(axis=0) / (variance.sum(axis=0) + whole_variance) * (whole - given), 0.0)
    moved = np.maximum(parts + variance / np.maximum(variance.sum(axis=0), 1e-12) * (aim - given), 0.0)
    return np.asarray(moved * aim / np.maximum(moved.sum(axis=0), 1e-12), dtype=np.float64)


def demand_over(
    history: Floats, first: Ints, level: Floats, slope: Floats, weights: Floats, periods: int, shares: tuple[float, ...]
) -> tuple[Floats, Floats]:
    """Demand of the next ``periods`` together: mean, shape (n,), and its quantiles, shape (n, shares), not below 0.

    Quantiles are those of the errors that forecasts of so many periods together would have made before, which holds how the
    errors of single periods hang together.

    >>> history = np.full((1, 30), 2.0)
    >>> level, slope = candidates(history, np.array([0]))
    >>> mean, _ = demand_over(history, np.array([0]), level, slope, np.full((10, 1), 0.1), 3, (0.5,))
    >>> mean.round(6).tolist()
    [6.0]
    """
    total = history.shape[1]
    run = np.cumsum([DAMPING * (1 - DAMPING**step) / (1 - DAMPING) for step in range(1, periods + 1)])[-1]
    made = np.einsum("kn,knt->nt", weights, np.maximum(periods * level + run * slope, 0.0))
    came = np.pad(np.cumsum(history, axis=1), ((0, 0), (1, 0)))
    counted = np.arange(max(total - periods, 0)) >= first[:, None] + _BEGIN
    sums = came[:, periods + 1 :] - came[:, 1 : total - periods + 1] if total > periods else np.zeros((len(history), 0))
    error = np.where(counted, sums - made[:, : sums.shape[1]], 0.0)
    mean = history.sum(axis=1) / np.maximum(total - first, 1) * periods
    size = np.searchsorted(np.quantile(mean, [0.2, 0.4, 0.6, 0.8]), mean)
    deviation, quantiles = _scaled(error, counted, mean, size, shares)
    return made[:, -1], np.asarray(np.maximum(made[:, -1:] + deviation[:, None] * quantiles, 0.0), dtype=np.float64)
