"""Which purchase model to believe: candidates held against past days, and chosen before the last of them is looked at.

Every candidate is fitted at several past origins on what was known then. The choice is made on the earlier origins; the
last one is the holdout, where all of them are shown but nothing is decided.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from crmkit.evaluation import metrics
from crmkit.evaluation.backtest import opened_on
from crmkit.evaluation.baselines import LastSeason, OwnPastRate, PredictZero
from crmkit.exceptions import ContractError, CrmkitWarning, LeakError, ModelError
from crmkit.models import PURCHASE_MODELS
from crmkit.models._base import Model
from crmkit.summaries.customers import btyd_summary, holdout_summary
from crmkit.transactions.log import Transactions

__all__ = ["ModelChoice", "choose_model", "default_candidates"]

_ORIGINS = 3


# -- The choice ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ModelChoice:
    """Which candidate was chosen, why, and how all of them did; prints as a sentence and two tables.

    Attributes
    ----------
    name : str
        The candidate chosen.
    model_ : estimator
        The same, fitted on the whole log; a crmkit model says the days it learnt from and its figures in the holdout in
        ``training_``, which is saved with it.
    why : str
        The figures that decided.
    table : DataFrame
        Mean scores over the earlier origins, one row a candidate, best first: ``rmse_ratio`` (root mean squared error, over
        that of predicting 0), which decides, then rmse, mae, correlation, bias_of_total, capture.
    holdout : DataFrame
        The same scores at the last origin, which decided nothing.
    scores : DataFrame
        Every score at every origin: origin, horizon, candidate, n, …
    failed : dict of str
        Candidates that could not be fitted somewhere, and why.

    Notes
    -----
    ``mae`` is the mean absolute error of purchases; where most customers buy nothing, predicting 0 for all looks good on
    it, so it decides nothing and is shown beside the others. ``capture`` is the part of the purchases made by the really
    best tenth that the tenth ranked best makes. ``correlation`` is missing where a prediction is the same for all.
    """

    name: str
    model_: Any = field(repr=False)
    why: str
    table: pd.DataFrame = field(repr=False)
    holdout: pd.DataFrame = field(repr=False)
    scores: pd.DataFrame = field(repr=False)
    failed: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        last = self.scores[self.scores["role"] == "holdout"].iloc[0]
        missing = "".join(f"\nNot scored: {name}: {reason}" for name, reason in self.failed.items())
        return (
            f"{self.why}\n\nEarlier origins, which decided\n{self.table.round(3).to_string()}\n\nHoldout: {last['horizon']} days "
            f"after {last['origin']}\n{self.holdout.round(3).to_string()}{missing}"
        )


def default_candidates() -> dict[str, Any]:
    """What `choose_model` tries by itself: the purchase models, and rules of thumb that need none."""
    return {
        **{kind.label: kind() for kind in PURCHASE_MODELS},
        "own past rate": OwnPastRate(),
        "own past rate if bought within 13 weeks": LastSeason(),
        "predict zero": PredictZero(),
    }


def choose_model(
    log: Transactions, candidates: Mapping[str, Any] | None = None, horizon: int | None = None
) -> ModelChoice:
    """Choose a purchase model by what happened after past days.

    Parameters
    ----------
    log : Transactions
    candidates : mapping of str to estimators, optional
        Anything with ``fit(customers)`` and ``expected_purchases(customers, horizon)``, over the table of `btyd_summary`.
        Default: `default_candidates`.
    horizon : int, optional
        Days ahead. Default: a quarter of the days observed.

    Returns
    -------
    ModelChoice

    Raises
    ------
    LeakError
        The history is too short for a holdout and an origin before it.
    ModelError
        No candidate could be scored.

    Notes
    -----
    The holdout starts ``horizon`` days before the log's ``until``. The choice is made on up to three origins before it,
    whose windows end at the holdout's origin at the latest; where the history is short, these windows are shorter. What is
    chosen has the smallest root mean squared error, which the expectation minimises, relative to that of predicting 0.

    Examples
    --------
    >>> from crmkit.testing import generated_log
    >>> choice = choose_model(generated_log(n_customers=400), horizon=60)
    >>> bool(choice.holdout.loc[choice.name, "rmse"] < choice.holdout.loc["predict zero", "rmse"])
    True
    """
    tried, failed = dict(default_candidates() if candidates is None else candidates), dict[str, str]()
    windows = [_answers(tried, failed, log, *window) for window in _windows(log, horizon)]
    alive = [name for name in tried if name not in failed]
    if not alive:
        raise ModelError(f"No candidate could be scored: {failed or 'none was given'}.")
    last = len(windows) - 1
    rows = [
        {"role": "holdout" if place == last else "choice", **row}
        for place, window in enumerate(windows)
        for row in window.scores(alive)
    ]
    scores = pd.DataFrame(rows)
    table, holdout = (_means(scores[scores["role"] == role]) for role in ("choice", "holdout"))
    name = str(table.index[0])
    model = _fitted(tried[name], btyd_summary(log))
    if isinstance(model, Model):
        model.training_["window"] = [opened_on(log).isoformat(), log.until.isoformat()]
        model.training_["metrics"] = {"holdout": _last_window(windows), **holdout.loc[name].dropna().to_dict()}
    return ModelChoice(name, model, _why(table, windows[:-1]), table, holdout.loc[list(table.index)], scores, failed)


@dataclass(frozen=True)
class _Window:
    """What each candidate expected of the customers known at an origin, and what they did."""

    origin: date
    horizon: int
    actual: pd.Series[float]
    expected: pd.DataFrame

    def scores(self, names: list[str]) -> list[dict[str, Any]]:
        where = {"origin": self.origin, "horizon": self.horizon}
        return [{**where, "candidate": name, **_scores(self.actual, self.expected[name])} for name in names]


def _windows(log: Transactions, horizon: int | None) -> list[tuple[date, int]]:
    """Origins and days ahead, the holdout last."""
    first = opened_on(log)
    ahead = horizon or max(1, (log.until - first).days // 4)
    if ahead < 1 or ahead != int(ahead):
        raise ModelError(f"horizon={horizon} is not a whole number of days of at least 1.")
    holdout = log.until - timedelta(days=ahead)
    short = min(ahead, (holdout - first).days // 3)
    if short < 1:
        days = (log.until - first).days + 1
        raise LeakError(
            f"{days} days of history are too few to choose at a past day and still look {ahead} days ahead."
        )
    before = [holdout - timedelta(days=short * k) for k in range(_ORIGINS, 0, -1)]
    return [*((origin, short) for origin in before if (origin - first).days >= short), (holdout, ahead)]


def _last_window(windows: list[_Window]) -> str:
    return f"{windows[-1].horizon} days after {windows[-1].origin}"


def _answers(tried: Mapping[str, Any], failed: dict[str, str], log: Transactions, origin: date, ahead: int) -> _Window:
    known = btyd_summary(log, origin)
    known = known.merge(holdout_summary(log, origin, origin + timedelta(days=ahead)), on="customer_id")
    expected = {}
    for name, model in tried.items():
        try:
            expected[name] = _fitted(model, known).expected_purchases(known, ahead)
        except (ModelError, ContractError) as error:
            failed[name] = f"{origin}: {error}"
    return _Window(origin, ahead, known["holdout_purchases"], pd.DataFrame(expected, index=known.index))


def _fitted(model: Any, customers: pd.DataFrame) -> Any:
    """A fitted copy; that a prior took over at some past day is no news here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrmkitWarning)
        return clone(model).fit(customers)


