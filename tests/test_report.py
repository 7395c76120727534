"""The report: one safe page, and the numbers beside every figure."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from crmkit import BGNBD, ChurnModel, CustomerLifetimeValue, GammaGamma, PublishError, Report, Transactions, backtest
from crmkit.displays import (
    BudgetDisplay,
    ConcentrationDisplay,
    Display,
    FrequencyDisplay,
    ReliabilityDisplay,
    SalesDisplay,
    SegmentDisplay,
    TierDisplay,
)
from crmkit.features import weekly_sales
from crmkit.testing import generated_log, generated_sales

HOSTILE = '<script>alert(1)</script> <img src=x onerror=alert(2)> $a_b$ $\\frac{1}{2}$ "quoted" &amp;'


@pytest.fixture(scope="module")
def log() -> Transactions:
    return generated_log(n_customers=300, days=365, seed=2)


@pytest.fixture
def customers() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "customer_id": list("abcd"),
            "value": [90.0, 6.0, 3.0, 1.0],
            "tier": list("ABBC"),
            "segment": ["champions", HOSTILE, "loyal", "loyal"],
            "total_spend": [4.0, 3.0, 2.0, 1.0],
            "p_churn": [0.1, 0.2, 0.3, 0.4],
            "value_at_risk": [1.0, 2.0, 3.0, 4.0],
        }
    )


def full(log: Transactions, customers: pd.DataFrame) -> Report:
    return (
        Report(HOSTILE, as_of=date(2017, 12, 31), currency="EUR")
        .add_card(1234, "customers")
        .add_sales(weekly_sales(log))
        .add_tiers(customers)
        .add_segments(customers)
        .add_churn(customers, horizon=30)
        .add_backtest(backtest(ChurnModel(horizon=30), log))
        .add_backtest(backtest(CustomerLifetimeValue(BGNBD(), GammaGamma()), log))
        .add_note("Please note", HOSTILE)
    )


def test_the_page_needs_no_network_and_runs_nothing(log: Transactions, customers: pd.DataFrame) -> None:
    page = full(log, customers).html()
    assert "default-src 'none'" in page
    assert not re.search(r'(src|href)\s*=\s*"(?!#)', page.replace("xlink:href", "href").replace('href="#', 'x="#'))
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page
    assert len(page) < 1_000_000


def test_equal_numbers_give_an_equal_page(log: Transactions, customers: pd.DataFrame) -> None:
    assert full(log, customers).html() == full(log, customers).html()


def test_every_figure_has_a_sentence_a_label_and_its_numbers(log: Transactions, customers: pd.DataFrame) -> None:
    report = full(log, customers)
    drawn = [section for section in report.sections if section.figure]
    assert len(drawn) == 6
    for section in drawn:
        assert section.sentence.endswith(".")
        assert section.label
        assert section.table is not None
        assert section.table.rows


def test_verdicts_stand_at_the_top(log: Transactions, customers: pd.DataFrame) -> None:
    page = full(log, customers).html()
    assert page.index("How far can these numbers be trusted?") < page.index("Sales per week")


def test_a_page_that_cannot_be_written_is_said_and_leaves_nothing(tmp_path: Path, customers: pd.DataFrame) -> None:
    with pytest.raises(PublishError, match="cannot be written"):
        Report("June").add_tiers(customers).save(tmp_path / "absent" / "report.html")
    saved = Report("June").add_tiers(customers).save(tmp_path / "report.html")
    assert saved.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_rejections_are_reported_with_their_sum() -> None:
    sales = generated_sales(n_customers=30, days=90)
    sales.loc[:2, "customer_id"] = None
    _, rejections = Transactions.split_extract(sales, until="2017-03-31")
    page = Report("June").add_rejections(rejections).html()
    assert "customer_id is missing" in page
    assert f"{rejections.rows_read:,} rows read = {rejections.rows_used:,} used + 3 rejected" in page


DRAWN: dict[type[Display], dict[str, list[object]]] = {
    ReliabilityDisplay: {
        "model": ["m", "m"],
        "mean_predicted": [0.1, 0.9],
        "observed_rate": [0.2, 0.8],
        "count": [5, 5],
    },
    FrequencyDisplay: {"frequency": ["0", "1–3"], "customers": [5, 5], "actual": [0.5, 1.5], "model": [0.6, 1.4]},
    SalesDisplay: {
        "week": [pd.Timestamp("2017-01-02"), pd.Timestamp("2017-01-09")],
        "sales": [5.0, 6.0],
        "customers": [1, 2],
    },
    TierDisplay: {"tier": ["A", HOSTILE], "share_of_customers": [0.2, 0.8], "share_of_value": [0.7, 0.3]},
    ConcentrationDisplay: {"share_of_customers": [0.1, 0.5], "share_of_value": [0.5, 0.9]},
    SegmentDisplay: {"segment": ["loyal", HOSTILE], "customers": [4, 5], "total_spend": [1.0, 2.0]},
    BudgetDisplay: {"funder": ["Maker 1", HOSTILE], "budget": [10.0, 20.0], "spent": [5.0, 20.0]},
}


@pytest.mark.parametrize("kind", DRAWN, ids=lambda kind: kind.__name__)
def test_a_display_draws_its_own_numbers_whatever_the_names(kind: type[Display]) -> None:
    from matplotlib.figure import Figure

    table = pd.DataFrame(DRAWN[kind])
    before = table.copy()
    figure = Figure()
    ax = kind(table).plot(figure.add_subplot())
    figure.canvas.draw()
    assert ax.get_title(loc="left") == kind.title
    assert ax.has_data()
    pd.testing.assert_frame_equal(table, before)


def test_the_rows_beside_a_figure_are_those_it_draws() -> None:
    budgets = pd.DataFrame({"funder": [f"Maker {n:02d}" for n in range(30)], "budget": range(30, 0, -1), "spent": 1.0})
    report = Report("June")._figure("Offers", "A sentence.", BudgetDisplay(budgets))
    table = report.sections[0].table
    assert table is not None
    assert table.rows[0][0][0] == "Maker 00"
    weeks = pd.DataFrame({"week": pd.date_range("2017-01-02", periods=30, freq="7D"), "sales": 1.0, "customers": 1})
    beside = Report("June").add_sales(weeks).sections[0].table
    assert beside is not None
    assert beside.rows[-1][0][0] == "24 Jul 2017"
