"""Each fault of the night, done for real: its exit code, its sentence, and that the published run is whole and the next one equal.

``python tests/pipeline/test_fault_table.py`` writes the table of ``docs/operations.md`` anew.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from crmkit.pipeline.publish import is_whole
from crmkit.testing import generated_sales

DOCS = Path(__file__).parents[2] / "docs" / "operations.md"
BEGINS, ENDS = "| fault | code | what is said |\n|---|---|---|\n", "\n\n"
DAYS = ("2017-04-20", "2017-04-21")
CONFIG = 'until = {day}\n[transactions]\nfiles = "till/*"\n[value]\nmodel = "BG/NBD"\n'
STORE = '[store]\nfolder = "store"\n'
STAGES = (
    *("read-products", "read-members", "read-cards", "read-merges", "identify", "read-rates"),
    *("load", "check-delivery", "suspect-cards", "share-with-card", "summarise"),
)

ASKED = ("run", "crmkit.toml", "--out", "out", "--quiet")

# A run of few stages, which does something at the end of one of them.
DRIVER = """
import os, sys
from crmkit.pipeline import cli, nightly, records
from crmkit.pipeline.stages import STAGES
nightly._usual_stages = lambda: [one for one in STAGES if one.name in {stages!r}]
save, at, do = records.Record.save, os.environ.get("AT"), os.environ.get("DO", "")
def saved(self, folder):
    if self.stage == at:
        os.system(do)
    return save(self, folder)
records.Record.save = saved
sys.argv = ["crmkit", *{asked!r}, *sys.argv[1:]]
cli.main()
"""
FULL = "head -c $(( $(df --output=avail -B1 {0} | tail -1) - {1} )) /dev/zero > {0}/.ballast"

LIMIT = "cp crmkit.toml usual; printf '[engine]\\nmemory_limit = \"{}\"\\n' >> crmkit.toml"
UNLIMITED = "mv usual crmkit.toml"
BIG = """awk 'BEGIN{print "customer_id,purchased_at,amount,order_id"; for(i=0;i<600000;i++)
    printf "%06d,2017-03-%02d 10:00:00,%d.50,big-%08d-%08d\\n",i%5000,1+i%28,i%90+1,i*7919%600000,i}' > till/big.csv"""


@dataclass(frozen=True)
class Fault:
    """What is done before a run (``$RUN``) or while it is at work, and what takes it back."""

    name: str
    do: str
    undo: str = ""
    store: bool = False
    mounts: bool = False


FAULTS = [
    Fault("killed inside a stage (`kill -9`)", 'AT=share-with-card DO="kill -9 \\$PPID" $RUN'),
    Fault("killed while all is redone (`--fresh`, `kill -9`)", 'AT=share-with-card DO="kill -9 \\$PPID" $RUN --fresh'),
    Fault("ended by the machine (`SIGTERM`)", 'AT=share-with-card DO="kill -TERM \\$PPID" $RUN'),
    Fault(
        "the disk of the output is full",
        f"mv out was; mkdir out; mount -t tmpfs -o size=8m tmpfs out; cp -a was/. out; {FULL.format('out', 60_000)}; $RUN",
        "rm out/.ballast",
        mounts=True,
    ),
    Fault(
        "the disk of the store is full",
        f"mv store was; mkdir store; mount -t tmpfs -o size=8m tmpfs store; cp -a was/. store; {FULL.format('store', 30_000)}; $RUN",
        "rm store/.ballast",
        store=True,
        mounts=True,
    ),
    Fault(
        "what the engine spills fills the disk",
        f"{BIG}; mkdir spill; mount -t tmpfs -o size=24m tmpfs spill; {LIMIT.format('60MB')}; TMPDIR=$PWD/spill $RUN",
        f"umount -l spill; rm till/big.csv; {UNLIMITED}",
        mounts=True,
    ),
    Fault("the process may have too little memory (`ulimit -v`)", "(ulimit -v 1500000; $BARE)"),
    Fault(
        "the engine may have too little memory (`[engine] memory_limit`)",
        f"{LIMIT.format('2MB')}; $RUN",
        UNLIMITED,
    ),
    Fault("another run is at work", "flock out/.lock $RUN"),
    Fault(
        "the output is on a disk that is read only",
        "mount --bind out out; mount -o remount,ro,bind out; $RUN",
        "umount out",
        mounts=True,
    ),
    Fault("the clock was set back: files are of the future", "find out till -exec touch -h -d 2091-01-01 {} +; $RUN"),
    Fault(
        "a file of the delivery changes while it is read",
        "cp till/b.csv before; AT=share-with-card DO='echo >> till/b.csv' $RUN",
        "mv before till/b.csv",
    ),
    Fault("a Parquet file is half written", "head -c 900 b.parquet > till/c.parquet; $RUN", "rm till/c.parquet"),
    Fault("a zipped file is half written", "gzip -c till/b.csv | head -c 60 > till/c.csv.gz; $RUN", "rm till/c.csv.gz"),
    Fault(
        "a text file ends inside a row: that row is told as rejected",
        "head -c 100 till/b.csv > till/c.csv; $RUN",
        "rm till/c.csv",
    ),
    Fault("the volume of the deliveries is gone", "mv till gone; $RUN", "mv gone till"),
    Fault(
        "the volume of the output goes while the run is at work",
        "mv out was; mkdir out; mount --bind was out; AT=share-with-card DO='umount -l out' $RUN",
        "rm -r out; mv was out",
        mounts=True,
    ),
    Fault("the store is gone", "mv store gone; $RUN", "rm -rf store; mv gone store", store=True),
]


