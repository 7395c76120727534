"""An embedded DuckDB session as an engine, and the limits of its memory and threads."""

from __future__ import annotations

import glob
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from crmkit._atomic import is_full_disk
from crmkit._folders import temporary_folder
from crmkit.engine.base import NO_VALUES, SqlEngine
from crmkit.engine.frames import arrow_if_foreign, is_spark, listed, streamed
from crmkit.engine.parts import PART, batch_rows, read_part, write_parts
from crmkit.engine.texts import (
    BLANKS,
    EXACT,
    NO_SECONDS,
    OFFSET,
    WALL_CLOCK,
    bound,
    is_usual_time,
    literal,
    quoted,
    states_offset,
    struct,
)
from crmkit.exceptions import ConfigError, ExtractError

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import pyarrow as pa

__all__ = ["DuckDBEngine", "engine_limits"]

Setting = str | bool | int | float | list[str]

_LIMITS: ContextVar[tuple[tuple[str, Setting], ...]] = ContextVar("crmkit_limits", default=())
_SHARED: ContextVar[_Instance | None] = ContextVar("crmkit_instance", default=None)
"""Opened by `engine_limits`: a session in it costs nothing, an instance of its own as much as many a query."""

_PRIVATE: dict[str, Setting] = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
"""All that is used is in the package; nothing is fetched."""

_ENCRYPTED: dict[str, Setting] = {"temp_file_encryption": True, "force_mbedtls_unsafe": True}
"""What is spilled is encrypted, with a key that is in memory only. The second is the condition under which DuckDB does it
without an extension; it warns that the random numbers are not those of OpenSSL. Version 1 takes six times as long."""


