"""Extracts as they are delivered: files, dataframes or database tables, named and looked at, not yet read.

``read_extract`` only finds the parts and reads their column names. What the columns mean is said later, to
`crmkit.ingest.validation`, which reads each part once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crmkit._folders import temporary_folder
from crmkit.engine.duckdb import DuckDBEngine
from crmkit.exceptions import ConfigError, ContractError, ExtractError, NoInputError
from crmkit.ingest.databases import copy_query, is_url, source_name
from crmkit.ingest.files import matching
from crmkit.ingest.headers import file_part, parquet_names
from crmkit.ingest.layouts import recognised
from crmkit.ingest.parts import OPTION_OF, Heads, Part, Reading, unique
from crmkit.ingest.staging import prepared, relation_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from crmkit.ingest.pseudonyms import Pseudonyms

__all__ = ["Extract", "read_extract"]


@dataclass(frozen=True)
class Extract:
    """What was delivered: its parts in order, not read yet, how they are written, and what customers are called instead of their ids.

    Examples
    --------
    >>> import pandas as pd
    >>> read_extract(pd.DataFrame({"card_no": ["0077"], "paid": [1.5]}))
    Extract of 1 part (dataframe) with columns card_no, paid
    """

    parts: tuple[Part, ...]
    reading: Reading = field(default_factory=Reading)
    pseudonyms: Pseudonyms | None = field(default=None, repr=False)

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names of all parts, in the order of their first use."""
        return tuple(dict.fromkeys(chain.from_iterable(part.columns for part in self.parts)))

    @property
    def heads(self) -> tuple[Part, ...]:
        """Parts with one row per order that are joined to these."""
        found = [part.heads.parts for part in self.parts if part.heads]
        return found[0] if found else ()

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(part.path.stat().st_size for part in self.parts if part.path)

    def head(self, n: int = 5) -> pd.DataFrame:
        """First rows of the first part; those of text files as text."""
        with DuckDBEngine() as engine:
            part, _ = prepared(self.parts[0], engine)
            with engine.named_source(part.name):
                relation = relation_of(engine, part)
                return engine.frame(f"select *{part.constant_columns} from {relation} limit {int(n)}")

    def __repr__(self) -> str:
        n = len(self.parts)
        names = self.parts[0].name + (f" … {self.parts[-1].name}" if n > 1 else "")
        known = recognised(self.columns)
        told = f": those of layout {known!r}" if known else ""
        return f"Extract of {n} part{'s' if n > 1 else ''} ({names}) with columns {', '.join(self.columns)}{told}"


