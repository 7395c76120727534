"""What a campaign brought: a known effect is recovered, none is found where there is none, and the next plan uses it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from offer_tables import deal_rows, due_rows, members

from crmkit.campaigns.effect import campaign_effect
from crmkit.campaigns.response import MeasuredResponse, measure_response
from crmkit.exceptions import ConfigError, ContractError
from crmkit.offers.deals import Deals
from crmkit.offers.plan import OfferPlan
from crmkit.offers.result import OfferResult

CATEGORIES = [f"C{i}" for i in range(6)]
DEALS = Deals.from_extract(deal_rows(6, value=0.2))


def planned(seed: int, n: int = 3000) -> tuple[pd.DataFrame, OfferResult]:
    """A plan of two slots for members with six due items each; three in ten are held back."""
    rng = np.random.default_rng(seed)
    due = due_rows(members(n)["customer_id"].tolist(), CATEGORIES)
    due = due.assign(p_purchase=rng.beta(2, 4, len(due)), spend=rng.lognormal(1.5, 0.5, len(due)))
    return due, OfferPlan(DEALS, slots=2, control=0.3, key=str(seed)).solve(due, members(n))


def bought(due: pd.DataFrame, plan: OfferResult, response: float, seed: int, truth: float = 1.0) -> pd.DataFrame:
    """What is bought when the offers multiply the odds by ``response``, and p_purchase is ``truth`` times too large."""
    offered = pd.MultiIndex.from_frame(due[["customer_id", "category"]]).isin(
        pd.MultiIndex.from_frame(plan.offers[["customer_id", "item"]])
    )
    p = due["p_purchase"].to_numpy() / truth
    p = np.where(offered, response * p / (1 - p + response * p), p)
    return due[np.random.default_rng(seed).random(len(due)) < p]


def measured(due: pd.DataFrame, plan: OfferResult, sales: pd.DataFrame, **terms: float) -> MeasuredResponse:
    return measure_response(due, sales, DEALS, offers=plan.offers, planned=plan.planned, control=plan.control, **terms)


@pytest.mark.parametrize("response", [1.0, 1.6])
def test_the_true_response_is_in_its_interval_as_often_as_is_said(response: float) -> None:
    due, plan = planned(1, n=2500)
    found = [measured(due, plan, bought(due, plan, response, seed), prior_sd=50) for seed in range(40)]
    assert np.mean([one.response for one in found]) == pytest.approx(response, rel=0.04)
    assert 0.85 <= np.mean([one.low <= response <= one.high for one in found]) <= 1
    assert np.mean([one.high / one.low for one in found]) < 2.2


def test_a_model_that_expects_too_much_makes_no_effect() -> None:
    """Both groups fall short of what was expected alike, and only their difference counts."""
    due, plan = planned(2)
    found = measured(due, plan, bought(due, plan, 1.0, 2, truth=1.5), prior_sd=50)
    assert found.low < 1 < found.high


def test_little_data_leave_the_prior_and_much_replace_it() -> None:
    few = planned(3, n=40)
    found = measured(*few, bought(*few, 3.0, 3), prior_sd=0.1)
    assert found.response == pytest.approx(1.25, rel=0.1)
    assert found.weight < 0.1
    many = planned(3, n=20_000)
    found = measured(*many, bought(*many, 3.0, 3))
    assert found.response == pytest.approx(3.0, rel=0.1)
    assert found.weight > 0.9
    assert "3.0" in str(found) or "2.9" in str(found)


def test_the_next_plan_rests_on_what_was_measured() -> None:
    due, plan = planned(4)
    found = measured(due, plan, bought(due, plan, 1.6, 4))
    coming = Deals.from_extract(
        deal_rows(7, deal_id=[f"N{i}" for i in range(7)], response=[1.1] + [None] * 6, value=0.2)
    )
    informed = found.for_deals(coming)
    by_category = found.groups.set_index("category")["response"]
    expected = [1.1, *by_category[CATEGORIES[1:]], found.response]  # C6 was not in the campaign
    assert informed.frame["response"].astype(float).tolist() == pytest.approx(expected)
    assert coming.frame["response"].notna().sum() == 1
    after = OfferPlan(informed, slots=2, control=0.3).solve(due, members(3000))
    assert (plan.share_on_prior, after.share_on_prior) == (1, 0)


def test_items_differ_where_they_differ_and_lean_on_all_where_little_is_known() -> None:
    due, plan = planned(5, n=20_000)
    strong = plan.offers["item"] == "C0"
    sales = pd.concat(
        [
            bought(due, _only(plan, strong), 3.0, 5)[lambda t: t["category"] == "C0"],
            bought(due, _only(plan, ~strong), 1.3, 6)[lambda t: t["category"] != "C0"],
        ]
    )
    own = measured(due, plan, sales).groups.set_index("category")["response"]
    assert own["C0"] > 1.4 * own.drop("C0").max()


def _only(plan: OfferResult, kept: pd.Series) -> OfferResult:
    from dataclasses import replace

    return replace(plan, offers=plan.offers[kept])


def test_deals_that_purchases_do_not_tell_are_left_out() -> None:
    due, plan = planned(6, n=300)
    deals = Deals.from_extract(deal_rows(6, kind=["bundle"] + [None] * 5, bundle_with=["C1"] + [None] * 5, value=0.2))
    terms = {"offers": plan.offers, "planned": plan.planned, "control": plan.control}
    found = measure_response(due, bought(due, plan, 2.0, 6), deals, **terms)  # type: ignore[arg-type]
    assert found.groups["category"].tolist() == CATEGORIES[1:]


# -- members -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("effect", [0.0, 4.0])
def test_an_effect_is_recovered_and_cuped_narrows_its_interval(effect: float) -> None:
    rng = np.random.default_rng(7)
    ids = members(4000)["customer_id"].to_numpy()
    covered, widths = [], []
    for _ in range(120):
        before = pd.Series(rng.gamma(2, 40, 4000), ids)
        after = 0.8 * before + rng.gamma(2, 12, 4000)
        after[ids[:3000]] += effect
        plain, cuped = (campaign_effect(after, ids[:3000], ids[3000:], x) for x in (None, before))
        covered.append([one.low <= effect <= one.high for one in (plain, cuped)])
        widths.append([one.high - one.low for one in (plain, cuped)])
    assert np.mean(covered, axis=0) == pytest.approx([0.95, 0.95], abs=0.05)
    assert np.divide(*np.mean(widths, axis=0)[::-1]) < 0.5
    assert cuped.correlation > 0.9


def test_who_is_not_in_the_outcome_did_nothing_and_rows_of_a_member_are_added() -> None:
    found = campaign_effect(pd.Series([1.0, 2.0, 4.0], ["a", "a", "b"]), ["a", "b", "c"], ["d", "e"])
    assert found.effect == pytest.approx(7 / 3)
    assert found.mean == 0
    assert "no significant effect" in str(found)
    nothing = pd.Series(dtype=float)
    assert campaign_effect(nothing, ["a", "b"], ["d", "e"], before=nothing).effect == 0


@pytest.mark.parametrize(
    ("planned_ids", "control_ids", "values", "message"),
    [
        (["a", "b"], ["b", "c"], [1.0, 2.0], "1 members are both in planned and in control"),
        (["a", "b"], ["c"], [1.0, 2.0], "control has 1 members"),
        (["a", "b"], ["c", "d"], [1.0, float("nan")], "outcome is missing or infinite for 1 members"),
    ],
)
def test_groups_that_cannot_be_compared_are_refused(
    planned_ids: list[str], control_ids: list[str], values: list[float], message: str
) -> None:
    with pytest.raises(ContractError, match=message):
        campaign_effect(pd.Series(values, ["a", "b"]), planned_ids, control_ids)


def test_wrong_terms_and_tables_are_refused() -> None:
    due, plan = planned(8, n=50)
    with pytest.raises(ConfigError, match="level=2"):
        campaign_effect(pd.Series(dtype=float), ["a", "b"], ["c", "d"], level=2)
    with pytest.raises(ConfigError, match="prior_sd=0"):
        measured(due, plan, due, prior_sd=0)
    with pytest.raises(ContractError, match=r"Columns not found: \[.category.\]. bought has"):
        measured(due, plan, due.drop(columns="category"))
    with pytest.raises(ContractError, match="No due item"):
        measured(due.assign(category="other"), plan, due)
