"""A discrete weekly hazard as formulas on arrays: P(bought in week w | not before) = 1 / (1 + exp(−η)).

η = γ_w + z·β + ln(w) z·δ for a row with summaries z: a logistic regression on the person-weeks at risk (Cox 1972, §6,
in the grouped form of Prentice & Gloeckler 1978, with a logit link). A row that is followed for f days gives its weeks up
to the purchase, or the f // 7 that were watched in full: censoring is those weeks left out. A row is never written out as
its weeks: all of them share z, so that sums over weeks are done first, and the cost is that of one row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from crmkit._types import Bools, Floats, Ints, Singles
from crmkit.repurchase._newton import minimise

WEEKS = 12
_WEEK = np.arange(1, WEEKS + 1)
_LOG_WEEK = np.log(_WEEK)
_CHUNK = 4_096
_EVERY = 8
_NEVER = 1e-300


@dataclass(frozen=True)
class HazardCurve:
    """Coefficients of a weekly hazard.

    Parameters
    ----------
    week : array of 12
        γ: the logit of a row of zeros.
    level, slope : arrays, one per summary
        β, and δ, what is added to it with the logarithm of the week.
    """

    week: Floats
    level: Floats
    slope: Floats

    def logits(self, z: Floats, weeks: int = WEEKS) -> Floats:
        """Logit of the hazard, one row per row of z and one column per week."""
        # not by BLAS, where a row's last digit hangs on the rows beside it
        level, slope = (np.einsum("ij,j->i", z, values) for values in (self.level, self.slope))
        logits: Floats = level[:, None] + slope[:, None] * _LOG_WEEK[:weeks] + self.week[:weeks]
        return logits

    def drawn_to(self, few: HazardCurve, columns: list[int], share: float) -> HazardCurve:
        """The logits averaged with those of a curve on some of the summaries, which gets ``share`` of the weight."""
        week, level, slope = ((1 - share) * values for values in (self.week, self.level, self.slope))
        level[columns] += share * few.level
        slope[columns] += share * few.slope
        return HazardCurve(week + share * few.week, level, slope)

    def rescaled(self, mean: Floats, sd: Floats) -> HazardCurve:
        """The same curve for summaries that are not standardised."""
        level, slope = self.level / sd, self.slope / sd
        return HazardCurve(self.week - mean @ level - (mean @ slope) * _LOG_WEEK, level, slope)


def weeks_at_risk(wait: Floats, follow: Floats) -> tuple[Ints, Ints]:
    """How many weeks each row is at risk, and in which of them it ends with a purchase (0 for none).

    ``wait`` is the day of the next purchase, counted from 1 (inf when there was none), ``follow`` the days watched.
    """
    watched = np.minimum(follow // 7, WEEKS)
    bought = wait <= watched * 7
    week = np.where(bought, np.ceil(np.where(bought, wait, 1) / 7), 0)
    return np.where(bought, week, watched).astype(np.int64), week.astype(np.int64)


def person_weeks(at_risk: Ints) -> tuple[Ints, Ints]:
    """Row and week, counted from 1, of every week that a row is at risk."""
    row = np.repeat(np.arange(len(at_risk)), at_risk)
    week = np.arange(len(row)) - np.repeat(np.cumsum(at_risk) - at_risk, at_risk) + 1
    return row, week


def fit_weekly_hazard(z: Floats, at_risk: Ints, bought: Ints, ridge: float = 1.0) -> HazardCurve:
    """Coefficients of highest penalised likelihood, by Newton steps.

    Many rows are begun with the coefficients of an eighth of them.

    Parameters
    ----------
    z : array (n, p)
        Summaries of unit variance, so that ``ridge`` (one pseudo-observation against each) means the same for all.
    at_risk, bought : arrays (n,)
        From `weeks_at_risk`.
    """
    longest_first = np.argsort(-at_risk, kind="stable")
    z, at_risk, bought = z.T[:, longest_first].T, at_risk[longest_first], bought[longest_first]
    n_level = z.shape[1]
    lost, ended = (np.bincount(weeks_, minlength=WEEKS + 1)[1:] for weeks_ in (at_risk, bought))
    exposed = lost[::-1].cumsum()[::-1]
    usual = np.log((ended.sum() + 0.5) / (exposed.sum() - ended.sum() + 5))
    centre = np.repeat([0.0, usual], [2 * n_level, WEEKS])
    penalty = np.repeat([ridge, 0.1], [2 * n_level, WEEKS])

    def fitted(every: int, start: Floats, tolerance: float) -> Floats:
        rows = z[::every], at_risk[::every], bought[::every] > 0

        def penalised(theta: Floats, curved: bool) -> tuple[float, Floats, Floats | None]:
            loss, gradient, hessian = _newton_sums(*rows, theta, curved)
            away = theta - centre
            hessian = None if hessian is None else hessian + np.diag(penalty)
            return loss + 0.5 * float(penalty @ away**2), gradient + penalty * away, hessian

        return minimise(penalised, start, tolerance=tolerance)

    first = fitted(_EVERY, centre, 1e-3) if len(z) > _EVERY * _CHUNK else centre
    theta = fitted(1, first, 1e-15)
    return HazardCurve(theta[2 * n_level :], theta[:n_level], theta[n_level : 2 * n_level])


def _newton_sums(
    z: Floats, at_risk: Ints, bought: Bools, theta: Floats, curved: bool
) -> tuple[float, Floats, Floats | None]:
    """Loss, its gradient and, if asked for, its Hessian, summed over all person-weeks; blocks are level, slope, week."""
    loss, gradient = 0.0, np.zeros(len(theta))
    hessian = np.zeros((len(theta), len(theta))) if curved else None
    for weeks, rows in _equally_long(at_risk):
        loss += _add_rows(z[rows], weeks, bought[rows], theta, gradient, hessian)
    if hessian is not None:
        lower = np.tril_indices(len(theta), -1)
        hessian[lower] = hessian.T[lower]
    return loss, gradient, hessian


def _equally_long(at_risk: Ints) -> Iterator[tuple[int, slice]]:
    """Rows that fit a processor's cache and are all at risk for as many weeks; those at risk longest come first."""
    start = 0
    for weeks in range(WEEKS, 0, -1):
        end = int(np.searchsorted(-at_risk, -weeks, side="right"))
        for first in range(start, end, _CHUNK):
            yield weeks, slice(first, min(first + _CHUNK, end))
        start = end


