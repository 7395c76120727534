"""Each model refitted as of earlier dates: done when there is no record yet, or when it has grown old."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from crmkit.churn.backtest import ChurnBacktest
from crmkit.churn.model import ChurnModel
from crmkit.evaluation.backtest import Backtest, backtest
from crmkit.ingest.tables import ServiceRecords
from crmkit.pipeline.stage import stage
from crmkit.pipeline.stages.customers import unfitted
from crmkit.pipeline.stages.repurchase import item_of
from crmkit.reports.blocks.backtests import backtest as backtest_block
from crmkit.reports.blocks.backtests import churn_targeting
from crmkit.repurchase.next_purchase import NextPurchase
from crmkit.transactions.log import Transactions

if TYPE_CHECKING:
    from crmkit.pipeline.settings import Churn, Repurchase, Value


@stage("value_backtest", "value_check", max_age="backtests.max_age", ages=["judged"], may_fail=True)
def backtest_value(judged: Transactions, value_choice: Mapping[str, str], *, value: Value) -> dict[str, object]:
    """Lifetime value at past origins."""
    check = backtest(unfitted(value, value_choice["name"]), judged)
    return {"value_backtest": _figures(check), "value_check": backtest_block(check)}


@stage("churn_backtest", "churn_checks", max_age="backtests.max_age", ages=["judged", "service"], may_fail=True)
def backtest_churn(judged: Transactions, service: pd.DataFrame | None = None, *, churn: Churn) -> dict[str, object]:
    """Churn at past origins."""
    more: dict[str, Any] = {} if service is None else {"service": ServiceRecords(service)}
    check = backtest(ChurnModel(churn.horizon), judged, **more)
    blocks = [backtest_block(check)]
    if isinstance(check, ChurnBacktest) and len(check.gains.table):
        blocks.append(churn_targeting(check))
    return {"churn_backtest": _figures(check), "churn_checks": blocks}


@stage("repurchase_backtest", "repurchase_check", max_age="backtests.max_age", ages=["judged"], may_fail=True)
def backtest_repurchase(judged: Transactions, *, repurchase: Repurchase) -> dict[str, object]:
    """The next purchase at past origins."""
    by = item_of(judged, repurchase)
    if by is None:
        return {}
    check = backtest(NextPurchase(by=by, exclude=repurchase.exclude), judged, horizon=repurchase.horizon)
    return {"repurchase_backtest": _figures(check), "repurchase_check": backtest_block(check)}


def _figures(check: Backtest) -> dict[str, object]:
    """A backtest for ``run.json``; a score that cannot be had from these rows is null."""
    scores = {
        str(model): {str(name): round(float(value), 6) if pd.notna(value) else None for name, value in row.items()}
        for model, row in check.mean.iterrows()
    }
    return {"subject": check.subject, "as_of": str(check.scores["origin"].max()), "scores": scores}
