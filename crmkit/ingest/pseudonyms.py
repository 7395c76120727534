"""Pseudonyms: what customers are called instead of their ids, from the moment that a delivery is read.

A pseudonym is HMAC-SHA256 of the id under a key of the operator's, 24 letters and digits of it (120 bits). Who has neither the key
nor the table to re-identify cannot turn it back, and cannot try ids either. The table is a file of its own, in a folder that is
closed to others; the key is in neither.
"""

from __future__ import annotations

import base64
import hmac
import sqlite3
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from crmkit._atomic import full_disk_told
from crmkit.engine.texts import literal
from crmkit.exceptions import ConfigError, ExtractError
from crmkit.ingest.rules import FORGOTTEN

if TYPE_CHECKING:
    from crmkit.engine.base import SqlEngine
    from crmkit.ingest.contracts import Contract

__all__ = ["FILE", "PERSONS", "Pseudonyms", "pseudonymised", "shortest_key"]

PERSONS = ("customer_id", "card", "member", "merged_into", "unit")
"""Columns of the contracts that name somebody."""
FILE = "pseudonyms.sqlite"
_BYTES, _AT_ONCE, _SHORTEST = 15, 100_000, 16
_KEY_OF = "crmkit: the key of these pseudonyms"
_CHECK, _NEXT = "check", "next"


