"""The backtest of churn: the model and two baselines at past origins, every score, and how sure each is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TypedDict

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from crmkit._types import Floats, Ints
from crmkit.churn.displays import GainsDisplay, churn_gains
from crmkit.churn.model import ChurnModel
from crmkit.churn.scores import ChurnScores
from crmkit.evaluation import metrics
from crmkit.evaluation.backtest import Backtest, backtest_of
from crmkit.evaluation.displays import reliability_of
from crmkit.evaluation.metrics.money import expected_maximum_profit, value_captured
from crmkit.ingest.tables import ServiceRecords
from crmkit.models.bgnbd import BGNBD
from crmkit.summaries.snapshots import Snapshots, snapshots
from crmkit.transactions.log import Transactions

__all__ = ["CHURN_MODELS", "ChurnBacktest", "churn_difference", "churn_intervals", "churn_predictions", "churn_scores"]


class Campaign(TypedDict, total=False):
    """What a retention campaign costs and brings."""

    clv: float
    incentive: float
    contact: float
    accept: tuple[float, float]


CHURN_MODELS = ("churn model", "BG/NBD", "recency only")
MOST = 20_000


def churn_predictions(
    model: ChurnModel, log: Transactions, origins: Sequence[date], service: ServiceRecords | None = None
) -> pd.DataFrame:
    """What each model predicted at past origins, and what happened.

    Returns
    -------
    DataFrame
        origin, customer_id; churned, 1.0 where nothing was bought within the horizon; value, the money expected of the
        customer given that they come; spent, what they did spend; and P(no purchase) by each of ``CHURN_MODELS``, in a column of its name.
    """
    with snapshots(log) as shop:
        return pd.concat([_predictions_at(model, shop, origin, service) for origin in origins], ignore_index=True)


def _predictions_at(model: ChurnModel, shop: Snapshots, origin: date, service: ServiceRecords | None) -> pd.DataFrame:
    state, horizon = shop.state(origin), model.horizon
    scores = ChurnScores(clone(model).fit_snapshots(shop, origin, service), state, origin, service)
    predicted = (
        scores.p,
        BGNBD().fit(state).probability_no_purchase(state, horizon).to_numpy(),
        _recency_only(shop, state, origin, horizon),
    )
    after = shop.after(origin, horizon).set_index("customer_id").reindex(state["customer_id"], fill_value=0)
    known = {
        "churned": (after["purchases"] == 0).to_numpy(dtype=np.float64),
        "value": scores.value_if_coming.to_numpy(),
        "spent": after["spend"].to_numpy(dtype=np.float64),
    }
    return state[["customer_id"]].assign(origin=origin, **known, **dict(zip(CHURN_MODELS, predicted, strict=True)))


def _recency_only(shop: Snapshots, state: pd.DataFrame, origin: date, horizon: int) -> Floats:
    """A logistic curve on log(1 + days since the last purchase), learned a horizon earlier."""
    earlier = origin - timedelta(days=horizon)
    past = shop.state(earlier)
    churned = shop.labels(past, earlier, horizon)
    if len(np.unique(churned)) < 2:
        return np.full(len(state), metrics.jeffreys_share(churned))
    curve = LogisticRegression().fit(np.log1p(past[["days_since_last"]].to_numpy(dtype=np.float64)), churned)
    p: Floats = curve.predict_proba(np.log1p(state[["days_since_last"]].to_numpy(dtype=np.float64)))[:, 1]
    return p


def churn_scores(y: ArrayLike, p: ArrayLike, value: ArrayLike, campaign: Campaign) -> dict[str, float]:
    """The scores of `probability_scores`, and in money: the lapsing value in the best decile by p × value, as a multiple of
    a random decile's, and the expected maximum profit of a campaign per customer.

    Parameters
    ----------
    y, p, value : array (n,)
        1 for a customer who churned, P(churn), and the money expected of them if they stay.
    campaign : mapping
        clv, incentive, contact, accept of `expected_maximum_profit`; its own where one is not given.

    Examples
    --------
    >>> scores = churn_scores([1, 0, 0, 1], [0.9, 0.1, 0.2, 0.8], [1.0, 1, 1, 3], {"contact": 0.0})
    >>> scores["auc"], round(scores["value_captured"], 2), round(scores["empc"], 6)
    (1.0, 3.0, 28.5)
    """
    y, p, value = (np.asarray(column, dtype=np.float64) for column in (y, p, value))
    captured, profit = np.nan, np.nan
    if y @ value > 0:
        captured = value_captured(y, value, p * value)
    if 0 < y.mean() < 1:
        profit = expected_maximum_profit(y, p, **campaign).profit
    return metrics.probability_scores(y, p) | {"value_captured": captured, "empc": profit}


def churn_difference(predictions: pd.DataFrame, rival: str, n: int = 200, seed: int = 0) -> metrics.Interval:
    """Log-loss of the churn model less a baseline's, mean over the origins, with the interval of `churn_intervals`."""
    y, model, other = (predictions[name].to_numpy() for name in ("churned", CHURN_MODELS[0], rival))
    less, origin = metrics.row_losses(y, model) - metrics.row_losses(y, other), pd.factorize(predictions["origin"])[0]

    def mean_of(rows: Ints | slice) -> float:
        sums, count = np.bincount(origin[rows], less[rows]), np.bincount(origin[rows])
        return float((sums[count > 0] / count[count > 0]).mean())

    rows = _rows_of_some(predictions, seed)
    draws = metrics.bootstrap_draws(
        lambda drawn: mean_of(rows[drawn]), len(rows), predictions["customer_id"].to_numpy()[rows], n, seed
    )
    low, high = np.quantile(draws, [0.025, 0.975])
    return metrics.Interval(mean_of(slice(None)), float(low), float(high))


