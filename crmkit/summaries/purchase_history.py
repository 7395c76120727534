"""The purchases of a log, fetched once, to be looked at as of many days."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, cast
from weakref import WeakKeyDictionary

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crmkit._days import day_of
from crmkit.engine.choose import engine_for
from crmkit.engine.frames import ordered_on_spark, streamed
from crmkit.engine.texts import sql_text
from crmkit.exceptions import LeakError
from crmkit.summaries._members import Facts, Members
from crmkit.summaries._pair_math import State
from crmkit.summaries._partitions import Partitions, some
from crmkit.transactions.log import Transactions, check_item, names

__all__ = ["PurchaseHistory", "Question", "as_text", "purchase_history"]

_REMEMBERED = 4_000_000

Answer = Callable[[pd.DataFrame], pd.DataFrame]

Question = tuple[str | date | None, Answer, str]
"""What `PurchaseHistory.answers` takes."""

_KEPT: WeakKeyDictionary[Transactions, tuple[object, Members]] = WeakKeyDictionary()


@dataclass(frozen=True)
class PurchaseHistory:
    """A log whose purchases are looked at as of several days; made by `purchase_history`.

    Attributes
    ----------
    log : Transactions
    levels : tuple of str
        Item columns, the finest first.
    exclude : tuple of str
        Items that are left out.
    until : int
        Number of the last day that can be looked at.
    """

    log: Transactions
    levels: tuple[str, ...]
    exclude: tuple[str, ...]
    until: int
    _rows: Partitions
    _lines: str
    _everybody: bool = True
    _states: dict[int, State] | None = None

    def day(self, as_of: str | date | None) -> int:
        """Number of a day that has been observed; the last one when none is given."""
        day = self.until if as_of is None else self.log.close_of(as_of)
        if day > self.until:
            raise LeakError(f"as_of={as_of} is after {day_of(self.until)}, the last day of this history.")
        return day

    def state(self, as_of: str | date | None = None) -> pd.DataFrame:
        """The table of `items.item_state`."""
        nobody = Members.of(_no_rows(self.levels), self.levels)
        columns = nobody.state(nobody.state_at(0), 0, Facts([_NO_HOMES] * len(self.levels[1:])))
        kinds = ", ".join(f"`{name}` {_kind(of)}" for name, of in columns.dtypes.items())
        return self._sorted(self.answers(as_of, as_text, kinds))

    def answers(self, as_of: str | date | None, answer: Answer, kinds: str) -> pd.DataFrame:
        """What a function makes of the state of all pairs, a part of the customers at a time.

        Parameters
        ----------
        as_of : date, optional
        answer : callable
            Takes the columns of `items.item_state`, with customer_id and item as categories.
        kinds : str
            Columns of the answer and their types, as Spark writes them.

        Returns
        -------
        DataFrame
            Sorted as the state is, by customer and item; of a log that is `on_spark` a Spark DataFrame, in no order,
            computed where the rows are when it is used.
        """
        if self.log.on_spark:
            return self._far_answers(self.day(as_of), answer, kinds)
        parts = list(self._each_answer(self.day(as_of), answer, together=self._rows.few))
        if len(parts) == 1:
            return parts[0]
        return pd.concat(parts).sort_values("customer_id", kind="stable", ignore_index=True)

    def write_answers(self, path: Path, as_of: str | date | None, answer: Answer, kinds: str) -> None:
        """The `answers` as a Parquet file, in parts as they come: it does not matter how many there are.

        Customers that are in memory already are one part.
        """
        if self.log.on_spark:
            streamed(cast(Any, self.answers(as_of, answer, kinds)), path)
            return
        with ExitStack() as stack:
            writer: pq.ParquetWriter | None = None
            for part in self.each_answer(as_of, answer):
                table = pa.Table.from_pandas(part, preserve_index=False)
                writer = writer or stack.enter_context(_written(path, table.schema))
                writer.write_table(table)

    def each_answer(self, as_of: str | date | None, answer: Answer) -> Iterator[pd.DataFrame]:
        """The `answers`, a part at a time."""
        return self._each_answer(self.day(as_of), answer, together=self._is_held or len(self._rows) == 1)

    def _each_answer(self, day: int, answer: Answer, together: bool) -> Iterator[pd.DataFrame]:
        facts = Facts(self._homes(day), None if together and self._everybody else self._recent(day))
        if together:
            yield answer(self._all.state(self._state_at(self._all, day), day, facts))
        else:
            yield from self._rows.answers(lambda part: _answer(self._members(part), day, facts, answer))

    def panel(self, as_of: str | date | None, ages: Sequence[int], share: float = 1.0) -> Iterator[pd.DataFrame]:
        """`state` at origins with waits, as `items.item_panel` describes it, with customer_id and item as categories."""
        day = self.day(as_of)
        members = self._some(share)
        later = members.known(day)
        for past in (day - age for age in ages):
            yield members.panel(self._state_at(members, past), past, later, Facts(self._homes(past)))

    def bought(self, as_of: str | date, horizon: int) -> pd.DataFrame:
        """The table of `items.item_bought`."""
        day = self.day(as_of)
        if day + horizon > self.until:
            raise LeakError(f"The {horizon} days after {as_of} are not all observed: the log ends on {self.log.until}.")

        def bought(members: Members) -> pd.DataFrame:
            return as_text(members.bought(day, day + horizon))

        if self.log.on_spark:
            return self._sorted(self._far(bought, "customer_id string, item string"))
        rows = self._rows
        parts = [bought(self._all)] if rows.few else rows.answers(lambda part: bought(self._members(part)))
        found = pd.concat(parts)
        return found.sort_values("customer_id", kind="stable", ignore_index=True)

    def remembering(self) -> PurchaseHistory:
        """The same, where a day that is looked at again is not worked out again; of a log in many parts nothing is kept."""
        return replace(self, _states={})

    def _state_at(self, members: Members, day: int) -> State:
        if self._states is None or members is not vars(self).get("_all"):
            return members.state_at(day)
        state = self._states.pop(day, None) or members.state_at(day)
        self._states[day] = state
        while len(self._states) > 1 and sum(len(one.pair) for one in self._states.values()) > _REMEMBERED:
            del self._states[next(iter(self._states))]
        return state

    def _recent(self, day: int) -> pd.DataFrame:
        """On how many days customers, all of them, bought each item of late."""
        engine = self._rows.engine
        if self.log.on_spark or not self._everybody:
            text = sql_text("summaries/recent_purchases", item=engine.quoted(self.levels[0]), lines=self._lines)
            return engine.frame(text, {"as_of": day})
        late = (pc.field("day") <= day) & (pc.field("buy_day") > day - 84)
        own, exclude = self.levels[:1], self.exclude
        counts = self._rows.answers(lambda rows: Members.of(rows.filter(late), own, exclude).recent(day))
        return pd.concat(counts).groupby("item", as_index=False).sum()

    def _homes(self, day: int) -> list[pd.DataFrame]:
        """Where each item belongs by the close of a day: of several items of a level, the last by name."""
        known = (homes[homes["since"] <= day] for homes in self._all_homes)
        return [homes.drop_duplicates("item", keep="last") for homes in known]

    @cached_property
    def _all_homes(self) -> list[pd.DataFrame]:
        engine = self._rows.engine
        own, *above = map(engine.quoted, self.levels)
        texts = [sql_text("summaries/item_homes", item=own, parent=level, lines=self._lines) for level in above]
        return [engine.frame(text, {"until": self.until}) for text in texts]

    def _members(self, rows: pa.Table) -> Members:
        return Members.of(rows, self.levels, self.exclude)

    @property
    def _asked(self) -> object:
        """What decides of a log which rows are fetched."""
        files = [(path, path.stat().st_mtime_ns, path.stat().st_size) for path in self.log.lines]
        return self.levels, self.exclude, files

    @property
    def _is_held(self) -> bool:
        """Whether all customers are in memory already."""
        return "_all" in vars(self) or (self._everybody and self.log in _KEPT and _KEPT[self.log][0] == self._asked)

    @cached_property
    def _all(self) -> Members:
        """All customers, where they are few. Those last asked for are kept for as long as their log is: whoever looks at it next,
        on whatever day, has them.
        """
        if not self._everybody:
            return self._members(self._rows.whole())
        asked = self._asked
        if self.log not in _KEPT or _KEPT[self.log][0] != asked:
            _KEPT[self.log] = asked, self._members(self._rows.whole())
        return _KEPT[self.log][1]

    def _some(self, share: float) -> Members:
        alone = share >= 1 and not self.log.on_spark and self._rows.few
        return self._all if alone else self._members(self._rows.whole(some(share)))

    def _far_answers(self, day: int, answer: Answer, kinds: str) -> pd.DataFrame:
        facts = Facts(self._homes(day), self._recent(day))
        return self._far(lambda members: _answer(members, day, facts, answer), kinds)

    def _far(self, answer: Callable[[Members], pd.DataFrame], kinds: str) -> pd.DataFrame:
        """The answers to parts of a log that is `on_spark`, where the rows are."""
        levels, exclude = self.levels, self.exclude
        return cast(pd.DataFrame, self._rows.spread(lambda rows: answer(Members.of(rows, levels, exclude)), kinds))

    def _sorted(self, pairs: pd.DataFrame) -> pd.DataFrame:
        return ordered_on_spark(pairs, "customer_id", "item")


@contextmanager
def purchase_history(
    log: Transactions | PurchaseHistory,
    by: str | Sequence[str],
    exclude: Sequence[str] = (),
    as_of: str | date | None = None,
    customer_id: str | None = None,
) -> Iterator[PurchaseHistory]:
    """Open a log to be looked at as of several days; its purchases are fetched once, when the first is asked for.

    Parameters
    ----------
    log : Transactions or PurchaseHistory
        A history that is open already is taken as it is.
    by : str or sequence of str
        Item column; several are levels, the finest first.
    exclude : sequence of str
        Items to leave out.
    as_of : date, optional
        Last day to look at; the log's ``until`` when not given.
    customer_id : str, optional
        The one customer to look at; all when not given.

    Examples
    --------
    >>> till = pd.DataFrame({"customer_id": ["a"] * 2, "category": ["Milk"] * 2, "amount": [1, 2],
    ...                      "purchased_at": ["2017-01-01", "2017-01-05"]})
    >>> with purchase_history(Transactions.from_extract(till, until="2017-01-20"), by="category") as history:
    ...     [int(history.state(day)["T"].iloc[0]) for day in ("2017-01-03", "2017-01-20")]
    [2, 19]
    """
    if isinstance(log, PurchaseHistory):
        yield log
        return
    levels = tuple(names(by))
    for level in levels or (str(by),):
        check_item(log, level)
    with engine_for(log) as engine:
        lines = engine.parquet(log.lines)
        items = ", ".join(f"{engine.quoted(name)} as item_{place}" for place, name in enumerate(levels))
        customers = "true" if customer_id is None else "customer_id = :customer_id"
        select = sql_text("summaries/purchase_history", items=items, lines=lines, customers=customers)
        rows = Partitions(engine, select, {"until": log.close_of(None), "customer_id": customer_id})
        yield PurchaseHistory(log, levels, tuple(exclude), log.close_of(as_of), rows, lines, customer_id is None)


def _answer(members: Members, day: int, facts: Facts, answer: Answer) -> pd.DataFrame:
    return answer(members.state(members.state_at(day), day, facts))


def as_text(state: pd.DataFrame) -> pd.DataFrame:
    """The table with its categories as text."""
    text = {str(name): of for name, of in state.items() if isinstance(of.dtype, pd.CategoricalDtype)}
    return state.assign(**{name: of.cat.categories.take(of.cat.codes.to_numpy()) for name, of in text.items()})


def _written(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """A file where numbers with digits after the point, of which hardly two are equal, have no dictionary."""
    some_are_equal = [field.name for field in schema if not pa.types.is_floating(field.type)]
    return pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=some_are_equal)


_NO_HOMES = pd.DataFrame({"item": pd.Series(dtype="str"), "parent": pd.Series(dtype="str")})


def _no_rows(levels: Sequence[str]) -> pa.Table:
    text = dict.fromkeys(["customer_id", *(f"item_{place}" for place in range(len(levels)))], pa.string())
    whole = dict.fromkeys(["buy_day", "day", "units", "amount"], pa.int64())
    return pa.schema([*text.items(), *whole.items()]).empty_table()


def _kind(dtype: object) -> str:
    return {"int64": "bigint", "float64": "double"}.get(str(dtype), "string")
