"""Many nights of one small shop, with all that goes wrong; at the end every table equals one clean run over what remains.

    python tests/soak.py --nights 60 [--seed N] [--keep FOLDER]

A store grows by a file a night. Parts of days come late, files come twice, days are corrected, two members are forgotten (one by
command, one by the delivered table) and are delivered again, and three campaigns are planned and sent. Runs, and an erasure, are
killed at random moments, and disks are full: output and store lie on a small tmpfs where one can be mounted, and elsewhere
files may not grow beyond some bytes. The clean run reads all that remains as one file, into a new store.

Prints what each night took: attempts, processor seconds, peak memory. Stages that only draw or look back are left out of the nights.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from statistics import median

import pandas as pd
import pyarrow.parquet as pq
from forked_runs import Attempt, start

from crmkit import Store
from crmkit.pipeline import nightly
from crmkit.pipeline.publish import is_whole
from crmkit.pipeline.stages import STAGES
from crmkit.testing import generated_sales

LEFT_OUT = ("report", "forecast-total", "look-back", "cohorts", "revenue", "backtest-value", "backtest-churn",
            "backtest-repurchase")  # fmt: skip
CONFIG = """until = {day}
[transactions]
files = "till/*.csv"
[members]
files = "members.csv"
[deals]
files = "deals.csv"
[erasures]
files = "erasures.csv"
[store]
folder = "disk/store"
corrections = ["*corrected*"]
[privacy]
folder = "disk/privacy"
[value]
model = "BG/NBD"
refit_every = {rhythm}
[churn]
refit_every = {rhythm}
[repurchase]
by = "category"
refit_every = {rhythm}
[campaign]
starts = {starts}
every = {every}
"""
FIRST = date(2017, 7, 1)
DISK = 400 * 2**20
PAST = ("campaign", "tier_changes", "scorecard", "rejections", "received")
"""What begins with these is of the nights before."""
HELD = ["segment", "tier", "tier_since", "r_score", "f_score", "m_score"]
"""Labels that are held by those of the night before."""


@dataclass
class Night:
    """A row of the table."""

    day: date
    events: list[str] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)

    def __str__(self) -> str:
        codes = " ".join(str(one.code) for one in self.attempts)
        seconds, peak = sum(one.seconds for one in self.attempts), max(one.peak_mb for one in self.attempts)
        return f"{self.day}  {seconds:6.2f} s {peak:6.0f} MB  ended with {codes:<12} {', '.join(self.events)}".rstrip()

    @property
    def is_usual(self) -> bool:
        """Whether nothing but the file of a day came, and nothing was done to it."""
        return not self.events and len(self.attempts) == 1


# -- The shop --------------------------------------------------------------------------------------------------------


@dataclass
class Shop:
    """What has been delivered, and what of it stands: the truth that the store is compared with."""

    home: Path
    nights: int
    seed: int

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        sales = generated_sales(n_customers=300, days=181 + self.nights, seed=self.seed)
        self.sales = sales.assign(day=sales["purchased_at"].dt.date, customer_id=sales["customer_id"].radd("member-"))
        self.truth = self.sales.iloc[:0]
        self.late = dict[date, pd.DataFrame]()
        self.gone = list[str]()
        self.typical = 3.0
        for name in ("till", "disk"):
            (self.home / name).mkdir(parents=True)
        self.members(self.home, self.sales["customer_id"].unique())
        items = self.sales["category"].value_counts().index[:3]
        deals = {"deal_id": ["d0", "d1", "d2"], "title": "Off", "funder": "Maker", "category": items, "value": 0.5}
        pd.DataFrame(deals | {"margin": 0.4, "starts": "2017-01-01", "ends": "2018-12-31", "budget": 500}).to_csv(
            self.home / "deals.csv", index=False
        )
        self.ask_to_go([])

    def members(self, home: Path, ids: object) -> None:
        pd.DataFrame({"customer_id": ids, "no_contact": ""}).to_csv(home / "members.csv", index=False)

    def ask_to_go(self, ids: list[str]) -> None:
        pd.DataFrame({"customer_id": ids, "asked_on": "2017-07-01"}).to_csv(self.home / "erasures.csv", index=False)

    def configure(self, home: Path, day: date, rhythm: int = 28) -> None:
        every = max(self.nights // 3, 2)
        (home / "crmkit.toml").write_text(CONFIG.format(day=day, rhythm=rhythm, starts=FIRST, every=every))

    def write(self, lines: pd.DataFrame, name: str) -> None:
        lines.drop(columns="day").to_csv(self.home / "till" / f"{name}.csv", index=False)

    def deliver(self, day: date) -> list[str]:
        """The file of a day, and what comes late, again, or right at last; returns what was unusual."""
        whole = self.sales[self.sales["day"].eq(day) if day > FIRST else self.sales["day"].le(day)]
        events, lines = list[str](), whole
        if day > FIRST and len(whole) > 3 and self.random.random() < 0.15:
            lines = whole.iloc[::2]
            self.late[day + timedelta(days=self.random.randint(2, 5))] = whole.iloc[1::2]
            events.append("part of the day to come")
        arrived = [lines]
        if day in self.late:
            arrived.append(self.late.pop(day))
            self.write(arrived[-1], f"late-{day}")
            events.append(f"{len(arrived[-1])} late lines")
        self.write(lines, f"day-{day}")
        if self.random.random() < 0.1 and len(lines):
            self.write(lines, f"again-{day}")
            events.append("a file came twice")
        self.truth = pd.concat([self.truth, *arrived])
        return [*events, *self._corrected(day)]

    def _corrected(self, day: date) -> list[str]:
        """A day of a week ago as it should have been: another amount, another member, and a line that was none."""
        of = day - timedelta(days=8)
        lines = self.sales[self.sales["day"].eq(of)]
        if of <= FIRST or self.random.random() > 0.15 or len(lines) < 4:
            return []
        right = lines.iloc[:-1].copy()
        right.iloc[0, right.columns.get_loc("amount")] += 1.37
        right.iloc[1, right.columns.get_loc("customer_id")] = right["customer_id"].iloc[0]
        self.write(right, f"corrected-{of}-{day}")
        self.truth = pd.concat([self.truth[self.truth["day"].ne(of)], right])
        return [f"{of} corrected"]

    @property
    def remaining(self) -> pd.DataFrame:
        """All lines that stand; those of who was forgotten are nobody's."""
        return self.truth.assign(
            customer_id=self.truth["customer_id"].where(~self.truth["customer_id"].isin(self.gone))
        )


