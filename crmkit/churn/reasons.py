"""Reasons in words: what a churn score rests on, with its size."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from crmkit._types import Floats
from crmkit.churn.flags import UNUSUAL

__all__ = ["SPEAKS_OF_RISK", "WORDS", "btyd_reasons", "last_purchase_in_words", "strongest"]


_SHOWN = 0.1
_INTERVALS = 2
"""From so many intervals on one of them is called usual."""


def _days(count: pd.Series) -> pd.Series[str]:
    return count.astype("str") + np.where(count == 1, " day", " days")


def last_purchase_in_words(state: pd.DataFrame) -> pd.Series[str]:
    """Days since the last purchase, and the usual interval of whoever bought on three days or more."""
    frequency, days = state["frequency"], _days(state["days_since_last"])
    words: pd.Series[str] = "no purchase for " + days
    words = words.where(frequency > 0, "only purchase " + days + " ago")
    today = pd.Series(np.where(frequency > 0, "bought today", "first purchase today"), index=state.index, dtype="str")
    words = words.where(state["days_since_last"] > 0, today)
    return words.where(frequency < _INTERVALS, words + " (usual interval: " + _days(_own_interval(state)) + ")")


def _own_interval(state: pd.DataFrame) -> pd.Series[int]:
    days: pd.Series[int] = np.maximum(1, np.round(state["recency"] / np.maximum(state["frequency"], 1))).astype(int)
    return days


def btyd_reasons(state: pd.DataFrame) -> dict[str, pd.Series[str]]:
    """The facts behind a buy-till-you-die score: time since the last purchase, and how little is known."""
    frequency, away, interval = state["frequency"], state["days_since_last"], _own_interval(state)
    unusual = (frequency >= _INTERVALS) & (np.exp(-away / interval) < UNUSUAL)
    few = (frequency > 0) & (frequency < 3)
    return {
        "reason_1": last_purchase_in_words(state),
        "reason_2": _late(state, state).where(unusual, ""),
        "reason_3": _few(state, state).where(few, ""),
    }


def _late(state: pd.DataFrame, table: pd.DataFrame) -> pd.Series[str]:
    times = np.round(state["days_since_last"] / _own_interval(state), 1).astype("str")
    words: pd.Series[str] = pd.Series(times + " times the usual interval", index=state.index, dtype="str")
    return words.where(state["frequency"] >= _INTERVALS, "bought on " + _days(state["frequency"] + 1) + " only")


def _rhythm(state: pd.DataFrame, table: pd.DataFrame) -> pd.Series[str]:
    words: pd.Series[str] = "longest interval so far: " + _days(state["longest_gap"])
    return words.where(state["frequency"] >= _INTERVALS, "no regular interval known yet")


def _few(state: pd.DataFrame, table: pd.DataFrame) -> pd.Series[str]:
    bought = _days(state["frequency"] + 1).str.replace(" day", " purchase day")
    return "only " + bought + " in " + _days(state["T"])


def _recent(state: pd.DataFrame, table: pd.DataFrame) -> pd.Series[str]:
    return _days(state["days_28"]).str.replace(" day", " visit") + " in the last 28 days"


def _spent(state: pd.DataFrame, table: pd.DataFrame) -> pd.Series[str]:
    now, before = (state[name].round(0).astype(int).astype("str") for name in ("spend_84", "spend_168"))
    return "spent " + now + " in the last 84 days, " + before + " in the 84 days before"


def _basket(state: pd.DataFrame, table: pd.DataFrame) -> pd.Series[str]:
    now, before = (state[name].astype(int).astype("str") for name in ("categories_84", "categories_168"))
    lines = (state["n_lines"] / (state["frequency"] + 1)).round(1).astype("str") + " items per visit"
    words = now + " categories in the last 84 days, " + before + " in the 84 days before"
    return words.where(state["n_categories"] > 0, lines)


def _season(state: pd.DataFrame, table: pd.DataFrame) -> pd.Series[str]:
    return pd.Series("fewer customers buy at this time of year", index=state.index)


def _complaints(state: pd.DataFrame, table: pd.DataFrame) -> pd.Series[str]:
    waiting = table["open_complaints"].astype(int)
    index = table["satisfaction"].round(1).astype("str")
    noun = np.where(waiting == 1, " open complaint", " open complaints")
    words: pd.Series[str] = pd.Series(waiting.astype("str") + noun, index=state.index, dtype="str")
    return words.where(waiting > 0, "satisfaction index " + index)


SPEAKS_OF_RISK = {
    "recency": lambda state: (state["days_since_last"] > _own_interval(state)) | (state["frequency"] == 0),
    "rhythm": lambda state: (state["days_since_last"] > state["longest_gap"]) | (state["frequency"] == 0),
    "recent visits": lambda state: 3 * state["days_28"] < state["days_84"] + (state["days_28"] == 0),
    "spend": lambda state: state["spend_84"] < state["spend_168"],
    "basket": lambda state: state["categories_84"] < state["categories_168"],
}
"""When the words of a theme describe a risk; those of the other themes always do."""

WORDS = {
    "recency": _late,
    "rhythm": _rhythm,
    "frequency": _few,
    "recent visits": _recent,
    "spend": _spent,
    "basket": _basket,
    "season": _season,
    "service": _complaints,
}


def strongest(size: Floats, words: Mapping[str, pd.Series[str]], index: pd.Index) -> dict[str, pd.Series[str]]:
    """Words of the two themes that add most to the log-odds, in columns of ``size``; empty where they add less than 0.1."""
    order = np.argsort(-size, axis=1, kind="stable")[:, :2]
    reasons = {}
    for place in range(2):
        told: pd.Series[str] = pd.Series("", index=index, dtype="str")
        for code, theme in enumerate(words):
            here = (order[:, place] == code) & (size[:, code] > _SHOWN)
            told = told.mask(here, words[theme])
        reasons[f"reason_{place + 2}"] = told
    return reasons
