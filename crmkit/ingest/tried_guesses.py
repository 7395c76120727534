"""Guesses of columns tried on the values of a sample: what cannot be read, and what is a price and not the money of a line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from crmkit.engine.duckdb import DuckDBEngine
from crmkit.ingest.column_names import candidates, is_sure
from crmkit.ingest.contracts import Contract, Names, pieces_of
from crmkit.ingest.numbers import in_western_digits, plain_number
from crmkit.ingest.parts import Reading
from crmkit.ingest.times import TimeRules, readable, wall_clock

__all__ = ["Trial", "read_shares", "tried_money"]

_SURE, _HARDLY = 0.9, 0.5
_FITS = 0.8
_ENOUGH = 3


@dataclass(frozen=True)
class Trial:
    """What came of the guesses: pairs not to be guessed again, columns to be named otherwise, and why.

    ``refused`` maps (contract column, delivered column) to what is wrong with it; ``renamed`` contract columns to delivered
    ones, or to none where it is not to be read; ``doubts`` contract columns to a sentence.
    """

    refused: Mapping[tuple[str, str], str] = field(default_factory=dict)
    renamed: Mapping[str, str | None] = field(default_factory=dict)
    doubts: Mapping[str, str] = field(default_factory=dict)


# -- What can be read ------------------------------------------------------------------------------------------------


def read_shares(
    head: pd.DataFrame, contract: Contract, columns: Names, reading: Reading, time_rules: TimeRules
) -> Trial:
    """Guesses whose values cannot be read: an optional column that would reject rows, a required one for which another may do.

    A name that is a known word bears a few faults (such rows are rejected, and told); one that only holds a known word
    bears none.
    """
    refused, doubts = {}, {}
    for name, (given, *more) in ((name, pieces_of(given)) for name, given in columns.items()):
        kind = contract.columns[name]
        if kind not in ("money", "number", "time", "date") or more or given not in head:
            continue
        values = _texts(head[given])
        if not len(values):
            continue
        read = _read(values, kind, reading, time_rules)
        share, sure = read / len(values), is_sure(given, contract.name, name)
        told = f"{len(values) - read:,} of {len(values):,} values of {given} are no {_CALLED[kind]}"
        if name in contract.required:
            others = [one for one in candidates(list(head.columns), contract.name, name) if one != given]
            if share < _HARDLY and others:
                refused[name, given] = told
        elif share < (_SURE if sure else 1.0):
            refused[name, given] = told
        if share < 1.0 and (name, given) not in refused:
            doubts[name] = told
    return Trial(refused, doubts=doubts)


_CALLED = {"money": "numbers", "number": "numbers", "time": "times", "date": "dates"}


def _texts(values: pd.Series) -> pd.Series[str]:
    if not pd.api.types.is_string_dtype(values):
        return pd.Series(dtype="str")
    stripped = values.dropna().astype("str").str.strip()
    return stripped[stripped != ""]


def _read(values: pd.Series[str], kind: str, reading: Reading, time_rules: TimeRules) -> int:
    with DuckDBEngine() as engine:
        table = engine.register(pd.DataFrame({"given": values}))
        if kind in ("money", "number"):
            parsed = f"try_cast({plain_number(engine, 'given', reading)} as double)"
        elif kind == "time":
            parsed = wall_clock(engine, f"({in_western_digits('given')})", time_rules, False, False)
            if (
                not time_rules.time_format and not time_rules.calendar
            ):  # an offset is no fault here; its zone is asked for later
                parsed = f"case when {engine.has_offset('given')} then timestamp '2000-01-01' else {parsed} end"
        elif reading.date_format:
            parsed = engine.local_time(*readable(engine, "given", reading.date_format), None, None)
        else:
            parsed = engine.local_day("given")
        return int(engine.frame(f"select count({parsed}) as n from {table}")["n"][0])


# -- The money of a line, and the price of a piece -------------------------------------------------------------------


def tried_money(head: pd.DataFrame, columns: Names, reading: Reading) -> Trial:
    """Whether the amount is the line's money, by quantity × price, where lines of several pieces tell the two apart."""
    amount, quantity, price = (columns.get(name) for name in ("amount", "quantity", "unit_price"))
    if amount not in head:
        return Trial()
    if quantity not in head:
        return _pieces_as_money(head, str(amount), columns, reading)
    money, pieces = _numbers(head[amount], reading), _numbers(head[quantity], reading)
    several = pieces.abs().gt(1) & money.notna() & money.ne(0)
    if several.sum() < _ENOUGH:
        return Trial()
    taken = {piece for name, given in columns.items() if name != "unit_price" for piece in pieces_of(given)}
    others = {name: _numbers(head[name], reading) for name in head.columns if name not in taken}
    prices = {name: found for name, found in others.items() if found[several].notna().mean() > _FITS}
    called = list(candidates(list(prices), "transactions", "unit_price"))
    off = _numbers(head[str(columns["discount"])], reading).fillna(0).abs() if columns.get("discount") in head else None
    for name in sorted(prices, key=lambda one: (one != price, one not in called)):
        if _is_product(money, pieces, prices[name], several, off):
            return Trial() if name == price or price else _noted(name, str(amount), str(quantity))
        if _is_product(prices[name], pieces, money, several, off):
            told = f"{name} is {quantity} × {amount} in the sample, so {amount} is the price of a piece"
            return Trial(renamed={"amount": name, "unit_price": str(amount)}, doubts={"amount": told})
    if price in prices:
        return Trial(
            doubts={"amount": f"{amount} is not {quantity} × {price} in the sample: is it the money of the whole line?"}
        )
    return _same_for_any_quantity(head, str(amount), str(quantity), columns, money, pieces)


