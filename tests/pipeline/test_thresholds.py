"""Each threshold of the configuration: above ``warn`` a note, above ``stop`` the run is refused with exit code 65."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crmkit import RunResult, run
from crmkit.exceptions import RefusedError
from crmkit.pipeline.cli import _exit_code
from crmkit.pipeline.settings import Scorecard, Thresholds
from crmkit.pipeline.stage import Stage
from crmkit.pipeline.stages import STAGES
from crmkit.testing import generated_sales

LAST = "2017-07-19"


def up_to(last: str) -> list[Stage]:
    """The stages of a night down to one."""
    return STAGES[: [step.name for step in STAGES].index(last) + 1]


def shop_in(folder: Path, spoil: Callable[[pd.DataFrame], pd.DataFrame] = lambda sales: sales) -> pd.DataFrame:
    sales = spoil(generated_sales(n_customers=60, days=200))
    sales.to_csv(folder / "till.csv", index=False)
    members = sales["customer_id"].dropna().unique()
    pd.DataFrame({"customer_id": members[: len(members) // 2]}).to_csv(folder / "members.csv", index=False)
    return sales


def night(folder: Path, last: str, day: str = LAST, **sections: Any) -> RunResult:
    files = {"transactions": {"files": "till.csv"}, "members": {"files": "members.csv"}, "value": {"model": "BG/NBD"}}
    return run(
        {"until": day, "churn": {"horizon": 10}} | files | sections,
        folder / "out",
        home=folder,
        as_of=day,
        stages=up_to(last),
    )


def unreadable(n: int, money: float = 1.0) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Sales with lines that have no time."""
    return lambda sales: pd.concat([sales, sales.head(n).assign(purchased_at="never", amount=money, order_id="x")])


def without_a_category(sales: pd.DataFrame) -> pd.DataFrame:
    """Sales in two categories, of which one is not delivered any more."""
    sales = sales.assign(category=np.where(sales["product_id"].astype(int) % 2, "Odd", "Even"))
    return sales[(sales["category"] == "Even") | (sales["purchased_at"] < "2017-07-01")]


def nothing_lately(sales: pd.DataFrame) -> pd.DataFrame:
    return sales[sales["purchased_at"] < "2017-06-01"]


FAULTS: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str, float, str]] = {
    "rejected_rows": (unreadable(3), "scorecard", 0.001, "rows are invalid"),
    "rejected_money": (unreadable(3, 500.0), "scorecard", 0.01, "Invalid rows account for"),
    "missing_days": (nothing_lately, "scorecard", 1.0, "The latest transaction is dated 2017-05-"),
    "vanished_categories": (without_a_category, "scorecard", 0.05, "have sold nothing in the last 14 days"),
    "unmatched_members": (lambda sales: sales, "customers", 0.1, "are not among the"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_threshold_warns_or_stops(tmp_path: Path, name: str) -> None:
    spoil, last, above, told = FAULTS[name]
    shop_in(tmp_path, spoil)
    never = {other: {"warn": None, "stop": None} for other in FAULTS}
    done = night(tmp_path, last, thresholds=never)
    assert not [note for note in done.notes if told in note]
    done = night(tmp_path, last, thresholds=never | {name: {"warn": above, "stop": None}})
    assert len([note for note in done.notes if told in note]) == 1
    with pytest.raises(RefusedError, match=told) as refused:
        night(tmp_path, last, thresholds=never | {name: {"warn": None, "stop": above}})
    assert f"raise stop of {name} under [thresholds]" in str(refused.value)
    assert _exit_code(refused.value) == 65


def test_drift_warns_or_stops(tmp_path: Path) -> None:
    """Customers who came as forecast, and then stay away: the first scores are better than the baseline's, the last is not."""

    def closed(sales: pd.DataFrame) -> pd.DataFrame:
        often = sales["customer_id"].value_counts().index[:30]
        return sales[(sales["purchased_at"] < "2017-07-04") | ~sales["customer_id"].isin(often)]

    shop_in(tmp_path, closed)
    never = {other: {"warn": None, "stop": None} for other in FAULTS}
    for day in ("2017-05-20", "2017-06-01", "2017-06-13", "2017-07-04"):
        night(tmp_path, "customers", day, thresholds=never)
    done = night(tmp_path, "customers", "2017-07-16", thresholds=never, scorecard={"warn": 0.001, "stop": None})
    record = done.tables["scorecard"].query("question == 'Churn'")
    assert record["drift"].iloc[-1] > 0.001
    assert len([note for note in done.notes if "The model is refitted." in note]) == 1
    with pytest.raises(RefusedError, match=r"\[scorecard\] stop = 0.001 is exceeded") as refused:
        night(tmp_path, "customers", "2017-07-17", thresholds=never, scorecard={"warn": 0.001, "stop": 0.001})
    assert _exit_code(refused.value) == 65


def test_every_threshold_is_tested_here() -> None:
    assert set(Thresholds.model_fields) == {*FAULTS, "one_id"}, "one_id leaves out and stops nothing: test_one_id.py"
    assert set(Scorecard.model_fields) == {"warn", "stop"}
