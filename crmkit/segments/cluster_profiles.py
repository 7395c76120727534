"""What clusters are measured on and what they are like: a frozen scale of logarithms, medians, words."""

from __future__ import annotations

import numpy as np
import pandas as pd

from crmkit._types import Floats, Ints
from crmkit.segments.cut_points import log_scaled, log_unit

__all__ = ["on_scale", "profiles", "scale_of"]


def scale_of(values: Floats, names: list[str]) -> pd.DataFrame:
    """Unit, mean and standard deviation of the logarithm of each measure; 1 where all customers are equal."""
    units = [log_unit(column) for column in values.T]
    logs = np.column_stack([log_scaled(column, unit) for column, unit in zip(values.T, units, strict=True)])
    spread = logs.std(axis=0)
    same = spread <= 1e-12 * np.maximum(1.0, np.abs(logs).max(axis=0))
    table = {"unit": units, "mean": logs.mean(axis=0), "sd": np.where(same, 1.0, spread)}
    return pd.DataFrame(table, index=pd.Index(names, name="measure"))


def on_scale(values: Floats, scale: pd.DataFrame) -> Floats:
    """Measures in standard deviations of a frozen scale.

    >>> values = np.array([[1.0], [10.0], [100.0]])
    >>> on_scale(values, scale_of(values, ["spend"])).sum().round(9) + 0.0
    np.float64(0.0)
    """
    unit, mean, sd = (scale[name].to_numpy() for name in ("unit", "mean", "sd"))
    placed: Floats = (log_scaled(values, unit) - mean) / sd
    return placed


def profiles(
    values: Floats, place: Floats, labels: Ints, names: tuple[str, ...], measures: list[str], value: int
) -> pd.DataFrame:
    """One row per cluster that has customers: how many, with how much of the value, medians, and what sets it apart."""
    table = pd.DataFrame(values, columns=measures).groupby(labels).median().reindex(range(len(names)))
    height = pd.DataFrame(place, columns=measures).groupby(labels).mean().reindex(range(len(names)), fill_value=0.0)
    n = np.bincount(labels, minlength=len(names))
    held, total = np.bincount(labels, values[:, value], len(names)), float(values[:, value].sum())
    table.insert(0, "cluster", names)
    table.insert(1, "customers", n)
    table.insert(2, "share_of_customers", n / n.sum())
    table.insert(3, "share_of_value", held / total if total > 0 else np.zeros(len(names)))
    middle = np.median(values, axis=0)
    table["words"] = [
        _words(row, height.iloc[rank], measures, middle, str(measures[value]))
        for rank, (_, row) in enumerate(table.iterrows())
    ]
    return table[table["customers"] > 0].reset_index(drop=True)


def _words(row: pd.Series, height: pd.Series[float], measures: list[str], middle: Floats, value: str) -> str:
    """What sets a cluster apart: measures half a standard deviation or more from the mean."""
    apart = [
        f"{'high' if height[name] > 0 else 'low'} {name} {row[name]:,.0f} (all {usual:,.0f})"
        for name, usual in zip(measures, middle, strict=True)
        if abs(height[name]) >= 0.5
    ]
    said = f"{row['cluster']}: {row['customers']:,} customers ({row['share_of_customers']:.0%}) with "
    said = said.replace("%", " %") + f"{100 * row['share_of_value']:.0f} % of {value}"
    return f"{said}; {', '.join(apart) if apart else 'like the average customer'}"
