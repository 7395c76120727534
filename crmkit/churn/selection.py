"""How `ChurnModel` chooses: every candidate is scored at the newest origin whose outcome is known."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit

from crmkit._types import Floats
from crmkit.churn._logistic_math import log_odds, shift_to_rate
from crmkit.churn.estimators import BoostedTrees, ChurnClassifier, ChurnLogistic, LightGBMTrees
from crmkit.churn.training import BTYD, STEP, TrainingTable
from crmkit.evaluation import metrics
from crmkit.exceptions import CrmkitWarning

__all__ = ["BOOSTERS", "Choice", "choose", "fit_candidates", "fit_partial", "warn_of_leaks"]
BOOSTERS = {"scikit-learn": BoostedTrees, "lightgbm": LightGBMTrees}
MIDDLE, RARE = 500, 20
LEAK_AUC, LEAK_FEATURE = 0.97, 0.95


AVERAGE = "average of logistic and trees"


class Choice(NamedTuple):
    """What was chosen, and why.

    Attributes
    ----------
    name : str
    scores : DataFrame
        ``ChurnModel.choice_``.
    note : str
    fitted : ChurnClassifier or None
        The candidate, if it was fitted on all origins already.
    """

    name: str
    scores: pd.DataFrame
    note: str
    fitted: ChurnClassifier | None


class _Trained(NamedTuple):
    """Classifiers, their predictions at the newest origin, and whether customers were held out for these."""

    models: dict[str, ChurnClassifier]
    predictions: dict[str, Floats]
    held_out: bool


def fit_candidates(
    rows: pd.DataFrame, features: list[str], names: Collection[str], booster: str, intervals: bool = True
) -> dict[str, ChurnClassifier]:
    """The classifiers of these names, fitted on the rows of a training table; what they share is fitted once."""
    logistic = ChurnLogistic(intervals=intervals)
    estimators = (logistic, BOOSTERS[booster]()) if AVERAGE in names else (logistic,)
    whole = ChurnClassifier(estimators).fit(rows[features], rows["label"], groups=rows["customer_id"])
    models = {"logistic": whole.first(1, rows["label"]), AVERAGE: whole}
    return {name: models[name] for name in names}


def choose(past: TrainingTable, n_customers: int, booster: str) -> Choice:
    """The candidate to use, every candidate's scores at the newest origin, and a sentence.

    Without a whole year to learn from, a candidate is judged after its mean is moved to what happened: the base rate of one
    season says nothing of the next.
    """
    label = past.table(past.newest)["label"].to_numpy()
    btyd = {name: p for name in BTYD if (p := past.predicted(past.newest, name)) is not None}
    trained = _trained(past, n_customers, booster)
    scores = {name: _Score.of(label, p, moved=not past.season) for name, p in (btyd | trained.predictions).items()}
    best = "BG/NBD"
    for name in scores:
        gain, error = scores[best].gain(scores[name])
        best = name if name in BTYD and gain > error else best
    rows = [
        (name, *score.figures, float(score.losses.mean()), *scores[best].gain(score)) for name, score in scores.items()
    ]
    table = pd.DataFrame(rows, columns=["candidate", "log_loss", "auc", "ece", "judged_by", "gain", "standard_error"])
    better = table[table["candidate"].isin(trained.models) & (table["gain"] > table["standard_error"])]
    chosen = str(better.sort_values("gain")["candidate"].iloc[-1]) if len(better) else best
    table["chosen"] = table["candidate"] == chosen
    fitted = trained.models.get(chosen) if trained.held_out else None
    return Choice(chosen, table, _in_words(table, past, trained.held_out), fitted)


def _in_words(table: pd.DataFrame, past: TrainingTable, held_out: bool) -> str:
    """What was chosen, by the losses that it was chosen by, and why a lower one was not."""
    chosen = str(table.loc[table["chosen"], "candidate"].iloc[0])
    losses = ", ".join(f"{name} {loss:.4f}" for name, loss in zip(table["candidate"], table["judged_by"], strict=True))
    where = f"at {past.date(past.newest)}"
    if held_out:
        where = f"for held-out customers {where} (the log is too short for enough earlier origins)"
    level = "" if past.season else ", each mean moved to the observed one"
    low = str(table["candidate"].iloc[int(table["judged_by"].argmin())])
    why = "" if low == chosen else f" The gain of {low} is within a standard error."
    return f"{chosen}: log-loss {where}{level}: {losses}.{why}"


def _trained(past: TrainingTable, n_customers: int, booster: str) -> _Trained:
    """Classifiers fitted on origins whose outcome was known at the newest, and their predictions there.

    Where these are not half as many as there are to learn from now, they say little of the final fit: then customers are
    held out instead, at all origins.
    """
    test, days = past.table(past.newest), past.origins(past.newest)
    known = past.origins(past.newest - STEP * -(-past.horizon // STEP))
    held_out = 2 * len(known) < len(days)
    rows = past.rows(days if held_out else known)
    if not RARE <= rows["label"].sum() <= len(rows) - RARE:
        return _Trained({}, {}, held_out)
    names = ("logistic", AVERAGE) if n_customers >= MIDDLE else ("logistic",)
    models = fit_candidates(rows, past.features, names, booster, intervals=held_out)
    newest = (rows["day"] == past.newest).to_numpy()
    z = {
        name: m.held_out_[newest] if held_out else m.decision_function(test[past.features])
        for name, m in models.items()
    }
    return _Trained(models, {name: np.asarray(expit(of), dtype=np.float64) for name, of in z.items()}, held_out)


class _Score(NamedTuple):
    """How good predictions are: log-loss, AUC and ECE as they are, and every row's loss (at the mean that was observed)."""

    figures: tuple[float, float, float]
    losses: Floats

    @classmethod
    def of(cls, label: Floats, p: Floats, moved: bool) -> _Score:
        z = log_odds(p)
        shift = shift_to_rate(z, float(label.mean())) if moved else 0.0
        figures = metrics.log_loss(label, p), metrics.roc_auc(label, p), metrics.calibration_error(label, p)
        return cls(figures, metrics.row_losses(label, expit(z + shift)))

    def gain(self, other: _Score) -> tuple[float, float]:
        """How much less the other loses: mean of the paired differences, and its standard error."""
        gain = self.losses - other.losses
        return float(gain.mean()), float(gain.std() / np.sqrt(max(len(gain) - 1, 1)))


