"""The batch job: published in one step or not at all, the same again for the same inputs, exit codes as documented."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from filelock import FileLock

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
    out = tmp_path_factory.mktemp("out")
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
    assert set(manifest["backtests"]) == {"Lifetime value", "Churn", "Next purchase"}
    assert {"versions", "settings", "seconds", "rows", "outputs", "as_of", "run"} <= set(manifest)


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


def test_strangers_cannot_read_the_output(published: Path) -> None:
    for file in (published / "CURRENT").resolve().rglob("*"):
        assert not file.stat().st_mode & 0o007


def test_the_same_run_again_does_nothing_and_forced_gives_the_same_bytes(published: Path, delivery: Path) -> None:
    before = json.loads((published / "CURRENT" / "run.json").read_text())["outputs"]
    again = crmkit("run", delivery / "crmkit.toml", "--out", published)
    assert again.returncode == 0
    assert "Nothing to do" in again.stdout
    forced = crmkit("run", delivery / "crmkit.toml", "--out", published, "--force")
    assert forced.returncode == 0, forced.stderr
    assert json.loads((published / "CURRENT" / "run.json").read_text())["outputs"] == before


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
        ("early.toml", CONFIG.replace("2017-12-31", "2017-02-01"), 65, "more than max_rejected"),
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
    assert os.readlink(published / "CURRENT") == before
    assert not list(published.glob("runs/*.part"))


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a POSIX signal")
def test_a_killed_run_publishes_nothing_and_the_next_one_sweeps_up(delivery: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "crmkit", "run", str(delivery / "crmkit.toml"), "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(out.glob("runs/*.part/*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "CURRENT").exists()
    assert list(out.glob("runs/*.part"))
    assert crmkit("run", delivery / "crmkit.toml", "--out", out).returncode == 0
    assert not list(out.glob("runs/*.part"))
    assert {file.name for file in (out / "CURRENT").iterdir()} >= OUTPUTS


def test_help_is_quick_to_import() -> None:
    code = "import sys, crmkit.cli; print(sorted({'pandas', 'sklearn', 'duckdb', 'matplotlib', 'scipy'} & set(sys.modules)))"
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
    churn = json.loads((tmp_path / "out" / "CURRENT" / "run.json").read_text())["backtests"]["Churn"]
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
        ('[products]\nfiles = "till.csv"\ncolumns = { folder = "amount" }', 78, "'folder' is not a column of products"),
    ],
)
def test_mistakes_of_the_configuration_are_told_as_such(tmp_path: Path, more: str, code: int, message: str) -> None:
    sales = generated_sales(n_customers=40, days=200)
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
    assert f"{later:,} of the rows used are dated after 2017-06-30" in (current / "report.html").read_text()


def test_a_refused_run_shows_one_place_of_each_fault(tmp_path: Path) -> None:
    sales = generated_sales(n_customers=40, days=200)
    sales["purchased_at"] = sales["purchased_at"].dt.strftime("on %d %b")
    done = crmkit("run", config_of(tmp_path, sales), "--out", tmp_path / "out")
    assert done.returncode == 65
    assert "till.csv line 2: purchased_at is not a time" in done.stderr
    assert "state time_format" in done.stderr


def test_a_terminated_run_leaves_nothing_behind(delivery: Path, tmp_path: Path) -> None:
    out, scratch = tmp_path / "out", tmp_path / "tmp"
    scratch.mkdir()
    command = [sys.executable, "-m", "crmkit", "run", str(delivery / "crmkit.toml"), "--out", str(out)]
    process = subprocess.Popen(command, env=os.environ | {"TMPDIR": str(scratch)}, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(out.glob("runs/*.part/log/trips.parquet")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.terminate()
    assert process.wait() == 143
    assert not list(out.glob("runs/*"))
    assert not list(scratch.rglob("*.parquet"))


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


def test_out_of_memory_is_said(delivery: Path, tmp_path: Path) -> None:
    limited = (
        "import crmkit.batch, crmkit.cli, crmkit.engine\n"
        "with crmkit.engine.limits(memory_limit='1MB'):\n"
        "    crmkit.cli.main()\n"
    )
    command = [sys.executable, "-c", limited, "run", str(delivery / "crmkit.toml"), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 71, done.stderr
    assert "out of memory" in done.stderr
    assert not (tmp_path / "out" / "CURRENT").exists()
