"""The user's Spark session as an engine."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crmkit._checks import require
from crmkit.engine.base import NO_VALUES, SqlEngine
from crmkit.engine.frames import arrow_if_foreign, is_spark, listed
from crmkit.engine.texts import EXACT, OFFSET, WALL_CLOCK, WHITE, bound, is_usual_time, literal
from crmkit.exceptions import ConfigError, NoInputError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pyspark.sql import SparkSession

    from crmkit.engine.frames import SparkFrame

__all__ = ["SparkEngine", "content_hash", "read_parquet", "spark_table", "start_session", "write_parquet"]


class SparkEngine(SqlEngine):
    """A Spark session; results of `table` and `summary` are Spark DataFrames, not computed yet.

    Parameters
    ----------
    session : SparkSession, optional
        The active one when not given. It is the user's: nothing in it is set, and it is not stopped here.

    Raises
    ------
    ConfigError
        There is no session.
    """

    on_spark = True
    place = "monotonically_increasing_id() + 1"  # in order, but with holes
    keys_at_once = 2**62

    def __init__(self, session: SparkSession | None = None) -> None:
        super().__init__()
        self.session = session if session is not None else _active_session()
        self._tables: dict[str, SparkFrame] = {}

    def close(self) -> None:
        self._tables.clear()
        super().close()

    def register(self, table: object) -> str:
        """Give a dataframe a name to be used in SQL; one that is not Spark's goes to the cluster."""
        if not is_spark(table):
            import pyarrow as pa

            native = arrow_if_foreign(table)
            table = self.session.createDataFrame(native if isinstance(native, pa.Table) else pa.table(native))
        return self._named(table)

    def parquet(self, *given: str | Path | Sequence[Path]) -> str:
        """Give Parquet files or folders a name to be used in SQL; every machine of the cluster must see the paths."""
        return self._named(self.session.read.parquet(*map(_hadoop_path, listed(given))))

    def csv(self, path: str | Path, columns: Sequence[str], delimiter: str, zipped: bool) -> tuple[str, pd.DataFrame]:
        raise ConfigError(f"{path} is a text file, which the embedded engine reads. Give Spark a DataFrame.")

    def stage(self, select: str, values: Mapping[str, object] = NO_VALUES) -> str:
        """The result stays on the executors, cut loose from what it was made of."""
        return self._named(self.query(select, values).localCheckpoint())

    keep = view = stage

    def types(self, table: str) -> dict[str, str]:
        return {name: _duck_type(kind) for name, kind in self._tables[table].dtypes}

    def table(self, text: str, values: Mapping[str, object] = NO_VALUES) -> Any:  # stated as pandas by every engine
        return self.query(text, values)

    def query(self, text: str, values: Mapping[str, object] = NO_VALUES) -> SparkFrame:
        """Tables go in as arguments of the session's ``sql``: no view is left behind, and Spark Connect can do it too."""
        text, used = bound(text, values, ":")
        braced = text.replace("{", "{{").replace("}", "}}")
        named = re.sub(r"\brelation_[0-9]+\b", lambda found: f"{{{found[0]}}}", braced)
        tables = {name: table for name, table in self._tables.items() if f"{{{name}}}" in named}
        return self.session.sql(named if tables else text, args=used or None, **tables)

    def arrow(self, text: str, values: Mapping[str, object] = NO_VALUES) -> pa.Table:
        return self.query(text, values).toArrow()

    def save(self, text: str, path: str | Path, values: Mapping[str, object] = NO_VALUES) -> None:
        """As a folder of files."""
        self.query(text, values).write.mode("overwrite").parquet(_hadoop_path(path, glob=False))

    def drop(self, *tables: str) -> None:
        """Spark frees tables that are no longer referenced."""
        for table in tables:
            self._tables.pop(table, None)

    # -- what is written differently, as expressions -----------------------------------------------------------------

    def number_of(self, *columns: str) -> str:
        return f"xxhash64({', '.join(columns)})"

    def observed_quantiles(self, column: str, shares: Sequence[float]) -> str:
        listed = ", ".join(f"{share!r}D" for share in shares)
        return f"percentile_disc(array({listed})) within group (order by {column})"

    def quoted(self, name: str) -> str:
        return "`" + name.replace("`", "``") + "`"

    def text(self, column: str, kind: str) -> str:
        name = self.quoted(column)
        if kind in EXACT:
            exact = f"abs({name}) < {EXACT[kind]} or abs({name}) = double('inf')"
            plain = (
                f"case when {exact} then cast({name} as string) else format_string('%.16e', cast({name} as double)) end"
            )
            return f"case when {name} is not null and not isnan({name}) then {plain} end"
        return f"cast({self._in_zone(name, 'UTC')} as string) || '+00'" if "ZONE" in kind else f"cast({name} as string)"

    def trimmed(self, text: str) -> str:
        return f"nullif(btrim({text}, {literal(WHITE)}), '')"

    def local_time(self, text: str, time_format: str | None, recorded_in: str | None, time_zone: str | None) -> str:
        """Of times that are written year first."""
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
        return f"case when {self.matches(text, WALL_CLOCK)} then try_cast({text} as date) end"

    def plus_seconds(self, moment: str, seconds: str) -> str:
        return f"timestampadd(second, {seconds}, {moment})"

    def has_offset(self, text: str) -> str:
        return f"case when {is_usual_time(text)} then false else {self.matches(text, OFFSET)} end"

    def matches(self, text: str, pattern: str) -> str:
        doubled = pattern.replace("\\", "\\\\")
        return f"{text} rlike {literal(doubled)}"

    def _in_zone(self, instant: str, zone: str) -> str:
        """The wall clock of a zone at an instant, without a look at the session's own zone."""
        moved = instant if zone == "UTC" else f"from_utc_timestamp({instant}, {literal(zone)})"
        return f"timestampadd(microsecond, unix_micros({moved}), timestamp_ntz '1970-01-01 00:00:00')"

    def _named(self, table: SparkFrame) -> str:
        name = next(self._names)
        self._tables[name] = table
        return name


