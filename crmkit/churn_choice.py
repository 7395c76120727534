"""How `ChurnModel` chooses: tables of past days, and every candidate held against the newest of them."""

from __future__ import annotations

import warnings
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from crmkit import scoring
from crmkit.exceptions import CrmkitWarning
from crmkit.models._logistic_math import log_odds, shift_to_rate
from crmkit.models.bgnbd import BGNBD
from crmkit.models.churn_classifier import BoostedTrees, ChurnClassifier, ChurnLogistic, LightGBMTrees
from crmkit.models.mbgnbd import MBGNBD
from crmkit.models.pareto_nbd import ParetoNBD
from crmkit.panel import Snapshots, customer_features, date_terms
from crmkit.service import service_signals
from crmkit.tables import ServiceRecords

__all__ = [
    "BOOSTERS",
    "BTYD",
    "SERVICE_TERMS",
    "Panel",
    "candidates",
    "choose",
    "fitted_btyd",
    "further_terms",
    "row_losses",
    "service_effects",
    "signals",
    "warn_of_leaks",
]

Floats = NDArray[np.float64]

BTYD = {"BG/NBD": BGNBD, "MBG/NBD": MBGNBD, "Pareto/NBD": ParetoNBD}
BOOSTERS = {"scikit-learn": BoostedTrees, "lightgbm": LightGBMTrees}
STEP, DEPTH, WARM_UP, YEAR = 14, 9, 28, 364
MIDDLE, RARE = 500, 20
LEAK_AUC, LEAK_FEATURE = 0.97, 0.95
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


def candidates(booster: str) -> dict[str, ChurnClassifier]:
    return {
        "logistic": ChurnClassifier((ChurnLogistic(),)),
        "average of logistic and trees": ChurnClassifier((ChurnLogistic(), BOOSTERS[booster]())),
    }


def choose(panel: Panel, n_customers: int, booster: str) -> tuple[str, pd.DataFrame, str]:
    """The candidate to use, every candidate's score at the newest past day, and a sentence.

    Without a whole year to learn from, a candidate is judged once its mean is moved to what happened: the base rate of one
    season says nothing of the next.
    """
    label = panel.table(panel.newest)["label"].to_numpy()
    answers = {name: panel.silent(panel.newest, name) for name in BTYD}
    trained, where = _trained(panel, n_customers, booster)
    scores = {
        name: _Score.of(label, p, moved=not panel.season) for name, p in (answers | trained).items() if p is not None
    }
    best = "BG/NBD"
    for name in scores:
        gain, error = scores[best].gain(scores[name])
        best = name if name in BTYD and gain > error else best
    rows = [(name, *score.figures, *scores[best].gain(score)) for name, score in scores.items()]
    table = pd.DataFrame(rows, columns=["candidate", "log_loss", "auc", "ece", "gain", "standard_error"])
    better = table[table["candidate"].isin(trained) & (table["gain"] > table["standard_error"])]
    chosen = str(better.sort_values("gain")["candidate"].iloc[-1]) if len(better) else best
    table["chosen"] = table["candidate"] == chosen
    losses = ", ".join(f"{name} {loss:.4f}" for name, loss in zip(table["candidate"], table["log_loss"], strict=True))
    return chosen, table, f"{chosen}: log-loss {where}: {losses}."


def _trained(panel: Panel, n_customers: int, booster: str) -> tuple[dict[str, Floats | None], str]:
    """Answers at the newest past day of what was fitted on days whose outcome was known then, and in words on which.

    Where these are not half as many as there are to learn from now, what was fitted on them says little of what will be: then
    the answers are for customers held out, on all past days.
    """
    test, days = panel.table(panel.newest), panel.days(panel.newest)
    known = panel.days(panel.newest - STEP * -(-panel.horizon // STEP))
    held_out = 2 * len(known) < len(days)
    rows = pd.concat([panel.table(day) for day in (days if held_out else known)], ignore_index=True)
    answers: dict[str, Floats | None] = {}
    if RARE <= rows["label"].sum() <= len(rows) - RARE:
        for name, unfitted in candidates(booster).items():
            if name == "logistic" or n_customers >= MIDDLE:
                model = unfitted.fit(rows[panel.features], rows["label"], groups=rows["customer_id"])
                newest = (rows["day"] == panel.newest).to_numpy()
                unseen = model.held_out_[newest] if held_out else model.decision_function(test[panel.features])
                answers[name] = np.asarray(expit(unseen), dtype=np.float64)
    if held_out:
        return (
            answers,
            f"of customers held out at {panel.date(panel.newest)} (the log is too short for enough earlier days)",
        )
    return answers, f"at {panel.date(panel.newest)}"


class _Score(NamedTuple):
    """How good answers are: log-loss, AUC and ECE as they are, and every row's loss (at the mean that was observed)."""

    figures: tuple[float, float, float]
    losses: Floats

    @classmethod
    def of(cls, label: Floats, p: Floats, moved: bool) -> _Score:
        z = log_odds(p)
        shift = shift_to_rate(z, float(label.mean())) if moved else 0.0
        figures = scoring.log_loss(label, p), scoring.roc_auc(label, p), scoring.calibration_error(label, p)
        return cls(figures, row_losses(label, expit(z + shift)))

    def gain(self, other: _Score) -> tuple[float, float]:
        """How much less the other loses: mean of the paired differences, and its standard error."""
        gain = self.losses - other.losses
        return float(gain.mean()), float(gain.std() / np.sqrt(max(len(gain) - 1, 1)))


def row_losses(label: Floats, p: Any) -> Floats:
    """Log-loss of each row."""
    kept = np.clip(np.asarray(p, dtype=np.float64), scoring.EPS, 1 - scoring.EPS)
    return -(label * np.log(kept) + (1 - label) * np.log1p(-kept))


def warn_of_leaks(choice: pd.DataFrame, test: pd.DataFrame) -> None:
    """Warn when a past day was predicted too well to be true."""
    label = test["label"].to_numpy()
    drop = ["customer_id", "label", "fell", "day", "frequency", "recency", "T", "btyd_log_odds"]
    alone = {name: scoring.roc_auc(label, column) for name, column in test.drop(columns=drop).items()}
    leaks = {name: max(auc, 1 - auc) for name, auc in alone.items() if max(auc, 1 - auc) > LEAK_FEATURE}
    best = choice["auc"].max()
    if leaks or best > LEAK_AUC:
        what = ", ".join(f"{name} {auc:.3f}" for name, auc in leaks.items()) or f"the model {best:.3f}"
        warnings.warn(
            f"ChurnModel: AUC of {what} at a past day is too good to be true; the outcome may be in what was known. "
            "See that returns, closed accounts and the like bear the day on which they were recorded.",
            CrmkitWarning,
            stacklevel=4,
        )
