"""A delivery folder as chains have it: late, twice, corrected, half-written, out of order."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pandas as pd
import pytest

from crmkit import BusyError, NoInputError
from crmkit._folders import owned
from crmkit.transactions.delivery_folder import FolderLoad, Incoming, load_folder
from crmkit.transactions.store import Store

HEAD = "customer_id,purchased_at,amount,order_id,line_id\n"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def deliver(folder: Path, name: str, *days: int, amount: float = 1.0) -> Path:
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(HEAD + "".join(f"x,2017-03-{day:02},{amount},{day},1\n" for day in days))
    return file


def load(store: Store, folder: Path, **incoming: object) -> FolderLoad:
    return load_folder(store, str(folder), until="2017-12-31", incoming=Incoming(**incoming))  # type: ignore[arg-type]


def fates(done: FolderLoad) -> dict[str, str]:
    return dict(zip(done.files["file"], done.files["fate"], strict=True))


def amounts(store: Store) -> list[float]:
    return sorted(pd.concat(map(pd.read_parquet, store.transactions().lines))["amount"].astype(float))


def test_files_come_late_twice_and_out_of_order(store: Store, folder: Path) -> None:
    deliver(folder, "till-03.csv", 3)
    assert fates(load(store, folder)) == {"till-03.csv": "loaded"}
    deliver(folder, "till-01.csv", 1)
    deliver(folder, "copy of 03.csv", 3)
    (folder / "till-02.csv").write_text(HEAD)
    deliver(folder, "till-04.csv", 3, 4, amount=1.0)
    done = load(store, folder)
    assert fates(done) == {
        "copy of 03.csv": "known",
        "till-01.csv": "loaded",
        "till-02.csv": "empty",
        "till-03.csv": "known",
        "till-04.csv": "loaded",
    }
    assert "till-04.csv: loaded; 2 rows read, 1 used, 1 duplicate, 0 rejected" in str(done)
    assert amounts(store) == [1.0, 1.0, 1.0]
    assert set(fates(load(store, folder)).values()) == {"known"}


def test_what_is_not_complete_waits_for_the_next_load(store: Store, folder: Path) -> None:
    for day in (1, 2):
        deliver(folder, f"till-{day}.csv", day)
    (folder / "till-1.csv.done").touch()
    done = load(store, folder, done=".done")
    assert fates(done) == {"till-2.csv": "waiting", "till-1.csv": "loaded"}
    assert "till-2.csv: waiting (there is no till-2.csv.done beside it)" in str(done)
    (folder / "till-2.csv.done").touch()
    assert fates(load(store, folder, done=".done")) == {"till-1.csv": "known", "till-2.csv": "loaded"}


def test_a_file_that_is_still_written_to_waits(store: Store, folder: Path) -> None:
    file = deliver(folder, "till.csv", 1)
    assert fates(load(store, folder, quiet_seconds=60)) == {"till.csv": "waiting"}
    earlier = time.time() - 61
    os.utime(file, (earlier, earlier))
    assert fates(load(store, folder, quiet_seconds=60)) == {"till.csv": "loaded"}


@pytest.mark.parametrize("kind", ["md5", "sha1", "sha256", "sha512"])
def test_a_checksum_is_compared_with_the_content(store: Store, folder: Path, kind: str) -> None:
    file = deliver(folder, "till.csv", 1, 2)
    stated = folder / "till.csv.sum"
    stated.write_text(f"{hashlib.new(kind, file.read_bytes()).hexdigest().upper()}  till.csv\n")
    whole = file.read_bytes()
    file.write_bytes(whole[:-10])
    assert "its content is not what till.csv.sum states" in str(load(store, folder, checksum=".sum"))
    file.write_bytes(whole)
    assert fates(load(store, folder, checksum=".sum")) == {"till.csv": "loaded"}


def test_corrections_replace_their_days_after_what_is_new(store: Store, folder: Path) -> None:
    deliver(folder, "till.csv", 1, 2)
    deliver(folder / "corrections", "a-first.csv", 2, amount=9.0)
    done = load(store, folder, corrections=["corrections/*.csv"])
    assert fates(done) == {"till.csv": "loaded", "a-first.csv": "corrected"}
    assert amounts(store) == [1.0, 9.0]
    load(store, folder, corrections=["corrections/*.csv"])
    assert amounts(store) == [1.0, 9.0]


def test_a_file_that_is_refused_keeps_none_of_the_others_out(store: Store, folder: Path) -> None:
    deliver(folder, "good.csv", 1)
    (folder / "other.csv").write_text("customer_id,purchased_at\nx,2017-03-01\n")
    done = load(store, folder)
    assert fates(done) == {"good.csv": "loaded", "other.csv": "refused"}
    assert done.n_refused == 1
    assert "Columns not found: ['amount']" in str(done)
    assert fates(load(store, folder)) == {"good.csv": "known", "other.csv": "refused"}


def test_a_file_of_which_every_row_was_rejected_is_tried_again(store: Store, folder: Path) -> None:
    (folder / "till.csv").write_text(HEAD + "x,soon,1,1,1\n")
    assert fates(load(store, folder)) == {"till.csv": "rejected"}
    assert fates(load(store, folder)) == {"till.csv": "rejected"}


def test_an_empty_folder_and_a_busy_store_are_said(store: Store, folder: Path) -> None:
    with pytest.raises(NoInputError):
        load(store, folder)
    deliver(folder, "till.csv", 1)
    with owned(store.path, "load"), pytest.raises(BusyError):
        load(store, folder)
