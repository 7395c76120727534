"""Night after night: what is kept gives what redoing it gives, a kill costs one stage, a setting redoes its own stages."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import subprocess
import sys
import textwrap
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crmkit import RunResult, run
from crmkit.pipeline.config import Config, config_of
from crmkit.pipeline.nightly import plan
from crmkit.pipeline.stages import STAGES
from crmkit.testing import generated_sales

LAST = date(2017, 9, 7)
DEALS = """deal_id,title,category,funder,funder_share,value,price,budget,starts,ends
D1,0.50 off,Category 01,Maker 1,1,0.50,4,40,2017-06-01,2018-01-31
D2,1.00 off,Category 02,Maker 2,0.5,1.00,6,40,2017-06-01,2018-01-31
"""
CONFIG: dict[str, Any] = {
    "transactions": {"files": "till/*.csv"},
    "members": {"files": "members.csv"},
    "products": {"files": "products.csv"},
    "deals": {"files": "deals.csv"},
    "tips": {"files": "tips.csv"},
    "prices": {"files": "prices.csv"},
    "service": {"files": "desk.csv"},
    "costs": {"files": "costs.csv"},
    "repurchase": {"by": "category"},
    "offers": {"slots": 3, "min_weekly_spend": 1},
    "campaign": {"every": 7, "starts": "2017-08-20"},
    "brand_usage": {},
    "relationships": {},
    "life_cycle": {"min_items": 5},
    "bundles": {"min_support": 5},
    "clusters": {"n_clusters": 3},
    "win_back": {"n": 20},
    "points": {},
    "target_groups": {"big spenders": {"conditions": {"spend much": "total_spend > 50"}, "measure": "spend"}},
}
"""A section for nearly every stage."""


def shop_in(home: Path) -> pd.DataFrame:
    """All tables but the sales, which are given back."""
    sales = generated_sales(n_customers=150, days=250, seed=3)
    members, products = sales["customer_id"].unique(), sales["product_id"].unique()
    ids = {"record_id": range(20), "customer_id": members[:20], "recorded_at": "2017-07-01", "topic": "late"}
    names = {"product_id": products, "name": [f"Good {one}" for one in products]}
    brands = {"brand": "B", "brand_type": np.where(np.arange(len(products)) % 3, "national", "store")}
    sheet = {"cost_id": [1], "kind": ["delivery"], "amount": [900], "starts": ["2017-05-01"], "ends": ["2017-05-31"]}
    tables = {
        "members": pd.DataFrame({"customer_id": members, "no_contact": np.where(np.arange(len(members)) % 9, "", "x")}),
        "products": pd.DataFrame(names | brands),
        "prices": pd.DataFrame({"product_id": products, "price": 2.5}),
        "desk": pd.DataFrame(ids | {"kind": ["complaint", "survey"] * 10, "score": [None, 7] * 10}),
        "costs": pd.DataFrame(sheet | {"allocated_by": ["orders"]}),
        "tips": pd.DataFrame({"tip_id": ["T1"], "category": ["Category 01"], "title": ["Pancakes"]}),
    }
    for name, table in tables.items():
        table.to_csv(home / f"{name}.csv", index=False)
    (home / "deals.csv").write_text(DEALS)
    (home / "till").mkdir()
    return sales


def deliver(sales: pd.DataFrame, home: Path, day: date) -> None:
    """A file with all that was sold since the last one."""
    before = max((file.stem for file in (home / "till").iterdir()), default="")
    days = sales["purchased_at"].dt.strftime("%Y-%m-%d")
    sales[(days > before) & (days <= str(day))].to_csv(home / "till" / f"{day}.csv", index=False)


def night(home: Path, out: Path, day: date, **more: Any) -> RunResult:
    options = {name: more.pop(name) for name in ("fresh", "start", "stages") if name in more}
    return run(CONFIG | {"until": str(day)} | more, out, home=home, **options)


def contents(out: Path) -> dict[str, str]:
    """What a night has published, but for times: records of stages, ``run.json``, and the workbook, which is dated."""
    current = (out / "CURRENT").resolve()
    files = {str(file.relative_to(current)): file for file in sorted(current.rglob("*")) if file.is_file()}
    return {
        name: hashlib.sha256(file.read_bytes()).hexdigest()
        for name, file in files.items()
        if name not in ("run.json", "report.xlsx") and not name.startswith(".")
    }


def differing(one: Path, other: Path) -> list[str]:
    mine, others = contents(one), contents(other)
    assert len(mine) > 40
    return sorted(name for name in mine.keys() | others.keys() if mine.get(name) != others.get(name))


# -- What is kept gives what redoing it gives -------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, pytest.param(10, marks=pytest.mark.long)])
@pytest.mark.parametrize("store", ["", "store"])
def test_nights_give_what_they_give_when_every_stage_is_redone(tmp_path: Path, n: int, store: str) -> None:
    home, redone = tmp_path / "shop", tmp_path / "redone"
    home.mkdir()
    sales, stored = shop_in(home), {"store": {"folder": store}} if store else {}
    for number in range(n):
        day = LAST - timedelta(days=n - 1 - number)
        deliver(sales, home, day)
        shutil.rmtree(redone, ignore_errors=True)  # as it is before the night, without what nights keep for themselves
        shutil.copytree(home, redone, symlinks=True, ignore=shutil.ignore_patterns("work"))
        done = night(home, home / "out", day, **stored)
        night(redone, redone / "out", day, fresh=True, **stored)
        assert differing(home / "out", redone / "out") == []
    actions = {one["stage"]: one["action"] for one in done.manifest["stages"]}
    models = {"fit-value", "fit-churn", "fit-repurchase", "backtest-churn", "read-products", "read-deals"}
    assert {name for name in models if actions[name] != "kept"} == set()
    assert actions["load"] == "run"


HELD = ["segment", "tier", "tier_since", "r_score", "f_score", "m_score", "cluster"]
"""Labels that are held by those of the night before."""
PAST = ("tier_changes", "scorecard", "campaign", "cluster")
"""What begins with these is of the past."""


@pytest.mark.long
def test_the_last_night_fitted_again_is_one_run_from_nothing(tmp_path: Path) -> None:
    sales = shop_in(tmp_path)
    rhythm: dict[str, Any] = {name: {"refit_every": 1} for name in ("value", "churn")}
    rhythm |= {"repurchase": CONFIG["repurchase"] | {"refit_every": 1}, "backtests": {"max_age": 1}, "campaign": {}}
    for number in (2, 1, 0):
        day = LAST - timedelta(days=number)
        deliver(sales, tmp_path, day)
        kept = night(tmp_path, tmp_path / "out", day, store={"folder": "store"}, **rhythm).tables
    new = night(tmp_path, tmp_path / "new", day, **rhythm).tables
    assert set(kept) - set(new) <= {"tier_changes"}
    for name in {name for name in new if not name.startswith((*PAST, "rejections"))}:
        one, other = (table.drop(columns=HELD, errors="ignore") for table in (kept[name], new[name]))
        pd.testing.assert_frame_equal(one, other, check_exact=True, obj=name)


# -- Killed inside each stage once ------------------------------------------------------------------------------------

KILLED = """
import json, os, signal, sys
from pathlib import Path
from crmkit.pipeline import nightly, records
from crmkit.pipeline.stages import STAGES  # loaded once, before the forks

