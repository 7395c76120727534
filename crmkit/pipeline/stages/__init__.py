"""The nightly run as a list: each stage's inputs are made by those above it, or are sources."""

from crmkit.pipeline.stages.backtests import backtest_churn, backtest_repurchase, backtest_value
from crmkit.pipeline.stages.campaigns import (
    guard_against_deals,
    match_redeemed,
    measure_campaigns,
    recognise_redemptions,
    record_campaigns,
    redemption_rates,
)
from crmkit.pipeline.stages.cohorts import cohorts, forecast_total, look_back, potential, revenue
from crmkit.pipeline.stages.customers import (
    choose_value_model,
    customer_blocks,
    customers,
    depend_on_deals,
    fit_churn,
    fit_value,
    measure_win_back,
    score_churn,
    score_value,
    summarise,
    tier_changes,
    win_back,
)
from crmkit.pipeline.stages.identity import identify, read_cards, read_merges, share_with_card, tell_identity
from crmkit.pipeline.stages.lists import find_usual_products, print_lists, write_till_file
from crmkit.pipeline.stages.load import check_delivery, draw_members, load, suspect_cards
from crmkit.pipeline.stages.management import management
from crmkit.pipeline.stages.members import cash_discount, early_notice
from crmkit.pipeline.stages.offers import plan_offers, remember_offers, share_of_deals, usage_for_deals
from crmkit.pipeline.stages.points import keep_points, read_points
from crmkit.pipeline.stages.products import bundles, follow_trials, forecast, life_cycles, purchase_plan
from crmkit.pipeline.stages.reports import report, sales
from crmkit.pipeline.stages.repurchase import fit_repurchase, repurchase_block, score_repurchases
from crmkit.pipeline.stages.scorecard import scorecard
from crmkit.pipeline.stages.segments import brand_usage, clusters, relationships, target_groups
from crmkit.pipeline.stages.service import recovery_list, service_cases, service_signals
from crmkit.pipeline.stages.sheets import print_sheets
from crmkit.pipeline.stages.sources import (
    read_costs,
    read_deals,
    read_members,
    read_prices,
    read_products,
    read_rates,
    read_redemptions,
    read_service,
    read_stock,
    read_tips,
    tell_erasures,
)
from crmkit.pipeline.stages.summary import list_tasks, tell_changes
from crmkit.pipeline.stages.visits import plan_visits, read_field_staff, read_premises, read_visits

__all__ = ["STAGES"]

STAGES = [
    tell_erasures,
    read_products,
    read_members,
    read_cards,
    read_merges,
    identify,
    read_deals,
    read_tips,
    read_prices,
    read_stock,
    read_rates,
    read_service,
    read_costs,
    read_redemptions,
    read_points,
    read_field_staff,
    read_premises,
    load,
    check_delivery,
    draw_members,
    suspect_cards,
    tell_identity,
    share_with_card,
    keep_points,
    scorecard,
    summarise,
    choose_value_model,
    fit_value,
    score_value,
    look_back,
    forecast_total,
    fit_churn,
    score_churn,
    service_signals,
    depend_on_deals,
    service_cases,
    customers,
    read_visits,
    plan_visits,
    tier_changes,
    customer_blocks,
    recovery_list,
    fit_repurchase,
    score_repurchases,
    repurchase_block,
    early_notice,
    cash_discount,
    brand_usage,
    relationships,
    target_groups,
    clusters,
    life_cycles,
    bundles,
    follow_trials,
    forecast,
    purchase_plan,
    management,
    recognise_redemptions,
    match_redeemed,
    redemption_rates,
    record_campaigns,
    measure_campaigns,
    guard_against_deals,
    usage_for_deals,
    share_of_deals,
    win_back,
    measure_win_back,
    remember_offers,
    plan_offers,
    write_till_file,
    find_usual_products,
    print_lists,
    print_sheets,
    sales,
    cohorts,
    revenue,
    potential,
    backtest_value,
    backtest_churn,
    backtest_repurchase,
    tell_changes,
    list_tasks,
    report,
]
