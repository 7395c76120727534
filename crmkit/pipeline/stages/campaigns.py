"""What became of earlier lists: redemptions matched to offers, who redeems, and what each campaign brought."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pandas as pd

from crmkit.campaigns.contact_history import LastCampaign, spend_around
from crmkit.campaigns.effect import campaign_effect
from crmkit.campaigns.given_away import given_away
from crmkit.campaigns.kept import switch_retention
from crmkit.campaigns.lift import added_purchases
from crmkit.campaigns.lift import response_scale as scale_of
from crmkit.campaigns.pooling import control_sentence, pool_effects
from crmkit.campaigns.record import campaign_table
from crmkit.campaigns.redeemed_in_lines import redeemed_in_lines
from crmkit.campaigns.redemptions import RedemptionRates, match_redemptions, qualifying_purchases
from crmkit.campaigns.redemptions import redemption_rates as rates_of
from crmkit.campaigns.uptake import offer_uptake
from crmkit.pipeline.campaign_folder import Recorded
from crmkit.pipeline.notes import note
from crmkit.pipeline.stage import stage
from crmkit.reports.blocks.campaigns import campaign as campaign_block
from crmkit.reports.blocks.deal_dependence import deal_dependence as deal_block
from crmkit.transactions.log import Transactions

if TYPE_CHECKING:
    from crmkit.pipeline.settings import Campaign, Offers

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


@stage("recognised_redemptions", may_fail=True, here=True)
def recognise_redemptions(
    log: Transactions, campaign_record: Sequence[Recorded], *, campaign: Campaign
) -> dict[str, object]:
    """Redemptions that stand in the sales lines, where no file reports them and a campaign was sent."""
    if not campaign.from_lines or not any(one.is_sent for one in campaign_record):
        return {}
    return {"recognised_redemptions": redeemed_in_lines(log, sent_offers(campaign_record))}


@stage("redemptions", "unmatched_redemptions", "redemptions_read", may_fail=True, here=True)
def match_redeemed(
    campaign_record: Sequence[Recorded],
    customers: pd.DataFrame,
    as_of: date,
    delivered_redemptions: pd.DataFrame | None = None,
    rejected_redemptions: pd.DataFrame | None = None,
    recognised_redemptions: pd.DataFrame | None = None,
) -> dict[str, object]:
    """Each redemption matched to the offer that was redeemed, or told why not, to the row and the cent."""
    came = [table for table in (delivered_redemptions, recognised_redemptions) if table is not None]
    if not came:
        return {}
    if rejected_redemptions is None:
        rejected_redemptions = came[0].head(0).assign(reason="")
    rows = pd.concat(came, ignore_index=True) if len(came) > 1 else came[0]
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


@stage("redemption_rates", "redemption_habits", may_fail=True, here=True)
def redemption_rates(
    log: Transactions, redemptions: pd.DataFrame, campaign_record: Sequence[Recorded], as_of: date
) -> dict[str, object]:
    """Who redeems coupons at purchases that qualify for them, from all offers that were sent, and what stays of it."""
    offers = sent_offers(campaign_record)
    keys = ["campaign", "customer_id", "deal_id"]
    redeemed = redemptions[keys].drop_duplicates()
    # a redemption is a purchase that qualified, though its line may not have been delivered
    qualified = pd.concat([qualifying_purchases(log, offers)[keys], redeemed]).drop_duplicates()
    found = rates_of(qualified, redeemed)
    later, said = _later(log, redemptions, offers, as_of, found)
    return {
        "redemption_rates": found.members,
        "redemption_habits": {
            "mean": found.mean,
            "uncertainty": found.uncertainty,
            "told": " ".join([f"{found}.", *said]),
            **later,
        },
    }


def _later(
    log: Transactions, redemptions: pd.DataFrame, offers: pd.DataFrame, as_of: date, habits: RedemptionRates
) -> tuple[dict[str, float], list[str]]:
    """What stays of switches to the store's brand, and how offers were taken up beside what was foretold of them; in words too."""
    keys = ["campaign", "customer_id", "deal_id"]
    store = offers[offers["brand_type"].eq("store")] if "brand_type" in offers else offers.head(0)
    switch = switch_retention(log, redemptions[[*keys, "redeemed_at"]].merge(store.drop_duplicates(keys), on=keys))
    found, said = ({"retention": switch.retention}, [str(switch)]) if switch.purchases else ({}, [])
    over = offers[pd.to_datetime(offers["ends"]) <= pd.Timestamp(as_of)]
    if "is_trial" in over:
        rates = habits.members.set_index("customer_id")["rate"]
        for name, uptake in zip(
            ("uptake", "trial_uptake"), offer_uptake(over, redemptions, rates, habits.mean), strict=True
        ):
            if uptake.offers:
                found[name] = uptake.rate
                said.append(str(uptake))
    return found, said


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


_SETTLED = 28
"""Days after a campaign's last one from which its figures stay as they were measured."""


@stage(
    "campaign_effects",
    "campaign_groups",
    "response_scale",
    "last_campaign",
    "last_campaign_told",
    "campaign_block",
    may_fail=True,
    here=True,
)
def measure_campaigns(
    log: Transactions,
    campaign_record: Sequence[Recorded],
    as_of: date,
    previous_effects: tuple[pd.DataFrame, pd.DataFrame] | None = None,
    redemption_habits: Mapping[str, str] | None = None,
    *,
    offers: Offers,
) -> dict[str, object]:
    """What each campaign brought that was sent and whose days are over, and all of them together."""
    over = [one for one in campaign_record if one.is_sent and one.last_day <= as_of]
    effects, groups = _effects_of(over, log, as_of, previous_effects)
    if not len(effects):
        return {}
    names = {"repurchases": "campaign_needs"} | {name: name for name in ("offers", "planned", "control", "deals")}
    last = LastCampaign.of({name: over[-1].table(file) for name, file in names.items()}, log, offers.response)
    scale = scale_of(effects)
    more = [*_sentences(effects), str(scale), *([redemption_habits["told"]] if redemption_habits else [])]
    return {
        "campaign_effects": effects,
        "campaign_groups": groups,
        "response_scale": {"scale": scale.scale, "sd": scale.sd, "low": scale.low, "high": scale.high},
        "last_campaign": last,
        "last_campaign_told": {"told": " ".join([*([str(last)] if last else []), *more])},
        "campaign_block": last and campaign_block(last, more, effects, groups),
    }


