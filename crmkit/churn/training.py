"""The training table: features and outcomes of customers at past origins; `features_at` assembles those of serving too."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import date
from functools import partial
from typing import Any, Literal, overload

import numpy as np
import pandas as pd

from crmkit._days import day_number
from crmkit._types import Floats
from crmkit.churn._logistic_math import log_odds
from crmkit.churn.estimators import ChurnLogistic
from crmkit.churn.features import customer_features, date_terms
from crmkit.engine.frames import to_pandas
from crmkit.exceptions import CrmkitWarning
from crmkit.ingest.tables import ServiceRecords
from crmkit.models.bgnbd import BGNBD
from crmkit.models.mbgnbd import MBGNBD
from crmkit.models.pareto_nbd import ParetoNBD
from crmkit.models.purchase_model import PurchaseModel
from crmkit.models.scoring import fit_customers
from crmkit.summaries.service import service_signals
from crmkit.summaries.snapshots import STATE, CustomerHistory, Snapshots

__all__ = [
    "BTYD",
    "SERVICE_TERMS",
    "TrainingTable",
    "features_at",
    "fitted_btyd",
    "service_effects",
    "signals",
    "too_small",
]


BTYD: dict[str, type[PurchaseModel]] = {model.label: model for model in (BGNBD, MBGNBD, ParetoNBD)}
STEP, DEPTH, WARM_UP, YEAR = 14, 9, 28, 364
SMALL = 200
SERVICE_TERMS = ("open_complaints", "recovered", "satisfaction")


def features_at(
    state: pd.DataFrame,
    as_of: date,
    horizon: int,
    purchases: PurchaseModel,
    *,
    season: bool = False,
    service: ServiceRecords | None = None,
) -> pd.DataFrame:
    """The features that a churn classifier reads, for training and for serving alike.

    Parameters
    ----------
    state : DataFrame
        From ``snapshots(log).state(as_of)``.
    as_of : date
        The day of the state.
    horizon : int
        Days ahead.
    purchases : BGNBD
        Fitted to what was known at that day (training), or at the day of the fit (serving).
    season : bool
        Add date terms.
    service : ServiceRecords, optional
        Add service signals.
    """
    p = np.asarray(purchases.probability_no_purchase(state, horizon), dtype=np.float64)
    more: dict[str, Any] = dict(date_terms(day_number(as_of), horizon)) if season else {}
    more |= signals(state, service, as_of) if service is not None else {}
    return customer_features(state, horizon, log_odds(p), more)


class TrainingTable:
    """Features and outcomes at past origins, each origin made once.

    Parameters
    ----------
    shop : Snapshots
    top : int
        Day number of the fit: no outcome after it is looked at.
    horizon : int
        Days ahead.
    service : ServiceRecords, optional

    Attributes
    ----------
    newest : int
        The newest origin whose outcome is known at ``top``.
    season : bool
        Whether a whole year of origins is there to learn date terms from.
    features : list of str
        Columns of the features, once an origin's table has been made.
    """

    def __init__(self, shop: Snapshots, top: int, horizon: int, service: ServiceRecords | None) -> None:
        self.shop, self.top, self.horizon, self.service = shop, top, horizon, service
        self.first = shop.log.first_day() or top
        self.newest = top - horizon
        self.season = self.first + WARM_UP <= self.newest - YEAR
        self._states: dict[int, pd.DataFrame] = {}
        self._tables: dict[int, pd.DataFrame] = {}
        self.features: list[str] = []

    def origins(self, newest: int) -> list[int]:
        """Past origins to learn from, none after ``newest``; over a whole year where the log is long enough."""
        steps = [newest - STEP * k for k in range(DEPTH)]
        if self.season:
            steps += [newest - 28 * k for k in range(YEAR // 28 + 1)] + [self.top - YEAR]
        return sorted({day for day in steps if self.first + WARM_UP <= day <= newest})

    def date(self, day: int) -> date:
        return self.shop.date(day)

    def state(self, day: int) -> pd.DataFrame:
        """What was known, whether nothing was bought in the horizon (label), and who came but for less than half (fell)."""
        if day not in self._states:
            origins = self.origins(self.newest)
            days = origins if day in origins else [day]
            self.shop.observed(max(days), self.horizon)
            asked = partial(_origins, days=days, horizon=self.horizon)
            found = to_pandas(self.shop.ask(asked, f"{STATE}, label double, fell double, day bigint"))
            for origin in days:
                rows = found[found["day"] == origin]
                self._states[origin] = rows.drop(columns="day").reset_index(drop=True)
        return self._states[day]

    def predicted(self, day: int, btyd: str) -> Floats | None:
        """P(no purchase) by a buy-till-you-die model fitted at the origin itself; None where only its prior identifies it."""
        model = fitted_btyd(btyd, self.state(day))
        if model is None:
            return None
        return np.asarray(model.probability_no_purchase(self.state(day), self.horizon), dtype=np.float64)

    def rows(self, days: Sequence[int]) -> pd.DataFrame:
        """The tables of several origins below one another."""
        return pd.concat([self.table(day) for day in days], ignore_index=True)

    def table(self, day: int) -> pd.DataFrame:
        """Features, with customer_id, label, fell, day and what a buy-till-you-die model needs."""
        if day not in self._tables:
            state = self.state(day)
            features = features_at(
                state,
                self.date(day),
                self.horizon,
                fitted_btyd("BG/NBD", state),
                season=self.season,
                service=self.service,
            )
            self.features = list(features.columns)
            kept = state[["customer_id", "frequency", "recency", "T", "label", "fell"]]
            self._tables[day] = pd.concat([kept, features], axis=1).assign(day=day)
        return self._tables[day]


def _origins(history: CustomerHistory, days: Sequence[int], horizon: int) -> pd.DataFrame:
    """States at several origins below one another, with what happened after each."""
    parts = []
    for day in days:
        who = history.known(day)
        after, before = (history.window(end - horizon, end).iloc[who] for end in (day + horizon, day))
        label = after["purchases"] == 0
        less = (after["spend"] < before["spend"] / 2) | (after["n_categories"] < before["n_categories"] / 2)
        fell = np.where((before["purchases"] > 0) & ~label, less, np.nan)
        parts.append(history.state(day).assign(label=label.to_numpy(dtype=np.float64), fell=fell, day=day))
    return pd.concat(parts, ignore_index=True)


@overload
def fitted_btyd(btyd: Literal["BG/NBD"], state: pd.DataFrame) -> PurchaseModel: ...
@overload
def fitted_btyd(btyd: str, state: pd.DataFrame) -> PurchaseModel | None: ...
def fitted_btyd(btyd: str, state: pd.DataFrame) -> PurchaseModel | None:
    """A buy-till-you-die model fitted without warnings; None for a rival of BG/NBD that only its prior identifies."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrmkitWarning)
        model = fit_customers(BTYD[btyd](), state)
    return model if btyd == "BG/NBD" or not model.prior_used_ else None


