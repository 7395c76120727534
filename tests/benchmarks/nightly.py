"""What a night costs: the sample and the Complete Journey, a first night and the next, beside another commit.

    python tests/benchmarks/nightly.py [--beside FOLDER] [--journey FOLDER] [--nights N]

``--beside`` is a worktree of the commit to compare with, ``--journey`` a folder with the whole Complete Journey
(transactions.parquet, products.parquet). ``--nights`` runs so many consecutive nights, each with the file of one more day
delivered into a store, instead. Each must publish, byte for byte, what the same night does with every stage redone. After the last one everything is fitted again, and compared with one run from nothing on the same
deliveries into an empty store: it has no past, so labels that are held, campaigns and the track record are its own, and all
files are those of its night.
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
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import pandas as pd

HERE = Path(__file__).parents[2]
SAMPLE = HERE / "data" / "sample"
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
SHOP = """title = "{name}"
currency = "USD"
until = {day}
[transactions]
files = "files/*"
time_zone = "America/New_York"
{written}
[store]
folder = "{store}"
[products]
files = "{products}"
columns = {{ {of_products} }}
[deals]
files = "{sample}/deals.csv"
columns = {{ product_id = "sku" }}
[value]
refit_every = {rhythm}
[churn]
refit_every = {rhythm}
[repurchase]
by = "category"
exclude = ["COUPON/MISC ITEMS", "FUEL", "MISC. TRANS.", "MISCELLANEOUS"]
refit_every = {rhythm}
[backtests]
max_age = {rhythm}
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


# -- Consecutive nights ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shop:
    """Lines with the day on which each is delivered, files of the time before, and what the configuration says of them."""

    name: str
    lines: pd.DataFrame
    days: pd.Series[str]
    terms: dict[str, str]
    history: list[Path] = field(default_factory=list)

    def deliver(self, home: Path, day: str) -> None:
        """The file of a day: all lines that were not delivered before."""
        folder = home / "files"
        if not folder.exists():
            folder.mkdir(parents=True)
            for file in self.history:
                shutil.copy(file, folder)
        before = max((file.name for file in folder.glob("day_*")), default="day_")[4:14]
        lines, file = self.lines[(self.days > before) & (self.days <= day)], folder / f"day_{day}"
        if self.history:
            lines.to_csv(file.with_suffix(".csv"), index=False)
        else:
            lines.to_parquet(file.with_suffix(".parquet"), index=False)

    def config(self, home: Path, day: str, store: str, rhythm: int = 28) -> Path:
        path = home / f"{store}.toml"
        terms = self.terms | {
            "name": self.name,
            "day": day,
            "store": store,
            "rhythm": str(rhythm),
            "sample": str(SAMPLE),
        }
        path.write_text(SHOP.format(**terms))
        return path


def sample() -> Shop:
    *history, last = sorted(SAMPLE.glob("transactions*.csv.gz"))
    lines = pd.read_csv(last, dtype=str, keep_default_na=False, on_bad_lines="skip")
    columns = "customer_id=card_no purchased_at=till_time amount=net_paid order_id=receipt product_id=sku"
    terms = {"products": f"{SAMPLE}/products.csv.gz", "of_products": 'product_id = "sku"', "written": _columns(columns)}
    return Shop("Sample", lines, lines["till_time"].str[:10], terms, history)


def journey(folder: Path) -> Shop:
    lines = pd.read_parquet(folder / "transactions.parquet")
    days = (
        lines["transaction_timestamp"].dt.tz_localize("UTC").dt.tz_convert("America/New_York").dt.strftime("%Y-%m-%d")
    )
    columns = "customer_id=household_id purchased_at=transaction_timestamp amount=sales_value order_id=basket_id"
    terms = {
        "products": f"{folder}/products.parquet",
        "of_products": 'category = "product_category", manufacturer = "manufacturer_id"',
        "written": 'recorded_in = "UTC"\n' + _columns(columns),
    }
    return Shop("Complete Journey", lines, days, terms)


def _columns(names: str) -> str:
    pairs = (name.split("=") for name in names.split())
    return "columns = { " + ", ".join(f'{name} = "{column}"' for name, column in pairs) + " }"


