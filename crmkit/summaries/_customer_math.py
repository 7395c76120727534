"""What customers had done by the close of any day, from arrays of all their days: exact sums, nothing of what comes later.

Customers are numbered from 0, days are whole, money is in units of 10⁻⁴.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from crmkit._types import Floats, Int32s, Ints
from crmkit.summaries._exact_math import decayed, run_starts, sums

__all__ = ["Categories", "Columns", "PurchaseDays", "Running", "baskets_at", "known_at", "money_at", "purchases_at"]

Columns = dict[str, Ints | Floats]

MONEY, LOG = 1e4, 1e12
_COUNTED = (7, 14, 28, 56, 84, 168)
_DECAYS = (20, 60, 150)


@dataclass(frozen=True)
class Running:
    """Amounts by customer and day, summed up to each day.

    Attributes
    ----------
    key : array (n_days,)
        customer · ``width`` + day, sorted, each once.
    so_far : mapping of str to array (n_days + 1,)
        Sum of the first 0, 1, … of them.
    width : int
        Above every day.
    n_customers : int
    """

    key: Ints
    so_far: Mapping[str, Ints]
    width: int
    n_customers: int

    @classmethod
    def of(cls, customer: Ints, day: Ints, n_customers: int, **amounts: Ints) -> Running:
        """Sum rows, in any order, of customers 0 … n_customers − 1.

        >>> spent = Running.of(np.array([1, 0, 1]), np.array([7, 5, 5]), 2, amount=np.array([30, 10, 20]))
        >>> spent.between(-1, 5, "amount").tolist(), spent.between(5, 7, "amount").tolist()
        ([10, 20], [0, 30])
        """
        width = int(day.max(initial=0)) + 1
        key = customer * width + day
        order = np.argsort(key)
        key = key[order]
        starts = run_starts(key)
        so_far = {name: _cumulated(sums(values[order], starts)) for name, values in amounts.items()}
        return cls(key[starts], so_far, width, n_customers)

    def by(self, day: int) -> Ints:
        """Of each customer, the place after their last day that is not after ``day``."""
        ends = np.arange(self.n_customers) * self.width + min(max(day, -1), self.width - 1)
        place: Ints = np.searchsorted(self.key, ends, side="right")
        return place

    def between(self, after: int, until: int, name: str) -> Ints:
        """Each customer's sum over the days after one and up to another."""
        total = self.so_far[name]
        return total[self.by(until)] - total[self.by(after)]


@dataclass(frozen=True)
class PurchaseDays:
    """The days on which each customer bought, sorted by customer and day, with what each says of the days before.

    Attributes
    ----------
    places : Running
        Without amounts.
    day, gap, longest : arrays (n_days,)
        Days since the one before (0 for the first), and the longest of the customer's so far.
    squares : array (n_days + 1,)
        Sums of the squared gaps of the first 0, 1, … rows.
    """

    places: Running
    day: Ints
    gap: Ints
    longest: Ints
    squares: Ints

    @classmethod
    def of(cls, customer: Ints, day: Ints, n_customers: int) -> PurchaseDays:
        """Take in days in any order."""
        places = Running.of(customer, day, n_customers)
        day = places.key % places.width
        owner = places.key // places.width
        gap = np.diff(day, prepend=0)
        gap[run_starts(owner)] = 0
        offset = owner * places.width
        longest = np.maximum.accumulate(gap + offset) - offset
        return cls(places, day, gap, longest, _cumulated(gap * gap))


