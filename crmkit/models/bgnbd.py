"""BG/NBD: how many customers are still alive, and how much each will buy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from crmkit.exceptions import ModelError
from crmkit.models import _btyd_math as formulas
from crmkit.models._base import (
    PURCHASE_RULES,
    Model,
    aligned,
    check_number,
    distinct,
    read_columns,
    read_weights,
    warn_prior,
)
from crmkit.models._btyd_math import Floats

_COLUMNS = ("frequency", "recency", "T")


class BGNBD(Model):
    """The BG/NBD model: purchases at a steady personal rate until, after some purchase, the customer drops out.

    Rates vary between customers as Gamma(r, alpha), dropout probabilities as Beta(a, b). Tables have one row per
    customer: ``frequency`` (repeat purchase days), ``recency`` (days from first to last purchase) and ``T`` (days from
    first purchase to the end of observation). The fit does not depend on the unit of time; horizons are in the same unit.

    Attributes
    ----------
    params_, standard_errors_ : dict of float
        ``r``, ``alpha`` (a time), ``a``, ``b``, and their standard errors.
    covariance_ : ndarray of shape (4, 4)
        In the order of ``params_``; inverse Hessian in the logarithms, by the delta method.
    log_likelihood_, aic_ : float
        Of all customers, in the table's unit of time, nothing dropped.
    n_customers_ : int
    feature_names_in_ : ndarray of str
    prior_used_ : bool
        The likelihood had no usable maximum, so a weak prior took over, with a CrmkitWarning: r, a, b and alpha / max(T)
        each log-normal with median 1 and log standard deviation 2 (95 % between 0.02 and 50).

    References
    ----------
    Fader, Hardie & Lee (2005), "Counting your customers the easy way: an alternative to the Pareto/NBD model",
    Marketing Science 24(2), 275-284.

    Examples
    --------
    A small table in weeks, and the paper's expectation for CDNOW's customer 1516 at its published parameters:

    >>> import pandas as pd
    >>> from crmkit.models import BGNBD
    >>> table = pd.DataFrame({"frequency": [0, 1, 1, 2, 3, 6, 9], "recency": [0, 5, 28, 15, 30, 20, 37], "T": 39})
    >>> model = BGNBD().fit(table, sample_weight=[300, 40, 40, 20, 15, 8, 8])
    >>> {name: round(value, 2) for name, value in model.params_.items()}
    {'r': 0.2, 'alpha': 7.87, 'a': 0.52, 'b': 0.98}
    >>> model.params_ = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
    >>> customer = pd.DataFrame({"frequency": [26], "recency": [216 / 7], "T": [31.0]})
    >>> model.expected_purchases(customer, horizon=52).round(2).tolist()
    [25.76]
    >>> model.probability_alive(customer).round(3).tolist()
    [0.969]
    >>> round(model.expected_purchases_new(horizon=52), 2)
    1.45
    """

    _parameters: ClassVar[tuple[str, ...]] = ("r", "alpha", "a", "b")

    def fit(self, customers: Any, y: None = None, sample_weight: Any = None) -> Self:
        """Estimate r, alpha, a and b by maximum likelihood, on the distinct rows of the table.

        Parameters
        ----------
        customers : table of shape (n_customers, at least 3)
            Columns frequency, recency, T.
        y : None
            Ignored; scikit-learn's convention.
        sample_weight : array of shape (n_customers,), optional
            How many customers each row stands for, as a ``group by`` gives it.

        Raises
        ------
        ContractError
            Columns are missing, or rows make no sense; counted by kind.
        ModelError
            There are no customers.
        """
        x, t_x, T = read_columns(customers, _COLUMNS, PURCHASE_RULES)
        cell, first = distinct(x, t_x, T)
        count = np.bincount(cell, read_weights(sample_weight, len(x))).astype(float)
        if not count.sum() > 0:
            raise ModelError("There are no customers to fit BGNBD on: the table is empty. Check the filters before it.")
        x, t_x, T = x[first], t_x[first], T[first]
        scale = T.max() or 1.0
        best = self._maximise(x, t_x / scale, T / scale, count)
        self._keep(best, np.array([1, scale, 1, 1]), best.value - (count * x).sum() * np.log(scale), count.sum())
        self.feature_names_in_ = np.array(_COLUMNS, dtype=object)
        return self

    def _maximise(self, x: Floats, t_x: Floats, T: Floats, count: Floats) -> formulas.Maximum:
        likelihood, n = formulas.bgnbd_likelihood(x, t_x, T, count), count.sum()
        best = formulas.maximise(likelihood, formulas.in_logs, np.array([0.0, -1.0, 0.0, 1.0]), n)
        self.prior_used_ = best.runaway is not None
        if best.runaway is not None:
            name = self._parameters[best.runaway]
            why = (
                f"the likelihood keeps rising, or is flat, along {name}"
                if x.any()
                else "nobody in the table bought twice"
            )
            warn_prior(self, why, "r, alpha / max(T), a and b log-normal with median 1")
            best = formulas.maximise(likelihood, formulas.in_logs, np.zeros(4), n, formulas.PRIOR_SD)
        return best

    def probability_alive(self, X: Any) -> pd.Series[float]:
        """P(the customer has not dropped out by T); 1 for customers without a repeat purchase.

        Parameters
        ----------
        X : table of shape (n_customers, at least 3)
            Columns frequency, recency, T.

        Returns
        -------
        Series of shape (n_customers,)
            Between 0 and 1.
        """
        x, t_x, T = self._read(X)
        return aligned(formulas.bgnbd_alive(**self.params_, x=x, t_x=t_x, T=T), X, "probability_alive")

    def expected_purchases(self, X: Any, horizon: float) -> pd.Series[float]:
        """Purchases expected of each customer in (T, T + horizon].

        Parameters
        ----------
        X : table of shape (n_customers, at least 3)
            Columns frequency, recency, T.
        horizon : float
            Days ahead (the unit of T), 0 or more; else a ModelError.

        Returns
        -------
        Series of shape (n_customers,)
            Purchase days.
        """
        values = self._if_alive(X, formulas.bgnbd_purchases, horizon=check_number("horizon", horizon))
        return aligned(values, X, "expected_purchases")

    def discounted_purchases(self, X: Any, horizon: float, annual_discount: float) -> pd.Series[float]:
        """Purchases expected in (T, T + horizon], each discounted from its own moment back to T.

        Parameters
        ----------
        X : table of shape (n_customers, at least 3)
            Columns frequency, recency, T; here the unit must be the day.
        horizon : float
            Days ahead, 0 or more; else a ModelError.
        annual_discount : float
            0.10 makes a purchase 365.25 days ahead worth 1/1.10, and so on continuously.

        Returns
        -------
        Series of shape (n_customers,)
            Purchase days, in present value.
        """
        horizon, delta = (
            check_number("horizon", horizon),
            np.log1p(check_number("annual_discount", annual_discount)) / 365.25,
        )
        values = self._if_alive(X, formulas.bgnbd_discounted_purchases, horizon=horizon, delta=delta)
        return aligned(values, X, "discounted_purchases")

    def probability_no_purchase(self, X: Any, horizon: float) -> pd.Series[float]:
        """P(no purchase in (T, T + horizon]): dropped out, or alive and silent.

        Parameters
        ----------
        X : table of shape (n_customers, at least 3)
            Columns frequency, recency, T.
        horizon : float
            Days ahead (the unit of T), 0 or more; else a ModelError.

        Returns
        -------
        Series of shape (n_customers,)
            Between 0 and 1.
        """
        x, t_x, T = self._read(X)
        alive = formulas.bgnbd_alive(**self.params_, x=x, t_x=t_x, T=T)
        r, alpha = self.params_["r"], self.params_["alpha"]
        silence = formulas.bgnbd_silence(r, alpha, alive, x, T, check_number("horizon", horizon))
        return aligned(silence, X, "probability_no_purchase")

    def expected_purchases_new(self, horizon: float) -> float:
        """Repeat purchases expected of a customer who has just bought for the first time, within ``horizon`` days."""
        self._check_fitted()
        start = np.zeros(1)
        return float(
            formulas.bgnbd_purchases(**self.params_, x=start, T=start, horizon=check_number("horizon", horizon))[0]
        )

    def _read(self, X: Any) -> list[Floats]:
        self._check_fitted()
        return read_columns(X, _COLUMNS, PURCHASE_RULES)

    def _if_alive(self, X: Any, formula: Callable[..., Floats], **ahead: float) -> Floats:
        """P(alive) times a formula of (x, T) alone, evaluated once per distinct pair."""
        x, t_x, T = self._read(X)
        cell, first = distinct(x, T)
        of_cell = formula(**self.params_, x=x[first], T=T[first], **ahead)
        return of_cell[cell] * formulas.bgnbd_alive(**self.params_, x=x, t_x=t_x, T=T)
