"""Stages as data: order checked at once, kept where nothing changed, resumed where a run ended, added by one line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from crmkit.exceptions import ConfigError, ContractError
from crmkit.pipeline import artefacts
from crmkit.pipeline.nightly import account
from crmkit.pipeline.notes import note
from crmkit.pipeline.runner import Runner
from crmkit.pipeline.sources import SOURCES
from crmkit.pipeline.stage import Source, Stage, check_order, stage
from crmkit.pipeline.stages import STAGES
from crmkit.pipeline.stages_to_run import Decider, Wishes

RUNS: list[str] = []
"""Names of the stages that did their work, in order."""


def table(*values: float) -> pd.DataFrame:
    return pd.DataFrame({"x": values})


@stage("lines")
def load(files: Any) -> dict[str, Any]:
    RUNS.append("load")
    return {"lines": table(*files)}


@stage("positive")
def keep_positive(lines: pd.DataFrame, *, low: float) -> dict[str, Any]:
    RUNS.append("positive")
    return {"positive": lines[lines["x"] > low]}


@stage("model", max_age="rhythm.refit_every")
def fit(positive: pd.DataFrame) -> dict[str, Any]:
    RUNS.append("fit")
    return {"model": {"mean": float(positive["x"].mean())}}


@stage("bonus", may_fail=True)
def bonus(positive: pd.DataFrame, *, fails: bool) -> dict[str, Any]:
    RUNS.append("bonus")
    if fails:
        raise ContractError("no bonus today")
    return {"bonus": positive}


@stage("report")
def report(
    positive: pd.DataFrame, model: Any, notes: Sequence[str], bonus: pd.DataFrame | None = None, *, title: str
) -> dict[str, Any]:
    RUNS.append("report")
    note("the report is written")
    return {"report": {"title": title, "n": len(positive), "bonus": bonus is not None, "notes": list(notes)}}


TOYS = [load, keep_positive, fit, bonus, report]


class Rhythm:
    refit_every = 28


@pytest.fixture
def night(tmp_path: Path) -> Callable[..., Runner]:
    """Run the toys as of a day of January; ``folder`` is the run's, ``before`` those whose outputs may be kept."""
    RUNS.clear()

    def one(folder: str, files: Sequence[float], day: int = 1, before: Sequence[str] = (), **more: Any) -> Runner:
        RUNS.clear()
        settings = {"low": 0.0, "rhythm": Rhythm, "fails": False, "title": "Toys"} | more
        home, others = tmp_path / folder, [tmp_path / name for name in before]
        home.mkdir(exist_ok=True)
        wishes = settings.pop("wishes", Wishes())
        stages = settings.pop("stages", TOYS)
        code = settings.pop("code", lambda work: "1")
        decider = Decider(date(2018, 1, day), settings, code, [home, *others], others, wishes)
        given = {"files": Source(str(files), lambda: files)}
        runner = Runner(stages, decider, given, home, tmp_path / "work")
        runner.run()
        return runner

    return one


Night = Callable[..., Runner]


def value(runner: Runner, name: str) -> Any:
    return artefacts.load(runner.made[name], runner.folder)


def test_stages_of_crmkit_are_in_order_and_read_what_is_there() -> None:
    from crmkit.pipeline.config import Config

    check_order(STAGES, SOURCES, Config.model_fields)


def test_every_fault_of_order_is_told_at_once() -> None:
    def work(absent: Any, *, nowhere: Any) -> None: ...

    odd = Stage("odd", ("absent",), (), ("nowhere",), ("lines", "lines_2"), work, ages=("other",))
    with pytest.raises(ConfigError) as raised:
        check_order([load, odd, odd], ["files"], ["title"])
    told = str(raised.value)
    assert "Stage odd: no source or earlier stage makes its input 'absent'." in told
    assert "Stage odd: the configuration has no field 'nowhere'." in told
    assert "Stage odd: 'lines' is made by another stage or source already." in told
    assert "Stage odd: ages names 'other', which it does not read." in told
    assert "Two stages are called 'odd'." in told


def test_what_is_the_same_is_kept_and_an_output_that_comes_out_the_same_stops_there(night: Night) -> None:
    first = night("a", [1, 2, -1])
    assert RUNS == ["load", "positive", "fit", "bonus", "report"]
    again = night("b", [1, 2, -1], before=["a"])
    assert RUNS == []
    assert value(again, "report") == value(first, "report")
    assert os.stat(again.folder / "lines.parquet").st_ino == os.stat(first.folder / "lines.parquet").st_ino
    night("c", [1, 2, -5], before=["b"])
    assert RUNS == ["load", "positive"]
    night("d", [1, 2, -5], before=["c"], title="Other")
    assert RUNS == ["report"]
    night("e", [1, 2, -5], before=["d"], title="Other", low=1.0)
    assert RUNS == ["positive", "fit", "bonus", "report"]


def test_a_change_of_code_redoes_the_stage_alone_when_it_gives_the_same(night: Night) -> None:
    night("a", [1, 2])
    night("b", [1, 2], before=["a"], code=lambda work: "2" if work is keep_positive.work else "1")
    assert RUNS == ["positive"]


