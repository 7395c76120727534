"""The weekly hazard of the next purchase, logistic or boosted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.utils.validation import check_is_fitted

from crmkit._types import Floats, Ints
from crmkit.repurchase import _hazard_math as hazard
from crmkit.repurchase._trip_share_math import GammaRate, weeks_longer
from crmkit.repurchase.features import LAYERS, names, needs, summaries, themes
from crmkit.repurchase.rates import PairRates, RepurchaseRate, Waiting, feature_matrix, series
from crmkit.repurchase.trip_share import TripShare

__all__ = ["BoostedHazard", "WeeklyHazard"]

_CHUNK = 8_192
_TREE_ROWS = 120_000
_EVENTS = 200
_RATES, _OF_RATES = ("log rate", "log rate of trips × share"), 0.2


@dataclass(frozen=True)
class _Known:
    """Some pairs: one row each in ``z``, one column per summary; what ``rates`` and ``shares`` say of them."""

    frequency: Floats
    z: Floats
    rates: PairRates
    trips: GammaRate

    def closed_form(self, rows: Ints, weeks: int) -> Floats:
        """`WeeklyHazard.closed_form` of some of them."""
        trips = GammaRate(*(values[rows] for values in self.trips))
        both: Floats = np.sqrt(self.rates.of(rows).weekly_survival(weeks) * weeks_longer(trips, weeks))
        return both


class WeeklyHazard(Waiting):
    """P(bought in week w | not before), a logistic curve on what is known of the pair, its member and its item.

    Its logits are averaged, four to one, with those of a curve on the rates of the two closed forms alone: a member's list
    is then ranked better, for hardly any of the likelihood.

    Learned from rows as they were known at origins, with the days to the next purchase; pairs bought on one or two days
    have coefficients of their own. Where origins show fewer than 200 purchases, the answer is the `closed_form`.

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
            From `summaries.items.item_state` at origins.
        waits : DataFrame
            ``wait``: days from there to the next purchase, missing where there was none; ``follow``: days watched.
        """
        wait = np.nan_to_num(np.asarray(waits["wait"], dtype=np.float64), nan=np.inf)
        follow = np.asarray(waits["follow"], dtype=np.float64)
        at_risk, bought = hazard.weeks_at_risk(wait, follow)
        self.curves_: dict[str, hazard.HazardCurve] = {}
        self.scales_: dict[str, tuple[Floats, Floats]] = {}
        self.n_weeks_: dict[str, int] = {}
        for name, rows in _strata(pairs["frequency"]):
            rows = rows[at_risk[rows] > 0]
            if (bought[rows] > 0).sum() < _EVENTS:
                continue
            z = self._all_summaries(pairs, rows)
            mean, sd = z.mean(axis=0), np.maximum(z.std(axis=0), 1e-6)
            z -= mean
            z /= sd
            self.scales_[name] = mean, sd
            self._learn(name, z, at_risk[rows], bought[rows])
            self.n_weeks_[name] = int(at_risk[rows].sum())
        return self

    def _all_summaries(self, pairs: pd.DataFrame, rows: Ints) -> Floats:
        z = np.empty((len(names(self.above)), len(rows))).T
        for part, known in self._known(pairs.iloc[rows]):
            z[part] = known.z
        return z

    def _learn(self, name: str, z: Floats, at_risk: Ints, bought: Ints) -> None:
        rates = [z.shape[1] - len(LAYERS) + LAYERS.index(layer) for layer in _RATES]
        whole, few = (hazard.fit_weekly_hazard(table, at_risk, bought) for table in (z, z[:, rates]))
        self.curves_[name] = whole.drawn_to(few, rates, _OF_RATES)

    def weekly_survival(self, pairs: pd.DataFrame, weeks: int = hazard.WEEKS) -> Floats:
        """P(no purchase by the end of week 0, 1, …), shape (n, weeks + 1)."""
        survival = np.empty((len(pairs), weeks + 1))
        for rows, part, _ in self.curves(pairs, weeks):
            survival[rows] = part
        return survival

    def curves(self, pairs: pd.DataFrame, weeks: int = hazard.WEEKS) -> Iterator[tuple[slice, Floats, Floats]]:
        """Rows at a time that fit a processor's cache: which they are, `weekly_survival`, and of what is not bought by the last
        week the part that ``rates`` lays on having stopped and not on waiting longer.
        """
        check_is_fitted(self, "curves_")
        for rows, known in self._known(pairs):
            longer = known.rates.survival(7.0 * hazard.WEEKS)
            stopped = np.clip(known.rates.p_stopped / np.maximum(longer, 1e-300), 0, 1)
            yield rows, self._survival(known, weeks), stopped

    def _survival(self, known: _Known, weeks: int) -> Floats:
        survival = np.empty((len(known.z), weeks + 1))
        for name, rows in _strata(known.frequency):
            survival[rows] = (
                hazard.week_survival(self._logits(name, known.z[rows], weeks))
                if name in self.curves_
                else known.closed_form(rows, weeks)
            )
        return survival

    def _logits(self, name: str, z: Floats, weeks: int) -> Floats:
        return self.curves_[name].rescaled(*self.scales_[name]).logits(z, weeks)

    def closed_form(self, pairs: pd.DataFrame, weeks: int = hazard.WEEKS) -> Floats:
        """P(no purchase by the end of week 0, 1, …) without origins to learn from: the geometric mean of the answers of ``rates`` and
        ``shares``, whose hazards are so averaged; better than either.
        """
        both = self.rates.weekly_survival(pairs, weeks) * self.shares.weekly_survival(pairs, weeks)
        mean: Floats = np.sqrt(both)
        return mean

    def probability_stopped(self, pairs: pd.DataFrame) -> pd.Series[float]:
        """P(the customer has stopped buying the item): P(no purchase within 84 days), times the part of it that ``rates``
        lays on having stopped and not on waiting longer.
        """
        gone = np.empty(len(pairs))
        for rows, survival, stopped in self.curves(pairs):
            gone[rows] = survival[:, -1] * stopped
        return series(gone, pairs, "p_stopped")

    def contributions(self, pairs: pd.DataFrame) -> pd.DataFrame:
        """What moves the first pair's logit in the first week away from that of the average pair, the largest first.

        Returns
        -------
        DataFrame
            summary (a theme: the sum over the summaries of it), contribution (logits); empty where nothing could be learned
            of such pairs.
        """
        check_is_fitted(self, "curves_")
        name, _ = next(_strata(pairs["frequency"].iloc[:1]))
        if name not in self.curves_:
            return pd.DataFrame({"summary": [], "contribution": []})
        mean, sd = self.scales_[name]
        _, known = next(self._known(pairs.iloc[:1]))
        moved = (known.z[0] - mean) / sd * self.curves_[name].level
        table = pd.DataFrame({"summary": themes(self.above), "contribution": moved})
        table = table.groupby("summary", as_index=False, sort=False).sum()
        return table.sort_values("contribution", key=np.abs, ascending=False, ignore_index=True)

    def _known(self, pairs: pd.DataFrame) -> Iterator[tuple[slice, _Known]]:
        """What is known of parts of the table that fit a processor's cache; its columns are checked and its items looked up once."""
        wanted, item = needs(self.above), pairs["item"].astype("category")
        columns = dict(zip(wanted, feature_matrix(pairs, wanted), strict=True))
        priors = self.rates.place(item), self.shares.place(item)
        for start in range(0, len(pairs), _CHUNK):
            rows = slice(start, start + _CHUNK)
            part = {name: values[rows] for name, values in columns.items()}
            yield rows, self._known_of(part, *(place[rows] for place in priors))

    def _known_of(self, columns: Mapping[str, Floats], of_rates: Ints, of_shares: Ints) -> _Known:
        rates = self.rates.rates_at(of_rates, columns["frequency"], columns["recency"], columns["T"])
        trips = self.shares.purchase_rate_at(of_shares, columns)
        layers = (*rates.logits, np.log(trips.shape) - np.log(trips.rate))
        return _Known(columns["frequency"], summaries(columns, self.above, layers), rates, trips)


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


def _strata(frequency: pd.Series[int] | Floats) -> Iterator[tuple[str, Ints]]:
    """Row numbers of the pairs bought on one or two days, and of the others."""
    regular = np.asarray(frequency) >= 2
    for name, members in (("new", ~regular), ("regular", regular)):
        if members.any():
            yield name, np.flatnonzero(members)
