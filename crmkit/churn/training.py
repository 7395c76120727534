"""The training table of past days, and the further terms of a churn model."""

from __future__ import annotations

import warnings
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from crmkit._types import Floats
from crmkit.churn._logistic_math import log_odds
from crmkit.churn.estimators import ChurnLogistic
from crmkit.churn.features import customer_features, date_terms
from crmkit.exceptions import CrmkitWarning
from crmkit.ingest.tables import ServiceRecords
from crmkit.models.bgnbd import BGNBD
from crmkit.models.mbgnbd import MBGNBD
from crmkit.models.pareto_nbd import ParetoNBD
from crmkit.summaries.service import service_signals
from crmkit.summaries.snapshots import Snapshots

__all__ = ["BTYD", "SERVICE_TERMS", "Panel", "fitted_btyd", "further_terms", "service_effects", "signals"]


BTYD = {"BG/NBD": BGNBD, "MBG/NBD": MBGNBD, "Pareto/NBD": ParetoNBD}
STEP, DEPTH, WARM_UP, YEAR = 14, 9, 28, 364
SERVICE_TERMS = ("open_complaints", "recovered", "satisfaction")


class Panel:
    """Tables of features and labels at past days, each made once."""

    def __init__(self, shop: Snapshots, top: int, horizon: int, service: ServiceRecords | None) -> None:
        self.shop, self.top, self.horizon, self.service = shop, top, horizon, service
        self.first = shop.log.first_day() or top
        self.newest = top - horizon
        self.season = self.first + WARM_UP <= self.newest - YEAR
        self._states: dict[int, pd.DataFrame] = {}
        self._tables: dict[int, pd.DataFrame] = {}
        self.features: list[str] = []

    def days(self, newest: int) -> list[int]:
        """Past days to learn from, none after ``newest``; over a whole year where the log is long enough."""
        steps = [newest - STEP * k for k in range(DEPTH)]
        if self.season:
            steps += [newest - 28 * k for k in range(YEAR // 28 + 1)] + [self.top - YEAR]
        return sorted({day for day in steps if self.first + WARM_UP <= day <= newest})

    def date(self, day: int) -> date:
        return self.shop.date(day)

    def state(self, day: int) -> pd.DataFrame:
        """What was known, whether nothing was bought in the horizon (label), and who came for less than half (fell)."""
        if day not in self._states:
            state = self.shop.state(day)
            after = state[["customer_id"]].merge(self.shop.after(day, self.horizon), how="left", on="customer_id")
            before = self.shop.window(day - self.horizon, day)
            before = state[["customer_id"]].merge(before, how="left", on="customer_id").fillna(0)
            state["label"] = (after["purchases"].fillna(0) == 0).to_numpy(dtype=np.float64)
            less = [after[name].fillna(0) < before[name] / 2 for name in ("spend", "n_categories")]
            came = (before["purchases"] > 0) & (state["label"] == 0)
            state["fell"] = np.where(came, less[0] | less[1], np.nan)
            self._states[day] = state
        return self._states[day]

    def silent(self, day: int, btyd: str) -> Floats | None:
        """P(no purchase) of a buy-till-you-die model fitted at the day itself; None where only its prior identifies it."""
        model = fitted_btyd(btyd, self.state(day))
        if model is None:
            return None
        return np.asarray(model.probability_no_purchase(self.state(day), self.horizon), dtype=np.float64)

    def table(self, day: int) -> pd.DataFrame:
        """Features, with customer_id, label, fell, day and what a buy-till-you-die model needs."""
        if day not in self._tables:
            state = self.state(day)
            silent = log_odds(self.silent(day, "BG/NBD"))  # type: ignore[arg-type]  # BG/NBD always answers
            more = further_terms(state, self.date(day), self.horizon, self.season, self.service)
            features = customer_features(state, self.horizon, silent, more)
            self.features = list(features.columns)
            kept = state[["customer_id", "frequency", "recency", "T", "label", "fell"]]
            self._tables[day] = pd.concat([kept, features], axis=1).assign(day=day)
        return self._tables[day]


def fitted_btyd(btyd: str, state: pd.DataFrame) -> Any:
    """A buy-till-you-die model fitted without warnings; None for a rival of BG/NBD that only its prior identifies."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrmkitWarning)
        model = BTYD[btyd]().fit(state)
    return model if btyd == "BG/NBD" or not model.prior_used_ else None


def further_terms(
    state: pd.DataFrame, as_of: date, horizon: int, season: bool, service: ServiceRecords | None
) -> dict[str, Any]:
    """Columns beside those of the visits: date terms where a year is known, signals where there are service records."""
    terms: dict[str, Any] = dict(date_terms((as_of - date(1970, 1, 1)).days, horizon)) if season else {}
    return terms | (signals(state, service, as_of) if service is not None else {})


def signals(state: pd.DataFrame, service: ServiceRecords, as_of: date) -> dict[str, Floats]:
    """Service signals of each row; 0 where a customer was never heard of."""
    known = state[["customer_id"]].merge(service_signals(service, as_of), how="left", on="customer_id").fillna(0)
    return {name: known[name].to_numpy(dtype=np.float64) for name in SERVICE_TERMS}


def service_effects(rows: pd.DataFrame, features: list[str]) -> pd.DataFrame:
    """What the service signals do to the log-odds, all else known; hardly held back, for the interval's sake."""
    model = ChurnLogistic(strength=1.0).fit(rows[features], rows["label"], groups=rows["customer_id"])
    effects = model.effects()
    return effects[effects["term"].isin(SERVICE_TERMS)].reset_index(drop=True)