def read_extract(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Any,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    currency: str | None = None,
    date_format: str | None = None,
    sheet: str | None = None,
    member: str | None = None,
    table: str | None = None,
    query: str | None = None,
    skip_rows: int = 0,
    accept: Callable[[Path], bool] | None = None,
    negative: str | None = None,
    join: Mapping[str, object] | None = None,
) -> Extract:
    """Name the parts of an extract; nothing is read but column names.

    Parameters
    ----------
    source : path, folder, glob, list of them, database address, or dataframe
        CSV and JSON lines (plain, gzip or zip), Parquet, Excel and OpenDocument workbooks, each told by its content; a
        folder means the files in it without what systems leave there (hidden files, ``Thumbs.db``, ``desktop.ini``,
        ``~$…``, names that begin with ``_``), and its ``key=value`` folders are columns. A pandas, polars or Arrow table,
        or any object that has the Arrow capsule. The address of a database. Files of one extract may differ in the order of
        their columns, and columns that need not be there may be in some only.
    encoding : str, optional
        Of text files: ``"cp949"``, ``"gb18030"``, ``"cp932"``, ``"cp1252"``, ``"utf-16"`` … UTF-8 when not given; a
        byte order mark decides before either. A byte that cannot be decoded is an error.
    delimiter : str, optional
        Field separator of CSV files, one character. When not given it is the one of ``, ; TAB |`` that splits the
        header line into most fields; a header without any of them is taken as a single column. A column whose name is
        empty is called ``unnamed`` and its place.
    decimal, thousands : str, optional
        Marks in numbers that are text: ``decimal=","`` and ``thousands="."`` read 1.234,50. Without them numbers are
        written as in 1234.50, and others are rejected. 1,234.50 has its mark between groups of three, the first of which
        does not begin with 0. A number below zero may also be written 12.50-, (12.50), ▲12.50, or with the long minus
        U+2212. Full-width, Arabic and other digits are read, ``'12.50`` and ``="12.50"`` without a spreadsheet's guard,
        12.- and 12/- as 12; with ``thousands=","`` also the groups of India, 1,23,456.00.
    currency : str, optional
        Code of the amounts' currency; its own signs beside a number are accepted, another currency's are not.
    date_format : str, optional
        ``strptime`` format of days (not of purchase times) that are not written year first; ``"excel"`` reads the day
        numbers of a spreadsheet, 36526 (2000-01-01) to 73050 (2099-12-31).
    sheet : str, optional
        Worksheet to read, when there are several.
    member : str, optional
        File in a zip archive, when there are several.
    table, query : str
        What to read from a database, one of the two. It is copied once, when ``read_extract`` is called.
    skip_rows : int
        Lines above the line of column names.
    accept : callable, optional
        Called with the path of each file that is found; one for which it is false is not opened.
    negative : str, optional
        A mark that numbers below zero bear, before or after: ``"CR"`` reads 12.50CR as -12.50.
    join : mapping, optional
        Files with one row per order, where these are their lines: ``{"files": "orders.csv", "on": "order_id"}``. ``on`` is the
        column that tells orders apart, a list of several, or a mapping of the lines' columns to the heads'; the other keys are
        options as above. Each line gets the columns of its head (its own stand where both have one); a line whose order has
        no head is rejected, and orders without lines are counted. Money of a head is no line's: it can only be named under
        ``deduct``, and is taken off the order's first line.

    Returns
    -------
    Extract
        The parts in order of their names.

    Raises
    ------
    ExtractError
        No file matches; a file is empty, is nothing that is read, or has a column name twice; a text is not in the
        encoding stated; a database cannot be reached.
    ConfigError
        An option makes no sense here.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "till.csv"
    >>> _ = file.write_text("card_no;paid\\n0077;1.50\\n")
    >>> read_extract(file).columns
    ('card_no', 'paid')
    """
    reading = Reading(
        encoding, delimiter, decimal, thousands, currency, date_format, sheet, member, table, query, skip_rows, negative
    )
    if isinstance(source, Extract):
        return source
    if join is not None:
        return _with_heads(read_extract(source, **vars(reading), accept=accept), join)
    if isinstance(source, str) and is_url(source):
        return Extract((_database_part(source, reading),), reading)
    if table is not None or query is not None:
        raise ConfigError("table= and query= are for databases. Give its address: 'postgresql://user@host/name'.")
    if isinstance(source, str | os.PathLike):
        found = matching(os.fspath(source))
    elif isinstance(source, list | tuple) and all(isinstance(item, str | os.PathLike) for item in source):
        found = list(chain.from_iterable(matching(os.fspath(item)) for item in source))
    else:
        return Extract((_frame_part(source, reading),), reading)
    if not found:
        raise ExtractError("The list of files is empty. Name at least one file.")
    if accept is not None and not (found := [(path, stated) for path, stated in found if accept(path)]):
        raise NoInputError("None of the files that were found is accepted.")
    parts = tuple(_partitioned(file_part(path, reading), constants) for path, constants in found)
    _check_used(reading, parts)
    return Extract(parts, reading)


