"""What the terms of a plan mean for all lists: the deals that may be offered, the budgets, and the limits they set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmkit.offers.market import Limits
from crmkit.offers.needs import Needs

if TYPE_CHECKING:
    from crmkit.offers.plan import OfferPlan

__all__ = ["budget_table", "limits_of", "offered_deals"]


def offered_deals(terms: OfferPlan, needs: Needs) -> tuple[pd.DataFrame, int]:
    """The deals of these days that may be offered, ordered by id, and how many may not."""
    window = needs.fortnight()
    running = (terms.deals.active(*window) if window else terms.deals).frame.sort_values("deal_id", ignore_index=True)
    barred = running["category"].str.casefold().map(lambda name: any(word in name for word in terms.excluded))
    return running[~barred.astype(bool)].reset_index(drop=True), int(barred.astype(bool).sum())


def budget_table(terms: OfferPlan, deals: pd.DataFrame) -> pd.DataFrame:
    """Every budget that the plan keeps: whose, name, budget; the deals' first."""
    budgets = [("deal", name, money) for name, money in zip(deals["deal_id"], deals["budget"], strict=True)]
    budgets += [("funder", name, money) for name, money in _paying(terms, deals).items()]
    if terms.store_budget is not None:
        budgets.append(("store", "store", terms.store_budget))
    return pd.DataFrame(budgets, columns=["whose", "name", "budget"]).astype({"budget": float})


def _paying(terms: OfferPlan, deals: pd.DataFrame) -> dict[str, float]:
    there = set(deals["funder"])
    return {name: money for name, money in (terms.funder_budgets or {}).items() if name in there}


def limits_of(terms: OfferPlan, deals: pd.DataFrame) -> Limits:
    """What all lists share."""
    share = deals["funder_share"].fillna(0).to_numpy(float)
    funders, funder = np.unique(deals["funder"].to_numpy(object).astype(str), return_inverse=True)
    use = [np.eye(len(deals)), *((funders[funder] == name)[None] * share for name in _paying(terms, deals))]
    if terms.store_budget is not None:
        use.append((1 - share)[None])
    table, reach = budget_table(terms, deals), terms.wanted_reach()
    groupings = [pd.factorize(deals[column])[0] for column in ("category", "conflicts")]
    return Limits(
        use=np.concatenate(use),
        fee=np.where(table["whose"] == "store", terms.contact_cost, 0.0),
        budget=table["budget"].to_numpy(float),
        reach=np.array(list(reach.values()), dtype=float),
        by=np.array([funders[funder] == name for name in reach], dtype=bool).reshape(len(reach), len(deals)),
        groupings=np.stack(groupings).astype(np.int64),
        funder=funder.astype(np.int64),
        funder_cap=terms.funder_cap or 10**6,
    )
