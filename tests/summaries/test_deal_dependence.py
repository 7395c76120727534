"""Share of purchases made on a deal, and its trend; money off that would not have been needed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crmkit import Transactions
from crmkit.campaigns.given_away import given_away
from crmkit.reports.blocks.deal_dependence import deal_dependence as deal_block
from crmkit.summaries.deal_dependence import deal_dependence


def till() -> pd.DataFrame:
    """a buys 40 lines in each half-year, one in ten and then one in two on a deal; b 40 without a deal; c long ago."""
    days = [pd.Timestamp("2017-04-01") + pd.Timedelta(days=n) for n in range(40)]
    later = [day + pd.Timedelta(days=182) for day in days]
    half, tenth = (np.arange(40) % n == 0 for n in (2, 10))
    rows = [
        *zip("a" * 40, days, 0.5 * tenth, strict=True),
        *zip("a" * 40, later, 0.5 * half, strict=True),
        *zip("b" * 40, later, np.zeros(40), strict=True),
        *zip("c" * 40, days, 0.5 * half, strict=True),
    ]
    return pd.DataFrame(rows, columns=["customer_id", "purchased_at", "discount"]).assign(amount=2.0)


def test_the_share_and_its_trend_are_counted_in_two_windows() -> None:
    found = deal_dependence(Transactions.from_extract(till(), until="2017-12-31")).set_index("customer_id")
    assert found.index.tolist() == ["a", "b"]
    assert found["deal_share"].tolist() == [0.5, 0.0]
    assert 0.2 < found.loc["a", "deal_share_change"] < 0.4
    assert np.isnan(found.loc["b", "deal_share_change"])
    assert found["discounts"].tolist() == [10.0, 0.0]


def test_later_lines_change_nothing() -> None:
    early = Transactions.from_extract(till()[till()["purchased_at"] <= "2017-11-01"], until="2017-11-01")
    whole = Transactions.from_extract(till(), until="2017-12-31")
    pd.testing.assert_frame_equal(deal_dependence(early), deal_dependence(whole, as_of="2017-11-01"))


def test_what_was_given_away_is_the_shops_part_of_purchases_that_needed_no_coupon() -> None:
    keys = {"campaign": "1", "customer_id": ["a", "b"], "deal_id": ["D1", "D2"]}
    offers = pd.DataFrame(
        keys | {"p_purchase": 0.5, "p_with_deal": [0.5, 0.6], "p_redeem": [0.2, 0.1], "funder_share": [0.0, 1.0]}
    )
    redemptions = pd.DataFrame(keys | {"amount": 2.0})
    found = given_away(redemptions, offers)
    assert found["given_away"].tolist() == [2.0, 0.0]
    own = offers.assign(funder_share=0.0, p_with_deal=0.55)
    assert given_away(redemptions, own, scale=2.0)["given_away"].tolist() == pytest.approx([1.0, 0.0])
    assert given_away(redemptions, own, scale=1.0)["given_away"].tolist() == pytest.approx([1.5, 1.0])


def test_the_report_says_who_buys_on_deals_and_what_was_given_away() -> None:
    row = deal_dependence(Transactions.from_extract(till(), until="2017-12-31")).assign(tier=["A", "B"])
    lost = pd.DataFrame({"customer_id": ["a"], "redeemed": [2.0], "paid": [1.0], "given_away": [0.75]})
    block = deal_block(row, lost, currency="USD")
    assert block.title == "25% of a customer's purchases are made on a deal, on average"
    assert "0.75" in block.sentence
    assert block.table is not None
    assert block.table.frame["tier"].tolist() == ["A", "B"]
