"""Stages by the customer's own rhythm: they mean something, they move little, they see nothing of the future."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from timing import complete_journey

from crmkit import LifeStages, Transactions, btyd_summary, holdout_summary
from crmkit.exceptions import ConfigError, ContractError, ModelError
from crmkit.segments.life_stages import LIFE_STAGES

ROWS = pd.DataFrame({"frequency": [0, 1, 9], "recency": [0, 14, 63], "T": [3, 20, 64]})


@pytest.fixture(scope="module")
def log() -> Transactions:
    return complete_journey()


def stages(log: Transactions, day: date) -> pd.Series[str]:
    table = btyd_summary(log, as_of=day)
    return LifeStages().fit_transform(table).set_axis(table["customer_id"])


def test_a_tenth_of_the_customers_at_most_changes_stage_in_a_fortnight(log: Transactions) -> None:
    days = [log.until - timedelta(days=14 * k) for k in range(6, -1, -1)]
    found = [stages(log, day) for day in days]
    moved = [float((later.reindex(earlier.index) != earlier).mean()) for earlier, later in pairwise(found)]
    assert max(moved) <= 0.10
    assert set(found[-1]) == set(LIFE_STAGES)


def test_the_longer_away_the_fewer_come_back(log: Transactions) -> None:
    day = log.until - timedelta(days=30)
    after = holdout_summary(log, day).set_index("customer_id")["holdout_purchases"]
    came = (after > 0).groupby(stages(log, day)).mean()
    assert came["active"] > 0.85 > 0.70 > came["slipping"] > came["away"]


def test_the_median_interval_is_that_of_whoever_bought_again() -> None:
    rows = pd.DataFrame({"frequency": [0, 1, 2, 4], "recency": [0, 30, 20, 20], "T": [50, 50, 50, 50]})
    assert LifeStages().fit(rows).usual_interval_ == 10.0  # of 5, 10 and 30


def test_rows_keep_their_index_and_their_stage_in_any_order() -> None:
    rows = ROWS.set_axis(["c", "a", "b"])
    model = LifeStages().fit(rows)
    pd.testing.assert_series_equal(model.transform(rows.iloc[::-1]), model.transform(rows).iloc[::-1])


@pytest.mark.parametrize("limits", [(0, 6), (3, 3), (6, 3)])
def test_limits_out_of_order_are_refused(limits: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match="slipping < away"):
        LifeStages(*limits).fit(ROWS)


def test_what_gives_no_rhythm_is_refused() -> None:
    with pytest.raises(ModelError, match="Nobody has bought on two days"):
        LifeStages().fit(ROWS.assign(frequency=0))
    with pytest.raises(ContractError, match="Columns not found"):
        LifeStages().fit(ROWS.drop(columns="T"))
    with pytest.raises(ContractError, match="missing"):
        LifeStages().fit(ROWS).transform(ROWS.assign(recency=np.nan))
