"""Folder locks: one writer at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from crmkit.exceptions import BusyError, PublishError

__all__ = ["owned"]


@contextmanager
def owned(folder: Path, what: str, wait: float = 0.0) -> Iterator[None]:
    """Be the only writer of a folder, which is made when it is not there; the lock falls with the process.

    Another owner is waited for, ``wait`` seconds at most.

    Raises
    ------
    BusyError
        Another process owns it; ``what`` is what that process is said to do.
    PublishError
        The folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", timeout=wait)
        lock.acquire()
    except Timeout:
        raise BusyError(f"Another {what} is writing to {folder}. Try again when it has ended.") from None
    except OSError as error:
        raise PublishError(f"{folder} cannot be made or written: {error.strerror}.") from error
    try:
        yield
    finally:
        lock.release()
