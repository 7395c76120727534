"""Rows of the repurchases that a stage needs, read from their file: all of them may be more than memory holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from crmkit.engine.duckdb import DuckDBEngine
from crmkit.engine.pieces import Source

__all__ = ["due_of", "in_order", "item_timed", "items_due"]


def item_timed(repurchases: Path) -> str:
    """The column of what is timed."""
    there = pq.read_schema(repurchases).names
    return next(name for name in ("product_id", "category", there[1]) if name in there)


def items_due(repurchases: Path) -> pd.DataFrame:
    """What is timed at all, one row an item."""
    item = item_timed(repurchases)
    with DuckDBEngine() as engine:
        name = engine.quoted(item)
        return engine.frame(f"select distinct {name} from {engine.parquet(repurchases)} order by {name}")


def in_order(repurchases: Path, folder: Path) -> Path:
    """The same ordered by member and item, as a plan reads them; they are written in the order in which they are scored."""
    ordered = folder / "ordered.parquet"
    with DuckDBEngine() as engine:
        name = engine.quoted(item_timed(repurchases))
        engine.save(f"select * from {engine.parquet(repurchases)} order by customer_id, {name}", ordered)
    return ordered


def due_of(
    repurchases: Path,
    path: Path,
    members: Source,
    items: pd.Series[str] | None = None,
    least: float = 0.0,
    columns: Sequence[str] = (),
) -> Path:
    """Rows of these members (customer_id), and of these items, that are at least so probable; as a file by member and item."""
    item = item_timed(repurchases)
    with DuckDBEngine() as engine:
        name = engine.quoted(item)
        where = f"customer_id in (select customer_id from {engine.register(members)}) and p_purchase >= :least"
        if items is not None:
            where += f" and {name} in (select item from {engine.register(items.dropna().astype(str).to_frame('item'))})"
        chosen = ", ".join(map(engine.quoted, columns)) or "*"
        text = f"select {chosen} from {engine.parquet(repurchases)} where {where} order by customer_id, {name}"
        engine.save(text, path, {"least": least})
    return path
