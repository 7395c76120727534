"""What each customer will need next, and when."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from crmkit.engine.frames import is_spark, map_rows
from crmkit.exceptions import ConfigError
from crmkit.pipeline.notes import note
from crmkit.pipeline.stage import stage
from crmkit.reports.blocks.repurchase import repurchases as upcoming
from crmkit.repurchase.next_purchase import NextPurchase
from crmkit.transactions.log import Transactions

if TYPE_CHECKING:
    from crmkit.engine.frames import Frame
    from crmkit.pipeline.settings import Repurchase


@stage("repurchase_model", max_age="repurchase.refit_every", ages=["log"])
def fit_repurchase(log: Transactions, repurchase_drift: object = None, *, repurchase: Repurchase) -> dict[str, object]:
    """The model of when each item is bought again."""
    by = item_of(log, repurchase)
    if by is None:
        note("Repurchases were not predicted: the lines have neither a category nor a product_id.")
        return {}
    return {"repurchase_model": NextPurchase(by=by, exclude=repurchase.exclude).fit(log)}


def item_of(log: Transactions, repurchase: Repurchase) -> str | None:
    """The item column whose purchases are timed."""
    if repurchase.by and repurchase.by not in log.items:
        raise ConfigError(
            f"repurchase.by = {repurchase.by!r}, which the lines do not have; they have {list(log.items)}."
        )
    return repurchase.by or next((name for name in ("category", "product_id") if name in log.items), None)


@stage("repurchases", "repurchased")
def score_repurchases(
    log: Transactions,
    repurchase_model: NextPurchase,
    products: pd.DataFrame | None = None,
    *,
    repurchase: Repurchase,
    folder: Path,
) -> dict[str, object]:
    """Each customer and item bought before: how likely within the horizon, and when; written as it comes."""
    due: pd.DataFrame | Path
    if repurchase_model.item == "product_id" and products is not None:
        names = products.set_index("product_id")["name"]
        found = repurchase_model.predict(log, horizon=repurchase.horizon)
        due = map_rows(found, partial(_with_names, names=names), _named_kinds(found))
    elif log.on_spark:
        due = repurchase_model.predict(log, horizon=repurchase.horizon)
    else:
        due = repurchase_model.write_predictions(log, folder / "repurchases.parquet", horizon=repurchase.horizon)
    return {"repurchases": due, "repurchased": {"item": repurchase_model.item}}


def _with_names(due: pd.DataFrame, names: pd.Series[str]) -> pd.DataFrame:
    due.insert(2, "name", due["product_id"].map(names).fillna(due["product_id"]))
    return due


def _named_kinds(due: Frame) -> str:
    """Columns of a Spark DataFrame with the name behind the product."""
    kinds = [f"`{name}` {kind}" for name, kind in due.dtypes] if is_spark(due) else []
    return ", ".join([*kinds[:2], "name string", *kinds[2:]])


@stage("repurchase_block")
def repurchase_block(repurchases: Path, repurchased: Mapping[str, str]) -> dict[str, object]:
    """What the report says of upcoming repurchases."""
    return {"repurchase_block": upcoming(repurchases, repurchased["item"])}
