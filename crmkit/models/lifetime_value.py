"""Customer lifetime value: purchases to come, times what each brings, discounted."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.base import clone

from crmkit.models._base import Model, aligned, check_number


class CustomerLifetimeValue(Model):
    """Discounted value expected of each customer in days 1 to ``horizon``: margin × spend × discounted purchases.

    Parameters
    ----------
    purchases : BGNBD
        Expects purchases; anything with ``discounted_purchases(X, horizon, annual_discount)``.
    spend : GammaGamma
        Expects spend per purchase; anything with ``expected_value(X)``.
    horizon : float, default 365
        Days ahead.
    annual_discount : float, default 0.10
        Money 365.25 days ahead is worth 1/1.10, and so on continuously.
    margin : float, default 1.0
        What is kept of each unit of spend.

    Attributes
    ----------
    purchases_, spend_ : the two models, fitted
    feature_names_in_ : ndarray of str
    n_customers_ : int

    References
    ----------
    Fader, Hardie & Lee (2005), "RFM and CLV: using iso-value curves for customer base analysis", Journal of Marketing
    Research 42(4), 415-430.

    Examples
    --------
    >>> import pandas as pd
    >>> from crmkit.models import BGNBD, CustomerLifetimeValue, GammaGamma
    >>> table = pd.DataFrame({"frequency": [0, 1, 1, 1, 1, 2, 2, 3, 6, 9],
    ...     "recency": [0, 35, 196, 14, 90, 105, 250, 210, 140, 259], "T": 273,
    ...     "monetary_value": [None, 12, 25, 45, 90, 15, 60, 18, 50, 22]})
    >>> model = CustomerLifetimeValue(BGNBD(), GammaGamma(), horizon=365, annual_discount=0.10)
    >>> model = model.fit(table, sample_weight=[300, 20, 20, 20, 20, 10, 10, 15, 8, 8])
    >>> model.predict(table).round(1).tolist()
    [6.6, 4.1, 15.4, 7.5, 29.2, 18.7, 98.9, 49.5, 124.7, 192.6]
    """

    _fitted: ClassVar[tuple[str, ...]] = ("purchases_", "spend_", "n_customers_", "feature_names_in_")

    def __init__(
        self, purchases: Any, spend: Any, horizon: float = 365, annual_discount: float = 0.10, margin: float = 1.0
    ) -> None:
        self.purchases = purchases
        self.spend = spend
        self.horizon = horizon
        self.annual_discount = annual_discount
        self.margin = margin

    def fit(self, customers: Any, y: None = None, sample_weight: Any = None) -> Self:
        """Fit a copy of each model; the ones given stay as they are.

        Parameters
        ----------
        customers : table of shape (n_customers, at least 4)
            Columns frequency, recency, T (days), monetary_value.
        y : None
            Ignored; scikit-learn's convention.
        sample_weight : array of shape (n_customers,), optional
            How many customers each row stands for.

        Raises
        ------
        ContractError, ModelError
            As the two models do; ModelError also for a horizon, discount or margin below 0.
        """
        for name in ("horizon", "annual_discount", "margin"):
            check_number(name, getattr(self, name))
        self.purchases_ = clone(self.purchases).fit(customers, sample_weight=sample_weight)
        self.spend_ = clone(self.spend).fit(customers, sample_weight=sample_weight)
        self.n_customers_ = self.purchases_.n_customers_
        names = [*self.purchases_.feature_names_in_, *self.spend_.feature_names_in_]
        self.feature_names_in_ = np.array(list(dict.fromkeys(names)), dtype=object)
        return self

    def predict(self, customers: Any) -> pd.Series[float]:
        """Discounted value expected of each customer in days 1 to ``horizon``, in the table's currency unit.

        Parameters
        ----------
        customers : table of shape (n_customers, at least 4)
            Columns frequency, recency, T (days), monetary_value (which may be missing where frequency is 0).
        """
        self._check_fitted()
        purchases = self.purchases_.discounted_purchases(customers, self.horizon, self.annual_discount)
        value = check_number("margin", self.margin) * self.spend_.expected_value(customers) * purchases
        return aligned(value.to_numpy(), customers, "lifetime_value")
