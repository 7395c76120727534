"""Columns that are not read and seem to say that some rows are no sales, or are sales in another currency."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pandas as pd

__all__ = ["telling_columns"]

_WORDS = frozenset(
    [
        "cancelled",
        "canceled",
        "cancel",
        "void",
        "voided",
        "refund",
        "refunded",
        "partially_refunded",
        "return",
        "returned",
        "failed",
        "trash",
        "chargeback",
        "declined",
        "expired",
        "storniert",
        "storno",
        "gutschrift",
        "erstattet",
        "retoure",
        "annulé",
        "annulée",
        "remboursé",
        "remboursée",
        "remboursement",
        "retour",
        "avoir",
        "anulado",
        "anulada",
        "cancelado",
        "cancelada",
        "devuelto",
        "devuelta",
        "devolución",
        "reembolsado",
        "reembolso",
        "devolvido",
        "estornado",
        "annullato",
        "reso",
        "rimborsato",
        "rimborso",
        "geannuleerd",
        "terugbetaald",
        "anulowane",
        "zwrot",
        "отменён",
        "отменен",
        "возврат",
        "iptal",
        "iade",
        "취소",
        "반품",
        "환불",
        "キャンセル",
        "取消",
        "返品",
        "返金",
        "已取消",
        "已退款",
        "退货",
        "退款",
        "作废",
        "退貨",
        "取消済",
    ]
)
_NAMES = re.compile(
    "cancel|refund|return|void|storno|retour|rückgabe|erstatt|annul|rembours|devol|reembols|rimbors|반품|취소|환불|返品|取消|返金"
    "|キャンセル|退货|退款|退貨|soll.?haben|debit.?credit",
    re.IGNORECASE,
)
_YES = frozenset(("y", "yes", "true", "1", "t", "x", "ja", "j", "oui", "si", "sí", "예", "是", "はい", "h"))
_NO = frozenset(("", "0", "0.0", "0.00", "n", "no", "false", "f", "nein", "non", "아니오", "否"))
_MANY = 50


def telling_columns(head: pd.DataFrame, unread: Iterable[str]) -> list[str]:
    """A sentence for each column that is not read and holds such words, or is called so and is filled in some rows.

    >>> table = pd.DataFrame({"Status": ["Closed", "Cancelled"], "Note": ["a", "b"]})
    >>> (told,) = telling_columns(table, ["Status", "Note"])
    >>> told.partition(". ")[0]
    "Status holds 'Cancelled' in 1 of 2 rows"
    """
    told = [_told(name, head[name].dropna().astype("str").str.strip(), len(head)) for name in unread if name in head]
    return [sentence for sentence in told if sentence]


def _told(name: str, values: pd.Series[str], n: int) -> str:
    small = values.str.casefold()
    kinds = small.drop_duplicates()
    if len(kinds) <= _MANY:
        found = values[small.isin(_WORDS)]
        if len(found):
            words = list(dict.fromkeys(found))
            return (
                f"{name} holds {_listed(words)} in {len(found):,} of {n:,} rows. If they are no sales: "
                f"leave_out = {{ {_toml(name)} = [{', '.join(map(_toml, words))}] }}, or name its kinds."
            )
    if not _NAMES.search(name):
        return ""
    yes, filled = values[small.isin(_YES)], values[~small.isin(_NO)]
    if len(yes) and len(kinds) <= 3:
        word = yes.iloc[0]
        return (
            f"{name} is {word!r} in {len(yes):,} of {n:,} rows. If they are returns: "
            f"kinds = {{ column = {_toml(name)}, return = [{_toml(word)}] }}."
        )
    if not len(filled):
        return ""
    if pd.to_numeric(filled, errors="coerce").notna().all():
        return (
            f"{name} is above 0 in {len(filled):,} of {n:,} rows. If it is money given back: deduct = [{_toml(name)}]."
        )
    return f'{name} is filled in {len(filled):,} of {n:,} rows. If they are no sales: leave_out = {{ {_toml(name)} = ["*"] }}.'


def _listed(words: list[str]) -> str:
    return ", ".join(map(repr, words[:5])) + (" …" if len(words) > 5 else "")


def _toml(text: str) -> str:
    import json

    return json.dumps(text, ensure_ascii=False)
