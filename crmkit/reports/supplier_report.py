"""A supplier's report: what its goods sold and to how many, and what its deals brought, and nobody in it can be known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import pandas as pd

from crmkit._days import as_day
from crmkit.engine.choose import engine_for
from crmkit.engine.texts import sql_text
from crmkit.exceptions import ConfigError, ContractError
from crmkit.reports.block import Block, Table
from crmkit.reports.disclosure import DisclosureRules, Ledger, protected, protected_counts
from crmkit.reports.formats import money, number
from crmkit.reports.report import Report
from crmkit.transactions.log import Transactions, check_item

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SupplierReport", "supplier_named", "supplier_report"]

_PERIODS = {"month": "M", "quarter": "Q"}
_USE = ("light", "medium", "heavy")
_TOPICS = {"usage": "Usage groups", "areas": "Areas", "brands": "Brands"}
_CELL = ["table", "period", "row", "measure", "value"]


@dataclass(frozen=True)
class SupplierReport:
    """What may be given to a supplier.

    Attributes
    ----------
    cells : DataFrame
        table, period, row, measure, value: everything that the report says; missing values are suppressed.
    page : Report
        The same, to be saved as a page or a workbook.
    """

    cells: pd.DataFrame
    page: Report

    def __str__(self) -> str:
        hidden = int(self.cells["value"].isna().sum())
        return f"{len(self.cells):,} cells, of which {hidden:,} are suppressed"


def supplier_report(
    supplier: str,
    log: Transactions,
    members: pd.DataFrame | None = None,
    deals: pd.DataFrame | None = None,
    *,
    by: str = "manufacturer",
    period: str = "quarter",
    rules: DisclosureRules | None = None,
    ledger: Ledger | None = None,
    as_of: str | date | None = None,
    currency: str = "",
) -> SupplierReport:
    """Sales, buyers, penetration, repeat, new, lapsed and continuing buyers, switching, usage groups, areas and deals.

    Parameters
    ----------
    supplier : str
        As the column ``by`` has it.
    log : Transactions
        Only purchases with a card count.
    members : DataFrame, optional
        customer_id and area.
    deals : DataFrame, optional
        What its deals did: deal_id, title, starts, sent, redeemed (members), budget, spent, and effect, low, high (margin or
        sales that they added), where measured.
    by : str
        Item column that names suppliers: manufacturer or brand.
    period : {"quarter", "month"}
        Only whole ones are told, and each is told once: a report on another grid could be subtracted from this one.
    rules : DisclosureRules, optional
    ledger : Ledger, optional
        Records what was released, and releases it again as it was.
    as_of : date, optional
    currency : str, optional

    Returns
    -------
    SupplierReport

    Raises
    ------
    ContractError
        There is no such supplier, or it is spelt in several ways.
    ConfigError
        ``period`` is unknown, no whole one has been observed, or earlier releases were made by other rules.

    Examples
    --------
    >>> from crmkit.testing import generated_sales
    >>> till = generated_sales(n_customers=400).assign(manufacturer="Acme")
    >>> report = supplier_report("Acme", Transactions.from_extract(till, until="2017-12-31"))
    >>> report.cells["table"].unique().tolist()
    ['total', 'buyers', 'repeat', 'switching', 'usage', 'brands']
    """
    rules = rules or DisclosureRules()
    check_item(log, by)
    if period not in _PERIODS:
        raise ConfigError(f"period={period!r} is not one of {list(_PERIODS)}.")
    close = as_day(log.until if as_of is None else as_of)
    bought = _bought(log, supplier_named(supplier, log, by), by, period, log.close_of(close))
    periods = _whole(bought, period, close)
    cells = pd.concat([pd.DataFrame(_cells(bought, periods, members, rules), columns=_CELL), _deal_cells(deals, rules)])
    cells = cells.reset_index(drop=True).astype({"value": "float64", "period": "str"})
    if ledger:
        cells = ledger.release(supplier, cells, rules, period, close)
    return SupplierReport(cells, _page(supplier, cells, rules, close, currency))


def supplier_named(supplier: str, log: Transactions, by: str) -> str:
    """The name as the lines have it; one that is spelt in several ways, or is not there, raises."""
    with engine_for(log) as engine:
        column = engine.quoted(by)
        there = engine.frame(
            f"select distinct {column} as name from {engine.parquet(log.lines)} where {column} is not null"
        )
    names = sorted(there["name"].astype(str))
    alike = [name for name in names if _plain(name) == _plain(supplier)]
    if len(alike) > 1:
        raise ContractError(
            f"{supplier!r} is spelt in {len(alike)} ways: {alike}. Spell it in one way in the products, and load again."
        )
    if not alike:
        near = [name for name in names if _plain(supplier) in _plain(name)][:3]
        hint = f" Did you mean {near}?" if near else ""
        raise ContractError(f"There is no {by} {supplier!r} among {len(names):,}.{hint}")
    return alike[0]


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))


def _bought(log: Transactions, supplier: str, by: str, period: str, day: int) -> pd.DataFrame:
    with engine_for(log) as engine:
        text = sql_text(
            "reports/supplier_periods",
            lines=engine.parquet(log.lines),
            maker=engine.quoted(by),
            brand=engine.quoted("brand"),
            category=engine.quoted("category"),
        )
        return engine.frame(text, {"supplier": supplier, "as_of": day, "period": period})


def _whole(bought: pd.DataFrame, period: str, close: date) -> list[int]:
    """First days of the periods that have been observed from their first day to their last."""
    kind = _PERIODS[period]
    starts = sorted(bought["starts"].unique())[1:]  # the first one may have begun before the log
    ends = pd.to_datetime(pd.Series(starts, dtype="int64"), unit="D").dt.to_period(kind).dt.end_time.dt.date
    found = [start for start, end in zip(starts, ends, strict=True) if end <= close]
    if not found:
        raise ConfigError(f"No whole {period} has been observed yet besides the first one. Choose a shorter period.")
    return found


# -- Cells -----------------------------------------------------------------------------------------------------------

Cell = tuple[str, str, str, str, float]


def _cells(
    bought: pd.DataFrame, periods: list[int], members: pd.DataFrame | None, rules: DisclosureRules
) -> Iterator[Cell]:
    own = bought[(bought["own"] == 1) & (bought["lines"] > 0)]
    for start in periods:
        now = own[own["starts"] == start]
        earlier = sorted(set(bought["starts"]))
        before = earlier[earlier.index(start) - 1]
        name = str(pd.Timestamp(start, unit="D").date())
        counts = _counts(bought[bought["lines"] > 0], own, start, before)
        spend = now.groupby("customer_id", as_index=False)["amount"].sum()
        total = protected(spend.assign(row="all_goods"), rules).set_index("row").to_dict("index")["all"]
        yield ("total", name, "all", "sales", float(total["sales"]))
        yield ("total", name, "all", "buyers", float(total["buyers"]))
        buyers = counts["continuing"] + counts["returned_or_new"]
        others = counts["category_buyers"] - buyers  # who bought of others only must be enough too
        category = protected_counts({"category_buyers": counts["category_buyers"], "others": others}, rules)
        yield ("total", name, "all", "category_buyers", category["category_buyers"])
        for table, kinds in _GROUPS.items():
            shown = protected_counts({kind: counts[kind] for kind in kinds}, rules)
            yield from ((table, name, kind, "buyers", value) for kind, value in shown.items())
        for table, rows in _rows(bought[bought["starts"] == start], now, members):
            for row in protected(rows, rules).head(-1).to_dict("records"):
                yield (table, name, str(row["row"]), "buyers", row["buyers"])
                yield (table, name, str(row["row"]), "sales", row["sales"])


_GROUPS = {
    "buyers": ("continuing", "returned_or_new", "lapsed"),
    "repeat": ("bought_once", "bought_again"),
    "switching": ("won_from_others", "lost_to_others"),
}


def _counts(bought: pd.DataFrame, own: pd.DataFrame, start: int, before: int) -> Mapping[str, int]:
    """How many customers did what; each group of counts is shown or suppressed as one."""

    def of(table: pd.DataFrame, when: int) -> set[object]:
        return set(table.loc[table["starts"] == when, "customer_id"])

    now, then = of(own, start), of(own, before)
    others = bought[bought["own"] == 0]
    days = own[own["starts"] == start].groupby("customer_id")["days"].max()
    return {
        "category_buyers": len(of(bought, start)),
        "continuing": len(now & then),
        "returned_or_new": len(now - then),
        "lapsed": len(then - now),
        "bought_once": int((days < 2).sum()),
        "bought_again": int((days >= 2).sum()),
        "won_from_others": len((now - then) & of(others, before)),
        "lost_to_others": len((then - now) & of(others, start)),
    }


def _rows(
    category: pd.DataFrame, own: pd.DataFrame, members: pd.DataFrame | None
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Breakdowns of a period's sales: row, customer_id, amount."""
    spend = own.groupby("customer_id", as_index=False)["amount"].sum()
    use = category[category["lines"] > 0].groupby("customer_id")["amount"].sum()
    third = pd.Series(_thirds(use), index=use.index, dtype="str")
    yield "usage", spend.assign(row=spend["customer_id"].map(third))
    if members is not None and "area" in members and members["area"].notna().any():
        area = members.set_index("customer_id")["area"].astype("object").fillna("not stated")
        yield "areas", spend.assign(row=spend["customer_id"].map(area).fillna("not stated"))
    brands = own.groupby(["brand", "customer_id"], as_index=False)["amount"].sum()
    yield "brands", brands.assign(row=brands["brand"].where(brands["brand"] != "", "no brand"))


