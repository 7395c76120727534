"""Who moved between two dates: every customer of either is counted once, and every change of label has its reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmkit._checks import customer_index, numbers
from crmkit._types import Bools, Floats
from crmkit.displays import InNotebook
from crmkit.engine.choose import engine_of
from crmkit.engine.frames import is_spark, map_rows
from crmkit.engine.tables import grouped, with_difference
from crmkit.exceptions import ConfigError, ContractError
from crmkit.segments.tiers import ValueTiers

__all__ = ["Migration", "migration"]

NEW, FROZEN, LAPSED = "not yet a customer", "frozen", "lapsed"
MOVES = ("same", "up", "down", "new", "returned", "frozen", "lapsed", "still frozen", "still lapsed")

_Flags = Bools


@dataclass(frozen=True)
class Migration(InNotebook):
    """Where customers were and where they are; prints as one sentence.

    Attributes
    ----------
    counts : DataFrame
        Customers by state before (rows) and after (columns). All cells together are all customers known at either date.
    row_shares : DataFrame
        The same, as shares of each row.
    money : DataFrame
        Value after less value before, by the same states; 0 where there is no customer.
    moves : DataFrame
        move, customers, value_before, value_after, change: one row for each kind of move that occurred.
    customers : DataFrame
        customer_id, before, after, move, value_before, value_after, cause, and the same with its amounts as reason (both
        empty where nothing changed): one row per customer. Of Spark DataFrames it is one too.
    """

    counts: pd.DataFrame
    row_shares: pd.DataFrame
    money: pd.DataFrame
    moves: pd.DataFrame
    customers: pd.DataFrame

    @property
    def changes(self) -> pd.DataFrame:
        """Those whose label or state changed, with cause and reason; largest change of value first."""
        if is_spark(self.customers):
            engine = engine_of(self.customers)
            return engine.table(
                f"""select * from {engine.register(self.customers)} where before <> after
                order by abs(value_after - value_before) desc, customer_id"""
            )
        changed = self.customers[self.customers["before"] != self.customers["after"]]
        order = (
            (changed["value_after"] - changed["value_before"]).abs().sort_values(ascending=False, kind="stable").index
        )
        return changed.loc[order].reset_index(drop=True)

    @property
    def causes(self) -> pd.DataFrame:
        """move, cause, customers, change_of_value: most customers first."""
        changed = with_difference(self.changes, "change", "value_after", "value_before")
        counted = grouped(
            changed, "move", "cause", customers=("customer_id", "size"), change_of_value=("change", "sum")
        )
        return counted.sort_values("customers", ascending=False, kind="stable", ignore_index=True)

    def __str__(self) -> str:
        said = ", ".join(f"{row.customers:,} {row.move}" for row in self.moves.itertuples())
        change = self.moves["change"].sum()
        return f"{self.moves['customers'].sum():,} customers: {said}; value {change:+,.2f}"


def migration(
    before: pd.DataFrame,
    after: pd.DataFrame,
    label: str = "tier",
    value: str = "value",
    order: Sequence[str] | None = None,
    earlier: Iterable[str] = (),
    frozen_after: int | None = None,
    lapsed_after: int | None = None,
    tiers: tuple[ValueTiers, ValueTiers] | None = None,
) -> Migration:
    """Count customers by the label that they had and the label that they have.

    Each customer is in one state at each date: its label; *frozen*, no purchase for more than ``frozen_after`` days, but
    not gone; *lapsed*, none for more than ``lapsed_after`` days or no longer in the table; or not yet a customer. Who was
    frozen or lapsed, or is in ``earlier``, and buys again has *returned*.

    Parameters
    ----------
    before, after : pandas or Spark DataFrame
        customer_id, the label and the value at the two dates; days_since_last for frozen and lapsed.
    label, value : str
        Names of these columns.
    order : sequence of str, optional
        Labels, best first. Default: those of ``tiers``, or else by mean value, highest first.
    earlier : ids, optional
        Customers known before the first date that are no longer in ``before`` (a window has passed them).
    frozen_after, lapsed_after : int, optional
        Days since the last purchase.
    tiers : pair of fitted ValueTiers, optional
        With which the two tables were labelled, the later one with the earlier labels as ``previous`` (where it was
        not, give them hysteresis=0). Then a change is attributed exactly: it is the value's, if the new value would have
        changed the label under the old thresholds too; the threshold's, if the new thresholds would have changed it at
        the old value too. Without them a label that moved with its value did so because of it, and else the threshold
        must have moved.

    Returns
    -------
    Migration

    Raises
    ------
    ContractError
        A column is missing, or customers are repeated or without an id, or a label or value is missing.
    ConfigError
        ``order`` misses labels, or a number of days makes no sense.

    Examples
    --------
    >>> june = pd.DataFrame({"customer_id": list("abcd"), "tier": list("ABBC"), "value": [90.0, 40, 35, 5]})
    >>> july = pd.DataFrame({"customer_id": list("abce"), "tier": list("AACC"), "value": [95.0, 80, 12, 8]})
    >>> moved = migration(june, july)
    >>> print(moved)
    5 customers: 1 same, 1 up, 1 down, 1 new, 1 lapsed; value +25.00
    >>> moved.changes[["customer_id", "before", "after", "reason"]]
      customer_id              before   after                     reason
    0           b                   B       A    value rose from 40 to 80
    1           c                   B       C    value fell from 35 to 12
    2           e  not yet a customer       C         first seen since
    3           d                   C  lapsed     no longer in the table
    """
    for name, days in (("frozen_after", frozen_after), ("lapsed_after", lapsed_after)):
        if days is not None and not days >= 0:
            raise ConfigError(f"{name}={days} must be days since the last purchase, 0 or more.")
    needed = ("days_since_last",) if frozen_after is not None or lapsed_after is not None else ()
    rules = _Rules(label, value, frozen_after, lapsed_after, tiers)
    if is_spark(before):
        return _on_spark(before, after, rules, list(needed), order)
    tables = [
        _checked(customer_index(table, (label, value, *needed), name), label, name)
        for table, name in ((before, "before"), (after, "after"))
    ]
    ranked = _order(tables, label, value, order, tiers)
    return _counted(_moved(tables, rules, ranked, earlier), ranked)


@dataclass(frozen=True)
class _Rules:
    """How states are told and changes explained; see `migration`."""

    label: str
    value: str
    frozen_after: int | None
    lapsed_after: int | None
    tiers: tuple[ValueTiers, ValueTiers] | None


def _moved(tables: list[pd.DataFrame], rules: _Rules, ranked: list[str], earlier: Iterable[str] = ()) -> pd.DataFrame:
    """One row for each customer of either table, by customer_id: states, move, money, cause and reason."""
    ids = tables[0].index.union(tables[1].index)
    states = [_states(table, ids, rules.label, rules.frozen_after, rules.lapsed_after) for table in tables]
    known = ids.isin(tables[0].index) | ids.isin(pd.Index(list(earlier), dtype=ids.dtype))
    states[0] = states[0].mask(~known, NEW)
    states[1] = states[1].fillna(LAPSED)
    states[0] = states[0].fillna(LAPSED)
    money = [pd.Series(numbers(table[rules.value]), table.index).reindex(ids, fill_value=0.0) for table in tables]
    moves = _moves(states[0], states[1], ranked)
    return pd.DataFrame(
        {
            "customer_id": ids,
            "before": states[0].to_numpy(),
            "after": states[1].to_numpy(),
            "move": moves,
            "value_before": money[0].to_numpy(),
            "value_after": money[1].to_numpy(),
            **_reasons(states, money, moves, ids.isin(tables[1].index), rules.tiers),
        }
    )


_KINDS = (
    "customer_id string, before string, after string, move string, value_before double, value_after double, "
    "cause string, reason string"
)


def _on_spark(
    before: pd.DataFrame, after: pd.DataFrame, rules: _Rules, needed: list[str], order: Sequence[str] | None
) -> Migration:
    """The same where the rows are: customers are told apart there, and counted there."""
    if order is None and rules.tiers is None:
        raise ConfigError(
            "Of Spark DataFrames state the labels, best first: order=[…], or the tiers they were made with."
        )
    ranked = list(order) if order is not None else list(rules.tiers[0].tiers_ if rules.tiers else ())
    names = [rules.label, rules.value, *needed]
    with engine_of(before, after) as engine:
        columns = ", ".join(
            f"{side}.{engine.quoted(name)} as {side}_{place}" for side in ("b", "a") for place, name in enumerate(names)
        )
        both = engine.table(
            f"""select coalesce(b.customer_id, a.customer_id) as customer_id, {columns} from {engine.register(before)} as b
            full outer join {engine.register(after)} as a on b.customer_id = a.customer_id"""
        )
        moved = map_rows(both, partial(_moved_part, names=names, rules=rules, ranked=ranked), _KINDS)
        return _counted(
            engine.table(f"select * from {engine.stage(f'select * from {engine.register(moved)}')}"), ranked
        )


def _moved_part(rows: pd.DataFrame, names: list[str], rules: _Rules, ranked: list[str]) -> pd.DataFrame:
    tables = []
    for side, name in (("b", "before"), ("a", "after")):
        there = rows[rows[f"{side}_0"].notna()].set_index("customer_id")
        own = there[[f"{side}_{place}" for place in range(len(names))]].set_axis(names, axis=1)
        tables.append(_checked(own, rules.label, name))
    return _moved(tables, rules, ranked)


def _checked(table: pd.DataFrame, label: str, name: str) -> pd.DataFrame:
    if n_none := int(table[label].isna().sum()):
        raise ContractError(f"{name}: {n_none:,} customers have no {label}. Label all of them, or leave these out.")
    if taken := sorted({NEW, FROZEN, LAPSED} & set(table[label].astype(str))):
        raise ContractError(f"{name}: {taken} are states, and cannot be labels too; rename the label.")
    return table.assign(**{label: table[label].astype(str).astype(object)})


def _order(
    tables: list[pd.DataFrame],
    label: str,
    value: str,
    order: Sequence[str] | None,
    tiers: tuple[ValueTiers, ValueTiers] | None,
) -> list[str]:
    both = pd.concat(tables)
    mean = both[value].groupby(both[label]).mean()
    there = mean.sort_values(ascending=False, kind="stable").index.tolist()
    given = list(order) if order is not None else list(tiers[0].tiers_) if tiers is not None else there
    if missing := [name for name in there if name not in given]:
        raise ConfigError(f"order={given} misses labels that occur: {missing}. Name all of them, best first.")
    return given


def _states(
    table: pd.DataFrame, ids: pd.Index, label: str, frozen_after: int | None, lapsed_after: int | None
) -> pd.Series:
    """The state of each id that the table has; missing for others."""
    state = table[label].copy()
    for name, days in ((FROZEN, frozen_after), (LAPSED, lapsed_after)):
        if days is not None:
            state = state.mask(numbers(table["days_since_last"]) > days, name)
    return state.reindex(ids)


def _moves(before: pd.Series, after: pd.Series, ranked: list[str]) -> NDArray[np.object_]:
    rank = {name: place for place, name in enumerate(ranked)}
    old, new = before.map(rank).to_numpy(np.float64), after.map(rank).to_numpy(np.float64)
    frozen, gone = (after == FROZEN).to_numpy(), (after == LAPSED).to_numpy()
    cases = [
        (before == NEW).to_numpy(),
        frozen & (before == FROZEN).to_numpy(),
        gone & (before == LAPSED).to_numpy(),
        frozen,
        gone,
        before.isin([FROZEN, LAPSED]).to_numpy(),
        new < old,
        new > old,
    ]
    names = ["new", "still frozen", "still lapsed", "frozen", "lapsed", "returned", "up", "down"]
    return np.select(cases, names, "same").astype(object)


def _reasons(
    states: list[pd.Series],
    money: list[pd.Series[float]],
    moves: NDArray[np.object_],
    there: _Flags,
    tiers: tuple[ValueTiers, ValueTiers] | None,
) -> dict[str, NDArray[np.object_]]:
    """The cause of each move, and the same with its amounts; both empty where nothing changed."""
    before, after = (np.asarray(series, dtype=np.float64) for series in money)
    by_value, by_threshold = _causes(states, money, moves, tiers)
    went = np.where(after > before, "value rose", np.where(after < before, "value fell", "value stayed")).astype(object)
    amounts = _amounts(" from ", before) + _amounts(" to ", after)
    moved = np.isin(moves, ["up", "down"])
    cases = [
        (moves == "new", "first seen since", ""),
        (moves == "returned", "bought again", ""),
        (np.isin(moves, ["frozen", "still frozen"]), "no purchase for long", ""),
        ((moves == "lapsed") & ~there, "no longer in the table", ""),
        (np.isin(moves, ["lapsed", "still lapsed"]), "no purchase for too long", ""),
        (moved & by_value & ~by_threshold, went, amounts),
        (moved & by_threshold & ~by_value, "threshold moved", "; value" + amounts),
        (moved & by_threshold & by_value, went + ", and the threshold moved", "; value" + amounts),
        (moved, "value and threshold together", "; value" + amounts),
    ]
    nothing = np.full(len(moves), "", dtype=object)
    cause, reason = (
        np.select([case for case, *_ in cases], [nothing + text for text in texts], nothing)
        for texts in ([text for _, text, _ in cases], [text + detail for _, text, detail in cases])
    )
    return {"cause": cause, "reason": reason}


def _causes(
    states: list[pd.Series],
    money: list[pd.Series[float]],
    moves: NDArray[np.object_],
    tiers: tuple[ValueTiers, ValueTiers] | None,
) -> tuple[_Flags, _Flags]:
    """Whether the value alone, and whether the threshold alone, would have changed the label the same way."""
    before, after = money
    if tiers is None:
        by_value = ((moves == "up") & (after > before)) | ((moves == "down") & (after < before))
        return by_value.to_numpy(), ~by_value.to_numpy()
    rank = {name: place for place, name in enumerate(tiers[0].tiers_)}
    earlier = states[0].where(states[0].isin(rank.keys()))
    was = earlier.map(rank).to_numpy(np.float64)
    sign = np.where(moves == "up", -1, 1)
    with_value, with_threshold = (
        rule.transform(values, previous=earlier).map(rank).to_numpy(np.float64)
        for rule, values in ((tiers[0], after), (tiers[1], before))
    )
    return (with_value - was) * sign > 0, (with_threshold - was) * sign > 0


def _amounts(word: str, values: Floats) -> NDArray[np.object_]:
    """Money in words; each distinct amount is written once."""
    code, unique = pd.factorize(np.round(values, 2))
    said: NDArray[np.object_] = np.array(
        [f"{word}{amount:,.2f}".removesuffix(".00") for amount in unique], dtype=object
    )[code]
    return said


def _counted(rows: pd.DataFrame, ranked: list[str]) -> Migration:
    """Counts and sums of the rows of `_moved`, where they are."""
    flows = grouped(
        with_difference(rows, "change", "value_after", "value_before"),
        "before",
        "after",
        customers=("customer_id", "size"),
        change=("change", "sum"),
    )
    before, after = set(flows["before"]), set(flows["after"])
    there = [name for name in (*ranked, FROZEN, LAPSED, NEW) if name in ranked or name in before]
    columns = [name for name in (*ranked, FROZEN, LAPSED) if name in ranked or name in after]
    by_state = flows.set_index(["before", "after"])
    counts = by_state["customers"].unstack(fill_value=0)
    counts = counts.reindex(index=there, columns=columns, fill_value=0).fillna(0).astype(np.int64)
    money = by_state["change"].unstack(fill_value=0)
    money = money.reindex(index=there, columns=columns, fill_value=0.0).fillna(0.0)
    totals = counts.sum(axis=1).clip(lower=1)
    sums = {name: (name, "sum") for name in ("value_before", "value_after")}
    values = grouped(rows, "move", customers=("customer_id", "size"), **sums).set_index("move")
    moves = values.reindex([move for move in MOVES if move in values.index]).rename_axis("move").reset_index()
    moves["change"] = moves["value_after"] - moves["value_before"]
    return Migration(counts, counts.div(totals, axis=0), money, moves, rows)
