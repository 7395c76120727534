"""`NextPurchase` on Spark: learned from the same rows, answered where the rows are, the same numbers."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from crmkit import ModelError, NextPurchase, Transactions
from crmkit.engine.choose import on_spark
from crmkit.engine.frames import is_spark
from crmkit.testing import generated_sales

pytestmark = pytest.mark.xdist_group("spark")

LEVELS = ["product_id", "category"]
PAST = "2017-05-14"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Transactions:
    sales = generated_sales(n_customers=600, days=300, seed=3)
    return Transactions.from_extract(sales, until="2017-10-27", folder=tmp_path_factory.mktemp("kept") / "log")


@pytest.fixture(scope="module")
def far(log: Transactions, spark: Any) -> Transactions:
    return on_spark(log)


@pytest.fixture(scope="module")
def model(log: Transactions) -> NextPurchase:
    return NextPurchase(by=LEVELS).fit(log, PAST)


def test_no_pair_is_collected_to_answer(model: NextPurchase, far: Transactions, collected: list[float]) -> None:
    due = model.predict(far, PAST)
    due.write.format("noop").mode("overwrite").save()
    assert is_spark(due)
    n_products = pd.concat(map(pd.read_parquet, far.lines))["product_id"].nunique()
    assert set(collected) <= {n_products}, "the list of goods comes to the driver, no pair does"


def test_answers_are_those_of_the_embedded_engine(model: NextPurchase, log: Transactions, far: Transactions) -> None:
    order = ["customer_id", "product_id"]
    due = model.predict(far, horizon=28).toArrow().to_pandas().sort_values(order, ignore_index=True)
    expected = model.predict(log, horizon=28).sort_values(order, ignore_index=True)
    assert len(due) > 1000
    pd.testing.assert_frame_equal(due, expected, check_dtype=False, rtol=1e-9)
    curve = model.predict_distribution(far).toArrow().to_pandas().sort_values(order, ignore_index=True)
    near = model.predict_distribution(log).rename(columns=str).sort_values(order, ignore_index=True)
    pd.testing.assert_frame_equal(curve, near, check_dtype=False, rtol=1e-9)


def test_a_fit_on_spark_is_the_embedded_fit(model: NextPurchase, far: Transactions) -> None:
    there = NextPurchase(by=LEVELS).fit(far, PAST)
    assert there.origins_ == model.origins_ != []
    assert set(there.estimator_.curves_) == set(model.estimator_.curves_) != set()
    for name, curve in model.estimator_.curves_.items():
        assert there.estimator_.curves_[name].level == pytest.approx(curve.level, rel=1e-4, abs=1e-6)
    pd.testing.assert_frame_equal(there.new_items_, model.new_items_, check_dtype=False, rtol=1e-9)


def test_one_pair_is_explained_and_a_list_is_refused(model: NextPurchase, log: Transactions, far: Transactions) -> None:
    row = model.predict(log).iloc[0]
    told = model.explain(far, row["customer_id"], row["product_id"])
    assert told.p_purchase == pytest.approx(row["p_purchase"])
    assert len(told.purchases) == row["n_purchases"]
    with pytest.raises(ModelError, match="rank the p_purchase"):
        model.recommend(far)
