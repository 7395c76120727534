"""Deals for what nobody sells or buys by that name are told one by one, with the nearest name."""

from __future__ import annotations

import pandas as pd
import pytest

from crmkit.exceptions import ContractError
from crmkit.offers.deals import Deals
from crmkit.offers.plan import OfferPlan
from crmkit.offers.unmatched import unmatched_deals
from crmkit.transactions.log import Transactions


def deals_for(*categories: str, **more: object) -> Deals:
    n = len(categories)
    return Deals.from_extract(
        pd.DataFrame({
            "deal_id": [f"D{k}" for k in range(n)], "title": "deal", "category": categories, "funder": "Maker",
            "funder_share": 1, "value": 0.1, "budget": 100, "starts": "2018-01-01", "ends": "2018-01-14", **more,
        })
    )  # fmt: skip


DUE = pd.DataFrame({"customer_id": ["a", "b"], "category": ["Cheese", "Tea"], "p_purchase": 0.5, "spend": 5.0})
MEMBERS = pd.DataFrame({"customer_id": ["a", "b"]})


def test_a_plan_that_is_empty_for_that_reason_raises() -> None:
    with pytest.raises(
        ContractError, match=r"no list can be planned. Deal D0 .* Deal D1 .*'Wine', which is no item that is due\."
    ):
        OfferPlan(deals_for("CHEESES", "Wine"), slots=2, control=0).solve(DUE, MEMBERS)


def test_the_log_is_asked_by_product_category_and_brand() -> None:
    till = pd.DataFrame({
        "customer_id": ["a"], "purchased_at": ["2017-01-01"], "amount": 1, "category": "Tea", "brand": "Assam", "product_id": "77",
    })  # fmt: skip
    log = Transactions.from_extract(till, until="2017-01-02")
    found = unmatched_deals(
        log, deals_for("Tea", "Tee", "Tea", brand=["asam", None, None], product_id=[None, None, "78"])
    )
    assert found.astype(object).where(found.notna(), None).values.tolist() == [
        ["D0", "brand", "asam", "Assam"],
        ["D1", "category", "Tee", None],
        ["D2", "product_id", "78", None],
    ]
