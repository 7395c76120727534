"""What is held of a person, and how it goes: the right of access, erasure, and the end of keeping."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from crmkit._atomic import full_disk_told, replacing
from crmkit._folders import owned
from crmkit.engine.duckdb import DuckDBEngine
from crmkit.exceptions import ContractError, ExtractError, NoInputError
from crmkit.pipeline.config import Config, read_config
from crmkit.pipeline.erased_files import (
    cleaned,
    cleaned_folders,
    left_work,
    named,
    rewrite_manifest,
    signed_again,
    texts_of,
)
from crmkit.pipeline.history import manifest_of
from crmkit.pipeline.pseudonym_keys import names_of, pseudonyms_of
from crmkit.pipeline.table_sources import TableSource
from crmkit.transactions.erasure import Tombstones
from crmkit.transactions.store import Store

__all__ = ["Receipt", "Removal", "erase", "forget", "held_of", "purge", "to_purge"]

_HALF_DONE = "What has been erased is gone, the rest is not: free some space and say it again."


# -- Erasure ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Receipt:
    """What an erasure has touched; prints as a few lines, and names nobody.

    Attributes
    ----------
    n_customers : int
    store_lines : int
        Lines of the store that named one of them; they stay as sales of nobody known.
    files : DataFrame
        file, action (rewritten or removed), rows: of the runs and campaigns.
    remains : list of str
        What crmkit does not reach.
    """

    n_customers: int
    store_lines: int
    files: pd.DataFrame = field(repr=False)
    remains: list[str] = field(repr=False)

    def __str__(self) -> str:
        done = self.files.groupby("action")["file"].size()
        rows = int(self.files["rows"].sum())
        return "\n".join(
            [
                f"{self.n_customers:,} customers are forgotten; they are left out when they are delivered again.",
                f"Store: {self.store_lines:,} lines lost their name; their money stays in the sales.",
                f"Runs and campaigns: {done.get('rewritten', 0):,} files were rewritten without {rows:,} rows, "
                f"{done.get('removed', 0):,} pages and logs were removed. The next run makes its pages again.",
                *(f"Not touched: {one}" for one in self.remains),
            ]
        )

    def save(self, folder: Path) -> Path:
        """Keep it as a numbered document in a folder that is closed to others; it names nobody."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = folder / f"erasure_{1 + len(list(folder.glob('erasure_*.json'))):04d}.json"
        content = {
            "erased_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "customers": self.n_customers,
            "store_lines": self.store_lines,
            "files": self.files.to_dict("records"),
            "not_touched": self.remains,
        }
        with replacing(file) as part:
            part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        file.chmod(0o600)
        return file


def forget(ids: Sequence[str], config: Path, out: Path) -> Receipt:
    """Erase customers from the store, all runs, campaigns and lists, and leave them out of all that comes.

    Killed in between, it may be said again: the marks that keep them out are written first.

    Parameters
    ----------
    ids : sequence of str
        As they are delivered.
    config : path
        Names the store, and where the marks of the forgotten are kept: [privacy] folder.
    out : path
        The output folder of the runs.

    Raises
    ------
    BusyError
        A run or a load is at work.
    """
    wanted = sorted({one.strip() for one in ids} - {""})
    if not wanted:
        raise ContractError("Nobody is named. Give the customer_id of whoever is to be forgotten.")
    settings, home = read_config(config), config.resolve().parent
    if not out.is_dir():
        return erase(wanted, settings, home, out)
    with owned(out, "run"):
        return erase(wanted, settings, home, out)


def erase(wanted: Sequence[str], settings: Config, home: Path, out: Path) -> Receipt:
    """Erase customers, as they are delivered, for the caller, who owns the output folder; the receipt is kept with the marks."""
    marks = home / settings.privacy.folder
    stones = Tombstones.read(marks)
    known = pseudonyms_of(settings, home, stones)
    names = names_of(wanted, settings, known)
    stones = stones.with_ids([*wanted, *names])
    stones.save(marks)
    lines = 0
    store = settings.store.store(home)
    if store and not store.is_empty:
        lines = store.erase(names)
    touched = list[dict[str, object]]()
    if out.is_dir():
        with full_disk_told(out, _HALF_DONE):
            touched = list(_erased(out, names))
    if known:
        known.erase(names)
    files = pd.DataFrame(touched, columns=["file", "action", "rows"])
    receipt = Receipt(len(wanted), lines, files, _remaining(settings))
    receipt.save(marks / "receipts")
    stones.ended([*wanted, *names]).save(marks)
    return receipt


def _remaining(settings: Config) -> list[str]:
    """What the operator has to see to."""
    said = ["the delivered files themselves, backups, and copies that others have made of lists and tables."]
    if settings.engine.kind == "spark":
        tables = [
            str(one.table)
            for name in Config.model_fields
            if isinstance(one := getattr(settings, name), TableSource) and one.on_spark
        ]
        said.append(
            f"tables of Spark that deliver ({', '.join(tables) or 'none is named'}): delete the rows there (DELETE FROM … WHERE customer_id IN …), "
            "and then the files of older versions (VACUUM). What runs have published is cleaned wherever crmkit wrote it as files."
        )
    return said


