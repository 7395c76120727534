"""What it costs to forget a member: a store of many lines, and many runs that name them.

    python tests/benchmarks/forget.py --lines 1e7 --runs 50 [--folder FOLDER]

The store is loaded from generated months. One run is made of the newest lines, as many as ``--run-lines``, by all stages but those
that only draw or look back; the others are copies of it under other days. Prints what the store and a run hold, the seconds of
``crmkit forget`` by the clock and of the processor, its peak memory, and how many files name the member afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq
from generate import UNTIL, write_parquet

from crmkit import Store, read_extract, run
from crmkit.pipeline.stages import STAGES

LEFT_OUT = ("report", "forecast-total", "look-back", "cohorts", "revenue", "backtest-value", "backtest-churn",
            "backtest-repurchase", "print-lists")  # fmt: skip
NAMES = {
    "customer_id": "card_no",
    "purchased_at": "till_time",
    "amount": "net_paid",
    "order_id": "receipt",
    "product_id": "sku",
}
CONFIG = f"""until = {UNTIL}
[transactions]
files = "{{files}}"
columns = {{{{ {", ".join(f'{name} = "{column}"' for name, column in NAMES.items())} }}}}
[value]
model = "BG/NBD"
[repurchase]
by = "category"
[deals]
files = "deals.csv"
"""


def loaded(home: Path, n_lines: int) -> Store:
    """The store of all months; one that is there is taken."""
    store = Store(home / "store")
    if store.is_empty:
        for file in write_parquet(home / "till", n_lines):
            store.load(read_extract(file), until=UNTIL, **NAMES)
    return store


def first_run(home: Path, n_lines: int) -> Path:
    """A run of the newest lines."""
    newest = max((home / "till").glob("*.parquet"))
    with duckdb.connect() as session:
        lines = f"select * from read_parquet('{newest}') order by till_time desc limit {n_lines}"
        session.execute(f"copy ({lines}) to '{home / 'newest.parquet'}'")
    deals = {"deal_id": ["d0", "d1", "d2"], "title": "Off", "funder": "Maker", "value": 0.5, "margin": 0.4}
    categories = {"category": [f"Category {n:03d}" for n in range(3)]}
    pd.DataFrame(deals | categories | {"starts": "2024-01-01", "ends": "2026-12-31", "budget": 500}).to_csv(
        home / "deals.csv", index=False
    )
    (home / "run.toml").write_text(CONFIG.format(files="newest.parquet"))
    (home / "crmkit.toml").write_text(CONFIG.format(files="till/*.parquet") + '[store]\nfolder = "store"\n')
    stages = [one for one in STAGES if one.name not in LEFT_OUT]
    return run(home / "run.toml", home / "out", stages=stages).folder.resolve()


def copies(first: Path, n: int) -> None:
    """The same run under earlier days."""
    for days in range(1, n):
        day = UNTIL - timedelta(days=days)
        other = first.with_name(f"{day}-{days:012d}")
        shutil.copytree(first, other, copy_function=os.link)
        manifest = json.loads((first / "run.json").read_text())
        (other / "run.json").unlink()
        (other / "run.json").write_text(json.dumps(manifest | {"run": other.name, "as_of": str(day)}))


def files_naming(home: Path, who: str) -> int:
    """Files of store and runs that name somebody: in their bytes, or in a table's texts."""
    found = 0
    for file in (one for place in ("store", "out", "privacy") for one in (home / place).rglob("*") if one.is_file()):
        hit = who.encode() in file.read_bytes()
        if file.suffix == ".parquet" and not hit:
            table = pq.ParquetFile(file)
            texts = [one.name for one in table.schema_arrow if str(one.type) in ("string", "large_string")]
            parts = table.iter_batches(columns=texts) if texts else ()
            hit = any(pc.any(pc.equal(column, who)).as_py() for part in parts for column in part.columns)
        found += hit
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=float, default=1e7)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--run-lines", type=float, default=1e5)
    parser.add_argument("--folder", type=Path, help="where the store is kept, to be used again")
    stated = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = stated.folder or Path(scratch)
        home.mkdir(parents=True, exist_ok=True)
        store = loaded(home, int(stated.lines))
        shutil.rmtree(home / "out", ignore_errors=True)
        first = first_run(home, int(stated.run_lines))
        copies(first, stated.runs)
        customers = pd.read_parquet(first / "repurchases.parquet")["customer_id"]
        who = customers.value_counts().index[0]
        tables = [pq.read_metadata(file) for file in first.rglob("*.parquet")]
        log = store.transactions(folder=Path(tempfile.mkdtemp(dir=scratch)))
        n_lines = sum(pq.read_metadata(file).num_rows for file in log.lines)
        print(
            f"store: {n_lines:,} lines; {stated.runs} runs of {len(tables)} tables with "
            f"{sum(table.num_rows for table in tables):,} rows each; {files_naming(home, who):,} files name the member",
            flush=True,
        )
        forget(home, who)


def forget(home: Path, who: str) -> None:
    command = [sys.executable, "-m", "crmkit", "forget", who, "--config", "crmkit.toml", "--out", "out"]
    started = time.perf_counter()
    said = subprocess.run(command, cwd=home, check=True, capture_output=True, text=True).stdout
    wall = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(said)
    print(
        f"{wall:.1f} s by the clock, {used.ru_utime + used.ru_stime:.1f} s of processor, {used.ru_maxrss / 1024:,.0f} MB; "
        f"{files_naming(home, who)} files name the member afterwards"
    )


if __name__ == "__main__":
    main()
