"""One page about one customer."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pypdfium2
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
    assert blocks["Dropped"].table is not None
    assert blocks["Dropped"].table.frame["last_bought"].tolist() == [pd.Timestamp("2017-01-02")], "since when"
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


def more_tables() -> dict[str, pd.DataFrame]:
    return {
        "sent": pd.DataFrame({"customer_id": "007", "campaign": ["c1", "c1"], "deal_id": ["d1", "d2"]}),
        "redemptions": pd.DataFrame({"customer_id": ["007"], "campaign": ["c1"], "deal_id": ["d2"]}),
        "points": pd.DataFrame({"customer_id": ["007", "8"], "opening": 0, "earned": 240, "closing": [240, 7]}),
        "service": pd.DataFrame(
            {
                "customer_id": ["007"],
                "kind": ["complaint"],
                "recorded_at": pd.to_datetime(["2017-03-02"]),
                "topic": ["delivery"],
                "resolved_at": [pd.NaT],
            }
        ),
        "identity": pd.DataFrame({"card": ["007", "8"], "member": ["007", "8"], "unit": "U1"}),
        "premises": pd.DataFrame(
            {"customer_id": ["007"], "area": ["north"], "type": ["restaurant"], "opens": 9, "closes": 18}
        ),
        "visits": pd.DataFrame(
            {"customer_id": ["007"], "field_person": "Kim", "day": pd.to_datetime(["2017-04-03"]), "begins": "09:15"}
        ),
        "visited": pd.DataFrame(
            {
                "customer_id": ["007"],
                "field_person": "Lee",
                "day": pd.to_datetime(["2017-02-03"]),
                "met": [1],
                "sold": [30.0],
            }
        ),
    }


def test_what_else_is_known_stands_on_the_page(log: ck.Transactions) -> None:
    told = CUSTOMERS.assign(value_low=300.0, value_high=2500.0)
    page = ck.customer_sheet("007", log, told, DUE, currency="EUR", **more_tables())
    blocks = {block.topic: block for block in page.blocks}
    assert ("EUR 1,234", "value, 300.00 to 2,500") in [(value, label) for value, label in page.cards]
    assert blocks["Offers so far"].title == "1 of 2 offers were used"
    assert blocks["Points"].title == "240 points stand"
    assert blocks["Complaints"].title == "Complaints: 1, not resolved: 1"
    assert blocks["Customer"].title == "Unit U1: 2 cards of 2 members"
    assert blocks["Customer"].sentence == "type: restaurant; area: north; open 9 to 18"
    assert blocks["Visits"].title == "Kim visits on 03 Apr 2017, 09:15"
    assert blocks["Amounts"].sentence.endswith("No receipt holds a discount.")
    assert "Has 240 points to spend." in blocks["What to say"].notes
    with pytest.raises(ck.ConfigError, match=r"knows no tables \['pionts'\]"):
        ck.customer_sheet("007", log, CUSTOMERS, pionts=CUSTOMERS)


def test_many_pages_are_those_of_one_by_one_and_no_number_is_in_a_file_name(
    log: ck.Transactions, tmp_path: Path
) -> None:
    index = ck.print_sheets(["8", "007", "1008"], log, CUSTOMERS, tmp_path, DUE, per_file=2, **more_tables())
    assert index.values.tolist() == [
        ["8", "sheets_0001.pdf", 1],
        ["007", "sheets_0001.pdf", 2],
        ["1008", "sheets_0002.pdf", 1],
    ]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["sheets_0001.pdf", "sheets_0002.pdf"]
    pages = pypdfium2.PdfDocument(tmp_path / "sheets_0001.pdf")
    first, text = (page.get_textpage().get_text_range() for page in pages)
    assert "Customer 8" in first
    assert "240 points" not in first
    assert "240 points stand" in text
    assert "Kim visits on" in text
    assert [round(one) for one in pages[1].get_size()] == [595, 842]
    with pytest.raises(ContractError, match="1 of 2 customers are not among the 3"):
        ck.print_sheets(["8", "x"], log, CUSTOMERS, tmp_path)
