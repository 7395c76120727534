"""A fitted `ChurnModel` as one JSON document behind a hash. Nothing in a file is ever executed."""

from __future__ import annotations

import hashlib
import json
import os
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd

from crmkit._atomic import replacing
from crmkit.churn._tree_math import Forest
from crmkit.churn.estimators import BoostedTrees, ChurnClassifier, ChurnLogistic
from crmkit.churn.selection import BOOSTERS
from crmkit.exceptions import ContractError, ExtractError
from crmkit.models._base import Model
from crmkit.models.documents import FORMAT as MODEL_FORMAT
from crmkit.models.documents import document_of, finite, model_of

if TYPE_CHECKING:
    from crmkit._types import Json

__all__ = ["FORMAT", "content_of", "read", "restore", "write"]

FORMAT = "crmkit churn model 1"


C = TypeVar("C", ChurnClassifier, ChurnLogistic, BoostedTrees)


def write(path: Path, content: dict[str, Json]) -> Path:
    """Write a document behind its hash: the first line states the hash of the rest."""
    text = json.dumps(content, allow_nan=False)
    head = json.dumps({"format": FORMAT, "sha256": hashlib.sha256(text.encode()).hexdigest()})
    with replacing(path) as part:
        part.write_text(f"{head}\n{text}\n", encoding="utf-8")
    return path


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The document of a file whose content matches its hash; another is refused before it is parsed."""
    try:
        head, _, content = Path(path).read_bytes().partition(b"\n")
    except OSError as error:
        raise ExtractError(f"No model can be read from {os.fspath(path)!r}: {error}") from error
    content = content.removesuffix(b"\n")
    try:
        stated = json.loads(head)
        if not isinstance(stated, dict) or stated.get("format") != FORMAT:
            raise ContractError(f"its first line does not state the format {FORMAT!r}")
        if stated.get("sha256") != hashlib.sha256(content).hexdigest():
            raise ContractError("its content does not match its hash: it was changed after it was saved, or cut off")
        found: dict[str, Any] = json.loads(content, parse_float=finite, parse_constant=finite)
        return found
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ContractError(f"{os.fspath(path)!r} is not a churn model saved by crmkit: {error}") from error


def content_of(model: Any) -> dict[str, Any]:
    """All that a fitted `ChurnModel` knows, as plain numbers, text, lists and dicts."""
    whole = model.estimator_ if isinstance(model.estimator_, ChurnClassifier) else None
    rates = model.base_rates_.assign(day=model.base_rates_["day"].astype("str"))
    return {
        "horizon": int(model.horizon),
        "booster": model.booster,
        "note": model.note_,
        "season": model.season_,
        "service": model.service_,
        "thresholds": model.thresholds_,
        "purchases": document_of(model.purchases_),
        "spend": document_of(model.spend_),
        "classifier": whole
        and {"intercept": whole.intercept_, "slope": whole.slope_, "names": list(whole.feature_names_in_)},
        "logistic": whole and _logistic_content(whole.estimators_[0]),
        "trees": _trees_content(whole.estimators_[1]) if whole and len(whole.estimators_) > 1 else None,
        "partial": model.partial_ and _logistic_content(model.partial_),
        "choice": model.choice_.to_dict(orient="list"),
        "base_rates": rates.to_dict(orient="list"),
        "effects": model.effects_.to_dict(orient="list"),
        "service_effects": model.service_effects_.to_dict(orient="list"),
        "models": MODEL_FORMAT,
    }


def _logistic_content(model: ChurnLogistic) -> dict[str, object]:
    arrays = {name: getattr(model, name).tolist() for name in ("coef_", "mean_", "scale_", "covariance_")}
    return {
        "settings": model.get_params(),
        "intercept_": model.intercept_,
        "names": list(model.feature_names_in_),
        **arrays,
    }


def _trees_content(model: BoostedTrees) -> dict[str, object]:
    forest = model.forest_._asdict()
    arrays = {name: forest[name].tolist() for name in ("feature", "left", "right", "value")}
    leaf = np.where(np.isfinite(model.forest_.threshold), model.forest_.threshold, 0.0).tolist()
    inner = np.isfinite(model.forest_.threshold).tolist()
    rest = {"start": forest["start"], "depth": forest["depth"], "names": list(model.feature_names_in_)}
    return {"settings": model.get_params(), **arrays, "threshold": leaf, "inner": inner, **rest}


def restore(model: Any, content: dict[str, Any]) -> Any:
    """Give an unfitted model what `content_of` took from a fitted one."""
    model.note_, model.season_, model.service_ = content["note"], content["season"], content["service"]
    model.thresholds_ = content["thresholds"]
    model.purchases_, model.spend_ = (
        model_of(content["purchases"], Model.kinds),
        model_of(content["spend"], Model.kinds),
    )
    model.choice_, model.effects_ = pd.DataFrame(content["choice"]), pd.DataFrame(content["effects"])
    model.service_effects_ = pd.DataFrame(content["service_effects"])
    rates = pd.DataFrame(content["base_rates"])
    model.base_rates_ = rates.assign(day=[date.fromisoformat(day) for day in rates["day"]])
    model.partial_ = content["partial"] and _logistic_from(content["partial"])
    model.estimator_ = model.purchases_
    if content["classifier"]:
        model.estimator_ = _classifier_from(content)
    return model


def _classifier_from(content: dict[str, Any]) -> ChurnClassifier:
    parts: list[Any] = [_logistic_from(content["logistic"])]
    parts += [_trees_from(content["trees"], BOOSTERS[content["booster"]])] if content["trees"] else []
    whole: ChurnClassifier = _named(ChurnClassifier(tuple(parts)), content["classifier"]["names"])
    whole.estimators_, whole.held_out_, whole.parts_ = parts, np.zeros(0), np.zeros((len(parts), 0))
    whole.intercept_, whole.slope_ = content["classifier"]["intercept"], content["classifier"]["slope"]
    return whole


def _logistic_from(content: dict[str, Any]) -> ChurnLogistic:
    model: ChurnLogistic = _named(ChurnLogistic(**content["settings"]), content["names"])
    model.intercept_ = content["intercept_"]
    for name in ("coef_", "mean_", "scale_", "covariance_"):
        setattr(model, name, np.array(content[name], dtype=np.float64))
    if not len(model.coef_) == len(model.mean_) == len(model.scale_) == len(content["names"]):
        raise ContractError("the coefficients and the names of the features differ in number")
    return model


def _trees_from(content: dict[str, Any], booster: type[BoostedTrees]) -> BoostedTrees:
    model: BoostedTrees = _named(booster(**content["settings"]), content["names"])
    feature, left, right = (np.array(content[name], dtype=np.int32) for name in ("feature", "left", "right"))
    threshold = np.where(content["inner"], np.array(content["threshold"], dtype=np.float64), np.inf)
    value = np.array(content["value"], dtype=np.float64)
    inside = [(places >= 0) & (places < feature.shape[1]) for places in (left, right)]
    if not (np.all(inside) and np.all((feature >= 0) & (feature < len(content["names"])))):
        raise ContractError("a tree leads to a node or a feature that is not there")
    model.forest_ = Forest(feature, left, right, threshold, value, content["start"], content["depth"])
    return model


def _named(model: C, names: list[str]) -> C:
    model.feature_names_in_, model.n_features_in_ = np.array(names, dtype=object), len(names)
    model.classes_ = np.array([0.0, 1.0])
    return model
