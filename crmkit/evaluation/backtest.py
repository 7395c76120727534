"""How far can the numbers be trusted? Backtests at past origins.

``backtest`` takes the model that is about to be used, fits a fresh copy of it on what was known at the close of each
origin, and scores its predictions on the days after, beside baselines that need no model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import singledispatch
from inspect import signature
from typing import TYPE_CHECKING

import pandas as pd

from crmkit._days import as_day
from crmkit._types import Interval
from crmkit.displays import Display, InNotebook
from crmkit.exceptions import LeakError, ModelError
from crmkit.transactions.log import Transactions, check_log

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Backtest", "backtest"]

_WORDS = {"rmse_value": ("root mean squared error of the money spent", 2), "log_loss": ("log-loss", 4)}
_ORIGINS = 3


@dataclass(frozen=True)
class Backtest(InNotebook):
    """How a model and its baselines did at past origins; prints as a sentence and a table.

    Attributes
    ----------
    subject : str
        What was predicted.
    horizon : int
        Days ahead.
    scores : DataFrame
        origin, model, n, and one column a score.
    display : Display
        The figure, with its numbers in ``display.table``.
    metric : str
        The score that decides; smaller is better.
    scope : str
        What is scored, where that is not everything that is predicted.
    difference : Interval or None
        The model's metric less that of the best baseline, with a paired bootstrap interval by customer.
    """

    subject: str
    horizon: int
    scores: pd.DataFrame = field(repr=False)
    display: Display = field(repr=False)
    metric: str
    scope: str = ""
    difference: Interval | None = None

    @property
    def mean(self) -> pd.DataFrame:
        """Mean of every score over the origins, one row a model; the model itself comes first."""
        order = self.scores["model"].unique()
        return self.scores.drop(columns=["origin"]).groupby("model").mean().loc[order]

    @property
    def rival(self) -> str:
        """The best of the baselines."""
        return str(self.mean[self.metric].iloc[1:].idxmin())

    @property
    def verdict(self) -> str:
        """One sentence: the model's figure, the best baseline's, and whether they differ beyond chance."""
        mean, n, rival = self.mean[self.metric], self.scores["origin"].nunique(), self.rival
        model = str(mean.index[0])
        words, digits = _WORDS[self.metric]
        sure = f"; difference {in_words(self.difference, digits)}" if self.difference else ""
        return (
            f"{self.subject}{self.scope}, {self.horizon} days ahead: {self._comparison(model, rival)} ({words} "
            f"{mean[model]:.{digits}f} against {mean[rival]:.{digits}f}{sure}; better at {self._wins(model, rival)} of {n} "
            f"origin{'s' * (n > 1)})."
        )

    def _comparison(self, model: str, rival: str) -> str:
        mean = self.mean[self.metric]
        if self.difference and self.difference.low <= 0 <= self.difference.high:
            return f"no difference beyond chance between {model} and {rival}"
        return f"{model} {'beats' if mean[model] < mean[rival] else 'is worse than'} {rival}"

    def _wins(self, model: str, rival: str) -> int:
        wide = self.scores.pivot_table(index="origin", columns="model", values=self.metric)
        return int((wide[model] < wide[rival]).sum())

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw ``display``."""
        return self.display.plot(ax)

    def _notebook_words(self) -> str:
        return self.verdict

    def _notebook_table(self) -> pd.DataFrame:
        return self.mean

    def __str__(self) -> str:
        return f"{self.verdict}\n{self.mean.round(3).to_string()}"


def in_words(difference: Interval, digits: int) -> str:
    """A difference with its interval.

    >>> in_words(Interval(-1.5, -2.25, -0.75), digits=2)
    '-1.50, 95% interval -2.25 to -0.75'
    """
    estimate, low, high = (f"{number:.{digits}f}" for number in difference)
    return f"{estimate}, 95% interval {low} to {high}"


