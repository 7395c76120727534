"""The plan on Spark: the same deals to the same members within the proven gap, and the driver sees prices and sums only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crmkit.exceptions import ConfigError, ContractError
from crmkit.offers.control_group import control_group
from crmkit.offers.deals import Deals
from crmkit.offers.eligibility import eligible
from crmkit.offers.plan import OfferPlan
from crmkit.offers.result import OfferResult

pytestmark = pytest.mark.xdist_group("spark")

N = 3000
PARTS = 3
DEALS = 12
COLLECTORS = ("collect", "head", "tail", "take", "toArrow", "toLocalIterator", "toPandas")


def tables() -> dict[str, pd.DataFrame]:
    """Members, their due items, how they use categories, and what they had."""
    rng = np.random.default_rng(11)
    ids = np.array([f"M{i:05d}" for i in range(N)])
    due = pd.MultiIndex.from_product([ids, [f"C{i}" for i in range(10)]], names=["customer_id", "category"])
    due = due.to_frame(index=False)
    due = due.assign(
        p_purchase=rng.beta(1.5, 3, len(due)), spend=rng.lognormal(1.5, 0.6, len(due)), as_of="2017-12-31", horizon=14
    )
    customers = pd.DataFrame(
        {
            "customer_id": ids,
            "tier": rng.choice(["gold", "plain"], N),
            "open_complaints": (rng.random(N) < 0.02).astype(int),
            "weekly_spend": rng.gamma(4, 15, N),
        }
    )
    usage = due.sample(4000, random_state=1)[["customer_id", "category"]].assign(brand_group="national", usage="heavy")
    received = pd.DataFrame({"customer_id": ids[:200], "deal_id": "D00"})
    return {"due": due[rng.random(len(due)) < 0.6], "customers": customers, "usage": usage, "received": received}


def deals() -> Deals:
    rng = np.random.default_rng(12)
    value = rng.choice([0.5, 1.0, 2.0], DEALS)
    rows = {
        "deal_id": [f"D{i:02d}" for i in range(DEALS)],
        "title": "money off",
        "category": [f"C{i}" for i in rng.integers(0, 10, DEALS)],
        "funder": rng.choice(["A", "B", "C"], DEALS),
        "funder_share": rng.choice([1.0, 0.9, 0.5], DEALS),
        "value": value,
        "budget": np.round(value * N * 0.05 * rng.uniform(0.3, 2, DEALS), 2),
        "limit_per_member": 1,
        "starts": "2018-01-01",
        "ends": ["2018-01-14"] * (DEALS - 1) + ["2018-01-01"],
    }
    return Deals.from_extract(pd.DataFrame(rows))


def terms(**more: Any) -> OfferPlan:
    return OfferPlan(deals(), **{"slots": 3, "min_weekly_spend": 25, "store_budget": 60.0, **more})


@pytest.fixture(scope="module")
def far(spark: Any) -> dict[str, Any]:
    return {name: spark.createDataFrame(table) for name, table in tables().items()}


@contextmanager
def watched(spark: Any) -> Iterator[list[tuple[int, int]]]:
    """Of each call that brought something to the driver: rows, and characters of them."""
    sizes: list[tuple[int, int]] = []
    frame = type(spark.range(1))
    with pytest.MonkeyPatch.context() as patch:
        for name in COLLECTORS:
            original = getattr(frame, name)

            def counted(self: Any, *args: Any, _original: Any = original, **options: Any) -> Any:
                found = _original(self, *args, **options)
                rows = found if isinstance(found, list) else found.to_pylist()
                sizes.append((len(rows), len(str(rows))))
                return found

            patch.setattr(frame, name, counted)
        yield sizes


@pytest.fixture(scope="module")
def cut(far: dict[str, Any], spark: Any) -> tuple[OfferResult, list[tuple[int, int]]]:
    """A plan from three partitions, priced first from half of the members; and what came to the driver for it."""
    with pytest.MonkeyPatch.context() as patch, watched(spark) as sizes:
        patch.setattr("crmkit.offers.on_spark._MEMBERS", N // PARTS)
        patch.setattr("crmkit.offers.on_spark._SAMPLE", N // 2)
        patch.setattr("crmkit.offers.solver.dual._FEW", 0)
        patch.setattr("crmkit.offers.solver.dual._STEPS_OF_MANY", 3)
        return terms().solve(**far), sizes


@pytest.fixture(scope="module")
def near() -> OfferResult:
    return terms().solve(**tables())


def pulled(table: Any, *order: str) -> pd.DataFrame:
    found: pd.DataFrame = table.toArrow().to_pandas()
    return found.sort_values(list(order), ignore_index=True)


def test_nothing_but_prices_and_sums_reaches_the_driver(cut: tuple[OfferResult, list[tuple[int, int]]]) -> None:
    """A line of sums is about 1.5 kB here; the ids of the members alone are 30 kB, the offers 300 kB."""
    rows, characters = zip(*cut[1], strict=True)
    assert max(rows) <= PARTS
    assert max(characters) < PARTS * 2_000
    assert PARTS in rows


def test_the_plan_is_as_good_as_that_of_one_machine(
    cut: tuple[OfferResult, list[tuple[int, int]]], near: OfferResult
) -> None:
    plan, _ = cut
    assert 0 <= plan.gap < 0.005
    assert f"(optimality gap {plan.gap:.2%})" in str(plan)
    assert plan.objective <= near.bound
    assert near.objective <= plan.bound
    assert plan.objective == pytest.approx(near.objective, rel=plan.gap + near.gap)
    assert (plan.n_members, plan.n_control, plan.exclusions) == (near.n_members, near.n_control, near.exclusions)
    dear = near.budgets["shadow_price"] > 0.05
    assert plan.budgets["shadow_price"][dear].to_numpy() == pytest.approx(near.budgets["shadow_price"][dear], rel=0.2)


def test_offers_are_those_of_one_machine_but_for_a_few(
    cut: tuple[OfferResult, list[tuple[int, int]]], near: OfferResult
) -> None:
    offers = pulled(cut[0].offers, "customer_id", "position")
    assert list(offers) == list(near.offers)
    both = offers.merge(near.offers, on=["customer_id", "deal_id"], suffixes=("", "_near"))
    assert len(both) > 0.95 * max(len(offers), len(near.offers))
    for column in ("expected_gain", "p_with_deal", "expected_cost", "value"):
        np.testing.assert_allclose(both[column], both[f"{column}_near"], rtol=1e-9)
    control = pulled(cut[0].control, "customer_id")["customer_id"].tolist()
    assert control == near.control["customer_id"].tolist()
    assert pulled(cut[0].planned, "customer_id").equals(near.planned)


def test_limits_hold_over_all_partitions(cut: tuple[OfferResult, list[tuple[int, int]]]) -> None:
    plan, offers = cut[0], pulled(cut[0].offers, "customer_id", "position")
    spent = offers.groupby("deal_id")["expected_cost"].sum()
    own = plan.shadow_prices.set_index("deal_id")
    assert (spent <= own["budget"].reindex(spent.index) + 1e-9).all()
    np.testing.assert_allclose(spent, own["spent"].reindex(spent.index), rtol=1e-9)
    store = plan.budgets.set_index("level").loc["store"]
    assert 0.98 * 60 < store["spent"] <= 60 + 1e-9
    assert offers.groupby("customer_id").size().max() == 3
    assert offers["expected_gain"].sum() == pytest.approx(plan.objective)
    assert (len(offers), offers["customer_id"].nunique()) == (plan.n_offers, plan.n_served)


def test_demands_tips_and_strata_on_spark(spark: Any) -> None:
    """Members have numbers for ids here, and the deals are for all days."""
    given = {
        name: table.assign(customer_id=table["customer_id"].str[1:].astype(int)) for name, table in tables().items()
    }
    due = spark.createDataFrame(given.pop("due").drop(columns=["as_of", "horizon"]))
    tips = pd.DataFrame({"tip_id": [7], "category": ["C3"], "title": ["Soup"]})
    wanted = terms(
        store_budget=None,
        min_reach={"A": 700},
        min_worth={"gold": 1.0},
        tips=tips,
        control_by="tier",
        control=0.2,
        universal=0.05,
    )
    plan = wanted.solve(due, **given)
    assert plan.objective <= plan.bound
    assert dict(plan.shortfalls[["demand", "reached"]].to_numpy()).get("A", 700) == 700
    offers = pulled(plan.offers, "customer_id", "position")
    assert offers["customer_id"].dtype.kind == "i"
    theirs = offers.merge(deals().frame[["deal_id", "funder"]], on="deal_id").query("funder == 'A'")
    assert theirs["customer_id"].nunique() >= 700
    found = pulled(plan.tips, "customer_id")
    assert set(found["title"]) == {"Soup"}
    assert set(found["customer_id"]) <= set(given["customers"]["customer_id"])
    people, _ = eligible(given["customers"], 25, 0.05)
    assert plan.n_members + plan.n_control == len(people)
    drawn = control_group(people["customer_id"], 0.2, "crmkit", strata=people["tier"])
    assert pulled(plan.control, "customer_id").to_numpy().tolist() == drawn.to_numpy().tolist()


def test_what_is_wrong_is_said_as_on_one_machine(far: dict[str, Any], spark: Any) -> None:
    table = tables()
    twice = spark.createDataFrame(pd.concat([table["due"], table["due"].head(1)]))
    with pytest.raises(ContractError, match="repeat an earlier row's customer_id and category"):
        terms().solve(twice, far["customers"])
    with pytest.raises(ContractError, match="weekly_spend"):
        terms().solve(far["due"], far["customers"].drop("weekly_spend"))
    with pytest.raises(ContractError, match="string in due and int in customers"):
        terms().solve(far["due"], far["customers"].selectExpr("1 as customer_id", "30 as weekly_spend"))
    with pytest.raises(ConfigError, match="does not run on Spark"):
        terms().sensitivity(far["due"], far["customers"])
