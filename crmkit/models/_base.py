"""What the models share: the questions put to every purchase model, customer tables, and one JSON document per fit."""

from __future__ import annotations

import hashlib
import json
import math
import os
import warnings
from abc import abstractmethod
from collections.abc import Callable
from importlib import import_module
from numbers import Real
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import pandas as pd
import scipy
import sklearn.exceptions
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from crmkit import __version__
from crmkit.exceptions import ContractError, CrmkitError, CrmkitWarning, ExtractError, ModelError
from crmkit.models._btyd_math import PRIOR_SD, Floats, Likelihood, Maximum, in_logs, maximise
from crmkit.publishing import replacing

Columns = dict[str, Floats]
Rules = dict[str, Callable[[Columns], NDArray[np.bool_]]]

FORMAT = "crmkit model 2"
HOMES = {
    "BGBB": "crmkit.models.bgbb",
    "BGCNBD": "crmkit.models.bgcnbd",
    "BGNBD": "crmkit.models.bgnbd",
    "CustomerLifetimeValue": "crmkit.models.lifetime_value",
    "GammaGamma": "crmkit.models.gamma_gamma",
    "GammaGammaTrend": "crmkit.models.gamma_gamma",
    "MBGCNBD": "crmkit.models.bgcnbd",
    "MBGNBD": "crmkit.models.mbgnbd",
    "NBD": "crmkit.models.nbd",
    "ParetoNBD": "crmkit.models.pareto_nbd",
}
DAYS_PER_YEAR = 365.25


class NotFittedError(CrmkitError, sklearn.exceptions.NotFittedError):  # type: ignore[misc]
    """The model was asked for an answer before ``fit``."""


class Model(BaseEstimator):  # type: ignore[misc]
    """What every model can do: say whether it is fitted, and save itself."""

    _parameters: ClassVar[tuple[str, ...]] = ()
    _fitted: ClassVar[tuple[str, ...]] = (
        "params_",
        "standard_errors_",
        "covariance_",
        "log_likelihood_",
        "aic_",
        "n_customers_",
        "prior_used_",
        "converged_",
        "feature_names_in_",
    )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the fitted model as one JSON document; numbers come back exactly.

        Parameters
        ----------
        path : str or path
            The file to write. What was there before is replaced only once the new document is complete.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        PublishError
            The file cannot be written.
        """
        self._check_fitted()
        text = json.dumps(_document(self), indent=1, allow_nan=False) + "\n"
        with replacing(Path(path)) as part:
            part.write_text(text, encoding="utf-8")
        return Path(path)

    def __sklearn_is_fitted__(self) -> bool:
        return all(hasattr(self, name) for name in self._fitted)

    def _check_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(f"This {type(self).__name__} is not fitted yet. Call fit(customers) first.")

    def _keep(self, best: Maximum, scale: Floats, log_likelihood: float, n: float) -> None:
        """Store a fit, taken back from scaled to data units."""
        self.covariance_ = best.covariance * np.outer(scale, scale)
        self.params_ = dict(zip(self._parameters, (best.params * scale).tolist(), strict=True))
        errors = np.sqrt(np.diag(self.covariance_)).tolist()
        self.standard_errors_ = dict(zip(self._parameters, errors, strict=True))
        self.log_likelihood_ = float(log_likelihood)
        self.aic_ = 2 * len(self._parameters) - 2 * self.log_likelihood_
        self.n_customers_ = int(n)
        self.converged_ = best.converged
        if not (best.converged or self.prior_used_):
            warnings.warn(
                f"{type(self).__name__}: the fit did not converge; the likelihood still rises by {best.slope:.1e} per customer "
                "and unit of a parameter's logarithm. Read the parameters as a rough guess, and look for rows unlike the rest.",
                CrmkitWarning,
                stacklevel=3,
            )

    def _remember(self, names: tuple[str, ...], columns: list[Floats], count: Floats) -> None:
        """Store what is known of the training: how much, of what, and by which versions. Callers may add to it."""
        self.training_: dict[str, Any] = {
            "n_customers": float(count.sum()),
            "n_cells": len(count),
            "columns": list(names),
            "cells_sha256": cells_hash(*columns, count),
            "versions": {"crmkit": __version__, "numpy": np.__version__, "scipy": scipy.__version__},
        }


# -- Tables in, series out -------------------------------------------------------------------------------------------

PURCHASE_RULES: Rules = {
    "frequency is a whole number, 0 or more": lambda c: _is_count(c["frequency"]),
    "recency is 0 or more": lambda c: c["recency"] >= 0,
    "recency is 0 where frequency is 0": lambda c: ~((c["frequency"] == 0) & (c["recency"] > 0)),
    "recency is not above T": lambda c: ~(c["recency"] > c["T"]),
    "T is a finite number, 0 or more": lambda c: (c["T"] >= 0) & (c["T"] < np.inf),
}
RATE_RULES: Rules = {name: rule for name, rule in PURCHASE_RULES.items() if "recency" not in name}
SPEND_RULES: Rules = {
    "frequency is a whole number, 0 or more": lambda c: _is_count(c["frequency"]),
    "monetary_value is a finite number where frequency is above 0": lambda c: (
        (c["frequency"] == 0) | np.isfinite(c["monetary_value"])
    ),
}


def _is_count(column: Floats) -> NDArray[np.bool_]:
    whole: NDArray[np.bool_] = np.isfinite(column) & (column >= 0) & (column == np.floor(column))
    return whole


def column_names(X: Any) -> list[str]:
    """The names of a table's columns: pandas, polars or Arrow."""
    return [str(name) for name in getattr(X, "column_names", getattr(X, "columns", ()))]