# -- Faults ----------------------------------------------------------------------------------------------------------


RUN = ("run", "crmkit.toml", "--out", "disk/out", "--quiet")


def faulty(shop: Shop) -> Attempt:
    """A run that is killed at a random moment, or finds the disk full."""
    lot = shop.random.random()
    if lot < 0.7:
        return start(shop.home, *RUN, kill_after=shop.random.uniform(0.1, shop.typical))
    disk = shop.home / "disk"
    if not os.path.ismount(disk):
        return start(shop.home, *RUN, most=shop.random.choice([0, 1_000, 4_000, 20_000]))
    ballast, spare = disk / ".ballast", int(10 ** shop.random.uniform(3, 5.5))
    try:
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - spare)
        return start(shop.home, *RUN)
    finally:
        ballast.unlink()


def erased(shop: Shop, night: Night, by_table: bool) -> None:
    """Somebody who buys often is forgotten: by command, which is killed once, or by the delivered table."""
    lines = shop.truth[~shop.truth["customer_id"].isin(shop.gone)]
    who = lines["customer_id"].value_counts().index[2]
    shop.gone.append(who)
    if by_table:
        shop.ask_to_go([who])
        night.events.append("one erased by the table")
        return
    command = ("forget", who, "--config", "crmkit.toml", "--out", "disk/out")
    start(shop.home, *command, kill_after=shop.random.uniform(0.1, 1))
    done = start(shop.home, *command)
    assert done.code == 0, done.said
    night.events.append("one erased by command, killed once")


