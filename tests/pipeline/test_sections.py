"""Every room can be reached from the configuration: one section, one table or more in what is published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crmkit import CrmkitWarning, RunResult, run
from crmkit.models import PURCHASE_MODELS
from crmkit.pipeline.settings import Value
from crmkit.pipeline.stages import STAGES
from crmkit.pipeline.stages.customers import choose_value_model
from crmkit.testing import generated_log, generated_sales

LOOKING_BACK = {"backtest-value", "backtest-churn", "backtest-repurchase"}
SECTIONS: dict[str, Any] = {
    "value": {"model": "auto"},
    "service": {"files": "desk.csv"},
    "costs": {"files": "costs.csv"},
    "brand_usage": {},
    "relationships": {},
    "life_cycle": {"min_items": 5},
    "clusters": {"n_clusters": 3},
    "win_back": {"n": 20},
    "target_groups": {"big spenders": {"conditions": {"spend much": "total_spend > 50"}, "measure": "spend"}},
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    sales = generated_sales(n_customers=150, days=250, seed=3)
    sales["brand_type"] = np.where(sales.index % 3, "national", "store")
    sales.to_csv(folder / "till.csv", index=False)
    members = sales["customer_id"].unique()
    desk = {"record_id": range(20), "customer_id": members[:20], "recorded_at": "2017-07-01", "topic": "late"}
    pd.DataFrame(desk | {"kind": ["complaint", "survey"] * 10, "score": [None, 7] * 10}).to_csv(
        folder / "desk.csv", index=False
    )
    sheet = {"cost_id": [1], "kind": ["delivery"], "amount": [900], "starts": ["2017-05-01"], "ends": ["2017-05-31"]}
    pd.DataFrame(sheet | {"allocated_by": ["orders"]}).to_csv(folder / "costs.csv", index=False)
    return folder


def night(shop: Path, out: Path, day: str, **sections: Any) -> RunResult:
    stages = [one for one in STAGES if one.name not in LOOKING_BACK | {"report"}]
    return run(
        {"until": "2017-09-07", "transactions": {"files": "till.csv"}, **sections},
        out,
        home=shop,
        as_of=day,
        stages=stages,
    )


@pytest.fixture(scope="module")
def nights(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> list[RunResult]:
    out = tmp_path_factory.mktemp("out")
    return [night(shop, out, day, **SECTIONS) for day in ("2017-08-15", "2017-09-07")]


def test_each_section_publishes_its_tables(nights: list[RunResult]) -> None:
    tables = nights[-1].tables
    wanted = {
        "service_signals", "recovery", "usage", "usage_groups", "relationships", "relationship_levels", "life_cycles",
        "clusters", "cluster_profiles", "win_back", "target_groups", "target_group_steps", "target_group_trends",
        "model_comparison", "scorecard",
    }  # fmt: skip
    assert wanted <= set(tables)
    assert not [name for name in wanted if not len(tables[name])]
    assert len(tables["win_back"]) == 20
    assert set(tables["recovery"]["customer_id"]) == set(
        tables["customers"].loc[tables["customers"]["open_complaints"] > 0, "customer_id"]
    )
    assert (tables["relationships"]["cost"] > 0).any()


def test_clusters_keep_scale_number_and_names(nights: list[RunResult]) -> None:
    first, second = (one.tables["clusters"].set_index("customer_id")["cluster"] for one in nights)
    assert set(second) <= set(first)
    both = first.index.intersection(second.index)
    assert (first[both] == second[both]).mean() > 0.8


def test_the_value_model_is_chosen_and_named(nights: list[RunResult]) -> None:
    tried = list(nights[-1].tables["model_comparison"]["candidate"])
    models = [name for name in tried if name in {kind.label for kind in PURCHASE_MODELS}]
    assert nights[-1].manifest["value_choice"]["name"] == models[0]
    assert "recent rate (60-day decay)" in tried


def test_a_history_too_short_to_choose_takes_the_usual_model() -> None:
    log = generated_log(n_customers=50, days=3)
    with pytest.warns(CrmkitWarning, match="BG/NBD, which was not compared with others: 3 days of history"):
        found = choose_value_model(log, value=Value())
    assert found == {"value_choice": {"name": "BG/NBD", "why": ""}}


def test_without_its_section_a_stage_is_skipped(shop: Path, tmp_path: Path) -> None:
    done = night(shop, tmp_path, "2017-09-07")
    skipped = {one["stage"]: one["why"] for one in done.manifest["stages"] if one["action"] == "skipped"}
    assert skipped["brand-usage"] == "there is no [brand_usage]"
    assert skipped["clusters"] == "there is no [clusters]"
    assert skipped["read-service"] == "there is no service_files"


def test_a_changed_section_redoes_its_stages_and_those_after_them_alone(shop: Path, nights: list[RunResult]) -> None:
    out, day = nights[-1].folder.parent, "2017-09-07"

    def redone(**changed: Any) -> set[str]:
        done = night(shop, out, day, **(SECTIONS | changed))
        return {one["stage"] for one in done.manifest["stages"] if one["action"] == "run"}

    assert redone(win_back={"n": 10}) == {"win-back", "measure-win-back", "list-tasks"}
    assert redone(life_cycle={"min_items": 6}) == {"life-cycles"}
    assert redone(clusters={"n_clusters": 2}) == {"clusters"}
    assert redone(relationships={"margin": 0.5}) == {"relationships"}
    assert redone(brand_usage={"loyal": 0.8}) == {"brand-usage"}
    assert redone(title="Another") == set()
