"""Columns that are not read and seem to say that some rows are no sales, or are sales in another currency."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources

import pandas as pd

from crmkit.engine.base import SqlEngine
from crmkit.ingest.numbers import SIGNS

__all__ = ["several_currencies", "telling_columns", "told_of_values", "unread_values"]

_NAMES = re.compile(
    "cancel|refund|return|void|storno|retour|rückgabe|erstatt|annul|rembours|devol|reembols|rimbors|반품|취소|환불|返品|取消|返金"
    "|キャンセル|退货|退款|退貨|soll.?haben|debit.?credit|deleted|gelöscht|is.?test|test.?(order|sale|mode)|training|삭제|削除|删除",
    re.IGNORECASE,
)
_SIDES = re.compile(
    r"^(s\W?h|d\W?c|c\W?d|cr\W?dr|dr\W?cr)(\W|_|$)|soll|haben|debit|credit|kennz|vorzeichen|^sens|^sign$|借貸|借方",
    re.IGNORECASE,
)
_OTHER_SIDE = {"h": "s", "haben": "soll", "c": "d", "cr": "dr", "credit": "debit", "-": "+", "貸": "借", "貸方": "借方"}
_NEVER_SOLD = re.compile(
    "cancel|void|storno|annul|test|training|delete|gelöscht|취소|キャンセル|取消|삭제|削除|删除", re.IGNORECASE
)
_CURRENCIES = re.compile(
    "currency|devise|währung|waehrung|moneda|valuta|moeda|통화|通貨|币种|货币|валюта", re.IGNORECASE
)
_YES = frozenset(("y", "yes", "true", "1", "t", "x", "ja", "j", "oui", "si", "sí", "예", "是", "はい", "h"))
_NO = frozenset(("", "0", "0.0", "0.00", "n", "no", "false", "f", "nein", "non", "아니오", "否"))
_MANY, _SAMPLE = 50, 2000


@cache
def _words() -> dict[str, frozenset[str]]:
    """Whole words, runs of words, parts where words are not divided, and what denies them."""
    text = resources.files("crmkit").joinpath("ingest", "no_sales.toml").read_text(encoding="utf-8")
    return {kind: frozenset(words) for kind, words in tomllib.loads(text).items()}


def _is_no_sale(value: str) -> bool:
    """Whether a value in small letters says that a row is no sale.

    >>> [_is_no_sale(value) for value in ("wc-cancelled", "credit note", "결제취소", "not returned", "non-refundable", "미취소")]
    [True, True, True, False, False, False]
    """
    known, words = _words(), [word for word in re.split(r"[\W_]+", value) if word]
    if known["denials"] & set(words) or any(part in value for part in known["denied_parts"]):
        return False
    said = f" {' '.join(words)} "
    return (
        not known["words"].isdisjoint(words)
        or any(f" {run} " in said for run in known["runs"])
        or any(part in value for part in known["parts"])
    )


def telling_columns(
    head: pd.DataFrame, unread: Iterable[str], *, has_currency: bool = True, less_money: bool = False
) -> list[str]:
    """A sentence for each column that is not read and holds such words, or is called so and is filled in some rows.

    >>> table = pd.DataFrame({"Status": ["Closed", "Cancelled"], "Note": ["a", "b"]})
    >>> (told,) = telling_columns(table, ["Status", "Note"])
    >>> told.partition(". ")[0]
    "Status holds 'Cancelled' in 1 of 2 rows"
    """
    counts = {name: head[name].dropna().astype("str").str.strip().value_counts() for name in unread if name in head}
    if less_money:
        counts = _no_money(counts)
    return told_of_values(counts, len(head), has_currency=has_currency)


def _no_money(counts: Mapping[str, pd.Series[int]]) -> dict[str, pd.Series[int]]:
    """The columns but those of numbers: where money is taken off already, others say it again."""
    return {
        name: values
        for name, values in counts.items()
        if pd.to_numeric(pd.Series(values.index[values.index != ""]), errors="coerce").isna().any()
    }


def unread_values(
    engine: SqlEngine, rows: str, unread: Iterable[str], *, less_money: bool = False
) -> dict[str, pd.Series[int]]:
    """How often each value stands in the columns that may tell something: those of few values, and those that are called so."""
    there = [name for name in unread if name in engine.types(rows)]
    if not there:
        return {}
    texts = {name: f"cast({engine.quoted(name)} as string)" for name in there}
    named = ", ".join(f"{text} as value_{n}" for n, text in enumerate(texts.values()))
    sample = engine.frame(f"select {named} from {rows} limit {_SAMPLE}")
    found = {}
    for n, name in enumerate(there):
        values = sample[f"value_{n}"].dropna()
        called = _NAMES.search(name) or _SIDES.search(name) or _CURRENCIES.search(name)
        if not called and (values.nunique() > _MANY or not values.str.contains(r"[^\d.,:\s-]", regex=True).any()):
            continue
        counted = engine.frame(f"select {texts[name]} as value, count(*) as n from {rows} group by 1").dropna()
        found[name] = (
            counted.groupby(counted["value"].str.strip())["n"].sum().sort_values(ascending=False, kind="stable")
        )
    return _no_money(found) if less_money else found


def told_of_values(
    counts: Mapping[str, pd.Series[int]], n_rows: int, *, has_currency: bool, in_python: bool = False
) -> list[str]:
    """What to say of columns whose values came so often; of currencies only where they are not read already."""
    told = [
        _told(name, values[values.index != ""], n_rows, has_currency, _python if in_python else _toml)
        for name, values in counts.items()
    ]
    return [sentence for sentence in told if sentence]


def _told(name: str, values: pd.Series[int], n: int, has_currency: bool, written: _Written) -> str:
    small = values.groupby(values.index.str.casefold(), sort=False).sum()
    if not has_currency and (told := several_currencies(name, values)):
        return f"{told}, which are added as they are. Name it: {written('currency', name)}."
    if len(small) <= _MANY:
        if words := [word for word in values.index if _is_no_sale(word.casefold())]:
            return (
                f"{name} holds {_listed(words)} in {values[words].sum():,} of {n:,} rows. If they are no sales: "
                f"{written('leave_out', {name: words})}, or name its kinds."
            )
        if told := _of_sides(name, values, n, written):
            return told
    if not _NAMES.search(name):
        return ""
    yes, filled = values[values.index.str.casefold().isin(_YES)], values[~values.index.str.casefold().isin(_NO)]
    if len(yes) and len(small) <= 3:
        word, told = yes.index[0], f"{name} is {yes.index[0]!r} in {yes.sum():,} of {n:,} rows."
        if _NEVER_SOLD.search(name):
            return f"{told} If they are no sales: {written('leave_out', {name: [word]})}."
        return f"{told} If they are returns: {written('kinds', {'column': name, 'return': [word]})}."
    if not len(filled):
        return ""
    if pd.to_numeric(pd.Series(filled.index), errors="coerce").notna().all():
        off = written("deduct", [name])
        return f"{name} is above 0 in {filled.sum():,} of {n:,} rows. If it is money given back: {off}."
    return f"{name} is filled in {filled.sum():,} of {n:,} rows. If they are no sales: {written('leave_out', {name: ['*']})}."


def _of_sides(name: str, values: pd.Series[int], n: int, written: _Written) -> str:
    """A column of two values that are the two sides of an account."""
    small = {word.casefold(): word for word in values.index}
    back = [word for word, other in _OTHER_SIDE.items() if word in small and set(small) <= {word, other}]
    if not back or not (_SIDES.search(name) or back[0] in ("haben", "-", "貸", "貸方", "h")):
        return ""
    word = small[back[0]]
    return f"{name} is {word!r} in {values[word]:,} of {n:,} rows. If they are returns: {written('kinds', {'column': name, 'return': [word]})}."


def several_currencies(name: str, values: pd.Series[int]) -> str:
    """The beginning of a sentence about a column of more than one currency."""
    codes = [word for word in values.index if re.fullmatch("[A-Za-z]{3}", word) or word in _SIGNS]
    known = [word for word in codes if word.upper() in SIGNS or word in _SIGNS]
    if len(codes) != len(values) or len({word.upper() for word in codes}) < 2:
        return ""
    if not (_CURRENCIES.search(name) or len(known) == len(codes)):
        return ""
    told = ", ".join(f"{word} in {values[word]:,} rows" for word in codes[:5])
    return f"{name} says that amounts are in several currencies ({told})"


_SIGNS = frozenset(sign for signs in SIGNS.values() for sign in signs)


def _listed(words: list[str]) -> str:
    return ", ".join(map(repr, words[:5])) + (" …" if len(words) > 5 else "")


class _Written:
    """How a setting is written, in the configuration or in a call."""

    def __init__(self, in_python: bool) -> None:
        self._in_python = in_python

    def __call__(self, option: str, value: object) -> str:
        return f"{option}={value!r}" if self._in_python else f"{option} = {self._toml(value)}"

    def _toml(self, value: object) -> str:
        if isinstance(value, dict):
            pairs = [
                f"{key if key in ('column', 'return') else self._toml(key)} = {self._toml(one)}"
                for key, one in value.items()
            ]
            return f"{{ {', '.join(pairs)} }}"
        if isinstance(value, list):
            return f"[{', '.join(map(self._toml, value))}]"
        return json.dumps(value, ensure_ascii=False)


_toml, _python = _Written(False), _Written(True)
