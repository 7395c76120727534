"""Brand usage, life cycles, costs, relationships and target groups: equal on Spark and embedded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crmkit import Costs, Transactions
from crmkit.engine.choose import on_spark
from crmkit.engine.frames import is_spark
from crmkit.products.life_cycles import life_cycle
from crmkit.segments.brand_usage import BrandUsage
from crmkit.segments.relationships import RelationshipLevel
from crmkit.segments.target_groups import target_group, track_group
from crmkit.summaries.costs import allocate_costs

pytestmark = pytest.mark.xdist_group("spark")

COSTS = Costs.from_extract(
    pd.DataFrame(
        [
            (1, "till", None, 100.37, "2017-05-01", "2017-05-31", "orders"),
            (2, "till", None, 77, "2017-05-01", "2017-07-31", "visits"),
            (3, "visit", "5", 3, "2016-05-01", "2016-05-31", None),
            (4, "rent", None, 9, "2017-05-01", "2017-05-31", "lines"),
        ],
        columns=["cost_id", "kind", "customer_id", "amount", "starts", "ends", "allocated_by"],
    )
)
GROUP = target_group(
    "first", pd.DataFrame({"customer_id": [str(n) for n in range(300)], "known": 1}), {"all": "known = 1"}
)
TABLES: dict[str, Callable[[Transactions], Any]] = {
    "thresholds of brand usage": lambda log: BrandUsage().fit(log).thresholds_,
    "groups of brand usage": lambda log: BrandUsage().fit(log).predict(log, "2017-05-01"),
    "life cycle of categories": life_cycle,
    "life cycle of products in the past": lambda log: life_cycle(log, by="product_id", as_of="2017-03-01"),
    "costs": lambda log: allocate_costs(COSTS, log),
    "relationships": lambda log: RelationshipLevel().assess(log, COSTS).table,
    "a group by month": lambda log: track_group(GROUP, log).table,
    "a group by week": lambda log: track_group(GROUP, log, period="week").table,
    "a group by 28 days": lambda log: track_group(GROUP, log, "spend", "28 days").table,
}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Transactions:
    """Returns, lines of nobody's, and holes in every item column."""
    rng, n = np.random.default_rng(0), 60_000
    lines = pd.DataFrame(
        {
            "customer_id": rng.integers(0, 900, n).astype(str),
            "purchased_at": pd.Timestamp("2016-03-01") + pd.to_timedelta(rng.integers(0, 490 * 86400, n), unit="s"),
            "amount": np.round(rng.gamma(2, 5, n), 2),
            "order_id": rng.integers(0, n // 3, n).astype(str),
            "product_id": rng.integers(0, 90, n).astype(str),
            "quantity": np.where(rng.random(n) < 0.04, -1, 1),
            "category": rng.choice(["Milk", "Käse", "Wine", None], n),
            "brand_type": rng.choice(["national", "store", None], n),
        }
    )
    lines.loc[lines["quantity"] < 0, "amount"] *= -1
    lines.loc[rng.random(n) < 0.02, "customer_id"] = None
    return Transactions.split_extract(lines, until="2017-07-10", folder=tmp_path_factory.mktemp("log"))[0]


@pytest.mark.parametrize("name", TABLES)
def test_spark_agrees(log: Transactions, spark: Any, name: str) -> None:
    expected, found = TABLES[name](log), TABLES[name](on_spark(log))
    if is_spark(found):
        found = found.toArrow().to_pandas()
    assert len(expected)
    found = found.astype({column: kind for column, kind in expected.dtypes.items() if kind.kind == "M"})
    pd.testing.assert_frame_equal(found, expected, rtol=1e-9, atol=0)
