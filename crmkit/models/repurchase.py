"""How soon a customer buys an item again, from a table with one row per customer and item (`features.item_state`).

`RepurchaseRate` and `TripShare` are closed forms with a prior per item; `WeeklyHazard` learns from past days, with the
answers of both among its summaries. Each gives P(no purchase by the end of week 0, 1, … 12); the rest follows from that.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.utils.validation import check_is_fitted

from crmkit.exceptions import ContractError, ModelError
from crmkit.models import _gap_math as gap
from crmkit.models import _hazard_math as hazard
from crmkit.models import _trip_math as trip
from crmkit.models._gap_math import Floats, Ints
from crmkit.models._summary_math import LAYERS, needs, summaries, themes

__all__ = ["BoostedHazard", "RepurchaseRate", "TripShare", "WeeklyHazard"]

_CHUNK = 32_768
_TREE_ROWS = 120_000
_EVENTS = 200
_RATES, _OF_RATES = ("log rate", "log rate of trips × share"), 0.2
_DAYS = ("frequency", "recency", "T")
_TRIPS = ("T", "faded_250", "trips_faded_since_first", "trips_faded_60", "trip_T", "n_items")


class _Waiting(BaseEstimator, ABC):  # type: ignore[misc]
    """What follows from P(no purchase by the end of each week), which a model gives as ``weekly_survival``."""

    @abstractmethod
    def weekly_survival(self, pairs: Any, weeks: int = hazard.WEEKS) -> Floats:
        """P(no purchase by the end of each week), shape (n, weeks)."""

    def probability_of_purchase(self, pairs: Any, horizon: int) -> pd.Series[float]:
        """P(at least one purchase within ``horizon`` days, at most 84)."""
        weeks = min(hazard.WEEKS, -(-int(horizon) // 7))
        return _series(1 - hazard.day_survival(self.weekly_survival(pairs, weeks), horizon), pairs, "p_purchase")

    def quantile(self, pairs: Any, share: float) -> pd.Series[float]:
        """Day by which the pair has bought with probability ``share``; missing when that is beyond 84 days."""
        return _series(hazard.quantile_day(self.weekly_survival(pairs), share), pairs, f"day_{round(100 * share)}")

    def expected_day(self, pairs: Any) -> pd.Series[float]:
        """Expected day of the next purchase, given that it comes within 84 days."""
        return _series(hazard.mean_day(self.weekly_survival(pairs)), pairs, "expected_day")


class RepurchaseRate(_Waiting):
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

    def fit(self, pairs: Any, y: object = None) -> Self:
        """Fit the priors.

        Raises
        ------
        ContractError
            A column is missing or a row makes no sense.
        ModelError
            There is no pair at all.
        """
        item, (x, t_x, T) = _some(_items(pairs)), _columns(pairs, _DAYS)
        codes, items = pd.factorize(item, sort=True)
        rates = gap.fit_stopping_rates(codes.astype(np.int64), x, t_x, T, len(items))
        n_pairs = np.bincount(codes, minlength=len(items))
        self.priors_ = pd.DataFrame(
            {"item": items, "r": np.exp(rates.log_r), "alpha": np.exp(rates.log_alpha), "n_pairs": n_pairs}
        )
        self.stopping_ = rates.weights
        r, alpha = np.exp(rates.centre)
        self.pooled_ = {"r": float(r), "alpha": float(alpha), "stopping": rates.pooled.tolist()}
        self.n_features_in_ = 1 + len(_DAYS)
        return self

    def logits(self, pairs: Any) -> tuple[Floats, Floats, Floats]:
        """ln purchases a day of a pair that has not stopped, the same of the item's pairs at first, and ln odds of having
        stopped.
        """
        r, alpha, x, t_x, T, weights = self._read(pairs)
        stopped = gap.stop_log_odds(r, alpha, x, t_x, T, weights)
        return np.log(r + x) - np.log(alpha + T), np.log(r) - np.log(alpha), stopped

    def probability_stopped(self, pairs: Any) -> pd.Series[float]:
        """P(the customer has stopped buying the item), in [0, 1]."""
        return _series(_sigmoid(self.logits(pairs)[2]), pairs, "p_stopped")

    def weekly_survival(self, pairs: Any, weeks: int = hazard.WEEKS) -> Floats:
        """P(no purchase by the end of week 0, 1, …), shape (n, weeks + 1)."""
        r, alpha, x, t_x, T, weights = self._read(pairs)
        stopped = _sigmoid(gap.stop_log_odds(r, alpha, x, t_x, T, weights))
        bought = [gap.purchase_probability(r, alpha, x, T, 7.0 * week) for week in range(weeks + 1)]
        return 1 - (1 - stopped)[:, None] * np.column_stack(bought)

    def _read(self, pairs: Any) -> tuple[Floats, Floats, Floats, Floats, Floats, Floats]:
        check_is_fitted(self, "priors_")
        place = _place(self.priors_["item"], _items(pairs))
        r, alpha = (np.append(self.priors_[name].to_numpy(), self.pooled_[name]) for name in ("r", "alpha"))
        weights = np.vstack([self.stopping_, self.pooled_["stopping"]])
        x, t_x, T = _columns(pairs, _DAYS)
        return r[place], alpha[place], x, t_x, T, weights[place]


class TripShare(_Waiting):
    """A member's trips, at a gamma-distributed rate, times the share of trips on which the item is bought, beta-distributed.

    Past trips are faded, with a time constant of 60 days for how often the member comes and of 250 days for what is
    bought then, so that both forget. Reads the columns ``item``, ``T``, ``faded_250``, ``trips_faded_since_first``,
    ``trips_faded_60``, ``trip_T`` and ``n_items`` of `features.item_state`.

    Attributes
    ----------
    trips_ : dict
        shape and rate (days) of the members' trips a day.
    priors_ : DataFrame
        item, a, b, n_pairs: the beta distribution of the share of trips.
    pooled_ : dict
        a and b over all items.
    """

    def fit(self, pairs: Any, y: object = None) -> Self:
        """Fit the priors, by likelihood; those of an item are shrunk to those of all."""
        item, (T, faded, trips, came, since, n_items) = _some(_items(pairs)), _columns(pairs, _TRIPS)
        shape, rate = trip.fit_gamma_counts(*_repeats(came, since), 1 / np.maximum(n_items, 1))
        self.trips_ = {"shape": shape, "rate": rate}
        codes, items = pd.factorize(item, sort=True)
        bought, codes = np.maximum(faded - np.exp(-T / 250), 0), codes.astype(np.int64)
        whole = trip.fit_beta_shares(np.zeros_like(codes), bought, trips, 1, (0.0, 2.0))
        centre = (float(whole[0][0]), float(whole[1][0]))
        log_a, log_b = trip.fit_beta_shares(codes, bought, trips, len(items), centre)
        n_pairs = np.bincount(codes, minlength=len(items))
        self.priors_ = pd.DataFrame({"item": items, "a": np.exp(log_a), "b": np.exp(log_b), "n_pairs": n_pairs})
        self.pooled_ = dict(zip("ab", np.exp(centre).tolist(), strict=True))
        self.n_features_in_ = 1 + len(_TRIPS)
        return self

    def purchase_rate(self, pairs: Any) -> trip.GammaRate:
        """The pair's purchases a day, as a gamma distribution."""
        check_is_fitted(self, "priors_")
        place = _place(self.priors_["item"], _items(pairs))
        a, b = (np.append(self.priors_[name].to_numpy(), self.pooled_[name])[place] for name in "ab")
        T, faded, trips, came, since, _ = _columns(pairs, _TRIPS)
        start, length = trip.runs(came, since)
        repeats, watched = (np.repeat(values, length) for values in _repeats(came[start], since[start]))
        members = trip.GammaRate(self.trips_["shape"] + repeats, self.trips_["rate"] + watched)
        bought = np.clip(faded - np.exp(-T / 250), 0, trips)
        return trip.purchase_rate(members, a + bought, b + trips - bought)

    def weekly_survival(self, pairs: Any, weeks: int = hazard.WEEKS) -> Floats:
        """P(no purchase by the end of week 0, 1, …), shape (n, weeks + 1)."""
        rate = self.purchase_rate(pairs)
        return np.column_stack([trip.waits_longer(rate, 7.0 * week) for week in range(weeks + 1)])


