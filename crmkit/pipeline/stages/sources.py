"""The small tables beside the sales, each read and checked by its contract."""

from __future__ import annotations

from typing import Any

from crmkit.ingest.extracts import Extract
from crmkit.ingest.tables import Costs, Members, Products, ServiceRecords, Tips
from crmkit.offers.deals import Deals
from crmkit.pipeline.stage import stage


@stage("products")
def read_products(products_files: Extract, *, products: Any) -> dict[str, Any]:
    """What is sold."""
    return {"products": Products.from_extract(products_files, **products.columns).frame}


@stage("members")
def read_members(members_files: Extract, *, members: Any) -> dict[str, Any]:
    """Who holds a card."""
    return {"members": Members.from_extract(members_files, **members.columns).frame}


@stage("deals")
def read_deals(deals_files: Extract, *, deals: Any) -> dict[str, Any]:
    """What can be offered."""
    return {"deals": Deals.from_extract(deals_files, **deals.columns).frame}


@stage("tips")
def read_tips(tips_files: Extract, *, tips: Any) -> dict[str, Any]:
    """Recipes and tips for the lists."""
    return {"tips": Tips.from_extract(tips_files, **tips.columns).frame}


@stage("service")
def read_service(service_files: Extract, *, service: Any) -> dict[str, Any]:
    """What members told the service desk."""
    return {"service": ServiceRecords.from_extract(service_files, **service.columns).frame}


@stage("costs")
def read_costs(costs_files: Extract, *, costs: Any) -> dict[str, Any]:
    """What serving members costs."""
    return {"costs": Costs.from_extract(costs_files, **costs.columns).frame}