def read_columns(X: Any, names: tuple[str, ...], rules: Rules) -> list[Floats]:
    """The named columns of a table as float arrays, or one ContractError with everything that is wrong with them."""
    there = column_names(X)
    missing = [name for name in names if name not in there]
    if missing:
        raise ContractError(
            f"Columns not found: {missing}. The table has {there}. Rename them, or make the table with btyd_summary(log)."
        )
    columns = {name: _floats(X[name], name) for name in names}
    faults = {rule: int((~holds(columns)).sum()) for rule, holds in rules.items()}
    broken = [f"{count} where not: {rule}" for rule, count in faults.items() if count]
    if broken:
        raise ContractError(
            f"Rows that do not meet the contract, of {len(columns[names[0]])} (missing values meet no rule): "
            + "; ".join(broken)
            + ". Mend or leave out these rows."
        )
    return list(columns.values())


def _floats(column: Any, name: str) -> Floats:
    try:
        return pd.Series(column).to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise ContractError(f"Column {name!r} does not hold numbers. Turn it into numbers first.") from error


def read_weights(sample_weight: Any, n: int) -> Floats | None:
    """How many customers each row stands for; None means one."""
    if sample_weight is None:
        return None
    weights = np.asarray(sample_weight, dtype=np.float64)
    if weights.shape != (n,) or not ((weights >= 0) & (weights < np.inf)).all():
        raise ContractError(f"sample_weight must hold {n} finite numbers, 0 or more; it has shape {weights.shape}.")
    return weights