def _scores(actual: pd.Series[float], expected: pd.Series[float]) -> dict[str, float]:
    error, bought = expected - actual, float(actual.sum())
    rmse, zero = float(np.sqrt((error**2).mean())), float(np.sqrt((actual.astype(float) ** 2).mean()))
    varies = actual.nunique() > 1 and expected.nunique() > 1
    return {
        "n": len(actual),
        "rmse_ratio": rmse / zero if zero else np.nan,
        "rmse": rmse,
        "mae": float(error.abs().mean()),
        "correlation": metrics.correlation(actual, expected) if varies else np.nan,
        "bias_of_total": metrics.bias_of_total(actual, expected) if bought else np.nan,
        "capture": metrics.lift_at(actual, expected, 0.1) / metrics.lift_at(actual, actual, 0.1) if bought else np.nan,
    }


def _means(scores: pd.DataFrame) -> pd.DataFrame:
    measures = ["rmse_ratio", "rmse", "mae", "correlation", "bias_of_total", "capture"]
    return scores.groupby("candidate")[measures].mean().sort_values("rmse_ratio", kind="stable")


def _why(table: pd.DataFrame, windows: list[_Window]) -> str:
    best, second = table.iloc[0], table.iloc[1] if len(table) > 1 else table.iloc[0]
    days = ", ".join(str(window.origin) for window in windows)
    return (
        f"{best.name} is chosen: at {len(windows)} earlier origins ({days}; {windows[0].horizon} days ahead) its root mean "
        f"squared error was {best['rmse_ratio']:.3f} of that of predicting 0, the next best ({second.name}) "
        f"{second['rmse_ratio']:.3f}."
    )
