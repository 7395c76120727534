"""Models on Spark: fitted on counts, scored where the rows are, and nobody is collected."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeClassifier

from crmkit.exceptions import ConfigError, ContractError
from crmkit.models import BGNBD, CustomerLifetimeValue, GammaGamma
from crmkit.models.scoring import customer_cells, fit_customers, score_customers

pytestmark = pytest.mark.xdist_group("spark")

N_CUSTOMERS = 60_000


@pytest.fixture(scope="module")
def customers() -> pd.DataFrame:
    """Customers of a BG/NBD process, seen in whole weeks: many of them are equal."""
    rng = np.random.default_rng(3)
    rate, stop = rng.gamma(0.8, 1 / 6, N_CUSTOMERS), rng.beta(1.0, 3.0, N_CUSTOMERS)
    weeks = rng.integers(1, 40, N_CUSTOMERS)
    time, last, frequency, alive = (np.zeros(N_CUSTOMERS) for _ in range(4))
    alive += 1
    for _ in range(60):
        time += rng.exponential(1 / np.maximum(rate, 1e-6))
        buys = (alive > 0) & (time <= weeks)
        frequency += buys
        last = np.where(buys, time, last)
        alive = buys & (rng.random(N_CUSTOMERS) > stop)
    return pd.DataFrame(
        {
            "customer_id": [f"{number:06d}" for number in range(N_CUSTOMERS)],
            "frequency": frequency.astype("int64"),
            "recency": np.ceil(last).astype("int64") * 7,
            "T": weeks * 7,
            "monetary_value": np.where(frequency > 0, np.round(rng.gamma(6, 3, N_CUSTOMERS) + 0.01, 2), np.nan),
        }
    )


@pytest.fixture(scope="module")
def far(customers: pd.DataFrame, spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("customers") / "customers.parquet"
    customers.to_parquet(path)
    return spark.read.parquet(str(path))


@pytest.fixture(scope="module")
def clv(customers: pd.DataFrame) -> CustomerLifetimeValue:
    return CustomerLifetimeValue(BGNBD(), GammaGamma(), horizon=365, margin=0.3).fit(customers)


@pytest.fixture(scope="module")
def classifier(customers: pd.DataFrame) -> DecisionTreeClassifier:
    bought = np.random.default_rng(5).random(N_CUSTOMERS) < customers["recency"] / 280
    columns = ["frequency", "recency", "monetary_value"]
    return DecisionTreeClassifier(max_depth=5, random_state=0).fit(customers[columns], bought)


def bring(table: Any) -> pd.DataFrame:
    return table.toArrow().to_pandas().sort_values("customer_id", ignore_index=True)


def test_cells_are_counts_of_equal_customers(customers: pd.DataFrame, far: Any) -> None:
    keys = ["frequency", "recency", "T"]
    expected = customers.groupby(keys).size().reset_index(name="n_customers")
    pd.testing.assert_frame_equal(customer_cells(far), expected)
    pd.testing.assert_frame_equal(customer_cells(customers), expected)


def test_a_fit_on_spark_is_the_fit_on_all_rows(
    customers: pd.DataFrame, far: Any, clv: CustomerLifetimeValue, collected: list[float]
) -> None:
    model = fit_customers(CustomerLifetimeValue(BGNBD(), GammaGamma(), horizon=365, margin=0.3), far)
    n_cells, n_spend = (len(customer_cells(customers, *columns)) for columns in ([], [["frequency", "monetary_value"]]))
    # Spend is fitted twice, without a trend over frequency and with one; before each fit the customers are counted.
    assert [rows for rows in collected if rows > 1] == [n_cells, n_spend, n_spend]
    for mine, theirs in ((model.purchases_, clv.purchases_), (model.spend_, clv.spend_)):
        np.testing.assert_allclose(list(mine.params_.values()), list(theirs.params_.values()), rtol=1e-5)
        assert mine.n_customers_ == theirs.n_customers_ or mine is model.spend_
    pd.testing.assert_series_equal(model.predict(customers), clv.predict(customers), rtol=1e-4)


def test_nobody_is_collected(
    customers: pd.DataFrame, far: Any, clv: CustomerLifetimeValue, classifier: Any, collected: list[float]
) -> None:
    model = fit_customers(BGNBD(), far)
    scored = score_customers(far, p_alive=model.probability_alive, value=clv, p_churn=classifier)
    scored.write.format("noop").mode("overwrite").save()
    cells = len(customer_cells(customers))
    assert [rows for rows in collected if rows > 1] == [cells, cells]
    assert cells < N_CUSTOMERS / 10


def test_scores_are_those_of_pandas(
    customers: pd.DataFrame, far: Any, clv: CustomerLifetimeValue, classifier: Any
) -> None:
    model = clv.purchases_
    line = LinearRegression().fit(customers[["T", "recency"]], customers["frequency"])
    scores = {
        "p_alive": model.probability_alive,
        "purchases": partial(model.expected_purchases, horizon=90),
        "p_silent": partial(model.probability_no_purchase, horizon=30),
        "value": clv,
        "value again": clv.predict,
        "p_churn": classifier,
        "rate": line,
    }
    found = bring(score_customers(far, **scores))
    pd.testing.assert_frame_equal(found, score_customers(customers, **scores), rtol=1e-12)
    np.testing.assert_allclose(found["value"], clv.predict(customers), rtol=1e-12)
    np.testing.assert_array_equal(
        found["p_churn"], classifier.predict_proba(customers[classifier.feature_names_in_])[:, 1]
    )
    np.testing.assert_allclose(found["p_alive"], model.probability_alive(customers), rtol=1e-12)


def test_whole_day_scores_need_no_python_on_the_cluster(far: Any, clv: CustomerLifetimeValue) -> None:
    plan = score_customers(far, p=clv.purchases_.probability_alive)._jdf.queryExecution().toString()
    assert "BroadcastHashJoin" in plan
    assert "InArrow" not in plan


def test_names_may_be_anything(far: Any, customers: pd.DataFrame) -> None:
    odd = {"T": "days.open", "customer_id": "card `no`", "recency": "last {day}"}
    table = customers.rename(columns=odd)
    line = LinearRegression().fit(table[["days.open", "last {day}"]], table["frequency"])
    found = score_customers(far.toDF(*table.columns), **{"a.b `c`": line})
    assert found.columns == [*table.columns, "a.b `c`"]
    np.testing.assert_allclose(
        found.toArrow()["a.b `c`"].to_numpy().sum(), line.predict(table[["days.open", "last {day}"]]).sum(), rtol=1e-9
    )


def test_a_score_says_which_columns_it_needs(far: Any, customers: pd.DataFrame, classifier: Any) -> None:
    nameless = LinearRegression().fit(customers[["T"]].to_numpy(), customers["frequency"])
    for table in (far, customers):
        with pytest.raises(ConfigError, match="p: a LinearRegression does not say which columns it needs"):
            score_customers(table, p=nameless)
        with pytest.raises(ConfigError, match=r"has columns \['T'\] already"):
            score_customers(table, T=classifier)
    with pytest.raises(ContractError, match=r"Columns not found: \['recency'\]"):
        score_customers(far.drop("recency"), p=classifier)
    with pytest.raises(ContractError, match=r"Columns not found: \['T'\]"):
        customer_cells(far.drop("T"))