def warn_of_leaks(choice: pd.DataFrame, test: pd.DataFrame) -> None:
    """Warn when the newest origin was predicted implausibly well."""
    label = test["label"].to_numpy()
    drop = ["customer_id", "label", "fell", "day", "frequency", "recency", "T", "btyd_log_odds"]
    alone = {name: metrics.roc_auc(label, column) for name, column in test.drop(columns=drop).items()}
    leaks = {name: max(auc, 1 - auc) for name, auc in alone.items() if max(auc, 1 - auc) > LEAK_FEATURE}
    best = choice["auc"].max()
    if leaks or best > LEAK_AUC:
        what = ", ".join(f"{name} {auc:.3f}" for name, auc in leaks.items()) or f"the model {best:.3f}"
        warnings.warn(
            f"ChurnModel: AUC of {what} is implausibly high, which suggests target leakage. Check that returns and account "
            "closures carry the date they were recorded.",
            CrmkitWarning,
            stacklevel=4,
        )


def fit_partial(rows: pd.DataFrame, features: list[str]) -> ChurnLogistic | None:
    """P(less than half of before), of those who came."""
    came = rows[rows["fell"].notna()]
    if not RARE <= came["fell"].sum() <= len(came) - RARE:
        return None
    return ChurnLogistic(anchor=None).fit(came[features], came["fell"], groups=came["customer_id"])
