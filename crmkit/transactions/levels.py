"""The same log by card, by member or by unit: the same lines, the same money, other names."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Literal

import pandas as pd

from crmkit._folders import temporary_folder
from crmkit.engine.base import SqlEngine
from crmkit.engine.choose import engine_for
from crmkit.engine.texts import sql_text
from crmkit.exceptions import ConfigError, ContractError
from crmkit.transactions.identities import Identities
from crmkit.transactions.log import Transactions, check_log
from crmkit.transactions.returns import spent_days

__all__ = ["LEVELS", "Level", "at_level", "level_totals", "members_at", "near_identical", "relabelled", "with_names"]

Level = Literal["card", "member", "unit"]
LEVELS = ("card", "member", "unit")
_NAMED: tuple[Level, Level] = ("member", "unit")


def at_level(
    log: Transactions, identities: Identities | pd.DataFrame, level: Level, folder: str | Path | None = None
) -> Transactions:
    """The same log by member or by unit: every summary, model and plan of it is then by member or by unit.

    Parameters
    ----------
    log : Transactions
        By card.
    identities : Identities or DataFrame
        A DataFrame is one of `Identities.table`. A card that is not in it stands for itself.
    level : {"card", "member", "unit"}
    folder : path, optional
        Where its lines, trips and days are kept; by default a private folder.

    Returns
    -------
    Transactions
        The same lines and money. A return takes back what it took back by card; purchase days are counted anew.

    Raises
    ------
    ContractError
        A unit has the number of a card of the log that is in no table.

    Examples
    --------
    >>> till = pd.DataFrame({"customer_id": ["c1", "c2", "c3"], "purchased_at": "2017-01-05", "amount": [1.0, 2.0, 4.0]})
    >>> log = Transactions.from_extract(till, until="2017-01-31")
    >>> ids = Identities.from_extract(pd.DataFrame({"card": ["c1", "c2"], "member": ["m1", "m2"], "unit": "u1"}))
    >>> from crmkit import rfm_table
    >>> rfm_table(at_level(log, ids, "unit"))[["customer_id", "total_spend"]]
      customer_id  total_spend
    0          c3          4.0
    1          u1          3.0
    """
    check_log(log)
    if level not in LEVELS:
        raise ConfigError(f"level={level!r} is not known; there are {list(LEVELS)}.")
    if level == "card":
        return log
    table = identities.table() if isinstance(identities, Identities) else identities
    home = Path(folder) if folder is not None else temporary_folder("log")
    home.mkdir(parents=True, exist_ok=True)
    with engine_for(log) as engine:
        lines, names = engine.parquet(log.lines), engine.register(_names(table, level))
        _check_strangers(engine.frame(_STRANGERS.format(lines=lines, names=names)), level)
        return with_names(engine, log, "relabelled", names, "coalesce(n.name, l.customer_id)", home)


def with_names(engine: SqlEngine, log: Transactions, text: str, names: str, customer: str, home: Path) -> Transactions:
    """The log whose lines are called by another name, an expression of ``l`` (lines) and ``n`` (names); trips and days of it anew."""
    lines = engine.parquet(log.lines)
    columns = ", ".join(
        f"{customer} as {name}" if name == "customer_id" else f"l.{name}" for name in engine.types(lines)
    )
    engine.save(sql_text(f"transactions/{text}", columns=columns, lines=lines, names=names), home / "lines.parquet")
    stored = engine.parquet(home / "lines.parquet")
    engine.save(sql_text("transactions/trips", lines=stored), home / "trips.parquet")
    engine.save(spent_days(sql_text("transactions/spent", lines=stored)), home / "days.parquet")
    return replace(log, folder=home, line_files=(), trip_files=())


_STRANGERS = """select cast(count(distinct l.customer_id) as bigint) as n from {lines} l
    left join {names} c on l.customer_id = c.card
    where c.card is null and l.customer_id in (select name from {names})"""


def _check_strangers(found: pd.DataFrame, level: Level) -> None:
    if n := int(found["n"][0]):
        raise ContractError(
            f"{n:,} cards of the log are in no table of cards and have the number of a {level}. Add them to the table."
        )


def _names(table: pd.DataFrame, level: Level) -> pd.DataFrame:
    """What each card is called, and from which day on."""
    days = pd.to_datetime(table["since"])
    numbers = (days - pd.Timestamp(0)).dt.days.astype("Int32")
    return pd.DataFrame({"card": table["card"].astype("str"), "name": table[level].astype("str"), "since": numbers})


def relabelled(table: pd.DataFrame, identities: pd.DataFrame | None, level: Level) -> pd.DataFrame:
    """A table with customer_id, whose cards are called by their member or unit; no row is added or lost.

    >>> ids = pd.DataFrame({"card": ["c1"], "member": ["m1"], "unit": ["u1"]})
    >>> relabelled(pd.DataFrame({"customer_id": ["c1", "c9"], "points": [5, 7]}), ids, "unit")
      customer_id  points
    0          u1       5
    1          c9       7
    """
    if identities is None or level == "card":
        return table
    names = identities.set_index("card")[level]
    return table.assign(customer_id=table["customer_id"].map(names).fillna(table["customer_id"]))


def members_at(members: pd.DataFrame, identities: pd.DataFrame | None, level: Level) -> pd.DataFrame:
    """One row per member or unit: of each column what the first of their cards says that says anything.

    >>> ids = pd.DataFrame({"card": ["c1", "c2"], "member": ["m1", "m1"], "unit": ["u1", "u1"]})
    >>> cards = pd.DataFrame({"customer_id": ["c1", "c2"], "no_contact": [None, "x"]})
    >>> members_at(cards, ids, "member").values.tolist()
    [['m1', 'x']]
    """
    if identities is None or level == "card":
        return members
    return relabelled(members, identities, level).groupby("customer_id", as_index=False, sort=True).first()


def level_totals(log: Transactions, identities: pd.DataFrame, as_of: str | date | None = None) -> pd.DataFrame:
    """How many cards, members and units bought, and the same purchase days and money at each level.

    Parameters
    ----------
    log : Transactions
        By card.
    identities : DataFrame
        From `Identities.table`.
    as_of : date, optional
        By default the log's ``until``.

    Returns
    -------
    DataFrame
        level, customers, card_days (purchase days, counted by card), sales. Three rows.

    Examples
    --------
    >>> till = pd.DataFrame({"customer_id": ["c1", "c2"], "purchased_at": "2017-01-05", "amount": [1.0, 2.0]})
    >>> ids = Identities.from_extract(pd.DataFrame({"card": ["c1", "c2"], "member": ["m1", "m2"], "unit": "u1"}))
    >>> level_totals(Transactions.from_extract(till, until="2017-01-31"), ids.table())
        level  customers  card_days  sales
    0    card          2          2    3.0
    1  member          2          2    3.0
    2    unit          1          2    3.0
    """
    with engine_for(log) as engine:
        tables = {f"{level}s": engine.register(_names(identities, level)) for level in _NAMED}
        text = sql_text("transactions/level_totals", days=engine.parquet(log.days), **tables)
        return engine.frame(text, {"as_of": log.close_of(as_of)})


def near_identical(log: Transactions) -> pd.DataFrame:
    """Customers whose numbers differ in capitals, blanks, marks or leading zeros alone; nothing is merged.

    Returns
    -------
    DataFrame
        customer_id, same_as (the first of the numbers that are alike), purchases (purchase days).

    Examples
    --------
    >>> till = pd.DataFrame({"customer_id": ["A-17", "a17", "18"], "purchased_at": "2017-01-05", "amount": 1.0})
    >>> near_identical(Transactions.from_extract(till, until="2017-01-31"))["customer_id"].tolist()
    ['A-17', 'a17']
    """
    with engine_for(log) as engine:
        return engine.frame(sql_text("transactions/near_identical", days=engine.parquet(log.days)))
