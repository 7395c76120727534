"""RFM scores on frozen edges, and named segments on a grid of recency by frequency that leaves no cell out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise, product
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from crmkit._checks import as_table, numbers, remember
from crmkit._types import Floats, Ints
from crmkit.exceptions import ConfigError, ContractError
from crmkit.segments.cut_points import distinct_quantiles, score

if TYPE_CHECKING:
    from sklearn.utils import Tags

__all__ = ["RFM_GRID", "RFMScores"]

Bins = int | Sequence[float]
Scores = int | tuple[int, int]
Grid = Mapping[str, Sequence[tuple[Scores, Scores]]]

RFM_GRID: dict[int, tuple[str, str, str, str, str]] = {
    # R   F = 1              F = 2                 F = 3                 F = 4        F = 5
    5: ("new",             "potential loyalist", "potential loyalist", "champions", "champions"),
    4: ("promising",       "potential loyalist", "potential loyalist", "loyal",     "loyal"),
    3: ("about to sleep",  "about to sleep",     "need attention",     "loyal",     "loyal"),
    2: ("hibernating",     "hibernating",        "at risk",            "at risk",   "can't lose"),
    1: ("hibernating",     "hibernating",        "at risk",            "at risk",   "can't lose"),
}  # fmt: skip

MONETARY = ("total_spend", "mean_spend", "net_margin")
_READ = {"total_spend": "total_spend", "mean_spend": "total_spend", "net_margin": "net_margin"}


class RFMScores(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Recency, frequency and monetary scores (5 is best), and the named segment of R × F.

    The edges of each measure are its quantiles in the fitted table, or thresholds that are stated, kept as ``edges_``; a
    value scores by how many edges lie below it, so equal values always share a score. Where ties leave fewer distinct
    edges than asked for (most customers bought once), the scores are spread so that the lowest and the highest are still
    both given: of five scores, one edge gives 1 and 5; two give 1, 3, 5; three give 1, 2, 4, 5. A measure without any
    spread scores as its lowest value does: r = 5, f = 1, m = 1.

    Parameters
    ----------
    r, f, m : int or sequence of float, default=5
        How many scores of equally many customers; or the thresholds between the scores, lowest first, in the unit of the
        measure (days, purchase days, money). A value at a threshold belongs to the band below: ``r=(30, 90)`` gives
        3 up to 30 days, 2 up to 90, 1 beyond.
    monetary : {"total_spend", "mean_spend", "net_margin"}
        What m measures: the total, the mean of a purchase day (total_spend / n_purchases), or the table's column
        net_margin. Said again in ``edges_``, in ``bands_`` and in ``attrs["monetary"]`` of the result.
    grid : mapping of str to list of blocks, optional
        Segment → blocks of cells; a block is (r, f), each a score or (lowest, highest):
        ``{"best": [((4, 5), (4, 5))], …}``. It must name every cell exactly once. Default: the ten names of ``RFM_GRID``,
        stretched to the number of scores.
    hysteresis : float, default=0.25
        Used when ``transform`` is given earlier scores: a score is left only when a value that is better by this share
        (money or purchases · (1 + h), days / (1 + h)) would not have it either. A better score is never delayed.

    Attributes
    ----------
    edges_ : dict of str to tuple of float
        The distinct edges of each measure, in its own unit, lowest first.
    bands_ : DataFrame
        measure, score, range (in words), customers (of the fitted table): the frozen edges, to be printed.
    grid_ : DataFrame
        The name of each cell; rows are r (best first), columns f.
    n_features_in_, feature_names_in_
        The measures that are read, whatever else the table holds.

    Notes
    -----
    Scores by quintile are Hughes (1994), *Strategic Database Marketing*; the ten names stand in ``RFM_GRID[r][f - 1]``.
    The monetary score does not enter the name.

    Names that keep from month to month: with ``transform(X, previous=…)``. Recency goes on by itself, so a customer who
    did nothing will change its name even on frozen edges, and where no new customer joins, all of them will: refit each
    month, then, and give the last scores as ``previous``. ``tests/benchmarks/segments.py`` prints what each way keeps.

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
    >>> by_hand = RFMScores(r=(60,), f=(3,), grid={"active": [(2, (1, 2))], "silent": [(1, (1, 2))]})
    >>> by_hand.fit_transform(customers)["segment"].tolist()
    ['active', 'silent', 'active', 'silent', 'silent']
    >>> by_hand.bands_.head(4)
               measure  score range  customers
    0  days_since_last      2  ≤ 60          2
    1  days_since_last      1  > 60          3
    2      n_purchases      2   > 3          3
    3      n_purchases      1   ≤ 3          2
    """

    def __init__(
        self,
        r: Bins = 5,
        f: Bins = 5,
        m: Bins = 5,
        monetary: str = "total_spend",
        grid: Grid | None = None,
        hysteresis: float = 0.25,
    ) -> None:
        self.r = r
        self.f = f
        self.m = m
        self.monetary = monetary
        self.grid = grid
        self.hysteresis = hysteresis

    def fit(self, X: ArrayLike | pd.DataFrame, y: object = None) -> Self:
        """Freeze the edges of the three measures.

        Parameters
        ----------
        X : DataFrame, or array of shape (n, 3)
            Columns days_since_last (days), n_purchases and total_spend (or net_margin); an array has them in this order,
            other columns of a table are ignored.
        y : ignored

        Raises
        ------
        ConfigError
            ``r``, ``f``, ``m``, ``monetary`` or ``grid`` make no scores: cells without a name, or with two.
        ContractError
            A column is missing or not numeric, a value is missing or infinite, or there is no row.
        """
        bins = self._checked_bins()
        measures = self._measures(X, reset=True)
        cuts = (distinct_quantiles(values, len(scores)) for values, scores in zip(measures.values(), bins, strict=True))
        self._freeze(bins, dict(zip(measures, cuts, strict=True)))
        self.bands_ = self._bands(measures)
        return self

    def fit_edges(self, edges: Mapping[str, Sequence[float]]) -> Self:
        """Take edges that are known, as quantiles of a table too large to be brought here; there are no ``bands_`` then.

        Parameters
        ----------
        edges : mapping of str to sequence of float
            Distinct edges of days_since_last, n_purchases and ``monetary``, lowest first, as `edges_` holds them.

        Examples
        --------
        >>> rfm = RFMScores().fit_edges({"days_since_last": (30, 90), "n_purchases": (1,), "total_spend": (10, 50)})
        >>> rfm.transform(pd.DataFrame({"days_since_last": [7], "n_purchases": [2], "total_spend": [20.0]}))
           r_score  f_score  m_score    segment
        0        5        5        3  champions
        """
        bins = self._checked_bins()
        read = ["days_since_last", "n_purchases", _READ[self.monetary]]
        remember(self, pd.DataFrame([dict.fromkeys(read, 0.0)]), reset=True)
        self._freeze(bins, {name: tuple(map(float, found)) for name, found in edges.items()})
        return self

    def _freeze(self, bins: list[range], found: Mapping[str, tuple[float, ...]]) -> None:
        """Edges and grid; edges that are stated stand instead of those that were found."""
        cells = _cells(self.grid, len(bins[0]), len(bins[1]))
        self.monetary_ = self.monetary
        self.edges_ = {
            name: found[name] if isinstance(stated, int | np.integer) else tuple(float(edge) for edge in stated)
            for name, stated in zip(
                ("days_since_last", "n_purchases", self.monetary), (self.r, self.f, self.m), strict=True
            )
        }
        self.n_scores_ = tuple(len(scores) for scores in bins)
        self.grid_ = pd.DataFrame(
            cells[::-1],
            index=pd.RangeIndex(self.n_scores_[0], 0, -1, name="r_score"),
            columns=pd.RangeIndex(1, self.n_scores_[1] + 1, name="f_score"),
        )

    def transform(self, X: ArrayLike | pd.DataFrame, previous: pd.DataFrame | None = None) -> pd.DataFrame:
        """Score each row: r_score, f_score, m_score and segment, on the index of ``X``.

        Parameters
        ----------
        X : as in ``fit``
        previous : DataFrame, optional
            Earlier result of ``transform``, aligned with ``X`` by index; a row without one scores as its values say.
        """
        check_is_fitted(self)
        measures = self._measures(X, reset=False)
        index = X.index if isinstance(X, pd.DataFrame) else pd.RangeIndex(len(measures["n_purchases"]))
        scores = self._scores(measures)
        if previous is not None:
            scores = self._held(measures, scores, _aligned(previous, index, self.n_scores_))
        r, f, m = scores
        names = self.grid_.to_numpy(dtype=object)[::-1]
        scored = pd.DataFrame({"r_score": r, "f_score": f, "m_score": m, "segment": names[r - 1, f - 1]}, index=index)
        scored.attrs["monetary"] = self.monetary_
        return scored

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """Names of the columns of ``transform``."""
        check_is_fitted(self)
        return np.array(["r_score", "f_score", "m_score", "segment"], dtype=object)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _checked_bins(self) -> list[range]:
        if self.monetary not in MONETARY:
            raise ConfigError(f"monetary={self.monetary!r} is not one of {list(MONETARY)}.")
        if not 0 <= self.hysteresis < np.inf:
            raise ConfigError(f"hysteresis={self.hysteresis!r} must be 0 or more: .25 keeps a score within a quarter.")
        return [_bin_scores(name, getattr(self, name)) for name in ("r", "f", "m")]

    def _scores(self, measures: dict[str, Floats]) -> list[Ints]:
        days, f, m = (
            score(values, self.edges_[name], n)
            for (name, values), n in zip(measures.items(), self.n_scores_, strict=True)
        )
        return [self.n_scores_[0] + 1 - days, f, m]

    def _held(self, measures: dict[str, Floats], scores: list[Ints], earlier: list[Ints]) -> list[Ints]:
        """Earlier scores (0 for none) that values better by the hysteresis would have; a better score is had at once."""
        better = {}
        for name, values in measures.items():
            up = (values > 0) == (name != "days_since_last")
            better[name] = values * np.where(up, 1 + self.hysteresis, 1 / (1 + self.hysteresis))
        lenient = self._scores(better)
        return [np.clip(before, now, most) for before, now, most in zip(earlier, scores, lenient, strict=True)]

    def _bands(self, measures: dict[str, Floats]) -> pd.DataFrame:
        rows: list[pd.DataFrame] = []
        for (name, edges), n, given in zip(self.edges_.items(), self.n_scores_, self._scores(measures), strict=True):
            spread = np.rint(np.linspace(1, n, len(edges) + 1)).astype(np.int64)
            scores = n + 1 - spread if name == "days_since_last" else spread
            counts = np.bincount(given, minlength=n + 1)[scores]
            band = {"measure": name, "score": scores, "range": _ranges(edges), "customers": counts}
            rows.append(pd.DataFrame(band).sort_values("score", ascending=False))
        return pd.concat(rows, ignore_index=True)

    def _measures(self, X: ArrayLike | pd.DataFrame, *, reset: bool) -> dict[str, Floats]:
        """Each measure's numbers, by the name that says what it is."""
        read = ["days_since_last", "n_purchases", _READ[self.monetary if reset else self.monetary_]]
        table = as_table(self, X)
        if not isinstance(X, pd.DataFrame):
            if table.shape[1] != len(read):
                raise ContractError(
                    f"X has {table.shape[1]} features, but RFMScores is expecting 3 features as input: {read}. "
                    "Pass a table with these columns, or an array of them in this order."
                )
            remember(self, table, reset=reset)
            table = table.set_axis(read, axis=1)
        else:
            table = _named(table, read)
            remember(self, table, reset=reset)
        days, n_purchases, money = (numbers(table[name]) for name in read)
        if (monetary := self.monetary if reset else self.monetary_) == "mean_spend":
            money = _mean(money, n_purchases)
        return {"days_since_last": days, "n_purchases": n_purchases, monetary: money}


