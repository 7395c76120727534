"""The store from the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from crmkit import Store

CONFIG = """
until = 2017-12-31
[transactions]
files = "in/*.csv*"
[store]
folder = "warehouse"
done = ".done"
corrections = ["fix-*.csv"]
"""
HEAD = "customer_id,purchased_at,amount,order_id,line_id\n"


def crmkit(folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and what was printed."""
    command = [sys.executable, "-m", "crmkit", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "crmkit.toml").write_text(CONFIG)
    (tmp_path / "in").mkdir()
    for name, rows in {"a.csv": "x,2017-03-01,1,1,1\n", "b.csv": "x,2017-03-02,2,2,1\n"}.items():
        (tmp_path / "in" / name).write_text(HEAD + rows)
    (tmp_path / "in" / "a.csv.done").touch()
    return tmp_path


def test_load_says_of_each_file_what_it_did_and_is_safe_to_repeat(shop: Path) -> None:
    code, text = crmkit(shop, "load", "crmkit.toml")
    assert code == 0
    assert text.splitlines() == [
        "b.csv: waiting (there is no b.csv.done beside it)",
        "a.csv: loaded; 1 rows read, 1 used, 0 duplicate, 0 rejected",
    ]
    (shop / "in" / "b.csv.done").touch()
    (shop / "in" / "fix-a.csv").write_text(HEAD + "x,2017-03-01,5,1,1\n")
    (shop / "in" / "fix-a.csv.done").touch()
    _, text = crmkit(shop, "load", "crmkit.toml")
    assert text.splitlines() == [
        "a.csv: known",
        "b.csv: loaded; 1 rows read, 1 used, 0 duplicate, 0 rejected",
        "fix-a.csv: corrected; 1 rows read, 1 used, 0 duplicate, 0 rejected",
    ]
    code, text = crmkit(shop, "store", "history", "crmkit.toml")
    assert (code, text.count(".csv")) == (0, 3)
    code, text = crmkit(shop, "store", "check", "crmkit.toml")
    assert (code, text.splitlines()[-1]) == (0, "The store is whole.")


def test_a_damaged_store_ends_with_65_and_is_built_anew(shop: Path) -> None:
    crmkit(shop, "load", "crmkit.toml")
    for file in (shop / "warehouse" / "trips").rglob("*.parquet"):
        file.unlink()
    (shop / "in" / "b.csv.done").touch()
    code, text = crmkit(shop, "load", "crmkit.toml")
    assert code == 65
    assert "run store.rebuild()" in text or "crmkit store rebuild" in text
    assert crmkit(shop, "store", "check", "warehouse")[0] == 65
    assert crmkit(shop, "store", "rebuild", "warehouse")[0] == 0
    assert crmkit(shop, "store", "compact", "warehouse")[1].splitlines()[-1] == "The store is whole."
    assert "b.csv: loaded" in crmkit(shop, "load", "crmkit.toml")[1]


def test_a_configuration_without_a_store_and_names_that_steer_the_terminal(shop: Path) -> None:
    (shop / "crmkit.toml").write_text(CONFIG.partition("[store]")[0])
    code, text = crmkit(shop, "load", "crmkit.toml")
    assert (code, "has no store" in text) == (78, True)
    steering = shop / "in" / "a.csv"
    steering.write_text("customer_id,purchased_at,am\x1b[2Jount\nx,2017-03-01,1\n")
    code, text = crmkit(shop, "check", str(steering))
    assert "\x1b" not in text


def test_who_is_erased_is_in_no_file_of_the_store_nor_in_a_log_that_a_run_took(shop: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (shop / "in" / name).write_text(HEAD + f"canary-77,2017-03-01,1,{name},1\ny,2017-03-02,2,{name},2\n")
        (shop / "in" / f"{name}.done").touch()
    crmkit(shop, "load", "crmkit.toml")
    log = Store(shop / "warehouse").transactions(folder=shop / "out" / "work" / "load-1" / "log")
    assert pd.read_parquet(log.days)["customer_id"].tolist() == ["canary-77", "y"], (
        "what is removed must be there first"
    )
    (shop / "gone.txt").write_text("canary-77\n\n")
    named = ("--file", "gone.txt", "--config", "crmkit.toml", "--out", "out")
    code, text = crmkit(shop, "forget", *named)
    assert code == 0
    assert "Store: 2 lines lost their name" in text
    left = [path.name for path in shop.rglob("*") if path.is_file() and b"canary-77" in path.read_bytes()]
    assert sorted(left) == ["a.csv", "b.csv", "gone.txt"]
    assert not list((shop / "out" / "work").glob("*"))
    (shop / "in" / "c.csv").write_text(HEAD + "canary-77,2017-03-03,1,c,1\n")
    (shop / "in" / "c.csv.done").touch()
    assert crmkit(shop, "load", "crmkit.toml")[0] == 0
    left = [path.name for path in shop.rglob("*") if path.is_file() and b"canary-77" in path.read_bytes()]
    assert sorted(left) == ["a.csv", "b.csv", "c.csv", "gone.txt"]
    assert crmkit(shop, "store", "check", "crmkit.toml")[0] == 0


SMALL_DISK = """
set -e
mount -t tmpfs -o size=6m tmpfs warehouse
head -c 5800000 /dev/zero > warehouse/.ballast
"$1" -m crmkit load crmkit.toml || echo "code $?"
rm warehouse/.ballast
"$1" -m crmkit load crmkit.toml
"$1" -m crmkit store check crmkit.toml
"""


def can_mount() -> bool:
    asked = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /mnt"]
    try:
        return subprocess.run(asked, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(not can_mount(), reason="a small disk cannot be mounted here")
def test_a_disk_that_is_full_ends_with_74_and_the_next_load_goes_on(shop: Path) -> None:
    (shop / "warehouse").mkdir()
    rows = [f"m{n * 7919 % 100_003},2017-03-01,{n % 997}.5,{n * 104_729 % 1_000_003},1\n" for n in range(40_000)]
    (shop / "in" / "a.csv").write_text(HEAD + "".join(rows))
    command = ["unshare", "--mount", "sh", "-c", SMALL_DISK, "sh", sys.executable]
    done = subprocess.run(command, cwd=shop, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "code 74" in done.stdout
    assert "crmkit: No space left on the disk of" in done.stderr
    assert "a.csv: loaded; 40,000 rows read, 40,000 used" in done.stdout
    assert done.stdout.endswith("The store is whole.\n")
