"""Quantiles of a table where it is: observed values, of which a few come to the driver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from crmkit._types import Floats
from crmkit.engine.choose import engine_of
from crmkit.segments.cut_points import quantile_ranks

if TYPE_CHECKING:
    from crmkit.engine.frames import Frame

__all__ = ["observed_quantiles"]


def observed_quantiles(table: Frame, below: Mapping[str, Floats]) -> dict[str, Floats]:
    """Smallest observed values of columns with at least these shares of the rows at or under them, as `quantiles` finds them.

    A share is asked for half a row lower than its rank, so that no engine rounds it to the next one.

    >>> import pandas as pd
    >>> observed_quantiles(pd.DataFrame({"x": [3.0, 1, 2, 5, 4]}), {"x": np.array([0.2, 0.5])})["x"].tolist()
    [1.0, 3.0]
    """
    with engine_of(table) as engine:
        name = engine.register(table)
        n = int(engine.frame(f"select count(*) as n from {name}")["n"][0])
        asked = {column: ((quantile_ranks(n, shares) - 0.5) / n).tolist() for column, shares in below.items()}
        chosen = ", ".join(f"{engine.observed_quantiles(column, one)} as {column}" for column, one in asked.items())
        found = engine.arrow(f"select {chosen} from {name}").to_pylist()[0]
    return {column: np.asarray(values, dtype=np.float64) for column, values in found.items()}
