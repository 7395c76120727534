"""The one door to engines: an embedded DuckDB session or the user's Spark session, and every SQL text they run.

Only this module names an engine. The texts in ``crmkit/sql`` are portable: each runs unchanged on both. What differs
between engines (reading files, quoting, text to time) is a method that both classes here have.
"""

from __future__ import annotations

import glob
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import cache
from importlib import resources
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from crmkit._optional import require
from crmkit.exceptions import ConfigError, ExtractError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["Engine", "SparkEngine", "check_zone", "engine_for", "is_spark", "limits", "on_spark", "sql_text"]

Setting = str | bool | int | float | list[str]

_LIMITS: ContextVar[tuple[tuple[str, Setting], ...]] = ContextVar("crmkit_limits", default=())

_DAY = "^[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}"
_HOUR = "[ T]([01]?[0-9]|2[0-3]):[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?"
_WALL_CLOCK = f"{_DAY}({_HOUR})?$"
_OFFSET = f"{_DAY}{_HOUR} ?(Z|[+-][0-9]{{2}}(:?[0-9]{{2}})?)$"
_NO_SECONDS = "([ T][0-9]{1,2}:[0-9]{2}) ?([Z+-])"
_USUAL = ("____-__-__", "____-__-__ __:__", "____-__-__ __:__:__")
_BLANKS = " \t\r\n\u00a0\ufeff"
_WHITE = (
    _BLANKS + "\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
_GROUP = 200_000
_EXACT = {"FLOAT": 2**24, "DOUBLE": 2**53}


class Engine:
    """A private DuckDB session; use it in a ``with`` block so that its spill files are removed.

    Parameters
    ----------
    memory_limit : str, optional
        For example ``"2GB"``; that of `limits`, or DuckDB's own default, otherwise. Work beyond it spills to a private
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
            return self.parquet(_streamed(table, self.scratch / f"{next(self._names)}.parquet"))
        name = next(self._names)
        self._session.register(name, _arrow_if_foreign(table))
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
            columns = {_struct(kinds)}, delim = ?, quote = '"', escape = '"', comment = '', nullstr = '',
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
        if kind in _EXACT:
            exact = f"when abs({name}) < {_EXACT[kind]} or isinf({name}) then cast({name} as varchar)"
            return f"case when isnan({name}) then null {exact} else format('{{:.16e}}', cast({name} as double)) end"
        return f"cast({name} as varchar)"

    def trimmed(self, text: str) -> str:
        """Text without the white space around it; nothing but white space is missing."""
        trimmed = f"trim(trim({text}, {literal(_BLANKS)}))"
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
        wall_clock = f"case when {self.matches(text, _WALL_CLOCK)} then try_cast({text} as timestamp) end"
        naive = parsed if time_format else wall_clock
        if recorded_in and time_zone:
            naive = f"timezone({zone}, timezone({literal(recorded_in)}, {naive}))"
        if not time_zone or time_format:
            return naive
        full = f"regexp_replace(replace({text}, ' +', '+'), {literal(_NO_SECONDS)}, '\\1:00\\2')"  # DuckDB 1 needs them
        instant = f"timezone({zone}, try_cast({full} as timestamptz))"
        return f"case when {self.has_offset(text)} then {instant} else {naive} end"

    def local_day(self, text: str) -> str:
        """Text as a day; it is written year first."""
        return f"case when {self.matches(text, _WALL_CLOCK)} then try_cast({text} as date) end"

    def has_offset(self, text: str) -> str:
        """Whether a time in text states its offset from UTC; most are told by their marks."""
        return f"case when {is_usual_time(text)} then false else {self.matches(text, _OFFSET)} end"

    def matches(self, text: str, pattern: str) -> str:
        """Whether text matches a regular expression anywhere."""
        return f"regexp_matches({text}, {literal(pattern)})"


class SparkEngine:
    """A Spark session with the face of `Engine`; results of `summary` stay on the cluster.

    Parameters
    ----------
    session : SparkSession, optional
        The active one when not given. It is the user's: nothing in it is set, and it is not stopped here.

    Raises
    ------
    ConfigError
        There is no session.
    """

    def __init__(self, session: Any = None) -> None:
        self.session = session if session is not None else _active_session()
        self._tables: dict[str, Any] = {}
        self._names = (f"relation_{i}" for i in count())

    def __enter__(self) -> SparkEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self._tables.clear()

    def register(self, table: Any) -> str:
        """Give a Spark DataFrame, or any dataframe, a name to be used in SQL; another dataframe goes to the cluster."""
        if not is_spark(table):
            import pyarrow as pa

            native = _arrow_if_foreign(table)
            table = self.session.createDataFrame(native if isinstance(native, pa.Table) else pa.table(native))
        return self._named(table)

    def parquet(self, *paths: str | Path) -> str:
        """Give Parquet files or folders a name to be used in SQL; every machine of the cluster must see the paths."""
        return self._named(self.session.read.parquet(*map(_hadoop_path, paths)))

    def stage(self, select: str) -> str:
        """Compute a query and keep its result on the executors, cut loose from what it was made of, under a name."""
        return self._named(self.table(select).localCheckpoint())

    keep = view = stage

    @contextmanager
    def reading(self, source: str) -> Iterator[None]:
        """Nothing is read here yet; an error of the cluster's is told as it is."""
        yield

    def types(self, table: str) -> dict[str, str]:
        """Columns of a named table and the type of each, as DuckDB calls it."""
        return {name: _duck_type(kind) for name, kind in self._tables[table].dtypes}

    def frame(self, text: str, values: Sequence[object] = ()) -> pd.DataFrame:
        """Run a query and collect it as pandas."""
        frame: pd.DataFrame = self.arrow(text, values).to_pandas()
        return frame

    def arrow(self, text: str, values: Sequence[object] = ()) -> pa.Table:
        """Run a query and collect it as an Arrow table."""
        return self.table(text, values).toArrow()

    def save(self, text: str, path: str | Path, values: Sequence[object] = ()) -> None:
        """Run a query and write its result as a folder of Parquet files, in place of what was there."""
        self.table(text, values).write.mode("overwrite").parquet(_hadoop_path(path, glob=False))

    def summary(self, name: str, values: Sequence[object], item: str = "", **relations: str) -> Any:
        """Run ``crmkit/sql/<name>.sql`` over named relations and give a Spark DataFrame, which is not computed yet."""
        return self.table(_raw_sql(name).format(item=self.quoted(item), **relations), values)

    def table(self, text: str, values: Sequence[object] = ()) -> Any:
        """Run a query and give a Spark DataFrame, which is not computed yet.

        Tables go in as arguments of the session's ``sql``: no view is left behind, and Spark Connect can do it too.
        """
        braced = text.replace("{", "{{").replace("}", "}}")
        named = re.sub(r"\brelation_[0-9]+\b", lambda found: f"{{{found[0]}}}", braced)
        used = {name: table for name, table in self._tables.items() if f"{{{name}}}" in named}
        return self.session.sql(named if used else text, args=list(values) or None, **used)

    def map_batches(self, table: Any, scores: Mapping[str, tuple[Sequence[str], Callable[[pd.DataFrame], Any]]]) -> Any:
        """A Spark DataFrame with a column added for each score, computed where the rows are.

        Each score is the columns it needs, and a function of a pandas table of these that gives a number for each row.
        """
        types = require("pyspark.sql.types", "spark")
        names, plain = list(table.columns), _plainly_named(table)

        def scored(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            import pyarrow as pa

            for batch in batches:
                frame = batch.to_pandas().set_axis(names, axis=1)
                for place, (columns, score) in enumerate(scores.values()):
                    values = score(frame[list(columns)]) if len(frame) else []
                    batch = batch.append_column(f"score_{place}", pa.array(values, pa.float64()))
                yield batch

        added = [types.StructField(f"score_{place}", types.DoubleType()) for place in range(len(scores))]
        mapped = plain.mapInArrow(scored, types.StructType([*plain.schema.fields, *added]))
        return mapped.toDF(*names, *scores)

    def drop(self, *tables: str) -> None:
        """Forget staged tables; Spark frees what nobody holds."""
        for table in tables:
            self._tables.pop(table, None)

    # -- what differs between engines, as expressions ------------------------------------------------------------

    place = "monotonically_increasing_id() + 1"
    """A number for each row of a table; in order, but with holes."""

    keys_at_once = 2**62
    """A cluster counts all keys in one query."""

    def number_of(self, *columns: str) -> str:
        """A 64-bit number that rows with the same values share."""
        return f"xxhash64({', '.join(columns)})"

    def quoted(self, name: str) -> str:
        """A column's name as SQL writes it."""
        return "`" + name.replace("`", "``") + "`"

    def text(self, column: str, kind: str) -> str:
        """As `Engine.text`; an instant is shown in UTC, whatever the session's zone is."""
        name = self.quoted(column)
        if kind in _EXACT:
            exact = f"abs({name}) < {_EXACT[kind]} or abs({name}) = double('inf')"
            plain = (
                f"case when {exact} then cast({name} as string) else format_string('%.16e', cast({name} as double)) end"
            )
            return f"case when {name} is not null and not isnan({name}) then {plain} end"
        return f"cast({self._in_zone(name, 'UTC')} as string) || '+00'" if "ZONE" in kind else f"cast({name} as string)"

    def trimmed(self, text: str) -> str:
        """Text without the white space around it; nothing but white space is missing."""
        return f"nullif(btrim({text}, {literal(_WHITE)}), '')"

    def local_time(self, text: str, time_format: str | None, recorded_in: str | None, time_zone: str | None) -> str:
        """As `Engine.local_time`, of times that are written year first."""
        if time_format:
            raise ConfigError(
                f"time_format={time_format!r} cannot be read on Spark. Make the column a timestamp there, or give files."
            )
        local = f"case when {self.matches(text, _WALL_CLOCK)} then try_cast({text} as timestamp_ntz) end"
        if recorded_in and time_zone:
            local = f"convert_timezone({literal(recorded_in)}, {literal(time_zone)}, {local})"
        if not time_zone:
            return local
        instant = self._in_zone(f"try_cast(replace({text}, ' +', '+') as timestamp)", time_zone)
        return f"case when {self.has_offset(text)} then {instant} else {local} end"

    def local_day(self, text: str) -> str:
        """Text as a day; it is written year first."""
        return f"case when {self.matches(text, _WALL_CLOCK)} then try_cast({text} as date) end"

    def has_offset(self, text: str) -> str:
        """Whether a time in text states its offset from UTC; most are told by their marks."""
        return f"case when {is_usual_time(text)} then false else {self.matches(text, _OFFSET)} end"

    def matches(self, text: str, pattern: str) -> str:
        """Whether text matches a regular expression anywhere."""
        doubled = pattern.replace("\\", "\\\\")
        return f"{text} rlike {literal(doubled)}"

    def _in_zone(self, instant: str, zone: str) -> str:
        """The wall clock of a zone at an instant, without a look at the session's own zone."""
        moved = instant if zone == "UTC" else f"from_utc_timestamp({instant}, {literal(zone)})"
        return f"timestampadd(microsecond, unix_micros({moved}), timestamp_ntz '1970-01-01 00:00:00')"

    def _named(self, table: Any) -> str:
        name = next(self._names)
        self._tables[name] = table
        return name


def engine_for(log: Any) -> Engine | SparkEngine:
    """The engine that a log asks for, to be used in a ``with`` block."""
    return SparkEngine() if getattr(log, "on_spark", False) else Engine()


def on_spark(log: Any) -> Any:
    """The same log, to be summarised by the active Spark session.

    Parameters
    ----------
    log : Transactions
        Its folder must be seen by every machine of the cluster.

    Returns
    -------
    Transactions
        Summaries and features of it are Spark DataFrames, equal to the pandas ones, that nobody has computed or
        collected yet. It holds no session, so it can still be pickled.

    Raises
    ------
    ConfigError
        There is no Spark session.
    """
    SparkEngine()
    return replace(log, on_spark=True)


def is_spark(table: object) -> bool:
    """Whether a table is a Spark DataFrame.

    >>> is_spark([1, 2])
    False
    """
    return type(table).__module__.startswith("pyspark.sql") and type(table).__name__ == "DataFrame"


@contextmanager
def limits(memory_limit: str | None = None, threads: int | None = None) -> Iterator[None]:
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
    >>> with limits(memory_limit="1GB", threads=2), Engine() as engine:
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


@cache
def _raw_sql(name: str) -> str:
    return (resources.files("crmkit") / "sql" / f"{name}.sql").read_text(encoding="utf-8")


def sql_text(name: str, item: str = "", **relations: str) -> str:
    """The text of ``crmkit/sql/<name>.sql`` with its relations and item column filled in.

    >>> "group by" in sql_text("rfm_table", days="days")
    True
    """
    return _raw_sql(name).format(item=quoted(item), **relations)


def quoted(name: str) -> str:
    """An identifier as SQL writes it.

    >>> quoted('a "name"')
    '"a ""name\"""'
    """
    return '"' + name.replace('"', '""') + '"'


def is_usual_time(text: str) -> str:
    """Whether text has the marks of a day, or of a time without offset, that is written year first; cheap to see."""
    return "(" + " or ".join(f"{text} like {literal(form)}" for form in _USUAL) + ")"


def check_zone(name: str) -> str:
    """Return a time zone's name, or raise when there is none of that name.

    >>> check_zone("America/New_York")
    'America/New_York'
    """
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(f"There is no time zone {name!r}. Use an IANA name such as 'Europe/Berlin'.") from None
    return name


def states_offset(time_format: str) -> bool:
    """Whether times of a ``strptime`` format carry their offset or zone.

    >>> states_offset("%d/%m/%Y %H:%M %z")
    True
    """
    return "%z" in time_format or "%Z" in time_format


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


def literal(text: str | None) -> str:
    """Text as SQL writes it.

    >>> literal("o'clock")
    "'o''clock'"
    """
    return "'" + (text or "").replace("'", "''") + "'"


def _struct(entries: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{literal(key)}: {literal(value)}" for key, value in entries.items()) + "}"


def _parquet_glob(path: Path) -> str:
    """A file, or all Parquet files of a folder, which is how Spark writes a table."""
    return glob.escape(str(path)) + ("/**/*.parquet" if path.is_dir() else "")


def _streamed(table: Any, path: Path) -> Path:
    """A Spark DataFrame as one Parquet file; executors pack Arrow batches, the driver writes them as they come."""
    import pyarrow.parquet as pq

    def packed(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for batch in batches:
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, batch.schema) as stream:
                stream.write_batch(batch)
            yield pa.RecordBatch.from_pydict({"batch": [sink.getvalue().to_pybytes()]})

    rows = _plainly_named(table).mapInArrow(packed, "batch binary").toLocalIterator(prefetchPartitions=True)
    with pq.ParquetWriter(path, table.limit(0).toArrow().schema, compression="zstd") as writer:
        for part in _grouped(rows):
            writer.write_table(part.rename_columns(table.columns).cast(writer.schema))
    return path


def _plainly_named(table: Any) -> Any:
    """A Spark DataFrame whose columns are called by their places: some names stop ``mapInArrow``."""
    return table.toDF(*(f"column_{place}" for place in range(len(table.columns))))


def _grouped(rows: Iterator[Any]) -> Iterator[pa.Table]:
    """Packed batches as tables of many rows, so that a Parquet file has few row groups."""
    import pyarrow as pa

    batches: list[pa.RecordBatch] = []
    for row in rows:
        batches += pa.ipc.open_stream(row["batch"])
        if sum(batch.num_rows for batch in batches) >= _GROUP:
            yield pa.Table.from_batches(batches)
            batches = []
    if batches:
        yield pa.Table.from_batches(batches)


def _hadoop_path(path: str | Path, glob: bool = True) -> str:
    """A path as Spark reads it: a local one says so, whatever the cluster's own file system is."""
    text = str(path)
    if "://" not in text:
        text = f"file://{Path(path).resolve()}"
    return re.sub(r"([\\{}\[\]*?])", r"\\\1", text) if glob else text


def _active_session() -> Any:
    sql = require("pyspark.sql", "spark")
    errors = require("pyspark.errors", "spark")
    try:
        return sql.SparkSession.active()
    except errors.PySparkRuntimeError:
        raise ConfigError("There is no Spark session. Make one first: SparkSession.builder.getOrCreate().") from None


_DUCK_TYPES = {
    "string": "VARCHAR",
    "binary": "BLOB",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    "timestamp_ntz": "TIMESTAMP",
    "int": "INTEGER",
}


def _duck_type(kind: str) -> str:
    """Spark's name of a type as DuckDB writes it.

    >>> _duck_type("timestamp_ntz"), _duck_type("array<int>"), _duck_type("decimal(18,4)")
    ('TIMESTAMP', 'INT[]', 'DECIMAL(18,4)')
    """
    if kind.startswith("array<"):
        return kind[6:-1].upper() + "[]"
    return _DUCK_TYPES.get(kind, kind.upper())


def _arrow_if_foreign(table: Any) -> Any:
    """DuckDB scans pandas, polars and Arrow itself; anything else comes through the Arrow capsule."""
    family = type(table).__module__.partition(".")[0]
    if family in ("pandas", "polars", "pyarrow"):
        return table
    if hasattr(table, "__arrow_c_stream__"):
        import pyarrow as pa

        return pa.table(table)
    raise ExtractError(
        f"A {type(table).__name__} is not a table crmkit can read. Give a path, a glob, or a dataframe that speaks "
        "Arrow (pandas, polars, pyarrow, …)."
    )
