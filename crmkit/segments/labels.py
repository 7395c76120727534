"""Segments and tiers held by those of an earlier table."""

from __future__ import annotations

from datetime import date

import pandas as pd

from crmkit.segments.rfm import RFMScores
from crmkit.segments.tiers import ValueTiers

__all__ = ["labelled"]


def labelled(customers: pd.DataFrame, rule: ValueTiers, day: date, previous: pd.DataFrame | None) -> pd.DataFrame:
    """The customers with r_score, f_score, m_score, segment, tier and tier_since, by edges and thresholds of today.

    Parameters
    ----------
    customers : DataFrame
        customer_id, days_since_last, n_purchases, total_spend, value.
    rule : ValueTiers
        Fitted here.
    day : date
        The day that the labels stand for; tier_since is the day of the run that found the customer in its tier first.
    previous : DataFrame, optional
        An earlier table by customer_id: r_score, f_score, m_score, segment, tier and tier_since. Its labels are left only
        as far as hysteresis says.
    """
    by_id = customers.set_index("customer_id")
    tiers = None if previous is None else previous["tier"]
    labels = RFMScores().fit(by_id).transform(by_id, previous=previous)
    labels["tier"] = rule.fit(by_id["value"]).transform(by_id["value"], previous=tiers)
    labels["tier_since"] = pd.Timestamp(day)
    if previous is not None:
        stayed = labels["tier"] == previous["tier"].reindex(labels.index)
        labels["tier_since"] = labels["tier_since"].mask(stayed, previous["tier_since"].reindex(labels.index))
    return customers.join(labels, on="customer_id")
