"""Who matters, in words a shop uses: RFM scores with ten named segments, value tiers, concentration of spend.

Every cut point is frozen by ``fit``, so a customer whose figures did not change keeps the same label at the next
``transform``, and customers with equal figures always share one. Cut points are observed values (the inverted
cumulative distribution, no interpolation), so repeating every customer, or changing the currency, changes no label.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from crmkit.exceptions import ConfigError, ContractError

__all__ = ["RFM_GRID", "RFMScores", "ValueTiers", "concentration"]

Values = NDArray[np.float64]
Codes = NDArray[np.int64]

MEASURES = ("days_since_last", "n_purchases", "total_spend")

RFM_GRID: dict[int, tuple[str, str, str, str, str]] = {
    # R   F = 1              F = 2                 F = 3                 F = 4        F = 5
    5: ("new",             "potential loyalist", "potential loyalist", "champions", "champions"),
    4: ("promising",       "potential loyalist", "potential loyalist", "loyal",     "loyal"),
    3: ("about to sleep",  "about to sleep",     "need attention",     "loyal",     "loyal"),
    2: ("hibernating",     "hibernating",        "at risk",            "at risk",   "can't lose"),
    1: ("hibernating",     "hibernating",        "at risk",            "at risk",   "can't lose"),
}  # fmt: skip


class RFMScores(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Recency, frequency and monetary scores from 1 to 5 (5 is best), and the named segment of R × F.

    The edges of each measure are its quintiles in the fitted table, kept as ``edges_``; a value scores by how many
    edges lie below it. Where ties leave fewer than four distinct edges (most customers bought once), the scores are
    spread so that 1 and 5 are still both given: one edge gives 1 and 5; two give 1, 3, 5; three give 1, 2, 4, 5. A
    measure without any spread scores as its lowest value does: r = 5, f = 1, m = 1.

    Attributes
    ----------
    edges_ : dict of str to tuple of float
        The distinct edges of each measure, in its own unit, lowest first.
    n_features_in_, feature_names_in_
        Always the three measures, whatever else the table holds.

    Notes
    -----
    Scores by quintile are Hughes (1994), *Strategic Database Marketing*; the ten names stand in ``RFM_GRID[r][f - 1]``.
    The monetary score does not enter the name.

    Examples
    --------
    >>> customers = pd.DataFrame({
    ...     "days_since_last": [2, 400, 30, 90, 200],
    ...     "n_purchases": [12, 1, 1, 4, 7],
    ...     "total_spend": [310.0, 9.5, 12.0, 80.0, 150.0],
    ... })
    >>> rfm = RFMScores().fit(customers)
    >>> rfm.edges_["n_purchases"]
    (1.0, 4.0, 7.0)
    >>> rfm.transform(customers)
       r_score  f_score  m_score         segment
    0        5        5        5       champions
    1        1        1        1     hibernating
    2        4        1        2       promising
    3        3        2        3  about to sleep
    4        2        4        4         at risk
    """

    def fit(self, X: Any, y: object = None) -> Self:
        """Freeze the quintile edges of the three measures.

        Parameters
        ----------
        X : DataFrame, or array of shape (n, 3)
            Columns days_since_last (days), n_purchases and total_spend; an array has them in this order, other
            columns of a table are ignored.
        y : ignored

        Raises
        ------
        ContractError
            A column is missing or not numeric, a value is missing or infinite, or there is no row.
        """
        measures = self._measures(X, reset=True)
        self.edges_ = {name: _distinct_quintiles(_numbers(measures[name])) for name in MEASURES}
        return self

    def transform(self, X: Any) -> pd.DataFrame:
        """Score each row: r_score, f_score, m_score and segment, on the index of ``X``."""
        check_is_fitted(self)
        measures = self._measures(X, reset=False)
        days, f, m = (_score(_numbers(measures[name]), self.edges_[name]) for name in MEASURES)
        r = 6 - days
        names = np.array([RFM_GRID[row] for row in (1, 2, 3, 4, 5)], dtype=object)
        scores = {"r_score": r, "f_score": f, "m_score": m, "segment": names[r - 1, f - 1]}
        return pd.DataFrame(scores, index=measures.index)

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """Names of the columns of ``transform``."""
        check_is_fitted(self)
        return np.array(["r_score", "f_score", "m_score", "segment"], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _measures(self, X: Any, *, reset: bool) -> pd.DataFrame:
        if not isinstance(X, pd.DataFrame):
            table = _array_as_table(self, X)
            if table.shape[1] != len(MEASURES):
                raise ContractError(
                    f"X has {table.shape[1]} features, but RFMScores is expecting 3 features as input: {list(MEASURES)}. "
                    "Pass a table with these columns, or an array of them in this order."
                )
            _remember(self, table, reset=reset)
            return table.set_axis(list(MEASURES), axis=1)
        columns = list(X.columns)
        if missing := [name for name in MEASURES if columns.count(name) != 1]:
            raise ContractError(
                f"Columns not found, or found twice: {missing}. The table has {columns}. "
                "Pass crmkit.rfm_table(log), or rename yours: table.rename(columns={'your_name': '"
                + missing[0]
                + "'})."
            )
        measures: pd.DataFrame = X[list(MEASURES)]
        _remember(self, measures, reset=reset)
        return measures


class ValueTiers(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Tiers by value: the top 5 % of customers, the next 15 %, and so on, that stay put between refits.

    ``fit`` freezes one threshold per tier but the last; a customer is in the first tier whose threshold its value
    exceeds. Equal values share a tier, the lowest one their ranks reach, so no tier and those above it ever hold more
    than their shares: when 95 % of values are 0, all zeros are in the last tier, and so is a lone customer.

    Parameters
    ----------
    shares : sequence of float, default=(.05, .15, .30, .50)
        Share of customers in each tier, best tier first; positive, with sum 1.
    names : sequence of str, optional
        One name per share, best first. Default: the letters "A", "B", "C", "D", ….
    hysteresis : float, default=0.10
        Used when ``transform`` is given earlier tiers. A tier is entered above its threshold t and left only at or
        below t − hysteresis · |t|; 0 ≤ hysteresis < 1. Promotion is never delayed.

    Attributes
    ----------
    thresholds_ : dict of str to float
        For each tier but the last, the value to exceed, in the unit of the values.
    n_features_in_, feature_names_in_
        As in scikit-learn; the name is known when a table or a named Series was fitted.

    Examples
    --------
    >>> value = pd.Series([900.0, 40, 40, 350, 10, 0, 0, 120, 95, 60], name="value")
    >>> tiers = ValueTiers(shares=(.10, .20, .70), names=("gold", "silver", "standard"))
    >>> tiers.fit_transform(value).value_counts().to_dict()
    {'standard': 7, 'silver': 2, 'gold': 1}
    >>> tiers.thresholds_
    {'gold': 350.0, 'silver': 95.0}

    Next month the gold customer spends 320, a tenth below the threshold, and the best silver one 300:

    >>> tiers.transform(pd.Series([320.0, 300.0]), previous=pd.Series(["gold", "silver"])).tolist()
    ['gold', 'silver']
    >>> tiers.transform(pd.Series([310.0, 400.0]), previous=pd.Series(["gold", "silver"])).tolist()
    ['silver', 'gold']
    """

    def __init__(
        self,
        shares: Sequence[float] = (0.05, 0.15, 0.30, 0.50),
        names: Sequence[str] | None = None,
        hysteresis: float = 0.10,
    ) -> None:
        self.shares = shares
        self.names = names
        self.hysteresis = hysteresis

    def fit(self, X: Any, y: object = None) -> Self:
        """Freeze the thresholds.

        Parameters
        ----------
        X : Series, one-column table, or array of shape (n,) or (n, 1)
            One value per customer.
        y : ignored

        Raises
        ------
        ConfigError
            ``shares``, ``names`` or ``hysteresis`` do not make tiers.
        ContractError
            There is not exactly one numeric column, a value is missing or infinite, or there is no row.
        """
        names = self._checked_names()
        values = self._values(X, reset=True)
        below = 1 - np.cumsum(np.asarray(self.shares, dtype=float))[:-1]
        self.tiers_ = names
        self.thresholds_ = dict(zip(names, _quantiles(values, below).tolist(), strict=False))
        return self

    def transform(self, X: Any, previous: pd.Series[Any] | None = None) -> Any:
        """The tier of each row.

        Parameters
        ----------
        X : as in ``fit``
        previous : Series of tier names, optional
            Earlier tiers, aligned with ``X`` by index (rows of an array count from 0); rows without one are new and
            enter where their value says. A customer that falls out of its tier goes to the first lower one it does
            not fall out of.

        Returns
        -------
        Series named "tier" for a Series, otherwise an array shaped like ``X`` (a table after ``set_output``).
        """
        check_is_fitted(self)
        values = self._values(X, reset=False)
        enter = np.array(list(self.thresholds_.values()), dtype=float)
        code = _tier_codes(values, enter)
        if previous is not None:
            index = X.index if isinstance(X, pd.Series | pd.DataFrame) else pd.RangeIndex(len(values))
            lowest = _tier_codes(values, enter - self.hysteresis * np.abs(enter))
            code = np.clip(self._earlier_codes(previous, index), lowest, code)
        tier = np.array(self.tiers_, dtype=object)[code]
        if isinstance(X, pd.Series):
            return pd.Series(tier, index=X.index, name="tier")
        return tier.reshape(np.shape(X))

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """The one name ``tier``."""
        check_is_fitted(self)
        return np.array(["tier"], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _checked_names(self) -> tuple[str, ...]:
        shares = np.asarray(self.shares, dtype=float)
        letters = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: shares.size])
        names = letters if self.names is None else tuple(self.names)
        faults = {
            f"shares must be positive, best tier first, got {self.shares}": shares.ndim != 1 or not (shares > 0).all(),
            f"shares must sum to 1, their sum is {shares.sum():.10g}": not abs(shares.sum() - 1) <= 1e-9,
            f"names must be one per share: {len(names)} names for {shares.size} shares": len(names) != shares.size,
            f"names must differ, got {names}": len(set(names)) != len(names),
            f"hysteresis must be in [0, 1), got {self.hysteresis}": not 0 <= self.hysteresis < 1,
        }
        if said := [fault for fault, found in faults.items() if found]:
            raise ConfigError("; ".join(said) + ". For example ValueTiers(shares=(.05, .15, .30, .50)).")
        return names

    def _values(self, X: Any, *, reset: bool) -> Values:
        if isinstance(X, pd.Series):
            table = X.to_frame()
        else:
            table = X if isinstance(X, pd.DataFrame) else _array_as_table(self, X)
        if table.shape[1] != 1:
            raise ContractError(
                f"X has {table.shape[1]} features, but ValueTiers is expecting 1 features as input. "
                "Pass the column that holds the value: customers['value']."
            )
        if reset or not isinstance(X, pd.Series):  # a Series is a column whatever its name
            _remember(self, table, reset=reset)
        return _numbers(table.iloc[:, 0])

    def _earlier_codes(self, previous: pd.Series[Any], index: pd.Index[Any]) -> Codes:
        if not isinstance(previous, pd.Series):
            raise ContractError(
                f"previous is a {type(previous).__name__}; pass a Series of earlier tiers with the index of X."
            )
        previous = previous.dropna().astype(object)
        codes = pd.Index(self.tiers_, dtype=object).get_indexer(pd.Index(previous, dtype=object))
        if unknown := previous[codes < 0].unique().tolist():
            raise ContractError(
                f"previous holds tiers that do not exist here: {unknown[:5]}. The tiers are {list(self.tiers_)}. "
                "Rename the earlier ones, or fit with names=…."
            )
        if not previous.index.is_unique:
            raise ContractError(
                f"previous has {int(previous.index.duplicated().sum())} repeated index labels; keep one tier per customer."
            )
        if len(previous) and len(index) and not index.isin(previous.index).any():
            raise ContractError(
                "No index label of previous is in X, so no customer would be matched. "
                "Set the same index on both: customers.set_index('customer_id')."
            )
        newcomer = len(self.tiers_)
        return pd.Series(codes, index=previous.index).reindex(index, fill_value=newcomer).to_numpy(dtype=np.int64)


def concentration(values: ArrayLike, at: Sequence[float] = (0.01, 0.05, 0.10, 0.20, 0.50)) -> pd.DataFrame:
    """Share of the total value held by the best 1, 5, 10, 20 and 50 % of customers.

    Points of the Lorenz (1905) curve read from the top, linear between customers. With customers sorted from the best
    and S(k) the sum of the first k, the share at a is S(a·n) / S(n).

    Parameters
    ----------
    values : array-like of shape (n,)
        One value per customer, any unit; negative ones (refunds) are allowed while the total is positive.
    at : sequence of float
        Shares of customers, each in (0, 1].

    Returns
    -------
    DataFrame
        share_of_customers, share_of_value.

    Raises
    ------
    ContractError
        A value is missing or infinite, there is none, or the total is not positive.
    ConfigError
        A share is outside (0, 1].

    Examples
    --------
    >>> concentration([80.0, 10, 6, 4, 0, 0, 0, 0, 0, 0], at=(.10, .20, .50))
       share_of_customers  share_of_value
    0                 0.1             0.8
    1                 0.2             0.9
    2                 0.5             1.0
    """
    shares = np.asarray(at, dtype=float)
    if not ((shares > 0) & (shares <= 1)).all():
        raise ConfigError(f"at must hold shares of customers in (0, 1], got {at}. For 5 % write .05.")
    column = np.asarray(values) if not isinstance(values, pd.Series) else values
    if column.ndim != 1:
        raise ContractError(f"values has shape {column.shape}; pass one column: customers['total_spend'].")
    held = np.concatenate([[0.0], np.cumsum(np.sort(_numbers(pd.Series(column, name="values")))[::-1])])
    if held[-1] <= 0:
        raise ContractError(f"The values sum to {held[-1]:g}; shares of a total need a positive one.")
    share = np.interp(shares * (held.size - 1), np.arange(held.size), held) / held[-1]
    return pd.DataFrame({"share_of_customers": shares, "share_of_value": share})


def _array_as_table(estimator: Any, X: Any) -> pd.DataFrame:
    array = np.asarray(X)
    if array.ndim not in (1, 2):
        raise ContractError(
            f"{type(estimator).__name__} takes a dense table, got {type(X).__name__} of shape {np.shape(X)} "
            "(sparse input is not supported). Pass a pandas DataFrame."
        )
    return pd.DataFrame(array)


def _remember(estimator: Any, table: pd.DataFrame, *, reset: bool) -> None:
    """Set, or compare, feature_names_in_ and n_features_in_ the way scikit-learn does."""
    try:
        validate_data(estimator, table, reset=reset, skip_check_array=True)
    except ValueError as error:
        raise ContractError(str(error)) from None
    if reset and not len(table):
        raise ContractError("Found array with 0 sample(s); at least one customer is needed to fit.")


def _numbers(column: pd.Series[Any]) -> Values:
    name = column.name if isinstance(column.name, str) else "The column"
    try:
        if column.dtype.kind in "mMc" or pd.api.types.is_string_dtype(column):
            raise TypeError
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise ContractError(f"{name} is {column.dtype}, not numbers. Convert it with pd.to_numeric.") from None
    if bad := int((~np.isfinite(numbers)).sum()):
        raise ContractError(
            f"{name}: {bad:,} of {len(numbers):,} values are missing (NaN) or infinite (inf). "
            "Drop these customers or fill the value, for instance with 0."
        )
    return numbers


def _quantiles(values: Values, below: Values) -> Values:
    """Smallest observed values with at least the share ``below`` of customers at or under them."""
    rank = np.ceil(np.round(values.size * below, 6)).astype(np.int64)
    return np.sort(values)[np.clip(rank, 1, values.size) - 1]


def _distinct_quintiles(values: Values) -> tuple[float, ...]:
    """Distinct quintile edges; one at the maximum would leave the top score empty, unless it is the only one."""
    edges = np.unique(_quantiles(values, np.array([0.2, 0.4, 0.6, 0.8])))
    inner = edges[edges < values.max()]
    return tuple((inner if inner.size else edges).tolist())


def _score(values: Values, edges: tuple[float, ...]) -> Codes:
    """1 to 5, spread over the distinct edges."""
    spread: Codes = np.rint(np.linspace(1, 5, len(edges) + 1)).astype(np.int64)
    return spread[np.searchsorted(edges, values, side="left")]


def _tier_codes(values: Values, thresholds: Values) -> Codes:
    """0 for the best tier: how many thresholds (highest first) the value does not exceed."""
    codes: Codes = len(thresholds) - np.searchsorted(thresholds[::-1], values, side="left")
    return codes
