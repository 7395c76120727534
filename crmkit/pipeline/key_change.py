"""Another key for the pseudonyms: every customer gets a new one, wherever the old one stands."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crmkit._atomic import full_disk_told, replacing
from crmkit._folders import owned
from crmkit.exceptions import ConfigError
from crmkit.ingest.pseudonyms import Pseudonyms
from crmkit.pipeline.erased_files import PAGES, cleaned_folders, left_work, signed_again, texts_of
from crmkit.pipeline.pseudonym_keys import key_in, stated_pseudonyms

__all__ = ["KeyChange", "change_key"]

_PSEUDONYM = re.compile(rb"(?<![0-9A-Za-z])[a-z2-7]{24}(?![0-9A-Za-z])")


@dataclass(frozen=True)
class KeyChange:
    """What a change of the key has touched.

    Attributes
    ----------
    n_customers, store_lines : int
    rewritten, removed : int
        Files of runs and campaigns.
    """

    n_customers: int
    store_lines: int
    rewritten: int
    removed: int

    def __str__(self) -> str:
        return (
            f"{self.n_customers:,} customers have new pseudonyms: {self.store_lines:,} lines of the store and {self.rewritten:,} files of "
            f"runs and campaigns were written anew, {self.removed:,} pages and documents were removed. Put the new key where the "
            "configuration says; the old one is of no use any more."
        )


def change_key(new_key: Path, config: Path, out: Path) -> KeyChange:
    """Give every customer a new pseudonym: in the store, runs, campaigns, and the table to re-identify, which comes last.

    Killed in between, it is to be said again with the same new key; until then nothing runs.

    Raises
    ------
    BusyError
        A run or a load is at work.
    """
    settings, home, old = stated_pseudonyms(config)
    new = Pseudonyms(key_in(new_key, settings, home), old.folder, old.forgotten)
    if new.check == old.check:
        raise ConfigError("The new key is the old one. Draw another.")
    with owned(out, "run"), full_disk_told(out, "Free some space and say it again."):
        old.begin_change(new)
        ids = old.all_ids()
        names = pa.table({"name": [old.of(one) for one in ids], "new": [new.of(one) for one in ids]})
        store = settings.store.store(home)
        lines = store.rename(names) if store and not store.is_empty else 0
        done = list(_renamed(out, names))
        old.end_change(new)
    return KeyChange(len(ids), lines, done.count("rewritten"), done.count("removed"))


def _renamed(out: Path, names: pa.Table) -> Iterator[str]:
    """Every file of the output folder that names somebody by an old name, and what became of it."""
    for left in left_work(out):
        shutil.rmtree(left)
    old = {name.encode() for name in names["name"].to_pylist()}
    for folder in cleaned_folders(out):
        changed = dict[str, str]()
        for file in sorted(one for one in folder.rglob("*") if one.is_file() and one.name != "run.json"):
            name = str(file.relative_to(folder))
            if file.suffix in _TABLES:
                if _TABLES[file.suffix](file, names):
                    changed[name] = "rewritten"
            elif file.name.startswith("."):
                continue
            elif file.suffix in PAGES or not old.isdisjoint(_PSEUDONYM.findall(file.read_bytes())):
                file.unlink()
                changed[name] = "removed"
        if changed:
            signed_again(folder, set(changed))
        yield from changed.values()


def _parquet_renamed(file: Path, names: pa.Table) -> bool:
    whole = pq.ParquetFile(file)
    texts = texts_of(whole)
    if not texts or not any(_hit(group, texts, names) for group in whole.iter_batches(columns=texts)):
        return False
    with replacing(file) as part, pq.ParquetWriter(part, whole.schema_arrow) as writer:
        for group in whole.iter_batches():
            writer.write_batch(_with_new(group, texts, names))
    return True


def _csv_renamed(file: Path, names: pa.Table) -> bool:
    content = file.read_bytes()
    known = dict(zip(*(map(str.encode, names[one].to_pylist()) for one in ("name", "new")), strict=True))
    renamed = _PSEUDONYM.sub(lambda found: known.get(found[0], found[0]), content)
    if renamed == content:
        return False
    with replacing(file) as part:
        part.write_bytes(renamed)
    return True


_TABLES = {".parquet": _parquet_renamed, ".csv": _csv_renamed}


def _hit(rows: pa.RecordBatch, texts: list[str], names: pa.Table) -> bool:
    return any(pc.any(pc.is_in(rows.column(one), value_set=_values(names, rows, one))).as_py() for one in texts)


def _values(names: pa.Table, rows: pa.RecordBatch, column: str) -> pa.Array:
    return names["name"].cast(rows.column(column).type).combine_chunks()


def _with_new(rows: pa.RecordBatch, texts: list[str], names: pa.Table) -> pa.RecordBatch:
    columns = list(rows.columns)
    for one in texts:
        place, column = rows.schema.get_field_index(one), rows.column(one)
        found = pc.index_in(column, value_set=_values(names, rows, one))
        fresh = names["new"].cast(column.type).combine_chunks().take(found)
        columns[place] = pc.coalesce(fresh, column)
    return pa.RecordBatch.from_arrays(columns, schema=rows.schema)
