"""Fitted models as JSON documents: what is written, and what every field must be when it is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

import numpy as np

from crmkit import __version__
from crmkit.exceptions import ContractError

FORMAT = "crmkit model 2"


# -- Save and load ---------------------------------------------------------------------------------------------------


def document_of(model: Any) -> dict[str, Any]:
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
    if hasattr(value, "_fitted"):
        return document_of(value)
    if isinstance(value, float) and value == math.inf:
        return "inf"
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def model_of(document: dict[str, Any], kinds: Mapping[str, Any]) -> Any:
    """The model that a document holds; ``kinds`` are the classes it may be, by name."""
    if document.get("format") != FORMAT:
        raise ContractError(f"its format is {document.get('format')!r}, this version reads {FORMAT!r}")
    if document["class"] not in kinds:
        raise ContractError(f"its class is {document['class']!r}, known are {sorted(kinds)}")
    kind = kinds[document["class"]]
    settings, fitted = document["settings"], document["fitted"]
    _check_fields("settings", settings, kinds)
    _check_fields("fitted", fitted, kinds)
    model = kind(**{name: tuple(v) if isinstance(v, list) else _value(v, kinds) for name, v in settings.items()})
    params = fitted.get("params_", {})
    if fitted and (set(fitted) != set(kind._fitted) or not set(kind._parameters) <= set(params)):
        raise ContractError(f"a fitted {document['class']} has {sorted(kind._fitted)}; found {sorted(fitted)}")
    if fitted and not all(params[name] > 0 for name in kind._parameters):
        raise ContractError(f"parameters must be positive and finite; found {params}")
    if len(fitted.get("covariance_", params)) != len(params):
        raise ContractError(f"fitted.covariance_ must have {len(params)} rows, one a parameter")
    for name, value in fitted.items():
        setattr(model, name, _value(value, kinds))
    if "training" in document:
        model.training_ = dict(document["training"])
    return model


def _value(value: Any, kinds: Mapping[str, Any]) -> Any:
    if isinstance(value, dict) and "format" in value:
        return model_of(value, kinds)
    if value == "inf":
        return math.inf
    return np.array(value) if isinstance(value, list) else value


def finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ContractError(f"{text} is not a finite number")
    return number


# -- What each field must be -----------------------------------------------------------------------------------------


def _is_number(value: object) -> TypeGuard[float]:
    """A number that a float can hold."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


def _is_count(value: object) -> TypeGuard[int]:
    return _is_number(value) and value >= 0 and value == int(value)


def _is_list(value: object, of: Callable[[object], bool]) -> bool:
    return isinstance(value, list) and all(map(of, value))


def _is_table(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_number, value.values()))


def _is_matrix(value: object) -> bool:
    return isinstance(value, list) and all(_is_list(row, _is_number) and len(row) == len(value) for row in value)


def _or_null(test: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or test(value)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


_LARGEST = int(np.finfo(np.float64).max)
_NUMBERS = (_is_table, "numbers by name")
_NAMES = (lambda value: _is_list(value, _is_text), "a list of names")
_COUNT = (_is_count, "a whole number of 0 or more")
_NUMBER = (_or_null(_is_number), "a number or null")
_FLAG = (_is_flag, "true or false")
_FIELDS: dict[str, tuple[Callable[[object], bool], str]] = {
    "horizon": (lambda value: value == "inf" or (_is_number(value) and value > 0), "a number above 0 or 'inf'"),
    "annual_discount": (lambda value: _is_number(value) and value >= 0, "a number of 0 or more"),
    "margin": (lambda value: _is_number(value) and value > 0, "a number above 0"),
    "opportunities_per_year": (lambda value: _is_number(value) and value > 0, "a number above 0"),
    "k": (_or_null(lambda value: _is_count(value) and value > 0), "a whole number above 0, or null"),
    "rate_covariates": _NAMES,
    "dropout_covariates": _NAMES,
    "params_": _NUMBERS,
    "standard_errors_": _NUMBERS,
    "covariance_": (_is_matrix, "a square of numbers"),
    "log_likelihood_": _NUMBER,
    "aic_": _NUMBER,
    "n_customers_": _COUNT,
    "n_left_out_": _COUNT,
    "prior_used_": _FLAG,
    "converged_": _FLAG,
    "feature_names_in_": _NAMES,
    "correlation_": _NUMBER,
    "k_": (lambda value: _is_count(value) and value > 0, "a whole number above 0"),
    "k_log_likelihoods_": (lambda value: _is_list(value, _is_number), "a list of numbers"),
    "spend_dependence_": (_or_null(_is_table), "numbers by name, or null"),
    "log_covariance_": (_or_null(_is_matrix), "a square of numbers, or null"),
}
_MODELS = {"purchases": "PurchaseModel", "spend": "GammaGamma", "purchases_": "PurchaseModel", "spend_": "GammaGamma"}


def _check_fields(part: str, fields: object, kinds: Mapping[str, type]) -> None:
    """Raise for the first field that is not what its name says; unknown ones are left to the model."""
    if not isinstance(fields, dict):
        raise ContractError(f"{part} must be an object")
    for name, value in fields.items():
        if name in _FIELDS and not _FIELDS[name][0](value):
            raise ContractError(f"{part}.{name} must be {_FIELDS[name][1]}; it is {_shown(value)}")
        if name in _MODELS and not _is_document(value, kinds, kinds[_MODELS[name]]):
            raise ContractError(f"{part}.{name} must be a saved {_MODELS[name]}; it is {_shown(value)}")


def _is_document(value: object, kinds: Mapping[str, type], kind: type) -> bool:
    named = value.get("class") if isinstance(value, dict) and "format" in value else None
    return isinstance(named, str) and named in kinds and issubclass(kinds[named], kind)


def _shown(value: object) -> str:
    """A value, cut where it is long."""
    text = "a number too large" if isinstance(value, int) and abs(value) > _LARGEST else repr(value)
    return text if len(text) <= 40 else text[:37] + "…"
