"""How well the parameters of two models are known, and what follows for the product of their answers."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import TypeVar

import numpy as np
from sklearn.base import clone

from crmkit._types import Bools, Floats, Table
from crmkit.exceptions import CrmkitWarning, ModelError
from crmkit.models._base import Model
from crmkit.models._columns import read_columns
from crmkit.models.gamma_gamma import GammaGamma
from crmkit.models.purchase_model import PurchaseModel

Parts = tuple[PurchaseModel, GammaGamma]
"""Two fitted models: of purchases, and of spend."""

M = TypeVar("M", bound=Model)
_STEP = 1e-3


def checked_level(level: float) -> float:
    """A coverage between 0 and 1, or a ModelError."""
    if not 0 < level < 1:
        raise ModelError(f"level must lie between 0 and 1; it is {level!r}.")
    return level


def normal_quantile(level: float) -> float:
    """How many standard errors an interval of this coverage reaches to each side."""
    return NormalDist().inv_cdf((1 + checked_level(level)) / 2)


def coordinates(parts: Sequence[Model]) -> Floats:
    """Logarithms of all parameters; coefficients of covariates as they are."""
    return np.concatenate([_coordinates(part) for part in parts])


def log_covariance(parts: Parts) -> Floats:
    """Covariance of the `coordinates` of two models that were fitted apart."""
    units = [np.where(_positive(part), _values(part), 1.0) for part in parts]
    blocks = [part.covariance_ / np.outer(unit, unit) for part, unit in zip(parts, units, strict=True)]
    first = len(blocks[0])
    both = np.zeros((first + len(blocks[1]),) * 2)
    both[:first, :first], both[first:, first:] = blocks
    return both


def moved(parts: Parts, at: Floats) -> Parts:
    """Copies with other parameters, given by their `coordinates`."""
    purchases, spend = parts
    first = len(_free(purchases))
    return _moved(purchases, at[:first]), _moved(spend, at[first:])


def log_gradient(parts: Parts, answers: tuple[Callable[[Parts], Floats], Callable[[Parts], Floats]]) -> Floats:
    """Slope of the logarithm of each product along each coordinate; (n_customers, n_parameters).

    ``answers`` are the two factors, the first of which depends on the first model alone and the second on the second.
    """
    at, first = coordinates(parts), len(_free(parts[0]))
    slopes = []
    for place, step in enumerate(_STEP * np.eye(len(at))):
        answer = answers[place >= first]
        up, down = (answer(moved(parts, at + side)) for side in (step, -step))
        middle = (up + down) / 2
        slopes.append((up - down) / (2 * _STEP) / np.where(middle > 0, middle, 1.0))
    return np.array(slopes).T


def resampled_covariance(parts: Parts, customers: Table, n: int, seed: int) -> Floats:
    """Covariance of the `coordinates` over refits to simulated tables of as many customers."""
    T = read_columns(customers, ("T",), {})[0]
    rng = np.random.default_rng(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrmkitWarning)
        refits = [_refit(parts, customers, T, int(rng.integers(2**31)), rng) for _ in range(n)]
    valid = [logs for logs in refits if logs is not None]
    if len(valid) < max(2, n / 2):
        raise ModelError(f"Only {len(valid)} of {n} simulated tables could be fitted without a prior; add customers.")
    return np.cov(np.array(valid).T)


def _refit(parts: Parts, customers: Table, T: Floats, seed: int, rng: np.random.Generator) -> Floats | None:
    purchases, spend = parts
    others = {"covariates": customers} if getattr(purchases, "_covariates", ()) else {}
    table = purchases.simulate(len(T), T, seed, **others)
    table = table.assign(**spend.simulate_spend(table["frequency"].to_numpy(dtype=np.float64), rng))
    try:
        refitted: list[Model] = [clone(part).fit(table) for part in parts]
    except ModelError:
        return None
    return None if any(part.prior_used_ for part in refitted) else coordinates(refitted)


def _free(part: Model) -> list[str]:
    """Names of the parameters that were fitted, in the order of the covariance."""
    return list(part.params_)[: len(part.covariance_)]


def _positive(part: Model) -> Bools:
    """Which of them are positive, and so moved by their logarithm; coefficients of covariates are moved as they are."""
    return np.array([name in part._parameters for name in _free(part)])


def _values(part: Model) -> Floats:
    return np.array([part.params_[name] for name in _free(part)])


def _coordinates(part: Model) -> Floats:
    values = _values(part)
    logs: Floats = np.log(values, where=_positive(part), out=values.copy())
    return logs


def _moved(part: M, at: Floats) -> M:
    there = copy.copy(part)
    values = np.exp(at, where=_positive(part), out=at.copy())
    there.params_ = part.params_ | dict(zip(_free(part), values.tolist(), strict=True))
    return there
