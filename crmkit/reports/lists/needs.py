"""What members are due to buy, as it is printed: what they usually take, what it costs, when it is needed."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from datetime import date, timedelta
from functools import cache
from typing import Any, NamedTuple

import pandas as pd

from crmkit._checks import require_columns
from crmkit.reports.lists.texts import label
from crmkit.reports.lists.wording import Wording

__all__ = ["Need", "item_column", "needs_of", "when"]

_TIMES = ["day_10", "day_50", "day_90"]

PROBABLE = 0.7
"""Chance of a purchase within the days of the list from which a list says "probably"."""


class Need(NamedTuple):
    """An item on a list: what it is (``item`` as in the offers, ``name`` as printed), what it costs, and when."""

    item: str
    name: str
    price: str
    when: str


def item_column(due: pd.DataFrame) -> str:
    """The column of ``due`` by which a deal stands on an item."""
    found = next((name for name in ("product_id", "category", "name") if name in due), None)
    require_columns(due, ("customer_id", "p_purchase", found or "category or product_id"), "due")
    assert found is not None
    return found


def needs_of(
    due: pd.DataFrame,
    offered: pd.DataFrame,
    usual: pd.DataFrame | None,
    *,
    top: int,
    least: float,
    window: tuple[date, date],
    currency: str,
    wording: Wording,
) -> dict[str, list[Need]]:
    """Each member's needs, the most probable first.

    Those with a deal (``offered``: customer_id, item) are there before others; of none the probability is below ``least``.
    """
    item = item_column(due)
    rows = due[due["p_purchase"] >= least].dropna(subset=[item])
    rows = rows.assign(item=rows[item].astype(str), name=rows["name"] if "name" in rows else rows[item])
    marked = rows.merge(offered.drop_duplicates().assign(offered=True), how="left", on=["customer_id", "item"])
    marked["offered"] = marked["offered"].notna()
    order = ["customer_id", "offered", "p_purchase", "item"]
    top_rows = marked.sort_values(order, ascending=[True, False, False, True]).groupby("customer_id").head(top)
    told = _with_prices(top_rows, usual).sort_values(
        ["customer_id", "p_purchase", "item"], ascending=[True, False, True]
    )
    found: dict[str, list[Need]] = {}
    columns = told.reindex(columns=["customer_id", "item", "name", "price", "current", "p_purchase", *_TIMES])
    for member, one, name, price, current, p, *days in columns.itertuples(index=False):
        said = _price(price, current is True, currency, wording)
        need = Need(one, label(str(name)), said, when(*map(float, days), *window, wording, p >= PROBABLE))
        found.setdefault(member, []).append(need)
    return found


def _with_prices(rows: pd.DataFrame, usual: pd.DataFrame | None) -> pd.DataFrame:
    """What the member usually takes of the item, where it is known: its name and price."""
    if usual is None:
        return rows
    about = usual[["customer_id", "item", "name", "price", "current"]].rename(columns={"name": "usual_name"})
    joined = rows.merge(about, how="left", on=["customer_id", "item"])
    return joined.assign(name=joined["usual_name"].where(joined["usual_name"].notna(), joined["name"]))


def _price(price: float, current: bool, currency: str, wording: Wording) -> str:
    if pd.isna(price):
        return ""
    return wording.text("price_now" if current else "last_paid", price=wording.money(float(price), currency))


@cache
def when(
    low: float, middle: float, high: float, first: date, last: date, wording: Wording, probable: bool = True
) -> str:
    """When an item is needed, as a stretch of days: never more exact than it is known.

    "Probably by" a day is the day half-way from the median to the time by which nine in ten have bought, where the item is
    bought in these days with a probability of .7 (``probable``).

    >>> window = date(2018, 1, 1), date(2018, 1, 14), Wording("en")
    >>> when(2.4, 5.0, 8.1, *window)  # bought by the 9th with 90 %
    'likely 3–9 January'
    >>> when(1.0, 6.2, 17.4, *window)  # by the 12th with about 70 %
    'probably by 12 January'
    >>> when(1.0, 6.2, 17.4, *window, False)  # bought in these days with less than 70 %
    'perhaps in the next two weeks'
    >>> when(4.0, 30.0, float("nan"), *window)
    'perhaps in the next two weeks'
    """
    days = (last - first).days + 1

    def on(day: float) -> date:
        return first + timedelta(days=max(1, math.ceil(day)) - 1)

    if low <= high <= days:
        if on(low) < on(high):
            return wording.text("likely", span=wording.span(on(low), on(high)))
        return wording.text("around", day=wording.day(on(high)))
    if middle <= days and probable:
        mostly = middle + (high - middle) / 2 if high > middle else days
        return wording.text("by", day=wording.day(on(min(mostly, days))))
    return wording.text(f"perhaps_{days}") if days in (7, 14) else wording.text("perhaps", days=days)


def applies(deal: Any, product: Mapping[Hashable, object]) -> bool:
    """Whether a deal is for a product, by the columns that narrow it to some goods of its category."""
    narrowing = ("product_id", "brand", "brand_type")
    return all(pd.isna(getattr(deal, name)) or getattr(deal, name) == product.get(name) for name in narrowing)
