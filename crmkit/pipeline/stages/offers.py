"""Which member gets which deal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from crmkit.campaigns.contact_history import LastCampaign
from crmkit.offers.codes import with_codes
from crmkit.offers.deals import Deals
from crmkit.offers.plan import OfferPlan
from crmkit.offers.redemption import RedemptionModel
from crmkit.offers.shares import NARROWING, deal_shares
from crmkit.pipeline.notes import note
from crmkit.pipeline.quality import why_none
from crmkit.pipeline.stage import stage
from crmkit.reports.blocks.campaigns import campaign as campaign_block
from crmkit.reports.blocks.offers import offers as offer_block
from crmkit.reports.lists.mailing import write_offers
from crmkit.segments.brand_usage import BrandUsage
from crmkit.transactions.log import Transactions

if TYPE_CHECKING:
    from crmkit.pipeline.settings import Offers, Repurchase

_BY_USAGE = ["brand_group", "value_light", "value_medium", "value_heavy"]


@stage("last_campaign", "campaign", "campaign_block", may_fail=True)
def measure_campaign(
    log: Transactions, campaign_tables: Mapping[str, pd.DataFrame], *, offers: Offers
) -> dict[str, object]:
    """What the newest campaign brought whose days are over."""
    found = LastCampaign.of(campaign_tables, log, offers.response)
    if found is None:
        return {}
    return {"last_campaign": found, "campaign": {"told": str(found)}, "campaign_block": campaign_block(found)}


@stage("deal_usage")
def usage_for_deals(log: Transactions, deals: pd.DataFrame, usage: pd.DataFrame | None = None) -> dict[str, object]:
    """Who uses which brands and how much, where a deal depends on it."""
    if not deals[_BY_USAGE].notna().any(axis=None):
        return {}
    if usage is not None and "category" in usage:
        return {"deal_usage": usage}
    if not {"category", "brand_type"} <= set(log.items):
        note("Deals that depend on brand or usage groups need category and brand_type of the lines.")
        return {}
    return {"deal_usage": BrandUsage().fit(log).predict(log)}


@stage("deal_shares")
def share_of_deals(
    log: Transactions, repurchases: pd.DataFrame, deals: pd.DataFrame, as_of: date, *, repurchase: Repurchase
) -> dict[str, object]:
    """How much of what each member buys in a category is what each deal of these days is for."""
    window = as_of + timedelta(days=1), as_of + timedelta(days=repurchase.horizon)
    running = Deals(deals).active(*window)
    if "category" not in log.items or "product_id" in repurchases:
        return {"deal_shares": _whole_shares(repurchases, running.frame)}
    lacking = [name for name in NARROWING if name not in log.items and running.frame[name].notna().any()]
    if lacking:
        note(
            f"Deals name a {' and a '.join(lacking)} that the lines do not have: they are taken to be for the whole category."
        )
    return {"deal_shares": deal_shares(log, Deals(running.frame.assign(**dict.fromkeys(lacking))))}


def _whole_shares(repurchases: pd.DataFrame, deals: pd.DataFrame) -> pd.DataFrame:
    """Where what is timed is what the deals are for: all of it."""
    item = next(name for name in ("product_id", "category") if name in repurchases)
    pairs = repurchases[["customer_id", item]].merge(deals[["deal_id", item]], on=item)[["customer_id", "deal_id"]]
    return pairs.assign(category_days=1.0, own_days=1.0, share=1.0)


@stage("offers", "mailing", "control", "planned", "plan", "offer_tips", "offer_block")
def plan_offers(
    repurchases: pd.DataFrame,
    deal_shares: pd.DataFrame,
    customers: pd.DataFrame,
    deals: pd.DataFrame,
    as_of: date,
    deal_usage: pd.DataFrame | None = None,
    last_campaign: LastCampaign | None = None,
    tips: pd.DataFrame | None = None,
    received_offers: pd.DataFrame | None = None,
    *,
    offers: Offers,
    repurchase: Repurchase,
    currency: str,
    folder: Path,
) -> dict[str, object]:
    """Which member gets which deal, and who is held back."""
    catalogue = Deals(deals)
    measured = last_campaign.for_deals(catalogue) if last_campaign else catalogue
    window = as_of + timedelta(days=1), as_of + timedelta(days=repurchase.horizon)
    plan = OfferPlan(measured, tips=tips, **offers.model_dump()).solve(
        repurchases, customers, deal_usage, received_offers, RedemptionModel(deal_shares, trials=offers.trial_slots > 0)
    )
    says = deals[["deal_id", "title", "starts", "ends", "barcode"]]
    write_offers(with_codes(plan.offers, str(window[0])).merge(says, how="left", on="deal_id"), folder)
    if not len(plan.offers):
        note(f"No offer was made: {why_none(catalogue.active(*window).frame, repurchases, plan)}.")
    return {
        "offers": folder / "offers.parquet",
        "mailing": folder / "offers.csv",
        "control": plan.control,
        "planned": plan.planned,
        "plan": {"objective": plan.objective, "gap": plan.gap, "members": plan.n_served, "need_share": plan.need_share},
        "offer_tips": plan.tips,
        "offer_block": offer_block(plan, currency=currency),
    }
