"""Who matters: value tiers that stay put, past beside expected value, and how concentrated spend is.

Every cut point is frozen by ``fit``, so a customer whose figures did not change keeps the same label at the next
``transform``, and customers with equal figures always share one. Cut points are observed values (the inverted
cumulative distribution, no interpolation), so repeating every customer, or changing the currency, changes no label.
RFM scores and their named segments live in `crmkit.rfm`, and can be had from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted

from crmkit._checks import as_table, numbers, remember
from crmkit._types import Floats, Ints
from crmkit.exceptions import ConfigError, ContractError
from crmkit.segments.cut_points import natural_breaks, quantiles, tier_codes, value_shares
from crmkit.segments.rfm import check_matching

if TYPE_CHECKING:
    from sklearn.utils import Tags

__all__ = ["ValueTiers", "concentration", "past_and_expected"]

_OF = ("customers", "value")


class ValueTiers(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Tiers by value: the top 5 % of customers, the next 15 %, and so on, that stay put between refits.

    ``fit`` freezes one threshold per tier but the last; a customer is in the first tier whose threshold its value
    passes. Equal values share a tier. There are four ways to set the thresholds:

    ``shares`` of customers (the default)
        A value passes by exceeding. Equal values go to the lowest tier their ranks reach, so no tier and those above it
        ever hold more than their shares: when 95 % of values are 0, all zeros are in the last tier, and so is a lone
        customer.
    ``shares`` with ``of="value"`` (ABC, Pareto)
        (.80, .15, .05): the fewest best customers who together carry 80 % of the value are the first tier, and so on;
        the customer who fills a share, and whoever has the same value, belongs to it. A value passes by reaching the
        threshold. Floats below 0 carry nothing.
    ``thresholds``
        Money as it is stated, best tier first; a value passes by reaching it.
    ``clusters``
        So many natural classes of log value, those that vary least within (exact, one-dimensional k-means). A value
        passes by reaching the lowest value of the class.

    Parameters
    ----------
    shares : sequence of float, default=(.05, .15, .30, .50)
        Share of each tier, best tier first; positive, with sum 1. Not looked at when thresholds or clusters are given.
    names : sequence of str, optional
        One name per tier, best first. Default: the letters "A", "B", "C", "D", ….
    hysteresis : float, default=0.10
        Used when ``transform`` is given earlier tiers. A tier is entered above its threshold t and left only at or
        below ``t − hysteresis · |t|``; 0 ≤ hysteresis < 1. Promotion is never delayed.
    of : {"customers", "value"}
        What the shares divide.
    thresholds : sequence of float, optional
        Falling, one fewer than tiers.
    clusters : int, optional
        Number of tiers, 2 or more.

    Attributes
    ----------
    thresholds_ : dict of str to float
        For each tier but the last, the value to exceed (shares of customers) or to reach (all others), in the unit of
        the values.
    rule_ : {"exceeds", "reaches"}
        Which of the two it is.
    tiers_ : tuple of str
        Names, best first.
    n_features_in_, feature_names_in_
        As in scikit-learn; the name is known when a table or a named Series was fitted.

    Notes
    -----
    From month to month there are two ways, and both give the last tiers as ``previous``. Keep the fitted object: money
    means the same for years, and who did not change keeps the tier for certain. Or refit: tiers keep their sizes, and
    a threshold may pass a customer by. ``tests/benchmarks/segments.py`` prints what each keeps.

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

    The other ways, on the same values:

    >>> ValueTiers((.80, .15, .05), of="value").fit(value).thresholds_
    {'A': 120.0, 'B': 40.0}
    >>> ValueTiers(thresholds=(500, 100)).fit(value).thresholds_
    {'A': 500.0, 'B': 100.0}
    >>> ValueTiers(clusters=3).fit(value).thresholds_
    {'A': 350.0, 'B': 40.0}
    """

    def __init__(
        self,
        shares: Sequence[float] = (0.05, 0.15, 0.30, 0.50),
        names: Sequence[str] | None = None,
        hysteresis: float = 0.10,
        of: str = "customers",
        thresholds: Sequence[float] | None = None,
        clusters: int | None = None,
    ) -> None:
        self.shares = shares
        self.names = names
        self.hysteresis = hysteresis
        self.of = of
        self.thresholds = thresholds
        self.clusters = clusters

    def fit(self, X: ArrayLike | pd.DataFrame | pd.Series, y: object = None) -> Self:
        """Freeze the thresholds.

        Parameters
        ----------
        X : Series, one-column table, or array of shape (n,) or (n, 1)
            One value per customer.
        y : ignored

        Raises
        ------
        ConfigError
            ``shares``, ``thresholds``, ``clusters``, ``names`` or ``hysteresis`` do not make tiers.
        ContractError
            There is not exactly one numeric column, a value is missing or infinite, or there is no row.
        """
        names = self._checked_names()
        values = self._values(X, reset=True)
        return self._freeze(names, *self._cuts(values))

    def fit_thresholds(self, cuts: Sequence[float], name: str = "value") -> Self:
        """Take the thresholds of ``shares`` of customers as they are known: quantiles of a table too large to be brought here.

        Parameters
        ----------
        cuts : sequence of float
            The values to exceed, best tier first.
        name : str
            Of the column they were found in.

        Examples
        --------
        >>> ValueTiers((.10, .20, .70)).fit_thresholds([350.0, 95.0]).transform(pd.Series([350.0, 351.0])).tolist()
        ['B', 'A']
        """
        names = self._checked_names()
        remember(self, pd.DataFrame({name: [0.0]}), reset=True)
        return self._freeze(names, "exceeds", np.asarray(cuts, dtype=np.float64))

    def _freeze(self, names: tuple[str, ...], rule: str, cuts: Floats) -> Self:
        self.tiers_, self.rule_ = names, rule
        self.thresholds_ = dict(zip(names, cuts.tolist(), strict=False))
        return self

    @property
    def reached_(self) -> Floats:
        """Share of customers in each tier but the last and those above it."""
        reached: Floats = np.cumsum(np.asarray(self.shares, dtype=float))[:-1]
        return reached

    def _cuts(self, values: Floats) -> tuple[str, Floats]:
        """How a threshold is passed, and the thresholds, best first."""
        if self.thresholds is not None:
            return "reaches", np.asarray(self.thresholds, dtype=np.float64)
        if self.clusters is not None:
            return "reaches", natural_breaks(values, self.clusters)
        reached = self.reached_
        if self.of == "customers":
            return "exceeds", quantiles(values, 1 - reached)
        if not (total := float(np.maximum(values, 0).sum())) > 0:
            raise ContractError(f"The values above 0 sum to {total:g}; shares of value need a positive total.")
        return "reaches", value_shares(values, reached)

    def transform(self, X: ArrayLike | pd.DataFrame | pd.Series, previous: pd.Series | None = None) -> Tags:
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
        code = self._codes(values, enter)
        if previous is not None:
            index = X.index if isinstance(X, pd.Series | pd.DataFrame) else pd.RangeIndex(len(values))
            lowest = self._codes(values, enter - self.hysteresis * np.abs(enter))
            code = np.clip(self._earlier_codes(previous, index), lowest, code)
        tier = np.array(self.tiers_, dtype=object)[code]
        if isinstance(X, pd.Series):
            return pd.Series(tier, index=X.index, name="tier")
        return tier.reshape(np.shape(X))

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """The one name ``tier``."""
        check_is_fitted(self)
        return np.array(["tier"], dtype=object)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _codes(self, values: Floats, thresholds: Floats) -> Ints:
        return tier_codes(values, np.nextafter(thresholds, -np.inf) if self.rule_ == "reaches" else thresholds)

    def _checked_names(self) -> tuple[str, ...]:
        n, faults = self._number_of_tiers()
        made_of = "shares" if self.thresholds is None and self.clusters is None else "tiers"
        letters = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[:n])
        names = letters if self.names is None else tuple(self.names)
        faults |= {
            f"names must be one per tier: {len(names)} names for {n} {made_of}": len(names) != n,
            f"names must differ, got {names}": len(set(names)) != len(names),
            f"hysteresis must be in [0, 1), got {self.hysteresis}": not 0 <= self.hysteresis < 1,
            "give thresholds or clusters, not both": self.thresholds is not None and self.clusters is not None,
        }
        if said := [fault for fault, found in faults.items() if found]:
            raise ConfigError("; ".join(said) + ". For example ValueTiers(shares=(.05, .15, .30, .50)).")
        return names

    def _number_of_tiers(self) -> tuple[int, dict[str, bool]]:
        """How many tiers the parameters make, and what may be wrong with these."""
        if self.thresholds is not None:
            cuts = np.asarray(self.thresholds, dtype=float)
            falling = cuts.ndim == 1 and bool(np.isfinite(cuts).all()) and bool((np.diff(cuts) < 0).all())
            return cuts.size + 1, {f"thresholds must fall, best tier first, got {self.thresholds}": not falling}
        if self.clusters is not None:
            whole = isinstance(self.clusters, int | np.integer) and self.clusters >= 2
            fault = f"clusters must be a whole number, 2 or more, got {self.clusters}"
            return (int(self.clusters) if whole else 2), {fault: not whole}
        shares = np.asarray(self.shares, dtype=float)
        return shares.size, {
            f"of must be one of {list(_OF)}, got {self.of!r}": self.of not in _OF,
            f"shares must be positive, best tier first, got {self.shares}": shares.ndim != 1 or not (shares > 0).all(),
            f"shares must sum to 1, their sum is {shares.sum():.10g}": not abs(shares.sum() - 1) <= 1e-9,
        }

    def _values(self, X: ArrayLike | pd.DataFrame | pd.Series, *, reset: bool) -> Floats:
        table = as_table(self, X)
        if table.shape[1] != 1:
            raise ContractError(
                f"X has {table.shape[1]} features, but ValueTiers is expecting 1 features as input. "
                "Pass the column that holds the value: customers['value']."
            )
        if reset or not isinstance(X, pd.Series):  # a Series is a column whatever its name
            remember(self, table, reset=reset)
        return numbers(table.iloc[:, 0])

    def _earlier_codes(self, previous: pd.Series, index: pd.Index) -> Ints:
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
        check_matching(previous, index)
        newcomer = len(self.tiers_)
        return pd.Series(codes, index=previous.index).reindex(index, fill_value=newcomer).to_numpy(dtype=np.int64)


