"""Figures of how far a model can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from crmkit.displays import BLUE, GREEN, GREY, ORANGE, PALE, Display, legend
from crmkit.evaluation.metrics.probabilities import reliability_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["FrequencyDisplay", "ReliabilityDisplay", "TrackRecordDisplay"]

_FEW = 6


class ReliabilityDisplay(Display):
    """Predicted probability against what happened; table: model, mean_predicted, observed_rate, count."""

    title = "Predicted and actual share"

    def _draw(self, ax: Axes) -> None:
        ax.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":", label="perfect calibration")
        for (model, rows), colour in zip(self.table.groupby("model", sort=False), (BLUE, ORANGE, GREEN), strict=False):
            ax.plot(rows["mean_predicted"], rows["observed_rate"], "o-", color=colour, markersize=4, label=str(model))
        ax.set(xlabel="predicted probability", ylabel="observed share", xlim=(0, 1), ylim=(0, 1))
        legend(ax)


class FrequencyDisplay(Display):
    """Purchases in the holdout by purchases before it; table: frequency, customers, actual, and one column a model."""

    title = "Purchases after the split"

    def _draw(self, ax: Axes) -> None:
        place = np.arange(len(self.table))
        ax.bar(place, self.table["actual"], color=PALE, label="actual", width=0.7)
        models = [name for name in self.table.columns if name not in ("frequency", "customers", "actual")]
        for name, colour in zip(models, (BLUE, ORANGE, GREEN), strict=False):
            ax.plot(place, self.table[name], "o-", color=colour, markersize=4, label=name)
        ax.set_xticks(place, self.table["frequency"])
        ax.set(xlabel="repeat purchase days before the split", ylabel="mean purchases after it")
        legend(ax)


class TrackRecordDisplay(Display):
    """Scores of what was published, in parts of the baseline's; table: question, day, score, baseline_score."""

    title = "Scores of what was published"

    def _draw(self, ax: Axes) -> None:
        ax.axhline(1.0, color=GREY, linewidth=1, linestyle=":", label="baseline")
        for (question, rows), colour in zip(
            self.table.groupby("question", sort=False), (BLUE, ORANGE, GREEN), strict=False
        ):
            skill = rows["score"] / rows["baseline_score"]
            ax.plot(rows["day"], skill, "o-", color=colour, markersize=4, label=str(question))
        days = self.table["day"].drop_duplicates()
        if len(days) <= _FEW:
            ax.set_xticks(days, [f"{day:%d %b %Y}" for day in days])
        ax.set(ylabel="score / baseline's", ylim=(0, None))
        ax.tick_params(axis="x", labelrotation=30)
        legend(ax)


def reliability(tables: Mapping[str, Mapping[str, ArrayLike]]) -> ReliabilityDisplay:
    """One reliability curve a model, from ``scoring.reliability_table``."""
    rows = [pd.DataFrame(dict(table)).assign(model=model) for model, table in tables.items()]
    return ReliabilityDisplay(pd.concat(rows, ignore_index=True))


def reliability_of(answers: pd.DataFrame, y: str, models: list[str]) -> Display:
    """The reliability curves of several models' answers in one table; ``y`` is the column of what happened."""
    return reliability({name: reliability_table(answers[y], answers[name]) for name in models})
