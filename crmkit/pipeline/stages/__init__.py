"""The nightly run as a list: each stage's inputs are made by those above it, or are sources."""

from crmkit.pipeline.stages.backtests import backtest_churn, backtest_repurchase, backtest_value
from crmkit.pipeline.stages.customers import customers, fit_churn, fit_value, score_churn, score_value, summarise
from crmkit.pipeline.stages.lists import print_lists
from crmkit.pipeline.stages.load import check_delivery, load, suspect_cards
from crmkit.pipeline.stages.offers import brand_usage, measure_campaign, plan_offers
from crmkit.pipeline.stages.reports import report, sales
from crmkit.pipeline.stages.repurchase import fit_repurchase, score_repurchases
from crmkit.pipeline.stages.scorecard import scorecard
from crmkit.pipeline.stages.sources import read_deals, read_members, read_products, read_tips

__all__ = ["STAGES"]

STAGES = [
    read_products,
    read_members,
    read_deals,
    read_tips,
    load,
    check_delivery,
    suspect_cards,
    scorecard,
    summarise,
    fit_value,
    score_value,
    fit_churn,
    score_churn,
    customers,
    fit_repurchase,
    score_repurchases,
    measure_campaign,
    brand_usage,
    plan_offers,
    print_lists,
    sales,
    backtest_value,
    backtest_churn,
    backtest_repurchase,
    report,
]
