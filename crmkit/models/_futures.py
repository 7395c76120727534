"""What customers may really bring: draws of the future at draws of the parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from crmkit._types import Floats
from crmkit.models._value_intervals import Parts, coordinates, moved

CHUNK = 8_192


class Terms(NamedTuple):
    """Days ahead, the discount a year, and what is kept of each unit of spend."""

    horizon: float
    annual_discount: float
    margin: float


def futures(
    parts: Parts, covariance: Floats, customers: pd.DataFrame, terms: Terms, n_draws: int, seed: int
) -> Iterator[Floats]:
    """Draws of the realised value, (n_draws, chunk of customers), with the same parameters in every chunk."""
    rng = np.random.default_rng(seed)
    logs = rng.multivariate_normal(coordinates(parts), covariance, n_draws, method="eigh")
    drawn = [moved(parts, row) for row in logs]
    for start in range(0, len(customers), CHUNK):
        chunk = customers.iloc[start : start + CHUNK]
        yield np.array([_future(some, chunk, terms, rng) for some in drawn])


def _future(parts: Parts, customers: pd.DataFrame, terms: Terms, rng: np.random.Generator) -> Floats:
    """Value brought by each customer in one possible future at these parameters."""
    purchases, discount = parts[0].draw_future(customers, terms.horizon, terms.annual_discount, rng)
    return terms.margin * parts[1].draw_spend(customers, purchases, rng) * discount


def bounds(drawn: Floats, tail: float, level: float) -> Floats:
    """Quantiles over the draws, (2, n_customers); with an interval from 0 where the lower one is 0."""
    low, high, from_zero = np.quantile(drawn, [tail, 1 - tail, level], axis=0)
    return np.array([low, np.where(low > 0, high, from_zero)])
