"""Moving members from a national brand to the store's: the gain is that of a year, and heavy users come first and deepest."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from offer_tables import deal_rows, solve

from crmkit import Transactions
from crmkit.offers.deals import Deals
from crmkit.offers.plan import OfferPlan
from crmkit.offers.redemption import RedemptionModel
from crmkit.offers.result import OfferResult
from crmkit.offers.shares import deal_shares, other_margins

EVERY = {"heavy": 7, "medium": 21, "light": 63}
DEPTH = {"light": 0.5, "medium": 0.75, "heavy": 1.0}
N = 30
SPEND, MARGIN, OTHERWISE, RATE = 4.0, 0.45, 0.20, 0.2


def shop() -> Transactions:
    """As many heavy, medium and light users of the national brand, who buy every so many days, and some of the store's."""
    rows = []
    for level, every in EVERY.items():
        days = pd.Timestamp("2017-01-01") + pd.to_timedelta(np.arange(every - 1, 364, every), unit="D")
        rows += [
            pd.DataFrame({"customer_id": f"{level} {n:02d}", "purchased_at": days, "brand_type": "national"})
            for n in range(N)
        ]
    weekly = pd.Timestamp("2017-01-01") + pd.to_timedelta(np.arange(0, 364, 7), unit="D")
    rows += [
        pd.DataFrame({"customer_id": f"store {n:02d}", "purchased_at": weekly, "brand_type": "store"})
        for n in range(10)
    ]
    return Transactions.from_extract(
        pd.concat(rows).assign(amount=SPEND, category="Tea", quantity=1), until="2017-12-31"
    )


def deal(budget: float) -> pd.DataFrame:
    depths = {f"value_{level}": value for level, value in DEPTH.items()}
    goods = {"category": "Tea", "brand_type": "store", "brand_group": "national", "margin": MARGIN, "funder_share": 0.0}
    return deal_rows(1, funder="Shop", value=DEPTH["medium"], budget=budget, **goods, **depths)


def planned(budget: float, yearly: bool) -> OfferResult:
    log, deals = shop(), Deals.from_extract(deal(budget))
    shares = other_margins(deal_shares(log, deals), deals.frame, OTHERWISE)
    model = RedemptionModel(
        shares if yearly else shares.drop(columns="yearly"), mean=RATE, probability=0.5, trials=True
    )
    members = [f"{level} {n:02d}" for level in EVERY for n in range(N)]
    p = np.repeat([1 - np.exp(-14 / every) for every in EVERY.values()], N)
    due = pd.DataFrame({"customer_id": members, "category": "Tea", "p_purchase": p, "spend": SPEND})
    usage = due[["customer_id", "category"]].assign(brand_group="national", usage=np.repeat(list(EVERY), N))
    plan = OfferPlan(deals, control=0.0, margin=OTHERWISE, contact_cost=0.0)
    return plan.solve(due, pd.DataFrame({"customer_id": members}), usage, redemption=model)


def by_level(plan: OfferResult) -> dict[str, int]:
    return plan.offers["customer_id"].str.split().str[0].value_counts().to_dict()


def test_heavy_users_are_served_first_and_deepest() -> None:
    everybody = planned(budget=10.0, yearly=True)
    assert by_level(everybody)["heavy"] == N
    worth = everybody.offers.groupby(everybody.offers["customer_id"].str.split().str[0])["worth"].unique()
    assert {level: values.tolist() for level, values in worth.items()} == {
        level: [DEPTH[level]] for level in worth.index
    }
    of_heavy = everybody.offers.loc[everybody.offers["customer_id"].str.startswith("heavy"), "expected_cost"].sum()
    few = by_level(planned(budget=0.7 * of_heavy, yearly=True))
    assert 0.5 * N < few["heavy"] < N
    assert few["heavy"] >= 0.9 * sum(few.values()), "what the budget leaves over pays for one of another level at most"


def test_by_one_purchase_alone_the_heavy_users_would_come_last() -> None:
    few = by_level(planned(budget=10.0, yearly=False))
    assert few.get("heavy", 0) == 0


def test_the_gain_is_margin_change_times_purchases_of_a_year_times_retention() -> None:
    yearly, once = (planned(budget=10.0, yearly=flag).offers for flag in (True, False))
    log, deals = shop(), Deals.from_extract(deal(10.0))
    row = deal_shares(log, deals).set_index("customer_id").loc["heavy 00"]
    assert row["yearly"] == pytest.approx(365 / 7, rel=0.05)
    p, depth, share = 1 - np.exp(-2), DEPTH["heavy"], row["share"]
    discount = depth / SPEND / 0.25
    raised = share * np.exp(0.8 * discount) / (1 - share + share * np.exp(0.8 * discount))
    category = p * np.exp(0.4 * share * discount) / (1 - p + p * np.exp(0.4 * share * discount))
    p_redeem = RATE * (p * raised + category - p)
    moved = RATE * p * (raised - share)
    gain = RATE * 0.7 * (category - p) * SPEND * MARGIN + p_redeem * (0.1 * SPEND * MARGIN - depth)
    gain += moved * SPEND * (MARGIN - OTHERWISE) * (1 + 0.1 * row["yearly"])
    found = yearly.set_index("customer_id").loc["heavy 00", "expected_gain"]
    assert found == pytest.approx(gain)
    assert len(once) < len(yearly)


def test_a_deal_on_other_goods_gains_for_these_days_alone() -> None:
    log = shop()
    national = Deals.from_extract(deal_rows(1, category="Tea", brand_type="national"))
    shares = deal_shares(log, national)
    due = pd.DataFrame({"customer_id": ["light 00"], "category": "Tea", "p_purchase": 0.5, "spend": SPEND})
    people = pd.DataFrame({"customer_id": ["light 00"]})
    gains = [
        OfferPlan(national, control=0.0)
        .solve(due, people, redemption=RedemptionModel(table))
        .offers["expected_gain"]
        .iloc[0]
        for table in (shares, shares.drop(columns="yearly"))
    ]
    assert gains[0] == gains[1]
    assert solve(national.frame, due, people).n_served == 1