def lived_through(shop: Shop, day: date, number: int) -> Night:
    """A night: what is delivered, up to two faults, and the run that publishes."""
    night = Night(day, shop.deliver(day))
    shop.configure(shop.home, day)
    if number in (shop.nights // 3, 2 * shop.nights // 3):
        erased(shop, night, by_table=number != shop.nights // 3)
    current = shop.home / "disk" / "out" / "CURRENT"
    faults = shop.random.choices([0, 1, 2], [0.6, 0.3, 0.1])[0]
    for place in range(faults + 1):
        before = current.resolve()
        night.attempts.append(one := faulty(shop) if place < faults else start(shop.home, *RUN))
        assert one.code in ((0, 74, -9) if place < faults else (0,)), f"{day} ended with {one.code}: {one.said}"
        if current.is_symlink():
            assert is_whole(current.resolve()), f"{day}: what is published is torn"
            assert one.code == 0 or current.resolve() in (before, *before.parent.glob(f"{day}-*"))
    campaign = current / "campaign_pairs.parquet"
    if campaign.exists() and (shop.home / "disk" / "out" / "campaigns" / str(day + timedelta(days=1))).is_dir():
        done = start(shop.home, "sent", str(day + timedelta(days=1)), "--out", "disk/out")
        assert done.code == 0, done.said
        night.events.append("a campaign was planned and sent")
    return night


# -- At the end ------------------------------------------------------------------------------------------------------


def store_differs(shop: Shop) -> list[str]:
    """How lines and trips of the store differ from the truth: rows, cents, members."""
    log, want = Store(shop.home / "disk" / "store").transactions(), shop.remaining
    lines = pd.concat([pd.read_parquet(file) for file in log.lines])
    trips = pd.concat([pd.read_parquet(file) for file in log.trips])
    named = want[want["customer_id"].notna()]
    figures = {
        "lines": (len(lines), len(want)),
        "cents": (cents(lines["amount"]), cents(want["amount"])),
        "cents by member": (by_member(trips), by_member(named)),
        "members": (set(lines["customer_id"].dropna()), set(named["customer_id"])),
    }
    return [f"{name} of the store" for name, (mine, true) in figures.items() if mine != true]


def cents(amounts: pd.Series) -> int:
    return int(sum(round(float(one) * 100) for one in amounts))


def by_member(rows: pd.DataFrame) -> dict[str, int]:
    return {str(who): cents(amounts) for who, amounts in rows.groupby("customer_id")["amount"]}


def tables_differ(shop: Shop, clean: Path) -> tuple[list[str], int]:
    """Tables that are others than those of one clean run over what remains; both with every model fitted anew."""
    last = FIRST + timedelta(days=shop.nights - 1)
    (clean / "till").mkdir(parents=True)
    shop.remaining.drop(columns="day").to_csv(clean / "till" / "all.csv", index=False)
    shop.members(clean, sorted(set(shop.sales["customer_id"]) - set(shop.gone)))
    shutil.copy(shop.home / "deals.csv", clean)
    shop.ask_to_go([])
    shutil.copy(shop.home / "erasures.csv", clean)
    outs = [shop.home / "disk" / "out", clean / "disk" / "out"]
    shutil.copytree(outs[0] / "campaigns", outs[1] / "campaigns")  # what was sent is given, as deliveries are
    for home in (shop.home, clean):
        shop.configure(home, last, rhythm=1)
        done = start(home, *RUN)
        assert done.code == 0, done.said
    current = [out / "CURRENT" for out in outs]
    files = [{str(file.relative_to(one)) for file in one.rglob("*.parquet")} for one in map(Path.resolve, current)]
    common = sorted(name for name in files[0] & files[1] if not name.startswith(PAST))
    return [name for name in common if not same(*(one / name for one in current))], len(common)


def same(*files: Path) -> bool:
    one, other = (pd.read_parquet(file).drop(columns=HELD, errors="ignore") for file in files)
    keys = [
        table.map(str).apply("|".join, axis=1).sort_values().index if len(table) else table.index
        for table in (one, other)
    ]
    try:
        pd.testing.assert_frame_equal(
            one.loc[keys[0]].reset_index(drop=True), other.loc[keys[1]].reset_index(drop=True), rtol=1e-9
        )
    except AssertionError:
        return False
    return True


def readable(shop: Shop) -> list[str]:
    """Files outside the deliveries that hold somebody who was forgotten, in bytes or in a table's rows."""
    found = []
    for file in sorted(one for one in (shop.home / "disk").rglob("*") if one.is_file()):
        rows = str(pq.read_table(file).to_pylist()) if file.suffix == ".parquet" else ""
        content = file.read_bytes()
        found += [str(file) for one in shop.gone if one.encode() in content or one in rows]
    return found


def flat(nights: list[Night]) -> tuple[float, float]:
    """Processor seconds and peak memory of the last third of usual nights, over those of the first."""
    usual = [night.attempts[0] for night in nights[1:] if night.is_usual]
    part = max(len(usual) // 3, 1)
    ends = usual[:part], usual[-part:]
    seconds, peaks = ([median(getattr(one, what) for one in end) for end in ends] for what in ("seconds", "peak_mb"))
    return seconds[1] / seconds[0], peaks[1] / peaks[0]


def soak(home: Path, nights: int, seed: int) -> list[str]:
    """Live through the nights; returns what is not as it should be."""
    nightly._usual_stages = lambda: [one for one in STAGES if one.name not in LEFT_OUT]
    shop, lived = Shop(home / "shop", nights, seed), list[Night]()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(shop.home / "disk")],
        capture_output=True,
        check=False,
    )
    told = "a tmpfs is filled" if mounted.returncode == 0 else "files may not grow (nothing can be mounted here)"
    print(f"{nights} nights; a full disk: {told}", flush=True)
    for number in range(nights):
        lived.append(lived_through(shop, FIRST + timedelta(days=number), number))
        print(lived[-1], flush=True)
    unequal, compared = tables_differ(shop, home / "clean")
    faults = [[f"{name} is another one" for name in unequal], store_differs(shop)]
    faults.append([f"{file} holds somebody who was forgotten" for file in readable(shop)])
    seconds, peak = flat(lived) if nights >= 20 else (1.0, 1.0)
    codes = [one.code for night in lived for one in night.attempts]
    print(
        f"{codes.count(-9)} killed, {codes.count(74)} full disks; {len(shop.truth):,} lines and {cents(shop.truth['amount']) / 100:,.2f} "
        f"compared; {compared} tables compared with one clean run; usual nights, last third over first: {seconds:.3f} of processor, "
        f"{peak:.3f} of memory"
    )
    faults.append([] if max(seconds, peak) < 1.2 else ["nights are not flat"])
    return [one for part in faults for one in part]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nights", type=int, default=60)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--keep", type=Path, help="Folder to work in, which stays.")
    stated = parser.parse_args()
    inside = ["unshare", "--mount", "true"]
    if "SOAK" not in os.environ and shutil.which("unshare") and not subprocess.run(inside, check=False).returncode:
        os.execvpe("unshare", ["unshare", "--mount", sys.executable, *sys.argv], os.environ | {"SOAK": "inside"})
    with tempfile.TemporaryDirectory() as folder:
        faults = soak(stated.keep or Path(folder), stated.nights, stated.seed)
        subprocess.run(["umount", "-q", str((stated.keep or Path(folder)) / "shop" / "disk")], check=False)
    print("\n".join(faults) or "All is equal.")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
