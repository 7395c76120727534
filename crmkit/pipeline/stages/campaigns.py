"""What became of earlier lists: redemptions matched to offers, who redeems, and what each campaign brought."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pandas as pd

from crmkit.campaigns.contact_history import LastCampaign
from crmkit.campaigns.record import campaign_table
from crmkit.campaigns.redemptions import match_redemptions, qualifying_purchases
from crmkit.campaigns.redemptions import redemption_rates as rates_of
from crmkit.pipeline.campaign_folder import Recorded
from crmkit.pipeline.notes import note
from crmkit.pipeline.stage import stage
from crmkit.reports.blocks.campaigns import campaign as campaign_block
from crmkit.transactions.log import Transactions

if TYPE_CHECKING:
    from crmkit.pipeline.settings import Offers

OFFERED = [
    "campaign",
    "customer_id",
    "deal_id",
    "code",
    "starts",
    "ends",
    "limit_per_member",
    "p_redeem",
    "expected_cost",
]
"""What is known of each offer that was sent."""


@stage("redemptions", "unmatched_redemptions", "redemptions_read", may_fail=True)
def match_redeemed(
    delivered_redemptions: pd.DataFrame,
    rejected_redemptions: pd.DataFrame,
    campaign_record: Sequence[Recorded],
    customers: pd.DataFrame,
    as_of: date,
) -> dict[str, object]:
    """Each redemption matched to the offer that was redeemed, or told why not, to the row and the cent."""
    rows = delivered_redemptions
    match = match_redemptions(rows, sent_offers(campaign_record), as_of, customers["customer_id"])
    unmatched = pd.concat([match.unmatched.drop(columns="row"), _refused(rejected_redemptions)], ignore_index=True)
    unmatched = unmatched.sort_values(["file", "line"], kind="stable", ignore_index=True)
    if len(unmatched):
        counts = unmatched["reason"].value_counts(sort=False)
        why = ", ".join(f"{n:,} {reason}" for reason, n in counts.items())
        note(
            f"{len(unmatched):,} of {len(match.matched) + len(unmatched):,} redemptions match no offer "
            f"(unmatched_redemptions.parquet): {why}."
        )
    matched, others = _money(match.matched), _money(unmatched)
    read = {
        "rows": len(match.matched) + len(unmatched),
        "matched": len(match.matched),
        "unmatched": len(unmatched),
        "amount": f"{matched + others:.2f}",
        "amount_matched": f"{matched:.2f}",
        "amount_unmatched": f"{others:.2f}",
    }
    return {"redemptions": match.matched, "unmatched_redemptions": unmatched, "redemptions_read": read}


def sent_offers(recorded: Sequence[Recorded]) -> pd.DataFrame:
    """All offers that were sent, with the days on which each can be redeemed."""
    sent = [one.sent_offers() for one in recorded if one.is_sent]
    nothing = pd.DataFrame(
        {name: pd.Series(dtype="object") for name in [*OFFERED, "category", "funder", "funder_share"]}
    )
    return pd.concat(sent, ignore_index=True) if sent else nothing


def _refused(rejected: pd.DataFrame) -> pd.DataFrame:
    return rejected[["file", "line", "reason", "amount"]].astype({"amount": float})


def _money(table: pd.DataFrame) -> float:
    return float(pd.to_numeric(table["amount"], errors="coerce").sum())


@stage("redemption_rates", "redemption_habits", may_fail=True)
def redemption_rates(
    log: Transactions, redemptions: pd.DataFrame, campaign_record: Sequence[Recorded]
) -> dict[str, object]:
    """Who redeems coupons at purchases that qualify for them, from all offers that were sent."""
    offers = sent_offers(campaign_record)
    keys = ["campaign", "customer_id", "deal_id"]
    redeemed = redemptions[keys].drop_duplicates()
    # a redemption is a purchase that qualified, though its line may not have been delivered
    qualified = pd.concat([qualifying_purchases(log, offers)[keys], redeemed]).drop_duplicates()
    found = rates_of(qualified, redeemed)
    return {
        "redemption_rates": found.members,
        "redemption_habits": {"mean": found.mean, "uncertainty": found.uncertainty, "told": str(found)},
    }


@stage("campaigns", may_fail=True)
def record_campaigns(
    campaign_record: Sequence[Recorded], as_of: date, redemptions: pd.DataFrame | None = None
) -> dict[str, object]:
    """Each campaign so far: when, in which state, and what was expected and came."""
    unsent = [one for one in campaign_record if not one.is_sent]
    if unsent and unsent[-1] == campaign_record[-1]:
        name = unsent[-1].name
        note(
            f"Campaign {name} is not marked as sent, so nothing of it counts as offered. If it was: crmkit sent {name}."
        )
    tables = [(one.name, one.first_day, one.last_day, one.is_sent, one.table("offers")) for one in campaign_record]
    return {"campaigns": campaign_table(tables, redemptions, as_of)}


@stage("last_campaign", "last_campaign_told", "campaign_block", may_fail=True)
def measure_campaign(
    log: Transactions, campaign_record: Sequence[Recorded], as_of: date, *, offers: Offers
) -> dict[str, object]:
    """What the newest campaign brought that was sent and whose days are over."""
    over = [one for one in campaign_record if one.is_sent and one.last_day <= as_of]
    if not over:
        return {}
    newest = over[-1]
    names = {"repurchases": "campaign_needs"} | {name: name for name in ("offers", "planned", "control", "deals")}
    tables = {name: newest.table(file) for name, file in names.items()}
    found = LastCampaign.of(tables, log, offers.response)
    if found is None:
        return {}
    return {"last_campaign": found, "last_campaign_told": {"told": str(found)}, "campaign_block": campaign_block(found)}


def outstanding(offers: pd.DataFrame, redemptions: pd.DataFrame | None, as_of: date) -> pd.DataFrame:
    """Offers that can still be redeemed after ``as_of``, with the part of their expected cost that is left."""
    left = offers[pd.to_datetime(offers["ends"]) > pd.Timestamp(as_of)]
    if redemptions is not None and len(redemptions):
        keys = ["campaign", "customer_id", "deal_id"]
        left = left[~pd.MultiIndex.from_frame(left[keys]).isin(pd.MultiIndex.from_frame(redemptions[keys]))]
    starts, ends = pd.to_datetime(left["starts"]), pd.to_datetime(left["ends"])
    tomorrow = pd.Timestamp(as_of + timedelta(days=1))
    after = starts.where(starts > tomorrow, tomorrow)
    share = ((ends - after).dt.days + 1) / ((ends - starts).dt.days + 1)
    return left.assign(expected_cost=left["expected_cost"].astype(float) * share.astype(float))
