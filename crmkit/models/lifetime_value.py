"""Customer lifetime value: purchases to come, times what each brings, discounted; and how far it can be off."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import clone

from crmkit._types import Floats, Interval, Table
from crmkit.exceptions import CrmkitWarning, ModelError
from crmkit.models._base import Model, ScoreTerm
from crmkit.models._columns import aligned, check_number, read_columns, tell_of_horizon
from crmkit.models._futures import Terms, bounds, futures
from crmkit.models._interpolation import purchases_at_nodes
from crmkit.models._spend_dependence import dependence_note, is_material, spend_dependence
from crmkit.models._value_intervals import (
    Parts,
    checked_level,
    log_covariance,
    log_gradient,
    moved,
    normal_quantile,
    resampled_covariance,
)
from crmkit.models.cohort_value import CohortValue, PastTotals, level_of
from crmkit.models.gamma_gamma import GammaGamma, GammaGammaTrend
from crmkit.models.purchase_model import PurchaseModel


class CustomerLifetimeValue(Model):
    """Discounted value expected of each customer in days 1 to ``horizon``: margin × spend × discounted purchases.

    Parameters
    ----------
    purchases : BGNBD, MBGNBD, ParetoNBD, …
        Expects purchases; anything with ``discounted_purchases(X, horizon, annual_discount)``, and for an infinite
        horizon ``residual_purchases(X, annual_discount)``.
    spend : GammaGamma or GammaGammaTrend
        Expects spend per purchase; anything with ``expected_value(X)``.
    horizon : float, default 365
        Days ahead; ``math.inf`` for all that is still to come.
    annual_discount : float, default 0.10
        Money 365.25 days ahead is worth 1/1.10, and so on continuously.
    margin : float, default 1.0
        What is kept of each unit of spend.

    Attributes
    ----------
    purchases_, spend_ : the two models, fitted
    spend_dependence_ : dict of float, or None
        The test of what `GammaGamma` assumes, on repeat buyers: the ``correlation`` of frequency and mean spend, with
        ``correlation_low`` and ``correlation_high`` (Fisher, 95 %); ``per_doubling``, the factor on spend for each
        doubling of the purchases in `GammaGammaTrend`, with ``per_doubling_low`` and ``per_doubling_high``; ``p_value`` of
        its likelihood ratio (of Wald's test where a prior held the plain model, and of Spearman's rank correlation where one
        held the trend too). None where there was nothing to test. Where p < 0.01 and the factor is above 1.25 or below
        0.8, ``spend_`` is the GammaGammaTrend; a weaker trend is left alone, because carrying it on to one-time buyers
        costs more than it mends (measured on CDNOW: 1.17).
    log_covariance_ : ndarray or None
        Covariance of the logarithms of all parameters, when a bootstrap has measured it; else that of the two fits.
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
    >>> model.expected_interval(table).round(1).iloc[9].to_dict()
    {'expected': 192.6, 'low': 159.1, 'high': 233.2}
    """

    label: ClassVar[str] = "customer lifetime value"
    _fitted: ClassVar[tuple[str, ...]] = (
        "purchases_",
        "spend_",
        "spend_dependence_",
        "log_covariance_",
        "n_customers_",
        "feature_names_in_",
    )
    spend_dependence_: dict[str, float] | None = None
    log_covariance_: Floats | None = None

    def __init__(
        self,
        purchases: PurchaseModel,
        spend: GammaGamma,
        horizon: float = 365,
        annual_discount: float = 0.10,
        margin: float = 1.0,
    ) -> None:
        self.purchases = purchases
        self.spend = spend
        self.horizon = horizon
        self.annual_discount = annual_discount
        self.margin = margin

    @classmethod
    def from_models(cls, purchases: PurchaseModel, spend: GammaGamma, **settings: float) -> Self:
        """Of two models that are fitted already, or were made by ``from_parameters``.

        Parameters
        ----------
        purchases, spend : fitted models
        **settings
            horizon, annual_discount, margin.

        Examples
        --------
        >>> import pandas as pd
        >>> from crmkit.models import BGNBD, CustomerLifetimeValue, GammaGamma
        >>> purchases = BGNBD.from_parameters(r=0.243, alpha=4.414 * 7, a=0.793, b=2.426)
        >>> spend = GammaGamma.from_parameters(p=6.25, q=3.74, gamma=15.44)
        >>> table = pd.DataFrame({"frequency": [0, 9], "recency": [0, 259], "T": 273, "monetary_value": [None, 22]})
        >>> CustomerLifetimeValue.from_models(purchases, spend, horizon=90).predict(table).round(2).tolist()
        [2.4, 50.06]
        """
        purchases._check_fitted()
        spend._check_fitted()
        model = cls(clone(purchases), clone(spend), **settings)
        model._check_settings()
        return model._keep_parts(purchases, spend)

    def _keep_parts(self, purchases: PurchaseModel, spend: GammaGamma) -> Self:
        self.purchases_, self.spend_ = purchases, spend
        self.n_customers_ = purchases.n_customers_
        names = [*purchases.feature_names_in_, *spend.feature_names_in_]
        self.feature_names_in_ = np.array(list(dict.fromkeys(names)), dtype=object)
        return self

    def fit(self, customers: Table, y: None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit a copy of each model, and test whether spend depends on frequency; the ones given stay as they are.

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

        Warns
        -----
        DeliveryWarning
            The horizon is longer than any customer has been observed.
        """
        fitted = self.fit_parts(lambda model: model.fit(customers, sample_weight=sample_weight))
        tell_of_horizon(customers, self.horizon)
        return fitted

    def fit_parts(self, fit: Callable[[Any], Any]) -> Self:
        """The same, by a function that fits one model wherever the customers are (see `fit_customers`)."""
        self._check_settings()
        self.log_covariance_, self.spend_dependence_ = None, None
        self.purchases_ = fit(clone(self.purchases))
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            self.spend_ = plain = fit(clone(self.spend))
        if type(plain) is GammaGamma and plain.correlation_ is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", CrmkitWarning)
                trend = fit(GammaGammaTrend(first_purchase=plain.first_purchase))
            self.spend_dependence_ = spend_dependence(plain, trend)
            self.spend_ = trend if self.spend_dependence_ and is_material(self.spend_dependence_) else plain
        for warning in said if self.spend_ is plain else ():
            warnings.warn(warning.message, stacklevel=3)
        return self._keep_parts(self.purchases_, self.spend_)

    def _check_settings(self) -> None:
        if self.horizon != math.inf:
            check_number("horizon", self.horizon)
        check_number("margin", self.margin)
        if not check_number("annual_discount", self.annual_discount) and self.horizon == math.inf:
            raise ModelError("annual_discount must be above 0 for an infinite horizon: the undiscounted sum diverges.")

    def predict(self, customers: Table) -> pd.Series[float]:
        """Discounted value expected of each customer in days 1 to ``horizon``, in the table's currency unit.

        Parameters
        ----------
        customers : table of shape (n_customers, at least 4)
            Columns frequency, recency, T (days), monetary_value (which may be missing where frequency is 0).
        """
        self._check_fitted()
        self._check_settings()
        value = self.margin * self.spend_.expected_value(customers) * self.purchases_ahead(customers)
        return aligned(np.asarray(value, dtype=np.float64), customers, "lifetime_value")

    def purchases_ahead(self, customers: Table) -> pd.Series[float]:
        """Purchases expected of each customer within the horizon, each discounted from its own moment."""
        purchases = purchases_at_nodes(self.purchases_, customers, self._ahead)
        return self._ahead(customers) if purchases is None else purchases

    def _ahead(self, customers: Table) -> pd.Series[float]:
        model: PurchaseModel = self.purchases_
        if self.horizon == math.inf:
            return model.residual_purchases(customers, self.annual_discount)
        return model.discounted_purchases(customers, self.horizon, self.annual_discount)

    def score_terms(self) -> list[ScoreTerm]:
        """Purchases ahead, times the margin, and spend per purchase, each of its own columns."""
        purchases, spend = self._parts()
        return [
            (tuple(purchases.feature_names_in_), lambda table: self.margin * self.purchases_ahead(table)),
            (tuple(spend.feature_names_in_), spend.expected_value),
        ]

    def expected_interval(self, customers: Table, level: float = 0.95) -> pd.DataFrame:
        """Interval for the *expected* value of each customer: how well the parameters are known, and nothing else.

        It narrows as customers are added to the fit. What one customer really brings varies far more: `predict_interval`.

        Parameters
        ----------
        customers : table of shape (n_customers, at least 4)
            As for `predict`.
        level : float, default 0.95
            Coverage aimed for.

        Returns
        -------
        DataFrame of shape (n_customers, 3)
            expected (equal to `predict`), low, high; on the table's index.

        Notes
        -----
        Delta method on the logarithm of the value: its gradient in the logarithms of the parameters, by central
        differences, with their covariance from the fit (Laplace) or from `bootstrap`.
        """
        value = self.predict(customers)
        gradient = self._gradient(customers, np.asarray(value, dtype=np.float64))
        wide = np.exp(
            normal_quantile(level) * np.sqrt(np.einsum("ij,jk,ik->i", gradient, self._log_covariance(), gradient))
        )
        return pd.DataFrame({"expected": value, "low": value / wide, "high": value * wide})

    def predict_interval(self, customers: Table, level: float = 0.8, n_draws: int = 400, seed: int = 0) -> pd.DataFrame:
        """Interval for the *realised* value of each customer: what they may really bring, chance included.

        Where bringing nothing is more likely than the share left out below, ``low`` is 0 and all that is left out is above.

        Parameters
        ----------
        customers : table of shape (n_customers, at least 4)
            As for `predict`.
        level : float, default 0.8
            Coverage aimed for; more where bringing nothing is already more likely than that.
        n_draws : int, default 400
            Futures drawn, each with parameters of its own.
        seed : int, default 0
            The same seed gives the same intervals.

        Returns
        -------
        DataFrame of shape (n_customers, 3)
            expected (equal to `predict`), low, high; on the table's index.

        Raises
        ------
        ModelError
            The horizon is infinite.
        """
        value, tail = self.predict(customers), (1 - checked_level(level)) / 2
        parts = [bounds(drawn, tail, level) for drawn in self._futures(customers, n_draws, seed)]
        low, high = np.concatenate(parts, axis=1) if parts else np.empty((2, 0))
        return pd.DataFrame({"expected": value, "low": low, "high": high}, index=value.index)

    def cohort(
        self,
        customers: Table,
        level: float = 0.95,
        n_draws: int = 400,
        seed: int = 0,
        past: PastTotals | None = None,
    ) -> CohortValue:
        """What all customers of a table are worth together, with intervals.

        Parameters
        ----------
        customers : table of shape (n_customers, at least 4)
            As for `predict`.
        level : float, default 0.95
            Coverage aimed for.
        n_draws, seed : int
            Futures drawn for the realised value, and where they start; 0 draws leave it out.
        past : PastTotals, optional
            Forecasts of past origins, from `past_totals`: what the overall level is judged by.

        Returns
        -------
        CohortValue
        """
        value: Floats = np.asarray(self.predict(customers), dtype=np.float64)
        total, slope = float(value.sum()), value @ self._gradient(customers, value)
        wide = np.exp(normal_quantile(level) * np.sqrt(slope @ self._log_covariance() @ slope) / (total or 1.0))
        realised = None
        if n_draws and self.horizon != math.inf:
            totals = sum((part.sum(axis=1) for part in self._futures(customers, n_draws, seed)), np.zeros(n_draws))
            found = level_of(past, self.horizon)
            totals = totals * found.draws(n_draws, np.random.default_rng(seed))
            low, high = np.quantile(totals, [(1 - level) / 2, (1 + level) / 2])
            realised = Interval(total * math.exp(found.centre), float(low), float(high))
        once = read_columns(customers, ("frequency",), {})[0] == 0
        spend = np.asarray(self.spend_.expected_value(customers), dtype=np.float64)
        return CohortValue(
            expected=Interval(total, float(total / wide), float(total * wide)),
            realised=realised,
            level=level,
            n_customers=len(value),
            n_one_time=int(once.sum()),
            value_one_time=float(value[once].sum()),
            spend_one_time=float(spend[once].mean()) if once.any() else 0.0,
            past=past,
            note=dependence_note(self.spend_dependence_, isinstance(self.spend_, GammaGammaTrend)),
        )

    def bootstrap(self, customers: Table, n: int = 50, seed: int = 0) -> Self:
        """A copy whose intervals rest on a parametric bootstrap: simulate as many customers, refit, and see what varies.

        Parameters
        ----------
        customers : table
            The one this was fitted on: its T, one row per customer.
        n : int, default 50
            Simulated tables; at least 2 times the number of parameters is wise.
        seed : int, default 0

        Returns
        -------
        CustomerLifetimeValue
            Fitted; ``log_covariance_`` holds the covariance of the refits.

        Raises
        ------
        ModelError
            In less than half of the tables the refit stood on the data alone.
        """
        self._check_fitted()
        again = copy.copy(self)
        again.log_covariance_ = resampled_covariance(self._parts(), customers, n, seed)
        return again

    # -- Parameters and what follows from them

    def _parts(self) -> Parts:
        return self.purchases_, self.spend_

    def _log_covariance(self) -> Floats:
        return log_covariance(self._parts()) if self.log_covariance_ is None else self.log_covariance_

    def _at(self, logs: Floats) -> CustomerLifetimeValue:
        return self._with(moved(self._parts(), logs))

    def _with(self, parts: Parts) -> CustomerLifetimeValue:
        there = copy.copy(self)
        there.purchases_, there.spend_ = parts
        return there

    def _gradient(self, customers: Table, value: Floats) -> Floats:
        """Slope of the logarithm of each value along the logarithm of each parameter; (n_customers, n_parameters)."""

        def purchases(parts: Parts) -> Floats:
            return np.asarray(self._with(parts).purchases_ahead(customers), dtype=np.float64)

        def spend(parts: Parts) -> Floats:
            return np.asarray(parts[1].expected_value(customers), dtype=np.float64)

        return log_gradient(self._parts(), (purchases, spend)) * (value > 0)[:, None]

    def _futures(self, customers: Table, n_draws: int, seed: int) -> Iterator[Floats]:
        if self.horizon == math.inf:
            raise ModelError("Realised value is simulated up to a finite horizon; this model's horizon is infinite.")
        terms = Terms(self.horizon, self.annual_discount, self.margin)
        names = list(self.feature_names_in_)
        frame = customers if isinstance(customers, pd.DataFrame) else pd.DataFrame({n: customers[n] for n in names})
        return futures(self._parts(), self._log_covariance(), frame, terms, n_draws, seed)
