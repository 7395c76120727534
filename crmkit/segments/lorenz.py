"""How concentrated a column is, where the table is: a thousand sums come to the driver, however many customers there are."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmkit._types import Floats
from crmkit.engine.frames import is_spark, map_rows
from crmkit.engine.tables import grouped
from crmkit.exceptions import ContractError
from crmkit.segments.displays import LorenzDisplay, lorenz_curve
from crmkit.segments.observed import observed_quantiles

if TYPE_CHECKING:
    from crmkit.engine.frames import Frame

__all__ = ["lorenz_of"]

_POINTS = 1000
_CURVE = np.arange(101) / 100
_SHARES = np.array([0.01, 0.05, 0.10, 0.20, 0.50])


def lorenz_of(customers: Frame, column: str) -> LorenzDisplay:
    """`lorenz_curve` of a column, values below 0 taken as 0.

    Of more than a thousand customers on Spark it is drawn through a thousand of them, and straight between these.

    >>> lorenz_of(pd.DataFrame({"value": [1.0, 0, 0, -1]}), "value").gini
    0.75
    """
    if not is_spark(customers):
        return lorenz_curve(customers[column].clip(lower=0))
    cuts = np.unique(observed_quantiles(customers, {column: np.arange(1, _POINTS + 1) / _POINTS})[column].clip(0))
    parts = map_rows(customers[[column]], partial(_sums, cuts=cuts), "band bigint, n bigint, held double")
    bands = grouped(parts, "band", n=("n", "sum"), held=("held", "sum"))
    return _drawn(bands["n"].to_numpy()[::-1], bands["held"].to_numpy()[::-1])


def _sums(rows: pd.DataFrame, cuts: Floats) -> pd.DataFrame:
    """Customers between two cuts, the upper one included, and what they hold together."""
    values = rows.iloc[:, 0].to_numpy(dtype=np.float64).clip(0)
    band = np.searchsorted(cuts, values)
    n = np.bincount(band, minlength=len(cuts))
    table = pd.DataFrame({"band": np.arange(len(n)), "n": n, "held": np.bincount(band, values, len(cuts))})
    return table[table["n"] > 0]


def _drawn(n: Floats, held: Floats) -> LorenzDisplay:
    """The curve through the sums of bands, the best first."""
    x, y = (np.concatenate([[0.0], np.cumsum(sums)]) for sums in (n, held))
    if not y[-1] > 0:
        raise ContractError(f"The values sum to {y[-1]:g}; shares of a total need a positive one.")
    x, y = x / x[-1], y / y[-1]
    gini = float(2 * (np.diff(x) * (y[1:] + y[:-1]) / 2).sum() - 1)

    def at(shares: Floats) -> pd.DataFrame:
        return pd.DataFrame({"share_of_customers": shares, "share_of_value": np.interp(shares, x, y)})

    return LorenzDisplay(at(_CURVE), at(_SHARES), round(gini, 12) + 0.0)
