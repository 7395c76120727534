"""How the work grows: each piece beside its baseline over the same generated lines, as one printed table of ratios.

``python tests/benchmarks/scale.py --lines 1e6 1e7`` generates the lines, runs each piece in a process of its own, with
its baseline after it, and without and with a memory limit. Seconds depend on the machine and on what else it does;
ratios less so, and least those of processor time. ``--only gaps sales`` runs the pieces whose names hold one of these words; ``--folder`` keeps the lines.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from generate import ITEMS, UNTIL, write_csv, write_log, write_parquet

from crmkit import Transactions, btyd_summary, holdout_summary, purchase_gaps, read_extract, rfm_table
from crmkit._days import day_number
from crmkit.engine.duckdb import DuckDBEngine, engine_limits
from crmkit.engine.texts import sql_text
from crmkit.ingest.times import TimeRules
from crmkit.summaries.sales import sales_summary
from crmkit.transactions.deliveries import collect_lines

SPLIT = "2025-06-30"
MONTH_ENDS = [str(end.date()) for end in pd.date_range("2025-01-31", UNTIL, freq="ME")]
NAMES = {
    "customer_id": "card_no", "purchased_at": "till_time", "amount": "net_paid", "order_id": "receipt",
    "product_id": "sku",
}  # fmt: skip
TILL_TYPES = {
    "receipt": "VARCHAR", "line_id": "INTEGER", "card_no": "VARCHAR", "till_time": "TIMESTAMP", "store": "INTEGER",
    "sku": "VARCHAR", "category": "VARCHAR", "brand": "VARCHAR", "brand_type": "VARCHAR", "manufacturer": "VARCHAR",
    "department": "VARCHAR", "quantity": "INTEGER", "net_paid": "DECIMAL(12, 2)", "discount": "DECIMAL(12, 2)",
    "payment": "VARCHAR",
}  # fmt: skip


# -- baselines: what the engine needs for the least that could be asked ------------------------------------------------


def over_lines(text: str, home: Path) -> None:
    with DuckDBEngine() as engine:
        engine.frame(text.format(lines=engine.parquet(home / "lines.parquet")))


def typed_read(home: Path, target: Path | None = None) -> None:
    """The engine's own typed read of the CSV file, kept in memory or written as Parquet."""
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in TILL_TYPES.items())
    select = f"select * from read_csv('{home / 'till.csv'}', header = true, columns = {{{columns}}})"
    with DuckDBEngine() as engine:
        if target:
            engine.save(select, target)
        else:
            engine.stage(select)


def typed_read_to_parquet(home: Path) -> None:
    typed_read(home, home / "typed.parquet")


SCAN = partial(over_lines, "select count(*) as n, sum(amount) as total from {lines}")
GROUP_BY = partial(
    over_lines,
    """select count(*) as n, sum(lines) as lines, sum(total) as total from (select customer_id, count(*) as lines,
    sum(amount) as total from {lines} where customer_id is not null group by customer_id) as customers""",
)
GAP_COLUMNS = partial(
    over_lines, "select count(customer_id), count(category), sum(day), sum(buy_day), sum(units) from {lines}"
)
SALES_COLUMNS = partial(
    over_lines, "select count(customer_id), count(order_id), sum(day), sum(hour), sum(units), sum(amount) from {lines}"
)


# -- the work ----------------------------------------------------------------------------------------------------------


def log_in(home: Path) -> Transactions:
    return Transactions(home, UNTIL, ITEMS)


def from_days(home: Path) -> list[pd.DataFrame]:
    return [btyd_summary(log_in(home), SPLIT), holdout_summary(log_in(home), SPLIT)]


def from_lines(home: Path) -> list[pd.DataFrame]:
    fold(home)
    return from_days(home)


def fold(home: Path) -> None:
    with DuckDBEngine() as engine:
        engine.save(sql_text("transactions/days", lines=engine.parquet(home / "lines.parquet")), home / "days.parquet")


def gaps(home: Path) -> list[pd.DataFrame]:
    return [purchase_gaps(log_in(home), by="category")]


def gaps_to_parquet(home: Path) -> list[pd.DataFrame]:
    """The same for tables that fit no memory; what is compared is a hash of all rows."""
    day = day_number(UNTIL)
    with DuckDBEngine() as engine:
        text = sql_text("summaries/purchase_gaps", item="category", lines=engine.parquet(home / "lines.parquet"))
        engine.save(text, home / "gaps.parquet", {"as_of": day})
        return [
            engine.frame(f"select count(*) as n, bit_xor(hash(g)) as h from {engine.parquet(home / 'gaps.parquet')} g")
        ]


