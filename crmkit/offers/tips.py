"""Recipes and tips: what stands on a list beside prices."""

from __future__ import annotations

import pandas as pd

from crmkit.exceptions import ContractError

__all__ = ["choose_tips"]


def choose_tips(due: pd.DataFrame, tips: pd.DataFrame, slots: int = 1) -> pd.DataFrame:
    """The tips for each member's most probable categories, one of a category.

    Parameters
    ----------
    due : DataFrame
        customer_id, category, p_purchase.
    tips : DataFrame
        tip_id, category, title; of several tips of a category the first is taken.
    slots : int
        Tips for each member, at most.

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
    for name, table, needed in (("due", due, ["category"]), ("tips", tips, ["tip_id", "category", "title"])):
        missing = [column for column in needed if column not in table]
        if missing:
            raise ContractError(f"{name} lacks {missing}; it has {list(table.columns)}. Tips are chosen by category.")
    first = tips.drop_duplicates("category")[["category", "tip_id", "title"]]
    found = due[["customer_id", "category", "p_purchase"]].merge(first, on="category")
    found = found.sort_values(["customer_id", "p_purchase", "category"], ascending=[True, False, True])
    found["slot"] = found.groupby("customer_id").cumcount() + 1
    return found.loc[found["slot"] <= slots, ["customer_id", "tip_id", "title", "category", "slot"]].reset_index(
        drop=True
    )
