"""What is known of customers and items at the close of any day, from arrays of the days on which they were bought.

Customers and items are numbers here, days are whole, money is in units of 10⁻⁴. All sums are exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crmkit._types import Floats, Ints
from crmkit.summaries._exact_math import Exact, decayed, distinct, kept, log_days, places, run_starts, sums

__all__ = [
    "Known",
    "Purchases",
    "State",
    "Visits",
    "pairs_at",
    "purchases_of",
    "state_at",
    "visits_of",
]

Columns = dict[str, Ints | Floats]

_FOREVER = 2**31 - 1
_MONEY, _LOG = 1e4, 1e12


@dataclass(frozen=True)
class Visits:
    """Days on which each customer bought anything, sorted by customer and day.

    Parameters
    ----------
    customer, day : arrays
    """

    customer: Ints
    day: Ints

    def place_of(self, customer: Ints, day: Ints) -> Ints:
        """The row of a customer's visit on a day."""
        first = int(self.day.min()) if len(self.day) else 0
        width = int(self.day.max(initial=0)) - first + 1
        return places(self.customer * width + self.day - first, customer * width + day - first)


@dataclass(frozen=True)
class Purchases:
    """Days on which pairs of customer and item were bought, sorted by pair and day; pairs by customer and item.

    A day that a later return changes has a row for each thing that was known of it: ``amount`` is what stood from the close
    of day ``since`` to that of the day before ``until``; while it is taken back whole there is no row.

    Parameters
    ----------
    customer, item : arrays, one element per pair
    pair, day, since, until, amount : arrays, one element per row
    visit : array
        Row of the customer's visit on the day.
    """

    customer: Ints
    item: Ints
    pair: Ints
    day: Ints
    since: Ints
    until: Ints
    amount: Ints
    visit: Ints

    def known(self, as_of: int) -> Known:
        """The rows that stand at the close of a day."""
        rows = (self.since <= as_of) & (self.until > as_of)
        return Known(as_of, *kept(rows, self.pair, self.day, self.amount, self.visit))


@dataclass(frozen=True)
class Known:
    """The rows of `Purchases` that stand at the close of a day, ``as_of``."""

    as_of: int
    pair: Ints
    day: Ints
    amount: Ints
    visit: Ints

    def next_after(self, as_of: int, n_pairs: int) -> Floats:
        """Days from the close of a day to the next purchase of each pair; nan for none."""
        later = np.flatnonzero(self.day > as_of)
        later = later[run_starts(self.pair[later])]
        wait = np.full(n_pairs, np.nan)
        wait[self.pair[later]] = self.day[later] - as_of
        return wait


@dataclass(frozen=True)
class State:
    """What is known of the pairs bought by the close of a day, sorted by customer.

    Parameters
    ----------
    pair : array
        Which pairs they are.
    own : dict of arrays, one element per pair
    of_visits, of_items : dicts of arrays, one element per customer
    n_items : array, one element per customer
        How many pairs each has.
    recent : dict of arrays, one element per item
        Purchase days of late.
    """

    pair: Ints
    own: Columns
    of_visits: Columns
    of_items: Columns
    n_items: Ints
    recent: Columns

    @property
    def columns(self) -> Columns:
        """All but ``recent``, one element per pair each."""
        after = ("visits_since_last", "visits_decayed_since_first")
        own = {name: values for name, values in self.own.items() if name not in after}
        customer = np.repeat(np.arange(len(self.n_items)), self.n_items)
        visits, items = (
            {name: values[customer] for name, values in of.items()} for of in (self.of_visits, self.of_items)
        )
        return own | visits | {name: self.own[name] for name in after} | items


