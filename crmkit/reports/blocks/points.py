"""Points: what came, what went, and what stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from crmkit.displays import BLUE, PALE, Display
from crmkit.reports.block import Block, Table
from crmkit.reports.formats import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PointsDisplay", "points"]

_CAME, _WENT = ("earned", "bonus", "adjusted"), ("returned", "redeemed", "expired")


class PointsDisplay(Display):
    """Points that came and went in each month, and what stood at its end; table: as from `crmkit.points_balances`, by month."""

    title = "Points that came and went, and the balance"

    def _draw(self, ax: Axes) -> None:
        at = range(len(self.table))
        ax.bar(at, self.table[list(_CAME)].sum(axis=1), color=BLUE, label="came")
        ax.bar(at, -self.table[list(_WENT)].sum(axis=1), color=PALE, label="went")
        ax.plot(at, self.table["closing"], color="black", label="balance")
        ax.set_xticks(at, [f"{day:%b %y}" for day in self.table["month"]], rotation=45, ha="right")
        ax.axhline(0, linewidth=0.8, color="black")
        ax.yaxis.set_major_formatter(lambda points, _: f"{points:,.0f}")
        ax.legend(frameon=False, fontsize=7, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.22))


def points(
    months: pd.DataFrame,
    balances: pd.DataFrame,
    liability: str,
    check: pd.DataFrame | None = None,
    *,
    currency: str = "",
) -> Block:
    """The ledger of points by month, and what the points that stand will cost."""
    if not len(balances):
        return Block("Points", "No card has earned a point yet")
    last = months.iloc[-1]
    flow = sum(int(last[name]) for name in ("opening", *_CAME)) - sum(int(last[name]) for name in _WENT)
    adds_up = flow == int(last["closing"]) and int(balances["closing"].sum()) == int(last["closing"])
    notes = [
        "Opening + earned + bonus + adjusted - returned - redeemed - expired = closing, on each card and in each month."
        if adds_up
        else "The ledger does not add up."
    ]
    if check is not None:
        states = check["state"].value_counts()
        told = ", ".join(f"{number(n)} {state}" for state, n in states.items())
        notes.append(f"Beside the other system's ledger, of {number(len(check))} lines: {told}.")
    return Block(
        "Points",
        f"{number(balances['closing'].sum())} points stand on {number((balances['closing'] > 0).sum())} cards",
        liability,
        PointsDisplay(months),
        Table(months),
        notes=tuple(notes),
    )
