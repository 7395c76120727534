"""Runs of a small shop that are killed at random moments: nothing is torn, and what is published equals a night without kills.

    python tests/kills.py --kills 100 [--seed N]

All stages run, with a store and a campaign. A night is killed four times at most, each time somewhere else, as a run goes on from
where it stopped; then it is let to its end, and compared byte for byte with a night that nobody killed. After each kill the
published run, the store and all tables of campaigns are looked at.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import shutil
import sys
import tempfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from forked_runs import start

from crmkit.pipeline.publish import is_whole
from crmkit.testing import generated_sales

DAYS = ("2017-07-10", "2017-07-11")
RUN = ("run", "crmkit.toml", "--out", "out", "--quiet")
CONFIG = """until = {day}
[transactions]
files = "till/*.csv"
[members]
files = "members.csv"
[deals]
files = "deals.csv"
[store]
folder = "store"
[value]
model = "BG/NBD"
[repurchase]
by = "category"
[output]
formats = ["csv"]
"""
AT_ONCE = 4
"""Kills of one night at most."""


def shop(home: Path) -> None:
    """A shop after its first night, with the file of the second."""
    sales = generated_sales(n_customers=80, days=250, seed=3)
    days = sales["purchased_at"].dt.strftime("%Y-%m-%d")
    (home / "till").mkdir(parents=True)
    sales[days <= DAYS[0]].to_csv(home / "till" / "a.csv", index=False)
    pd.DataFrame({"customer_id": sales["customer_id"].unique(), "no_contact": ""}).to_csv(
        home / "members.csv", index=False
    )
    items = sales["category"].value_counts().index[:3]
    deals = {"deal_id": ["d0", "d1", "d2"], "title": "Off", "funder": "Maker", "category": items, "value": 0.5}
    terms = {"margin": 0.4, "starts": "2017-01-01", "ends": "2017-12-31", "budget": 500}
    pd.DataFrame(deals | terms).to_csv(home / "deals.csv", index=False)
    (home / "crmkit.toml").write_text(CONFIG.format(day=DAYS[0]))
    ended(home)
    sent = start(home, "sent", DAYS[1], "--out", "out")
    assert sent.code == 0, sent.said
    sales[(days > DAYS[0]) & (days <= "2017-07-12")].to_csv(home / "till" / "b.csv", index=False)
    (home / "crmkit.toml").write_text(CONFIG.format(day=DAYS[1]))


def ended(home: Path) -> float:
    """A run that nobody kills; returns its seconds of processor."""
    done = start(home, *RUN)
    assert done.code == 0, done.said
    return done.seconds


def published(home: Path) -> dict[str, str]:
    """Every file of the newest run but those that hold times: ``run.json`` and records of stages."""
    current = (home / "out" / "CURRENT").resolve()
    files = {str(file.relative_to(current)): file for file in sorted(current.rglob("*")) if file.is_file()}
    return {
        name: hashlib.sha256(file.read_bytes()).hexdigest()
        for name, file in files.items()
        if name != "run.json" and not name.startswith(".")
    }


def torn(home: Path) -> list[str]:
    """Files of published runs and campaigns that cannot be read whole."""
    runs = [run for run in (home / "out" / "runs").iterdir() if run.suffix != ".part"]
    found = [str(run) for run in runs if not is_whole(run)]
    for file in (home / "out" / "campaigns").rglob("*.parquet"):
        if not file.name.startswith("."):
            try:
                pq.read_table(file)
            except (OSError, pa.ArrowException):
                found.append(str(file))
    return found


def killed_nights(home: Path, kills: int, seed: int = 5) -> list[str]:
    """Kill that often; returns what was torn, badly published, or another than a night without kills."""
    rng, faults = random.Random(seed), list[str]()
    shop(home / "shop")
    shutil.copytree(home / "shop", home / "clean", symlinks=True)
    usual = ended(home / "clean")
    want, done, nights = published(home / "clean"), 0, 0
    while done < kills:
        nights += 1
        night = home / f"night-{nights}"
        shutil.copytree(home / "shop", night, symlinks=True)
        before = (night / "out" / "CURRENT").resolve()
        for _ in range(min(AT_ONCE, kills - done)):
            one = start(night, *RUN, kill_after=rng.uniform(0.02, usual))
            if one.code not in (0, -9):
                faults.append(f"night {nights} ended with {one.code}: {one.said}")
            done += one.code == -9
            faults += [f"night {nights}: {file} is torn" for file in torn(night)]
            if one.code == -9 and (night / "out" / "CURRENT").resolve() != before:
                faults += [f"night {nights}: a bad run is published"] * (published(night) != want)
            if one.code == 0:
                break
        ended(night)
        checked = start(night, "store", "check", "crmkit.toml")
        faults += [] if checked.code == 0 else [f"night {nights}: {checked.said}"]
        mine = published(night)
        other = sorted(name for name in mine.keys() | want.keys() if mine.get(name) != want.get(name))
        faults += [f"night {nights}: {other} are others than without kills"] if other else []
        print(f"night {nights}: {done} kills so far, {len(mine)} files compared, {len(other)} differ", flush=True)
        if not other:
            shutil.rmtree(night)
    return faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=5)
    stated = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        faults = killed_nights(Path(folder), stated.kills, stated.seed)
    print("\n".join(faults) or "Nothing was torn; every published run equals that of a night without kills.")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
