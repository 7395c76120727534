"""Lifetime value at past origins."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from crmkit.evaluation import metrics
from crmkit.evaluation.backtest import Backtest, backtest_of
from crmkit.evaluation.displays import FrequencyDisplay
from crmkit.models.lifetime_value import CustomerLifetimeValue
from crmkit.summaries.customers import btyd_summary, holdout_summary, rfm_table
from crmkit.transactions.log import Transactions

OFTEN = 30


# -- Lifetime value --------------------------------------------------------------------------------------------------


@backtest_of.register
def _lifetime_value(model: CustomerLifetimeValue, log: Transactions, origins: list[date], ahead: int) -> Backtest:
    name = model.purchases.label
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
        "mae_value": metrics.mean_absolute_error(actual, value),
        "rmse_value": float(np.sqrt(((value - actual) ** 2).mean())),
        "correlation_value": _correlation(actual, value),
        "bias_of_total_value": metrics.bias_of_total(actual, value) if actual.sum() else np.nan,
        "mae_purchases": metrics.mean_absolute_error(bought, purchases),
        "rmse_purchases": float(np.sqrt(((purchases - bought) ** 2).mean())),
        "correlation_purchases": _correlation(bought, purchases),
        "top_decile_share_of_value": float(actual[top].sum() / actual.sum()) if actual.sum() else np.nan,
    }


def _correlation(actual: pd.Series[float], predicted: pd.Series[float]) -> float:
    """Pearson's correlation, missing where either side is constant."""
    varies = actual.nunique() > 1 and predicted.nunique() > 1
    return metrics.correlation(actual, predicted) if varies else np.nan


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