def _add_rows(z: Floats, weeks: int, bought: Bools, theta: Floats, gradient: Floats, hessian: Floats | None) -> float:
    """Add rows that are at risk for ``weeks`` to the gradient and to the upper blocks of the Hessian; their loss.

    Who bought did so in the last week. One exponential a person-week: a step so long that it overflows has no finite loss.
    """
    p, log_week, last = z.shape[1], _LOG_WEEK[:weeks], weeks - 1
    level, slope = theta[: 2 * p].reshape(2, p) @ z.T
    logits = np.multiply.outer(log_week, slope)
    logits += level
    logits += theta[2 * p : 2 * p + weeks, None]
    with np.errstate(over="ignore", invalid="ignore"):
        odds = np.exp(logits)
        rest = 1 / (1 + odds)
        hazard = odds * rest
        loss = -float(np.log(rest.prod(axis=0)).sum()) - float(logits[last, bought].sum())
    off = np.stack([hazard.sum(axis=0) - bought, log_week @ hazard - log_week[last] * bought])
    gradient[: 2 * p] += (off @ z).ravel()
    gradient[2 * p : 2 * p + weeks] += hazard.sum(axis=1)
    gradient[2 * p + last] -= np.count_nonzero(bought)
    if hessian is not None:
        _add_blocks(hessian, z.astype(np.float32), (hazard * rest).astype(np.float32), log_week.astype(np.float32))
    return loss


def _add_blocks(hessian: Floats, z: Singles, mass: Singles, log_week: Singles) -> None:
    """Add a chunk to the upper blocks of the Hessian; ``mass`` has a row per week. It says where to step, not where to stop: half
    the digits do.
    """
    (n, p), weeks = z.shape, len(log_week)
    known = np.empty((n, 2 * p + weeks), dtype=np.float32)
    known[:, :p], known[:, p : 2 * p] = z * mass.sum(axis=0)[:, None], z * (log_week @ mass)[:, None]
    known[:, 2 * p :] = mass.T
    hessian[:p, : 2 * p + weeks] += z.T @ known
    known[:, :p], known[:, p : p + weeks] = z * (log_week**2 @ mass)[:, None], mass.T * log_week
    hessian[p : 2 * p, p : 2 * p] += z.T @ known[:, :p]
    hessian[p : 2 * p, 2 * p : 2 * p + weeks] += z.T @ known[:, p : p + weeks]
    week = np.arange(2 * p, 2 * p + weeks)
    hessian[week, week] += mass.sum(axis=1)


def week_survival(logits: Floats) -> Floats:
    """P(no purchase by the end of week 0, 1, …), from the logits of the hazards: one column more than they have."""
    log_survival = np.zeros((len(logits), logits.shape[1] + 1))
    np.cumsum(-np.logaddexp(0, logits), axis=1, out=log_survival[:, 1:])
    return np.exp(log_survival)


def day_survival(weekly: Floats, days: Ints | int) -> Floats:
    """P(no purchase by the close of each day): within a week every day has the same hazard."""
    week, rest = np.divmod(np.asarray(days), 7)
    survival: Floats = weekly[:, week]
    if np.any(rest):
        later = np.minimum(week + 1, weekly.shape[1] - 1)
        log = np.log(np.maximum(weekly, _NEVER))
        survival = np.exp(log[:, week] * (1 - rest / 7) + log[:, later] * (rest / 7))
    return survival


def quantile_day(weekly: Floats, share: float) -> Floats:
    """Day by which a purchase has come with probability ``share``; missing where that is beyond the last week."""
    left = 1 - share
    reached = weekly <= left
    week = np.argmax(reached, axis=1)
    row = np.arange(len(weekly))
    before, after = weekly[row, np.maximum(week - 1, 0)], weekly[row, week]
    with np.errstate(divide="ignore", invalid="ignore"):
        part = (np.log(before) - np.log(left)) / (np.log(before) - np.log(after))
    return np.where(reached.any(axis=1), 7 * (week - 1 + part), np.nan)


def mean_day(weekly: Floats) -> Floats:
    """Mean day of a purchase, given that it comes within the curve; the middle of the curve where none can come."""
    in_week = -np.diff(weekly, axis=1)
    fall = -np.diff(np.log(weekly), axis=1)
    days = 7 * (np.arange(in_week.shape[1]) + _mean_place(fall))
    bought = in_week.sum(axis=1)
    middle = 3.5 * in_week.shape[1]
    mean: Floats = np.where(bought > 0, (in_week * days).sum(axis=1) / np.where(bought > 0, bought, 1), middle)
    return mean


def _mean_place(fall: Floats) -> Floats:
    """Where in the unit interval an event lies on average that comes in it at a constant hazard: 1/f − 1/(e^f − 1)."""
    small = fall < 1e-4
    f = np.where(small, 1.0, fall)
    return np.where(small, 0.5 - fall / 12, 1 / f - 1 / np.expm1(f))
