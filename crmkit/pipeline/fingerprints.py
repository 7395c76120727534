"""What a run was made of: inputs, settings, code and versions."""

from __future__ import annotations

import importlib.metadata
import inspect
import json
import platform
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import crmkit
from crmkit._atomic import replacing
from crmkit.pipeline.artefacts import digest_of, file_hash

__all__ = ["FileHashes", "code_digest", "package_digest", "versions"]

_HOME = Path(crmkit.__file__).parent
_VERSIONED = ("numpy", "pandas", "pyarrow", "duckdb", "scipy", "scikit-learn", "matplotlib")
_IMPORT = re.compile(r"^\s*from (crmkit[\w.]*) import (\([^)]*\)|[^\n]*)|^\s*import (crmkit[\w.]*)", re.MULTILINE)


@cache
def versions() -> dict[str, str]:
    """Of Python and of the libraries that numbers come from."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in _VERSIONED}


@cache
def package_digest() -> str:
    """Of every file of the package: other code is another run, whatever its version says."""
    files = (file for file in sorted(_HOME.rglob("*")) if file.suffix in (".py", ".sql", ".j2", ".toml"))
    return digest_of([[str(file.relative_to(_HOME)), file_hash(file)] for file in files])


def code_digest(work: Callable[..., object]) -> str:
    """Of a function's own text, of all of crmkit that its file imports, directly or not, and of the versions.

    Functions from elsewhere count with their whole file.
    """
    file = Path(inspect.getsourcefile(work) or "")
    files = _reached(file) if file.is_file() else frozenset[Path]()
    own = inspect.getsource(work) if file.is_relative_to(_HOME) else file_hash(file)
    return digest_of([own, sorted(_hash_once(one) for one in files - {file}), versions()])


@cache
def _reached(start: Path) -> frozenset[Path]:
    """Files of crmkit that one imports, directly or not, and the SQL and templates beside them."""
    found, left = set[Path](), [start]
    while left:
        file = left.pop()
        if file not in found:
            found.add(file)
            left += _imports(file)
    rooms = {file.parent for file in found if file.is_relative_to(_HOME) and file.parent != _HOME}
    texts = {
        text
        for room in rooms
        for kind in ("sql/*.sql", "templates/*", "*.toml", "layouts/*.toml")
        for text in room.glob(kind)
    }
    return frozenset(found | texts)


@cache
def _imports(file: Path) -> list[Path]:
    modules = set[str]()
    for package, names, plain in _IMPORT.findall(file.read_text(encoding="utf-8")):
        modules |= {package or plain} | {f"{package}.{name}" for name in re.findall(r"\w+", names)}
    places = (_HOME.parent.joinpath(*module.split(".")) for module in modules - {"crmkit"})
    return [one for place in places for one in (place.with_suffix(".py"), place / "__init__.py") if one.is_file()]


@cache
def _hash_once(file: Path) -> str:
    return file_hash(file)


class FileHashes:
    """Hashes of files, remembered in a file of the output folder while size, time and inode stay the same."""

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