home, out, config, names = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]), sys.argv[4].split()

def die_in(name):
    # outputs are written, the record is not: the latest moment at which a stage has not ended
    save = records.Record.save
    records.Record.save = lambda self, folder: os.kill(os.getpid(), 9) if self.stage == name else save(self, folder)

def attempt(name):
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    die_in(name)
    began = []
    told = lambda stage, action, record: began.append(stage) if action == "running" else None
    with (out.parent / "ran").open("a") as ran:
        try:
            nightly.run(config, out, home=home, progress=lambda *given: (told(*given), given[1] == "running" and print(name, given[0], file=ran, flush=True)))
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    os._exit(0)

for name in [*names, ""]:
    print(name, attempt(name), flush=True)
"""


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a POSIX signal")
def test_killed_inside_each_stage_once_the_next_run_goes_on_there(tmp_path: Path) -> None:
    deliver(shop_in(tmp_path), tmp_path, LAST)
    whole = night(tmp_path, tmp_path / "whole", LAST)
    names = [one["stage"] for one in whole.manifest["stages"] if one["action"] == "run"]
    script = tmp_path / "killed.py"
    script.write_text(textwrap.dedent(KILLED))
    config = json.dumps(CONFIG | {"until": str(LAST)})
    command = [sys.executable, str(script), str(tmp_path), str(tmp_path / "out"), config, " ".join(names)]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    ended = [line.split() for line in said.stdout.splitlines()]
    assert ended == [*([name, "9"] for name in names), ["0"]], said.stderr
    began: dict[str, list[str]] = {}
    for line in (tmp_path / "ran").read_text().splitlines():
        name, _, step = line.rpartition(" ")
        began.setdefault(name, []).append(step)
    assert len(names) > 40
    # a run begins where the one before was killed, and gets one further
    for before, now in itertools.pairwise([*names, ""]):
        assert began[now] == [before, *([now] if now else [])]
    assert differing(tmp_path / "out", tmp_path / "whole") == []


# -- A setting of each section ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with one night."""
    home = tmp_path_factory.mktemp("shop")
    deliver(shop_in(home), home, LAST)
    night(home, home / "out", LAST)
    return home


