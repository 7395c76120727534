"""The batch job night after night: deliveries that lack something, runs that were damaged, terms that leave nothing."""

from __future__ import annotations

import errno
import json
import os
import shutil
import warnings
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from crmkit import Deals, OfferPlan, RunResult, Transactions, run, stage
from crmkit.exceptions import ConfigError, CrmkitWarning, PublishError, RefusedError
from crmkit.pipeline.config import read_config
from crmkit.pipeline.quality import check_categories, check_last_days, check_members, check_rejected, why_none
from crmkit.pipeline.settings import Threshold, Thresholds
from crmkit.pipeline.stages.offers import _solved
from crmkit.reports.lists.content import ListContent, warn_of_endings
from crmkit.reports.lists.pdf_canvas import Canvas
from crmkit.testing import generated_sales

MISSING = Thresholds().missing_days
LABELS = {"r_score": 5, "f_score": 5, "m_score": 5, "segment": "champions", "tier": "A", "value": 9.0}


# -- What is delivered -----------------------------------------------------------------------------------------------


def test_members_without_a_match_are_refused_and_unmatched_ones_are_told() -> None:
    customers, usual = pd.DataFrame({"customer_id": ["0071", "0072", "0073"]}), Thresholds().unmatched_members
    with pytest.raises(RefusedError, match=r"3 of 3 customers are not among the 2 members.*leading zeros"):
        check_members(customers, pd.DataFrame({"customer_id": ["71", "72"]}), usual)
    with pytest.raises(RefusedError, match="the 0 members"):
        check_members(customers, pd.DataFrame({"customer_id": pd.Series(dtype="str")}), usual)
    with pytest.warns(CrmkitWarning, match=r"^2 of 3 customers are not among the 2 members"):
        check_members(customers, pd.DataFrame({"customer_id": ["0071", "0099"]}), usual)
    everybody = pd.DataFrame({"customer_id": ["0073", "0072", "0071", "0070"]})
    assert notes_of(check_members, customers, everybody, usual) == []
    with pytest.raises(RefusedError, match=r"raise stop of unmatched_members under \[thresholds\], now 0.5"):
        check_members(customers, pd.DataFrame({"customer_id": ["0071", "0099"]}), Threshold(stop=0.5))


