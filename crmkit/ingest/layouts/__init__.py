"""Well-known layouts of sales data: how their columns are called and their times are written, each a small data file.

Every file says where the layout comes from, what to do before it can be read, and has a section for each table.
"""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from crmkit.exceptions import ConfigError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = ["differs", "layout", "layouts", "note_in_words", "note_of", "recognised", "settings_for", "settings_of"]

_CLOCK = ("time_zone", "recorded_in", "time_format", "trading_day_cutoff", "calendar")
_ROWS = ("leave_out", "kinds", "order_columns", "deduct", "refunds")
_NEEDED = ("customer_id", "purchased_at", "amount")
_MOSTLY = 0.7


def layouts() -> dict[str, str]:
    """Names of the layouts that are known, and what each is.

    >>> layouts()["cdnow"]
    'CDNOW purchases, as in the BTYD packages'
    """
    names = sorted(file.name.removesuffix(".toml") for file in _files() if file.name.endswith(".toml"))
    return {name: _content(name)["title"] for name in names}


def layout(name: str, table: str = "transactions") -> Layout:
    """The columns, the clock, and what rows mean in a layout, as keyword arguments.

    Parameters
    ----------
    name : str
        One of `layouts`.
    table : str
        ``"transactions"``, or another table that the layout has.

    Returns
    -------
    Layout
        A dict that shows its ``note``, what to know before it is read. For ``Transactions.split_extract(extract, until=…, **layout("cdnow"))``.

    Raises
    ------
    ConfigError
        There is no such layout, or it does not have the table.

    Examples
    --------
    >>> ready = layout("cdnow")
    >>> dict(ready)
    {'customer_id': 'masterid', 'purchased_at': 'date', 'amount': 'sales', 'quantity': 'cds', 'time_format': '%Y%m%d'}
    >>> ready.note.partition(",")[0]
    "Layout 'cdnow': One row per purchase"
    """
    settings = settings_of(name, table)
    return Layout(
        {**settings["columns"], **{key: settings[key] for key in (*_CLOCK, *_ROWS) if key in settings}},
        note_in_words(name),
    )


class Layout(dict[str, Any]):
    """The keyword arguments of a layout; shown with what to know before it is read."""

    def __init__(self, given: Mapping[str, Any], note: str) -> None:
        super().__init__(given)
        self.note = note

    def __repr__(self) -> str:
        return f"{super().__repr__()}\n{self.note}"


def note_of(name: str) -> str:
    """What to know, and to do, before a layout is read.

    >>> note_of("cdnow").partition(",")[0]
    'One row per purchase'
    """
    return str(_content(name).get("note", "")).strip()


def note_in_words(name: str) -> str:
    """What to know of a layout where it is used, in one paragraph.

    >>> note_in_words("cdnow").partition(",")[0]
    "Layout 'cdnow': One row per purchase"
    """
    return f"Layout {name!r}: {' '.join(note_of(name).split())}"


def recognised(delivered: Sequence[str]) -> str | None:
    """The layout of which these are the columns of sales: all that it needs are there, and most others are its own.

    >>> recognised(["TRANSACTION_DT", "CUSTOMER_ID", "AGE_GROUP", "PRODUCT_ID", "AMOUNT", "SALES_PRICE"])
    'ta-feng'
    """
    there = set(delivered)
    found = {}
    for name in layouts():
        content = _content(name)
        columns = content.get("transactions", {}).get("columns", {})
        needed = [key for key in _NEEDED if key in columns] or ["customer_id"]
        wanted = {piece for key in needed for piece in _pieces(columns[key])}
        if "amount" not in columns:
            wanted |= {columns["quantity"], columns["unit_price"]}
        own = there & set(next(csv.reader([content["header"]])))
        if (
            (wanted <= there or _keys_of_lines(content) <= there)
            and len(own) >= _MOSTLY * len(there)
            and len(own) > len(wanted)
        ):
            found[name] = len(own)
    return max(found, key=lambda name: found[name]) if found else None


def differs(delivered: Sequence[str], columns: Mapping[str, str | Sequence[str]]) -> str:
    """A sentence where these are the columns of a layout and another of them was named for the money, the member or the time.

    >>> differs(["TRANSACTION_DT", "CUSTOMER_ID", "AGE_GROUP", "PRODUCT_ID", "AMOUNT", "SALES_PRICE"], {"amount": "AMOUNT"})
    "These are the columns of layout 'ta-feng', whose amount is 'SALES_PRICE', not 'AMOUNT'. See layout('ta-feng')."
    """
    name = recognised(delivered) if any(key in columns for key in _NEEDED) else None
    if name is None:
        return ""
    known = settings_of(name, "transactions")["columns"]
    others = [key for key in _NEEDED if key in columns and _other(known.get(key), columns[key])]
    told = ", ".join(f"whose {key} is {_told(known, key)}, not {columns[key]!r}" for key in others)
    return f"These are the columns of layout {name!r}, {told}. See layout({name!r})." if others else ""


def _other(known: str | list[str] | None, named: str | Sequence[str]) -> bool:
    return not set(_pieces(named)) <= set(_pieces(known or []))


def _told(known: Mapping[str, object], key: str) -> str:
    return repr(known[key]) if key in known else f"{known['quantity']} × {known['unit_price']}"


def _keys_of_lines(content: Mapping[str, Mapping[str, Sequence[str]]]) -> set[str]:
    """What tells orders apart in the lines of a layout whose orders stand in a file of their own; without one, nothing will do."""
    return set(content["join"]["on"]) if "join" in content else {"\0"}


def settings_for(name: str, delivered: Sequence[str]) -> dict[str, Any]:
    """What a layout states about sales, of the columns that are there."""
    there, settings = set(delivered), settings_of(name, "transactions")
    columns = {key: given for key, given in settings["columns"].items() if set(_pieces(given)) <= there}
    kept: dict[str, Any] = {
        "leave_out": {column: words for column, words in settings.get("leave_out", {}).items() if column in there},
        "kinds": kinds if (kinds := settings.get("kinds", {})).get("column") in there else {},
        "order_columns": [column for column in settings.get("order_columns", ()) if column in there],
        "deduct": [column for column in settings.get("deduct", ()) if column in there],
        "refunds": {column: day for column, day in settings.get("refunds", {}).items() if {column, day} <= there},
    }
    stated = {key: value for key, value in settings.items() if key not in (*_ROWS, "columns")}
    return {**stated, **{key: value for key, value in kept.items() if value}, "columns": columns}


def _pieces(given: str | Sequence[str]) -> Sequence[str]:
    return [given] if isinstance(given, str) else given


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
