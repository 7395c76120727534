"""What a user waits for in the main job, its SQL included, beside another commit: ``python tests/benchmarks/speed.py``.

    python tests/benchmarks/speed.py --journey FOLDER [--base TREE] [--only fit predict …] [--copies 1 3 10] [--json FILE]

``--journey`` is a folder with the whole Complete Journey (transactions.parquet, products.parquet), ``--base`` a worktree of the
commit to compare with. Each piece runs in a process of its own, once for either code, one right after the other: processor
seconds are compared, since others may use the machine. ``--copies`` repeats the households, for time and memory as a log
grows. ``scripts/speed_table.py FILE`` makes README's table of what ``--json`` wrote.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[2]
UNTIL, HORIZON, CHURN = date(2017, 12, 31), 14, 30


# -- The log -----------------------------------------------------------------------------------------------------------


def write_csv(journey: Path, home: Path) -> None:
    """The lines as a till writes them, in the shops' time."""
    import duckdb

    duckdb.sql("set TimeZone = 'America/New_York'")
    duckdb.sql(
        f"""copy (
            select household_id as customer_id, strftime(transaction_timestamp at time zone 'UTC', '%Y-%m-%d %H:%M:%S') as purchased_at,
                sales_value as amount, basket_id as order_id, product_id, product_category as category, quantity
            from read_parquet('{journey / "transactions.parquet"}') as lines
            join read_parquet('{journey / "products.parquet"}') as products using (product_id)
        ) to '{home / "till.csv"}' (header)"""
    )


def write_copies(home: Path, copies: list[int]) -> None:
    """A log of the lines, and logs in which there is each household several times."""
    import duckdb

    import crmkit as ck

    ck.Transactions.split_extract(ck.read_extract(str(home / "till.csv")), until=UNTIL, folder=home / "log1")
    for n in (n for n in copies if n > 1):
        (home / f"log{n}").mkdir(exist_ok=True)
        for table in ("lines", "trips", "days"):
            duckdb.sql(
                f"""copy (select t.* replace (customer_id || '-' || copy as customer_id)
                from read_parquet('{home / "log1" / table}.parquet') as t, range({n}) as copies(copy))
                to '{home / f"log{n}" / table}.parquet' (format parquet, compression zstd)"""
            )


def log_in(home: Path, copies: int) -> Any:
    import crmkit as ck

    return ck.Transactions(home / f"log{copies}", UNTIL, ("product_id", "category"))


# -- Pieces: each returns how many rows it answered ----------------------------------------------------------------------


def typed_read(home: Path, copies: int) -> int:
    import duckdb

    columns = (
        "count(customer_id), count(purchased_at), sum(amount), count(order_id), count(product_id), count(category)"
    )
    return int(duckdb.sql(f"select count(*), {columns} from read_csv('{home / 'till.csv'}')").fetchall()[0][0])


def checked_load(home: Path, copies: int) -> int:
    import crmkit as ck

    _, told = ck.Transactions.split_extract(ck.read_extract(str(home / "till.csv")), until=UNTIL)
    return int(told.rows_read)


def state(home: Path, copies: int) -> int:
    """What is known of each pair at one day."""
    try:
        from crmkit.summaries.items import item_state
    except ImportError:  # where it was before
        from crmkit.features import item_state
    return len(item_state(log_in(home, copies), "category"))


def fit(home: Path, copies: int) -> int:
    import crmkit as ck

    model = ck.NextPurchase(by="category").fit(log_in(home, copies))
    if hasattr(model, "save"):
        model.save(home / "model.json")
    return len(model.new_items_)


def predict(home: Path, copies: int) -> int:
    """After the fit, of the same log."""
    import crmkit as ck

    log = log_in(home, copies)
    model = ck.NextPurchase(by="category").fit(log)
    start_clock()
    return len(model.predict(log, horizon=HORIZON))


def write(home: Path, copies: int) -> int:
    """Scored by a model that was fitted before and written, a part of the customers at a time; the log is looked at first."""
    import pyarrow.parquet as pq

    import crmkit as ck

    model = ck.load_next_purchase(home / "model.json")
    path = model.write_predictions(log_in(home, copies), home / "due.parquet", horizon=HORIZON)
    return int(pq.read_metadata(path).num_rows)


