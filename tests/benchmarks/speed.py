"""What a user waits for in the main job, its SQL included, beside another commit: ``python tests/benchmarks/speed.py``.

    python tests/benchmarks/speed.py --journey FOLDER [--base TREE] [--copies 1 3 10] [--only fit predict …] [--json FILE]
        [--home FOLDER] [--pairs 1e8] [--members 1e6]

``--journey`` is a folder with the whole Complete Journey (transactions.parquet, products.parquet), ``--base`` a worktree of the
commit to compare with. Each piece runs in a process of its own, once for either code, one right after the other: processor
seconds are compared, since others may use the machine; where there is a peer, it does the same in the same process.
``--copies`` repeats the households, for time and memory as a log grows; ``--pairs`` adds that many pairs scored, ``--members``
an offer plan. ``--json`` keeps the rows: one that is measured again takes the place of the earlier.
``scripts/speed_table.py FILE`` makes README's table of them.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from peak import peak_mb
from pieces import PEERS, PIECES, spent, start_clock, write_copies, write_csv

HERE = Path(__file__).parents[2]


# -- Measuring -----------------------------------------------------------------------------------------------------------


def measure(name: str, home: Path, copies: int) -> dict[str, float]:
    """To be called in a process of its own."""
    from crmkit import BGNBD, ChurnModel, NextPurchase, Transactions, backtest, print_lists  # noqa: F401 - loaded before the clock

    warnings.simplefilter("ignore")
    start_clock()
    rows = PIECES[name][0](home, copies)
    found = {"seconds": spent(), "rows": rows, "peak MB": peak_mb()}
    if name in PEERS and importlib.util.find_spec("lifetimes"):
        import lifetimes.utils  # noqa: F401

        start_clock()
        PEERS[name](home, copies)
        found["peer"] = spent()
    return found


def apart(tree: Path, *arguments: object, threads: str | None = "1") -> dict[str, float]:
    """What this file says in a process with another code."""
    env = {name: value for name, value in os.environ.items() if name not in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    env |= {"PYTHONPATH": str(tree)} | ({"OMP_NUM_THREADS": threads} if threads else {})
    command = [sys.executable, __file__, *map(str, arguments)]
    done = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def row_of(name: str, home: Path, copies: int, base: Path | None) -> dict[str, Any]:
    """One piece, beside the other code where it has it."""
    _, words, goal, _ = PIECES[name]
    asked = ("--piece", name, "--home", home, "--copies", copies)
    row: dict[str, Any] = {"piece": name, "words": words, "copies": copies, "goal": goal, **apart(HERE, *asked)}
    if base and copies == 1 and name not in NOT_IN_BASE:
        row["base"] = apart(base, *asked)["seconds"]
        row["ratio"] = row["seconds"] / row["base"]
    return row


NOT_IN_BASE = ("write", "state-in-parts", "further-day", "purchase-model")


def any_threads(home: Path) -> dict[str, Any]:
    """The fit with as many threads as the numeric libraries like, beside one."""
    asked = ("--piece", "fit", "--home", home, "--copies", 1)
    free, one = apart(HERE, *asked, threads=None), apart(HERE, *asked)["seconds"]
    words = "`NextPurchase.fit`, OMP_NUM_THREADS not set, beside 1"
    return {
        "piece": "fit-any-threads",
        "words": words,
        "copies": 1,
        "goal": 1.1,
        **free,
        "base": one,
        "ratio": free["seconds"] / one,
    }


def pairs_scored(pairs: float) -> dict[str, Any]:
    """Many pairs, on two threads; see ``pairs.py``."""
    from pairs import ITEMS, THREADS, measured

    with tempfile.TemporaryDirectory() as scratch:
        found = measured(Path(scratch), pairs)
    n = round(pairs / ITEMS) * ITEMS
    words = f"{n:,} pairs scored and written on {THREADS} threads, {found['wall']:,.0f} s by the clock at load {found['load']:.0f}"
    return {
        "piece": "pairs",
        "words": words,
        "copies": 1,
        "goal": None,
        "rows": n,
        "seconds": found["processor"],
        "peak MB": found["MB"],
    }


def planned(members: int) -> dict[str, Any]:
    """An offer plan; see ``offers.py``."""
    command = [sys.executable, str(Path(__file__).with_name("offers.py")), "--one", str(members)]
    found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])
    words = f"plan of five slots for {members:,} members, 50 deals, 51 limits, gap {found['gap %']:.5f} %, {found['all s']:,.0f} s by the clock at load {found['load']:.0f}"
    return {
        "piece": "plan", "words": words, "copies": 1, "goal": None, "rows": members, "seconds": found["processor s"],
        "peak MB": 1024 * found["GiB"],
    }  # fmt: skip


def shown(row: Mapping[str, Any]) -> str:
    beside = f", base {row['base']:.2f} s, ratio {row['ratio']:.3f}" if "base" in row else ""
    beside += f" (goal {row['goal']:.3f})" if row["goal"] and beside else ""
    beside += f", lifetimes {row['peer']:.2f} s, {row['peer'] / row['seconds']:.1f} ×" if "peer" in row else ""
    each = 1e6 * row["seconds"] / row["rows"] if row["rows"] else float("nan")
    return f"{row['piece']} × {row['copies']}: {row['seconds']:.2f} s{beside}; {each:.2f} µs a row, {row['peak MB']:.0f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--journey", type=Path)
    parser.add_argument("--base", type=Path)
    parser.add_argument("--only", nargs="+", choices=[*PIECES, "fit-any-threads"], default=[*PIECES, "fit-any-threads"])
    parser.add_argument("--copies", nargs="+", type=int, default=[1])
    parser.add_argument("--pairs", type=float, help="how many pairs to score; none without it")
    parser.add_argument("--members", type=float, help="how many members to plan for; none without it")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--home", type=Path, help="where the log is kept, to be used again")
    parser.add_argument("--piece", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.piece:
        print(json.dumps(measure(given.piece, given.home, given.copies[0])))
        return
    with tempfile.TemporaryDirectory() as scratch:
        home = given.home or Path(scratch)
        home.mkdir(exist_ok=True)
        if not (home / "till.csv").exists():
            write_csv(given.journey, home)
        if any(not (home / f"log{n}" / "lines.parquet").exists() for n in (1, *given.copies)):
            write_copies(home, given.copies)
        for row in measured_rows(given, home):
            print(shown(row), flush=True)
            if given.json:
                keep(row, given.json, given.base)


def measured_rows(given: argparse.Namespace, home: Path) -> Iterator[dict[str, Any]]:
    """A row for each piece asked for."""
    for name in given.only:
        if name == "fit-any-threads":
            yield any_threads(home)
            continue
        for copies in given.copies if PIECES[name][3] else [1]:
            yield row_of(name, home, copies, given.base)
    if given.pairs:
        yield pairs_scored(given.pairs)
    if given.members:
        yield planned(int(given.members))


def keep(row: Mapping[str, Any], file: Path, base: Path | None) -> None:
    """Put a row among those measured before."""
    rows = json.loads(file.read_text(encoding="utf-8"))["rows"] if file.exists() else []
    rows = [one for one in rows if (one["piece"], one["copies"]) != (row["piece"], row["copies"])]
    rows.append({**row, "date": str(date.today())})
    order = [*PIECES, "fit-any-threads", "pairs", "plan"]
    rows.sort(key=lambda one: (order.index(one["piece"]), one["copies"]))
    about = {"machine": machine(), "base": commit(base)}
    file.write_text(json.dumps(about | {"rows": rows}, indent=1, ensure_ascii=False), encoding="utf-8")


def machine() -> str:
    """Processor, cores, and Python."""
    about = Path("/proc/cpuinfo")
    names = (
        [line.partition(":")[2].strip() for line in about.read_text().splitlines() if line.startswith("model name")]
        if about.exists()
        else []
    )
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def commit(tree: Path | None) -> str:
    """The short hash of a worktree's commit."""
    if tree is None:
        return ""
    return subprocess.run(
        ["git", "-C", str(tree), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()


if __name__ == "__main__":
    main()
