"""The blocks of a report by name: one function each, from tables to a `Block`."""

from __future__ import annotations

from collections.abc import Callable

from crmkit.reports.block import Block
from crmkit.reports.blocks.backtests import backtest, churn_targeting
from crmkit.reports.blocks.bundles import bundles
from crmkit.reports.blocks.campaigns import campaign
from crmkit.reports.blocks.changes import changes, tasks
from crmkit.reports.blocks.churn import churn
from crmkit.reports.blocks.cohorts import cohorts, second_purchase
from crmkit.reports.blocks.deal_dependence import deal_dependence
from crmkit.reports.blocks.deliveries import data_quality
from crmkit.reports.blocks.forecast import forecast
from crmkit.reports.blocks.groups import brand_usage, clusters, relationships, target_groups
from crmkit.reports.blocks.identity import card_share, identity
from crmkit.reports.blocks.life_cycles import life_cycles
from crmkit.reports.blocks.lists import lists
from crmkit.reports.blocks.management import management
from crmkit.reports.blocks.members import cash_discount, early_notice
from crmkit.reports.blocks.offers import offers
from crmkit.reports.blocks.points import points
from crmkit.reports.blocks.purchase_plan import purchase_plan
from crmkit.reports.blocks.repurchase import repurchases
from crmkit.reports.blocks.revenue import potential, revenue
from crmkit.reports.blocks.sales import sales
from crmkit.reports.blocks.scorecard import scorecard
from crmkit.reports.blocks.segments import segments
from crmkit.reports.blocks.service import handling, overdue, service, win_back
from crmkit.reports.blocks.tiers import concentration, tier_changes, tiers, value_total
from crmkit.reports.blocks.trials import trials
from crmkit.reports.blocks.visits import visits

__all__ = ["BLOCKS"]

BLOCKS: dict[str, Callable[..., Block]] = {
    block.__name__: block
    for block in (
        sales, tiers, concentration, tier_changes, segments, churn, repurchases, campaign, offers, lists, backtest,
        churn_targeting, data_quality, scorecard, brand_usage, relationships, target_groups, clusters, life_cycles,
        service, win_back, cohorts, second_purchase, value_total, bundles, identity, card_share,
        forecast, points, visits, management, deal_dependence, purchase_plan, revenue, potential, cash_discount,
        early_notice, handling, overdue, trials, changes, tasks,
    )
}  # fmt: skip
