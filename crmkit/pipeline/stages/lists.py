"""What members get printed, and what tills get told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from crmkit.engine.tables import first_rows
from crmkit.offers.deals import Deals
from crmkit.pipeline.notes import note
from crmkit.pipeline.stage import stage
from crmkit.pipeline.stages.due_rows import due_of, item_timed
from crmkit.reports.blocks.lists import lists as list_block
from crmkit.reports.lists.page_layout import print_lists as print_pages
from crmkit.reports.lists.pos import write_pos_offers
from crmkit.summaries.usual_products import usual_products as bought_usually
from crmkit.transactions.log import Transactions

if TYPE_CHECKING:
    from crmkit.pipeline.settings import Lists

_ABOUT = ["product_id", "name", "brand", "brand_type"]


@stage("pos_csv", "pos_json", here=True)
def write_till_file(offers: Path, deals: pd.DataFrame, *, folder: Path) -> dict[str, object]:
    """Cards and codes of lists with their coupons, for the tills."""
    sheet, document = write_pos_offers(pd.read_parquet(offers), Deals(deals), folder)
    return {"pos_csv": sheet, "pos_json": document}


@stage("usual_products", here=True)
def find_usual_products(
    log: Transactions,
    repurchases: Path,
    offers: Path,
    list_terms: Mapping[str, float],
    as_of: date,
    products: pd.DataFrame | None = None,
    prices: pd.DataFrame | None = None,
) -> dict[str, object]:
    """What members who get a list usually take of what they are due to buy, and what it costs."""
    by = item_timed(repurchases)
    if "product_id" not in log.items or by not in log.items:
        note(f"Lists name no products and no prices: the lines have no {'product_id' if by in log.items else by}.")
        return {}
    members = pd.read_parquet(offers, columns=["customer_id"])["customer_id"]
    due = due_of(repurchases, members, least=list_terms["least_need"], columns=["customer_id", by])
    found = bought_usually(log, by, due, as_of)
    table = found.rename(columns={by: "item"}) if by != "product_id" else found.assign(item=found["product_id"])
    about = products.reindex(columns=_ABOUT) if products is not None else pd.DataFrame(columns=_ABOUT)
    table = table.merge(about.drop_duplicates("product_id"), how="left", on="product_id")
    now = prices.set_index("product_id")["price"] if prices is not None else pd.Series(dtype=float)
    shelf = table["product_id"].map(now).astype(float)
    return {"usual_products": table.assign(price=shelf.fillna(table["last_paid"]), current=shelf.notna())}


@stage("lists", "printed", "list_block", here=True)
def print_lists(
    offers: Path,
    deals: pd.DataFrame,
    repurchases: Path,
    list_terms: Mapping[str, float],
    usual_products: pd.DataFrame | None = None,
    offer_tips: pd.DataFrame | None = None,
    font: Path | None = None,
    *,
    lists: Lists,
    currency: str,
    folder: Path,
) -> dict[str, object]:
    """One page a member."""
    sent, least, days = pd.read_parquet(offers), list_terms["least_need"], first_rows(repurchases, 1)
    printed = print_pages(
        sent, Deals(deals), due_of(repurchases, sent["customer_id"], least=least), folder / "lists", tips=offer_tips, usual=usual_products,
        title=lists.title, font=font, currency=currency, language=lists.language, top_due=lists.needs,
        least_need=least,
        **({"as_of": days["as_of"][0], "horizon": int(days["horizon"][0])} if len(days) else {}),
    )  # fmt: skip
    told = {"members": printed.members, "pages": printed.pages, "beside_needs": printed.beside_needs}
    return {
        "lists": folder / "lists",
        "printed": told,
        "list_block": list_block(told, least, currency=currency),
    }
