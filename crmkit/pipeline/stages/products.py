"""Where products stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crmkit.pipeline.stage import stage
from crmkit.products import life_cycles as curves
from crmkit.reports.blocks.life_cycles import life_cycles as life_cycle_block
from crmkit.transactions.log import Transactions

if TYPE_CHECKING:
    from crmkit.pipeline.settings import LifeCycle


@stage("life_cycles", "life_cycle_block")
def life_cycles(log: Transactions, *, life_cycle: LifeCycle) -> dict[str, object]:
    """Introduction, growth, maturity or decline of each item."""
    table = curves.life_cycle(log, **life_cycle.model_dump())
    return {"life_cycles": table, "life_cycle_block": life_cycle_block(table)}
