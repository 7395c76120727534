"""Customers as of several origins of one log, whose rows are fetched once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import cast

import numpy as np
import pandas as pd

from crmkit._types import Floats
from crmkit.engine.choose import engine_for
from crmkit.engine.frames import kept, to_pandas
from crmkit.engine.texts import sql_text
from crmkit.exceptions import LeakError
from crmkit.summaries._history import LINES, STATE, WINDOW, CustomerHistory
from crmkit.summaries._partitions import Partitions, some
from crmkit.transactions.log import Transactions

__all__ = ["LINES", "STATE", "WINDOW", "CustomerHistory", "Snapshots", "snapshots"]

Answer = Callable[[CustomerHistory], pd.DataFrame]


@dataclass(frozen=True)
class Snapshots:
    """A log that is looked at as of several days; made by `snapshots`."""

    log: Transactions
    _rows: Partitions

    def state(self, as_of: str | date | int | None = None) -> pd.DataFrame:
        """One row per customer with a purchase by the close of ``as_of``.

        Returns
        -------
        DataFrame
            customer_id; frequency, recency, T, monetary_value and sum_log_gap as in `btyd_summary`; days_since_last (days
            since the last purchase day); squared_gaps, longest_gap, last_gap (days between purchase days), longer_gaps (own
            gaps of at least days_since_last); days_7 … days_168 (purchase days in the last so many days), decayed_20 …
            decayed_150 (purchase days, one of age a counting exp(−a / 20) and so on); spend, spend_84, spend_168 (money
            in all, in the last 84 days and the 84 before); of the baskets, as they were bought, whether or not goods
            were taken back later: n_lines, n_categories, categories_84, categories_168, paid, discount, branded and
            store_brand (money on brand types as `BrandUsage` reads them).
        """
        day = self.day(as_of)
        return to_pandas(self.ask(lambda history: history.state(day), STATE))

    def everybody(self, as_of: str | date | int | None = None) -> pd.DataFrame:
        """The same of all customers where the rows are: of a log that is `on_spark` a Spark DataFrame, kept there."""
        day = self.day(as_of)
        return kept(self.ask(lambda history: history.state(day), STATE))

    def window(self, after: int, until: int) -> pd.DataFrame:
        """What customers did on the days after one and up to another: customer_id, purchases, spend, n_categories."""
        return to_pandas(self.ask(lambda history: history.window(after, until), WINDOW))

    def after(self, as_of: str | date | int, horizon: int) -> pd.DataFrame:
        """What customers did on days as_of + 1 … as_of + horizon: customer_id, purchases, spend, n_categories.

        Raises
        ------
        LeakError
            Those days are not all observed.
        """
        return self.window(self.day(as_of), self.observed(as_of, horizon))

    def observed(self, as_of: str | date | int, horizon: int) -> int:
        """The last of the ``horizon`` days after a day; if they are not all observed, a `LeakError`."""
        day = self.day(as_of)
        if day + horizon > self.log.close_of(None):
            raise LeakError(
                f"The {horizon} days after {self.date(day)} are not all observed: the log ends on {self.log.until}."
            )
        return day + horizon

    def labels(self, state: pd.DataFrame, as_of: str | date | int, horizon: int) -> Floats:
        """1.0 for each customer of ``state`` who bought nothing on days as_of + 1 … as_of + horizon, else 0.0."""
        after = self.after(as_of, horizon)
        came = after.loc[after["purchases"] > 0, "customer_id"]
        return np.asarray(~state["customer_id"].isin(came), dtype=np.float64)

    def ask(self, answer: Answer, kinds: str) -> pd.DataFrame:
        """What is told from the histories of some customers at a time.

        Parameters
        ----------
        answer : callable
            Takes a `CustomerHistory`, gives a table.
        kinds : str
            Columns of the answer and their types, as Spark writes them.

        Returns
        -------
        DataFrame
            The answers below one another, by customer_id; of a log that is `on_spark` a Spark DataFrame, computed where the
            rows are when it is used.
        """
        if self._rows.engine.on_spark:
            return cast(pd.DataFrame, self._rows.spread(lambda rows: answer(CustomerHistory.of(rows)), kinds))
        answers = [answer(history) for history in self._histories()]
        if len(answers) == 1:
            return answers[0]
        return pd.concat(answers).sort_values("customer_id", kind="stable", ignore_index=True)

    def _histories(self) -> Iterator[CustomerHistory]:
        if self._rows.few:
            yield self._all
        else:
            yield from map(CustomerHistory.of, self._rows)

    @cached_property
    def _all(self) -> CustomerHistory:
        return CustomerHistory.of(self._rows.whole())

    def day(self, as_of: str | date | int | None) -> int:
        """Day number of an ``as_of``; a day that has not been observed raises `LeakError`."""
        return self.log.close_of(self.date(as_of) if isinstance(as_of, int | np.integer) else as_of)

    @staticmethod
    def date(day: int) -> date:
        """The date of a day number."""
        return date(1970, 1, 1) + timedelta(days=int(day))

    def some(self, share: float) -> Snapshots:
        """The same of a share of the customers, the same ones on all days, chosen by a hash of the id."""
        rows = Partitions(self._rows.engine, f"select * from ({self._rows.select}) as t where {some(share)}")
        return Snapshots(self.log, rows)


@contextmanager
def snapshots(log: Transactions) -> Iterator[Snapshots]:
    """Open a log to be looked at as of several days.

    Parameters
    ----------
    log : Transactions

    Examples
    --------
    >>> till = pd.DataFrame({"customer_id": ["a"] * 3, "amount": [1.0, 2.0, 3.0],
    ...                      "purchased_at": ["2017-01-01", "2017-01-05", "2017-02-01"]})
    >>> with snapshots(Transactions.from_extract(till, until="2017-03-01")) as shop:
    ...     state = shop.state("2017-01-20")
    ...     state[["frequency", "recency", "T", "days_since_last"]].iloc[0].tolist(), shop.labels(state, "2017-01-20", 10)
    ([1, 4, 19, 15], array([1.]))
    """
    with engine_for(log) as engine:
        days, lines = engine.parquet(log.days), engine.parquet(log.lines)
        yield Snapshots(log, Partitions(engine, sql_text("summaries/customer_history", days=days, lines=lines)))
