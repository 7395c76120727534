"""How much of the library a run reaches: ``python tests/pipeline/test_reach.py`` prints the public names that it does not."""

from __future__ import annotations

import ast
from pathlib import Path

import crmkit
from crmkit.pipeline import nightly, stages
from crmkit.pipeline.fingerprints import _reached

FRONT = Path(crmkit.__file__).with_suffix(".pyi")
WANTED = {
    "BrandUsage", "CustomerClusters", "RelationshipLevel", "allocate_costs", "backtest", "bought_together", "budgets_left",
    "choose_model", "cohorts", "contact_lists", "life_cycle", "measure_response", "own_brand_change", "past_totals",
    "redemption_rates", "second_purchase", "service_signals", "suspect_cards", "target_group", "track_group", "with_codes",
}  # fmt: skip
"""Of the sections that a configuration may have."""


def public_names() -> set[str]:
    tree = ast.parse(FRONT.read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {one.asname or one.name for node in imports for one in node.names}


def reached_names() -> set[str]:
    """Every name that is used in a file which the stages, or what runs them, come to."""
    files = {
        file for start in (nightly, stages) for file in _reached(Path(str(start.__file__))) if file.suffix == ".py"
    }
    found: set[str] = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Name):
                found.add(node.id)
            elif isinstance(node, ast.Attribute):
                found.add(node.attr)
            elif isinstance(node, ast.ImportFrom):
                found |= {one.name for one in node.names if one.asname}
    return found


def test_a_run_reaches_the_library() -> None:
    names, reached = public_names(), reached_names()
    assert sorted(WANTED - (names & reached)) == []
    assert len(names & reached) > 0.8 * len(names)


if __name__ == "__main__":
    beside = sorted(public_names() - reached_names())
    print(f"{len(beside)} of {len(public_names())} public names are not in a run: {', '.join(beside)}")
