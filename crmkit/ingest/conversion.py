"""Amounts of several currencies in one, by the rate of the day."""

from __future__ import annotations

import pandas as pd

from crmkit.engine.base import SqlEngine
from crmkit.engine.texts import literal
from crmkit.ingest.contracts import Contract
from crmkit.ingest.rules import NO_RATE, NON_MEMBER_REASONS

__all__ = ["converted"]

_MONEY = "decimal(18, 4)"


def converted(engine: SqlEngine, typed: str, contract: Contract, rates: pd.DataFrame, own: str | None) -> str:
    """Typed rows with their money in the currency of the log, ``own``, where no rate is needed.

    A row whose currency has no rate on its day or before is rejected; its money is not known, and counts as 0.
    """
    table = engine.register(_with_days(rates))
    needs = "t.currency is not null" + (f" and upper(t.currency) <> {literal(own.upper())}" if own else "")
    lacks = f"({needs} and t.day is not null and r.rate is null)"
    columns = {name: f"t.{name}" for name in engine.types(typed)}
    for name, kind in contract.columns.items():
        if kind == "money":
            worth = f"cast(t.{name} * cast(r.rate as decimal(18, 10)) as {_MONEY})"
            columns[name] = f"case when {needs} then {worth} else t.{name} end"
    if "refunded" in columns:
        columns["refunded"] = (
            f"case when {needs} then cast(t.refunded * cast(r.rate as decimal(18, 10)) as {_MONEY}) else t.refunded end"
        )
    members = ", ".join(map(literal, NON_MEMBER_REASONS))
    is_fault = f"{lacks} and (t.reason is null or t.reason in ({members}))"
    columns["reason"] = f"case when {is_fault} then {literal(NO_RATE.reason)} else t.reason end"
    columns["value"] = f"case when {is_fault} then t.currency else t.value end"
    named = ", ".join(f"{value} as {name}" for name, value in columns.items())
    return engine.stage(
        f"""select {named} from {typed} t left join {table} r
        on upper(t.currency) = r.currency and t.day >= r.first_day and t.day < r.end_day"""
    )


def _with_days(rates: pd.DataFrame) -> pd.DataFrame:
    """Rates with the numbers of the first day and of the one after the last."""
    epoch = pd.Timestamp("1970-01-01")
    first, end = ((pd.to_datetime(rates[name]) - epoch).dt.days for name in ("day", "until"))
    days = {"first_day": first.astype("int64"), "end_day": end.fillna(10**6).astype("int64")}
    return rates[["currency", "rate"]].assign(**days)
