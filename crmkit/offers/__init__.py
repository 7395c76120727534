"""Offers: deals, who gets which of them under the budgets, who gets none so that the effect can be seen, and the lists."""

from __future__ import annotations

from crmkit.offers.control import control_group
from crmkit.offers.deals import Deals
from crmkit.offers.lists import print_lists
from crmkit.offers.plan import OfferPlan, OfferResult

__all__ = ["Deals", "OfferPlan", "OfferResult", "control_group", "print_lists"]
