"""Databases, for real: a PostgreSQL server started here, SQLite files, and SQLAlchemy for the others."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import adbc_driver_postgresql.dbapi as postgres
import pandas as pd
import pytest

from crmkit import ConfigError, ContractError, ExtractError, Transactions, read_extract
from crmkit.exceptions import CrmkitError
from crmkit.ingest.databases import secrets_of, without_password
from crmkit.pipeline.config import read_config

SECRET = "p@ss word"
URL_SECRET = "p%40ss%20word"
ROWS = """insert into sales values
    ('0077', '2026-03-01 10:00', 1.50, 'r1', 1), ('0078', '2026-03-01 23:30', 12345678901234.5678, 'r2', 1),
    (null, '2026-03-02 09:00', 3.00, 'r3', 1), ('0077', '2026-03-03 09:00', -1.50, 'r4', 1)"""

Split = Callable[..., tuple[pd.DataFrame, object]]


def programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    named = shutil.which("initdb")
    return found[-1].parent if found else Path(named).parent if named else None


def as_nobody(folder: Path) -> dict[str, object]:
    """PostgreSQL does not run as root: give its folder to another user."""
    if os.getuid() != 0:
        return {}
    import pwd

    user = next((u for u in ("postgres", "nobody") if any(p.pw_name == u for p in pwd.getpwall())), "nobody")
    entry = pwd.getpwnam(user)
    os.chown(folder, entry.pw_uid, entry.pw_gid)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Address of a server that lives as long as these tests."""
    home = programs()
    if home is None:
        reason = "PostgreSQL is not installed: scripts/services installs it"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="crmkit-postgres-"))
    options = as_nobody(folder) | {"cwd": folder, "env": {"PATH": os.environ["PATH"], "LC_ALL": "C"}}
    secret = folder / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o644)
    data, port = folder / "data", free_port()
    run = {"check": True, "capture_output": True} | options
    subprocess.run(  # type: ignore[call-overload]
        [
            home / "initdb",
            "-D",
            data,
            "-U",
            "till",
            "-A",
            "scram-sha-256",
            f"--pwfile={secret}",
            "-E",
            "UTF8",
            "--no-sync",
        ],
        **run,
    )
    settings = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    started = [home / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", settings, "start"]
    subprocess.run(started, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)  # type: ignore[call-overload]
    try:
        yield f"postgresql://till:{URL_SECRET}@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([home / "pg_ctl", "-D", data, "-m", "immediate", "stop"], **run)  # type: ignore[call-overload]
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def shop(server: str) -> str:
    execute(
        server,
        "create table sales (customer_id text, purchased_at timestamp, amount numeric, order_id text, line_id int)",
        ROWS,
        "create schema till",
        'create table till."Sold Lines" as select customer_id as "Card No", purchased_at, amount from sales',
    )
    return server


def execute(url: str, *statements: str) -> None:
    with postgres.connect(url) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        connection.commit()


# -- PostgreSQL ------------------------------------------------------------------------------------------------------


def test_a_table_of_postgresql_meets_the_same_rules(shop: str, split: Split) -> None:
    lines, rejections = split(read_extract(shop, table="public.sales"))
    assert (rejections.rows_read, rejections.rows_used) == (4, 2)
    assert sorted(rejections.rows["reason"]) == ["amount is beyond 1,000,000,000,000", "customer_id is missing"]
    sold = lines[lines["customer_id"] == "0077"]
    assert sold["amount"].tolist() == [Decimal("1.5000"), Decimal("-1.5000")]
    assert sold["hour"].tolist() == [10, 9]


def test_names_with_blanks_and_capitals_are_that_table(shop: str) -> None:
    extract = read_extract(shop, table="till.Sold Lines")
    assert extract.columns == ("Card No", "purchased_at", "amount")
    assert len(extract.head(9)) == 4
    with pytest.raises(ExtractError, match="does not exist"):
        read_extract(shop, table='sales"; drop table sales; --')


def test_a_query_of_postgresql_keeps_its_order_and_is_run_once(shop: str) -> None:
    execute(shop, "create sequence counted")
    query = "select customer_id, purchased_at, amount, nextval('counted') from sales order by amount desc;"
    extract = read_extract(shop, query=query.replace(", nextval('counted')", ""))
    assert extract.head(9)["amount"].astype(float).tolist()[1:] == [3.0, 1.5, -1.5]
    with pytest.raises(ExtractError, match="read-only"):
        read_extract(shop, query=query)


def test_the_extract_is_a_copy(shop: str) -> None:
    execute(shop, "create table growing as select * from sales limit 1")
    extract = read_extract(shop, table="growing")
    execute(shop, "insert into growing select * from sales")
    for _ in range(2):
        _, rejections = Transactions.split_extract(extract, until="2026-12-31")
        assert rejections.rows_read == 1


def test_types_of_postgresql_come_through_unchanged(shop: str) -> None:
    query = """select '0077'::char(6) as a, 1.10::numeric as b, '$1,234.50'::money as c, '2026-03-01 10:00+02'::timestamptz as d,
        '12345678901234567890'::numeric as e, 'a4cb1cb8-0000-0000-0000-000000000000'::uuid as f, true as g, '2026-03-01'::date as h,
        '1 day'::interval as i, '{"a": 1}'::jsonb as j, array[1, 2] as k, '\\x00ff'::bytea as l, 'NaN'::numeric as m, 1::bigint as n"""
    row = read_extract(shop, query=query).head(1).astype(str).iloc[0].to_dict()
    assert row["b"] == "1.10"
    assert row["c"] == "$1,234.50"
    assert row["e"] == "12345678901234567890"
    assert row["d"].startswith("2026-03-01 08:00:00")
    assert (row["f"][:8], row["g"], row["h"][:10], row["n"]) == ("a4cb1cb8", "True", "2026-03-01", "1")
    assert (row["k"], row["m"], row["i"]) == ("{1,2}", "NaN", "1 day")


def test_offsets_of_postgresql_need_the_zone_of_the_shop(shop: str, split: Split) -> None:
    query = "select '1' as customer_id, '2026-06-01 02:30+00'::timestamptz as purchased_at, 1 as amount"
    with pytest.raises(ContractError, match="states offsets from UTC"):
        split(read_extract(shop, query=query))
    assert split(read_extract(shop, query=query), time_zone="America/New_York")[0]["hour"].tolist() == [22]


def test_many_rows_come_through(shop: str) -> None:
    query = "select n::text as customer_id, '2026-01-01'::date as purchased_at, n / 100.0 as amount from generate_series(1, 200000) n"
    _, rejections = Transactions.split_extract(read_extract(shop, query=query), until="2026-12-31")
    assert (rejections.rows_used, rejections.amount_used) == (200_000, Decimal("200001000.0000"))


@pytest.mark.parametrize("driver", ["", "+nodriver"])
def test_no_message_name_or_repr_shows_the_password(server: str, driver: str) -> None:
    url = server.replace("postgresql", f"postgresql{driver}").replace(URL_SECRET, f"wrong{URL_SECRET}")
    with pytest.raises(CrmkitError) as caught:
        read_extract(url, table="sales")
    assert "wrong" not in str(caught.value)
    assert caught.value.__suppress_context__
    assert SECRET not in repr(read_extract(server, query="select 1 as one"))
    assert without_password(server).count("***") == 1


@pytest.mark.parametrize(
    "query",
    [
        "password=CANARY",
        "passwd=CANARY",
        "PWD=CANARY",
        "sslmode=require&Token=CANARY",
        "odbc_connect=DRIVER%3DSQL%3BUID%3Dtill%3BPWD%3DCANARY",
        "odbc_connect=DRIVER%253DSQL%253BPWD%253DCANARY",
        "api_key=CANARY",
        "p%61ssword=CANARY",
    ],
)
def test_a_secret_among_the_parameters_is_found_whatever_its_spelling(query: str) -> None:
    url = f"mysql+nodriver://till@db/shop?{query}"
    assert "CANARY" in secrets_of(url)
    assert "CANARY" not in without_password(url)
    with pytest.raises(CrmkitError) as caught:
        read_extract(url, table="sales")
    assert "CANARY" not in str(caught.value)


def test_an_address_without_a_secret_has_none() -> None:
    assert secrets_of("postgresql://till@db/shop?sslmode=require&application_name=crmkit") == []


# -- SQLite ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    file = tmp_path / "till's.db"
    with sqlite3.connect(file) as connection:
        connection.execute("create table sales (customer_id, purchased_at text, amount numeric, order_id, line_id)")
        connection.execute(ROWS.replace("12345678901234.5678", "0.1"))
        connection.execute(
            "insert into sales values (77, '2026-03-04', 'free', 'r5', 1), ('K77', '2026-03-04', 2, 'r6', 1)"
        )
    connection.close()
    return f"sqlite:///{file}"


def test_a_table_of_sqlite_keeps_zeros_and_mixed_types(sqlite: str, split: Split) -> None:
    lines, rejections = split(read_extract(sqlite, table="sales"))
    assert set(lines["customer_id"].dropna()) >= {"0077", "0078", "K77"}
    assert sorted(rejections.rows["reason"]) == ["amount is not a number", "customer_id is missing"]
    assert rejections.rows_read == 6
    query = "with late as (select * from sales where purchased_at >= '2026-03-03') select * from late"
    assert len(read_extract(sqlite, query=query).head(9)) == 3


def test_a_missing_database_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(ExtractError, match=r"no SQLite database 'none.db'"):
        read_extract(f"sqlite:///{tmp_path}/none.db", table="sales")
    assert not list(tmp_path.iterdir())


def test_a_database_is_not_written(sqlite: str) -> None:
    for query in ("delete from sales returning *", "select 1; drop table sales"):
        with pytest.raises(ExtractError):
            read_extract(sqlite, query=query)
    assert len(read_extract(sqlite, table="sales").head(9)) == 6


# -- Others, by SQLAlchemy -------------------------------------------------------------------------------------------


def test_other_databases_come_by_sqlalchemy(sqlite: str, split: Split) -> None:
    url = sqlite.replace("sqlite:", "sqlite+pysqlite:")
    lines, rejections = split(read_extract(url, query="select * from sales where order_id <> ':no'"))
    by_adbc, _ = split(read_extract(sqlite, table="sales"))
    assert rejections.rows_read == 6
    columns = ["customer_id", "day", "hour", "amount"]
    assert lines[columns].astype(str).to_numpy().tolist() == by_adbc[columns].astype(str).to_numpy().tolist()


def test_an_unknown_database_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExtractError, match=r"sales of nothing://user:\*\*\*@host/db cannot be read"):
        read_extract("nothing://user:secret@host/db", table="sales")


