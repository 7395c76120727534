"""The report: one safe page, and the numbers beside every figure."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from crmkit import (
    BGNBD,
    ChurnModel,
    CustomerLifetimeValue,
    Deals,
    GammaGamma,
    NextPurchase,
    OfferPlan,
    PublishError,
    Report,
    Transactions,
    backtest,
    migration,
)
from crmkit.churn.backtest import ChurnBacktest
from crmkit.displays import Display
from crmkit.evaluation.displays import FrequencyDisplay, ReliabilityDisplay
from crmkit.offers.displays import BudgetDisplay
from crmkit.reports.blocks.sales import SalesDisplay
from crmkit.segments.displays import SegmentDisplay, TierDisplay
from crmkit.summaries.sales import weekly_sales
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
    assert len(drawn) == 7
    for section in drawn:
        assert section.sentence.endswith(".")
        assert section.label
        assert section.table is not None
        assert section.table.rows


def test_the_lorenz_curve_stands_beside_the_tiers_with_its_numbers(customers: pd.DataFrame) -> None:
    tiers, curve = Report("June").add_tiers(customers).sections
    assert (tiers.title, curve.title) == ("Value tiers", "Concentration")
    assert "holds 36% of the value; the Gini coefficient is 0.68" in curve.sentence
    assert curve.table is not None
    beside = [[cell for cell, _ in row] for row in curve.table.rows]
    assert beside == [["1.0%", "3.6%"], ["5.0%", "18.0%"], ["10.0%", "36.0%"], ["20.0%", "72.0%"], ["50.0%", "96.0%"]]
    ((_, points),) = curve.more
    assert len(points.rows) == 101


def test_changes_of_tier_are_counted_by_cause_and_name_nobody(customers: pd.DataFrame) -> None:
    later = customers.assign(customer_id=list("abce"), tier=list("AACB"), value=[91.0, 50.0, 1.0, 9.0])
    (section,) = Report("June").add_changes(migration(customers, later), date(2017, 5, 31)).sections
    assert section.sentence.startswith(
        "Since 31 May 2017, of 5 customers 1 moved up, 1 moved down, 1 are new, 1 stayed"
    )
    assert section.table is not None
    rows = {tuple(cell for cell, _ in row) for row in section.table.rows}
    assert rows == {
        ("down", "value fell", "1", "-2"),
        ("up", "value rose", "1", "44"),
        ("new", "first seen since", "1", "9"),
        ("lapsed", "no longer in the table", "1", "-1"),
    }
    assert section.figure
    (caption, flows), *_ = section.more
    assert caption == "From tier to tier"
    assert len(flows.rows) == 5


def test_the_plan_says_what_it_lacks_what_money_buys_and_what_it_rests_on() -> None:
    deals = Deals.from_extract(
        pd.DataFrame(
            {
                "deal_id": ["D1"], "title": ["0.50 off"], "category": ["Milk"], "funder": [HOSTILE], "funder_share": [1],
                "value": [0.5], "budget": [0.6], "starts": ["2018-01-01"], "ends": ["2018-01-14"],
            }
        )
    )  # fmt: skip
    members = [f"m{n}" for n in range(6)]
    due = pd.DataFrame({"customer_id": members, "category": "Milk", "p_purchase": 0.5, "spend": 4.0})
    plan = OfferPlan(deals, control=0, min_reach={HOSTILE: 6}).solve(due, due[["customer_id"]])
    (section,) = Report("June", currency="EUR").add_offers(plan).sections
    said = " | ".join(section.notes)
    assert f"short of members reached for {HOSTILE}: 2 of 6" in said
    assert plan.price_sentences()
    assert set(plan.price_sentences()) <= set(section.notes)
    assert "100% of the expected gain rests on it" in said
    assert "<script" not in Report("June").add_offers(plan).html()
    captions = [caption for caption, _ in section.more]
    assert captions == ["Every budget, and what one more unit of it would gain"]


def test_what_the_best_tenth_of_the_churn_list_holds_is_shown(log: Transactions) -> None:
    check = backtest(ChurnModel(horizon=30), log)
    assert isinstance(check, ChurnBacktest)
    table = check.gains.table
    held = table[(table["list"] == "churn model") & (table["share_of_rows"] == 0.1)]["share_of_outcome"].item()
    assert f"most at risk held: churn model {held:.0%}, BG/NBD " in Report("June").add_backtest(check).html()


def test_many_models_are_rows_of_their_main_scores(log: Transactions) -> None:
    page = Report("June").add_backtest(backtest(NextPurchase(by="category"), log, horizon=14)).html()
    head = page[page.index("Next purchase: predicted and actual") :]
    cells = re.findall(r"<th[^>]*>([^<]*)</th>", head[: head.index("</thead>")])
    assert cells == ["model", "log loss", "auc", "ece", "recall@10", "precision@10"]


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