def test_a_changed_or_missing_file_is_made_again(night: Night, tmp_path: Path) -> None:
    night("a", [1, 2])
    for damage in (lambda file: file.unlink(), lambda file: file.write_bytes(b"torn")):
        damage(tmp_path / "a" / "positive.parquet")
        runner = night("a", [1, 2])
        assert RUNS == ["positive"]
        assert value(runner, "positive")["x"].tolist() == [1, 2]


def test_what_is_young_is_kept_until_its_age_or_its_settings_change(night: Night) -> None:
    first = night("a", [1, 2], day=1)
    night("b", [1, 2, 3], day=2, before=["a"])
    assert RUNS == ["load", "positive", "bonus", "report"]
    kept = night("c", [1, 2, 3, 4], day=28, before=["b"])
    assert "fit" not in RUNS
    assert value(kept, "model") == value(first, "model")
    assert kept.records["fit"].day == date(2018, 1, 1)
    night("d", [1, 2, 3, 4], day=29, before=["c"])
    assert RUNS == ["fit", "report"]
    night("e", [1, 2, 3, 4], day=30, before=["d"], low=0.5)
    assert RUNS == ["positive"]


def test_a_model_is_made_anew_when_a_setting_before_it_changes_though_it_is_young(night: Night) -> None:
    night("a", [1, 2], day=1)
    night("b", [1, 2, 3], day=2, before=["a"], low=0.5)
    assert RUNS == ["load", "positive", "fit", "bonus", "report"]


def test_a_model_of_a_later_day_is_never_taken(night: Night) -> None:
    night("a", [1, 2], day=20)
    night("b", [1], day=10, before=["a"])
    assert "fit" in RUNS


def test_what_the_operator_asks_for_is_redone(night: Night) -> None:
    night("a", [1, 2])
    night("b", [1, 2], before=["a"], wishes=Wishes(start="keep-positive"))
    assert RUNS == ["positive", "fit", "bonus", "report"]
    night("c", [1, 2], before=["a"], wishes=Wishes(only=("bonus",)))
    assert RUNS == ["bonus"]
    night("d", [1, 2], before=["a"], wishes=Wishes(fresh=True))
    assert RUNS == ["load", "positive", "fit", "bonus", "report"]
    night("e", [1, 2], day=2, before=["a"], wishes=Wishes(fresh=True))
    assert RUNS == ["load", "positive", "bonus", "report"]
    with pytest.raises(ConfigError, match="There is no stage 'fitt'; there are load, keep-positive"):
        Wishes(start="fitt").check(TOYS)


def test_only_leaves_what_has_changed_as_it_was(night: Night) -> None:
    night("a", [1, 2])
    runner = night("b", [1, 2, 3], before=["a"], title="Other", wishes=Wishes(only=("report",)))
    assert RUNS == ["report"]
    assert value(runner, "report")["n"] == 2


def test_a_stage_that_may_fail_costs_itself_alone(night: Night) -> None:
    runner = night("a", [1, 2], fails=True)
    assert RUNS == ["load", "positive", "fit", "bonus", "report"]
    assert value(runner, "report")["bonus"] is False
    assert value(runner, "report")["notes"] == ["The stage bonus failed: no bonus today"]
    assert runner.notes == ["The stage bonus failed: no bonus today", "the report is written"]
    mended = night("b", [1, 2], before=["a"])
    assert RUNS == ["bonus", "report"]
    assert value(mended, "report")["bonus"] is True


def test_a_failure_keeps_what_was_made_before_it_and_the_next_run_goes_on_there(night: Night) -> None:
    def breaks(positive: Any, *, title: str) -> None:
        raise ContractError(f"{title} is broken")

    broken = [*TOYS[:4], stage("report")(breaks)]
    with pytest.raises(ContractError, match="Toys is broken") as raised:
        night("a", [1, 2], stages=broken)
    assert "run again to go on from there" in raised.value.__notes__[0]
    night("a", [1, 2])
    assert RUNS == ["report"]


def test_stages_that_do_not_depend_on_a_failed_one_are_finished(night: Night, tmp_path: Path) -> None:
    @stage("positive")
    def keep_positive(lines: Any, *, low: float) -> None:
        raise ContractError("no")

    @stage("count")
    def count(lines: Any) -> dict[str, Any]:
        RUNS.append("count")
        return {"count": {"n": len(lines)}}

    with pytest.raises(ContractError, match="no"):
        night("a", [1, 2], stages=[load, keep_positive, fit, bonus, report, count])
    assert RUNS == ["load", "count"]
    assert sorted(file.name for file in (tmp_path / "a").glob(".*.json")) == [".count.json", ".load.json"]


def test_a_stage_without_its_input_is_skipped_with_those_that_need_it(night: Night) -> None:
    @stage("lists")
    def lists(nothing: Any) -> dict[str, Any]:
        return {"lists": nothing}

    @stage("mailing")
    def mailing(lists: Any) -> dict[str, Any]:
        return {"mailing": lists}

    runner = night("a", [1], stages=[*TOYS, lists, mailing])
    told = {one.stage.name: (one.action, one.why) for one in runner.decisions}
    assert told["lists"] == ("skipped", "there is no nothing")
    assert told["mailing"] == ("skipped", "there is no lists")


