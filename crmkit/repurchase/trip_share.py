"""A share of the household's trips, per item."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from crmkit._types import Floats, Ints
from crmkit.repurchase import _hazard_math as hazard
from crmkit.repurchase import _trip_share_math as trip
from crmkit.repurchase.rates import Waiting, feature_matrix, item_codes, items_of, place_in

if TYPE_CHECKING:
    from crmkit._types import Table

__all__ = ["TripShare"]
_TRIPS = ("T", "decayed_250", "visits_decayed_since_first", "visits_decayed_60", "visit_T", "n_items")


class TripShare(Waiting):
    """A member's trips, at a gamma-distributed rate, times the share of trips on which the item is bought, beta-distributed.

    Past trips are decayed, with a time constant of 60 days for how often the member comes and of 250 days for what is
    bought then, so that both forget. Reads the columns ``item``, ``T``, ``decayed_250``, ``visits_decayed_since_first``,
    ``visits_decayed_60``, ``visit_T`` and ``n_items`` of `summaries.items.item_state`.

    Attributes
    ----------
    trips_ : dict
        shape and rate (days) of the members' trips a day.
    priors_ : DataFrame
        item, a, b, n_pairs: the beta distribution of the share of trips.
    pooled_ : dict
        a and b over all items.
    """

    def fit(self, pairs: Table, y: object = None) -> Self:
        """Fit the priors, by likelihood; those of an item are shrunk to those of all."""
        codes, items = items_of(pairs)
        T, decayed, trips, came, since, n_items = feature_matrix(pairs, _TRIPS)
        start, length = trip.runs(came, since, n_items)
        shape, rate = trip.fit_gamma_counts(
            *_repeats(came[start], since[start]), length / np.maximum(n_items[start], 1)
        )
        self.trips_ = {"shape": shape, "rate": rate}
        bought = np.maximum(decayed - np.exp(-T / 250), 0)
        whole = trip.fit_beta_shares(np.zeros_like(codes), bought, trips, 1, (0.0, 2.0))
        centre = (float(whole[0][0]), float(whole[1][0]))
        log_a, log_b = trip.fit_beta_shares(codes, bought, trips, len(items), centre)
        n_pairs = np.bincount(codes, minlength=len(items))
        self.priors_ = pd.DataFrame({"item": items, "a": np.exp(log_a), "b": np.exp(log_b), "n_pairs": n_pairs})
        self.pooled_ = dict(zip("ab", np.exp(centre).tolist(), strict=True))
        self.n_features_in_ = 1 + len(_TRIPS)
        return self

    def purchase_rate(self, pairs: Table) -> trip.GammaRate:
        """The pair's purchases a day, as a gamma distribution."""
        return self.purchase_rate_at(
            self.place(item_codes(pairs)), dict(zip(_TRIPS, feature_matrix(pairs, _TRIPS), strict=True))
        )

    def place(self, item: Any) -> Ints:
        """Where each item's prior is; that of all items is the last."""
        check_is_fitted(self, "priors_")
        return place_in(self.priors_["item"], item)

    def purchase_rate_at(self, place: Ints, columns: Mapping[str, Floats]) -> trip.GammaRate:
        """`purchase_rate` from arrays."""
        a, b = (np.append(self.priors_[name].to_numpy(), self.pooled_[name])[place] for name in "ab")
        T, decayed, trips, came, since, _ = (columns[name] for name in _TRIPS)
        start, length = trip.runs(came, since)
        repeats, watched = (np.repeat(values, length) for values in _repeats(came[start], since[start]))
        members = trip.GammaRate(self.trips_["shape"] + repeats, self.trips_["rate"] + watched)
        bought = np.clip(decayed - np.exp(-T / 250), 0, trips)
        return trip.purchase_rate(members, a + bought, b + trips - bought)

    def weekly_survival(self, pairs: Table, weeks: int = hazard.WEEKS) -> Floats:
        """P(no purchase by the end of week 0, 1, …), shape (n, weeks + 1)."""
        return trip.weeks_longer(self.purchase_rate(pairs), weeks)


def _repeats(came: Floats, since: Floats) -> tuple[Floats, Floats]:
    """Decayed trips after the first, and the days watched for them."""
    return np.maximum(came - np.exp(-since / 60), 0), trip.decayed_days(since, 60.0)