def consecutive(shop: Shop, n: int, home: Path) -> bool:
    """Nights that follow each other, each compared with itself redone, and the last with one from nothing."""
    same = True
    for number in range(n):
        day = str(date(2017, 12, 31) - timedelta(days=n - 1 - number))
        shop.deliver(home, day)
        redone = home.with_name(f"{home.name} redone")
        shutil.rmtree(redone, ignore_errors=True)  # as it is before the night, without what nights keep for themselves
        shutil.copytree(home, redone, symlinks=True, ignore=shutil.ignore_patterns("work"))
        wall, spent = night(HERE, shop.config(home, day, "store"), home / "out", day)
        night(HERE, shop.config(redone, day, "store"), redone / "out", day, "--fresh")
        other = differing(contents(home / "out"), contents(redone / "out"))
        same &= not other
        told = f"night of {day}: {wall:6.1f} s, {spent:6.1f} of processor; differs from redone: {other or 'nothing'}"
        print(f"{shop.name}, {told}", flush=True)
    night(HERE, shop.config(home, day, "store", rhythm=1), home / "out", day)
    night(HERE, shop.config(home, day, "new-store", rhythm=1), home / "new", day)
    known = [home / "out", home / "new"]
    files = set.intersection(*(set(contents(out)) for out in known))
    other = [name for name in sorted(files) if name.endswith(".parquet") and differs(name, *known)]
    print(f"{shop.name}, all fitted again; differs from one run from nothing: {other or 'nothing'}", flush=True)
    return same and not other


def contents(out: Path) -> dict[str, str]:
    """What a night has published, but for times: records of stages, ``run.json``, and the workbook, which is dated."""
    current = (out / "CURRENT").resolve()
    files = {str(file.relative_to(current)): file for file in sorted(current.rglob("*")) if file.is_file()}
    timed = ("run.json", "report.xlsx")
    return {
        name: hashlib.sha256(file.read_bytes()).hexdigest()
        for name, file in files.items()
        if name not in timed and not name.startswith(".")
    }


def differing(one: dict[str, str], other: dict[str, str]) -> list[str]:
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


HELD = ["segment", "tier", "tier_since", "r_score", "f_score", "m_score"]
"""Labels that are held by those of the night before."""
PAST = ("tier_changes", "scorecard", "campaign", "rejections")
"""What begins with these is of the past."""


def differs(name: str, *outs: Path) -> bool:
    """Whether a table that has no past is another one."""
    if name.startswith(PAST):
        return False
    one, other = (pd.read_parquet(out / "CURRENT" / name).drop(columns=HELD, errors="ignore") for out in outs)
    return not one.equals(other)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside", type=Path)
    parser.add_argument("--journey", type=Path)
    parser.add_argument("--nights", type=int, default=0)
    parser.add_argument("--shops", nargs="+", default=["sample", "journey"], choices=["sample", "journey"])
    stated = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if stated.nights:
            shops = [sample()] if "sample" in stated.shops else []
            shops += [journey(stated.journey.resolve())] if stated.journey and "journey" in stated.shops else []
            same = [consecutive(shop, stated.nights, Path(folder) / shop.name) for shop in shops]
            sys.exit(not all(same))
        first_and_next(stated, Path(folder))


def first_and_next(stated: argparse.Namespace, home: Path) -> None:
    """What the first night and the next cost, beside another commit."""
    works: list[tuple[str, Path, tuple[str, str]]] = [
        ("sample", SAMPLE / "crmkit.toml", ("2017-11-30", "2017-12-31")),
    ]
    if stated.journey:
        config = home / "journey.toml"
        config.write_text(JOURNEY.format(folder=stated.journey.resolve(), sample=SAMPLE))
        works.append(("Complete Journey", config, ("2017-12-30", "2017-12-31")))
    for name, config, days in works:
        codes = {"now": HERE} | ({"beside": stated.beside.resolve()} if stated.beside else {})
        measured = {which: pair(code, config, days, home / f"{name}-{which}") for which, code in codes.items()}
        for place, what in enumerate((f"{name}, first night ({days[0]})", f"{name}, next ({days[1]})")):
            told = "; ".join(
                f"{which} {one[place][0]:.0f} s, {one[place][1]:.0f} of processor" for which, one in measured.items()
            )
            print(f"{what}: {told}", flush=True)


if __name__ == "__main__":
    main()
