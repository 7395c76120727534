"""The small tables beside the sales, each read and checked by its contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from crmkit.engine.frames import is_spark
from crmkit.ingest.extracts import Extract
from crmkit.ingest.tables import Costs, Members, Prices, Products, Rates, Redemptions, ServiceRecords, Stock, Tips
from crmkit.offers.deals import Deals
from crmkit.pipeline.notes import note
from crmkit.pipeline.stage import stage
from crmkit.transactions.erasure import Tombstones
from crmkit.transactions.levels import Level, relabelled

if TYPE_CHECKING:
    import pandas as pd

    from crmkit.pipeline.table_sources import (
        CostSource,
        DealSource,
        MemberSource,
        PriceSource,
        ProductSource,
        RateSource,
        RedemptionSource,
        ServiceSource,
        StockSource,
        TipSource,
    )


@stage("erasures")
def tell_erasures(erasures_done: dict[str, object]) -> dict[str, object]:
    """How many customers the delivery asked to forget, and what was erased of them before this run read anything, for ``run.json``."""
    return {"erasures": erasures_done} if erasures_done else {}


@stage("products")
def read_products(products_files: Extract, *, products: ProductSource) -> dict[str, object]:
    """What is sold."""
    return {"products": Products.from_extract(products_files, **products.columns).frame}


@stage("members")
def read_members(
    members_files: Extract, forgotten: Tombstones | None = None, *, members: MemberSource
) -> dict[str, object]:
    """Who holds a card."""
    columns = members.columns | ({"unit": members.unit} if members.unit else {})
    table = remembered(Members.from_extract(members_files, **columns).frame, forgotten)
    return {"members": _without_empty(table, [name for name in _EXTRAS if name not in columns])}


_EXTRAS = ("unit", "vip_since")


def _without_empty(members: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The table without these columns, unless the delivery has them."""
    if is_spark(members):
        return members.drop(*names)
    return members.drop(columns=[name for name in names if members[name].isna().all()])


def remembered(table: pd.DataFrame, forgotten: Tombstones | None) -> pd.DataFrame:
    """The rows of those who were not forgotten."""
    if forgotten is None or not forgotten.marks:
        return table
    return forgotten.without_on_spark(table) if is_spark(table) else forgotten.without(table)


@stage("deals")
def read_deals(deals_files: Extract, *, deals: DealSource) -> dict[str, object]:
    """What can be offered."""
    return {"deals": Deals.from_extract(deals_files, **deals.columns).frame}


@stage("tips")
def read_tips(tips_files: Extract, *, tips: TipSource) -> dict[str, object]:
    """Recipes and tips for the lists."""
    return {"tips": Tips.from_extract(tips_files, **tips.columns).frame}


@stage("prices")
def read_prices(
    prices_files: Extract, products: pd.DataFrame | None = None, *, prices: PriceSource
) -> dict[str, object]:
    """What products cost now."""
    table = Prices.from_extract(prices_files, **prices.columns).frame
    if products is not None and (unknown := int((~table["product_id"].isin(products["product_id"])).sum())):
        note(
            f"{unknown:,} of {len(table):,} prices are of unknown products (not among the products); no list shows them."
        )
    return {"prices": table}


@stage("stock")
def read_stock(stock_files: Extract, *, stock: StockSource) -> dict[str, object]:
    """What is there, and how more of it comes."""
    return {"stock": Stock.from_extract(stock_files, **stock.columns).frame}


@stage("rates")
def read_rates(rates_files: Extract, *, rates: RateSource) -> dict[str, object]:
    """What currencies are worth, by day."""
    return {"rates": Rates.from_extract(rates_files, **rates.columns).frame}


@stage("service")
def read_service(
    service_files: Extract,
    identity: pd.DataFrame | None = None,
    forgotten: Tombstones | None = None,
    *,
    service: ServiceSource,
    level: Level,
) -> dict[str, object]:
    """What members told the service desk."""
    table = remembered(ServiceRecords.from_extract(service_files, **service.columns).frame, forgotten)
    return {"service": relabelled(table, identity, level)}


@stage("costs")
def read_costs(
    costs_files: Extract,
    identity: pd.DataFrame | None = None,
    forgotten: Tombstones | None = None,
    *,
    costs: CostSource,
    level: Level,
) -> dict[str, object]:
    """What serving members costs."""
    table = remembered(Costs.from_extract(costs_files, **costs.columns).frame, forgotten)
    return {"costs": relabelled(table, identity, level)}


@stage("delivered_redemptions", "rejected_redemptions")
def read_redemptions(
    redemptions_files: Extract,
    identity: pd.DataFrame | None = None,
    forgotten: Tombstones | None = None,
    *,
    redemptions: RedemptionSource,
    level: Level,
) -> dict[str, object]:
    """Coupons that came back at the tills."""
    found, rejected = Redemptions.split_extract(redemptions_files, **redemptions.columns)
    table = relabelled(remembered(found.frame, forgotten), identity, level)
    return {"delivered_redemptions": table, "rejected_redemptions": rejected}
