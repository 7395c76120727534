"""Deals and the plan: what is checked, who is left out, and how close the plan is to the best one."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from offer_tables import deal_rows, due_rows, market, members, solve
from scipy.optimize import Bounds, LinearConstraint, milp

from crmkit.exceptions import ConfigError, ContractError
from crmkit.offers.barcodes import ean13, gtin_check_digit
from crmkit.offers.control_group import control_group
from crmkit.offers.deals import Deals
from crmkit.offers.plan import OfferPlan

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample" / "deals.csv"


def best_plan(deals: pd.DataFrame, due: pd.DataFrame, slots: int) -> float:
    """The optimum by integer programming."""
    c = due.merge(deals, on="category")
    p1 = 1.25 * c["p_purchase"] / (1 + 0.25 * c["p_purchase"])
    gain = (p1 - c["p_purchase"]) * 0.3 * c["spend"] - p1 * c["value"] * (1 - c["funder_share"])
    indicators = [pd.get_dummies(c["customer_id"]), pd.get_dummies(c["customer_id"] + c["category"])]
    budgets = pd.get_dummies(c["deal_id"]).mul(p1 * c["value"], axis=0)
    rows = np.hstack([*indicators, budgets]).astype(float).T
    limits = [*[slots] * indicators[0].shape[1], *[1] * indicators[1].shape[1]]
    limits += deals.set_index("deal_id")["budget"].loc[budgets.columns].tolist()
    solved = milp(
        -gain, constraints=LinearConstraint(rows, ub=limits), integrality=np.ones(len(c)), bounds=Bounds(0, 1)
    )
    return float(-solved.fun)


# -- deals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gtin", ["4006381333931", "036000291452", "96385074", "5901234123457", "0036000291452"])
def test_published_barcodes_have_their_check_digit(gtin: str) -> None:
    assert gtin_check_digit(gtin[:-1]) == int(gtin[-1])
    assert Deals.from_extract(deal_rows(1, barcode=gtin)).frame["barcode"].tolist() == [gtin]


def test_a_barcode_in_full_width_digits_is_read() -> None:
    wide = deal_rows(1, barcode="４００６３８１３３３９３１")
    assert Deals.from_extract(wide).frame["barcode"].tolist() == ["4006381333931"]


@pytest.mark.parametrize("gtin", ["4006381333931", "036000291452", "96385074"])
def test_every_wrong_digit_is_found(gtin: str) -> None:
    wrong = [gtin[:i] + str((int(gtin[i]) + by) % 10) + gtin[i + 1 :] for i in range(len(gtin)) for by in range(1, 10)]
    sound, rejected = Deals.split_extract(deal_rows(len(wrong), barcode=wrong))
    assert sound.frame.empty
    assert set(rejected["reason"]) == {"barcode has a wrong check digit"}


@pytest.mark.parametrize("text", ["400638133393", "40063813339310", "4006381E33931"])
def test_what_is_no_barcode_is_refused_with_row_and_reason(text: str) -> None:
    rows = deal_rows(2, barcode=["4006381333931", text])
    with pytest.raises(
        ContractError, match=r"barcode (is not 8, 12 or 13 digits|has a wrong check digit|lost its digits)"
    ):
        Deals.from_extract(rows)
    sound, rejected = Deals.split_extract(rows)
    assert sound.frame["deal_id"].tolist() == ["D0"]
    assert rejected["record"].tolist() == [2]


def test_a_deal_needs_no_barcode_and_a_upc_becomes_an_ean() -> None:
    assert Deals.from_extract(deal_rows(1, barcode=[None])).frame["barcode"].isna().all()
    assert ean13("036000291452") == "0036000291452"
    assert ean13("96385074") == "96385074"


def test_active_deals_overlap_the_days_asked_for() -> None:
    starts = ["2017-12-01", "2017-12-01", "2018-01-14", "2018-01-15", "2018-01-05"]
    ends = ["2017-12-31", "2018-01-01", "2018-03-01", "2018-03-01", "2018-01-06"]
    deals = Deals.from_extract(deal_rows(5, starts=starts, ends=ends))
    assert deals.active("2018-01-01", "2018-01-14").frame["deal_id"].tolist() == ["D1", "D2", "D4"]


def test_the_sample_deals_are_sound() -> None:
    deals = Deals.from_extract(pd.read_csv(SAMPLE, dtype=str), product_id="sku")
    assert len(deals.frame) == 293
    assert len(deals.active("2018-01-01", "2018-01-14").frame) == 50


# -- the figures -------------------------------------------------------------------------------------------------


def test_gain_and_cost_are_what_the_docstring_says() -> None:
    offer = solve(deal_rows(1, funder_share=0.75, value=0.2), due_rows(["M0000"], ["C0"]), members(1)).offers.iloc[0]
    p = 1.25 * 0.5 / (0.5 + 1.25 * 0.5)
    assert offer["p_with_deal"] == pytest.approx(p)
    assert offer["expected_cost"] == pytest.approx(p * 0.2)
    assert offer["expected_gain"] == pytest.approx((p - 0.5) * 0.30 * 10 - p * 0.2 * 0.25)
    assert offer["item"] == "C0"


def test_a_deal_that_costs_the_shop_more_than_it_moves_is_not_offered() -> None:
    assert solve(deal_rows(1, funder_share=0.0), due_rows(["M0000"], ["C0"]), members(1)).offers.empty


def test_a_missing_funder_share_means_that_the_shop_pays() -> None:
    deals = deal_rows(1, value=0.2)
    shop = solve(deals.assign(funder_share=0.0), due_rows(["M0000"], ["C0"]), members(1))
    assert (
        solve(deals.drop(columns="funder_share"), due_rows(["M0000"], ["C0"]), members(1)).objective == shop.objective
    )


def test_slots_are_ranked_by_gain_and_one_deal_for_each_category() -> None:
    deals = deal_rows(4, category=["C0", "C0", "C1", "C2"], value=0.1)
    due = due_rows(["M0000"], ["C0", "C1", "C2"]).assign(spend=[5.0, 20.0, 10.0])
    offers = solve(deals, due, members(1), slots=2).offers
    assert offers["item"].tolist() == ["C1", "C2"]
    assert offers["position"].tolist() == [1, 2]
    assert solve(deals, due, members(1)).offers["item"].tolist() == ["C1", "C2", "C0"]


def test_deals_on_products_meet_due_products() -> None:
    deals = deal_rows(2, category="Milk", product_id=["77", None])
    due = due_rows(["M0000"], ["77", "78"]).rename(columns={"category": "product_id"})
    assert solve(deals, due, members(1)).offers["deal_id"].tolist() == ["D0"]


def test_only_deals_of_the_fortnight_are_used() -> None:
    deals = deal_rows(2, starts=["2018-01-01", "2018-01-15"], ends="2018-02-01")
    due = due_rows(["M0000"], ["C0", "C1"])
    asked = due.assign(as_of=pd.Timestamp("2017-12-31"), horizon=14)
    assert solve(deals, asked, members(1)).shadow_prices["deal_id"].tolist() == ["D0"]
    assert len(solve(deals, due, members(1)).offers) == 2


# -- who gets nothing --------------------------------------------------------------------------------------------


def test_control_members_get_nothing_and_are_drawn_before_planning() -> None:
    customers = members(400)
    due = due_rows(customers["customer_id"].tolist(), ["C0", "C1"])
    plan = solve(deal_rows(), due, customers, control=0.25, key="spring")
    assert plan.control.equals(control_group(customers["customer_id"], 0.25, "spring"))
    assert not set(plan.offers["customer_id"]) & set(plan.control["customer_id"])
    assert set(plan.offers["customer_id"]) | set(plan.control["customer_id"]) == set(customers["customer_id"])
    assert plan.control.equals(solve(deal_rows(budget=1.0), due, customers, control=0.25, key="spring").control)


def test_the_control_group_of_all_campaigns_gets_nothing_in_any() -> None:
    customers = members(400)
    due = due_rows(customers["customer_id"].tolist(), ["C0"])
    never = set(control_group(customers["customer_id"], 0.1, "universal")["customer_id"])
    assert 20 < len(never) < 60
    for key in ("spring", "summer"):
        plan = solve(deal_rows(), due, customers, control=0.25, key=key, universal=0.1)
        assert not never & {*plan.offers["customer_id"], *plan.control["customer_id"], *plan.planned["customer_id"]}
        assert plan.exclusions == {"in the universal control group": len(never)}
        own = set(control_group(customers["customer_id"], 0.25, key)["customer_id"]) - never
        assert set(plan.control["customer_id"]) == own
        assert set(plan.planned["customer_id"]) == set(customers["customer_id"]) - never - own


def test_small_spenders_and_those_who_asked_for_none_get_no_list() -> None:
    customers = members(5, weekly_spend=[24.99, 25.0, 90.0, np.nan, 60.0], no_contact=[None, None, "yes", None, ""])
    due = due_rows(customers["customer_id"].tolist(), ["C0"])
    plan = solve(deal_rows(), due, customers, min_weekly_spend=25)
    assert plan.offers["customer_id"].tolist() == ["M0001", "M0004"]
    everyone = solve(deal_rows(), due, customers, min_weekly_spend=25, control=1.0)
    assert everyone.control["customer_id"].tolist() == ["M0001", "M0004"]
    assert everyone.offers.empty


def test_a_due_member_who_is_not_a_customer_gets_nothing() -> None:
    assert solve(deal_rows(), due_rows(["stranger"], ["C0"]), members(3)).offers.empty


# -- how good the plan is ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_the_bound_is_above_the_best_plan_and_the_plan_is_near_it(seed: int) -> None:
    deals, due = market(seed, n_members=25, n_deals=6, n_categories=5, share=0.3)
    plan = solve(deals, due, members(25), slots=2)
    best = best_plan(deals, due, slots=2)
    assert plan.objective <= best + 1e-9
    assert best <= plan.bound + 1e-9
    assert plan.objective >= 0.93 * best


@pytest.mark.parametrize("seed", range(4, 8))
def test_the_gap_of_a_realistic_plan_is_small(seed: int) -> None:
    deals, due = market(seed, n_members=3000, n_deals=30, n_categories=20, share=0.2)
    plan = solve(deals, due, members(3000), slots=4)
    assert 0 <= plan.gap < 0.002
    assert (plan.shadow_prices["spent"] <= plan.shadow_prices["budget"] + 1e-9).all()


def test_ample_budgets_have_no_price_and_no_gap() -> None:
    deals, due = market(1, n_members=50, n_deals=8, n_categories=6, share=100)
    plan = solve(deals, due, members(50), slots=3)
    assert plan.gap == pytest.approx(0, abs=1e-6)  # figures are compared in single precision
    assert (plan.shadow_prices["shadow_price"] == 0).all()


def test_a_shadow_price_is_what_more_budget_brings() -> None:
    deals, due = market(3, n_members=3000, n_deals=10, n_categories=10, share=0.2)
    plan = solve(deals, due, members(3000), slots=3)
    dearest = plan.shadow_prices["shadow_price"].idxmax()
    more = deals["budget"] + np.where(deals.index == dearest, 20.0, 0.0)
    gained = solve(deals.assign(budget=more), due, members(3000), slots=3).objective - plan.objective
    assert gained / 20 == pytest.approx(plan.shadow_prices["shadow_price"][dearest], rel=0.2)


# -- nothing to plan ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "empty",
    [
        {"due": due_rows([], [])},
        {"customers": members(0)},
        {"due": due_rows(["M0000"], ["C0"]).assign(as_of="2019-01-01", horizon=14)},
        {"due": due_rows(["M0000"], ["C0"], spend=np.nan)},
        {"deals": deal_rows(budget=0.0)},
        {"control": 1.0},
    ],
    ids=lambda case: next(iter(case)),
)
def test_nothing_to_plan_is_an_empty_plan(empty: dict[str, object]) -> None:
    case = {"deals": deal_rows(), "due": due_rows(["M0000"], ["C0"]), "customers": members(1), **empty}
    plan = solve(**case)  # type: ignore[arg-type]
    assert (len(plan.offers), plan.objective, plan.bound, plan.gap) == (0, 0, 0, 0)
    assert {"customer_id", "deal_id", "position", "expected_gain"} <= set(plan.offers)
    assert "0 offers" in str(plan)


def test_a_plan_without_a_deal_for_what_is_due_is_refused() -> None:
    with pytest.raises(ContractError, match="Deal D0 is for category 'C0', which is no item that is due"):
        solve(deals=deal_rows(), due=due_rows(["M0000"], ["nothing on offer"]), customers=members(1))


# -- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("due", "customers", "message"),
    [
        (due_rows(["a"], ["C0"]).drop(columns="spend"), members(1), r"not found: \['spend'\]"),
        (due_rows(["a"], ["C0"]).drop(columns="category"), members(1), "category or product_id"),
        (due_rows(["a", "a"], ["C0"]), members(1), "repeat an earlier row's customer_id and category"),
        (due_rows(["a"], ["C0"], p=1.2), members(1), "p_purchase is not between 0 and 1"),
        (due_rows(["a"], ["C0"]), members(1).rename(columns={"customer_id": "card"}), r"not found: \['customer_id'\]"),
        (due_rows(["a"], ["C0"]), pd.concat([members(1)] * 2), "more than once"),
        (due_rows(["a"], ["C0"]), pd.DataFrame({"customer_id": [1]}), "Use text in both"),
        (due_rows(["a"], ["C0", "C1"]).assign(as_of=["2018-01-01", "2018-02-01"], horizon=14), members(1), "2 windows"),
    ],
)
def test_tables_that_cannot_be_planned_are_refused(due: pd.DataFrame, customers: pd.DataFrame, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        solve(deal_rows(), due, customers)


def test_a_minimum_spend_needs_the_column() -> None:
    with pytest.raises(ContractError, match="weekly_spend"):
        solve(deal_rows(), due_rows(["M0000"], ["C0"]), members(1), min_weekly_spend=25)


def test_all_wrong_terms_are_named_at_once() -> None:
    with pytest.raises(ConfigError, match=r"slots=0 .*control=2 .*response=0 .*margin=30 .*min_weekly_spend=-1"):
        OfferPlan(Deals.from_extract(deal_rows()), slots=0, control=2, response=0, margin=30, min_weekly_spend=-1)


def test_inputs_are_not_altered() -> None:
    due, customers = due_rows(["M0000"], ["C0"]), members(1)
    deals = Deals.from_extract(deal_rows())
    before = due.copy(), customers.copy(), deals.frame.copy()
    OfferPlan(deals, control=0).solve(due, customers)
    pd.testing.assert_frame_equal(due, before[0])
    pd.testing.assert_frame_equal(customers, before[1])
    pd.testing.assert_frame_equal(deals.frame, before[2])


def test_the_result_says_what_it_assumes() -> None:
    plan = solve(deal_rows(), due_rows(["M0000"], ["C0"]), members(1), response=1.4)
    assert "odds of the purchase by 1.4" in str(plan)
    assert "1 offers to 1 of 1 members" in str(plan)
    assert asdict(plan)["n_members"] == 1
