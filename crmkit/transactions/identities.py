"""Who is who: the cards of a member, the members of a household or business, and members who turned out to be one.

A log speaks of cards. `Identities` says whose each is, and `at_level` gives the same log by member or by unit: the same lines,
the same money, other names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date

import numpy as np
import pandas as pd

from crmkit._days import as_day
from crmkit.exceptions import ContractError
from crmkit.ingest.extracts import Extract
from crmkit.ingest.tables import Cards, Merges

__all__ = ["Identities"]

_LEDGER = ["member", "merged_into", "merged_on", "undone_on"]


def _no_cards() -> pd.DataFrame:
    texts = {name: pd.Series(dtype="str") for name in ("card", "member", "unit")}
    return pd.DataFrame(texts | {"since": pd.Series(dtype="datetime64[us]")})


def _no_merges() -> pd.DataFrame:
    days = {name: pd.Series(dtype="datetime64[us]") for name in _LEDGER[2:]}
    return pd.DataFrame({name: pd.Series(dtype="str") for name in _LEDGER[:2]} | days)


@dataclass(frozen=True)
class Identities:
    """Whose each card is, and the ledger of merges.

    Attributes
    ----------
    cards : DataFrame
        card, member, unit, since.
    merges : DataFrame
        member, merged_into, merged_on, undone_on, in the order of the days. Nothing is ever taken out of it: what is undone
        bears its day.
    """

    cards: pd.DataFrame = field(default_factory=_no_cards)
    merges: pd.DataFrame = field(default_factory=_no_merges)

    @classmethod
    def from_extract(cls, cards: Extract | object, **columns: str | Sequence[str]) -> Identities:
        """Read a table of cards, or raise `ContractError` with what is wrong in each invalid row.

        Examples
        --------
        >>> cards = pd.DataFrame({"card": ["c1", "c1", "c2"], "member": "m1", "unit": ["u1", "u2", "u1"]})
        >>> Identities.from_extract(cards)
        Traceback (most recent call last):
            ...
        crmkit.exceptions.ContractError: 2 rows of cards are invalid:
          dataframe: card is in two units. State one of them, and deliver the card once.
          dataframe: card is in two units. State one of them, and deliver the card once.
        """
        found, rejected = cls.split_extract(cards, **columns)
        if len(rejected):
            raise ContractError(_told(rejected, "cards"))
        return found

    @classmethod
    def split_extract(cls, cards: Extract | object, **columns: str | Sequence[str]) -> tuple[Identities, pd.DataFrame]:
        """Whose each card is by the valid rows, and the rejected ones: file, line, reason, advice.

        A card of two members, one in two units, and a member in two units are rejected with all their rows, since nothing says
        which of them is right; their cards then stand for themselves.
        """
        table, rejected = Cards.split_extract(cards, **columns)
        rows = table.frame.assign(since=pd.to_datetime(table.frame["since"]))
        reasons = _conflicts(rows)
        bad = rows.loc[reasons != "", ["file", "line"]].assign(reason=reasons[reasons != ""])
        bad["advice"] = bad["reason"].map(_ADVICE)
        sound = rows.loc[reasons == "", ["card", "member", "unit", "since"]].drop_duplicates("card", ignore_index=True)
        told = pd.concat([rejected[["file", "line", "reason", "advice"]], bad], ignore_index=True)
        return cls(sound), told

    @classmethod
    def of_members(cls, members: pd.DataFrame, others: Identities | None = None) -> Identities:
        """Members of a table with customer_id and unit, each with the card of that number; ``others`` go before.

        A card that ``others`` know is theirs; a member whose unit they do not state is in that of the table.
        """
        units = members.dropna(subset=["unit"]).set_index("customer_id")["unit"]
        others = others or cls()
        known = others.cards
        known = known.assign(unit=known["unit"].fillna(known["member"].map(units)))
        own = members.loc[~members["customer_id"].isin(known["card"]), "customer_id"]
        rest = pd.DataFrame({"card": own, "member": own, "unit": own.map(units), "since": pd.NaT})
        cards = pd.concat([one for one in (known, rest) if len(one)] or [known], ignore_index=True)
        return cls(cards, others.merges)

    def with_merges(self, ledger: Extract | object, **columns: str | Sequence[str]) -> tuple[Identities, pd.DataFrame]:
        """These with a ledger of merges, and its rejected rows: file, line, reason, advice.

        A member who was merged already (and not parted again) is not merged once more, and nobody is merged into one.
        """
        table, rejected = Merges.split_extract(ledger, **columns)
        days = {name: pd.to_datetime(table.frame[name]) for name in _LEDGER[2:]}
        rows = table.frame.assign(**days).sort_values("merged_on", kind="stable", ignore_index=True)
        reasons = pd.Series(_refused(rows), index=rows.index, dtype="str")
        bad = rows.loc[reasons != "", ["file", "line"]].assign(reason=reasons[reasons != ""])
        bad["advice"] = bad["reason"].map(_ADVICE)
        kept = pd.concat([one for one in (self.merges, rows.loc[reasons == "", _LEDGER]) if len(one)] or [self.merges])
        told = pd.concat([rejected[["file", "line", "reason", "advice"]], bad], ignore_index=True)
        return replace(self, merges=kept.reset_index(drop=True)), told

    def merge(self, member: str, into: str, on: str | date) -> Identities:
        """Two members are one from now on, with their whole past; the ledger has one row more.

        Raises
        ------
        ContractError
            One of them was merged already.

        Examples
        --------
        >>> ids = Identities.from_extract(pd.DataFrame({"card": ["c1", "c2"], "member": ["m1", "m2"]}))
        >>> one = ids.merge("m2", into="m1", on="2017-05-01")
        >>> one.table()["member"].tolist(), one.undo("m2", on="2017-06-01").table()["member"].tolist()
        (['m1', 'm1', 'm1'], ['m1', 'm2'])
        """
        row = pd.DataFrame(
            [{"member": member, "merged_into": into, "merged_on": pd.Timestamp(as_day(on)), "undone_on": pd.NaT}]
        )
        ledger = pd.concat([self.merges, row], ignore_index=True) if len(self.merges) else row
        reason = "member is merged into itself" if member == into else _refused(ledger)[-1]
        if reason:
            raise ContractError(f"The merge is refused: {reason}. {_ADVICE[reason]}")
        return replace(self, merges=ledger)

    def undo(self, member: str, on: str | date) -> Identities:
        """A merged member stands alone again, with all that was theirs; the ledger keeps the merge and the day."""
        now = (self.merges["member"] == member) & self.merges["undone_on"].isna()
        if not now.any():
            raise ContractError("The merge cannot be undone: this member is not merged. See the ledger: .merges.")
        days = self.merges["undone_on"].mask(now, pd.Timestamp(as_day(on)))
        return replace(self, merges=self.merges.assign(undone_on=pd.to_datetime(days)))

    def table(self, as_of: str | date | None = None) -> pd.DataFrame:
        """Whose each card is once all merges up to the close of ``as_of`` are done: card, member, unit, since.

        A member without a unit is a unit of their own.

        Raises
        ------
        ContractError
            The number of a unit is that of a member who is not in it.
        """
        into = self._merged(as_of)
        known = self.cards
        alone = sorted(set(into) - set(known["card"]))
        own = pd.DataFrame({"card": alone, "member": alone, "unit": None, "since": pd.NaT})
        table = pd.concat([one for one in (known, own) if len(one)] or [known], ignore_index=True)
        stated = known[known["unit"].notna()].drop_duplicates("member").set_index("member")["unit"]
        units = stated.astype("str")
        member = table["member"].map(lambda one: _end(one, into))
        unit = member.map(units).astype("str").fillna(table["member"].map(units).astype("str"))
        table = table.assign(member=member, unit=unit.fillna(member)).astype(
            {"card": "str", "member": "str", "unit": "str"}
        )
        table["since"] = pd.to_datetime(table["since"])
        _check_units(table)
        return table.sort_values("card", ignore_index=True)

    def _merged(self, as_of: str | date | None) -> dict[str, str]:
        """Member → whom they are merged into, at the close of a day."""
        done = self.merges
        if as_of is not None:
            day = pd.Timestamp(as_day(as_of))
            done = done[(done["merged_on"] <= day) & ~(done["undone_on"] <= day)]
        else:
            done = done[done["undone_on"].isna()]
        return dict(zip(done["member"], done["merged_into"], strict=True))


_ADVICE = {
    "card belongs to two members": "State one of them, and deliver the card once.",
    "card is in two units": "State one of them, and deliver the card once.",
    "member is in two units": "State one unit for all cards of the member.",
    "member is merged already": "Merge the member whom they were merged into, or undo the first merge.",
    "merged_into is merged already": "Name the member who stands for them now.",
    "member is merged into itself": "Name the member who stays under merged_into.",
}


def _conflicts(rows: pd.DataFrame) -> pd.Series[str]:
    """For each row of cards why it cannot be right beside the others; empty where it can."""
    found = pd.Series("", index=rows.index, dtype="str")
    for reason, key, other in (
        ("card belongs to two members", "card", "member"),
        ("card is in two units", "card", "unit"),
        ("member is in two units", "member", "unit"),
    ):
        sound = rows[found == ""]
        several = sound.groupby(key)[other].transform("nunique") > 1
        found[several[several].index] = reason
    return found


def _refused(ledger: pd.DataFrame) -> list[str]:
    """For each merge, in the order of the days, why it is refused; empty where it is done.

    A ledger is short beside the members, and each row depends on those before it.
    """
    gone: dict[str, pd.Timestamp] = {}
    reasons = []
    for member, into, day, undone in zip(*(ledger[name] for name in _LEDGER), strict=True):
        standing = {one for one, until in gone.items() if not until <= day}
        reason = "member is merged already" if member in standing else ""
        reason = reason or ("merged_into is merged already" if into in standing else "")
        if not reason:
            gone[member] = undone
        reasons.append(reason)
    return reasons


def _end(member: str, into: dict[str, str]) -> str:
    """Whom a member is in the end: merges of merged members are refused, so there is one."""
    while member in into:
        member = into[member]
    return member


def _check_units(table: pd.DataFrame) -> None:
    home = table.drop_duplicates("member").set_index("member")["unit"]
    shared = table["unit"].unique()
    shared = shared[np.isin(shared, home.index)]
    n = int((home.loc[shared].to_numpy() != shared).sum())
    if n:
        raise ContractError(
            f"{n:,} units have the number of a member who is not in them. Give units numbers of their own: 'U-17', say."
        )


def _told(rejected: pd.DataFrame, what: str) -> str:
    rows = zip(*(rejected[name] for name in ("file", "line", "reason", "advice")), strict=True)
    lines = [
        f"  {file}{'' if pd.isna(line) else f' line {line}'}: {reason}. {advice}"
        for file, line, reason, advice in list(rows)[:10]
    ]
    more = f"\n  … and {len(rejected) - 10:,} more" if len(rejected) > 10 else ""
    return f"{len(rejected):,} rows of {what} are invalid:\n" + "\n".join(lines) + more
