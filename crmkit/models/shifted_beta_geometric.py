"""Shifted beta-geometric: customers under contract, who renew or cancel at given times."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from crmkit._types import Floats, Table
from crmkit.exceptions import ModelError
from crmkit.models import _sbg_math as formulas
from crmkit.models._base import Model
from crmkit.models._bgnbd_math import PRIOR_SD, in_logs, maximise
from crmkit.models._columns import Rules, aligned, check_number, count_values, distinct, read_columns, read_weights

__all__ = ["ShiftedBetaGeometric"]

Answer = Callable[[Floats], Floats]

_COLUMNS = ("renewals", "cancelled")
_MOST = 10_000
_RULES: Rules = {
    "renewals is a whole number, 0 or more": lambda c: (
        np.isfinite(c["renewals"]) & (c["renewals"] >= 0) & (c["renewals"] == np.floor(c["renewals"]))
    ),
    "cancelled is 0 or 1": lambda c: np.isin(c["cancelled"], (0, 1)),
}


class ShiftedBetaGeometric(Model):
    """The shifted beta-geometric model: at each renewal a customer cancels with a personal, constant probability.

    Probabilities of cancelling vary between customers as Beta(alpha, beta), so the retention rate of a cohort rises with
    its age though nobody's own does: those likely to cancel have gone first. Tables have one row per customer: ``renewals``
    (how often the contract was renewed) and ``cancelled`` (whether it was cancelled at the renewal after these, true or 1;
    else the customer is active). Horizons count renewals.

    Parameters
    ----------
    renewals_per_year : float, default 1.0
        12 for monthly contracts. It turns an annual discount into one per renewal.

    Attributes
    ----------
    params_, standard_errors_ : dict of float
        ``alpha``, ``beta``, and their standard errors.
    covariance_ : ndarray of shape (2, 2)
        In the order of ``params_``; inverse Hessian in the logarithms, by the delta method.
    log_likelihood_, aic_ : float
    n_customers_ : int
    feature_names_in_ : ndarray of str
    prior_used_ : bool
        The likelihood had no usable maximum (nobody has cancelled, say), so a weak prior was used, with a CrmkitWarning:
        each parameter log-normal with median 1 and log standard deviation 2.
    converged_, training_ : bool, dict
        As in `BGNBD`.

    References
    ----------
    Fader & Hardie (2007), "How to project customer retention", Journal of Interactive Marketing 21(1), 76-90; (2010),
    "Customer-base valuation in a contractual setting: the perils of ignoring heterogeneity", Marketing Science 29(1), 85-93.

    Examples
    --------
    The paper's "High End" customers, of whom 1,000 signed up and 491 were left after seven years:

    >>> import pandas as pd
    >>> from crmkit.models import ShiftedBetaGeometric
    >>> left = [1000, 869, 743, 653, 593, 551, 517, 491]
    >>> table = pd.DataFrame({"renewals": [0, 1, 2, 3, 4, 5, 6, 7], "cancelled": [1] * 7 + [0]})
    >>> lost = [before - after for before, after in zip(left, left[1:])]
    >>> model = ShiftedBetaGeometric().fit(table, sample_weight=[*lost, left[-1]])
    >>> {name: round(value, 3) for name, value in model.params_.items()}
    {'alpha': 0.668, 'beta': 3.806}
    >>> model.survival([1, 7, 12]).round(3).tolist()
    [0.851, 0.489, 0.378]
    """

    label: ClassVar[str] = "shifted beta-geometric"
    _parameters: ClassVar[tuple[str, ...]] = ("alpha", "beta")

    def __init__(self, renewals_per_year: float = 1.0) -> None:
        self.renewals_per_year = renewals_per_year

    @property
    def cell_columns(self) -> tuple[str, ...]:
        """The columns in which customers must be equal to be one customer to the fit."""
        return _COLUMNS

    def fit(self, customers: Table, y: None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Estimate alpha and beta by maximum likelihood, on the distinct rows of the table.

        Parameters
        ----------
        customers : table of shape (n_customers, at least 2)
            Columns renewals and cancelled.
        y : None
            Ignored; scikit-learn's convention.
        sample_weight : array of shape (n_customers,), optional
            How many customers each row stands for.

        Raises
        ------
        ContractError
            Columns are missing, or rows make no sense; counted by kind.
        ModelError
            There are no customers, or no renewal has fallen due for any of them.
        """
        n, c = read_columns(customers, _COLUMNS, _RULES)
        weight = read_weights(sample_weight, len(n))
        cell, first = distinct(n, c)
        count = np.bincount(cell, weight, minlength=len(first)).astype(np.float64)
        n, c, count = n[first][count > 0], c[first][count > 0], count[count > 0]
        if not (count * (n + c)).sum() > 0:
            raise ModelError("No renewal has fallen due for any customer, so nothing can be learned about cancelling.")
        likelihood, total = formulas.sbg_likelihood(n, c, count), float(count.sum())
        best = maximise(likelihood, in_logs, np.zeros(2), total)
        self.prior_used_ = best.runaway is not None
        if best.runaway is not None:
            name = self._parameters[best.runaway]
            self._warn_prior(
                f"the likelihood keeps rising, or is flat, along {name}", "alpha and beta log-normal with median 1"
            )
            best = maximise(likelihood, in_logs, np.zeros(2), total, PRIOR_SD)
        self._remember(_COLUMNS, [n, c], count)
        self._keep(best, np.ones(2), best.value, total)
        self.feature_names_in_ = np.array(_COLUMNS, dtype=object)
        return self

    def retention_rate(self, renewals: ArrayLike) -> Floats:
        """Share of customers who renew once more, of those who have renewed so many times.

        Parameters
        ----------
        renewals : array of whole numbers

        Returns
        -------
        ndarray of the same shape
        """
        self._check_fitted()
        return formulas.sbg_retention(**self.params_, n=count_values(renewals))

    def survival(self, renewals: ArrayLike) -> Floats:
        """Share of new customers who renew at least so many times.

        Parameters
        ----------
        renewals : array of whole numbers

        Returns
        -------
        ndarray of the same shape
        """
        self._check_fitted()
        return formulas.sbg_survival(**self.params_, n=np.zeros(1), k=count_values(renewals))

    def probability_active(self, customers: Table, horizon: int) -> pd.Series[float]:
        """P(still active after so many more renewals) of each customer; 0 for those who have cancelled.

        Parameters
        ----------
        customers : table of shape (n_customers, at least 2)
        horizon : int

        Returns
        -------
        Series of shape (n_customers,)
        """
        k = np.array(float(_whole(horizon)))
        return self._of_active(customers, lambda n: formulas.sbg_survival(**self.params_, n=n, k=k), "p_active")

    def expected_renewals(self, customers: Table, horizon: int, annual_discount: float = 0.0) -> pd.Series[float]:
        """Renewals that each customer is expected to make at the next ``horizon`` opportunities.

        Parameters
        ----------
        customers : table of shape (n_customers, at least 2)
        horizon : int
            How many renewals fall due.
        annual_discount : float
            0.10 makes a renewal a year ahead worth 1 / 1.10.

        Returns
        -------
        Series of shape (n_customers,)
            0 for those who have cancelled. Times the money of a renewal it is what the customer is still worth.
        """
        ahead, discount = _whole(horizon), self._discount(annual_discount)
        return self._of_active(
            customers,
            lambda n: formulas.sbg_renewals(**self.params_, n=n, horizon=ahead, discount=discount),
            "expected_renewals",
        )

    def residual_renewals(self, customers: Table, annual_discount: float) -> pd.Series[float]:
        """All renewals to come of each customer, discounted, the next of them one period ahead.

        Parameters
        ----------
        customers : table of shape (n_customers, at least 2)
        annual_discount : float
            Above 0: without it the sum is infinite where alpha is at most 1.

        Returns
        -------
        Series of shape (n_customers,)
        """
        discount = self._discount(annual_discount)
        if not discount > 0:
            raise ModelError(
                "annual_discount must be above 0: undiscounted renewals over an endless future may be infinite."
            )
        return self._of_active(
            customers, lambda n: formulas.sbg_residual(**self.params_, n=n, discount=discount), "residual_renewals"
        )

    def _of_active(self, customers: Table, answer: Answer, name: str) -> pd.Series[float]:
        """An answer for each distinct number of renewals, given to the customers who are active; 0 to the others."""
        self._check_fitted()
        n, c = read_columns(customers, _COLUMNS, _RULES)
        levels, place = np.unique(n, return_inverse=True)
        answers = answer(levels) if len(levels) else levels
        return aligned(np.where(c == 1, 0.0, answers[place]), customers, name)

    def _discount(self, annual_discount: float) -> float:
        per_year = check_number("renewals_per_year", self.renewals_per_year)
        if not per_year > 0:
            raise ModelError(f"renewals_per_year must be above 0; it is {self.renewals_per_year!r}.")
        return math.log1p(check_number("annual_discount", annual_discount)) / per_year


def _whole(horizon: float) -> int:
    if horizon != math.floor(horizon) or not 0 <= horizon <= _MOST:
        raise ModelError(f"horizon counts renewals, so it must be a whole number, 0 to {_MOST:,}; it is {horizon!r}.")
    return int(horizon)
