"""What a load costs a store: many small loads, one more day of a large store, corrections; in processor seconds.

    python tests/benchmarks/store.py --base TREE
    python tests/benchmarks/store.py --only small --loads 300

Prints each figure beside its target, and beside that of the checkout TREE of an earlier commit, which is given less: fewer
loads and smaller stores, as its cost grows with both.
"""

from __future__ import annotations

import argparse
import functools
import json
import operator
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from crmkit import Store, Transactions, rfm_table

DAY_LINES = 30_000
START = pd.Timestamp("2020-01-01")
PLACES = (1, 50, 200, 2000)
Figures = dict[str, float]


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


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").is_dir() else 0


# -- Work ------------------------------------------------------------------------------------------------------------


def small(home: Path, given: argparse.Namespace) -> Figures:
    """Loads of 500 lines, one a day; the sum at the end is that of all lines.

    The last loads are compared with first ones of a young store, in turns, so that what else the machine does hits both alike.
    """
    store, spent, money, most = Store(home / "small"), list[float](), 0.0, 0
    for day in range(given.loads):
        rows = till(day, 500, 3_000)
        money += rows["amount"].sum()
        spent.append(seconds(store.load, rows, day))
        most = max(most, descriptors())
        if (day + 1) % 100 == 0:
            tell(f"{day + 1:,} loads; the last hundred {np.mean(spent[-100:]):.3f} s each, {most} descriptors at most")
    places = [place for place in PLACES if place < given.loads] + [given.loads]
    found = {f"load {place:,}": float(np.mean(spent[max(0, place - 20) : place + 5])) for place in places}
    young = Store(home / "young")
    for day in range(10):
        young.load(till(day, 500, 3_000), until=until(day))
    pairs = [
        [
            seconds(one.load, till(first + n, 500, 3_000), first + n)
            for one, first in ((young, 10), (store, given.loads))
        ]
        for n in range(20)
    ]
    money += sum(till(given.loads + n, 500, 3_000)["amount"].sum() for n in range(20))
    total = rfm_table(store.transactions(until=until(given.loads + 19)))["total_spend"].sum()
    return found | {
        "last load / first, in turns": float(np.divide(*np.mean(pairs, axis=0)[::-1])),
        "descriptors open at most": most,
        "money off by": abs(float(total) - money),
        **({} if given.bare else unlike_one_load(store, given.loads + 20)),
    }