def look_back(home: Path, copies: int) -> int:
    import crmkit as ck

    return len(ck.backtest(ck.NextPurchase(by="category"), log_in(home, copies)).scores)


def churn_fit(home: Path, copies: int) -> int:
    import crmkit as ck

    return len(ck.ChurnModel(horizon=CHURN).fit(log_in(home, copies)).choice_)


def churn_look_back(home: Path, copies: int) -> int:
    import crmkit as ck

    return len(ck.backtest(ck.ChurnModel(horizon=CHURN), log_in(home, copies)).scores)


PIECES: Mapping[str, tuple[Callable[[Path, int], int], str, float | None, bool]] = {
    "typed-read": (typed_read, "the engine's own typed read of the CSV file", None, False),
    "checked-load": (checked_load, "checked load of the CSV file", None, False),
    "state": (state, "state of all pairs at a day", 1 / 3, True),
    "fit": (fit, "`NextPurchase.fit`", 1 / 4, False),
    "predict": (predict, "`NextPurchase.predict` after the fit", 1 / 3.5, False),
    "write": (write, "`NextPurchase.write_predictions`, by a saved model", None, True),
    "look-back": (look_back, "backtest of the next purchase, three origins", 1 / 4, False),
    "churn-fit": (churn_fit, "`ChurnModel.fit`", 1 / 2, False),
    "churn-look-back": (churn_look_back, "backtest of churn, three origins", 1 / 4, False),
}
"""Name → what is done, in words, the ratio aimed at, and whether its growth is measured."""


# -- Measuring -----------------------------------------------------------------------------------------------------------

_clock = [0.0]


def start_clock() -> None:
    _clock[0] = time.process_time()


def measure(name: str, home: Path, copies: int) -> dict[str, float]:
    """To be called in a process of its own."""
    from crmkit import ChurnModel, NextPurchase, Transactions, backtest  # noqa: F401 - loaded before the clock starts

    warnings.simplefilter("ignore")
    start_clock()
    rows = PIECES[name][0](home, copies)
    spent = time.process_time() - _clock[0]
    return {"seconds": spent, "rows": rows, "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def apart(tree: Path, *arguments: object) -> dict[str, float]:
    """What this file says in a process with another code."""
    env = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, *map(str, arguments)]
    done = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def row_of(name: str, home: Path, copies: int, base: Path | None) -> dict[str, Any]:
    """One piece, beside the other code where it has it."""
    _, words, goal, _ = PIECES[name]
    asked = ("--piece", name, "--home", home, "--copies", copies)
    row: dict[str, Any] = {"piece": name, "words": words, "copies": copies, "goal": goal, **apart(HERE, *asked)}
    if base and name != "write":
        row["base"] = apart(base, *asked)["seconds"]
        row["ratio"] = row["seconds"] / row["base"]
    return row


def shown(row: Mapping[str, Any]) -> str:
    beside = f", base {row['base']:.2f} s, ratio {row['ratio']:.3f}" if "base" in row else ""
    goal = f" (goal {row['goal']:.3f})" if row["goal"] and beside else ""
    each = 1e6 * row["seconds"] / row["rows"] if row["rows"] else float("nan")
    return f"{row['piece']} × {row['copies']}: {row['seconds']:.2f} s{beside}{goal}; {each:.2f} µs a row, {row['peak MB']:.0f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--journey", type=Path)
    parser.add_argument("--base", type=Path)
    parser.add_argument("--only", nargs="+", choices=PIECES, default=list(PIECES))
    parser.add_argument("--copies", nargs="+", type=int, default=[1])
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
        rows = []
        for name in given.only:
            for copies in given.copies if PIECES[name][3] else [1]:
                rows.append(row_of(name, home, copies, given.base))
                print(shown(rows[-1]), flush=True)
                if given.json:
                    where = {"date": str(date.today()), "machine": machine(), "base": commit(given.base)}
                    given.json.write_text(json.dumps(where | {"rows": rows}, indent=1))


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
