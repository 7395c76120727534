"""Scores of probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from crmkit.evaluation.metrics._inputs import EPS, checked, from_zero, levels, outcomes, positive_total
from crmkit.evaluation.metrics._inputs import outcomes as _outcomes
from crmkit.exceptions import ConfigError, ContractError, ModelError

if TYPE_CHECKING:
    from crmkit._types import Floats, Ints

__all__ = [
    "average_precision",
    "brier_score",
    "calibration_error",
    "lift_at",
    "log_loss",
    "probability_scores",
    "reliability_line",
    "reliability_table",
    "roc_auc",
    "row_losses",
    "top_decile_lift",
]


# Probabilities


def log_loss(y: ArrayLike, p: ArrayLike) -> float:
    """Mean negative log-likelihood of 0/1 outcomes, in nats: −mean(y ln p + (1 − y) ln(1 − p)).

    ``p`` is clipped to [eps, 1 − eps] with eps = 2.2e-16, so one certain and wrong row costs 36 nats, not infinity.
    Good (1952), *Rational Decisions*.

    >>> round(log_loss([1, 0], [0.8, 0.4]), 4)
    0.367
    """
    return float(np.mean(row_losses(y, p)))


def row_losses(y: ArrayLike, p: ArrayLike) -> Floats:
    """The loss of each row, whose mean is `log_loss`: what two models are compared by, row by row.

    >>> row_losses([1, 0], [0.8, 0.4]).round(4).tolist()
    [0.2231, 0.5108]
    """
    y, p = outcomes(y, p)
    p = np.clip(p, EPS, 1 - EPS)
    losses: Floats = -(y * np.log(p) + (1 - y) * np.log1p(-p))
    return losses


def brier_score(y: ArrayLike, p: ArrayLike) -> float:
    """Mean squared error of probabilities: mean((p − y)²), from 0 to 1.

    Brier (1950), in its two-class form.

    >>> round(brier_score([1, 0], [0.8, 0.4]), 4)
    0.1
    """
    y, p = outcomes(y, p)
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


def reliability_table(y: ArrayLike, p: ArrayLike, n_bins: int = 10) -> dict[str, Floats | Ints]:
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
    y, p = outcomes(y, p)
    if n_bins < 1:
        raise ConfigError(f"n_bins must be at least 1, got {n_bins}.")
    level, count, positives = levels(y, p)
    ends = np.arange(min(n_bins, y.size) + 1) * y.size // min(n_bins, y.size)
    bins = np.diff(ends)
    predicted, observed = (np.diff(np.interp(ends, from_zero(count), from_zero(x))) for x in (count * level, positives))
    return {"mean_predicted": predicted / bins, "observed_rate": observed / bins, "count": bins}


# Rankings


def roc_auc(y: ArrayLike, p: ArrayLike) -> float:
    """Probability that a random positive row is ranked above a random negative one, ties counting one half.

    Mann & Whitney (1947); Hanley & McNeil (1982). ``p`` may be any finite score.

    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    y, p = checked(y, p, binary=True)
    _, count, positives = levels(y, p)
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
    y, p = checked(y, p, binary=True)
    _, count, positives = levels(y, p)
    positive_total(positives, "An average precision")
    precision = np.cumsum(positives[::-1]) / np.cumsum(count[::-1])
    return float(precision @ positives[::-1] / positives.sum())


def lift_at(y: ArrayLike, p: ArrayLike, share: float) -> float:
    """How many times a random list's outcome the best ``share`` of rows holds: mean(y in the list) / mean(y).

    ``y`` is 0/1, or an amount of at least 0 (value at risk, spend); ``p`` may be any finite score. A list that ends
    inside a tie takes its part of the tie's outcome, so rows with one score for all have lift 1.

    >>> lift_at([1, 1, 0, 0, 0, 0, 0, 0, 0, 0], [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0], share=0.4)
    2.5
    """
    y, p = checked(y, p)
    if not 0 < share <= 1:
        raise ConfigError(f"share must be in (0, 1], got {share}. For the best tenth write 0.1.")
    if (y < 0).any():
        raise ContractError(f"y: {int((y < 0).sum()):,} of {y.size:,} values are below 0; a lift needs 0/1 or amounts.")
    _, count, outcome = levels(y, p)
    total = positive_total(outcome, "A lift")
    held = np.interp(share * y.size, from_zero(count[::-1]), from_zero(outcome[::-1]))
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
    y, p = outcomes(y, p)
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


_NEWTON = 50


def reliability_line(y: ArrayLike, p: ArrayLike) -> dict[str, float]:
    """Intercept and slope of the outcome's log-odds on the prediction's; 0 and 1 when calibrated (Cox 1958).

    A slope below 1 says that the probabilities are too far from the base rate, above 1 too near.

    >>> rng = np.random.default_rng(0)
    >>> p = rng.beta(2, 4, 40_000)
    >>> line = reliability_line(rng.random(40_000) < p, p)
    >>> abs(line["intercept"]) < 0.05, abs(line["slope"] - 1) < 0.05
    (True, True)
    """
    outcome, predicted = _outcomes(y, p)
    if np.ptp(outcome) == 0:
        raise ModelError(f"All {outcome.size:,} outcomes are equal; a calibration line needs both.")
    kept = np.clip(predicted, 1e-12, 1 - 1e-12)
    z = np.log(kept) - np.log1p(-kept)
    A, b = np.column_stack([np.ones(len(z)), z]), np.array([0.0, 1.0])
    for _ in range(_NEWTON):
        q = 1 / (1 + np.exp(-np.clip(A @ b, -500, 500)))
        curve = (A * (q * (1 - q))[:, None]).T @ A + 1e-9 * np.eye(2)
        step: Any = np.linalg.solve(curve, A.T @ (outcome - q))
        b = b + step
        if np.abs(step).max() < 1e-10:
            break
    return {"intercept": float(b[0]), "slope": float(b[1])}
