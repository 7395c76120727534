"""Where a change of revenue comes from, and what customers could spend."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmkit.displays import BLUE, GREEN, ORANGE, PALE, Display
from crmkit.reports.block import Block, Table
from crmkit.reports.formats import money, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["FlowsDisplay", "potential", "revenue"]

_SHOWN = 13
_FACTORS = {
    "by_customers": "the number of customers",
    "by_frequency": "how often they came",
    "by_basket": "how much they took at a time",
    "by_price": "what a line cost",
}


class FlowsDisplay(Display):
    """Customers of each period by what they are; table: as from `crmkit.customer_flows`."""

    title = "New, returning, retained and lapsed customers"

    def _draw(self, ax: Axes) -> None:
        counts = self.table.pivot(index="period", columns="status", values="customers").fillna(0).tail(_SHOWN)
        at, below = np.arange(len(counts)), np.zeros(len(counts))
        for status, colour in (("retained", BLUE), ("returning", ORANGE), ("new", GREEN)):
            height = counts[status].to_numpy(np.float64) if status in counts else np.zeros(len(counts))
            ax.bar(at, height, bottom=below, color=colour, edgecolor="white", linewidth=0.5, label=status)
            below += height
        if "lapsed" in counts:
            ax.bar(at, -counts["lapsed"].to_numpy(np.float64), color=PALE, label="lapsed")
        ax.set_xticks(at, [f"{day:%b %y}" for day in counts.index], rotation=45, ha="right")
        ax.axhline(0, linewidth=0.8, color="black")
        ax.legend(frameon=False, fontsize=7, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.22))


def revenue(tree: pd.DataFrame, flows: pd.DataFrame, period: str = "month", *, currency: str = "") -> Block:
    """Revenue as a product of factors; from `crmkit.revenue_tree` and `crmkit.customer_flows`."""
    if len(tree) < 2 or not np.isfinite(tree["change"].iloc[-1]):
        return Block("Revenue", f"Fewer than two {period}s have been observed to their end", table=Table(tree))
    last = tree.iloc[-1]
    most = max(_FACTORS, key=lambda name: abs(float(last[name])))
    when = f"{last['period']:%B %Y}" if period == "month" else f"the {period} from {last['period']:%d %B %Y}"
    verb = "grew" if last["change"] >= 0 else "fell"
    parts = ", ".join(f"{told} {last[name]:+,.2f}" for name, told in _FACTORS.items())
    now = flows[flows["period"] == last["period"]].set_index("status")
    counts = ", ".join(
        f"{number(now.loc[status, 'customers'])} {status}" for status in now.index if status != "returns only"
    )
    return Block(
        "Revenue",
        f"Revenue {verb} by {money(abs(last['change']), currency)} in {when}, most of all by {_FACTORS[most]}",
        f"Revenue is customers × receipts per customer × lines per receipt × revenue per line. Of the change, each explains: {parts}. "
        f"Customers: {counts}.",
        FlowsDisplay(flows),
        Table(tree.tail(_SHOWN)[["period", "revenue", "change", *_FACTORS]]),
        (Table(tree, f"All {len(tree)} {period}s"), Table(flows, "Customers by what they are")),
    )


def potential(table: pd.DataFrame, *, currency: str = "") -> Block:
    """Headroom beside like customers; from `crmkit.potential`."""
    if not len(table):
        return Block("Potential", "Nobody has bought anything lately")
    bands = table.groupby("band").agg(
        customers=("customer_id", "size"),
        mean_spend=("spend", "mean"),
        mean_headroom=("headroom", "mean"),
        share_of_weeks=("share_of_weeks", "mean"),
        mean_items_elsewhere=("items_elsewhere", "mean"),
    )
    bands["share_of_wallet"] = table.groupby("band")["spend"].sum() / (
        table.groupby("band")["spend"].sum() + table.groupby("band")["headroom"].sum()
    )
    return Block(
        "Potential",
        f"Customers could spend {money(table['headroom'].sum(), currency)} more if none bought less than those who come as often",
        "Band 1 comes least often. What is bought elsewhere cannot be seen: headroom and share of wallet are proxies, since some "
        "need less than others.",
        table=Table(bands.reset_index()),
    )
