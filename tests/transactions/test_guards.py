"""What stands where a log is wanted is told at once, with what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

import crmkit as ck
from crmkit.exceptions import ContractError

CALLS: dict[str, Callable[[Any], object]] = {
    "btyd_summary": ck.btyd_summary,
    "rfm_table": ck.rfm_table,
    "holdout_summary": lambda log: ck.holdout_summary(log, split="2017-01-01"),
    "purchase_gaps": lambda log: ck.purchase_gaps(log, by="category"),
    "sales_summary": ck.sales_summary,
    "suspect_cards": ck.suspect_cards,
    "ChurnModel": lambda log: ck.ChurnModel().fit(log),
    "NextPurchase": lambda log: ck.NextPurchase(by="category").fit(log),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("given", [pd.DataFrame({"customer_id": ["a"], "amount": [1.0]}), "sales.csv", None])
def test_a_table_is_no_log(name: str, given: object) -> None:
    with pytest.raises(ContractError, match=r"stands where a log .* log = Transactions\.from_extract\(table, until="):
        CALLS[name](given)
