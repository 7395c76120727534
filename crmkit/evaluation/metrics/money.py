"""Scores of amounts, and of decisions in money."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import isotonic_regression
from scipy.special import betainc

from crmkit._types import Floats
from crmkit.evaluation.metrics._inputs import checked
from crmkit.evaluation.metrics._inputs import from_zero as _from_zero
from crmkit.evaluation.metrics._inputs import levels as _levels
from crmkit.evaluation.metrics.probabilities import lift_at
from crmkit.exceptions import ConfigError, ContractError, ModelError

__all__ = [
    "MaximumProfit",
    "bias_of_total",
    "correlation",
    "expected_maximum_profit",
    "gains_table",
    "mean_absolute_error",
    "value_captured",
]


# Amounts


def mean_absolute_error(y: ArrayLike, p: ArrayLike) -> float:
    """mean(|p − y|), in the unit of ``y``.

    >>> mean_absolute_error([0, 2, 4], [1.0, 2.0, 2.0])
    1.0
    """
    y, p = checked(y, p)
    return float(np.mean(np.abs(p - y)))


def bias_of_total(y: ArrayLike, p: ArrayLike) -> float:
    """Relative error of the total: (Σp − Σy) / Σy; 0.1 is a forecast ten per cent too high.

    >>> round(bias_of_total([0, 2, 3], [1.0, 2.0, 2.5]), 4)
    0.1
    """
    y, p = checked(y, p)
    total = y.sum()
    if total == 0:
        raise ModelError("y sums to 0, so no relative error exists. Compare the sums themselves.")
    return float((p.sum() - total) / total)


def correlation(y: ArrayLike, p: ArrayLike) -> float:
    """Pearson's product-moment correlation, from −1 to 1.

    >>> round(correlation([0, 1, 2, 5], [0.5, 1.0, 1.5, 3.0]), 4)
    1.0
    """
    y, p = checked(y, p)
    if np.ptp(y) == 0 or np.ptp(p) == 0:
        raise ModelError(
            f"{'y' if np.ptp(y) == 0 else 'p'} is the same in all {y.size:,} rows; a correlation needs two that vary."
        )
    return float(np.corrcoef(y, p)[0, 1])


def value_captured(y: ArrayLike, value: ArrayLike, p: ArrayLike, share: float = 0.10) -> float:
    """How many times a random list's lapsing value the best ``share`` of rows holds: mean(y · value in the list) / mean(y · value).

    ``y`` is 1 for a customer who left, ``value`` the money expected of them if they had stayed (at least 0), ``p`` the score
    that ranks: p_churn alone, or value_at_risk.

    >>> value_captured([1, 1, 0, 0, 0, 0, 0, 0, 0, 0], [1, 3, 1, 1, 1, 1, 1, 1, 1, 1], [1, 9, 0, 0, 0, 0, 0, 0, 0, 0])
    7.5
    """
    money = np.asarray(y, dtype=np.float64) * np.asarray(value, dtype=np.float64)
    return lift_at(money, p, share)


class MaximumProfit(NamedTuple):
    """What the best campaign brings per customer, and the share of customers it contacts.

    >>> MaximumProfit(3.14, 0.2).share
    0.2
    """

    profit: float
    share: float


def expected_maximum_profit(
    y: ArrayLike,
    p: ArrayLike,
    clv: float = 200.0,
    incentive: float = 10.0,
    contact: float = 1.0,
    accept: tuple[float, float] = (6.0, 14.0),
) -> MaximumProfit:
    """Expected maximum profit of a retention campaign per customer (EMPC), over what is not known: who accepts.

    A contacted leaver accepts the incentive with probability γ ~ Beta(accept) and then stays, worth ``clv``; a contacted
    stayer takes it for nothing; every contact costs. For each γ the best threshold is a corner of the convex hull of the
    ROC curve, so the integral is a sum of incomplete beta functions (Verbraken, Verbeke & Baesens 2013, IEEE TKDE 25(5)).

    Parameters
    ----------
    y, p : array (n,)
        1 for leavers; any finite score, higher for likelier leavers.
    clv, incentive, contact : float
        Money: a retained customer's value, the incentive, one contact; 0 <= contact, 0 <= incentive < clv.
    accept : (float, float)
        Parameters of the Beta distribution of the probability that a leaver accepts.

    Returns
    -------
    MaximumProfit
        profit per customer of the base, and the expected share of it to contact.

    Examples
    --------
    With a perfect ranking and contacts for nothing, only leavers are contacted, and 30 % of them stay, each worth 200 − 10:

    >>> best = expected_maximum_profit([1, 0, 0, 0, 0], [0.9, 0.1, 0.2, 0.1, 0.1], contact=0.0)
    >>> round(best.profit, 6), round(best.share, 6)
    (11.4, 0.2)
    """
    if not (contact >= 0 and 0 <= incentive < clv) or min(accept) <= 0:
        raise ConfigError(
            f"No campaign has clv={clv}, incentive={incentive}, contact={contact}, accept={accept}: "
            "costs are at least 0, the incentive is below clv, and the Beta parameters are above 0."
        )
    leavers, stayers, left, stayed = _hull(y, p)
    a, b = accept
    rise, cost = np.diff(leavers) * left, np.diff(stayers) * stayed
    with np.errstate(divide="ignore"):
        switch = (cost * (incentive + contact) + rise * contact) / (rise * (clv - incentive))
    edges = np.concatenate([[0.0], np.clip(switch, 0.0, 1.0), [1.0]])
    weight = np.diff(betainc(a, b, edges))
    accepted = np.diff(betainc(a + 1, b, edges)) * a / (a + b)
    gain = accepted * (clv - incentive) * left * leavers
    spent = weight * (contact * left * leavers + (incentive + contact) * stayed * stayers)
    share = weight @ (left * leavers + stayed * stayers)
    return MaximumProfit(float((gain - spent).sum()), float(share))


def _hull(y: ArrayLike, p: ArrayLike) -> tuple[Floats, Floats, float, float]:
    """Corners of the ROC curve's upper hull (share of leavers, share of stayers), and the two classes' shares."""
    outcome, score = np.asarray(y, dtype=np.float64), np.asarray(p, dtype=np.float64)
    if outcome.shape != score.shape or outcome.ndim != 1 or not np.isfinite(score).all() or set(outcome) - {0.0, 1.0}:
        raise ContractError("y must hold 0 and 1, and p as many finite scores.")
    _, count, positives = _levels(outcome, score)
    left = float(outcome.mean()) if len(outcome) else 0.0
    if not 0 < left < 1:
        raise ModelError(f"All {len(outcome):,} outcomes are equal; a campaign needs leavers and stayers.")
    falling = isotonic_regression(positives[::-1] / count[::-1], weights=count[::-1], increasing=False)
    tpr = _from_zero(positives[::-1])[falling.blocks] / positives.sum()
    fpr = _from_zero((count - positives)[::-1])[falling.blocks] / (count - positives).sum()
    return tpr, fpr, left, 1 - left


def gains_table(y: ArrayLike, p: ArrayLike, n_points: int = 20) -> dict[str, Floats]:
    """Share of the outcome that the best shares of rows hold, best first; ties are shared out in proportion.

    ``y`` is 0/1 or an amount of at least 0.

    >>> gains_table([1, 1, 0, 0], [0.9, 0.4, 0.2, 0.1], n_points=4)["share_of_outcome"].tolist()
    [0.0, 0.5, 1.0, 1.0, 1.0]
    """
    outcome, score = np.asarray(y, dtype=np.float64), np.asarray(p, dtype=np.float64)
    if not outcome.sum() > 0:
        raise ModelError("No row has a positive outcome. Gains need at least one; score more rows together.")
    _, count, held = _levels(outcome, score)
    share = np.linspace(0, 1, n_points + 1)
    reached = np.interp(share * len(outcome), _from_zero(count[::-1]), _from_zero(held[::-1]))
    return {"share_of_rows": share, "share_of_outcome": reached / reached[-1]}
