"""What each factor of a product explains of its change, so that the parts add up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

__all__ = ["explained", "to_the_cent"]


def explained(before: Floats, after: Floats) -> Floats:
    """The change of a product of factors, by factor: L(P1, P0) ln(f1 / f0), with L the logarithmic mean.

    Parameters
    ----------
    before, after : arrays of shape (n, k)
        Factors above 0, one row a product.

    Returns
    -------
    array of shape (n, k)
        A row adds up to the change of the product. Rows with a factor of 0 or less are missing.

    References
    ----------
    Ang (2005), The LMDI approach to decomposition analysis: a practical guide, Energy Policy 33, 867-871, equation 5.

    Examples
    --------
    >>> explained(np.array([[10.0, 2.0]]), np.array([[10.0, 3.0]])).round(6).tolist()
    [[0.0, 10.0]]
    """
    first, last = before.prod(axis=1), after.prod(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        growth = np.log(last / first)
        mean = np.where(np.abs(growth) < 1e-12, first, (last - first) / growth)
        return np.asarray(mean[:, None] * np.log(after / before), dtype=np.float64)


def to_the_cent(parts: Floats, totals: Ints) -> Ints:
    """Parts in whole cents that add up to the totals: each is rounded, and the largest takes what is left.

    >>> to_the_cent(np.array([[33.4, 33.4, 33.2]]), np.array([100])).tolist()
    [[34, 33, 33]]
    """
    cents = np.rint(parts).astype(np.int64)
    largest = np.abs(parts).argmax(axis=1)
    cents[np.arange(len(cents)), largest] += totals - cents.sum(axis=1)
    return cents
