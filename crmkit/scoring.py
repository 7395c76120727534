"""Scoring rules: how good were the probabilities, the ranking, the lists and the totals.

Free functions on arrays, NumPy only. ``y`` is what happened and ``p`` what was predicted, one element per row;
``groups`` says whose row it is. No score depends on the order of the rows, except where a list is cut inside a tie
(``recall_at_k``, ``precision_at_k``), which says so. Shapes are all (n,). Every function raises

* ``ContractError`` when arrays differ in length, are empty or not one-dimensional, hold a missing or infinite value,
  an outcome other than 0 and 1, or a probability outside [0, 1];
* ``ModelError`` when the rows cannot identify the score (an AUC needs both classes);
* ``ConfigError`` when a parameter makes no sense.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crmkit.exceptions import ConfigError, ContractError, ModelError

__all__ = [
    "Interval",
    "average_precision",
    "bias_of_total",
    "bootstrap_draws",
    "bootstrap_interval",
    "brier_score",
    "calibration_error",
    "concordance",
    "correlation",
    "crps_days",
    "interval_coverage",
    "jeffreys_share",
    "lift_at",
    "log_loss",
    "mean_absolute_error",
    "ndcg_at_k",
    "paired_difference",
    "pinball_days",
    "precision_at_k",
    "probability_scores",
    "recall_at_k",
    "reliability_table",
    "roc_auc",
    "top_decile_lift",
]

Vector = NDArray[np.float64]
Rows = NDArray[np.int64]
Score = Callable[[Any, Any], float]

EPS = float(np.finfo(np.float64).eps)


# Probabilities


def log_loss(y: ArrayLike, p: ArrayLike) -> float:
    """Mean negative log-likelihood of 0/1 outcomes, in nats: −mean(y ln p + (1 − y) ln(1 − p)).

    ``p`` is clipped to [eps, 1 − eps] with eps = 2.2e-16, so one certain and wrong row costs 36 nats, not infinity.
    Good (1952), *Rational Decisions*.

    >>> round(log_loss([1, 0], [0.8, 0.4]), 4)
    0.367
    """
    y, p = _outcomes(y, p)
    p = np.clip(p, EPS, 1 - EPS)
    return float(-np.mean(y * np.log(p) + (1 - y) * np.log1p(-p)))


def brier_score(y: ArrayLike, p: ArrayLike) -> float:
    """Mean squared error of probabilities: mean((p − y)²), from 0 to 1.

    Brier (1950), in its two-class form.

    >>> round(brier_score([1, 0], [0.8, 0.4]), 4)
    0.1
    """
    y, p = _outcomes(y, p)
    return float(np.mean((p - y) ** 2))


def calibration_error(y: ArrayLike, p: ArrayLike, n_bins: int = 10) -> float:
    """Expected calibration error over equal-count bins: Σ (count / n) · |mean predicted − observed rate|.

    Naeini, Cooper & Hauskrecht (2015), with the bins of ``reliability_table``. It is a distance between
    probabilities, 0 when calibrated, and positive by chance: about 0.8 √(rate (1 − rate) n_bins / n) for a perfect model.

    >>> round(calibration_error([1, 1, 0, 0], [0.9, 0.7, 0.3, 0.3], n_bins=2), 4)
    0.25
    """
    table = reliability_table(y, p, n_bins)
    gap = np.abs(table["mean_predicted"] - table["observed_rate"])
    return float(np.average(gap, weights=table["count"]))


def reliability_table(y: ArrayLike, p: ArrayLike, n_bins: int = 10) -> dict[str, NDArray[Any]]:
    """Predicted against observed rates in equal-count bins, lowest predictions first.

    Bins differ by at most one row; fewer than ``n_bins`` rows make one bin each. Where a bin boundary falls among equal
    predictions, those rows are shared out in proportion, so the result does not depend on their order.

    Returns
    -------
    dict
        Arrays mean_predicted and observed_rate (probabilities) and count (rows), one element per bin.

    Examples
    --------
    >>> for name, column in reliability_table([1, 1, 0, 0], [0.9, 0.7, 0.3, 0.3], n_bins=2).items():
    ...     print(name, column)
    mean_predicted [0.3 0.8]
    observed_rate [0. 1.]
    count [2 2]
    """
    y, p = _outcomes(y, p)
    if n_bins < 1:
        raise ConfigError(f"n_bins must be at least 1, got {n_bins}.")
    level, count, positives = _levels(y, p)
    ends = np.arange(min(n_bins, y.size) + 1) * y.size // min(n_bins, y.size)
    bins = np.diff(ends)
    predicted, observed = (
        np.diff(np.interp(ends, _from_zero(count), _from_zero(x))) for x in (count * level, positives)
    )
    return {"mean_predicted": predicted / bins, "observed_rate": observed / bins, "count": bins}


# Rankings


def roc_auc(y: ArrayLike, p: ArrayLike) -> float:
    """Probability that a random positive row is ranked above a random negative one, ties counting one half.

    Mann & Whitney (1947); Hanley & McNeil (1982). ``p`` may be any finite score.

    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    y, p = _checked(y, p, binary=True)
    _, count, positives = _levels(y, p)
    negatives = count - positives
    if not positives.any() or not negatives.any():
        raise ModelError(
            f"All {y.size:,} outcomes are {y[0]:.0f}; an AUC compares the two classes. Score more rows together."
        )
    below = np.cumsum(negatives) - negatives / 2
    return float(positives @ below / (positives.sum() * negatives.sum()))


