"""What must be there: a table's columns, finite numbers, remembered names, a package; or an error that says what is missing."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from importlib import import_module
from types import ModuleType

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from crmkit._types import Floats, Table
from crmkit.exceptions import ContractError, CrmkitError

__all__ = [
    "as_table",
    "as_text",
    "customer_index",
    "nearest",
    "no_customer",
    "numbers",
    "remember",
    "require",
    "require_columns",
    "warn_user",
]

_NEAREST = 3


def require_columns(
    table: Table | Iterable[object], names: Iterable[str], what: str = "The table", advice: str = ""
) -> None:
    """Raise `ContractError` unless a table has these columns; the message proposes names that are near.

    >>> require_columns(["Recency", "T"], ["recency", "T"], advice="Make it with btyd_summary(log).")
    Traceback (most recent call last):
        ...
    crmkit.exceptions.ContractError: Columns not found: ['recency'] (did you mean 'Recency'?). The table has ['Recency', 'T']. Make it with btyd_summary(log).
    """
    there = [str(name) for name in getattr(table, "column_names", getattr(table, "columns", table))]
    if missing := [name for name in names if name not in there]:
        near = [repr(found) for name in missing if (found := nearest(name, there))]
        meant = f" (did you mean {', '.join(near)}?)" if near else ""
        raise ContractError(f"Columns not found: {missing}{meant}. {what} has {there}. {advice}".rstrip())


def nearest(name: str, there: Iterable[str]) -> str | None:
    """The name that is spelt most like another, when any is near; capitals, blanks and marks do not count.

    >>> nearest("customer id", ["Customer_ID", "amount"])
    'Customer_ID'
    """
    plain = {"".join(filter(str.isalnum, one.casefold())): one for one in there}
    near = get_close_matches("".join(filter(str.isalnum, name.casefold())), plain, n=1, cutoff=0.8)
    return plain[near[0]] if near else None


def as_table(estimator: object, X: ArrayLike | pd.DataFrame) -> pd.DataFrame:
    """A pandas table as it is, a Series as one column, anything else through an array of one or two dimensions."""
    if isinstance(X, pd.DataFrame):
        return X
    if isinstance(X, pd.Series):
        return X.to_frame()
    array = np.asarray(X)
    if array.ndim not in (1, 2):
        raise ContractError(
            f"{type(estimator).__name__} takes a dense table, got {type(X).__name__} of shape {np.shape(X)} "
            "(sparse input is not supported). Pass a pandas DataFrame."
        )
    return pd.DataFrame(array)


def remember(estimator: object, table: pd.DataFrame, *, reset: bool) -> None:
    """Set, or compare, feature_names_in_ and n_features_in_ the way scikit-learn does."""
    from sklearn.utils.validation import validate_data

    try:
        validate_data(estimator, table, reset=reset, skip_check_array=True)
    except ValueError as error:
        raise ContractError(str(error)) from None
    if reset and not len(table):
        raise ContractError("Found array with 0 sample(s); at least one customer is needed to fit.")


def as_text(column: pd.Series) -> pd.Series:
    """Values as text; missing ones stay missing, which the oldest pandas that is supported would write as ``None``.

    >>> as_text(pd.Series([1, None], dtype="Int64")).isna().tolist()
    [False, True]
    """
    return column.astype("str").where(column.notna())


def numbers(column: pd.Series) -> Floats:
    """A column as finite floats."""
    name = column.name if isinstance(column.name, str) else "The column"
    if column.dtype.kind == "c":
        raise ContractError(f"Complex data not supported: {name} is {column.dtype}.")
    try:
        if column.dtype.kind in "mM" or pd.api.types.is_string_dtype(column):
            raise TypeError
        found = column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise ContractError(f"{name} is {column.dtype}, not numbers. Convert it with pd.to_numeric.") from None
    if bad := int((~np.isfinite(found)).sum()):
        raise ContractError(
            f"{name}: {bad:,} of {len(found):,} values are missing (NaN) or infinite (inf). "
            "Drop these customers or fill the value, for instance with 0."
        )
    return found


def customer_index(table: pd.DataFrame, columns: tuple[str, ...], name: str) -> pd.DataFrame:
    """The table by customer_id, each once, with at least these columns.

    >>> customer_index(pd.DataFrame({"customer_id": ["a"], "tier": ["A"]}), ("tier",), "before").loc["a", "tier"]
    'A'
    """
    if not isinstance(table, pd.DataFrame):
        raise ContractError(f"{name} is a {type(table).__name__}; pass a pandas table with {list(columns)}.")
    if "customer_id" not in table.columns and table.index.name == "customer_id":
        table = table.reset_index()
    require_columns(table, ("customer_id", *columns), name)
    ids = table["customer_id"]
    faults = {"are missing": int(ids.isna().sum()), "are repeated": int(ids.dropna().duplicated().sum())}
    if said := [f"{count:,} customer_id {fault}" for fault, count in faults.items() if count]:
        raise ContractError(f"{name}: {', '.join(said)}. Give one row per customer, each with its id.")
    return table.set_index("customer_id")


def require(module: str, extra: str) -> ModuleType:
    """Import ``module`` or say which extra brings it.

    >>> require("json", "nothing").__name__
    'json'
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise CrmkitError(f"{module} is needed here and is not installed: pip install 'crmkit[{extra}]'") from error


def no_customer(customer_id: str, ids: Sequence[str]) -> ContractError:
    """That a customer is not there, with the nearest ids: those that end alike, as without leading zeros, come first.

    >>> print(no_customer("7", ["0007", "0012"]))
    There is no customer '7' among 2. The nearest ids: 0007.
    """
    ending = [one for one in ids if one.endswith(customer_id.lstrip("0") or "0")]
    near = [*ending[:_NEAREST], *get_close_matches(customer_id, ids, n=_NEAREST)]
    told = f" The nearest ids: {', '.join(list(dict.fromkeys(near))[:_NEAREST])}." if near else ""
    return ContractError(f"There is no customer {customer_id!r} among {len(ids):,}.{told}")


def warn_user(message: str, category: type[Warning]) -> None:
    """Warn at the line of the user's own code that led here, however deep it is."""
    frame, depth = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("crmkit."):
        frame, depth = frame.f_back, depth + 1
    warnings.warn(message, category, stacklevel=depth)
