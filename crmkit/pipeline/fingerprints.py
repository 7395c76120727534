"""What a run was made of: inputs, settings, code and versions."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from datetime import date
from pathlib import Path

from crmkit.exceptions import (
    ConfigError,
)
from crmkit.ingest.extracts import Extract, read_extract
from crmkit.pipeline.config import Config, TableSource
from crmkit.pipeline.history import Previous

_VERSIONED = ("numpy", "pandas", "pyarrow", "duckdb", "scipy", "scikit-learn", "matplotlib")


# -- Inputs and their identity ---------------------------------------------------------------------------------------


def sources_of(config: Config, home: Path) -> dict[str, Extract]:
    tables: dict[str, TableSource | None] = {
        "transactions": config.transactions,
        "products": config.products,
        "members": config.members,
        "deals": config.deals,
        "tips": config.tips,
    }
    return {
        name: read_extract(table.source(home), **table.read_options(config.currency))
        for name, table in tables.items()
        if table is not None
    }


def font_of(config: Config, home: Path) -> Path | None:
    if config.lists.font is None:
        return None
    font = home / config.lists.font
    if not font.is_file():
        raise ConfigError(f"[lists] font: there is no file {font}. The path starts from the configuration's folder.")
    return font


def inputs_of(sources: dict[str, Extract], font: Path | None) -> list[dict[str, str]]:
    """Every file that the run depends on: table, file, sha256."""
    files = [(name, part.name, part.path) for name, source in sources.items() for part in source.parts]
    files += [("lists.font", font.name, font)] if font else []
    return [{"table": table, "file": name, "sha256": file_hash(path)} for table, name, path in files]


def run_digest(config: Config, day: date, inputs: list[dict[str, str]], previous: Previous | None) -> str:
    parts = [config.model_dump(mode="json"), str(day), inputs, _code(), versions(), previous.run if previous else None]
    identity = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(identity.encode()).hexdigest()[:12]


def _code() -> list[str]:
    """Hash of every file of the package: other code is another run, whatever its version says."""
    home = Path(__file__).parent
    return [file_hash(file) for file in sorted(home.rglob("*")) if file.suffix in (".py", ".sql", ".j2", ".toml")]


def versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in _VERSIONED}


def file_hash(path: Path | None) -> str:
    assert path is not None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
