"""Groups of customers beside tiers and segments."""

from __future__ import annotations

import pandas as pd

from crmkit.reports.block import Block, Table
from crmkit.reports.formats import money, number

__all__ = ["brand_usage", "clusters", "relationships", "target_groups"]

_CATEGORIES = 12


def brand_usage(groups: pd.DataFrame, *, currency: str = "") -> Block:
    """Users of national and of store brands; from ``BrandUsage.summary``."""
    item = str(groups.columns[0])
    users = groups.assign(user=groups["usage_group"].str.split(n=1).str[1])
    shares = users.pivot_table(index=item, columns="user", values="customers", aggfunc="sum", observed=True)
    table = shares.assign(buyers=shares.sum(axis=1)).sort_values("buyers", ascending=False, kind="stable")
    switchers = shares["switcher"].sum() / max(shares.to_numpy().sum(), 1)
    shown = table.reset_index().rename_axis(columns=None)
    return Block(
        "Brand and usage",
        f"{switchers:.0%} of the buyers of a category buy both the store's and national brands",
        f"Buyers of {len(table)} categories by the brands that they use; each also has a light, medium or heavy level.",
        table=Table(shown.head(_CATEGORIES)),
        more=(Table(groups, "The nine groups of every category"),),
    )


def relationships(levels: pd.DataFrame, *, currency: str = "") -> Block:
    """How close the relationships are, and what those cost that bring less; columns level, customers, sales, loss."""
    counts = levels.set_index("level")["customers"]
    return Block(
        "Relationships",
        f"{number(counts.get('alliance', 0) + counts.get('partner', 0))} of {number(counts.sum())} relationships are "
        "partnerships or closer",
        f"Relationships that cost more than they bring lose {money(levels['loss'].sum(), currency)} together. "
        "Partners make half of their purchases here and bring no less than the mean customer; an alliance is, beside that, a "
        "stated agreement.",
        table=Table(levels),
    )


def target_groups(steps: pd.DataFrame, trends: pd.DataFrame | None = None, *, currency: str = "") -> Block:
    """Members who meet stated conditions; columns group, condition, meet, unknown, left."""
    sizes = steps.groupby("group", sort=False)["left"].last()
    said = ", ".join(f"“{name}” has {number(n)} members" for name, n in sizes.items())
    more = () if trends is None else (Table(trends, "Development over time"),)
    return Block("Target groups", said, "Members left after each condition.", table=Table(steps), more=more)


def clusters(profiles: pd.DataFrame, *, currency: str = "") -> Block:
    """Clusters that keep their names; from ``CustomerClusters.profiles_``."""
    first = profiles.iloc[0]
    return Block(
        "Clusters",
        f"“{first['cluster']}” has {first['share_of_customers']:.0%} of the customers and {first['share_of_value']:.0%} of "
        "the value",
        f"{len(profiles)} clusters, which keep their scale and their names from run to run.",
        table=Table(profiles.drop(columns="words")),
        notes=tuple(one.replace("_", " ") for one in profiles["words"]),
    )
