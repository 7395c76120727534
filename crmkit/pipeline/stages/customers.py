"""One row per customer: summaries, value, risk, labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from crmkit.campaigns.won_back import what_to_offer, won_back
from crmkit.churn.model import ChurnModel
from crmkit.engine.frames import to_pandas
from crmkit.engine.tables import filled, first_rows, joined, n_rows, total
from crmkit.evaluation.selection import choose_model, default_candidates
from crmkit.exceptions import LeakError, ModelError
from crmkit.ingest.tables import ServiceRecords
from crmkit.models import CustomerLifetimeValue, GammaGamma
from crmkit.models.purchase_model import PurchaseModel
from crmkit.models.scoring import fit_customers, score_customers
from crmkit.offers.control_group import control_group
from crmkit.pipeline.history import Previous, Published
from crmkit.pipeline.notes import note
from crmkit.pipeline.quality import check_members
from crmkit.pipeline.stage import stage
from crmkit.reports.blocks.backtests import choice as choice_block
from crmkit.reports.blocks.churn import churn as churn_block
from crmkit.reports.blocks.segments import life_stages, segments
from crmkit.reports.blocks.service import win_back as win_back_block
from crmkit.reports.blocks.service import won_back as won_back_block
from crmkit.reports.blocks.tiers import concentration, tiers
from crmkit.reports.blocks.tiers import tier_changes as tier_change_block
from crmkit.segments.labels import fitted_tiers, labelled
from crmkit.segments.tiers import ValueTiers
from crmkit.summaries.customers import btyd_summary, rfm_table, weekly_spend
from crmkit.summaries.deal_dependence import deal_dependence
from crmkit.transactions.levels import Level, members_at
from crmkit.transactions.log import Transactions

if TYPE_CHECKING:
    from crmkit.pipeline.settings import Churn, Thresholds, Value, WinBack

USUAL = "BG/NBD"
"""The model where nothing can be compared."""


@stage("customer_summary")
def summarise(log: Transactions) -> dict[str, object]:
    """What each customer has done up to the run date."""
    if log.first_day() is None:
        raise ModelError(f"No member has bought anything by {log.until}. Check --as-of, until and the files.")
    return {"customer_summary": joined(btyd_summary(log), rfm_table(log), weekly_spend(log))}


@stage("value_choice", "model_comparison", "value_choice_block", max_age="backtests.max_age", ages=["judged"])
def choose_value_model(judged: Transactions, *, value: Value) -> dict[str, object]:
    """The purchase model that was nearest to the money spent at earlier origins, where [value] model is "auto"."""
    if value.model != "auto":
        return {"value_choice": {"name": value.model, "why": ""}}
    try:
        choice = choose_model(judged)
    except LeakError as short:
        note(f"The model of lifetime value is {USUAL}, which was not compared with others: {short}")
        return {"value_choice": {"name": USUAL, "why": ""}}
    name = next((name for name in choice.table.index if name in _purchase_models()), USUAL)
    return {
        "value_choice": {"name": name, "why": choice.why},
        "model_comparison": choice.table.reset_index(),
        "value_choice_block": choice_block(choice, name),
    }


def _purchase_models() -> dict[str, PurchaseModel]:
    """Candidates from which a value can be made."""
    return {name: one for name, one in default_candidates().items() if isinstance(one, PurchaseModel)}


@stage("value_model", max_age="value.refit_every", ages=["customer_summary"])
def fit_value(
    customer_summary: pd.DataFrame, value_choice: Mapping[str, str], value_drift: object = None, *, value: Value
) -> dict[str, object]:
    """The model of lifetime value; fitted again when its scores drift."""
    return {"value_model": fit_customers(unfitted(value, value_choice["name"]), customer_summary)}


def unfitted(value: Value, model: str) -> CustomerLifetimeValue:
    """The model that [value] asks for, not fitted."""
    terms = {"horizon": value.horizon, "annual_discount": value.annual_discount, "margin": value.margin}
    return CustomerLifetimeValue(_purchase_models()[model], GammaGamma(first_purchase=True), **terms)


@stage("customer_values")
def score_value(customer_summary: pd.DataFrame, value_model: CustomerLifetimeValue) -> dict[str, object]:
    """What each customer is expected to be worth."""
    purchases = value_model.purchases_
    scored = score_customers(
        customer_summary,
        p_alive=purchases.probability_alive,
        expected_purchases=partial(purchases.expected_purchases, horizon=value_model.horizon),
        value=value_model,
    )
    return {"customer_values": scored[["customer_id", "p_alive", "expected_purchases", "value"]]}


@stage("churn_model", max_age="churn.refit_every", ages=["log", "service"])
def fit_churn(
    log: Transactions, service: pd.DataFrame | None = None, churn_drift: object = None, *, churn: Churn
) -> dict[str, object]:
    """The model of who will not buy within the horizon; fitted again when its scores drift."""
    return {"churn_model": ChurnModel(churn.horizon).fit(log, service=_records(service))}


def _records(service: pd.DataFrame | None) -> ServiceRecords | None:
    return None if service is None else ServiceRecords(service)


@stage("customer_risks")
def score_churn(log: Transactions, churn_model: ChurnModel, service: pd.DataFrame | None = None) -> dict[str, object]:
    """Each customer's risk, the money at stake, and why."""
    return {"customer_risks": churn_model.predict(log, service=_records(service))}


