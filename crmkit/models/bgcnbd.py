"""BG/CNBD-k and MBG/CNBD-k: for customers who buy more regularly than chance."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from crmkit._checks import require_columns
from crmkit._types import Bools, Floats, Table
from crmkit.exceptions import ModelError
from crmkit.models import _bgcnbd_math as formulas
from crmkit.models._base import Model
from crmkit.models._bgnbd_math import Likelihood, simulate_purchases
from crmkit.models._columns import PURCHASE_RULES, Rules, read_columns, read_weights
from crmkit.models._value_math import Future, stop_after_purchase
from crmkit.models.purchase_model import Cells, PurchaseModel

K_MOST = 24
_ROUNDING = 1e-6


class RegularModel(PurchaseModel):
    """What the two models of regular timing share: the choice of k, and formulas that differ by the first coin."""

    mean_columns: ClassVar[tuple[str, ...]] = ("sum_log_gap",)
    _parameters: ClassVar[tuple[str, ...]] = ("r", "alpha", "a", "b")
    _fitted: ClassVar[tuple[str, ...]] = (*Model._fitted, "k_", "k_log_likelihoods_")
    _state: ClassVar[tuple[str, ...]] = ("frequency", "recency", "T")
    _start: ClassVar[tuple[float, ...]] = (0.0, -1.0, 0.0, 1.0)
    _first_coin: ClassVar[int]

    def __init__(self, k: int | None = None) -> None:
        self.k = k

    def fit(self, customers: Table, y: None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Estimate k and the parameters by maximum likelihood, on the distinct rows of the table.

        Parameters
        ----------
        customers : table of shape (n_customers, at least 4)
            Columns frequency, recency, T and sum_log_gap (sum of the logarithms of the times between purchases).
        y : None
            Ignored; scikit-learn's convention.
        sample_weight : array of shape (n_customers,), optional
            How many customers each row stands for; sum_log_gap is then their mean.

        Raises
        ------
        ContractError
            Columns are missing, or rows make no sense; counted by kind.
        ModelError
            There are no customers, or ``k`` is not a whole number of 1 to 24.

        Warns
        -----
        CrmkitWarning
            The data alone do not identify the model, the maximum was not reached, or k ran into its upper end.
        """
        self._check_k()
        *columns, gaps = _read_gaps(customers)
        weight = read_weights(sample_weight, len(gaps))
        cells = self._cells(columns, sample_weight)
        log_gaps = float(np.sum(gaps if weight is None else gaps * weight)) - cells.purchases * np.log(cells.scale)
        self.k_, path = self._choose_k(cells, log_gaps)
        best = self._maximise(cells)
        value = best.value + formulas.gaps_likelihood(self.k_, cells.purchases, log_gaps)
        in_units = cells.purchases * np.log(cells.scale)
        self.k_log_likelihoods_ = np.array(path or [value]) - in_units
        self._keep_fit(cells, best, value - in_units)
        return self

    def _set(self, values: dict[str, float], covariance: ArrayLike | None) -> None:
        self._check_k()
        if self.k is None:
            raise ModelError(f"A {self.label} model of given parameters needs its k, a whole number of 1 to {K_MOST}.")
        super()._set(values, covariance)
        self.k_, self.k_log_likelihoods_ = int(self.k), np.array([])

    def _check_k(self) -> None:
        if self.k is not None and not (isinstance(self.k, int | np.integer) and 1 <= self.k <= K_MOST):
            raise ModelError(f"k must be a whole number of 1 to {K_MOST}, or None to estimate it; it is {self.k!r}.")

    def _choose_k(self, cells: Cells, log_gaps: float) -> tuple[int, list[float]]:
        """The k of the highest likelihood, climbing from 1 to the first fall, and the likelihoods on the way."""
        if self.k is not None or not cells.purchases:
            return int(self.k or 1), []
        path: list[float] = []
        while len(path) < K_MOST and (len(path) < 2 or path[-1] > path[-2]):
            self.k_ = len(path) + 1
            best, _ = self._climb(cells)
            path.append(best.value + formulas.gaps_likelihood(self.k_, cells.purchases, log_gaps))
        if int(np.argmax(path)) + 1 == K_MOST:
            self._warn(
                f"the likelihood still rises at k = {K_MOST}, where the search ends: purchases come at almost fixed "
                "intervals. Check whether they are real purchases or automatic renewals."
            )
        return int(np.argmax(path)) + 1, path

    def _likelihood(self, *columns: Floats, count: Floats) -> Likelihood:
        x, t_x, T = columns
        return formulas.regular_likelihood(self.k_, x, t_x, T, count, self._first_coin)

    def _alive(self, *columns: Floats) -> Floats:
        x, t_x, T = columns
        return formulas.regular_alive(**self.params_, k=self.k_, x=x, t_x=t_x, T=T, first_coin=self._first_coin)

    def _purchases(self, *state: Floats, horizon: float) -> Floats:
        x, t_x, T = state
        return formulas.regular_purchases(
            **self.params_, k=self.k_, x=x, t_x=t_x, T=T, horizon=horizon, first_coin=self._first_coin
        )

    def _discounted(self, *state: Floats, horizon: float, delta: float) -> Floats:
        x, t_x, T = state
        return formulas.regular_discounted_purchases(
            **self.params_, k=self.k_, x=x, t_x=t_x, T=T, horizon=horizon, delta=delta, first_coin=self._first_coin
        )

    def _no_purchase(self, *state: Floats, horizon: float) -> Floats:
        x, t_x, T = state
        return formulas.regular_no_purchase(self.params_["r"], self.params_["alpha"], self.k_, x, t_x, T, horizon)

    def _future(self, rng: np.random.Generator, *columns: Floats, horizon: float, delta: float) -> Future:
        x, t_x, T = columns
        r, alpha, a, b = self.params_.values()
        dropout = (a, b + x + self._first_coin)
        return stop_after_purchase(rng, (r, alpha), dropout, self.k_, (x, t_x, T), (horizon, delta))

    def _probability_of(self, n: Floats, horizon: float) -> Floats:
        return formulas.regular_probability_of(**self.params_, k=self.k_, n=n, t=horizon, first_coin=self._first_coin)

    def _simulate(self, rng: np.random.Generator, until: Floats) -> tuple[Floats, Floats, Floats, Bools]:
        r, alpha, a, b = self.params_.values()
        rate, dropout = rng.gamma(r, 1 / alpha, len(until)), rng.beta(a, b, len(until))
        return simulate_purchases(rng, until, rate, dropout, k=self.k_, first_coin=bool(self._first_coin))


