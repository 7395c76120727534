"""What a group of customers is worth together."""

from __future__ import annotations

from dataclasses import dataclass, field

from crmkit._types import Interval


@dataclass(frozen=True)
class CohortValue:
    """What a group of customers is worth together; prints as sentences.

    Attributes
    ----------
    expected : Interval
        estimate, low, high of the expected value: how well the parameters are known.
    realised : Interval or None
        The same estimate, and the interval in which what they really bring will lie: parameters and chance. None
        for an infinite horizon.
    level : float
        Coverage aimed for.
    n_customers, n_one_time : int
        All, and those without a repeat purchase.
    value_one_time : float
        The part of the estimate that one-time buyers hold.
    spend_one_time : float
        What the spend model expects of each of their purchases, having seen none of them repeat.
    note : str
        On spend and frequency.
    """

    expected: Interval
    realised: Interval | None
    level: float
    n_customers: int
    n_one_time: int
    value_one_time: float
    spend_one_time: float
    note: str = field(repr=False, default="")

    def __str__(self) -> str:
        value, low, high = self.expected
        lines = [
            f"{self.n_customers:,} customers: {value:,.0f} expected ({low:,.0f} to {high:,.0f} at {self.level:.0%}, as well as "
            "the parameters are known)."
        ]
        if self.realised:
            lines.append(f"What they bring will lie between {self.realised.low:,.0f} and {self.realised.high:,.0f}.")
        lines.append(
            f"{self.n_one_time:,} of them have bought once: nothing is known of their spend on a second visit, so each is "
            f"given {self.spend_one_time:,.2f}, the spend model's mean for such customers; they hold {self.value_one_time:,.0f}."
        )
        return "\n".join([*lines, *([self.note] if self.note else [])])
