"""Cards, members and units, and the share of sales with a card."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmkit.displays import BLUE, Display
from crmkit.reports.block import Block, Table
from crmkit.reports.formats import money, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["CardShareDisplay", "card_share", "identity"]

_SHOWN, _ALL = 12, 0.9995


class CardShareDisplay(Display):
    """Share of sales with a card by month; table: as from `crmkit.card_share`."""

    title = "Share of sales with a card"

    def _draw(self, ax: Axes) -> None:
        ax.plot(self.table["period"], self.table["share"], color=BLUE, marker="o")
        ax.set(ylim=(0, 1))
        ax.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
        ax.tick_params(axis="x", rotation=45)


def identity(
    table: pd.DataFrame, totals: pd.DataFrame, level: str, merges: pd.DataFrame | None = None, *, currency: str = ""
) -> Block:
    """The same purchases by card, member and unit; from ``Identities.table`` and ``level_totals``."""
    counts = dict(zip(totals["level"], totals["customers"], strict=True))
    several = int((table.groupby("member")["card"].size() > 1).sum())
    shared = int((table.groupby("unit")["member"].nunique() > 1).sum())
    standing = 0 if merges is None else int(merges["undone_on"].isna().sum())
    same = totals["sales"].round(2).nunique() == 1
    return Block(
        "Identity",
        f"{number(counts['card'])} cards belong to {number(counts['member'])} members in {number(counts['unit'])} units",
        f"{number(several)} members have several cards, {number(shared)} units several members. Customers of this report are "
        f"{level}s.",
        table=Table(totals),
        notes=(
            f"Money adds up to {money(totals['sales'].iloc[0], currency)} at each level."
            if same
            else "Money does not add up alike at each level.",
            *(
                [f"Merges of members that stand: {number(standing)}; undone: {len(merges) - standing:,}."]
                if merges is not None
                else []
            ),
        ),
    )


def card_share(months: pd.DataFrame, places: pd.DataFrame, *, currency: str = "") -> Block:
    """How much of sales is with a card; from `crmkit.card_share` by month, and by store and hour."""
    share = months["card_sales"].sum() / months["sales"].sum()
    first, last = months["share"].iloc[0], months["share"].iloc[-1]
    moved = f", {first:.0%} in the first month and {last:.0%} in the last" if np.isfinite([first, last]).all() else ""
    if share > _ALL:
        return Block("Card use", f"{share:.0%} of sales are with a member's card", table=Table(months.tail(1)))
    groups = []
    for name in ("store", "hour"):
        found = places.dropna(subset=[name]).groupby(name)[["sales", "card_sales"]].sum().reset_index()
        if len(found) > 1:
            groups.append(Table(found.assign(share=found["card_sales"] / found["sales"]), f"By {name}"))
    return Block(
        "Card use",
        f"{share:.0%} of sales are with a member's card",
        f"Members are known by their cards; the rest of sales has no name{moved}.",
        CardShareDisplay(months),
        Table(months.tail(_SHOWN)),
        tuple(groups),
    )
