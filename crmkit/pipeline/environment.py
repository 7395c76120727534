"""What a configuration leaves to the environment: ``${NAME}``."""

from __future__ import annotations

import os
import re

from crmkit.exceptions import ConfigError

__all__ = ["from_environment"]


def from_environment(text: str, asking: str) -> str:
    """A text with its ``${NAME}`` from the environment; ``asking`` is what needs them.

    Raises
    ------
    ConfigError
        One is not set.
    """
    absent = [name for name in re.findall(r"\$\{(\w+)\}", text) if name not in os.environ]
    if absent:
        raise ConfigError(f"Environment variables not set: {absent}. {asking} needs them.")
    return re.sub(r"\$\{(\w+)\}", lambda name: os.environ[name[1]], text)
