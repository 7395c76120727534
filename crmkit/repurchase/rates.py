"""How soon a customer buys an item again, from a table with one row per customer and item (`summaries.items.item_state`).

`RepurchaseRate` and `TripShare` are closed forms with a prior per item; `WeeklyHazard` learns from earlier origins, with the
answers of both among its summaries. Each gives P(no purchase by the end of week 0, 1, … 12); the rest follows from that.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from crmkit._checks import require_columns
from crmkit._types import Floats, Ints
from crmkit.exceptions import ContractError, ModelError
from crmkit.repurchase import _hazard_math as hazard
from crmkit.repurchase import _rates_math as gap

if TYPE_CHECKING:
    from crmkit._types import Table

__all__ = ["RepurchaseRate"]
_DAYS = ("frequency", "recency", "T")


class Waiting(BaseEstimator, ABC):  # type: ignore[misc]
    """What follows from P(no purchase by the end of each week), which a model gives as ``weekly_survival``."""

    @abstractmethod
    def weekly_survival(self, pairs: pd.DataFrame, weeks: int = hazard.WEEKS) -> Floats:
        """P(no purchase by the end of each week), shape (n, weeks)."""

    def probability_of_purchase(self, pairs: pd.DataFrame, horizon: int) -> pd.Series[float]:
        """P(at least one purchase within ``horizon`` days, at most 84)."""
        weeks = min(hazard.WEEKS, -(-int(horizon) // 7))
        return series(1 - hazard.day_survival(self.weekly_survival(pairs, weeks), horizon), pairs, "p_purchase")

    def quantile(self, pairs: pd.DataFrame, share: float) -> pd.Series[float]:
        """Day by which the pair has bought with probability ``share``; missing when that is beyond 84 days."""
        return series(hazard.quantile_day(self.weekly_survival(pairs), share), pairs, f"day_{round(100 * share)}")

    def expected_day(self, pairs: pd.DataFrame) -> pd.Series[float]:
        """Expected day of the next purchase, given that it comes within 84 days."""
        return series(hazard.mean_day(self.weekly_survival(pairs)), pairs, "expected_day")


class PairRates(NamedTuple):
    """What `RepurchaseRate` knows of pairs: the gamma distribution (shape, rate in days) of the purchases a day of each that has
    not stopped, the same of its item's pairs at first, and its ln odds of having stopped.
    """

    shape: Floats
    rate: Floats
    item_shape: Floats
    item_rate: Floats
    stopped: Floats

    @property
    def p_stopped(self) -> Floats:
        """P(the customer has stopped buying the item)."""
        p: Floats = np.exp(-np.logaddexp(0, -self.stopped))
        return p

    @property
    def logits(self) -> tuple[Floats, Floats, Floats]:
        """ln purchases a day, the same of the item's pairs at first, and ln odds of having stopped."""
        own, of_item = (np.log(r) - np.log(a) for r, a in ((self.shape, self.rate), (self.item_shape, self.item_rate)))
        return own, of_item, self.stopped

    def survival(self, days: float) -> Floats:
        """P(no purchase within so many days)."""
        return 1 - (1 - self.p_stopped) * gap.bought_within(self.shape, self.rate, days)

    def weekly_survival(self, weeks: int) -> Floats:
        """P(no purchase by the end of week 0, 1, …), shape (n, weeks + 1)."""
        return np.column_stack([self.survival(7.0 * week) for week in range(weeks + 1)])

    def of(self, rows: Ints) -> PairRates:
        """What is known of some of the pairs."""
        return PairRates(*(values[rows] for values in self))


