"""Vectors checked before they are scored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from crmkit._types import Floats, Ints
from crmkit.exceptions import ConfigError, ContractError, ModelError

Score = Callable[[Any, Any], float]

EPS = float(np.finfo(np.float64).eps)


def or_missing(statistic: Callable[[Ints], ArrayLike], rows: Ints) -> ArrayLike:
    try:
        return statistic(rows)
    except ModelError:
        return np.nan


# Helpers


def outcomes(y: ArrayLike, p: ArrayLike) -> tuple[Floats, Floats]:
    y, p = checked(y, p, binary=True)
    if outside := int(((p < 0) | (p > 1)).sum()):
        raise ContractError(
            f"p: {outside:,} of {p.size:,} values are outside [0, 1] ({p.min():g} to {p.max():g}). "
            "Pass probabilities, not scores or logits."
        )
    return y, p


def checked(y: ArrayLike, p: ArrayLike, *, binary: bool = False) -> tuple[Floats, Floats]:
    y, p = score_columns(y=y, p=p)
    if binary and (other := int(((y != 0) & (y != 1)).sum())):
        raise ContractError(
            f"y: {other:,} of {y.size:,} outcomes are neither 0 nor 1. Pass y > 0, or the label as 0 and 1."
        )
    return y, p


def score_columns(**columns: ArrayLike) -> tuple[Floats, ...]:
    arrays = {name: vector(name, column) for name, column in columns.items()}
    sizes = {name: array.size for name, array in arrays.items()}
    if len(set(sizes.values())) > 1:
        raise ContractError(f"Lengths differ: {sizes}. Pass one element per row in each.")
    if 0 in sizes.values():
        raise ContractError(f"No rows to score: {', '.join(sizes)} have length 0. Check the filter before.")
    if bad := {
        name: int((~np.isfinite(array)).sum()) for name, array in arrays.items() if not np.isfinite(array).all()
    }:
        raise ContractError(f"Missing or infinite values: {bad}. Drop these rows from all arrays, or predict them.")
    return tuple(arrays.values())


def vector(name: str, column: ArrayLike) -> Floats:
    try:
        array = np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError):
        raise ContractError(
            f"{name} does not hold numbers only (missing values count as such). Drop or convert them."
        ) from None
    if array.ndim != 1:
        raise ContractError(f"{name} has shape {array.shape}; pass one column, for instance predict_proba(X)[:, 1].")
    return array


def levels(y: Floats, p: Floats) -> tuple[Floats, Floats, Floats]:
    """Distinct scores in rising order, with the number of rows and the sum of y at each."""
    level, inverse, count = np.unique(p, return_inverse=True, return_counts=True)
    return level, count.astype(np.float64), sums(inverse, y)


def sums(code: Ints, weights: Floats) -> Floats:
    return np.bincount(code, weights=weights).astype(np.float64, copy=False)


def from_zero(parts: Floats) -> Floats:
    return np.concatenate([[0.0], np.cumsum(parts)])


def positive_total(parts: Floats, what: str) -> float:
    total = float(parts.sum())
    if total <= 0:
        raise ModelError(f"No row has a positive outcome. {what} needs at least one; score more rows together.")
    return total


def hits_at(groups: ArrayLike, y: ArrayLike, p: ArrayLike, k: int) -> tuple[Floats, Floats]:
    """Positive rows among the k best, and among all, of each group that has one."""
    group, y, place = ranked_rows(groups, y, p, k)
    positives, hits = sums(group, y), sums(group, y * (place < k))
    positive_total(positives, "A list score")
    return hits[positives > 0], positives[positives > 0]


def ranked_rows(groups: ArrayLike, y: ArrayLike, p: ArrayLike, k: int) -> tuple[Ints, Floats, Ints]:
    """Group, outcome and place in its group's list of every row, group by group, best first."""
    y, p = checked(y, p, binary=True)
    if k < 1:
        raise ConfigError(f"k must be at least 1, got {k}.")
    group = group_codes(groups, y.size)
    order = np.lexsort((-p, group))
    group, y = group[order], y[order]
    size = np.bincount(group)
    return group, y, np.arange(y.size) - np.repeat(np.cumsum(size) - size, size)


def group_codes(groups: ArrayLike, n_rows: int) -> Ints:
    labels = np.asarray(groups)
    if labels.shape != (n_rows,):
        raise ContractError(f"groups has shape {labels.shape} for {n_rows:,} rows. Pass one label per row.")
    try:
        if (labels != labels).any():
            raise TypeError
        return np.unique(labels, return_inverse=True)[1]
    except TypeError:
        raise ContractError(
            "groups holds missing labels, or labels of several types. Drop these rows or name them."
        ) from None
