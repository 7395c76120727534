"""Text on its way to the terminal: names of columns and files are shown, and do not steer it."""

from __future__ import annotations

import re

import typer

__all__ = ["for_terminal", "say"]

_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def for_terminal(text: str) -> str:
    """Text in which what would steer a terminal, or turn its direction, is shown as an escape.

    >>> print(for_terminal("card\x1b[2J no"))
    card\\x1b[2J no
    """
    return _STEERING.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def say(text: str, err: bool = False) -> None:
    """Print text that may hold names of columns and files."""
    typer.echo(for_terminal(text), err=err)
