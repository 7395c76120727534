"""The one door to engines: an embedded DuckDB session, and every SQL text that runs on it.

Only this module names an engine. The texts in ``crmkit/sql`` are portable; what differs between engines
(reading files, text to time) is a method here.
"""

from __future__ import annotations

import glob
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import resources
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from crmkit.exceptions import ConfigError, ExtractError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["Engine", "check_zone", "sql_text"]

_DAY = "^[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}"
_HOUR = "[ T]([01]?[0-9]|2[0-3]):[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?"
_WALL_CLOCK = f"{_DAY}({_HOUR})?$"
_OFFSET = f"{_DAY}{_HOUR} ?(Z|[+-][0-9]{{2}}(:?[0-9]{{2}})?)$"
_BLANKS = " \t\r\n\u00a0\ufeff"
_EXACT = {"FLOAT": 2**24, "DOUBLE": 2**53}


class Engine:
    """A private DuckDB session; use it in a ``with`` block so that its spill files are removed.

    Parameters
    ----------
    memory_limit : str, optional
        For example ``"2GB"``; DuckDB's own default otherwise. Work beyond it spills to a private folder.

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

        self.scratch = Path(tempfile.mkdtemp(prefix="crmkit-spill-"))
        settings: dict[str, str | bool | int | float | list[str]] = {"temp_directory": str(self.scratch)}
        if memory_limit is not None:
            settings["memory_limit"] = memory_limit
        self._session = duckdb.connect(config=settings)
        self._session.execute("set timezone = 'UTC'")
        self._session.execute("create macro unix_date(d) as (d - date '1970-01-01')")
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
        except duckdb.Error as error:
            reason = str(error).partition("\n")[0]
            raise ExtractError(f"{source} cannot be read: {reason}") from None

    def register(self, table: Any) -> str:
        """Give a dataframe (pandas, polars, Arrow, anything with the Arrow capsule) a name to be used in SQL."""
        name = next(self._names)
        self._session.register(name, _arrow_if_foreign(table))
        return name

    def parquet(self, *paths: str | Path) -> str:
        """Give Parquet files a name to be used in SQL; they are read when asked."""
        name = next(self._names)
        self._session.read_parquet([glob.escape(str(path)) for path in paths]).create_view(name)
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
            compression = '{"gzip" if zipped else "none"}', store_rejects = true, rejects_table = '{name}_rejects', rejects_scan = '{name}_scans', rejects_limit = 0)""",
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
        """Run a query and write its result as one Parquet file."""
        self._session.execute(
            f"copy ({text}) to {_literal(str(path))} (format parquet, compression zstd)", list(values)
        )

    def summary(self, name: str, values: Sequence[object], item: str = "", **relations: str) -> pd.DataFrame:
        """Run ``crmkit/sql/<name>.sql`` over named relations; ``item`` is a contract column."""
        return self.frame(sql_text(name, item, **relations), values)

    def drop(self, *tables: str) -> None:
        """Free staged tables."""
        for table in tables:
            self._session.execute(f"drop table if exists {table}")

    # -- what differs between engines, as expressions ------------------------------------------------------------

    def text(self, column: str, kind: str) -> str:
        """A column of any type as text; a floating NaN is missing, and a float too large to be exact shows its power."""
        name = quoted(column)
        if kind in _EXACT:
            exact = f"when abs({name}) < {_EXACT[kind]} or isinf({name}) then cast({name} as varchar)"
            return f"case when isnan({name}) then null {exact} else format('{{:.16e}}', cast({name} as double)) end"
        return f"cast({name} as varchar)"

    def trimmed(self, text: str) -> str:
        """Text without the white space around it; nothing but white space is missing."""
        return f"nullif(trim(trim({text}, {_literal(_BLANKS)})), '')"

    def local_time(self, text: str, time_format: str | None, recorded_in: str | None, time_zone: str | None) -> str:
        """Text as the wall-clock time of the shop.

        A time with an offset (or ``Z``) is moved to ``time_zone``; one without is moved from ``recorded_in``, or is
        taken to be the shop's own when that is not given.
        """
        zone, parsed = _literal(time_zone), f"try_strptime({text}, {_literal(time_format)})"
        if time_format and states_offset(time_format):
            return f"timezone({zone}, {parsed})"
        wall_clock = f"case when {self.matches(text, _WALL_CLOCK)} then try_cast({text} as timestamp) end"
        naive = parsed if time_format else wall_clock
        if recorded_in and time_zone:
            naive = f"timezone({zone}, timezone({_literal(recorded_in)}, {naive}))"
        if not time_zone or time_format:
            return naive
        instant = f"timezone({zone}, try_cast(replace({text}, ' +', '+') as timestamptz))"
        return f"case when {self.has_offset(text)} then {instant} else {naive} end"

    def local_day(self, text: str) -> str:
        """Text as a day; it is written year first."""
        return f"case when {self.matches(text, _WALL_CLOCK)} then try_cast({text} as date) end"

    def has_offset(self, text: str) -> str:
        """Whether a time in text states its offset from UTC."""
        return self.matches(text, _OFFSET)

    def matches(self, text: str, pattern: str) -> str:
        """Whether text matches a regular expression anywhere."""
        return f"regexp_matches({text}, {_literal(pattern)})"


@cache
def _raw_sql(name: str) -> str:
    return (resources.files("crmkit") / "sql" / f"{name}.sql").read_text(encoding="utf-8")


def sql_text(name: str, item: str = "", **relations: str) -> str:
    """The text of ``crmkit/sql/<name>.sql`` with its relations and item column filled in.

    >>> "group by" in sql_text("rfm_table", trips="trips")
    True
    """
    return _raw_sql(name).format(item=quoted(item), **relations)


def quoted(name: str) -> str:
    """An identifier as SQL writes it.

    >>> quoted('a "name"')
    '"a ""name\"""'
    """
    return '"' + name.replace('"', '""') + '"'


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
            engine.frame(f"select try_strptime('', {_literal(time_format)})")
        except duckdb.Error:
            raise ConfigError(
                f"time_format={time_format!r} is not a format. Write it as in '%d/%m/%Y %H:%M'."
            ) from None


def _literal(text: str | None) -> str:
    return "'" + (text or "").replace("'", "''") + "'"


def _struct(entries: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{_literal(key)}: {_literal(value)}" for key, value in entries.items()) + "}"


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