def _erased(out: Path, ids: Sequence[str]) -> Iterator[dict[str, object]]:
    """Every file of the output folder that named one of them, and what became of it."""
    for left in left_work(out):
        shutil.rmtree(left)
        yield {"file": str(left.relative_to(out)), "action": "removed", "rows": 0}
    for folder in cleaned_folders(out):
        changed = list(cleaned(folder, ids))
        if changed:
            signed_again(folder, {str(one["file"]) for one in changed})
        yield from ({**one, "file": str((folder / str(one["file"])).relative_to(out))} for one in changed)


# -- Access ----------------------------------------------------------------------------------------------------------


def held_of(customer_id: str, config: Path, out: Path) -> dict[str, dict[str, list[dict[str, object]]]]:
    """All that is held of one customer: place → table → rows.

    Raises
    ------
    NoInputError
        Nothing is held.
    """
    settings, home = read_config(config), config.resolve().parent
    known = pseudonyms_of(settings, home, Tombstones.read(home / settings.privacy.folder))
    names = names_of([customer_id], settings, known)
    found = dict[str, dict[str, list[dict[str, object]]]]()
    store = settings.store.store(home)
    if store and not store.is_empty:
        found["store"] = _in_store(store, names)
    for folder in [*sorted((out / "runs").glob("*")), *sorted((out / "campaigns").glob("*"))]:
        if folder.is_dir() and folder.suffix != ".part":
            found[str(folder.relative_to(out))] = _in_folder(folder, names)
    found = {
        place: held
        for place, tables in found.items()
        if (held := {name: rows for name, rows in tables.items() if rows})
    }
    if not found:
        raise NoInputError("Nothing is held of this customer. Check the id: it is as the tills deliver it.")
    return found


def _in_store(store: Store, names: Sequence[str]) -> dict[str, list[dict[str, object]]]:
    found = {}
    with DuckDBEngine() as engine:
        for table in ("lines", "replaced"):
            if files := store.files(table):
                theirs = f"customer_id in (select name from {engine.register(pa.table({'name': names}))})"
                found[table] = engine.arrow(f"select * from {engine.parquet(files)} where {theirs}").to_pylist()
    return found


def _in_folder(folder: Path, names: Sequence[str]) -> dict[str, list[dict[str, object]]]:
    found = {}
    for file in sorted(folder.rglob("*.parquet")):
        whole = pq.ParquetFile(file)
        texts = texts_of(whole)
        parts = [group.filter(named(group, texts, names)) for group in whole.iter_batches()] if texts else []
        found[str(file.relative_to(folder))] = [row for part in parts for row in part.to_pylist()]
    return found


# -- The end of keeping ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Removal:
    """A folder that is kept no longer: a run, a campaign, or the lists of one, and its day."""

    folder: Path
    day: date

    def __str__(self) -> str:
        return f"{self.folder.parent.name}/{self.folder.name} of {self.day}"


def to_purge(out: Path, keep: Mapping[str, int]) -> list[Removal]:
    """What is kept longer than so many days before the newest run, which stays: of ``runs``, ``campaigns``, and printed ``lists``.

    A kind that is not named is kept.

    Raises
    ------
    NoInputError
        There is no run.
    """
    try:
        newest = date.fromisoformat(str(manifest_of(out / "CURRENT")["as_of"]))
    except ExtractError:
        raise NoInputError(f"{out} holds no run. Name the folder of the runs: --out.") from None
    last = {kind: newest - timedelta(days=days) for kind, days in keep.items()}
    current = (out / "CURRENT").resolve()
    runs = [folder for folder in sorted((out / "runs").glob("*")) if (folder / "run.json").is_file()]
    dated = [
        ("runs", Removal(folder, date.fromisoformat(str(manifest_of(folder)["as_of"]))))
        for folder in runs
        if folder.resolve() != current
    ]
    dated += [
        ("campaigns", Removal(folder, date.fromisoformat(folder.name)))
        for folder in sorted((out / "campaigns").glob("????-??-??"))
        if folder.is_dir()
    ]
    gone = [(kind, one) for kind, one in dated if kind in last and one.day < last[kind]]
    whole = {one.folder for _, one in gone}
    lists = [
        Removal(one.folder / "lists", one.day)
        for _, one in dated
        if "lists" in last and one.day < last["lists"] and one.folder not in whole and (one.folder / "lists").is_dir()
    ]
    return [*(one for _, one in gone), *lists]


def purge(out: Path, removals: Sequence[Removal]) -> None:
    """Remove them; what stays does not refer to them any more."""
    with owned(out, "run"):
        gone = {str(manifest_of(one.folder)["run"]) for one in removals if one.folder.parent.name == "runs"}
        for one in removals:
            files = {str(file.relative_to(one.folder.parent)) for file in one.folder.rglob("*")}
            shutil.rmtree(one.folder)
            if one.folder.name == "lists":
                signed_again(one.folder.parent, files)
        for folder in (out / "runs").glob("*"):
            if (folder / "run.json").is_file() and (manifest := manifest_of(folder)).get("previous") in gone:
                rewrite_manifest(folder, {**manifest, "previous": None})
        _forget_campaigns(out, {one.folder.name for one in removals if one.folder.parent.name == "campaigns"})


def _forget_campaigns(out: Path, names: set[str]) -> None:
    """Their rows go too, so that a campaign without a folder is not taken for lost; measured effects stay with the runs."""
    ledger = out / "campaigns" / "campaigns.parquet"
    if names and ledger.is_file():
        record = pd.read_parquet(ledger)
        with replacing(ledger) as part:
            record[~record["campaign"].isin(names)].to_parquet(part, index=False)