def _bin_scores(name: str, bins: Bins) -> range:
    """The scores that an axis gives."""
    if isinstance(bins, int | np.integer) and not isinstance(bins, bool):
        if not 1 <= bins <= 100:
            raise ConfigError(f"{name}={bins} must be 1 to 100 scores, or thresholds such as {name}=(30, 90).")
        return range(1, int(bins) + 1)
    edges = np.asarray(bins, dtype=object)
    try:
        stated = edges.astype(np.float64)
    except (TypeError, ValueError):
        stated = np.array([np.nan])
    if stated.ndim != 1 or not stated.size or not np.isfinite(stated).all() or not (np.diff(stated) > 0).all():
        raise ConfigError(
            f"{name}={bins!r} must be a number of scores, or thresholds that rise: {name}=(30, 90) gives three scores."
        )
    return range(1, stated.size + 2)


def _cells(grid: Grid | None, n_r: int, n_f: int) -> NDArray[np.object_]:
    """Names by r − 1 and f − 1; every cell once, or one error with all gaps and overlaps."""
    if grid is None:
        default = np.array([RFM_GRID[row] for row in (1, 2, 3, 4, 5)], dtype=object)
        rows, columns = (np.rint(np.linspace(0, 4, n)).astype(np.int64) for n in (n_r, n_f))
        return default[np.ix_(rows, columns)]
    named: dict[tuple[int, int], list[str]] = {cell: [] for cell in product(range(1, n_r + 1), range(1, n_f + 1))}
    outside = []
    for name, blocks in grid.items():
        for r, f in (_block(name, block) for block in blocks):
            for cell in product(r, f):
                if cell in named:
                    named[cell].append(name)
                else:
                    outside.append(f"{name}: (r, f) = {cell}")
    gaps = [str(cell) for cell, names in named.items() if not names]
    overlaps = [f"{cell} is {' and '.join(names)}" for cell, names in named.items() if len(names) > 1]
    faults = {"cells (r, f) without a name": gaps, "cells with several": overlaps, "outside the grid": outside}
    said = [
        f"{len(found)} {fault}: {', '.join(found[:5])}{' …' if len(found) > 5 else ''}"
        for fault, found in faults.items()
        if found
    ]
    if said:
        raise ConfigError(f"The grid must name each of its {n_r} × {n_f} cells once; it has {'; '.join(said)}.")
    names = np.empty((n_r, n_f), dtype=object)
    for (row, column), found in named.items():
        names[row - 1, column - 1] = found[0]
    return names


