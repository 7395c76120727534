"""Clusters of customers that keep their names: a frozen scale, k by stability, names from value, refits that are matched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator, ClusterMixin, TransformerMixin, clone
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from sklearn.utils.validation import check_is_fitted

from crmkit._checks import as_table, numbers, remember
from crmkit._types import Floats, Ints
from crmkit.exceptions import ConfigError, ContractError
from crmkit.segments.cluster_profiles import on_scale, profiles, scale_of
from crmkit.segments.rfm import check_matching

__all__ = ["CustomerClusters"]

METHODS = ("k-means", "gaussian-mixture")
_USUAL = ["days_since_last", "n_purchases", "total_spend"]
_FEW, _MANY, _MOST = 2, 8, 200_000
_SAMPLE = {"k-means": 4000, "gaussian-mixture": 2000}
_SOFT = 1e-2


class CustomerClusters(TransformerMixin, ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """Clusters of customers by k-means or a Gaussian mixture, on logarithms, that keep their names for years.

    Measures are put on a frozen scale: ``sign(x) · ln(1 + |x| / unit)``, unit the tenth percentile of what is not 0, then
    mean 0 and standard deviation 1 in the fitted table. Clusters are numbered from the highest mean value down, so
    number 0 and its name are always the best; `refit` keeps scale, number and names, whatever order a new run finds.

    Parameters
    ----------
    method : {"k-means", "gaussian-mixture"}
    n_clusters : int, optional
        By default that of 2 … 8 whose labels come back when customers are resampled: for each k, pairs of bootstrap
        samples are clustered, both label all customers, and the adjusted Rand index of the two is averaged. Of those that
        reach ``min_stability`` and have no cluster smaller than ``min_share``, the largest k within a standard error of
        the most stable one; where none does, all are one cluster. Customers rarely fall into many natural groups: a
        company that wants four asks for four, and finds in ``selection_`` after a fit without how far they would come back.
    measures : sequence of str, optional
        Columns to use. Default: days_since_last, n_purchases and total_spend where the table has them, else every column
        but customer_id.
    value : str, optional
        The measure that orders the clusters. Default: total_spend, or else the last one.
    names : sequence of str, optional
        Best first; needs ``n_clusters``. Default: "cluster A", "cluster B", ….
    min_share, min_stability : float
        See ``n_clusters``. Below .75 or so a cluster is not to be trusted (Hennig 2007, Comput. Stat. Data Anal. 52).
    n_bootstraps : int
        Pairs for each k.
    hysteresis : float
        Used when `segment` is given earlier names: a cluster is left only when its centroid is further than the nearest
        one by more than this share.
    seed : int

    Attributes
    ----------
    names_ : tuple of str
        Best first.
    labels_ : ndarray of int
        Number of each fitted customer's cluster.
    centroids_ : ndarray of shape (k, n_measures)
        In the frozen scale.
    scale_ : DataFrame
        unit, mean and sd of each measure: the frozen scale.
    selection_ : DataFrame
        n_clusters, stability, standard_error, smallest_share, chosen; empty when k was given.
    profiles_ : DataFrame
        cluster, customers, share_of_customers, share_of_value, the median of each measure, and words.
    n_clusters_ : int
        Fewer than asked for where fewer distinct customers are found.

    Notes
    -----
    The fit looks at 200,000 customers at most, k at 4,000 (2,000 for a mixture), drawn by ``seed``; all are labelled.

    Names that keep from month to month and are not stale: `refit` each month, and give the last names to `segment` as
    ``previous``. Clusters that are never refitted keep more names and lose sight of who spends;
    ``tests/benchmarks/segments.py`` prints both.

    References
    ----------
    Fang & Wang (2012), Selection of the number of clusters via the bootstrap method, Comput. Stat. Data Anal. 56.

    Examples
    --------
    >>> customers = pd.DataFrame({"days_since_last": [3, 5, 4, 200, 220, 180], "n_purchases": [20, 25, 22, 1, 2, 1],
    ...                           "total_spend": [900.0, 1100, 1000, 20, 25, 15]})
    >>> clusters = CustomerClusters(n_clusters=2).fit(customers)
    >>> clusters.segment(customers).tolist()
    ['cluster A', 'cluster A', 'cluster A', 'cluster B', 'cluster B', 'cluster B']
    >>> print(clusters.profiles_["words"][0])
    cluster A: 3 customers (50 %) with 98 % of total_spend; low days_since_last 4 (all 92), high n_purchases 22 (all 11),
    high total_spend 1,000 (all 462)
    >>> later = clusters.refit(customers[::-1])
    >>> later.segment(customers).equals(clusters.segment(customers))
    True
    """

    def __init__(
        self,
        method: str = "k-means",
        n_clusters: int | None = None,
        measures: Sequence[str] | None = None,
        value: str | None = None,
        names: Sequence[str] | None = None,
        min_share: float = 0.05,
        min_stability: float = 0.80,
        n_bootstraps: int = 10,
        hysteresis: float = 0.35,
        seed: int = 0,
    ) -> None:
        self.method = method
        self.n_clusters = n_clusters
        self.measures = measures
        self.value = value
        self.names = names
        self.min_share = min_share
        self.min_stability = min_stability
        self.n_bootstraps = n_bootstraps
        self.hysteresis = hysteresis
        self.seed = seed

    def fit(self, X: ArrayLike | pd.DataFrame, y: object = None) -> Self:
        """Freeze the scale, choose k unless it was given, and find the clusters.

        Parameters
        ----------
        X : DataFrame or array of shape (n, n_measures)
            One row per customer.
        y : ignored

        Raises
        ------
        ConfigError
            The parameters make no clusters.
        ContractError
            A measure is missing or not numeric, a value is missing or infinite, or there is no row.
        """
        self._check_parameters()
        values = self._values(X, reset=True)
        self.scale_ = scale_of(values, self._columns(X))
        place = on_scale(values, self.scale_)
        self.selection_ = self._selection(place)
        self._cluster(place, self._chosen())
        self._number(self._by_value(values, place))
        self._describe(values, place)
        return self

    def refit(self, X: ArrayLike | pd.DataFrame) -> CustomerClusters:
        """New clusters of the same number, on this one's scale, named after the nearest ones of this one.

        Names go to the new centroids so that the sum of distances to the old ones is least (Hungarian assignment).

        Returns
        -------
        CustomerClusters
            Another object; this one stays as it is.
        """
        check_is_fitted(self)
        values = self._values(X, reset=False)
        later: CustomerClusters = clone(self)
        for name in ("names_", "scale_", "value_", "n_features_in_", "feature_names_in_"):
            if hasattr(self, name):
                setattr(later, name, getattr(self, name))
        later.selection_ = self.selection_.head(0)
        place = on_scale(values, self.scale_)
        later._cluster(place, self.n_clusters_)
        if later.n_clusters_ < self.n_clusters_:
            raise ContractError(
                f"Only {later.n_clusters_} distinct customers; a refit of {self.n_clusters_} clusters needs as many."
            )
        found, old = linear_sum_assignment(cdist(later.centroids_, self.centroids_))
        later._number(found[np.argsort(old)])
        later._describe(values, place)
        return later

    def predict(self, X: ArrayLike | pd.DataFrame) -> Ints:
        """Number of each row's cluster, 0 for the best."""
        check_is_fitted(self)
        return self._assign(on_scale(self._values(X, reset=False), self.scale_))

    def segment(self, X: ArrayLike | pd.DataFrame, previous: pd.Series | None = None) -> pd.Series[str]:
        """Name of each row's cluster, on the index of ``X``.

        Parameters
        ----------
        X : as in ``fit``
        previous : Series of cluster names, optional
            Earlier names, aligned with ``X`` by index; a row without one goes where it is nearest.
        """
        codes = self.predict(X)
        index = X.index if isinstance(X, pd.DataFrame) else pd.RangeIndex(len(codes))
        if previous is not None:
            codes = self._held(X, codes, self._earlier_codes(previous, index))
        return pd.Series(np.array(self.names_, dtype=object)[codes], index=index, name="cluster")

    def _held(self, X: ArrayLike | pd.DataFrame, codes: Ints, earlier: Ints) -> Ints:
        away, rows = self.transform(X), np.arange(len(codes))
        stays = (earlier >= 0) & (away[rows, earlier] <= (1 + self.hysteresis) * away[rows, codes])
        return np.where(stays, earlier, codes)

    def _earlier_codes(self, previous: pd.Series, index: pd.Index) -> Ints:
        """Numbers of earlier names, -1 where there is none."""
        if not isinstance(previous, pd.Series):
            raise ContractError("previous must be a Series of cluster names, one per customer, with the index of X.")
        check_matching(previous, index)
        codes = pd.Index(self.names_, dtype=object).get_indexer(pd.Index(previous, dtype=object))
        if unknown := previous[(codes < 0) & previous.notna()].unique().tolist():
            raise ContractError(f"previous holds unknown clusters: {unknown[:5]}. There are {list(self.names_)}.")
        return pd.Series(codes, index=previous.index).reindex(index, fill_value=-1).to_numpy(dtype=np.int64)

    def transform(self, X: ArrayLike | pd.DataFrame) -> Floats:
        """Distance of each row to each centroid, in standard deviations of the frozen scale: shape (n, k)."""
        check_is_fitted(self)
        away: Floats = cdist(on_scale(self._values(X, reset=False), self.scale_), self.centroids_)
        return away

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """Names of the columns of ``transform``."""
        check_is_fitted(self)
        return np.array([f"distance to {name}" for name in self.names_], dtype=object)

    def _check_parameters(self) -> None:
        whole = isinstance(self.n_clusters, int | np.integer) and self.n_clusters >= 1
        named = None if self.names is None else tuple(self.names)
        faults = {
            f"method={self.method!r} is not one of {list(METHODS)}": self.method not in METHODS,
            f"n_clusters={self.n_clusters!r} must be a whole number, 1 or more": self.n_clusters is not None
            and not whole,
            f"min_share={self.min_share!r} must be in [0, .5]": not 0 <= self.min_share <= 0.5,
            f"min_stability={self.min_stability!r} must be in [0, 1]": not 0 <= self.min_stability <= 1,
            f"hysteresis={self.hysteresis!r} must be 0 or more": not 0 <= self.hysteresis < np.inf,
            f"n_bootstraps={self.n_bootstraps!r} must be 1 or more": not self.n_bootstraps >= 1,
            f"names={named} must be {self.n_clusters} different ones, for a given n_clusters": named is not None
            and (not whole or len(set(named)) != self.n_clusters or len(named) != self.n_clusters),
        }
        if said := [fault for fault, found in faults.items() if found]:
            raise ConfigError("; ".join(said) + ". For example CustomerClusters(n_clusters=4).")

    def _columns(self, X: ArrayLike | pd.DataFrame) -> list[str]:
        table = as_table(self, X)
        if self.measures is not None:
            return list(self.measures)
        there = [name for name in table.columns if name != "customer_id"]
        return _USUAL if set(_USUAL) <= set(there) else there

    def _values(self, X: ArrayLike | pd.DataFrame, *, reset: bool) -> Floats:
        table = as_table(self, X)
        if not isinstance(X, pd.DataFrame) and np.asarray(X).ndim != 2:
            raise ContractError("Expected a table, one row per customer, got one dimension. Reshape your data.")
        names = self._columns(X)
        if isinstance(X, pd.DataFrame):
            if missing := [name for name in names if list(table.columns).count(name) != 1]:
                raise ContractError(
                    f"Columns not found, or found twice: {missing}. The table has {list(table.columns)}. "
                    "Name yours: CustomerClusters(measures=[…])."
                )
            table = table[names]
        remember(self, table, reset=reset)
        if not table.shape[1]:
            raise ContractError(
                f"Found array with 0 feature(s) (shape={table.shape}) while a minimum of 1 is required."
            )
        if reset:
            self.value_ = self._value_measure(names)
        return np.column_stack([numbers(table[name]) for name in table.columns])

    def _value_measure(self, names: list[str]) -> int:
        """Where the measure that orders the clusters stands."""
        if self.value is None:
            return names.index("total_spend") if "total_spend" in names else len(names) - 1
        if self.value not in names:
            raise ConfigError(f"value={self.value!r} is not one of the measures {names}.")
        return names.index(self.value)

    def _selection(self, place: Floats) -> pd.DataFrame:
        columns = ["n_clusters", "stability", "standard_error", "smallest_share", "chosen"]
        if self.n_clusters is not None:
            return pd.DataFrame(columns=columns)
        rng = np.random.default_rng(self.seed)
        drawn = _some(place, _SAMPLE[self.method], rng)
        most = min(_MANY, len(np.unique(drawn, axis=0)))
        tried = [(k, *self._stability(drawn, k, rng)) for k in range(_FEW, most + 1)]
        table = pd.DataFrame(tried, columns=columns[:-1]).astype({"stability": float, "standard_error": float})
        fit = table[(table["smallest_share"] >= self.min_share) & (table["stability"] >= self.min_stability)]
        best = fit.nlargest(1, "stability")
        near = fit["stability"] >= (best["stability"] - best["standard_error"]).sum()
        chosen = fit.loc[near, "n_clusters"].max() if len(fit) else 1
        return table.assign(chosen=table["n_clusters"] == chosen)

    def _stability(self, place: Floats, k: int, rng: np.random.Generator) -> tuple[float, float, float]:
        """Mean adjusted Rand index over bootstrap pairs, its standard error, and the smallest share of a cluster."""
        found = []
        for _ in range(self.n_bootstraps):
            pair = [self._engine(place[rng.integers(0, len(place), len(place))], k).predict(place) for _ in range(2)]
            found.append(adjusted_rand_score(*pair))
        smallest = np.bincount(self._engine(place, k).predict(place), minlength=k).min() / len(place)
        error = float(np.std(found, ddof=1) / np.sqrt(len(found))) if len(found) > 1 else 0.0
        return float(np.mean(found)), error, float(smallest)

    def _chosen(self) -> int:
        if self.n_clusters is not None:
            return int(self.n_clusters)
        chosen = self.selection_.loc[self.selection_["chosen"], "n_clusters"]
        return int(chosen.iloc[0]) if len(chosen) else 1

    def _cluster(self, place: Floats, k: int) -> None:
        drawn = _some(place, _MOST, np.random.default_rng(self.seed))
        self._model = self._engine(drawn, k)
        self.centroids_ = self._model.cluster_centers_ if self.method == "k-means" else self._model.means_
        self.n_clusters_ = len(self.centroids_)

    def _engine(self, place: Floats, k: int) -> KMeans | GaussianMixture:
        k = min(k, len(np.unique(place, axis=0)))
        if self.method == "k-means":
            return KMeans(k, n_init=4, random_state=self.seed).fit(place)
        enough = np.repeat(place, 2, axis=0) if len(place) < 2 * k else place
        return GaussianMixture(k, n_init=2, reg_covar=_SOFT, max_iter=300, random_state=self.seed).fit(enough)

    def _by_value(self, values: Floats, place: Floats) -> Ints:
        """Found clusters, best first; an empty one of a mixture is placed by its centroid."""
        code = self._model.predict(place)
        n = np.bincount(code, minlength=self.n_clusters_)
        mean = np.bincount(code, values[:, self.value_], self.n_clusters_) / np.maximum(n, 1)
        return np.lexsort([-self.centroids_[:, self.value_], -np.where(n > 0, mean, -np.inf)])

    def _number(self, order: Ints) -> None:
        """Give the found clusters their numbers: ``order`` is the found cluster of each."""
        self._order = np.argsort(order)
        self.centroids_ = self.centroids_[order]
        if not hasattr(self, "names_") or not hasattr(self, "labels_"):
            letters = [f"cluster {letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
            letters += [f"cluster {number}" for number in range(27, self.n_clusters_ + 1)]
            kept = getattr(self, "names_", self.names if self.names is not None else letters)
            self.names_ = tuple(kept)[: self.n_clusters_]

    def _assign(self, place: Floats) -> Ints:
        code: Ints = self._order[self._model.predict(place)].astype(np.int64)
        return code

    def _describe(self, values: Floats, place: Floats) -> None:
        self.labels_ = self._assign(place)
        self.profiles_ = profiles(values, place, self.labels_, self.names_, list(self.scale_.index), self.value_)


def _some(place: Floats, most: int, rng: np.random.Generator) -> Floats:
    return place if len(place) <= most else place[rng.choice(len(place), most, replace=False)]