class WeeklyHazard(_Waiting):
    """P(bought in week w | not before), a logistic curve on what is known of the pair, its member and its item.

    Its logits are averaged, four to one, with those of a curve on the rates of the two closed forms alone: a member's list
    is then ranked better, for hardly any of the likelihood.

    Learned from rows as they were known on past days, with the days to the next purchase; pairs bought on one or two days
    have coefficients of their own. Where past days show fewer than 200 purchases, the answer is the `closed_form`.

    Parameters
    ----------
    rates : RepurchaseRate
    shares : TripShare
        Both fitted; their answers are among the summaries.
    above : sequence of str
        Levels above the item that the table has columns of.

    Attributes
    ----------
    curves_ : dict
        "new" (one or two purchase days) and "regular": the coefficients; missing where nothing could be learned.
    scales_ : dict
        Mean and standard deviation of each summary, in the same groups.
    n_weeks_ : dict
        Person-weeks at risk that each was learned from.
    """

    def __init__(self, rates: RepurchaseRate, shares: TripShare, above: Sequence[str] = ()) -> None:
        self.rates = rates
        self.shares = shares
        self.above = above

    def fit(self, pairs: pd.DataFrame, waits: pd.DataFrame) -> Self:
        """Learn the curves.

        Parameters
        ----------
        pairs : DataFrame
            From `features.item_state` at past days.
        waits : DataFrame
            ``wait``: days from there to the next purchase, missing where there was none; ``follow``: days watched.
        """
        wait = np.nan_to_num(np.asarray(waits["wait"], dtype=np.float64), nan=np.inf)
        follow = np.asarray(waits["follow"], dtype=np.float64)
        at_risk, bought = hazard.weeks_at_risk(wait, follow)
        self.curves_: dict[str, hazard.HazardCurve] = {}
        self.scales_: dict[str, tuple[Floats, Floats]] = {}
        self.n_weeks_: dict[str, int] = {}
        for name, rows in _strata(pairs):
            rows = rows[at_risk[rows] > 0]
            if (bought[rows] > 0).sum() < _EVENTS:
                continue
            z = np.concatenate([self._summaries(part) for _, part in _chunks(pairs.iloc[rows])])
            self.scales_[name] = mean, sd = z.mean(axis=0), np.maximum(z.std(axis=0), 1e-6)
            self._learn(name, (z - mean) / sd, at_risk[rows], bought[rows])
            self.n_weeks_[name] = int(at_risk[rows].sum())
        return self

    def _learn(self, name: str, z: Floats, at_risk: Ints, bought: Ints) -> None:
        rates = [z.shape[1] - len(LAYERS) + LAYERS.index(layer) for layer in _RATES]
        whole, few = (hazard.fit_weekly_hazard(table, at_risk, bought) for table in (z, z[:, rates]))
        self.curves_[name] = whole.drawn_to(few, rates, _OF_RATES)

    def weekly_survival(self, pairs: Any, weeks: int = hazard.WEEKS) -> Floats:
        """P(no purchase by the end of week 0, 1, …), shape (n, weeks + 1)."""
        check_is_fitted(self, "curves_")
        survival = np.empty((len(pairs), weeks + 1))
        with ThreadPoolExecutor() as pool:
            chunks = list(_chunks(pairs))
            for (rows, _), found in zip(
                chunks, pool.map(lambda chunk: self._survival(chunk[1], weeks), chunks), strict=True
            ):
                survival[rows] = found
        return survival

    def _survival(self, pairs: pd.DataFrame, weeks: int) -> Floats:
        z = self._summaries(pairs) if self.curves_ else np.empty((len(pairs), 0))
        survival = np.empty((len(pairs), weeks + 1))
        for name, rows in _strata(pairs):
            known = name in self.curves_
            survival[rows] = (
                hazard.week_survival(self._logits(name, z[rows], weeks))
                if known
                else self.closed_form(pairs.iloc[rows], weeks)
            )
        return survival

    def _logits(self, name: str, z: Floats, weeks: int) -> Floats:
        return self.curves_[name].rescaled(*self.scales_[name]).logits(z, weeks)

    def closed_form(self, pairs: Any, weeks: int = hazard.WEEKS) -> Floats:
        """P(no purchase by the end of week 0, 1, …) without past days: the geometric mean of the answers of ``rates`` and
        ``shares``, whose hazards are so averaged; better than either.
        """
        both = self.rates.weekly_survival(pairs, weeks) * self.shares.weekly_survival(pairs, weeks)
        mean: Floats = np.sqrt(both)
        return mean

    def probability_stopped(self, pairs: Any, weekly: Floats | None = None) -> pd.Series[float]:
        """P(the customer has stopped buying the item): P(no purchase within 84 days), times the part of it that ``rates``
        lays on having stopped and not on waiting longer. ``weekly`` is the answer of `weekly_survival`, when it is there.
        """
        silent = (self.weekly_survival(pairs) if weekly is None else weekly)[:, -1]
        gone = self.rates.probability_stopped(pairs).to_numpy()
        longer = self.rates.weekly_survival(pairs)[:, -1]
        return _series(silent * np.clip(gone / np.maximum(longer, 1e-300), 0, 1), pairs, "p_stopped")

    def contributions(self, pairs: pd.DataFrame) -> pd.DataFrame:
        """What moves the first pair's logit in the first week away from that of the average pair, the largest first.

        Returns
        -------
        DataFrame
            summary (a theme: the sum over the summaries of it), contribution (logits); empty where nothing could be learned
            of such pairs.
        """
        check_is_fitted(self, "curves_")
        name, _ = next(_strata(pairs.iloc[:1]))
        if name not in self.curves_:
            return pd.DataFrame({"summary": [], "contribution": []})
        mean, sd = self.scales_[name]
        moved = (self._summaries(pairs.iloc[:1])[0] - mean) / sd * self.curves_[name].level
        table = pd.DataFrame({"summary": themes(self.above), "contribution": moved})
        table = table.groupby("summary", as_index=False, sort=False).sum()
        return table.sort_values("contribution", key=np.abs, ascending=False, ignore_index=True)

    def _summaries(self, pairs: pd.DataFrame) -> Floats:
        """One row per pair, one column per summary."""
        wanted = needs(self.above)
        columns: dict[str, Any] = dict(zip(wanted, _columns(pairs, wanted), strict=True))
        rows = columns | {"item": pairs["item"]}
        rates = self.shares.purchase_rate(rows)
        layers = (*self.rates.logits(rows), np.log(rates.shape) - np.log(rates.rate))
        return summaries(columns, self.above, layers)