def _thirds(use: pd.Series) -> list[str]:
    ranks = use.rank(method="average", pct=True)
    return [_USE[0] if rank <= 1 / 3 else _USE[1] if rank <= 2 / 3 else _USE[2] for rank in ranks]


def _deal_cells(deals: pd.DataFrame | None, rules: DisclosureRules) -> pd.DataFrame:
    """Cells of deals: who redeemed and who did not must both be enough, and so must the buyers behind an effect."""
    rows = list[Cell]()
    for deal in [] if deals is None else deals.to_dict("records"):
        name, label = str(pd.Timestamp(deal["starts"]).date()), f"{deal['deal_id']} {deal['title']}"
        rest = int(deal["sent"]) - int(deal["redeemed"])
        counts = protected_counts({"sent": int(deal["sent"]), "redeemed": int(deal["redeemed"]), "not": rest}, rules)
        sent = protected_counts({"sent": int(deal["sent"])}, rules)
        shown = counts["redeemed"] == counts["redeemed"]
        rows += [("deals", name, label, "sent", sent["sent"]), ("deals", name, label, "redeemed", counts["redeemed"])]
        rows.append(("deals", name, label, "budget", float(deal["budget"])))
        for measure in ("spent", "effect", "low", "high"):
            value = pd.Series([deal.get(measure, float("nan"))], dtype="float64")
            rows.append(
                ("deals", name, label, measure, float(rules.rounded(value, money=True)[0]) if shown else float("nan"))
            )
    return pd.DataFrame(rows, columns=_CELL)


