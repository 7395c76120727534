"""Target groups: members picked by stated conditions, counted step by step, exported, and followed over time."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from crmkit._atomic import write_csv
from crmkit._checks import customer_index
from crmkit._types import Floats
from crmkit.engine.choose import engine_for, engine_of
from crmkit.engine.duckdb import DuckDBEngine
from crmkit.engine.frames import is_spark, to_pandas
from crmkit.engine.tables import joined, n_rows
from crmkit.exceptions import ConfigError, ContractError, ExtractError, LeakError
from crmkit.ingest.tables import Members
from crmkit.transactions.log import Transactions, check_item

__all__ = ["MEASURES", "TargetGroup", "Tracked", "target_group", "track_group"]

Conditions = Mapping[str, str]

MEASURES: dict[str, tuple[str, str]] = {
    "own_brand_share": ("store_amount", "branded_amount"),
    "spend": ("amount", "buyers"),
    "receipts": ("receipts", "buyers"),
    "spend_per_receipt": ("amount", "receipts"),
    "items_per_receipt": ("items", "receipts"),
}


@dataclass(frozen=True)
class TargetGroup:
    """Members who meet all conditions; prints as its steps.

    Attributes
    ----------
    name : str
    conditions : mapping of str to str
        What is asked in words → the same in SQL.
    members : DataFrame
        customer_id, ordered. Where the tables are Spark's, a Spark DataFrame.
    steps : DataFrame
        condition, meet (members who meet it), unknown (of whom it is not known), left (who meet it and all before).
    """

    name: str
    conditions: Conditions
    members: pd.DataFrame
    steps: pd.DataFrame

    def __len__(self) -> int:
        return n_rows(self.members)

    def __str__(self) -> str:
        steps: Any = self.steps.itertuples()
        said = "; ".join(
            f"{row.condition}: {row.left:,} left" + (f" ({row.unknown:,} unknown)" if row.unknown else "")
            for row in steps
        )
        return f"{self.name}: {len(self):,} members. {said}"

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the members as CSV (UTF-8 with a mark that spreadsheets know), whole or not at all.

        A cell that a spreadsheet would take for a formula gets an apostrophe before it.
        """
        write_csv(
            self.members.assign(customer_id=self.members["customer_id"].astype(str)), Path(path), for_spreadsheets=True
        )
        return Path(path)


@dataclass(frozen=True)
class Tracked:
    """A measure of a group by period; prints whether it grew.

    Attributes
    ----------
    table : DataFrame
        period (its first day), members (who bought), value, low, high (missing where fewer than two did), others (the same
        measure of all other members).
    growth, low, high : float
        Last whole period less the first, and its 95 % interval: the same members are in both, which it knows.
    others_growth : float
        The same of all other members: what would have come anyway, if the group were like them.
    """

    name: str
    measure: str
    table: pd.DataFrame
    growth: float
    low: float
    high: float
    others_growth: float

    def __str__(self) -> str:
        verdict = "grew" if self.low > 0 else "fell" if self.high < 0 else "shows no significant change"
        return (
            f"{self.name}: {self.measure} {verdict}: {self.growth:+.4g} ({self.low:+.4g} to {self.high:+.4g}) "
            f"from {self.table['period'].iloc[0]:%Y-%m-%d} to {self.table['period'].iloc[-1]:%Y-%m-%d}; "
            f"other members {self.others_growth:+.4g}"
        )


def target_group(
    name: str, tables: pd.DataFrame | Members | Sequence[pd.DataFrame | Members], conditions: Conditions
) -> TargetGroup:
    """Members who meet all conditions.

    Parameters
    ----------
    name : str
    tables : Members, DataFrame, or a sequence of these
        Who can be a member of the group (the first one), and what is known of them, by customer_id: attributes, tiers,
        scores, what `BrandUsage` says. Where a table has no row of a member, its columns are unknown.
    conditions : mapping of str to str
        What is asked, in words → a condition in SQL over the columns of all tables. Who is unknown does not meet it.

    Raises
    ------
    ContractError
        Ids are missing or repeated, or tables share a column.
    ConfigError
        There is no condition, or one cannot be read.

    Examples
    --------
    >>> people = pd.DataFrame({"customer_id": list("abcd"), "gender": ["F", "F", "M", None], "age": [20, 40, 30, 25]})
    >>> trend = pd.DataFrame({"customer_id": list("abc"), "own_brand_change": [-0.1, -0.2, 0.0]})
    >>> group = target_group("young women", [people, trend], {
    ...     "women": "gender = 'F'", "18 to 35": "age between 18 and 35", "own brands fall": "own_brand_change < 0"})
    >>> print(group)
    young women: 1 members. women: 2 left (1 unknown); 18 to 35: 1 left; own brands fall: 1 left (1 unknown)
    """
    if not conditions:
        raise ConfigError("Give at least one condition: {'women': \"gender = 'F'\"}.")
    given: list[Any] = list(tables) if isinstance(tables, list | tuple) else [tables]
    if is_spark(given[0]):
        return _on_spark(name, given, conditions)
    people = _joined(given)
    found = _conditions_met(people, conditions)
    met = found.fillna(0).astype(bool)
    left = met.cumprod(axis=1).astype(bool)
    steps = pd.DataFrame(
        {
            "condition": list(conditions),
            "meet": met.sum().to_numpy(),
            "unknown": found.isna().sum().to_numpy(),
            "left": left.sum().to_numpy(),
        }
    )
    ids = people.loc[left.iloc[:, -1].to_numpy(), "customer_id"].sort_values(ignore_index=True)
    return TargetGroup(name, dict(conditions), ids.to_frame(), steps)