def churn_intervals(
    predictions: pd.DataFrame, campaign: Campaign, n: int = 200, seed: int = 0, level: float = 0.95
) -> pd.DataFrame:
    """Every score's mean over the origins, and the model's difference to each baseline, with percentile intervals.

    Customers are drawn with replacement, with their rows at all origins, and all models are scored on the same draws: what
    makes a draw easy for all cancels in the differences. Of more than 20,000 customers so many are drawn from, which makes
    the intervals wider than they need be. The calibration error is positive by chance, and more so in a draw: its draws are
    moved to have the mean that was observed.

    Returns
    -------
    DataFrame
        model, score; estimate, low, high; difference (the churn model's less this baseline's), difference_low and
        difference_high, missing for the churn model itself.
    """
    statistic, names = _mean_scores(predictions, campaign)
    estimate = statistic(slice(None))
    rows = _rows_of_some(predictions, seed)
    whose = predictions["customer_id"].to_numpy()[rows]
    draws = metrics.bootstrap_draws(lambda drawn: statistic(rows[drawn]), len(rows), whose, n, seed)
    chance = names.index("ece")
    moved = draws[..., chance] + estimate[:, chance] - draws[..., chance].mean(axis=0)
    draws[..., chance] = np.maximum(moved, 0.0)
    parts = []
    for place, model in enumerate(CHURN_MODELS):
        own = _columns("", estimate[place], draws[:, place], level)
        less = _columns("difference_", estimate[0] - estimate[place], draws[:, 0] - draws[:, place], level)
        parts.append(pd.DataFrame({"model": model, "score": names, **own} | (less if place else {})))
    return pd.concat(parts, ignore_index=True)


def _mean_scores(predictions: pd.DataFrame, campaign: Campaign) -> tuple[Callable[[Ints | slice], Floats], list[str]]:
    """Scores of some rows, mean over the origins, shape (models, scores); and the scores' names."""
    origin = pd.factorize(predictions["origin"])[0]
    y, value, *predicted = (predictions[name].to_numpy() for name in ("churned", "value", *CHURN_MODELS))
    names = [name for name in churn_scores(y, predicted[0], value, campaign) if name not in ("n", "base_rate")]

    def statistic(rows: Ints | slice) -> Floats:
        place = np.arange(len(predictions))[rows]
        parts = [place[origin[place] == code] for code in np.unique(origin)]
        scores = [[churn_scores(y[part], p[part], value[part], campaign) for p in predicted] for part in parts]
        table = np.array([[[own[name] for name in names] for own in models] for models in scores], dtype=np.float64)
        return np.asarray(table.mean(axis=0))

    return statistic, names