def past_and_expected(past: pd.Series, expected: pd.Series, tiers: ValueTiers | None = None) -> pd.DataFrame:
    """The tier of each customer by what it brought, beside the tier by what it is expected to bring.

    Parameters
    ----------
    past, expected : Series
        Value by customer, on the same index: total_spend, say, and `CustomerLifetimeValue.predict`.
    tiers : ValueTiers, optional
        How to cut; fitted to each of the two apart, since they are not on one scale.

    Returns
    -------
    DataFrame
        past_value, past_tier, expected_value, expected_tier and move ("rising" where the expected tier is the better
        one, "falling", or "steady"), on the index of ``past``.

    Raises
    ------
    ContractError
        The two are not of the same customers, each once.

    Examples
    --------
    >>> past = pd.Series([900.0, 300, 40, 10], index=list("abcd"))
    >>> ahead = pd.Series([20.0, 500, 10, 5], index=list("abcd"))
    >>> past_and_expected(past, ahead, ValueTiers((.25, .75)))[["past_tier", "expected_tier", "move"]]
      past_tier expected_tier     move
    a         A             B  falling
    b         B             A   rising
    c         B             B   steady
    d         B             B   steady
    """
    if not (past.index.is_unique and expected.index.is_unique and past.index.isin(expected.index).all()):
        raise ContractError("past and expected must hold each customer once, the same ones: set customer_id as index.")
    if len(past) != len(expected):
        raise ContractError(
            f"past has {len(past):,} customers, expected {len(expected):,}; give both for the same ones."
        )
    expected = expected.loc[past.index]
    cut = tiers if tiers is not None else ValueTiers()
    labels = [clone(cut).fit_transform(values) for values in (past, expected)]
    names = list(clone(cut).fit(past).tiers_)
    before, after = (pd.Index(names).get_indexer(pd.Index(label)) for label in labels)
    return pd.DataFrame(
        {
            "past_value": past,
            "past_tier": labels[0],
            "expected_value": expected,
            "expected_tier": labels[1],
            "move": np.select([after < before, after > before], ["rising", "falling"], "steady"),
        },
        index=past.index,
    )


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
    held = np.concatenate([[0.0], np.cumsum(np.sort(numbers(pd.Series(column, name="values")))[::-1])])
    if held[-1] <= 0:
        raise ContractError(f"The values sum to {held[-1]:g}; shares of a total need a positive one.")
    share = np.interp(shares * (held.size - 1), np.arange(held.size), held) / held[-1]
    return pd.DataFrame({"share_of_customers": shares, "share_of_value": share})
