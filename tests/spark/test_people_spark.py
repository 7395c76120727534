"""People's data on Spark: the pseudonyms of one machine, the same figures, and nobody who was forgotten."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from crmkit import RunResult, run
from crmkit.pipeline.people import forget
from crmkit.pipeline.stages import STAGES
from crmkit.testing import generated_sales

pytestmark = [pytest.mark.xdist_group("spark"), pytest.mark.long]

DAY = "2017-09-07"
NAMES = [one.name for one in STAGES]
BASE: dict[str, Any] = {"until": DAY, "value": {"model": "BG/NBD"}, "repurchase": {"by": "category"}}
TABLES = ("transactions", "members")


def delivered(home: Path) -> dict[str, pd.DataFrame]:
    sales = generated_sales(n_customers=90, days=250, seed=3)
    sales["customer_id"] = "CANARY" + sales["customer_id"].astype(str)
    members = pd.DataFrame({"customer_id": sales["customer_id"].unique(), "no_contact": ""})
    tables = {"transactions": sales, "members": members}
    for name, table in tables.items():
        table.to_csv(home / f"{name}.csv", index=False)
    (home / "house.key").write_text("a secret of the house")
    (home / "house.key").chmod(0o600)
    return tables


def night(home: Path, name: str, config: dict[str, Any]) -> RunResult:
    privacy = {"pseudonyms": True, "key_file": "house.key", "folder": f"privacy-{name}"}
    stages = [*STAGES[: NAMES.index("customers") + 1], *(one for one in STAGES if "repurchase" in one.name)]
    stages = [one for one in stages if not one.name.startswith("backtest")]
    return run(BASE | {"privacy": privacy} | config, home / name, home=home, stages=stages)


def holds(word: str, folder: Path) -> list[str]:
    found = []
    for file in sorted(one for one in folder.rglob("*") if one.is_file()):
        rows = str(pq.read_table(file).to_pylist()) if file.suffix == ".parquet" else ""
        found += [str(file)] if word.encode() in file.read_bytes() or word in rows else []
    return found


def test_pseudonyms_and_figures_are_those_of_one_machine_and_who_is_forgotten_stays_away(
    spark: Any, tmp_path: Path
) -> None:
    tables = delivered(tmp_path)
    files = {name: {"files": f"{name}.csv"} for name in TABLES}
    for name in TABLES:
        spark.createDataFrame(tables[name]).createOrReplaceTempView(f"people_{name}")
    far = {name: {"table": f"people_{name}"} for name in TABLES} | {"engine": {"kind": "spark"}}
    one, other = night(tmp_path, "here", files), night(tmp_path, "far", far)
    for table in ("customers", "repurchases"):
        mine, theirs = (
            pd.read_parquet(done.folder / f"{table}.parquet").drop(columns=["tier_since"], errors="ignore")
            for done in (one, other)
        )
        keys = [name for name in ("customer_id", "category") if name in mine]
        pd.testing.assert_frame_equal(
            mine.sort_values(keys, ignore_index=True),
            theirs[mine.columns].sort_values(keys, ignore_index=True),
            rtol=1e-6,
            check_dtype=False,
        )
    assert holds("CANARY", tmp_path / "far") == []
    gone = str(tables["members"]["customer_id"][0])
    config = tmp_path / "far.toml"
    config.write_text(
        f'until = {DAY}\n[transactions]\ntable = "people_transactions"\n[members]\ntable = "people_members"\n'
        '[engine]\nkind = "spark"\n[privacy]\npseudonyms = true\nkey_file = "house.key"\nfolder = "privacy-far"\n'
    )
    receipt = forget([gone], config, tmp_path / "far")
    assert "people_transactions, people_members" in str(receipt)
    again = night(tmp_path, "far", far)
    assert len(pd.read_parquet(again.folder / "customers.parquet")) == len(tables["members"]) - 1
