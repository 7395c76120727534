"""How the peak memory of a night grows with members: each stage's peak at several numbers of members × 30 items.

    python tests/benchmarks/night_memory.py --members 10000 30000 [--folder FOLDER] [--memory-limit 1GB]

Each night is a process of its own, on DuckDB with one thread, without backtests. A stage whose peak grows in proportion
holds rows of all members; what streams keeps its peak.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from crmkit.engine.duckdb import DuckDBEngine

ITEMS, PURCHASES, DAYS = 30, 4, 365
NIGHT = """
import json, sys
from crmkit import run
from crmkit.pipeline.stages import STAGES
config = {
    "until": "2017-12-31", "transactions": {"files": "till.parquet"}, "repurchase": {"by": "category"},
    "engine": {"memory_limit": sys.argv[2], "threads": 1}, "value": {"model": "BG/NBD"}, "deals": {"files": "deals.csv"},
}
LATER = ("backtest-",)
done = run(config, "out", home=".", stages=[one for one in STAGES if not one.name.startswith(LATER)])
print(json.dumps({one["stage"]: [one["peak_mb"], one["processor"]] for one in done.manifest["stages"] if one["action"] == "run"}))
"""


def write_till(path: Path, members: int) -> None:
    """Lines of members who buy each of 30 items every 60 to 120 days, on few days together."""
    with DuckDBEngine() as engine:
        engine.save(
            f"""select lpad(cast(m as varchar), 8, '0') as customer_id, 'Category ' || i as category,
            cast(timestamp '2017-01-01 10:00:00' + to_days(cast((hash(m, k) % 14) + ({DAYS} - 14) * k / {PURCHASES} as integer))
                as timestamp) as purchased_at,
            cast(1 + hash(m, i, k) % 900 / 100.0 as decimal(9, 2)) as amount,
            m || '-' || k as order_id, i as line_id
            from range({members}) as members(m), range({ITEMS}) as items(i), range({PURCHASES}) as visits(k)""",
            path,
        )


def write_deals(path: Path) -> None:
    """A deal in each category, with budgets for few lists: printing is not what is measured."""
    rows = [f"D{i},0.50 off,Category {i},Maker {i % 5},1,0.50,40,2018-01-01,2018-01-31" for i in range(ITEMS)]
    path.write_text("\n".join(["deal_id,title,category,funder,funder_share,value,budget,starts,ends", *rows]) + "\n")


def peaks(members: int, home: Path, memory_limit: str) -> dict[str, list[float]]:
    """Peak in MB and processor seconds of each stage of a night."""
    home.mkdir(parents=True, exist_ok=True)
    write_till(home / "till.parquet", members)
    write_deals(home / "deals.csv")
    command = [sys.executable, "-c", NIGHT, str(members), memory_limit]
    said = subprocess.run(command, cwd=home, check=True, capture_output=True, text=True).stdout
    found: dict[str, list[float]] = json.loads(said.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, nargs="+", default=[10_000, 30_000])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--memory-limit", default="1GB")
    stated = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = stated.folder or Path(folder)
        found = {n: peaks(n, home / str(n), stated.memory_limit) for n in stated.members}
    first, *_, last = stated.members
    print(f"{'stage':22}" + "".join(f"{n:>14,} members" for n in found) + f"{'grows by':>12}")
    for name in found[last]:
        cells = "".join(
            f"{one.get(name, [0, 0])[0]:>9,.0f} MB {one.get(name, [0, 0])[1]:>7.1f} s" for one in found.values()
        )
        print(f"{name:22}{cells}{found[last][name][0] / max(found[first].get(name, [1])[0], 1):>11.2f}×")
    print(f"peak {max(one[0] for one in found[last].values()):,.0f} MB at {last:,} members × {ITEMS} items")


if __name__ == "__main__":
    main()
