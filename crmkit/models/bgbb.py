"""BG/BB: customers who can buy only at given opportunities, such as a yearly appeal or a monthly delivery."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from crmkit._types import Bools, Floats
from crmkit.exceptions import ModelError
from crmkit.models import _bgbb_math as formulas
from crmkit.models._bgnbd_math import Likelihood
from crmkit.models._columns import DAYS_PER_YEAR, PURCHASE_RULES, Rules, check_number
from crmkit.models._value_math import Future
from crmkit.models.purchase_model import PurchaseModel

_MOST = 100_000
_RULES: Rules = PURCHASE_RULES | {
    f"T is a whole number of opportunities, {_MOST:,} at most": lambda c: (
        (c["T"] == np.floor(c["T"])) & (c["T"] <= _MOST)
    ),
    "recency is a whole number, the opportunity last taken": lambda c: c["recency"] == np.floor(c["recency"]),
    "frequency is not above recency": lambda c: ~(c["frequency"] > c["recency"]),
}


class BGBB(PurchaseModel):
    """The BG/BB model: at each opportunity a living customer buys or not, and before each may drop out for good.

    Chances of buying vary between customers as Beta(alpha, beta), chances of dropping out as Beta(gamma, delta). Tables
    have one row per customer: ``T`` (how many opportunities there were after the first purchase), ``frequency`` (at how
    many of them the customer bought) and ``recency`` (the number of the last of these, 0 where there is none). Horizons
    count opportunities, and so are whole numbers; alive means alive for the next opportunity.

    Parameters
    ----------
    opportunities_per_year : float, default 1.0
        12 for monthly ones. An annual discount d makes a purchase at the next opportunity worth (1 + d)^(-1/12) then;
        with the default the discount is per opportunity.

    Attributes
    ----------
    params_, standard_errors_ : dict of float
        ``alpha``, ``beta``, ``gamma``, ``delta``, and their standard errors.
    covariance_ : ndarray of shape (4, 4)
        In the order of ``params_``; inverse Hessian in the logarithms, by the delta method.
    log_likelihood_, aic_ : float
        Of all customers, nothing dropped.
    n_customers_ : int
    feature_names_in_ : ndarray of str
    prior_used_ : bool
        The likelihood had no usable maximum, so a weak prior took over, with a CrmkitWarning: each parameter log-normal
        with median 1 and log standard deviation 2 (95 % between 0.02 and 50).
    converged_ : bool
        The gradient per customer is at most 1e-8 at the parameters; if not, a CrmkitWarning says so.

    References
    ----------
    Fader, Hardie & Shang (2010), "Customer-base analysis in a discrete-time noncontractual setting", Marketing Science
    29(6), 1086-1108.

    Examples
    --------
    The paper's 11,104 donors over six yearly appeals:

    >>> import pandas as pd
    >>> from crmkit.models import BGBB
    >>> donors = pd.DataFrame(
    ...     {"frequency": [0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 5, 5, 6],
    ...      "recency": [0, 1, 2, 3, 4, 5, 6, 2, 3, 4, 5, 6, 3, 4, 5, 6, 4, 5, 6, 5, 6, 6], "T": 6}
    ... )
    >>> number = [3464, 1091, 277, 129, 78, 119, 129, 613, 255, 155, 173, 234, 322, 181, 225, 357, 240, 284, 512, 335, 728, 1203]
    >>> model = BGBB().fit(donors, sample_weight=number)
    >>> {name: round(value, 3) for name, value in model.params_.items()}
    {'alpha': 1.204, 'beta': 0.75, 'gamma': 0.657, 'delta': 2.783}
    >>> model.probability_alive(donors).iloc[[0, 17, 21]].round(2).tolist()
    [0.11, 0.7, 0.93]
    >>> model.expected_purchases(donors, horizon=5).iloc[[0, 17, 21]].round(2).tolist()
    [0.07, 2.03, 3.75]
    """

    label: ClassVar[str] = "BG/BB"
    dropout: ClassVar[str] = "before any opportunity"
    lifetimes_name: ClassVar[str | None] = "BetaGeoBetaBinomFitter"
    _parameters: ClassVar[tuple[str, ...]] = ("alpha", "beta", "gamma", "delta")
    _times: ClassVar[tuple[str, ...]] = ()
    _rules: ClassVar[Rules] = _RULES
    _start: ClassVar[tuple[float, ...]] = (0.0, 0.0, 0.0, 0.0)

    def __init__(self, opportunities_per_year: float = 1.0) -> None:
        self.opportunities_per_year = opportunities_per_year

    def _likelihood(self, *columns: Floats, count: Floats) -> Likelihood:
        x, t_x, n = columns
        return formulas.bgbb_likelihood(x, t_x, n, count)

    def _alive(self, *columns: Floats) -> Floats:
        x, t_x, n = columns
        return formulas.bgbb_alive(**self.params_, x=x, t_x=t_x, n=n)

    def _purchases(self, *state: Floats, horizon: float) -> Floats:
        x, n = state
        return formulas.bgbb_purchases(**self.params_, x=x, n=n, horizon=_whole("horizon", horizon))

    def _discounted(self, *state: Floats, horizon: float, delta: float) -> Floats:
        x, n = state
        discount = self._per_opportunity(delta)
        if math.isinf(horizon):
            return formulas.bgbb_residual_purchases(**self.params_, x=x, n=n, discount=discount)
        horizon = _whole("horizon", horizon)
        return formulas.bgbb_purchases(**self.params_, x=x, n=n, horizon=horizon, discount=discount)

    def _no_purchase(self, *state: Floats, horizon: float) -> Floats:
        x, n = state
        return formulas.bgbb_no_purchase(**self.params_, x=x, n=n, horizon=_whole("horizon", horizon))

    def _future(self, rng: np.random.Generator, *columns: Floats, horizon: float, delta: float) -> Future:
        x, _, n = columns
        alpha, beta, gamma, delta_ = self.params_.values()
        chances = rng.beta(alpha + x, beta + n - x), rng.beta(gamma, delta_ + n + 1)
        opportunities = _whole("horizon", horizon)
        return formulas.take_opportunities(rng, *chances, opportunities, self._per_opportunity(delta))

    def _probability_of(self, n: Floats, horizon: float) -> Floats:
        return formulas.bgbb_probability_of(**self.params_, n=n, opportunities=_whole("horizon", horizon))

    def _simulate(self, rng: np.random.Generator, until: Floats) -> tuple[Floats, Floats, Floats, Bools]:
        if not (until == np.floor(until)).all():
            raise ModelError("until must be whole numbers of opportunities.")
        alpha, beta, gamma, delta = self.params_.values()
        buys, drops = rng.beta(alpha, beta, len(until)), rng.beta(gamma, delta, len(until))
        return formulas.simulate_opportunities(rng, until, buys, drops)

    def _per_opportunity(self, delta: float) -> float:
        """The rate of discount per opportunity, of one per day."""
        return delta * DAYS_PER_YEAR / _per_year(self.opportunities_per_year)


def _whole(name: str, value: float) -> int:
    if value != math.floor(value) or value > _MOST:
        raise ModelError(
            f"{name} counts opportunities here, so it must be a whole number, {_MOST:,} at most; it is {value!r}."
        )
    return int(value)


def _per_year(value: float) -> float:
    if not check_number("opportunities_per_year", value) > 0:
        raise ModelError(f"opportunities_per_year must be above 0; it is {value!r}.")
    return value
