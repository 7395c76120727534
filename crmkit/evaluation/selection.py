"""Model selection by rolling-origin backtest; the last origin is kept as an untouched holdout."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
import pandas as pd
from sklearn.base import clone

from crmkit._types import Interval
from crmkit.displays import InNotebook
from crmkit.evaluation import metrics
from crmkit.evaluation.backtest import in_words, opened_on
from crmkit.evaluation.baselines import RULES
from crmkit.evaluation.value import known_at, warn_if_implausible
from crmkit.exceptions import ConfigError, ContractError, CrmkitWarning, LeakError, ModelError
from crmkit.models import PURCHASE_MODELS
from crmkit.models._base import Model
from crmkit.models.gamma_gamma import GammaGamma
from crmkit.summaries.customers import holdout_summary
from crmkit.transactions.log import Transactions

__all__ = ["ModelChoice", "choose_model", "default_candidates"]

By = Literal["value", "purchases"]
_ORIGINS = 3
_TIED = 3  # decimals of the ratio that decides
_UNITS = {"value": "money spent", "purchases": "purchases"}


# -- The choice ----------------------------------------------------------------------------------------------------------


M = TypeVar("M")


class Candidate(Protocol):
    """What can be chosen: it is fitted on a customer table, and says how often each customer will buy."""

    def fit(self, customers: pd.DataFrame, /) -> object: ...

    def expected_purchases(self, customers: pd.DataFrame, horizon: float, /) -> pd.Series[float]: ...


@dataclass(frozen=True)
class ModelChoice(InNotebook):
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
    difference : Interval or None
        rmse of the chosen candidate less that of the next best over the earlier origins, with a paired bootstrap interval by
        customer; None where there is one candidate.
    by : str
        What was predicted: "value" or "purchases".
    failed : dict of str
        Candidates that could not be fitted somewhere, and why.

    Notes
    -----
    ``mae`` is the mean absolute error; where most customers buy nothing, predicting 0 for all looks good on it, so it decides
    nothing and is shown beside the others. ``capture`` is the part of what the really best tenth brings that the tenth ranked
    best brings. ``correlation`` is missing where a prediction is the same for all.
    """

    name: str
    model_: Any = field(repr=False)
    why: str
    table: pd.DataFrame = field(repr=False)
    holdout: pd.DataFrame = field(repr=False)
    scores: pd.DataFrame = field(repr=False)
    difference: Interval | None
    by: By
    failed: Mapping[str, str] = field(default_factory=dict, repr=False)

    def _notebook_words(self) -> str:
        return self.why

    def _notebook_table(self) -> pd.DataFrame:
        return self.table

    def __str__(self) -> str:
        last = self.scores[self.scores["role"] == "holdout"].iloc[0]
        missing = "".join(f"\nNot scored: {name}: {reason}" for name, reason in self.failed.items())
        return (
            f"{self.why}\n\nEarlier origins, which decided ({_UNITS[self.by]})\n{self.table.round(3).to_string()}\n\nHoldout: "
            f"{last['horizon']} days after {last['origin']}\n{self.holdout.round(3).to_string()}{missing}"
        )


def default_candidates() -> dict[str, Candidate]:
    """What `choose_model` tries by itself: every purchase model, and the rules that need none."""
    return {**{kind.label: kind() for kind in PURCHASE_MODELS}, **RULES}


