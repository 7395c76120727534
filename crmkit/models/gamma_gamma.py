"""Gamma-gamma: what a customer spends per purchase, seen through a few noisy receipts."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from crmkit.exceptions import CrmkitWarning, ModelError
from crmkit.models import _btyd_math as formulas
from crmkit.models._base import SPEND_RULES, Model, aligned, distinct, read_columns, read_weights, warn_prior
from crmkit.models._btyd_math import Floats

_COLUMNS = ("frequency", "monetary_value")


class GammaGamma(Model):
    """The gamma-gamma model of spend: each purchase is Gamma(p, nu), and nu varies between customers as Gamma(q, gamma).

    Spend per purchase must not depend on how often a customer buys. Tables have one row per customer: ``frequency``
    (repeat purchase days) and ``monetary_value`` (mean spend per repeat purchase day). The fit does not depend on the
    currency unit.

    Attributes
    ----------
    params_, standard_errors_ : dict of float
        ``p``, ``q``, ``gamma`` (money; v in some papers), and their standard errors.
    covariance_ : ndarray of shape (3, 3)
        In the order of ``params_``.
    log_likelihood_, aic_ : float
        Of all customers fitted on, in the table's currency unit, nothing dropped.
    n_customers_ : int
        Customers with frequency > 0 and monetary_value > 0: those fitted on.
    n_left_out_ : int
        Customers with frequency > 0 and monetary_value <= 0.
    feature_names_in_ : ndarray of str
    prior_used_ : bool
        The likelihood had no usable maximum, or one with an infinite population mean (q <= 1), so a weak prior took
        over, with a CrmkitWarning: p and q - 1 each log-normal with median 1 and log standard deviation 2, while gamma
        holds the population mean p·gamma/(q - 1) at the mean spend per repeat purchase in the table.

    References
    ----------
    Fader & Hardie (2013), "The gamma-gamma model of monetary value", note 025.

    Examples
    --------
    A small table; then the note's parameters for CDNOW, whose population mean of about 35 dollars is the answer for a
    customer without repeat purchases, while one with many is taken at their word:

    >>> import pandas as pd
    >>> from crmkit.models import GammaGamma
    >>> table = pd.DataFrame({"frequency": [1, 1, 1, 1, 2, 2, 2, 5, 5, 5, 0],
    ...     "monetary_value": [12, 25, 45, 90, 15, 30, 60, 18, 32, 50, None]})
    >>> model = GammaGamma().fit(table)
    >>> {name: round(value, 2) for name, value in model.params_.items()}
    {'p': 2.62, 'q': 8.96, 'gamma': 110.53}
    >>> model.params_ = {"p": 6.25, "q": 3.74, "gamma": 15.44}
    >>> customers = pd.DataFrame({"frequency": [0, 1, 100], "monetary_value": [None, 60.0, 60.0]})
    >>> model.expected_value(customers).round(2).tolist()
    [35.22, 52.45, 59.89]
    """

    _parameters: ClassVar[tuple[str, ...]] = ("p", "q", "gamma")
    _fitted: ClassVar[tuple[str, ...]] = (*Model._fitted, "n_left_out_")

    def fit(self, customers: Any, y: None = None, sample_weight: Any = None) -> Self:
        """Estimate p, q and gamma by maximum likelihood, on customers with repeat purchases and a positive mean spend.

        Parameters
        ----------
        customers : table of shape (n_customers, at least 2)
            Columns frequency, monetary_value (which may be missing where frequency is 0).
        y : None
            Ignored; scikit-learn's convention.
        sample_weight : array of shape (n_customers,), optional
            How many customers each row stands for.

        Raises
        ------
        ContractError
            Columns are missing, or rows make no sense; counted by kind.
        ModelError
            Nobody has both a repeat purchase and a positive mean spend.
        """
        x, z = read_columns(customers, _COLUMNS, SPEND_RULES)
        weight = read_weights(sample_weight, len(x))
        used = (x > 0) & (z > 0)
        self.n_left_out_ = int(((x > 0) & (z <= 0)).sum())
        if self.n_left_out_:
            warnings.warn(
                f"GammaGamma: {self.n_left_out_} customers left out of the fit, because their mean spend is not positive.",
                CrmkitWarning,
                stacklevel=2,
            )
        x, z, weight = x[used], z[used], None if weight is None else weight[used]
        cell, first = distinct(x, z)
        count = np.bincount(cell, weight).astype(float)
        if not count.sum() > 0:
            raise ModelError(
                f"None of {len(used)} customers has bought on a second day for money (frequency and monetary_value above 0), "
                "so spend cannot be learnt. Observe longer, or look at recency, frequency and segments only."
            )
        x, z = x[first], z[first]
        scale = float(np.average(z, weights=count * x))
        best = self._maximise(x, z / scale, count)
        self._keep(best, np.array([1, 1, scale]), best.value - count.sum() * np.log(scale), count.sum())
        self.feature_names_in_ = np.array(_COLUMNS, dtype=object)
        return self

    def _maximise(self, x: Floats, z: Floats, count: Floats) -> formulas.Maximum:
        likelihood, n = formulas.gamma_gamma_likelihood(x, z, count), count.sum()
        best = formulas.maximise(likelihood, formulas.in_logs, np.zeros(3), n)
        heavy = best.params[1] <= 1
        self.prior_used_ = bool(heavy or best.runaway is not None)
        if self.prior_used_:
            name = self._parameters[best.runaway or 0]
            why = (
                "q is not above 1 (an infinite mean)"
                if heavy
                else f"the likelihood keeps rising, or is flat, along {name}"
            )
            warn_prior(self, why, "the population mean held at the table's, p and q - 1 log-normal with median 1")
            best = formulas.maximise(likelihood, formulas.holding_mean, np.zeros(2), n, formulas.PRIOR_SD)
        return best

    def expected_value(self, X: Any) -> pd.Series[float]:
        """Expected mean spend per purchase of each customer: their own mean, shrunk towards the population's.

        Parameters
        ----------
        X : table of shape (n_customers, at least 2)
            Columns frequency, monetary_value. Where frequency is 0 the answer is the population mean p·gamma/(q - 1),
            whatever monetary_value says; a negative mean counts as 0.

        Returns
        -------
        Series of shape (n_customers,)
            Money per purchase, in the table's currency unit.
        """
        self._check_fitted()
        x, z = read_columns(X, _COLUMNS, SPEND_RULES)
        own = np.where(x > 0, np.maximum(z, 0), 0.0)
        return aligned(formulas.gamma_gamma_mean(**self.params_, x=x, z=own), X, "expected_value")
