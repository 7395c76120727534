"""Each model refitted as of earlier dates: done when there is no record yet, or when it has grown old."""

from __future__ import annotations

from typing import Any

from crmkit.churn.model import ChurnModel
from crmkit.evaluation.backtest import backtest
from crmkit.pipeline.stage import stage
from crmkit.pipeline.stages.customers import unfitted
from crmkit.pipeline.stages.repurchase import item_of
from crmkit.repurchase.next_purchase import NextPurchase
from crmkit.transactions.log import Transactions


@stage("value_backtest", max_age="backtests.max_age", may_fail=True)
def backtest_value(log: Transactions, *, value: Any) -> dict[str, Any]:
    """Lifetime value at past origins."""
    return {"value_backtest": backtest(unfitted(value), log)}


@stage("churn_backtest", max_age="backtests.max_age", may_fail=True)
def backtest_churn(log: Transactions, *, churn: Any) -> dict[str, Any]:
    """Churn at past origins."""
    return {"churn_backtest": backtest(ChurnModel(churn.horizon), log)}


@stage("repurchase_backtest", max_age="backtests.max_age", may_fail=True)
def backtest_repurchase(log: Transactions, *, repurchase: Any) -> dict[str, Any]:
    """The next purchase at past origins."""
    by = item_of(log, repurchase)
    if by is None:
        return {}
    model = NextPurchase(by=by, exclude=repurchase.exclude)
    return {"repurchase_backtest": backtest(model, log, horizon=repurchase.horizon)}
