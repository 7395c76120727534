"""Customers by when they came: who stays, and how soon they buy again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmkit.displays import BLUE, PALE, Display, text_over
from crmkit.reports.block import Block, Table
from crmkit.reports.formats import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["CohortDisplay", "SecondPurchaseDisplay", "cohorts", "second_purchase"]

_SHOWN = 12
_AHEAD = 90


class CohortDisplay(Display):
    """Share of each cohort that bought in each period after its first; table: as from `crmkit.cohorts`."""

    title = "Share of each cohort that bought"

    def _draw(self, ax: Axes) -> None:
        shares = _retention(self.table)
        values = shares.to_numpy(dtype=np.float64)
        image = ax.imshow(values, aspect="auto", cmap="Blues", vmin=0, vmax=1)
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                colour = text_over(image, value)
                ax.text(column, row, f"{value:.0%}", ha="center", va="center", fontsize=6, color=colour)
        ax.set_xticks(np.arange(shares.shape[1]), [str(name) for name in shares.columns])
        ax.set_yticks(np.arange(shares.shape[0]), [f"{day:%b %Y}" for day in shares.index])
        ax.set(xlabel="periods since the first purchase")


class SecondPurchaseDisplay(Display):
    """Share of new customers who have bought again by each day; table: as from `crmkit.second_purchase`."""

    title = "Share who have bought again"

    def _draw(self, ax: Axes) -> None:
        ax.fill_between(self.table["days"], self.table["low"], self.table["high"], step="post", color=PALE)
        ax.step(self.table["days"], self.table["share"], where="post", color=BLUE)
        ax.set(xlabel="days since the first purchase", ylim=(0, 1), xlim=(0, None))
        ax.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")


def _retention(table: pd.DataFrame) -> pd.DataFrame:
    newest = table["cohort"].drop_duplicates().tail(_SHOWN)
    shown = table[table["cohort"].isin(newest) & (table["period"] <= _SHOWN)]
    return shown.assign(share=shown["active"] / shown["customers"]).pivot(
        index="cohort", columns="period", values="share"
    )


def cohorts(table: pd.DataFrame, period: str = "month", *, currency: str = "") -> Block:
    """Retention by cohort; from `crmkit.cohorts`."""
    if not len(table):
        return Block("Cohorts", f"No {period} has been observed to its end yet")
    fresh = table[table["cohort"] > table["cohort"].min()]
    next_one = fresh[fresh["period"] == 1]
    kept = next_one["active"].sum() / next_one["customers"].sum() if len(next_one) else np.nan
    title = (
        f"{kept:.0%} of new customers buy in the {period} after their first"
        if np.isfinite(kept)
        else f"No cohort of new customers has been observed for a whole {period} after its first"
    )
    shares = _retention(table).rename(columns=lambda k: f"share_after_{k}").reset_index()
    sizes = table.groupby("cohort")["customers"].first()
    shares.insert(1, "customers", shares["cohort"].map(sizes))
    return Block(
        "Cohorts",
        title,
        f"Customers by the {period} of their first purchase, and the share of them that bought in each {period} after it. The "
        "first cohort also holds everybody who bought before the log begins, so it is left out of the title.",
        CohortDisplay(table),
        Table(shares),
        (Table(table, f"All {len(table['cohort'].unique())} cohorts"),),
    )


def second_purchase(table: pd.DataFrame, *, currency: str = "") -> Block:
    """How soon new customers buy again; from `crmkit.second_purchase`."""
    if not len(table):
        return Block("Second purchase", "Nobody has bought a second time yet")
    by_then = table[table["days"] <= _AHEAD]
    if not len(by_then):
        return Block("Second purchase", f"Nobody has bought a second time within {_AHEAD} days", table=Table(table))
    at = by_then.iloc[-1]
    marks = table.iloc[np.unique(np.searchsorted(table["days"], [7, 14, 28, 56, 90, 180, 365], side="right") - 1)]
    return Block(
        "Second purchase",
        f"{at['share']:.0%} of customers buy a second time within {_AHEAD} days",
        f"95% interval {at['low']:.0%} to {at['high']:.0%} (Kaplan–Meier: who has not come back yet counts as long as they "
        f"were watched). {number(table['customers'].iloc[0])} customers were watched at the start.",
        SecondPurchaseDisplay(table),
        Table(marks[["days", "share", "low", "high"]].rename(columns={"low": "share_low", "high": "share_high"})),
        (Table(table, f"All {len(table)} days"),),
    )
