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
    ConfigError,
    CustomerLifetimeValue,
    Deals,
    GammaGamma,
    NextPurchase,
    OfferPlan,
    PublishError,
    Report,
    Transactions,
    backtest,
    btyd_summary,
    cohorts,
    migration,
    past_totals,
    second_purchase,
)
from crmkit.churn.backtest import ChurnBacktest
from crmkit.displays import Display
from crmkit.evaluation.displays import FrequencyDisplay, ReliabilityDisplay
from crmkit.offers.displays import BudgetDisplay
from crmkit.reports.block import Block, Table
from crmkit.reports.blocks.sales import SalesDisplay
from crmkit.reports.html import _cells
from crmkit.reports.languages import words_of
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
    drawn = [block for block in report.blocks if block.display]
    assert len(drawn) == 7
    for block in drawn:
        assert block.title
        assert block.sentence.endswith(".")
        assert block.display is not None
        assert block.display.title
        assert block.table is not None
        assert len(block.table.frame)


def cells_of(table: Table | None) -> list[list[str]]:
    """The cells of a table as the page prints them."""
    assert table is not None
    return [[cell for cell, _ in row] for row in _cells(table, words_of("en")).rows]


def test_the_lorenz_curve_stands_beside_the_tiers_with_its_numbers(customers: pd.DataFrame) -> None:
    tiers, curve = Report("June").add_tiers(customers).blocks
    assert (tiers.topic, curve.topic) == ("Value tiers", "Concentration")
    assert tiers.title == "Tier A holds 90% of the value with 25% of the customers"
    assert curve.title == "The best tenth of the customers holds 36% of the value"
    assert "Gini coefficient is 0.68" in curve.sentence
    beside = cells_of(curve.table)
    assert beside == [["1.0%", "3.6%"], ["5.0%", "18.0%"], ["10.0%", "36.0%"], ["20.0%", "72.0%"], ["50.0%", "96.0%"]]
    assert len(curve.more[0].frame) == 101


def test_changes_of_tier_are_counted_by_cause_and_name_nobody(customers: pd.DataFrame) -> None:
    later = customers.assign(customer_id=list("abce"), tier=list("AACB"), value=[91.0, 50.0, 1.0, 9.0])
    (block,) = Report("June").add_changes(migration(customers, later), date(2017, 5, 31)).blocks
    assert block.sentence.startswith("Since 31 May 2017, of 5 customers 1 moved up, 1 moved down, 1 came new, 1 stayed")
    assert {tuple(row) for row in cells_of(block.table)} == {
        ("down", "value fell", "1", "-2.00"),
        ("up", "value rose", "1", "44.00"),
        ("new", "first seen since", "1", "9.00"),
        ("lapsed", "no longer in the table", "1", "-1.00"),
    }
    assert block.display
    assert block.more[0].caption == "Tier migration"
    assert len(block.more[0].frame) == 5


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
    (block,) = Report("June", currency="EUR").add_offers(plan).blocks
    said = " | ".join(block.notes)
    assert f"{HOSTILE}: 2 of the required 6 members reached" in said
    assert plan.price_sentences()
    assert set(plan.price_sentences()) <= set(block.notes)
    assert "100% of the expected gain rests on it" in said
    assert "<script" not in Report("June").add_offers(plan).html()
    captions = [table.caption for table in block.more]
    assert captions == ["Every budget and its shadow price", "What lists were demanded to be"]


def test_what_the_best_tenth_of_the_churn_list_holds_is_shown(log: Transactions) -> None:
    check = backtest(ChurnModel(horizon=30), log)
    assert isinstance(check, ChurnBacktest)
    table = check.gains.table
    held = table[(table["list"] == "churn model") & (table["share_of_rows"] == 0.1)]["share_of_outcome"].item()
    assert f"first tenth of each list: churn model {held:.0%}, BG/NBD " in Report("June").add_backtest(check).html()


def test_many_models_are_rows_of_their_main_scores(log: Transactions) -> None:
    page = Report("June").add_backtest(backtest(NextPurchase(by="category"), log, horizon=14)).html()
    head = page[page.index("Backtest of Next purchase") :]
    cells = re.findall(r"<th[^>]*>([^<]*)</th>", head[: head.index("</thead>")])
    assert cells == ["model", "log-loss", "AUC", "calibration error", "recall@10", "precision@10"]


def test_many_models_of_value_are_told_in_money(log: Transactions) -> None:
    check = backtest(CustomerLifetimeValue(BGNBD(), GammaGamma()), log, horizon=60)
    block = Report("June").add_backtest(check).blocks[0]
    cells = cells_of(block.table)
    assert len(cells[0]) == 5
    assert "–" not in cells[0]
    page = Report("June").add_backtest(check).html()
    assert "RMSE, money" in page
    assert "mae value" not in page


