"""How far can the numbers be trusted? Each model fitted at past days, and held against what happened then.

``backtest`` takes the model that is about to be used, fits a fresh copy of it on what was known at the close of each
origin, and scores its answers on the days after, beside a baseline that needs no model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import singledispatch
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from crmkit import scoring, timing_baselines
from crmkit.churn import ChurnModel
from crmkit.churn_backtest import CHURN_MODELS, churn_answers, churn_difference, churn_intervals, churn_scores
from crmkit.churn_displays import GainsDisplay, churn_gains
from crmkit.displays import Display, FrequencyDisplay, reliability
from crmkit.exceptions import LeakError, ModelError
from crmkit.features import item_bought, item_panel, item_state
from crmkit.models.lifetime_value import CustomerLifetimeValue
from crmkit.summaries import btyd_summary, holdout_summary, rfm_table
from crmkit.tables import ServiceRecords
from crmkit.timing import NextPurchase
from crmkit.transactions import Transactions, as_day

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Backtest", "ChurnBacktest", "backtest"]

Campaign = Mapping[str, Any]

_WORDS = {"mae_value": "mean absolute error of the money spent", "log_loss": "log-loss"}
_REGULAR = 3
_LIST = 10
_OFTEN = 30
_ORIGINS = 3


@dataclass(frozen=True)
class Backtest:
    """How a model and its baseline did at past origins; prints as a sentence and a table.

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
    main : str
        The score that decides; smaller is better.
    scope : str
        What is scored, where that is not everything that is predicted.
    """

    subject: str
    horizon: int
    scores: pd.DataFrame = field(repr=False)
    display: Display = field(repr=False)
    main: str
    scope: str = ""

    @property
    def mean(self) -> pd.DataFrame:
        """Mean of every score over the origins, one row a model; the model itself comes first."""
        order = self.scores["model"].unique()
        return self.scores.drop(columns=["origin"]).groupby("model").mean().loc[order]

    @property
    def verdict(self) -> str:
        """One sentence: the model's figure, the best baseline's, and which is better (smaller is better)."""
        mean, n = self.mean[self.main], self.scores["origin"].nunique()
        model, rival = str(mean.index[0]), str(mean.iloc[1:].idxmin())
        won = self._wins(model, rival)
        better = "beats" if mean[model] < mean[rival] else "does not beat"
        return (
            f"{self.subject}{self.scope}, {self.horizon} days ahead: {model} {better} {rival} ({_WORDS[self.main]} "
            f"{mean[model]:.3f} against {mean[rival]:.3f}; better at {won} of {n} past days)."
        )

    def _wins(self, model: str, rival: str) -> int:
        wide = self.scores.pivot_table(index="origin", columns="model", values=self.main)
        return int((wide[model] < wide[rival]).sum())

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw ``display``."""
        return self.display.plot(ax)

    def __str__(self) -> str:
        return f"{self.verdict}\n{self.mean.round(3).to_string()}"


@dataclass(frozen=True, kw_only=True)
class ChurnBacktest(Backtest):
    """A backtest of churn: of the model, of BG/NBD and of recency alone.

    ``scores`` has log_loss, brier, auc, pr_auc, ece (expected calibration error), top_decile_lift, value_captured (lapsing
    value in the best decile by P(churn) × value, as a multiple of a random decile's) and empc (expected maximum profit per
    customer of a campaign). ``display`` is the reliability curve.

    Attributes
    ----------
    gains : GainsDisplay
        Lapsing value that the best part of each list holds, ranked by P(churn) × value; all origins together.
    difference : Interval
        log_loss of the model less that of the better baseline, with a bootstrap interval by customer.
    answers : DataFrame
        origin, customer_id, silent (what happened), value (money expected if active), and P(silent) by each model.
    campaign : mapping
        What empc rests on.
    """

    gains: GainsDisplay = field(repr=False)
    difference: scoring.Interval
    answers: pd.DataFrame = field(repr=False)
    campaign: Campaign

    def intervals(self, n: int = 200, seed: int = 0, level: float = 0.95) -> pd.DataFrame:
        """Every score, and the model's difference to each baseline, with bootstrap intervals by customer.

        Returns
        -------
        DataFrame
            model, score, estimate, low, high, difference (the churn model's less this baseline's), difference_low,
            difference_high.
        """
        return churn_intervals(self.answers, self.campaign, n, seed, level)

    @property
    def verdict(self) -> str:
        """The sentence of every backtest, and how sure the difference is."""
        less, low, high = self.difference
        sure = "" if low > 0 or high < 0 else ", which may be chance"
        return f"{super().verdict} The difference is {less:.4f} (95% interval {low:.4f} to {high:.4f}){sure}."


