"""Bundles as deals: the surest pairs, each item once, planned like every other deal."""

from __future__ import annotations

import pandas as pd
import pytest
from offer_tables import due_rows, members

from crmkit import ConfigError, ContractError, OfferPlan, bundle_deals

TERMS = {"value": 0.5, "budget": 20.0, "starts": "2018-01-01", "ends": "2018-01-14"}


def pairs() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "item_a": ["Lemon", "Lemon", "Jam", "Salt", "Oil"],
            "item_b": ["Tea", "Jam", "Bread", "Pepper", "Vinegar"],
            "lift": [3.0, 2.0, 2.0, 0.5, 4.0],
            "leverage": [0.10, 0.05, 0.04, 0.03, 0.02],
            "q_value": [0.0, 0.0, 0.001, 0.0, 0.5],
        }
    )


def test_the_surest_pairs_become_deals_each_item_once() -> None:
    deals = bundle_deals(pairs(), **TERMS).frame
    assert deals[["category", "bundle_with"]].to_numpy().tolist() == [["Lemon", "Tea"], ["Jam", "Bread"]]
    later = bundle_deals(pairs().assign(later_lift=[0.9, 2.0, 2.0, 2.0, 2.0]), **TERMS).frame
    assert later["category"].tolist() == ["Lemon"]
    assert later["bundle_with"].tolist() == ["Jam"]
    assert len(bundle_deals(pairs(), most=1, **TERMS).frame) == 1


def test_they_are_planned_with_an_expected_gain_under_their_budgets() -> None:
    who = members(80)
    due = due_rows(who["customer_id"].tolist(), ["Lemon", "Tea", "Jam", "Bread"], p=0.5)
    plan = OfferPlan(bundle_deals(pairs(), funder_share=1.0, **TERMS), control=0.0).solve(due, who)
    assert set(plan.offers["deal_id"]) == {"B01", "B02"}
    assert (plan.offers["expected_gain"] > 0).all()
    assert (plan.budgets["spent"] <= plan.budgets["budget"] + 1e-9).all()


def test_what_gives_no_deal_is_said() -> None:
    with pytest.raises(ConfigError, match="No pair is bought together beyond chance"):
        bundle_deals(pairs().assign(q_value=0.2), **TERMS)
    with pytest.raises(ContractError, match="Columns not found"):
        bundle_deals(pairs().drop(columns="lift"), **TERMS)