def read_parquet(path: Path) -> SparkFrame:
    """A folder of Parquet files as a DataFrame of the active session, not computed yet."""
    engine = SparkEngine()
    return engine.query(f"select * from {engine.parquet(path)}")


def write_parquet(table: SparkFrame, path: Path) -> None:
    """Compute a DataFrame and write it as a folder of Parquet files, in place of what was there."""
    table.write.mode("overwrite").parquet(_hadoop_path(path, glob=False))


def start_session() -> SparkSession:
    """The active session, or a new one with the settings of the environment (``spark-submit``, ``SPARK_REMOTE`` …)."""
    session: SparkSession = require("pyspark.sql", "spark").SparkSession.builder.getOrCreate()
    return session


def spark_table(name: str) -> SparkFrame:
    """A table of the session's catalogue: ``"lake.sales"``; raises `NoInputError` where there is none of that name."""
    errors, session = require("pyspark.errors", "spark"), start_session()
    try:
        found = session.table(name)
        found.columns  # noqa: B018 - Spark Connect looks for the table when its columns are asked for
    except errors.AnalysisException as error:
        raise NoInputError(f"Spark has no table {name!r}: {str(error).partition('.')[0]}.") from None
    return found


def content_hash(table: SparkFrame) -> str:
    """Of a Spark DataFrame's rows, in whatever order they are; each row is looked at once, on the executors."""
    rows = "cast(sum(cast(xxhash64(to_json(struct(*))) as decimal(38, 0))) as string)"
    counted = table.selectExpr("count(*) as n", f"{rows} as content").toArrow().to_pylist()
    stated = [table.dtypes, counted]
    return hashlib.sha256(json.dumps(stated).encode()).hexdigest()


def _hadoop_path(path: str | Path, glob: bool = True) -> str:
    """A path as Spark reads it: a local one says so, whatever the cluster's own file system is."""
    text = str(path)
    if "://" not in text:
        text = f"file://{Path(path).resolve()}"
    return re.sub(r"([\\{}\[\]*?])", r"\\\1", text) if glob else text


def _active_session() -> SparkSession:
    sql = require("pyspark.sql", "spark")
    errors = require("pyspark.errors", "spark")
    try:
        session: SparkSession = sql.SparkSession.active()
        return session
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
