"""Where products stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crmkit.pipeline.stage import stage
from crmkit.products import life_cycles as curves
from crmkit.products.basket_affinity import bought_together
from crmkit.reports.blocks.bundles import bundles as bundle_block
from crmkit.reports.blocks.life_cycles import life_cycles as life_cycle_block
from crmkit.transactions.log import Transactions

if TYPE_CHECKING:
    from crmkit.pipeline.settings import Bundles, LifeCycle


@stage("life_cycles", "life_cycle_block", here=True)
def life_cycles(log: Transactions, *, life_cycle: LifeCycle) -> dict[str, object]:
    """Introduction, growth, maturity or decline of each item."""
    table = curves.life_cycle(log, **life_cycle.model_dump())
    return {"life_cycles": table, "life_cycle_block": life_cycle_block(table)}


@stage("bundles", "bundle_block", here=True)
def bundles(log: Transactions, *, bundles: Bundles) -> dict[str, object]:
    """Which items are bought together."""
    table = bought_together(log, **bundles.model_dump())
    return {"bundles": table, "bundle_block": bundle_block(table)}