def unlike_one_load(store: Store, days: int) -> Figures:
    """Rows in which the store differs from one load of all files, as it is and after late files and corrections."""
    truth, last = {day: [till(day, 500, 3_000)] for day in range(days)}, until(days - 1)
    found = {f"{name} unlike one load of all": n for name, n in differences(store, truth, last).items()}
    rng = np.random.default_rng(days)
    for n, day in enumerate(rng.choice(days, 20, replace=False).tolist()):
        late = till(day, 100, 3_000).assign(order_id=f"late-{n}-" + pd.Series(np.arange(100) // 9).astype(str))
        store.load(late, until=last)
        truth[day].append(late)
    for day in rng.choice(days, 10, replace=False).tolist():
        truth[day] = [pd.concat(truth[day]).assign(amount=lambda rows: rows["amount"] + 0.01)]
        store.correct(truth[day][0], until=last)
    after = differences(store, truth, last)
    return found | {f"{name} after 20 late files and 10 corrections": n for name, n in after.items()}


def differences(store: Store, truth: dict[int, list[pd.DataFrame]], last: str) -> Figures:
    """Rows of lines and trips that only one of two logs has, and what their money differs by."""
    one, _ = Transactions.split_extract(pd.concat(functools.reduce(operator.iadd, truth.values(), [])), until=last)
    many = store.transactions(until=last)
    found = {name: float(only_one_has(getattr(many, name), getattr(one, name))) for name in ("lines", "trips")}
    money = [float(rfm_table(log)["total_spend"].sum()) for log in (many, one)]
    return found | {"money": abs(money[0] - money[1])}


def only_one_has(mine: object, theirs: object) -> int:
    """How many rows one of two tables has more often than the other, without the columns that say where a row stands."""
    files = [[str(path) for path in (table if isinstance(table, list) else [table])] for table in (mine, theirs)]
    told = [f"read_parquet({paths!r}, union_by_name=true)" for paths in files]
    with duckdb.connect() as base:
        names = [[row[0] for row in base.execute(f"describe select * from {table}").fetchall()] for table in told]
        shared = [n for n in names[0] if n in names[1] and n not in ("file", "record", "month")]
        rows = [f"select {', '.join(shared)} from {table}" for table in told]
        both = [f"select count(*) from ({a} except all {b})" for a, b in (rows, rows[::-1])]
        return sum(int(base.execute(query).fetchall()[0][0]) for query in both)


def filled(home: Path, n_lines: int) -> tuple[Store, int]:
    """A store of so many lines, 30,000 a day, loaded thirty days at a time; and its next day."""
    store, n_days = Store(home / f"lines-{n_lines}"), n_lines // DAY_LINES
    for day in range(0, n_days, 30):
        days = min(30, n_days - day)
        spent = seconds(store.load, till(day, days * DAY_LINES, 300_000, days), day + days)
        tell(f"{(day + days) * DAY_LINES:,} lines; the last {days * DAY_LINES:,} took {spent:.1f} s")
    return store, n_days


def one_more_day(home: Path, given: argparse.Namespace) -> Figures:
    """One more day of 30,000 lines, five times, for stores of different sizes."""
    found: Figures = {}
    for n_lines in map(int, given.lines):
        store, day = filled(home, n_lines)
        spent = [seconds(store.load, till(day + n, DAY_LINES, 300_000), day + n) for n in range(5)]
        found[f"one more day, {n_lines:,} lines"] = float(np.median(spent))
        shutil.rmtree(store.path)
    days = list(found.values())
    return found | {"largest store / smallest": days[-1] / days[0]}


def corrections(home: Path, given: argparse.Namespace) -> Figures:
    """Seven corrections of a day, and then a load."""
    store = Store(home / "corrections")
    plain = [seconds(store.load, till(day, 500, 3_000), day) for day in range(40)]
    spent = []
    for n in range(given.corrections):
        right = till(5 * n, 500, 3_000).assign(amount=lambda rows: rows["amount"] + 0.01)
        spent.append(seconds(store.correct, right, 40))
        tell(f"correction {n + 1}: {spent[-1]:.2f} s")
    after = [seconds(store.load, till(40 + n, 500, 3_000), 40 + n) for n in range(3 if spent[-1] < 5 else 1)]
    one, usual = float(np.median(after)), float(np.median(plain[-20:]))
    name = f"load after {given.corrections} corrections"
    return {"correction": spent[-1], name: one, f"{name} / a plain load": one / usual}


WORK = {"small": small, "day": one_more_day, "corrections": corrections}
TARGETS = {
    "last load / first, in turns": "<= 1.30",
    "descriptors open at most": "bounded",
    "money off by": "0.00",
    "largest store / smallest": "0.80 to 1.20",
    "load after 7 corrections / a plain load": "<= 2.00",
}


def target(name: str) -> str:
    if " unlike one load" in name or " after 20 late" in name:
        return "0"
    return TARGETS.get(name, "<= 3.0" if name.startswith("one more day") else "")


# -- Two trees ---------------------------------------------------------------------------------------------------------


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def measured(tree: Path, work: str, given: argparse.Namespace) -> Figures:
    """Figures of one piece of work with the crmkit of a checkout, in a process of its own."""
    lines = [str(n) for n in given.lines]
    command = [sys.executable, __file__, "--here", work, "--loads", str(given.loads), "--lines", *lines]
    command += ["--corrections", str(given.corrections), *(["--bare"] if given.bare else [])]
    tell(f"{work}, {tree.name}")
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(tree)}, stdout=subprocess.PIPE, check=False)
    return dict(json.loads(done.stdout)) if done.returncode == 0 else {}


def print_figures(now: Figures, before: Figures) -> None:
    print(f"{'processor seconds':<46}{'earlier':>10}{'now':>10}  target")
    for name in dict.fromkeys([*before, *now]):
        earlier, here = (f"{found[name]:.3f}" if name in found else "-" for found in (before, now))
        print(f"{name:<46}{earlier:>10}{here:>10}  {target(name)}")


def run_here(work: str, given: argparse.Namespace) -> None:
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(dir=given.home) as home:
        found = WORK[work](Path(home), given)
    tell(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GB")
    print(json.dumps(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, help="checkout of an earlier commit")
    parser.add_argument("--only", nargs="+", choices=WORK, default=list(WORK))
    parser.add_argument("--loads", type=int, default=2000)
    parser.add_argument("--lines", type=float, nargs="+", default=[1e7, 5e7])
    parser.add_argument("--corrections", type=int, default=7)
    parser.add_argument("--bare", action="store_true", help="do not compare with one load of all files")
    parser.add_argument("--base-loads", type=int, default=180)
    parser.add_argument("--base-lines", type=float, nargs="+", default=[1e6, 4e6])
    parser.add_argument("--home", type=Path, help="where the stores are made")
    parser.add_argument("--here", choices=WORK, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.here:
        run_here(given.here, given)
        return
    less = argparse.Namespace(loads=given.base_loads, lines=given.base_lines, corrections=given.corrections, bare=True)
    for work in given.only:
        now = measured(Path(__file__).parents[2], work, given)
        print_figures(now, measured(given.base.resolve(), work, less) if given.base else {})


if __name__ == "__main__":
    main()
