"""Terms of the plan beside deals' budgets: funders, the shop, reach, caps, conflicts, worth, usage, tips, sensitivity."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from offer_tables import deal_rows, due_rows, market, members, solve

from crmkit import BrandUsage, Transactions
from crmkit.exceptions import ConfigError, ContractError
from crmkit.offers.candidates import expected_gain
from crmkit.offers.deals import Deals
from crmkit.offers.plan import OfferPlan
from crmkit.offers.solver import exact
from crmkit.offers.tips import choose_tips

PEOPLE = [f"M{i:04d}" for i in range(40)]


@pytest.fixture(params=["exact", "priced"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of planning: the exact one for small markets, and prices with repair."""
    if request.param == "priced":
        monkeypatch.setattr(exact, "MOST_CANDIDATES", 0)
    return str(request.param)


def test_a_funder_pays_for_all_its_deals_out_of_one_budget(way: str) -> None:
    deals = deal_rows(3, funder=["Maker", "Maker", "Other"], funder_share=[0.8, 1.0, 1.0], value=0.2)
    due = due_rows(PEOPLE, ["C0", "C1", "C2"])
    plan = solve(deals, due, members(40), funder_budgets={"Maker": 3.0})
    paid = (
        plan.offers.merge(deals, on="deal_id")
        .eval("paid = expected_cost * funder_share")
        .groupby("funder")["paid"]
        .sum()
    )
    assert 3.0 - 0.12 <= paid["Maker"] <= 3.0
    assert paid["Other"] > 4
    row = plan.budgets.set_index(["level", "name"]).loc[("funder", "Maker")]
    assert row["spent"] == pytest.approx(paid["Maker"])
    assert row["shadow_price"] > 0
    assert f"each extra 1.00 of Maker's budget adds {row['shadow_price']:.2f} of margin" in str(plan)


def test_the_shop_has_a_budget_for_its_share_and_the_contacts(way: str) -> None:
    deals = deal_rows(2, funder_share=[0.5, 0.9], value=0.2)
    plan = solve(deals, due_rows(PEOPLE, ["C0", "C1"]), members(40), store_budget=2.0, contact_cost=0.01)
    offers = plan.offers.merge(deals, on="deal_id")
    spent = (offers["expected_cost"] * (1 - offers["funder_share"])).sum() + 0.01 * len(offers)
    assert 1.9 < spent <= 2.0
    assert plan.budgets.query("level == 'store'")["spent"].item() == pytest.approx(spent)


def test_a_contact_costs_what_it_costs() -> None:
    free = solve(deal_rows(1, value=0.2), due_rows(["M0000"], ["C0"]), members(1))
    paid = solve(deal_rows(1, value=0.2), due_rows(["M0000"], ["C0"]), members(1), contact_cost=0.05)
    assert paid.objective == pytest.approx(free.objective - 0.05)


def test_a_funder_reaches_as_many_members_as_it_was_promised(way: str) -> None:
    deals = deal_rows(3, funder=["Small", "Big", "Big"], value=[1.0, 0.2, 0.2], funder_share=[0.0, 1.0, 1.0])
    due = due_rows(PEOPLE, ["C0", "C1", "C2"])
    assert not (solve(deals, due, members(40), slots=2).offers["deal_id"] == "D0").any()
    plan = solve(deals, due, members(40), slots=2, min_reach={"Small": 15})
    assert plan.offers.loc[plan.offers["deal_id"] == "D0", "customer_id"].nunique() == 15
    assert plan.shortfalls.empty
    assert plan.objective <= plan.bound
    assert plan.gap < 0.02


def test_a_reach_that_cannot_be_had_is_named(way: str) -> None:
    deals = deal_rows(2, funder=["Small", "Big"], budget=[2.0, 100.0])
    plan = solve(deals, due_rows(PEOPLE, ["C0", "C1"]), members(40), min_reach={"Small": 30})
    assert plan.shortfalls.to_numpy().tolist() == [["Small", "members reached", 30, 3]]
    assert "Small: 3 of the required 30 members reached" in str(plan)
    assert plan.objective <= plan.bound


def test_deals_in_conflict_are_never_on_one_list(way: str) -> None:
    deals = deal_rows(4, conflicts=["cola", "cola", None, None])
    plan = solve(deals, due_rows(PEOPLE, ["C0", "C1", "C2", "C3"]), members(40), slots=4)
    assert plan.offers.groupby("customer_id").size().eq(3).all()
    assert plan.offers.groupby("customer_id")["deal_id"].agg(lambda ids: len({"D0", "D1"} & set(ids))).eq(1).all()


