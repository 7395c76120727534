"""What a weekly hazard is told of each member and item: logarithms of rates, counts and days.

Counts and days come from `summaries.items.item_state`. A decayed count over the decayed days since the first purchase is a rate
that counts the open spell since the last purchase as watched, and forgets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from crmkit._types import Floats
from crmkit.repurchase._trip_share_math import decayed_days, runs

__all__ = ["LAYERS", "names", "needs", "summaries", "themes"]

Columns = Mapping[str, Floats]

_PAIR: dict[str, Callable[[Columns], Floats]] = {
    "purchase days": lambda c: np.log1p(c["frequency"]),
    "days since first purchase": lambda c: np.log1p(c["T"]),
    "days since last purchase": lambda c: np.log1p(c["T"] - c["recency"]),
    "regularity": lambda c: _regularity(c["recency"], c["frequency"], c["sum_log_gap"], 0.0),
    "purchase days in 28 days": lambda c: np.log1p(c["recent_28"]),
    "purchase days in 84 days": lambda c: np.log1p(c["recent_84"]),
    "decayed rate (45 days)": lambda c: _rate(c["decayed_45"], c["T"], 45.0),
    "decayed rate (150 days)": lambda c: _rate(c["decayed_150"], c["T"], 150.0),
    "decayed rate (250 days)": lambda c: _rate(c["decayed_250"], c["T"], 250.0),
    "trips since last purchase": lambda c: np.log1p(c["visits_since_last"]),
}
_MEMBER: dict[str, Callable[[Columns], Floats]] = {
    "days since last trip": lambda c: np.log1p(c["visit_T"] - c["visit_recency"]),
    "days since first trip": lambda c: np.log1p(c["visit_T"]),
    "trips in 14 days": lambda c: np.log1p(c["visit_days_14"]),
    "trips in 28 days": lambda c: np.log1p(c["visit_days_28"]),
    "decayed trip rate (60 days)": lambda c: _rate(c["visits_decayed_60"] + 0.5, c["visit_T"], 60.0),
    "decayed trip rate (250 days)": lambda c: _rate(c["visits_decayed_250"] + 0.5, c["visit_T"], 250.0),
    "mean log gap of trips": lambda c: np.where(
        c["visit_days"] > 1, c["sum_log_visit_gap"] / np.maximum(c["visit_days"] - 1, 1), 2.0
    ),
    "regularity of trips": lambda c: _regularity(c["visit_recency"], c["visit_days"] - 1, c["sum_log_visit_gap"], 2.0),
    "items of the member": lambda c: np.log(c["n_items"]),
    "repeats among the member's purchases": lambda c: np.log(
        (c["n_item_days"] - c["n_items"] + 1) / (c["n_item_days"] + 2)
    ),
    "items of late": lambda c: np.log1p(c["items_decayed_45"]),
}
_ITEM: dict[str, Callable[[Columns], Floats]] = {
    "recent share of the item's purchases": lambda c: np.log((c["item_recent_28"] + 5) / (c["item_recent_84"] + 15)),
}
_ABOVE: dict[str, Callable[[Columns, str], Floats]] = {
    "days since last purchase": lambda c, up: np.log1p(c[f"{up}_T"] - c[f"{up}_recency"]),
    "purchase days in 28 days": lambda c, up: np.log1p(c[f"{up}_recent_28"]),
    "decayed rate (45 days)": lambda c, up: _rate(c[f"{up}_decayed_45"], c[f"{up}_T"], 45.0),
    "decayed rate (150 days)": lambda c, up: _rate(c[f"{up}_decayed_150"], c[f"{up}_T"], 150.0),
    "share of its purchase days": lambda c, up: np.log((c["frequency"] + 1) / (c[f"{up}_frequency"] + 1)),
    "share of it of late": lambda c, up: (
        np.log(np.maximum(c["decayed_45"], 1e-9) + 0.1) - np.log(c[f"{up}_decayed_45"] + 0.1)
    ),
}
LAYERS = (
    "log rate", "log rate × days since last purchase", "log rate of the item", "log odds of having stopped",
    "log rate of trips × share",
)  # fmt: skip
_OF_THE_MEMBER = (
    "visit_days", "visit_recency", "visit_T", "sum_log_visit_gap", "visit_days_14", "visit_days_28", "visits_decayed_60", "visits_decayed_250", "n_items",
    "n_item_days", "items_decayed_45",
)  # fmt: skip
_OWN = (
    "frequency", "recency", "T", "sum_log_gap", "recent_28", "recent_84", "decayed_45", "decayed_150", "decayed_250", "visit_days",
    "visit_recency", "visit_T", "sum_log_visit_gap", "visit_days_14", "visit_days_28", "visits_decayed_60", "visits_decayed_250",
    "visits_since_last", "visits_decayed_since_first", "n_items", "n_item_days", "items_decayed_45", "item_recent_28", "item_recent_84",
)  # fmt: skip
_OF_THE_LEVEL = ("frequency", "recency", "T", "recent_28", "decayed_45", "decayed_150")


def needs(above: Sequence[str] = ()) -> tuple[str, ...]:
    """Columns that the summaries are made of, when the levels ``above`` the item are known too."""
    return (*_OWN, *(f"{up}_{name}" for up in above for name in _OF_THE_LEVEL))


def names(above: Sequence[str] = ()) -> list[str]:
    """What each summary is, in words."""
    return [*_PAIR, *_MEMBER, *_ITEM, *(f"{name}, of the {up}" for up in above for name in _ABOVE), *LAYERS]


def themes(above: Sequence[str] = ()) -> list[str]:
    """What each summary is about: summaries of one theme share what they tell, only their sum is worth reading."""
    often, silence, trips, member, item = (
        "how often it was bought", "how long ago it was bought", "the member's trips", "what else the member buys", "the item",
    )  # fmt: skip
    pair = [often, often, silence, "how regularly it was bought", *[often] * 5, silence]
    levels = [f"what of the {up} was bought" for up in above for _ in _ABOVE]
    return [*pair, *[trips] * 8, *[member] * 3, item, *levels, often, silence, item, silence, often]


def summaries(columns: Columns, above: Sequence[str], layers: Sequence[Floats]) -> Floats:
    """All summaries, one row per pair and one column each, in the order of `names`.

    Parameters
    ----------
    columns : mapping of arrays
        What it `needs`.
    above : sequence of str
        Levels above the item, as the columns' prefixes.
    layers : sequence of arrays
        The answers of `RepurchaseRate` (ln rate, ln rate of the item, ln odds of having stopped) and of `TripShare` (ln rate).
    """
    log_rate, item_log_rate, stopped, trip_log_rate = layers
    start, length = runs(*(columns[name] for name in _OF_THE_MEMBER))
    member = {name: columns[name][start] for name in _OF_THE_MEMBER}
    parts = [summary(columns) for summary in _PAIR.values()]
    parts += [np.repeat(summary(member), length) for summary in _MEMBER.values()]
    parts += [summary(columns) for summary in _ITEM.values()]
    parts += [summary(columns, up) for up in above for summary in _ABOVE.values()]
    since = np.log(columns["T"] - columns["recency"] + 3)
    parts += [log_rate, log_rate + since, item_log_rate, np.clip(stopped, -20, 20), trip_log_rate]
    return np.stack(parts).T


def _rate(count: Floats, days: Floats, tau: float) -> Floats:
    """ln of a decayed count over the decayed days watched; a count of its last purchase alone is not a rate of once a day."""
    return np.log(np.maximum(count, 1e-9)) - np.log(decayed_days(days + 1, tau) + 20)


def _regularity(span: Floats, gaps: Floats, sum_log_gap: Floats, unknown: float) -> Floats:
    """ln of the mean gap less the mean ln gap: 0 for a clock, .58 for purchases at random."""
    n = np.maximum(gaps, 1)
    return np.where(gaps > 0, np.log(np.maximum(span, 1) / n) - sum_log_gap / n, unknown)
