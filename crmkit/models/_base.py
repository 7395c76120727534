"""What the models share: reading a customer table, keeping a fit, and one JSON document per saved model."""

from __future__ import annotations

import json
import math
import os
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from numbers import Real
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import sklearn.exceptions
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from crmkit import __version__
from crmkit.exceptions import ContractError, CrmkitError, CrmkitWarning, ExtractError, ModelError, PublishError
from crmkit.models._btyd_math import PRIOR_SD, Floats, Maximum

Columns = dict[str, Floats]
Rules = Mapping[str, Callable[[Columns], NDArray[np.bool_]]]

FORMAT = "crmkit model 1"
HOMES = {
    "BGNBD": "crmkit.models.bgnbd",
    "CustomerLifetimeValue": "crmkit.models.lifetime_value",
    "GammaGamma": "crmkit.models.gamma_gamma",
}


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
        return _write(Path(path), json.dumps(_document(self), indent=1, allow_nan=False) + "\n")

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


# -- Tables in, series out -------------------------------------------------------------------------------------------

PURCHASE_RULES: Rules = {
    "frequency is a whole number, 0 or more": lambda c: _is_count(c["frequency"]),
    "recency is 0 or more": lambda c: c["recency"] >= 0,
    "recency is 0 where frequency is 0": lambda c: ~((c["frequency"] == 0) & (c["recency"] > 0)),
    "recency is not above T": lambda c: ~(c["recency"] > c["T"]),
    "T is a finite number, 0 or more": lambda c: (c["T"] >= 0) & (c["T"] < np.inf),
}
SPEND_RULES: Rules = {
    "frequency is a whole number, 0 or more": lambda c: _is_count(c["frequency"]),
    "monetary_value is a finite number where frequency is above 0": lambda c: (
        (c["frequency"] == 0) | np.isfinite(c["monetary_value"])
    ),
}


def _is_count(column: Floats) -> NDArray[np.bool_]:
    whole: NDArray[np.bool_] = np.isfinite(column) & (column >= 0) & (column == np.floor(column))
    return whole


def read_columns(X: Any, names: tuple[str, ...], rules: Rules) -> list[Floats]:
    """The named columns of a table as float arrays, or one ContractError with everything that is wrong with them."""
    there = [str(name) for name in getattr(X, "column_names", getattr(X, "columns", ()))]
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


# -- Save and load ---------------------------------------------------------------------------------------------------


def load_model(path: str | os.PathLike[str]) -> Any:
    """Read a model saved by its ``save`` method.

    Parameters
    ----------
    path : str or path
        A JSON document. It is data only: nothing in it is ever executed, and only crmkit's own classes are made.

    Returns
    -------
    BGNBD, GammaGamma or CustomerLifetimeValue
        The fitted model.

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
    return {
        "format": FORMAT,
        "crmkit": __version__,
        "class": type(model).__name__,
        "settings": settings,
        "fitted": fitted,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Model):
        return _document(value)
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _model(document: dict[str, Any]) -> Model:
    if document.get("format") != FORMAT:
        raise ContractError(f"its format is {document.get('format')!r}, this version reads {FORMAT!r}")
    if document["class"] not in HOMES:
        raise ContractError(f"its class is {document['class']!r}, known are {sorted(HOMES)}")
    kind = getattr(import_module(HOMES[document["class"]]), document["class"])
    model: Model = kind(**{name: _value(value) for name, value in document["settings"].items()})
    fitted = document["fitted"]
    if fitted and (set(fitted) != set(kind._fitted) or set(fitted.get("params_", ())) != set(kind._parameters)):
        raise ContractError(f"a fitted {document['class']} has {sorted(kind._fitted)}; found {sorted(fitted)}")
    if not all(0 < value < math.inf for value in fitted.get("params_", {}).values()):
        raise ContractError(f"parameters must be positive and finite; found {fitted['params_']}")
    for name, value in fitted.items():
        setattr(model, name, _value(value))
    return model


def _value(value: Any) -> Any:
    if isinstance(value, dict) and "format" in value:
        return _model(value)
    return np.array(value) if isinstance(value, list) else value


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ContractError(f"{text} is not a finite number")
    return number


def _write(path: Path, text: str) -> Path:
    part = None
    try:
        with NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, suffix=".part", delete=False) as file:
            part = Path(file.name)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        if part:
            part.unlink(missing_ok=True)
        raise PublishError(f"The model cannot be written to {str(path)!r}: {error}") from error
    return path
