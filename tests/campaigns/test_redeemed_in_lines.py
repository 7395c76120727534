"""Redemptions read off the sales lines: on an offer's goods and days, once a line, to the offer whose worth is nearest."""

from __future__ import annotations

import pandas as pd
import pytest

from crmkit import Transactions
from crmkit.campaigns.redeemed_in_lines import redeemed_in_lines
from crmkit.exceptions import ContractError

LINES = [
    ("a", "2018-01-02", 2.50, 0.50, "Tea", "Assam", "t1"),
    ("a", "2018-01-03", 2.00, 1.00, "Tea", "Mint", "t2"),
    ("a", "2018-01-04", 3.00, 0.00, "Tea", "Assam", "t1"),
    ("a", "2018-01-20", 2.50, 0.50, "Tea", "Assam", "t1"),
    ("b", "2018-01-02", 2.50, 0.50, "Tea", "Assam", "t1"),
    ("a", "2018-01-05", 3.00, 0.20, "Milk", "Farm", "m1"),
]


def log_of(lines: list[tuple[object, ...]]) -> Transactions:
    columns = ["customer_id", "purchased_at", "amount", "discount", "category", "brand", "product_id"]
    return Transactions.from_extract(pd.DataFrame(lines, columns=columns), until="2018-01-31")


def offers_of(**changes: object) -> pd.DataFrame:
    rows = {
        "customer_id": "a", "deal_id": ["D1", "D2"], "category": "Tea", "brand": ["Assam", None], "worth": [0.5, 1.0],
        "starts": "2018-01-01", "ends": "2018-01-14",
    }  # fmt: skip
    return pd.DataFrame(rows | changes)


def test_a_discount_on_an_offers_goods_and_days_is_its_redemption() -> None:
    found = redeemed_in_lines(log_of(LINES), offers_of())
    assert found["deal_id"].tolist() == ["D1", "D2"]
    assert found["amount"].tolist() == [0.5, 1.0]
    assert found["redeemed_at"].dt.strftime("%Y-%m-%d").tolist() == ["2018-01-02", "2018-01-03"]


def test_a_line_counts_once_for_the_offer_whose_worth_is_nearest() -> None:
    found = redeemed_in_lines(log_of(LINES[:1]), offers_of(brand=None, worth=[2.0, 0.6]))
    assert found["deal_id"].tolist() == ["D2"]


def test_a_line_of_the_coupons_own_number_is_its_redemption() -> None:
    lines = [*LINES[2:3], ("a", "2018-01-04", 0.0, 0.5, "Coupons", None, "D1")]
    found = redeemed_in_lines(log_of(lines), offers_of())
    assert found["deal_id"].tolist() == ["D1"]


def test_offers_that_do_not_say_what_they_are_worth_are_refused_and_none_redeem_nothing() -> None:
    with pytest.raises(ContractError, match="worth"):
        redeemed_in_lines(log_of(LINES), offers_of().drop(columns="worth"))
    assert redeemed_in_lines(log_of(LINES), offers_of().head(0)).empty
