"""The forecast: what is planted is found, hierarchies add up, intervals hold, nothing of the future is seen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crmkit import ConfigError, ContractError, Transactions, forecast, forecast_accuracy
from crmkit.products._forecast_math import candidates, combined, reconciled, rolling_errors, season_index
from crmkit.products.events import public_holidays
from crmkit.products.forecast import project
from crmkit.products.series import series_of


def log_of(
    daily: dict[str, np.ndarray], groups: dict[str, str] | None = None, start: str = "2016-01-04"
) -> Transactions:
    """A log of one line per item and day, in pieces."""
    parts = [
        pd.DataFrame(
            {
                "product_id": name,
                "category": (groups or {}).get(name, "all"),
                "purchased_at": pd.date_range(start, periods=len(pieces)),
                "quantity": pieces,
            }
        )
        for name, pieces in daily.items()
    ]
    till = pd.concat(parts).query("quantity > 0").assign(customer_id="a")
    last = pd.Timestamp(start) + pd.Timedelta(days=max(map(len, daily.values())) - 1)
    return Transactions.from_extract(till.assign(amount=till["quantity"] * 2.0), until=str(last.date()))


def test_a_level_is_found_and_money_is_money() -> None:
    log = log_of({"steady": np.full(140, 3), "rare": np.tile([1, 0, 0, 0, 0, 0, 0] + [0] * 7, 10)})
    pieces = forecast(log, by="product_id", horizon=2).set_index("product_id")["mean"]
    assert pieces["steady"].to_numpy() == pytest.approx([21, 21])
    assert pieces["rare"].to_numpy() == pytest.approx([0.5, 0.5], abs=0.15)
    money = forecast(log, by="product_id", horizon=2, measure="sales").set_index("product_id")["mean"]
    assert money.to_numpy() == pytest.approx(2 * pieces.to_numpy())


def test_the_intermittent_method_is_that_of_its_paper() -> None:
    history = np.array([[0.0, 4, 0, 0, 2, 0, 0, 0, 6, 0]])
    level, _ = candidates(history, np.array([0]))
    chance, size = 3 / 8 - 1 / 8, 3.0  # share of the first eight periods with a demand, and its mean size
    for y in history[0]:
        chance += 0.05 * ((y > 0) - chance)
        size += 0.1 * (y - size) if y > 0 else 0
    assert level[5, 0, -1] == pytest.approx(chance * size)


def test_weekdays_are_learned_for_days() -> None:
    pieces = np.tile([10, 10, 10, 10, 20, 30, 0], 20)  # Monday to Sunday, closed on Sundays
    found = forecast(log_of({"bread": pieces}), by="product_id", horizon=7, period="day")
    assert found["mean"].to_numpy() == pytest.approx([10, 10, 10, 10, 20, 30, 0], abs=0.8)
    assert found["period_start"].dt.day_of_week.tolist() == list(range(7))


def test_a_season_of_weeks_needs_two_years() -> None:
    weeks = np.r_[np.full(40, 10), np.full(12, 30)]
    two = forecast(log_of({"toys": np.repeat(np.tile(weeks, 2), 7)}), by="product_id", horizon=4)
    assert two["mean"].to_numpy() == pytest.approx(70, rel=0.1), (
        "after the season the next year begins as the last one did"
    )
    factors = season_index(np.tile(weeks, 2)[None].astype(float), np.array([0]), 52)
    assert factors[0, :40].max() < 1 < factors[0, 40:].min()
    assert (season_index(np.tile(weeks, 2)[None, :103].astype(float), np.array([0]), 52) == 1).all()


def test_items_add_up_to_what_their_category_says() -> None:
    rng = np.random.default_rng(3)
    daily = {f"p{k}": rng.poisson(0.2 + k / 4, 210) for k in range(12)}
    groups = {name: f"c{int(name[1:]) % 3}" for name in daily}
    log = log_of(daily, groups)
    found = forecast(log, by="product_id", horizon=3, within="category")
    sums = found.groupby(["category", "period_start"])["mean"].sum().unstack()
    apart = forecast(log, by="product_id", horizon=3).merge(found[["product_id", "category"]].drop_duplicates())
    below = apart.groupby(["category", "period_start"])["mean"].sum().unstack()
    above = forecast(log, by="category", horizon=3).set_index(["category", "period_start"])["mean"].unstack()
    low, high = np.minimum(below, above) - 1e-6, np.maximum(below, above) + 1e-6
    assert ((sums >= low) & (sums <= high)).all().all(), "between what the parts say and what the whole says"
    assert (found["low"] <= found["mean"]).all()
    assert (found["mean"] <= found["high"]).all()
    moved = reconciled(np.array([[2.0], [0.1]]), np.array([[1.0], [9.0]]), np.array([0.0]), np.array([0.0]))
    assert moved.sum() == pytest.approx(0)
    assert (moved >= 0).all()


def test_intervals_hold_what_they_say() -> None:
    rng = np.random.default_rng(5)
    log = log_of({f"p{k:03d}": rng.poisson(0.05 * (1 + k % 40), 371) for k in range(200)})
    found = forecast_accuracy(log, by="product_id", horizon=4).set_index("method")
    assert found.loc["forecast", "coverage_80"] == pytest.approx(0.82, abs=0.06)
    assert found.loc["forecast", "coverage_95"] == pytest.approx(0.95, abs=0.03)
    assert found.loc["forecast", "weighted_mase"] < 0.85 * found.loc["last value", "weighted_mase"]
    assert found["origins"].tolist() == [4, 4]


def test_what_an_event_did_before_is_expected_of_the_next_one() -> None:
    pieces = np.full(196, 10)
    for starts in (42, 98, 154):
        pieces[starts : starts + 7] = 40
    log = log_of({"cola": pieces, "water": np.full(196, 10)})
    weeks = pd.date_range("2016-01-04", periods=30, freq="7D")
    events = pd.DataFrame({"name": "poster", "starts": weeks[[6, 14, 22, 28]], "product_id": "cola"})
    events["ends"] = events["starts"] + pd.Timedelta(days=6)
    found = forecast(log, by="product_id", horizon=2, events=events).pivot(
        index="product_id", columns="period_start", values="mean"
    )
    assert found.loc["cola"].iloc[0] / found.loc["cola"].iloc[1] == pytest.approx(3.6, abs=0.4)
    assert found.loc["water"].to_numpy() == pytest.approx([70, 70], rel=0.01)
    assert found.loc["cola"].iloc[1] == pytest.approx(70, rel=0.08), "sales without the poster are not raised by it"


def test_public_holidays_come_from_their_package() -> None:
    pytest.importorskip("holidays")
    found = public_holidays("US", 17_500, 17_540)
    assert found["name"].tolist() == ["Christmas Day", "New Year's Day"]
    days = np.full(364, 10)
    dates = pd.date_range("2016-01-04", periods=364)
    days[[day.month == 7 and day.day == 4 for day in dates]] = 0
    days[[day.month == 5 and day.day == 30 for day in dates]] = 0
    log = log_of({"bread": days})
    assert len(forecast(log, by="product_id", period="day", holidays="US")) == 4
    with pytest.raises(ConfigError, match="holidays='XX': the package holidays knows no such country"):
        forecast(log, by="product_id", holidays="XX")


def test_a_new_item_is_held_near_to_what_new_ones_of_its_category_sold() -> None:
    daily = {f"old{k}": np.r_[np.zeros(70 + 7 * k, int), np.full(140 - 7 * k, 2)] for k in range(6)}
    daily["new"] = np.r_[np.zeros(203, int), np.full(7, 20)]
    found = forecast(log_of(daily), by="product_id", horizon=1, within="category").set_index("product_id")["mean"]
    assert 14 < found["new"] < 110, "one week of 140 is not believed"


def test_later_rows_change_nothing() -> None:
    rng = np.random.default_rng(1)
    daily = {f"p{k}": rng.poisson(2, 300) for k in range(8)}
    whole = forecast(log_of(daily), by="product_id", as_of="2016-07-31")
    short = forecast(log_of({name: days[:210] for name, days in daily.items()}), by="product_id")
    assert short["period_start"].iloc[0] == pd.Timestamp("2016-08-01")
    pd.testing.assert_frame_equal(whole, short)


def test_what_cannot_be_forecast_is_said() -> None:
    log = log_of({"a": np.full(60, 1)})
    with pytest.raises(ConfigError, match="period='month' is not one of"):
        forecast(log, by="product_id", period="month")
    with pytest.raises(ConfigError, match=r"2 whole periods \(28 days\) have been observed"):
        forecast(log, by="product_id", period="28 days")
    with pytest.raises(ConfigError, match="horizon=0 must be"):
        forecast(log, by="product_id", horizon=0)
    with pytest.raises(ConfigError, match="neither 'quantity' nor 'sales'"):
        forecast(log, by="product_id", measure="pieces")
    with pytest.raises(ContractError, match="by='brand' is not an item column"):
        forecast(log, by="brand")
    with pytest.raises(ContractError, match="Columns not found: \\['ends'\\]"):
        forecast(log, by="product_id", events=pd.DataFrame({"name": ["x"], "starts": ["2016-01-01"]}))
    with pytest.raises(ConfigError, match="too short to look 1 ahead"):
        forecast_accuracy(log_of({"a": np.full(56, 1)}), by="product_id", horizon=1)


def test_five_thousand_series_of_two_years_take_seconds() -> None:
    from time import process_time

    rng = np.random.default_rng(0)
    history = rng.poisson(rng.gamma(0.5, 4, 5_000)[:, None], (5_000, 104)).astype(float)
    first = np.zeros(5_000, dtype=np.int64)
    before = process_time()
    level, slope = candidates(history, first)
    weights = combined(rolling_errors(history, first, level, slope, 4), np.full(5_000, 96))
    assert weights.sum(axis=0) == pytest.approx(np.ones(5_000))
    assert process_time() - before < 60


def test_one_series_may_be_projected_alone() -> None:
    series = series_of(log_of({"a": np.full(140, 3)}), "product_id")
    ones = np.ones_like(series.history), np.ones((13, 1))
    assert project(series, 13, *ones).mean.ravel() == pytest.approx(np.full(13, 21.0))
