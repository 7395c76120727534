"""Where products stand."""

from __future__ import annotations

from typing import Any

from crmkit.pipeline.stage import stage
from crmkit.products import life_cycles as curves
from crmkit.transactions.log import Transactions


@stage("life_cycles")
def life_cycles(log: Transactions, *, life_cycle: Any) -> dict[str, Any]:
    """Introduction, growth, maturity or decline of each item."""
    return {"life_cycles": curves.life_cycle(log, **life_cycle.model_dump())}
