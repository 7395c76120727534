"""Offers: deals, who gets which of them under the budgets, who gets none so that the effect can be seen, and the lists."""

from __future__ import annotations

from crmkit.offers.control import control_group
from crmkit.offers.deals import Deals
from crmkit.offers.effect import CampaignEffect, campaign_effect
from crmkit.offers.holdout import HoldoutSize, holdout_size
from crmkit.offers.lists import print_lists
from crmkit.offers.mailing import write_offers
from crmkit.offers.plan import OfferPlan
from crmkit.offers.response import MeasuredResponse, measure_response
from crmkit.offers.result import OfferResult
from crmkit.offers.tips import choose_tips
from crmkit.offers.webpages import write_html_lists

__all__ = [
    "CampaignEffect",
    "Deals",
    "HoldoutSize",
    "MeasuredResponse",
    "OfferPlan",
    "OfferResult",
    "campaign_effect",
    "choose_tips",
    "control_group",
    "holdout_size",
    "measure_response",
    "print_lists",
    "write_html_lists",
    "write_offers",
]
