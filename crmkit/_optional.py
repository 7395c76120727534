"""Packages that are asked for at the point of use, with the extra that brings them."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from crmkit.exceptions import CrmkitError


def require(module: str, extra: str) -> ModuleType:
    """Import ``module`` or say which extra brings it.

    >>> require("json", "nothing").__name__
    'json'
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise CrmkitError(f"{module} is needed here and is not installed: pip install 'crmkit[{extra}]'") from error
