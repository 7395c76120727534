"""`ChurnModel`: the probability that a customer will not buy in the next H days, and the money at stake."""

from __future__ import annotations

from datetime import date
from typing import Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from crmkit.cells import fit_customers
from crmkit.exceptions import ModelError
from crmkit.models.bgnbd import BGNBD
from crmkit.models.gamma_gamma import GammaGamma
from crmkit.summaries import btyd_summary
from crmkit.transactions import Transactions

__all__ = ["ChurnModel"]

_UNUSUAL = 0.1


class ChurnModel(BaseEstimator):  # type: ignore[misc]
    """P(no purchase on days as_of + 1 … as_of + horizon), from the BG/NBD model.

    Churn is silence: not having dropped out is not enough, an active customer may also just not come. That is why this
    is not 1 − P(alive), which calls every one-time buyer safe.

    Parameters
    ----------
    horizon : int
        Days ahead.

    Attributes
    ----------
    estimator_ : BGNBD
        The estimator over the customer table.
    spend_ : GammaGamma
        Expected money per purchase, for the value at risk.

    Examples
    --------
    >>> till = pd.DataFrame({"customer_id": list("aaabbbcd"), "amount": [10.0] * 7 + [12.0], "purchased_at":
    ...     ["2017-01-01", "2017-01-09", "2017-01-15", "2017-01-02", "2017-02-10", "2017-03-18", "2017-01-20", "2017-03-01"]})
    >>> log = Transactions.from_extract(till, until="2017-03-31")
    >>> import warnings
    >>> with warnings.catch_warnings():  # four customers: the weak prior says so
    ...     warnings.simplefilter("ignore")
    ...     risk = ChurnModel(horizon=30).fit(log).predict(log)
    >>> risk.loc[0, "reason_1"]
    'silent 75 days, usually buys every 7'
    """

    def __init__(self, horizon: int = 30) -> None:
        self.horizon = horizon

    def fit(self, log: Transactions, as_of: str | date | None = None) -> Self:
        """Learn from what happened up to the close of ``as_of`` (default: the log's ``until``)."""
        if not self.horizon >= 1:
            raise ModelError(f"horizon={self.horizon} is not a number of days of at least 1.")
        customers = btyd_summary(log, as_of)
        self.estimator_ = fit_customers(BGNBD(), customers)
        self.spend_ = fit_customers(GammaGamma(), customers)
        return self

    def predict(self, log: Transactions, as_of: str | date | None = None) -> pd.DataFrame:
        """One row per customer with a purchase up to ``as_of``.

        Returns
        -------
        DataFrame
            customer_id; p_churn in [0, 1]; value_at_risk, p_churn × the money expected within the horizon if the
            customer is active; reason_1 … reason_3 in words, empty where there is none.
        """
        check_is_fitted(self, "estimator_")
        customers = btyd_summary(log, as_of)
        p_churn = self.estimator_.probability_no_purchase(customers, self.horizon)
        return pd.DataFrame(
            {
                "customer_id": customers["customer_id"],
                "p_churn": p_churn,
                "value_at_risk": p_churn * self._value_if_active(customers),
                **_reasons(customers),
            }
        )

    def _value_if_active(self, customers: pd.DataFrame) -> pd.Series[float]:
        """Money within the horizon of a customer who has not dropped out: (r + x)/(α + T) × H × spend."""
        r, alpha = self.estimator_.params_["r"], self.estimator_.params_["alpha"]
        purchases = (r + customers["frequency"]) / (alpha + customers["T"]) * self.horizon
        value: pd.Series[float] = purchases * self.spend_.expected_value(customers)
        return value


def _reasons(customers: pd.DataFrame) -> dict[str, pd.Series[str]]:
    """The facts behind each score: silence against the customer's own rhythm, few purchases, small history."""
    frequency, silence = customers["frequency"], customers["T"] - customers["recency"]
    gap = np.maximum(1, np.round(customers["recency"] / np.maximum(frequency, 1))).astype(int)
    days: pd.Series[str] = silence.astype("str") + np.where(silence == 1, " day", " days")
    silent = pd.Series(np.where(silence == 0, "bought today", "silent " + days), index=days.index, dtype="str")
    usual = np.where(
        frequency > 0, silent + ", usually buys every " + gap.astype("str"), "only purchase " + days + " ago"
    )
    unusual = np.exp(-silence / gap) < _UNUSUAL
    late = "a silence " + np.round(silence / gap, 1).astype("str") + " times the usual gap"
    few = "only " + (frequency + 1).astype("str") + " purchase days in " + customers["T"].astype("str") + " days"
    return {
        "reason_1": pd.Series(usual, dtype="str"),
        "reason_2": pd.Series(np.where((frequency > 0) & unusual, late, ""), dtype="str"),
        "reason_3": pd.Series(np.where((frequency > 0) & (frequency < 3), few, ""), dtype="str"),
    }
