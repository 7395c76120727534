"""What is no log of purchases, and what a layout knows better, is told before money is wrong."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from crmkit.exceptions import CrmkitWarning, DeliveryWarning
from crmkit.ingest.extracts import read_extract
from crmkit.ingest.layouts import layout, note_in_words, note_of
from crmkit.pipeline.check import check_files
from crmkit.pipeline.config import config_of
from crmkit.transactions.log import Transactions

TA_FENG = pd.DataFrame(
    {
        "TRANSACTION_DT": ["11/1/2000", "11/2/2000"],
        "CUSTOMER_ID": ["1", "2"],
        "AGE_GROUP": "30-34",
        "PIN_CODE": "115",
        "PRODUCT_SUBCLASS": "100101",
        "PRODUCT_ID": "4710018004605",
        "AMOUNT": ["2", "1"],
        "ASSET": ["30", "40"],
        "SALES_PRICE": ["188", "95"],
    }
)


def test_a_known_layout_is_proposed_where_the_extract_is_named() -> None:
    assert repr(read_extract(TA_FENG)).endswith("SALES_PRICE: those of layout 'ta-feng'")


def test_pieces_named_as_the_money_of_a_known_layout_are_told() -> None:
    with pytest.warns(CrmkitWarning, match="layout 'ta-feng', whose amount is 'SALES_PRICE', not 'AMOUNT'"):
        Transactions.split_extract(
            TA_FENG, until="2000-12-31", customer_id="CUSTOMER_ID", purchased_at="TRANSACTION_DT", amount="AMOUNT",
            time_format="%m/%d/%Y",
        )  # fmt: skip


def test_lines_of_orders_are_no_products(tmp_path: Path) -> None:
    file = tmp_path / "order_products__train.csv"
    file.write_text("order_id,product_id,add_to_cart_order,reordered\n1,49302,1,1\n1,11109,2,1\n")
    report = check_files([str(file)])
    assert report.guess.table == "transactions"
    assert "Not found: customer_id, purchased_at, amount" in str(report)


def test_a_table_of_customers_is_no_log_of_purchases(tmp_path: Path) -> None:
    file = tmp_path / "customers.csv"
    rows = "".join(f"{n},2026-01-0{n % 9 + 1},{n * 3.5},{n % 7},{n}\n" for n in range(30))
    file.write_text(f"customer_id,last_purchase_date,total_spend,frequency,recency\n{rows}")
    told = str(check_files([str(file)]))
    assert "this is a table of customers, not a log of purchases. With it you can" in told


def test_a_log_of_one_purchase_each_is_told() -> None:
    table = pd.DataFrame({"customer_id": [f"c{n}" for n in range(1200)], "purchased_at": "2026-01-05", "amount": 2.0})
    with pytest.warns(DeliveryWarning, match="Every customer has exactly one purchase"):
        Transactions.split_extract(table, until="2026-01-06")


def test_the_configuration_of_a_layout_shows_its_note(tmp_path: Path) -> None:
    TA_FENG.to_csv(tmp_path / "till.csv", index=False)
    stated = {"until": "2000-12-31", "transactions": {"files": "till.csv", "layout": "ta-feng"}}
    told = str(check_files([str(tmp_path / "till.csv")], config_of(stated), home=tmp_path))
    assert note_of("ta-feng").partition("\n")[0] in told
    assert note_in_words("ta-feng").startswith("Layout 'ta-feng': Days are written month first. AMOUNT is")


def test_rates_may_be_a_file_alone() -> None:
    stated = {"until": "2000-12-31", "rates": "rates.csv", "transactions": {"files": "till.csv"}}
    found = config_of(stated).rates
    assert found is not None
    assert found.files == "rates.csv"


def test_a_layout_shows_its_note_where_it_is_looked_at() -> None:
    ready = layout("stripe-charges")
    assert repr(ready).splitlines()[1].startswith("Layout 'stripe-charges': One row per payment.")
    assert ready["amount"] == "Converted Amount"
