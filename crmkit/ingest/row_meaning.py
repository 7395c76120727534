"""What the rows of a delivery mean, as stated by the user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from crmkit.ingest.rules import Rule, listed_cards, own_rules

__all__ = ["NOTHING_STATED", "RowMeaning"]


@dataclass(frozen=True)
class RowMeaning:
    """Which rows count, and whose they are; see `Transactions.split_extract` for each option.

    Attributes
    ----------
    rules : mapping of str to str
        Reason → SQL condition of rows to reject, besides the contract's own rules.
    non_members : sequence of str
        Customer ids that belong to no member.
    """

    rules: Mapping[str, str] = field(default_factory=dict)
    non_members: Sequence[str] = ()

    def __post_init__(self) -> None:
        own_rules(self.rules)

    @property
    def row_rules(self) -> tuple[Rule, ...]:
        """Rules that reject a row."""
        return own_rules(self.rules)

    @property
    def non_member_rules(self) -> tuple[Rule, ...]:
        """Rules for rows that are valid but belong to no member."""
        return listed_cards(self.non_members)


NOTHING_STATED = RowMeaning()
