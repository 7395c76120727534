"""Where customers stand by their own rhythm: new, active, slipping, away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from crmkit._checks import numbers, require_columns
from crmkit._types import Floats
from crmkit.engine.choose import engine_of
from crmkit.exceptions import ConfigError, ModelError

if TYPE_CHECKING:
    from crmkit.engine.frames import Frame

__all__ = ["LIFE_STAGES", "LifeStages"]

LIFE_STAGES = ("new", "active", "slipping", "away")
_COLUMNS = ("frequency", "recency", "T")


class LifeStages(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """How long each customer has been away, counted in usual intervals of the customer's own.

    The usual interval is (recency + m) / (frequency + 1), m being the median interval of those who bought again: one
    interval of everybody's is added to the customer's own, so that a single one is no rhythm yet. Who has been away for up
    to ``slipping`` of them is active, for up to ``away`` of them slipping, for longer away. Of the customers who have bought
    on fewer than three days, those who are not away are new.

    An exponential rhythm is silent for three intervals one time in twenty, for six one time in 400. Names move far less than
    those of recency and frequency, which change by the calendar (``tests/benchmarks/segments.py`` prints both).

    Parameters
    ----------
    slipping, away : float
        Usual intervals, 0 < slipping < away.

    Attributes
    ----------
    usual_interval_ : float
        m, in days.

    Examples
    --------
    >>> customers = pd.DataFrame({"frequency": [0, 9, 9, 9], "recency": [0, 63, 63, 63], "T": [5, 70, 90, 130]})
    >>> LifeStages().fit(customers).transform(customers).tolist()
    ['new', 'active', 'slipping', 'away']
    """

    def __init__(self, slipping: float = 3.0, away: float = 6.0) -> None:
        self.slipping = slipping
        self.away = away

    def fit(self, X: Frame, y: object = None) -> Self:
        """Find the median interval of those who bought again.

        Parameters
        ----------
        X : pandas or Spark DataFrame
            frequency, recency and T (days), as of `btyd_summary`; of Spark's one number comes to the driver.

        Raises
        ------
        ConfigError
            The limits are not in order.
        ModelError
            Nobody has bought on two days.
        """
        if not 0 < self.slipping < self.away:
            raise ConfigError(f"0 < slipping < away must hold; they are {self.slipping} and {self.away}.")
        require_columns(X.columns, _COLUMNS, "customers")
        with engine_of(X) as engine:
            again = f"select cast(recency as double) / frequency as days from {engine.register(X)} where frequency > 0"
            found = engine.arrow(f"select {engine.observed_quantiles('days', [0.5])} as middle from ({again}) as again")
        middle = found.to_pylist()[0]["middle"]
        if not middle:
            raise ModelError("Nobody has bought on two days, so there is no usual interval. Use a longer history.")
        self.usual_interval_ = float(middle[0])
        self.n_features_in_, self.feature_names_in_ = len(_COLUMNS), np.array(_COLUMNS, dtype=object)
        return self

    def transform(self, X: pd.DataFrame) -> pd.Series[str]:
        """The stage of each row, on the index of ``X``."""
        check_is_fitted(self)
        require_columns(X, _COLUMNS, "customers")
        frequency, recency, age = (np.asarray(numbers(X[name]), dtype=np.float64) for name in _COLUMNS)
        silent = self.intervals_away(frequency, recency, age)
        stage = np.array(LIFE_STAGES[1:], dtype=object)[np.searchsorted([self.slipping, self.away], silent)]
        stage[(frequency < 2) & (silent <= self.away)] = LIFE_STAGES[0]
        return pd.Series(stage, index=X.index, name="life_stage", dtype="str")

    def intervals_away(self, frequency: Floats, recency: Floats, age: Floats) -> Floats:
        """Days since the last purchase over the usual interval."""
        usual: Floats = (recency + self.usual_interval_) / (frequency + 1)
        return (age - recency) / np.maximum(usual, 1.0)
