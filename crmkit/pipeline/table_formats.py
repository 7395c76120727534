"""The run's tables as CSV and Excel files beside Parquet, row groups at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from crmkit._atomic import without_formulas
from crmkit.reports.workbook import MOST_ROWS, write_table

__all__ = ["write_formats"]

_ROWS = 65_536


def write_formats(folder: Path, formats: Sequence[str]) -> list[str]:
    """Write copies of all tables of a run into its folder ``tables``.

    Parameters
    ----------
    folder : Path
        Of the run.
    formats : sequence of str
        Of csv and xlsx; another is left alone.

    Returns
    -------
    list of str
        What was not written, and why.
    """
    wanted, home, notes = {"csv", "xlsx"} & set(formats), folder / "tables", list[str]()
    if not wanted:
        return notes
    home.mkdir(mode=0o750, exist_ok=True)
    for table in sorted(folder.glob("*.parquet")):
        if "csv" in wanted:
            _write_csv(table, home / f"{table.stem}.csv")
        if "xlsx" in wanted:
            n = sum(pq.read_metadata(file).num_rows for file in _files(table))
            if n > MOST_ROWS:
                notes.append(
                    f"{table.stem} has {n:,} rows, more than a sheet of a workbook holds: there is no {table.stem}.xlsx."
                )
            else:
                write_table(home / f"{table.stem}.xlsx", table.stem, _parts(table))
    return notes


def _files(table: Path) -> list[Path]:
    """A file, or those of a folder that Spark wrote."""
    return [table] if table.is_file() else sorted(table.rglob("*.parquet"))


def _parts(table: Path) -> Iterator[pd.DataFrame]:
    """A table in parts of equal columns; one without rows where there are none."""
    files = [pq.ParquetFile(file) for file in _files(table)]
    batches = chain.from_iterable(file.iter_batches(batch_size=_ROWS) for file in files)
    empty = True
    for batch in batches:
        empty = False
        yield batch.to_pandas()
    if empty and files:
        yield files[0].schema_arrow.empty_table().to_pandas()


def _write_csv(table: Path, path: Path) -> None:
    """UTF-8 with a byte order mark; a text that a spreadsheet would take for a formula has an apostrophe before it."""
    with path.open("w", encoding="utf-8-sig", newline="") as out:
        for n, part in enumerate(_parts(table)):
            without_formulas(part).to_csv(out, index=False, header=n == 0, lineterminator="\n")
