"""The base of the purchase models: fit on distinct rows, expected purchases, what is alive, standard errors, simulation."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, NamedTuple, Self, overload

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from crmkit._types import Bools, Floats, Table
from crmkit.exceptions import ModelError
from crmkit.models._base import Model
from crmkit.models._bgnbd_math import PRIOR_SD, Likelihood, Maximum, in_logs, maximise
from crmkit.models._columns import (
    PURCHASE_RULES,
    Rules,
    aligned,
    check_number,
    count_values,
    distinct,
    duration_values,
    per_day,
    read_columns,
    read_weights,
)
from crmkit.models._value_math import Future


class Cells(NamedTuple):
    """Distinct customers and how many there are of each, in a unit of time in which the longest observed has T = 1."""

    columns: list[Floats]
    counts: Floats
    scale: float

    @property
    def n_customers(self) -> float:
        """Customers in all cells."""
        return float(self.counts.sum())

    @property
    def purchases(self) -> float:
        """Repeat purchases of all customers."""
        return float((self.counts * self.columns[0]).sum())


class PurchaseModel(Model):
    """The protocol of every model of purchases: reading, fitting and answering; a model brings its formulas on arrays.

    A subclass has a ``label``, says when customers drop out, names its parameters and the columns it reads, and gives
    its starting point and eight formulas: ``_likelihood``, ``_alive``, ``_purchases``, ``_discounted``, ``_no_purchase``,
    ``_probability_of``, ``_simulate`` and ``_future``. What lies ahead of a customer who is alive at T depends on the
    columns in ``_state`` alone, and is evaluated once for each of their distinct values.
    """

    dropout: ClassVar[str]
    """When a customer may drop out, in words."""

    _columns: ClassVar[tuple[str, ...]] = ("frequency", "recency", "T")
    _state: ClassVar[tuple[str, ...]] = ("frequency", "T")
    _rules: ClassVar[Rules] = PURCHASE_RULES
    _times: ClassVar[tuple[str, ...]] = ("alpha",)
    _start: ClassVar[tuple[float, ...]]

    @abstractmethod
    def _likelihood(self, *columns: Floats, count: Floats) -> Likelihood:
        """The log-likelihood and gradient of the distinct rows of ``_columns``, as a function of the parameters."""

    @abstractmethod
    def _alive(self, *columns: Floats) -> Floats:
        """P(alive at T), of rows of ``_columns``."""

    @abstractmethod
    def _purchases(self, *state: Floats, horizon: float) -> Floats:
        """Purchases expected in (T, T + horizon] of customers alive at T."""

    @abstractmethod
    def _discounted(self, *state: Floats, horizon: float, delta: float) -> Floats:
        """The same, each times e^(-delta · time ahead); horizon may be infinite."""

    @abstractmethod
    def _no_purchase(self, *state: Floats, horizon: float) -> Floats:
        """P(no purchase in (T, T + horizon]) of customers alive at T."""

    @abstractmethod
    def _probability_of(self, n: Floats, horizon: float) -> Floats:
        """P(a new customer makes n repeat purchases within horizon)."""

    @abstractmethod
    def _future(self, rng: np.random.Generator, *columns: Floats, horizon: float, delta: float) -> Future:
        """Draw one possible future in (T, T + horizon] of each customer, of rows of ``_columns``, given that they are alive."""

    @abstractmethod
    def _simulate(self, rng: np.random.Generator, until: Floats) -> tuple[Floats, Floats, Floats, Bools]:
        """Of a new customer for each of ``until``: frequency, recency, sum of the logarithms of the gaps, alive."""

    @property
    def cell_columns(self) -> tuple[str, ...]:
        """The columns in which customers must be equal to be one customer to the fit."""
        return self._columns

    def fit(self, customers: Table, y: None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Estimate the parameters by maximum likelihood, on the distinct rows of the table.

        Parameters
        ----------
        customers : table of shape (n_customers, n_columns)
            The columns named in the class's description.
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

        Warns
        -----
        CrmkitWarning
            The data alone do not identify the model (see ``prior_used_``), or the maximum was not reached (see
            ``converged_``).
        """
        cells = self._cells(read_columns(customers, self._columns, self._rules), sample_weight)
        best = self._maximise(cells)
        self._keep_fit(cells, best, best.value - cells.purchases * np.log(cells.scale))
        return self

    def _cells(self, columns: list[Floats], sample_weight: ArrayLike | None) -> Cells:
        cell, first = distinct(*columns)
        count = np.bincount(cell, read_weights(sample_weight, len(cell))).astype(float)
        if not count.sum() > 0:
            raise ModelError(
                f"There are no customers to fit {self.label} on: the table is empty. Check the filters applied before."
            )
        columns = [column[first] for column in columns]
        self._remember(self._columns, columns, count)
        scale = (columns[-1].max() or 1.0) if self._times else 1.0
        times = [column / scale for column in columns[1:]]
        return Cells([columns[0], *times], count, float(scale))

    def _maximise(self, cells: Cells) -> Maximum:
        best, runaway = self._climb(cells)
        self.prior_used_ = runaway is not None
        if runaway is not None:
            rising = f"the likelihood keeps rising, or is flat, along {self._parameters[runaway]}"
            self._warn_prior(rising if cells.purchases else "no customer in the table bought twice", self._prior())
        return best

    def _climb(self, cells: Cells) -> tuple[Maximum, int | None]:
        """The maximum, held by the prior if a parameter ran away, and which one did."""
        likelihood, n = self._likelihood(*cells.columns, count=cells.counts), cells.n_customers
        best = maximise(likelihood, in_logs, np.array(self._start), n)
        if best.runaway is None:
            return best, None
        return maximise(likelihood, in_logs, np.zeros(len(self._start)), n, PRIOR_SD), best.runaway

    def _prior(self) -> str:
        names = [f"{name} / max(T)" if name in self._times else name for name in self._parameters]
        return f"{', '.join(names[:-1])} and {names[-1]} log-normal with median 1"

    def _keep_fit(self, cells: Cells, best: Maximum, log_likelihood: float) -> None:
        scale = np.array([cells.scale if name in self._times else 1.0 for name in self._parameters])
        self._keep(best, scale, log_likelihood, cells.n_customers)
        self.feature_names_in_ = np.array(self._columns, dtype=object)

    def probability_alive(self, customers: Table) -> pd.Series[float]:
        """P(the customer has not dropped out by T).

        Parameters
        ----------
        customers : table of shape (n_customers, n_columns)
            The columns in ``feature_names_in_``.

        Returns
        -------
        Series of shape (n_customers,)
            Between 0 and 1, on the table's index.
        """
        return aligned(self._alive(*self._read(customers)), customers, "probability_alive")

    def expected_purchases(self, customers: Table, horizon: float) -> pd.Series[float]:
        """Purchases expected of each customer in (T, T + horizon].

        Parameters
        ----------
        customers : table of shape (n_customers, n_columns)
            The columns in ``feature_names_in_``.
        horizon : float
            Days ahead (the unit of T), 0 or more; else a ModelError.

        Returns
        -------
        Series of shape (n_customers,)
            Purchase days, on the table's index.
        """
        horizon = check_number("horizon", horizon)
        return self._ahead(customers, "expected_purchases", lambda *state: self._purchases(*state, horizon=horizon))

    def discounted_purchases(self, customers: Table, horizon: float, annual_discount: float) -> pd.Series[float]:
        """Purchases expected in (T, T + horizon], each discounted from its own moment back to T.

        Parameters
        ----------
        customers : table of shape (n_customers, n_columns)
            The columns in ``feature_names_in_``; here the unit must be the day.
        horizon : float
            Days ahead, 0 or more; else a ModelError.
        annual_discount : float
            0.10 makes a purchase 365.25 days ahead worth 1/1.10, and so on continuously.

        Returns
        -------
        Series of shape (n_customers,)
            Purchase days, in present value, on the table's index.
        """
        horizon, delta = check_number("horizon", horizon), per_day(annual_discount)
        return self._ahead(
            customers, "discounted_purchases", lambda *state: self._discounted(*state, horizon=horizon, delta=delta)
        )

    def residual_purchases(self, customers: Table, annual_discount: float) -> pd.Series[float]:
        """All purchases still to come of each customer, each discounted from its own moment back to T (DERT).

        Parameters
        ----------
        customers : table of shape (n_customers, n_columns)
            The columns in ``feature_names_in_``; here the unit must be the day.
        annual_discount : float
            Above 0, else a ModelError: without a discount the sum need not be finite. 0.10 makes a purchase 365.25
            days ahead worth 1/1.10, and so on continuously.

        Returns
        -------
        Series of shape (n_customers,)
            Purchase days, in present value, on the table's index.
        """
        delta = per_day(annual_discount)
        if not delta > 0:
            raise ModelError(
                "annual_discount must be above 0 here: the undiscounted sum over an infinite horizon diverges."
            )
        return self._ahead(
            customers, "residual_purchases", lambda *state: self._discounted(*state, horizon=math.inf, delta=delta)
        )

    def probability_no_purchase(self, customers: Table, horizon: float) -> pd.Series[float]:
        """P(no purchase in (T, T + horizon]): dropped out, or alive without a purchase.

        Parameters
        ----------
        customers : table of shape (n_customers, n_columns)
            The columns in ``feature_names_in_``.
        horizon : float
            Days ahead (the unit of T), 0 or more; else a ModelError.

        Returns
        -------
        Series of shape (n_customers,)
            Between 0 and 1, on the table's index.
        """
        horizon = check_number("horizon", horizon)

        def buys(*state: Floats) -> Floats:
            return np.clip(1 - self._no_purchase(*state, horizon=horizon), 0.0, 1.0)

        return 1 - self._ahead(customers, "probability_no_purchase", buys)

    @overload
    def probability_of(self, n: int, horizon: float) -> float: ...

    @overload
    def probability_of(self, n: ArrayLike, horizon: float) -> float | Floats: ...

    def probability_of(self, n: ArrayLike, horizon: float) -> float | Floats:
        """P(a customer who has just bought for the first time makes n repeat purchases within ``horizon``).

        Parameters
        ----------
        n : int or array of int
            Repeat purchase days, 0 or more; else a ModelError.
        horizon : float
            Days (the unit of T), 0 or more; else a ModelError.

        Returns
        -------
        float, or ndarray of the shape of n
            Between 0 and 1.
        """
        self._check_fitted()
        horizon, counts = check_number("horizon", horizon), count_values(n)
        chances = np.clip(self._probability_of(counts.ravel(), horizon), 0.0, 1.0).reshape(counts.shape)
        return chances if counts.shape else float(chances)

    def expected_purchases_new(self, horizon: float) -> float:
        """Repeat purchases expected of a customer who has just bought for the first time, within ``horizon`` days."""
        self._check_fitted()
        horizon, start = check_number("horizon", horizon), np.zeros(1)
        alive = self._alive(*[start] * len(self._columns))
        return float((alive * self._purchases(*[start] * len(self._state), horizon=horizon))[0])

    def simulate(self, n: int, until: ArrayLike, seed: int) -> pd.DataFrame:
        """New customers who behave as the model says, from their first purchase on.

        Parameters
        ----------
        n : int
            How many.
        until : float or array of shape (n,)
            How long each is observed (the unit of T), 0 or more and finite.
        seed : int
            The same seed gives the same customers.

        Returns
        -------
        DataFrame of shape (n, 6)
            customer_id, frequency, recency, T, sum_log_gap (of the times between purchases), alive (at T).

        Raises
        ------
        ModelError
            A count or a time makes no sense.
        """
        self._check_fitted()
        T = duration_values(until, int(count_values(n)))
        x, t_x, sum_log_gap, alive = self._simulate(np.random.default_rng(seed), T)
        return pd.DataFrame(
            {
                "customer_id": np.arange(len(T)),
                "frequency": x.astype(np.int64),
                "recency": t_x,
                "T": T,
                "sum_log_gap": sum_log_gap,
                "alive": alive,
            }
        )

    def draw_future(
        self, customers: Table, horizon: float, annual_discount: float, rng: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """One possible future of each customer: purchases in (T, T + horizon], and their mean discount factor.

        Parameters
        ----------
        customers : table of shape (n_customers, n_columns)
            The columns in ``feature_names_in_``.
        horizon : float
            Days ahead, finite.
        annual_discount : float
            As in `discounted_purchases`.
        rng : Generator
            Each call draws on.

        Returns
        -------
        (ndarray, ndarray), each of shape (n_customers,)
        """
        columns = self._read(customers)
        alive = rng.random(len(columns[0])) < self._alive(*columns)
        future = self._future(rng, *columns, horizon=check_number("horizon", horizon), delta=per_day(annual_discount))
        return future.purchases * alive, future.discount

    def _read(self, customers: Table) -> list[Floats]:
        self._check_fitted()
        return read_columns(customers, self._columns, self._rules)

    def _ahead(self, customers: Table, name: str, formula: Callable[..., Floats]) -> pd.Series[float]:
        """P(alive) times a formula of the state of a living customer, evaluated once per distinct state."""
        columns = self._read(customers)
        state = [columns[self._columns.index(column)] for column in self._state]
        cell, first = distinct(*state)
        of_cell = formula(*(column[first] for column in state))
        return aligned(of_cell[cell] * self._alive(*columns), customers, name)
