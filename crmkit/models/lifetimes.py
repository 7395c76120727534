"""Coming from lifetimes: its fitted models as crmkit's, and back.

`from_lifetimes` needs nothing but the fitter; `to_lifetimes` imports lifetimes when it is called, never before.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import pandas as pd

from crmkit._checks import require
from crmkit._types import Floats
from crmkit.exceptions import ContractError, CrmkitWarning, ModelError
from crmkit.models import _bgnbd_math as formulas
from crmkit.models._base import Model
from crmkit.models._columns import PURCHASE_RULES, SPEND_RULES, read_columns
from crmkit.models.gamma_gamma import GammaGamma
from crmkit.models.purchase_model import PurchaseModel

__all__ = ["from_lifetimes", "to_lifetimes"]

_SHORT = 1e-3


class Fitter(Protocol):
    """A fitted model of lifetimes."""

    params_: pd.Series[float]
    variance_matrix_: pd.DataFrame
    standard_errors_: pd.Series[float]
    confidence_intervals_: pd.DataFrame
    data: pd.DataFrame
    penalizer_coef: float
    predict: Callable[..., pd.Series[float]]


def from_lifetimes(fitter: Fitter) -> Model:
    """A fitted model of lifetimes as crmkit's, at the same parameters.

    What lifetimes gets wrong or omits is recomputed at these parameters from the data the fitter keeps: the
    log-likelihood (whole, in data units), the covariance and its standard errors.

    Parameters
    ----------
    fitter : BetaGeoFitter, ModifiedBetaGeoFitter, ParetoNBDFitter, BetaGeoBetaBinomFitter or GammaGammaFitter
        Fitted, with its ``data``.

    Returns
    -------
    BGNBD, MBGNBD, ParetoNBD, BGBB or GammaGamma

    Raises
    ------
    ContractError
        It is none of these, or is not fitted, or has no data.
    ModelError
        Its parameters give no answer: not positive and finite, an infinite mean spend (q <= 1), or so far from the maximum
        of the likelihood that they have no standard errors.

    Warns
    -----
    CrmkitWarning
        It was penalised, or stopped short of the maximum of the likelihood.

    Examples
    --------
    >>> from crmkit._checks import require
    >>> table = pd.DataFrame({"frequency": [1, 1, 1, 1, 2, 2, 2, 5, 5, 5], "monetary_value": [12, 25, 45, 90, 15, 30, 60,
    ...     18, 32, 50]})
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     theirs = require("lifetimes", "lifetimes").GammaGammaFitter().fit(table["frequency"], table["monetary_value"])
    >>> {name: round(value, 2) for name, value in from_lifetimes(theirs).params_.items()}
    {'p': 2.62, 'q': 8.96, 'gamma': 110.53}
    """
    name = type(fitter).__name__
    kinds = {kind.lifetimes_name: kind for kind in Model.kinds.values() if kind.lifetimes_name}
    if name not in kinds:
        raise ContractError(f"{name} is not a model of lifetimes that crmkit has; it has {sorted(kinds)}.")
    if not hasattr(fitter, "params_") or not hasattr(fitter, "data"):
        raise ContractError(f"This {name} has no params_ or no data: fit it first, and save it with its data.")
    model = kinds[name]()
    params = _parameters_of(fitter, model)
    best = _place_spend(model, fitter, params) if isinstance(model, GammaGamma) else _place(model, fitter, params)
    if getattr(fitter, "penalizer_coef", 0):
        _say(
            name,
            f"was fitted with penalizer_coef={fitter.penalizer_coef:g}, so this is not the maximum of the likelihood",
        )
    elif best.slope > _SHORT:
        _say(name, f"stopped short: the likelihood still rises by {best.slope:.1e} per customer and log-parameter")
    return model


def _say(name: str, what: str) -> None:
    warnings.warn(f"{name} {what}. Fit the crmkit model to the same table instead.", CrmkitWarning, stacklevel=3)


def _parameters_of(fitter: Fitter, model: Model) -> Floats:
    theirs = {
        str(key).replace("v", "gamma") if key == "v" else str(key): value for key, value in fitter.params_.items()
    }
    params = np.array([float(theirs[name]) for name in model._parameters])
    if not ((params > 0) & (params < np.inf)).all():
        raise ModelError(f"The parameters of {type(fitter).__name__} are {theirs}: they must be positive and finite.")
    if isinstance(model, GammaGamma) and params[1] <= 1:
        raise ModelError(f"q is {params[1]:.3g}, which makes the mean spend infinite. Fit again without a penalizer.")
    return params


def _place(model: PurchaseModel | Any, fitter: Fitter, params: Floats) -> formulas.Maximum:
    """Set a purchase model at these parameters, with what follows from its data."""
    data = fitter.data.rename(columns={"n_periods": "T"})
    cells = model._cells(read_columns(data, ("frequency", "recency", "T"), PURCHASE_RULES), data["weights"])
    unit = np.array([cells.scale if name in model._times else 1.0 for name in model._parameters])
    columns, count = cells[:2]
    best = _measure(model._likelihood(*columns, count=count), params / unit, float(count.sum()))
    model.prior_used_ = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrmkitWarning)
        model._keep_fit(cells, best, best.value - cells.purchases * np.log(cells.scale))
    return best


def _place_spend(model: GammaGamma, fitter: Fitter, params: Floats) -> formulas.Maximum:
    x, z = read_columns(fitter.data, ("frequency", "monetary_value"), SPEND_RULES)
    weight = np.asarray(fitter.data["weights"], dtype=np.float64)
    unit = np.array([1.0, 1.0, float(np.average(z, weights=weight * x))])
    best = _measure(formulas.gamma_gamma_likelihood(x, z / unit[2], weight), params / unit, float(weight.sum()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrmkitWarning)
        model.fit(fitter.data, sample_weight=weight)
        model._keep(best, unit, best.value - weight.sum() * np.log(unit[2]), weight.sum())
    model.prior_used_ = False
    return best


def _measure(likelihood: formulas.Likelihood, params: Floats, n: float) -> formulas.Maximum:
    """Value, slope and covariance at parameters that need not be the best."""

    def loss(theta: Floats) -> tuple[float, Floats]:
        value, gradient = likelihood(np.exp(theta))
        return -value / n, -gradient * np.exp(theta) / n

    theta = np.log(params)
    hessian = formulas._hessian(loss, theta) * n
    if not np.linalg.eigvalsh(hessian)[0] > 0:
        raise ModelError(
            "lifetimes stopped far short of the maximum: at its parameters the likelihood is not concave. "
            "Fit the crmkit model to the same table instead."
        )
    covariance = np.outer(params, params) * np.linalg.inv(hessian)
    value, slope = loss(theta)
    return formulas.Maximum(params, -value * n, (covariance + covariance.T) / 2, None, float(np.abs(slope).max()))


def to_lifetimes(model: Model) -> Fitter:
    """A fitted crmkit model as lifetimes', to be asked by code that expects one.

    Parameters
    ----------
    model : BGNBD, MBGNBD, ParetoNBD, BGBB or GammaGamma
        Fitted, without covariates.

    Returns
    -------
    BetaGeoFitter, ModifiedBetaGeoFitter, ParetoNBDFitter, BetaGeoBetaBinomFitter or GammaGammaFitter
        With ``params_``, ``variance_matrix_``, ``standard_errors_``, ``confidence_intervals_`` and predict; without data.

    Raises
    ------
    CrmkitError
        lifetimes is not installed.
    ContractError
        lifetimes has no such model.
    """
    if model.lifetimes_name is None:
        known = [kind.label for kind in Model.kinds.values() if kind.lifetimes_name]
        raise ContractError(f"lifetimes has no {model.label} model; it has {known}.")
    if covariates := getattr(model, "_covariates", ()):
        raise ContractError(f"lifetimes has no covariates; this {model.label} model has {list(covariates)}.")
    model._check_fitted()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitter = getattr(require("lifetimes", "lifetimes"), model.lifetimes_name)()
    index = [name.replace("gamma", "v") if isinstance(model, GammaGamma) else name for name in model._parameters]
    fitter.params_ = pd.Series(list(model.params_.values()), index=index)
    fitter.variance_matrix_ = pd.DataFrame(model.covariance_, index=index, columns=index)
    fitter.standard_errors_ = pd.Series(list(model.standard_errors_.values()), index=index)
    fitter.confidence_intervals_ = fitter._compute_confidence_intervals()
    if hasattr(fitter, "conditional_expected_number_of_purchases_up_to_time"):
        fitter.predict = fitter.conditional_expected_number_of_purchases_up_to_time
    asked: Fitter = fitter
    return asked
