"""`RepurchaseRate`: how soon a customer buys an item again, from a table with one row per customer and item."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from crmkit.exceptions import ContractError, ModelError
from crmkit.models import _gap_math as gap
from crmkit.models._gap_math import Floats

__all__ = ["RepurchaseRate"]

_NEEDS = ("item", "frequency", "recency", "T")


class RepurchaseRate(BaseEstimator):  # type: ignore[misc]
    """Purchases at gamma-distributed rates with drop-out: an empirical-Bayes prior per item, shrunk to the pooled one.

    The priors are fitted as if nobody had stopped, and drop-out is then laid over them with one probability for all; where
    many stop, long-silent pairs of few purchases are called too likely. A pair's first purchase is never taken for its last.

    Reads a table with columns ``item``, ``frequency`` (repeat purchase days of the pair), ``recency`` and ``T`` (days
    from its first purchase to its last, and to the day of the question).

    Attributes
    ----------
    priors_ : DataFrame
        item, r, alpha (days), n_pairs; the mean gap of an item is about ``alpha / r``.
    pooled_ : tuple of float
        r and alpha over all items; the prior of an item that was never seen.
    stopping_ : float
        Probability that a repeat purchase of a pair was its last.

    References
    ----------
    Ehrenberg (1959), The pattern of consumer purchases, Applied Statistics 8; Fader, Hardie & Lee (2005).

    Examples
    --------
    >>> pairs = pd.DataFrame({"item": ["milk"] * 3, "frequency": [9, 8, 0], "recency": [63, 60, 0], "T": [70, 64, 20]})
    >>> model = RepurchaseRate().fit(pairs)
    >>> model.probability_of_purchase(pairs, horizon=7).round(2).tolist()
    [0.56, 0.55, 0.29]
    """

    def fit(self, pairs: Any, y: object = None) -> Self:
        """Fit the priors.

        Raises
        ------
        ContractError
            A column is missing or a row makes no sense.
        ModelError
            There is no pair at all.
        """
        item, x, t_x, T = _columns(pairs)
        if not len(item):
            raise ModelError("There is no customer × item pair to learn from.")
        codes, items = pd.factorize(item, sort=True)
        pooled = gap.fit_gamma_rates(gap.GammaCells.of(np.zeros_like(codes), x, T, 1))
        centre = (float(pooled[0][0]), float(pooled[1][0]))
        log_r, log_alpha = gap.fit_gamma_rates(gap.GammaCells.of(codes, x, T, len(items)), centre)
        n_pairs = np.bincount(codes, minlength=len(items))
        r, alpha = np.exp(log_r), np.exp(log_alpha)
        self.priors_ = pd.DataFrame({"item": items, "r": r, "alpha": alpha, "n_pairs": n_pairs})
        self.pooled_ = (float(np.exp(centre[0])), float(np.exp(centre[1])))
        self.stopping_ = gap.fit_stopping(r[codes], alpha[codes], x, t_x, T)
        self.n_features_in_ = len(_NEEDS)
        return self

    def probability_stopped(self, pairs: Any) -> pd.Series[float]:
        """P(the customer has stopped buying the item), in [0, 1]; 0 for a pair with a single purchase."""
        r, alpha, x, t_x, T = self._read(pairs)
        return _series(_stopped(gap.stop_log_odds(r, alpha, x, t_x, T, self.stopping_)), pairs, "p_stopped")

    def probability_of_purchase(self, pairs: Any, horizon: float) -> pd.Series[float]:
        """P(at least one purchase within ``horizon`` days)."""
        r, alpha, x, t_x, T = self._read(pairs)
        active = 1 - _stopped(gap.stop_log_odds(r, alpha, x, t_x, T, self.stopping_))
        return _series(active * gap.purchase_probability(r, alpha, x, T, horizon), pairs, "p_purchase")

    def quantile(self, pairs: Any, share: float, longest: float = 84) -> pd.Series[float]:
        """Day by which the pair has bought with probability ``share``; missing when that is beyond ``longest`` days."""
        r, alpha, x, t_x, T = self._read(pairs)
        active = 1 - _stopped(gap.stop_log_odds(r, alpha, x, t_x, T, self.stopping_))
        with np.errstate(divide="ignore"):
            day = gap.purchase_quantile(r, alpha, x, T, share / active)
        return _series(np.where(day <= longest, day, np.nan), pairs, f"day_{round(100 * share)}")

    def expected_day(self, pairs: Any, longest: float = 84) -> pd.Series[float]:
        """Expected day of the next purchase, given that it comes within ``longest`` days."""
        r, alpha, x, _, T = self._read(pairs)
        return _series(gap.mean_day_within(r, alpha, x, T, longest), pairs, "expected_day")

    def _read(self, pairs: Any) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        check_is_fitted(self, "priors_")
        item, x, t_x, T = _columns(pairs)
        place = pd.Index(self.priors_["item"]).get_indexer(pd.Index(item))
        r, alpha = (
            np.append(self.priors_[name].to_numpy(), pooled)
            for name, pooled in zip(("r", "alpha"), self.pooled_, strict=True)
        )
        return r[place], alpha[place], x, t_x, T


def _columns(pairs: Any) -> tuple[Any, Floats, Floats, Floats]:
    missing = [name for name in _NEEDS if name not in pairs]
    if missing:
        raise ContractError(
            f"Columns not found: {missing}. The table has {list(pairs)}; make it with item_state(log, by=…)."
        )
    x, t_x, T = (np.asarray(pairs[name], dtype=np.float64) for name in _NEEDS[1:])
    item = np.asarray(pairs["item"], dtype=object)
    whole = (np.floor(x) == x) & (np.floor(T) == T)
    faulty = ~((x >= 0) & (t_x >= 0) & (t_x <= T) & np.isfinite(T) & whole) | pd.isna(item)
    if faulty.any():
        raise ContractError(
            f"{int(faulty.sum()):,} pairs do not have an item, whole days and purchases, 0 ≤ recency ≤ T and frequency ≥ 0."
        )
    return item, x, t_x, T


def _stopped(log_odds: Floats) -> Floats:
    return np.exp(-np.logaddexp(0, -log_odds))


def _series(values: Floats, pairs: Any, name: str) -> pd.Series[float]:
    return pd.Series(values, index=pairs.index if isinstance(pairs, pd.DataFrame) else None, name=name)
