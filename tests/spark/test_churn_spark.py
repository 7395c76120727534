"""`ChurnModel` on Spark: answered where the rows are, the same numbers, and nobody is collected."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from crmkit import ChurnModel, Transactions
from crmkit.engine.choose import on_spark
from crmkit.engine.frames import is_spark
from crmkit.testing import generated_sales

pytestmark = pytest.mark.xdist_group("spark")


def test_no_customer_is_collected_to_answer(tmp_path: Any, collected: list[float]) -> None:
    sales = generated_sales(n_customers=900, days=300, seed=5)
    log = Transactions.from_extract(sales, until="2017-10-27", folder=tmp_path / "log")
    model = ChurnModel(horizon=30).fit(log)
    far = model.predict(on_spark(log), "2017-09-30")
    far.write.format("noop").mode("overwrite").save()
    assert is_spark(far)
    assert collected == []
    expected = model.predict(log, "2017-09-30").sort_values("customer_id", ignore_index=True)
    found = far.toArrow().to_pandas().sort_values("customer_id", ignore_index=True)
    assert len(found) > 500
    assert found["reason_1"].str.len().gt(0).all()
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-9)