def _on_spark(name: str, tables: Sequence[Any], conditions: Conditions) -> TargetGroup:
    """The same where the rows are: the counts of the steps come here."""
    engine = engine_of(tables[0])
    people = engine.register(joined(*tables, how="left"))
    answers = [
        f"case when ({one}) then 1 when not ({one}) then 0 end as met_{n}" for n, one in enumerate(conditions.values())
    ]
    met = engine.register(engine.query(f"select customer_id, {', '.join(answers)} from {people}"))
    sums = []
    for n in range(len(conditions)):
        so_far = " and ".join(f"coalesce(met_{place}, 0) = 1" for place in range(n + 1))
        sums += [
            f"coalesce(sum(met_{n}), 0) as meet_{n}",
            f"sum(case when met_{n} is null then 1 else 0 end) as unknown_{n}",
            f"sum(case when {so_far} then 1 else 0 end) as left_{n}",
        ]
    found = engine.frame(f"select {', '.join(sums)} from {met}").iloc[0]
    steps = pd.DataFrame({"condition": list(conditions)})
    for column in ("meet", "unknown", "left"):
        steps[column] = [int(found[f"{column}_{n}"]) for n in range(len(conditions))]
    members = engine.query(f"select customer_id from {met} where {so_far} order by customer_id")
    return TargetGroup(name, dict(conditions), members, steps)


def _joined(tables: Sequence[pd.DataFrame | Members]) -> pd.DataFrame:
    frames = [customer_index(_known(table), (), f"table {place}") for place, table in enumerate(tables, 1)]
    columns = pd.Index([column for frame in frames for column in frame.columns])
    if repeated := columns[columns.duplicated()].unique().tolist():
        raise ContractError(f"Several tables have the columns {repeated}; drop or rename them in all but one.")
    first = frames[0]
    return pd.concat([first, *(frame.reindex(first.index) for frame in frames[1:])], axis=1).reset_index()


def _known(table: pd.DataFrame | Members) -> pd.DataFrame:
    """The table; of `Members` the columns that were delivered."""
    return table.frame.dropna(axis=1, how="all") if isinstance(table, Members) else table


def _conditions_met(people: pd.DataFrame, conditions: Conditions) -> pd.DataFrame:
    """1, 0 or missing for each member and condition."""
    answers = []
    with DuckDBEngine() as engine:
        named = engine.register(people.assign(_place=np.arange(len(people))))
        for words, condition in conditions.items():
            text = f"select case when ({condition}) then 1 when not ({condition}) then 0 end as met from {named} order by _place"
            try:
                with engine.named_source(f"The condition {words!r} ({condition})"):
                    answers.append(engine.frame(text)["met"].rename(words))
            except ExtractError as error:
                raise ConfigError(f"{error} The columns are {list(people.columns)}.") from None
    return pd.concat(answers, axis=1)


