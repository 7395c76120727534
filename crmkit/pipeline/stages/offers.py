"""Which member gets which deal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from crmkit.campaigns.contact_history import LastCampaign
from crmkit.campaigns.record import budgets_left
from crmkit.engine.duckdb import DuckDBEngine
from crmkit.engine.pieces import Source, whole_members, written
from crmkit.exceptions import UnmatchedDealsError
from crmkit.offers.codes import with_codes
from crmkit.offers.deals import Deals
from crmkit.offers.plan import OfferPlan
from crmkit.offers.redemption import RedemptionModel
from crmkit.offers.result import OfferResult
from crmkit.offers.shares import NARROWING, other_margins, write_deal_shares
from crmkit.offers.unmatched import unmatched_deals, unmatched_sentences
from crmkit.pipeline.campaign_folder import Recorded
from crmkit.pipeline.notes import note
from crmkit.pipeline.quality import why_none
from crmkit.pipeline.stage import stage
from crmkit.pipeline.stages.campaigns import outstanding, sent_offers
from crmkit.pipeline.stages.due_rows import due_of, in_order, item_timed, items_due
from crmkit.reports.blocks.offers import offers as offer_block
from crmkit.reports.lists.mailing import write_offers
from crmkit.segments.brand_usage import BrandUsage
from crmkit.transactions.log import Transactions

if TYPE_CHECKING:
    from crmkit.pipeline.settings import Campaign, Offers

_OF_MEMBERS = {"worth_by_value": "value", "perks_below": "deal_share"}
"""Terms that hang on a column of the members; without it they do not hold."""
_BY_USAGE = ["brand_group", "value_light", "value_medium", "value_heavy"]


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


@stage("deal_shares", here=True)
def share_of_deals(
    log: Transactions, repurchases: Path, deals: pd.DataFrame, campaign_due: Mapping[str, str], *, folder: Path
) -> dict[str, object]:
    """How much of what each member buys in a category is what each deal of these days is for."""
    running, path = Deals(deals).active(*_window(campaign_due)), folder / "deal_shares.parquet"
    for sentence in unmatched_sentences(unmatched_deals(log, running), "no line has"):
        note(sentence)
    if "category" not in log.items or item_timed(repurchases) == "product_id":
        _write_whole_shares(repurchases, running.frame, path)
        return {"deal_shares": path}
    lacking = [name for name in NARROWING if name not in log.items and running.frame[name].notna().any()]
    if lacking:
        note(
            f"Deals name a {' and a '.join(lacking)} that the lines do not have: they are taken to be for the whole category."
        )
    return {"deal_shares": write_deal_shares(log, Deals(running.frame.assign(**dict.fromkeys(lacking))), path)}


def _write_whole_shares(repurchases: Path, deals: pd.DataFrame, path: Path) -> None:
    """Where what is timed is what the deals are for: all of it."""
    with DuckDBEngine() as engine:
        due, running, item = engine.parquet(repurchases), engine.register(deals), engine.quoted(item_timed(repurchases))
        engine.save(
            f"""select customer_id, deal_id, cast(1 as double) as category_days, cast(1 as double) as own_days,
            cast(1 as double) as share
            from {due} as due join {running} as running using ({item}) order by customer_id, {item}, deal_id""",
            path,
        )


@stage("deals_left", "received_offers", "resting_offers", here=True)
def remember_offers(
    deals: pd.DataFrame,
    campaign_record: Sequence[Recorded],
    as_of: date,
    campaign_due: Mapping[str, str],
    redemptions: pd.DataFrame | None = None,
    *,
    campaign: Campaign,
) -> dict[str, object]:
    """What earlier lists leave: of the budgets, and of what a member may be offered."""
    sent = sent_offers(campaign_record)
    open_offers = outstanding(sent, redemptions, as_of)
    spent = sent.head(0).assign(amount=0.0) if redemptions is None else redemptions
    left = budgets_left(Deals(deals), spent, open_offers.head(0)).frame
    taken = [
        table.groupby("deal_id")[name].sum() for table, name in ((spent, "amount"), (open_offers, "expected_cost"))
    ]
    redeemed, committed = (deals["deal_id"].map(money).fillna(0.0).astype(float) for money in taken)
    keys = ["customer_id", "deal_id"]
    had = [open_offers[keys], spent[keys].drop_duplicates()]
    rested = pd.to_datetime(sent["ends"]) > pd.Timestamp(as_of - timedelta(days=campaign.rest))
    return {
        "deals_left": left.assign(redeemed=redeemed, outstanding=committed),
        "received_offers": pd.concat(had, ignore_index=True).astype("str"),
        "resting_offers": sent.loc[rested, keys].drop_duplicates().astype("str") if campaign.rest else None,
    }


@stage(
    "offers",
    "mailing",
    "control",
    "planned",
    "campaign_plan",
    "campaign_needs",
    "campaign_pairs",
    "plan",
    "list_terms",
    "offer_tips",
    "offer_block",
    here=True,
)
def plan_offers(
    campaign_due: Mapping[str, str],
    repurchases: Path,
    deal_shares: Path,
    customers: pd.DataFrame,
    deals_left: pd.DataFrame,
    received_offers: pd.DataFrame,
    resting_offers: pd.DataFrame | None = None,
    deal_usage: pd.DataFrame | None = None,
    last_campaign: LastCampaign | None = None,
    redemption_rates: pd.DataFrame | None = None,
    redemption_habits: Mapping[str, float] | None = None,
    response_scale: Mapping[str, float] | None = None,
    tips: pd.DataFrame | None = None,
    sent_campaign: Recorded | None = None,
    *,
    offers: Offers,
    campaign: Campaign,
    currency: str,
    folder: Path,
) -> dict[str, object]:
    """Which member gets which deal, and who is held back."""
    if sent_campaign is not None:
        return _as_sent(sent_campaign, campaign_due, folder) | {"list_terms": {"least_need": offers.least_need}}
    name, catalogue = campaign_due["campaign"], Deals(deals_left)
    measured = last_campaign.for_deals(catalogue) if last_campaign else catalogue
    scale = _scale(response_scale)
    shares = _offerable(deal_shares, resting_offers, deals_left, offers.margin, folder)
    model = _model(shares, redemption_rates, redemption_habits or {}, scale, deals_left, offers, campaign)
    terms = OfferPlan(measured, tips=tips, key=name, **_terms(_known_terms(offers, customers), deals_left))
    plan = _solved(terms, in_order(repurchases, folder), customers, deal_usage, received_offers, model)
    if plan is None:
        return {}
    foretold = with_codes(plan.offers, name).assign(response_scale=scale, **_foretold_by(model, plan.offers))
    _write(foretold, deals_left, folder)
    if not len(plan.offers):
        running = catalogue.active(*_window(campaign_due)).frame
        note(f"No offer was made: {why_none(running, items_due(repurchases), plan)}.")
    return {
        "offers": folder / "offers.parquet",
        "mailing": folder / "offers.csv",
        "control": _with_tier(plan.control, customers),
        "planned": _with_tier(plan.planned, customers),
        "campaign_pairs": _write_pairs(plan, repurchases, deal_shares, deals_left, folder / "campaign_pairs.parquet"),
        "campaign_plan": dict(campaign_due),
        "campaign_needs": _write_needs(plan, repurchases, deals_left, folder / "campaign_needs.parquet"),
        "plan": _figures_of(plan),
        "list_terms": {"least_need": offers.least_need},
        "offer_tips": plan.tips,
        "offer_block": offer_block(plan, currency=currency),
    }


def _solved(
    terms: OfferPlan,
    due: Source,
    customers: pd.DataFrame,
    usage: pd.DataFrame | None = None,
    received: pd.DataFrame | None = None,
    model: RedemptionModel | None = None,
) -> OfferResult | None:
    """The plan, and none where no deal is for anything that is due: the night goes on without lists, and says so."""
    try:
        return terms.solve(due, customers, usage, received, model)
    except UnmatchedDealsError as error:
        note(str(error))
        return None


def _known_terms(offers: Offers, customers: pd.DataFrame) -> Offers:
    """The terms without those that hang on a column which the members do not have."""
    return offers.model_copy(update={name: 0.0 for name, column in _OF_MEMBERS.items() if column not in customers})


def _figures_of(plan: OfferResult) -> dict[str, object]:
    return {
        "objective": plan.objective,
        "gap": plan.gap,
        "members": plan.n_served,
        "need_share": plan.need_share,
        "shortage": " ".join(plan.shortages),
    }


def _model(
    shares: Path,
    rates: pd.DataFrame | None,
    habits: Mapping[str, float],
    scale: float,
    deals: pd.DataFrame,
    offers: Offers,
    campaign: Campaign,
) -> RedemptionModel:
    """What is known of redemption, from the record of campaigns where there is one."""
    return RedemptionModel(
        shares,
        rates,
        probability=campaign.keep_budgets,
        outstanding=deals.set_index("deal_id")["outstanding"],
        mean=habits.get("mean", RedemptionModel.mean),
        uncertainty=habits.get("uncertainty", RedemptionModel.uncertainty),
        category_response=RedemptionModel.category_response * scale,
        brand_response=RedemptionModel.brand_response * scale,
        trials=offers.trial_slots > 0,
        uptake=habits.get("uptake", RedemptionModel.uptake),
        trial_uptake=habits.get("trial_uptake", RedemptionModel.trial_uptake),
        retention=habits.get("retention", RedemptionModel.retention),
    )


def _foretold_by(model: RedemptionModel, offers: pd.DataFrame) -> dict[str, pd.Series[float]]:
    """What is in the expected redemptions of offers, so that it can be taken out again when they are looked back on."""
    rates = pd.Series(dtype=float) if model.rates is None else model.rates.set_index("customer_id")["rate"]
    uptake = offers["is_trial"].map({True: model.trial_uptake, False: model.uptake}).astype(float)
    return {"readiness": offers["customer_id"].map(rates).astype(float).fillna(model.mean), "uptake": uptake}


def _scale(measured: Mapping[str, float] | None) -> float:
    """The measured response as a multiple of the assumed one, within what is plausible."""
    return 1.0 if measured is None else min(max(measured["scale"], 0.25), 3.0)


def _with_tier(members: pd.DataFrame, customers: pd.DataFrame) -> pd.DataFrame:
    return members.merge(customers[["customer_id", "tier"]], how="left") if "tier" in customers else members


def _write_pairs(plan: OfferResult, repurchases: Path, shares: Path, deals: pd.DataFrame, path: Path) -> Path:
    """Members in the plan and in control with each deal of what they buy: the chance that they buy its goods anyway."""
    item = item_timed(repurchases)
    with DuckDBEngine() as engine:
        name, members = engine.quoted(item), engine.register(_members_of(plan))
        order = f"deals.{name}, " if item == "product_id" else ""
        engine.save(
            f"""select shares.customer_id, shares.deal_id,
            case when isnan(p_purchase * share) then 0 else coalesce(p_purchase * share, 0) end as p_anyway
            from {engine.parquet(shares)} as shares join {engine.register(deals[["deal_id", item]])} as deals using (deal_id)
            join {engine.parquet(repurchases)} as due on due.customer_id = shares.customer_id and due.{name} = deals.{name}
            where shares.customer_id in (select customer_id from {members}) and p_purchase >= 0
            order by shares.customer_id, {order}shares.deal_id""",
            path,
        )
    return path


def _offerable(shares: Path, resting: pd.DataFrame | None, deals: pd.DataFrame, margin: float, folder: Path) -> Path:
    """Shares of members and deals that are not at rest, with what else the members buy there earns."""
    rest = None if resting is None else resting.sort_values("customer_id", ignore_index=True)
    pieces = (other_margins(_without(piece, rest), deals, margin) for piece in whole_members(shares))
    return written(pieces, folder / "offerable.parquet")


def _without(shares: pd.DataFrame, resting: pd.DataFrame | None) -> pd.DataFrame:
    """Members and deals that are not at rest; those at rest come ordered by member."""
    if resting is None or not len(shares):
        return shares
    keys, members = ["customer_id", "deal_id"], resting["customer_id"]
    start, end = (
        members.searchsorted(shares["customer_id"].iloc[0]),
        members.searchsorted(shares["customer_id"].iloc[-1], "right"),
    )
    theirs = pd.MultiIndex.from_frame(resting[keys].iloc[start:end])
    at_rest = pd.MultiIndex.from_frame(shares[keys]).isin(theirs)
    return shares[~at_rest].reset_index(drop=True)


def _window(campaign_due: Mapping[str, str]) -> tuple[str, str]:
    return campaign_due["first_day"], campaign_due["last_day"]


def _terms(offers: Offers, deals: pd.DataFrame) -> dict[str, Any]:
    """The configured terms, with the budgets of funders and store less what was redeemed of these deals."""
    terms: dict[str, Any] = offers.model_dump()
    share = deals["funder_share"].fillna(0).astype(float)
    paid = (deals["redeemed"] * share).groupby(deals["funder"]).sum()
    left = {name: max(money - float(paid.get(name, 0.0)), 0.0) for name, money in terms["funder_budgets"].items()}
    own = float((deals["redeemed"] * (1 - share)).sum())
    store = terms["store_budget"]
    return terms | {"funder_budgets": left, "store_budget": None if store is None else max(store - own, 0.0)}


def _write(offers: pd.DataFrame, deals: pd.DataFrame, folder: Path) -> None:
    says = deals[["deal_id", "title", "starts", "ends", "barcode"]]
    write_offers(offers.merge(says, how="left", on="deal_id"), folder)


def _write_needs(plan: OfferResult, repurchases: Path, deals: pd.DataFrame, path: Path) -> Path:
    """What was due, of the members in the plan and in control and of items with a deal: the campaign is measured by it."""
    return due_of(repurchases, path, _members_of(plan), deals[item_timed(repurchases)])


def _members_of(plan: OfferResult) -> pd.DataFrame:
    return pd.concat([plan.planned[["customer_id"]], plan.control[["customer_id"]]])


def _as_sent(campaign: Recorded, due: Mapping[str, str], folder: Path) -> dict[str, object]:
    """The tables of a campaign that was sent already, as they were."""
    note(f"Campaign {campaign.name} was sent already; its offers stay as they were.")
    write_offers(pd.read_parquet(campaign.folder / "offers.parquet"), folder)
    kept = {name: campaign.table(name) for name in ("control", "planned", "campaign_needs", "campaign_pairs")}
    files = {"offers": folder / "offers.parquet", "mailing": folder / "offers.csv"}
    return files | kept | {"campaign_plan": dict(due)}
