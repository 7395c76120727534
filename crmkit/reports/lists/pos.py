"""What tills take: which coupons each card and each list's code stand for, as CSV and as JSON."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd

from crmkit._atomic import replacing, write_csv
from crmkit._checks import require_columns
from crmkit.offers.deals import Deals

__all__ = ["pos_table", "write_pos_offers"]

_NARROWING = ("product_id", "brand", "brand_type")


def pos_table(offers: pd.DataFrame, deals: Deals) -> pd.DataFrame:
    """One row per card and deal, for the till: it scans the card or the list, and takes every deal off.

    Parameters
    ----------
    offers : DataFrame
        customer_id, deal_id, code, list_code (as `with_codes` gives them), and value where it differs between members.
    deals : Deals

    Returns
    -------
    DataFrame
        card, list_code, code, deal, items (``product_id=…``, or ``category=…`` with what narrows it, joined by ``; ``), kind,
        value (in the unit of its kind), from, to, limit (redemptions of a member, missing where there is no limit).
    """
    require_columns(offers, ["customer_id", "deal_id", "code", "list_code"], "offers")
    about = deals.frame.assign(items=[_items_of(deal) for deal in deals.frame.to_dict("records")])
    columns = ["deal_id", "items", "kind", "starts", "ends", "limit_per_member", "value"]
    taken = [name for name in ("customer_id", "deal_id", "code", "list_code", "value") if name in offers]
    rows = offers[taken].merge(about[columns].rename(columns={"value": "usual"}), how="left", on="deal_id")
    value = rows["value"].fillna(rows["usual"]) if "value" in offers else rows["usual"]
    return pd.DataFrame(
        {
            "card": rows["customer_id"], "list_code": rows["list_code"], "code": rows["code"], "deal": rows["deal_id"],
            "items": rows["items"], "kind": rows["kind"].fillna("amount"), "value": value.astype(float),
            "from": pd.to_datetime(rows["starts"]).dt.strftime("%Y-%m-%d"),
            "to": pd.to_datetime(rows["ends"]).dt.strftime("%Y-%m-%d"), "limit": rows["limit_per_member"].astype("Int64"),
        }
    )  # fmt: skip


def _items_of(deal: Mapping[Hashable, Any]) -> str:
    if not pd.isna(deal["product_id"]):
        return f"product_id={deal['product_id']}"
    named = [("category", deal["category"]), *((name, deal[name]) for name in _NARROWING[1:])]
    return "; ".join(f"{name}={value}" for name, value in named if not pd.isna(value))


def write_pos_offers(offers: pd.DataFrame, deals: Deals, folder: str | Path) -> tuple[Path, Path]:
    """Write ``pos_offers.csv`` and ``pos_offers.json`` for the tills.

    The JSON has each deal once, and each list with its coupons::

        {"deals": [{"deal", "items", "kind", "from", "to", "limit"}],
         "lists": [{"card", "list_code", "coupons": [{"deal", "code", "value"}]}]}

    Raises
    ------
    PublishError
        A file cannot be written; an earlier one is untouched.

    Examples
    --------
    >>> import tempfile
    >>> deals = Deals.from_extract(pd.DataFrame({
    ...     "deal_id": ["D1"], "title": ["Mint"], "category": ["Tea"], "brand": ["Mint"], "funder": ["Maker"], "value": [1],
    ...     "budget": [10], "starts": ["2018-01-01"], "ends": ["2018-01-14"]}))
    >>> offers = pd.DataFrame({"customer_id": ["0077"], "deal_id": ["D1"], "code": ["28"], "list_code": ["29"]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(write_pos_offers(offers, deals, folder)[0].read_text(encoding="utf-8-sig").splitlines()[1])
    0077,29,28,D1,category=Tea; brand=Mint,amount,1.0,2018-01-01,2018-01-14,
    """
    table, home = pos_table(offers, deals), Path(folder)
    home.mkdir(parents=True, exist_ok=True)
    sheet, document = home / "pos_offers.csv", home / "pos_offers.json"
    write_csv(table, sheet, for_spreadsheets=False)
    with replacing(document) as part:
        part.write_text(json.dumps(_document(table), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return sheet, document


def _document(table: pd.DataFrame) -> dict[str, object]:
    """The same by list, in the order in which the lists come first."""
    about = ["deal", "items", "kind", "from", "to", "limit"]
    deals = table[about].drop_duplicates("deal").sort_values("deal").astype({"limit": object})
    keys = ["card", "list_code"]
    place = table.groupby(keys, sort=False).ngroup()
    table = table.iloc[place.argsort(kind="stable")].reset_index(drop=True)
    coupons = table[["deal", "code", "value"]].to_dict("records")
    ends = [*table.index[table[keys].ne(table[keys].shift()).any(axis=1)], len(table)]
    lists = [
        {"card": table["card"].iat[first], "list_code": table["list_code"].iat[first], "coupons": coupons[first:last]}
        for first, last in pairwise(ends)
    ]
    return {"deals": deals.where(deals.notna(), None).to_dict("records"), "lists": lists}
