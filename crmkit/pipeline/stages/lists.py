"""What members get printed, and what tills get told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from crmkit.engine.pieces import whole_members, written
from crmkit.engine.tables import first_rows
from crmkit.offers.deals import Deals
from crmkit.pipeline.notes import note
from crmkit.pipeline.stage import stage
from crmkit.pipeline.stages.due_rows import due_of, item_timed
from crmkit.reports.blocks.lists import lists as list_block
from crmkit.reports.lists.page_layout import print_lists as print_pages
from crmkit.reports.lists.pos import write_pos_offers
from crmkit.summaries.usual_products import write_usual_products
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
    *,
    folder: Path,
) -> dict[str, object]:
    """What members who get a list usually take of what they are due to buy, and what it costs."""
    by, path = item_timed(repurchases), folder / "usual_products.parquet"
    if "product_id" not in log.items or by not in log.items:
        note(f"Lists name no products and no prices: the lines have no {'product_id' if by in log.items else by}.")
        return {}
    columns = ["customer_id", by]
    due = due_of(repurchases, folder / "due.parquet", offers, least=list_terms["least_need"], columns=columns)
    found = write_usual_products(log, by, due, folder / "bought.parquet", as_of)
    about = products.reindex(columns=_ABOUT) if products is not None else pd.DataFrame(columns=_ABOUT)
    now = prices.set_index("product_id")["price"] if prices is not None else pd.Series(dtype=float)
    once = about.drop_duplicates("product_id")
    return {"usual_products": written((_priced(piece, once, now) for piece in whole_members(found)), path)}


def _priced(bought: pd.DataFrame, products: pd.DataFrame, prices: pd.Series) -> pd.DataFrame:
    """Products with what is known of them, and today's price or what was last paid."""
    table = bought.merge(products, how="left", on="product_id")
    shelf = table["product_id"].map(prices).astype(float)
    return table.assign(price=shelf.fillna(table["last_paid"]), current=shelf.notna())


@stage("lists", "printed", "list_block", here=True)
def print_lists(
    offers: Path,
    deals: pd.DataFrame,
    repurchases: Path,
    list_terms: Mapping[str, float],
    usual_products: Path | None = None,
    offer_tips: Path | None = None,
    font: Path | None = None,
    *,
    lists: Lists,
    currency: str,
    folder: Path,
) -> dict[str, object]:
    """One page a member."""
    least, days = list_terms["least_need"], first_rows(repurchases, 1)
    due = due_of(repurchases, folder / "due.parquet", offers, least=least)
    printed = print_pages(
        offers, Deals(deals), due, folder / "lists", tips=offer_tips, usual=usual_products,
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