def test_a_funder_has_so_many_offers_on_a_list_at_most(way: str) -> None:
    deals = deal_rows(4, funder=["A", "A", "A", "B"])
    plan = solve(deals, due_rows(PEOPLE, ["C0", "C1", "C2", "C3"]), members(40), funder_cap=2)
    assert plan.offers.merge(deals, on="deal_id").groupby(["customer_id", "funder"]).size().max() == 2
    assert plan.offers.groupby("customer_id").size().eq(3).all()


def test_what_a_member_had_counts(way: str) -> None:
    deals = deal_rows(3, limit_per_member=[1, 2, None])
    received = pd.DataFrame(
        {"customer_id": ["M0000", "M0000", "M0000", "M0001"], "deal_id": ["D0", "D1", "D2", "gone"]}
    )
    customers, due = members(3), due_rows(PEOPLE[:3], ["C0", "C1", "C2"])
    plan = OfferPlan(Deals.from_extract(deals), control=0, frequency_cap=3).solve(due, customers, received=received)
    had = plan.offers.groupby("customer_id")["deal_id"].agg(list).to_dict()
    assert "M0000" not in had  # three of three
    assert len(had["M0001"]) == 2
    assert len(had["M0002"]) == 3
    free = OfferPlan(Deals.from_extract(deals), control=0).solve(due, customers, received=received).offers
    assert sorted(free.loc[free["customer_id"] == "M0000", "deal_id"]) == ["D1", "D2"]


def test_a_member_may_have_a_shorter_list(way: str) -> None:
    customers = members(2, slots=[1, np.nan])
    plan = solve(deal_rows(3), due_rows(PEOPLE[:2], ["C0", "C1", "C2"]), customers, slots=2)
    assert plan.offers.groupby("customer_id").size().tolist() == [1, 2]


def test_a_loyal_members_list_is_worth_what_was_asked(way: str) -> None:
    deals = deal_rows(4, value=[0.2, 0.3, 5.0, 6.0], funder_share=[1.0, 1.0, 0.0, 0.0])
    customers = members(40, tier=["gold", "plain"] * 20)
    due = due_rows(PEOPLE, ["C0", "C1", "C2", "C3"])
    plan = solve(deals, due, customers, slots=3, min_worth={"gold": 6.0})
    worth = plan.offers.groupby("customer_id")["worth"].sum()
    assert (worth.loc[customers["customer_id"][::2]] >= 6).all()
    assert (worth.loc[customers["customer_id"][1::2]] == 0.5).all()
    assert plan.shortfalls.empty
    assert plan.gap < 0.2  # a list's worth comes in lumps
    greedy = solve(deals, due, customers, slots=3, min_worth={"gold": 60.0})
    assert greedy.shortfalls.to_numpy().tolist() == [["tier gold", "lists worth at least 60", 20, 0]]


def test_nothing_is_offered_where_nothing_may_be_nor_to_those_who_complain() -> None:
    deals = deal_rows(6, category=["TOBACCO OTHER", "Gift cards", "Milk", "CIGARS", "CIGARETTES", "Bottle deposits"])
    customers = members(2, open_complaints=[0, 1])
    plan = solve(deals, due_rows(PEOPLE[:2], deals["category"].tolist()), customers)
    assert plan.offers[["customer_id", "deal_id"]].to_numpy().tolist() == [["M0000", "D2"]]
    assert plan.exclusions == {"open complaint": 1, "in a category in which nothing is offered": 5}


# -- kinds of deals ----------------------------------------------------------------------------------------------


def test_each_kind_costs_what_it_gives() -> None:
    kinds = ["amount", "percent", "points", "early notice", "bundle"]
    deals = deal_rows(5, kind=kinds, value=[1.0, 20.0, 30.0, 0.0, 1.5], bundle_with=[None] * 4 + ["C0"])
    due = due_rows(["M0000"], [f"C{i}" for i in range(5)])
    offers = solve(deals, due, members(1)).offers.set_index("deal_id")
    assert offers["worth"].sort_index().tolist() == pytest.approx([1.0, 2.0, 3.0, 0.0, 1.5])
    p = 1.25 * 0.25 / (0.75 + 1.25 * 0.25)
    assert offers.loc["D4", ["p_purchase", "expected_cost"]].tolist() == pytest.approx([0.25, 1.5 * p])


def test_a_bundle_needs_both_items_to_be_due() -> None:
    deals = deal_rows(1, kind="bundle", bundle_with="Tea")
    assert solve(deals, due_rows(["M0000"], ["C0"]), members(1)).offers.empty