def backtest(
    model: CustomerLifetimeValue | ChurnModel | NextPurchase,
    log: Transactions,
    split: str | date | Sequence[str | date] | None = None,
    horizon: int | None = None,
    service: ServiceRecords | None = None,
    campaign: Campaign | None = None,
) -> Backtest:
    """Hold a model against what happened after past days.

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
    service : ServiceRecords, optional
        Of churn: complaints and answers, known from the day on which they were recorded.
    campaign : mapping, optional
        Of churn: what a retention campaign costs and brings at your firm, for the expected maximum profit: clv, incentive,
        contact, accept, as in `expected_maximum_profit`; by default those of its paper.

    Returns
    -------
    Backtest
        Of churn a `ChurnBacktest`, with intervals and a gains chart.

    Raises
    ------
    LeakError
        The days after an origin have not all been observed, or there is too little history before it.

    Examples
    --------
    >>> from crmkit.testing import generated_log
    >>> check = backtest(ChurnModel(horizon=30), generated_log(n_customers=400))
    >>> check.scores["origin"].nunique(), check.mean.index[0]
    (3, 'churn model')
    """
    if not isinstance(model, ChurnModel) and (service is not None or campaign is not None):
        raise ModelError(f"Service records and campaigns are for a ChurnModel, not for a {type(model).__name__}.")
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
    return _backtest(model, log, origins, ahead, service, campaign or {})


