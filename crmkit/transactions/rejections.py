"""What became of every row, and the check that rows and money add up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Self

import pandas as pd

from crmkit.displays import InNotebook
from crmkit.engine.base import SqlEngine
from crmkit.engine.texts import literal
from crmkit.ingest.rules import LEFT_OUT, NON_MEMBER_REASONS, REJECTED, Rule
from crmkit.ingest.validation import ValidatedPart
from crmkit.transactions.duplicates import conflicting

__all__ = ["CollectedLines", "Rejections", "reconcile"]


@dataclass(frozen=True)
class Rejections(InNotebook):
    """What became of every row that was read; prints as one sentence.

    Attributes
    ----------
    rows_read, rows_used, rows_left_out, rows_rejected, rows_duplicate : int
        ``rows_read = rows_used + rows_left_out + rows_rejected + rows_duplicate``, always. Rows are left out because
        ``leave_out`` or ``kinds`` say so.
    amount_read, amount_used, amount_left_out, amount_rejected, amount_duplicate : Decimal
        The same for money; an amount that cannot be read counts as 0.
    counts : DataFrame
        reason, outcome (rejected or left out), rows, amount, advice, most frequent first. Valid rows of non-members (no
        card number, say) are rejected for members and kept for sales.
    files : DataFrame
        file, sha256, rows_read, rows_used, rows_left_out, rows_rejected, rows_duplicate.
    kinds : DataFrame
        kind, how, rows, amount of the lines that are kept: sale, free (nothing was paid), adjustment (money without
        goods), return (with how it was matched to its sale), and the classes that were given.
    path : Path
        Parquet file of the rows that are neither used nor duplicate, in no order; ``place`` counts the files.
    """

    files: pd.DataFrame = field(repr=False)
    counts: pd.DataFrame = field(repr=False)
    kinds: pd.DataFrame = field(repr=False)
    path: Path
    amount_read: Decimal
    amount_used: Decimal
    amount_left_out: Decimal
    amount_rejected: Decimal
    amount_duplicate: Decimal

    @classmethod
    def together(cls, found: Sequence[Self], path: Path) -> Self:
        """Several as one; their rows are written to ``path``."""
        files = pd.concat([one.files for one in found], ignore_index=True)
        first, tables = 0, list[pd.DataFrame]()
        for one in found:
            rows = pd.read_parquet(one.path)
            tables.append(rows.assign(place=rows["place"] + first))
            first += len(one.files)
        pd.concat(tables, ignore_index=True).astype({"place": "int32"}).to_parquet(path, index=False)
        counts = pd.concat([one.counts for one in found]).groupby(["reason", "outcome"], as_index=False)
        kinds = pd.concat([one.kinds for one in found]).groupby(["kind", "how"], as_index=False, dropna=False)
        amounts = ("read", "used", "left_out", "rejected", "duplicate")
        money = {
            f"amount_{name}": sum((getattr(one, f"amount_{name}") for one in found), Decimal()) for name in amounts
        }
        return cls(
            files,
            counts.agg({"rows": "sum", "amount": "sum", "advice": "first"}).sort_values(
                ["rows", "reason"], ascending=[False, True], ignore_index=True
            ),
            kinds.agg({"rows": "sum", "amount": "sum"}),
            path,
            **money,
        )

    @property
    def rows(self) -> pd.DataFrame:
        """file, record, line, reason, outcome, value, amount of each row that is rejected or left out.

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
    def rows_left_out(self) -> int:
        return int(self.files["rows_left_out"].sum())

    @property
    def rows_rejected(self) -> int:
        return int(self.files["rows_rejected"].sum())

    @property
    def invalid(self) -> pd.DataFrame:
        """The counts of rejected rows that are not merely a non-member's."""
        is_rejected = self.counts["outcome"] == REJECTED
        return self.counts[is_rejected & ~self.counts["reason"].isin(NON_MEMBER_REASONS)]

    @property
    def rows_invalid(self) -> int:
        return int(self.invalid["rows"].sum())

    @property
    def rows_duplicate(self) -> int:
        return int(self.files["rows_duplicate"].sum())

    @property
    def totals(self) -> dict[str, tuple[int, Decimal]]:
        """Rows and money by outcome: used, rejected, duplicate, and left out where any are; together what was read."""
        found = {
            "used": (self.rows_used, self.amount_used),
            LEFT_OUT: (self.rows_left_out, self.amount_left_out),
            REJECTED: (self.rows_rejected, self.amount_rejected),
            "duplicate": (self.rows_duplicate, self.amount_duplicate),
        }
        return {outcome: total for outcome, total in found.items() if outcome != LEFT_OUT or total[0]}

    @property
    def advice(self) -> list[str]:
        """What to do about each reason for which rows were rejected, most frequent first."""
        rejected = self.counts[self.counts["outcome"] == REJECTED]
        return [f"{reason}: {advice}" for reason, advice in zip(rejected["reason"], rejected["advice"], strict=True)]

    @property
    def empty_files(self) -> list[str]:
        """What to say of files that have column names and no row, where others have rows."""
        if not self.rows_read:
            return []
        names = self.files.loc[self.files["rows_read"].eq(0), "file"]
        return [f"{name} has column names and no row. If it should hold sales, deliver it again." for name in names]

    def _notebook_words(self) -> str:
        return str(self).partition(":")[0] + f"; money read {self.amount_read:,.2f}, used {self.amount_used:,.2f}."

    def _notebook_table(self) -> pd.DataFrame:
        return self.counts.assign(amount=self.counts["amount"].astype(float))[["reason", "outcome", "rows", "amount"]]

    def __str__(self) -> str:
        left_out = f"; left out {self.rows_left_out:,}{self._reasons(LEFT_OUT)}" if self.rows_left_out else ""
        return (
            f"{self.rows_read:,} rows read; used {self.rows_used:,}; duplicate {self.rows_duplicate:,}; "
            f"rejected {self.rows_rejected:,}{self._reasons(REJECTED)}{left_out}"
        )

    def _reasons(self, outcome: str) -> str:
        counts = self.counts[self.counts["outcome"] == outcome]
        parts = [f"{n:,} where {reason}" for reason, n in zip(counts["reason"], counts["rows"], strict=True)]
        return f": {', '.join(parts)}" if parts else ""


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
        Relation of the lines that are kept; those of non-members have no customer_id.
    has_currency : bool
        Whether the currency of each amount is read.
    """

    validated: list[ValidatedPart]
    resent: frozenset[int]
    repeated: str
    lines: str
    has_currency: bool = False


def reconcile(engine: SqlEngine, collected: CollectedLines, lines: str, path: Path) -> Rejections:
    """Give every row read its place, write those that are not used, and check that rows and money add up."""
    validated, repeated = collected.validated, collected.repeated
    rules = {reason: rule for part in validated for reason, rule in part.rules.items()}
    _write_unused(engine, collected, rules, path)
    kept = engine.parquet(path)
    counts = engine.frame(
        f"""select reason, outcome, count(*) as rows, sum(coalesce(amount, 0)) as amount from {kept}
        group by reason, outcome order by rows desc, reason"""
    )
    counts = counts.assign(advice=[rules[reason].advice for reason in counts["reason"]])
    kinds = engine.frame(
        f"select kind, how, count(*) as rows, sum(amount) as amount from {lines} group by kind, how order by kind, how"
    )
    zero = Decimal("0.0000")
    again = [validated[place].amount_read for place in collected.resent]
    totals = engine.arrow(
        f"""select coalesce(sum(amount), 0) as amount, count(case when record > 0 then 1 end) as n from {lines}
        where customer_id is not null
        union all select coalesce(sum(amount), 0), count(*) from {kept} where outcome = {literal(LEFT_OUT)}
        union all select coalesce(sum(amount), 0), count(*) from {kept} where outcome = {literal(REJECTED)}
        union all select coalesce(sum(amount), 0), count(*) from {repeated} where not differs and reason is null"""
    )
    used, left_out, rejected, doubled = (zero + Decimal(value.as_py()) for value in totals["amount"])
    found = Rejections(
        _files(engine, collected, kept),
        counts,
        kinds,
        path,
        amount_read=sum((part.amount_read for part in validated), zero),
        amount_used=used,
        amount_left_out=left_out,
        amount_rejected=rejected,
        amount_duplicate=sum(again, doubled),
    )
    _check_totals(found, totals["n"][0].as_py())
    return found


def _write_unused(engine: SqlEngine, collected: CollectedLines, rules: Mapping[str, Rule], path: Path) -> None:
    """Rows that are rejected or left out, those whose key repeats with other content among them."""
    conflicts = engine.frame(
        f"select file, record, amount from {collected.repeated} where differs and reason is null order by 1, 2"
    )
    late = engine.register(pd.concat([conflicting(part, n, conflicts) for n, part in enumerate(collected.validated)]))
    selects = [
        f"""select cast(place as integer) as place, file, record, cast(line as bigint) as line, reason,
        cast(value as string) as value, cast(amount as decimal(18, 4)) as amount from {late}"""
    ]
    selects += [
        f"select {number} as place, * from {part.rejected}"
        for number, part in enumerate(collected.validated)
        if number not in collected.resent
    ]
    left_out = ", ".join(literal(reason) for reason, rule in rules.items() if rule.outcome == LEFT_OUT)
    outcome = f"case when reason in ({left_out}) then {literal(LEFT_OUT)} else {literal(REJECTED)} end"
    outcome = outcome if left_out else literal(REJECTED)
    engine.save(
        f"""select place, file, record, line, reason, {outcome} as outcome, value, amount
        from ({" union all ".join(selects)}) as unused""",
        path,
    )


def _files(engine: SqlEngine, collected: CollectedLines, kept: str) -> pd.DataFrame:
    """What became of the rows of each file."""
    validated, resent = collected.validated, collected.resent
    unused = engine.frame(f"select place, outcome, count(*) as n from {kept} group by place, outcome")
    doubled = engine.frame(
        f"select file, count(*) as n from {collected.repeated} where reason is null and not differs group by file"
    )
    places = range(len(validated))
    by_outcome = {
        outcome: rows.set_index("place")["n"].reindex(places, fill_value=0).tolist()
        for outcome, rows in unused.groupby("outcome")
    }
    again = doubled.set_index("file")["n"].reindex(places, fill_value=0)
    files = pd.DataFrame(
        {
            "file": [part.name for part in validated],
            "sha256": [part.sha256 for part in validated],
            "rows_read": [part.rows_read for part in validated],
            "rows_left_out": by_outcome.get(LEFT_OUT, 0),
            "rows_rejected": by_outcome.get(REJECTED, 0),
            "rows_duplicate": [part.rows_read if n in resent else int(again[n]) for n, part in enumerate(validated)],
        }
    )
    unread = files[["rows_left_out", "rows_rejected", "rows_duplicate"]].sum(axis=1)
    files.insert(3, "rows_used", files["rows_read"] - unread)
    return files


def _check_totals(found: Rejections, n_used: int) -> None:
    money = found.amount_used + found.amount_left_out + found.amount_rejected + found.amount_duplicate
    if n_used != found.rows_used or money != found.amount_read:
        raise AssertionError(
            f"rows do not add up: {found.rows_read} read, {n_used} kept; {found.amount_read} read, {money} placed"
        )