def signals(state: pd.DataFrame, service: ServiceRecords, as_of: date) -> dict[str, Floats]:
    """Service signals of each row; 0 where nothing was recorded of a customer."""
    known = state[["customer_id"]].merge(service_signals(service, as_of), how="left", on="customer_id").fillna(0)
    return {name: known[name].to_numpy(dtype=np.float64) for name in SERVICE_TERMS}


def service_effects(rows: pd.DataFrame, features: list[str]) -> pd.DataFrame:
    """Effect of the service signals on the log-odds, all else equal; hardly shrunk, so that the intervals hold."""
    model = ChurnLogistic(strength=1.0).fit(rows[features], rows["label"], groups=rows["customer_id"])
    effects = model.effects()
    return effects[effects["term"].isin(SERVICE_TERMS)].reset_index(drop=True)


def too_small(n: int, shop: Snapshots, top: int, horizon: int) -> str:
    """Reason for falling back to the buy-till-you-die model, or an empty string."""
    if n < SMALL:
        return f"{n:,} customers are too few for a regression (at least {SMALL} are needed)"
    days = top - (shop.log.first_day() or top)
    if days < horizon + WARM_UP:
        return (
            f"{days} days of history are too few for an origin with {WARM_UP} days before and {horizon} days after it"
        )
    return ""
