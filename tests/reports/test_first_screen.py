"""The first screen: what changed, what to do, how far to believe it, in this order, and what stands under which heading."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date

import pandas as pd
import pytest

from crmkit import Report
from crmkit.pipeline.settings import Campaign
from crmkit.pipeline.stages import STAGES
from crmkit.pipeline.stages.campaigns import recognise_redemptions
from crmkit.pipeline.stages.reports import CHAPTERS, LEAD, chapters
from crmkit.pipeline.stages.summary import budgets_running_out, list_tasks
from crmkit.reports.block import Block, Table
from crmkit.reports.blocks.changes import changes, sales_since, tasks
from crmkit.reports.formats import in_html, kind_of
from crmkit.testing import generated_log


def days(*sales: float, first: str = "2017-01-02") -> pd.DataFrame:
    return pd.DataFrame({"period": pd.date_range(first, periods=len(sales)), "sales": list(sales)})


def test_one_night_is_compared_with_the_same_weekday() -> None:
    week = days(*[10.0] * 7, 20.0)
    assert sales_since(week, date(2017, 1, 8), date(2017, 1, 9)).endswith(
        "(1 day): 20.00, +100.0% on the same weekdays one week before."
    )


def test_what_began_later_is_compared_with_nothing() -> None:
    assert sales_since(days(1.0, 2.0), date(2017, 1, 1), date(2017, 1, 3)).endswith("(2 days): 3.00.")
    assert "nan" not in sales_since(days(), None, date(2017, 1, 3))


def test_a_year_before_stands_beside_it() -> None:
    long = days(*[1.0] * 364, *[2.0] * 28)
    told = sales_since(long, date(2018, 1, 1), date(2018, 1, 28), currency="EUR")
    assert "+100.0% on the same weekdays a year before" in told


def test_only_figures_that_both_runs_have_are_compared() -> None:
    block = changes({"customers": 12, "overdue complaints": 3}, {"customers": 10}, date(2017, 5, 31), ["Sales: 1.00."])
    assert block.table is not None
    assert block.table.frame.values.tolist() == [["customers", 10, 12, 2]]
    first = changes({"customers": 12}, None, None, ["Sales: 1.00.", "Tiers."])
    assert first.title == "Sales: 1.00"
    assert first.table is None
    assert "first run" in first.sentence


def test_segments_that_grew_and_shrank_are_named() -> None:
    segments = pd.DataFrame({"segment": ["loyal", "lost", "new"], "before": [5, 3, 1], "now": [9, 1, 1]})
    block = changes({}, {}, date(2017, 5, 31), ["Sales."], segments)
    assert block.notes == ("Segments: “loyal” grew most: 5 to 9 customers. “lost” shrank most: 3 to 1 customers.",)


def test_a_budget_runs_out_by_what_is_redeemed_outstanding_and_planned() -> None:
    deals = pd.DataFrame(
        {"deal_id": ["D1", "D2", "D3"], "title": "t", "starts": "2018-01-01", "ends": ["2018-01-31"] * 2 + ["2018-01-05"],
         "budget": [10.0, None, 1.0]}
    )  # fmt: skip
    left = deals.assign(redeemed=[5.0, 5.0, 1.0], outstanding=[2.0, 2.0, 0.0])
    none = budgets_running_out(deals, left, pd.Series({"D1": 0.9}), "2018-01-10")
    some = budgets_running_out(deals, left, pd.Series({"D1": 1.5}), "2018-01-10")
    assert not len(none)
    assert some[["deal_id", "left"]].values.tolist() == [["D1", 1.5]]


def test_tasks_count_complaints_by_person_and_leave_out_who_is_held_back() -> None:
    overdue = pd.DataFrame({"responsible": ["Kim", None], "days_overdue": [3, 9]})
    held = pd.DataFrame(
        {"customer_id": list("abc"), "value_at_risk": [5.0, 3.0, 2.0], "held_back": [False, True, False]}
    )
    found = list_tasks(held, overdue, currency="EUR")
    assert found is not None
    block = found["task_block"]
    assert isinstance(block, Block)
    assert block.title == "2 things to do"
    assert "2 overdue complaints, the longest 9 days late (Kim 1, nobody 1)" in block.notes[0]
    assert block.notes[1].startswith("Win back 2 customers, EUR 7.00 at risk: win_back.parquet. 1 more are held back")
    assert tasks([]).title == "Nothing is waiting to be done"


def test_the_first_screen_comes_before_trust_and_trust_before_the_rest() -> None:
    report = Report("June", blocks=[
        Block("Sales", "Much was sold", chapter="The shop"),
        Block("Churn", "Churn", verdict="It holds.", judged="Better than the rule.", chapter="Models"),
        Block("Track record", "Record", verdict="It came.", judged="Came true.", chapter="Models"),
    ])  # fmt: skip
    report.lead = [changes({}, None, None, ["Sales: 1.00."]), tasks([("Call them.", "Sales")])]
    page = report.html()
    places = [
        page.index(one) for one in ("Since last time", "Call them.", "can these numbers be trusted", "Much was sold")
    ]
    assert places == sorted(places)
    assert page.index("Came true.") < page.index("Better than the rule.")
    ids, links = re.findall(r'id="([^"]+)"', page), re.findall(r'href="#([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(links) <= set(ids)


def test_two_blocks_of_one_topic_have_addresses_of_their_own() -> None:
    page = Report("June", blocks=[Block("Win-back", "One"), Block("Win-back", "Two")]).html()
    assert 'id="win-back"' in page
    assert 'id="win-back-2"' in page


def test_every_block_of_the_run_has_its_heading() -> None:
    made = {name for one in STAGES for name in one.outputs if name.endswith(("_block", "_blocks"))}
    placed = {*LEAD, *(name for names in CHAPTERS.values() for name in names)}
    assert made <= placed
    assert chapters(["mine", "sales_block"]) == {"The shop": ["sales_block"], "More": ["mine"]}


@pytest.mark.parametrize(
    ("name", "values", "kind", "shown"),
    [
        ("budget", [9.0, 1234.5], "number", ["9.00", "1,234.50"]),
        ("outstanding", [0.0, 0.0], "number", ["0.00", "0.00"]),
        ("repeat_share", [0.41, 0.5], "share", ["41.0%", "50.0%"]),
        ("period", pd.to_datetime(["2017-01-01", "2017-02-01"]), "month", ["Jan 2017", "Feb 2017"]),
        ("period", pd.to_datetime(["2017-01-02", "2017-01-09"]), "date", ["02 Jan 2017", "09 Jan 2017"]),
    ],
)
def test_a_column_has_one_number_of_digits(name: str, values: list[float], kind: str, shown: list[str]) -> None:
    column = pd.Series(values, name=name)
    assert kind_of(column) == kind
    assert [in_html(kind, one) for one in column] == shown


def test_the_workbook_and_the_print_have_the_first_screen_too(tmp_path: object) -> None:
    block = replace(changes({"customers": 2}, {"customers": 1}, date(2017, 5, 31), ["Sales: 1.00."]), chapter="")
    report = Report("June", lead=[block], blocks=[Block("Sales", "Much", table=Table(pd.DataFrame({"sales": [1.0]})))])
    assert "Since last time" in pd.ExcelFile(report.save(f"{tmp_path}/r.xlsx"), engine="calamine").sheet_names


def test_before_a_campaign_was_sent_no_redemption_is_looked_for_in_the_lines() -> None:
    log = generated_log(n_customers=5, days=20)
    assert recognise_redemptions(log, [], campaign=Campaign(from_lines=True)) == {}
