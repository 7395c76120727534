"""Boosted trees as arrays of numbers: what a saved model holds, and how it answers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from crmkit._types import Floats, Int32s

__all__ = ["Forest", "forest_score"]

_ROWS = 16_384


class Forest(NamedTuple):
    """Trees laid out one row each; a leaf leads to itself, so every row of data takes ``depth`` steps.

    Attributes
    ----------
    feature, left, right : int arrays (n_trees, n_nodes)
        Column to look at, and the nodes to go to when its value is at most the threshold, or above it.
    threshold, value : arrays (n_trees, n_nodes)
        Where to split; what a leaf adds to the log-odds.
    start : float
        Log-odds before any tree.
    depth : int
    """

    feature: Int32s
    left: Int32s
    right: Int32s
    threshold: Floats
    value: Floats
    start: float
    depth: int


def forest_score(forest: Forest, X: Floats) -> Floats:
    """Log-odds of rows: the start and the leaf value of every tree, added in the order of the trees.

    >>> stump = Forest(np.array([[0, 0, 0]]), np.array([[1, 1, 2]]), np.array([[2, 1, 2]]),
    ...                np.array([[0.5, np.inf, np.inf]]), np.array([[0.0, -1.0, 1.0]]), 0.25, 1)
    >>> forest_score(stump, np.array([[0.0], [1.0]])).tolist()
    [-0.75, 1.25]
    """
    score = np.full(len(X), forest.start)
    for first in range(0, len(X), _ROWS):
        score[first : first + _ROWS] += _chunk_score(forest, X[first : first + _ROWS])
    return score


def _chunk_score(forest: Forest, X: Floats) -> Floats:
    columns, row = np.ascontiguousarray(X).ravel(), np.arange(len(X)) * X.shape[1]
    total = np.zeros(len(X))
    for feature, left, right, threshold, value in zip(*forest[:5], strict=True):
        below = np.column_stack([right, left]).ravel()
        node = np.zeros(len(X), dtype=np.int32)
        for _ in range(_steps(left, right)):
            at_most = columns[row + feature[node]] <= threshold[node]
            node = below[2 * node + at_most]
        total += value[node]
    return total


def _steps(left: Int32s, right: Int32s) -> int:
    """How many steps lead from the root to the deepest leaf of a tree."""
    steps, level = 0, np.zeros(1, dtype=np.int32)
    while len(level := level[left[level] != level]):
        level = np.concatenate([left[level], right[level]])
        steps += 1
    return steps