def _noted(price: str, amount: str, quantity: str) -> Trial:
    return Trial(
        renamed={"unit_price": price}, doubts={"unit_price": f"{amount} is {quantity} × {price} in the sample"}
    )


def _is_product(
    total: pd.Series[float],
    pieces: pd.Series[float],
    price: pd.Series[float],
    rows: pd.Series[bool],
    off: pd.Series[float] | None,
) -> bool:
    """Whether one column is pieces × another, give or take rounding, and a discount where there is one."""
    product = (pieces * price)[rows].abs()
    near = (total[rows].abs() - product).abs() <= 0.011 + 0.001 * product
    if off is not None:
        near |= (total[rows].abs() - (product - off[rows])).abs() <= 0.011 + 0.001 * product
    return bool(near.mean() >= _FITS)


def _same_for_any_quantity(
    head: pd.DataFrame,
    amount: str,
    quantity: str,
    columns: Names,
    money: pd.Series[float],
    pieces: pd.Series[float],
) -> Trial:
    """An amount that does not grow with the pieces of a product is the price of one."""
    product = columns.get("product_id")
    if product not in head:
        return Trial()
    rows = pd.DataFrame({"product": head[product], "pieces": pieces.abs(), "money": money.abs()}).dropna()
    by_product = rows.groupby("product")
    varied = by_product["pieces"].nunique().gt(1)
    if varied.sum() < _ENOUGH:
        return Trial()
    constant = by_product["money"].nunique()[varied].eq(1).mean()
    if constant < _FITS:
        return Trial()
    told = f"{amount} of a product is the same whatever {quantity} is, so it is the price of a piece; the money is {quantity} × {amount}"
    return Trial(renamed={"amount": None, "unit_price": amount}, doubts={"unit_price": told})


def _pieces_as_money(head: pd.DataFrame, amount: str, columns: Names, reading: Reading) -> Trial:
    """Small whole numbers beside another column of money are pieces: AMOUNT beside SALES_PRICE."""
    money = _numbers(head[amount], reading)
    whole = money.dropna()
    if len(whole) < 2 * _ENOUGH or not (whole % 1 == 0).all() or whole.abs().median() > 2:
        return Trial()
    taken = {piece for given in columns.values() for piece in pieces_of(given)} - {columns.get("unit_price")}
    for name in candidates(list(head.columns), "transactions", "amount"):
        if name in taken:
            continue
        other = _numbers(head[name], reading)
        if other.notna().mean() > _FITS and other.abs().median() >= 5 * max(whole.abs().median(), 1):
            told = f"{amount} holds small whole numbers, likely pieces, and {name} larger ones"
            return Trial(renamed={"quantity": amount, "amount": name}, doubts={"amount": told, "quantity": told})
    return Trial()


def _numbers(values: pd.Series, reading: Reading) -> pd.Series[float]:
    if not pd.api.types.is_string_dtype(values):
        return pd.to_numeric(values, errors="coerce").astype("float64")
    bare = values.astype("str").str.replace(r"[^\d.,+-]", "", regex=True)
    if reading.thousands:
        bare = bare.str.replace(reading.thousands, "", regex=False)
    return pd.to_numeric(bare.str.replace(reading.mark, ".", regex=False), errors="coerce").astype("float64")