class BoostedHazard(WeeklyHazard):
    """`WeeklyHazard`, its logits averaged with those of boosted trees on the same summaries and the week.

    About fifty times slower to answer. The trees see interactions, the curve does not stray where
    trees have seen little; together they are better than either.
    """

    def fit(self, pairs: pd.DataFrame, waits: pd.DataFrame) -> Self:
        """Learn the curves and the trees; parameters as in `WeeklyHazard.fit`."""
        self.trees_: dict[str, HistGradientBoostingClassifier] = {}
        return super().fit(pairs, waits)

    def _learn(self, name: str, z: Floats, at_risk: Ints, bought: Ints) -> None:
        super()._learn(name, z, at_risk, bought)
        some = np.random.default_rng(0).permutation(len(z))[:_TREE_ROWS]
        row, week = hazard.person_weeks(at_risk[some])
        trees = HistGradientBoostingClassifier(
            max_iter=200,
            max_leaf_nodes=15,
            learning_rate=0.05,
            min_samples_leaf=200,
            early_stopping=False,
            random_state=0,
        )
        self.trees_[name] = trees.fit(np.column_stack([z[some][row], week]), bought[some][row] == week)

    def _logits(self, name: str, z: Floats, weeks: int) -> Floats:
        logits, (mean, sd) = super()._logits(name, z, weeks), self.scales_[name]
        scaled = (z - mean) / sd
        trees = [
            self.trees_[name].decision_function(np.column_stack([scaled, np.full(len(z), week)]))
            for week in range(1, weeks + 1)
        ]
        blend: Floats = (logits + np.column_stack(trees)) / 2
        return blend