CHANGED: dict[str, dict[str, Any]] = {
    "value": {"horizon": 180},
    "churn": {"horizon": 20},
    "cohorts": {"period": "quarter"},
    "repurchase": {"horizon": 7},
    "offers": {"slots": 2},
    "campaign": {"keep_budgets": 0.9},
    "lists": {"needs": 5},
    "scorecard": {"warn": 0.3},
    "thresholds": {"rejected_rows": {"warn": 0.01}},
    "brand_usage": {"loyal": 0.8},
    "relationships": {"margin": 0.5},
    "life_cycle": {"min_items": 6},
    "bundles": {"min_support": 6},
    "clusters": {"n_clusters": 2},
    "win_back": {"n": 10},
    "points": {"worth": 0.2},
    "target_groups": {"few": {"conditions": {"spend much": "total_spend > 80"}}},
    "members": {"columns": {"customer_id": "customer_id"}},
    "products": {"columns": {"name": "name"}},
    "deals": {"columns": {"title": "title"}},
    "tips": {"columns": {"title": "title"}},
    "prices": {"columns": {"price": "price"}},
    "service": {"columns": {"topic": "topic"}},
    "costs": {"columns": {"amount": "amount"}},
    "transactions": {"leave_out": {"store_id": ["1"]}},
    "store": {"wait": 5},
}
RHYTHMS: dict[str, dict[str, Any]] = {
    "value": {"refit_every": 7},
    "churn": {"refit_every": 7},
    "repurchase": {"refit_every": 7},
    "backtests": {"max_age": 7},
    "engine": {"threads": 1},
}
"""Settings that say when or how, not what: nothing is redone for them."""


def after(names: set[str]) -> set[str]:
    """Stages that depend on these."""
    made = {output for step in STAGES if step.name in names for output in step.outputs} | {"notes", "blocks"}
    more = names | {step.name for step in STAGES if made & set(step.reads)}
    return more if more == names else after(more)


def decided(home: Path, changed: dict[str, Any]) -> dict[str, set[str]]:
    config = CONFIG | {"until": str(LAST)} | changed
    found: dict[str, set[str]] = {}
    for one in plan(config, home / "out", home=home):
        found.setdefault(one.action, set()).add(one.stage.name)
    return found


@pytest.mark.long
@pytest.mark.parametrize("section", CHANGED)
def test_a_setting_redoes_the_stages_that_read_it_and_nothing_before_them(published: Path, section: str) -> None:
    found = decided(published, {section: CONFIG.get(section, {}) | CHANGED[section]})
    own = {step.name for step in STAGES if section in step.settings} - found.get("skipped", set())
    now, perhaps = found["run"], found.get("depends", set())
    if section == "repurchase":  # it says for which days the next lists are
        own |= {step.name for step in STAGES if "campaign_due" in step.reads}
    assert now <= own <= now | perhaps
    assert perhaps <= after(own)


@pytest.mark.parametrize("section", RHYTHMS)
def test_how_often_is_no_reason_to_redo(published: Path, section: str) -> None:
    assert set(decided(published, {section: CONFIG.get(section, {}) | RHYTHMS[section]})) == {"kept", "skipped"}


def test_an_output_folder_can_be_moved(published: Path, tmp_path: Path) -> None:
    shutil.copytree(published / "out", tmp_path / "out", symlinks=True)
    records = [file.read_text() for file in (tmp_path / "out" / "runs").rglob(".*.json")]
    assert len(records) > 40
    assert not [text for text in records if str(published) in text]
    moved = plan(CONFIG | {"until": str(LAST), "title": "Moved"}, tmp_path / "out", home=published)
    found = {one.stage.name: one for one in moved}
    assert (found["load"].action, found["report"].action) == ("kept", "run")
    assert found["load"].folder.is_relative_to((tmp_path / "out").resolve())


def test_what_is_changed_here_is_read_by_a_stage() -> None:
    read = {name for step in STAGES for name in step.settings}
    assert CHANGED.keys() <= read & set(Config.model_fields)
    for section, more in (CHANGED | RHYTHMS).items():
        config_of(CONFIG | {"until": str(LAST)} | {section: CONFIG.get(section, {}) | more})
