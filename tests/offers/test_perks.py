"""Perks in place of discounts for members who buy without them."""

from __future__ import annotations

import numpy as np
from offer_tables import deal_rows, due_rows, members

from crmkit.offers.deals import Deals
from crmkit.offers.plan import OfferPlan
from crmkit.offers.redemption import RedemptionModel


def test_who_needs_no_discount_gets_perks_and_what_makers_pay_but_none_of_the_shops_money() -> None:
    deals = deal_rows(
        3, kind=["amount", "amount", "perk"], value=[0.2, 1.0, 0.0], funder=["Shop", "Maker", "Shop"], funder_share=[0.0, 1.0, 0.0],
        margin=0.4,
    )  # fmt: skip
    people = members(3, deal_share=[0.05, 0.5, np.nan])
    due = due_rows(people["customer_id"].tolist(), ["C0", "C1", "C2"], p=0.6)
    shares = (
        due[["customer_id"]].drop_duplicates().merge(deals[["deal_id"]], how="cross").assign(share=0.8, own_days=4.0)
    )
    catalogue = Deals.from_extract(deals)
    rules = [OfferPlan(catalogue, control=0.0, perks_below=below) for below in (0.2, 0.0)]
    with_rule, without = (
        rule.solve(due, people, redemption=RedemptionModel(shares, mean=0.5)).offers for rule in rules
    )
    own = with_rule.groupby("customer_id")["deal_id"].agg(set)
    everything = without.groupby("customer_id")["deal_id"].agg(set)
    assert own["M0000"] == everything["M0000"] - {"D0"}
    assert own.drop("M0000").equals(everything.drop("M0000"))
    assert "D2" in own["M0000"]
    assert (with_rule.loc[with_rule["deal_id"] == "D2", "worth"] == 0).all()
