"""One page about one customer."""

from __future__ import annotations

import pandas as pd
import pytest

import crmkit as ck
from crmkit.exceptions import ContractError

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def log() -> ck.Transactions:
    till = pd.DataFrame(
        {
            "customer_id": ["007"] * 6 + ["8"],
            "purchased_at": [
                "2017-01-02",
                "2017-01-02",
                "2017-01-16",
                "2017-03-06",
                "2017-03-20",
                "2017-03-27",
                "2017-03-01",
            ],
            "amount": [10.0, 5.0, 12.5, 20.0, 9.0, -9.0, 99.0],
            "order_id": ["1", "1", "2", "3", "4", "5", "6"],
            "category": ["Tea", HOSTILE, "Tea", "Tea", "Milk", "Milk", "Wine"],
            "product_id": ["t", "h", "t", "t", "m", "m", "w"],
            "quantity": [1, 1, 1, 1, 1, -1, 1],
        }
    )
    return ck.Transactions.from_extract(till, until="2017-03-31")


CUSTOMERS = pd.DataFrame(
    {
        "customer_id": ["007", "8", "1008"],
        "tier": ["A", "B", "C"],
        "tier_since": pd.Timestamp("2017-02-28"),
        "value": [1234.5, 10, 0],
        "p_churn": [0.72, 0.1, 0.2],
        "value_at_risk": [88.0, 1, 0],
        "reason_1": ["no purchase for 11 days (usual interval: 7 days)", "", None],
    }
)
DUE = pd.DataFrame(
    {
        "customer_id": ["007", "007", "8"],
        "category": ["Tea", HOSTILE, "Wine"],
        "p_purchase": [0.8, 0.05, 0.5],
        "day_50": [6.0, None, 9],
        "p_stopped": [0.1, 0.9, 0.2],
        "n_purchases": [3, 3, 1],
        "spend": [14.2, 5.0, 99],
        "reason": "as always",
        "horizon": 14,
    }
)


def test_the_page_says_what_was_bought_dropped_and_due(log: ck.Transactions) -> None:
    page = ck.customer_sheet("007", log, CUSTOMERS, DUE, currency="EUR")
    blocks = {block.topic: block for block in page.blocks}
    assert blocks["Purchases"].title == "EUR 47.50 on 4 days since 02 Jan 2017"
    assert blocks["Purchases"].sentence == "The largest purchase was EUR 20.00 on 06 Mar 2017."
    assert blocks["Purchases"].table is not None
    assert blocks["Purchases"].table.frame["spend"].tolist() == [27.5, 0.0, 20.0], "February is a month of nothing"
    assert blocks["Categories"].title == "Tea is 89% of the money"
    assert blocks["Next needs"].title == "More likely than not to be bought in the next 14 days: 1 of 2 items"
    assert blocks["Dropped"].title.endswith(": 1")
    assert blocks["Risk"].sentence.startswith("Why: no purchase for 11 days")
    assert blocks["What to say"].title.startswith("May be leaving: no purchase for 11 days")
    html = page.html()
    assert "Wine" not in html, "another customer's purchase"
    assert HOSTILE not in html


def test_nothing_after_the_day_is_seen(log: ck.Transactions) -> None:
    page = ck.customer_sheet("007", log, CUSTOMERS, as_of="2017-01-31")
    assert "27.50 on 2 days" in page.html()
    assert "Mar" not in page.html().split("Purchases", 1)[1]


def test_ids_of_any_type_are_found_and_an_unknown_one_is_answered(log: ck.Transactions) -> None:
    numbers = CUSTOMERS.assign(customer_id=[7, 8, 1008])
    assert ck.customer_sheet(8, log, numbers).title == "Customer 8"
    with pytest.raises(ContractError, match=r"There is no customer '7' among 3\. The nearest ids: 007"):
        ck.customer_sheet(7, log, CUSTOMERS)
    with pytest.raises(ContractError, match="Columns not found"):
        ck.customer_sheet(7, log, CUSTOMERS.rename(columns={"customer_id": "card"}))


def test_a_customer_without_purchases_has_a_page(log: ck.Transactions) -> None:
    page = ck.customer_sheet("1008", log, CUSTOMERS[["customer_id", "tier"]])
    assert [block.title for block in page.blocks] == ["Has bought nothing yet."]
