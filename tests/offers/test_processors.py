"""The same plan on every processor: equal gains are decided by rule, not by the last digits of linear algebra."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from offer_tables import deal_rows, market, members, solve

from crmkit.offers.deals import Deals
from crmkit.offers.plan import OfferPlan

KERNELS = ["Haswell", "SkylakeX", "Zen", "Nehalem"]
SIZES = {"whole numbers": (40, 30), "rounded": (300, 50), "priced": (4_000, 40)}
"""Members and deals of markets for each way of planning: up to 2,000 candidates, up to 50,000, more."""

SCRIPT = """
import hashlib
from test_processors import SIZES, shop
for name in SIZES:
    offers = shop(name).offers[["customer_id", "deal_id", "position"]]
    print(name, len(offers), hashlib.sha256(offers.to_csv().encode()).hexdigest())
"""


def tables(name: str) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """A market in which deals are equal: funders pay them in full, several stand on one category, values repeat."""
    n_members, n_deals = SIZES[name]
    deals, due = market(11, n_members, n_deals, 12, share=0.5)
    return deals.assign(funder_share=1.0), due, n_members


def shop(name: str, noise: float = 0.0, seed: int = 0) -> object:
    deals, due, n = tables(name)
    wobble = 1 + noise * np.random.default_rng(seed).standard_normal(len(due))
    due["p_purchase"] = (due["p_purchase"] * wobble).clip(0, 1)
    return OfferPlan(Deals.from_extract(deals), slots=5, control=0.0).solve(due, members(n))


def planned_under(**environment: str) -> str:
    here = Path(__file__).resolve()
    paths = [str(here.parent), str(here.parents[1]), str(here.parents[2])]
    own = {key: value for key, value in os.environ.items() if key != "OPENBLAS_L2_SIZE"}
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=own | {"PYTHONPATH": os.pathsep.join(paths)} | environment,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return found.stdout


def runs_here(kernel: str) -> bool:
    """Whether this processor has the instructions of a kernel: a product of matrices under it does not die."""
    product = "import numpy as np; a = np.ones((300, 300)); a @ a; np.linalg.solve(a + 300 * np.eye(300), a)"
    env = os.environ | {"OPENBLAS_CORETYPE": kernel}
    return subprocess.run([sys.executable, "-c", product], env=env, check=False).returncode >= 0


@pytest.fixture(scope="module")
def usual() -> str:
    return planned_under(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")


@pytest.mark.parametrize("threads", ["1", "8"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_the_plan_does_not_depend_on_the_processor(kernel: str, threads: str, usual: str) -> None:
    if not runs_here(kernel):
        pytest.skip(f"this processor lacks instructions of {kernel}")
    given = {"OPENBLAS_CORETYPE": kernel, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
    assert planned_under(**given) == usual


@pytest.mark.parametrize("name", SIZES)
def test_the_last_digits_of_the_input_do_not_change_the_plan(name: str) -> None:
    columns = ["customer_id", "deal_id", "position"]
    plan = shop(name)
    for seed in range(3):
        pd.testing.assert_frame_equal(shop(name, 1e-13, seed).offers[columns], plan.offers[columns])  # type: ignore[attr-defined]


def test_equal_deals_are_decided_by_rule_whatever_order_they_come_in() -> None:
    deals, due, n = tables("rounded")
    there = solve(deals, due, members(n), slots=5).offers
    again = solve(*(table.sample(frac=1.0, random_state=3) for table in (deals, due, members(n))), slots=5).offers
    pd.testing.assert_frame_equal(there, again)


def test_a_budget_that_is_met_exactly_is_spent() -> None:
    p_with_deal = 1.25 * 0.1 / (0.9 + 1.25 * 0.1)
    due = pd.DataFrame({"customer_id": members(10)["customer_id"], "category": "C0", "p_purchase": 0.1, "spend": 10.0})
    assert len(solve(deal_rows(1, budget=3 * p_with_deal), due, members(10)).offers) == 3