def _default_horizon(model: object, log: Transactions, origins: list[date]) -> int:
    if isinstance(model, ChurnModel):
        return model.horizon
    if isinstance(model, NextPurchase):
        return 14
    if origins:
        return max(1, (log.until - origins[-1]).days)
    return max(1, (log.until - opened_on(log)).days // 4)


def _default_origins(log: Transactions, ahead: int) -> list[date]:
    first = opened_on(log) + timedelta(days=2 * ahead)
    origins = [log.until - timedelta(days=ahead * k) for k in range(_ORIGINS, 0, -1)]
    enough = [origin for origin in origins if origin >= first]
    if not enough:
        days = (log.until - opened_on(log)).days + 1
        raise LeakError(f"{days} days of history are too few to look {ahead} days ahead from a past day; give a split.")
    return enough


def opened_on(log: Transactions) -> date:
    """Day of the first purchase in the log; `ModelError` where there is none."""
    first = log.first_day()
    if first is None:
        raise ModelError("The log holds no purchase.")
    return date(1970, 1, 1) + timedelta(days=first)


@singledispatch
def _backtest(
    model: object,
    log: Transactions,
    origins: list[date],
    ahead: int,
    service: ServiceRecords | None,
    campaign: Campaign,
) -> Backtest:
    raise ModelError(f"There is no backtest for a {type(model).__name__}.")


# -- Lifetime value --------------------------------------------------------------------------------------------------


@_backtest.register
def _lifetime_value(
    model: CustomerLifetimeValue, log: Transactions, origins: list[date], ahead: int, *_: object
) -> Backtest:
    name = type(model.purchases).__name__.replace("BGNBD", "BG/NBD")
    rows, known = [], pd.DataFrame()
    for origin in origins:
        known = _lifetime_value_at(model, log, origin, ahead)
        for label, who in ((name, "model"), ("own past rate", "past")):
            rows.append({"origin": origin, "model": label, **_value_scores(known, who)})
    return Backtest("Lifetime value", ahead, pd.DataFrame(rows), _by_frequency(known, name), "mae_value")


def _lifetime_value_at(model: CustomerLifetimeValue, log: Transactions, origin: date, ahead: int) -> pd.DataFrame:
    known = btyd_summary(log, origin)
    fitted = clone(model).set_params(horizon=ahead, annual_discount=0.0, margin=1.0).fit(known)
    known["model_purchases"] = fitted.purchases_.expected_purchases(known, ahead)
    known["model_value"] = fitted.predict(known)
    spent = rfm_table(log, origin).set_index("customer_id")
    bought, days = known["frequency"] + 1, known["T"] + 1
    known["past_purchases"] = bought / days.clip(lower=ahead) * ahead
    known["past_value"] = known["customer_id"].map(spent["total_spend"]) / days.clip(lower=ahead) * ahead
    return known.merge(holdout_summary(log, origin, origin + timedelta(days=ahead)), on="customer_id")


def _value_scores(known: pd.DataFrame, who: str) -> dict[str, float]:
    actual, value = known["holdout_spend"], known[f"{who}_value"]
    purchases, bought = known[f"{who}_purchases"], known["holdout_purchases"]
    top = value.rank(method="first", ascending=False) <= max(1, len(value) // 10)
    return {
        "n": len(known),
        "mae_value": scoring.mean_absolute_error(actual, value),
        "rmse_value": float(np.sqrt(((value - actual) ** 2).mean())),
        "correlation_value": _correlation(actual, value),
        "bias_of_total_value": scoring.bias_of_total(actual, value) if actual.sum() else np.nan,
        "mae_purchases": scoring.mean_absolute_error(bought, purchases),
        "rmse_purchases": float(np.sqrt(((purchases - bought) ** 2).mean())),
        "correlation_purchases": _correlation(bought, purchases),
        "top_decile_share_of_value": float(actual[top].sum() / actual.sum()) if actual.sum() else np.nan,
    }


def _correlation(actual: pd.Series[float], predicted: pd.Series[float]) -> float:
    """Pearson's correlation, missing where either side is constant."""
    varies = actual.nunique() > 1 and predicted.nunique() > 1
    return scoring.correlation(actual, predicted) if varies else np.nan


def _by_frequency(known: pd.DataFrame, name: str) -> FrequencyDisplay:
    """Mean purchases after the newest origin, for at most eight groups of about equal size by purchases before it."""
    edges = np.unique(np.quantile(known["frequency"], np.linspace(0, 1, 9), method="inverted_cdf"))
    group = np.searchsorted(edges, known["frequency"], side="left")
    labels = [
        f"{low}" if low == edge else f"{low}–{edge}" for low, edge in zip(_lows(edges), map(int, edges), strict=True)
    ]
    table = known.groupby(group).agg(
        customers=("frequency", "size"),
        actual=("holdout_purchases", "mean"),
        model=("model_purchases", "mean"),
        past=("past_purchases", "mean"),
    )
    table.insert(0, "frequency", [labels[place] for place in table.index])
    return FrequencyDisplay(table.rename(columns={"model": name, "past": "own past rate"}).reset_index(drop=True))


def _lows(edges: Any) -> list[int]:
    return [int(edges[0]), *(int(edge) + 1 for edge in edges[:-1])]


# -- Churn -----------------------------------------------------------------------------------------------------------


@_backtest.register
def _churn(
    model: ChurnModel,
    log: Transactions,
    origins: list[date],
    ahead: int,
    service: ServiceRecords | None,
    campaign: Campaign,
) -> ChurnBacktest:
    answers = churn_answers(clone(model).set_params(horizon=ahead), log, origins, service)
    rows = [
        {"origin": origin, "model": name, **churn_scores(known["silent"], known[name], known["value"], campaign)}
        for origin, known in answers.groupby("origin")
        for name in CHURN_MODELS
    ]
    scores = pd.DataFrame(rows)
    rival = str(scores.groupby("model")["log_loss"].mean()[list(CHURN_MODELS[1:])].idxmin())
    at_stake = {name: answers[name] * answers["value"] for name in CHURN_MODELS}
    return ChurnBacktest(
        "Churn",
        ahead,
        scores,
        _curves(answers, "silent", list(CHURN_MODELS)),
        "log_loss",
        gains=churn_gains(answers["silent"], at_stake, answers["value"]),
        difference=churn_difference(answers, rival),
        answers=answers,
        campaign=campaign,
    )


def _curves(answers: pd.DataFrame, y: str, models: list[str]) -> Display:
    curves: Mapping[str, Any] = {name: scoring.reliability_table(answers[y], answers[name]) for name in models}
    return reliability(curves)


# -- Next purchase ---------------------------------------------------------------------------------------------------


@_backtest.register
def _next_purchase(model: NextPurchase, log: Transactions, origins: list[date], ahead: int, *_: object) -> Backtest:
    rows, answers = [], []
    item = model.item.removesuffix("_id")
    for origin in origins:
        due = clone(model).fit(log, origin).predict(log, origin, ahead)
        due = due.rename(columns={model.item: "item", "p_purchase": _HAZARD})[["customer_id", "item", _HAZARD]]
        known = _rivals(model, log, origin, ahead, f"{item} base rate").merge(due, on=["customer_id", "item"])
        known = _with_bought(known, log, model.item, origin, ahead)
        if not len(known):
            raise ModelError(f"No customer has bought any {item} on {_REGULAR} days by {origin}: nothing to score.")
        names = [_HAZARD, f"{item} base rate", *_RIVALS, _FREQUENT]
        for name in names:
            scores = scoring.probability_scores(known["bought"], known[name])
            rows.append({"origin": origin, "model": name, **scores, **_list_scores(known, name)})
        answers.append(known)
    return Backtest(
        "Next purchase",
        ahead,
        pd.DataFrame(rows),
        _curves(pd.concat(answers), "bought", names[:2]),
        "log_loss",
        scope=f" (of what a member bought on {_REGULAR} days or more)",
    )


_HAZARD = "weekly hazard"
_FREQUENT = "own frequency (P-TopFreq)"
_RIVALS: Mapping[str, Callable[[pd.DataFrame, int], Any]] = {
    "own mean interval": timing_baselines.own_interval,
    "Poisson-Gamma": timing_baselines.poisson_gamma,
    "MPG": timing_baselines.amazon_mpg,
}


def _rivals(model: NextPurchase, log: Transactions, origin: date, ahead: int, base_rate: str) -> pd.DataFrame:
    """What each rule that needs no model says of the regular pairs at an origin, from what was known then."""
    state = item_state(log, model.item, origin, model.exclude)
    (past,) = item_panel(log, model.item, origin, [ahead], model.exclude)
    regular, learned = (table[table["frequency"] >= _REGULAR - 1] for table in (state, past))
    said = {name: pd.Series(rule(state, ahead), index=state.index) for name, rule in _RIVALS.items()}
    return (
        regular[["customer_id", "item"]]
        .assign(**{name: said[name] for name in said})
        .assign(**{base_rate: timing_baselines.base_rate(regular, ahead, learned)})
        .assign(**{_FREQUENT: _by_frequency_of_purchase(regular, learned, ahead)})
    )


def _by_frequency_of_purchase(state: pd.DataFrame, past: pd.DataFrame, ahead: int) -> Any:
    """The ranking of P-TopFreq as a probability: the share bought a horizon before, among pairs bought as often."""
    often, before = (timing_baselines.p_topfreq(table).clip(max=_OFTEN) for table in (state, past))
    rates = (past["wait"] <= ahead).groupby(before).agg(["sum", "size"])
    overall = scoring.jeffreys_share(past["wait"] <= ahead)
    share = (rates["sum"] + overall) / (rates["size"] + 1)
    return pd.Series(often, index=state.index).map(share).fillna(overall)


def _with_bought(pairs: pd.DataFrame, log: Transactions, by: str, origin: date, ahead: int) -> pd.DataFrame:
    bought = item_bought(log, by, origin, ahead).assign(bought=1.0)
    return pairs.merge(bought, how="left", on=["customer_id", "item"]).fillna({"bought": 0.0})


def _list_scores(due: pd.DataFrame, name: str) -> dict[str, float]:
    if not due["bought"].any():
        return {f"recall@{_LIST}": np.nan, f"precision@{_LIST}": np.nan}
    arguments = (due["customer_id"], due["bought"], due[name], _LIST)
    return {
        f"recall@{_LIST}": scoring.recall_at_k(*arguments),
        f"precision@{_LIST}": scoring.precision_at_k(*arguments),
    }
