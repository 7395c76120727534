"""The batch job: published in one step or not at all, the same again for the same inputs, exit codes as documented."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pypdfium2
import pytest
from filelock import FileLock

from crmkit import Deals, RFMScores, Transactions, ValueTiers, campaign_effect, read_extract, run
from crmkit.campaigns.contact_history import CAMPAIGN_TABLES, LastCampaign
from crmkit.exceptions import CrmkitWarning
from crmkit.pipeline.history import Previous
from crmkit.pipeline.settings import Thresholds, Value
from crmkit.pipeline.sources import earlier_runs
from crmkit.pipeline.stages import STAGES
from crmkit.pipeline.stages.customers import customers as customer_rows
from crmkit.pipeline.stages.customers import tier_changes as changed_tiers
from crmkit.testing import generated_sales

OUTPUTS = {
    "customers.parquet",
    "repurchases.parquet",
    "offers.parquet",
    "rejections.parquet",
    "report.html",
    "run.json",
}

CONFIG = """
title = "Corner shop"
until = 2017-12-31
[transactions]
files = "till*.csv"
columns = { customer_id = "card" }
[deals]
files = "deals.csv"
[offers]
slots = 3
min_weekly_spend = 1
"""

DEALS = """deal_id,title,category,funder,funder_share,value,budget,starts,ends,barcode
D1,"0.50 off Category 01",Category 01,Maker 1,1,0.50,40,2017-06-01,2018-01-31,
D2,"<b>1.00 off</b> Category 02",Category 02,Maker 2,1,1.00,40,2017-06-01,2018-01-31,
"""


def crmkit(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "crmkit", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]


@pytest.fixture(scope="module")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("delivery")
    sales = generated_sales(n_customers=300, days=365, seed=9).rename(columns={"customer_id": "card"})
    sales.loc[sales.index[:3], "card"] = ""
    for month, lines in sales.groupby(sales["purchased_at"].dt.month):
        lines.to_csv(folder / f"till-{month:02d}.csv", index=False)
    (folder / "deals.csv").write_text(DEALS)
    (folder / "crmkit.toml").write_text(CONFIG)
    return folder


@pytest.fixture(scope="module")
def published(delivery: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """October's run, and then that of the whole year in the same folder."""
    out = tmp_path_factory.mktemp("out")
    first = crmkit("run", delivery / "crmkit.toml", "--out", out, "--as-of", "2017-10-31")
    assert first.returncode == 0, first.stderr
    sent = crmkit("sent", "2017-11-01", "--out", out)
    assert "Campaign 2017-11-01 is marked as sent: " in sent.stdout
    done = crmkit("run", delivery / "crmkit.toml", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "Report: " in done.stdout
    return out


def test_a_run_publishes_everything_under_current(published: Path) -> None:
    current = published / "CURRENT"
    assert {file.name for file in current.iterdir()} >= OUTPUTS
    assert (current / "lists" / "lists.pdf").read_bytes().startswith(b"%PDF")
    assert os.readlink(current).startswith("runs/")
    assert not list(published.glob("runs/*.part"))


def test_the_manifest_accounts_for_rows_money_inputs_and_outputs(published: Path, delivery: Path) -> None:
    manifest = json.loads((published / "CURRENT" / "run.json").read_text())
    read = manifest["read"]
    n_lines = sum(len(pd.read_csv(file)) for file in delivery.glob("till*.csv"))
    assert read["rows"] == n_lines == read["used"] + read["rejected"] + read["duplicate"]
    assert read["reasons"] == {"customer_id is missing": 3}
    assert len(manifest["inputs"]) == 13
    assert all(len(entry["sha256"]) == 64 for entry in manifest["inputs"])
    checks = [manifest[f"{name}_backtest"] for name in ("value", "churn", "repurchase")]
    assert [check["subject"] for check in checks] == ["Lifetime value", "Churn", "Next purchase"]
    assert {"versions", "settings", "stages", "rows", "outputs", "as_of", "run"} <= set(manifest)


def test_one_row_a_customer_with_every_score(published: Path) -> None:
    customers = pd.read_parquet(published / "CURRENT" / "customers.parquet")
    assert not customers["customer_id"].duplicated().any()
    needed = ["frequency", "value", "tier", "segment", "p_churn", "value_at_risk", "weekly_spend", "p_alive"]
    assert not customers[needed].isna().any().any()
    offers = pd.read_parquet(published / "CURRENT" / "offers.parquet")
    control = pd.read_parquet(published / "CURRENT" / "control.parquet")
    assert len(offers)
    assert set(offers["customer_id"]) <= set(customers.loc[customers["weekly_spend"] >= 1, "customer_id"])
    assert not set(offers["customer_id"]) & set(control["customer_id"])


def run_of(out: Path, day: str) -> tuple[dict[str, Any], pd.DataFrame]:
    (folder,) = out.glob(f"runs/{day}*")
    customers = pd.read_parquet(folder / "customers.parquet").set_index("customer_id")
    return json.loads((folder / "run.json").read_text()), customers


def test_labels_are_held_by_those_of_the_run_before(published: Path) -> None:
    first, before = run_of(published, "2017-10-31")
    second, after = run_of(published, "2017-12-31")
    assert (first["previous"], second["previous"]) == (None, first["run"])
    tiers = ValueTiers().fit(after["value"])
    assert after["tier"].equals(tiers.transform(after["value"], previous=before["tier"]))
    assert (after["tier"] != tiers.transform(after["value"])).any()
    scores = RFMScores().fit(after).transform(after, previous=before)
    pd.testing.assert_frame_equal(after[scores.columns], scores, check_dtype=False)
    assert (scores["segment"] != RFMScores().fit_transform(after)["segment"]).any()
    stayed = (after["tier"] == before["tier"].reindex(after.index)).to_numpy()
    assert 0 < stayed.sum() < len(after)
    assert (after.loc[stayed, "tier_since"] == pd.Timestamp("2017-10-31")).all()
    assert (after.loc[~stayed, "tier_since"] == pd.Timestamp("2017-12-31")).all()


def test_the_last_campaign_is_measured_before_the_next(published: Path, delivery: Path) -> None:
    (first, _), (second, _) = run_of(published, "2017-10-31"), run_of(published, "2017-12-31")
    (folder,) = published.glob("runs/2017-10-31*")
    assert "last_campaign_told" not in first
    assert second["last_campaign_told"]["told"].startswith("The 14 days after 31 October 2017. The campaign added ")
    assert "The campaign of the 14 days after 31 October 2017" in (published / "CURRENT" / "report.html").read_text()

    lines = pd.concat([pd.read_csv(file, dtype={"card": str}) for file in delivery.glob("till*.csv")])
    lines["day"] = pd.to_datetime(lines["purchased_at"]).dt.normalize()
    spend = [
        lines[lines["day"].between(start, end)].groupby("card")["amount"].sum()
        for start, end in (("2017-11-01", "2017-11-14"), ("2017-10-18", "2017-10-31"))
    ]
    groups = [pd.read_parquet(folder / f"{name}.parquet") for name in ("planned", "control")]
    assert str(campaign_effect(spend[0], *groups, spend[1])) in second["last_campaign_told"]["told"]
    log, _ = Transactions.split_extract(
        read_extract(sorted(delivery.glob("till*.csv"))), until="2017-11-13", customer_id="card"
    )
    tables = {name: pd.read_parquet(folder / f"{name}.parquet") for name in CAMPAIGN_TABLES}
    assert LastCampaign.of(tables, log, 1.25) is None
    assert LastCampaign.of({}, log, 1.25) is None

    deals = tables["deals"]
    tables["deals"] = deals.assign(brand_type="national")
    branded = LastCampaign.of(tables, replace(log, until=date(2017, 12, 31)), 1.25)
    assert branded is not None
    assert branded.response is None
    assert branded.for_deals(Deals(deals)).frame.equals(deals)
    assert "remains the assumed one: No due item" in str(branded)


def test_every_change_of_tier_is_listed_with_its_reason(published: Path) -> None:
    _, before = run_of(published, "2017-10-31")
    _, after = run_of(published, "2017-12-31")
    changes = pd.read_parquet(published / "CURRENT" / "tier_changes.parquet").set_index("customer_id")
    newcomers = after.index.difference(before.index)
    moved = [member for member in before.index if before["tier"][member] != after["tier"][member]]
    assert sorted(changes.index) == sorted([*newcomers, *moved])
    assert (changes.loc[newcomers, "reason"] == "first seen since").all()
    assert changes.loc[moved, "reason"].str.contains("value|threshold", regex=True).all()
    assert (changes["after"] == after["tier"][changes.index]).all()
    assert len(list(published.glob("runs/*/tier_changes.parquet"))) == 1
    assert f"Since 31 October 2017, of {len(after)} customers" in (published / "CURRENT" / "report.html").read_text()


def test_the_run_before_is_never_of_the_same_day_or_a_later_one(published: Path) -> None:
    for day, earlier in (("2018-01-01", "2017-12-31"), ("2017-12-31", "2017-10-31"), ("2017-11-15", "2017-10-31")):
        runs, notes = earlier_runs(published, date.fromisoformat(day))
        assert str(runs[0].day) == earlier
        assert notes == []
    assert earlier_runs(published, date(2017, 10, 31)) == ([], [])
    assert earlier_runs(published / "nothing", date(2018, 1, 1)) == ([], [])


@pytest.mark.parametrize(
    ("horizon", "customer", "note"),
    [(180, "a", "[value] changed since the run of 2017-05-31"), (365, "z", "had none of these customers")],
)
def test_other_terms_or_other_customers_start_anew(horizon: int, customer: str, note: str) -> None:
    summary = pd.DataFrame(
        {"customer_id": ["a", "b"], "days_since_last": [1, 5], "n_purchases": [4, 1], "total_spend": 9.0}
    ).assign(frequency=[3, 0], recency=[20, 0], T=[21, 5])
    values = pd.DataFrame({"customer_id": ["a", "b"], "value": [50, 45]})
    known = summary.merge(values).assign(customer_id=[customer, "y"], r_score=5, f_score=5, m_score=5)
    known = known.assign(segment="champions", tier="A", tier_since=pd.Timestamp("2017-05-31"))
    before = Previous(date(2017, 5, 31), Value().model_dump(mode="json"), known)
    risks = pd.DataFrame({"customer_id": ["a", "b"], "p_churn": 0.5, "value_at_risk": 1.0})
    today = date(2017, 12, 31)
    terms = {"value": Value(horizon=horizon)}
    with pytest.warns(CrmkitWarning, match=re.escape(note)):
        made = customer_rows(
            summary, values, risks, today, None, before, thresholds=Thresholds(), level="card", **terms
        )
    with pytest.warns(CrmkitWarning, match=re.escape(note)):
        assert changed_tiers(made["customers"], before, currency="", **terms) == {}
    assert made["customers"]["tier"].tolist() == ValueTiers().fit_transform(values["value"]).tolist()
    assert (made["customers"]["tier_since"] == pd.Timestamp("2017-12-31")).all()


def planned(delivery: Path, home: Path, more: str, **tables: str) -> Path:
    """The published folder of a run on lines with brand types, whose configuration goes on with ``more``.

    It does not look back, which takes long.
    """
    folder = shutil.copytree(delivery, home / "delivery")
    for file in folder.glob("till*.csv"):
        lines = pd.read_csv(file, dtype=str)
        lines.assign(brand_type=np.where(lines.index % 3, "national", "store")).to_csv(file, index=False)
    for name, content in tables.items():
        (folder / f"{name}.csv").write_text(content)
    (folder / "planned.toml").write_text(CONFIG + more)
    stages = [replace(one, work=lambda *_, **__: {}) if one.name.startswith("backtest-") else one for one in STAGES]
    return run(folder / "planned.toml", home / "out", stages=stages).folder


def test_the_plan_keeps_the_terms_of_the_configuration(delivery: Path, tmp_path: Path) -> None:
    terms = (
        'store_budget = 1\nfunder_budgets = { "Maker 1" = 0.5 }\nmin_reach = { "Maker 2" = 1000 }\n'
        'min_worth = { A = 1.5 }\n[tips]\nfiles = "tips.csv"\ncolumns = { title = "recipe" }\n'
    )
    deals = DEALS.replace(",1,0.50", ",0.5,0.50").replace(",1,1.00", ",0.5,1.00")
    tips = "tip_id,category,recipe\nT1,Category 01,Pancakes\nT2,Category 02,Tea and scones\n"
    current = planned(delivery, tmp_path, terms, deals=deals, tips=tips)
    offers = pd.read_parquet(current / "offers.parquet")
    spent = offers.groupby("deal_id")["expected_cost"].sum()
    assert spent["D1"] * 0.5 <= 0.5 + 1e-9
    assert 0 < spent.sum() * 0.5 <= 1 + 1e-9
    page = (current / "report.html").read_text()
    assert "of the required 1,000 members reached" in page
    assert re.search(
        r"each extra 1\.00 of (Maker 1&#39;s budget|the store&#39;s own budget|budget for deal D\d) adds", page
    )
    assert "each budget is kept with a probability of 95%" in page
    document = pypdfium2.PdfDocument(current / "lists" / "lists.pdf")
    assert "Pancakes" in "".join(page.get_textpage().get_text_range() for page in document)


def test_the_mailing_system_gets_the_offers_with_what_to_print(delivery: Path, tmp_path: Path) -> None:
    deals = DEALS.replace('"<b>1.00', '"=1.00')
    current = planned(delivery, tmp_path, "", deals=deals)
    whole = pd.read_parquet(current / "offers.parquet")
    mailing = pd.read_csv(current / "offers.csv", dtype={"customer_id": str})
    assert list(mailing.columns) == list(whole.columns)
    assert {"title", "starts", "ends", "barcode"} <= set(whole.columns)
    assert mailing["customer_id"].tolist() == whole["customer_id"].tolist()
    assert set(whole["title"]) >= {"=1.00 off</b> Category 02"}
    assert "'=1.00 off</b> Category 02" in set(mailing["title"])


def test_deals_that_depend_on_usage_follow_the_members_groups(delivery: Path, tmp_path: Path) -> None:
    deals = DEALS.replace("funder_share,", "funder_share,value_heavy,").replace(",1,0.50", ",1,1.50,0.50")
    deals = deals.replace(",1,1.00", ",1,,1.00")
    current = planned(delivery, tmp_path, "", deals=deals)
    values = pd.read_parquet(current / "offers.parquet").query("deal_id == 'D1'")["value"]
    assert set(values) == {0.5, 1.5}


def test_strangers_cannot_read_the_output(published: Path) -> None:
    for file in (published / "CURRENT").resolve().rglob("*"):
        assert not file.stat().st_mode & 0o007


def test_the_same_run_again_does_nothing_and_a_fresh_one_gives_the_same_bytes(published: Path, delivery: Path) -> None:
    before = json.loads((published / "CURRENT" / "run.json").read_text())["outputs"]
    again = crmkit("run", delivery / "crmkit.toml", "--out", published)
    assert again.returncode == 0
    assert "Nothing to do" in again.stdout
    forced = crmkit("run", delivery / "crmkit.toml", "--out", published, "--fresh")
    assert forced.returncode == 0, forced.stderr
    assert json.loads((published / "CURRENT" / "run.json").read_text())["outputs"] == before


def test_a_plan_is_printed_and_single_stages_are_redone(published: Path, delivery: Path) -> None:
    config, before = delivery / "crmkit.toml", (published / "CURRENT").resolve()
    told = crmkit("run", config, "--out", published, "--dry-run", "--json", "--from", "plan-offers")
    plan = {row["stage"]: (row["action"], row["why"]) for row in json.loads(told.stdout)}
    assert plan["plan-offers"] == ("run", "asked for")
    assert plan["load"][0] == "kept"
    reading = {row["stage"] for row in json.loads(told.stdout) if row["reads_history"]}
    assert {"summarise", "share-of-deals"} <= reading
    assert {"plan-offers", "customers", "report", "print-lists"}.isdisjoint(reading)
    assert (published / "CURRENT").resolve() == before
    assert "plan-offers" in crmkit("run", config, "--out", published, "--dry-run").stdout
    redone = crmkit("run", config, "--out", published, "--only", "cohorts", "--quiet", "--json")
    assert (redone.returncode, redone.stderr) == (0, "")
    stages = json.loads(redone.stdout)["stages"]
    assert [one["stage"] for one in stages if one["action"] == "run"] == ["cohorts"]
    assert {"seconds", "processor", "peak_mb"} <= set(next(one for one in stages if one["stage"] == "cohorts"))
    unknown = crmkit("run", config, "--out", published, "--only", "cohort")
    assert (unknown.returncode, "There is no stage 'cohort'" in unknown.stderr) == (78, True)


def test_as_of_uses_nothing_that_came_later(delivery: Path, tmp_path: Path) -> None:
    early = tmp_path / "early"
    early.mkdir()
    for file in delivery.iterdir():
        if file.name < "till-10" or not file.name.startswith("till"):
            (early / file.name).write_bytes(file.read_bytes())
    whole = crmkit("run", delivery / "crmkit.toml", "--out", tmp_path / "a", "--as-of", "2017-09-30")
    known = crmkit("run", early / "crmkit.toml", "--out", tmp_path / "b", "--as-of", "2017-09-30")
    assert (whole.returncode, known.returncode) == (0, 0), whole.stderr + known.stderr
    for name in ("customers", "repurchases", "offers", "control"):
        one, other = (pq.read_table(tmp_path / out / "CURRENT" / f"{name}.parquet") for out in "ab")
        assert one.equals(other), name


def test_no_id_leaves_through_the_terminal_or_the_manifest(published: Path, delivery: Path) -> None:
    ids = pd.read_parquet(published / "CURRENT" / "customers.parquet", columns=["customer_id"])["customer_id"]
    manifest = (published / "CURRENT" / "run.json").read_text()
    page = (published / "CURRENT" / "report.html").read_text()
    rejected = pd.read_parquet(published / "CURRENT" / "rejections.parquet").to_csv()
    assert not [member for member in ids if f'"{member}"' in manifest or f">{member}<" in page or member in rejected]


def test_another_run_in_the_same_folder_is_told_to_wait(published: Path, delivery: Path) -> None:
    with FileLock(published / ".lock"):
        busy = crmkit("run", delivery / "crmkit.toml", "--out", published)
    assert busy.returncode == 75
    assert "Another run is writing" in busy.stderr


@pytest.mark.parametrize(
    ("name", "content", "code", "message"),
    [
        ("absent.toml", None, 78, "cannot be read"),
        ("broken.toml", "until = ", 78, "is not TOML"),
        ("key.toml", CONFIG.replace("title", "titel"), 78, "did you mean 'title'?"),
        ("deep.toml", CONFIG.replace("slots", "slot"), 78, "offers.slot: unknown key; did you mean 'slots'?"),
        ("files.toml", CONFIG.replace("till*.csv", "absent*.csv"), 66, "No file matches"),
        ("column.toml", CONFIG.replace('"card"', '"crad"'), 65, "'crad' (for customer_id)"),
        ("zone.toml", CONFIG.replace("columns", 'time_zone = "Mars/Base"\ncolumns', 1), 78, "no time zone 'Mars/Base'"),
        ("early.toml", CONFIG.replace("2017-12-31", "2017-02-01"), 65, "Set until to the last day of the delivery"),
        ("late.toml", CONFIG.replace("2017-12-31", "2027-12-31"), 65, "The latest transaction is dated 2017-12-31"),
    ],
)
def test_what_is_wrong_is_said_with_its_exit_code(
    delivery: Path, tmp_path: Path, name: str, content: str | None, code: int, message: str
) -> None:
    config = delivery / name
    if content is not None:
        config.write_text(content)
    done = crmkit("run", config, "--out", tmp_path / "out")
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out" / "CURRENT").exists()


def test_wrong_usage_exits_with_2(delivery: Path) -> None:
    assert crmkit("run").returncode == 2
    assert crmkit("run", delivery / "crmkit.toml", "--as-of", "31.12.2017").returncode == 2


def test_an_output_folder_that_cannot_be_made_exits_with_74(delivery: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = crmkit("run", delivery / "crmkit.toml", "--out", tmp_path / "file" / "out")
    assert done.returncode == 74
    assert "cannot be made or written" in done.stderr


def test_a_failed_run_leaves_the_published_one_alone(published: Path, delivery: Path) -> None:
    before = os.readlink(published / "CURRENT")
    config = delivery / "broken-deals.toml"
    config.write_text(CONFIG.replace("deals.csv", "bad-deals.csv"))
    (delivery / "bad-deals.csv").write_text(DEALS.replace("0.50,40", "0.50,-1"))
    done = crmkit("run", config, "--out", published)
    assert done.returncode == 65
    assert "budget is below 0" in done.stderr
    assert "The stage read-deals failed." in done.stderr
    assert os.readlink(published / "CURRENT") == before
    (part,) = published.glob("runs/*.part")
    assert (part / "repurchases.parquet").is_file()
    assert not (part / "report.html").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a POSIX signal")
def test_a_killed_run_publishes_nothing_and_the_next_one_goes_on_from_there(delivery: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "crmkit", "run", str(delivery / "crmkit.toml"), "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(out.glob("runs/*.part/*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "CURRENT").exists()
    (part,) = out.glob("runs/*.part")
    finished = {file.name.strip(".").removesuffix(".json") for file in part.glob(".*.json")}
    assert crmkit("run", delivery / "crmkit.toml", "--out", out).returncode == 0
    assert not list(out.glob("runs/*.part"))
    stages = json.loads((out / "CURRENT" / "run.json").read_text())["stages"]
    assert {one["stage"] for one in stages if one["action"] == "kept"} == finished
    assert {file.name for file in (out / "CURRENT").iterdir()} >= OUTPUTS


def test_help_is_quick_to_import() -> None:
    code = "import sys, crmkit.pipeline.cli; print(sorted({'pandas', 'sklearn', 'duckdb', 'matplotlib', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    shown = crmkit("run", "--help")
    assert shown.returncode == 0
    assert "--as-of" in shown.stdout
    assert crmkit("--version").stdout.startswith("crmkit 0.")


def config_of(folder: Path, sales: pd.DataFrame, more: str = "") -> Path:
    sales.to_csv(folder / "till.csv", index=False)
    (folder / "crmkit.toml").write_text(f'until = 2017-12-31\n{more}\n[transactions]\nfiles = "till.csv"\n')
    return folder / "crmkit.toml"


def test_scores_that_cannot_be_had_are_null_and_stop_nothing(tmp_path: Path) -> None:
    weeks = pd.date_range("2017-01-01", "2017-12-31", freq="7D")
    everybody_always = pd.DataFrame(
        [(f"m{n}", day, 5.0 + n % 3, "Milk") for n in range(60) for day in weeks],
        columns=["customer_id", "purchased_at", "amount", "category"],
    )
    done = crmkit("run", config_of(tmp_path, everybody_always), "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    churn = json.loads((tmp_path / "out" / "CURRENT" / "run.json").read_text())["churn_backtest"]["scores"]
    assert churn["churn model"]["auc"] is None
    assert churn["churn model"]["log_loss"] < 0.5


def test_a_shop_where_nobody_came_back_yet_is_told_so(tmp_path: Path) -> None:
    once = pd.DataFrame({"customer_id": range(50), "purchased_at": "2017-05-01", "amount": 5.0})
    done = crmkit("run", config_of(tmp_path, once), "--out", tmp_path / "out")
    assert done.returncode == 65
    assert "bought on a second day" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        ("[value]\ntiers = [0.5, 0.4]", 78, "sum to 1"),
        ("[value]\nannual_discount = inf", 78, "value.annual_discount"),
        ('[repurchase]\nby = "brand"', 78, "which the lines do not have"),
        ('[repurchase]\nby = "brand"\n[tips]\nfiles = "till.csv"', 78, "tips are chosen by 'category'"),
        ("[offers]\nstore_budget = -1", 78, "offers.store_budget"),
        ("[offers]\nfunder_budgets = { Maker = inf }", 78, "offers.funder_budgets.Maker"),
        ('[lists]\nfont = "absent.ttf"', 78, "[lists] font: there is no file"),
        ("[offers]\nmin_worth = { gold = 30 }", 78, "names ['gold']; the tiers are ['A', 'B', 'C', 'D']"),
        ("[offers]\ntips = 2", 78, "offers.tips: unknown key; did you mean 'tip_slots'?"),
        ('[products]\nfiles = "till.csv"\ncolumns = { folder = "amount" }', 78, "'folder' is not a column of products"),
    ],
)
def test_mistakes_of_the_configuration_are_told_as_such(tmp_path: Path, more: str, code: int, message: str) -> None:
    sales = generated_sales(n_customers=40, days=365)
    config = config_of(tmp_path, sales)
    config.write_text(f"{config.read_text()}{more}\n")
    done = crmkit("run", config, "--out", tmp_path / "out")
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert {file.name for file in tmp_path.iterdir()} <= {"till.csv", "crmkit.toml", "out"}


def test_a_day_after_the_last_observed_one_is_refused_at_once(delivery: Path, tmp_path: Path) -> None:
    done = crmkit("run", delivery / "crmkit.toml", "--out", tmp_path / "out", "--as-of", "2018-05-01")
    assert done.returncode == 78
    assert "after until" in done.stderr


def test_an_earlier_day_says_what_was_not_looked_at(delivery: Path, tmp_path: Path) -> None:
    done = crmkit("run", delivery / "crmkit.toml", "--out", tmp_path / "out", "--as-of", "2017-06-30")
    assert done.returncode == 0, done.stderr
    current = tmp_path / "out" / "CURRENT"
    later = json.loads((current / "run.json").read_text())["read"]["after_as_of"]
    assert later > 100
    assert f"{later:,} accepted rows are dated after the as-of date 2017-06-30" in (current / "report.html").read_text()


def test_a_refused_run_shows_one_place_of_each_fault(tmp_path: Path) -> None:
    sales = generated_sales(n_customers=40, days=200)
    sales["purchased_at"] = sales["purchased_at"].dt.strftime("on %d %b")
    done = crmkit("run", config_of(tmp_path, sales), "--out", tmp_path / "out")
    assert done.returncode == 65
    assert "till.csv line 2: purchased_at is not a time" in done.stderr
    assert "state time_format" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="these signals are POSIX")
@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_told_to_end_leaves_no_temporary_file(
    delivery: Path, tmp_path: Path, told: signal.Signals
) -> None:
    out, scratch = tmp_path / "out", tmp_path / "tmp"
    scratch.mkdir()
    command = [sys.executable, "-m", "crmkit", "run", str(delivery / "crmkit.toml"), "--out", str(out)]
    process = subprocess.Popen(
        command,
        env=os.environ | {"TMPDIR": str(scratch)},
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(told, signal.SIG_DFL),  # the tests themselves may run under nohup
    )
    deadline = time.monotonic() + 120
    while not list(out.glob("work/*/log/trips.parquet")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(told)
    assert process.wait() == 128 + told
    assert not (out / "CURRENT").exists()
    assert {path.name for path in scratch.rglob("*") if path.is_file()} <= {".lock"}


@pytest.mark.skipif(sys.platform == "win32", reason="these signals are POSIX")
def test_a_run_under_nohup_outlives_its_terminal() -> None:
    asked = (
        "import os, signal, sys, crmkit.pipeline.cli as cli\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "cli.app = lambda: os.kill(os.getpid(), signal.SIGHUP)\n"
        "cli.main()\n"
        "print('went on')\n"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout == "went on\n"


def test_work_in_progress_is_closed_to_strangers(delivery: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "crmkit", "run", str(delivery / "crmkit.toml"), "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (parts := list(out.glob("runs/*.part"))) and time.monotonic() < deadline:
        time.sleep(0.01)
    mode = parts[0].stat().st_mode
    process.kill()
    process.wait()
    assert not mode & 0o077


@pytest.mark.skipif(sys.platform != "linux", reason="limits of the address space are Linux's")
@pytest.mark.parametrize("gigabytes", [1.0, 0.7])
def test_a_small_address_space_is_said(delivery: Path, tmp_path: Path, gigabytes: float) -> None:
    most = str(int(gigabytes * 2**30))
    limited = "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2); del sys.argv[1]\n"
    limited += "import crmkit.pipeline.cli as cli; cli.main()\n"
    command = [
        sys.executable,
        "-c",
        limited,
        most,
        "run",
        str(delivery / "crmkit.toml"),
        "--out",
        str(tmp_path / "out"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 71, done.stderr
    assert "out of memory" in done.stderr
    assert not (tmp_path / "out" / "CURRENT").exists()


def test_out_of_memory_is_said(delivery: Path, tmp_path: Path) -> None:
    limited = (
        "import crmkit, crmkit.pipeline.cli\n"
        "with crmkit.engine_limits(memory_limit='1MB'):\n"
        "    crmkit.pipeline.cli.main()\n"
    )
    command = [sys.executable, "-c", limited, "run", str(delivery / "crmkit.toml"), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 71, done.stderr
    assert "out of memory" in done.stderr
    assert not (tmp_path / "out" / "CURRENT").exists()