class DuckDBEngine(SqlEngine):
    """A private DuckDB session; its results are pandas.

    Parameters
    ----------
    memory_limit : str, optional
        For example ``"2GB"``; that of `engine_limits`, or DuckDB's own default, otherwise. Work beyond it spills to a private
        folder.

    Examples
    --------
    >>> import pandas as pd
    >>> with DuckDBEngine() as engine:
    ...     table = engine.register(pd.DataFrame({"x": [1, 2, 3]}))
    ...     engine.frame(f"select max(x) as largest from {table} where x < :most", {"most": 3})
       largest
    0        2
    """

    place = "rowid + 1"
    keys_at_once = 2**24  # more would have to fit in memory together

    def __init__(self, memory_limit: str | None = None) -> None:
        super().__init__()
        shared = _SHARED.get()
        if memory_limit is None and shared is not None and shared.process == os.getpid():
            self._session = shared.session.cursor()
        else:
            more: dict[str, Setting] = {} if memory_limit is None else {"memory_limit": memory_limit}
            self._session = _instance(self.scratch, more)
        self._session.execute("set timezone = 'UTC'")
        self._session.execute("set enable_progress_bar = false")

    @property
    def threads(self) -> int:
        return int(self.frame("select current_setting('threads') as n")["n"].iloc[0])

    def close(self) -> None:
        self._session.close()
        super().close()

    @contextmanager
    def named_source(self, source: str) -> Iterator[None]:
        """Turn the engine's own error into an `ExtractError` that names the source and shows none of its rows."""
        import duckdb

        try:
            yield
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error as error:
            if is_full_disk(error):
                raise
            reason = str(error).partition("\n")[0]
            if isinstance(error, duckdb.DataError):
                reason = re.sub("'.*'", "a value", reason)  # it is somebody's
            raise ExtractError(f"{source} cannot be read: {reason}") from None

    def register(self, table: object) -> str:
        """Give a dataframe (pandas, polars, Arrow, anything with the Arrow capsule) or a Parquet file a name to be used in SQL.

        A Spark DataFrame is streamed into a private file, a partition at a time: it needs disk here, not memory.
        """
        if is_spark(table):
            return self.parquet(streamed(table, self.scratch_file(".parquet")))
        if isinstance(table, Path):
            return self.parquet(table)
        name = next(self._names)
        self._session.register(name, arrow_if_foreign(table))
        return name

    def parquet(self, *given: str | Path | Sequence[Path]) -> str:
        """Give Parquet files a name to be used in SQL; they are read when asked."""
        name, globs = next(self._names), [_parquet_glob(str(path)) for path in listed(given)]
        files = ", ".join(map(literal, globs))
        self._session.execute(
            f"create temp view {name} as select * from read_parquet([{files}], hive_partitioning = false)"
        )
        return name

    def csv(self, path: str | Path, columns: Sequence[str], delimiter: str, zipped: bool) -> tuple[str, pd.DataFrame]:
        name = next(self._names)
        kinds = dict.fromkeys(columns, "VARCHAR")
        self._session.execute(
            f"""create temp table {name} as select * from read_csv($path, header = true, auto_detect = false,
            columns = {struct(kinds)}, delim = $delimiter, quote = '"', escape = '"', comment = '', nullstr = '',
            compression = '{"gzip" if zipped else "none"}', hive_partitioning = false, store_rejects = true, rejects_table = '{name}_rejects', rejects_scan = '{name}_scans', rejects_limit = 0)""",
            {"path": glob.escape(str(path)), "delimiter": delimiter},
        )
        rejects = self.frame(
            f"""select line as record, min(cast(error_type as varchar)) as kind, min(error_message) as message
            from {name}_rejects group by line order by line"""
        )
        return name, rejects

    def stage(self, select: str, values: Mapping[str, object] = NO_VALUES) -> str:
        name = next(self._names)
        self._session.execute(*bound(f"create temp table {name} as {select}", values, "$"))
        return name

    def keep(self, select: str, values: Mapping[str, object] = NO_VALUES) -> str:
        path = self.scratch_file(".parquet")
        self._write(select, path, "lz4_raw", values)
        return self.parquet(path)

    def split(
        self, text: str, key: str, n: int, values: Mapping[str, object] = NO_VALUES
    ) -> list[Callable[[], pa.Table]]:
        """Rows go to their parts as they come: nothing is sorted, and the more parts there are, the less is held at once."""
        if n == 1:
            return super().split(text, key, n, values)
        folder = self.scratch_file("")
        folder.mkdir()
        rows = f"select *, cast({self.number_of(key)} % {n} as integer) as {PART} from ({text}) as rows"
        with self._in_any_order(), self._reader(rows, batch_rows(n), values) as reader:
            paths = write_parts(reader, folder, n)
            schema = reader.schema.remove(reader.schema.get_field_index(PART))
        return [partial(read_part, path, schema) for path in paths]

    def view(self, select: str) -> str:
        name = next(self._names)
        self._session.execute(f"create temp view {name} as {select}")
        return name

    def types(self, table: str) -> dict[str, str]:
        relation = self._session.table(table)
        return dict(zip(relation.columns, map(str, relation.types), strict=True))

    def table(self, text: str, values: Mapping[str, object] = NO_VALUES) -> pd.DataFrame:
        return self.frame(text, values)

    def arrow(self, text: str, values: Mapping[str, object] = NO_VALUES) -> pa.Table:
        named, used = bound(text, values, "$")
        return self._session.sql(named, params=used or None).to_arrow_table()

    def save(self, text: str, path: str | Path, values: Mapping[str, object] = NO_VALUES) -> None:
        """As one file, in the order that the query states."""
        self._write(text, path, "zstd", values)

    def _write(self, text: str, path: str | Path, compression: str, values: Mapping[str, object]) -> None:
        """Rows of a query without ``order by`` are written as they come, by all threads at once."""
        copy = f"copy ({text}) to {literal(str(path))} (format parquet, compression {compression})"
        with self._in_any_order():
            self._session.execute(*bound(copy, values, "$"))

    @contextmanager
    def _in_any_order(self) -> Iterator[None]:
        self._session.execute("set preserve_insertion_order = false")
        try:
            yield
        finally:
            self._session.execute("set preserve_insertion_order = true")

    def _reader(self, text: str, rows: int, values: Mapping[str, object]) -> pa.RecordBatchReader:
        named, used = bound(text, values, "$")
        return self._session.sql(named, params=used or None).to_arrow_reader(rows)

    def drop(self, *tables: str) -> None:
        for table in tables:
            self._session.execute(f"drop table if exists {table}")

    # -- what is written differently, as expressions -----------------------------------------------------------------

    def number_of(self, *columns: str) -> str:
        return f"cast(hash({', '.join(columns)}) >> 1 as bigint)"

    def observed_quantiles(self, column: str, shares: Sequence[float]) -> str:
        return f"quantile_disc({column}, [{', '.join(map(repr, shares))}])"

    def quoted(self, name: str) -> str:
        return quoted(name)

    def text(self, column: str, kind: str) -> str:
        name = quoted(column)
        if kind in EXACT:
            exact = f"when abs({name}) < {EXACT[kind]} or isinf({name}) then cast({name} as varchar)"
            return f"case when isnan({name}) then null {exact} else format('{{:.16e}}', cast({name} as double)) end"
        return f"cast({name} as varchar)"

    def trimmed(self, text: str) -> str:
        trimmed = f"trim(trim({text}, {literal(BLANKS)}))"
        edges = f"{text} < '!' or {text} > '~' or right({text}, 1) < '!' or right({text}, 1) > '~'"
        return f"nullif(case when {edges} then {trimmed} else {text} end, '')"  # trimming is slow, looking is not

    def local_time(self, text: str, time_format: str | None, recorded_in: str | None, time_zone: str | None) -> str:
        zone, parsed = literal(time_zone), f"try_strptime({text}, {literal(time_format)})"
        if time_format and states_offset(time_format):
            return f"timezone({zone}, {parsed})"
        wall_clock = f"case when {self.matches(text, WALL_CLOCK)} then try_cast({text} as timestamp) end"
        naive = parsed if time_format else wall_clock
        if recorded_in and time_zone:
            naive = f"timezone({zone}, timezone({literal(recorded_in)}, {naive}))"
        if not time_zone or time_format:
            return naive
        full = f"regexp_replace(replace({text}, ' +', '+'), {literal(NO_SECONDS)}, '\\1:00\\2')"  # DuckDB 1 needs them
        instant = f"timezone({zone}, try_cast({full} as timestamptz))"
        return f"case when {self.has_offset(text)} then {instant} else {naive} end"

    def local_day(self, text: str) -> str:
        return f"case when {self.matches(text, WALL_CLOCK)} then try_cast({text} as date) end"

    def plus_seconds(self, moment: str, seconds: str) -> str:
        return f"({moment} + to_seconds({seconds}))"

    def has_offset(self, text: str) -> str:
        return f"case when {is_usual_time(text)} then false else {self.matches(text, OFFSET)} end"

    def matches(self, text: str, pattern: str) -> str:
        return f"regexp_matches({text}, {literal(pattern)})"


