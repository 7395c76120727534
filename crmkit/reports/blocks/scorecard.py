"""The track record of what was published."""

from __future__ import annotations

import pandas as pd

from crmkit.evaluation.displays import TrackRecordDisplay
from crmkit.evaluation.scorecard import told
from crmkit.reports.block import Block, Table

__all__ = ["scorecard"]

_SHOWN = [
    "question",
    "day",
    "horizon",
    "n",
    "expected",
    "observed",
    "coverage",
    "called",
    "came_true",
    "measure",
    "score",
    "baseline_score",
]


def scorecard(record: pd.DataFrame, *, currency: str = "") -> Block:
    """What earlier runs predicted, and what came true; from ``track_record``."""
    newest = record.groupby("question", sort=False).tail(1)
    better = int((newest["score"] < newest["baseline_score"]).sum())
    return Block(
        "Track record",
        f"{better} of {len(newest)} kinds of predictions beat their baseline, on the newest days whose outcome is known",
        "What earlier runs published is scored when its horizon is over; nothing is refitted. "
        "The figure shows each score in parts of the baseline's: below 1 is better.",
        TrackRecordDisplay(record[["question", "day", "score", "baseline_score"]]),
        Table(newest[_SHOWN]),
        (Table(record[_SHOWN], f"All {len(record)} days"),) if len(record) > len(newest) else (),
        notes=tuple(told(record)),
    )
