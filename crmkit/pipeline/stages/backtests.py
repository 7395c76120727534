"""Each model refitted as of earlier dates: done when there is no record yet, or when it has grown old."""

from __future__ import annotations

from typing import Any

import pandas as pd

from crmkit.churn.model import ChurnModel
from crmkit.evaluation.backtest import backtest
from crmkit.ingest.tables import ServiceRecords
from crmkit.pipeline.stage import stage
from crmkit.pipeline.stages.customers import unfitted
from crmkit.pipeline.stages.repurchase import item_of
from crmkit.repurchase.next_purchase import NextPurchase
from crmkit.transactions.log import Transactions


@stage("value_backtest", max_age="backtests.max_age", ages=["log"], may_fail=True)
def backtest_value(log: Transactions, value_choice: Any, *, value: Any) -> dict[str, Any]:
    """Lifetime value at past origins."""
    return {"value_backtest": backtest(unfitted(value, value_choice["name"]), log)}


@stage("churn_backtest", max_age="backtests.max_age", ages=["log", "service"], may_fail=True)
def backtest_churn(log: Transactions, service: pd.DataFrame | None = None, *, churn: Any) -> dict[str, Any]:
    """Churn at past origins."""
    more: dict[str, Any] = {} if service is None else {"service": ServiceRecords(service)}
    return {"churn_backtest": backtest(ChurnModel(churn.horizon), log, **more)}


@stage("repurchase_backtest", max_age="backtests.max_age", may_fail=True)
def backtest_repurchase(log: Transactions, *, repurchase: Any) -> dict[str, Any]:
    """The next purchase at past origins."""
    by = item_of(log, repurchase)
    if by is None:
        return {}
    model = NextPurchase(by=by, exclude=repurchase.exclude)
    return {"repurchase_backtest": backtest(model, log, horizon=repurchase.horizon)}
