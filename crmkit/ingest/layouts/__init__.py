"""Well-known layouts of sales data: how their columns are called and their times are written, each a small data file.

Every file says where the layout comes from, what to do before it can be read, and has a section for each table.
"""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from crmkit.exceptions import ConfigError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = ["layout", "layouts", "settings_of"]

_CLOCK = ("time_zone", "recorded_in", "time_format", "trading_day_cutoff")


def layouts() -> dict[str, str]:
    """Names of the layouts that are known, and what each is.

    >>> layouts()["cdnow"]
    'CDNOW purchases, as in the BTYD packages'
    """
    names = sorted(file.name.removesuffix(".toml") for file in _files() if file.name.endswith(".toml"))
    return {name: _content(name)["title"] for name in names}


def layout(name: str, table: str = "transactions") -> dict[str, str]:
    """The columns and the clock of a layout, as keyword arguments.

    Parameters
    ----------
    name : str
        One of `layouts`.
    table : str
        ``"transactions"``, or another table that the layout has.

    Returns
    -------
    dict
        For ``Transactions.split_extract(extract, until=…, **layout("cdnow"))``.

    Raises
    ------
    ConfigError
        There is no such layout, or it does not have the table.

    Examples
    --------
    >>> layout("cdnow")
    {'customer_id': 'masterid', 'purchased_at': 'date', 'amount': 'sales', 'quantity': 'cds', 'time_format': '%Y%m%d'}
    """
    settings = settings_of(name, table)
    return {**settings["columns"], **{key: settings[key] for key in _CLOCK if key in settings}}


def settings_of(name: str, table: str) -> dict[str, Any]:
    """Everything a layout states about a table, as the configuration writes it."""
    content = _content(name)
    tables = [key for key, value in content.items() if isinstance(value, dict)]
    if table not in tables:
        raise ConfigError(f"The layout {name!r} has no {table}. It has {', '.join(tables)}.")
    return dict(content[table])


@cache
def _content(name: str) -> dict[str, Any]:
    known = {file.name.removesuffix(".toml"): file for file in _files() if file.name.endswith(".toml")}
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}" if near else ""
        raise ConfigError(f"There is no layout {name!r}{hint} (there are {', '.join(sorted(known))}).")
    return tomllib.loads(known[name].read_text(encoding="utf-8"))


def _files() -> list[Traversable]:
    return list(resources.files("crmkit").joinpath("ingest", "layouts").iterdir())