@stage("given_away", "deal_block", may_fail=True, here=True)
def guard_against_deals(
    customers: pd.DataFrame,
    campaign_record: Sequence[Recorded],
    deal_dependence: pd.DataFrame | None = None,
    redemptions: pd.DataFrame | None = None,
    response_scale: Mapping[str, float] | None = None,
    *,
    currency: str,
) -> dict[str, object]:
    """Whether lists train bargain hunters, and what they gave away on purchases that would have come anyway."""
    lost = None
    if redemptions is not None and len(redemptions):
        lost = given_away(redemptions, sent_offers(campaign_record), (response_scale or {"scale": 1.0})["scale"])
    if deal_dependence is None and lost is None:
        return {}
    return {"given_away": lost, "deal_block": deal_block(customers, lost, currency=currency)}


def _effects_of(
    over: Sequence[Recorded], log: Transactions, as_of: date, previous: tuple[pd.DataFrame, pd.DataFrame] | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Effects of these campaigns, and the same by group: measured now, or as they were when they were settled."""
    known = [pd.DataFrame({"campaign": []})] * 2 if previous is None else list(previous)
    settled = {one.name for one in over if one.last_day < as_of - timedelta(days=_SETTLED)} & set(known[0]["campaign"])
    measured = [found for one in over if one.name not in settled and (found := _measured(one, log)) is not None]
    kept = [[table[table["campaign"].isin(settled)]] if settled else [] for table in known]
    tables = [kept[0] + [one for one, _ in measured], kept[1] + [other for _, other in measured]]
    effects, groups = (pd.concat(one, ignore_index=True) if one else pd.DataFrame() for one in tables)
    return effects, groups


def _sentences(effects: pd.DataFrame) -> list[str]:
    """What all campaigns brought together, and whether the control group could see it."""
    certain = effects[effects["se"] > 0]
    told = [str(pool_effects(certain))] if len(certain) > 1 else []
    newest = effects.iloc[-1]
    unseen = control_sentence(newest["mean"], newest["sd"], int(newest["planned"]), int(newest["held_back"]))
    if unseen:
        note(unseen)
    return [*told, *filter(None, [unseen])]


def _measured(campaign: Recorded, log: Transactions) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """One campaign's effect in money and in purchases of its deals, and the same by tier, funder and deal."""
    planned, control, offers = (campaign.table(name) for name in ("planned", "control", "offers"))
    if min(len(planned), len(control)) < 2 or not len(offers):
        return None
    day = campaign.first_day - timedelta(days=1)
    spend = spend_around(log, day, (campaign.last_day - day).days)
    found = campaign_effect(spend[0], planned, control, spend[1])
    pairs = _bought_pairs(campaign, log)
    lift = added_purchases(pairs.assign(all="all"), planned, control, by="all").iloc[0]
    expected = float((offers["p_with_deal"] - offers["p_purchase"]).sum()) / float(offers["response_scale"].iloc[0])
    row = {
        "campaign": campaign.name, "effect": found.effect, "low": found.low, "high": found.high, "se": found.se,
        "mean": found.mean, "sd": found.sd, "planned": found.planned, "held_back": found.held_back,
        "expected_lift": expected, "lift": lift["lift"], "lift_se": lift["se"],
    }  # fmt: skip
    groups = [
        added_purchases(pairs, planned, control, by=name).set_axis(["name", "effect", "se"], axis=1).assign(by=name)
        for name in ("deal_id", "funder")
    ]
    groups = [one.assign(measure="purchases added") for one in groups] + [_by_tier(spend, planned, control)]
    table = pd.concat([one for one in groups if len(one)], ignore_index=True).assign(campaign=campaign.name)
    return pd.DataFrame([row]), table[["campaign", "by", "name", "measure", "effect", "se"]]


def _bought_pairs(campaign: Recorded, log: Transactions) -> pd.DataFrame:
    """Members and deals of the plan, with whether the goods were bought on the campaign's days."""
    pairs = campaign.with_days(campaign.table("campaign_pairs"))
    bought = qualifying_purchases(log, pairs)[["customer_id", "deal_id"]]
    had = pd.MultiIndex.from_frame(pairs[["customer_id", "deal_id"]]).isin(pd.MultiIndex.from_frame(bought))
    return pairs.assign(bought=had)


def _by_tier(spend: tuple[pd.Series, pd.Series], planned: pd.DataFrame, control: pd.DataFrame) -> pd.DataFrame:
    """The effect in money per member of each tier that has members in both groups."""
    if "tier" not in planned:
        return pd.DataFrame()
    rows = []
    for tier in sorted(set(planned["tier"].dropna())):
        groups = [table[table["tier"] == tier] for table in (planned, control)]
        if min(map(len, groups)) >= 2:
            found = campaign_effect(spend[0], groups[0], groups[1], spend[1])
            rows.append(
                {"by": "tier", "name": tier, "measure": "spend per member", "effect": found.effect, "se": found.se}
            )
    return pd.DataFrame(rows)


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
