"""What is known of customers and items at the close of any day, from arrays of the days on which they were bought.

Customers and items are numbers here, days are whole, money is in units of 10⁻⁴. All sums are exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crmkit._types import Floats, Ints
from crmkit.summaries._exact_math import Exact, decayed, kept, log_days, run_starts, sums

__all__ = [
    "Purchases",
    "State",
    "Visits",
    "first_after",
    "pairs_at",
    "purchases_of",
    "recent_purchases",
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
        width = int(self.day.max(initial=0)) + 1
        place: Ints = np.searchsorted(self.customer * width + self.day, customer * width + day)
        return place


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

    def known(self, as_of: int) -> Purchases:
        """The rows that stand at the close of a day."""
        rows = (self.since <= as_of) & (self.until > as_of)
        of_rows = (self.pair, self.day, self.since, self.until, self.amount, self.visit)
        return Purchases(self.customer, self.item, *kept(rows, *of_rows))


@dataclass(frozen=True)
class State:
    """What is known of the pairs bought by the close of a day.

    Parameters
    ----------
    pair : array
        Which pairs they are.
    columns : dict of arrays
        One element per pair each.
    """

    pair: Ints
    columns: Columns


def visits_of(customer: Ints, day: Ints) -> Visits:
    """The distinct days of each customer."""
    width = int(day.max(initial=0)) + 1
    keys = np.sort(customer * width + day)
    keys = keys[run_starts(keys)]
    return Visits(keys // width, keys % width)


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


def pairs_at(known: Purchases, as_of: int) -> tuple[State, Ints, Ints, Exact]:
    """Columns of each pair alone; and the first row and the rows of each, and its decayed purchase days (45 days)."""
    day, age = known.day, as_of - known.day
    starts = run_starts(known.pair)
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
    return State(known.pair[starts], columns), starts, n, fading[45]


def state_at(purchases: Purchases, visits: Visits, as_of: int) -> State:
    """Columns of each pair bought by then, of its customer's visits, and of what else the customer bought."""
    known = purchases.known(as_of)
    state, starts, n, decayed_45 = pairs_at(known, as_of)
    columns, customer = state.columns, purchases.customer[state.pair]
    seen = visits.day <= as_of
    place = np.cumsum(seen) - 1
    of_customer, end, faded = _of_visits(Visits(visits.customer[seen], visits.day[seen]), as_of)
    members = run_starts(customer)
    length = _lengths(members, customer)
    here = np.searchsorted(visits.customer[seen][end], customer[members])
    mine = np.repeat(here, length)
    columns |= {name: values[mine] for name, values in of_customer.items()}
    ends = end[mine]
    first, last = (place[known.visit[row]] for row in (starts, starts + n - 1))
    columns["visits_since_last"] = ends - last
    columns["visits_decayed_since_first"] = (faded[ends] - faded[first]).to_float()
    columns["n_items"] = np.repeat(length, length)
    columns["n_item_days"] = np.repeat(sums(n, members), length)
    columns["items_decayed_45"] = np.repeat(decayed_45.sums(members).to_float(), length)
    return state


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


def recent_purchases(purchases: Purchases, as_of: int, n_items: int) -> dict[str, Ints]:
    """Purchase days of each item in the last 28 and 84 days."""
    known = purchases.known(as_of)
    item, age = purchases.item[known.pair], as_of - known.day
    return {f"recent_{days}": np.bincount(item[age < days], minlength=n_items) for days in (28, 84)}


def first_after(purchases: Purchases, as_of: int, until: int) -> Floats:
    """Days from the close of one day to the next purchase of each pair, as known at the close of another; nan for none."""
    known = purchases.known(until)
    later = np.flatnonzero(known.day > as_of)
    later = later[run_starts(known.pair[later])]
    wait = np.full(len(purchases.customer), np.nan)
    wait[known.pair[later]] = known.day[later] - as_of
    return wait