class RepurchaseRate(Waiting):
    """Purchases at gamma-distributed rates with drop-out: priors per item, shrunk to those of all items.

    Reads a table with columns ``item``, ``frequency`` (repeat purchase days of the pair), ``recency`` and ``T`` (days
    from its first purchase to its last, and to the day of the question).

    Attributes
    ----------
    priors_ : DataFrame
        item, r, alpha (days), n_pairs; the mean gap of an item is about ``alpha / r``.
    stopping_ : array (items, 6)
        Share of each item's pairs that stop after a purchase with probability .002, .01, .03, .08, .2 and .5.
    pooled_ : dict
        r, alpha and stopping over all items: the prior of an item that was never seen.

    References
    ----------
    Ehrenberg (1959), The pattern of consumer purchases, Applied Statistics 8; Fader, Hardie & Lee (2005); Batislam,
    Denizel & Filiztekin (2007).

    Examples
    --------
    >>> pairs = pd.DataFrame({"item": ["milk"] * 3, "frequency": [9, 8, 0], "recency": [63, 60, 0], "T": [70, 64, 20]})
    >>> model = RepurchaseRate().fit(pairs)
    >>> model.probability_of_purchase(pairs, horizon=7).round(2).tolist()
    [0.56, 0.56, 0.26]
    """

    def fit(self, pairs: Table, y: object = None) -> Self:
        """Fit the priors.

        Raises
        ------
        ContractError
            A column is missing or a row makes no sense.
        ModelError
            There is no pair at all.
        """
        codes, items = items_of(pairs)
        x, t_x, T = feature_matrix(pairs, _DAYS)
        rates = gap.fit_stopping_rates(codes, x, t_x, T, len(items))
        n_pairs = np.bincount(codes, minlength=len(items))
        self.priors_ = pd.DataFrame(
            {"item": items, "r": np.exp(rates.log_r), "alpha": np.exp(rates.log_alpha), "n_pairs": n_pairs}
        )
        self.stopping_ = rates.weights
        r, alpha = np.exp(rates.centre)
        self.pooled_ = {"r": float(r), "alpha": float(alpha), "stopping": rates.pooled.tolist()}
        self.n_features_in_ = 1 + len(_DAYS)
        return self

    def logits(self, pairs: Table) -> tuple[Floats, Floats, Floats]:
        """ln purchases a day of a pair that has not stopped, the same of the item's pairs at first, and ln odds of having
        stopped.
        """
        return self.rates_of(pairs).logits

    def probability_stopped(self, pairs: Table) -> pd.Series[float]:
        """P(the customer has stopped buying the item), in [0, 1]."""
        return series(self.rates_of(pairs).p_stopped, pairs, "p_stopped")

    def weekly_survival(self, pairs: Table, weeks: int = hazard.WEEKS) -> Floats:
        """P(no purchase by the end of week 0, 1, …), shape (n, weeks + 1)."""
        return self.rates_of(pairs).weekly_survival(weeks)

    def rates_of(self, pairs: Table) -> PairRates:
        """What is known of each pair."""
        return self.rates_at(self.place(item_codes(pairs)), *feature_matrix(pairs, _DAYS))

    def place(self, item: Any) -> Ints:
        """Where each item's prior is; that of all items is the last."""
        check_is_fitted(self, "priors_")
        return place_in(self.priors_["item"], item)

    def rates_at(self, place: Ints, x: Floats, t_x: Floats, T: Floats) -> PairRates:
        """`rates_of` from arrays: ``frequency``, ``recency`` and ``T``."""
        r, alpha = (np.append(self.priors_[name].to_numpy(), self.pooled_[name])[place] for name in ("r", "alpha"))
        weights = np.vstack([self.stopping_, self.pooled_["stopping"]])
        stopped = gap.stop_log_odds(r, alpha, x, t_x, T, weights[place])
        return PairRates(r + x, alpha + T, r, alpha, stopped)


_MADE = "Make it with item_state(log, by=…)."


def item_codes(pairs: Table) -> Any:
    require_columns(pairs, ["item"], advice=_MADE)
    return pairs["item"]


def items_of(pairs: Table) -> tuple[Ints, pd.Index]:
    """The items as numbers in the order of their names, and the names."""
    item = item_codes(pairs)
    if not len(item):
        raise ModelError("There is no customer × item pair to learn from.")
    codes, items = pd.factorize(item, sort=True)
    return codes.astype(np.int64), items.categories.take(items.codes) if hasattr(items, "categories") else items


def place_in(known: pd.Series, item: Any) -> Ints:
    """Position of each item among the known ones; -1, the place of the pooled prior, where it is not."""
    if isinstance(getattr(item, "dtype", None), pd.CategoricalDtype):
        place: Ints = np.append(pd.Index(known).get_indexer(item.cat.categories), -1)[item.cat.codes]
        return place
    return np.asarray(pd.Index(known).get_indexer(pd.Index(item)))


def feature_matrix(pairs: Table, names: tuple[str, ...]) -> list[Floats]:
    require_columns(pairs, names, advice=_MADE)
    columns = {name: np.asarray(pairs[name], dtype=np.float64) for name in names}
    sound = np.asarray(pd.notna(pairs["item"]))
    for values in columns.values():
        if not (values.min(initial=0) >= 0 and values.max(initial=0) < np.inf):
            sound = sound & (values >= 0) & (values < np.inf)
    if {*_DAYS} <= {*columns}:
        x, t_x, T = (columns[name] for name in _DAYS)
        sound = sound & (t_x <= T) & (np.floor(x) == x) & (np.floor(T) == T)
    if not sound.all():
        raise ContractError(
            f"{int((~sound).sum()):,} pairs do not have an item, whole days and purchases, 0 ≤ recency ≤ T and frequency ≥ 0."
        )
    return list(columns.values())


def series(values: Floats, pairs: Table, name: str) -> pd.Series[float]:
    return pd.Series(values, index=pairs.index if isinstance(pairs, pd.DataFrame) else None, name=name)