def usage(*rows: tuple[str, str, str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["customer_id", "brand_group", "usage"])
    return table.assign(category="C0")


def test_a_conversion_deal_goes_to_national_brand_users_and_deeper_to_heavier_ones() -> None:
    deals = deal_rows(
        1, brand_type="store", brand_group="national", value=0.5, value_light=0.3, value_heavy=0.9, margin=0.5
    )  # fmt: skip
    groups = usage(("M0000", "national", "light"), ("M0001", "national", "medium"), ("M0002", "national", "heavy"),
                   ("M0003", "store", "heavy"), ("M0004", "switcher", "heavy"))  # fmt: skip
    plan = OfferPlan(Deals.from_extract(deals), control=0).solve(due_rows(PEOPLE[:6], ["C0"]), members(6), usage=groups)
    assert dict(zip(plan.offers["customer_id"], plan.offers["value"], strict=True)) == {
        "M0000": 0.3, "M0001": 0.5, "M0002": 0.9,
    }  # fmt: skip
    assert plan.offers["p_purchase"].tolist() == pytest.approx([0.05] * 3)
    assert "10 % are of the store's brand" in str(plan)


def test_a_known_share_of_the_stores_brand_goes_before_the_prior() -> None:
    deals = deal_rows(1, brand_type="store", margin=0.5)
    known = usage(("M0000", "national", "light")).assign(store_share=0.3)
    plan = OfferPlan(Deals.from_extract(deals), control=0).solve(due_rows(["M0000"], ["C0"]), members(1), usage=known)
    assert plan.offers["p_purchase"].tolist() == pytest.approx([0.15])


def test_the_groups_of_brand_usage_are_understood_as_they_come(tmp_path: Path) -> None:
    till = pd.DataFrame(
        {
            "customer_id": ["M0000"] * 2 + ["M0001"] * 2 + ["M0002"] * 2,
            "purchased_at": "2017-01-05",
            "category": "C0",
            "amount": [1.0, 1, 20, 2, 6, 60],
            "brand_type": ["national", "national", "national", "store", "store", "store"],
        }
    )
    log = Transactions.from_extract(till, until="2017-12-31", folder=tmp_path / "log")
    groups = BrandUsage(window=365).fit(log).predict(log)
    deals = deal_rows(
        1, brand_type="store", brand_group="national", value=0.5, value_light=0.3, value_heavy=0.9, margin=0.5
    )
    due = due_rows(PEOPLE[:3], ["C0"], p=0.9)
    plan = OfferPlan(Deals.from_extract(deals), control=0).solve(due, members(3), usage=groups)
    national = groups.query("brand_user == 'national brand'")
    assert sorted(national["store_share"].round(2)) == [0, 0.09]
    assert plan.offers["customer_id"].tolist() == national["customer_id"].tolist()
    depth = {"light": 0.3, "medium": 0.5, "heavy": 0.9}
    assert plan.offers["value"].tolist() == [depth[level] for level in national["usage_level"]]
    drawn = (national["n_days"] * national["store_share"] + 2 * 0.1) / (national["n_days"] + 2)
    assert plan.offers["p_purchase"].tolist() == pytest.approx((0.9 * drawn).tolist())
    with pytest.raises(ContractError, match=r"Columns not found: \['brand_group', 'usage'\].*usage has"):
        OfferPlan(Deals.from_extract(deals)).solve(due, members(3), usage=groups.drop(columns="brand_user"))


def test_the_gain_of_converting_is_what_enumeration_gives() -> None:
    """Three outcomes: the deal's brand, the other brand, nothing; the deal draws from both others in proportion."""
    p, share, spend, value, response = 0.6, 0.25, 8.0, 0.7, 1.5
    brand, other, nothing = p * share, p * (1 - share), 1 - p
    raised = response * brand / (1 - brand + response * brand)
    kept = (1 - raised) / (1 - brand)
    before = spend * (0.4 * brand + 0.2 * other)
    after = spend * (0.4 * raised + 0.2 * other * kept) - raised * value * 0.3
    found = expected_gain(p, spend, value, 0.7, response, 0.4, brand_share=share, other_margin=0.2)
    assert float(found.gain) == pytest.approx(after - before)
    assert brand + other + nothing == pytest.approx(1)


def test_extremes_of_a_gain_are_finite() -> None:
    found = expected_gain(
        np.array([0.0, 1.0, 1.0]), 5.0, 1.0, 0.5, 1.25, 0.3, brand_share=np.array([0.5, 1.0, 0.0]), other_margin=0.3
    )
    assert all(np.isfinite(column).all() for column in found)
    assert found.p_with_deal.tolist() == [0.0, 1.0, 0.0]


# -- what it rests on --------------------------------------------------------------------------------------------


def test_the_share_that_rests_on_the_prior_is_told() -> None:
    deals = deal_rows(2, response=[1.25, None], value=0.1)
    plan = solve(deals, due_rows(["M0000"], ["C0", "C1"]), members(1))
    assert plan.share_on_prior == pytest.approx(0.5)
    assert "50% of the expected gain rests on it" in str(plan)


def test_half_and_double_the_response_are_planned_anew() -> None:
    deals, due = market(4, n_members=60, n_deals=5, n_categories=5, share=0.3)
    terms = OfferPlan(Deals.from_extract(deals), slots=2, control=0)
    table = terms.sensitivity(due, members(60))
    assert table["response"].tolist() == [1.125, 1.25, 1.5]
    assert table.loc["assumed", "objective"] == pytest.approx(terms.solve(due, members(60)).objective)
    assert table.loc["assumed", "gain_of_this_plan"] == pytest.approx(table.loc["assumed", "objective"])
    assert table["objective"].is_monotonic_increasing
    assert (table["gain_of_this_plan"] <= table["objective"] + 1e-9)[["half", "assumed"]].all()
    assert table.loc["assumed", "same_offers"] == 1


# -- size --------------------------------------------------------------------------------------------------------


def test_a_file_gives_as_good_a_plan_as_a_table_in_whatever_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deals, due = market(5, n_members=300, n_deals=8, n_categories=8, share=0.2)
    due = due.sort_values(["customer_id", "category"])
    due.to_parquet(tmp_path / "due.parquet")
    terms = OfferPlan(Deals.from_extract(deals), slots=3, control=0.1)
    whole = terms.solve(due, members(300))
    monkeypatch.setattr("crmkit.offers.needs._ROWS", 37)
    parts = terms.solve(tmp_path / "due.parquet", members(300))
    assert parts.bound == pytest.approx(whole.bound, rel=1e-5)
    assert parts.objective == pytest.approx(whole.objective, rel=0.01)
    assert set(parts.offers["item"]) == set(whole.offers["item"])
    due[::-1].to_parquet(tmp_path / "turned.parquet")
    with pytest.raises(ContractError, match="not ordered by customer_id"):
        terms.solve(tmp_path / "turned.parquet", members(300))


def test_what_members_take_is_the_sum_over_any_cut_of_them() -> None:
    """The prices are all that parts share: a part's answer depends on the part and the prices only."""
    from crmkit.offers.needs import Needs
    from crmkit.offers.problem import Problem
    from crmkit.offers.solver.market import demand_of

    deals, due = market(6, n_members=500, n_deals=8, n_categories=5, share=0.2)
    whole = Problem.of(OfferPlan(Deals.from_extract(deals), control=0), Needs(due), members(500), None, None).market()
    price = np.linspace(0, 0.4, 8)
    together = whole.demand(price, np.zeros(0))
    cuts = [block.rows(slice(start, start + 7)) for block in whole.blocks for start in range(0, len(block.member), 7)]
    alone = [demand_of(cut, price, np.zeros(8)) for cut in cuts[::-1]]
    assert sum(one.value for one in alone) == pytest.approx(together.value, rel=1e-6)
    np.testing.assert_allclose(sum(one.cost for one in alone), together.cost, rtol=1e-6)


def test_prices_come_near_the_exact_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    deals, due = market(7, n_members=1500, n_deals=12, n_categories=10, share=0.3)
    best = solve(deals, due, members(1500), slots=3)
    monkeypatch.setattr(exact, "MOST_CANDIDATES", 0)
    priced = solve(deals, due, members(1500), slots=3)
    assert priced.objective <= best.bound
    assert best.objective <= priced.bound
    assert priced.objective >= 0.99 * best.objective
    assert priced.bound <= 1.02 * best.bound


# -- tips and refusals -------------------------------------------------------------------------------------------


def test_tips_go_with_what_is_most_probable() -> None:
    tips = pd.DataFrame({"tip_id": ["t1", "t2"], "category": ["C0", "C2"], "title": ["Soup", "Pie"]})
    due = due_rows(PEOPLE[:2], ["C0", "C1", "C2"]).assign(p_purchase=[0.1, 0.9, 0.2, 0.4, 0.1, 0.3])
    plan = solve(deal_rows(), due, members(2), tips=tips)
    assert plan.tips[["customer_id", "tip_id"]].to_numpy().tolist() == [["M0000", "t2"], ["M0001", "t1"]]
    assert len(choose_tips(due, tips, slots=2)) == 4
    with pytest.raises(ContractError, match=r"Columns not found: \['title'\].*tips has"):
        choose_tips(due, tips.drop(columns="title"))


def test_tips_are_chosen_from_a_file_in_whatever_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deals, due = market(9, n_members=200, n_deals=5, n_categories=5, share=1)
    due = due.sort_values(["customer_id", "category"])
    due.astype({"customer_id": "category", "category": "category"}).to_parquet(tmp_path / "due.parquet")
    tips = pd.DataFrame({"tip_id": range(3), "category": ["C0", "C2", "C4"], "title": ["Soup", "Pie", "Tea"]})
    terms = OfferPlan(Deals.from_extract(deals), slots=2, control=0.2, tips=tips, tip_slots=2)
    table = terms.solve(due, members(200, no_contact=["yes"] + [None] * 199)).tips
    monkeypatch.setattr("crmkit.offers.needs._ROWS", 37)
    plan = terms.solve(tmp_path / "due.parquet", members(200, no_contact=["yes"] + [None] * 199))
    assert len(table) > 200
    pd.testing.assert_frame_equal(plan.tips, table)
    assert set(table["customer_id"]) <= set(plan.planned["customer_id"])
    assert not set(table["customer_id"]) & {"M0000", *plan.control["customer_id"]}


def test_a_category_with_several_due_products_has_one_tip() -> None:
    due = due_rows(["M0000"], ["77", "78", "79"]).rename(columns={"category": "product_id"})
    due = due.assign(category=["Milk", "Milk", "Tea"], p_purchase=[0.9, 0.8, 0.1])
    tips = pd.DataFrame({"tip_id": ["t1", "t2"], "category": ["Milk", "Tea"], "title": ["Soup", "Pie"]})
    assert choose_tips(due, tips, slots=2)["tip_id"].tolist() == ["t1", "t2"]


def test_wrong_terms_are_named() -> None:
    deals = Deals.from_extract(deal_rows())
    with pytest.raises(
        ConfigError, match=r"store_budget=-1 is below 0.*min_reach names \['Nobody'\], which fund no deal.*Maker"
    ):
        OfferPlan(deals, store_budget=-1, min_reach={"Nobody": 3})
    with pytest.raises(ContractError, match=r"Columns not found: \['tier'\].*customers has"):
        OfferPlan(deals, min_worth={"gold": 3}).solve(due_rows(["a"], ["C0"]), members(1))
    with pytest.raises(ContractError, match=r"Columns not found: \['deal_id'\].*received has"):
        OfferPlan(deals).solve(due_rows(["a"], ["C0"]), members(1), received=members(1))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"kind": "gift"}, "kind is neither amount, percent, points, bundle, early notice nor perk"),
        ({"kind": "bundle"}, "kind is bundle and bundle_with is missing"),
        ({"kind": "percent", "value": 101}, "value is above 100 percent"),
        ({"value": 0}, "value is not above 0"),
        ({"value_light": 2.0}, "value_light is not between 0 and value_medium"),
        ({"value_heavy": 0.5}, "value_heavy is below value_medium"),
        ({"price": 0.5}, "price is below the money off"),
        ({"margin": 1.5}, "margin is not between 0 and 1"),
        ({"response": 0}, "response is not above 0"),
        ({"limit_per_member": 1.5}, "limit_per_member is not a whole number above 0"),
        ({"brand_group": "loyal"}, "brand_group is neither national, store nor switcher"),
        ({"barcode_type": "qr", "barcode": "1"}, "barcode_type is neither ean, code 128 nor gs1"),
        ({"barcode_type": "gs1", "barcode": "(01)09501101530004"}, "barcode has a wrong check digit"),
        ({"barcode_type": "gs1", "barcode": "0950"}, "barcode does not begin with a GS1 identifier in brackets"),
        ({"barcode_type": "code 128", "barcode": "x" * 61}, "barcode is not 1 to 60 plain characters"),
    ],
)  # fmt: skip
def test_bad_deals_are_refused_with_row_and_reason(row: dict[str, object], reason: str) -> None:
    rows = pd.concat([deal_rows(1), deal_rows(1, deal_id="bad", **row)])
    sound, rejected = Deals.split_extract(rows)
    assert sound.frame["deal_id"].tolist() == ["D0"]
    assert rejected[["record", "reason"]].to_numpy().tolist() == [[2, reason]]


def test_the_ways_are_two(way: str) -> None:
    """The fixture does what it says."""
    assert (exact.MOST_CANDIDATES == 0) == (way == "priced")
