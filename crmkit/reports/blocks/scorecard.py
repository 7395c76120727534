"""The track record of what was published."""

from __future__ import annotations

from typing import Any

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
        verdict=" ".join(_briefly(newest)),
        judged=f"What earlier runs predicted: {better} of {len(newest)} kinds came nearer to the truth than the simple rule.",
    )


def _briefly(newest: pd.DataFrame) -> list[str]:
    """Expected and observed of each kind, for the head of the report."""
    found, rows = [], newest.itertuples()
    row: Any
    for row in rows:
        called = "" if pd.isna(row.called) else f"; of {row.called:,} called likely {row.came_true:,} came true"
        better = "better than" if row.score < row.baseline_score else "no better than"
        found.append(
            f"{row.question}, published for {row.day:%d %b %Y}: {row.expected:,.0f} expected, {row.observed:,.0f} came{called}; "
            f"{better} the simple rule."
        )
    return found