class BGCNBD(RegularModel):
    """The BG/CNBD-k model: like `BGNBD`, but the times between purchases are Erlang-k, more regular than chance.

    Each gap has k stages at the customer's own rate, which varies between customers as Gamma(r, alpha); dropout
    probabilities vary as Beta(a, b). k = 1 is the BG/NBD model; weekly shoppers come out at 2 to 4. A late purchase
    then says more: a customer overdue by their own rhythm has more probably dropped out. Tables have one row per customer:
    ``frequency``, ``recency``, ``T`` as for `BGNBD` and, for the fit alone, ``sum_log_gap`` (sum of the logarithms of the
    times between purchases, in the same unit), all from ``btyd_summary``.

    Parameters
    ----------
    k : int, optional
        Whole number, 1 to 24; None estimates it.

    Attributes
    ----------
    k_ : int
        Given, or the one of the highest likelihood: k = 1, 2, … as far as the first fall.
    k_log_likelihoods_ : ndarray
        Log-likelihood at each k tried, 1, 2, …; of the one k, if it was given.
    params_, standard_errors_ : dict of float
        ``r``, ``alpha`` (a time), ``a``, ``b``, and their standard errors at ``k_``. The mean gap is about k·alpha / r.
    covariance_ : ndarray of shape (4, 4)
        In the order of ``params_``; inverse Hessian in the logarithms, by the delta method.
    log_likelihood_, aic_ : float
        Of all customers and gaps, in the table's unit of time, nothing dropped: comparable with `BGNBD`. k is not
        counted in ``aic_``.
    n_customers_ : int
    feature_names_in_ : ndarray of str
        The columns an answer needs: sum_log_gap is not among them.
    prior_used_, converged_, training_ : bool, bool, dict
        As in `BGNBD`.

    References
    ----------
    Reutterer, Platzer & Schröder (2021), "Leveraging purchase regularity for predicting customer behavior the easy
    way", International Journal of Research in Marketing 38(1), 194-215. The expectations here are exact where theirs
    are approximate.

    Examples
    --------
    >>> import pandas as pd
    >>> from crmkit.models import BGCNBD
    >>> table = pd.DataFrame({"frequency": [0, 1, 2, 3, 6, 9], "recency": [0, 5, 30, 20, 38, 37], "T": 39,
    ...     "sum_log_gap": [0, 1.6, 5.0, 5.2, 9.0, 10.5]})
    >>> model = BGCNBD().fit(table, sample_weight=[100, 40, 20, 15, 8, 8])
    >>> model.k_, model.k_log_likelihoods_.round(1).tolist()
    (2, [-981.3, -970.4, -987.2])
    >>> model.probability_alive(table).round(2).tolist()
    [1.0, 0.08, 0.81, 0.49, 0.96, 0.97]
    """

    label: ClassVar[str] = "BG/CNBD-k"
    dropout: ClassVar[str] = "after a repeat purchase"
    _first_coin: ClassVar[int] = 0


