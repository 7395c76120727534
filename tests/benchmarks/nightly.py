"""What a night costs: the sample and the Complete Journey, a first night and the next, beside another commit.

    python tests/benchmarks/nightly.py [--beside FOLDER] [--journey FOLDER] [--nights N]

``--beside`` is a worktree of the commit to compare with, ``--journey`` a folder with the whole Complete Journey
(transactions.parquet, products.parquet). ``--nights`` runs so many consecutive nights of the sample, each of which must
give the same tables as the same night with every stage redone.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

HERE = Path(__file__).parents[2]
JOURNEY = """title = "Complete Journey"
currency = "USD"
until = 2017-12-31
[transactions]
files = "{folder}/transactions.parquet"
time_zone = "America/New_York"
recorded_in = "UTC"
columns = {{ customer_id = "household_id", purchased_at = "transaction_timestamp", amount = "sales_value", order_id = "basket_id" }}
[products]
files = "{folder}/products.parquet"
columns = {{ category = "product_category", manufacturer = "manufacturer_id" }}
[deals]
files = "{sample}/deals.csv"
columns = {{ product_id = "sku" }}
[repurchase]
by = "category"
exclude = ["COUPON/MISC ITEMS", "FUEL", "MISC. TRANS.", "MISCELLANEOUS"]
[offers]
min_weekly_spend = 25
"""


def night(code: Path, config: Path, out: Path, day: str, *more: str) -> tuple[float, float]:
    """Wall and processor seconds of one run, in a process of its own with one thread of the numeric libraries."""
    env = os.environ | {"PYTHONPATH": str(code), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "crmkit", "run", str(config), "--out", str(out), "--as-of", day, "-q", *more]
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - wall, spent


def pair(code: Path, config: Path, days: tuple[str, str], home: Path) -> list[tuple[float, float]]:
    """A first night and the next."""
    return [night(code, config, home, day) for day in days]


def tables(out: Path) -> dict[str, str]:
    current = (out / "CURRENT").resolve()
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(current.rglob("*.parquet"))}


def consecutive(n: int, home: Path) -> None:
    """Nights that follow each other: what each keeps gives the same as redoing it."""
    config = HERE / "data" / "sample" / "crmkit.toml"
    for number in range(n):
        day = str(date(2017, 12, 31) - timedelta(days=n - 1 - number))
        wall, spent = night(HERE, config, home / "kept", day)
        shutil.rmtree(home / "fresh", ignore_errors=True)
        shutil.copytree(home / "kept", home / "fresh", symlinks=True)
        night(HERE, config, home / "fresh", day, "--fresh")
        kept, fresh = tables(home / "kept"), tables(home / "fresh")
        other = sorted(name for name in kept.keys() | fresh.keys() if kept.get(name) != fresh.get(name))
        print(
            f"night of {day}: {wall:6.1f} s, {spent:6.1f} of processor; differs from redone: {other or 'nothing'}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside", type=Path)
    parser.add_argument("--journey", type=Path)
    parser.add_argument("--nights", type=int, default=0)
    stated = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        works: list[tuple[str, Path, tuple[str, str]]] = [
            ("sample", HERE / "data" / "sample" / "crmkit.toml", ("2017-11-30", "2017-12-31")),
        ]
        if stated.journey:
            config = home / "journey.toml"
            config.write_text(JOURNEY.format(folder=stated.journey.resolve(), sample=HERE / "data" / "sample"))
            works.append(("Complete Journey", config, ("2017-12-30", "2017-12-31")))
        for name, config, days in works:
            codes = {"now": HERE} | ({"beside": stated.beside.resolve()} if stated.beside else {})
            measured = {which: pair(code, config, days, home / f"{name}-{which}") for which, code in codes.items()}
            for place, what in enumerate((f"{name}, first night ({days[0]})", f"{name}, next ({days[1]})")):
                told = "; ".join(
                    f"{which} {one[place][0]:.0f} s, {one[place][1]:.0f} of processor"
                    for which, one in measured.items()
                )
                print(f"{what}: {told}", flush=True)
        if stated.nights:
            consecutive(stated.nights, home)


if __name__ == "__main__":
    main()
