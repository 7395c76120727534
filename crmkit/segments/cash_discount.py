"""A discount for members with a good record who pay cash, by a rule that is data, with what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from crmkit._checks import require_columns
from crmkit.exceptions import ConfigError
from crmkit.segments.target_groups import target_group

__all__ = ["CashDiscount", "cash_discount"]


@dataclass(frozen=True)
class CashDiscount:
    """Members who get the discount, and its cost; prints as its steps.

    Attributes
    ----------
    members : DataFrame
        customer_id, expected_spend (in the days that were stated), cost.
    steps : DataFrame
        condition, meet, unknown, left: as of `TargetGroup`.
    rate : float
    days : int
    """

    members: pd.DataFrame
    steps: pd.DataFrame
    rate: float
    days: int

    @property
    def cost(self) -> float:
        """If all that they are expected to spend is paid in cash: the most that the discount costs."""
        return float(self.members["cost"].sum())

    def __str__(self) -> str:
        steps = "; ".join(
            f"{condition}: {left:,} left"
            for condition, left in zip(self.steps["condition"], self.steps["left"], strict=True)
        )
        return (
            f"{len(self.members):,} members get {self.rate:.1%} for cash; it costs at most {self.cost:,.2f} in {self.days} days, of "
            f"{self.members['expected_spend'].sum():,.2f} that they are expected to spend. {steps}"
        )


def cash_discount(
    customers: pd.DataFrame, conditions: Mapping[str, str], rate: float = 0.02, days: int = 90
) -> CashDiscount:
    """Members who meet every condition of a good record, and what a discount of ``rate`` for them costs.

    Parameters
    ----------
    customers : DataFrame
        customer_id, weekly_spend, and what the conditions name.
    conditions : mapping of str to str
        In words = SQL over the columns of ``customers``.
    rate : float, default 0.02
    days : int, default 90

    Returns
    -------
    CashDiscount

    Examples
    --------
    >>> members = pd.DataFrame({"customer_id": ["a", "b"], "weekly_spend": [70.0, 7.0], "open_complaints": [0, 0]})
    >>> found = cash_discount(members, {"spends 25 a week": "weekly_spend >= 25"}, rate=0.02, days=70)
    >>> print(found)
    1 members get 2.0% for cash; it costs at most 14.00 in 70 days, of 700.00 that they are expected to spend. spends 25 a week: 1 left
    """
    require_columns(customers, ["customer_id", "weekly_spend"])
    if not 0 < rate < 1 or days < 1 or not conditions:
        raise ConfigError(
            f"rate={rate!r}, days={days!r}: a rate is between 0 and 1, days at least 1, and there is a condition."
        )
    group = target_group("cash discount", [customers], conditions)
    chosen = customers[customers["customer_id"].isin(group.members["customer_id"])]
    spend = chosen["weekly_spend"].astype("float64") * days / 7
    table = pd.DataFrame({"customer_id": chosen["customer_id"], "expected_spend": spend, "cost": rate * spend})
    return CashDiscount(table.sort_values("customer_id", ignore_index=True), group.steps, rate, days)