def choose_model(
    log: Transactions, candidates: Mapping[str, Candidate] | None = None, horizon: int | None = None, by: By = "value"
) -> ModelChoice:
    """Choose a purchase model by rolling-origin backtest.

    Parameters
    ----------
    log : Transactions
    candidates : mapping of str to estimators, optional
        Anything with ``fit(customers)`` and ``expected_purchases(customers, horizon)``, over the table of `btyd_summary` and
        `recent_spend`. Default: `default_candidates`.
    horizon : int, optional
        Days ahead. Default: a quarter of the days observed.
    by : {"value", "purchases"}
        What the candidates are compared on. A candidate's money is its ``expected_spend(customers, horizon)``, or else its
        purchases times what `GammaGamma`, fitted at the same origin, expects of each.

    Returns
    -------
    ModelChoice

    Raises
    ------
    LeakError
        The history is too short for a holdout and an origin before it.
    ModelError
        No candidate could be scored.

    Warns
    -----
    CrmkitWarning
        A candidate is more accurate than chance allows: it may have seen the outcome.

    Notes
    -----
    The holdout starts ``horizon`` days before the log's ``until``. The choice is made on up to three origins before it,
    whose windows end at the holdout's origin at the latest; where the history is short, these windows are shorter. What is
    chosen has the smallest root mean squared error, which the expectation minimises, relative to that of predicting 0. It is
    the score by which `backtest` compares a lifetime value with its baselines. Candidates that are equal to three decimals
    are tied, and the first of them as given is chosen, so that noise does not change the model from one quarter to the next.

    Examples
    --------
    >>> from crmkit.testing import generated_log
    >>> choice = choose_model(generated_log(n_customers=400), horizon=60)
    >>> bool(choice.holdout.loc[choice.name, "rmse"] < choice.holdout.loc["predict zero", "rmse"])
    True
    """
    if by not in _UNITS:
        raise ConfigError(f"by must be 'value' or 'purchases'; it is {by!r}.")
    tried, failed = dict(default_candidates() if candidates is None else candidates), dict[str, str]()
    windows = [_predictions(tried, failed, log, by, *window) for window in _windows(log, horizon)]
    scored = [name for name in tried if name not in failed]
    if not scored:
        raise ModelError(f"No candidate could be scored: {failed or 'none was given'}.")
    scores = _scores_of(windows, scored)
    table, holdout = (_means(scores[scores["role"] == role]) for role in ("choice", "holdout"))
    name = str(table.index[0])
    model = _fitted(tried[name], known_at(log, log.until))
    if isinstance(model, Model):
        model.training_["window"] = [opened_on(log).isoformat(), log.until.isoformat()]
        model.training_["metrics"] = {"holdout": _last_window(windows), **holdout.loc[name].dropna().to_dict()}
    difference = _difference(windows[:-1], *table.index[:2]) if len(table) > 1 else None
    why = _why(table, windows[:-1], difference, by)
    return ModelChoice(name, model, why, table, holdout.loc[list(table.index)], scores, difference, by, failed)


@dataclass(frozen=True)
class _Window:
    """What each candidate expected of the customers known at an origin, and what they did."""

    origin: date
    horizon: int
    customer_id: pd.Series[str]
    actual: pd.Series[float]
    expected: pd.DataFrame

    def scores(self, names: list[str]) -> list[dict[str, object]]:
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
            f"{days} days of history are too short to choose at an earlier origin and keep a {ahead}-day holdout; pass a "
            "shorter horizon."
        )
    before = [holdout - timedelta(days=short * k) for k in range(_ORIGINS, 0, -1)]
    return [*((origin, short) for origin in before if (origin - first).days >= short), (holdout, ahead)]


def _last_window(windows: list[_Window]) -> str:
    return f"{windows[-1].horizon} days after {windows[-1].origin}"


def _predictions(
    tried: Mapping[str, Candidate], failed: dict[str, str], log: Transactions, by: By, origin: date, ahead: int
) -> _Window:
    """What candidates make of an origin; the outcome joins the table after the last of them has spoken."""
    known = known_at(log, origin)
    spend = _spend(known) if by == "value" else pd.Series(1.0, index=known.index)
    expected, purchases = {}, {}
    for name, model in tried.items():
        try:
            expected[name], purchases[name] = _expected(_fitted(model, known), known, ahead, spend, by)
        except (ModelError, ContractError) as error:
            failed[name] = f"{origin}: {error}"
    after = known[["customer_id"]].merge(holdout_summary(log, origin, origin + timedelta(days=ahead)), on="customer_id")
    for name, counts in purchases.items():
        warn_if_implausible(after["holdout_purchases"], counts, name)
    actual = after["holdout_spend" if by == "value" else "holdout_purchases"]
    return _Window(origin, ahead, known["customer_id"], actual, pd.DataFrame(expected, index=known.index))


