"""Files of runs and campaigns without some customers: tables lose their rows, pages and documents that name them go."""

from __future__ import annotations

import csv
import json
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from html import escape
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crmkit._atomic import replacing, sync
from crmkit._hashes import file_hash
from crmkit.pipeline.history import manifest_of
from crmkit.pipeline.records import records_of

__all__ = ["PAGES", "cleaned", "cleaned_folders", "left_work", "named", "rewrite_manifest", "signed_again", "texts_of"]

PAGES = (".html", ".pdf", ".xlsx", ".txt")
"""Made for readers, of tables that stay: they are removed with a member in them, and made again by the next run."""
_OWN = re.compile(r"^(run\.json|\..*)$")


def left_work(out: Path) -> list[Path]:
    """What runs have begun and not published, and what they keep beside that."""
    return [*(out / "runs").glob("*.part"), *(out / "work").glob("*")]


def cleaned_folders(out: Path) -> list[Path]:
    """Runs and campaigns: all that names customers."""
    campaigns = [folder for folder in (out / "campaigns").glob("*") if folder.is_dir()]
    return [*sorted((out / "runs").glob("*")), *sorted(campaigns)]


def cleaned(folder: Path, ids: Sequence[str]) -> Iterator[dict[str, object]]:
    """Tables are rewritten without their rows; pages and documents that name them, or are made of such tables, are removed."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and not _OWN.match(file.name)]
    names = naming(ids)
    was_there = False
    for file in files:
        rows = _without_rows(file, ids) if file.suffix in _WITH_ROWS else 0
        if rows:
            was_there = True
            yield {"file": str(file.relative_to(folder)), "action": "rewritten", "rows": rows}
    for file in files:
        if file.suffix in _WITH_ROWS:
            continue
        if (was_there and file.suffix in PAGES) or any(names(part) for part in contents(file)):
            file.unlink()
            yield {"file": str(file.relative_to(folder)), "action": "removed", "rows": 0}


def naming(ids: Sequence[str]) -> Callable[[bytes], bool]:
    """Tells whether bytes name one of these, as a word of their own, as they are or as on a page."""
    words = {form.encode() for one in ids for form in (one, escape(one), escape(one, quote=False))}
    name = re.compile(b"(?<![0-9A-Za-z])(" + b"|".join(map(re.escape, sorted(words))) + b")(?![0-9A-Za-z])")
    return lambda content: name.search(content) is not None


def contents(file: Path) -> Iterator[bytes]:
    """What a file holds: its bytes, and those of the files that are packed in it."""
    yield file.read_bytes()
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as packed:
            yield from (packed.read(one) for one in packed.infolist())


def signed_again(folder: Path, changed: set[str]) -> None:
    """A run's manifest says what its files are now; a stage whose outputs changed has not ended, so it is done again."""
    for record in records_of(folder).values():
        if any(name in changed for one in record.outputs.values() for name in one.files):
            (folder / f".{record.stage}.json").unlink()
    if (folder / "run.json").is_file():
        manifest = manifest_of(folder)
        outputs = {name: digest for name, digest in manifest["outputs"].items() if (folder / name).is_file()}
        outputs |= {name: file_hash(folder / name) for name in outputs.keys() & changed}
        rewrite_manifest(folder, {**manifest, "outputs": outputs})
    sync(folder)


def rewrite_manifest(folder: Path, manifest: dict[str, object]) -> None:
    with replacing(folder / "run.json") as part:
        part.write_text(json.dumps(manifest, indent=1, allow_nan=False, default=str) + "\n", encoding="utf-8")


def _parquet_without(file: Path, ids: Sequence[str]) -> int:
    """Rewrite a table without rows that name one of them in any text; returns how many there were."""
    whole = pq.ParquetFile(file)
    texts = texts_of(whole)
    if not texts or not any(named(group, texts, ids).true_count for group in whole.iter_batches(columns=texts)):
        return 0
    lost = 0
    with replacing(file) as part, pq.ParquetWriter(part, whole.schema_arrow) as writer:
        for group in whole.iter_batches():
            theirs = named(group, texts, ids)
            lost += theirs.true_count
            writer.write_batch(group.filter(pc.invert(theirs)))
    file.with_name(f".{file.name}.crc").unlink(missing_ok=True)  # Spark's sum of what was there before
    return lost


def texts_of(table: pq.ParquetFile) -> list[str]:
    """Its columns that can name somebody."""
    kinds = (pa.types.is_string, pa.types.is_large_string)
    return [one.name for one in table.schema_arrow if any(is_text(one.type) for is_text in kinds)]


def named(rows: pa.RecordBatch, texts: Sequence[str], ids: Sequence[str]) -> pa.BooleanArray:
    wanted, found = pa.array(ids), pa.array([False] * rows.num_rows)
    for name in texts:
        column = rows.column(name)
        found = pc.or_(found, pc.is_in(column, value_set=wanted.cast(column.type)))
    return found


def _csv_without(file: Path, ids: Sequence[str]) -> int:
    """The same of a CSV file, whose rows are short."""
    with file.open(newline="", encoding="utf-8-sig") as source:
        rows = list(csv.reader(source))
    kept = [row for row in rows if not {cell.lstrip("'") for cell in row} & set(ids)]
    if len(kept) == len(rows):
        return 0
    mark = file.read_bytes()[:3] == "\ufeff".encode()
    with replacing(file) as part, part.open("w", newline="", encoding="utf-8-sig" if mark else "utf-8") as target:
        csv.writer(target, lineterminator="\n").writerows(kept)
    return len(rows) - len(kept)


_WITH_ROWS = {".parquet": _parquet_without, ".csv": _csv_without}


def _without_rows(file: Path, ids: Sequence[str]) -> int:
    return _WITH_ROWS[file.suffix](file, ids)
