"""Customers as of several past days of one log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crmkit._types import Floats
from crmkit.engine.choose import engine_for
from crmkit.engine.frames import to_pandas
from crmkit.engine.texts import sql_text
from crmkit.exceptions import LeakError
from crmkit.transactions.log import Transactions

if TYPE_CHECKING:
    Floats = Floats

__all__ = ["Snapshots", "snapshots"]

ANCHOR = "btyd_log_odds"
LINES = ("n_lines", "n_categories", "categories_84", "categories_168", "paid", "discount", "branded", "store_brand")


@dataclass(frozen=True)
class Snapshots:
    """A log that is looked at as of several days; made by `snapshots`."""

    log: Transactions
    _engine: Any
    _days: str
    _lines: str

    def state(self, as_of: str | date | int | None = None) -> pd.DataFrame:
        """One row per customer with a purchase by the close of ``as_of``.

        Returns
        -------
        DataFrame
            customer_id; frequency, recency, T, monetary_value and sum_log_gap as in `btyd_summary`; days_since_last (days since
            the last purchase day); squared_gaps, longest_gap, last_gap (days between purchase days), longer_gaps (own
            gaps of at least that length); days_7 … days_168 (purchase days in the last so many days), decayed_20 …
            decayed_150 (purchase days, one of age a counting exp(−a / 20) and so on); spend, spend_84, spend_168 (money
            in all, in the last 84 days and the 84 before); of the baskets, as they were bought, whether or not goods
            were taken back later: n_lines, n_categories, categories_84, categories_168, paid, discount, branded and
            store_brand (money on brand types as `BrandUsage` reads them).
        """
        day = self.day(as_of)
        state = self._frame("summaries/customer_state", {"as_of": day}, days=self._days)
        baskets = self._frame("summaries/customer_baskets", {"as_of": day}, lines=self._lines)
        state = state.merge(baskets, how="left", on="customer_id")
        return state.fillna(dict.fromkeys(LINES, 0))

    def far_state(self, as_of: str | date | None = None) -> Any:
        """`state` of a log that is `on_spark`, as a Spark DataFrame that nobody has computed or collected yet."""
        day = self.day(as_of)
        state = self._engine.summary("summaries/customer_state", {"as_of": day}, days=self._days)
        baskets: Any = self._engine.summary("summaries/customer_baskets", {"as_of": day}, lines=self._lines)
        return state.join(baskets, "customer_id", "left").fillna(0, subset=list(LINES))

    def after(self, as_of: str | date | int, horizon: int) -> pd.DataFrame:
        """What customers did on days as_of + 1 … as_of + horizon: customer_id, purchases, spend, n_categories.

        Raises
        ------
        LeakError
            Those days are not all observed.
        """
        day = self.day(as_of)
        if day + horizon > self.log.close_of(None):
            raise LeakError(
                f"The {horizon} days after {self.date(day)} are not all observed: the log ends on {self.log.until}."
            )
        return self.window(day, day + horizon)

    def window(self, after: int, until: int) -> pd.DataFrame:
        """What customers did on the days after one and up to another: customer_id, purchases, spend, n_categories."""
        return self._frame(
            "summaries/customer_window", {"after": after, "until": until}, days=self._days, lines=self._lines
        )

    def labels(self, state: pd.DataFrame, as_of: str | date | int, horizon: int) -> Floats:
        """1.0 for each customer of ``state`` who bought nothing on days as_of + 1 … as_of + horizon, else 0.0."""
        after = self.after(as_of, horizon)
        came = after.loc[after["purchases"] > 0, "customer_id"]
        silent = ~state["customer_id"].isin(came)
        return np.asarray(silent, dtype=np.float64)

    def day(self, as_of: str | date | int | None) -> int:
        """Day number of an ``as_of``; a day that has not been observed raises `LeakError`."""
        return self.log.close_of(self.date(as_of) if isinstance(as_of, int | np.integer) else as_of)

    @staticmethod
    def date(day: int) -> date:
        """The date of a day number."""
        return date(1970, 1, 1) + timedelta(days=int(day))

    def _frame(self, name: str, values: Mapping[str, int], **relations: str) -> pd.DataFrame:
        return to_pandas(self._engine.summary(name, values, **relations))


@contextmanager
def snapshots(log: Transactions, share: float = 1.0) -> Iterator[Snapshots]:
    """Open a log to be looked at as of several days; what does not depend on the day is computed once.

    Parameters
    ----------
    log : Transactions
    share : float
        Share of the customers to take, the same ones on all days, chosen by a hash of the id.

    Examples
    --------
    >>> till = pd.DataFrame({"customer_id": ["a"] * 3, "amount": [1.0, 2.0, 3.0],
    ...                      "purchased_at": ["2017-01-01", "2017-01-05", "2017-02-01"]})
    >>> with snapshots(Transactions.from_extract(till, until="2017-03-01")) as shop:
    ...     state = shop.state("2017-01-20")
    ...     state[["frequency", "recency", "T", "days_since_last", "spend"]].iloc[0].tolist(), shop.labels(state, "2017-01-20", 10)
    ([1.0, 4.0, 19.0, 15.0, 3.0], array([1.]))
    """
    with engine_for(log) as engine:
        days, lines = engine.parquet(log.days), engine.parquet(log.lines)
        if share < 1:
            few = f"where substr(md5('panel:' || customer_id), 1, 8) < '{int(share * 16**8):08x}'"
            days = engine.stage(f"select * from {days} {few}")
            lines = engine.stage(
                f"select customer_id, day, category, units, amount, discount, brand_type from {lines} {few}"
            )
        yield Snapshots(log, engine, days, engine.stage(sql_text("summaries/customer_lines", lines=lines)))
