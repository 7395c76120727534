"""Lifetime value at past origins: a model, the rules that need none, and how sure the difference is."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import pandas as pd
from sklearn.base import clone

from crmkit._days import as_day
from crmkit._types import Floats, Interval
from crmkit.evaluation import metrics
from crmkit.evaluation.backtest import Backtest, backtest_of, in_words, opened_on
from crmkit.evaluation.baselines import RULES
from crmkit.evaluation.displays import FrequencyDisplay
from crmkit.exceptions import CrmkitWarning, ModelError
from crmkit.models.cohort_value import PastTotals
from crmkit.models.lifetime_value import CustomerLifetimeValue
from crmkit.summaries.customers import btyd_summary, holdout_summary, recent_spend
from crmkit.transactions.log import Transactions

__all__ = ["ValueBacktest", "known_at", "past_totals", "value_scores", "warn_if_implausible"]

OFTEN = 30
SAME = "the same for all"
_IMPLAUSIBLE, _ENOUGH = 0.1, 100


@dataclass(frozen=True, kw_only=True)
class ValueBacktest(Backtest):
    """A backtest of lifetime value: of the model, and of rules that need none.

    ``scores`` has rmse_value, which decides, mae_value, correlation_value, bias_of_total_value (the predicted total over
    what was spent, less 1), rmse_purchases, mae_purchases, correlation_purchases and top_decile_share_of_value. The rules:
    predict zero; own rate (frequency / T, times the mean spend of repeat purchases); the same for whoever bought in the last
    91 days, 0 for the others; the recent rate, in which spend of age a counts exp(-a / 60 days); and the model's own total
    shared equally, which is what a model is worth that cannot tell customers apart.

    Attributes
    ----------
    difference, difference_mae : Interval
        Root mean squared error, and mean absolute error, of the model less that of the rule with the smallest rmse_value.
    predictions : DataFrame
        origin, customer_id, spent and bought (what happened), and the money predicted by each.
    """

    difference_mae: Interval
    predictions: pd.DataFrame = field(repr=False)

    @property
    def verdict(self) -> str:
        """The sentence of every backtest, and the same in mean absolute errors."""
        mean, rival = self.mean["mae_value"], self.rival
        return (
            f"{super().verdict} Mean absolute error {mean.iloc[0]:.2f} against {mean[rival]:.2f}, difference "
            f"{in_words(self.difference_mae, 2)}."
        )


@backtest_of.register
def _lifetime_value(model: CustomerLifetimeValue, log: Transactions, origins: list[date], ahead: int) -> ValueBacktest:
    name, tables = model.purchases.label, [_predictions_at(model, log, origin, ahead) for origin in origins]
    names = [name, *RULES, SAME]
    rows = [
        {"origin": origin, "model": who, **value_scores(table, table[who], table[f"{who} purchases"])}
        for origin, table in zip(origins, tables, strict=True)
        for who in names
    ]
    scores, predictions = pd.DataFrame(rows), pd.concat(tables, ignore_index=True)
    warn_if_implausible(predictions["bought"], predictions[f"{name} purchases"], name)
    rival = str(scores.groupby("model")["rmse_value"].mean()[names[1:]].idxmin())
    return ValueBacktest(
        "Lifetime value",
        ahead,
        scores,
        _by_frequency(tables[-1], name),
        "rmse_value",
        difference=_difference(predictions, name, rival, root=True),
        difference_mae=_difference(predictions, name, rival, root=False),
        predictions=predictions[["origin", "customer_id", "spent", "bought", *names]],
    )


def past_totals(
    model: CustomerLifetimeValue, log: Transactions, as_of: str | date | None = None, most: int = 6
) -> PastTotals:
    """What a model would have forecast in total at past origins, and what came: for ``model.cohort(…, past=)``.

    Parameters
    ----------
    model : CustomerLifetimeValue
        A fresh copy is fitted at every origin; the one given is not changed and need not be fitted.
    log : Transactions
    as_of : date, optional
        Nothing after the close of this day is looked at; default: the log's ``until``.
    most : int, default 6
        How many origins at most.

    Returns
    -------
    PastTotals
        Of windows that follow each other without overlap and end at ``as_of``, as long as the model's horizon, or a third
        of the history where that is shorter; each starts from at least as many days of history. Empty for a log too short.

    Examples
    --------
    >>> from crmkit.models import BGNBD, GammaGamma
    >>> from crmkit.testing import generated_log
    >>> past_totals(CustomerLifetimeValue(BGNBD(), GammaGamma(), horizon=365), generated_log(n_customers=400)).horizon
    121
    """
    close, first = as_day(log.until if as_of is None else as_of), opened_on(log)
    ahead = int(min(model.horizon, max(1, (close - first).days // 3)))
    origins = [close - timedelta(days=ahead * k) for k in range(1, most + 1)]
    pairs = [_totals_at(model, log, origin, ahead) for origin in origins if (origin - first).days >= ahead]
    valid = [pair for pair in pairs if pair and min(pair) > 0]
    predicted, actual = zip(*valid, strict=True) if valid else ((), ())
    return PastTotals(predicted, actual, ahead)


def _totals_at(model: CustomerLifetimeValue, log: Transactions, origin: date, ahead: int) -> tuple[float, float] | None:
    known = btyd_summary(log, origin)
    try:
        fitted = _quietly(model, ahead, known)
    except ModelError:
        return None
    after = holdout_summary(log, origin, origin + timedelta(days=ahead))
    return float(fitted.predict(known).sum()), float(after["holdout_spend"].sum())


def _quietly(model: CustomerLifetimeValue, ahead: int, known: pd.DataFrame) -> CustomerLifetimeValue:
    """A copy fitted to the money of so many days; that a prior was used at an earlier origin is no news here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrmkitWarning)
        fitted: CustomerLifetimeValue = (
            clone(model).set_params(horizon=ahead, annual_discount=0.0, margin=1.0).fit(known)
        )
    return fitted


