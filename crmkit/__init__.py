"""crmkit: customer decisions from a retailer's till extracts.

The front door only names things; each is imported when it is first asked for, so ``import crmkit`` is quick
and brings in none of the heavy packages behind it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "BGBB": "models",
    "BGCNBD": "models",
    "BGNBD": "models",
    "Backtest": "evaluation",
    "BrandUsage": "brand_usage",
    "BusyError": "exceptions",
    "CampaignEffect": "offers",
    "ChurnBacktest": "evaluation",
    "ChurnModel": "churn",
    "ConfigError": "exceptions",
    "ContractError": "exceptions",
    "Costs": "tables",
    "CrmkitError": "exceptions",
    "CrmkitWarning": "exceptions",
    "CustomerClusters": "segments",
    "CustomerLifetimeValue": "models",
    "Deals": "offers",
    "ExtractError": "exceptions",
    "GammaGamma": "models",
    "GammaGammaTrend": "models",
    "HoldoutSize": "offers",
    "LeakError": "exceptions",
    "MBGCNBD": "models",
    "MBGNBD": "models",
    "MeasuredResponse": "offers",
    "Members": "tables",
    "ModelChoice": "choice",
    "ModelError": "exceptions",
    "NBD": "models",
    "NextPurchase": "timing",
    "NoInputError": "exceptions",
    "OfferPlan": "offers",
    "ParetoNBD": "models",
    "Products": "tables",
    "PublishError": "exceptions",
    "RFMScores": "tiers",
    "RefusedError": "exceptions",
    "Rejections": "delivery",
    "RelationshipLevel": "relationships",
    "Report": "report",
    "ServiceRecords": "tables",
    "SourceChangedError": "exceptions",
    "Store": "store",
    "Transactions": "transactions",
    "ValueTiers": "tiers",
    "alive_matrix": "btyd_displays",
    "allocate_costs": "costs",
    "backtest": "evaluation",
    "btyd_summary": "summaries",
    "campaign_effect": "offers",
    "choose_model": "choice",
    "choose_tips": "offers",
    "concentration": "tiers",
    "contact_lists": "service",
    "control_group": "offers",
    "customer_cells": "cells",
    "fit_customers": "cells",
    "from_lifetimes": "models",
    "holdout_by_frequency": "btyd_displays",
    "holdout_size": "offers",
    "holdout_summary": "summaries",
    "layout": "layouts",
    "life_cycle": "life_cycles",
    "limits": "engine",
    "load_churn_model": "churn",
    "load_model": "models",
    "measure_response": "offers",
    "migration": "moves",
    "on_spark": "engine",
    "own_brand_change": "brand_usage",
    "past_and_expected": "tiers",
    "print_lists": "offers",
    "purchase_gaps": "summaries",
    "read_extract": "extracts",
    "repeat_purchases": "btyd_displays",
    "rfm_table": "summaries",
    "sales_summary": "sales",
    "satisfaction_index": "service",
    "score_customers": "cells",
    "score_file": "cells",
    "service_signals": "service",
    "suspect_cards": "cards",
    "target_group": "target_groups",
    "to_lifetimes": "models",
    "track": "target_groups",
    "tracking": "btyd_displays",
    "value_deciles": "btyd_displays",
    "visit_history": "btyd_displays",
    "write_html_lists": "offers",
    "write_offers": "offers",
}

__all__ = sorted([*_HOME, "__version__"])
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'crmkit' has no attribute {name!r}")
    return getattr(import_module(f"crmkit.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
