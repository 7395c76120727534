"""What was rejected, and the proof that rows and money add up."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pandas as pd

from crmkit.engine.base import SqlEngine
from crmkit.ingest.validation import ValidatedPart
from crmkit.transactions.duplicates import conflicting, count_rows

__all__ = ["CollectedLines", "Rejections", "reconcile"]


@dataclass(frozen=True)
class Rejections:
    """What became of every row that was read; prints as one sentence.

    Attributes
    ----------
    rows_read, rows_used, rows_rejected, rows_duplicate : int
        ``rows_read = rows_used + rows_rejected + rows_duplicate``, always.
    amount_read, amount_used, amount_rejected, amount_duplicate : Decimal
        The same for money; an amount that cannot be read counts as 0.
    counts : DataFrame
        reason, rows, amount, advice, most frequent first. Valid rows of non-members (no card number, say) are rejected
        for members and kept for sales.
    files : DataFrame
        file, sha256, rows_read, rows_used, rows_rejected, rows_duplicate.
    kinds : DataFrame
        kind, how, rows, amount of the lines that are kept: sale, free (nothing was paid), adjustment (money without
        goods), return (with how it was matched to its sale), and the classes that were given.
    path : Path
        Parquet file of the rejected rows, in no order; ``place`` counts the files.
    """

    files: pd.DataFrame = field(repr=False)
    counts: pd.DataFrame = field(repr=False)
    kinds: pd.DataFrame = field(repr=False)
    path: Path
    amount_read: Decimal
    amount_used: Decimal
    amount_rejected: Decimal
    amount_duplicate: Decimal

    @property
    def rows(self) -> pd.DataFrame:
        """file, record, line, reason, value, amount of each rejected row.

        ``record`` counts from 1 after the header, ``line`` is the physical line of the file. Customer ids are never
        shown.
        """
        rows = pd.read_parquet(self.path).sort_values(["place", "record"], kind="stable", ignore_index=True)
        return rows.drop(columns="place")

    @property
    def rows_read(self) -> int:
        return int(self.files["rows_read"].sum())

    @property
    def rows_used(self) -> int:
        return int(self.files["rows_used"].sum())

    @property
    def rows_rejected(self) -> int:
        return int(self.files["rows_rejected"].sum())

    @property
    def rows_duplicate(self) -> int:
        return int(self.files["rows_duplicate"].sum())

    @property
    def advice(self) -> list[str]:
        """What to do about each reason, most frequent first."""
        pairs = zip(self.counts["reason"], self.counts["advice"], strict=True)
        return [f"{reason}: {advice}" for reason, advice in pairs]

    def __str__(self) -> str:
        parts = [f"{n:,} where {reason}" for reason, n in zip(self.counts["reason"], self.counts["rows"], strict=True)]
        reasons = f": {', '.join(parts)}" if parts else ""
        return (
            f"{self.rows_read:,} rows read; used {self.rows_used:,}; duplicate {self.rows_duplicate:,}; "
            f"rejected {self.rows_rejected:,}{reasons}"
        )


@dataclass(frozen=True)
class CollectedLines:
    """A delivery inside the engine.

    Attributes
    ----------
    validated : list of ValidatedPart
        Its parts.
    resent : set of int
        Positions of the parts whose content was delivered before.
    repeated : str
        Relation of the lines whose (order_id, line_id) was delivered before.
    lines : str
        Relation of the lines that are kept; nobody's have no customer_id.
    """

    validated: list[ValidatedPart]
    resent: frozenset[int]
    repeated: str
    lines: str


def reconcile(engine: SqlEngine, received: CollectedLines, lines: str, path: Path) -> Rejections:
    """Give every row read its place, write the rejected ones, and prove that rows and money add up."""
    validated, repeated = received.validated, received.repeated
    _write_rejected(engine, received, path)
    kept = engine.parquet(path)
    counts = engine.frame(
        f"""select reason, count(*) as rows, sum(coalesce(amount, 0)) as amount from {kept}
        group by reason order by rows desc, reason"""
    )
    advice = {reason: text for part in validated for reason, text in part.advice.items()}
    counts = counts.assign(advice=counts["reason"].map(advice).astype("str"))
    files = _files(engine, received)
    zero = Decimal("0.0000")
    again = [validated[place].amount_read for place in received.resent]
    totals = engine.arrow(
        f"""select coalesce(sum(amount), 0) as amount, count(*) as n from {lines} where customer_id is not null
        union all select coalesce(sum(amount), 0), count(*) from {kept}
        union all select coalesce(sum(amount), 0), count(*) from {repeated} where not differs and reason is null"""
    )
    used, rejected, doubled = (zero + Decimal(value.as_py()) for value in totals["amount"])
    kinds = engine.frame(
        f"select kind, how, count(*) as rows, sum(amount) as amount from {lines} group by kind, how order by kind, how"
    )
    found = Rejections(
        files,
        counts,
        kinds,
        path,
        amount_read=sum((part.amount_read for part in validated), zero),
        amount_used=used,
        amount_rejected=rejected,
        amount_duplicate=sum(again, doubled),
    )
    _check_totals(found, totals["n"][0].as_py())
    return found


def _write_rejected(engine: SqlEngine, received: CollectedLines, path: Path) -> None:
    """Rejected rows of all parts, those whose key repeats with other content among them."""
    conflicts = engine.frame(
        f"select file, record, amount from {received.repeated} where differs and reason is null order by 1, 2"
    )
    late = engine.register(pd.concat([conflicting(part, n, conflicts) for n, part in enumerate(received.validated)]))
    selects = [
        f"""select cast(place as integer) as place, file, record, cast(line as bigint) as line, reason,
        cast(value as string) as value, cast(amount as decimal(18, 4)) as amount from {late}"""
    ]
    selects += [
        f"select {number} as place, * from {part.rejected}"
        for number, part in enumerate(received.validated)
        if number not in received.resent
    ]
    engine.save(" union all ".join(selects), path)


def _files(engine: SqlEngine, received: CollectedLines) -> pd.DataFrame:
    """What became of the rows of each file."""
    validated, resent = received.validated, received.resent
    rejected = [0 if n in resent else count_rows(engine, part.rejected) for n, part in enumerate(validated)]
    again = engine.frame(
        f"""select file, sum(case when differs then 1 else 0 end) as differing, sum(case when differs then 0 else 1 end)
        as doubled from {received.repeated} where reason is null group by file"""
    ).set_index("file")
    doubled = [part.rows_read if n in resent else int(again["doubled"].get(n, 0)) for n, part in enumerate(validated)]
    files = pd.DataFrame(
        {
            "file": [part.name for part in validated],
            "sha256": [part.sha256 for part in validated],
            "rows_read": [part.rows_read for part in validated],
            "rows_rejected": [n + int(again["differing"].get(place, 0)) for place, n in enumerate(rejected)],
            "rows_duplicate": doubled,
        }
    )
    files.insert(3, "rows_used", files["rows_read"] - files["rows_rejected"] - files["rows_duplicate"])
    return files


def _check_totals(found: Rejections, n_used: int) -> None:
    money = found.amount_used + found.amount_rejected + found.amount_duplicate
    if n_used != found.rows_used or money != found.amount_read:
        raise AssertionError(
            f"rows do not add up: {found.rows_read} read, {n_used} kept; {found.amount_read} read, {money} placed"
        )
