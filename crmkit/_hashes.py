"""Hashes of files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from crmkit._atomic import replacing

__all__ = ["FileHashes", "file_hash"]


def file_hash(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class FileHashes:
    """Hashes of files, remembered in a file while size, time and inode stay the same."""

    def __init__(self, memory: Path) -> None:
        self._memory, self._used = memory, dict[str, list[Any]]()
        try:
            self._known: dict[str, list[Any]] = json.loads(memory.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self._known = {}

    def of(self, path: Path) -> str:
        """The sha256 of a file's content."""
        state = path.stat()
        stamp = [state.st_size, state.st_mtime_ns, state.st_ino]
        known = self._known.get(str(path))
        if not (known and known[:3] == stamp):
            known = [*stamp, file_hash(path)]
        self._known[str(path)] = self._used[str(path)] = known
        return str(known[3])

    def save(self) -> None:
        """Remember the files that were asked for."""
        with replacing(self._memory) as part:
            part.write_text(json.dumps(self._used), encoding="utf-8")