def _with_heads(lines: Extract, join: Mapping[str, object]) -> Extract:
    """Lines whose parts know the heads of their orders."""
    options: dict[str, Any] = dict(join)
    files, on = options.pop("files", None), options.pop("on", None)
    if files is None or not on:
        raise ConfigError(
            f"join = {dict(join)} must have files, and on: the column that tells orders apart. Write it as in "
            '{"files": "orders.csv", "on": "order_id"}.'
        )
    heads = read_extract(files, **options)
    pairs = (
        tuple(on.items())
        if isinstance(on, Mapping)
        else tuple((one, one) for one in ([on] if isinstance(on, str) else on))
    )
    for place, (extract, what) in enumerate(((lines, "files of lines"), (heads, "joined files"))):
        for part in extract.parts:
            lacking = [pair[place] for pair in pairs if pair[place] not in part.columns]
            if lacking:
                raise ContractError(
                    f"join: {part.name} of the {what} has no {lacking[0]!r}. It has {list(part.columns)}."
                )
    keys = {head for _, head in pairs}
    return replace(lines, parts=tuple(_part_with_heads(part, heads, pairs, keys) for part in lines.parts))


def _part_with_heads(part: Part, heads: Extract, on: tuple[tuple[str, str], ...], keys: set[str]) -> Part:
    own = {name.casefold() for name in part.columns}
    added = tuple(name for name in heads.columns if name not in keys and name.casefold() not in own)
    return replace(part, columns=part.columns + added, heads=Heads(heads.parts, on, added))


def _check_used(reading: Reading, parts: tuple[Part, ...]) -> None:
    """Raise for an option that is for another kind of file than all that were found."""
    kinds = {part.kind for part in parts}
    for option, (what, allowed) in OPTION_OF.items():
        if getattr(reading, option) and not kinds & set(allowed):
            raise ConfigError(f"{option}= is for {what}, and {parts[0].name} is none. Leave it out.")


# -- Parts of each kind ----------------------------------------------------------------------------------------------


def _database_part(url: str, reading: Reading) -> Part:
    name = source_name(reading.table, reading.query)
    path = _kept_file()
    copy_query(url, reading.table, reading.query, reading.mark, path)
    return Part(name, unique(parquet_names(path), name), "parquet", path, reading=reading)


def _kept_file() -> Path:
    """A file that is there until Python ends."""
    return temporary_folder("extract") / "extract.parquet"


def _frame_part(table: Any, reading: Reading) -> Part:
    if hasattr(table, "read_next_batch"):
        path = _copied(table)
        return Part("dataframe", unique(parquet_names(path), "dataframe"), "parquet", path, reading=reading)
    lazy = type(table).__module__.startswith("polars") and hasattr(table, "collect_schema")
    names = table.collect_schema().names() if lazy else getattr(table, "column_names", getattr(table, "columns", None))
    if names is None:
        names = getattr(getattr(table, "schema", None), "names", None)
    if names is None and hasattr(table, "__arrow_c_stream__"):
        table = _arrow(table)
        names = table.column_names
    if names is None:
        raise ExtractError(
            f"A {type(table).__name__} is not a table crmkit can read. Give a path, a glob, or a dataframe that "
            "speaks Arrow (pandas, polars, pyarrow, …)."
        )
    return Part("dataframe", unique(tuple(map(str, names)), "dataframe"), table=table, reading=reading)


def _copied(reader: pa.RecordBatchReader) -> Path:
    """A stream of record batches, which can be read but once, as a file."""
    import pyarrow.parquet as pq

    path = _kept_file()
    with pq.ParquetWriter(path, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
    return path


def _arrow(table: object) -> pa.Table:
    import pyarrow as pa

    try:
        return pa.table(table)
    except pa.ArrowException:
        raise ExtractError(f"A {type(table).__name__} has no columns with names. Give a table.") from None


def _partitioned(part: Part, stated: dict[str, str]) -> Part:
    """The part with the columns that its folders' names state and the file has not."""
    added = tuple((name, value) for name, value in stated.items() if name not in part.columns)
    columns = unique(part.columns + tuple(name for name, _ in added), part.name)
    return replace(part, columns=columns, constants=added)
