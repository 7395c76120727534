"""The rooms: arrows point one way, the front door is light, and nothing outside is changed by looking in."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import crmkit

HOME = Path(crmkit.__file__).parent
SALES_DOOR = {"extracts", "contracts", "door", "delivery", "transactions", "tables", "store"}

# What each room may look into, in the order of the floors; a room sees its own floor's neighbours named here, and below.
FLOORS: list[set[str]] = [
    {"exceptions", "_optional"},
    {"publishing"},
    {"engine"},
    {"extracts", "contracts", "files", "formats", "databases", "notation", "layouts"},
    {"door"},
    {"delivery", "tables"},
    {"transactions"},
    {"summaries", "features", "sales", "cards", "store", "panel", "service", "costs", "measures"},
    {"scoring", "models", "displays", "cut_points"},
    {
        "cells",
        "btyd_displays",
        "churn_scoring",
        "churn_choice",
        "churn_files",
        "churn_flags",
        "churn_rates",
        "churn_reasons",
    },
    {"churn", "churn_backtest", "timing", "timing_baselines", "baskets"},
    {"timing_displays", "churn_displays"},
    {"rfm", "cluster_profiles"},
    {"tiers", "segments", "brand_usage", "relationships", "life_cycles", "target_groups", "offers"},
    {"moves"},
    {"segment_displays"},
    {"evaluation"},
    {"choice"},
    {"report", "export", "config", "datasets", "previous", "last_campaign"},
    {"batch", "check"},
    {"cli"},
]
HEIGHT = {room: height for height, floor in enumerate(FLOORS) for room in floor}


def module_name(path: Path) -> str:
    parts = path.relative_to(HOME).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def named(nodes: list[ast.AST]) -> set[str]:
    """Modules of crmkit that import statements name."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "crmkit is imported by its name, not by dots"
            found |= {node.module} if node.module != "crmkit" else {f"crmkit.{alias.name}" for alias in node.names}
    return {name.removeprefix("crmkit.") for name in found if name and name.startswith("crmkit.")}


def imports_of(path: Path) -> set[str]:
    """Modules of crmkit that a file imports when it runs; names for type checkers alone are no dependence."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes, waiting = [], [tree]
    while waiting:
        node = waiting.pop()
        nodes.append(node)
        for_types = isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        waiting += [] if for_types else list(ast.iter_child_nodes(node))
    return named(nodes)


FILES = sorted(HOME.rglob("*.py"))
ROOMS = [path for path in FILES if module_name(path) not in ("", "testing", "__main__")]


@pytest.mark.parametrize("path", ROOMS, ids=module_name)
def test_arrows_point_down_even_inside_functions(path: Path) -> None:
    room = module_name(path).partition(".")[0]
    assert room in HEIGHT, f"{room} has no floor yet: give it one in FLOORS"
    seen = {name.partition(".")[0] for name in imports_of(path)} - {room, "__version__"}
    assert not [name for name in seen if HEIGHT.get(name, len(FLOORS)) > HEIGHT[room]]


@pytest.mark.parametrize(
    "path", [path for path in FILES if module_name(path).startswith(("models", "scoring"))], ids=module_name
)
def test_models_and_scores_never_see_sales(path: Path) -> None:
    seen = {name.partition(".")[0] for name in imports_of(path)}
    assert not seen & (SALES_DOOR | {"engine", "summaries", "features"})


def test_mathematics_needs_numpy_and_scipy_only() -> None:
    for path in [*HOME.glob("models/_*_math.py"), HOME / "scoring.py"]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        outside = {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) - {"crmkit"}
        assert outside <= ({"numpy"} if path.stem == "scoring" else {"numpy", "scipy"})


def test_nothing_imports_testing() -> None:
    assert [path.name for path in ROOMS if "testing" in {name.partition(".")[0] for name in imports_of(path)}] == []


def test_only_the_engine_names_an_engine() -> None:
    named = set()
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if {module.partition(".")[0] for module in modules} & {"duckdb", "pyspark"}:
                named.add(module_name(path))
    assert named == {"engine"}


def test_the_front_door_is_sorted_and_every_name_opens() -> None:
    assert crmkit.__all__ == sorted(set(crmkit.__all__))
    assert dir(crmkit) == crmkit.__all__
    for name in crmkit.__all__:
        assert getattr(crmkit, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = crmkit.nothing


@pytest.mark.parametrize(
    "path", [path for path in FILES if "__all__" in path.read_text(encoding="utf-8")], ids=module_name
)
def test_what_a_room_offers_is_there(path: Path) -> None:
    module = import_module(f"crmkit.{module_name(path)}".rstrip("."))
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


def test_import_is_light_and_changes_nothing() -> None:
    code = """
import json, sys, warnings
before, path = list(warnings.filters), list(sys.path)
import crmkit
heavy = ["matplotlib", "duckdb", "polars", "pyspark", "pandas", "sklearn", "numpy", "pyarrow", "scipy"]
print(json.dumps([[name for name in heavy if name in sys.modules], warnings.filters == before, sys.path == path]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[], True, True]


def test_use_changes_no_option_of_pandas_and_no_limit() -> None:
    code = """
import csv, decimal, json, locale, warnings
import pandas as pd
def state():
    options = {name: str(pd.get_option(name)) for name in ("display.max_rows", "display.max_columns", "display.width",
               "display.precision", "mode.copy_on_write", "future.infer_string", "compute.use_numexpr")}
    return options, csv.field_size_limit(), str(decimal.getcontext()), locale.setlocale(locale.LC_ALL)
pd.DataFrame({"a": [1]}).to_string()
import duckdb, pyarrow.parquet, numpy
filters, before = list(warnings.filters), state()
import crmkit
till = pd.DataFrame({"customer_id": ["a"], "purchased_at": ["2026-01-01"], "amount": [1.0]})
crmkit.btyd_summary(crmkit.Transactions.from_extract(till, until="2026-12-31"))
print(json.dumps([state() == before, warnings.filters == filters]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [True, True]
