"""A pair's history in words."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from crmkit._types import Floats, Ints

__all__ = ["reasons"]


def reasons(state: pd.DataFrame) -> pd.Series[str]:
    """Each pair's history in words."""
    repeats, silence = state["frequency"].to_numpy(), (state["T"] - state["recency"]).to_numpy()
    gap = np.maximum(1, np.round(state["recency"].to_numpy() / np.maximum(repeats, 1)))
    often = _in_words(repeats, lambda n: "bought once, " if n == 0 else f"bought {_times(n + 1)}, every ")
    every = _in_words(np.where(repeats > 0, gap, 0), lambda days: f"{_days(days)} or so, " if days else "")
    last = _in_words(silence, lambda days: f"last {_days(days)} ago" if days else "last today")
    text: pd.Series[str] = pc.binary_join_element_wise(often, every, last, "").to_pandas()
    return text


def _in_words(values: Floats | Ints, words: Callable[[int], str]) -> pa.Array:
    """Whole numbers as text, said once for each number that there is."""
    place, numbers = pd.factorize(values)
    return pa.array([words(int(number)) for number in numbers], pa.string()).take(pa.array(place))


def _days(n: int) -> str:
    return "1 day" if n == 1 else f"{n} days"


def _times(n: int) -> str:
    return "twice" if n == 2 else f"{n} times"
