"""What a run was made of: inputs, settings, code and versions."""

from __future__ import annotations

import importlib.metadata
import inspect
import platform
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import crmkit
from crmkit._hashes import file_hash
from crmkit.pipeline.artefacts import digest_of

__all__ = ["code_digest", "package_digest", "versions"]

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