def _chunks(pairs: pd.DataFrame) -> Iterator[tuple[slice, pd.DataFrame]]:
    """Parts of the table that fit a processor's cache; their items are looked up once each."""
    for start in range(0, len(pairs), _CHUNK):
        rows = slice(start, start + _CHUNK)
        part = pairs.iloc[rows]
        yield rows, part.assign(item=part["item"].astype("category"))


def _strata(pairs: Any) -> Iterator[tuple[str, Ints]]:
    """Row numbers of the pairs bought on one or two days, and of the others."""
    regular = np.asarray(pairs["frequency"]) >= 2
    for name, members in (("new", ~regular), ("regular", regular)):
        if members.any():
            yield name, np.flatnonzero(members)


def _repeats(came: Floats, since: Floats) -> tuple[Floats, Floats]:
    """Faded trips after the first, and the days watched for them."""
    return np.maximum(came - np.exp(-since / 60), 0), trip.faded_days(since, 60.0)


def _items(pairs: Any) -> Any:
    if "item" not in pairs:
        raise ContractError(
            f"Columns not found: ['item']. The table has {list(pairs)}; make it with item_state(log, by=…)."
        )
    return pairs["item"]


def _some(items: Any) -> Any:
    if not len(items):
        raise ModelError("There is no customer × item pair to learn from.")
    return items


def _place(known: pd.Series[Any], item: Any) -> Ints:
    """Position of each item among the known ones; -1, the place of the pooled prior, where it is not."""
    if isinstance(getattr(item, "dtype", None), pd.CategoricalDtype):
        place: Ints = np.append(pd.Index(known).get_indexer(item.cat.categories), -1)[item.cat.codes]
        return place
    return np.asarray(pd.Index(known).get_indexer(pd.Index(item)))


def _columns(pairs: Any, names: tuple[str, ...]) -> list[Floats]:
    missing = [name for name in names if name not in pairs]
    if missing:
        raise ContractError(
            f"Columns not found: {missing}. The table has {list(pairs)}; make it with item_state(log, by=…)."
        )
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


def _sigmoid(log_odds: Floats) -> Floats:
    p: Floats = np.exp(-np.logaddexp(0, -log_odds))
    return p


def _series(values: Floats, pairs: Any, name: str) -> pd.Series[float]:
    return pd.Series(values, index=pairs.index if isinstance(pairs, pd.DataFrame) else None, name=name)
