"""`Store`: the members' warehouse. Extracts are loaded once; each load is a transaction.

::

    store/
      manifest.json         what has been loaded, and which version is current; replaced in one step
      loads/<n>/            lines of each load as they were kept, before returns are matched; never changed
      versions/<n>/         lines, trips and days of the whole store, as `Transactions` reads them

A load writes its own folder and a new version, and then replaces the manifest; killed at any moment, the store is as
before or after. Files are Parquet and JSON, so no database version can lock them in.
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from crmkit._atomic import replacing, sync, to_disk
from crmkit._days import as_day
from crmkit._locks import owned
from crmkit.engine.duckdb import DuckDBEngine
from crmkit.exceptions import ContractError, CrmkitWarning, LeakError, RefusedError
from crmkit.ingest.extracts import Extract, read_extract
from crmkit.ingest.rules import LEFT_OUT, NON_MEMBER_REASONS
from crmkit.ingest.tables import Products
from crmkit.transactions.deliveries import collect_lines, filled_items
from crmkit.transactions.line_meaning import stated
from crmkit.transactions.log import Transactions
from crmkit.transactions.rejections import Rejections, reconcile
from crmkit.transactions.returns import match_returns

__all__ = ["Store"]

_FORMAT = "crmkit store 2"
_FAULTY = 0.01
_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class _Load:
    """One load, as the manifest keeps it."""

    number: int
    until: str
    corrects: bool
    files: list[str] = field(default_factory=list)
    sha256: list[str] = field(default_factory=list)
    used: list[int] = field(default_factory=list)
    rows_read: int = 0
    rows_used: int = 0
    rows_left_out: int = 0
    rows_rejected: int = 0
    rows_duplicate: int = 0
    first_day: str | None = None
    last_day: str | None = None
    rows_replaced: int = 0


@dataclass(frozen=True)
class _Manifest:
    """What the store holds."""

    format: str = _FORMAT
    version: int = 0
    items: list[str] = field(default_factory=list)
    classes: dict[str, list[str]] = field(default_factory=dict)
    loads: list[_Load] = field(default_factory=list)


class Store:
    """The members' warehouse: a folder of Parquet files with a manifest.

    Parameters
    ----------
    path : path
        Made when it is not there.

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

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._manifest()

    def __repr__(self) -> str:
        kept = self._manifest()
        return f"Store({str(self.path)!r}): {len(kept.loads)} loads, version {kept.version}"

    @property
    def loads(self) -> pd.DataFrame:
        """What has been loaded, one row a load: number, until, corrects, files, sha256 and rows kept of each (nobody's
        too), rows by fate, first and last day, and how many rows of earlier loads a correction replaced.
        """
        return pd.DataFrame([asdict(load) for load in self._manifest().loads], columns=list(_Load.__dataclass_fields__))

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
            More than one row in a hundred is rejected (nobody's aside), or none is sound: the days would be lost.
        """
        return self._add(extract, until, True, **options)

    def transactions(self, until: str | date) -> Transactions:
        """The log of everything loaded, up to the close of ``until``.

        It reads the store's current version, which stays in place for one more load after it has been followed by another.

        Raises
        ------
        LeakError
            No load has observed that day.
        """
        kept = self._manifest()
        if not kept.version:
            raise ContractError(f"{self.path} holds nothing yet. Load an extract first.")
        seen = max(load.until for load in kept.loads)
        if as_day(until) > as_day(seen):
            raise LeakError(f"until={until} is after {seen}, the last day that a load has observed.")
        return Transactions(self._version(kept.version), as_day(until), tuple(kept.items))

    def _add(
        self,
        extract: Extract | object,
        until: str | date,
        corrects: bool,
        **options: Any,
    ) -> Rejections:
        source = extract if isinstance(extract, Extract) else read_extract(extract)
        time_rules, meaning, columns = stated(options)
        with owned(self.path, "load"), DuckDBEngine() as engine:
            kept = self._manifest()
            number, version = len(kept.loads) + 1, kept.version + 1
            home, target = self._fresh(self._load(number)), self._fresh(self._version(version))
            earlier = None if corrects or not kept.loads else self._delivered(engine, kept.loads)
            known = {} if corrects else _taken(kept.loads)
            received = collect_lines(engine, source, columns, time_rules, meaning, as_day(until), earlier, known)
            engine.save(f"select * from {received.lines}", home / "lines.parquet")
            n_alike = _alike(engine, engine.parquet(home / "lines.parquet"), earlier) if earlier else 0
            entry = _Load(number, until=str(as_day(until)), corrects=corrects)
            products = self._products(meaning.products, kept, target)
            stated_ones = kept.classes if meaning.classes is None else meaning.classes
            given = {name: list(patterns) for name, patterns in stated_ones.items()}
            meaning = replace(meaning, products=products, classes=given)
            match_returns(engine, self._lines(engine, [*kept.loads, entry]), meaning, target)
            lines = engine.parquet(target / "lines.parquet")
            own = engine.view(f"select * from {lines} where file between {_first(number)} and {_first(number + 1) - 1}")
            found = reconcile(engine, received, own, home / "rejected.parquet")
            entry = _told(entry, found, engine, own)
            if corrects:
                _check_whole(found, sum(entry.used))
                entry = replace(entry, rows_replaced=self._replaced(engine, kept, lines, own))
            loads = [*kept.loads, entry]
            to_disk(home)
            to_disk(target)
            items = list(filled_items(engine, lines))
            self._publish(_Manifest(version=version, items=items, classes=given, loads=loads))
        told = self._lost(found, known)
        if n_alike:
            told.append(
                f"{n_alike:,} lines without order_id and line_id look like lines that the store has, and were added. If "
                "they were delivered before, replace their days with correct."
            )
        for message in told:
            warnings.warn(message, CrmkitWarning, stacklevel=3)
        return found

    def _delivered(self, engine: DuckDBEngine, loads: list[_Load]) -> str:
        """Lines of all loads, those that were corrected too; ``file`` is made unique over the loads."""
        return engine.view(
            " union all by name ".join(
                f"select file + {_first(load.number)} as file, * exclude (file) from "
                + engine.parquet(self._load(load.number) / "lines.parquet")
                for load in loads
            )
        )

    def _products(self, given: Products | None, kept: _Manifest, target: Path) -> Products | None:
        """The products that hold from now on, kept beside the version's lines."""
        earlier = self._version(kept.version) / "products.parquet"
        if given is None and not earlier.is_file():
            return None
        products = Products(pd.read_parquet(earlier)) if given is None else given
        products.frame.to_parquet(target / "products.parquet", index=False)
        return products

    def _replaced(self, engine: DuckDBEngine, kept: _Manifest, lines: str, own: str) -> int:
        """How many lines of earlier loads are gone."""
        if not kept.version:
            return 0
        before = engine.parquet(self._version(kept.version) / "lines.parquet")
        counts = (engine.frame(f"select count(*) as n from {table}")["n"][0] for table in (before, own, lines))
        return int(next(counts) + next(counts) - next(counts))

    def _lost(self, found: Rejections, known: dict[str, tuple[_Load, int]]) -> list[str]:
        """Say which files came again of which rows were rejected when they came first."""
        said = []
        again = found.files.loc[found.files["sha256"].isin(list(known)), "sha256"]
        for load, place in map(known.__getitem__, again):
            rows = pd.read_parquet(self._load(load.number) / "rejected.parquet", columns=["place", "reason", "outcome"])
            if n_lost := int(
                (
                    rows["place"].eq(place) & rows["outcome"].ne(LEFT_OUT) & ~rows["reason"].isin(NON_MEMBER_REASONS)
                ).sum()
            ):
                said.append(
                    f"{load.files[place]} was loaded before, when {n_lost:,} of its rows were rejected; they are still not "
                    "in the store. Mend the file, or what was stated about it, and replace its days with correct."
                )
        return said

    def _lines(self, engine: DuckDBEngine, loads: list[_Load]) -> str:
        """Lines of all loads that no later correction replaces; ``file`` is made unique over the loads."""
        raw = {load.number: engine.parquet(self._load(load.number) / "lines.parquet") for load in loads}
        days = {
            load.number: engine.stage(f"select distinct day, store from {raw[load.number]}")
            for load in loads
            if load.corrects
        }
        selects = []
        for load in loads:
            standing = "".join(
                f" and not exists (select 1 from {days[later]} c where c.day = l.day and coalesce(c.store = l.store, true))"
                f" and not exists (select 1 from {raw[later]} c where c.order_id = l.order_id and c.line_id = l.line_id"
                " and coalesce(c.store = l.store, true))"
                for later in days
                if later > load.number
            )
            selects.append(
                f"select l.file + {_first(load.number)} as file, l.* exclude (file) from {raw[load.number]} l where true{standing}"
            )
        return engine.view(" union all by name ".join(selects))

    def _load(self, number: int) -> Path:
        return self.path / "loads" / f"{number:06d}"

    def _version(self, number: int) -> Path:
        return self.path / "versions" / f"{number:06d}"

    def _fresh(self, folder: Path) -> Path:
        """An empty folder; one that is there was left by a load that did not end."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o750)
        return folder

    def _manifest(self) -> _Manifest:
        file = self.path / "manifest.json"
        if not file.is_file():
            return _Manifest()
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except ValueError:
            raise ContractError(f"{file} is damaged: it is not JSON. Put it back from a copy.") from None
        if content.get("format") != _FORMAT:
            raise ContractError(
                f"{self.path} is not a store of this crmkit ({content.get('format')!r}, not {_FORMAT!r}). One that an "
                "earlier version made is filled anew: load the extracts into another folder."
            )
        return _Manifest(**{**content, "loads": [_Load(**load) for load in content["loads"]]})

    def _publish(self, manifest: _Manifest) -> None:
        """Replace the manifest in one step, then remove versions that nobody was given lately."""
        with replacing(self.path / "manifest.json") as part:
            part.write_text(json.dumps(asdict(manifest), indent=1), encoding="utf-8")
        sync(self.path)
        for folder in (self.path / "versions").glob("[0-9]*"):
            if int(folder.name) < manifest.version - 1:
                shutil.rmtree(folder, ignore_errors=True)


def _taken(loads: list[_Load]) -> dict[str, tuple[_Load, int]]:
    """Hash of each file of which any row was kept → the load, and the file's place in it."""
    return {
        digest: (load, place)
        for load in reversed(loads)
        for place, (digest, n) in enumerate(zip(load.sha256, load.used, strict=True))
        if digest and n
    }


def _alike(engine: DuckDBEngine, lines: str, earlier: str) -> int:
    """How many lines that no key tells apart look like one that was delivered before."""
    looks = ("customer_id", "order_id", "hour", "store", "product_id", "quantity", "amount")
    same = " and ".join(f"e.{name} is not distinct from l.{name}" for name in looks)
    keyless = f"(select * from {lines} where order_id is null or line_id is null)"
    days = engine.frame(f"select min(day) as first, max(day) as last from {keyless}").iloc[0]
    if pd.isna(days["first"]):
        return 0
    between = f"e.day between {int(days['first'])} and {int(days['last'])}"
    alike = f"select 1 from {earlier} e where {between} and e.day = l.day and {same}"
    return int(engine.frame(f"select count(*) as n from {keyless} l where exists ({alike})")["n"][0])


def _check_whole(found: Rejections, n_kept: int) -> None:
    """Raise when a correction would take more than it brings."""
    if not n_kept:
        raise RefusedError(f"{found}.\nA correction without a sound row corrects nothing, so nothing was changed.")
    if found.rows_invalid > _FAULTY * found.rows_read:
        raise RefusedError(
            f"{found}.\nThe days that it corrects would be lost with these rows, so nothing was changed. Mend the "
            "extract, or what was stated about it."
        )


def _first(number: int) -> int:
    """The number of a load's first file among the files of all loads."""
    return number * 1_000_000


def _told(load: _Load, found: Rejections, engine: DuckDBEngine, lines: str) -> _Load:
    """The load with what became of its rows."""
    kept = engine.frame(f"select file, count(*) as n, min(day) as first, max(day) as last from {lines} group by file")
    used = kept.set_index("file")["n"].reindex(_first(load.number) + found.files.index, fill_value=0)
    days = (
        [str(date.fromordinal(_EPOCH + int(day))) for day in (kept["first"].min(), kept["last"].max())]
        if len(kept)
        else []
    )
    return replace(
        load,
        files=found.files["file"].tolist(),
        sha256=found.files["sha256"].tolist(),
        used=used.tolist(),
        rows_read=found.rows_read,
        rows_used=found.rows_used,
        rows_left_out=found.rows_left_out,
        rows_rejected=found.rows_rejected,
        rows_duplicate=found.rows_duplicate,
        first_day=days[0] if days else None,
        last_day=days[-1] if days else None,
    )
