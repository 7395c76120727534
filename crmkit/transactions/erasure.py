"""Who asked to be forgotten: marks that name nobody, and logs without the people they stand for."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from crmkit._atomic import replacing
from crmkit.engine.choose import engine_for
from crmkit.exceptions import ConfigError, ExtractError
from crmkit.transactions.levels import with_names
from crmkit.transactions.log import Transactions
from crmkit.transactions.store import Store

__all__ = ["KEY", "Tombstones", "customers_in", "erase_again", "without_customers"]

KEY = "CRMKIT_PRIVACY_KEY"
"""The environment's variable that holds the key; without it one is drawn and kept beside the marks."""
_SHORTEST = 16


@dataclass(frozen=True)
class Tombstones:
    """Marks of the customers who were forgotten: HMAC-SHA256 of their ids, which nobody can turn back without the key.

    Attributes
    ----------
    key : bytes
    marks : frozenset of str
    begun : frozenset of str
        Those of the marks whose erasure has begun and not ended.

    Examples
    --------
    >>> stones = Tombstones(b"a key of sixteen").with_ids(["007"])
    >>> stones.among(pd.Series(["007", "008"])).tolist()
    [True, False]
    >>> "007" in str(stones)
    False
    """

    key: bytes = field(repr=False)
    marks: frozenset[str] = frozenset()
    begun: frozenset[str] = frozenset()

    @classmethod
    def read(cls, folder: Path) -> Tombstones:
        """Those of a folder; none where it has none yet.

        Raises
        ------
        ConfigError
            The environment's key is too short, or not the one that the marks were made with.
        ExtractError
            The file is damaged.
        """
        stated, file = os.environ.get(KEY, "").encode(), folder / "forgotten.json"
        if stated and len(stated) < _SHORTEST:
            raise ConfigError(f"{KEY} has {len(stated)} bytes; give it {_SHORTEST} or more.")
        if not file.is_file():
            return cls(stated or secrets.token_hex(32).encode())
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            key, marks, check = found["key"], frozenset(map(str, found["marks"])), found["check"]
            begun = frozenset(map(str, found.get("begun", [])))
        except (OSError, ValueError, KeyError, TypeError):
            raise ExtractError(
                f"{file} is damaged. Restore it from a backup: it says who must not come back."
            ) from None
        stones = cls(stated or str(key or "").encode(), marks, begun)
        if not hmac.compare_digest(stones.mark(_CHECK), str(check)):
            raise ConfigError(f"The key in {KEY} is not the one that {file} was made with.")
        return stones

    def save(self, folder: Path) -> None:
        """Write them into a folder that is closed to others; a key of the environment is not written."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        own = None if os.environ.get(KEY) else self.key.decode()
        file = folder / "forgotten.json"
        with replacing(file) as part:
            marks = {"marks": sorted(self.marks), "begun": sorted(self.begun)}
            part.write_text(json.dumps({"key": own, "check": self.mark(_CHECK), **marks}, indent=1))
        file.chmod(0o600)

    def mark(self, customer_id: object) -> str:
        """The mark of one id."""
        return hmac.new(self.key, str(customer_id).encode(), hashlib.sha256).hexdigest()

    def with_ids(self, ids: Iterable[object]) -> Tombstones:
        """These and the marks of more customers, whose erasure begins."""
        more = {self.mark(one) for one in ids}
        return replace(self, marks=self.marks | more, begun=self.begun | more)

    def ended(self, ids: Iterable[object]) -> Tombstones:
        """The same when the erasure of these has ended."""
        return replace(self, begun=self.begun - {self.mark(one) for one in ids})

    def is_erased(self, customer_id: object) -> bool:
        """Whether a customer is forgotten, and the erasure has ended."""
        mark = self.mark(customer_id)
        return mark in self.marks and mark not in self.begun

    def __contains__(self, customer_id: object) -> bool:
        return bool(self.marks) and self.mark(customer_id) in self.marks

    def among(self, ids: pd.Series[str]) -> pd.Series[bool]:
        """Which of some ids are forgotten; a missing one is nobody's."""
        if not self.marks:
            return pd.Series(False, index=ids.index)
        distinct = ids.dropna().unique()
        gone = [one for one in distinct if self.mark(one) in self.marks]
        return ids.isin(gone)

    def without(self, table: pd.DataFrame, *columns: str) -> pd.DataFrame:
        """The rows of a table that name none of the forgotten in these columns, customer_id by default."""
        there = [name for name in columns or ("customer_id",) if name in table]
        if not self.marks or not there:
            return table
        named = pd.concat([self.among(table[name]) for name in there], axis=1).any(axis=1)
        return table[~named].reset_index(drop=True) if named.any() else table

    def without_on_spark(self, table: Any) -> Any:
        """The same of a table of Spark, where it is: nobody's row comes here."""

        def parts(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                kept = [one not in self for one in batch.column("customer_id").to_pylist()]
                yield batch.filter(pa.array(kept, pa.bool_()))

        return table.mapInArrow(parts, table.schema)

    @property
    def digest(self) -> str:
        """Changes when somebody is forgotten."""
        return hashlib.sha256("".join(sorted(self.marks)).encode()).hexdigest()


_CHECK = "crmkit"
"""Its mark shows whether a key is the right one."""


def customers_in(log: Transactions, stones: Tombstones) -> list[str]:
    """The customers of a log who are among the forgotten."""
    if not stones.marks:
        return []
    with engine_for(log) as engine:
        ids = engine.frame(f"select distinct customer_id from {engine.parquet(log.trips)} order by customer_id")
    return ids.loc[stones.among(ids["customer_id"]), "customer_id"].tolist()


def without_customers(log: Transactions, ids: Iterable[str], folder: Path) -> Transactions:
    """The same log without some customers: their lines stay as sales of nobody known, their trips and days go.

    Examples
    --------
    >>> import tempfile
    >>> till = pd.DataFrame({"customer_id": ["a", "b"], "purchased_at": "2017-01-05", "amount": [1.0, 2.0]})
    >>> log = Transactions.from_extract(till, until="2017-01-31")
    >>> rest = without_customers(log, ["a"], Path(tempfile.mkdtemp()))
    >>> pd.read_parquet(rest.trips)["customer_id"].tolist(), float(pd.read_parquet(rest.lines)["amount"].sum())
    (['b'], 3.0)
    """
    folder.mkdir(parents=True, exist_ok=True)
    gone = pa.table({"card": pa.array(sorted(set(ids)), pa.string())})
    with engine_for(log) as engine:
        names = engine.register(gone)
        return with_names(engine, log, "without", names, "case when n.card is null then l.customer_id end", folder)


def erase_again(store: Store, stones: Tombstones) -> int:
    """Erase from a store who was forgotten and has been delivered again; returns how many customers."""
    again = customers_in(store.transactions(), stones) if stones.marks else []
    if again:
        store.erase(again)
    return len(again)
