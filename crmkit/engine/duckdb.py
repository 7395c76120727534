"""An embedded DuckDB session as an engine, and the limits of its memory and threads."""

from __future__ import annotations

import glob
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crmkit.engine.frames import arrow_if_foreign, is_spark, streamed
from crmkit.engine.texts import (
    BLANKS,
    EXACT,
    NO_SECONDS,
    OFFSET,
    WALL_CLOCK,
    is_usual_time,
    literal,
    quoted,
    sql_text,
    states_offset,
    struct,
)
from crmkit.exceptions import ConfigError, ExtractError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["Engine", "engine_limits"]

Setting = str | bool | int | float | list[str]

_LIMITS: ContextVar[tuple[tuple[str, Setting], ...]] = ContextVar("crmkit_limits", default=())


class Engine:
    """A private DuckDB session; use it in a ``with`` block so that its spill files are removed.

    Parameters
    ----------
    memory_limit : str, optional
        For example ``"2GB"``; that of `engine_limits`, or DuckDB's own default, otherwise. Work beyond it spills to a private
        folder.

    Examples
    --------
    >>> import pandas as pd
    >>> with Engine() as engine:
    ...     table = engine.register(pd.DataFrame({"x": [1, 2, 3]}))
    ...     engine.frame(f"select max(x) as largest from {table} where x < ?", [3])
       largest
    0        2
    """

    def __init__(self, memory_limit: str | None = None) -> None:
        import duckdb

        settings = dict(_LIMITS.get())
        if memory_limit is not None:
            settings["memory_limit"] = memory_limit
        self.scratch = Path(tempfile.mkdtemp(prefix="crmkit-spill-"))
        settings["temp_directory"] = str(self.scratch)
        self._session = duckdb.connect(config=settings)
        self._session.execute("set timezone = 'UTC'")
        self._session.execute("set enable_progress_bar = false")
        self._session.execute("create macro unix_date(d) as (d - date '1970-01-01')")
        self._session.execute("create type timestamp_ntz as timestamp")
        self._names = (f"relation_{i}" for i in count())

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()
        shutil.rmtree(self.scratch, ignore_errors=True)

    @contextmanager
    def reading(self, source: str) -> Iterator[None]:
        """Turn the engine's own error into an `ExtractError` that names the source and shows none of its rows."""
        import duckdb

        try:
            yield
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error as error:
            reason = str(error).partition("\n")[0]
            raise ExtractError(f"{source} cannot be read: {reason}") from None

    def register(self, table: Any) -> str:
        """Give a dataframe (pandas, polars, Arrow, anything with the Arrow capsule) a name to be used in SQL.

        A Spark DataFrame is streamed into a private file, a partition at a time: it needs disk here, not memory.
        """
        if is_spark(table):
            return self.parquet(streamed(table, self.scratch / f"{next(self._names)}.parquet"))
        name = next(self._names)
        self._session.register(name, arrow_if_foreign(table))
        return name

    def parquet(self, *paths: str | Path) -> str:
        """Give Parquet files a name to be used in SQL; they are read when asked."""
        if gone := [str(path) for path in paths if not Path(path).exists()]:
            raise ExtractError(
                f"There is no {gone[0]} any more. If it was a store's, take the log anew from the store."
            )
        name = next(self._names)
        globs = [_parquet_glob(Path(path)) for path in paths]
        self._session.read_parquet(globs, hive_partitioning=False).create_view(name)
        return name

    def csv(self, path: str | Path, columns: Sequence[str], delimiter: str, zipped: bool) -> tuple[str, pd.DataFrame]:
        """Stage a UTF-8 CSV file as text, every column and every record of it.

        Returns the name of the staged table, whose ``rowid`` is the order of the sound records, and one row for each
        record that cannot be split into fields (``record`` counts the header as 1; ``kind`` is the engine's word).
        """
        name = next(self._names)
        kinds = dict.fromkeys(columns, "VARCHAR")
        self._session.execute(
            f"""create temp table {name} as select * from read_csv(?, header = true, auto_detect = false,
            columns = {struct(kinds)}, delim = ?, quote = '"', escape = '"', comment = '', nullstr = '',
            compression = '{"gzip" if zipped else "none"}', hive_partitioning = false, store_rejects = true, rejects_table = '{name}_rejects', rejects_scan = '{name}_scans', rejects_limit = 0)""",
            [glob.escape(str(path)), delimiter],
        )
        rejects = self.frame(
            f"""select line as record, min(cast(error_type as varchar)) as kind, min(error_message) as message
            from {name}_rejects group by line order by line"""
        )
        return name, rejects

    def stage(self, select: str) -> str:
        """Keep the result of a query under a name for the rest of the session."""
        name = next(self._names)
        self._session.execute(f"create temp table {name} as {select}")
        return name

    def keep(self, select: str) -> str:
        """Keep the result of a query on disk, in the order that it states, under a name for the rest of the session."""
        path = self.scratch / f"{next(self._names)}.parquet"
        self._write(select, path, "lz4_raw", ())
        return self.parquet(path)

    def view(self, select: str) -> str:
        """Give a query a name; it runs when it is asked for."""
        name = next(self._names)
        self._session.execute(f"create temp view {name} as {select}")
        return name

    def types(self, table: str) -> dict[str, str]:
        """Columns of a named table and the engine's type of each."""
        relation = self._session.table(table)
        return dict(zip(relation.columns, map(str, relation.types), strict=True))

    def frame(self, text: str, values: Sequence[object] = ()) -> pd.DataFrame:
        """Run a query and collect it as pandas."""
        frame: pd.DataFrame = self.arrow(text, values).to_pandas()
        return frame

    def arrow(self, text: str, values: Sequence[object] = ()) -> pa.Table:
        """Run a query and collect it as an Arrow table."""
        return self._session.sql(text, params=list(values) or None).to_arrow_table()

    def save(self, text: str, path: str | Path, values: Sequence[object] = ()) -> None:
        """Run a query and write its result as one Parquet file, in the order that it states."""
        self._write(text, path, "zstd", values)

    def _write(self, text: str, path: str | Path, compression: str, values: Sequence[object]) -> None:
        """Rows of a query without ``order by`` are written as they come, by all threads at once."""
        self._session.execute("set preserve_insertion_order = false")
        try:
            self._session.execute(
                f"copy ({text}) to {literal(str(path))} (format parquet, compression {compression})", list(values)
            )
        finally:
            self._session.execute("set preserve_insertion_order = true")

    def summary(self, name: str, values: Sequence[object], item: str = "", **relations: str) -> pd.DataFrame:
        """Run ``crmkit/sql/<name>.sql`` over named relations; ``item`` is a contract column."""
        return self.frame(sql_text(name, item, **relations), values)

    def drop(self, *tables: str) -> None:
        """Free staged tables."""
        for table in tables:
            self._session.execute(f"drop table if exists {table}")

    # -- what differs between engines, as expressions ------------------------------------------------------------

    place = "rowid + 1"
    """A number for each row of a staged table: its place."""

    keys_at_once = 2**24
    """How many keys to count in one query; more would have to fit in memory together."""

    def number_of(self, *columns: str) -> str:
        """A 64-bit number that rows with the same values share."""
        return f"cast(hash({', '.join(columns)}) >> 1 as bigint)"

    def quoted(self, name: str) -> str:
        """A column's name as SQL writes it."""
        return quoted(name)

    def text(self, column: str, kind: str) -> str:
        """A column of any type as text; a floating NaN is missing, and a float too large to be exact shows its power."""
        name = quoted(column)
        if kind in EXACT:
            exact = f"when abs({name}) < {EXACT[kind]} or isinf({name}) then cast({name} as varchar)"
            return f"case when isnan({name}) then null {exact} else format('{{:.16e}}', cast({name} as double)) end"
        return f"cast({name} as varchar)"

    def trimmed(self, text: str) -> str:
        """Text without the white space around it; nothing but white space is missing."""
        trimmed = f"trim(trim({text}, {literal(BLANKS)}))"
        edges = f"{text} < '!' or {text} > '~' or right({text}, 1) < '!' or right({text}, 1) > '~'"
        return f"nullif(case when {edges} then {trimmed} else {text} end, '')"  # trimming is slow, looking is not

    def local_time(self, text: str, time_format: str | None, recorded_in: str | None, time_zone: str | None) -> str:
        """Text as the wall-clock time of the shop.

        A time with an offset (or ``Z``) is moved to ``time_zone``; one without is moved from ``recorded_in``, or is
        taken to be the shop's own when that is not given.
        """
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
        """Text as a day; it is written year first."""
        return f"case when {self.matches(text, WALL_CLOCK)} then try_cast({text} as date) end"

    def has_offset(self, text: str) -> str:
        """Whether a time in text states its offset from UTC; most are told by their marks."""
        return f"case when {is_usual_time(text)} then false else {self.matches(text, OFFSET)} end"

    def matches(self, text: str, pattern: str) -> str:
        """Whether text matches a regular expression anywhere."""
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

    Raises
    ------
    ConfigError
        The engine does not take the value.

    Examples
    --------
    >>> with engine_limits(memory_limit="1GB", threads=2), Engine() as engine:
    ...     engine.frame("select current_setting('threads') as threads")
       threads
    0        2
    """
    import duckdb

    asked: dict[str, Setting | None] = {"memory_limit": memory_limit, "threads": threads}
    given = tuple((name, value) for name, value in asked.items() if value is not None)
    token = _LIMITS.set(_LIMITS.get() + given)
    try:
        try:
            Engine().__exit__()
        except duckdb.Error as error:
            reason = str(error).partition("\n")[0]
            raise ConfigError(f"memory_limit={memory_limit!r}, threads={threads!r}: {reason}") from None
        yield
    finally:
        _LIMITS.reset(token)


def _parquet_glob(path: Path) -> str:
    """A file, or all Parquet files of a folder, which is how Spark writes a table."""
    return glob.escape(str(path)) + ("/**/*.parquet" if path.is_dir() else "")


def check_format(time_format: str) -> None:
    """Raise unless a ``strptime`` format can be understood."""
    import duckdb

    with Engine() as engine:
        try:
            engine.frame(f"select try_strptime('', {literal(time_format)})")
        except duckdb.Error:
            raise ConfigError(
                f"time_format={time_format!r} is not a format. Write it as in '%d/%m/%Y %H:%M'."
            ) from None
