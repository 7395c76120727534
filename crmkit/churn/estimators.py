"""Classifiers over a table of customer features: a logistic one, boosted trees, and the average of their log-odds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from crmkit._checks import require
from crmkit._fitted import NotFittedError
from crmkit._types import Floats
from crmkit.churn._logistic_math import clustered_covariance, fit_logistic
from crmkit.churn._tree_math import Forest, forest_score
from crmkit.exceptions import ContractError

if TYPE_CHECKING:
    from sklearn.utils import Tags

__all__ = ["BoostedTrees", "ChurnClassifier", "ChurnLogistic", "LightGBMTrees"]

_CALIBRATION = 1e-3


class _Classifier(ClassifierMixin, BaseEstimator, ABC):  # type: ignore[misc]
    """What the classifiers share: two classes, predicted by log-odds."""

    def _checked(self, X: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        table, target = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2)
        check_classification_targets(target)
        self.classes_, outcome = np.unique(target, return_inverse=True)
        if len(self.classes_) > 2:
            raise ContractError(
                f"Only binary classification is supported. The type of the target is {type_of_target(target)}."
            )
        if len(self.classes_) < 2:
            raise ContractError(f"y has one class only ({self.classes_[0]!r}). Fit on rows of both.")
        return table, outcome.astype(np.float64)

    def _read(self, X: ArrayLike) -> Floats:
        if not hasattr(self, "classes_"):
            raise NotFittedError(f"This {type(self).__name__} is not fitted yet. Call fit(X, y) first.")
        table: Floats = validate_data(self, X, dtype=np.float64, reset=False)
        return table

    def predict_proba(self, X: ArrayLike) -> Floats:
        """Probability of each class, shape (n, 2)."""
        p = expit(self.decision_function(X))
        return np.column_stack([1 - p, p])

    def predict(self, X: ArrayLike) -> NDArray[np.generic]:
        """The likelier class of each row."""
        second = (self.decision_function(X) > 0).astype(int)
        likelier: NDArray[np.generic] = self.classes_[second]
        return likelier

    @abstractmethod
    def decision_function(self, X: ArrayLike) -> Floats:
        """Log-odds of the second class, shape (n,)."""

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags


class ChurnLogistic(_Classifier):
    """Logistic regression shrunk towards the prediction of another model, the anchor: without evidence it predicts the same.

    Columns are standardised; their coefficients have independent normal priors of precision ``strength`` around 0, and the
    coefficient of the anchor, a column of log-odds, around 1. So few customers move little, and many decide freely.

    Parameters
    ----------
    anchor : str, optional
        The column with the log-odds of a buy-till-you-die model, where the table has it.
    strength : float
        What the priors count for, in customers.
    intervals : bool
        Whether `effects` is wanted: estimates ``covariance_``.

    Attributes
    ----------
    intercept_ : float
        Log-odds of a customer at the mean of all columns.
    coef_ : ndarray of shape (n_features,)
        Log-odds per standard deviation.
    mean_, scale_ : ndarray of shape (n_features,)
    covariance_ : ndarray of shape (1 + n_features, 1 + n_features)
        Of intercept and coefficients, rows of one group taken together; zeros without ``intervals``.

    Examples
    --------
    >>> X = pd.DataFrame({"days_away": [1.0, 2, 3, 4, 5, 6]})
    >>> model = ChurnLogistic(strength=1.0).fit(X, [0, 0, 1, 0, 1, 1])
    >>> model.predict_proba(X)[:, 1].round(2).tolist()
    [0.22, 0.32, 0.44, 0.56, 0.68, 0.78]
    """

    def __init__(self, anchor: str | None = "btyd_log_odds", strength: float = 10.0, intervals: bool = True) -> None:
        self.anchor = anchor
        self.strength = strength
        self.intervals = intervals

    def fit(self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None) -> Self:
        """Estimate; rows with the same of ``groups`` (a customer's snapshots) are not independent."""
        table, outcome = self._checked(X, y)
        self.mean_, spread = table.mean(axis=0), table.std(axis=0)
        self.scale_ = np.where(spread > 1e-12 * (1 + np.abs(self.mean_)), spread, 1.0)
        Z = (table - self.mean_) / self.scale_
        b = fit_logistic(Z, outcome, self.strength, self._prior())
        self.covariance_ = np.zeros((len(b), len(b)))
        if self.intervals:
            whose = np.arange(len(Z)) if groups is None else pd.factorize(np.asarray(groups))[0].astype(np.int64)
            self.covariance_ = clustered_covariance(Z, outcome, b, self.strength, whose)
        self.intercept_, self.coef_ = float(b[0]), b[1:]
        return self

    def _prior(self) -> Floats:
        names = list(getattr(self, "feature_names_in_", ()))
        return np.array(
            [self.scale_[i] if name == self.anchor else 0.0 for i, name in enumerate(names)] or [0.0] * len(self.scale_)
        )

    def contributions(self, X: ArrayLike) -> Floats:
        """What each column adds to the log-odds, against a customer at its mean; rows sum to them less ``intercept_``."""
        moved: Floats = (self._read(X) - self.mean_) / self.scale_ * self.coef_
        return moved

    def decision_function(self, X: ArrayLike) -> Floats:
        """Log-odds of the second class, shape (n,)."""
        moved = self.contributions(X).sum(axis=1)
        return np.asarray(self.intercept_ + moved, dtype=np.float64)

    def effects(self, level: float = 0.95) -> pd.DataFrame:
        """Log-odds per unit of each column, with an interval: term, coefficient, low, high."""
        from scipy.stats import norm

        check_is_fitted(self)
        half = norm.ppf((1 + level) / 2) * np.sqrt(np.diag(self.covariance_)[1:])
        names = getattr(self, "feature_names_in_", np.arange(len(self.coef_)))
        parts = {"coefficient": self.coef_, "low": self.coef_ - half, "high": self.coef_ + half}
        return pd.DataFrame({"term": names} | {name: values / self.scale_ for name, values in parts.items()})


class BoostedTrees(_Classifier):
    """Gradient boosting of small trees by scikit-learn, kept as plain arrays: predicted and saved without pickle.

    Parameters
    ----------
    n_trees : int
    learning_rate : float
    max_leaf_nodes, min_samples_leaf : int
    l2 : float
        Penalty on the leaf values.

    Attributes
    ----------
    forest_ : Forest

    Examples
    --------
    >>> X = pd.DataFrame({"days_away": np.arange(200.0)})
    >>> model = BoostedTrees().fit(X, np.arange(200) >= 120)
    >>> model.predict_proba(X)[[0, 199], 1].round(2).tolist()
    [0.03, 0.96]
    """

    def __init__(
        self,
        n_trees: int = 100,
        learning_rate: float = 0.06,
        max_leaf_nodes: int = 8,
        min_samples_leaf: int = 40,
        l2: float = 10.0,
    ) -> None:
        self.n_trees = n_trees
        self.learning_rate = learning_rate
        self.max_leaf_nodes = max_leaf_nodes
        self.min_samples_leaf = min_samples_leaf
        self.l2 = l2

    def fit(self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None) -> Self:
        """Estimate; ``groups`` is not used."""
        table, outcome = self._checked(X, y)
        model = HistGradientBoostingClassifier(
            max_iter=self.n_trees,
            learning_rate=self.learning_rate,
            max_leaf_nodes=self.max_leaf_nodes,
            min_samples_leaf=self.min_samples_leaf,
            l2_regularization=self.l2,
            early_stopping=False,
            random_state=0,
        ).fit(table, outcome)
        self.forest_ = _forest(model)
        return self

    def decision_function(self, X: ArrayLike) -> Floats:
        """Log-odds of the second class, shape (n,)."""
        table = self._read(X)
        return forest_score(self.forest_, table)


def _forest(model: HistGradientBoostingClassifier) -> Forest:
    """The trees of a fitted histogram boosting, every tree padded to the size of the largest."""
    trees = [stage[0].nodes for stage in model._predictors]
    depth = max((int(nodes["depth"].max()) for nodes in trees), default=0)
    start = float(model._baseline_prediction.ravel()[0])
    forest = _no_forest(len(trees), max((len(nodes) for nodes in trees), default=1), start, depth)
    for i, nodes in enumerate(trees):
        inner = np.flatnonzero(nodes["is_leaf"] == 0)
        for name, of in (
            ("feature", "feature_idx"),
            ("threshold", "num_threshold"),
            ("left", "left"),
            ("right", "right"),
        ):
            getattr(forest, name)[i, inner] = nodes[of][inner]
        forest.value[i, : len(nodes)] = np.where(nodes["is_leaf"] == 1, nodes["value"], 0.0)
    return forest


def _no_forest(n_trees: int, size: int, start: float, depth: int) -> Forest:
    """Trees of leaves alone, to be filled in: a leaf leads to itself."""
    shape, itself = (n_trees, size), np.tile(np.arange(size, dtype=np.int32), (n_trees, 1))
    return Forest(
        np.zeros(shape, np.int32), itself, itself.copy(), np.full(shape, np.inf), np.zeros(shape), start, depth
    )


class LightGBMTrees(BoostedTrees):
    """The same trees grown by LightGBM (Ke et al. 2017), which is needed for the fit alone: pip install 'crmkit[lightgbm]'.

    What is fitted is kept as the same plain arrays: predicted and saved without LightGBM, whose own reader ends the
    whole process at a damaged file.

    Parameters
    ----------
    n_trees, learning_rate, max_leaf_nodes, min_samples_leaf, l2
        As in `BoostedTrees`.

    Attributes
    ----------
    forest_ : Forest
    """

    def fit(self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None) -> Self:
        """Estimate; ``groups`` is not used."""
        table, outcome = self._checked(X, y)
        lightgbm = require("lightgbm", "lightgbm")
        settings = {
            "objective": "binary",
            "learning_rate": self.learning_rate,
            "num_leaves": self.max_leaf_nodes,
            "min_data_in_leaf": self.min_samples_leaf,
            "lambda_l2": self.l2,
            "seed": 0,
            "deterministic": True,
            "force_row_wise": True,
            "verbose": -1,
        }
        grown = lightgbm.train(settings, lightgbm.Dataset(table, outcome), num_boost_round=self.n_trees)
        self.forest_ = _lightgbm_forest([tree["tree_structure"] for tree in grown.dump_model()["tree_info"]])
        return self


def _lightgbm_forest(roots: list[dict[str, Any]]) -> Forest:
    """The trees of LightGBM, each a nest of inner nodes and leaves, laid out one row each."""
    trees = [_laid_out(root) for root in roots]
    size = max((len(nodes) for nodes, _ in trees), default=1)
    forest = _no_forest(len(trees), size, 0.0, max((depth for _, depth in trees), default=0))
    for i, (nodes, _) in enumerate(trees):
        for place, (node, left, right) in enumerate(nodes):
            if "leaf_value" in node:
                forest.value[i, place] = node["leaf_value"]
            else:
                forest.feature[i, place], forest.threshold[i, place] = node["split_feature"], node["threshold"]
                forest.left[i, place], forest.right[i, place] = left, right
    return forest


def _laid_out(root: dict[str, Any]) -> tuple[list[tuple[dict[str, Any], int, int]], int]:
    """Nodes level by level, each with the places of the two below it, and the number of levels below the root."""
    nodes: list[tuple[dict[str, Any], int, int]] = []
    level, depth = [root], 0
    while level:
        below: list[dict[str, Any]] = []
        first = len(nodes) + len(level)
        for node in level:
            nodes.append((node, first + len(below), first + len(below) + 1))
            below += [] if "leaf_value" in node else [node["left_child"], node["right_child"]]
        level, depth = below, depth + bool(below)
    return nodes, depth


class ChurnClassifier(_Classifier):
    """The mean of the log-odds of several classifiers, calibrated by one logistic step.

    The step (intercept + slope × mean log-odds) is fitted on predictions for customers that the classifiers had not seen: the
    groups are halved, and each half is scored by what was fitted on the other.

    Parameters
    ----------
    estimators : sequence of classifiers, optional
        With ``decision_function``; `ChurnLogistic` and `BoostedTrees` when not given.

    Attributes
    ----------
    estimators_ : list
    intercept_, slope_ : float
        The logistic step; 0 and 1 where a half lacks one of the classes.
    parts_ : ndarray of shape (n_estimators, n_rows)
        Log-odds of each training row by estimators that had not seen its group, before the step; 0 without the step.
    held_out_ : ndarray of shape (n_rows,)
        Their mean.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame({"days_away": rng.normal(size=2000)})
    >>> model = ChurnClassifier().fit(X, rng.random(2000) < expit(X["days_away"]))
    >>> model.predict_proba(pd.DataFrame({"days_away": [-1.0, 0.0, 1.0]}))[:, 1].round(1).tolist()
    [0.2, 0.5, 0.7]
    """

    def __init__(self, estimators: Sequence[BaseEstimator] | None = None) -> None:
        self.estimators = estimators

    def fit(self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None) -> Self:
        """Estimate; rows with the same of ``groups`` stay together when customers are held out."""
        table, outcome = self._checked(X, y)
        framed = self._framed(table)
        whose = np.arange(len(table)) if groups is None else pd.factorize(np.asarray(groups))[0]
        half = whose % 2
        self.estimators_ = [one.fit(framed, outcome, groups=whose) for one in self._unfitted()]
        self.parts_ = np.zeros((len(self.estimators_), len(table)))
        if all(np.unique(outcome[half == k]).size == 2 for k in (0, 1)):
            for k in (0, 1):
                rest, held = half != k, half == k
                parts = [one.fit(framed[rest], outcome[rest]) for one in self._unfitted(intervals=False)]
                self.parts_[:, held] = [one.decision_function(framed[held]) for one in parts]
        self._calibrate(outcome)
        return self

    def first(self, n: int, y: ArrayLike) -> ChurnClassifier:
        """What the fit of the first n estimators alone gives; ``y`` as it was fitted on."""
        part: ChurnClassifier = copy(self)
        part.estimators = tuple(self.estimators or (ChurnLogistic(), BoostedTrees()))[:n]
        part.estimators_, part.parts_ = self.estimators_[:n], self.parts_[:n]
        part._calibrate(np.searchsorted(self.classes_, np.asarray(y)).astype(np.float64))
        return part

    def _calibrate(self, outcome: Floats) -> None:
        self.held_out_ = np.asarray(self.parts_.mean(axis=0), dtype=np.float64)
        self.intercept_, self.slope_ = 0.0, 1.0
        if self.held_out_.any():
            step = fit_logistic(self.held_out_[:, None], outcome, _CALIBRATION, np.ones(1))
            self.intercept_, self.slope_ = float(step[0]), float(step[1])

    def _unfitted(self, **settings: bool) -> list[BaseEstimator]:
        """The estimators, with these settings where they have them."""
        chosen = (ChurnLogistic(), BoostedTrees()) if self.estimators is None else self.estimators
        ones = [clone(one) for one in chosen]
        return [
            one.set_params(**{name: value for name, value in settings.items() if name in one.get_params()})
            for one in ones
        ]

    def _framed(self, table: Floats) -> pd.DataFrame | Floats:
        names = getattr(self, "feature_names_in_", None)
        return table if names is None else pd.DataFrame(table, columns=names, copy=False)

    def decision_function(self, X: ArrayLike) -> Floats:
        """Log-odds of the second class, shape (n,)."""
        framed = self._framed(self._read(X))
        parts = np.array([one.decision_function(framed) for one in self.estimators_])
        return np.asarray(self.intercept_ + self.slope_ * parts.mean(axis=0), dtype=np.float64)
