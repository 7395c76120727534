"""Groups of customers beside tiers and segments: brand users, relationship levels, target groups, clusters."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from crmkit.engine.frames import map_rows
from crmkit.engine.tables import joined, some_rows, stacked, with_name
from crmkit.ingest.tables import Costs
from crmkit.pipeline.notes import note
from crmkit.pipeline.stage import stage
from crmkit.reports.blocks import groups as blocks
from crmkit.segments.brand_usage import BrandUsage, own_brand_change
from crmkit.segments.clusters import CustomerClusters
from crmkit.segments.relationships import RelationshipLevel
from crmkit.segments.target_groups import target_group, track_group
from crmkit.transactions.log import Transactions

if TYPE_CHECKING:
    from crmkit.pipeline.settings import BrandUsageGroups, Clusters, Relationships, TargetGroup

_OWN_BRAND = "own_brand"


@stage("usage", "usage_groups", "usage_block")
def brand_usage(log: Transactions, *, brand_usage: BrandUsageGroups) -> dict[str, object]:
    """Who uses which brands and how much, in each category."""
    if not {brand_usage.by, "brand_type"} <= set(log.items):
        note(f"Brand and usage groups need {brand_usage.by} and brand_type of the lines, or of the products.")
        return {}
    model = BrandUsage(**brand_usage.model_dump()).fit(log)
    usage = model.predict(log)
    groups = model.summary(usage)
    return {"usage": usage, "usage_groups": groups, "usage_block": blocks.brand_usage(groups)}


@stage("relationships", "relationship_levels", "relationship_block", here=True)
def relationships(
    log: Transactions,
    costs: pd.DataFrame | None = None,
    members: pd.DataFrame | None = None,
    *,
    relationships: Relationships,
    currency: str,
) -> dict[str, object]:
    """How close the relationship with each customer is, and whether it pays."""
    levels = RelationshipLevel(**relationships.model_dump())
    found = levels.assess(log, None if costs is None else Costs(costs), agreement=_agreements(members))
    by_level = found.table.groupby("level", observed=True)
    counts = by_level.agg(customers=("customer_id", "size"), sales=("sales", "sum"), loss=("loss", "sum"))
    table = counts.reset_index()
    told = blocks.relationships(table, currency=currency)
    return {"relationships": found.table, "relationship_levels": table, "relationship_block": told}


def _agreements(members: pd.DataFrame | None) -> pd.Series[bool] | None:
    """Whose agreement is on record: anything in the column of that name."""
    if members is None or "agreement" not in members:
        return None
    found: pd.Series[bool] = members.set_index("customer_id")["agreement"].fillna("").astype(str).str.strip() != ""
    return found


@stage("target_groups", "target_group_steps", "target_group_trends", "target_group_block")
def target_groups(
    log: Transactions, customers: pd.DataFrame, *, target_groups: Mapping[str, TargetGroup]
) -> dict[str, object]:
    """Members who meet stated conditions, counted step by step, and how they develop."""
    tables = [customers]
    if any(_OWN_BRAND in text for group in target_groups.values() for text in group.conditions.values()):
        tables.append(own_brand_change(log))
    groups = {name: target_group(name, tables, group.conditions) for name, group in target_groups.items()}
    if not groups:
        return {}
    trends = [
        track_group(groups[name], log, stated.measure, stated.period).table.assign(group=name, measure=stated.measure)
        for name, stated in target_groups.items()
        if stated.measure and not log.on_spark
    ]
    if log.on_spark and any(stated.measure for stated in target_groups.values()):
        note("Target groups are not followed over time on Spark yet: target_group_trends is missing.")
    steps = pd.concat([group.steps.assign(group=name) for name, group in groups.items()], ignore_index=True)
    trend = pd.concat(trends, ignore_index=True) if trends else None
    return {
        "target_groups": stacked({name: group.members for name, group in groups.items()}, "group"),
        "target_group_steps": steps,
        "target_group_trends": trend,
        "target_group_block": blocks.target_groups(steps, trend),
    }


_LEARNED_FROM, _WAS = 200_000, "cluster_before"


def _clustered(rows: pd.DataFrame, model: CustomerClusters) -> pd.DataFrame:
    """The cluster of each customer, held by the one before."""
    by_id = rows.set_index("customer_id")
    held = by_id[_WAS].dropna() if _WAS in by_id else None
    return model.segment(by_id.drop(columns=_WAS, errors="ignore"), previous=held).rename("cluster").reset_index()


@stage("clusters", "cluster_profiles", "cluster_model", "cluster_block")
def clusters(
    customers: pd.DataFrame,
    previous_clusters: tuple[CustomerClusters, pd.DataFrame] | None = None,
    *,
    clusters: Clusters,
) -> dict[str, object]:
    """Clusters that keep their scale, number and names from run to run."""
    fresh = CustomerClusters(**clusters.model_dump())
    before, labels = previous_clusters or (None, None)
    known = before is not None and before.get_params() == fresh.get_params()
    some = some_rows(customers, _LEARNED_FROM)
    model = before.refit(some) if before is not None and known else fresh.fit(some)
    model.labels_ = model.labels_[:0]
    held = labels if labels is not None and known else None
    rows = customers if held is None else joined(customers, with_name(held, "cluster", _WAS), how="left")
    found = map_rows(rows, partial(_clustered, model=model), "customer_id string, cluster string")
    told = blocks.clusters(model.profiles_)
    return {"clusters": found, "cluster_profiles": model.profiles_, "cluster_model": model, "cluster_block": told}
