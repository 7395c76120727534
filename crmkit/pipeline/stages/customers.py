"""One row per customer: summaries, value, risk, labels."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING

import pandas as pd

from crmkit.churn.model import ChurnModel
from crmkit.evaluation.selection import choose_model, default_candidates
from crmkit.exceptions import ModelError
from crmkit.ingest.tables import ServiceRecords
from crmkit.models import CustomerLifetimeValue, GammaGamma
from crmkit.models.purchase_model import PurchaseModel
from crmkit.pipeline.history import Previous
from crmkit.pipeline.notes import note
from crmkit.pipeline.quality import check_members
from crmkit.pipeline.stage import stage
from crmkit.reports.blocks.churn import churn as churn_block
from crmkit.reports.blocks.segments import segments
from crmkit.reports.blocks.service import win_back as win_back_block
from crmkit.reports.blocks.tiers import concentration, tier_changes, tiers
from crmkit.segments.labels import labelled
from crmkit.segments.tiers import ValueTiers
from crmkit.summaries.customers import btyd_summary, rfm_table, weekly_spend
from crmkit.transactions.log import Transactions

if TYPE_CHECKING:
    from crmkit.pipeline.settings import Churn, Thresholds, Value, WinBack


@stage("customer_summary")
def summarise(log: Transactions) -> dict[str, object]:
    """What each customer has done up to the run date."""
    customers = btyd_summary(log)
    if not len(customers):
        raise ModelError(f"No member has bought anything by {log.until}. Check --as-of, until and the files.")
    customers = customers.merge(rfm_table(log), on="customer_id").merge(weekly_spend(log), on="customer_id")
    return {"customer_summary": customers}


@stage("value_choice", "model_comparison", max_age="backtests.max_age", ages=["log"])
def choose_value_model(log: Transactions, *, value: Value) -> dict[str, object]:
    """The purchase model that did best at earlier origins, where [value] model is "auto"."""
    if value.model != "auto":
        return {"value_choice": {"name": value.model, "why": ""}}
    choice = choose_model(log, _purchase_models())
    return {
        "value_choice": {"name": choice.name, "why": choice.why},
        "model_comparison": choice.table.reset_index(),
    }


def _purchase_models() -> dict[str, PurchaseModel]:
    """Candidates from which a value can be made."""
    return {name: one for name, one in default_candidates().items() if isinstance(one, PurchaseModel)}


@stage("value_model", max_age="value.refit_every", ages=["customer_summary"])
def fit_value(
    customer_summary: pd.DataFrame, value_choice: Mapping[str, str], value_drift: object = None, *, value: Value
) -> dict[str, object]:
    """The model of lifetime value; fitted again when its scores drift."""
    return {"value_model": unfitted(value, value_choice["name"]).fit(customer_summary)}


def unfitted(value: Value, model: str) -> CustomerLifetimeValue:
    """The model that [value] asks for, not fitted."""
    terms = {"horizon": value.horizon, "annual_discount": value.annual_discount, "margin": value.margin}
    return CustomerLifetimeValue(_purchase_models()[model], GammaGamma(first_purchase=True), **terms)


@stage("customer_values")
def score_value(customer_summary: pd.DataFrame, value_model: CustomerLifetimeValue) -> dict[str, object]:
    """What each customer is expected to be worth."""
    purchases = value_model.purchases_
    return {
        "customer_values": customer_summary[["customer_id"]].assign(
            p_alive=purchases.probability_alive(customer_summary),
            expected_purchases=purchases.expected_purchases(customer_summary, value_model.horizon),
            value=value_model.predict(customer_summary),
        )
    }


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
    log: Transactions, churn_model: ChurnModel, service: pd.DataFrame | None = None, *, win_back: WinBack, currency: str
) -> dict[str, object]:
    """Customers who are cooling, at risk, frozen or lost, the most value at risk first."""
    found = churn_model.win_back(log, service=_records(service), n=win_back.n)
    return {"win_back": found, "win_back_block": win_back_block(found, currency=currency)}


@stage("customers", "tier_changes", "headline", "tier_blocks", "segment_blocks", "churn_block")
def customers(
    customer_summary: pd.DataFrame,
    customer_values: pd.DataFrame,
    customer_risks: pd.DataFrame,
    as_of: date,
    members: pd.DataFrame | None = None,
    previous: Previous | None = None,
    service_signals: pd.DataFrame | None = None,
    *,
    value: Value,
    churn: Churn,
    thresholds: Thresholds,
    currency: str,
) -> dict[str, object]:
    """All that is known of each customer, in one row; segments and tiers are held by those of the run before."""
    rule = ValueTiers(shares=value.tiers)
    scored = customer_summary.merge(customer_values, on="customer_id")
    before = _comparable(previous, scored, value)
    table = labelled(scored, rule, as_of, before.customers if before else None).merge(customer_risks, on="customer_id")
    if members is not None:
        check_members(table, members, thresholds.unmatched_members)
        table = table.merge(members, on="customer_id", how="left")
    if service_signals is not None:
        table = table.merge(service_signals, on="customer_id", how="left")
        table["open_complaints"] = table["open_complaints"].fillna(0).astype("int64")
    moved = before.moved(table, rule) if before else None
    told = [tiers(table, currency=currency), concentration(table, currency=currency)]
    if before and moved:
        told.append(tier_changes(moved, before.day, currency=currency))
    return {
        "customers": table,
        "tier_changes": moved and moved.changes,
        "headline": [
            (float(len(table)), "customers"),
            (float(table["value"].sum()), f"value expected in {value.horizon} days"),
            (float(table["value_at_risk"].sum()), f"at risk in {churn.horizon} days"),
        ],
        "tier_blocks": told,
        "segment_blocks": [segments(table, currency=currency)],
        "churn_block": churn_block(table, churn.horizon, currency=currency),
    }


def _comparable(previous: Previous | None, customers: pd.DataFrame, value: Value) -> Previous | None:
    """The run before, where it was one of these customers and settings."""
    if previous is None:
        return None
    if not previous.valued_by(value):
        note(f"Segments and tiers were rebuilt from scratch because [value] changed since the run of {previous.day}.")
        return None
    if not customers["customer_id"].isin(previous.customers.index).any():
        note(f"Segments and tiers were rebuilt from scratch: the run of {previous.day} had none of these customers.")
        return None
    return previous
