"""Stages are found on curves whose stage is known, and every row shows what it rests on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from crmkit import Transactions
from crmkit.exceptions import ConfigError, ContractError, LeakError
from crmkit.products.life_cycles import STAGES, life_cycle, relative_slope

UNTIL = "2017-12-31"
DAYS = pd.date_range("2017-01-01", UNTIL)


def sold(category: str, amounts: np.ndarray, days: pd.DatetimeIndex = DAYS) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": "a", "purchased_at": days, "category": category, "amount": amounts})


@pytest.fixture(scope="module")
def log() -> Transactions:
    rng = np.random.default_rng(0)
    n = len(DAYS)
    noise = rng.normal(0, 1, n)
    curves = [
        sold("steady", 50 + noise),
        sold("growing", np.linspace(5, 100, n) + noise),
        sold("falling", np.linspace(100, 5, n) + noise),
        sold("noisy", rng.lognormal(2, 1.5, n)),
        sold("gone", np.full(200, 9.0), DAYS[:200]),
        sold("new", np.full(40, 9.0), DAYS[-40:]),
        sold("rare", np.array([4.0, 4, 4]), DAYS[[10, 100, 300]]),
        sold("nobody's", np.full(n, 5.0)).assign(customer_id=None),
    ]
    return Transactions.split_extract(pd.concat(curves), until=UNTIL)[0]


def test_each_curve_has_its_stage(log):
    table = life_cycle(log).set_index("category")
    assert table["stage"].to_dict() == {
        "falling": "decline",
        "gone": "decline",
        "growing": "growth",
        "new": "introduction",
        "noisy": "maturity",
        "nobody's": "maturity",
        "rare": "unknown",
        "steady": "maturity",
    }
    assert set(table["stage"]) <= set(STAGES)


def test_the_evidence_is_there(log):
    table = life_cycle(log).set_index("category")
    assert table.loc["gone", "evidence"] == "nothing sold in 84 days"
    assert table.loc["gone", "sales_84"] == 0
    assert table.loc["new", "evidence"] == "first sold 39 days ago"
    assert bool(table.loc["new", "age_known"])
    assert not table.loc["steady", "age_known"]
    assert table.loc["new", "first_day"] == pd.Timestamp("2017-11-22")
    assert table.loc["growing", "share_of_peak"] == 1
    assert table.loc["growing", "slope_low"] > 0
    assert "of a mean run in each 28 days" in table.loc["falling", "evidence"]
    assert "fewer than 12 lines" in table.loc["rare", "evidence"]


def test_money_of_the_last_runs_is_the_logs(log):
    lines = pd.read_parquet(log.lines)
    since = lines["day"].max() - 84
    expected = lines[lines["day"] > since].groupby("category")["amount"].sum().astype(float)
    found = life_cycle(log).set_index("category")["sales_84"]
    np.testing.assert_allclose(found, expected.reindex(found.index, fill_value=0.0), rtol=1e-9)


def test_nothing_after_the_close_is_seen(log):
    early = life_cycle(log, as_of="2017-07-01").set_index("category")
    assert "new" not in early.index
    assert early.loc["gone", "stage"] == "maturity"
    assert life_cycle(log.up_to("2017-07-01")).equals(life_cycle(log, as_of="2017-07-01"))


def test_a_young_log_knows_no_stage(log):
    table = life_cycle(log, as_of="2017-02-15")
    assert set(table["stage"]) == {"unknown"}
    assert (table["runs"] == 1).all()


def test_the_slope_is_that_of_linear_regression():
    curves = np.random.default_rng(1).gamma(5, 10, (5, 6))
    slope, low, high = relative_slope(curves)
    for row, b, lower, upper in zip(curves, slope, low, high, strict=True):
        line = stats.linregress(np.arange(6), row)
        reach = stats.t.ppf(0.975, 4) * line.stderr
        assert b * row.mean() == pytest.approx(line.slope)
        assert (upper - lower) / 2 * row.mean() == pytest.approx(reach)


def test_what_cannot_be_answered_is_refused(log):
    with pytest.raises(ContractError, match="brand"):
        life_cycle(log, by="brand")
    with pytest.raises(ConfigError, match="runs=3"):
        life_cycle(log, runs=3)
    with pytest.raises(LeakError, match="No category has been sold"):
        life_cycle(log, as_of="2016-01-01")
