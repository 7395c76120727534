"""`Store`: the members' warehouse. Deliveries are loaded once; each load is a transaction, and costs what it brings.

The tables are Delta tables (:mod:`crmkit.transactions.tables`), which Spark, Databricks, DuckDB, polars and others read as they
stand. Killed at any moment, the store is as before a load or after it.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from crmkit._atomic import full_disk_told
from crmkit._days import as_day
from crmkit._folders import owned, temporary_folder
from crmkit._hashes import FileHashes
from crmkit.displays import InNotebook
from crmkit.engine.duckdb import DuckDBEngine
from crmkit.exceptions import BusyError, ContractError, CrmkitWarning, LeakError
from crmkit.ingest.extracts import Extract, read_extract
from crmkit.transactions.deliveries import filled_items
from crmkit.transactions.ledger import Ledger, first_file
from crmkit.transactions.line_meaning import LineMeaning, stated
from crmkit.transactions.loading import Delivery, load_delivery, products_of
from crmkit.transactions.log import Transactions
from crmkit.transactions.rejections import Rejections
from crmkit.transactions.remote import place_of
from crmkit.transactions.returns import match_returns, spent_days
from crmkit.transactions.tables import DELIVERED, StoreState, StoreTables, as_delivered
from crmkit.transactions.upkeep import (
    StoreReport,
    check_store,
    compact_store,
    erase_customers,
    rebuild_store,
    rename_customers,
)

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Store"]

_VACUUM = 50
"""After so many loads, old files are removed."""


class Store(InNotebook):
    """The members' warehouse: a folder of Delta tables.

    Parameters
    ----------
    path : path or address
        Made when something is loaded. Also an address that delta-rs reads: ``s3://bucket/prefix``, ``az://…``, ``gs://…``.
    wait : float
        Seconds to wait while another load is at work.
    keep_days : float
        How long files of replaced states stay readable for logs that were taken of them.
    options : mapping of str to str, optional
        With an address: the ``storage_options`` of delta-rs, as ``{"AWS_REGION": "eu-central-1"}``. What is not stated is
        taken from the environment, as cloud tools do.
    copies : path, optional
        With an address: where files are copied to, each once, to be read; by default a private folder that is removed when
        Python ends.

    Examples
    --------
    >>> import tempfile
    >>> till = pd.DataFrame({"customer_id": ["a", "b"], "purchased_at": ["2017-01-01", "2017-01-02"], "amount": [1, 2],
    ...                      "order_id": [1, 2], "line_id": [1, 1]})
    >>> store = Store(tempfile.mkdtemp())
    >>> print(store.load(till.head(1), until="2017-01-31"))
    1 rows read; used 1; duplicate 0; rejected 0
    >>> print(store.load(till, until="2017-01-31"))  # overlaps
    2 rows read; used 1; duplicate 1; rejected 0
    >>> log = store.transactions(until="2017-01-31")
    >>> store.loads[["rows_used", "rows_duplicate"]].sum().tolist()
    [2, 1]
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        wait: float = 0.0,
        keep_days: float = 7,
        options: Mapping[str, str] | None = None,
        copies: str | os.PathLike[str] | None = None,
    ) -> None:
        place = place_of(path, options or {}, copies)
        self.path = place if isinstance(place, Path) else _copies(copies)
        self.wait = wait
        self.keep_days = keep_days
        self._tables = StoreTables(self.path, None if isinstance(place, Path) else place)

    def _notebook_table(self) -> pd.DataFrame:
        return self.loads[["number", "until", "files"]].tail(5)

    def __repr__(self) -> str:
        return f"Store({self.place!r}): {self._tables.state().ledger.last} loads"

    @property
    def place(self) -> str:
        """Its folder or address."""
        return self._tables.place

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever loaded."""
        return self._tables.is_empty

    @property
    def loads(self) -> pd.DataFrame:
        """What has been loaded, one row a load: number, loaded_at, until, corrects, files, sha256 and rows kept of each
        (non-members' too), rows by fate, first and last day, and how many rows of earlier loads a correction replaced.
        """
        return self._tables.state().ledger.frame

    def load(self, extract: Extract | object, *, until: str | date, **options: Any) -> Rejections:
        """Add a delivery; days may overlap and come late.

        Files of which the store took any row, and lines (by order_id and line_id) that it was given, are duplicates.

        Parameters
        ----------
        extract : Extract or dataframe
        until : date
            Last day of this delivery; a row dated later is rejected.
        **options
            As in `Transactions.split_extract`: time_zone, …, non_members, and the names of the columns. ``products`` and
            ``classes`` hold for all lines of the store, until others are given.

        Raises
        ------
        BusyError
            Another load is at work.
        StoreError
            The store has lost its log or a file of it.

        Warns
        -----
        CrmkitWarning
            A file that comes again was loaded when some of its rows were rejected: they are still not in the store.
            Lines that no key tells apart look like lines that the store has; they are added.
        """
        return self._add(extract, until, False, **options)

    def correct(self, extract: Extract | object, *, until: str | date, **options: Any) -> Rejections:
        """Replace: every day (of every store) that the delivery holds stands as the delivery says, and only so.

        A line of another day that it holds too (by store, order_id and line_id) has moved. Where the correction, or what it
        corrects, names no store, the whole day is replaced.

        Raises
        ------
        RefusedError
            More than one row in a hundred is rejected (non-members' aside), or none is valid: the days would be lost.
        """
        return self._add(extract, until, True, **options)

    def new_parts(self, extract: Extract) -> Extract:
        """The files of an extract that the store has not been given, told by their content; a file of which every row was
        rejected may come again. Nothing but their hash is read.
        """
        known, hashes = self._tables.state().ledger.settled(), self._hashes_of(extract)
        return replace(extract, parts=tuple(part for part in extract.parts if hashes.get(part.path) not in known))

    def given_besides(self, extract: Extract) -> list[str]:
        """What the store was given that is not of this extract: hashes of files, and the numbers of loads of dataframes."""
        here = set(self._hashes_of(extract).values())
        return [given for given in self._tables.state().ledger.given() if given not in here]

    def lines_per_day(self) -> pd.Series[int]:
        """How many lines the store has of each day; the days are numbers."""
        with DuckDBEngine() as engine:
            lines = self._tables.relation(engine, self._tables.state(), "lines")
            counts = engine.frame(f"select day, count(*) as n from {lines} group by day order by day")
        return counts.set_index("day")["n"]

    def files(self, table: str = "lines") -> list[Path]:
        """The Parquet files of one table of the newest state, for what reads no Delta tables: ``spark.read.parquet(*map(str, …))``.

        They stay readable for ``keep_days`` after a load has replaced them.

        Raises
        ------
        ContractError
            There is no such table.
        """
        if table not in self._tables.tables:
            raise ContractError(f"table={table!r}: a store has the tables {', '.join(self._tables.tables)}.")
        return self._tables.tables[table].paths(self._tables.state().of(table).files)

    def transactions(
        self, until: str | date | None = None, *, version: int | None = None, folder: str | Path | None = None
    ) -> Transactions:
        """The log of everything loaded, up to the close of ``until``.

        Parameters
        ----------
        until : date, optional
            Default: the last day that a load has observed.
        version : int, optional
            Number of the last load to count: the log as it was known that night, with the products table and classes of
            today. Default: all loads. An earlier version is recomputed.
        folder : path, optional
            Where the days of the log are kept; by default a private folder that is removed when Python ends. Lines and trips
            are read from the store, whose replaced files stay readable for a week.

        Raises
        ------
        LeakError
            No load has observed that day.
        """
        state = self._tables.state()
        if not state.ledger.last:
            raise ContractError(f"{self.place} holds nothing yet. Load an extract first.")
        past = state.ledger if version is None else self._ledger_at(state, version)
        seen = past.observed
        if seen is None:
            raise LeakError("No load has observed a day: all rows of every load were rejected.")
        last = as_day(seen if until is None else until)
        if last > as_day(seen):
            raise LeakError(f"until={until} is after {seen}, the last day that a load has observed.")
        home = Path(folder) if folder is not None else temporary_folder("log")
        home.mkdir(parents=True, exist_ok=True)
        with DuckDBEngine() as engine:
            if past.last < state.ledger.last:
                return self._as_of(engine, state, past, home, last)
            return self._log(engine, state, home, last)

    # -- Upkeep ------------------------------------------------------------------------------------------------------

    def history(self) -> pd.DataFrame:
        """What became of every file that was delivered: load, loaded_at, file, fate, rows_read, rows_used (non-members' too),
        rows_left_out, rows_duplicate, rows_rejected, sha256, in the order of the loads.

        ``fate`` is loaded, corrected (it replaced days), duplicate, rejected (no row was taken) or empty.
        """
        return self._tables.state().ledger.history()

    def check(self) -> StoreReport:
        """Read every file of the store: whether its content is what was written, and whether the tables agree."""
        return check_store(self._tables)

    def compact(self) -> None:
        """Merge the files of each month, and remove those of states replaced more than ``keep_days`` ago.

        Loads do both by themselves: a month has at most nine small files (below 32 MB), one when the loads have left it, and
        every fiftieth load removes old files.
        """
        with owned(self.path, "load", self.wait):
            compact_store(self._tables, 24 * self.keep_days)

    def erase(self, customer_ids: Iterable[object]) -> int:
        """Take customers out of the store: every file that names one is written anew without, and the old one is removed.

        Their lines stay as sales of nobody known, so that rows and money still add up; trips, days and matched returns go.
        Logs that were taken before cannot be read any more: call `transactions` again.

        Parameters
        ----------
        customer_ids : iterable
            As they are in the store. One that is not there is no fault, so an erasure may be repeated.

        Returns
        -------
        int
            How many lines named one of them.

        Examples
        --------
        >>> import tempfile
        >>> till = pd.DataFrame({"customer_id": ["a", "b"], "purchased_at": ["2017-01-01", "2017-01-02"], "amount": [1, 2]})
        >>> store = Store(tempfile.mkdtemp())
        >>> print(store.load(till, until="2017-01-31"))
        2 rows read; used 2; duplicate 0; rejected 0
        >>> store.erase(["a"])
        1
        >>> pd.read_parquet(store.transactions().trips)["customer_id"].tolist()
        ['b']
        """
        full = full_disk_told(self.path, "Nobody has been erased. Free some space and try again.")
        with owned(self.path, "load", self.wait), full:
            return erase_customers(self._tables, customer_ids)

    def rename(self, names: pa.Table) -> int:
        """Give customers other names, one for each ``name`` its ``new``; old files are removed. Returns how many lines had one.

        It may be repeated. Logs that were taken before cannot be read any more.
        """
        full = full_disk_told(self.path, "Nobody has another name. Free some space and try again.")
        with owned(self.path, "load", self.wait), full:
            return rename_customers(self._tables, names)

    def rebuild(self) -> StoreReport:
        """Rebuild every table from what is left of a damaged store.

        Deliveries whose lines are not all there are dropped, and the report says which files to load again. The damaged
        tables are kept beside the new ones, in a folder ``damaged-…``, to be deleted by hand.

        Raises
        ------
        StoreError
            The ledger of the deliveries is lost.
        ContractError
            The store is not a folder of this machine.
        """
        if self._tables.remote:
            raise ContractError(
                f"{self.place} cannot be rebuilt where it is. Copy it to a folder, rebuild that, and put it back under a new prefix."
            )
        with owned(self.path, "load", self.wait):
            return rebuild_store(self._tables)

    def _hashes_of(self, extract: Extract) -> dict[Path | None, str]:
        """Hashes of the files; those of files that have not changed are remembered."""
        hashes = FileHashes(self.path / ".hashes.json")
        found: dict[Path | None, str] = {
            part.path: hashes.of(part.path) for part in extract.parts if part.path is not None
        }
        if self.path.is_dir():
            hashes.save()
        return found

    # -- Logs --------------------------------------------------------------------------------------------------------

    def _ledger_at(self, state: StoreState, version: int) -> Ledger:
        if not 1 <= version <= state.ledger.last:
            raise ContractError(f"version={version}: the store has the versions 1 to {state.ledger.last}, one a load.")
        return state.ledger.until(version)

    def _log(self, engine: DuckDBEngine, state: StoreState, home: Path, last: date) -> Transactions:
        """The newest state: files of the store, and days numbered now."""
        spent = self._tables.relation(engine, state, "spent")
        engine.save(spent_days(f"select * from {spent}"), home / "days.parquet")
        files = {}
        for name in ("lines", "trips"):
            files[name] = tuple(self._tables.tables[name].paths(state.of(name).files))
            if not files[name]:
                engine.save(f"select * from {self._tables.relation(engine, state, name)}", home / f"{name}.parquet")
        return Transactions(home, last, state.items, line_files=files["lines"], trip_files=files["trips"])

    def _as_of(self, engine: DuckDBEngine, state: StoreState, past: Ledger, home: Path, last: date) -> Transactions:
        """An earlier state, from the lines that stood then."""
        upto = f"file < {first_file(past.last + 1)}"
        lines, replaced = (self._tables.relation(engine, state, name) for name in ("lines", "replaced"))
        stood = engine.view(
            f"""select {as_delivered()} from {lines} where {upto}
            union all select {", ".join(DELIVERED)} from {replaced} where {upto} and replaced_by > {past.last}"""
        )
        today = LineMeaning(products=products_of(self._tables, state), classes=state.ledger.classes)
        match_returns(engine, stood, today, home)
        return Transactions(home, last, filled_items(engine, engine.parquet(home / "lines.parquet")))

    # -- Loads -------------------------------------------------------------------------------------------------------

    def _add(
        self,
        extract: Extract | object,
        until: str | date,
        corrects: bool,
        **options: Any,
    ) -> Rejections:
        source = extract if isinstance(extract, Extract) else read_extract(extract)
        time_rules, meaning, columns = stated(options)
        delivery = Delivery(source, columns, time_rules, meaning, as_day(until), corrects)
        full = full_disk_told(self.path, "The store is as it was before. Free some space and load again.")
        with owned(self.path, "load", self.wait), full:
            number, found, said = self._loaded(delivery, time.monotonic() + self.wait)
            if number % _VACUUM == 0:
                self._tables.vacuum(24 * self.keep_days)
        for message in said:
            warnings.warn(message, CrmkitWarning, stacklevel=3)
        return found

    def _loaded(self, delivery: Delivery, latest: float) -> tuple[int, Rejections, list[str]]:
        """Load; anew where a load of another machine came first, which only the commit finds out."""
        while True:
            try:
                with DuckDBEngine() as engine:
                    return load_delivery(engine, self._tables, delivery)
            except BusyError:
                if time.monotonic() >= latest:
                    raise


def _copies(folder: str | os.PathLike[str] | None) -> Path:
    """Where files of a store elsewhere are copied to, closed to others."""
    if folder is None:
        return temporary_folder("store")
    Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    return Path(folder)
