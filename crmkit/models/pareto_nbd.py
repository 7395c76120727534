"""Pareto/NBD: how many customers are still there, and how much each will buy, when they may leave at any moment."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from crmkit._types import Bools, Floats
from crmkit.models import _pareto_math as formulas
from crmkit.models._bgnbd_math import simulate_purchases
from crmkit.models._covariates import CovariateModel, Terms
from crmkit.models._value_math import Future, stop_at_any_time


class ParetoNBD(CovariateModel):
    """The Pareto/NBD model: purchases at a steady personal rate until, at some unseen moment, the customer drops out.

    Purchase rates vary between customers as Gamma(r, alpha), drop-out rates as Gamma(s, beta). Unlike the BG/NBD it
    doubts customers who have not come back at all. Tables have one row per customer: ``frequency`` (repeat purchase
    days), ``recency`` (days from first to last purchase) and ``T`` (days from first purchase to the end of observation),
    and the covariates. The fit does not depend on the unit of time; horizons are in the same unit.

    Parameters
    ----------
    rate_covariates : sequence of str, default ()
        Columns of numbers, known at the first purchase, that move the purchase rate: a customer's alpha is alpha ·
        e^(-z'coefficients), so the mean rate r / alpha rises by e^coefficient per unit.
    dropout_covariates : sequence of str, default ()
        The same for the drop-out rate: beta · e^(-z'coefficients).

    Attributes
    ----------
    params_, standard_errors_ : dict of float
        ``r``, ``alpha`` (a time), ``s``, ``beta`` (a time), of customers whose covariates are 0, and their standard
        errors; then coefficients as ``rate_…`` and ``dropout_…`` with the column's name.
    covariance_ : ndarray of shape (n_params, n_params)
        In the order of ``params_``; inverse Hessian in the logarithms, by the delta method.
    log_likelihood_, aic_ : float
        Of all customers, in the table's unit of time, nothing dropped.
    n_customers_ : int
    feature_names_in_ : ndarray of str
    prior_used_ : bool
        The likelihood had no usable maximum, so a weak prior took over, with a CrmkitWarning: r, s, alpha / max(T) and
        beta / max(T) each log-normal with median 1 and log standard deviation 2 (95 % between 0.02 and 50), coefficients
        of standardised covariates normal with mean 0 and standard deviation 2.
    converged_ : bool
        The gradient per customer is at most 1e-8 at the parameters; if not, a CrmkitWarning says so.

    Notes
    -----
    Covariates that change over time (a campaign, a season) would be a next step: the rate is then constant only between
    changes, so a customer's story becomes one row per stretch, the exponents (alpha + y) and (beta + y) become sums of
    stretches times e^(z'coefficients), and the integral over the moment of drop-out a sum of one integral of the same
    kind per stretch (Bachmann, Meierer & Näf 2021, "The role of time-varying contextual factors in latent attrition
    models"). `decay` serves each stretch; what is missing is a table of stretches, and rows that no longer coincide.

    References
    ----------
    Schmittlein, Morrison & Colombo (1987), "Counting your customers: who are they and what will they do next?",
    Management Science 33(1), 1-24. Fader & Hardie (2005), "A note on deriving the Pareto/NBD model and related
    expressions". Fader & Hardie (2007), "Incorporating time-invariant covariates into the Pareto/NBD and BG/NBD models".

    Examples
    --------
    A small table in weeks, and customer 1516 of the CDNOW sample at its published parameters:

    >>> import pandas as pd
    >>> from crmkit.models import ParetoNBD
    >>> table = pd.DataFrame(
    ...     {"frequency": [0, 1, 1, 2, 2, 3, 6, 9], "recency": [0, 5, 28, 15, 34, 30, 38, 37], "T": 39}
    ... )
    >>> model = ParetoNBD().fit(table, sample_weight=[300, 40, 20, 15, 10, 10, 5, 5])
    >>> {name: round(value, 2) for name, value in model.params_.items()}
    {'r': 0.45, 'alpha': 20.49, 's': 0.68, 'beta': 15.11}
    >>> model.params_ = {"r": 0.553, "alpha": 10.578, "s": 0.606, "beta": 11.669}
    >>> customer = pd.DataFrame({"frequency": [26], "recency": [216 / 7], "T": [31.0]})
    >>> model.expected_purchases(customer, horizon=52).round(2).tolist()
    [25.46]
    >>> model.probability_alive(customer).round(3).tolist()
    [0.998]
    """

    label: ClassVar[str] = "Pareto/NBD"
    dropout: ClassVar[str] = "at any time"
    lifetimes_name: ClassVar[str | None] = "ParetoNBDFitter"
    _parameters: ClassVar[tuple[str, ...]] = ("r", "alpha", "s", "beta")
    _times: ClassVar[tuple[str, ...]] = ("alpha", "beta")
    _start: ClassVar[tuple[float, ...]] = (-0.5, -1.0, -0.5, -1.0)

    def _terms(self, x: Floats, t_x: Floats, T: Floats) -> Terms:
        return formulas.pareto_terms(x, t_x, T)

    def _order(self, x: Floats, t_x: Floats, T: Floats) -> NDArray[np.intp]:
        return formulas.pareto_order(x, t_x, T)

    def _alive(self, *columns: Floats) -> Floats:
        x, *z, t_x, T = columns
        return formulas.pareto_alive(**self._at(z), x=x, t_x=t_x, T=T)

    def _purchases(self, *state: Floats, horizon: float) -> Floats:
        x, *z, T = state
        return formulas.pareto_purchases(**self._at(z), x=x, T=T, horizon=horizon)

    def _discounted(self, *state: Floats, horizon: float, delta: float) -> Floats:
        x, *z, T = state
        return formulas.pareto_discounted_purchases(**self._at(z), x=x, T=T, horizon=horizon, delta=delta)

    def _no_purchase(self, *state: Floats, horizon: float) -> Floats:
        x, *z, T = state
        return formulas.pareto_no_purchase(**self._at(z), x=x, T=T, horizon=horizon)

    def _future(self, rng: np.random.Generator, *columns: Floats, horizon: float, delta: float) -> Future:
        x, *z, _, T = columns
        r, alpha, s, beta = self._at(z).values()
        return stop_at_any_time(rng, (r, alpha), (s, beta), (x, T), (horizon, delta))

    def _probability_of(self, n: Floats, horizon: float) -> Floats:
        return formulas.pareto_probability_of(**self._at([]), n=n, t=horizon)

    def _simulate(self, rng: np.random.Generator, until: Floats) -> tuple[Floats, Floats, Floats, Bools]:
        r, alpha, s, beta = self._at([]).values()
        rate, dropout = rng.gamma(r, 1 / alpha, len(until)), rng.gamma(s, 1 / beta, len(until))
        ends = rng.exponential(1.0, len(until)) / np.maximum(dropout, 1e-300)
        return simulate_purchases(rng, until, rate, ends=ends)
