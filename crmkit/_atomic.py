"""Folders that one process owns while it writes, and files that are on the disk before anybody is told of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from crmkit.exceptions import PublishError

__all__ = ["no_formula", "replacing", "sync", "to_disk"]

_FORMULA = tuple("=+-@\t\r\n＝＋－＠")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write beside ``path``; it takes the place of ``path`` when it is whole and on the disk, or not at all.

    Raises
    ------
    PublishError
        It cannot be written; what stood at ``path`` still stands there.
    """
    part = path.with_name(f".{uuid4().hex}.part")
    try:
        yield part
        sync(part)
        part.replace(path)
    except OSError as error:
        raise PublishError(f"{path} cannot be written ({error}). What was there before is untouched.") from error
    finally:
        part.unlink(missing_ok=True)


def no_formula(text: str) -> str:
    """The text with an apostrophe before it if a spreadsheet would take it for a formula."""
    return "'" + text if text.startswith(_FORMULA) else text


def to_disk(folder: Path) -> None:
    """Close a folder and all in it to strangers, and bring it to the disk."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o750 if path.is_dir() else 0o640)
        sync(path)


def sync(path: Path) -> None:
    """Bring one file, or the names in one folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
