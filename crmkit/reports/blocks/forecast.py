"""What will be sold."""

from __future__ import annotations

import pandas as pd

from crmkit.reports.block import Block, Table
from crmkit.reports.formats import money, number

__all__ = ["forecast"]

_SHOWN, _MOSTLY = 12, 0.5


def forecast(
    table: pd.DataFrame, accuracy: pd.DataFrame | None = None, *, measure: str = "quantity", currency: str = ""
) -> Block:
    """The forecast, from `crmkit.forecast`, and how good it was before, from `crmkit.forecast_accuracy`."""
    if not len(table):
        return Block("Sales forecast", "There is nothing to forecast")
    item, starts = str(table.columns[0]), table["period_start"].drop_duplicates().sort_values()
    totals = table.groupby(item)["mean"].sum().sort_values(ascending=False, kind="stable")
    whole = money(totals.sum(), currency) if measure == "sales" else f"{number(round(totals.sum()))} pieces"
    shown = table[table[item].isin(totals.head(_SHOWN).index)]
    wide = shown[shown["period_start"] == starts.iloc[0]].sort_values("mean", ascending=False, kind="stable")
    return Block(
        "Sales forecast",
        f"{whole} are expected in the {len(starts)} periods from {starts.iloc[0]:%d %b %Y} on",
        f"{_mostly(totals)}For the first period, with an interval that holds four of five outcomes (low to high); all periods are in forecast.parquet.",
        table=Table(wide),
        more=(Table(table, f"All {len(table)} rows"),),
        verdict="" if accuracy is None else _verdict(accuracy),
        judged="" if accuracy is None else _judged(accuracy),
    )


def _mostly(totals: pd.Series[float]) -> str:
    """An item that is most of the whole hides the others."""
    share = totals.iloc[0] / totals.sum() if totals.sum() > 0 else 0.0
    return f"{share:.0%} of this is {totals.index[0]}. " if share > _MOSTLY else ""


def _judged(accuracy: pd.DataFrame) -> str:
    by_method = accuracy.set_index("method")["weighted_mase"]
    better = by_method["forecast"] < by_method.iloc[-1]
    return f"Sales forecast: {'better than' if better else 'no better than'} the simple rule “{by_method.index[-1]}”."


def _verdict(accuracy: pd.DataFrame) -> str:
    by_method = accuracy.set_index("method")
    ours, naive = by_method.loc["forecast"], by_method.iloc[-1]
    better = "less than" if ours["weighted_mase"] < naive["weighted_mase"] else "no less than"
    return (
        f"Sales forecast: scaled error {ours['weighted_mase']:.2f}, {better} the {naive['weighted_mase']:.2f} of the simple rule "
        f"({naive.name}) at {ours['origins']:.0f} earlier dates; the intervals of 80% and 95% held {ours['coverage_80']:.0%} and "
        f"{ours['coverage_95']:.0%} of what came."
    )
