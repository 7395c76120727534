"""The columns that a model reads, and what must hold in each."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from crmkit._checks import require_columns, warn_user
from crmkit._types import Bools, Floats
from crmkit.exceptions import ContractError, DeliveryWarning, ModelError

if TYPE_CHECKING:
    from crmkit._types import Table

Columns = dict[str, Floats]
Rules = dict[str, Callable[[Columns], Bools]]
DAYS_PER_YEAR = 365.25


# -- Tables in, series out -------------------------------------------------------------------------------------------

PURCHASE_RULES: Rules = {
    "frequency is a whole number, 0 or more": lambda c: _is_count(c["frequency"]),
    "recency is 0 or more": lambda c: c["recency"] >= 0,
    "recency is 0 where frequency is 0": lambda c: ~((c["frequency"] == 0) & (c["recency"] > 0)),
    "recency is not above T": lambda c: ~(c["recency"] > c["T"]),
    "T is a finite number, 0 or more": lambda c: (c["T"] >= 0) & (c["T"] < np.inf),
}
RATE_RULES: Rules = {name: rule for name, rule in PURCHASE_RULES.items() if "recency" not in name}
SPEND_RULES: Rules = {
    "frequency is a whole number, 0 or more": lambda c: _is_count(c["frequency"]),
    "monetary_value is a finite number where frequency is above 0": lambda c: (
        (c["frequency"] == 0) | np.isfinite(c["monetary_value"])
    ),
}


ALL_SPEND_RULES: Rules = SPEND_RULES | {"first_value is a finite number": lambda c: np.isfinite(c["first_value"])}


def _is_count(column: Floats) -> Bools:
    whole: Bools = np.isfinite(column) & (column >= 0) & (column == np.floor(column))
    return whole


def column_names(X: Table) -> list[str]:
    """The names of a table's columns: pandas, polars or Arrow."""
    return [str(name) for name in getattr(X, "column_names", getattr(X, "columns", ()))]


def read_columns(X: Table, names: tuple[str, ...], rules: Rules) -> list[Floats]:
    """The named columns of a table as float arrays, or one ContractError with everything that is wrong with them."""
    require_columns(X, names, advice="Rename them, or make the table with btyd_summary(log).")
    columns = {name: _floats(X[name], name) for name in names}
    faults = {rule: int((~holds(columns)).sum()) for rule, holds in rules.items()}
    broken = [f"{count} where not: {rule}" for rule, count in faults.items() if count]
    if broken:
        raise ContractError(
            f"Rows that do not meet the contract, of {len(columns[names[0]])} (missing values meet no rule): "
            + "; ".join(broken)
            + ". Correct or drop these rows."
        )
    return list(columns.values())


def _floats(column: Any, name: str) -> Floats:
    try:
        return pd.Series(column).to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise ContractError(f"Column {name!r} does not hold numbers. Turn it into numbers first.") from error


def read_weights(sample_weight: ArrayLike | None, n: int) -> Floats | None:
    """How many customers each row stands for; None means one."""
    if sample_weight is None:
        return None
    weights = np.asarray(sample_weight, dtype=np.float64)
    if weights.shape != (n,) or not ((weights >= 0) & (weights < np.inf)).all():
        raise ContractError(f"sample_weight must hold {n} finite numbers, 0 or more; it has shape {weights.shape}.")
    return weights


def distinct(*columns: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Which distinct row each row is, and where each distinct row stands first."""
    cell = np.zeros(len(columns[0]), dtype=np.intp)
    for column in columns:
        level, values = pd.factorize(column)
        cell = pd.factorize(cell * len(values) + level)[0]
    first = np.empty(cell.max(initial=-1) + 1, dtype=np.intp)
    first[cell[::-1]] = np.arange(len(cell))[::-1]
    return cell, first


def aligned(values: Floats, X: object, name: str) -> pd.Series[float]:
    """One value per row of X, on its index when X is a pandas table."""
    return pd.Series(values, index=X.index if isinstance(X, pd.DataFrame) else None, name=name)


def check_number(name: str, value: float) -> float:
    """A finite number, 0 or more, or a ModelError."""
    if not (isinstance(value, Real) and 0 <= value < math.inf):
        raise ModelError(f"{name} must be a finite number, 0 or more; it is {value!r}.")
    return float(value)


def per_day(annual_discount: float) -> float:
    return float(np.log1p(check_number("annual_discount", annual_discount)) / DAYS_PER_YEAR)


def count_values(n: ArrayLike) -> Floats:
    counts = np.asarray(n)
    if not (np.issubdtype(counts.dtype, np.number) and _is_count(counts.astype(float)).all()):
        raise ModelError(f"n must be a whole number, 0 or more; it is {n!r}.")
    return counts.astype(np.float64)


def duration_values(until: ArrayLike, n: int) -> Floats:
    times = np.asarray(until, dtype=np.float64)
    if times.shape not in ((), (n,)) or not ((times >= 0) & (times < np.inf)).all():
        raise ModelError(f"until must be one number or {n}, finite and 0 or more; its shape is {times.shape}.")
    return np.broadcast_to(times, (n,)).copy()


def cells_hash(*columns: Floats) -> str:
    """sha256 of distinct rows and their counts, whatever the order of the rows."""
    order = np.lexsort(columns)
    return hashlib.sha256(b"".join((column[order] + 0.0).astype("<f8").tobytes() for column in columns)).hexdigest()


def tell_of_horizon(customers: Table, horizon: float) -> None:
    """Warn where a horizon is longer than anybody has been observed: nothing in the log can tell what is then."""
    if "T" not in getattr(customers, "columns", ()) or not np.isfinite(horizon):
        return
    longest = float(np.max(np.asarray(customers["T"], dtype=float), initial=0.0))
    if 0 < longest < horizon:
        warn_user(
            f"The value is asked for {horizon:,.0f} days, and no customer has been observed for more than {longest:,.0f}: what comes "
            f"after {longest:,.0f} days rests on the model's form alone, and no backtest of this log can show it. State a shorter "
            f"horizon, or take the value of {longest:,.0f} days beside it.",
            DeliveryWarning,
        )
