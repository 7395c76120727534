"""Plug-ins: stages and cleaning rules of other packages, loaded only where the configuration names them."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

import crmkit as ck
from crmkit import ConfigError, run
from crmkit.pipeline.plugins import rules_of, stages_of
from crmkit.pipeline.stages import STAGES
from crmkit.reports.block import Block
from crmkit.testing import generated_sales

RULES = {"amount is above 5": "amount <= 5"}
BROKEN = 7


@ck.stage("loudest_block")
def tell_the_loudest(as_of: Any) -> dict[str, object]:
    return {"loudest_block": Block("Loudest", f"Nobody was loud on {as_of}")}


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(*, group: str) -> list[EntryPoint]:
        module = __name__
        points = {
            "crmkit.stages": {"loud": "tell_the_loudest", "odd": "BROKEN", "gone": "absent"},
            "crmkit.rules": {"loud": "RULES", "strict": "RULES"},
        }[group]
        return [EntryPoint(name, f"{module}:{value}", group) for name, value in points.items()]

    monkeypatch.setattr("crmkit.pipeline.plugins.entry_points", found)
    monkeypatch.setattr(EntryPoint, "load", lambda self: globals()[self.value.partition(":")[2]])


@pytest.mark.usefixtures("installed")
def test_only_what_is_named_is_loaded() -> None:
    assert stages_of([]) == []
    assert [one.name for one in stages_of(["loud"])] == ["tell-the-loudest"]
    assert rules_of(["strict"]) == RULES
    assert stages_of(["strict"]) == []


@pytest.mark.usefixtures("installed")
def test_what_cannot_be_used_is_told_by_name() -> None:
    with pytest.raises(ConfigError, match=r"There is no plug-in 'lout'\. Did you mean 'loud'\?"):
        stages_of(["lout"])
    with pytest.raises(ConfigError, match=r"'odd' \(crmkit\.stages\) is no stage"):
        stages_of(["odd"])
    with pytest.raises(ConfigError, match="'gone' cannot be loaded: KeyError"):
        stages_of(["gone"])


@pytest.mark.usefixtures("installed")
def test_a_run_has_the_stage_the_block_and_the_rule(tmp_path: Path) -> None:
    generated_sales(n_customers=20, days=60, seed=3).to_csv(tmp_path / "till.csv", index=False)
    few = STAGES[: [one.name for one in STAGES].index("check-delivery") + 1]
    config = {
        "until": "2017-03-01", "transactions": {"files": "till.csv"}, "plugins": ["loud"],
        "thresholds": {"rejected_rows": {"stop": None}},
    }  # fmt: skip
    done = run(config, tmp_path / "out", home=tmp_path, stages=few)
    assert [one["stage"] for one in done.manifest["stages"]][-1] == "tell-the-loudest"
    assert done.manifest["read"]["reasons"]["amount is above 5"] > 0
    assert (done.folder / "details" / "loudest_block.json").is_file()
    assert run(config, tmp_path / "out", home=tmp_path, stages=few).repeated