@dataclass(frozen=True)
class Pseudonyms:
    """What customers are called instead of their ids, and the table that turns it back.

    Parameters
    ----------
    key : bytes
        16 or more; it is neither printed nor written.
    folder : Path
        Of the table to re-identify.
    forgotten : container of str
        Ids of nobody any more: they get no pseudonym.

    Examples
    --------
    >>> import tempfile
    >>> names = Pseudonyms(b"a key of sixteen", Path(tempfile.mkdtemp()))
    >>> names.of("0077"), names.known(["0077"])
    ('iolretc5ojmsi3yecbyqvhiu', ['iolretc5ojmsi3yecbyqvhiu'])
    >>> names.ids_of(["iolretc5ojmsi3yecbyqvhiu"])
    {'iolretc5ojmsi3yecbyqvhiu': '0077'}
    >>> "sixteen" in str(names)
    False
    """

    key: bytes = field(repr=False)
    folder: Path
    forgotten: Container[str] = field(default=frozenset[str](), repr=False)

    def __post_init__(self) -> None:
        if len(self.key) < _SHORTEST:
            raise ConfigError(shortest_key("The key of the pseudonyms", len(self.key)))

    def of(self, customer_id: str) -> str:
        """The pseudonym of one id; always the same under one key."""
        digest = hmac.digest(self.key, customer_id.encode(), "sha256")
        return base64.b32encode(digest[:_BYTES]).decode().lower()

    @property
    def check(self) -> str:
        """Tells one key from another, and tells nothing else of it."""
        return self.of(_KEY_OF)

    # -- the table to re-identify ------------------------------------------------------------------------------------

    @property
    def path(self) -> Path:
        return self.folder / FILE

    def known(self, ids: Sequence[str | None]) -> list[str | None]:
        """The pseudonym of each id, all of them put into the table; nobody's where an id is missing, or forgotten.

        Raises
        ------
        ConfigError
            The table was made with another key.
        """
        found = [None if one is None or one in self.forgotten else self.of(one) for one in ids]
        pairs = ((name, one) for name, one in zip(found, ids, strict=True) if name is not None)
        with self._table() as table:
            table.executemany("insert or ignore into pseudonyms values (?, ?)", pairs)
        return found

    def verify(self) -> None:
        """Raise unless the key is that of the table, and no change of the key is half done."""
        with self._table():
            pass

    def ids_of(self, pseudonyms: Iterable[str]) -> dict[str, str]:
        """Whose these pseudonyms are: pseudonym → id, of those that are known."""
        with self._table() as table:
            one = "select pseudonym, id from pseudonyms where pseudonym = ?"
            return {row[0]: row[1] for name in pseudonyms for row in table.execute(one, (name,))}

    def erase(self, ids: Iterable[str]) -> None:
        """Take ids out of the table; their bytes are overwritten."""
        with self._table() as table:
            table.executemany("delete from pseudonyms where pseudonym = ?", [(self.of(one),) for one in ids])

    def all_ids(self) -> list[str]:
        """Every id of the table."""
        with self._table(changing=True) as table:
            return [row[0] for row in table.execute("select id from pseudonyms order by pseudonym")]

    def begin_change(self, new: Pseudonyms) -> None:
        """Note that names are given anew; until `end_change` the table serves only this."""
        with self._table(changing=True) as table:
            waiting = _stated(table, _NEXT)
            if waiting not in (None, new.check):
                raise ConfigError("Another change of the key did not end. Say it again with that key first.")
            table.execute("insert or replace into facts values (?, ?)", (_NEXT, new.check))

    def end_change(self, new: Pseudonyms) -> None:
        """Give every id its new name in the table, in one step."""
        ids = self.all_ids()
        with self._table(changing=True) as table:
            table.execute("delete from pseudonyms")
            table.executemany("insert into pseudonyms values (?, ?)", ((new.of(one), one) for one in ids))
            table.execute("insert or replace into facts values (?, ?)", (_CHECK, new.check))
            table.execute("delete from facts where name = ?", (_NEXT,))

    @contextmanager
    def _table(self, changing: bool = False) -> Iterator[sqlite3.Connection]:
        """The table in a transaction, made where it is not there; closed to others."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder.chmod(0o700)
        self.path.touch(mode=0o600)
        table = sqlite3.connect(self.path, timeout=60)
        try:
            with full_disk_told(self.folder, "Free some space and try again."), table:
                table.execute("pragma secure_delete = on")
                table.execute(
                    "create table if not exists pseudonyms (pseudonym text primary key, id text) without rowid"
                )
                table.execute("create table if not exists facts (name text primary key, value text)")
                self._check_key(table, changing)
                yield table
        except sqlite3.DatabaseError as error:
            if "full" in str(error):
                raise OSError(28, "No space left on device", str(self.path)) from None
            raise ExtractError(f"{self.path} cannot be read or written ({error}). Restore it from a backup.") from None
        finally:
            table.close()

    def _check_key(self, table: sqlite3.Connection, changing: bool) -> None:
        made_with = _stated(table, _CHECK)
        if made_with is None:
            table.execute("insert into facts values (?, ?)", (_CHECK, self.check))
        elif not hmac.compare_digest(made_with, self.check):
            raise ConfigError(
                f"The key is not the one that the pseudonyms of {self.path} were made with: every customer would be a new one. "
                "Give the old key, or change it with crmkit rekey."
            )
        if not changing and _stated(table, _NEXT):
            raise ConfigError("A change of the key did not end. Say crmkit rekey again with the same new key.")


def _stated(table: sqlite3.Connection, name: str) -> str | None:
    row = table.execute("select value from facts where name = ?", (name,)).fetchone()
    return row[0] if row else None


def shortest_key(what: str, n: int) -> str:
    """A sentence on a key that is too short."""
    return f"{what} has {n} bytes; give it {_SHORTEST} or more."


# -- At the door -----------------------------------------------------------------------------------------------------


def pseudonymised(
    engine: SqlEngine,
    rows: str,
    contract: Contract,
    present: Sequence[str],
    pseudonyms: Pseudonyms,
    keep: Callable[[str], str],
) -> str:
    """Typed rows with pseudonyms in place of ids. A row of somebody forgotten is a sale of nobody known, or goes."""
    import pyarrow as pa

    persons = [name for name in PERSONS if name in present and name in contract.columns]
    if not persons:
        return rows
    every = " union ".join(f"select distinct {name} as id from {rows} where {name} is not null" for name in persons)
    ids = engine.arrow(every)["id"].cast(pa.string())
    named = pa.chunked_array(
        [
            pa.array(pseudonyms.known(part.to_pylist()), pa.string())
            for place in range(0, len(ids), _AT_ONCE)
            for part in [ids.slice(place, _AT_ONCE)]
        ],
        pa.string(),
    )
    names = engine.register(pa.table({"id": ids, "pseudonym": named}))
    made = {name: f"n{place}.pseudonym as {name}" for place, name in enumerate(persons)}
    joins = " ".join(f"left join {names} n{place} on r.{name} = n{place}.id" for place, name in enumerate(persons))
    gone = [
        f"(r.{name} is not null and n{place}.pseudonym is null)"
        for place, name in enumerate(persons)
        if name in contract.required
    ] or ["false"]
    if contract.non_members:  # they stay as sales
        made["reason"] = (
            f"case when r.reason is null and {gone[0]} then {literal(FORGOTTEN.reason)} else r.reason end as reason"
        )
    query = f"select {', '.join(made.get(name, f'r.{name}') for name in engine.types(rows))} from {rows} r {joins}"
    return keep(query if contract.non_members else f"{query} where not ({' or '.join(gone)}) order by record")
