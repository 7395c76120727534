"""The verbs of a run over pandas and over a Parquet file give the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from crmkit.engine.tables import first_rows, grouped
from crmkit.reports.blocks.repurchase import repurchases

MEASURES = {
    "n": ("p", "size"), "known": ("p", "count"), "total": ("p", "sum"), "mean": ("p", "mean"), "middle": ("p", "median"),
    "most": ("p", "max"), "likely": ("p", "likely"),
}  # fmt: skip


def pairs(n: int = 500) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    item = rng.choice(["Bread", "Milk", None], n)
    p = np.where(rng.random(n) < 0.1, np.nan, rng.random(n))
    return pd.DataFrame({"customer_id": rng.integers(0, 90, n).astype(str), "category": item, "p": p, "horizon": 14})


def test_groups_of_a_file_are_those_of_its_rows(tmp_path: Path) -> None:
    table, file = pairs(), tmp_path / "pairs.parquet"
    table.to_parquet(file, index=False)
    pd.testing.assert_frame_equal(
        grouped(file, "category", **MEASURES), grouped(table, "category", **MEASURES), rtol=1e-12, check_dtype=False
    )
    assert first_rows(file, 3)["customer_id"].tolist() == table["customer_id"].head(3).tolist()


def test_the_report_says_the_same_of_a_file(tmp_path: Path) -> None:
    table = pairs().dropna().rename(columns={"p": "p_purchase"})
    table.to_parquet(tmp_path / "pairs.parquet", index=False)
    here, there = (repurchases(one, "category") for one in (table, tmp_path / "pairs.parquet"))
    assert (there.title, there.sentence) == (here.title, here.sentence)
