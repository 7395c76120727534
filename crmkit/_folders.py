"""Folders of one owner: locked while they are written, and temporary ones that nobody else can read.

Below the user's own temporary folder each process has one, whose lock it holds until it ends, however it ends. A process that
begins to write removes the folders whose locks are not held, which processes that were killed have left.
"""

from __future__ import annotations

import atexit
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout

from crmkit.exceptions import BusyError, PublishError

__all__ = ["owned", "temporary_folder"]

_LOCK, _DEAD = ".lock", "dead-"


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


def temporary_folder(what: str) -> Path:
    """A new folder, closed to other users, that is there until the process ends; ``what`` begins its name."""
    home = _home_of(os.getpid())
    if not home.is_dir():  # something cleans up temporary files that are old
        _home_of.cache_clear()
        home = _home_of(os.getpid())
    return Path(tempfile.mkdtemp(prefix=f"{what}-", dir=home))


@cache
def _home_of(process: int) -> Path:
    """The folder of a process, locked; those that killed processes left are removed."""
    root = _root()
    with FileLock(root / _LOCK):
        left = [folder for folder in root.iterdir() if folder.is_dir() and _is_left(folder)]
        dead = [folder.rename(root / f"{_DEAD}{process}-{folder.name}") for folder in left]
        home = Path(tempfile.mkdtemp(prefix=f"{process}-", dir=root))
        lock = FileLock(home / _LOCK, thread_local=False)
        lock.acquire()
    for folder in dead:
        shutil.rmtree(folder, ignore_errors=True)
    atexit.register(_remove, home, lock, process)
    return home


def _root() -> Path:
    """The user's folder below that of temporary files; where another has taken its name, one of this process alone."""
    user = os.getuid() if hasattr(os, "getuid") else ""
    root = Path(tempfile.gettempdir()) / f"crmkit-{user}"
    with suppress(FileExistsError):
        root.mkdir(mode=0o700)
    found = root.lstat()
    if not stat.S_ISDIR(found.st_mode) or (user != "" and found.st_uid != user):
        return Path(tempfile.mkdtemp(prefix="crmkit-"))
    root.chmod(0o700)
    return root


def _is_left(folder: Path) -> bool:
    """Whether the lock of a folder is free; what was being removed has none."""
    try:
        with FileLock(folder / _LOCK, blocking=False):
            return True
    except Timeout:
        return False


def _remove(home: Path, lock: FileLock, process: int) -> None:
    if os.getpid() == process:  # not in a fork, where this is called too
        lock.release()
        shutil.rmtree(home, ignore_errors=True)
