"""A hundred million pairs of member and item, scored and written: wall and processor time, and peak memory.

    python tests/benchmarks/pairs.py --pairs 1e8 [--folder FOLDER] [--threads 2] [--memory-limit 1GB]

Members buy 50 of 300 items four times each in a year, on their visits. The model is learned from 4,000 of them before the
clock starts; the clock holds all that follows: the lines are read, sorted into parts of the members, summed up, scored and
written as Parquet, in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from datetime import date
from pathlib import Path

from peak import peak_mb

from crmkit import NextPurchase, Transactions, load_next_purchase
from crmkit._days import day_number
from crmkit.engine.duckdb import DuckDBEngine, engine_limits

UNTIL = date(2017, 12, 31)
ITEMS, PURCHASES, VISITS, THREADS = 50, 4, 26, 2
LINES = f"""
    select lpad(cast(m as varchar), 8, '0') as customer_id, 'Category ' || (m * 7 + i * 3) % 300 as category,
        cast({day_number(UNTIL)} - hash(m, (i * 5 + k * 7) % {VISITS}) % 364 as integer) as day, day as buy_day,
        cast(1 + hash(m, i, k) % 900 / 100.0 as decimal(18, 4)) as amount, cast(1 as decimal(18, 4)) as units
    from range(:members) as members(m), range({ITEMS}) as items(i), range({PURCHASES}) as purchases(k)
"""


def write_model(path: Path) -> None:
    """A model learned from some members."""
    with DuckDBEngine() as engine:
        some = engine.frame(
            f"select customer_id, category, amount, date '1970-01-01' + day as purchased_at from ({LINES}) as lines",
            {"members": 4_000},
        )
    NextPurchase(by="category").fit(Transactions.from_extract(some, until=UNTIL)).save(path)


def write_log(folder: Path, members: int) -> None:
    """The lines of a log."""
    folder.mkdir(exist_ok=True)
    with DuckDBEngine() as engine:
        engine.save(LINES, folder / "lines.parquet", {"members": members})


def score(home: Path, members: int, threads: int, memory_limit: str) -> dict[str, float]:
    """To be called in a process of its own."""
    log = Transactions(home / f"log{members}", UNTIL, ("category",))
    model = load_next_purchase(home / "model.json")
    start, used = time.perf_counter(), time.process_time()
    with engine_limits(memory_limit=memory_limit, threads=threads):
        model.write_predictions(log, home / "due.parquet")
    return {
        "wall": time.perf_counter() - start,
        "processor": time.process_time() - used,
        "MB": peak_mb(),
        "load": os.getloadavg()[0],
    }


def measured(home: Path, pairs: float, threads: int = THREADS, memory_limit: str = "1GB") -> dict[str, float]:
    """Write what is missing in a folder, and score it in a process of its own."""
    members = round(pairs / ITEMS)
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "model.json").exists():
        write_model(home / "model.json")
    if not (home / f"log{members}" / "lines.parquet").exists():
        write_log(home / f"log{members}", members)
    command = [sys.executable, __file__, "--apart", str(home), str(members), str(threads), memory_limit]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=env).stdout
    found: dict[str, float] = json.loads(said.splitlines()[-1])
    return found


def main() -> None:
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=float, nargs="+", default=[1e6])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--threads", type=int, default=THREADS)
    parser.add_argument("--memory-limit", default="1GB")
    parser.add_argument("--apart", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.apart:
        home, members, threads, memory_limit = given.apart
        print(json.dumps(score(Path(home), int(members), int(threads), memory_limit)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        for pairs in given.pairs:
            found = measured(given.folder or Path(scratch), pairs, given.threads, given.memory_limit)
            n = round(pairs / ITEMS) * ITEMS
            each = found["processor"] / n
            print(
                f"{n:,} pairs, {n * PURCHASES:,} lines: {found['wall']:.0f} s, {found['processor']:.0f} s of processor "
                f"({1e6 * each:.2f} µs a pair), {found['MB']:,.0f} MB; 100 M pairs at that: {1e8 * each / given.threads:.0f} s on "
                f"{given.threads} idle cores",
                flush=True,
            )


if __name__ == "__main__":
    main()
