"""Where products stand."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from crmkit.pipeline.notes import note
from crmkit.pipeline.stage import stage
from crmkit.products import life_cycles as curves
from crmkit.products.basket_affinity import bought_together
from crmkit.products.forecast import forecast as forecast_of
from crmkit.products.forecast_accuracy import forecast_accuracy
from crmkit.products.replenishment import purchase_plan as plan_of
from crmkit.products.trial_repeat import trial_repeat
from crmkit.reports.blocks.bundles import bundles as bundle_block
from crmkit.reports.blocks.forecast import forecast as forecast_block
from crmkit.reports.blocks.life_cycles import life_cycles as life_cycle_block
from crmkit.reports.blocks.purchase_plan import purchase_plan as plan_block
from crmkit.reports.blocks.trials import trials as trial_block
from crmkit.transactions.log import Transactions

if TYPE_CHECKING:
    from crmkit.pipeline.member_settings import Trials
    from crmkit.pipeline.settings import Bundles, Forecast, LifeCycle, PurchasePlanning


@stage("life_cycles", "life_cycle_block")
def life_cycles(log: Transactions, *, life_cycle: LifeCycle) -> dict[str, object]:
    """Introduction, growth, maturity or decline of each item."""
    table = curves.life_cycle(log, **life_cycle.model_dump())
    return {"life_cycles": table, "life_cycle_block": life_cycle_block(table)}


@stage("bundles", "bundle_block")
def bundles(
    log: Transactions, as_of: date, deals: pd.DataFrame | None = None, *, bundles: Bundles
) -> dict[str, object]:
    """Which items are bought together, whether that held in later baskets, and how much of it is promotion."""
    known = _events(deals, bundles.by)
    retest = as_of - timedelta(days=bundles.retest) if bundles.retest else None
    promotions = known if bundles.size == 2 else None
    table = bought_together(log, **bundles.model_dump(exclude={"retest"}), retest=retest, promotions=promotions)
    return {"bundles": table, "bundle_block": bundle_block(table)}


@stage("forecast", "forecast_accuracy", "forecast_block", may_fail=True, here=True)
def forecast(
    log: Transactions, deals: pd.DataFrame | None = None, *, forecast: Forecast, currency: str
) -> dict[str, object]:
    """What will be sold, and how good such a forecast was before."""
    asked = forecast.model_dump(exclude={"holidays"})
    table = forecast_of(log, **asked, events=_events(deals, forecast.by), holidays=forecast.holidays)
    scores = forecast_accuracy(log, **asked)
    block = forecast_block(table, scores, measure=forecast.measure, currency=currency)
    return {"forecast": table, "forecast_accuracy": scores, "forecast_block": block}


def _events(deals: pd.DataFrame | None, by: str) -> pd.DataFrame | None:
    """Deals as events: what one of a kind did to the sales of its item, the next one is taken to do."""
    if deals is None or by not in deals or deals[by].isna().all():
        return None
    known = deals[deals[by].notna()]
    return known[[by, "starts", "ends"]].assign(name="deal " + known["kind"].fillna("").astype(str))


@stage("purchase_plan", "orders", "purchase_plan_block", may_fail=True, here=True)
def purchase_plan(
    log: Transactions,
    stock: pd.DataFrame,
    repurchases: pd.DataFrame | None = None,
    *,
    purchase_plan: PurchasePlanning,
    currency: str,
    folder: Path,
) -> dict[str, object]:
    """What to order of whom, and a file for each supplier."""
    plan = plan_of(log, stock, needs=_needs(repurchases), **purchase_plan.model_dump())
    if len(plan.unknown):
        note(
            f"{len(plan.unknown):,} of {len(stock):,} products in the stock have not been sold (unknown products?); nothing is "
            "ordered of them."
        )
    plan.write(folder / "orders")
    block = plan_block(plan.orders, plan.service_level, currency=currency)
    return {"purchase_plan": plan.orders, "orders": folder / "orders", "purchase_plan_block": block}


def _needs(repurchases: pd.DataFrame | None) -> pd.DataFrame | None:
    """What members are expected to need of each product, where products are timed."""
    if repurchases is None or "product_id" not in repurchases or not len(repurchases):
        return None
    expected = repurchases.groupby("product_id")["p_purchase"].sum()
    days = int(repurchases["horizon"].iloc[0])
    return pd.DataFrame({"product_id": expected.index, "expected": expected.to_numpy(), "days": days})


@stage("trials", "trial_block", may_fail=True, here=True)
def follow_trials(log: Transactions, *, trials: Trials) -> dict[str, object]:
    """Who tries new products, and who buys them again."""
    if not {"product_id", "category"} <= set(log.items):
        note("[trials] needs product_id and category of the lines, or of the products.")
        return {}
    found = trial_repeat(log, trials.where, trials.horizon, trials.least)
    return {"trials": found, "trial_block": trial_block(found, trials.horizon)}