def _block(name: str, block: tuple[Scores, Scores]) -> tuple[range, range]:
    try:
        sides = [(side, side) if isinstance(side, int) else side for side in block]
        (r_low, r_high), (f_low, f_high) = sides
        return range(r_low, r_high + 1), range(f_low, f_high + 1)
    except (TypeError, ValueError):
        raise ConfigError(
            f"grid[{name!r}] holds {block!r}; give a list of blocks (r, f), each a score or (lowest, highest): [((4, 5), 1)]."
        ) from None


def _named(table: pd.DataFrame, read: list[str]) -> pd.DataFrame:
    columns = list(table.columns)
    if missing := [name for name in read if columns.count(name) != 1]:
        raise ContractError(
            f"Columns not found, or found twice: {missing}. The table has {columns}. "
            f"Pass crmkit.rfm_table(log), or rename yours: table.rename(columns={{'your_name': '{missing[0]}'}})."
        )
    return table[read]


def _aligned(previous: pd.DataFrame, index: pd.Index, n_scores: tuple[int, ...]) -> list[Ints]:
    """Earlier scores of the rows of an index; 0 where there is none."""
    names = ["r_score", "f_score", "m_score"]
    if not isinstance(previous, pd.DataFrame) or not set(names) <= set(previous.columns):
        raise ContractError(f"previous must be a table with {names}: what transform gave before, on the same index.")
    check_matching(previous, index)
    known = previous[names].reindex(index).fillna(0).to_numpy(dtype=np.int64)
    if not ((known >= 0) & (known <= np.array(n_scores))).all():
        raise ContractError(f"previous holds scores beyond {n_scores}; it was made by other bins.")
    return list(known.T)


def check_matching(previous: pd.DataFrame | pd.Series, index: pd.Index) -> None:
    """Raise `ContractError` unless earlier labels are one a customer, and some of them of these customers."""
    if n_repeated := int(previous.index.duplicated().sum()):
        raise ContractError(f"previous has {n_repeated} repeated index labels; keep one per customer.")
    if len(previous) and len(index) and not index.isin(previous.index).any():
        raise ContractError(
            "No index label of previous is in X, so no customer would be matched. "
            "Set the same index on both: customers.set_index('customer_id')."
        )


def _mean(money: Floats, n_purchases: Floats) -> Floats:
    if n_none := int((n_purchases <= 0).sum()):
        raise ContractError(f"monetary='mean_spend' divides by n_purchases, which is not above 0 in {n_none:,} rows.")
    return money / n_purchases


def _ranges(edges: tuple[float, ...]) -> list[str]:
    """In words, lowest first."""
    if not edges:
        return ["all"]
    inner = [f"{low:g} < … ≤ {high:g}" for low, high in pairwise(edges)]
    return [f"≤ {edges[0]:g}", *inner, f"> {edges[-1]:g}"]