def known_at(log: Transactions, origin: date) -> pd.DataFrame:
    """All that a candidate may know at an origin: `btyd_summary` and `recent_spend`, and nothing of what came after."""
    return btyd_summary(log, origin).merge(recent_spend(log, origin), on="customer_id")


def _predictions_at(model: CustomerLifetimeValue, log: Transactions, origin: date, ahead: int) -> pd.DataFrame:
    known, name = known_at(log, origin), model.purchases.label
    fitted = clone(model).set_params(horizon=ahead, annual_discount=0.0, margin=1.0).fit(known)
    table = known[["customer_id", "frequency"]].assign(
        **{name: fitted.predict(known), f"{name} purchases": fitted.purchases_.expected_purchases(known, ahead)}
    )
    for rule, what in RULES.items():
        table[rule], table[f"{rule} purchases"] = (
            what.expected_spend(known, ahead),
            what.expected_purchases(known, ahead),
        )
    table[SAME], table[f"{SAME} purchases"] = table[name].mean(), table[f"{name} purchases"].mean()
    after = holdout_summary(log, origin, origin + timedelta(days=ahead))
    after = after.rename(columns={"holdout_spend": "spent", "holdout_purchases": "bought"})
    return table.merge(after, on="customer_id").assign(origin=origin)


def value_scores(table: pd.DataFrame, value: pd.Series[float], purchases: pd.Series[float]) -> Mapping[str, float]:
    """Scores of predicted money and purchases against the ``spent`` and ``bought`` of a table."""
    spent, bought = table["spent"], table["bought"]
    top = value.rank(method="first", ascending=False) <= max(1, len(value) // 10)
    return {
        "n": len(table),
        "rmse_value": float(np.sqrt(((value - spent) ** 2).mean())),
        "mae_value": metrics.mean_absolute_error(spent, value),
        "correlation_value": _correlation(spent, value),
        "bias_of_total_value": metrics.bias_of_total(spent, value) if spent.sum() else np.nan,
        "rmse_purchases": float(np.sqrt(((purchases - bought) ** 2).mean())),
        "mae_purchases": metrics.mean_absolute_error(bought, purchases),
        "correlation_purchases": _correlation(bought, purchases),
        "top_decile_share_of_value": float(spent[top].sum() / spent.sum()) if spent.sum() else np.nan,
    }


def _difference(predictions: pd.DataFrame, name: str, rival: str, root: bool) -> Interval:
    errors = [predictions[who].to_numpy() - predictions["spent"].to_numpy() for who in (name, rival)]
    one, other = (error**2 if root else np.abs(error) for error in errors)
    return metrics.loss_difference(one, other, predictions["origin"], predictions["customer_id"], root=root)


def warn_if_implausible(bought: pd.Series[float], expected: pd.Series[float], name: str) -> None:
    """Warn where purchases were predicted better than chance allows.

    Even where every customer's rate is known, the number of purchases varies: by its mean where purchases come at random,
    by a k-th of it where k stages lie between two of them. Squared errors of less than a tenth of the purchases expected
    point to a candidate that has seen the outcome.
    """
    error, chance = float(((bought - expected) ** 2).sum()), float(expected.sum())
    if chance > _ENOUGH and error < _IMPLAUSIBLE * chance:
        warnings.warn(
            f"The purchases predicted by {name} are implausibly accurate (squared errors are {error / chance:.0%} of what "
            "chance alone leaves), which suggests target leakage. Check that nothing in the customer table was recorded "
            "after its as-of date.",
            CrmkitWarning,
            stacklevel=2,
        )


def _correlation(actual: pd.Series[float], predicted: pd.Series[float]) -> float:
    """Pearson's correlation, missing where either side is constant."""
    varies = actual.nunique() > 1 and predicted.nunique() > 1
    return metrics.correlation(actual, predicted) if varies else np.nan


def _by_frequency(table: pd.DataFrame, name: str) -> FrequencyDisplay:
    """Mean purchases after the newest origin, for at most eight groups of about equal size by purchases before it."""
    edges = np.unique(np.quantile(table["frequency"], np.linspace(0, 1, 9), method="inverted_cdf"))
    group = np.searchsorted(edges, table["frequency"], side="left")
    labels = [
        f"{low}" if low == edge else f"{low}–{edge}" for low, edge in zip(_lows(edges), map(int, edges), strict=True)
    ]
    means = table.groupby(group).agg(
        customers=("frequency", "size"),
        actual=("bought", "mean"),
        model=(f"{name} purchases", "mean"),
        rule=("own rate purchases", "mean"),
    )
    means.insert(0, "frequency", [labels[place] for place in means.index])
    return FrequencyDisplay(means.rename(columns={"model": name, "rule": "own rate"}).reset_index(drop=True))


def _lows(edges: Floats) -> list[int]:
    return [int(edges[0]), *(int(edge) + 1 for edge in edges[:-1])]