def visits_of(customer: Ints, day: Ints) -> Visits:
    """The distinct days of each customer."""
    first = int(day.min()) if len(day) else 0
    width = int(day.max(initial=0)) - first + 1
    keys = distinct(customer * width + day - first)
    return Visits(keys // width, keys % width + first)


def purchases_of(
    visits: Visits, customer: Ints, item: Ints, day: Ints, booked: Ints, units: Ints, amount: Ints
) -> Purchases:
    """Sum sold and returned lines into purchase days.

    Parameters
    ----------
    visits : Visits
        Of all the customers.
    customer, item, day : arrays
        Of the purchase, each a number from 0.
    booked : array
        Day on which the line became known: that of the purchase or, of what was returned, a later one.
    units, amount : arrays
        What the line adds.
    """
    width, n_items = int(day.max(initial=0)) + 1, int(item.max(initial=0)) + 1
    key = (customer * n_items + item) * width + day
    late = bool((booked > day).any())
    order = np.lexsort((booked, key)) if late else np.argsort(key)
    key, since = key[order], booked[order]
    starts = run_starts(key, since) if late else run_starts(key)
    key, since, until = key[starts], since[starts], np.full(len(starts), _FOREVER)
    units, amount = (sums(values[order], starts) for values in (units, amount))
    if late:
        starts = run_starts(key)
        again = np.delete(np.arange(len(key)), starts)
        until[again - 1] = since[again]
        units, amount = (_running(values, starts) for values in (units, amount))
    key, since, until, amount = kept(units > 0, key, since, until, amount)
    both = key // width
    starts = run_starts(both)
    pair = np.repeat(np.arange(len(starts)), _lengths(starts, key))
    of, which = np.divmod(both[starts], n_items)
    day = key - both * width
    return Purchases(of, which, pair, day, since, until, amount, visits.place_of(of[pair], day))


def _running(values: Ints, starts: Ints) -> Ints:
    """Running sums within each run."""
    running = np.cumsum(values)
    return running - np.repeat(running[starts] - values[starts], _lengths(starts, values))


def _lengths(starts: Ints, rows: Ints) -> Ints:
    """How long each run of rows is."""
    return np.diff(starts, append=len(rows))


def pairs_at(known: Known) -> tuple[Ints, Columns, Ints, Exact]:
    """The pairs, columns of each alone, the first row of each, and its decayed purchase days (45 days)."""
    day, as_of = known.day, known.as_of
    age, starts = as_of - day, run_starts(known.pair)
    n = _lengths(starts, day)
    first, last = day[starts], day[starts + n - 1]
    gap = np.diff(day, prepend=0)
    gap[starts] = 0
    fading = {tau: decayed(age, tau).sums(starts) for tau in (45, 150, 250)}
    columns: Columns = {
        "frequency": n - 1,
        "recency": last - first,
        "T": as_of - first,
        "spend": sums(known.amount, starts) / _MONEY / n,
        "sum_log_gap": sums(log_days(gap), starts) / _LOG,
    }
    columns |= {f"recent_{days}": sums(age < days, starts) for days in (28, 84)}
    columns |= {f"decayed_{tau}": total.to_float() for tau, total in fading.items()}
    return known.pair[starts], columns, starts, fading[45]


def state_at(purchases: Purchases, visits: Visits, as_of: int, n_items: int) -> State:
    """What is known of each pair bought by then, of its customer's visits, and of what else the customer bought."""
    known = purchases.known(as_of)
    pair, own, starts, decayed_45 = pairs_at(known)
    n = _lengths(starts, known.day)
    customer = purchases.customer[pair]
    seen = visits.day <= as_of
    place = np.cumsum(seen) - 1
    of_visits, end, faded = _of_visits(Visits(visits.customer[seen], visits.day[seen]), as_of)
    members = run_starts(customer)
    length = _lengths(members, customer)
    here = np.searchsorted(visits.customer[seen][end], customer[members])
    ends = np.repeat(end[here], length)
    first, last = (place[known.visit[row]] for row in (starts, starts + n - 1))
    own["visits_since_last"] = ends - last
    own["visits_decayed_since_first"] = (faded[ends] - faded[first]).to_float()
    of_items: Columns = {
        "n_items": length,
        "n_item_days": sums(n, members),
        "items_decayed_45": decayed_45.sums(members).to_float(),
    }
    of_visits = {name: values[here] for name, values in of_visits.items()}
    return State(pair, own, of_visits, of_items, length, _recent(purchases.item, known, n_items))


def _recent(item: Ints, known: Known, n_items: int) -> Columns:
    """Purchase days of each item in the last 28 and 84 days."""
    late = np.flatnonzero(known.day > known.as_of - 84)
    items, days = item[known.pair[late]], known.day[late]
    recent = items[days > known.as_of - 28]
    return {f"recent_{n}": np.bincount(of, minlength=n_items) for n, of in ((28, recent), (84, items))}


def _of_visits(seen: Visits, as_of: int) -> tuple[Columns, Ints, Exact]:
    """Columns of each customer who has come by then; the last visit of each; and the decayed number (250 days) of all visits
    up to each.
    """
    age, starts = as_of - seen.day, run_starts(seen.customer)
    n = _lengths(starts, age)
    end = starts + n - 1
    gap = np.diff(seen.day, prepend=0)
    gap[starts] = 0
    fading = decayed(age, 250)
    columns: Columns = {
        "visit_days": n,
        "visit_recency": age[starts] - age[end],
        "visit_T": age[starts],
        "sum_log_visit_gap": sums(log_days(gap), starts) / _LOG,
        "visit_days_14": sums(age < 14, starts),
        "visit_days_28": sums(age < 28, starts),
        "visit_days_84": sums(age < 84, starts),
        "visits_decayed_60": decayed(age, 60).sums(starts).to_float(),
        "visits_decayed_250": fading.sums(starts).to_float(),
    }
    return columns, end, fading.cumulated()
