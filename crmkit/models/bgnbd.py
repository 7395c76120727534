"""BG/NBD: how many customers are still alive, and how much each will buy."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from crmkit._types import Bools, Floats
from crmkit.models import _bgnbd_math as formulas
from crmkit.models._bgnbd_math import Likelihood
from crmkit.models._covariates import CovariateModel, Terms
from crmkit.models._value_math import Future, stop_after_purchase


class BetaGeometric(CovariateModel):
    """What BG/NBD and MBG/NBD share: everything but whether a coin is tossed after the first purchase."""

    _parameters: ClassVar[tuple[str, ...]] = ("r", "alpha", "a", "b")
    _start: ClassVar[tuple[float, ...]] = (0.0, -1.0, 0.0, 1.0)
    _moves: ClassVar[dict[str, tuple[str, int]]] = {"rate": ("alpha", -1), "dropout": ("a", 1)}
    _first_coin: ClassVar[int]

    def _terms(self, x: Floats, t_x: Floats, T: Floats) -> Terms:
        return formulas.bgnbd_terms(x, t_x, T, self._first_coin)

    def _likelihood(self, *columns: Floats, count: Floats) -> Likelihood:
        if self._coefficients:
            return super()._likelihood(*columns, count=count)
        x, t_x, T = columns
        return formulas.bgnbd_likelihood(x, t_x, T, count, self._first_coin)

    def _alive(self, *columns: Floats) -> Floats:
        x, *z, t_x, T = columns
        return formulas.bgnbd_alive(**self._at(z), x=x, t_x=t_x, T=T, first_coin=self._first_coin)

    def _purchases(self, *state: Floats, horizon: float) -> Floats:
        x, *z, T = state
        return formulas.bgnbd_purchases(**self._at(z), x=x, T=T, horizon=horizon, first_coin=self._first_coin)

    def _discounted(self, *state: Floats, horizon: float, delta: float) -> Floats:
        x, *z, T = state
        return formulas.bgnbd_discounted_purchases(
            **self._at(z), x=x, T=T, horizon=horizon, delta=delta, first_coin=self._first_coin
        )

    def _no_purchase(self, *state: Floats, horizon: float) -> Floats:
        x, *z, T = state
        params = self._at(z)
        return formulas.nbd_no_purchase(params["r"], params["alpha"], x, T, horizon)

    def _future(self, rng: np.random.Generator, *columns: Floats, horizon: float, delta: float) -> Future:
        x, *z, t_x, T = columns
        r, alpha, a, b = self._at(z).values()
        dropout = (a, b + x + self._first_coin)
        return stop_after_purchase(rng, (r, alpha), dropout, 1, (x, t_x, T), (horizon, delta))

    def _probability_of(self, n: Floats, horizon: float) -> Floats:
        return formulas.bgnbd_probability_of(**self._at([]), n=n, t=horizon, first_coin=self._first_coin)

    def _simulate(self, rng: np.random.Generator, until: Floats) -> tuple[Floats, Floats, Floats, Bools]:
        r, alpha, a, b = self._at([]).values()
        rate, dropout = rng.gamma(r, 1 / alpha, len(until)), rng.beta(a, b, len(until))
        return formulas.simulate_purchases(rng, until, rate, dropout, first_coin=bool(self._first_coin))


class BGNBD(BetaGeometric):
    """The BG/NBD model: purchases at a steady personal rate until, after some purchase, the customer drops out.

    Rates vary between customers as Gamma(r, alpha), dropout probabilities as Beta(a, b). Tables have one row per
    customer: ``frequency`` (repeat purchase days), ``recency`` (days from first to last purchase) and ``T`` (days from
    first purchase to the end of observation). The fit does not depend on the unit of time; horizons are in the same unit.

    Parameters
    ----------
    rate_covariates : sequence of str, default ()
        Columns of numbers, known at the first purchase, that move the purchase rate: a customer's alpha is alpha ·
        e^(-z'coefficients), so the mean rate r / alpha rises by e^coefficient per unit.
    dropout_covariates : sequence of str, default ()
        The same for dropout: a · e^(z'coefficients), so the odds a : b of dropping out rise by e^coefficient per unit.

    Attributes
    ----------
    params_, standard_errors_ : dict of float
        ``r``, ``alpha`` (a time), ``a``, ``b``, of customers whose covariates are 0, and their standard errors; then
        coefficients as ``rate_…`` and ``dropout_…`` with the column's name.
    covariance_ : ndarray of shape (n_params, n_params)
        In the order of ``params_``; inverse Hessian in the logarithms, by the delta method.
    log_likelihood_, aic_ : float
        Of all customers, in the table's unit of time, nothing dropped.
    n_customers_ : int
    feature_names_in_ : ndarray of str
    prior_used_ : bool
        The likelihood had no usable maximum, so a weak prior took over, with a CrmkitWarning: r, a, b and alpha / max(T)
        each log-normal with median 1 and log standard deviation 2 (95 % between 0.02 and 50), coefficients of
        standardised covariates normal with mean 0 and standard deviation 2.
    converged_ : bool
        The gradient of the (penalised) log-likelihood by the parameters' logarithms is at most 1e-8 per customer. If not,
        and no prior took over, a CrmkitWarning said so.
    training_ : dict
        What is known of the training: n_customers, n_cells (distinct rows), columns, cells_sha256 (of these rows and
        their counts, in whatever order they came) and the versions that fitted. It is saved with the model; add what
        else should be, such as a window or metrics, as text, numbers, lists and dicts.

    References
    ----------
    Fader, Hardie & Lee (2005), "Counting your customers the easy way: an alternative to the Pareto/NBD model",
    Marketing Science 24(2), 275-284. Fader & Hardie (2007), "Incorporating time-invariant covariates into the Pareto/NBD
    and BG/NBD models", note 019; here dropout moves a alone.

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

    label: ClassVar[str] = "BG/NBD"
    dropout: ClassVar[str] = "after a repeat purchase"
    lifetimes_name: ClassVar[str | None] = "BetaGeoFitter"
    _first_coin: ClassVar[int] = 0
