"""A store in a bucket: as one in a folder, read from anywhere, with one load after the other."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from crmkit import BusyError, ContractError, StoreError, Transactions, rfm_table
from crmkit.testing import generated_sales
from crmkit.transactions.delta import DeltaTable
from crmkit.transactions.delta_files import DeltaFile, TableVersion
from crmkit.transactions.remote import Remote, is_address, place_of
from crmkit.transactions.store import Store
from crmkit.transactions.tables import Change, StoreState, StoreTables

if TYPE_CHECKING:
    from collections.abc import Callable

UNTIL = "2017-12-31"
SECRET = "a-secret-nobody-may-read"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a process that speaks the protocol of S3."""
    pytest.importorskip("moto", reason="moto speaks the protocol of S3")
    pytest.importorskip("flask_cors", reason="moto serves with flask")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (tmp_path_factory.mktemp("s3") / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    address, latest = f"http://127.0.0.1:{port}", time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(urllib.request.Request(f"{address}/shop", method="PUT")).read()
            break
        except OSError:
            assert process.poll() is None
            assert time.monotonic() < latest
            time.sleep(0.1)
    yield address
    process.kill()
    process.wait()


@pytest.fixture
def options(server: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": server,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "till",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "eu-central-1",
    }


@pytest.fixture(scope="module")
def sales() -> pd.DataFrame:
    return generated_sales(n_customers=50, days=100, seed=3)


def rows_of(log: Transactions, table: str) -> pd.DataFrame:
    rows = pd.concat(map(pd.read_parquet, getattr(log, table)))
    names = sorted(str(name) for name in rows if name not in ("file", "record", "month"))
    return rows[names].astype(str).sort_values(names, ignore_index=True)


def test_a_store_in_a_bucket_is_as_one_in_a_folder(
    options: dict[str, str], tmp_path: Path, sales: pd.DataFrame
) -> None:
    there, here = Store("s3://shop/one", options=options), Store(tmp_path / "store")
    half = len(sales) // 2
    day = sales[sales["purchased_at"].dt.date == sales["purchased_at"].dt.date.iloc[0]]
    for store in (there, here):
        assert store.is_empty
        store.load(sales[:half], until=UNTIL)
        store.load(sales[half:], until=UNTIL)
        store.correct(day.assign(amount=1.0), until=UNTIL)
    elsewhere = Store("s3://shop/one/", options=options, copies=tmp_path / "copies")
    assert str(elsewhere) == "Store('s3://shop/one'): 3 loads"
    for table in ("lines", "trips"):
        pd.testing.assert_frame_equal(rows_of(elsewhere.transactions(), table), rows_of(here.transactions(), table))
    assert elsewhere.check().is_whole
    assert SECRET not in repr(vars(elsewhere)) + repr(vars(elsewhere._tables))
    gone = rfm_table(here.transactions())["customer_id"][0]
    assert elsewhere.erase([gone]) > 0
    assert gone not in set(rfm_table(there.transactions())["customer_id"])
    with pytest.raises(ContractError, match="cannot be rebuilt where it is"):
        there.rebuild()
    damaged(there, next(iter(there.files())).name)
    with pytest.raises(StoreError, match=r"s3://shop/one is damaged: lines/month=.* is lost"):
        there.load(sales[:5], until=UNTIL)


def damaged(store: Store, name: str) -> None:
    place = store._tables.remote
    assert place is not None
    place.remove(next(path for path in place.listed() if path.endswith(name)))


def interrupted(monkeypatch: pytest.MonkeyPatch, by: Callable[[], object]) -> None:
    """The next load does something else when its rows are ready, before it commits them."""
    publish = StoreTables.publish

    def late(self: StoreTables, state: StoreState, changes: Mapping[str, Change], *rest: Any) -> None:
        monkeypatch.setattr(StoreTables, "publish", publish)
        by()
        publish(self, state, changes, *rest)

    monkeypatch.setattr(StoreTables, "publish", late)


@pytest.mark.parametrize("wait", [0, 60])
def test_of_two_machines_that_load_at_once_one_is_told_or_comes_second(
    options: dict[str, str], monkeypatch: pytest.MonkeyPatch, sales: pd.DataFrame, wait: float
) -> None:
    one, other = (Store(f"s3://shop/two-{wait}", options=options, wait=wait) for _ in range(2))
    interrupted(monkeypatch, lambda: other.load(sales[:50], until=UNTIL))
    if wait:
        one.load(sales[40:100], until=UNTIL)
    else:
        with pytest.raises(BusyError, match="nothing of this one counts"):
            one.load(sales[40:100], until=UNTIL)
    assert one.loads["rows_used"].tolist() == [50, 50][: 1 + bool(wait)]
    assert one.check().is_whole


def test_a_load_that_died_before_its_last_commit_is_taken_back(
    options: dict[str, str], monkeypatch: pytest.MonkeyPatch, sales: pd.DataFrame
) -> None:
    store = Store("s3://shop/three", options=options)
    commit = DeltaTable.commit

    def dying(table: DeltaTable, held: TableVersion, added: Iterable[DeltaFile], *rest: Any) -> int:
        if table.name == "lines" and added:
            raise KeyboardInterrupt
        return commit(table, held, added, *rest)

    for n in range(2):
        with monkeypatch.context() as broken:
            broken.setattr(DeltaTable, "commit", dying)
            with pytest.raises(KeyboardInterrupt):
                store.load(sales[60 * n : 60 * n + 50], until=UNTIL)
        assert len(store.loads) == n
        store.load(sales[60 * n : 60 * n + 50], until=UNTIL)
    assert store.loads["rows_used"].tolist() == [50, 50]
    assert store.check().is_whole


def test_a_night_loads_into_a_bucket_and_shows_no_secret(
    options: dict[str, str], tmp_path: Path, sales: pd.DataFrame
) -> None:
    sales.to_csv(tmp_path / "till.csv", index=False)
    stated = options | {"AWS_SECRET_ACCESS_KEY": "${STORE_SECRET}", "AWS_ACCESS_KEY_ID": "${STORE_KEY}"}
    told = "\n".join(f'{name} = "{value}"' for name, value in stated.items())
    config = tmp_path / "crmkit.toml"
    config.write_text(
        f'until = "{UNTIL}"\ncurrency = "EUR"\n[transactions]\nfiles = "till.csv"\n'
        f'[store]\nfolder = "s3://shop/four"\n[store.options]\n{told}\n'
    )
    command = [sys.executable, "-m", "crmkit", "load", str(config)]
    unset = subprocess.run(command, capture_output=True, text=True, check=False)
    assert unset.returncode == 78
    assert "not set: ['STORE_KEY']" in unset.stderr
    given = os.environ | {"STORE_SECRET": SECRET, "STORE_KEY": "till"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=given)
    assert done.returncode == 0, done.stderr
    assert f"{len(sales):,} rows read" in done.stdout
    config.write_text(config.read_text().replace("s3://shop", "s3://no-such-bucket"))
    failed = subprocess.run(command, capture_output=True, text=True, check=False, env=given)
    assert failed.returncode != 0
    assert "s3://no-such-bucket/four" in failed.stderr
    assert "NoSuchBucket" in failed.stderr
    assert not any(SECRET in text for text in (done.stdout, done.stderr, failed.stdout, failed.stderr))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(SECRET.encode() in path.read_bytes() for path in files)
    config.write_text(config.read_text().replace("${STORE_SECRET}", SECRET))
    plain = subprocess.run(command, capture_output=True, text=True, check=False, env=given)
    assert plain.returncode == 78
    assert "the file contains secrets" in plain.stderr
    assert SECRET not in plain.stderr


def test_what_is_an_address() -> None:
    assert is_address("s3://bucket/store")
    assert is_address("az://box/store")
    assert not any(map(is_address, ("store", "C:/store", "/data/store", "file:///data/store")))
    assert place_of("file:///data/my%20store", {}) == Path("/data/my store")


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("memory://store", "nothing stays in memory"),
        ("s3:///store", "no bucket or container is named"),
        ("s3://key:secret@bucket/store", "holds no credentials"),
        ("az://box/store?sig=secret", "holds no credentials"),
    ],
)
def test_an_address_where_nothing_can_be_kept_is_refused(place: str, said: str) -> None:
    with pytest.raises(ContractError, match=said) as refused:
        Store(place)
    assert "secret" not in str(refused.value)


def test_an_unknown_kind_of_storage_is_said() -> None:
    with pytest.raises(StoreError, match=r"foo://bucket/store cannot be reached: Unknown scheme: foo"):
        _ = Store("foo://bucket/store").loads


def test_errors_hide_the_values_of_options() -> None:
    place = Remote("s3://bucket/store", {"AWS_SECRET_ACCESS_KEY": SECRET})
    assert place.masked(ValueError(f"refused:\n {SECRET}.")) == "refused: <AWS_SECRET_ACCESS_KEY>"
    assert SECRET not in repr(place)