def notes_of(function: Callable[..., None], *arguments: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function(*arguments)
    return [str(one.message) for one in caught]


def log_of(*days: str) -> Transactions:
    lines = pd.DataFrame({"customer_id": "a", "purchased_at": list(days), "amount": 1.0})
    return Transactions.from_extract(lines, until="2018-12-31")


def test_days_that_are_missing_at_the_end_are_told_and_many_are_refused() -> None:
    shut_on_sunday = log_of("2017-12-01", "2017-12-02", "2017-12-04", "2017-12-05", "2018-06-01")
    assert notes_of(check_last_days, shut_on_sunday, date(2017, 12, 5), MISSING) == []
    assert notes_of(check_last_days, shut_on_sunday, date(2017, 12, 6), MISSING) == []
    (note,) = notes_of(check_last_days, shut_on_sunday, date(2017, 12, 7), MISSING)
    assert note.startswith("The latest transaction is dated 2017-12-05, but results are as of 2017-12-07")
    assert len(notes_of(check_last_days, shut_on_sunday, date(2017, 12, 19), MISSING)) == 1
    with pytest.raises(
        RefusedError, match=r"dated 2017-12-05, .* as of 2017-12-20 .* at most 2 days .* --as-of 2017-12-05"
    ):
        check_last_days(shut_on_sunday, date(2017, 12, 20), MISSING)
    monthly = log_of("2017-01-01", "2017-02-01", "2017-03-01")
    assert len(notes_of(check_last_days, monthly, date(2017, 3, 1 + 30), MISSING)) == 0
    assert len(notes_of(check_last_days, monthly, date(2017, 8, 3), MISSING)) == 1
    with pytest.raises(RefusedError):
        check_last_days(monthly, date(2017, 8, 4), MISSING)
    assert notes_of(check_last_days, log_of("2017-01-01"), date(2018, 1, 1), MISSING) == []


def test_a_category_that_vanished_is_told_by_its_share_of_sales() -> None:
    days = pd.date_range("2017-01-01", "2017-05-31").astype(str)
    milk = pd.DataFrame({"customer_id": "a", "purchased_at": days, "amount": 3.0, "category": "Milk"})
    tea = milk[milk["purchased_at"] < "2017-05-10"].assign(category="Tea", amount=1.0)
    rare = milk.iloc[[100]].assign(category="Film")
    log = Transactions.from_extract(pd.concat([milk, tea, rare]), until="2017-05-31")
    warn = Threshold(warn=0.05)
    (told,) = notes_of(check_categories, log, date(2017, 5, 31), warn)
    assert told.startswith("1 categories with 23.0% of the sales of the 84 days before have sold nothing")
    assert "Tea" in told
    assert "Film" not in told
    assert notes_of(check_categories, log, date(2017, 5, 31), Threshold(warn=0.5)) == []
    assert notes_of(check_categories, log, date(2017, 5, 15), warn) == []
    with pytest.raises(RefusedError, match="vanished_categories under"):
        check_categories(log, date(2017, 5, 31), Threshold(stop=0.1))
    assert notes_of(check_categories, log_of("2017-01-01"), date(2017, 2, 1), warn) == []


def test_rejected_rows_and_money_are_judged_apart() -> None:
    till = pd.DataFrame(
        {"customer_id": "a", "purchased_at": ["2017-01-01"] * 9 + ["soon"], "amount": [1.0] * 9 + [90.0]}
    )
    _, found = Transactions.split_extract(till, until="2017-12-31")

    def judged(**terms: Threshold) -> list[str]:
        return notes_of(check_rejected, found, found.path, Thresholds(**({"rejected_rows": Threshold()} | terms)))

    assert judged() == []
    (rows,) = judged(rejected_rows=Threshold(warn=0.05))
    assert rows.startswith("1 of 10 rows are invalid.")
    (money,) = judged(rejected_money=Threshold(warn=0.5, stop=0.95))
    assert money.startswith("Invalid rows account for 90.00 of the 99.00 read.")
    with pytest.raises(RefusedError, match="raise stop of rejected_money"):
        judged(rejected_money=Threshold(stop=0.5))
    with pytest.raises(RefusedError, match="raise stop of rejected_rows"):
        notes_of(check_rejected, found, found.path, Thresholds())


# -- Night after night -----------------------------------------------------------------------------------------------


@stage("customers", "read")
def few_tables(transactions_files: Any, as_of: date, previous: Any = None, font: Any = None) -> dict[str, Any]:
    customers = pd.DataFrame({"customer_id": ["a"], "tier_since": [pd.Timestamp(as_of)], **LABELS})
    return {"customers": customers, "read": {}}


@pytest.fixture
def night(tmp_path: Path) -> Callable[..., RunResult]:
    """Publish a day into ``tmp_path / "out"``; the run writes a few small tables."""
    (tmp_path / "till.csv").write_text("customer_id,purchased_at,amount\na,2017-12-01,1\n")
    config = 'until = 2017-12-31\n[transactions]\nfiles = "till.csv"\n'

    def one(day: int, more: str = "", **options: Any) -> RunResult:
        (tmp_path / "crmkit.toml").write_text(config + more)
        options = {"stages": [few_tables]} | options
        return run(tmp_path / "crmkit.toml", tmp_path / "out", as_of=date(2017, 12, day), **options)

    return one


Night = Callable[..., RunResult]


def test_a_run_can_be_repeated_again_and_again(night: Night, tmp_path: Path) -> None:
    name = night(1).folder.resolve().name
    for number in (2, 3, 4):
        again = night(1, fresh=True)
        assert again.folder.resolve().name == f"{name}-{number}"
        assert [folder.name for folder in (tmp_path / "out" / "runs").iterdir()] == [f"{name}-{number}"]
    assert night(1).repeated


def test_a_run_that_another_took_the_place_of_goes_with_the_next_start(night: Night, tmp_path: Path) -> None:
    first = night(1).folder.resolve()
    shutil.copytree(first, first.with_name(f"{first.name}-2"))  # killed before it removed the one before
    assert night(1).repeated
    assert [folder.name for folder in (tmp_path / "out" / "runs").iterdir()] == [f"{first.name}-2"]


def test_a_folder_in_the_place_of_current_is_told_before_anything_is_read(night: Night, tmp_path: Path) -> None:
    (tmp_path / "out" / "CURRENT").mkdir(parents=True)
    with pytest.raises(PublishError, match="CURRENT is not the link to the newest run"):
        night(1)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".lock", "CURRENT"]