def deliver(home: Path, day: str, store: bool) -> None:
    (home / "crmkit.toml").write_text(CONFIG.format(day=day) + (STORE if store else ""))


def crmkit(home: Path, script: str = "$RUN", mounts: bool = False) -> subprocess.CompletedProcess[str]:
    (home / "driver.py").write_text(DRIVER.format(stages=STAGES, asked=ASKED))
    shell = [
        "sh",
        "-c",
        f'RUN="{sys.executable} driver.py"; BARE="{sys.executable} -m crmkit {" ".join(ASKED)}"; {script}',
    ]
    inside = ["unshare", "--mount", *shell] if mounts else shell
    return subprocess.run(inside, cwd=home, capture_output=True, text=True, check=False)


def outputs(home: Path) -> dict[str, pd.DataFrame]:
    current = home / "out" / "CURRENT"
    return {file.name: pd.read_parquet(file) for file in sorted(current.glob("*.parquet"))}


def shops(home: Path) -> None:
    """A shop after its first night, with a store and without, and the same after a second night without a fault."""
    sales = generated_sales(n_customers=30, days=111, seed=3)
    days = sales["purchased_at"].dt.strftime("%Y-%m-%d")
    for name in ("files", "store"):
        folder = home / name
        (folder / "till").mkdir(parents=True)
        sales[days <= DAYS[0]].to_csv(folder / "till" / "a.csv", index=False)
        deliver(folder, DAYS[0], name == "store")
        done = crmkit(folder)
        assert done.returncode == 0, done.stderr
        sales[days == DAYS[1]].to_csv(folder / "till" / "b.csv", index=False)
        sales[days == DAYS[1]].to_parquet(folder / "b.parquet")
        deliver(folder, DAYS[1], name == "store")
        shutil.copytree(folder, home / f"{name}-clean", symlinks=True)
        done = crmkit(home / f"{name}-clean")
        assert done.returncode == 0, done.stderr


def tried(fault: Fault, shop: Path, home: Path) -> tuple[int, str]:
    """What a fault's run ends with; the run before it stays, and the next one is as if nothing had been."""
    kind = "store" if fault.store else "files"
    shutil.copytree(shop / kind, home, symlinks=True)
    again = f"""{fault.do}; echo "code $?"; ls -1 out/CURRENT/ > /dev/null && readlink out/CURRENT; {fault.undo or ":"}; $RUN"""
    before = (home / "out" / "CURRENT").readlink()
    keep = "; rm -rf kept; cp -a out kept; echo ended" if fault.mounts else "; echo ended"
    done = crmkit(home, f"{again}; echo $?{keep}", fault.mounts)
    said = done.stdout.splitlines()
    assert said[-2:] == ["0", "ended"], done.stderr
    code = next(int(line.removeprefix("code ")) for line in said if line.startswith("code "))
    if code and "goes while" not in fault.name:
        assert str(before) in said
    if fault.mounts:
        shutil.rmtree(home / "out", ignore_errors=True)
        (home / "kept").rename(home / "out")
    assert is_whole((home / "out" / "CURRENT").resolve())
    mine, clean = outputs(home), outputs(shop / f"{kind}-clean")
    assert list(mine) == list(clean)
    for name, table in clean.items():
        pd.testing.assert_frame_equal(mine[name], table, rtol=1e-12, obj=name)
    sentence = next((line for line in done.stderr.splitlines() if line.startswith("crmkit: ")), "")
    return code, re.sub(r"/(tmp|var)/[\w./*-]*\w", "…", sentence.removeprefix("crmkit: "))


def row(fault: Fault, code: int, said: str) -> str:
    return f"| {fault.name} | {code} | {said or '(nothing)'} |"


def told() -> list[str]:
    """The rows of the table in the documentation."""
    return DOCS.read_text(encoding="utf-8").partition(BEGINS)[2].partition(ENDS)[0].splitlines()


def can_mount() -> bool:
    asked = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /mnt"]
    try:
        return subprocess.run(asked, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("shop")
    shops(home)
    return home


def test_each_fault_stands_in_the_documentation_with_a_code_that_is_documented() -> None:
    rows = [one.split("|") for one in told()]
    assert [one[1].strip() for one in rows] == [fault.name for fault in FAULTS]
    assert {int(one[2]) for one in rows} <= {0, 65, 66, 71, 74, 75, 77, 78, 137, 143}


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_ends_as_the_documentation_says(fault: Fault, shop: Path, tmp_path: Path) -> None:
    if fault.mounts and not can_mount():
        pytest.skip("nothing can be mounted here")
    assert row(fault, *tried(fault, shop, tmp_path / "home")) in told()


def main() -> None:
    """Write the table anew."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        shops(home / "shop")
        rows = []
        for number, fault in enumerate(FAULTS):
            if len(sys.argv) > 1 and sys.argv[1] not in fault.name:
                continue
            try:
                rows.append(row(fault, *tried(fault, home / "shop", home / str(number) / "home")))
            except AssertionError as error:
                rows.append(f"| {fault.name} | FAILED | {str(error)[:1500]} |")
            print(rows[-1], flush=True)
    if len(rows) == len(FAULTS) and not any("FAILED" in one for one in rows):
        text = DOCS.read_text(encoding="utf-8")
        before, _, after = text.partition(BEGINS)
        DOCS.write_text(before + BEGINS + "\n".join(rows) + ENDS + after.partition(ENDS)[2], encoding="utf-8")


if __name__ == "__main__":
    main()
