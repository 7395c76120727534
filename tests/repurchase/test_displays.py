"""Figures of repurchase timing hold the numbers they draw, and the rules beside the model say what they say."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from crmkit import ContractError, ModelError, NextPurchase, Transactions
from crmkit.repurchase import baselines as rivals
from crmkit.repurchase.displays import due_items, list_accuracy, pair_curve
from crmkit.summaries.items import item_panel, item_state
from crmkit.testing import generated_sales

mpl.use("agg")


@pytest.fixture(scope="module")
def log() -> Transactions:
    return Transactions.from_extract(generated_sales(n_customers=300, days=300, seed=3), until="2017-10-27")


@pytest.fixture(scope="module")
def model(log: Transactions) -> NextPurchase:
    return NextPurchase().fit(log)


def test_a_pairs_figure_has_its_curve_and_its_purchases(model: NextPurchase, log: Transactions) -> None:
    due = model.predict(log).nlargest(1, "n_purchases").iloc[0]
    figure = pair_curve(model.explain(log, due["customer_id"], due["category"]))
    ax = figure.plot()
    drawn = max(ax.get_lines(), key=lambda line: len(line.get_xdata())).get_ydata()
    assert drawn == pytest.approx(100 * figure.table["p_bought"].to_numpy())
    assert due["n_purchases"] in [len(line.get_xdata()) for line in ax.get_lines()]
    assert due["category"] in ax.get_title(loc="left")


def test_a_pair_never_bought_has_no_figure(model: NextPurchase, log: Transactions) -> None:
    with pytest.raises(ModelError, match="has never bought"):
        pair_curve(model.explain(log, "000000", "an item nobody ever bought"))


def test_due_items_add_up_to_the_expected_purchases(model: NextPurchase, log: Transactions) -> None:
    curves = model.predict_distribution(log)
    figure = due_items(curves, most=5)
    assert len(figure.table) == 5
    first = figure.table.iloc[0]
    assert first.iloc[1:].sum() == pytest.approx(curves.loc[curves["category"] == first["category"], 84].sum())
    assert (figure.table.iloc[:, 1:] >= 0).all(axis=None)
    assert figure.plot().get_xlabel() == "week ahead"
    with pytest.raises(ContractError, match="predict_distribution"):
        due_items(model.predict(log))


def test_list_accuracy_rises_with_the_length_of_the_list(model: NextPurchase, log: Transactions) -> None:
    answers = model.predict(log).assign(bought=lambda due: (due["p_purchase"] > due["p_purchase"].median()).astype(int))
    figure = list_accuracy(answers, {"hazard": "p_purchase", "often": "n_purchases"})
    recall = figure.table.pivot_table(index="k", columns="model", values="recall")
    assert recall["hazard"].is_monotonic_increasing
    assert (recall["hazard"] >= recall["often"] - 1e-12).all()
    assert len(figure.plot().get_lines()) == 2


def pairs(**columns: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"item": "milk"} | columns)


def test_rules_that_need_no_model_give_their_numbers() -> None:
    state = pairs(frequency=[4, 0], recency=[40, 0], T=[60, 20])
    assert rivals.own_interval(state, 10) == pytest.approx(1 - np.exp([-1, -1]))
    assert rivals.own_rate(state, 15) == pytest.approx(1 - np.exp([-1, 0]))
    assert rivals.p_topfreq(state).tolist() == [5, 1]
    past = pairs(wait=[3, np.nan, 30])
    assert rivals.base_rate(state, 14, past) == pytest.approx([(1 + 1.5 / 4) / 4] * 2)


def test_an_item_without_a_past_has_the_overall_rate() -> None:
    past = pairs(wait=[3, np.nan, 30])
    tea = pairs(frequency=[1], recency=[4], T=[9]).assign(item="tea")
    assert rivals.base_rate(tea, 14, past) == pytest.approx([1.5 / 4])


def test_amazons_rate_is_highest_when_the_usual_time_has_passed_and_has_no_jump() -> None:
    """Four purchases 10 days apart: before the prior the rate is 4 / (30 + 2 |10 − t|) until day 20, and 4 / (30 + t) from there."""
    since = np.array([0, 5, 10, 15, 20, 21, 40])
    state = pairs(frequency=[3] * 7, recency=[30] * 7, T=list(30 + since))
    r, alpha = (values[0] for values in rivals._gamma(state)[:2])
    watched = np.where(since < 20, 2 * np.abs(10 - since), since)
    expected = 1 - np.exp(-14 * (4 + r) / (30 + watched + alpha))
    p = rivals.amazon_mpg(state, 14)[:7]
    assert p == pytest.approx(expected)
    assert p.argmax() == 2
    assert p[4] == pytest.approx(p[0])
    assert 0 < p[4] - p[5] < 0.02


def test_rules_answer_every_pair_with_a_probability(log: Transactions) -> None:
    state = item_state(log, "category")
    [past] = item_panel(log, "category", None, [14])
    for p in (
        rivals.own_interval(state, 14),
        rivals.own_rate(state, 14),
        rivals.poisson_gamma(state, 14),
        rivals.amazon_mpg(state, 14),
        rivals.base_rate(state, 14, past),
    ):
        assert len(p) == len(state)
        assert ((p >= 0) & (p <= 1)).all()


def test_poisson_gamma_counts_the_open_spell(log: Transactions) -> None:
    state = item_state(log, "category")
    silent = state.assign(T=state["T"] + 100)
    together = pd.concat([state, silent], ignore_index=True)
    p = rivals.poisson_gamma(together, 14)
    assert (p[: len(state)] > p[len(state) :]).all()