def track_group(
    group: TargetGroup,
    log: Transactions,
    measure: str = "own_brand_share",
    period: str = "month",
    since: str | date | None = None,
    as_of: str | date | None = None,
) -> Tracked:
    """A measure of the group in each period, with a 95 % interval.

    Parameters
    ----------
    group : TargetGroup
    log : Transactions
    measure : {"own_brand_share", "spend", "receipts", "spend_per_receipt", "items_per_receipt"}
        Share of store brands in the money on goods whose brand type is known; money, or receipts, per member who bought;
        money, or items, per receipt.
    period : {"month", "week", "28 days"}
        The last two have the same weekdays in each.
    since, as_of : date, optional
        Only days after ``since`` (default: all) and up to the close of ``as_of``. Periods not wholly in between are left
        out; runs of 28 days begin on the day after ``since``.

    Returns
    -------
    Tracked

    Raises
    ------
    ConfigError
        There is no such measure or period.
    ContractError
        Fewer than two members of the group buy in the log, or the lines have no brand type.
    LeakError
        Fewer than two whole periods were observed.

    Notes
    -----
    The value is a ratio of sums over members; its interval is that of Cochran (1977), *Sampling Techniques*, 3rd ed., eq.
    6.13, with members as the units, since the lines of one member are alike. Compare ``growth`` with ``others_growth``
    before calling it an effect: a group that was picked for a low share will rise by itself.
    """
    if measure not in MEASURES or period not in ("month", "week", "28 days"):
        raise ConfigError(
            f"measure={measure!r}, period={period!r}: give one of {list(MEASURES)}, and month, week or 28 days."
        )
    if measure == "own_brand_share":
        check_item(log, "brand_type")
    sums = _sums(group, log, period, since, as_of)
    mine, others = sums[sums["in_group"] == 1], sums[sums["in_group"] == 0]
    if (n := mine["customer_id"].nunique()) < 2:
        raise ContractError(
            f"{n} members of {group.name!r} buy in whole periods of this log; an interval needs two. Are the ids written alike?"
        )
    starts = np.sort(sums["starts"].unique())
    if len(starts) < 2:
        raise LeakError(f"{len(starts)} whole {period} observed; a comparison needs two.")
    up, down = MEASURES[measure]
    parts = [_ratio(mine[mine["starts"] == start], up, down) for start in starts]
    table = pd.DataFrame(parts, columns=["members", "value", "low", "high"])
    table.insert(0, "period", pd.Timestamp("1970-01-01") + pd.to_timedelta(starts, unit="D"))
    table["others"] = [_ratio(others[others["starts"] == start], up, down)[1] for start in starts]
    growth, reach = _difference(mine, starts[0], starts[-1], up, down)
    rest = float(table["others"].iloc[-1] - table["others"].iloc[0])
    return Tracked(group.name, measure, table, growth, growth - reach, growth + reach, rest)


def _sums(
    group: TargetGroup, log: Transactions, period: str, since: str | date | None, as_of: str | date | None
) -> pd.DataFrame:
    """Sums of each member in each whole period."""
    last = log.close_of(as_of)
    with engine_for(log) as engine:
        lines = engine.parquet(log.lines)
        values: dict[str, object] = {"as_of": last}
        opening = engine.frame(f"select min(day) as day from {lines} where day <= :as_of and units > 0", values)["day"][
            0
        ]
        first = log.close_of(since) if since is not None else int(opening) - 1 if opening == opening else last
        members = engine.register(group.members.astype({"customer_id": str}))
        values |= {"since": first, "period": period}
        sums = to_pandas(engine.summary("segments/member_periods", values, lines=lines, members=members))
    starts = pd.Timestamp("1970-01-01") + pd.to_timedelta(sums["starts"], unit="D")
    ends = (
        starts + pd.offsets.MonthEnd(0)
        if period == "month"
        else starts + pd.Timedelta(days=6 if period == "week" else 27)
    )
    whole = (sums["starts"] > first) & ((ends - pd.Timestamp("1970-01-01")).dt.days <= last)
    return sums[whole].assign(buyers=1)


def _ratio(rows: pd.DataFrame, up: str, down: str) -> tuple[int, float, float, float]:
    """Members, the ratio of sums, and its 95 % interval; 0 to 0 where there is nothing to divide by."""
    x, y = rows[up].to_numpy(np.float64), rows[down].to_numpy(np.float64)
    if not y.sum() > 0:
        return len(rows), 0.0, 0.0, 0.0
    ratio = float(x.sum() / y.sum())
    reach = _reach((x - ratio * y) / y.sum())
    return len(rows), ratio, ratio - reach, ratio + reach


def _difference(rows: pd.DataFrame, first: int, last: int, up: str, down: str) -> tuple[float, float]:
    """Ratio of the last period less that of the first, and the reach of its interval; members are paired."""
    influence, ratios = [], []
    for start in (first, last):
        one = rows[rows["starts"] == start].set_index("customer_id")
        total = float(one[down].sum())
        ratio = float(one[up].sum() / total) if total > 0 else 0.0
        influence.append((one[up] - ratio * one[down]) / (total or 1.0))
        ratios.append(ratio)
    paired = influence[1].sub(influence[0], fill_value=0.0)
    return ratios[1] - ratios[0], _reach(paired.to_numpy(np.float64))


def _reach(influence: Floats) -> float:
    """Half the width of the 95 % interval of a sum of members' influences, which are 0 in sum."""
    n = len(influence)
    if n < 2:
        return float("nan")
    return float(stats.t.ppf(0.975, n - 1) * np.sqrt(n / (n - 1) * (influence**2).sum()))