def _expected(
    model: Candidate, known: pd.DataFrame, ahead: int, spend: pd.Series[float], by: By
) -> tuple[pd.Series[float], pd.Series[float]]:
    """What is compared, and purchases."""
    purchases = model.expected_purchases(known, ahead)
    if by == "value" and hasattr(model, "expected_spend"):
        return model.expected_spend(known, ahead), purchases
    return purchases * spend, purchases


def _spend(known: pd.DataFrame) -> pd.Series[float]:
    """What each purchase is expected to bring."""
    model: GammaGamma = _fitted(GammaGamma(), known)
    return model.expected_value(known)


def _fitted(model: M, customers: pd.DataFrame) -> M:
    """A fitted copy; that a prior was used at an earlier origin is no news here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrmkitWarning)
        fitted: M = clone(model).fit(customers)
        return fitted


def _scores_of(windows: list[_Window], names: list[str]) -> pd.DataFrame:
    last = len(windows) - 1
    rows = [
        {"role": "holdout" if place == last else "choice", **row}
        for place, window in enumerate(windows)
        for row in window.scores(names)
    ]
    return pd.DataFrame(rows)


def _scores(actual: pd.Series[float], expected: pd.Series[float]) -> dict[str, float]:
    error, total = expected - actual, float(actual.sum())
    rmse, zero = float(np.sqrt((error**2).mean())), float(np.sqrt((actual.astype(float) ** 2).mean()))
    varies = actual.nunique() > 1 and expected.nunique() > 1
    best = metrics.lift_at(actual.clip(lower=0), actual, 0.1) if total > 0 else np.nan
    return {
        "n": len(actual),
        "rmse_ratio": rmse / zero if zero else np.nan,
        "rmse": rmse,
        "mae": float(error.abs().mean()),
        "correlation": metrics.correlation(actual, expected) if varies else np.nan,
        "bias_of_total": metrics.bias_of_total(actual, expected) if total else np.nan,
        "capture": metrics.lift_at(actual.clip(lower=0), expected, 0.1) / best if best else np.nan,
    }


def _means(scores: pd.DataFrame) -> pd.DataFrame:
    measures = ["rmse_ratio", "rmse", "mae", "correlation", "bias_of_total", "capture"]
    means = scores.groupby("candidate", sort=False)[measures].mean()
    return means.sort_values("rmse_ratio", kind="stable", key=lambda ratios: ratios.round(_TIED))


def _difference(windows: list[_Window], one: str, other: str) -> Interval:
    rows = pd.concat(
        [
            pd.DataFrame(
                {
                    "one": (window.expected[one] - window.actual) ** 2,
                    "other": (window.expected[other] - window.actual) ** 2,
                    "origin": window.origin,
                    "customer_id": window.customer_id,
                }
            )
            for window in windows
        ]
    )
    return metrics.loss_difference(rows["one"], rows["other"], rows["origin"], rows["customer_id"], root=True)


def _why(table: pd.DataFrame, windows: list[_Window], difference: Interval | None, by: By) -> str:
    best, second = table.iloc[0], table.iloc[1] if len(table) > 1 else table.iloc[0]
    days = ", ".join(str(window.origin) for window in windows)
    chance = ""
    if difference:
        within = difference.low <= 0 <= difference.high
        chance = f" The difference is {in_words(difference, 3)}{', within chance' if within else ''}."
    return (
        f"{best.name} is chosen: at {len(windows)} earlier origin{'s' * (len(windows) > 1)} ({days}; {windows[0].horizon} days "
        f"ahead) its root mean squared error of {_UNITS[by]} was {best['rmse_ratio']:.3f} of that of predicting 0, the next "
        f"best ({second.name}) {second['rmse_ratio']:.3f}.{chance}"
    )