@dataclass(frozen=True)
class Categories:
    """On which days each customer bought of each category, in the order of the days.

    Attributes
    ----------
    customer, day, before : arrays (n_rows,)
        ``before`` is the day on which the customer last bought of the category before; −1 for never.
    n_customers : int
    """

    customer: Int32s
    day: Int32s
    before: Int32s
    n_customers: int

    @classmethod
    def of(cls, customer: Ints, category: Ints, day: Ints, n_customers: int) -> Categories:
        """Take in rows in any order; a category of −1 is none."""
        there = category >= 0
        customer, category, day = customer[there], category[there], day[there]
        width, n = int(day.max(initial=0)) + 1, int(category.max(initial=0)) + 1
        key = np.sort((customer * n + category) * width + day)
        key = key[run_starts(key)]
        both, day = key // width, key % width
        before = np.concatenate([[-1], day[:-1]])[: len(day)]
        before[run_starts(both)] = -1
        order = np.argsort(day, kind="stable")
        owner, of_day, last = (values[order].astype(np.int32) for values in (both // n, day, before))
        return cls(owner, of_day, last, n_customers)

    def between(self, after: int, until: int) -> Ints:
        """How many categories each customer bought of on the days after one and up to another."""
        start, end = np.searchsorted(self.day, [after, until], side="right")
        first = self.before[start:end] <= after
        return np.bincount(self.customer[start:end][first], minlength=self.n_customers)


def known_at(days: PurchaseDays, as_of: int) -> Ints:
    """Customers who had bought by the close of a day."""
    return np.flatnonzero(days.places.by(as_of) > days.places.by(-1))


def purchases_at(days: PurchaseDays, who: Ints, as_of: int) -> Columns:
    """What is known at the close of a day of the purchase days of those who had bought by then."""
    start, end = days.places.by(-1)[who], days.places.by(as_of)[who]
    n = end - start
    first, last = days.day[start], days.day[end - 1]
    away = as_of - last
    rows = np.flatnonzero(days.day <= as_of)
    age, runs = as_of - days.day[rows], np.cumsum(n) - n
    gap, since = days.gap[rows], np.repeat(np.maximum(away, 1), n)
    return {
        "frequency": n - 1,
        "recency": last - first,
        "T": as_of - first,
        "days_since_last": away,
        "squared_gaps": (days.squares[end] - days.squares[start]).astype(np.float64),
        "longest_gap": days.longest[end - 1],
        "last_gap": days.gap[end - 1],
        "longer_gaps": sums(gap >= since, runs),
        **{f"days_{recent}": end - days.places.by(as_of - recent)[who] for recent in _COUNTED},
        **{f"decayed_{tau}": decayed(age, tau).sums(runs).to_float() for tau in _DECAYS},
    }


def money_at(money: Running, who: Ints, as_of: int) -> Columns:
    """What these customers had spent by the close of a day, in all and of late, and the logarithms of their gaps."""
    end, recent, before = (money.by(day) for day in (as_of, as_of - 84, as_of - 168))
    start = money.by(-1)

    def total(name: str, first: Ints, last: Ints) -> Ints:
        so_far = money.so_far[name]
        return (so_far[last] - so_far[first])[who]

    return {
        "repeat_amount": total("repeat_amount", start, end) / MONEY,
        "sum_log_gap": total("log_gap", start, end) / LOG,
        "spend": total("amount", start, end) / MONEY,
        "spend_84": total("amount", recent, end) / MONEY,
        "spend_168": total("amount", before, recent) / MONEY,
    }


def baskets_at(baskets: Running, categories: Categories, who: Ints, as_of: int) -> Columns:
    """What these customers' baskets had held by the close of a day: lines, categories, and kinds of money."""
    windows = {"n_categories": -1, "categories_84": as_of - 84}
    counts = {name: categories.between(after, as_of)[who] for name, after in windows.items()}
    end, start = baskets.by(as_of), baskets.by(-1)
    total = {name: (so_far[end] - so_far[start])[who] for name, so_far in baskets.so_far.items()}
    return {
        "n_lines": total["n_lines"],
        **counts,
        "categories_168": categories.between(as_of - 168, as_of - 84)[who],
        **{name: total[name] / MONEY for name in ("paid", "discount", "branded", "store_brand")},
    }


def _cumulated(values: Ints) -> Ints:
    """Sums of the first 0, 1, … values."""
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(values, dtype=np.int64)])