def test_a_table_is_given_and_taken_as_a_file_where_a_stage_says_path(night: Night) -> None:
    @stage("pairs")
    def write_pairs(lines: pd.DataFrame, *, folder: Path) -> dict[str, Any]:
        lines.to_parquet(folder / "anything.parquet", index=False)
        return {"pairs": folder / "anything.parquet"}

    @stage("rows")
    def count(pairs: Path, positive: pd.DataFrame) -> dict[str, Any]:
        return {"rows": {"file": pairs.name, "n": len(pd.read_parquet(pairs))}}

    @stage("sum")
    def add(pairs: pd.DataFrame) -> dict[str, Any]:
        return {"sum": {"x": float(pairs["x"].sum())}}

    runner = night("a", [1, 2], stages=[*TOYS, write_pairs, count, add])
    assert runner.made["pairs"].kind == "table"
    assert runner.made["pairs"].rows == 2
    assert value(runner, "rows") == {"file": "pairs.parquet", "n": 2}
    assert value(runner, "sum") == {"x": 3.0}


def test_a_plan_says_what_would_run_and_why_and_does_nothing(night: Night, tmp_path: Path) -> None:
    night("a", [1, 2])
    RUNS.clear()
    settings = {"low": 0.0, "rhythm": Rhythm, "fails": False, "title": "Other"}
    decider = Decider(
        date(2018, 1, 2), settings, lambda work: "1", [tmp_path / "b", tmp_path / "a"], [tmp_path / "a"], Wishes()
    )
    plan = Runner(TOYS, decider, {"files": Source("new", list)}, tmp_path / "b", tmp_path / "work").plan()
    assert [(one.stage.name, one.action, one.why) for one in plan] == [
        ("load", "run", "files changed"),
        ("keep-positive", "depends", "runs if lines changes"),
        ("fit", "kept", "made on 2018-01-01"),
        ("bonus", "depends", "runs if positive changes"),
        ("report", "depends", "runs if positive changes"),
    ]
    assert RUNS == []
    assert not (tmp_path / "b").exists()


def test_warnings_of_other_packages_are_passed_on(night: Night) -> None:
    @stage("noise")
    def noise(files: Any) -> dict[str, Any]:
        import warnings

        warnings.warn("old", DeprecationWarning, stacklevel=1)
        return {}

    with pytest.warns(DeprecationWarning, match="old"):
        runner = night("a", [1], stages=[noise])
    assert runner.notes == []


def test_each_record_says_what_the_stage_cost(night: Night) -> None:
    runner = night("a", [1, 2])
    costs = {one["stage"]: one for one in account(runner.decisions, runner.records)}
    assert {"seconds", "processor", "peak_mb", "made_on", "action", "why"} <= set(costs["load"])
    assert costs["load"]["peak_mb"] > 0
    record = json.loads((runner.folder / ".load.json").read_text())
    assert record["outputs"]["lines"]["rows"] == 2


# -- Killed inside each stage once ------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from datetime import date
from pathlib import Path
import pandas as pd
from crmkit.pipeline.stages_to_run import Decider, Wishes
from crmkit.pipeline.nightly import account
from crmkit.pipeline.runner import Runner
from crmkit.pipeline.settings import Engine
from crmkit.pipeline.stage import Source, stage

home, dies, ran = Path(sys.argv[1]), sys.argv[2], []

def step(name, *inputs):
    def work(one):
        if dies == name:
            os.kill(os.getpid(), signal.SIGKILL)
        ran.append(name)
        return {name: one.assign(**{name: one.iloc[:, 0] * 2})}
    work.__name__ = name
    work.__signature__ = __import__("inspect").signature(eval(f"lambda {inputs[0]}: None"))
    return stage(name)(work)

steps = [step("a", "files"), step("b", "a"), step("c", "b")]
decider = Decider(date(2018, 1, 1), {}, lambda work: "1", [home], [], Wishes())
Runner(steps, decider, {"files": Source("1", lambda: pd.DataFrame({"x": [1.0]}))}, home, home / "work").run()
print(",".join(ran))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a POSIX signal")
def test_killed_inside_each_stage_the_next_run_goes_on_there(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(textwrap.dedent(KILLED))

    def run(folder: str, dies: str = "") -> subprocess.CompletedProcess[str]:
        (tmp_path / folder).mkdir(exist_ok=True)
        command = [sys.executable, str(script), str(tmp_path / folder), dies]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    whole = run("whole")
    assert whole.stdout.strip() == "a,b,c", whole.stderr
    for name, left in (("a", "a,b,c"), ("b", "b,c"), ("c", "c")):
        assert run(name, dies=name).returncode == -signal.SIGKILL
        assert run(name).stdout.strip() == left
        for file in ("a.parquet", "b.parquet", "c.parquet"):
            assert (tmp_path / name / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
