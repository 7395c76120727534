"""Atomic file replacement, fsync, and CSV files."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from uuid import uuid4

from crmkit._checks import as_text
from crmkit.exceptions import CrmkitError, PublishError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["full_disk_told", "is_full_disk", "numbered", "replacing", "replacing_all", "sync", "to_disk", "write_csv"]

_SPILL = "max_temp_directory_size"
"""Named by the engine's error where the disk of its spill has no more room."""
_FULL = (*(os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)), _SPILL)
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write beside ``path``; it takes the place of ``path`` when it is whole and on the disk, or not at all.

    Owner and group may read it, nobody else.

    Raises
    ------
    PublishError
        It cannot be written; what stood at ``path`` still stands there.
    """
    part = path.with_name(f".{uuid4().hex}.part")
    try:
        yield part
        part.chmod(0o640)
        sync(part)
        part.replace(path)
    except OSError as error:
        raise PublishError(f"{path} cannot be written ({error}). What was there before is untouched.") from error
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def replacing_all(path: Path) -> Iterator[Callable[[], Path]]:
    """Files to write one after the other, each at the path of another call; all of them are there at the end, or none.

    One takes the place of ``path``; several stand beside it, numbered: ``lists_0001.pdf``, ``lists_0002.pdf``. What an
    earlier time wrote under these names and this time did not is gone.

    Raises
    ------
    PublishError
        One cannot be written; what stood there before still stands there.
    """
    parts: list[Path] = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".", suffix=".part", dir=path.parent) as scratch:

            def another() -> Path:
                parts.append(Path(scratch) / f"{len(parts):04d}")
                return parts[-1]

            yield another
            for part in parts:
                part.chmod(0o640)
                sync(part)
            earlier = {path, *path.parent.glob(f"{path.stem}_[0-9][0-9][0-9][0-9]{path.suffix}")}
            places = numbered(path, len(parts))
            for part, place in zip(parts, places, strict=True):
                part.replace(place)
            for file in earlier.difference(places):
                file.unlink(missing_ok=True)
    except OSError as error:
        raise PublishError(f"{path} cannot be written ({error}). What was there before is untouched.") from error


def numbered(path: Path, n: int) -> tuple[Path, ...]:
    """Where so many files stand: the path itself for one, numbered beside it for several."""
    return (path,) if n == 1 else tuple(path.with_name(f"{path.stem}_{k:04d}{path.suffix}") for k in range(1, n + 1))


def write_csv(frame: pd.DataFrame, path: Path, for_spreadsheets: bool = False) -> None:
    """Write a table as CSV, atomically.

    For spreadsheets the file begins with a byte order mark, so that every letter is shown, and a text that would be taken
    for a formula has an apostrophe before it; numbers stay numbers. Otherwise the values are written as they are.
    """
    with replacing(path) as part:
        if for_spreadsheets:
            without_formulas(frame).to_csv(part, index=False, lineterminator="\n", encoding="utf-8-sig")
        else:
            frame.to_csv(part, index=False, lineterminator="\n")


def without_formulas(frame: pd.DataFrame) -> pd.DataFrame:
    """A table in which a text that a spreadsheet would take for a formula has an apostrophe before it."""
    return frame.apply(_without_formulas) if len(frame) else frame


def _without_formulas(column: pd.Series) -> pd.Series:
    if column.dtype.kind in "iufbM":
        return column
    return as_text(column).map(lambda text: "'" + text if text.startswith(_FORMULA) else text, na_action="ignore")


def is_full_disk(error: BaseException) -> bool:
    """Whether an error, an engine's own too, says that a disk is full."""
    return not isinstance(error, CrmkitError) and any(text in str(error) for text in _FULL)


@contextmanager
def full_disk_told(folder: Path, advice: str) -> Iterator[None]:
    """The error of a full disk, an engine's own too, as one of an output."""
    try:
        yield
    except Exception as error:
        if not is_full_disk(error):
            raise
        raise PublishError(f"No space left on the disk of {folder} or of the temporary files. {advice}") from error


def to_disk(folder: Path) -> None:
    """Restrict permissions to owner and group, and fsync."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o750 if path.is_dir() else 0o640)
        sync(path)


def sync(path: Path) -> None:
    """Fsync one file, or the names in one folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
