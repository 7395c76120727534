"""Who may get a list, how long it may be and what it shall be worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from crmkit.exceptions import ContractError

__all__ = ["check_customers", "eligible", "list_terms"]


def check_customers(customers: pd.DataFrame, needed: list[str]) -> None:
    """Raise `ContractError` when a column is missing or a member is there twice."""
    missing = [name for name in ("customer_id", *needed) if name not in customers]
    if missing:
        raise ContractError(f"customers lacks {missing}; it has {list(customers.columns)}.")
    if customers["customer_id"].duplicated().any():
        raise ContractError("customers: a customer_id is there more than once. Give one row per member.")


def eligible(customers: pd.DataFrame, min_weekly_spend: float) -> tuple[pd.DataFrame, dict[str, int]]:
    """Members who may be sent a list, ordered by id, and how many may not, by the first reason that holds.

    Examples
    --------
    >>> eligible(pd.DataFrame({"customer_id": ["b", "a"], "open_complaints": [1, 0]}), 0)[1]
    {'an open complaint': 1}
    """
    nobody = pd.Series(False, index=customers.index)
    reasons = {
        "no customer_id": customers["customer_id"].isna(),
        "asked for no contact": _marked(customers["no_contact"]) if "no_contact" in customers else nobody,
        "an open complaint": customers["open_complaints"].fillna(0) > 0 if "open_complaints" in customers else nobody,
        f"spends less than {min_weekly_spend:g} a week": (
            ~(customers["weekly_spend"] >= min_weekly_spend) if min_weekly_spend > 0 else nobody
        ),
    }
    wanted, left_out = ~nobody, {}
    for reason, holds in reasons.items():
        out = int((wanted & holds).sum())
        if out:
            left_out[reason] = out
        wanted &= ~holds
    return customers[wanted].sort_values("customer_id", ignore_index=True), left_out


def list_terms(
    people: pd.DataFrame,
    slots: int,
    frequency_cap: int | None,
    min_worth: Mapping[Any, float],
    received: pd.DataFrame | None,
) -> tuple[Any, Any]:
    """Of each member: the offers that fit on the list, and what they shall be worth together."""
    room = people["slots"].fillna(slots).to_numpy(float) if "slots" in people else np.full(len(people), float(slots))
    if frequency_cap is not None:
        times = pd.Series(dtype=float) if received is None else received.groupby("customer_id").size()
        room = np.minimum(room, frequency_cap - people["customer_id"].map(times).fillna(0).to_numpy(float))
    worth = (
        people["tier"].map(dict(min_worth)).astype(float).fillna(0).to_numpy() if min_worth else np.zeros(len(people))
    )
    return np.maximum(room, 0).astype(np.int64), worth


def _marked(flag: pd.Series[Any]) -> pd.Series[Any]:
    return ~(flag.isna() | flag.isin([False, ""]))