@contextmanager
def engine_limits(memory_limit: str | None = None, threads: int | None = None) -> Iterator[None]:
    """Bound what the embedded engine may use, for everything that runs inside the ``with`` block.

    Parameters
    ----------
    memory_limit : str, optional
        For example ``"2GB"``. Work beyond it goes through a private folder on disk; the answer is the same.
    threads : int, optional
        Each thread needs memory of its own: fewer is less.

    Notes
    -----
    Everything inside shares one DuckDB, so the limits hold for all of it together.

    Raises
    ------
    ConfigError
        The engine does not take the value.

    Examples
    --------
    >>> with engine_limits(memory_limit="1GB", threads=2), DuckDBEngine() as engine:
    ...     engine.frame("select current_setting('threads') as threads")
       threads
    0        2
    """
    import duckdb

    asked: dict[str, Setting | None] = {"memory_limit": memory_limit, "threads": threads}
    given = tuple((name, value) for name, value in asked.items() if value is not None)
    token, folder = _LIMITS.set(_LIMITS.get() + given), temporary_folder("engine")
    try:
        try:
            session = _instance(folder)
        except duckdb.Error as error:
            reason = str(error).partition("\n")[0]
            raise ConfigError(f"memory_limit={memory_limit!r}, threads={threads!r}: {reason}") from None
        shared = _SHARED.set(_Instance(session, os.getpid()))
        try:
            yield
        finally:
            _SHARED.reset(shared)
            session.close()
    finally:
        _LIMITS.reset(token)
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class _Instance:
    """DuckDB with its memory and threads, of which sessions are given to engines; of no use in a forked process."""

    session: duckdb.DuckDBPyConnection
    process: int


def _instance(folder: Path, more: Mapping[str, Setting] = MappingProxyType({})) -> duckdb.DuckDBPyConnection:
    """A DuckDB of its own within the limits, which spills into ``folder``."""
    import duckdb

    settings = {**dict(_LIMITS.get()), **more, **_PRIVATE, "temp_directory": str(folder)}
    if int(duckdb.__version__.partition(".")[0]) >= 2:
        settings |= _ENCRYPTED
    session = duckdb.connect(config=settings)
    session.execute("create macro unix_date(d) as (d - date '1970-01-01')")
    session.execute("create type timestamp_ntz as timestamp")
    return session


def _parquet_glob(path: str) -> str:
    """A file, or all Parquet files of a folder, which is how Spark writes a table."""
    try:
        is_folder = stat.S_ISDIR(os.stat(path).st_mode)
    except OSError:
        raise ExtractError(
            f"{path} no longer exists. If the log came from a Store, call store.transactions() again."
        ) from None
    return glob.escape(path) + ("/**/*.parquet" if is_folder else "")


def check_format(time_format: str) -> None:
    """Raise unless a ``strptime`` format can be understood."""
    import duckdb

    with DuckDBEngine() as engine:
        try:
            engine.frame(f"select try_strptime('', {literal(time_format)})")
        except duckdb.Error:
            raise ConfigError(
                f"time_format={time_format!r} is not a format. Write it as in '%d/%m/%Y %H:%M'."
            ) from None