def average_precision(y: ArrayLike, p: ArrayLike) -> float:
    """Area under the precision-recall steps: Σ (Rₜ − Rₜ₋₁) Pₜ over the distinct scores, highest first.

    Robertson (2008), *A New Interpretation of Average Precision*; no interpolation. ``p`` may be any finite score.

    >>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    y, p = _checked(y, p, binary=True)
    _, count, positives = _levels(y, p)
    _positive_total(positives, "An average precision")
    precision = np.cumsum(positives[::-1]) / np.cumsum(count[::-1])
    return float(precision @ positives[::-1] / positives.sum())


def lift_at(y: ArrayLike, p: ArrayLike, share: float) -> float:
    """How many times a random list's outcome the best ``share`` of rows holds: mean(y in the list) / mean(y).

    ``y`` is 0/1, or an amount of at least 0 (value at risk, spend); ``p`` may be any finite score. A list that ends
    inside a tie takes its part of the tie's outcome, so rows with one score for all have lift 1.

    >>> lift_at([1, 1, 0, 0, 0, 0, 0, 0, 0, 0], [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0], share=0.4)
    2.5
    """
    y, p = _checked(y, p)
    if not 0 < share <= 1:
        raise ConfigError(f"share must be in (0, 1], got {share}. For the best tenth write 0.1.")
    if (y < 0).any():
        raise ContractError(f"y: {int((y < 0).sum()):,} of {y.size:,} values are below 0; a lift needs 0/1 or amounts.")
    _, count, outcome = _levels(y, p)
    total = _positive_total(outcome, "A lift")
    held = np.interp(share * y.size, _from_zero(count[::-1]), _from_zero(outcome[::-1]))
    return float(held / (share * total))


def top_decile_lift(y: ArrayLike, p: ArrayLike) -> float:
    """``lift_at`` the best tenth of rows.

    >>> top_decile_lift([1, 1, 0, 0, 0, 0, 0, 0, 0, 0], [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0])
    5.0
    """
    return lift_at(y, p, 0.10)


def probability_scores(y: ArrayLike, p: ArrayLike) -> dict[str, float]:
    """Every rule above at once; what one class alone has no answer to is missing.

    Returns
    -------
    dict
        n, base_rate, log_loss, brier, auc, pr_auc, ece, top_decile_lift.

    Examples
    --------
    >>> scores = probability_scores([1, 0, 1, 0], [0.9, 0.1, 0.8, 0.3])
    >>> scores["n"], scores["base_rate"], scores["auc"], round(scores["log_loss"], 4)
    (4, 0.5, 1.0, 0.1976)
    """
    y, p = _outcomes(y, p)
    ranks = {"auc": roc_auc, "pr_auc": average_precision, "top_decile_lift": top_decile_lift}
    ranked = {name: score(y, p) if np.ptp(y) else np.nan for name, score in ranks.items()}
    return {
        "n": len(y),
        "base_rate": float(y.mean()),
        "log_loss": log_loss(y, p),
        "brier": brier_score(y, p),
        "auc": ranked["auc"],
        "pr_auc": ranked["pr_auc"],
        "ece": calibration_error(y, p),
        "top_decile_lift": ranked["top_decile_lift"],
    }


# Lists


def recall_at_k(groups: ArrayLike, y: ArrayLike, p: ArrayLike, k: int) -> float:
    """Share of a group's positive rows found in its ``k`` best, averaged over groups with at least one positive.

    A group is a household and its rows are candidate items, say. Equal scores are listed in row order.

    >>> recall_at_k(["ann", "ann", "ann", "bob", "bob", "cem"], [1, 1, 0, 0, 1, 0], [0.9, 0.2, 0.5, 0.7, 0.1, 0.6], k=1)
    0.25
    """
    hits, positives = _hits(groups, y, p, k)
    return float(np.mean(hits / positives))


def precision_at_k(groups: ArrayLike, y: ArrayLike, p: ArrayLike, k: int) -> float:
    """Positive rows in a group's ``k`` best divided by ``k``, averaged over groups with at least one positive.

    The divisor is ``k`` also where a group has fewer rows. Equal scores are listed in row order.

    >>> precision_at_k(["ann", "ann", "ann", "bob", "bob", "cem"], [1, 1, 0, 0, 1, 0], [0.9, 0.2, 0.5, 0.7, 0.1, 0.6], k=2)
    0.5
    """
    hits, _ = _hits(groups, y, p, k)
    return float(np.mean(hits / k))


def ndcg_at_k(groups: ArrayLike, y: ArrayLike, p: ArrayLike, k: int) -> float:
    """Discounted gain of a group's ``k`` best rows over that of the best order, averaged over groups with a positive.

    Gain 1 / log₂(place + 1) for a positive row; the best order has min(k, positives) of them first (Järvelin & Kekäläinen
    2002). Equal scores are listed in row order.

    >>> round(ndcg_at_k(["ann", "ann", "ann", "bob", "bob"], [1, 0, 1, 0, 1], [0.9, 0.5, 0.2, 0.7, 0.1], k=2), 4)
    0.622
    """
    group, y, place = _ranked(groups, y, p, k)
    gain = np.where(place < k, y / np.log2(place + 2.0), 0.0)
    positives = _sums(group, y)
    _positive_total(positives, "A list score")
    best = _from_zero(1 / np.log2(np.arange(k) + 2.0))[np.minimum(positives, k).astype(np.int64)]
    scored = positives > 0
    return float(np.mean(_sums(group, gain)[scored] / best[scored]))


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
        np.where(np.isnan(_vector(name, column)), late, np.minimum(_vector(name, column), late))
        for name, column in (("wait", wait), ("day", day))
    )
    actual, predicted = _columns(wait=actual, day=predicted)
    return float(np.mean((share - (actual < predicted)) * (actual - predicted)))


def interval_coverage(wait: ArrayLike, bought: ArrayLike, level: float = 0.8) -> float:
    """Share of purchases inside their central ``level`` range of days, where some had not come when watching ended.

    The predicted distribution is read at the purchase (in the middle of its day), and at the last day watched where none
    came, as censored; the share is that of the product-limit estimate (Kaplan & Meier 1958) between (1 − level) / 2 and
    (1 + level) / 2. It is ``level`` when calibrated.

    Parameters
    ----------
    wait, bought : arrays
        As in ``crps_days``.

    Examples
    --------
    >>> interval_coverage([1, 2, 3, 4, 5], [[0.2, 0.4, 0.6, 0.8, 1.0]] * 5, level=0.6)
    0.6
    """
    if not 0 < level < 1:
        raise ConfigError(f"level must be between 0 and 1, got {level}.")
    wait, bought = _waits(wait, bought)
    came = np.isfinite(wait)
    column = np.where(came, wait, bought.shape[1]).astype(np.int64)
    padded, row = np.column_stack([np.zeros(len(bought)), bought]), np.arange(len(bought))
    reached = np.where(came, (padded[row, column] + padded[row, column - 1]) / 2, padded[row, column])
    low, high = _product_limit(reached, came, [(1 - level) / 2, (1 + level) / 2])
    return round(float(low - high), 12)


def _product_limit(value: Vector, came: NDArray[np.bool_], at: list[float]) -> Vector:
    """Kaplan-Meier survival of values, some of them only known to be larger, at each of some points."""
    order = np.lexsort((~came, value))
    left = len(value) - np.arange(len(value))
    survival = np.concatenate([[1.0], np.cumprod(1 - came[order] / left)])
    return survival[np.searchsorted(value[order], at, side="right")]


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
    when = _vector("wait", wait)
    when, score = _columns(wait=np.where(np.isnan(when), np.finfo(np.float64).max, when), day=day)
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


def _waits(wait: ArrayLike, bought: ArrayLike) -> tuple[Vector, Vector]:
    """Days of purchase, inf where none was seen, and the curves, checked."""
    when, curves = _vector("wait", wait), np.asarray(bought, dtype=np.float64)
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


# Amounts


def mean_absolute_error(y: ArrayLike, p: ArrayLike) -> float:
    """mean(|p − y|), in the unit of ``y``.

    >>> mean_absolute_error([0, 2, 4], [1.0, 2.0, 2.0])
    1.0
    """
    y, p = _checked(y, p)
    return float(np.mean(np.abs(p - y)))


def bias_of_total(y: ArrayLike, p: ArrayLike) -> float:
    """Relative error of the total: (Σp − Σy) / Σy; 0.1 is a forecast ten per cent too high.

    >>> round(bias_of_total([0, 2, 3], [1.0, 2.0, 2.5]), 4)
    0.1
    """
    y, p = _checked(y, p)
    total = y.sum()
    if total == 0:
        raise ModelError("y sums to 0, so no relative error exists. Compare the sums themselves.")
    return float((p.sum() - total) / total)


def correlation(y: ArrayLike, p: ArrayLike) -> float:
    """Pearson's product-moment correlation, from −1 to 1.

    >>> round(correlation([0, 1, 2, 5], [0.5, 1.0, 1.5, 3.0]), 4)
    1.0
    """
    y, p = _checked(y, p)
    if np.ptp(y) == 0 or np.ptp(p) == 0:
        raise ModelError(
            f"{'y' if np.ptp(y) == 0 else 'p'} is the same in all {y.size:,} rows; a correlation needs two that vary."
        )
    return float(np.corrcoef(y, p)[0, 1])


# Uncertainty


def jeffreys_share(y: ArrayLike) -> float:
    """(successes + ½) / (n + 1): a share that is never 0 or 1, and ½ of nothing (Jeffreys' prior).

    >>> jeffreys_share([1, 1, 1])
    0.875
    """
    outcome = _vector("y", y)
    return float((outcome.sum() + 0.5) / (outcome.size + 1))


class Interval(NamedTuple):
    """An estimate with its interval; unpacks as ``estimate, low, high``.

    >>> print(Interval(0.74, 0.731, 0.749))
    0.74 (0.731 to 0.749)
    """

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.estimate:.4g} ({self.low:.4g} to {self.high:.4g})"


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
    (one class only) are left out; when that is more than half of them, ``ModelError`` says so.

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
    >>> y = [0, 1, 1, 0, 1, 0, 1, 1]
    >>> estimate, low, high = bootstrap_interval(brier_score, y, [0.2, 0.9, 0.6, 0.4, 0.7, 0.1, 0.8, 0.3])
    >>> round(estimate, 3), low < estimate < high
    (0.125, True)
    """
    y, p = _checked(y, p)
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
    >>> y = [0, 1, 1, 0, 1, 0, 1, 1] * 20
    >>> better, coin = [0.2, 0.9, 0.6, 0.4, 0.7, 0.1, 0.8, 0.3] * 20, [0.5] * 160
    >>> difference = paired_difference(brier_score, y, better, coin)
    >>> round(difference.estimate, 3), difference.high < 0
    (-0.125, True)
    """
    y, p, q = _columns(y=y, p=p, q=q)
    return _bootstrap(lambda rows: score(y[rows], p[rows]) - score(y[rows], q[rows]), y.size, groups, n, seed, level)


def bootstrap_draws(
    statistic: Callable[[Any], Any], n_rows: int, groups: ArrayLike | None = None, n: int = 200, seed: int = 0
) -> Vector:
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
    group = np.arange(n_rows) if groups is None else _group_codes(groups, n_rows)
    by_group, size = np.argsort(group, kind="stable"), np.bincount(group)
    start = np.cumsum(size) - size
    rng, draws = np.random.default_rng(seed), []
    for _ in range(n):
        drawn = rng.integers(size.size, size=size.size)
        length = size[drawn]
        within = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
        draws.append(_or_missing(statistic, by_group[np.repeat(start[drawn], length) + within]))
    shape = max((np.shape(draw) for draw in draws), key=len)
    return np.array([np.broadcast_to(draw, shape) for draw in draws], dtype=np.float64)


def _or_missing(statistic: Callable[[Any], Any], rows: Rows) -> Any:
    try:
        return statistic(rows)
    except ModelError:
        return np.nan


# Helpers


def _outcomes(y: ArrayLike, p: ArrayLike) -> tuple[Vector, Vector]:
    y, p = _checked(y, p, binary=True)
    if outside := int(((p < 0) | (p > 1)).sum()):
        raise ContractError(
            f"p: {outside:,} of {p.size:,} values are outside [0, 1] ({p.min():g} to {p.max():g}). "
            "Pass probabilities, not scores or logits."
        )
    return y, p


def _checked(y: ArrayLike, p: ArrayLike, *, binary: bool = False) -> tuple[Vector, Vector]:
    y, p = _columns(y=y, p=p)
    if binary and (other := int(((y != 0) & (y != 1)).sum())):
        raise ContractError(
            f"y: {other:,} of {y.size:,} outcomes are neither 0 nor 1. Pass y > 0, or the label as 0 and 1."
        )
    return y, p


def _columns(**columns: ArrayLike) -> tuple[Vector, ...]:
    arrays = {name: _vector(name, column) for name, column in columns.items()}
    sizes = {name: array.size for name, array in arrays.items()}
    if len(set(sizes.values())) > 1:
        raise ContractError(f"Lengths differ: {sizes}. Pass one element per row in each.")
    if 0 in sizes.values():
        raise ContractError(f"No rows to score: {', '.join(sizes)} have length 0. Check the filter before.")
    if bad := {
        name: int((~np.isfinite(array)).sum()) for name, array in arrays.items() if not np.isfinite(array).all()
    }:
        raise ContractError(f"Missing or infinite values: {bad}. Drop these rows from all arrays, or predict them.")
    return tuple(arrays.values())


def _vector(name: str, column: ArrayLike) -> Vector:
    try:
        array = np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError):
        raise ContractError(
            f"{name} does not hold numbers only (missing values count as such). Drop or convert them."
        ) from None
    if array.ndim != 1:
        raise ContractError(f"{name} has shape {array.shape}; pass one column, for instance predict_proba(X)[:, 1].")
    return array


def _levels(y: Vector, p: Vector) -> tuple[Vector, Vector, Vector]:
    """Distinct scores in rising order, with the number of rows and the sum of y at each."""
    level, inverse, count = np.unique(p, return_inverse=True, return_counts=True)
    return level, count.astype(np.float64), _sums(inverse, y)


def _sums(code: Rows, weights: Vector) -> Vector:
    return np.bincount(code, weights=weights).astype(np.float64, copy=False)


def _from_zero(parts: Vector) -> Vector:
    return np.concatenate([[0.0], np.cumsum(parts)])


def _positive_total(parts: Vector, what: str) -> float:
    total = float(parts.sum())
    if total <= 0:
        raise ModelError(f"No row has a positive outcome. {what} needs at least one; score more rows together.")
    return total


def _hits(groups: ArrayLike, y: ArrayLike, p: ArrayLike, k: int) -> tuple[Vector, Vector]:
    """Positive rows among the k best, and among all, of each group that has one."""
    group, y, place = _ranked(groups, y, p, k)
    positives, hits = _sums(group, y), _sums(group, y * (place < k))
    _positive_total(positives, "A list score")
    return hits[positives > 0], positives[positives > 0]


def _ranked(groups: ArrayLike, y: ArrayLike, p: ArrayLike, k: int) -> tuple[Rows, Vector, Rows]:
    """Group, outcome and place in its group's list of every row, group by group, best first."""
    y, p = _checked(y, p, binary=True)
    if k < 1:
        raise ConfigError(f"k must be at least 1, got {k}.")
    group = _group_codes(groups, y.size)
    order = np.lexsort((-p, group))
    group, y = group[order], y[order]
    size = np.bincount(group)
    return group, y, np.arange(y.size) - np.repeat(np.cumsum(size) - size, size)


def _group_codes(groups: ArrayLike, n_rows: int) -> Rows:
    labels = np.asarray(groups)
    if labels.shape != (n_rows,):
        raise ContractError(f"groups has shape {labels.shape} for {n_rows:,} rows. Pass one label per row.")
    try:
        if (labels != labels).any():
            raise TypeError
        return np.unique(labels, return_inverse=True)[1]
    except TypeError:
        raise ContractError(
            "groups holds missing labels, or labels of several types. Drop these rows or name them."
        ) from None


def _bootstrap(
    statistic: Callable[[Any], float], n_rows: int, groups: ArrayLike | None, n: int, seed: int, level: float
) -> Interval:
    if not 0 < level < 1:
        raise ConfigError(f"n must be at least 1 and level between 0 and 1, got n={n}, level={level}.")
    draws = bootstrap_draws(statistic, n_rows, groups, n, seed)
    found = draws[~np.isnan(draws)]
    if 2 * len(found) < n:
        raise ModelError(f"The score exists in only {len(found)} of {n} draws. Score more rows together.")
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Interval(statistic(slice(None)), float(low), float(high))
