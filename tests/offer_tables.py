"""Deals, due items and members of made-up shops, for the tests of offers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from crmkit.offers.deals import Deals
from crmkit.offers.plan import OfferPlan
from crmkit.offers.result import OfferResult


def deal_rows(n: int = 3, **columns: object) -> pd.DataFrame:
    rows = pd.DataFrame(
        {
            "deal_id": [f"D{i}" for i in range(n)],
            "title": "money off",
            "category": [f"C{i}" for i in range(n)],
            "funder": "Maker",
            "funder_share": 1.0,
            "value": 1.0,
            "budget": 1000.0,
            "starts": "2018-01-01",
            "ends": "2018-01-14",
        }
    )
    return rows.assign(**columns)


def due_rows(members: list[str], categories: list[str], p: float = 0.5, spend: float = 10.0) -> pd.DataFrame:
    pairs = pd.MultiIndex.from_product([members, categories], names=["customer_id", "category"])
    return pairs.to_frame(index=False).assign(p_purchase=p, spend=spend)


def members(n: int, **columns: object) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": [f"M{i:04d}" for i in range(n)]}).assign(**columns)


def market(
    seed: int, n_members: int, n_deals: int, n_categories: int, share: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Random deals, and random due items of random members; budgets cover about ``share`` of what could be redeemed."""
    rng = np.random.default_rng(seed)
    categories = [f"C{i}" for i in range(n_categories)]
    due = due_rows(members(n_members)["customer_id"].tolist(), categories)
    due = due.assign(p_purchase=rng.beta(1.5, 3, len(due)), spend=rng.lognormal(1.5, 0.6, len(due)))
    due = due[rng.random(len(due)) < 0.6].reset_index(drop=True)
    value = rng.choice([0.5, 1.0, 2.0], n_deals)
    deals = deal_rows(
        n_deals,
        category=rng.choice(categories, n_deals),
        funder_share=rng.choice([1.0, 0.9, 0.0], n_deals),
        value=value,
        budget=np.round(value * n_members * 0.6 * 0.4 * share * rng.uniform(0.3, 2, n_deals), 2),
    )
    return deals, due


def solve(deals: pd.DataFrame, due: pd.DataFrame, customers: pd.DataFrame, **terms: object) -> OfferResult:
    return OfferPlan(Deals.from_extract(deals), **{"control": 0.0, **terms}).solve(due, customers)  # type: ignore[arg-type]
