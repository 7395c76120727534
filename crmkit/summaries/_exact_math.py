"""Sums over runs of sorted rows, in whole numbers: the order of the rows and the engine that brought them change no bit.

Real numbers come from tables by whole days, as decimals: exp(−age / τ) in units of 10⁻¹⁸, ln(gap) in units of 10⁻¹².
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from crmkit._types import Bools, Floats, Ints

__all__ = ["Exact", "decayed", "distinct", "kept", "log_days", "places", "run_starts", "sums"]

_HALF = 10**9
_LOG = 10**12
_CLOSE = 8


@dataclass(frozen=True)
class Exact:
    """Decimals with 18 digits after the point: ``high`` · 10⁻⁹ + ``low`` · 10⁻¹⁸, both whole."""

    high: Ints
    low: Ints

    def __getitem__(self, rows: Ints | Bools | slice) -> Exact:
        return Exact(self.high[rows], self.low[rows])

    def __sub__(self, other: Exact) -> Exact:
        return Exact(self.high - other.high, self.low - other.low)

    def sums(self, starts: Ints) -> Exact:
        """Sum of each run of rows."""
        return Exact(sums(self.high, starts), sums(self.low, starts))

    def cumulated(self) -> Exact:
        """Sum of the rows up to each."""
        return Exact(np.cumsum(self.high), np.cumsum(self.low))

    def to_float(self) -> Floats:
        """The nearest floating numbers, of sums that are not negative."""
        carried = self.low // _HALF
        low = (self.low - carried * _HALF).astype(np.float64)
        high, lost = _product((self.high + carried).astype(np.float64), 1e9)
        near = (high + low) / 1e18
        back, error = _product(near, 1e18)
        return near + ((high - back) + low + (lost - error)) / 1e18


def _product(a: Floats, b: float) -> tuple[Floats, Floats]:
    """A product, and what it lost by rounding (Dekker 1971)."""
    product = a * b
    (a_high, a_low), (b_high, b_low) = _halves(a), _halves(np.array(b))
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def _halves(a: Floats) -> tuple[Floats, Floats]:
    """Two numbers of half the digits that add up to it."""
    high = a * 134_217_729.0
    high = high - (high - a)
    return high, a - high


def decayed(age: Ints, tau: int) -> Exact:
    """exp(−age / τ) of whole days of age.

    >>> decayed(np.array([0, 45]), 45).to_float().round(6).tolist()
    [1.0, 0.367879]
    """
    high, low = _decay_table(tau, _longest(age))
    return Exact(high[age], low[age])


def log_days(gap: Ints) -> Ints:
    """ln of whole days in units of 10⁻¹²; 0 where there is none. Divide sums of it by 10¹²."""
    return _log_table(_longest(gap))[gap]


def sums(values: Ints | Bools, starts: Ints) -> Ints:
    """Sum of each run of rows, given where they start."""
    return np.add.reduceat(values, starts, dtype=np.int64) if len(starts) else np.zeros(0, dtype=np.int64)


def run_starts(*keys: Ints) -> Ints:
    """First row of each run of rows with equal keys.

    >>> run_starts(np.array([1, 1, 2, 2]), np.array([5, 5, 5, 6])).tolist()
    [0, 2, 3]
    """
    first = np.ones(len(keys[0]), dtype=bool)
    first[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
    return np.flatnonzero(first)


def distinct(keys: Ints) -> Ints:
    """The distinct of some numbers that are not negative, sorted; close ones are marked, not sorted.

    >>> distinct(np.array([5, 3, 5])).tolist(), distinct(np.array([10**9, 3])).tolist()
    ([3, 5], [3, 1000000000])
    """
    top = int(keys.max(initial=-1)) + 1
    if top > _CLOSE * len(keys):
        return np.unique(keys)
    there = np.zeros(top, dtype=bool)
    there[keys] = True
    return np.flatnonzero(there)


def places(known: Ints, keys: Ints) -> Ints:
    """Where each key is among the sorted ``known``, all of which are there.

    >>> places(np.array([3, 5]), np.array([5, 3, 5])).tolist()
    [1, 0, 1]
    """
    top = int(known.max(initial=-1)) + 1
    if top > _CLOSE * max(len(keys), len(known)):
        place: Ints = np.searchsorted(known, keys)
        return place
    table = np.zeros(top, dtype=np.int64)
    table[known] = np.arange(len(known))
    return table[keys]


def kept(rows: Bools, *columns: Ints) -> tuple[Ints, ...]:
    """These rows of the columns, which are not copied when that is all of them."""
    if rows.all():
        return columns
    places = np.flatnonzero(rows)
    return tuple(values.take(places) for values in columns)


def _longest(days: Ints) -> int:
    """A table's length for these days, rounded up so that few tables are made."""
    return 1 << max(9, int(days.max(initial=0)).bit_length())


@cache
def _decay_table(tau: int, length: int) -> tuple[Ints, Ints]:
    units = np.array([_rounded(math.exp(-age / tau) * 1e18) for age in range(length)], dtype=np.int64)
    return units // _HALF, units % _HALF


@cache
def _log_table(length: int) -> Ints:
    return np.array([0, *(_rounded(math.log(gap) * _LOG) for gap in range(1, length))], dtype=np.int64)


def _rounded(value: float) -> int:
    """The nearest whole number, halves up."""
    return math.floor(value) + (value - math.floor(value) >= 0.5)
