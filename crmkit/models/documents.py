"""Fitted models as JSON documents."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

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
    settings = {name: tuple(v) if isinstance(v, list) else _value(v, kinds) for name, v in document["settings"].items()}
    model = kind(**settings)
    fitted = document["fitted"]
    params = fitted.get("params_", {})
    if fitted and (set(fitted) != set(kind._fitted) or not set(kind._parameters) <= set(params)):
        raise ContractError(f"a fitted {document['class']} has {sorted(kind._fitted)}; found {sorted(fitted)}")
    if fitted and not all(0 < params[name] < math.inf for name in kind._parameters):
        raise ContractError(f"parameters must be positive and finite; found {params}")
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
