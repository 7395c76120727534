"""Printed lists."""

from __future__ import annotations

from collections.abc import Mapping

from crmkit.reports.block import Block
from crmkit.reports.formats import number

__all__ = ["lists"]


def lists(printed: Mapping[str, float], least_need: float, *, currency: str = "") -> Block:
    """How many lists were printed, and the share of coupons that stand beside a printed need."""
    if not printed["members"]:
        return Block("Lists", "No list was printed")
    return Block(
        "Lists",
        f"{printed['beside_needs']:.0%} of the printed coupons stand beside something the member is due to buy",
        f"{number(printed['members'])} lists on {number(printed['pages'])} pages. An item is printed as a need where its "
        f"purchase is at least {least_need:.0%} likely in the days of the list. Tills take pos_offers.csv or "
        "pos_offers.json: one scan of the card or of the list's code takes every deal off.",
    )
