"""The user's Spark session as an engine."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crmkit._optional import require
from crmkit.engine.frames import arrow_if_foreign, is_spark, plainly_named
from crmkit.engine.texts import EXACT, OFFSET, WALL_CLOCK, WHITE, is_usual_time, literal, raw_sql
from crmkit.exceptions import ConfigError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["SparkEngine"]


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

            native = arrow_if_foreign(table)
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
        return self.table(raw_sql(name).format(item=self.quoted(item), **relations), values)

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
        names, plain = list(table.columns), plainly_named(table)

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
        if kind in EXACT:
            exact = f"abs({name}) < {EXACT[kind]} or abs({name}) = double('inf')"
            plain = (
                f"case when {exact} then cast({name} as string) else format_string('%.16e', cast({name} as double)) end"
            )
            return f"case when {name} is not null and not isnan({name}) then {plain} end"
        return f"cast({self._in_zone(name, 'UTC')} as string) || '+00'" if "ZONE" in kind else f"cast({name} as string)"

    def trimmed(self, text: str) -> str:
        """Text without the white space around it; nothing but white space is missing."""
        return f"nullif(btrim({text}, {literal(WHITE)}), '')"

    def local_time(self, text: str, time_format: str | None, recorded_in: str | None, time_zone: str | None) -> str:
        """As `Engine.local_time`, of times that are written year first."""
        if time_format:
            raise ConfigError(
                f"time_format={time_format!r} cannot be read on Spark. Make the column a timestamp there, or give files."
            )
        local = f"case when {self.matches(text, WALL_CLOCK)} then try_cast({text} as timestamp_ntz) end"
        if recorded_in and time_zone:
            local = f"convert_timezone({literal(recorded_in)}, {literal(time_zone)}, {local})"
        if not time_zone:
            return local
        instant = self._in_zone(f"try_cast(replace({text}, ' +', '+') as timestamp)", time_zone)
        return f"case when {self.has_offset(text)} then {instant} else {local} end"

    def local_day(self, text: str) -> str:
        """Text as a day; it is written year first."""
        return f"case when {self.matches(text, WALL_CLOCK)} then try_cast({text} as date) end"

    def has_offset(self, text: str) -> str:
        """Whether a time in text states its offset from UTC; most are told by their marks."""
        return f"case when {is_usual_time(text)} then false else {self.matches(text, OFFSET)} end"

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
