"""One page about one product: where it comes from, what it sells and to whom, what it is bought with, what to order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from typing import TYPE_CHECKING

import pandas as pd

from crmkit._days import as_day, day_number
from crmkit.displays import BLUE, Display
from crmkit.engine.choose import engine_for
from crmkit.engine.texts import sql_text
from crmkit.exceptions import ConfigError, ContractError
from crmkit.products.forecast import forecast
from crmkit.products.life_cycles import life_cycle
from crmkit.reports.block import Block, Table
from crmkit.reports.formats import money, number
from crmkit.reports.report import Report
from crmkit.transactions.log import Transactions, check_item

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ProductTables", "product_sheet"]

_RECEIPT = ("coalesce(order_id, '')", "day", "coalesce(customer_id, '')", "coalesce(store, '')")
_LOYAL, _YEAR, _SHOWN = 3, 365, 12
_FACTS = {
    "name": "name", "category": "category", "brand": "brand", "manufacturer": "manufacturer", "supplier": "supplier",
    "price": "price now", "vat_rate": "VAT rate", "stock": "stock", "on_order": "on order", "arrives": "arrives",
    "expires": "expires", "min_order": "least order", "pack_size": "pack", "lead_time": "lead time, days",
    "unit_cost": "cost of a piece", "exclusive": "exclusive",
}  # fmt: skip


class MonthlySalesDisplay(Display):
    """Money of a product by month; table: month, spend."""

    title = "Sales by month"

    def _draw(self, ax: Axes) -> None:
        ax.bar(range(len(self.table)), self.table["spend"], color=BLUE)
        ax.set_xticks(range(len(self.table)), [f"{day:%b %y}" for day in self.table["month"]], rotation=45, ha="right")
        ax.yaxis.set_major_formatter("{x:,.0f}")


@dataclass(frozen=True)
class ProductTables:
    """What a shop knows of its products besides the sales; each is left out where it is not known.

    Attributes
    ----------
    products, prices, stock, deals : DataFrame
        As `Products`, `Prices`, `Stock` and `Deals` check them.
    customers : DataFrame
        customer_id and tier.
    plan : DataFrame
        From `purchase_plan`.
    """

    products: pd.DataFrame | None = None
    prices: pd.DataFrame | None = None
    stock: pd.DataFrame | None = None
    deals: pd.DataFrame | None = None
    customers: pd.DataFrame | None = None
    plan: pd.DataFrame | None = None


def product_sheet(
    product_id: object,
    log: Transactions,
    known: ProductTables | None = None,
    *,
    as_of: str | date | None = None,
    currency: str = "",
) -> Report:
    """A page about one product, to be read before a talk with its supplier or an order.

    Parameters
    ----------
    product_id : str or number
    log : Transactions
    known : ProductTables, optional
    as_of : date, optional
        By default the log's ``until``.
    currency : str, optional

    Returns
    -------
    Report
        ``save("product.html")`` writes the page, ``save("product.pdf")`` the same for print.

    Raises
    ------
    ContractError
        It has never been sold, and no table names it; the nearest ids are told.

    Examples
    --------
    >>> from crmkit.testing import generated_log
    >>> page = product_sheet("56", generated_log(n_customers=300))
    >>> page.title
    'Product 56'
    """
    check_item(log, "product_id")
    known, product = known or ProductTables(), str(product_id)
    close = as_day(log.until if as_of is None else as_of)
    day = log.close_of(close)
    months, companions, buyers = _sold(log, product, day)
    facts = _facts(product, known)
    if not len(months) and not facts:
        raise _unknown(product, log, known)
    name = facts.get("name")
    page = Report(f"Product {product}" + (f": {name}" if name else ""), as_of=close, currency=currency)
    for value, label in _cards(months, buyers, facts, close, currency):
        page.add_card(value, label)
    page.blocks += [_order(product, known), _about(facts, known)]
    if len(months):
        page.blocks += [_months(months, currency), *_future(product, log, close), *_buyers(buyers, known, day)]
    page.blocks += [*_companions(companions, known), *_promotions(product, facts, known, close)]
    return page


def _sold(log: Transactions, product: str, day: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    with engine_for(log) as engine:
        lines, values = engine.parquet(log.lines), {"product": product, "as_of": day}
        texts = (
            sql_text("reports/product_months", lines=lines),
            sql_text("reports/product_companions", lines=lines, basket=engine.number_of(*_RECEIPT)),
            sql_text("reports/product_buyers", lines=lines),
        )
        months, companions, buyers = (engine.frame(text, values) for text in texts)
    return months, companions, buyers


def _row(table: pd.DataFrame | None, product: str) -> Mapping[str, object]:
    if table is None or "product_id" not in table:
        return {}
    found = table[table["product_id"].astype("str") == product]
    row = found.iloc[0].to_dict() if len(found) else {}
    return {str(name): value for name, value in row.items() if not pd.isna(value)}


def _facts(product: str, known: ProductTables) -> dict[str, object]:
    return {
        name: value
        for table in (known.products, known.prices, known.stock)
        for name, value in _row(table, product).items()
        if name in _FACTS
    }


def _unknown(product: str, log: Transactions, known: ProductTables) -> ContractError:
    with engine_for(log) as engine:
        text = f"select distinct product_id from {engine.parquet(log.lines)} where product_id is not null"
        ids = engine.frame(text)["product_id"].astype("str").tolist()
    near = get_close_matches(product, ids, n=3)
    hint = f" The nearest ids: {', '.join(near)}." if near else ""
    return ContractError(f"There is no product {product!r} among {len(ids):,}.{hint}")


def _cards(
    months: pd.DataFrame, buyers: pd.DataFrame, facts: Mapping[str, object], close: date, currency: str
) -> Iterator[tuple[str, str]]:
    if len(months):
        year = months[months["month"] > pd.Timestamp(close) - pd.Timedelta(days=_YEAR)]
        yield money(year["spend"].sum(), currency), "sales of the last 12 months"
        yield number(round(year["pieces"].sum())), "pieces of the last 12 months"
        yield number(len(buyers)), "members who bought it"
    if "stock" in facts:
        yield number(float(str(facts["stock"]))), "in stock"


def _order(product: str, known: ProductTables) -> Block:
    row = _row(known.plan, product)
    if not row:
        why = (
            "deliver its stock under [stock]"
            if not _row(known.stock, product)
            else "plan purchases with [purchase_plan]"
        )
        return Block("Order", "No order can be suggested", f"For a suggestion {why}.")
    quantity = float(str(row["order_quantity"]))
    lasts = f"{number(round(float(str(row['expected_demand']))))} pieces are expected until the delivery after next"
    if quantity <= 0:
        return Block("Order", "Nothing is to be ordered now", f"{lasts}.")
    by = f" by {pd.Timestamp(str(row['order_by'])):%d %b %Y}" if "order_by" in row else ""
    return Block(
        "Order",
        f"Order {number(quantity)} pieces{by}",
        f"{lasts}; with the order they last until then with a probability of {float(str(row['service_level'])):.0%}.",
    )


def _about(facts: Mapping[str, object], known: ProductTables) -> Block:
    shown = {label: _told(name, facts[name]) for name, label in _FACTS.items() if name in facts}
    missing = [label for name, label in _FACTS.items() if name not in facts]
    table = pd.DataFrame({"what": list(shown), "value": list(shown.values())})
    note = (f"Not delivered: {', '.join(missing)}.",) if missing else ()
    return Block("About", "What is known of it", table=Table(table) if shown else None, notes=note)


def _told(name: str, value: object) -> str:
    if isinstance(value, pd.Timestamp | date):
        return f"{value:%d %b %Y}"
    if name == "vat_rate":
        return f"{float(str(value)):.0%}"
    if name in ("price", "unit_cost"):
        return money(float(str(value)), "")
    return number(value) if isinstance(value, int | float) else str(value)


def _months(months: pd.DataFrame, currency: str) -> Block:
    known = months[months["price"].notna()]
    price = f" A piece brought {money(known['price'].iloc[-1], currency)} in the last of them" if len(known) else ""
    range_ = (
        f", between {money(known['price'].min(), currency)} and {money(known['price'].max(), currency)} over all."
        if len(known)
        else ""
    )
    return Block(
        "Sales",
        f"{money(months['spend'].sum(), currency)} in {len(months)} months with sales",
        f"Returns are taken off.{price}{range_}",
        MonthlySalesDisplay(months.tail(13)),
        Table(months.tail(_SHOWN)),
    )


def _future(product: str, log: Transactions, close: date) -> Iterator[Block]:
    """Life-cycle stage and forecast, as far as there is history for them."""
    try:
        stages = life_cycle(log, by="product_id", as_of=close)
        ahead = forecast(log, by="product_id", as_of=close)
    except ConfigError:
        return
    stage, rows = _row(stages, product), ahead[ahead["product_id"] == product]
    if not len(rows):
        yield Block("Next weeks", "It has not been sold for long, so nothing is forecast")
        return
    table = rows.drop(columns=["product_id", "low_95", "high_95"])
    yield Block(
        "Next weeks",
        f"{number(round(rows['mean'].sum()))} pieces are expected in four weeks",
        f"Stage: {stage.get('stage', 'unknown')} ({stage.get('evidence', 'no history')}). Low to high holds four of five outcomes.",
        table=Table(table),
    )


def _buyers(buyers: pd.DataFrame, known: ProductTables, day: int) -> Iterator[Block]:
    if not len(buyers):
        return
    loyal = float((buyers["days"] >= _LOYAL).mean())
    third = buyers["pieces"].rank(pct=True)
    heavy = buyers.loc[third > 2 / 3, "pieces"].sum() / max(buyers["pieces"].sum(), 1e-9)
    lapsed = float((buyers["last"] <= day - _YEAR / 4).mean())
    if known.customers is None or "tier" not in known.customers:
        table = None
    else:
        tier = known.customers.set_index("customer_id")["tier"].astype("str")
        of = buyers.assign(tier=buyers["customer_id"].map(tier).fillna("none"))
        tiers = of.groupby("tier").agg(buyers=("customer_id", "size"), spend=("spend", "sum")).reset_index()
        table = Table(tiers.assign(share_of_spend=tiers["spend"] / max(tiers["spend"].sum(), 1e-9)))
    yield Block(
        "Buyers",
        f"{number(len(buyers))} members bought it; {loyal:.0%} on {_LOYAL} days or more",
        f"The heaviest third of them took {heavy:.0%} of the pieces; {lapsed:.0%} have not bought it for {_YEAR // 4} days.",
        table=table,
    )


def _companions(companions: pd.DataFrame, known: ProductTables) -> Iterator[Block]:
    if not len(companions):
        return
    table = companions
    if known.products is not None and "name" in known.products:
        names = known.products.set_index(known.products["product_id"].astype("str"))["name"]
        table = companions.assign(name=companions["product_id"].map(names)).reindex(
            columns=["product_id", "name", "baskets", "share_of_baskets", "lift"]
        )
    top = table.iloc[0]
    yield Block(
        "Bought with it",
        f"{top.get('name') or top['product_id']} is in {top['share_of_baskets']:.0%} of its baskets",
        "Lift is how much more often than by chance.",
        table=Table(table),
    )


def _promotions(product: str, facts: Mapping[str, object], known: ProductTables, close: date) -> Iterator[Block]:
    deals = known.deals
    if deals is None:
        return
    of = deals["product_id"].astype("str") == product if "product_id" in deals else pd.Series(False, index=deals.index)
    if "category" in deals and "category" in facts:
        named = deals["product_id"].notna() if "product_id" in deals else pd.Series(False, index=deals.index)
        of |= (deals["category"] == facts["category"]) & ~named
    recent = (
        deals[of]
        .assign(ends=pd.to_datetime(deals.loc[of, "ends"]))
        .sort_values(["ends", "deal_id"], ascending=[False, True])
    )
    if len(recent):
        running = int((recent["ends"].map(day_number) >= day_number(close)).sum())
        shown = [name for name in ("deal_id", "title", "funder", "starts", "ends") if name in recent]
        yield Block(
            "Promotions",
            f"{len(recent)} deals were for it or its category; {running} run now or later",
            table=Table(recent[shown].head(6)),
        )
