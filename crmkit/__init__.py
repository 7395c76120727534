"""crmkit: customer decisions from a retailer's till extracts.

The public names stand once, in ``__init__.pyi``, where type checkers and editors see them. Each is imported when it is
first asked for, so ``import crmkit`` is quick and brings in none of the heavy packages behind it.
"""

from __future__ import annotations

import ast as _ast
from importlib import import_module as _import_module
from pathlib import Path as _Path

_STUB = _ast.parse(_Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
_HOMES = {name.name: node.module for node in _STUB.body if isinstance(node, _ast.ImportFrom) for name in node.names}
_RENAMED = {"limits": "engine_limits", "scoring": "metrics", "track": "track_group"}

__version__ = "0.1.0"
__all__ = sorted([*_HOMES, "__version__"])


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        from difflib import get_close_matches as _get_close_matches

        near = [_RENAMED[name]] if name in _RENAMED else _get_close_matches(name, __all__, n=1)
        hint = f". Did you mean {near[0]!r}?" if near else ""
        raise AttributeError(f"module 'crmkit' has no attribute {name!r}{hint}")
    home = _import_module(str(_HOMES[name]))
    return getattr(home, name) if hasattr(home, name) else _import_module(f"{home.__name__}.{name}")


def __dir__() -> list[str]:
    return __all__