def test_a_table_or_a_query_is_named(tmp_path: Path) -> None:
    for options in ({}, {"table": "a", "query": "select 1"}):
        with pytest.raises(ConfigError, match="one of the two"):
            read_extract("sqlite:///x.db", **options)
    (tmp_path / "till.csv").write_text("a\n1\n")
    with pytest.raises(ConfigError, match="table= and query= are for databases"):
        read_extract(tmp_path / "till.csv", table="sales")


@pytest.mark.parametrize(
    ("url", "module"),
    [
        ("postgresql://h/d", "adbc_driver_postgresql"),
        ("sqlite:///x.db", "adbc_driver_sqlite"),
        ("mysql://h/d", "sqlalchemy"),
    ],
)
def test_a_missing_driver_says_what_to_install(url: str, module: str, tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"")
    code = f"""
import sys
sys.modules[{module!r}] = None
import crmkit
try:
    crmkit.read_extract({url!r}, table="sales")
except crmkit.CrmkitError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "pip install 'crmkit[db]'" in done.stdout


# -- In the configuration --------------------------------------------------------------------------------------------


def test_a_configuration_names_a_database(sqlite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "crmkit.toml"
    file.write_text('until = 2026-12-31\n[transactions]\nfiles = "sqlite:///till\'s.db"\ntable = "sales"\n')
    sales = read_config(file).transactions
    assert read_extract(sales.source(tmp_path), **sales.read_options("")).columns[0] == "customer_id"
    file.write_text('until = 2026-12-31\n[transactions]\nfiles = "postgresql://till:${TILL_SECRET}@h/d"\ntable = "s"\n')
    sales = read_config(file).transactions
    with pytest.raises(ConfigError, match=r"not set: .'TILL_SECRET'."):
        sales.source(tmp_path)
    monkeypatch.setenv("TILL_SECRET", "x")
    assert sales.source(tmp_path) == "postgresql://till:x@h/d"
    file.write_text('until = 2026-12-31\n[transactions]\nfiles = "postgresql://till:secret@h/d"\ntable = "s"\n')
    with pytest.raises(ConfigError, match="the file contains the password") as caught:
        read_config(file)
    assert "secret" not in str(caught.value)
