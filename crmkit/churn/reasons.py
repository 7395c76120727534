"""Reasons in words: what a score of churn rests on, with its size, as a shopkeeper would say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from crmkit._types import Floats
from crmkit.churn.flags import UNUSUAL

__all__ = ["TELLING", "WORDS", "largest", "plain_reasons", "silence_in_words"]


_SHOWN = 0.1


def _days(count: pd.Series[Any]) -> pd.Series[str]:
    return count.astype("str") + np.where(count == 1, " day", " days")


def silence_in_words(state: pd.DataFrame) -> pd.Series[str]:
    frequency, silence = state["frequency"], state["silence"]
    gap = _own_gap(state)
    days = _days(silence)
    silent = pd.Series(np.where(silence == 0, "bought today", "silent " + days), index=days.index, dtype="str")
    usual = np.where(
        frequency > 0, silent + ", usually buys every " + gap.astype("str"), "only purchase " + days + " ago"
    )
    return pd.Series(usual, index=state.index, dtype="str")


def _own_gap(state: pd.DataFrame) -> pd.Series[int]:
    gap: pd.Series[int] = np.maximum(1, np.round(state["recency"] / np.maximum(state["frequency"], 1))).astype(int)
    return gap


def plain_reasons(state: pd.DataFrame) -> dict[str, pd.Series[str]]:
    """The facts behind a buy-till-you-die score: silence against the own rhythm, few purchases, small history."""
    frequency, silence, gap = state["frequency"], state["silence"], _own_gap(state)
    unusual = np.exp(-silence / gap) < UNUSUAL
    late = "a silence " + np.round(silence / gap, 1).astype("str") + " times the usual gap"
    few = "only " + (frequency + 1).astype("str") + " purchase days in " + state["T"].astype("str") + " days"
    return {
        "reason_1": silence_in_words(state),
        "reason_2": pd.Series(np.where((frequency > 0) & unusual, late, ""), dtype="str"),
        "reason_3": pd.Series(np.where((frequency > 0) & (frequency < 3), few, ""), dtype="str"),
    }


def _late(state: pd.DataFrame, table: pd.DataFrame) -> pd.Series[str]:
    times = np.round(state["silence"] / _own_gap(state), 1).astype("str")
    words: pd.Series[str] = pd.Series("a silence " + times + " times the usual gap", index=state.index, dtype="str")
    return words.where(state["frequency"] > 0, "bought on one day only")


def _rhythm(state: pd.DataFrame, table: pd.DataFrame) -> pd.Series[str]:
    words: pd.Series[str] = "was never away for longer than " + _days(state["longest_gap"])
    return words.where(state["frequency"] > 0, "no rhythm known yet")


def _few(state: pd.DataFrame, table: pd.DataFrame) -> pd.Series[str]:
    bought = _days(state["frequency"] + 1).str.replace(" day", " purchase day")
    return "only " + bought + " in " + _days(state["T"])


def _recent(state: pd.DataFrame, table: pd.DataFrame) -> pd.Series[str]:
    return _days(state["days_28"]).str.replace(" day", " visit") + " in the last 28 days"


def _spent(state: pd.DataFrame, table: pd.DataFrame) -> pd.Series[str]:
    now, before = (state[name].round(0).astype(int).astype("str") for name in ("spend_84", "spend_168"))
    return "spent " + now + " in 84 days, " + before + " in the 84 before"


def _basket(state: pd.DataFrame, table: pd.DataFrame) -> pd.Series[str]:
    now, before = (state[name].astype(int).astype("str") for name in ("categories_84", "categories_168"))
    lines = (state["n_lines"] / (state["frequency"] + 1)).round(1).astype("str") + " goods a visit"
    return (now + " categories in 84 days, " + before + " in the 84 before").where(state["n_categories"] > 0, lines)


def _season(state: pd.DataFrame, table: pd.DataFrame) -> pd.Series[str]:
    return pd.Series("fewer buy at this time of the year", index=state.index)


def _complaints(state: pd.DataFrame, table: pd.DataFrame) -> pd.Series[str]:
    waiting = table["open_complaints"].astype(int)
    index = table["satisfaction"].round(1).astype("str")
    noun = np.where(waiting == 1, " open complaint", " open complaints")
    words: pd.Series[str] = pd.Series(waiting.astype("str") + noun, index=state.index, dtype="str")
    return words.where(waiting > 0, "satisfaction index " + index)


TELLING = {
    "silence": lambda state: (state["silence"] > _own_gap(state)) | (state["frequency"] == 0),
    "rhythm": lambda state: (state["silence"] > state["longest_gap"]) | (state["frequency"] == 0),
    "recent visits": lambda state: 3 * state["days_28"] < state["days_84"] + (state["days_28"] == 0),
    "spend": lambda state: state["spend_84"] < state["spend_168"],
    "basket": lambda state: state["categories_84"] < state["categories_168"],
}
"""When the words of a theme speak of a risk; those of the others always do."""

WORDS = {
    "silence": _late,
    "rhythm": _rhythm,
    "frequency": _few,
    "recent visits": _recent,
    "spend": _spent,
    "basket": _basket,
    "season": _season,
    "service": _complaints,
}


def largest(
    size: Floats, facts: Mapping[str, pd.Series[str]], told: list[str], index: pd.Index[Any]
) -> dict[str, pd.Series[str]]:
    """Words of the two themes that add most to the risk; nothing where they add less than a tenth to the log-odds.

    Only words that speak of a risk are told: a theme may add to it by what they do not say.
    """
    order = np.argsort(-size, axis=1, kind="stable")[:, :2]
    reasons = {}
    for place in range(2):
        words: pd.Series[str] = pd.Series("", index=index, dtype="str")
        for code, theme in enumerate(told):
            here = (order[:, place] == code) & (size[:, code] > _SHOWN)
            words = words.mask(here, facts[theme])
        reasons[f"reason_{place + 2}"] = words
    return reasons
