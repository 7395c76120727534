"""What earlier nights published, scored when its horizon is over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd

from crmkit.evaluation.scorecard import Record, churn_record, drift, repurchase_record, track_record, value_record
from crmkit.exceptions import CrmkitError, RefusedError
from crmkit.pipeline.history import Published
from crmkit.pipeline.notes import note
from crmkit.pipeline.stage import stage
from crmkit.reports.blocks.scorecard import scorecard as scorecard_block
from crmkit.transactions.log import Transactions

if TYPE_CHECKING:
    from crmkit.pipeline.settings import Scorecard

QUESTIONS = {"churn_drift": "Churn", "repurchase_drift": "Next purchase", "value_drift": "Lifetime value"}


@stage("scorecard", *QUESTIONS, "scorecard_block")
def scorecard(
    log: Transactions,
    earlier_runs: Sequence[Published],
    previous_scorecard: pd.DataFrame | None = None,
    *,
    scorecard: Scorecard,
) -> dict[str, object]:
    """The track record of each model, and since when one answers worse than it did."""
    known = set[tuple[str, Any]]()
    if previous_scorecard is not None:
        known = set(zip(previous_scorecard["question"], previous_scorecard["day"].dt.date, strict=True))
    records = []
    for question, record, horizon in _RECORDS:
        for run in due(earlier_runs, log, horizon):
            if (question, run.day) not in known:
                records += _scored(run, log, record)
    table = track_record(records, previous_scorecard)
    found = {name: drift(table, question, scorecard.warn) for name, question in QUESTIONS.items()}
    for name, one in found.items():
        _tell(QUESTIONS[name], one["by"], scorecard)
    block = scorecard_block(table) if len(table) else None
    return {
        "scorecard": table,
        "scorecard_block": block,
        **{name: {"since": one["since"]} for name, one in found.items()},
    }


def due(runs: Sequence[Published], log: Transactions, horizon: Callable[[Published], int]) -> list[Published]:
    """Runs whose horizon is over at the close of the log."""
    return [run for run in runs if run.day + timedelta(days=horizon(run)) <= log.until]


def _scored(
    run: Published, log: Transactions, record: Callable[[Published, Transactions], Record | None]
) -> list[Record]:
    try:
        found = record(run, log)
    except CrmkitError as error:
        note(f"What was published for {run.day} could not be scored: {error}")
        return []
    return [found | {"run": run.run}] if found else []


def _churn(run: Published, log: Transactions) -> Record:
    return churn_record(run.file("customers"), log, run.day, horizon_of(run, "churn"))


def _repurchase(run: Published, log: Transactions) -> Record | None:
    item = run.manifest.get("repurchased", {}).get("item")
    if item not in log.items:
        return None
    return repurchase_record(run.file("repurchases"), log, run.day, horizon_of(run, "repurchase"), item)


def _value(run: Published, log: Transactions) -> Record:
    stated = run.manifest["settings"]["value"]
    terms, total = (stated["annual_discount"], stated["margin"]), run.manifest.get("value_total")
    interval = (total["low"], total["high"]) if total else None
    return value_record(run.file("customers"), log, run.day, horizon_of(run, "value"), *terms, interval)


def horizon_of(run: Published, section: str) -> int:
    """Days ahead that a run answered for."""
    return int(run.manifest["settings"][section]["horizon"])


_RECORDS: list[tuple[str, Callable[..., Any], Callable[[Published], int]]] = [
    ("Churn", _churn, lambda run: horizon_of(run, "churn")),
    ("Next purchase", _repurchase, lambda run: horizon_of(run, "repurchase")),
    ("Lifetime value", _value, lambda run: horizon_of(run, "value")),
]


def _tell(question: str, by: float | None, scorecard: Scorecard) -> None:
    """A note where the answers are worse than they were; too much worse is refused."""
    if by is None:
        return
    told = f"{question}: the newest scores are {by:.0%} worse, relative to the baseline, than before. The model is refitted."
    if scorecard.stop is not None and by > scorecard.stop:
        raise RefusedError(f"{told} [scorecard] stop = {scorecard.stop:g} is exceeded; see scorecard.parquet.")
    note(told)
