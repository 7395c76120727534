"""One look at customers through a fitted model: probabilities, money at risk, reasons, flags and the win-back list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pandas as pd
from scipy.special import expit

from crmkit._types import Floats
from crmkit.churn._logistic_math import log_odds
from crmkit.churn.base_rates import year_ago
from crmkit.churn.estimators import ChurnClassifier, ChurnLogistic
from crmkit.churn.features import THEMES
from crmkit.churn.flags import flags_of, unusual_absence
from crmkit.churn.reasons import SPEAKS_OF_RISK, WORDS, btyd_reasons, last_purchase_in_words, strongest
from crmkit.churn.training import features_at
from crmkit.exceptions import ModelError
from crmkit.ingest.tables import ServiceRecords

__all__ = ["ChurnScores", "FittedChurn"]


class FittedChurn(Protocol):
    """What a fitted `ChurnModel` knows."""

    horizon: int
    estimator_: Any
    purchases_: Any
    spend_: Any
    base_rates_: pd.DataFrame
    thresholds_: dict[str, float]
    partial_: ChurnLogistic | None
    season_: bool
    service_: bool


@dataclass(frozen=True)
class ChurnScores:
    """Customers as of one day through a fitted model; nothing is computed before it is asked for, or twice.

    Attributes
    ----------
    model : ChurnModel
        Fitted.
    state : DataFrame
        From ``snapshots(log).state(as_of)``.
    as_of : date
        The day of the state.
    service : ServiceRecords, optional
        Needed by a model that was fitted with them.

    Examples
    --------
    >>> from crmkit import ChurnModel, Transactions
    >>> from crmkit.summaries.snapshots import snapshots
    >>> from crmkit.testing import generated_log
    >>> log = generated_log(300)
    >>> model = ChurnModel(horizon=30).fit(log)
    >>> with snapshots(log) as shop:
    ...     scores = ChurnScores(model, shop.state(), log.until)
    >>> bool(((scores.p > 0) & (scores.p < 1)).all()), len(scores.p) == len(scores.state)
    (True, True)
    """

    model: FittedChurn
    state: pd.DataFrame
    as_of: date
    service: ServiceRecords | None = None

    # -- probabilities -----------------------------------------------------------------------------------------------

    @cached_property
    def features(self) -> pd.DataFrame:
        """The table that the model's estimator reads, one row per row of the state."""
        model = self.model
        if model.service_ and self.service is None:
            raise ModelError("This model was fitted with service records. Pass them: predict(log, service=records).")
        return features_at(
            self.state,
            self.as_of,
            model.horizon,
            model.purchases_,
            season=model.season_,
            service=self.service if model.service_ else None,
        )

    @cached_property
    def uncorrected(self) -> Floats:
        """Log-odds of no purchase by the estimator alone."""
        return estimator_log_odds(self.model, self.state, self.features)

    @cached_property
    def shift(self) -> float:
        """What the same window a year before adds to the log-odds; 0 where it is unknown, or no more than noise."""
        return year_ago(self.model.base_rates_, self.as_of)

    @cached_property
    def p(self) -> Floats:
        """P(no purchase within the horizon)."""
        return np.asarray(expit(self.uncorrected + self.shift), dtype=np.float64)

    def p_within(self, horizons: Sequence[int]) -> pd.DataFrame:
        """P(no purchase) within other horizons, one column each; as `ChurnModel.probability_within`."""
        if not all(days >= 1 and days == int(days) for days in horizons):
            raise ModelError(f"horizons={list(horizons)} must be whole numbers of days of at least 1.")
        btyd = self.model.purchases_.probability_no_purchase
        added = log_odds(self.p) - log_odds(btyd(self.state, self.model.horizon))
        curves = {days: expit(log_odds(btyd(self.state, days)) + added) for days in horizons}
        return pd.DataFrame({"customer_id": self.state["customer_id"]} | curves)

    # -- money -------------------------------------------------------------------------------------------------------

    @cached_property
    def value_if_coming(self) -> pd.Series[float]:
        """Money within the horizon of a customer, given that they come: what churn would cost.

        (r + x)/(α + T) × H × spend is the money expected of a customer who has not dropped out, who may not come all the
        same; it is divided by P(comes | has not dropped out) = 1 − (1 + H/(α + T))^−(r + x).
        """
        params, state, horizon = self.model.purchases_.params_, self.state, self.model.horizon
        shape, time = params["r"] + state["frequency"], params["alpha"] + state["T"]
        comes = -np.expm1(-shape * np.log1p(horizon / time))
        value: pd.Series[float] = shape / time * horizon / comes * self.model.spend_.expected_value(state)
        return value

    # -- tables ------------------------------------------------------------------------------------------------------

    def predictions(self) -> pd.DataFrame:
        """The columns of `ChurnModel.predict`."""
        return pd.DataFrame({**self._risk(), **self.reasons})

    def _risk(self) -> dict[str, pd.Series | Floats]:
        return {
            "customer_id": self.state["customer_id"],
            "p_churn": self.p,
            "value_at_risk": self.p * self.value_if_coming,
        }

    def explanation(self) -> pd.DataFrame:
        """The columns of `ChurnModel.explain`."""
        baseline, themes = self._themes
        parts = {"customer_id": self.state["customer_id"], "log_odds": 0.0, "baseline": baseline + self.shift}
        table = pd.DataFrame({**parts, **themes})
        table["log_odds"] = table.drop(columns=["customer_id", "log_odds"]).sum(axis=1)
        return table

    @cached_property
    def _themes(self) -> tuple[float, Mapping[str, Floats]]:
        """Log-odds of an average customer, and what each theme adds to them."""
        whole = self.model.estimator_
        if not isinstance(whole, ChurnClassifier):
            middle = float(self.uncorrected.mean()) if len(self.uncorrected) else 0.0
            return middle, {"dropout model": self.uncorrected - middle}
        logistic = whole.estimators_[0]
        moved = whole.slope_ * logistic.contributions(self.features)
        names = list(self.features.columns)
        places = {theme: [names.index(name) for name in of if name in names] for theme, of in THEMES.items()}
        themes = {theme: moved[:, place].sum(axis=1) for theme, place in places.items() if place}
        return whole.intercept_ + whole.slope_ * logistic.intercept_, themes

    @cached_property
    def reasons(self) -> Mapping[str, pd.Series[str]]:
        """reason_1: the last purchase against the usual interval; then the two themes that add most to the risk."""
        state, themes = self.state, self._themes[1]
        if not isinstance(self.model.estimator_, ChurnClassifier):
            return btyd_reasons(state)
        worded = [theme for theme in WORDS if theme in themes]
        size = np.column_stack([themes[theme] for theme in worded])
        for place, theme in enumerate(worded):
            if theme in SPEAKS_OF_RISK:
                size[~SPEAKS_OF_RISK[theme](state).to_numpy(), place] = -np.inf
        words = {theme: WORDS[theme](state, self.features) for theme in worded}
        return {"reason_1": last_purchase_in_words(state), **strongest(size, words, state.index)}

    # -- flags -------------------------------------------------------------------------------------------------------

    @cached_property
    def unusual(self) -> pd.DataFrame:
        """The columns of `ChurnModel.early_warning`."""
        return unusual_absence(self.state, self.as_of, self.model.horizon)

    @cached_property
    def flags(self) -> pd.Series[str]:
        """The flag of each customer, by the model's thresholds."""
        unusual = self.unusual["unusual_since"].notna().to_numpy()
        return flags_of(self.state, self.p, unusual, self.model.thresholds_)

    def partial(self) -> pd.DataFrame:
        """The columns of `ChurnModel.partial_defection`."""
        if self.model.partial_ is None:
            raise ModelError(
                "Partial defection could not be modelled: too few customers or too short a history. See note_."
            )
        came = self.state["days_since_last"].to_numpy() < self.model.horizon
        falls = np.where(came, self.model.partial_.predict_proba(self.features)[:, 1], 0.0)
        return pd.DataFrame({"customer_id": self.state["customer_id"], "p_partial": (1 - self.p) * falls})

    def win_back(self, n: int | None = None) -> pd.DataFrame:
        """The columns of `ChurnModel.win_back`."""
        more = {"flag": self.flags, "unusual_since": self.unusual["unusual_since"], **self.reasons}
        rows = pd.DataFrame(self._risk() | more)
        rows = rows[~rows["flag"].isin(["active", "returned"])]
        return first_to_win_back(rows, n)


def first_to_win_back(rows: pd.DataFrame, n: int | None) -> pd.DataFrame:
    """The most value at risk first."""
    rows = rows.sort_values(["value_at_risk", "customer_id"], ascending=[False, True], ignore_index=True)
    return rows if n is None else rows.head(n)


def estimator_log_odds(model: FittedChurn, state: pd.DataFrame, features: pd.DataFrame) -> Floats:
    """Log-odds of no purchase by a fitted model's estimator, from either of the tables that it may read."""
    if isinstance(model.estimator_, ChurnClassifier):
        return model.estimator_.decision_function(features)
    return log_odds(model.estimator_.probability_no_purchase(state, model.horizon))
