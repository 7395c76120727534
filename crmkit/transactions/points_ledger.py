"""The ledger of points: what each card earned, got on top, spent, lost and was given, by rules that are data.

Opening + earned + bonus + adjusted - returned - redeemed - expired = closing, for each card and to the point.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import ClassVar

import numpy as np
import pandas as pd

from crmkit._checks import require_columns
from crmkit._days import as_day, day_number
from crmkit.engine.base import SqlEngine
from crmkit.engine.choose import engine_for
from crmkit.engine.frames import to_pandas
from crmkit.engine.texts import literal, sql_text
from crmkit.exceptions import ConfigError, ExtractError
from crmkit.transactions.log import Transactions, check_log

__all__ = ["GAINS", "KINDS", "PointsBonus", "PointsLedger", "PricePromise", "reconcile_points"]

GAINS = ("earned", "bonus", "adjusted")
KINDS = ("earned", "bonus", "adjusted", "returned", "redeemed", "expired")
_GIVEN = ("redeemed", "adjusted")
_NEVER, _CENTS = 10**9, 10_000


@dataclass(frozen=True)
class PointsBonus:
    """Points on top of those that all purchases earn.

    Parameters
    ----------
    name : str
    where : str
        SQL condition over the columns of a line: ``"category = 'Milk'"``.
    per : float, optional
        Money per point.
    each : int, optional
        Points per piece; one of the two is stated.
    starts, ends : date, optional
        First and last day.
    vip : bool
        For members who are VIPs on the day alone.
    """

    name: str
    where: str = "true"
    per: float | None = None
    each: int | None = None
    starts: date | str | None = None
    ends: date | str | None = None
    vip: bool = False

    def __post_init__(self) -> None:
        if (self.per is None) == (self.each is None) or not (self.per or self.each or 0) > 0:
            raise ConfigError(f"Bonus {self.name!r}: state per (money per point) or each (points per piece), above 0.")

    @property
    def condition(self) -> str:
        """Lines that count."""
        days = [f"l.buy_day >= {day_number(self.starts)}"] if self.starts else []
        days += [f"l.buy_day <= {day_number(self.ends)}"] if self.ends else []
        return " and ".join([f"({self.where})", *days])

    @property
    def measure(self) -> tuple[str, float]:
        """What is counted of a line, and how much of it makes a point."""
        if self.each is not None:
            return f"l.units * {self.each}", float(_CENTS)
        assert self.per is not None
        return "l.amount", self.per * _CENTS


@dataclass(frozen=True)
class PricePromise:
    """Who bought a product dearer in these days gets the difference to ``price`` back, as points, on the last of them."""

    product_id: str
    price: float
    starts: date | str
    ends: date | str


@dataclass(frozen=True)
class PointsLedger:
    """The rules of a points programme, and the ledger that they make of a log.

    Parameters
    ----------
    per : float, default 10
        Money per point. What is bought on one day counts together; a started step earns nothing.
    worth : float, default 0.10
        Money that a point is worth.
    expires : int, optional
        Days after which points that were not spent expire; the oldest are spent first. By default they never do.
    leave_out : str, optional
        SQL condition over the columns of a line: what earns nothing, ``"category = 'Gift card'"``.
    bonuses : sequence of PointsBonus
    promises : sequence of PricePromise
    rewards : mapping of str to int
        What can be saved up for: points that each reward takes.

    Examples
    --------
    >>> till = pd.DataFrame({"customer_id": "a", "purchased_at": ["2017-01-02", "2017-01-09", "2017-01-12"], "product_id": "m",
    ...     "amount": [39.0, 12.0, -12.0], "quantity": [3, 1, -1]})
    >>> log = Transactions.from_extract(till, until="2017-04-30")
    >>> spent = pd.DataFrame({"customer_id": ["a"], "day": ["2017-01-20"], "kind": "redeemed", "points": [2]})
    >>> PointsLedger(per=10, expires=90).entries(log, spent).drop(columns=["customer_id", "rule"])
             day      kind  points  balance
    0 2017-01-02    earned       3        3
    1 2017-01-09    earned       1        4
    2 2017-01-12  returned      -1        3
    3 2017-01-20  redeemed      -2        1
    4 2017-04-09   expired      -1        0
    """

    per: float = 10.0
    worth: float = 0.10
    expires: int | None = None
    leave_out: str | None = None
    bonuses: Sequence[PointsBonus] = ()
    promises: Sequence[PricePromise] = ()
    rewards: Mapping[str, int] | None = None

    columns: ClassVar[tuple[str, ...]] = ("customer_id", "day", "kind", "points", "balance", "rule")

    def __post_init__(self) -> None:
        named = {"per": self.per, "worth": self.worth, "expires": 1 if self.expires is None else self.expires}
        if wrong := [f"{name}={value!r}" for name, value in named.items() if not value > 0]:
            raise ConfigError(f"{', '.join(wrong)}: must be above 0.")

    def entries(
        self,
        log: Transactions,
        given: pd.DataFrame | None = None,
        vips: pd.DataFrame | None = None,
        as_of: str | date | None = None,
    ) -> pd.DataFrame:
        """The ledger up to the close of ``as_of``; nothing later is looked at.

        Parameters
        ----------
        log : Transactions
            By card.
        given : DataFrame, optional
            What only another system knows: customer_id, day, kind, points, of kind redeemed (points above 0, which go) and
            adjusted (above or below 0). Other kinds are left for `reconcile_points`.
        vips : DataFrame, optional
            customer_id and since, for bonuses that only VIPs get.
        as_of : date, optional
            By default the log's ``until``.

        Returns
        -------
        DataFrame
            customer_id, day, kind (earned, bonus, adjusted, returned, redeemed, expired), points (below 0 where they go),
            balance after the entry, rule (the bonus's name). A row per card, day, kind and rule. Of a log that is `on_spark` a
            Spark DataFrame.

        Raises
        ------
        ConfigError
            A condition is no SQL over the columns of a line.
        """
        check_log(log)
        with engine_for(log) as engine:
            lines = engine.parquet(log.lines)
            moves = " union all ".join(f"({text})" for text in self._moves(engine, lines, given, vips))
            values = {"as_of": log.close_of(as_of), "expires": self.expires or _NEVER}
            self._check_conditions(engine, lines)
            return engine.table(sql_text("transactions/points_ledger", moves=moves), values)

    def _moves(
        self, engine: SqlEngine, lines: str, given: pd.DataFrame | None, vips: pd.DataFrame | None
    ) -> Iterator[str]:
        """Queries for the points that come and go, but for those that expire."""
        yield self._earned(
            engine, lines, "earned", "", "l.amount", self.per * _CENTS, f"not ({self.leave_out or 'false'})"
        )
        known = engine.register(_vips(vips))
        for bonus in self.bonuses:
            of_vips = f"exists (select 1 from {known} v where v.customer_id = l.customer_id and v.since <= l.buy_day)"
            condition = f"{bonus.condition} and {of_vips}" if bonus.vip else bonus.condition
            yield self._earned(engine, lines, "bonus", bonus.name, *bonus.measure, condition)
        for one in self.promises:
            yield sql_text(
                "transactions/points_promised",
                lines=lines,
                product_id=literal(str(one.product_id)),
                starts=str(day_number(one.starts)),
                ends=str(day_number(one.ends)),
                price=repr(round(one.price * _CENTS)),
                step=repr(self.worth * _CENTS),
            )
        if given is not None:
            yield f"select customer_id, day, kind, rule, points from {engine.register(_given(given))}"

    @staticmethod
    def _earned(engine: SqlEngine, lines: str, kind: str, rule: str, measure: str, step: float, condition: str) -> str:
        return sql_text(
            "transactions/points_earned",
            lines=lines,
            kind=kind,
            rule=literal(rule),
            measure=measure,
            step=repr(float(step)),
            condition=f"coalesce({condition}, false)",
        )

    def _check_conditions(self, engine: SqlEngine, lines: str) -> None:
        stated = {bonus.name: bonus.where for bonus in self.bonuses} | {"leave_out": self.leave_out or "false"}
        for name, condition in stated.items():
            try:
                with engine.named_source(f"The condition {condition!r} of {name!r}"):
                    engine.frame(f"select 1 as n from {lines} l where ({condition}) limit 0")
            except ExtractError as error:
                raise ConfigError(f"{error}. Columns are {', '.join(engine.types(lines))}.") from None

    def next_rewards(self, balances: pd.DataFrame) -> pd.DataFrame:
        """What each card can have now, and what it is saving for: customer_id, balance, reward, next_reward, points_to_go.

        >>> PointsLedger(rewards={"Pan": 500, "Cup": 100}).next_rewards(pd.DataFrame({"customer_id": ["a"], "balance": [120]}))
          customer_id  balance reward next_reward  points_to_go
        0           a      120    Cup         Pan           380
        """
        require_columns(balances, ["customer_id", "balance"])
        ordered = sorted((self.rewards or {}).items(), key=lambda one: (one[1], one[0]))
        names = np.array([*(name for name, _ in ordered), ""], dtype=object)
        costs = np.array([cost for _, cost in ordered], dtype=np.float64)
        held = np.searchsorted(costs, balances["balance"].to_numpy(np.float64), side="right")
        to_go = np.append(costs, np.nan)[held] - balances["balance"].to_numpy(np.float64)
        table = balances[["customer_id", "balance"]].reset_index(drop=True)
        table["reward"] = np.where(held > 0, names[held - 1], "")
        table["next_reward"] = names[held]
        return table.assign(points_to_go=pd.Series(to_go).astype("Int64"))


def _vips(vips: pd.DataFrame | None) -> pd.DataFrame:
    if vips is None:
        return pd.DataFrame({"customer_id": pd.Series(dtype="str"), "since": pd.Series(dtype="int32")})
    require_columns(vips, ["customer_id", "since"])
    known = vips.dropna(subset=["since"])
    return pd.DataFrame({"customer_id": known["customer_id"].astype("str"), "since": _day_numbers(known["since"])})


def _given(given: pd.DataFrame) -> pd.DataFrame:
    """Entries of another system as moves: what was redeemed goes."""
    require_columns(given, ["customer_id", "day", "kind", "points"])
    known = given[given["kind"].isin(_GIVEN)]
    points = known["points"].to_numpy(np.int64) * np.where(known["kind"] == "redeemed", -1, 1)
    return pd.DataFrame(
        {
            "customer_id": known["customer_id"].astype("str").to_numpy(),
            "day": _day_numbers(known["day"]),
            "kind": known["kind"].astype("str").to_numpy(),
            "rule": np.array([""] * len(known), dtype=object),
            "points": points,
        }
    ).astype({"rule": "str"})


def _day_numbers(days: pd.Series[pd.Timestamp]) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.asarray((pd.to_datetime(days) - pd.Timestamp(0)).dt.days, dtype=np.int32)


def reconcile_points(ours: pd.DataFrame, theirs: pd.DataFrame, as_of: str | date | None = None) -> pd.DataFrame:
    """A ledger that another system keeps beside ours, line by line.

    Parameters
    ----------
    ours : DataFrame
        From `PointsLedger.entries`.
    theirs : DataFrame
        customer_id, day, kind, points (above 0; the kind says whether they go); file and line, where known.
    as_of : date, optional
        Later lines of theirs are not looked at.

    Returns
    -------
    DataFrame
        customer_id, day, kind, ours, theirs, difference (ours less theirs), state (agrees, differs, only ours, only theirs), file and
        line of their first. Every line of either is in one row; lines of a card, day and kind are added up.

    Examples
    --------
    >>> ours = pd.DataFrame({"customer_id": ["a"], "day": pd.to_datetime(["2017-01-02"]), "kind": "earned", "points": [3]})
    >>> theirs = pd.DataFrame({"customer_id": ["a", "b"], "day": "2017-01-02", "kind": "earned", "points": [4, 1]})
    >>> reconcile_points(ours, theirs)[["customer_id", "ours", "theirs", "difference", "state"]]
      customer_id  ours  theirs  difference        state
    0           a     3       4          -1      differs
    1           b     0       1          -1  only theirs
    """
    keys = ["customer_id", "day", "kind"]
    for table, what in ((ours, "Our ledger"), (theirs, "Their ledger")):
        require_columns(table, [*keys, "points"], what)
    known = theirs.assign(day=pd.to_datetime(theirs["day"]).astype("datetime64[us]"))
    known = known if as_of is None else known[known["day"] <= pd.Timestamp(as_day(as_of))]
    goes = ~known["kind"].isin(GAINS)
    known = known.assign(theirs=known["points"].where(~goes, -known["points"]))
    places = {name: (name, "first") for name in ("file", "line") if name in known}
    found = known.groupby(keys).agg(theirs=("theirs", "sum"), **places).reset_index()
    own = to_pandas(ours).astype({"day": "datetime64[us]"}).groupby(keys)["points"].agg(ours="sum").reset_index()
    table = own.merge(found, how="outer", on=keys, indicator=True)
    table = table.fillna({"ours": 0, "theirs": 0}).astype({"ours": "int64", "theirs": "int64"})
    table["difference"] = table["ours"] - table["theirs"]
    alone = {"left_only": "only ours", "right_only": "only theirs", "both": "agrees"}
    state = table["_merge"].astype("str").map(alone)
    table["state"] = state.mask((state == "agrees") & (table["difference"] != 0), "differs")
    return table.sort_values(keys, ignore_index=True).drop(columns="_merge")
