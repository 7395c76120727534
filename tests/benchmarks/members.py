"""Fifty million members on one machine: store → summary → fit → value → tiers → plan, with time and memory of each step.

``python tests/benchmarks/members.py --members 5e7 --lines 1e8`` loads the lines that a tenth of the members leave behind
into a store and summarises them; simulates all members from known parameters (BG/NBD and gamma-gamma, whole days, up to
two years), so the fit has a truth to find; and plans offers a slice of the members at a time, each slice with its share
of the budgets. Nothing is held but one chunk of customers and the distinct cells; the tiers hold one number per member,
the plan one slice. What cutting costs is shown by planning the first slice whole and in ten.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from generate import UNTIL, write_parquet
from offers import DEALS, terms
from scale import NAMES

from crmkit import BGNBD, CustomerLifetimeValue, GammaGamma, Store, ValueTiers, btyd_summary, read_extract
from crmkit.engine.duckdb import engine_limits
from crmkit.models.scoring import customer_cells, fit_customers, score_file

CHUNK, SLICE, DUE = 1_000_000, 1_000_000, 10
PURCHASES, SPEND = {"r": 0.8, "alpha": 40.0, "a": 0.7, "b": 2.5}, {"p": 6.0, "q": 4.0, "gamma": 15.0}


def write_members(path: Path, n: int) -> None:
    """Members of the model's own making, a chunk at a time."""
    model = truth()
    writer = None
    for place, start in enumerate(range(0, n, CHUNK)):
        table = pa.Table.from_pandas(chunk(model, place, min(CHUNK, n - start)), preserve_index=False)
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table)
    if writer:
        writer.close()


def truth() -> BGNBD:
    """A model with the parameters to be found again."""
    some = pd.DataFrame({"frequency": [0, 1, 1, 2, 3, 6, 9], "recency": [0, 5, 28, 15, 30, 20, 37], "T": 39})
    model = BGNBD().fit(some, sample_weight=[300, 40, 40, 20, 15, 8, 8])
    model.params_ = dict(PURCHASES)
    return model


def chunk(model: BGNBD, place: int, n: int) -> pd.DataFrame:
    rng = np.random.default_rng([7, place])
    T = rng.integers(30, 730, n).astype(float)
    table = model.simulate(n, until=T, seed=place)[["customer_id", "frequency", "recency", "T"]]
    repeats = np.maximum(table["frequency"].to_numpy(), 1)
    scale = rng.gamma(SPEND["q"], 1 / SPEND["gamma"], n)
    money = np.round(rng.gamma(SPEND["p"] * repeats, 1 / (scale * repeats)), 2) + 0.01
    return table.assign(
        customer_id=[f"{place:03d}-{i:07d}" for i in range(n)],
        recency=np.ceil(table["recency"]),
        monetary_value=np.where(table["frequency"] > 0, money, np.nan),
    )


def tiers(scored: Path, target: Path) -> pd.Series:
    """The tier of every member, from one column, written beside nothing else."""
    values = pq.read_table(scored, columns=["value"])["value"].to_pandas()
    labels = ValueTiers(shares=(0.05, 0.15, 0.30, 0.50)).fit_transform(values)
    labels = pd.Series(np.asarray(labels).ravel())
    pq.write_table(pa.table({"tier": pa.array(labels).dictionary_encode()}), target)
    return labels.value_counts()


def loaded(home: Path, n_lines: int) -> Store:
    """A store of about so many lines, two years of till files loaded at once."""
    shutil.rmtree(home / "store", ignore_errors=True)
    store = Store(home / "store")
    print(store.load(read_extract(str(home / "till" / "*.parquet")), until=UNTIL, **NAMES))
    return store


def due_of(members: pd.DataFrame, seed: int) -> pa.Table:
    """Ten due categories of each member, likelier for those who are likelier to come back."""
    rng, n = np.random.default_rng([11, seed]), len(members)
    items = (7 * np.arange(n)[:, None] + 5 * np.arange(DUE)) % DEALS
    ids = pa.array(members["customer_id"].astype(str))
    return pa.table(
        {
            "customer_id": pa.DictionaryArray.from_arrays(np.repeat(np.arange(n, dtype=np.int32), DUE), ids),
            "category": pa.DictionaryArray.from_arrays(
                items.astype(np.int32).ravel(), pa.array([f"C{i:02d}" for i in range(DEALS)])
            ),
            "p_purchase": np.repeat(members["p_alive"].to_numpy(), DUE) * rng.beta(1.5, 4, n * DUE),
            "spend": 4 * rng.lognormal(1.5, 0.6, n * DUE),
        }
    )