@pytest.mark.parametrize(
    ("name", "content"),
    [("run.json", b'{"run": '), ("run.json", b""), ("run.json", b"{}"), ("run.json", None)]
    + [("customers.parquet", b"PAR1 torn"), ("customers.parquet", None)],
)
def test_a_damaged_run_before_is_named_and_labels_start_anew(night: Night, name: str, content: bytes | None) -> None:
    damaged = night(1).folder.resolve() / name
    damaged.unlink()
    if content is not None:
        damaged.write_bytes(content)
    after = night(2)
    assert after.manifest["previous"] is None
    assert after.notes[0].startswith("Segments and tiers were rebuilt from scratch: ")
    assert name in after.notes[0]
    assert "Restore it from a backup" in after.notes[0]
    assert night(3).manifest["previous"] == after.manifest["run"]


def test_a_run_that_was_put_back_holds_labels_again(night: Night, tmp_path: Path) -> None:
    first = night(1)
    folder = first.folder.resolve()
    folder.rename(tmp_path / "copy")
    assert night(2).manifest["previous"] is None
    (tmp_path / "copy").rename(folder)
    (tmp_path / "out" / "CURRENT").unlink()
    (tmp_path / "out" / "CURRENT").symlink_to(Path("runs") / folder.name)
    again = night(2)
    assert (again.repeated, again.manifest["previous"]) == (False, first.manifest["run"])


def test_a_run_that_current_pointed_at_and_is_gone_is_told(night: Night, tmp_path: Path) -> None:
    night(1)
    shutil.rmtree(night(2).folder.resolve())
    assert "rebuilt from scratch" in night(3).notes[0]
    (tmp_path / "out" / "CURRENT").unlink()
    assert "rebuilt from scratch" in night(4).notes[0]


def test_an_earlier_day_leaves_current_and_the_chain_alone(night: Night, tmp_path: Path) -> None:
    first, newest = night(1), night(20)
    link = os.readlink(tmp_path / "out" / "CURRENT")
    for repeated in (False, True):
        earlier = night(10)
        assert earlier.repeated is repeated
        assert earlier.folder.parent.name == "runs"
        assert earlier.manifest["previous"] == first.manifest["run"]
        assert "CURRENT stays at the run of 2017-12-20" in earlier.notes[-1]
        assert os.readlink(tmp_path / "out" / "CURRENT") == link
    assert night(21).manifest["previous"] == newest.manifest["run"]
    assert night(21, "[lists]\ntitle = 'Other'\n").folder.name == "CURRENT"


def test_a_published_run_whose_files_are_gone_or_changed_is_made_again(night: Night, tmp_path: Path) -> None:
    table = night(1).folder / "customers.parquet"
    valid = table.read_bytes()
    assert night(1).repeated
    for damage in (lambda: table.unlink(), lambda: table.write_bytes(valid[:-1]), (table.parent / "run.json").unlink):
        damage()
        assert not night(1).repeated
        assert table.read_bytes() == valid
    assert len(list((tmp_path / "out" / "runs").iterdir())) == 1


