"""Tables and queries of databases, copied once into a Parquet file.

PostgreSQL and SQLite are read through ADBC, every other database through SQLAlchemy. What a driver would change on the
way (decimals, money, ids in columns without a type) is asked for as text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, unquote_plus

from crmkit._checks import require
from crmkit.exceptions import ConfigError, CrmkitError, ExtractError
from crmkit.ingest.json_lines import write_rows
from crmkit.ingest.worksheets import cell_text

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["copy_query", "is_url", "secrets_of", "source_name", "without_password"]

_BATCH = 50_000
_SECRET = re.compile("(?i)pass|pwd|token|secret|key|credential|signature|^sig$|^auth")
_AS_THEY_ARE = {"int2", "int4", "int8", "float4", "float8", "bool", "text", "varchar", "bpchar", "date"}
_AS_THEY_ARE |= {"timestamp", "timestamptz"}
_READ_ONLY = ("set transaction isolation level repeatable read, read only", "set timezone to 'UTC'")


def is_url(source: object) -> bool:
    """Whether a source is the address of a database.

    >>> is_url("postgresql://till@db/shop"), is_url("till.csv")
    (True, False)
    """
    return isinstance(source, str) and re.match(r"[a-z][a-z0-9+.]*://", source) is not None


def without_password(url: str) -> str:
    """An address that may be shown: nothing of its parameters is, as drivers take secrets there under many names.

    >>> without_password("postgresql://till:secret@db/shop?sslmode=require&password=secret")
    'postgresql://till:***@db/shop?***'
    """
    return re.sub(r"(?s)\?.*", "?***", re.sub(r"(?s)(://[^:/@?]*):.*@", r"\1:***@", url))


def secrets_of(url: str) -> list[str]:
    """Passwords, keys and tokens that an address states, before its host or among its parameters.

    >>> secrets_of("mssql+pyodbc:///?odbc_connect=DRIVER%3DSQL%3BUID%3Dtill%3BPWD%3Dsecret&TOKEN=t1")
    ['secret', 't1']
    """
    login = re.match(r"(?s)[^:]*://[^:/@?]*:(.*)@", url)
    found = [login[1]] if login else []
    return [secret for secret in [*found, *_parameters(url.partition("?")[2])] if secret]


def _parameters(text: str) -> list[str]:
    """Values of parameters with a secret's name; a value may hold parameters of its own (``odbc_connect``), in any coding."""
    found = []
    for piece in re.split("[&;]", text):
        name, sign, value = piece.partition("=")
        plain = unquote_plus(value)
        if not sign:
            found += _parameters(unquote_plus(piece)) if unquote_plus(piece) != piece else []
        elif _SECRET.search(unquote_plus(name)):
            found += dict.fromkeys((plain, value))
        elif "=" in plain or "%3d" in plain.casefold():
            found += _parameters(plain)
    return found


def source_name(table: str | None, query: str | None) -> str:
    """What a part that comes from a database is called."""
    if (table is None) == (query is None):
        raise ConfigError("A database needs table='schema.name' or query='select …', one of the two.")
    return table or "query"


def copy_query(url: str, table: str | None, query: str | None, decimal: str, path: Path) -> None:
    """Write what a table or a query holds as a Parquet file.

    Raises
    ------
    ExtractError
        The database cannot be reached or refuses the query; the message shows no password.
    """
    text = _bare(query) if query else f"select * from {_table(table or '')}"
    family = url.partition("://")[0]
    with _without_secrets(url, source_name(table, query)):
        if family in ("postgresql", "postgres"):
            driver = require("adbc_driver_postgresql.dbapi", "db")
            _copy_adbc(driver.connect(url), text, path, _READ_ONLY)
        elif family == "sqlite":
            driver = require("adbc_driver_sqlite.dbapi", "db")
            _copy_adbc(driver.connect(f"file:{_sqlite_file(url)}?mode=ro"), text, path, ())
        else:
            _copy_sqlalchemy(url, text, decimal, path)


def _bare(query: str) -> str:
    """A query without its last semicolon, and what is remarked after it.

    >>> _bare("select 1; -- of all stores")
    'select 1'
    """
    return re.sub(r""";\s*(--[^\n'"]*\s*)*$""", "", query.strip())


def _table(name: str) -> str:
    """A table's name, quoted step by step."""
    return ".".join('"' + step.strip('"').replace('"', '""') + '"' for step in name.split("."))


def _sqlite_file(url: str) -> str:
    from urllib.parse import quote

    file = Path(unquote(url.removeprefix("sqlite:///")))
    if not file.is_file():
        raise ExtractError(f"There is no SQLite database {file.name!r}. Check the address: sqlite:///folder/file.db.")
    return quote(str(file))


def _copy_adbc(connection: Any, query: str, path: Path, settings: tuple[str, ...]) -> None:
    import pyarrow.parquet as pq

    with connection, connection.cursor() as cursor:
        for setting in settings:
            cursor.execute(setting)
        cursor.execute(f"select * from ({query}\n) extract where 1 = 0")
        columns = ", ".join(map(_asked, cursor.fetch_arrow_table().schema))
        cursor.execute(f"select {columns} from ({query}\n) extract")
        reader = cursor.fetch_record_batch()
        with pq.ParquetWriter(path, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)


def _asked(field: pa.Field) -> str:
    """A column as it is asked for: as text unless its type comes through unchanged."""
    name = '"' + field.name.replace('"', '""') + '"'
    kind = (field.metadata or {}).get(b"POSTGRESQL:type", b"").decode()
    return name if kind in _AS_THEY_ARE else f"cast({name} as text) as {name}"


def _copy_sqlalchemy(url: str, query: str, decimal: str, path: Path) -> None:
    sqlalchemy = require("sqlalchemy", "db")
    engine = sqlalchemy.create_engine(url)
    try:
        with engine.connect().execution_options(stream_results=True, yield_per=_BATCH) as connection:
            result = connection.execute(sqlalchemy.text(query.replace(":", r"\:")))
            rows = ([cell_text(value, decimal) for value in row] for row in result)
            write_rows(rows, list(result.keys()), path)
    finally:
        engine.dispose()


@contextmanager
def _without_secrets(url: str, name: str) -> Iterator[None]:
    """Every error of a driver as one line that says where, and never the password."""
    try:
        yield
    except CrmkitError:
        raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        secrets = secrets_of(url)
        for secret in sorted({url, *secrets, *map(unquote, secrets)}, key=len, reverse=True):
            reason = reason.replace(secret, "***")
        raise ExtractError(f"{name} of {without_password(url)} cannot be read: {reason}") from None