def backtest(
    model: object,
    log: Transactions,
    split: str | date | Sequence[str | date] | None = None,
    horizon: int | None = None,
    **options: object,
) -> Backtest:
    """Backtest a model at one or more past origins.

    Parameters
    ----------
    model : CustomerLifetimeValue, ChurnModel or NextPurchase
        A fresh copy is fitted at every origin; the one given is not changed and need not be fitted.
    log : Transactions
    split : date or list of dates, optional
        Origins: what is known is what happened up to the close of that day. By default three origins, a horizon apart,
        the last of them a horizon before the log's ``until``.
    horizon : int, optional
        Days ahead. Default: for lifetime value from the (last) split to ``until``, or a quarter of the days observed;
        the model's own for churn; 14 for the next purchase.
    **options
        Of churn alone. ``service``: a `ServiceRecords`, complaints and answers, known from the day on which they were
        recorded. ``campaign``: a mapping, what a retention campaign costs and brings at your firm, for the expected
        maximum profit: clv, incentive, contact, accept, as in `expected_maximum_profit`; by default those of its paper.

    Returns
    -------
    Backtest
        Of churn a `ChurnBacktest`, with intervals and a gains chart.

    Raises
    ------
    ModelError
        There is no backtest for such a model, or it takes no such option.
    LeakError
        The days after an origin have not all been observed, or there is too little history before it.

    Examples
    --------
    >>> from crmkit.churn.model import ChurnModel
    >>> from crmkit.testing import generated_log
    >>> check = backtest(ChurnModel(horizon=30), generated_log(n_customers=400))
    >>> check.scores["origin"].nunique(), check.mean.index[0]
    (3, 'churn model')
    """
    _check_options(model, options)
    if horizon is not None and (horizon < 1 or horizon != int(horizon)):
        raise ModelError(f"horizon={horizon} is not a whole number of days of at least 1.")
    splits = [split] if isinstance(split, str | date) else list(split or [])
    origins = sorted(as_day(day) for day in splits)
    ahead = horizon or _default_horizon(model, log, origins)
    if not origins:
        origins = _default_origins(log, ahead)
    for origin in origins:
        if origin + timedelta(days=ahead) > log.until:
            raise LeakError(f"The {ahead} days after {origin} are not all observed: the log ends on {log.until}.")
    return backtest_of(model, log, origins, ahead, **options)


def _check_options(model: object, options: Mapping[str, object]) -> None:
    known = signature(backtest_of.dispatch(type(model))).parameters
    if unknown := [name for name in options if name not in known and "options" not in known]:
        raise ModelError(f"The backtest of a {type(model).__name__} has no option {unknown[0]}. Leave it out.")


def _default_horizon(model: object, log: Transactions, origins: list[date]) -> int:
    own: int | None = getattr(model, "backtest_horizon", None)
    if own is not None:
        return own
    if origins:
        return max(1, (log.until - origins[-1]).days)
    return max(1, (log.until - opened_on(log)).days // 4)


def _default_origins(log: Transactions, ahead: int) -> list[date]:
    first = opened_on(log) + timedelta(days=2 * ahead)
    origins = [log.until - timedelta(days=ahead * k) for k in range(_ORIGINS, 0, -1)]
    enough = [origin for origin in origins if origin >= first]
    if not enough:
        days = (log.until - opened_on(log)).days + 1
        raise LeakError(f"{days} days of history are too short for a {ahead}-day backtest; pass an earlier split.")
    return enough


def opened_on(log: Transactions) -> date:
    """Day of the first purchase in the log; `ModelError` where there is none."""
    check_log(log)
    first = log.first_day()
    if first is None:
        raise ModelError("The log holds no purchase.")
    return date(1970, 1, 1) + timedelta(days=first)


@singledispatch
def backtest_of(model: object, log: Transactions, origins: list[date], ahead: int, **options: object) -> Backtest:
    """The backtest of one kind of model, registered by the model's own room."""
    raise ModelError(f"There is no backtest for a {type(model).__name__}.")
