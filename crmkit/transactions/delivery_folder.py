"""A folder that a chain delivers into: which files are complete, which are new, and what a load did with each."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from crmkit.exceptions import BusyError, CrmkitError, NoInputError, PublishError, StoreError
from crmkit.ingest.extracts import Extract, read_extract
from crmkit.ingest.parts import Part
from crmkit.ingest.pseudonyms import Pseudonyms
from crmkit.transactions.rejections import Rejections
from crmkit.transactions.store import Store

__all__ = ["FolderLoad", "Incoming", "load_files", "load_folder"]

_COUNTS = ("rows_read", "rows_used", "rows_duplicate", "rows_rejected")
_COLUMNS = ["file", "fate", *_COUNTS, "why"]
_DIGESTS = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}


@dataclass(frozen=True)
class Incoming:
    """How to tell that a delivered file is complete, and which ones correct earlier days.

    Attributes
    ----------
    done : str, optional
        Ending of a file that is laid beside each delivered one when it is complete: ``".done"`` means ``till.csv.done``.
    checksum : str, optional
        Ending of a file beside it that holds its MD5, SHA-1, SHA-256 or SHA-512: ``".sha256"``.
    quiet_seconds : float
        A file that was written to in the last so many seconds waits for the next load.
    corrections : sequence of str
        Patterns of files that replace the days they hold: ``"corrections/*.csv"``.
    """

    done: str | None = None
    checksum: str | None = None
    quiet_seconds: float = 0
    corrections: Sequence[str] = ()

    def is_beside(self, path: Path) -> bool:
        """Whether a file only says something of another."""
        return any(path.name.endswith(ending) for ending in (self.done, self.checksum) if ending)

    def why_waiting(self, path: Path) -> str:
        """Why a file is not complete yet; empty when it is."""
        if self.done and not path.with_name(path.name + self.done).exists():
            return f"there is no {path.name}{self.done} beside it"
        if self.quiet_seconds and time.time() - path.stat().st_mtime < self.quiet_seconds:
            return f"it was written to in the last {self.quiet_seconds:g} seconds"
        return self._why_differs(path, path.with_name(path.name + self.checksum)) if self.checksum else ""

    def _why_differs(self, path: Path, stated: Path) -> str:
        if not stated.exists():
            return f"there is no {stated.name} beside it"
        found = re.match(r"\s*([0-9a-fA-F]+)", stated.read_text(encoding="utf-8", errors="replace"))
        kind = _DIGESTS.get(len(found[1])) if found else None
        if not found or not kind:
            return f"{stated.name} holds no checksum"
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, kind).hexdigest()
        return "" if digest == found[1].lower() else f"its content is not what {stated.name} states"

    def complete(
        self, source: str | Sequence[str], read: Mapping[str, Any] | None = None
    ) -> tuple[Extract, dict[str, str]]:
        """The complete files of a source, and why each of the others waits; ``read`` are options of `read_extract`."""
        waiting = dict[str, str]()

        def accept(path: Path) -> bool:
            if self.is_beside(path):
                return False
            if why := self.why_waiting(path):
                waiting[path.name] = why
            return not why

        try:
            return read_extract(source, **(read or {}), accept=accept), waiting
        except NoInputError:
            if not waiting:
                raise
            return Extract(()), waiting

    def corrects(self, part: Part) -> bool:
        return part.path is not None and any(part.path.match(pattern) for pattern in self.corrections)


@dataclass(frozen=True)
class FolderLoad:
    """What a load did with each file of a folder; prints as one line a file.

    Attributes
    ----------
    files : DataFrame
        file, fate (loaded, corrected, duplicate, rejected, empty, known, waiting, refused), rows_read, rows_used,
        rows_duplicate, rows_rejected, why; in the order in which they were taken. ``known`` files were given before and were not
        read.
    loads : list of Rejections
        Of each load.
    refusals : list of CrmkitError
        Why each refused file was.
    """

    files: pd.DataFrame = field(repr=False)
    loads: list[Rejections] = field(repr=False)
    refusals: list[CrmkitError] = field(default_factory=list, repr=False)

    @property
    def n_refused(self) -> int:
        return int(self.files["fate"].eq("refused").sum())

    def __str__(self) -> str:
        told = self.files.to_dict("records")
        return "\n".join(map(_line, told)) if told else "There is no file to load."


def load_folder(
    store: Store,
    source: str | Sequence[str],
    *,
    until: str | date,
    incoming: Incoming | None = None,
    read: Mapping[str, Any] | None = None,
    pseudonyms: Pseudonyms | None = None,
    **options: Any,
) -> FolderLoad:
    """Load the complete and new files of a folder: first all that add lines, then each that corrects, in the order of names.

    Parameters
    ----------
    store : Store
    source : path, folder, glob or list of them
    until : date
    incoming : Incoming, optional
    read : mapping, optional
        Options of `read_extract`.
    pseudonyms : Pseudonyms, optional
        What customers are called instead of their ids.
    **options
        As in `Store.load`.

    Returns
    -------
    FolderLoad
        A file that cannot be read, or does not meet the contract, is refused and keeps none of the others out.

    Raises
    ------
    BusyError, StoreError, PublishError
        The store takes no load now.
    """
    rules = incoming or Incoming()
    extract, waiting = rules.complete(source, read)
    extract = replace(extract, pseudonyms=pseudonyms)
    done = load_files(store, extract, until=until, incoming=rules, **options)
    rows = pd.DataFrame([_row(name, "waiting", why) for name, why in waiting.items()], columns=_COLUMNS)
    return replace(done, files=pd.concat([rows, done.files], ignore_index=True) if waiting else done.files)


def load_files(store: Store, extract: Extract, *, until: str | date, incoming: Incoming, **options: Any) -> FolderLoad:
    """As `load_folder`, of files that are complete."""
    new = store.new_parts(extract)
    done = FolderLoad(pd.DataFrame(columns=_COLUMNS), [], [])
    rows = [_row(part.name, "known") for part in extract.parts if part not in new.parts]
    corrections = [part for part in new.parts if incoming.corrects(part)]
    if adding := tuple(part for part in new.parts if part not in corrections):
        rows += _loaded(partial(store.load, until=until, **options), replace(new, parts=adding), "loaded", done)
    for part in corrections:
        one = replace(new, parts=(part,))
        rows += _loaded(partial(store.correct, until=until, **options), one, "corrected", done)
    return replace(done, files=pd.DataFrame(rows, columns=_COLUMNS))


def _loaded(
    load: Callable[[Extract], Rejections], extract: Extract, fate: str, done: FolderLoad
) -> list[dict[str, object]]:
    """Load all files at once; where one keeps them out, each by itself."""
    try:
        found = load(extract)
    except (BusyError, StoreError, PublishError):
        raise
    except CrmkitError as error:
        if len(extract.parts) == 1:
            done.refusals.append(error)
            return [_row(extract.parts[0].name, "refused", str(error))]
        alone = [replace(extract, parts=(part,)) for part in extract.parts]
        return [row for one in alone for row in _loaded(load, one, fate, done)]
    done.loads.append(found)
    return [_row(str(file["file"]), _fate(file, fate)) | _counts(file) for file in found.files.to_dict("records")]


def _counts(file: Mapping[Any, Any]) -> dict[str, int]:
    return {name: int(file[name]) for name in _COUNTS}


def _fate(file: Mapping[Any, Any], fate: str) -> str:
    if not file["rows_read"]:
        return "empty"
    if file["rows_duplicate"] == file["rows_read"]:
        return "duplicate"
    return "rejected" if file["rows_rejected"] == file["rows_read"] else fate


def _row(file: str, fate: str, why: str = "") -> dict[str, object]:
    return {"file": file, "fate": fate, **dict.fromkeys(_COUNTS, 0), "why": why}


def _line(row: Mapping[Any, Any]) -> str:
    if row["why"] or not row["rows_read"]:
        return f"{row['file']}: {row['fate']}" + (f" ({row['why']})" if row["why"] else "")
    return (
        f"{row['file']}: {row['fate']}; {row['rows_read']:,} rows read, {row['rows_used']:,} used, "
        f"{row['rows_duplicate']:,} duplicate, {row['rows_rejected']:,} rejected"
    )
