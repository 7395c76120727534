"""What the rows of a delivery mean, as stated by the user."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crmkit.engine.texts import literal
from crmkit.exceptions import ConfigError
from crmkit.ingest.rules import LEFT_OUT, Rule, listed_cards, own_rules

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["NOTHING_STATED", "RowMeaning", "check_words"]

ANY = "*"
_ROLES = ("sale", "return", "cancelled")


@dataclass(frozen=True)
class RowMeaning:
    """Which rows count, and whose they are; see `Transactions.split_extract` for each option.

    Attributes
    ----------
    rules : mapping of str to str
        Reason → SQL condition of rows to reject, besides the contract's own rules.
    non_members : sequence of str
        Customer ids that belong to no member.
    leave_out : mapping of str to words
        Column of the extract → what it says of rows that are no sales; ``"*"`` is any value, ``"wc-c*"`` one that begins so.
    kinds : mapping of str to str or words
        ``column``, and what it says of a ``sale``, a ``return`` or of a ``cancelled`` row.
    order_columns : sequence of str
        Columns of the extract that only the first line of an order fills.
    reject_unreadable : sequence of str
        Contract columns whose unreadable values may be rejected though they share a notation.
    deduct : sequence of str
        Columns of the extract whose money is taken off the amount of the row that they stand on.
    refunds : mapping of str to str
        Column of the extract whose money was given back → the column of the day on which it was.
    ids : str, optional
        ``"casefold"``: customer ids that differ by capitals alone are one.
    """

    rules: Mapping[str, str] = field(default_factory=dict)
    non_members: Sequence[str] = ()
    leave_out: Mapping[str, Sequence[str]] = field(default_factory=dict)
    kinds: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    order_columns: Sequence[str] = ()
    reject_unreadable: Sequence[str] = ()
    deduct: Sequence[str] = ()
    ids: str | None = None
    refunds: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.ids not in (None, "casefold"):
            raise ConfigError(f"ids={self.ids!r} is not known. Write 'casefold', or leave it out.")
        own_rules(self.rules)
        if len(self.refunds) > 1:
            raise ConfigError(f"refunds names {list(self.refunds)}. Name one column of money, and that of its day.")
        for column, words in self.leave_out.items():
            check_words(f"leave_out[{column!r}]", words)
        _check_kinds(self.kinds)

    @property
    def rate_table(self) -> pd.DataFrame | None:
        """Rates of currencies, a table; none where amounts are in one."""
        return None

    @property
    def asked(self) -> list[str]:
        """All columns of the extract that are named here."""
        return [*self.columns, *self.order_columns, *self.taken_off, *self.refunds.values()]

    @property
    def taken_off(self) -> list[str]:
        """Columns of the extract whose money is no part of the amount."""
        return [*self.deduct, *self.refunds]

    @property
    def columns(self) -> list[str]:
        """Columns of the extract that say what a row is."""
        named = [*self.leave_out, *([str(self.kinds["column"])] if self.kinds else [])]
        return list(dict.fromkeys(named))

    def words(self, role: str) -> list[str]:
        """What the column of kinds says of a sale, a return, or a cancelled row, in small letters."""
        return _folded(self.kinds.get(role, ()))

    def left_out_rules(self, said: Mapping[str, str]) -> tuple[Rule, ...]:
        """Rules that leave rows out; ``said`` names the text of each column of the extract, in small letters."""
        wanted = [(column, words) for column, words in self.leave_out.items() if column in said]
        if self.kinds and self.kinds["column"] in said:
            wanted.append((str(self.kinds["column"]), self.words("cancelled")))
        return tuple(_left_out(column, said[column], word) for column, words in wanted for word in _folded(words))

    def row_rules(self, said: Mapping[str, str]) -> tuple[Rule, ...]:
        """Rules that reject a row: the user's own, and words that kinds do not name."""
        column = str(self.kinds.get("column", ""))
        unnamed: tuple[Rule, ...] = ()
        if column in said and self.words("sale"):
            named = " or ".join(_says(said[column], word) for role in _ROLES for word in self.words(role))
            condition = f"{said[column]} is not null and not ({named})"
            unnamed = (
                Rule(f"{column!r} says another kind than those stated", condition, "Name its words under kinds."),
            )
        return (*unnamed, *own_rules(self.rules))

    def is_return(self, said: Mapping[str, str]) -> str | None:
        """Whether a row brings something back; none where no kinds are stated."""
        column, words = str(self.kinds.get("column", "")), self.words("return")
        return f"({' or '.join(_says(said[column], word) for word in words)})" if column in said and words else None

    @property
    def non_member_rules(self) -> tuple[Rule, ...]:
        """Rules for rows that are valid but belong to no member."""
        return listed_cards(self.non_members)


def _left_out(column: str, said: str, word: str) -> Rule:
    if word == ANY:
        return Rule(f"{column!r} is filled", f"{said} is not null", _STATED, LEFT_OUT)
    return Rule(f"{column!r} is {word!r}", _says(said, word), _STATED, LEFT_OUT)


def _says(said: str, word: str) -> str:
    """Whether a text is a word, or begins with it where it ends in a star."""
    if not word.endswith(ANY):
        return f"{said} = {literal(word)}"
    begin = word.removesuffix(ANY)
    return f"substring({said}, 1, {len(begin)}) = {literal(begin)}"


_STATED = "Left out because leave_out or kinds say so."


def _folded(words: str | Iterable[str]) -> list[str]:
    listed = [words] if isinstance(words, str) else words
    return [word.strip().lower() for word in listed]


def _check_kinds(kinds: Mapping[str, str | Sequence[str]]) -> None:
    if not kinds:
        return
    unknown = [key for key in kinds if key not in ("column", *_ROLES)]
    if unknown or not isinstance(kinds.get("column"), str):
        raise ConfigError(
            f"kinds = {dict(kinds)} must have column, and words for {', '.join(_ROLES)}"
            f"{f'; there is no {unknown}' if unknown else ''}. Write it as in "
            '{"column": "Type", "return": ["REFUND"], "cancelled": ["VOID"]}.'
        )
    roles: dict[str, str] = {}
    for role in _ROLES:
        words = kinds.get(role, ())
        check_words(f"kinds[{role!r}]", words)
        for word in _folded(words):
            if roles.setdefault(word, role) != role:
                raise ConfigError(f"kinds: {word!r} cannot mean both {roles[word]} and {role}. Name it once.")


def check_words(option: str, words: object) -> None:
    """Raise `ConfigError` unless an option is a list of words."""
    if isinstance(words, str) or not isinstance(words, Iterable) or not all(isinstance(word, str) for word in words):
        raise ConfigError(f"{option} = {words!r} is not a list of words. Write it as in ['cancelled', 'failed'].")


NOTHING_STATED = RowMeaning()
