"""Temporary folders: closed to others, gone with the process, and after a kill with the start of the next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from crmkit.engine.duckdb import DuckDBEngine, engine_limits

CANARY = "canary-0077"
START = "from crmkit.engine.duckdb import DuckDBEngine; DuckDBEngine().close()"
WORK = f"""
import pandas as pd
from crmkit import Transactions
from crmkit.engine.duckdb import DuckDBEngine
till = pd.DataFrame({{"customer_id": ["{CANARY}"] * 3, "purchased_at": "2026-01-01", "amount": 1.5}})
log = Transactions.from_extract(till, until="2026-12-31")
engine = DuckDBEngine()
engine.keep(f"select * from {{engine.register(till)}}")
(engine.scratch / "copy.csv").write_text("{CANARY}")
print("ready", flush=True)
input()
"""


def running(code: str, home: Path) -> subprocess.Popen[str]:
    """A process whose temporary files are below a folder, once it says that it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"TMPDIR": str(home)},
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # the tests themselves may run under nohup
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def start(home: Path, code: str = START) -> None:
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"TMPDIR": str(home)}, check=True)


def ended(process: subprocess.Popen[str]) -> int:
    process.communicate("\n", timeout=60)
    return process.returncode


def files_with_canary(home: Path) -> list[Path]:
    return [path for path in home.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]


def folders(home: Path) -> list[Path]:
    return [path for path in home.glob("crmkit-*/*") if path.is_dir()]


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_what_a_killed_process_left_goes_with_the_next_start(tmp_path: Path, by: signal.Signals) -> None:
    process = running(WORK, tmp_path)
    process.send_signal(by)
    assert process.wait(60) == -by
    assert len(files_with_canary(tmp_path)) >= 2, "what is swept must be there first"
    start(tmp_path)
    assert files_with_canary(tmp_path) == []
    assert folders(tmp_path) == []


def test_a_living_process_keeps_its_folder_and_takes_it_along(tmp_path: Path) -> None:
    process = running(WORK, tmp_path)
    (mine,) = folders(tmp_path)
    there = sorted(mine.rglob("*"))
    start(tmp_path)
    assert folders(tmp_path) == [mine]
    assert sorted(mine.rglob("*")) == there
    assert ended(process) == 0
    assert folders(tmp_path) == []
    assert files_with_canary(tmp_path) == []


def test_nobody_else_can_look_in(tmp_path: Path) -> None:
    process = running(WORK, tmp_path)
    closed = [*tmp_path.glob("crmkit-*"), *folders(tmp_path), *tmp_path.glob("crmkit-*/*/engine-*")]
    assert {oct(path.stat().st_mode & 0o777) for path in closed} == {"0o700"}
    assert len(closed) == 3
    assert ended(process) == 0


def test_a_fork_has_a_folder_of_its_own(tmp_path: Path) -> None:
    start(
        tmp_path,
        """
import os, sys
from crmkit._folders import temporary_folder
mine = temporary_folder("a")
child = os.fork()
if not child:
    assert temporary_folder("a").parent != mine.parent
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
assert mine.is_dir()
""",
    )
    assert folders(tmp_path) == []


def test_a_place_that_is_taken_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"crmkit-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    start(tmp_path, WORK.partition("print")[0])
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_cleaned_folder_is_made_again(tmp_path: Path) -> None:
    start(
        tmp_path,
        """
import shutil
from crmkit._folders import temporary_folder
shutil.rmtree(temporary_folder("a").parent)
assert temporary_folder("b").is_dir()
""",
    )


@pytest.mark.skipif(duckdb.__version__ < "2", reason="its own encryption is slow")
def test_what_is_spilled_cannot_be_read() -> None:
    with engine_limits(memory_limit="40MB", threads=1), DuckDBEngine() as engine:
        engine.stage(f"select '{CANARY}-' || md5(cast(i as varchar)) as id from range(2000000) numbers(i)")
        own = engine.scratch.parent  # what this process has; all engines within the limits spill into one folder of it
        spilled = [path for path in own.rglob("*") if path.is_file()]
        assert sum(path.stat().st_size for path in spilled) > 2**20
        assert files_with_canary(own) == []