def planned(due: pa.Table, members: pd.DataFrame, file: Path) -> tuple[int, float]:
    """Offers of one slice, written; how many they are and what they gain."""
    pq.write_table(due, file.with_name("due.parquet"))
    result = terms(len(members)).solve(file.with_name("due.parquet"), members[["customer_id"]])
    result.offers.to_parquet(file, index=False)
    return len(result.offers), result.objective


def slices(scored: Path) -> Iterator[pd.DataFrame]:
    with pq.ParquetFile(scored) as file:
        for batch in file.iter_batches(SLICE, columns=["customer_id", "p_alive"]):
            yield batch.to_pandas()


def plan(scored: Path, home: Path) -> tuple[int, float]:
    """Offers of all members, a slice at a time."""
    found = [
        planned(due_of(members, place), members, home / f"offers-{place:03d}.parquet")
        for place, members in enumerate(slices(scored))
    ]
    return sum(n for n, _ in found), sum(gain for _, gain in found)


def cutting(scored: Path, home: Path) -> float:
    """Share of the gain that is lost when the first slice is planned in ten."""
    members, file = next(slices(scored)), home / "offers-tenths.parquet"
    due, tenth = due_of(members, 0), -(-len(members) // 10)
    starts = range(0, len(members), tenth)
    parts = sum(planned(due.slice(DUE * k, DUE * tenth), members[k : k + tenth], file)[1] for k in starts)
    return 1 - parts / planned(due, members, file)[1]


def step(name: str, n: int, work: Callable[[], Any]) -> Any:
    """Do one step; its time, the processor's time per million, and the most memory so far."""
    start, used = time.perf_counter(), time.process_time()
    result = work()
    spent, cpu = time.perf_counter() - start, (time.process_time() - used) / n * 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{name:<36}{spent:9.1f} s {spent / n * 1e6:9.3f} s per million ({cpu:.3f} s of processor)   peak so far {peak:5.2f} GB",
        flush=True,
    )
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=float, default=1e6)
    parser.add_argument("--lines", type=float, default=0, help="lines of the store; none without it")
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    n = int(given.members)
    with tempfile.TemporaryDirectory(prefix="crmkit-members-") as scratch, engine_limits(memory_limit="2GB"):
        home = given.folder or Path(scratch)
        home.mkdir(parents=True, exist_ok=True)
        members, scored = home / f"members-{n}.parquet", home / f"scored-{n}.parquet"
        print(f"{n:,} members")
        if given.lines:
            n_lines = int(given.lines)
            if not (home / "till").exists():
                step("write the till's files (not the job)", n_lines, lambda: write_parquet(home / "till", n_lines))
            store = step("load the store, per million lines", n_lines, lambda: loaded(home, n_lines))
            log = store.transactions(UNTIL)
            buyers = step("summary, per million lines", n_lines, lambda: len(btyd_summary(log)))
            print(f"  {buyers:,} members among them")
        if not members.exists():
            step("simulate and write (not the job)", n, lambda: write_members(members, n))
        cells = step("distinct cells", n, lambda: customer_cells(members))
        print(f"  {len(cells):,} cells of frequency, recency, T: {len(cells) / n:.1%} of the members")
        clv = step(
            "fit BG/NBD and gamma-gamma", n,
            lambda: fit_customers(CustomerLifetimeValue(BGNBD(), GammaGamma(), horizon=365), members),
        )  # fmt: skip
        found = clv.purchases_.params_ | clv.spend_.params_
        print(
            "  " + ", ".join(f"{k} {found[k]:.4f} (true {v:g})" for k, v in (PURCHASES | SPEND).items() if k in found)
        )
        step("score value and P(alive)", n, lambda: score_file(
            members, scored, value=clv, p_alive=clv.purchases_.probability_alive))  # fmt: skip
        counts = step("tiers", n, lambda: tiers(scored, home / f"tiers-{n}.parquet"))
        print("  " + ", ".join(f"{tier} {count:,}" for tier, count in counts.items()))
        offers, gain = step("plan", n, lambda: plan(scored, home))
        print(f"  {offers:,} offers, expected gain {gain:,.0f}")
        print(f"  the first {min(n, SLICE):,} planned in ten slices gain {cutting(scored, home):.3%} less than whole")


if __name__ == "__main__":
    main()
