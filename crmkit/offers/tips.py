"""Recipes and tips printed beside the deals."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pandas as pd

from crmkit._checks import require_columns
from crmkit.offers.needs import Needs

if TYPE_CHECKING:
    from crmkit._types import Ids

__all__ = ["choose_tips"]

_READ = ["customer_id", "category", "p_purchase"]
_GIVEN = ["customer_id", "tip_id", "title", "category", "slot"]


def choose_tips(
    due: pd.DataFrame | str | os.PathLike[str], tips: pd.DataFrame, slots: int = 1, members: Ids | None = None
) -> pd.DataFrame:
    """The tips for each member's most probable categories, one of a category.

    Parameters
    ----------
    due : DataFrame or path
        customer_id, category, p_purchase; a Parquet file is read a piece at a time.
    tips : DataFrame
        tip_id, category, title; of several tips of a category the first is taken.
    slots : int
        Tips for each member, at most.
    members : sequence, optional
        The customer_id of those who shall have tips; everybody otherwise.

    Returns
    -------
    DataFrame
        customer_id, tip_id, title, category, slot; ordered by customer_id and slot.

    Raises
    ------
    ContractError
        A column is missing.

    Examples
    --------
    >>> due = pd.DataFrame({"customer_id": ["a", "a"], "category": ["Tea", "Milk"], "p_purchase": [0.2, 0.7]})
    >>> choose_tips(due, pd.DataFrame({"tip_id": [1], "category": ["Tea"], "title": ["Mint tea"]}))
      customer_id  tip_id     title category  slot
    0           a       1  Mint tea      Tea     1
    """
    needs = Needs(due)
    for name, there, needed in (("due", needs.columns, _READ), ("tips", list(tips), ["tip_id", "category", "title"])):
        require_columns(there, needed, name, "Tips are chosen by category.")
    first = tips.drop_duplicates("category")[["category", "tip_id", "title"]]
    found = [_best(_of(piece, members).merge(first, on="category"), slots) for piece in needs.pieces(_READ)]
    best = _best(pd.concat(found), slots) if found else pd.DataFrame(columns=_GIVEN)
    return best[_GIVEN].reset_index(drop=True)


def _of(piece: pd.DataFrame, members: Ids | None) -> pd.DataFrame:
    return piece if members is None else piece[piece["customer_id"].isin(members)]


def _best(found: pd.DataFrame, slots: int) -> pd.DataFrame:
    """Each member's most probable categories; one that stands on several products once."""
    ranked = found.sort_values(["customer_id", "p_purchase", "category"], ascending=[True, False, True])
    ranked = ranked.drop_duplicates(["customer_id", "category"])
    ranked["slot"] = ranked.groupby("customer_id").cumcount() + 1
    return ranked[ranked["slot"] <= slots]
