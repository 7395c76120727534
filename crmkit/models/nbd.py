"""NBD: the baseline in which no customer ever drops out."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from crmkit._types import Bools, Floats
from crmkit.models import _bgnbd_math as formulas
from crmkit.models._bgnbd_math import Likelihood
from crmkit.models._columns import RATE_RULES, Rules
from crmkit.models._value_math import Future, stop_at_any_time
from crmkit.models.purchase_model import PurchaseModel


class NBD(PurchaseModel):
    """The NBD model: purchases at a steady personal rate for ever. What dropout adds is measured against it.

    Rates vary between customers as Gamma(r, alpha). Tables have one row per customer: ``frequency`` (repeat purchase
    days) and ``T`` (days from first purchase to the end of observation). The fit does not depend on the unit of time;
    horizons are in the same unit.

    Attributes
    ----------
    params_, standard_errors_ : dict of float
        ``r``, ``alpha`` (a time), and their standard errors.
    covariance_ : ndarray of shape (2, 2)
        In the order of ``params_``; inverse Hessian in the logarithms, by the delta method.
    log_likelihood_, aic_ : float
        Of the times of all purchases, in the table's unit of time: comparable with the models that know dropout.
    n_customers_ : int
    feature_names_in_ : ndarray of str
    prior_used_, converged_, training_ : bool, bool, dict
        As in `BGNBD`.

    References
    ----------
    Ehrenberg (1959), "The pattern of consumer purchases", Applied Statistics 8(1), 26-41.

    Examples
    --------
    >>> import pandas as pd
    >>> from crmkit.models import NBD
    >>> table = pd.DataFrame({"frequency": [0, 1, 2, 9], "T": 39})
    >>> model = NBD().fit(table, sample_weight=[300, 80, 20, 8])
    >>> model.expected_purchases(table, horizon=39).round(2).tolist()
    [0.19, 0.78, 1.37, 5.5]
    """

    label: ClassVar[str] = "NBD"
    dropout: ClassVar[str] = "never"
    _parameters: ClassVar[tuple[str, ...]] = ("r", "alpha")
    _columns: ClassVar[tuple[str, ...]] = ("frequency", "T")
    _rules: ClassVar[Rules] = RATE_RULES
    _start: ClassVar[tuple[float, ...]] = (0.0, 0.0)

    def _likelihood(self, *columns: Floats, count: Floats) -> Likelihood:
        x, T = columns
        return formulas.nbd_likelihood(x, T, count)

    def _alive(self, *columns: Floats) -> Floats:
        return np.ones(len(columns[0]))

    def _purchases(self, *state: Floats, horizon: float) -> Floats:
        return self._rate(*state) * horizon

    def _discounted(self, *state: Floats, horizon: float, delta: float) -> Floats:
        present_value = -np.expm1(-delta * horizon) / delta if delta > 0 else horizon
        return self._rate(*state) * present_value

    def _no_purchase(self, *state: Floats, horizon: float) -> Floats:
        x, T = state
        return formulas.nbd_no_purchase(**self.params_, x=x, T=T, horizon=horizon)

    def _future(self, rng: np.random.Generator, *columns: Floats, horizon: float, delta: float) -> Future:
        x, T = columns
        return stop_at_any_time(rng, (self.params_["r"], self.params_["alpha"]), None, (x, T), (horizon, delta))

    def _probability_of(self, n: Floats, horizon: float) -> Floats:
        return formulas.nbd_probability_of(**self.params_, n=n, t=horizon)

    def _simulate(self, rng: np.random.Generator, until: Floats) -> tuple[Floats, Floats, Floats, Bools]:
        rate = rng.gamma(self.params_["r"], 1 / self.params_["alpha"], len(until))
        return formulas.simulate_purchases(rng, until, rate)

    def _rate(self, x: Floats, T: Floats) -> Floats:
        """The mean of Gamma(r + x, alpha + T)."""
        rate: Floats = (self.params_["r"] + x) / (self.params_["alpha"] + T)
        return rate
