"""Scores of waiting times, some of them censored."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from crmkit._types import Floats
from crmkit.evaluation.metrics._inputs import score_columns, vector
from crmkit.exceptions import ConfigError, ContractError, ModelError

__all__ = ["concordance", "crps_days", "interval_coverage", "pinball_days"]


_ROUNDING = 1e-12

# Days to the next purchase


def crps_days(wait: ArrayLike, bought: ArrayLike) -> float:
    """Continuous ranked probability score of a day, in days: mean of Σ_d (F(d) − 1{wait ≤ d})² over the days watched.

    Gneiting & Raftery (2007), restricted to the days 1 … D that all rows were watched for, so that a purchase that has not
    come by then is scored without a guess at when it will.

    Parameters
    ----------
    wait : array (n,)
        Day of the purchase, counted from 1; missing when there was none by day D.
    bought : array (n, D)
        P(bought by the close of day 1, …, D).

    Examples
    --------
    >>> crps_days([1, 3, float("nan")], [[1, 1, 1], [0, 0.5, 1], [0.5, 0.5, 0.5]])
    0.3333333333333333
    """
    wait, bought = _waits(wait, bought)
    happened = wait[:, None] <= np.arange(1, bought.shape[1] + 1)
    return float(np.mean(((bought - happened) ** 2).sum(axis=1)))


def pinball_days(wait: ArrayLike, day: ArrayLike, share: float, longest: int) -> float:
    """Quantile loss of predicted days, restricted to ``longest``: mean of (share − 1{T < q})(T − q), both cut off there.

    Koenker & Bassett (1978). ``day`` is missing where the quantile lies beyond ``longest``, ``wait`` where no purchase came.

    >>> pinball_days([10, float("nan")], [5, float("nan")], share=0.5, longest=84)
    1.25
    """
    if not 0 < share < 1:
        raise ConfigError(f"share must be between 0 and 1, got {share}. For the median write 0.5.")
    late = np.asarray([longest], dtype=np.float64)
    actual, predicted = (
        np.where(np.isnan(vector(name, column)), late, np.minimum(vector(name, column), late))
        for name, column in (("wait", wait), ("day", day))
    )
    actual, predicted = score_columns(wait=actual, day=predicted)
    return float(np.mean((share - (actual < predicted)) * (actual - predicted)))


def interval_coverage(wait: ArrayLike, bought: ArrayLike, level: float = 0.8) -> float:
    """Share of the purchases that came while watched whose day lay in the central ``level`` range of days predicted.

    The range is that of the days given that the purchase comes within the days watched: a row's predicted distribution, over
    its own P(bought by the last day), read at the purchase in the middle of its day. It is ``level`` when calibrated,
    whatever share of purchases comes later than anybody watched: about those nothing is said. (A product limit over all
    rows, as a survival study would use it, has no upper end where most have not come.)

    Parameters
    ----------
    wait, bought : arrays
        As in ``crps_days``.

    Raises
    ------
    ModelError
        No purchase came while watched.

    Examples
    --------
    >>> interval_coverage([1, 2, 3, 4, 5], [[0.2, 0.4, 0.6, 0.8, 1.0]] * 5, level=0.6)
    0.6
    """
    if not 0 < level < 1:
        raise ConfigError(f"level must be between 0 and 1, got {level}.")
    wait, bought = _waits(wait, bought)
    came = np.isfinite(wait)
    if not came.any():
        raise ModelError("No purchase came while it was watched, so no range of days can be checked.")
    column, curve = wait[came].astype(np.int64), bought[came]
    padded, row = np.column_stack([np.zeros(len(curve)), curve]), np.arange(len(curve))
    with np.errstate(divide="ignore", invalid="ignore"):
        reached = (padded[row, column] + padded[row, column - 1]) / 2 / curve[:, -1]
    inside = np.abs(reached - 0.5) <= level / 2 + _ROUNDING
    return float(inside.mean())


def concordance(wait: ArrayLike, day: ArrayLike) -> float:
    """Share of comparable pairs of rows of which the one predicted to be earlier was the earlier; ties count one half.

    Harrell's c (1982). Two rows are comparable when one was bought on an earlier day than the other, or the other not at all.

    Parameters
    ----------
    wait : array
        Day of the purchase; missing when there was none.
    day : array
        What was predicted; any finite score that is smaller for the earlier.

    Examples
    --------
    >>> concordance([1, 2, float("nan")], [5, 30, 20])
    0.6666666666666666
    """
    when = vector("wait", wait)
    when, score = score_columns(wait=np.where(np.isnan(when), np.finfo(np.float64).max, when), day=day)
    pairs = right = 0.0
    for moment in np.unique(when)[:-1]:
        earlier, later = score[when == moment], np.sort(score[when > moment])
        above = len(later) - np.searchsorted(later, earlier, side="right")
        ties = len(later) - np.searchsorted(later, earlier, side="left") - above
        right += float(above.sum() + ties.sum() / 2)
        pairs += len(earlier) * len(later)
    if not pairs:
        raise ModelError(
            "No two rows can be compared: all were bought on one day, or none was. Score more rows together."
        )
    return right / pairs


def _waits(wait: ArrayLike, bought: ArrayLike) -> tuple[Floats, Floats]:
    """Days of purchase, inf where none was seen, and the curves, checked."""
    when, curves = vector("wait", wait), np.asarray(bought, dtype=np.float64)
    if curves.ndim != 2 or len(curves) != len(when) or not curves.size:
        raise ContractError(
            f"bought has shape {curves.shape} for {len(when):,} rows; pass one curve per row, one column per day."
        )
    if bad := int((~((curves >= 0) & (curves <= 1)).all(axis=1)).sum()):
        raise ContractError(f"bought: {bad:,} of {len(curves):,} curves leave [0, 1] or have missing values.")
    if bad := int((when < 1).sum()):
        raise ContractError(
            f"wait: {bad:,} of {len(when):,} values are below 1; days count from 1, no purchase is missing."
        )
    return np.where(when <= curves.shape[1], when, np.inf), curves
