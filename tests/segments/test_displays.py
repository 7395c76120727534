"""Figures of segments hold the numbers that they draw, and draw them."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.text import Text

from crmkit import ContractError, RFMScores
from crmkit.segments.displays import group_profile, lorenz_curve, migration_flow, rf_grid, segment_map
from crmkit.segments.migration import migration
from crmkit.summaries.customers import rfm_table
from crmkit.testing import generated_log

mpl.use("agg")


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def customers() -> pd.DataFrame:
    table = rfm_table(generated_log(n_customers=400, days=300, seed=5))
    return table.join(RFMScores().fit_transform(table))


def texts(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_the_grid_shows_every_cell_with_its_customers(customers):
    figure = rf_grid(RFMScores().fit(customers), customers)
    assert figure.table["customers"].sum() == len(customers)
    assert figure.table["share"].sum() == pytest.approx(1)
    assert len(texts(figure.plot())) == 25
    cell = figure.table.set_index(["r_score", "f_score"]).loc[(5, 5)]
    assert f"champions\n{cell['customers']:,}" in texts(figure.plot())
    counted = ((customers["r_score"] == 5) & (customers["f_score"] == 5)).sum()
    assert cell["customers"] == counted


def test_areas_are_customers_and_do_not_overlap(customers):
    figure = segment_map(customers)
    table = figure.table
    np.testing.assert_allclose(table["width"] * table["height"], table["customers"] / len(customers), rtol=1e-9)
    boxes = table[["x", "y", "width", "height"]].to_numpy()
    assert boxes[:, :2].min() >= 0
    assert (boxes[:, :2] + boxes[:, 2:]).max() <= 1 + 1e-9
    points = np.random.default_rng(0).random((2000, 1, 2))
    inside = ((points > boxes[None, :, :2]) & (points < boxes[None, :, :2] + boxes[None, :, 2:])).all(axis=2)
    assert (inside.sum(axis=1) == 1).all()
    assert table["value"].sum() == pytest.approx(customers["total_spend"].sum())
    drawn = [patch for patch in figure.plot().patches if isinstance(patch, Rectangle)]
    assert len(drawn) == len(table)


def test_flows_are_the_migration(customers):
    later = customers.assign(segment=customers["segment"].sample(frac=1, random_state=0).to_numpy()).iloc[20:]
    moved = migration(customers, later, label="segment", value="total_spend")
    figure = migration_flow(moved)
    assert figure.table["customers"].sum() == len(customers)
    assert figure.table["change"].sum() == pytest.approx(moved.moves["change"].sum())
    ax = figure.plot()
    assert len([patch for patch in ax.patches if isinstance(patch, PathPatch)]) == len(figure.table)
    assert f"lapsed  {20}" in texts(ax)


def test_profiles_are_medians_beside_everybodys(customers):
    figure = group_profile(customers, "segment", ["total_spend", "n_purchases", "days_since_last"])
    last = figure.table.iloc[-1]
    assert (last["group"], last["customers"], last["total_spend"]) == ("all", 400, customers["total_spend"].median())
    champions = customers[customers["segment"] == "champions"]
    row = figure.table.set_index("group").loc["champions"]
    assert row["n_purchases"] == champions["n_purchases"].median()
    assert figure.table["customers"].iloc[:-1].sum() == 400
    ax = figure.plot()
    assert len(texts(ax)) == 3 * len(figure.table)


def test_the_lorenz_curve_and_its_gini():
    values = np.random.default_rng(1).gamma(0.7, 100, 500)
    figure = lorenz_curve(values)
    ordered = np.sort(values)
    n = len(values)
    gini = 2 * (np.arange(1, n + 1) * ordered).sum() / (n * ordered.sum()) - (n + 1) / n
    assert figure.gini == pytest.approx(gini)
    assert figure.table["share_of_value"].is_monotonic_increasing
    assert figure.table.iloc[[0, -1]].to_numpy().tolist() == [[0, 0], [1, 1]]
    curve = figure.plot().get_lines()[1].get_ydata()
    np.testing.assert_allclose(curve, 100 * figure.table["share_of_value"])


def test_refunds_do_not_break_the_curve():
    figure = lorenz_curve([100.0, 10, -20])
    assert figure.table["share_of_value"].max() > 1
    assert figure.plot().get_ylim()[1] > 110


def test_names_are_no_mathematics(customers):
    odd = customers.assign(segment=np.where(customers.index % 2, "$a_b$", r"$\frac{" + "x" * 40))
    for figure in (segment_map(odd), group_profile(odd, "segment", ["total_spend"])):
        axes = figure.plot()
        axes.figure.canvas.draw()
        shown = "\n".join(text.get_text().replace("\\", "") for text in axes.figure.findobj(Text))
        assert "$a_b$" in shown


def test_columns_that_are_not_there_are_named(customers):
    with pytest.raises(ContractError, match=r"\['tier', 'value'\]"):
        segment_map(customers, "tier", "value")
    with pytest.raises(ContractError, match=r"\['margin'\]"):
        group_profile(customers, "segment", ["margin"])
