"""A track record: what was published, scored when its horizon is over. Nothing is refitted, so nothing can leak.

Every night's predictions stand in its published tables with their day and horizon. When those days have passed they are
compared with what happened, beside a baseline that needs no model and knew no more. The sums are made where the rows are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, TypedDict

import pandas as pd

from crmkit.engine.choose import engine_for
from crmkit.engine.texts import sql_text
from crmkit.transactions.log import Transactions

__all__ = ["COLUMNS", "churn_record", "drift", "repurchase_record", "track_record", "value_record"]

COLUMNS = {
    "question": "str",
    "day": "datetime64[ns]",
    "horizon": "int64",
    "n": "int64",
    "measure": "str",
    "score": "float64",
    "baseline": "str",
    "baseline_score": "float64",
    "calibration_error": "float64",
    "expected": "float64",
    "observed": "float64",
    "bias_of_total": "float64",
    "low": "float64",
    "high": "float64",
    "coverage": "float64",
    "called": "Int64",
    "came_true": "Int64",
    "drift": "float64",
    "run": "str",
}
"""Columns of the track record and their types; see `track_record`."""

Record = dict[str, object]
"""One row of the track record by column, before it has a drift."""


class Drift(TypedDict):
    """Since when answers are worse than they were (a day as text), and by how much."""

    since: str | None
    by: float | None


_USUAL, _DIGITS, _NORMAL = 3, 9, 1.959964


def churn_record(published: Path, log: Transactions, day: date, horizon: int) -> Record:
    """Probabilities of churn against who bought nothing on the days after.

    Parameters
    ----------
    published : Path
        Parquet: customer_id, p_churn, days_since_last, as they were published.
    log : Transactions
    day : date
        That they were published for.
    horizon : int
        Days ahead; they must have been observed.
    """
    text, named = "evaluation/churn_record", "churn by days since the last purchase"
    return _probabilities("Churn", text, named, log, day, horizon, published=published, days=log.days)


def repurchase_record(published: Path, log: Transactions, day: date, horizon: int, item: str) -> Record:
    """Probabilities of buying an item against what was bought on the days after.

    Parameters
    ----------
    published : Path
        Parquet: customer_id, the item column, p_purchase, as they were published.
    log, day, horizon
        As in `churn_record`.
    item : str
        The item column.
    """
    text, named = "evaluation/repurchase_record", "bought in the horizon before, by item"
    return _probabilities("Next purchase", text, named, log, day, horizon, item, published=published, lines=log.lines)


def value_record(
    published: Path,
    log: Transactions,
    day: date,
    horizon: int,
    annual_discount: float,
    margin: float,
    interval: tuple[float, float] | None = None,
) -> Record:
    """Values against what customers brought on the days after, discounted and at the same margin.

    Parameters
    ----------
    published : Path
        Parquet: customer_id, value, expected_purchases, total_spend, T, as they were published.
    log, day, horizon
        As in `churn_record`.
    annual_discount, margin : float
        As the values were made.
    interval : two floats, optional
        That was published for the total.
    """
    values = {**_window(log, day, horizon), "annual_discount": annual_discount, "margin": margin}
    with engine_for(log) as engine:
        tables = {"published": engine.parquet(published), "days": engine.parquet(log.days)}
        found = engine.frame(sql_text("evaluation/value_record", **tables), values).iloc[0]
    scores = {"score": found["error"], "baseline_score": found["baseline_error"]}
    if interval is not None:
        low, high = interval
        scores |= {"low": low, "high": high, "coverage": float(low <= found["observed"] <= high)}
    return _row("Lifetime value", day, horizon, int(found["n"]), "mean absolute error", "own past rate", scores, found)


def _probabilities(
    question: str,
    text: str,
    named: str,
    log: Transactions,
    day: date,
    horizon: int,
    item: str = "",
    **paths: Path | list[Path],
) -> Record:
    with engine_for(log) as engine:
        tables = {name: engine.parquet(path) for name, path in paths.items()}
        scored = engine.stage(sql_text(text, item=engine.quoted(item), **tables), _window(log, day, horizon))
        tenths = engine.frame(sql_text("evaluation/probability_record", scored=scored))
    total, n = tenths.sum(), int(tenths["n"].sum())
    far = _NORMAL * math.sqrt(float(total["variance"]))
    held = (tenths["expected"] - tenths["observed"]).abs() <= _NORMAL * tenths["variance"] ** 0.5
    scores = {
        "score": -total["log_likelihood"] / n,
        "baseline_score": -total["baseline_log_likelihood"] / n,
        "calibration_error": float((tenths["expected"] - tenths["observed"]).abs().sum() / n),
        "low": total["expected"] - far,
        "high": total["expected"] + far,
        "coverage": float(held.mean()),
        "called": int(total["called"]),
        "came_true": int(total["came_true"]),
    }
    return _row(question, day, horizon, n, "log-loss", named, scores, total)


def _window(log: Transactions, day: date, horizon: int) -> dict[str, int]:
    """The days looked at; raises `LeakError` where they are not all observed."""
    log.close_of(day + timedelta(days=horizon))
    return {"as_of": log.close_of(day), "horizon": horizon}


def _row(
    question: str,
    day: date,
    horizon: int,
    n: int,
    measure: str,
    baseline: str,
    scores: Mapping[str, float],
    totals: pd.Series,
) -> Record:
    expected, observed = float(totals["expected"]), float(totals["observed"])
    bias = {"bias_of_total": expected / observed - 1 if observed else math.nan}
    figures = {"expected": expected, "observed": observed, **bias, **scores}
    rounded = {name: round(float(one), _DIGITS) if isinstance(one, float) else one for name, one in figures.items()}
    stated = {"question": question, "day": pd.Timestamp(day), "horizon": horizon, "n": n}
    return {**stated, "measure": measure, "baseline": baseline, **rounded}


# -- Over time -------------------------------------------------------------------------------------------------------


def track_record(records: Sequence[Record], earlier: pd.DataFrame | None = None) -> pd.DataFrame:
    """The record over time: earlier rows and new ones.

    Parameters
    ----------
    records : list of dict
        From `churn_record`, `repurchase_record`, `value_record`, with ``run``, the run that published.
    earlier : DataFrame, optional
        The record so far.

    Returns
    -------
    DataFrame
        question, day (published for), horizon, n; measure (smaller is better), score, baseline, baseline_score;
        calibration_error; expected and observed totals, bias_of_total (expected over observed, less 1), low and high (in which
        the observed total lies in 95 of 100 cases, were customers independent; of value those that were published), coverage (the
        share of such intervals that hold what was observed: of ten groups of equal size by their probability, or of the total
        value); called (predictions of at least one half)
        and came_true of these; drift, by how much the score relative to the baseline's is worse than its mean before (or than
        the baseline, before there are three); run. Ordered by question and day.

    Examples
    --------
    >>> day = {"question": "Churn", "horizon": 30, "n": 100, "score": 0.30, "baseline_score": 0.40}
    >>> days = [day | {"day": pd.Timestamp(f"2017-0{month}-01")} for month in range(1, 5)]
    >>> days[3]["score"] = 0.36
    >>> track_record(days)["drift"].round(2).tolist()
    [-0.25, -0.25, -0.25, 0.2]
    """
    new = pd.DataFrame(records, columns=list(COLUMNS))
    rows = pd.concat([part for part in (earlier, new) if part is not None and len(part)] or [new])
    rows = rows.drop_duplicates(["question", "day"]).sort_values(["question", "day"], ignore_index=True)
    skill = rows["score"] / rows["baseline_score"]
    before = skill.groupby(rows["question"]).transform(lambda one: one.expanding(_USUAL).mean().shift())
    return rows.assign(drift=(skill / before.fillna(1.0) - 1).round(_DIGITS)).astype(COLUMNS)


def drift(record: pd.DataFrame, question: str, most: float) -> Drift:
    """Since when a question's answers are worse than they were: the day that began the newest drift above ``most``.

    Returns
    -------
    dict
        since: the day as text, or None; by: the newest drift, or None.
    """
    rows = record[record["question"] == question]
    above = rows["drift"] > most
    began = rows.loc[above & ~above.shift(fill_value=False), "day"]
    return {
        "since": None if began.empty else str(began.iloc[-1].date()),
        "by": float(rows["drift"].iloc[-1]) if len(rows) and above.iloc[-1] else None,
    }


def told(record: pd.DataFrame) -> list[str]:
    """The newest record of each question, in a sentence."""
    sentences, newest = [], record.groupby("question", sort=False).tail(1)
    rows: Any = newest.itertuples()
    for row in rows:
        better = "better than" if row.score < row.baseline_score else "not better than"
        called = "" if pd.isna(row.called) else f" Of {row.called:,} called likely, {row.came_true:,} came true."
        sentences.append(
            f"{row.question}, published for {row.day:%d %B %Y}, {row.horizon} days ahead: {row.expected:,.0f} expected, "
            f"{row.observed:,.0f} observed.{called} {row.measure.capitalize()} {row.score:.3f}, {better} {row.baseline_score:.3f} "
            f"({row.baseline})."
        )
    return sentences
