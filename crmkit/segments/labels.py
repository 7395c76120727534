"""Segments and tiers held by those of an earlier table, where the rows are."""

from __future__ import annotations

from datetime import date
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmkit._types import Floats
from crmkit.engine.choose import engine_of
from crmkit.engine.frames import FrameT, is_spark, map_rows
from crmkit.engine.tables import joined
from crmkit.segments.cut_points import distinct_edges
from crmkit.segments.life_stages import LifeStages
from crmkit.segments.observed import observed_quantiles
from crmkit.segments.rfm import RFMScores
from crmkit.segments.tiers import ValueTiers

if TYPE_CHECKING:
    from crmkit.engine.frames import Frame, SparkFrame

__all__ = ["EARLIER", "fitted_tiers", "labelled"]

EARLIER = ("r_score", "f_score", "m_score", "segment", "tier", "tier_since")
"""What an earlier table tells of a customer."""

_LABELS = "r_score bigint, f_score bigint, m_score bigint, segment string, life_stage string, tier string, tier_since timestamp_ntz"


def labelled(customers: FrameT, rule: ValueTiers, day: date, previous: FrameT | None = None) -> FrameT:
    """The customers with r_score, f_score, m_score, segment, life_stage, tier and tier_since, by edges and thresholds of today.

    Parameters
    ----------
    customers : pandas or Spark DataFrame
        customer_id, days_since_last, n_purchases, total_spend, frequency, recency, T, value. Of Spark's only edges and
        thresholds come to the driver.
    rule : ValueTiers
        Fitted here.
    day : date
        The day that the labels stand for; tier_since is the day of the run that found the customer in its tier first.
    previous : DataFrame of the same kind, optional
        An earlier table: customer_id, r_score, f_score, m_score, segment, tier and tier_since. Its labels are left only
        as far as hysteresis says.
    """
    rfm, stages, rule = _fitted_scores(customers), LifeStages().fit(customers), fitted_tiers(rule, customers)
    rows = customers if previous is None else joined(customers, _as_earlier(previous), how="left")
    answer = partial(_labelled_rows, columns=list(customers.columns), rfm=rfm, stages=stages, rule=rule, day=day)
    return map_rows(rows, answer, _kinds(customers) if is_spark(customers) else "")


def fitted_tiers(rule: ValueTiers, customers: Frame) -> ValueTiers:
    """Tiers fitted on the column value of a table, where it is."""
    if not is_spark(customers):
        return rule.fit(customers["value"])
    return rule.fit_thresholds(observed_quantiles(customers, {"value": 1 - rule.reached_})["value"].tolist())


def _fitted_scores(customers: Frame) -> RFMScores:
    if not is_spark(customers):
        return RFMScores().fit(customers)
    shares = {name: np.arange(1, 5) / 5 for name in ("days_since_last", "n_purchases", "total_spend")}
    found = observed_quantiles(customers, shares)
    return RFMScores().fit_edges({name: _edges(customers, name, values) for name, values in found.items()})


def _edges(customers: SparkFrame, name: str, found: Floats) -> tuple[float, ...]:
    """Distinct edges; the second largest value is looked for where it is needed alone."""
    with engine_of(customers) as engine:
        table = engine.register(customers)
        largest = float(engine.frame(f"select max({name}) as x from {table}")["x"][0])
        below = None
        if not (found < largest).any():
            second = engine.frame(f"select max({name}) as x from {table} where {name} < :largest", {"largest": largest})
            below = None if pd.isna(second["x"][0]) else float(second["x"][0])
    return distinct_edges(found, largest, below)


def _as_earlier(previous: FrameT) -> FrameT:
    """An earlier table with its labels renamed, so that they can stand beside those of today."""
    kept = previous[["customer_id", *EARLIER]]
    if is_spark(kept):
        return kept.toDF("customer_id", *map(_earlier, EARLIER))
    return kept.set_axis(["customer_id", *map(_earlier, EARLIER)], axis=1)


def _earlier(name: str) -> str:
    return f"earlier_{name}"


def _kinds(customers: SparkFrame) -> str:
    own = ", ".join(f"`{name}` {kind}" for name, kind in customers.dtypes)
    return f"{own}, {_LABELS}"


def _labelled_rows(
    rows: pd.DataFrame, columns: list[str], rfm: RFMScores, stages: LifeStages, rule: ValueTiers, day: date
) -> pd.DataFrame:
    """Rows with their labels; earlier ones stand in columns of their own where there is an earlier table."""
    by_id = rows.set_index("customer_id")
    previous = None
    if _earlier("tier") in rows:
        known = by_id[list(map(_earlier, EARLIER))].set_axis(list(EARLIER), axis=1)
        previous = known[known["tier"].notna()]
    held = previous if previous is not None and len(previous) else None
    labels = rfm.transform(by_id, previous=held)
    labels["life_stage"] = stages.transform(by_id)
    labels["tier"] = rule.transform(by_id["value"], previous=None if held is None else held["tier"])
    labels["tier_since"] = pd.Timestamp(day)
    if held is not None:
        earlier = held.reindex(labels.index)
        labels["tier_since"] = labels["tier_since"].mask(labels["tier"] == earlier["tier"], earlier["tier_since"])
    return rows[columns].join(labels, on="customer_id")