def sales(home: Path) -> list[pd.DataFrame]:
    return [sales_summary(log_in(home), by="hour", period="month")]


def snapshots(home: Path) -> list[pd.DataFrame]:
    return [btyd_summary(log_in(home), end).sum(numeric_only=True).to_frame() for end in MONTH_ENDS]


def snapshots_and_rfm(home: Path) -> list[pd.DataFrame]:
    return snapshots(home) + [rfm_table(log_in(home), end).sum(numeric_only=True).to_frame() for end in MONTH_ENDS]


def load(home: Path, source: str) -> list[pd.DataFrame]:
    """Everything: checked, returns matched, lines, trips and days written, every row and cent accounted for."""
    log, rejections = Transactions.split_extract(
        read_extract(str(home / source)), until=UNTIL, folder=home / "loaded", **NAMES
    )
    if rejections.rows_read != rejections.rows_used + rejections.rows_rejected + rejections.rows_duplicate:
        raise AssertionError(str(rejections))
    return [rejections.counts, rejections.kinds, btyd_summary(log).sum(numeric_only=True).to_frame()]


def checked(home: Path) -> None:
    """Read, typed, checked, repeated lines found: what comes before returns are matched and anything is written."""
    with DuckDBEngine() as engine:
        collect_lines(engine, read_extract(home / "till.csv"), NAMES, TimeRules(), UNTIL)


def parquet_read(home: Path) -> None:
    with DuckDBEngine() as engine:
        engine.stage(f"select * from read_parquet('{home / 'till' / '*.parquet'}')")


@dataclass(frozen=True)
class Piece:
    work: Callable[[Path], list[pd.DataFrame] | None]
    baseline: Callable[[Path], None]
    against: str
    target: float | None = None


PIECES = {
    "summary and split from days": Piece(from_days, GROUP_BY, "group-by", 1.5),
    "summary and split from lines": Piece(from_lines, GROUP_BY, "group-by", 3.5),
    "purchase_gaps of categories": Piece(gaps, SCAN, "scan", 15),
    "purchase_gaps to Parquet": Piece(gaps_to_parquet, SCAN, "scan", 15),
    "purchase_gaps, its columns": Piece(gaps_to_parquet, GAP_COLUMNS, "scan of its columns"),
    "sales by month and hour": Piece(sales, SCAN, "scan", 10),
    "sales, its columns": Piece(sales, SALES_COLUMNS, "scan of its columns"),
    "twelve snapshots": Piece(snapshots, GROUP_BY, "group-by", 6),
    "twelve snapshots with rfm_table": Piece(snapshots_and_rfm, GROUP_BY, "group-by"),
    "CSV typed and checked": Piece(checked, typed_read, "typed read_csv", 3),
    "validated CSV load": Piece(partial(load, source="till.csv"), typed_read, "typed read_csv", 3),
    "validated CSV load, written": Piece(
        partial(load, source="till.csv"), typed_read_to_parquet, "typed read to Parquet", 3
    ),
    "validated Parquet load": Piece(partial(load, source="till/*.parquet"), parquet_read, "read_parquet"),
}


# -- measuring ---------------------------------------------------------------------------------------------------------


def seconds(work: Callable[[], Any], repeats: int = 3) -> tuple[float, float, Any]:
    """Least wall-clock and processor time of a few runs (fewer, when they are long), and the result of the last."""
    wall, cpu, started = [], [], time.perf_counter()
    for _ in range(repeats):
        start, used = time.perf_counter(), time.process_time()
        result = work()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - used)
        if time.perf_counter() - started > 10:
            break
    return min(wall), min(cpu), result


def measure(name: str, home: Path, memory_limit: str | None) -> dict[str, Any]:
    """Time and peak memory of a piece and then of its baseline; to be called in a process of its own."""
    piece = PIECES[name]
    SCAN(home)
    with engine_limits(memory_limit=memory_limit) if memory_limit else nullcontext():
        spent, cpu, tables = seconds(lambda: piece.work(home))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    baseline, base_cpu, _ = seconds(lambda: piece.baseline(home), repeats=5)
    digests = [digest(table) for table in tables or []]
    return {"seconds": spent, "baseline": baseline, "cpu": cpu / base_cpu, "peak": peak, "digest": digests}


def digest(table: pd.DataFrame) -> int:
    return int(pd.util.hash_pandas_object(table, index=False).sum())


