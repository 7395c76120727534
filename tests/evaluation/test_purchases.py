"""Figures of purchase models: the numbers they hold, against the log counted by hand; and that they draw them."""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from crmkit import ContractError, ModelError, Transactions, btyd_summary, holdout_summary
from crmkit.evaluation.purchases import holdout_by_frequency, tracking, value_deciles, visit_history
from crmkit.models import BGNBD
from crmkit.models.bgcnbd import MBGCNBD
from crmkit.models.displays import alive_matrix, repeat_purchases
from crmkit.testing import generated_log, generated_sales

SPLIT = "2017-09-30"


@pytest.fixture(scope="module")
def log() -> Transactions:
    return generated_log(n_customers=300, days=365, seed=3)


@pytest.fixture(scope="module")
def days() -> pd.DataFrame:
    """One row per customer and purchase day."""
    sales = generated_sales(n_customers=300, days=365, seed=3)
    return sales.assign(day=sales["purchased_at"].dt.normalize())[["customer_id", "day"]].drop_duplicates()


@pytest.fixture(scope="module")
def model(log: Transactions) -> BGNBD:
    return BGNBD().fit(btyd_summary(log, SPLIT))


@pytest.fixture(autouse=True)
def _close() -> object:
    mpl.use("Agg")
    yield
    plt.close("all")


def test_tracking_counts_what_happened(log: Transactions, days: pd.DataFrame, model: BGNBD) -> None:
    table = tracking(model, log, SPLIT).table
    first = days.groupby("customer_id")["day"].transform("min")
    repeats = days[(first <= SPLIT) & (days["day"] > first)]
    start = first.min()
    week = (repeats["day"] - start).dt.days // 7
    assert len(table) == (pd.Timestamp("2018-01-01") - start).days // 7
    assert table["actual"].tolist() == np.bincount(week, minlength=53)[: len(table)].tolist()
    assert table["cumulative_actual"].iloc[-1] == (week < len(table)).sum()
    assert (
        table.loc[~table["holdout"], "week_end"].max()
        <= date(2017, 9, 30)
        < table.loc[table["holdout"], "week_end"].min()
    )


def test_tracking_expects_the_sum_over_first_purchases(log: Transactions, days: pd.DataFrame, model: BGNBD) -> None:
    table = tracking(model, log, SPLIT).table
    first = days.groupby("customer_id")["day"].min()
    end = pd.Timestamp(table["week_end"].iloc[-1])
    expected = sum(model.expected_purchases_new((end - day).days) for day in first[first <= SPLIT])
    assert table["cumulative_expected"].iloc[-1] == pytest.approx(expected)
    assert table["cumulative_expected"].iloc[-1] == pytest.approx(table["cumulative_actual"].iloc[-1], rel=0.15)
    assert (table["expected"] >= 0).all()


def test_tracking_without_a_split_has_no_holdout(log: Transactions, model: BGNBD) -> None:
    assert not tracking(model, log).table["holdout"].any()


def test_repeat_purchases_add_to_the_customers(log: Transactions, model: BGNBD) -> None:
    known = btyd_summary(log, SPLIT)
    table = repeat_purchases(model, known, most=5).table
    assert table["repeats"].tolist() == ["0", "1", "2", "3", "4", "5+"]
    assert table["actual"].tolist() == [int((known["frequency"] == n).sum()) for n in range(5)] + [
        int((known["frequency"] >= 5).sum())
    ]
    assert table["expected"].sum() == pytest.approx(len(known))
    many = pd.concat([model.simulate(len(known), known["T"], seed=seed) for seed in range(30)])
    shares = [(many["frequency"] == n).sum() / 30 for n in range(5)]
    np.testing.assert_allclose(table["expected"].iloc[:5], shares, rtol=0.1, atol=1.5)


def test_holdout_by_frequency_is_the_mean_of_each_group(log: Transactions, model: BGNBD) -> None:
    table = holdout_by_frequency(model, log, SPLIT, most=3).table
    known = btyd_summary(log, SPLIT).merge(holdout_summary(log, SPLIT), on="customer_id")
    assert table["frequency"].tolist() == ["0", "1", "2", "3+"]
    assert table["customers"].sum() == len(known)
    last = known[known["frequency"] >= 3]
    assert table["actual"].iloc[-1] == pytest.approx(last["holdout_purchases"].mean())
    assert table["expected"].iloc[-1] == pytest.approx(model.expected_purchases(last, 92).mean())