# -- The page --------------------------------------------------------------------------------------------------------


def _page(supplier: str, cells: pd.DataFrame, rules: DisclosureRules, close: date, currency: str) -> Report:
    page = Report(f"Report for {supplier}", as_of=close, currency=currency)
    page.blocks.append(_totals(_wide(cells, "total"), currency))
    flows = cells[cells["table"].isin(_GROUPS)].pivot_table(
        index="period", columns="row", values="value", sort=False, dropna=False
    )
    order = [kind for kinds in _GROUPS.values() for kind in kinds if kind in flows]
    flows = flows[order].reset_index()
    page.blocks.append(
        Block(
            "Buyers",
            "Who stayed, came and left",
            "Against the period before: continuing buyers bought in both, lapsed ones only before. Won from others: bought "
            "only other suppliers' goods of these categories before.",
            table=Table(_dated(flows)),
        )
    )
    for table, topic in _TOPICS.items():
        wide = _wide(cells, table)
        if len(wide):
            last = wide[wide["period"] == wide["period"].max()]
            page.blocks.append(
                Block(
                    topic, f"Sales and buyers by {topic.lower()}", table=Table(last), more=(Table(wide, "All periods"),)
                )
            )
    deals = _wide(cells, "deals")
    if len(deals):
        page.blocks.append(
            Block(
                "Deals", "What your deals did", "Effect: what they added, with an interval of 95%.", table=Table(deals)
            )
        )
    page.add_note("How this report is made", *_how(rules))
    return page


def _how(rules: DisclosureRules) -> list[str]:
    return [
        f"A number stands only for {rules.min_cell} customers or more, of whom none has more than {rules.dominance:.0%} of it; where "
        "a number is missing, so is another that would give it away.",
        f"Counts are rounded to multiples of {rules.count_grid}, money to multiples of {number(rules.money_grid)}; shares are "
        "those of the rounded numbers, so rows need not add up.",
        "A period is reported once and stays as it was reported. Purchases without a card are not in it.",
    ]


def _wide(cells: pd.DataFrame, table: str) -> pd.DataFrame:
    of = cells[cells["table"] == table]
    if not len(of):
        return pd.DataFrame()
    wide = of.pivot_table(index=["period", "row"], columns="measure", values="value", sort=False, dropna=False)
    seen = pd.MultiIndex.from_frame(of[["period", "row"]].drop_duplicates())
    return _dated(wide.reindex(seen).reset_index())


def _dated(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(period=pd.to_datetime(table["period"])).rename_axis(columns=None)


def _totals(wide: pd.DataFrame, currency: str) -> Block:
    shares = wide["buyers"] / wide["category_buyers"]
    table = wide.drop(columns="row").assign(
        share_of_category_buyers=shares, sales_per_buyer=wide["sales"] / wide["buyers"]
    )
    known = table[table["sales"].notna()]
    if not len(known):
        return Block("Sales", "There were too few buyers in every period to report sales", table=Table(table))
    last = known.iloc[-1]
    told = last["category_buyers"] == last["category_buyers"]
    share = (
        f"{last['share_of_category_buyers']:.0%} of the {number(last['category_buyers'])} buyers of these categories bought your goods."
        if told
        else ""
    )
    return Block(
        "Sales",
        f"{money(last['sales'], currency)} to {number(last['buyers'])} buyers in the period from {last['period']:%d %b %Y} on",
        share,
        table=Table(table),
    )