def test_a_week_observed_in_part_is_drawn_apart_and_does_not_enter_the_median() -> None:
    weeks = pd.DataFrame(
        {
            "week": pd.date_range("2017-01-02", periods=3, freq="7D"),
            "sales": [1.0, 70, 10],
            "customers": 1,
            "days": [1, 7, 2],
        }
    )
    block = Report("June").add_sales(weeks).blocks[0]
    assert "median full week brought 70.00" in block.sentence
    assert [len(line.get_xdata()) for line in block.display.plot().get_lines()] == [1, 2]
    assert Report("June").add_sales(weeks.head(1)).blocks[0].sentence == "No week is observed in full yet."


def test_cohorts_say_what_became_of_new_customers(log: Transactions) -> None:
    table, waits = cohorts(log), second_purchase(log)
    report = Report("June").add("cohorts", table, "month").add("second_purchase", waits)
    block, second = report.blocks
    fresh = table[(table["cohort"] > table["cohort"].min()) & (table["period"] == 1)]
    assert block.title.startswith(f"{fresh['active'].sum() / fresh['customers'].sum():.0%} of new customers")
    assert block.table is not None
    assert block.table.frame["share_after_0"].eq(1).all()
    assert "95% interval" in second.sentence
    assert report.html().count("<svg") == 2
    assert Report("June").add("cohorts", table.iloc[:0]).blocks[0].title == "No month has been observed to its end yet"
    assert (
        Report("June").add("second_purchase", waits.iloc[:0]).blocks[0].title == "Nobody has bought a second time yet"
    )


def test_the_total_is_told_with_what_it_is_judged_by(log: Transactions) -> None:
    model = CustomerLifetimeValue(BGNBD(), GammaGamma(first_purchase=True), horizon=90)
    known = btyd_summary(log)
    found = model.fit(known).cohort(known, past=past_totals(model, log))
    block = Report("June", currency="EUR").add("value_total", found, 90).blocks[0]
    assert found.realised is not None
    assert (
        f"will bring EUR {found.realised.low:,.0f} to EUR {found.realised.high:,.0f} in the next 90 days" in block.title
    )
    assert "past origins" in block.sentence
    endless = model.set_params(horizon=float("inf")).fit(known).cohort(known)
    assert Report("June").add("value_total", endless, float("inf")).blocks[0].title.endswith("in all")


def test_bundles_are_told_with_how_sure_they_are() -> None:
    table = pd.DataFrame(
        {"item_a": ["tea"], "item_b": [HOSTILE], "baskets": [120], "support": [0.1], "confidence": [0.4], "lift": [2.5],
         "leverage": [0.06], "p_value": [1e-9], "q_value": [1e-8]}
    )  # fmt: skip
    block = Report("June").add("bundles", table).blocks[0]
    assert block.title == f"40% of the baskets with tea also hold {HOSTILE}: 2.5 times chance"
    assert "<script>" not in Report("June").add("bundles", table).html()
    nothing = Report("June").add("bundles", table.assign(q_value=0.2)).blocks[0]
    assert nothing.title == "No items are bought together more often than chance would have it"


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
        "days": [7, 3],
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


def test_few_rows_stand_beside_a_figure_and_all_of_them_below() -> None:
    days = pd.date_range("2017-01-02", periods=30, freq="7D")
    weeks = pd.DataFrame({"week": days, "sales": 1.0, "customers": 1, "days": 7})
    block = Report("June").add_sales(weeks).blocks[0]
    assert cells_of(block.table)[-1][0] == "24 Jul 2017"
    assert len(cells_of(block.table)) < len(block.more[0].frame) == 30


def test_a_block_is_added_by_name_and_an_unknown_name_is_answered(customers: pd.DataFrame) -> None:
    named = Report("June", currency="EUR").add("churn", customers, 30).html()
    assert named == Report("June", currency="EUR").add_churn(customers, 30).html()
    with pytest.raises(ConfigError, match=r"There is no block 'tier'.*'tiers'"):
        Report("June").add("tier", customers)


def test_of_a_long_table_the_page_shows_the_first_rows_and_says_so(tmp_path: Path) -> None:
    rows = pd.DataFrame({"item": [f"thing {n}" for n in range(1_000)], "sales": 1.0})
    report = Report("Long")
    report.blocks.append(Block("Things", "Many things", more=(Table(rows, "All of them"),)))
    page = report.save(tmp_path / "long.html").read_text(encoding="utf-8")
    assert "thing 59<" in page
    assert "thing 60<" not in page
    assert "The first 60 of 1,000 rows; the workbook has them all." in page
    assert len(pd.read_excel(report.save(tmp_path / "long.xlsx"), sheet_name=None, engine="calamine")) >= 2


def test_notes_of_one_title_are_one_block_of_bullets() -> None:
    report = Report("June").add_note("Notes", "First.").add_note("Notes", "Second.").add_note("Other", "Third.")
    assert [(block.title, block.notes) for block in report.blocks] == [
        ("Notes", ("First.", "Second.")), ("Other", ("Third.",)),
    ]  # fmt: skip


def test_a_report_is_a_page_or_a_workbook(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"saved as .*, not as 'report\.doc'"):
        Report("June").save(tmp_path / "report.doc")
