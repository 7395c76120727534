"""The track record is the same on Spark: sums are made where the rows are, and ten rows come to the driver."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crmkit import btyd_summary, on_spark, rfm_table
from crmkit.evaluation.scorecard import churn_record, repurchase_record, value_record
from crmkit.summaries.items import item_state
from crmkit.testing import generated_log

pytestmark = pytest.mark.xdist_group("spark")
DAY = date(2017, 10, 1)


def test_records_agree(spark: Any, tmp_path: Path) -> None:
    log = generated_log(n_customers=200, days=365)
    known, rng = log.up_to(DAY), np.random.default_rng(0)
    customers = btyd_summary(known).merge(rfm_table(known), on="customer_id")
    customers = customers.assign(p_churn=rng.uniform(size=len(customers)), value=10.0, expected_purchases=1.0)
    customers.to_parquet(tmp_path / "customers.parquet")
    pairs = item_state(known, "category").rename(columns={"item": "category"})[["customer_id", "category"]]
    pairs.assign(p_purchase=rng.uniform(size=len(pairs)), n_purchases=1).to_parquet(tmp_path / "repurchases.parquet")
    for make in (
        lambda one: churn_record(tmp_path / "customers.parquet", one, DAY, 30),
        lambda one: repurchase_record(tmp_path / "repurchases.parquet", one, DAY, 14, "category"),
        lambda one: value_record(tmp_path / "customers.parquet", one, DAY, 60, 0.1, 0.5),
    ):
        near, far = (pd.Series(make(one)) for one in (log, on_spark(log)))
        numbers = [name for name, value in near.items() if isinstance(value, float)]
        pd.testing.assert_series_equal(far[numbers].astype(float), near[numbers].astype(float), rtol=1e-6)
        assert far.drop(numbers).equals(near.drop(numbers))
