"""What a load costs a store: many small loads, one more day of a large store, corrections; every figure in processor seconds.

    python tests/benchmarks/store.py small --loads 2000
    python tests/benchmarks/store.py day --lines 1e7 5e7
    python tests/benchmarks/store.py corrections

Each prints its target beside what it measured; run the same file in a checkout of an earlier commit to compare.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crmkit import Store, rfm_table

DAY_LINES = 30_000
START = pd.Timestamp("2020-01-01")


def till(day: int, n_lines: int, n_members: int, n_days: int = 1) -> pd.DataFrame:
    """Till lines of some days: nine to a receipt, three in a hundred of them returns."""
    rng = np.random.default_rng([day, n_lines])
    receipt = np.arange(n_lines) // 9
    member = rng.integers(0, n_members, receipt[-1] + 1)[receipt]
    second = rng.integers(8 * 3600, 20 * 3600, receipt[-1] + 1)[receipt]
    quantity = rng.integers(1, 4, n_lines) * np.where(rng.random(n_lines) < 0.03, -1, 1)
    day_of_line = (np.arange(n_lines) * n_days) // n_lines
    return pd.DataFrame(
        {
            "customer_id": "m" + pd.Series(member).astype(str),
            "purchased_at": START + pd.to_timedelta((day + day_of_line) * 86400 + second, unit="s"),
            "amount": quantity * rng.integers(100, 5000, n_lines) / 100,
            "quantity": quantity,
            "product_id": "p" + pd.Series(rng.integers(0, 20_000, n_lines)).astype(str),
            "order_id": f"{day}-" + pd.Series(receipt).astype(str),
            "line_id": np.arange(n_lines) % 9,
        }
    )


def until(day: int) -> str:
    return str((START + pd.Timedelta(days=day)).date())


def seconds(work: Callable[..., Any], rows: pd.DataFrame, day: int) -> float:
    """What a load or a correction of rows costs."""
    started = time.process_time()
    work(rows, until=until(day))
    return time.process_time() - started


def small(home: Path, n_loads: int) -> None:
    """Loads of 500 lines, one a day; the sum at the end is that of all lines."""
    store, spent, money = Store(home / "small"), [], 0.0
    for day in range(n_loads):
        rows = till(day, 500, 3_000)
        money += rows["amount"].sum()
        spent.append(seconds(store.load, rows, day))
        if day + 1 in (1, 50, 200, 2000) or (day + 1) % 500 == 0:
            near = spent[max(0, day - 24) : day + 1]
            print(f"load {day + 1:>5,}: {np.mean(near):.3f} s (mean of the last {len(near)})", flush=True)
    first, last = np.mean(spent[1:26]), np.mean(spent[-50:])
    total = rfm_table(store.transactions(until=until(n_loads - 1)))["total_spend"].sum()
    files = len(store.transactions(until=until(n_loads - 1)).lines)
    print(
        f"last to first: {last / first:.2f} (target 1.30); files of lines {files}; money off by {abs(total - money):.4f}"
    )


def filled(home: Path, n_lines: int) -> tuple[Store, int]:
    """A store of so many lines, 30,000 a day, loaded thirty days at a time; and its next day."""
    store, n_days = Store(home / f"lines-{n_lines}"), n_lines // DAY_LINES
    for day in range(0, n_days, 30):
        days = min(30, n_days - day)
        store.load(till(day, days * DAY_LINES, 300_000, days), until=until(day + days))
    return store, n_days


def one_more_day(home: Path, sizes: list[int]) -> None:
    """One more day of 30,000 lines, five times, for stores of different sizes."""
    found = []
    for n_lines in sizes:
        store, day = filled(home, n_lines)
        spent = [seconds(store.load, till(day + n, DAY_LINES, 300_000), day + n) for n in range(5)]
        found.append(float(np.median(spent)))
        print(f"{n_lines:,} lines, one more day: {found[-1]:.2f} s (target 3.00)", flush=True)
        shutil.rmtree(store.path)
    if len(found) > 1:
        print(f"largest to smallest store: {found[-1] / found[0]:.2f} (target 0.80 to 1.20)")


def corrections(home: Path) -> None:
    """Seven corrections of a day, and a load after each."""
    store = Store(home / "corrections")
    plain = [seconds(store.load, till(day, 500, 3_000), day) for day in range(40)]
    after = []
    for n in range(7):
        right = till(5 * n, 500, 3_000).assign(amount=lambda rows: rows["amount"] + 0.01)
        cost = seconds(store.correct, right, 40 + n)
        after.append(seconds(store.load, till(40 + n, 500, 3_000), 40 + n))
        print(f"correction {n + 1}: {cost:.3f} s; the next load {after[-1]:.3f} s", flush=True)
    print(f"a load after seven corrections to a plain one: {after[-1] / np.median(plain):.2f} (target 2.00)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["small", "day", "corrections"])
    parser.add_argument("--loads", type=int, default=2000)
    parser.add_argument("--lines", type=float, nargs="+", default=[1e7, 5e7])
    parser.add_argument("--home", type=Path)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    home = given.home or Path(tempfile.mkdtemp())
    if given.what == "small":
        small(home, given.loads)
    elif given.what == "day":
        one_more_day(home, [int(n) for n in given.lines])
    else:
        corrections(home)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GB")


if __name__ == "__main__":
    main()