def _rows_of_some(predictions: pd.DataFrame, seed: int) -> Ints:
    code, whose = pd.factorize(predictions["customer_id"])
    if len(whose) <= MOST:
        return np.arange(len(predictions))
    some = np.random.default_rng(seed).choice(len(whose), MOST, replace=False)
    return np.flatnonzero(np.isin(code, some))


def _columns(prefix: str, estimate: Floats, draws: Floats, level: float) -> dict[str, Floats]:
    low, high = pd.DataFrame(draws).quantile([(1 - level) / 2, (1 + level) / 2]).to_numpy()
    return {prefix.rstrip("_") or "estimate": estimate, f"{prefix}low": low, f"{prefix}high": high}


@dataclass(frozen=True, kw_only=True)
class ChurnBacktest(Backtest):
    """A backtest of churn: of the model, of BG/NBD and of recency alone.

    ``scores`` has log_loss, brier, auc, pr_auc, ece (expected calibration error), top_decile_lift, value_captured (lapsing
    value in the best decile by P(churn) × value, as a multiple of a random decile's) and empc (expected maximum profit per
    customer of a campaign). ``display`` is the reliability curve.

    Attributes
    ----------
    gains : GainsDisplay
        Share of the churned value in the top of each list, ranked by P(churn) × value; all origins together.
    difference : Interval
        log_loss of the model less that of the better baseline, with a bootstrap interval by customer.
    predictions : DataFrame
        origin, customer_id, churned (what happened), value (money expected given that they come), spent, and P(no purchase) by each model.
    campaign : mapping
        What empc rests on.
    """

    gains: GainsDisplay = field(repr=False)
    difference: metrics.Interval
    predictions: pd.DataFrame = field(repr=False)
    campaign: Campaign

    def intervals(self, n: int = 200, seed: int = 0, level: float = 0.95) -> pd.DataFrame:
        """Every score, and the model's difference to each baseline, with bootstrap intervals by customer.

        Returns
        -------
        DataFrame
            model, score, estimate, low, high, difference (the churn model's less this baseline's), difference_low,
            difference_high.
        """
        return churn_intervals(self.predictions, self.campaign, n, seed, level)

    @property
    def value_ratio(self) -> pd.Series[float]:
        """At each origin, the value that was expected of those who came, given that they come, over what they spent.

        What churners would have spent is never seen; this is what value_at_risk takes it for, measured where it is seen.
        Missing where those who came spent nothing.
        """
        came = self.predictions[self.predictions["churned"] == 0]
        sums = came.groupby("origin")[["value", "spent"]].sum()
        ratio: pd.Series[float] = (sums["value"] / sums["spent"].where(sums["spent"] > 0)).rename("value_ratio")
        return ratio


@backtest_of.register
def _churn(
    model: ChurnModel,
    log: Transactions,
    origins: list[date],
    ahead: int,
    service: ServiceRecords | None = None,
    campaign: Campaign | None = None,
) -> ChurnBacktest:
    campaign = campaign or {}
    predictions = churn_predictions(clone(model).set_params(horizon=ahead), log, origins, service)
    rows = [
        {"origin": origin, "model": name, **churn_scores(known["churned"], known[name], known["value"], campaign)}
        for origin, known in predictions.groupby("origin")
        for name in CHURN_MODELS
    ]
    scores = pd.DataFrame(rows)
    rival = str(scores.groupby("model")["log_loss"].mean()[list(CHURN_MODELS[1:])].idxmin())
    at_stake = {name: predictions[name] * predictions["value"] for name in CHURN_MODELS}
    return ChurnBacktest(
        "Churn",
        ahead,
        scores,
        reliability_of(predictions, "churned", list(CHURN_MODELS)),
        "log_loss",
        gains=churn_gains(predictions["churned"], at_stake, predictions["value"]),
        difference=churn_difference(predictions, rival),
        predictions=predictions,
        campaign=campaign,
    )