def test_a_full_disk_is_said_as_such_and_the_next_run_goes_on(night: Night, tmp_path: Path) -> None:
    @stage("more")
    def full(customers: Any) -> None:
        raise RuntimeError(f'IO Error: Could not write file "x": {os.strerror(errno.ENOSPC)}')

    with pytest.raises(PublishError, match="No space left on the disk"):
        night(1, stages=[few_tables, full])
    (part,) = (tmp_path / "out" / "runs").iterdir()
    assert part.suffix == ".part"
    done = night(1)
    assert [one["action"] for one in done.manifest["stages"]] == ["kept"]
    assert [folder.suffix for folder in (tmp_path / "out" / "runs").iterdir()] == [""]


def test_the_font_starts_from_the_configuration_and_is_an_input(night: Night, tmp_path: Path) -> None:
    (tmp_path / "own.ttf").write_bytes(b"one")
    lists = '[lists]\nfont = "own.ttf"\n'
    first = night(1, lists)
    assert [given["table"] for given in first.manifest["inputs"]] == ["transactions", "lists.font"]
    assert night(1, lists).repeated
    (tmp_path / "own.ttf").write_bytes(b"other")
    assert not night(1, lists).repeated
    with pytest.raises(ConfigError, match=r"\[lists\] font: there is no file"):
        night(1, lists.replace("own", "absent"))


def test_until_may_be_yesterday_or_the_latest_day(tmp_path: Path) -> None:
    yesterday = date.today() - timedelta(days=1)
    days = [*pd.date_range("2017-01-01", "2017-12-05").astype(str)] * 2 + ["2071-12-01", str(yesterday)][:1]
    (tmp_path / "till.csv").write_text("customer_id,purchased_at,amount\n" + "".join(f"a,{day},1\n" for day in days))
    config = {"transactions": {"files": "till.csv"}}

    @stage("read")
    def read(transactions_files: Any, until: date) -> dict[str, Any]:
        return {"read": {"until": str(until)}}

    latest = run(config | {"until": "latest"}, tmp_path / "a", home=tmp_path, stages=[read])
    assert (latest.manifest["as_of"], latest.manifest["read"]["until"]) == ("2017-12-05", "2017-12-05")
    assert latest.manifest["settings"]["until"] == "2017-12-05"
    last = run(config | {"until": "yesterday"}, tmp_path / "b", home=tmp_path, stages=[read])
    assert last.manifest["as_of"] == str(yesterday)
    with pytest.raises(ConfigError, match=r'set until = 2017-12-09 \(or "yesterday", or "latest"\)'):
        run(config | {"until": "latest"}, tmp_path / "a", home=tmp_path, as_of="2017-12-09", stages=[read])
    with pytest.raises(ConfigError, match="until"):
        run(config | {"until": "tomorrow"}, tmp_path / "a", home=tmp_path, stages=[read])


def test_a_new_stage_is_one_function_and_one_line(night: Night) -> None:
    @stage("birthdays")
    def birthdays(customers: pd.DataFrame, as_of: date) -> dict[str, Any]:
        """Whose birthday is near."""
        return {"birthdays": customers[["customer_id"]]}

    done = night(1, stages=[few_tables, birthdays])
    assert done.tables["birthdays"]["customer_id"].tolist() == ["a"]
    assert done.manifest["rows"]["birthdays"] == 1
    assert json.loads((done.folder / ".birthdays.json").read_text())["stage"] == "birthdays"


# -- Terms -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ("min_weekly_spend = inf", "offers.min_weekly_spend: Input should be a finite number"),
        ("response = inf", "offers.response: Input should be a finite number"),
        ("control = true", "offers.control: Input should be a valid number"),
        ("control = 1.0", "offers.control: Input should be less than 1"),
        ("slots = true", "offers.slots: Input should be a valid integer"),
        ("min_worth = { A = true }", "offers.min_worth.A: Input should be a valid number"),
    ],
)
def test_numbers_that_are_none_are_refused(tmp_path: Path, terms: str, message: str) -> None:
    file = tmp_path / "c.toml"
    file.write_text(f'until = 2017-12-31\n[transactions]\nfiles = "t.csv"\n[offers]\n{terms}\n')
    with pytest.raises(ConfigError) as raised:
        read_config(file)
    assert message in str(raised.value)


