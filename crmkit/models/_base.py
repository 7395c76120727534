"""What all models share: labels, a registry, fitted attributes, saving and loading."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import scipy
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from crmkit import __version__
from crmkit._atomic import replacing
from crmkit._fitted import NotFittedError
from crmkit._types import Floats
from crmkit.displays import shown
from crmkit.exceptions import ConfigError, ContractError, CrmkitWarning, ExtractError, ModelError
from crmkit.models._bgnbd_math import PRIOR_SD, Maximum
from crmkit.models._columns import cells_hash
from crmkit.models.documents import document_of, finite, model_of

ScoreTerm = tuple[tuple[str, ...], Callable[[pd.DataFrame], "pd.Series[float]"]]


class Model(BaseEstimator):  # type: ignore[misc]
    """What every model can do: say what it is called and what it reads, whether it is fitted, and save itself."""

    label: ClassVar[str]
    """The name that is printed, wherever the model is named."""

    lifetimes_name: ClassVar[str | None] = None
    """The class of lifetimes that fits the same model."""

    mean_columns: ClassVar[tuple[str, ...]] = ()
    """Columns of which a fit on counts of equal customers needs the mean."""

    training_: dict[str, Any]
    log_likelihood_: float | None
    aic_: float | None

    kinds: ClassVar[dict[str, type[Model]]] = {}
    """Every class of model by its name: what `load_model` can make."""

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

    def __init_subclass__(cls, **keywords: object) -> None:
        super().__init_subclass__(**keywords)
        if cls.__module__.startswith("crmkit."):
            Model.kinds[cls.__name__] = cls

    @classmethod
    def from_parameters(cls, covariance: ArrayLike | None = None, **values: float) -> Self:
        """A model of given parameters, such as a paper's or another program's, ready for use as if it had been fitted.

        Parameters
        ----------
        covariance : array of shape (n_parameters, n_parameters), optional
            Of the parameters, in the order of ``params_``. Without it they count as known exactly, so that intervals of
            expected values have no width.
        **values
            Every parameter by its name, and settings of the class where they differ from its defaults; coefficients of
            covariates as ``rate_…`` and ``dropout_…`` with the column's name.

        Raises
        ------
        ModelError
            A parameter is missing, unknown, or not positive and finite.

        Examples
        --------
        >>> from crmkit.models import BGNBD
        >>> model = BGNBD.from_parameters(r=0.243, alpha=4.414, a=0.793, b=2.426)
        >>> round(model.expected_purchases_new(horizon=52), 2)
        1.45
        """
        settings = {name: values.pop(name) for name in cls._get_param_names() if name in values}
        model: Self = cls(**settings)
        model._set(values, covariance)
        return model

    def _repr_mimebundle_(self, **options: object) -> dict[str, str]:
        """In a notebook a fitted model shows its parameters; one that is not fitted, what scikit-learn shows."""
        found: dict[str, str] = super()._repr_mimebundle_(**options)
        if hasattr(self, "params_"):
            found["text/html"] = self._repr_html_inner()
        return found

    def _repr_html_inner(self) -> str:
        if not hasattr(self, "params_"):
            return str(super()._repr_html_inner())
        likely = "" if self.log_likelihood_ is None else f"; log-likelihood {self.log_likelihood_:,.2f}"
        prior = "; a stated weak prior was used" if self.prior_used_ else ""
        words = f"{self.label}, {self.n_customers_:,} customers{likely}{prior}"
        return shown(words, pd.DataFrame({"parameter": self.params_, "standard error": self.standard_errors_}))

    def _names(self) -> tuple[str, ...]:
        """Parameters and coefficients, in the order of ``params_``."""
        return self._parameters

    def _set(self, values: dict[str, float], covariance: ArrayLike | None) -> None:
        names = self._names()
        if set(values) != set(names):
            raise ModelError(f"A {self.label} model has the parameters {list(names)}; given were {sorted(values)}.")
        self.params_ = {name: float(values[name]) for name in names}
        known = np.zeros((len(names),) * 2) if covariance is None else np.asarray(covariance, dtype=np.float64)
        positive = all(0 < self.params_[name] < np.inf for name in self._parameters)
        if not (positive and np.isfinite(list(self.params_.values())).all() and known.shape == (len(names),) * 2):
            raise ModelError(
                f"The parameters of a {self.label} model must be positive and finite and a covariance have shape "
                f"{(len(names),) * 2}; given were {self.params_} and a covariance of shape {known.shape}."
            )
        self.covariance_ = known
        self.standard_errors_ = dict(zip(names, np.sqrt(np.diag(known)).tolist(), strict=True))
        self.log_likelihood_ = self.aic_ = None
        self.n_customers_, self.prior_used_, self.converged_ = 0, False, True
        self.feature_names_in_ = np.array(self.cell_columns, dtype=object)
        self.training_ = {"given": True, "versions": _versions()}

    @property
    def cell_columns(self) -> tuple[str, ...]:
        """The columns in which customers must be equal to be one customer to the fit."""
        raise NotImplementedError

    def fit_parts(self, fit: Callable[[Any], Any]) -> Self:
        """Fit by a function that fits one model wherever the customers are (see `fit_customers`)."""
        fitted: Self = fit(self)
        return fitted

    def score_terms(self) -> list[ScoreTerm]:
        """Factors whose product is the model's own score of a customer: columns, and a function of a table with these."""
        raise ConfigError(
            f"A {self.label} model has several scores. Pass one of its methods, such as model.probability_alive or "
            "partial(model.expected_purchases, horizon=90)."
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
        text = json.dumps(document_of(self), indent=1, allow_nan=False) + "\n"
        with replacing(Path(path)) as part:
            part.write_text(text, encoding="utf-8")
        return Path(path)

    def __sklearn_is_fitted__(self) -> bool:
        return all(hasattr(self, name) for name in self._fitted)

    def _check_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(f"This {self.label} model is not fitted yet. Call fit(customers) first.")

    def _keep(self, best: Maximum, scale: Floats, log_likelihood: float, n: float) -> None:
        """Store a fit, taken back from scaled to data units."""
        self.covariance_ = best.covariance * np.outer(scale, scale)
        self.params_ = dict(zip(self._parameters, (best.params * scale).tolist(), strict=True))
        errors = np.sqrt(np.diag(self.covariance_)).tolist()
        self.standard_errors_ = dict(zip(self._parameters, errors, strict=True))
        self.log_likelihood_ = float(log_likelihood)
        self.aic_ = 2 * len(self._parameters) - 2 * float(log_likelihood)
        self.n_customers_ = int(n)
        self.converged_ = best.converged
        if not (best.converged or self.prior_used_):
            self._warn(
                f"the fit did not converge: gradient norm {best.slope:.1e} per customer. Treat the estimates as approximate "
                "and check for outliers."
            )

    def _warn(self, what: str) -> None:
        """A CrmkitWarning that names the model."""
        warnings.warn(f"{self.label}: {what}", CrmkitWarning, stacklevel=4)

    def _warn_prior(self, why: str, prior: str) -> None:
        """Say that the data alone do not identify the model."""
        self._warn(
            f"{why}, so the data alone do not identify the model. A weak prior was used: {prior}; standard deviation of the "
            f"logs {PRIOR_SD:g}. With more customers or a longer history the prior is no longer needed."
        )

    def _remember(self, names: tuple[str, ...], columns: list[Floats], count: Floats) -> None:
        """Store what is known of the training: how much, of what, and by which versions. Callers may add to it."""
        self.training_ = {
            "n_customers": float(count.sum()),
            "n_cells": len(count),
            "columns": list(names),
            "cells_sha256": cells_hash(*columns, count),
            "versions": _versions(),
        }


def _versions() -> dict[str, str]:
    return {"crmkit": __version__, "numpy": np.__version__, "scipy": scipy.__version__}


def load_model(path: str | os.PathLike[str]) -> Model:
    """Read a model saved by its ``save`` method.

    Parameters
    ----------
    path : str or path
        A JSON document. It is data only: nothing in it is ever executed, and only crmkit's own classes are made.

    Returns
    -------
    Model
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
        model: Model = model_of(json.loads(text, parse_float=finite, parse_constant=finite), Model.kinds)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ContractError(f"{os.fspath(path)!r} is not a model saved by crmkit: {error}") from error
    return model