def distinct(*columns: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Which distinct row each row is, and where each distinct row stands first."""
    cell = np.zeros(len(columns[0]), dtype=np.intp)
    for column in columns:
        level, values = pd.factorize(column)
        cell = pd.factorize(cell * len(values) + level)[0]
    first = np.empty(cell.max(initial=-1) + 1, dtype=np.intp)
    first[cell[::-1]] = np.arange(len(cell))[::-1]
    return cell, first


def aligned(values: Floats, X: Any, name: str) -> pd.Series[float]:
    """One value per row of X, on its index when X is a pandas table."""
    return pd.Series(values, index=X.index if isinstance(X, pd.DataFrame) else None, name=name)


def check_number(name: str, value: float) -> float:
    """A finite number, 0 or more, or a ModelError."""
    if not (isinstance(value, Real) and 0 <= value < math.inf):
        raise ModelError(f"{name} must be a finite number, 0 or more; it is {value!r}.")
    return float(value)


def warn_prior(model: Model, why: str, prior: str) -> None:
    """Say that the data alone do not identify the model."""
    warnings.warn(
        f"{type(model).__name__}: {why}, so the data alone do not identify the model. A weak prior took over: {prior}; "
        f"standard deviation of the logs {PRIOR_SD:g}. More customers or a longer observation would free the fit of it.",
        CrmkitWarning,
        stacklevel=4,
    )


# -- What every purchase model answers -------------------------------------------------------------------------------


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

    A subclass names its parameters and the columns it reads, and gives seven formulas: ``_likelihood``, ``_alive``,
    ``_purchases``, ``_discounted``, ``_silence``, ``_probability_of`` and ``_simulate``, and its starting point. What
    lies ahead of a customer who is alive at T depends on the columns in ``_state`` alone, and is evaluated once for each
    of their distinct values.
    """

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
    def _silence(self, *state: Floats, horizon: float) -> Floats:
        """P(no purchase in (T, T + horizon]) of customers alive at T."""

    @abstractmethod
    def _probability_of(self, n: Floats, horizon: float) -> Floats:
        """P(a new customer makes n repeat purchases within horizon)."""

    @abstractmethod
    def _simulate(self, rng: np.random.Generator, until: Floats) -> tuple[Floats, Floats, Floats, NDArray[np.bool_]]:
        """Of a new customer for each of ``until``: frequency, recency, sum of the logarithms of the gaps, alive."""

    def fit(self, customers: Any, y: None = None, sample_weight: Any = None) -> Self:
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

    def _cells(self, columns: list[Floats], sample_weight: Any) -> Cells:
        cell, first = distinct(*columns)
        count = np.bincount(cell, read_weights(sample_weight, len(cell))).astype(float)
        if not count.sum() > 0:
            raise ModelError(
                f"There are no customers to fit {type(self).__name__} on: the table is empty. Check the filters before it."
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
            warn_prior(self, rising if cells.purchases else "nobody in the table bought twice", self._prior())
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

    def probability_alive(self, customers: Any) -> pd.Series[float]:
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

    def expected_purchases(self, customers: Any, horizon: float) -> pd.Series[float]:
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

    def discounted_purchases(self, customers: Any, horizon: float, annual_discount: float) -> pd.Series[float]:
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
        horizon, delta = check_number("horizon", horizon), _per_day(annual_discount)
        return self._ahead(
            customers, "discounted_purchases", lambda *state: self._discounted(*state, horizon=horizon, delta=delta)
        )

    def residual_purchases(self, customers: Any, annual_discount: float) -> pd.Series[float]:
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
        delta = _per_day(annual_discount)
        if not delta > 0:
            raise ModelError("annual_discount must be above 0 here: undiscounted, purchases without end have no sum.")
        return self._ahead(
            customers, "residual_purchases", lambda *state: self._discounted(*state, horizon=math.inf, delta=delta)
        )

    def probability_no_purchase(self, customers: Any, horizon: float) -> pd.Series[float]:
        """P(no purchase in (T, T + horizon]): dropped out, or alive and silent.

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
        buys = self._ahead(customers, "probability_no_purchase", lambda *s: 1 - self._silence(*s, horizon=horizon))
        return 1 - buys

    def probability_of(self, n: Any, horizon: float) -> Any:
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
        horizon, counts = check_number("horizon", horizon), _counts(n)
        chances = np.clip(self._probability_of(counts.ravel(), horizon), 0.0, 1.0).reshape(counts.shape)
        return chances if counts.shape else float(chances)

    def expected_purchases_new(self, horizon: float) -> float:
        """Repeat purchases expected of a customer who has just bought for the first time, within ``horizon`` days."""
        self._check_fitted()
        horizon, start = check_number("horizon", horizon), np.zeros(1)
        alive = self._alive(*[start] * len(self._columns))
        return float((alive * self._purchases(*[start] * len(self._state), horizon=horizon))[0])

    def simulate(self, n: int, until: Any, seed: int) -> pd.DataFrame:
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
        T = _durations(until, int(_counts(n)))
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

    def _read(self, customers: Any) -> list[Floats]:
        self._check_fitted()
        return read_columns(customers, self._columns, self._rules)

    def _ahead(self, customers: Any, name: str, formula: Callable[..., Floats]) -> pd.Series[float]:
        """P(alive) times a formula of the state of a living customer, evaluated once per distinct state."""
        columns = self._read(customers)
        state = [columns[self._columns.index(column)] for column in self._state]
        cell, first = distinct(*state)
        of_cell = formula(*(column[first] for column in state))
        return aligned(of_cell[cell] * self._alive(*columns), customers, name)


def _per_day(annual_discount: float) -> float:
    return float(np.log1p(check_number("annual_discount", annual_discount)) / DAYS_PER_YEAR)


def _counts(n: Any) -> Floats:
    counts = np.asarray(n)
    if not (np.issubdtype(counts.dtype, np.number) and _is_count(counts.astype(float)).all()):
        raise ModelError(f"n must be a whole number, 0 or more; it is {n!r}.")
    return counts.astype(np.float64)


def _durations(until: Any, n: int) -> Floats:
    times = np.asarray(until, dtype=np.float64)
    if times.shape not in ((), (n,)) or not ((times >= 0) & (times < np.inf)).all():
        raise ModelError(f"until must be one number or {n}, finite and 0 or more; its shape is {times.shape}.")
    return np.broadcast_to(times, (n,)).copy()


def cells_hash(*columns: Floats) -> str:
    """sha256 of distinct rows and their counts, whatever the order of the rows."""
    order = np.lexsort(columns)
    return hashlib.sha256(b"".join((column[order] + 0.0).astype("<f8").tobytes() for column in columns)).hexdigest()


# -- Save and load ---------------------------------------------------------------------------------------------------


def load_model(path: str | os.PathLike[str]) -> Any:
    """Read a model saved by its ``save`` method.

    Parameters
    ----------
    path : str or path
        A JSON document. It is data only: nothing in it is ever executed, and only crmkit's own classes are made.

    Returns
    -------
    A model of crmkit.models
        Fitted, of the class that was saved.

    Raises
    ------
    ExtractError
        The file cannot be read.
    ContractError
        It is not a document of this format, or names an unknown class, or holds a number that is not finite.

    Examples
    --------
    >>> import pandas as pd, tempfile
    >>> from crmkit.models import GammaGamma, load_model
    >>> table = pd.DataFrame({"frequency": [1, 1, 1, 2, 2, 5, 5], "monetary_value": [12, 45, 90, 15, 60, 18, 50]})
    >>> model = GammaGamma().fit(table)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     load_model(model.save(f"{folder}/spend.json")).params_ == model.params_
    True
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ExtractError(f"No model can be read from {os.fspath(path)!r}: {error}") from error
    try:
        return _model(json.loads(text, parse_float=_finite, parse_constant=_finite))
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ContractError(f"{os.fspath(path)!r} is not a model saved by crmkit: {error}") from error


def _document(model: Model) -> dict[str, Any]:
    fitted = {name: _plain(getattr(model, name)) for name in model._fitted if hasattr(model, name)}
    settings = {name: _plain(value) for name, value in model.get_params(deep=False).items()}
    document = {
        "format": FORMAT,
        "crmkit": __version__,
        "class": type(model).__name__,
        "units": "times are in the table's unit of time, money in its currency unit",
        "settings": settings,
        "fitted": fitted,
    }
    return document | ({"training": model.training_} if hasattr(model, "training_") else {})


def _plain(value: Any) -> Any:
    if isinstance(value, Model):
        return _document(value)
    if isinstance(value, float) and value == math.inf:
        return "inf"
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _model(document: dict[str, Any]) -> Model:
    if document.get("format") != FORMAT:
        raise ContractError(f"its format is {document.get('format')!r}, this version reads {FORMAT!r}")
    if document["class"] not in HOMES:
        raise ContractError(f"its class is {document['class']!r}, known are {sorted(HOMES)}")
    kind = getattr(import_module(HOMES[document["class"]]), document["class"])
    settings = {name: tuple(v) if isinstance(v, list) else _value(v) for name, v in document["settings"].items()}
    model: Model = kind(**settings)
    fitted = document["fitted"]
    params = fitted.get("params_", {})
    if fitted and (set(fitted) != set(kind._fitted) or not set(kind._parameters) <= set(params)):
        raise ContractError(f"a fitted {document['class']} has {sorted(kind._fitted)}; found {sorted(fitted)}")
    if fitted and not all(0 < params[name] < math.inf for name in kind._parameters):
        raise ContractError(f"parameters must be positive and finite; found {params}")
    for name, value in fitted.items():
        setattr(model, name, _value(value))
    if "training" in document:
        model.training_ = dict(document["training"])
    return model


def _value(value: Any) -> Any:
    if isinstance(value, dict) and "format" in value:
        return _model(value)
    if value == "inf":
        return math.inf
    return np.array(value) if isinstance(value, list) else value


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ContractError(f"{text} is not a finite number")
    return number
