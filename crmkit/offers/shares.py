"""How much of what a member buys in a category is what a deal is for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pandas as pd

from crmkit.engine.base import SqlEngine
from crmkit.engine.choose import engine_for
from crmkit.engine.texts import sql_text
from crmkit.offers.deals import Deals
from crmkit.transactions.log import Transactions, check_item

__all__ = ["NARROWING", "deal_shares", "matches_deal", "other_margins", "write_deal_shares"]

NARROWING = ("brand", "product_id", "brand_type")
"""Columns by which a deal is for some goods of its category only."""

_FADE, _WEIGHT = 250.0, 2.0
_STORE = "case when lower({0}) in ('store', 'private') then 'store' else lower({0}) end"


def deal_shares(log: Transactions, deals: Deals, as_of: str | date | None = None) -> pd.DataFrame:
    """Each member's own share of the goods of each deal in its category.

    Purchase days fade with age (exp(−age / 250 days)), and the share is shrunk towards that of all members, which counts
    as two purchase days. A deal for a whole category has a share of nearly 1.

    Parameters
    ----------
    log : Transactions
        With category, and with the columns that narrow a deal: brand, product_id, brand_type.
    deals : Deals
    as_of : date, optional

    Returns
    -------
    DataFrame
        customer_id, deal_id, category_days, own_days (0 where the member never bought what the deal is for), share, yearly
        (purchase days of the category expected in a year); one row per member and deal of a category that the member has
        bought. On Spark a Spark DataFrame.

    Raises
    ------
    ContractError
        The log lacks a column that a deal names.

    Examples
    --------
    >>> import pandas as pd
    >>> till = pd.DataFrame({"customer_id": list("aab"), "purchased_at": ["2017-01-01", "2017-01-02", "2017-01-02"],
    ...                      "amount": 1, "category": "Tea", "brand": ["Assam", "Assam", "Mint"]})
    >>> deals = Deals.from_extract(pd.DataFrame({
    ...     "deal_id": ["D1"], "title": ["Mint"], "category": ["Tea"], "brand": ["Mint"], "funder": ["Maker"], "value": [1],
    ...     "budget": [10], "starts": ["2017-01-03"], "ends": ["2017-01-16"]}))
    >>> deal_shares(Transactions.from_extract(till, until="2017-01-02"), deals).round(2)
      customer_id deal_id  category_days  own_days  share  yearly
    0           a      D1            2.0       0.0   0.17   27.50
    1           b      D1            1.0       1.0   0.56   13.78
    """
    with engine_for(log) as engine:
        return engine.table(*_question(engine, log, deals, as_of))


def write_deal_shares(log: Transactions, deals: Deals, path: Path, as_of: str | date | None = None) -> Path:
    """The table of `deal_shares` as a Parquet file, written as it comes: it may be larger than memory."""
    with engine_for(log) as engine:
        text, values = _question(engine, log, deals, as_of)
        engine.save(text, path, values)
    return path


def _question(
    engine: SqlEngine, log: Transactions, deals: Deals, as_of: str | date | None
) -> tuple[str, Mapping[str, object]]:
    check_item(log, "category")
    narrowing = [column for column in NARROWING if deals.frame[column].notna().any()]
    for column in narrowing:
        check_item(log, column)
    text = sql_text(
        "offers/deal_shares",
        lines=engine.parquet(log.lines),
        deals=engine.register(deals.frame[["deal_id", "category", *narrowing]]),
        columns="".join(f"{column}, " for column in narrowing),
        matches=" and ".join(matches_deal("b", "d", column) for column in narrowing) or "1 = 1",
    )
    return text, {"as_of": log.close_of(as_of), "fade": _FADE, "weight": _WEIGHT}


def other_margins(shares: pd.DataFrame, deals: pd.DataFrame, margin: float) -> pd.DataFrame:
    """The shares with what else a member buys in the category earns: the margin that a switch to the deal's goods gives up.

    Other goods with a deal earn that deal's margin, in the member's own proportions, and the rest earns ``margin``.

    Parameters
    ----------
    shares : DataFrame
        As `deal_shares` gives them.
    deals : DataFrame
        deal_id, category, brand, product_id, brand_type, margin.
    margin : float
        Share of the spend that is earned where a deal states none.

    Returns
    -------
    DataFrame
        ``shares`` with other_margin.

    Examples
    --------
    >>> import pandas as pd
    >>> deals = pd.DataFrame({"deal_id": ["D1", "D2"], "category": "Tea", "brand": ["Assam", "Mint"], "product_id": None,
    ...                       "brand_type": None, "margin": [0.2, 0.4]})
    >>> shares = pd.DataFrame({"customer_id": "a", "deal_id": ["D1", "D2"], "share": [0.5, 0.25]})
    >>> other_margins(shares, deals, margin=0.3)["other_margin"].round(3).tolist()
    [0.35, 0.233]
    """
    goods = ["category", *NARROWING]
    table = shares.merge(deals[["deal_id", *goods, "margin"]], on="deal_id", how="left")
    own = table["margin"].astype(float).fillna(margin)
    table = table.assign(share=table["share"].astype(float), earned=table["share"].astype(float) * own)
    narrow = table[table[list(NARROWING)].notna().any(axis=1)]
    once = narrow.drop_duplicates(["customer_id", *goods])
    sums = once.groupby(["customer_id", "category"])[["share", "earned"]].sum().add_prefix("all_").reset_index()
    found = table.merge(sums, on=["customer_id", "category"], how="left").fillna({"all_share": 0.0, "all_earned": 0.0})
    rest = (1 - found["all_share"]).clip(lower=0)
    weight = (found["all_share"] - found["share"]).clip(lower=0) + rest
    earned = (found["all_earned"] - found["earned"]).clip(lower=0) + rest * margin
    return shares.assign(other_margin=(earned / weight).where(weight > 0.01).to_numpy())


def matches_deal(line: str, deal: str, column: str) -> str:
    """SQL: a line is of the goods that a deal names in this column, or the deal names none."""
    of_line, of_deal = f"{line}.{column}", f"{deal}.{column}"
    if column == "brand_type":
        of_line, of_deal = _STORE.format(of_line), _STORE.format(of_deal)
    return f"({deal}.{column} is null or {of_line} = {of_deal})"