def apart(work: Callable[..., Any], *arguments: object) -> Any:
    """The result of a call in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def prepare(home: Path, n_lines: int, csv: bool) -> None:
    """Generate what is not there yet."""
    if not (home / "days.parquet").exists():
        write_log(write_parquet(home / "till", n_lines), home)
        fold(home)
    if csv and not (home / "till.csv").exists():
        write_csv(sorted((home / "till").glob("*.parquet")), home / "till.csv")


def row_of(name: str, n_lines: int, home: Path, memory_limit: str) -> dict[str, Any]:
    piece, free, capped = PIECES[name], apart(measure, name, home, None), apart(measure, name, home, memory_limit)
    if free["digest"] != capped["digest"]:
        raise AssertionError(f"{name}: the result under {memory_limit} differs")
    return {
        "work": name,
        "lines": n_lines,
        "seconds": free["seconds"],
        "against": piece.against,
        "baseline": free["baseline"],
        "ratio": free["seconds"] / free["baseline"],
        "processor ratio": free["cpu"],
        "target": piece.target,
        "peak MB": free["peak"],
        f"{memory_limit}: ratio": capped["seconds"] / free["seconds"],
        f"{memory_limit}: peak MB": capped["peak"],
    }


def growth(table: pd.DataFrame) -> pd.Series:
    """Slope of log seconds on log lines: 1 is linear."""

    def slope(rows: pd.DataFrame) -> float:
        return float(np.polyfit(np.log(rows["lines"]), np.log(rows["seconds"]), 1)[0])

    return table.groupby("work", sort=False)[["lines", "seconds"]].apply(slope).rename("growth exponent")


# -- beside lifetimes --------------------------------------------------------------------------------------------------


def beside_lifetimes(home: Path, holdout: bool) -> dict[str, float]:
    """Seconds of crmkit, from the kept days and from the lines' Parquet file, and of lifetimes, from pandas lines."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lifetimes import utils
    with DuckDBEngine() as engine:
        lines = engine.frame(
            f"""select customer_id, cast(date '1970-01-01' + cast(day as integer) as timestamp) as day,
            cast(amount as double) as amount from {engine.parquet(home / "lines.parquet")} where customer_id is not null"""
        )
    columns = {"customer_id_col": "customer_id", "datetime_col": "day", "monetary_value_col": "amount"}
    if holdout:  # without a monetary column it fails on pandas 3
        theirs = partial(utils.calibration_and_holdout_data, lines, calibration_period_end=SPLIT, **columns)
        tables = partial(from_days, home)
    else:
        theirs = partial(utils.summary_data_from_transaction_data, lines, **columns)
        tables = partial(btyd_summary, log_in(home))
    kept, folded = seconds(tables)[0], seconds(partial(fold, home))[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = seconds(partial(theirs, observation_period_end=UNTIL))[0]
    return {"from days": kept, "from lines": kept + folded, "lifetimes": other}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=float, nargs="+", default=[1e6, 1e7])
    parser.add_argument("--memory-limit", default="2GB")
    parser.add_argument("--only", nargs="*", default=[""])
    parser.add_argument("--folder", type=Path, help="where generated lines are kept, to be used again")
    given = parser.parse_args()
    rows = []
    names = [name for name in PIECES if any(word in name for word in given.only)]
    with tempfile.TemporaryDirectory(prefix="crmkit-scale-") as scratch:
        folder = given.folder or Path(scratch)
        for n_lines in map(int, given.lines):
            home = folder / str(n_lines)
            if names:
                apart(prepare, home, n_lines, any("CSV" in name for name in names))
            for name in names:
                rows.append(row_of(name, n_lines, home, given.memory_limit))
                print(f"{n_lines:,} lines: {name}: {rows[-1]['ratio']:.1f} x the {rows[-1]['against']}", flush=True)
        for n_lines, holdout, target in ((5_000_000, False, 13), (1_000_000, True, 60)):
            home = folder / str(n_lines)
            if any(word in "lifetimes" for word in given.only):
                apart(prepare, home, n_lines, False)
                spent = apart(beside_lifetimes, home, holdout)
                ratios = [f"{spent['lifetimes'] / spent[ours]:.1f} {ours}" for ours in ("from days", "from lines")]
                what = "calibration_and_holdout_data" if holdout else "summary_data_from_transaction_data"
                print(
                    f"{what}, {n_lines:,} lines: lifetimes / crmkit = {', '.join(ratios)} (target {target})", flush=True
                )
    table = pd.DataFrame(rows)
    if len(table):
        print("\n" + table.to_string(index=False, float_format="{:,.2f}".format, na_rep=""))
    if len(table) and len(given.lines) > 1:
        print("\n" + growth(table).to_string(float_format="{:.2f}".format))


if __name__ == "__main__":
    main()
