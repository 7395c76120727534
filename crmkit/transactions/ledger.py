"""The ledger of a store: one row for each load, with its files and what became of their rows."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from crmkit._days import day_of
from crmkit._hashes import file_hash
from crmkit.ingest.rules import NON_MEMBER_REASONS, REJECTED
from crmkit.transactions.rejections import Rejections

if TYPE_CHECKING:
    pass

__all__ = ["Ledger", "Load", "first_file"]

FILES = 1_000_000
"""Files that one load may have."""
COLUMNS = {
    "number": "bigint",
    "token": "string",
    "loaded_at": "string",
    "until": "string",
    "corrects": "boolean",
    "files": "string[]",
    "sha256": "string[]",
    "file_sha256": "string[]",
    "read": "bigint[]",
    "used": "bigint[]",
    "left_out": "bigint[]",
    "duplicate": "bigint[]",
    "lost": "bigint[]",
    "rows_read": "bigint",
    "rows_used": "bigint",
    "rows_left_out": "bigint",
    "rows_rejected": "bigint",
    "rows_duplicate": "bigint",
    "rows_replaced": "bigint",
    "first_day": "string",
    "last_day": "string",
    "no_store": "boolean",
    "classes": "string",
}
_OF_FILES = ("sha256", "file_sha256", "read", "used", "left_out", "duplicate", "lost")


@dataclass(frozen=True)
class Load:
    """One load, as the ledger keeps it; the lists have one entry for each file.

    ``sha256`` is of a file's unpacked content with what its sheet or folders state, ``file_sha256`` of the file as it lies there;
    ``used`` counts rows kept (non-members' too), ``lost`` those rejected for another reason than being a non-member's;
    ``no_store`` says that a line with order_id and line_id names no store.
    """

    number: int
    token: str
    loaded_at: str
    until: str
    corrects: bool
    files: list[str]
    sha256: list[str]
    file_sha256: list[str]
    read: list[int]
    used: list[int]
    left_out: list[int]
    duplicate: list[int]
    lost: list[int]
    rows_read: int
    rows_used: int
    rows_left_out: int
    rows_rejected: int
    rows_duplicate: int
    rows_replaced: int
    first_day: str | None
    last_day: str | None
    no_store: bool
    classes: str

    @classmethod
    def of(
        cls,
        number: int,
        token: str,
        until: date,
        corrects: bool,
        found: Rejections,
        paths: Sequence[Path | None],
        lines: pd.DataFrame,
        rows_replaced: int,
        classes: Mapping[str, Sequence[str]],
    ) -> Load:
        """A load from what became of its rows; ``lines`` has file, n, first, last, no_store of the lines kept."""
        kept = lines.set_index("file").reindex(first_file(number) + found.files.index)
        rejected = pd.read_parquet(found.path, columns=["place", "reason", "outcome"])
        invalid = rejected["outcome"].eq(REJECTED) & ~rejected["reason"].isin(NON_MEMBER_REASONS)
        lost = rejected.loc[invalid, "place"].value_counts()
        return cls(
            number=number,
            token=token,
            loaded_at=datetime.now(UTC).isoformat(timespec="seconds"),
            until=str(until),
            corrects=corrects,
            files=found.files["file"].tolist(),
            sha256=found.files["sha256"].tolist(),
            file_sha256=[file_hash(path) if path else "" for path in paths],
            read=found.files["rows_read"].tolist(),
            used=kept["n"].fillna(0).astype("int64").tolist(),
            left_out=found.files["rows_left_out"].tolist(),
            duplicate=found.files["rows_duplicate"].tolist(),
            lost=[int(lost.get(place, 0)) for place in found.files.index],
            rows_read=found.rows_read,
            rows_used=found.rows_used,
            rows_left_out=found.rows_left_out,
            rows_rejected=found.rows_rejected,
            rows_duplicate=found.rows_duplicate,
            rows_replaced=rows_replaced,
            first_day=str(day_of(int(kept["first"].min()))) if len(lines) else None,
            last_day=str(day_of(int(kept["last"].max()))) if len(lines) else None,
            no_store=bool(lines["no_store"].any()),
            classes=json.dumps(classes, sort_keys=True),
        )

    def row(self) -> dict[str, object]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class Ledger:
    """All loads of a store, in order."""

    table: pa.Table

    @property
    def last(self) -> int:
        """Number of the newest load; 0 when there is none."""
        return int(self.table["number"][-1].as_py()) if len(self.table) else 0

    @property
    def observed(self) -> str | None:
        """The last day that a load has observed; one whose rows were all rejected has observed nothing."""
        frame: pd.DataFrame = self.table.select(["until", "used", "rows_left_out", "rows_duplicate"]).to_pandas()
        taken = frame["used"].map(sum) + frame["rows_left_out"] + frame["rows_duplicate"]
        seen = frame.loc[taken.gt(0), "until"]
        return None if seen.empty else str(seen.max())

    @property
    def classes(self) -> dict[str, list[str]]:
        return dict(json.loads(self.table["classes"][-1].as_py())) if len(self.table) else {}

    @property
    def any_without_store(self) -> bool:
        return bool(pc.any(self.table["no_store"]).as_py())

    @property
    def frame(self) -> pd.DataFrame:
        """One row a load."""
        frame: pd.DataFrame = self.table.to_pandas()
        return frame

    @cached_property
    def files(self) -> pd.DataFrame:
        """One row for each file of each load: number, place, loaded_at, corrects, file, and its entries of the lists."""
        names = ["files", *_OF_FILES]
        frame: pd.DataFrame = self.table.select(["number", "loaded_at", "corrects", *names]).to_pandas()
        frame = frame.explode(names, ignore_index=True).dropna(subset=["sha256"]).rename(columns={"files": "file"})
        frame = frame.astype(dict.fromkeys(_OF_FILES[2:], "int64"))
        return frame.assign(place=frame.groupby("number").cumcount())

    def history(self) -> pd.DataFrame:
        """What became of every file; see `Store.history`."""
        files = self.files
        rejected = files["read"] - files["used"] - files["left_out"] - files["duplicate"]
        fates = [
            (files["read"].eq(0), "empty"),
            (files["duplicate"].eq(files["read"]), "duplicate"),
            (files["used"].eq(0) & rejected.gt(0), "rejected"),
            (files["corrects"], "corrected"),
        ]
        fate = pd.Series("loaded", files.index).case_when(fates)
        table = files.assign(fate=fate, rejected=rejected)
        names = {
            "number": "load",
            **{name: f"rows_{name}" for name in ("read", "used", "left_out", "duplicate", "rejected")},
        }
        columns = ["load", "loaded_at", "file", "fate", *list(names.values())[1:], "sha256"]
        return table.rename(columns=names)[columns]

    def taken(self) -> set[str]:
        """Hashes of the files of which any row was kept."""
        hashes, used = (pc.list_flatten(self.table[name]) for name in ("sha256", "used"))
        return set(hashes.filter(pc.greater(used, 0)).to_pylist()) - {""}

    def settled(self) -> set[str]:
        """Hashes of the files as they lie there that need not be read again: not those of which every row was rejected."""
        files = self.files
        lost = files["used"].eq(0) & files["lost"].gt(0)
        return set(files.loc[~lost, "file_sha256"]) - {""}

    def given(self) -> list[str]:
        """What each load brought, in order: hashes of files as they lie there, or its number where it was a dataframe."""
        files = self.files
        return [digest or f"load {n}" for n, digest in zip(files["number"], files["file_sha256"], strict=True)]

    def until(self, number: int) -> Ledger:
        """The ledger as it was after a load."""
        return Ledger(self.table.slice(0, sum(n <= number for n in self.table["number"].to_pylist())))

    def without(self, files: pd.DataFrame) -> Ledger:
        """The ledger in which nothing was kept of these files (load, place), so that they may come again."""
        gone = set(zip(files["load"], files["place"], strict=True))
        rows = self.table.to_pylist()
        for row in rows:
            row["used"] = [0 if (row["number"], place) in gone else n for place, n in enumerate(row["used"])]
        return Ledger(pa.Table.from_pylist(rows, schema=self.table.schema))

    def incomplete(self, hashes: Collection[str]) -> pd.DataFrame:
        """Of these files, those of which rows were rejected when they were loaded: file and how many."""
        if not self.taken().intersection(hashes):
            return pd.DataFrame({"file": [], "lost": []})
        files = self.files
        again = files[files["sha256"].isin(list(hashes)) & files["used"].gt(0)]
        first = again.drop_duplicates("sha256", keep="first")
        return first.loc[first["lost"].gt(0), ["file", "lost"]]


def first_file(number: int) -> int:
    """The number of a load's first file among the files of all loads."""
    return number * FILES
