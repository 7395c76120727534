"""The report, from tables that are there already."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from crmkit.campaigns.contact_history import LastCampaign
from crmkit.evaluation.backtest import Backtest
from crmkit.offers.result import OfferResult
from crmkit.pipeline.history import Previous
from crmkit.pipeline.stage import stage
from crmkit.reports.report import Report
from crmkit.segments.migration import Migration
from crmkit.summaries.sales import weekly_sales
from crmkit.transactions.log import Transactions
from crmkit.transactions.rejections import Rejections


@stage("sales_by_week")
def sales(log: Transactions) -> dict[str, Any]:
    """What members bought, week by week."""
    return {"sales_by_week": weekly_sales(log)}


@stage("report", "campaign", "backtests")
def report(
    as_of: date,
    received: Rejections,
    read: Any,
    sales_by_week: pd.DataFrame,
    customers: pd.DataFrame,
    notes: Sequence[str],
    moved: Migration | None = None,
    previous: Previous | None = None,
    repurchases: pd.DataFrame | None = None,
    last_campaign: LastCampaign | None = None,
    offer_plan: OfferResult | None = None,
    value_backtest: Backtest | None = None,
    churn_backtest: Backtest | None = None,
    repurchase_backtest: Backtest | None = None,
    *,
    title: str,
    currency: str,
    value: Any,
    churn: Any,
    folder: Path,
) -> dict[str, Any]:
    """One page for whoever decides."""
    page = Report(title, as_of=as_of, currency=currency)
    page.add_card(len(customers), "customers")
    page.add_card(customers["value"].sum(), f"value expected in {value.horizon} days")
    page.add_card(customers["value_at_risk"].sum(), f"at risk in {churn.horizon} days")
    if offer_plan is not None:
        page.add_card(offer_plan.n_served, "members with a list")
    page.add_sales(sales_by_week).add_tiers(customers)
    if previous and moved:
        page.add_changes(moved, previous.day)
    _backed(page, value_backtest)
    page.add_segments(customers).add_churn(customers, churn.horizon)
    _backed(page, churn_backtest)
    if repurchases is not None:
        page.add_repurchases(repurchases, str(repurchases.columns[1]))
    _backed(page, repurchase_backtest)
    if last_campaign:
        page.add_note("What the last campaign brought", str(last_campaign))
    if offer_plan is not None:
        page.add_offers(offer_plan)
    page.add_rejections(received)
    if read["after_as_of"]:
        page.add_note("Not looked at", f"{read['after_as_of']:,} of the rows used are dated after {as_of}.")
    for note in notes:
        page.add_note("Please note", note)
    checks = [check for check in (value_backtest, churn_backtest, repurchase_backtest) if check is not None]
    return {
        "report": page.save(folder / "report.html"),
        "campaign": {"told": str(last_campaign)} if last_campaign else None,
        "backtests": {check.subject: _finite(check.mean) for check in checks},
    }


def _finite(scores: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    """Scores by model; one that cannot be had from these rows is null."""
    return {
        str(model): {str(name): round(float(value), 6) if pd.notna(value) else None for name, value in row.items()}
        for model, row in scores.iterrows()
    }


def _backed(page: Report, check: Backtest | None) -> None:
    if check is not None:
        page.add_backtest(check)
