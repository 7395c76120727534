"""Nothing readable is left behind: after killed runs an id and a password are in the store and the outputs, and nowhere else."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crmkit.testing import generated_sales

CARD, PASSWORD = "canary-card-0077", "canary-pass-word-0077"
CONFIG = f"""
until = 2017-07-19
[transactions]
files = "till-*.csv"
[members]
files = "sqlite:///members.db?password={PASSWORD}"
table = "members"
[store]
folder = "warehouse"
"""


def files_with(folder: Path, *canaries: str) -> list[str]:
    """Files below a folder that hold one of these, byte by byte."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [
        str(path.relative_to(folder)) for path in files if any(one.encode() in path.read_bytes() for one in canaries)
    ]


def killed_runs(home: Path, kills: int) -> None:
    """Kill runs, and loads into the store, at random moments; the next start sweeps what they left."""
    sales = generated_sales(n_customers=300, days=200, seed=3)
    sales.loc[sales["customer_id"] == sales["customer_id"].iloc[0], "customer_id"] = CARD
    for month, lines in sales.groupby(sales["purchased_at"].dt.month):
        lines.to_csv(home / f"till-{month}.csv", index=False)
    (home / "crmkit.toml").write_text(CONFIG.partition("[members]")[0] + '[store]\nfolder = "warehouse"\n')
    (home / "refused.toml").write_text(CONFIG)
    (home / "tmp").mkdir()
    rng, room = random.Random(5), os.environ | {"TMPDIR": str(home / "tmp"), "HOME": str(home / "user")}
    commands = [
        ["run", "crmkit.toml", "--out", "out"],
        ["load", "crmkit.toml"],
        ["run", "refused.toml", "--out", "out"],
    ]
    for n in range(kills):
        command = [sys.executable, "-m", "crmkit", *commands[n % 3]]
        process = subprocess.Popen(command, cwd=home, env=room, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        time.sleep(rng.uniform(0.5, 8))
        process.send_signal(rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGHUP, signal.SIGTERM]))
        told = process.communicate()[0]
        assert CARD.encode() not in told
        assert PASSWORD.encode() not in told
    subprocess.run([sys.executable, "-m", "crmkit", "load", "crmkit.toml"], cwd=home, env=room, check=True)
    found = {name.split("/")[0] for name in files_with(home, CARD, PASSWORD)}
    assert found - {"warehouse", "out"} == {"refused.toml", *(path.name for path in home.glob("till-*.csv")
        if CARD.encode() in path.read_bytes())}  # fmt: skip
    assert not files_with(home / "out", PASSWORD)
    assert not [path for path in (home / "tmp").rglob("*") if path.is_file() and path.name != ".lock"]


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a POSIX signal")
def test_killed_runs_leave_nothing_that_can_be_read(tmp_path: Path) -> None:
    killed_runs(tmp_path, kills=3)


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a POSIX signal")
def test_fifty_killed_runs_leave_nothing_that_can_be_read(tmp_path: Path) -> None:
    killed_runs(tmp_path, kills=50)
