"""Who is eligible for a list, how long it may be and what it must be worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmkit._checks import require_columns
from crmkit.exceptions import ContractError
from crmkit.offers.control_group import UNIVERSAL, control_group

if TYPE_CHECKING:
    from crmkit._types import Floats, Ints

__all__ = ["brand_groups", "check_customers", "check_table", "eligible", "list_terms"]


def check_table(name: str, table: pd.DataFrame | None, needed: Sequence[str]) -> None:
    """Raise `ContractError` when a column is missing; a table that is not given lacks nothing."""
    if table is not None:
        require_columns(table, needed, name)


def check_customers(customers: pd.DataFrame, needed: Sequence[str]) -> None:
    """Raise `ContractError` when a column is missing or a member is there twice."""
    check_table("customers", customers, ["customer_id", *needed])
    if customers["customer_id"].duplicated().any():
        raise ContractError("customers: a customer_id is there more than once. Give one row per member.")


def eligible(
    customers: pd.DataFrame, min_weekly_spend: float, universal: float = 0.0
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Eligible members, ordered by id, and how many are excluded, by the first reason that holds.

    ``universal`` is the share that is in the control group of all campaigns.

    Examples
    --------
    >>> eligible(pd.DataFrame({"customer_id": ["b", "a"], "open_complaints": [1, 0]}), 0)[1]
    {'open complaint': 1}
    """
    none = pd.Series(False, index=customers.index)
    reasons = {
        "customer_id is missing": customers["customer_id"].isna(),
        "opted out of contact": _marked(customers["no_contact"]) if "no_contact" in customers else none,
        "open complaint": customers["open_complaints"].fillna(0) > 0 if "open_complaints" in customers else none,
        f"spend less than {min_weekly_spend:g} a week": (
            ~(customers["weekly_spend"] >= min_weekly_spend) if min_weekly_spend > 0 else none
        ),
        "in the universal control group": (
            customers["customer_id"].isin(control_group(customers["customer_id"], universal, UNIVERSAL)["customer_id"])
            if universal > 0
            else none
        ),
    }
    wanted, exclusions = ~none, {}
    for reason, holds in reasons.items():
        out = int((wanted & holds).sum())
        if out:
            exclusions[reason] = out
        wanted &= ~holds
    return customers[wanted].sort_values("customer_id", ignore_index=True), exclusions


def brand_groups(usage: pd.DataFrame) -> pd.DataFrame:
    """How members use categories, with brand_group and usage, which `BrandUsage` calls brand_user and usage_level.

    >>> told = {"customer_id": ["a"], "category": ["Tea"], "brand_user": ["store brand"], "usage_level": ["heavy"]}
    >>> brand_groups(pd.DataFrame(told))[["brand_group", "usage"]].to_numpy().tolist()
    [['store', 'heavy']]
    """
    if {"brand_user", "usage_level"} <= set(usage.columns):
        usage = usage.assign(brand_group=usage["brand_user"].str.removesuffix(" brand"), usage=usage["usage_level"])
    check_table("usage", usage, ("customer_id", "category", "brand_group", "usage"))
    return usage


def list_terms(
    people: pd.DataFrame,
    slots: int,
    frequency_cap: int | None,
    min_worth: Mapping[str, float],
    received: pd.DataFrame | None,
) -> tuple[Ints, Floats]:
    """Of each member: the offers that fit on the list, and what they shall be worth together."""
    room = people["slots"].fillna(slots).to_numpy(float) if "slots" in people else np.full(len(people), float(slots))
    if frequency_cap is not None:
        times = pd.Series(dtype=float) if received is None else received.groupby("customer_id").size()
        room = np.minimum(room, frequency_cap - people["customer_id"].map(times).fillna(0).to_numpy(float))
    worth = (
        people["tier"].map(dict(min_worth)).astype(float).fillna(0).to_numpy() if min_worth else np.zeros(len(people))
    )
    return np.maximum(room, 0).astype(np.int64), np.asarray(worth, dtype=np.float64)


def _marked(flag: pd.Series) -> pd.Series:
    return ~(flag.isna() | flag.isin([False, ""]))