@stage("win_back", "win_back_block")
def win_back(
    log: Transactions,
    churn_model: ChurnModel,
    service: pd.DataFrame | None = None,
    deals: pd.DataFrame | None = None,
    deal_shares: Path | None = None,
    *,
    win_back: WinBack,
    currency: str,
) -> dict[str, object]:
    """Customers who are cooling, at risk, frozen or lost, the most value at risk first, and what to offer each."""
    found = churn_model.win_back(log, service=_records(service), n=win_back.n)
    found = found if win_back.n is None else to_pandas(found)
    if isinstance(found, pd.DataFrame):
        held_back = control_group(found["customer_id"], win_back.control, f"win-back {log.until:%Y-%m}")["customer_id"]
        found = found.assign(held_back=found["customer_id"].isin(held_back))
        if deals is not None and deal_shares is not None:
            found = what_to_offer(found, deal_shares, deals)
    return {"win_back": found, "win_back_block": win_back_block(found, currency=currency)}


@stage("win_back_effect", "win_back_effect_block", may_fail=True, here=True)
def measure_win_back(log: Transactions, earlier_runs: Sequence[Published], *, win_back: WinBack) -> dict[str, object]:
    """Who of the newest list whose days are over came back, against those held back from it."""
    over = [
        run for run in earlier_runs if run.day + timedelta(days=win_back.horizon) <= log.until and run.has("win_back")
    ]
    if not over:
        return {}
    run = max(over, key=lambda one: one.day)
    listed = run.table("win_back")
    if "held_back" not in listed or listed["held_back"].sum() < 2 or (~listed["held_back"]).sum() < 2:
        return {}
    found = won_back(log, listed, run.day, win_back.horizon, float(win_back.contact_cost))
    return {
        "win_back_effect": found.table.assign(list_of=str(run.day)),
        "win_back_effect_block": won_back_block(found, run.day),
    }


@stage("deal_dependence", here=True)
def depend_on_deals(log: Transactions) -> dict[str, object]:
    """How much of what each customer buys is bought on a deal, where lines say so."""
    found = deal_dependence(log)
    return {"deal_dependence": found} if found["discounts"].any() else {}


@stage("customers")
def customers(
    customer_summary: pd.DataFrame,
    customer_values: pd.DataFrame,
    customer_risks: pd.DataFrame,
    as_of: date,
    members: pd.DataFrame | None = None,
    previous: Previous | None = None,
    service_signals: pd.DataFrame | None = None,
    identity: pd.DataFrame | None = None,
    deal_dependence: pd.DataFrame | None = None,
    *,
    value: Value,
    thresholds: Thresholds,
    level: Level,
) -> dict[str, object]:
    """All that is known of each customer, in one row; segments and tiers are held by those of the run before."""
    scored = joined(customer_summary, customer_values)
    before = _comparable(previous, scored, value)
    table = labelled(scored, ValueTiers(shares=value.tiers), as_of, before.customers if before else None)
    table = joined(table, customer_risks)
    if members is not None:
        members = members_at(members, identity, level)
        check_members(table, members, thresholds.unmatched_members)
        table = joined(table, members, how="left")
    if deal_dependence is not None:
        table = joined(table, deal_dependence, how="left")
    if service_signals is not None:
        table = filled(joined(table, service_signals, how="left"), "open_complaints")
    return {"customers": table}


@stage("tier_changes", "tier_change_block")
def tier_changes(customers: pd.DataFrame, previous: Previous, *, value: Value, currency: str) -> dict[str, object]:
    """Who is in another tier than in the run before, and why."""
    before = _comparable(previous, customers, value)
    if before is None:
        return {}
    moved = before.moved(customers, fitted_tiers(ValueTiers(shares=value.tiers), customers))
    told = tier_change_block(moved, before.day, currency=currency)
    return {"tier_changes": moved.changes, "tier_change_block": told}


@stage("headline", "tier_blocks", "segment_blocks", "churn_block")
def customer_blocks(customers: pd.DataFrame, *, value: Value, churn: Churn, currency: str) -> dict[str, object]:
    """What the report says of the customers."""
    return {
        "headline": [
            (float(n_rows(customers)), "customers"),
            (total(customers, "value"), f"value expected in {value.horizon} days"),
            (total(customers, "value_at_risk"), f"at risk in {churn.horizon} days"),
        ],
        "tier_blocks": [tiers(customers, currency=currency), concentration(customers, currency=currency)],
        "segment_blocks": [segments(customers, currency=currency), life_stages(customers, currency=currency)],
        "churn_block": churn_block(customers, churn.horizon, currency=currency),
    }


def _comparable(previous: Previous | None, customers: pd.DataFrame, value: Value) -> Previous | None:
    """The run before, where it was one of these customers and settings."""
    if previous is None:
        return None
    if not previous.valued_by(value):
        note(f"Segments and tiers were rebuilt from scratch because [value] changed since the run of {previous.day}.")
        return None
    same = joined(customers[["customer_id"]], previous.customers[["customer_id"]])
    if not len(first_rows(same, 1)):
        note(f"Segments and tiers were rebuilt from scratch: the run of {previous.day} had none of these customers.")
        return None
    return previous
