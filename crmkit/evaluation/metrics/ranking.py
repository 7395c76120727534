"""Scores of ranked lists."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from crmkit.evaluation.metrics._inputs import from_zero, hits_at, positive_total, ranked_rows, sums

__all__ = ["ndcg_at_k", "precision_at_k", "recall_at_k"]


# Lists


def recall_at_k(groups: ArrayLike, y: ArrayLike, p: ArrayLike, k: int) -> float:
    """Share of a group's positive rows found in its ``k`` best, averaged over groups with at least one positive.

    A group is a household and its rows are candidate items, say. Equal scores are listed in row order.

    >>> recall_at_k(["ann", "ann", "ann", "bob", "bob", "cem"], [1, 1, 0, 0, 1, 0], [0.9, 0.2, 0.5, 0.7, 0.1, 0.6], k=1)
    0.25
    """
    hits, positives = hits_at(groups, y, p, k)
    return float(np.mean(hits / positives))


def precision_at_k(groups: ArrayLike, y: ArrayLike, p: ArrayLike, k: int) -> float:
    """Positive rows in a group's ``k`` best divided by ``k``, averaged over groups with at least one positive.

    The divisor is ``k`` also where a group has fewer rows. Equal scores are listed in row order.

    >>> precision_at_k(["ann", "ann", "ann", "bob", "bob", "cem"], [1, 1, 0, 0, 1, 0], [0.9, 0.2, 0.5, 0.7, 0.1, 0.6], k=2)
    0.5
    """
    hits, _ = hits_at(groups, y, p, k)
    return float(np.mean(hits / k))


def ndcg_at_k(groups: ArrayLike, y: ArrayLike, p: ArrayLike, k: int) -> float:
    """Discounted gain of a group's ``k`` best rows over that of the best order, averaged over groups with a positive.

    Gain 1 / log₂(place + 1) for a positive row; the best order has min(k, positives) of them first (Järvelin & Kekäläinen
    2002). Equal scores are listed in row order.

    >>> round(ndcg_at_k(["ann", "ann", "ann", "bob", "bob"], [1, 0, 1, 0, 1], [0.9, 0.5, 0.2, 0.7, 0.1], k=2), 4)
    0.622
    """
    group, y, place = ranked_rows(groups, y, p, k)
    gain = np.where(place < k, y / np.log2(place + 2.0), 0.0)
    positives = sums(group, y)
    positive_total(positives, "A list score")
    best = from_zero(1 / np.log2(np.arange(k) + 2.0))[np.minimum(positives, k).astype(np.int64)]
    scored = positives > 0
    return float(np.mean(sums(group, gain)[scored] / best[scored]))
