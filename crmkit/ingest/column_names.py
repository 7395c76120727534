"""Which column of a file a name seems to mean: whole words of it, and none that says it is something else."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Collection, Sequence
from functools import cache
from importlib import resources

__all__ = ["candidates", "is_sure", "known_words", "n_known", "named"]

_COMPOUNDED = frozenset(["datum", "menge", "preis", "betrag", "umsatz", "nummer", "summe", "rabatt"])
"""Words that others are written together with: Verkaufsdatum, Gesamtbetrag."""
_REPELLING = frozenset(
    [
        "refund",
        "refunds",
        "refunded",
        "tax",
        "taxes",
        "vat",
        "fee",
        "fees",
        "discount",
        "discounts",
        "shipping",
        "freight",
        "tip",
        "tips",
        "type",
        "reason",
        "name",
        "status",
        "steuer",
        "mwst",
        "gebühr",
        "gebuehr",
        "versand",
        "erstattung",
        "grund",
        "art",
        "kind",
        "cost",
        "costs",
        "balance",
        "points",
        "count",
        "before",
        "after",
    ]
)
_REPELLING_PARTS = (
    "steuer", "mwst", "gebühr", "versandkosten", "erstattung", "rabatt", "세금", "부가세", "배송", "할인", "환불", "수수료", "사유", "유형",
    "포인트", "税", "送料", "手数料", "値引", "返金", "理由", "种类", "運費", "运费", "手续费", "退款", "折扣", "优惠", "积分", "ポイント",
)  # fmt: skip
"""The same where words are not divided."""


@cache
def known_words() -> dict[str, dict[str, list[str]]]:
    """Table → contract column → words, the surest first."""
    return tomllib.loads(resources.files("crmkit").joinpath("ingest", "words.toml").read_text(encoding="utf-8"))


def n_known(header: str) -> int:
    """How many known names of columns a line holds."""
    known = {word for table in known_words().values() for words in table.values() for word in words}
    return sum(_plain(name) in known for name in re.split("[,;\t|]", header))


def named(delivered: Sequence[str], table: str, refused: Collection[tuple[str, str]] = ()) -> dict[str, str]:
    """Contract column → delivered column, the surest pairs first; ``refused`` are pairs that are not taken.

    >>> named(["Order ID", "Country", "OrderType", "TaxAmount", "Net amount"], "transactions")
    {'amount': 'Net amount', 'order_id': 'Order ID'}
    """
    columns: dict[str, str] = {}
    for _, name, given in _ranked(delivered, table):
        if name not in columns and given not in columns.values() and (name, given) not in refused:
            columns[name] = given
    return {name: columns[name] for name in known_words()[table] if name in columns}


def candidates(delivered: Sequence[str], table: str, column: str) -> list[str]:
    """All delivered columns that one of the contract may be, the surest first."""
    return list(dict.fromkeys(given for _, name, given in _ranked(delivered, table) if name == column))


def is_sure(given: str, table: str, column: str) -> bool:
    """Whether a name is a known one, and does not only hold it."""
    return _plain(given) in known_words()[table].get(column, ())


def _ranked(delivered: Sequence[str], table: str) -> list[tuple[tuple[int, int, int], str, str]]:
    """A name that is a word, then one that begins or ends with it, the longest word first."""
    return sorted(
        (unsure, name, given)
        for name, known in known_words()[table].items()
        for rank, word in enumerate(known)
        for given in delivered
        if (unsure := _unsure(given, word, rank)) is not None and not (unsure[0] and _repels(given, word))
    )


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", name).casefold()))


def _words_of(name: str) -> list[str]:
    """The words of a name, in small letters.

    >>> _words_of("TaxAmount"), _words_of("net_sales (USD)"), _words_of("CUSTOMER_ID")
    (['tax', 'amount'], ['net', 'sales', 'usd'], ['customer', 'id'])
    """
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", unicodedata.normalize("NFKC", name))
    return [word.casefold() for word in re.split(r"[\W_]+", parted) if word]


def _unsure(given: str, word: str, rank: int) -> tuple[int, int, int] | None:
    plain = _plain(given)
    if plain == word:
        return (0, 0, rank)
    if _begins_or_ends(given, plain, word):
        return (1, -len(word), rank)
    return None


def _begins_or_ends(given: str, plain: str, word: str) -> bool:
    if not plain.isascii() or not word.isascii():
        return len(word) >= 2 and (plain.startswith(word) or plain.endswith(word))
    if len(word) < 4:
        return False
    words = _words_of(given)
    if len(words) == 1:
        return word in _COMPOUNDED and plain.endswith(word)
    runs = ["".join(words[:n]) for n in range(1, len(words))] + ["".join(words[n:]) for n in range(1, len(words))]
    return word in runs or (word in _COMPOUNDED and words[-1].endswith(word))


def _repels(given: str, word: str) -> bool:
    """Whether a name that is partly a known word holds another that says it is something else: Refunded Amount, OrderType."""
    others = set(_words_of(given)) & _REPELLING
    parts = [part for part in _REPELLING_PARTS if part in _plain(given)]
    return any(other not in word for other in (*others, *parts))
