"""An id with a share of all receipts or money that no member has is left out of models by a stated threshold, and kept in sales."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from crmkit.exceptions import CrmkitWarning
from crmkit.pipeline.settings import Thresholds
from crmkit.pipeline.stages.load import check_delivery
from crmkit.summaries.customers import rfm_table
from crmkit.summaries.sales import sales_summary
from crmkit.transactions.log import Transactions

LINES = pd.DataFrame(
    [(f"c{n % 40}", f"2026-01-{n % 28 + 1:02d}", f"o{n}", 2.0) for n in range(400)]
    + [("9", f"2026-01-{n % 28 + 1:02d}", f"t{n}", 2.0) for n in range(100)],
    columns=["customer_id", "purchased_at", "order_id", "amount"],
)


def checked(folder: Path, **thresholds: float) -> dict[str, object]:
    log, found = Transactions.split_extract(LINES, until="2026-01-28", folder=folder / "log")
    stated = Thresholds(**thresholds)  # type: ignore[arg-type]
    made = check_delivery(
        log, found, found.path, date(2026, 1, 28), thresholds=stated, level="card", folder=folder / "stage"
    )
    assert made is not None
    return dict(made)


def test_an_id_above_the_threshold_is_no_member_and_its_sales_stay(tmp_path: Path) -> None:
    with pytest.warns(
        CrmkitWarning, match=r"left out of models and lists and kept in sales: 1 \(20% of receipts, 20% of money\)"
    ):
        made = checked(tmp_path, one_id=0.1)
    log, left_out = made["log"], made["ids_left_out"]
    assert isinstance(log, Transactions)
    assert isinstance(left_out, pd.DataFrame)
    assert left_out["customer_id"].tolist() == ["9"]
    assert "9" not in set(rfm_table(log)["customer_id"])
    assert Decimal(str(sales_summary(log, period="all")["sales"].sum())) == 1000


def test_without_a_threshold_it_stays_a_member(tmp_path: Path) -> None:
    made = checked(tmp_path)
    log = made["log"]
    assert isinstance(log, Transactions)
    assert made["ids_left_out"] is None
    assert "9" in set(rfm_table(log)["customer_id"])
