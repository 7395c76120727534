"""What every engine does: take tables in, run the same SQL over them, and give results back."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from crmkit._folders import temporary_folder
from crmkit.engine.texts import sql_text

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["SqlEngine"]

NO_VALUES: Mapping[str, object] = {}


class SqlEngine(ABC):
    """A session that runs SQL where the data are; use it in a ``with`` block, so that its private files are removed.

    A table that goes in gets a name; queries speak of tables by these names, and of values by theirs: ``:as_of`` in the
    text, ``{"as_of": 17531}`` beside it. Another engine is a subclass of this one.

    Attributes
    ----------
    on_spark : bool
        Whether results of `table` and `summary` are Spark DataFrames, not computed yet; pandas otherwise.
    place : str
        Expression that numbers the rows of a staged table in their order, from 1.
    keys_at_once : int
        How many keys can be counted in one query.
    """

    on_spark: ClassVar[bool] = False
    place: ClassVar[str]
    keys_at_once: ClassVar[int]

    def __init__(self) -> None:
        self._names = (f"relation_{i}" for i in count())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the session's own part: its names and its private files."""
        if "scratch" in vars(self):
            shutil.rmtree(self.scratch, ignore_errors=True)

    @property
    def threads(self) -> int:
        """How many threads the engine may use on this machine."""
        return 1

    @cached_property
    def scratch(self) -> Path:
        """A private folder on this machine, there until the engine is closed."""
        return temporary_folder("engine")

    def scratch_file(self, suffix: str) -> Path:
        """A path in the private folder at which there is no file yet."""
        return self.scratch / f"{next(self._names)}{suffix}"

    @contextmanager
    def named_source(self, source: str) -> Iterator[None]:
        """Tell an error of the engine's, where it can be told, as one of this source, without its rows."""
        yield

    # -- tables in ---------------------------------------------------------------------------------------------------

    @abstractmethod
    def register(self, table: object) -> str:
        """Give a dataframe of any library a name to be used in SQL."""

    @abstractmethod
    def parquet(self, *given: str | Path | Sequence[Path]) -> str:
        """Give Parquet files or folders a name to be used in SQL."""

    @abstractmethod
    def csv(self, path: str | Path, columns: Sequence[str], delimiter: str, zipped: bool) -> tuple[str, pd.DataFrame]:
        """Stage a UTF-8 CSV file as text, every column and every record of it.

        Returns the name of the staged table, whose order is that of the valid records, and one row for each record that
        cannot be split into fields (``record`` counts the header as 1; ``kind`` is the engine's word).
        """

    @abstractmethod
    def stage(self, select: str, values: Mapping[str, object] = NO_VALUES) -> str:
        """Compute a query now, and keep its result under a name until the engine is closed."""

    @abstractmethod
    def keep(self, select: str, values: Mapping[str, object] = NO_VALUES) -> str:
        """As `stage`, but on disk where that saves memory, in the order that the query states."""

    @abstractmethod
    def view(self, select: str) -> str:
        """Give a query a name; it runs when it is asked for."""

    @abstractmethod
    def drop(self, *tables: str) -> None:
        """Free staged tables."""

    # -- results out -------------------------------------------------------------------------------------------------

    @abstractmethod
    def types(self, table: str) -> dict[str, str]:
        """Columns of a named table and the type of each, as DuckDB calls it."""

    @abstractmethod
    def table(self, text: str, values: Mapping[str, object] = NO_VALUES) -> pd.DataFrame:
        """Run a query; the result stays where the data are: pandas, unless it is a Spark DataFrame, not computed yet."""

    @abstractmethod
    def arrow(self, text: str, values: Mapping[str, object] = NO_VALUES) -> pa.Table:
        """Run a query and collect it as an Arrow table."""

    def split(
        self, text: str, key: str, n: int, values: Mapping[str, object] = NO_VALUES
    ) -> list[Callable[[], pa.Table]]:
        """A query's rows in ``n`` parts, each of which has all rows of its keys: they are kept on disk, to be read one by one."""
        if n == 1:
            return [partial(self.arrow, text, values)]
        part = f"{self.number_of(key)} % {n}"
        kept = self.keep(f"select *, {part} as _part from ({text}) as rows order by _part", values)
        return [partial(self.arrow, f"select * from {kept} where _part = {place}") for place in range(n)]

    @abstractmethod
    def save(self, text: str, path: str | Path, values: Mapping[str, object] = NO_VALUES) -> None:
        """Run a query and write its result as Parquet, in place of what was there."""

    def frame(self, text: str, values: Mapping[str, object] = NO_VALUES) -> pd.DataFrame:
        """Run a query and collect it as pandas."""
        frame: pd.DataFrame = self.arrow(text, values).to_pandas()
        return frame

    def summary(
        self, name: str, values: Mapping[str, object] = NO_VALUES, item: str = "", **relations: str
    ) -> pd.DataFrame:
        """Answer the question of ``crmkit/<room>/sql/<question>.sql``, named ``room/question``, as `table` does.

        ``relations`` are the names of its tables, ``item`` is a contract column.
        """
        return self.table(sql_text(name, item=self.quoted(item), **relations), values)

    # -- what is written differently, as expressions -----------------------------------------------------------------

    @abstractmethod
    def number_of(self, *columns: str) -> str:
        """A 64-bit number that rows with the same values share."""

    @abstractmethod
    def observed_quantiles(self, column: str, shares: Sequence[float]) -> str:
        """A list: for each share the smallest value with at least that share of the rows at or under it."""

    @abstractmethod
    def quoted(self, name: str) -> str:
        """A column's name as SQL writes it."""

    @abstractmethod
    def text(self, column: str, kind: str) -> str:
        """A column of any type as text.

        A floating NaN is missing, a float too large to be exact shows its power, and an instant is shown in UTC.
        """

    @abstractmethod
    def trimmed(self, text: str) -> str:
        """Text without the white space around it; nothing but white space is missing."""

    @abstractmethod
    def local_time(self, text: str, time_format: str | None, recorded_in: str | None, time_zone: str | None) -> str:
        """Text as the wall-clock time of the shop.

        A time with an offset (or ``Z``) is moved to ``time_zone``; one without is moved from ``recorded_in``, or is
        taken to be the shop's own when that is not given.
        """

    @abstractmethod
    def local_day(self, text: str) -> str:
        """Text as a day; it is written year first."""

    @abstractmethod
    def plus_seconds(self, moment: str, seconds: str) -> str:
        """The wall-clock time so many whole seconds after another."""

    @abstractmethod
    def has_offset(self, text: str) -> str:
        """Whether a time in text states its offset from UTC; most are told by their marks."""

    @abstractmethod
    def matches(self, text: str, pattern: str) -> str:
        """Whether text matches a regular expression anywhere."""
