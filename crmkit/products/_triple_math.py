"""How many baskets have all of three items: sparse products, one item at a time; arrays in, arrays out."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from crmkit._types import Ints

__all__ = ["triples"]


def triples(basket: Ints, item: Ints, pairs: Ints, support: int) -> Ints:
    """Triples that so many baskets have, of items any two of which are a pair.

    Parameters
    ----------
    basket, item : arrays of shape (n,)
        One entry for each item in each basket; items are numbered from 1.
    pairs : array of shape (m, 2)
        The smaller number first.
    support : int

    Returns
    -------
    array of shape (k, 4)
        The items, in the order of their numbers, and the baskets; ordered by the items.

    Notes
    -----
    For an item a, the baskets that have it are a sparse matrix X of its partners; XᵀX counts b and c beside a. The work is that
    of the triples in the baskets, whatever the number of items.

    Examples
    --------
    >>> triples(np.array([7, 7, 7, 9, 9, 9]), np.array([1, 2, 3, 1, 2, 3]), np.array([[1, 2], [1, 3], [2, 3]]), 2).tolist()
    [[1, 2, 3, 2]]
    """
    if not len(pairs):
        return np.zeros((0, 4), dtype=np.int64)
    n = int(item.max()) + 1
    rows = np.unique(basket, return_inverse=True)[1]
    has = sparse.csr_matrix((np.ones(len(item), dtype=np.int32), (rows, item)), shape=(rows.max() + 1, n))
    by_item = has.tocsc()
    beside = sparse.csr_matrix((np.ones(len(pairs), dtype=np.int8), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    found = [_beside(int(a), has, by_item, beside, support) for a in np.unique(pairs[:, 0])]
    return np.concatenate(found)


def _beside(
    a: int, has: sparse.csr_matrix, by_item: sparse.csc_matrix, beside: sparse.csr_matrix, support: int
) -> Ints:
    """Triples whose first item is ``a``."""
    partners = np.sort(beside.indices[beside.indptr[a] : beside.indptr[a + 1]])
    baskets = by_item.indices[by_item.indptr[a] : by_item.indptr[a + 1]]
    if len(partners) < 2:
        return np.zeros((0, 4), dtype=np.int64)
    own = has[baskets][:, partners]
    both = sparse.triu(own.T @ own, k=1).tocoo()
    often = both.data >= support
    b, c, count = partners[both.row[often]], partners[both.col[often]], both.data[often]
    joined = np.asarray(beside[b, c]).ravel() > 0 if len(b) else np.zeros(0, dtype=bool)
    b, c, count = b[joined], c[joined], count[joined]
    order = np.lexsort((c, b))
    return np.column_stack([np.full(len(b), a), b[order], c[order], count[order]]).astype(np.int64)
