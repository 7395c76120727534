"""All that some customers did, in memory: what was known of them at the close of any day is told from here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from crmkit._types import Ints
from crmkit.summaries import _customer_math as maths
from crmkit.summaries._partitions import coded

__all__ = ["LINES", "STATE", "WINDOW", "CustomerHistory"]


@dataclass(frozen=True)
class CustomerHistory:
    """Customers, sorted by their ids, with every day and every basket of theirs.

    Attributes
    ----------
    customers : Index of str
    days : PurchaseDays
    money : Running
        amount, repeat_amount and log_gap.
    baskets : Running
        n_lines, paid, discount, branded, store_brand.
    categories : Categories
    """

    customers: pd.Index[str]
    days: maths.PurchaseDays
    money: maths.Running
    baskets: maths.Running
    categories: maths.Categories

    @classmethod
    def of(cls, rows: pa.Table) -> CustomerHistory:
        """Take in the rows of ``summaries/customer_history``."""
        customer, customers = coded(rows["customer_id"])
        category, _ = coded(rows["category"])
        n, names = len(customers), ("day", "of_line", "mark", "amount", "part", "log_gap")
        day, of_line, mark, amount, part, log_gap = (rows[name].to_numpy() for name in names)
        lines, days = np.flatnonzero(of_line == 1), np.flatnonzero(of_line == 0)
        visits = days[mark[days] == 1]
        paid, brand = amount[lines], mark[lines]
        whose, when = customer[lines], day[lines]
        return cls(
            customers,
            maths.PurchaseDays.of(customer[visits], day[visits], n),
            maths.Running.of(
                customer[days], day[days], n,
                amount=amount[days], repeat_amount=part[days], log_gap=log_gap[days],
            ),
            maths.Running.of(
                whose, when, n, n_lines=np.ones(len(lines), dtype=np.int8), paid=paid, discount=part[lines],
                branded=np.where(brand >= 0, paid, 0), store_brand=np.where(brand == 1, paid, 0),
            ),
            maths.Categories.of(whose, category[lines], when, n),
        )  # fmt: skip

    def known(self, as_of: int) -> Ints:
        """Places of the customers with a purchase by the close of a day: those of `state`, in its order."""
        return maths.known_at(self.days, as_of)

    def state(self, as_of: int) -> pd.DataFrame:
        """The columns of `Snapshots.state`."""
        who = self.known(as_of)
        columns = maths.purchases_at(self.days, who, as_of)
        columns |= maths.money_at(self.money, who, as_of)
        columns["monetary_value"] = columns.pop("repeat_amount") / np.where(
            columns["frequency"] > 0, columns["frequency"], np.nan
        )
        columns |= maths.baskets_at(self.baskets, self.categories, who, as_of)
        ordered = {name: columns[name] for name in _ORDER}
        return pd.DataFrame({"customer_id": self.customers[who], **ordered}, copy=False)

    def window(self, after: int, until: int) -> pd.DataFrame:
        """The columns of `Snapshots.window`, one row for each of ``customers``."""
        return pd.DataFrame(
            {
                "customer_id": self.customers,
                "purchases": self.days.places.by(until) - self.days.places.by(after),
                "spend": self.money.between(after, until, "amount") / maths.MONEY,
                "n_categories": self.categories.between(after, until),
            },
            copy=False,
        )


_COUNTS = [
    "frequency",
    "recency",
    "T",
    "days_since_last",
    "longest_gap",
    "last_gap",
    "longer_gaps",
    "days_7",
    "days_14",
    "days_28",
    "days_56",
    "days_84",
    "days_168",
    "n_lines",
    "n_categories",
    "categories_84",
    "categories_168",
]
_ORDER = [
    "frequency",
    "recency",
    "T",
    "monetary_value",
    "sum_log_gap",
    "days_since_last",
    "squared_gaps",
    "longest_gap",
    "last_gap",
    "longer_gaps",
    "days_7",
    "days_14",
    "days_28",
    "days_56",
    "days_84",
    "days_168",
    "decayed_20",
    "decayed_60",
    "decayed_150",
    "spend",
    "spend_84",
    "spend_168",
    "n_lines",
    "n_categories",
    "categories_84",
    "categories_168",
    "paid",
    "discount",
    "branded",
    "store_brand",
]
LINES = tuple(_ORDER[_ORDER.index("n_lines") :])
"""Columns of a state that are known of the lines alone."""

STATE = ", ".join(["customer_id string", *(f"{name} {'bigint' if name in _COUNTS else 'double'}" for name in _ORDER)])
WINDOW = "customer_id string, purchases bigint, spend double, n_categories bigint"
"""Columns of a state and of a window, with their types, as Spark writes them."""
