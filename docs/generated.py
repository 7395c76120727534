"""Pages that are made from the code: every public name, every setting, and the schema of the configuration for editors."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

import crmkit
from crmkit.pipeline.config import Config

GROUPS = {
    "Data in": ("ingest", "transactions", "datasets", "engine"),
    "Summaries": ("summaries",),
    "Value": ("models",),
    "Churn": ("churn",),
    "Timing": ("repurchase",),
    "Segments": ("segments",),
    "Products": ("products",),
    "Offers": ("offers",),
    "Campaigns": ("campaigns",),
    "Trust": ("evaluation",),
    "Reports": ("reports",),
    "The nightly run": ("pipeline",),
    "Errors": ("exceptions",),
}


def public_names() -> dict[str, str]:
    """Every public name, and the room that it comes from."""
    stub = (Path(crmkit.__file__).parent / "__init__.pyi").read_text(encoding="utf-8")
    found = {}
    for line in stub.splitlines():
        if match := re.match(r"^from crmkit\.(\w+)\S* import \w+ as (\w+)$", line):
            found[match[2]] = match[1]
    return found


def api_page() -> str:
    """All public names by subject."""
    names = public_names()
    parts = ["# Public names\n\nAll of them are reached as `ck.NAME` after `import crmkit as ck`.\n"]
    for title, rooms in GROUPS.items():
        of_group = sorted((name for name, room in names.items() if room in rooms), key=str.lower)
        if of_group:
            listed = "\n".join(f"   crmkit.{name}" for name in of_group)
            parts.append(f"## {title}\n\n```{{eval-rst}}\n.. autosummary::\n   :toctree: names\n\n{listed}\n```\n")
    return "\n".join(parts)


def settings_page() -> str:
    """Every section of the configuration, with its keys, kinds and defaults."""
    parts = [
        "# Settings\n\nA configuration is one TOML file. Paths start from its folder. An unknown key is refused, with the nearest "
        "known one. `crmkit init` writes a first one from your files; "
        "[the schema](crmkit.schema.json) lets an editor complete and check it.\n",
        "## At the top\n\n"
        + _table((name, field) for name, field in Config.model_fields.items() if not _model(field.annotation)),
    ]
    for name, field in Config.model_fields.items():
        if model := _model(field.annotation):
            kept = f"{inspect.getdoc(model) or ''}".split("\n\n")[0].replace("``", "`")
            parts.append(f"## [{name}]\n\n{kept}\n\n{_table(model.model_fields.items())}")
    return "\n".join(parts)


def _model(kind: Any) -> type[BaseModel] | None:
    kinds = [kind, *get_args(kind)]
    return next((one for one in kinds if isinstance(one, type) and issubclass(one, BaseModel)), None)


def _table(fields: Any) -> str:
    rows = [f"| `{name}` | {_kind(field.annotation)} | {_default(field)} |" for name, field in fields]
    return "\n".join(["| key | kind | default |", "|---|---|---|", *rows, ""])


def _kind(kind: Any) -> str:
    if kind is type(None):
        return "nothing"
    origin = get_origin(kind)
    if origin is Literal:
        return ", ".join(f"`{one!r}`" for one in get_args(kind))
    if origin in (Union, UnionType):
        return " or ".join(_kind(one) for one in get_args(kind) if one is not type(None))
    if str(kind).startswith("typing.Annotated"):
        return _kind(get_args(kind)[0])
    if origin is not None:
        inner = [_kind(one) for one in get_args(kind) if one is not Ellipsis]
        return f"{origin.__name__} of {', '.join(inner)}"
    return {"int": "whole number", "float": "number", "str": "text", "bool": "true or false", "date": "day"}.get(
        getattr(kind, "__name__", ""), getattr(kind, "__name__", str(kind))
    )


def _default(field: Any) -> str:
    if field.default is PydanticUndefined:
        return "must be given" if field.default_factory is None else "empty"
    return "none" if field.default is None else f"`{json.dumps(field.default, default=str)}`"


def pages() -> Iterator[tuple[str, str]]:
    """Name and content of each page."""
    yield "api.md", api_page()
    yield "settings.md", settings_page()
    yield "crmkit.schema.json", json.dumps(Config.model_json_schema(), indent=1) + "\n"


def write_pages(folder: Path) -> None:
    """Write those that have changed."""
    folder.mkdir(exist_ok=True)
    for name, content in pages():
        file = folder / name
        if not file.is_file() or file.read_text(encoding="utf-8") != content:
            file.write_text(content, encoding="utf-8")