class MBGCNBD(RegularModel):
    """The MBG/CNBD-k model: regular times between purchases, and the first purchase may have been the last.

    `BGCNBD` with a coin after the first purchase too, as `MBGNBD` is to `BGNBD`; k = 1 is `MBGNBD`. It needs the same
    columns, takes the same parameter and keeps the same attributes.

    Parameters
    ----------
    k : int, optional
        Whole number, 1 to 24; None estimates it.

    Attributes
    ----------
    k_ : int
    k_log_likelihoods_ : ndarray
    params_, standard_errors_ : dict of float
    covariance_ : ndarray of shape (4, 4)
    log_likelihood_, aic_ : float
    n_customers_ : int
    feature_names_in_ : ndarray of str
    prior_used_, converged_, training_ : bool, bool, dict
        All as in `BGCNBD`.

    References
    ----------
    Reutterer, Platzer & Schröder (2021), "Leveraging purchase regularity for predicting customer behavior the easy
    way", International Journal of Research in Marketing 38(1), 194-215.

    Examples
    --------
    >>> import pandas as pd
    >>> from crmkit.models import MBGCNBD
    >>> table = pd.DataFrame({"frequency": [0, 1, 2, 3, 6, 9], "recency": [0, 5, 30, 20, 38, 37], "T": 39,
    ...     "sum_log_gap": [0, 1.6, 5.0, 5.2, 9.0, 10.5]})
    >>> model = MBGCNBD().fit(table, sample_weight=[100, 40, 20, 15, 8, 8])
    >>> model.probability_alive(table).round(2).tolist()
    [0.01, 0.01, 0.58, 0.17, 0.87, 0.89]
    """

    label: ClassVar[str] = "MBG/CNBD-k"
    dropout: ClassVar[str] = "after any purchase"
    _first_coin: ClassVar[int] = 1


_GAP_RULES: Rules = PURCHASE_RULES | {
    "sum_log_gap is a finite number, 0 where frequency is 0": lambda c: (
        np.isfinite(c["sum_log_gap"]) & ((c["frequency"] > 0) | (c["sum_log_gap"] == 0))
    ),
    "sum_log_gap is at most frequency × log(recency / frequency), as it is in recency's unit of time": lambda c: (
        ~(c["sum_log_gap"] > _equal_gaps(c["frequency"], c["recency"]) + _ROUNDING * (1 + c["frequency"]))
    ),
}


def _equal_gaps(x: Floats, t_x: Floats) -> Floats:
    """The largest sum of logarithms that x gaps with sum t_x can have."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(x > 0, x * np.log(t_x / x), 0.0)


def _read_gaps(customers: Table) -> list[Floats]:
    why = (
        "Regular timing is learnt from the sum of the logarithms of the days between purchases, which btyd_summary(log) "
        "gives; make the table with it, or use BGNBD or MBGNBD, which do without."
    )
    require_columns(customers, ["sum_log_gap"], advice=why)
    return read_columns(customers, ("frequency", "recency", "T", "sum_log_gap"), _GAP_RULES)
