"""The record of campaigns: each step once and in order, and budgets that remember."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from offer_tables import deal_rows

from crmkit.campaigns.record import budgets_left, mark_measured, mark_sent, no_campaigns, record_plan
from crmkit.exceptions import ContractError
from crmkit.offers.deals import Deals

OFFERS = pd.DataFrame(
    {
        "customer_id": ["a", "a", "b"],
        "deal_id": ["D0", "D1", "D0"],
        "expected_gain": [1.0, 2.0, 3.0],
        "expected_cost": 0.25,
    }
)
FIRST, LAST = date(2018, 1, 1), date(2018, 1, 14)


def planned(name: str = "one") -> pd.DataFrame:
    return record_plan(no_campaigns(), name, FIRST, LAST, OFFERS)


def test_a_campaign_is_planned_sent_and_measured(tmp_path: Path) -> None:
    record = record_plan(planned(), "two", date(2018, 1, 15), date(2018, 1, 28), OFFERS)
    record.to_parquet(tmp_path / "campaigns.parquet", index=False)
    record = pd.read_parquet(tmp_path / "campaigns.parquet")
    record, sent = mark_sent(record, "one", OFFERS)
    assert sent.equals(OFFERS)
    came = pd.DataFrame({"campaign": ["one", "one", "two"], "amount": [0.5, 0.25, 9.0]})
    record = mark_measured(record, "one", came).set_index("campaign")
    assert record["state"].tolist() == ["measured", "planned"]
    assert record.loc["one", ["offers", "members", "expected_gain", "expected_cost"]].tolist() == [3, 2, 6.0, 0.75]
    assert record.loc["one", ["redemptions", "redeemed"]].tolist() == [2, 0.75]
    assert record.loc["two", ["redemptions", "redeemed"]].isna().all()


def test_of_a_file_with_deals_only_these_offers_were_sent() -> None:
    one = OFFERS[["customer_id", "deal_id"]].head(1)
    record, sent = mark_sent(planned(), "one", OFFERS, mailed=one)
    assert sent[["customer_id", "deal_id"]].equals(one)
    assert record["offers"].tolist()[0] == 1
    with pytest.raises(ContractError, match="1 of 2 mailed offers are none in campaign"):
        mark_sent(planned(), "one", OFFERS, mailed=pd.concat([one, one.assign(deal_id="D99")]))


def test_who_was_not_mailed_was_not_offered_anything() -> None:
    before = planned()
    record, sent = mark_sent(before, "one", OFFERS, mailed=["b", "b"])
    assert sent["customer_id"].tolist() == ["b"]
    assert record.loc[0, ["state", "offers", "members", "expected_gain"]].tolist() == ["sent", 1, 1, 3.0]
    assert before.loc[0, "state"] == "planned"


def test_steps_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ContractError, match="There is no campaign 'x': none was planned yet"):
        mark_sent(no_campaigns(), "x", OFFERS)
    with pytest.raises(ContractError, match=r"There is no campaign 'x'\. The newest are \['one'\]"):
        mark_measured(planned(), "x", OFFERS)
    with pytest.raises(ContractError, match="Give the new one another name"):
        record_plan(planned(), "one", FIRST, LAST, OFFERS)
    with pytest.raises(ContractError, match="is before its first"):
        record_plan(no_campaigns(), "one", LAST, FIRST, OFFERS)
    with pytest.raises(ContractError, match="planned but not sent"):
        mark_measured(planned(), "one", OFFERS)
    with pytest.raises(ContractError, match="1 of 2 mailed members have no offer"):
        mark_sent(planned(), "one", OFFERS, mailed=["a", "stranger"])
    sent, _ = mark_sent(planned(), "one", OFFERS)
    with pytest.raises(ContractError, match="is sent already; a campaign is sent once"):
        mark_sent(sent, "one", OFFERS)


def test_budgets_remember_what_was_redeemed_and_what_is_outstanding() -> None:
    deals = Deals.from_extract(deal_rows(3, budget=[10.0, 1.0, 5.0]))
    redeemed = pd.DataFrame({"deal_id": ["D0", "D0", "D1", "gone"], "amount": [1.0, 2.0, 3.0, 4.0]})
    left = budgets_left(deals, redeemed, pd.DataFrame({"deal_id": ["D0", "D2"], "expected_cost": [0.5, 1.0]}))
    assert left.frame["budget"].tolist() == [6.5, 0.0, 4.0]
    nothing = budgets_left(deals, redeemed.head(0), pd.DataFrame({"deal_id": [], "expected_cost": []}))
    assert nothing.frame["budget"].tolist() == [10.0, 1.0, 5.0]