def test_a_day_without_dashes_is_no_day(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('until = 20171231\n[transactions]\nfiles = "t.csv"\n')
    with pytest.raises(ConfigError, match="20171231 is a number, not a day; write it as until = 2017-12-31"):
        read_config(tmp_path / "c.toml")


DUE = pd.DataFrame({"customer_id": list("abcd"), "category": "Milk", "p_purchase": 0.5, "spend": 5.0})


def deals_of(category: str = "Milk", budget: float = 10, value: float = 0.5) -> Deals:
    row = {"deal_id": "D", "title": "t", "category": category, "funder": "M", "value": value, "budget": budget}
    return Deals.from_extract(pd.DataFrame([row | {"starts": "2017-01-01", "ends": "2017-12-31"}]))


@pytest.mark.parametrize(
    ("deals", "terms", "why"),
    [
        (deals_of(budget=0), {}, "every deal that is valid on its days has a budget of 0"),
        (deals_of(), {"control": 1.0}, "every eligible member is in the control group"),
        (deals_of(), {"control": 0.0, "min_weekly_spend": 99}, "every member is excluded"),
        (deals_of(), {"control": 0.0, "store_budget": 0.0}, "no offer has an expected gain within the budgets"),
    ],
)
def test_why_nobody_gets_an_offer_is_said(deals: Deals, terms: dict[str, Any], why: str) -> None:
    deals = Deals(deals.frame.assign(funder_share=0.5))
    customers = pd.DataFrame({"customer_id": list("abcd"), "weekly_spend": 10.0})
    plan = OfferPlan(deals, **terms).solve(DUE, customers)
    assert not len(plan.offers)
    assert why in why_none(deals.frame, DUE, plan)
    none_fit = why_none(deals_of("Tea").frame, DUE, plan)
    assert "none of the categories with a current deal has repurchase predictions" in none_fit
    assert "no deal is valid on its days" in why_none(deals.frame.iloc[:0], DUE, plan)


def test_a_night_goes_on_where_no_deal_is_for_anything_due() -> None:
    customers = pd.DataFrame({"customer_id": list("abcd"), "weekly_spend": 10.0})
    with pytest.warns(CrmkitWarning, match="No deal is for anything that is due"):
        assert _solved(OfferPlan(deals_of("Tea")), DUE, customers) is None


def test_a_card_number_that_fonts_may_lack_is_left_out_with_a_note() -> None:
    due = DUE.assign(customer_id=["0000001猫", "00000002", "00000003", "00000004"])
    offers = pd.DataFrame({"customer_id": due["customer_id"][:2], "deal_id": "D", "position": 1})
    lists = ListContent.of(offers, deals_of(), due, as_of="2017-03-01", horizon=14)
    assert lists.unshown == 1
    with pytest.warns(UserWarning, match="1 lists do not show the end of the card number"):
        warn_of_endings(lists.unshown)
    assert [page.card_ending for page in lists.pages] == ["0002", ""]
    Canvas(None, date(2017, 3, 1)).check(lists.texts())


def test_a_font_that_lacks_a_character_is_named_with_its_setting() -> None:
    with pytest.raises(ConfigError, match=r"'猫'.*\[lists\] font"):
        Canvas(None, date(2017, 3, 1)).check([("猫", "the title")])


def test_the_second_night_of_all_keeps_the_models_of_the_first(tmp_path: Path) -> None:
    """That there is an earlier run for the first time is no reason to fit anew."""
    generated_sales(n_customers=60, days=200).to_csv(tmp_path / "till.csv", index=False)
    config = {"until": "2017-07-19", "transactions": {"files": "till.csv"}}
    nights = [run(config, tmp_path / "out", home=tmp_path, as_of=day) for day in ("2017-07-01", "2017-07-02")]
    stages = {stage["stage"]: stage for stage in nights[1].manifest["stages"]}
    assert {stages[name]["why"] for name in ("fit-value", "fit-churn")} == {"made on 2017-07-01"}
