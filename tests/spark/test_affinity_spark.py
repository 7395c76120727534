"""Bought together on a cluster: the same pairs and triples, to the last digit."""

from __future__ import annotations

import pandas as pd
import pytest

from crmkit import bought_together, on_spark
from crmkit.testing import generated_log


@pytest.mark.parametrize("size", [2, 3])
def test_a_cluster_finds_the_same_sets(spark: object, size: int) -> None:
    log = generated_log(n_customers=300)
    here = bought_together(log, by="product_id", min_support=12, size=size, each="customer", retest="2017-08-31")
    there = bought_together(
        on_spark(log), by="product_id", min_support=12, size=size, each="customer", retest="2017-08-31"
    )
    assert len(here)
    pd.testing.assert_frame_equal(here, there, check_dtype=False, rtol=1e-12)