def test_alive_matrix_is_the_models_probability(model: BGNBD) -> None:
    table = alive_matrix(model, T=100, frequency=10, rows=11).table
    assert table.index.tolist() == list(range(0, 101, 10))
    assert table.columns.tolist() == list(range(11))
    one = pd.DataFrame({"frequency": [4], "recency": [60], "T": [100]})
    assert table.loc[60, 4] == model.probability_alive(one).iloc[0]
    assert np.isnan(table.loc[60, 0])
    assert np.isnan(table.loc[0, 1])
    assert table.loc[0, 0] == 1
    assert (np.diff(table[4].dropna()) > 0).all(), "the later the last purchase, the more alive"
    with pytest.raises(ModelError, match="at least one day"):
        alive_matrix(model, T=0)


def test_alive_matrix_of_a_regular_model(log: Transactions) -> None:
    regular = MBGCNBD(k=2).fit(btyd_summary(log, SPLIT))
    table = alive_matrix(regular, T=50, frequency=4).table
    assert table.stack().dropna().between(0, 1).all()


def test_history_knows_only_the_past_of_each_day(log: Transactions, days: pd.DataFrame, model: BGNBD) -> None:
    busy = days["customer_id"].value_counts().index[5]
    table = visit_history(model, log, busy).table
    mine = set(days.loc[days["customer_id"] == busy, "day"].dt.date)
    assert set(table.loc[table["bought"], "day"]) == mine
    assert table["day"].iloc[0] == min(mine)
    assert table["day"].iloc[-1] == date(2017, 12, 31)
    known = btyd_summary(log, "2017-06-30").set_index("customer_id")
    at_june = table.loc[table["day"] == date(2017, 6, 30), "p_alive"].iloc[0]
    assert at_june == pytest.approx(model.probability_alive(known.loc[[busy]]).iloc[0])
    for before, after in pairwise(table.itertuples()):
        if not after.bought and before.day > min(mine):
            assert after.p_alive <= before.p_alive


def test_history_of_a_stranger_is_refused(log: Transactions, model: BGNBD) -> None:
    with pytest.raises(ContractError, match="no purchase of customer 'nobody'"):
        visit_history(model, log, "nobody")


def test_deciles_hold_a_tenth_each_best_first() -> None:
    value = np.random.default_rng(0).permutation(np.arange(105.0))
    table = value_deciles(value, actual=2 * value).table
    assert table["decile"].tolist() == list(range(1, 11))
    assert set(table["customers"]) == {10, 11}
    assert table["expected"].is_monotonic_decreasing
    assert table["share"].sum() == pytest.approx(1)
    np.testing.assert_allclose(table["actual"], 2 * table["expected"])
    assert table["expected"].iloc[0] == np.arange(94.0, 105).mean()


def test_deciles_of_few_of_nothing_and_of_no_customers() -> None:
    assert value_deciles([3.0]).table.to_numpy().tolist() == [[1, 1, 3.0, 1.0]]
    assert value_deciles([0.0, 0.0]).table["share"].tolist() == [0, 0]
    for bad in ([], [1.0, np.nan]):
        with pytest.raises(ContractError, match="finite numbers, one a customer"):
            value_deciles(bad)


def test_each_draws_its_numbers_on_the_axes_given(log: Transactions, days: pd.DataFrame, model: BGNBD) -> None:
    known, weeks = btyd_summary(log, SPLIT), tracking(model, log, SPLIT)
    shown = {
        "tracking": weeks,
        "repeats": repeat_purchases(model, known),
        "holdout": holdout_by_frequency(model, log, SPLIT),
        "history": visit_history(model, log, str(days["customer_id"].value_counts().index[0])),
        "deciles": value_deciles(known["frequency"], known["frequency"]),
    }
    for name, display in shown.items():
        _, ax = plt.subplots()
        assert display.plot(ax) is ax, name
        assert ax.get_title(loc="left"), name
        assert ax.get_legend() is not None, name
    lines = weeks.plot().get_lines()
    np.testing.assert_allclose(lines[0].get_ydata(), weeks.table["actual"])
    np.testing.assert_allclose(lines[1].get_ydata(), weeks.table["expected"])
    total = weeks.plot_cumulative().get_lines()
    np.testing.assert_allclose(total[1].get_ydata(), weeks.table["cumulative_expected"])
    mesh = alive_matrix(model, T=90, frequency=9).plot().collections[0]
    assert mesh.get_clim() == (0, 1)
    bars = shown["deciles"].plot().patches
    assert bars[0].get_height() == shown["deciles"].table["expected"].iloc[0]


def test_nothing_is_drawn_before_it_is_asked_for() -> None:
    import subprocess
    import sys

    code = (
        "import sys, crmkit.evaluation.purchases as d; d.value_deciles([1.0, 2.0]); print('matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
