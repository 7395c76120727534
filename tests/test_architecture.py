"""The rooms: arrows point one way, the front door is light, and nothing outside is changed by looking in."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

import crmkit

HOME = Path(crmkit.__file__).parent

# What each room may import besides itself; the ground files (no room) are open to all.
ROOMS: dict[str, set[str]] = {
    "engine": set(),
    "models": {"engine"},
    "ingest": {"engine"},
    "transactions": {"engine", "ingest"},
    "summaries": {"engine", "ingest", "transactions"},
    "evaluation": {"engine", "transactions", "summaries", "models"},
    "segments": {"engine", "ingest", "transactions", "summaries"},
    "products": {"engine", "transactions", "summaries", "evaluation"},
    "offers": {"engine", "ingest", "transactions", "summaries"},
    "campaigns": {"engine", "ingest", "transactions", "summaries", "offers"},
    "churn": {"engine", "ingest", "transactions", "summaries", "models", "evaluation"},
    "repurchase": {"engine", "transactions", "summaries", "evaluation"},
}
ROOMS["reports"] = set(ROOMS)
ROOMS["pipeline"] = set(ROOMS)

# Mathematics and estimators: they see arrays and customer tables, never a log or an engine.
BLIND = re.compile(
    r"models\.(?!scoring$)|evaluation\.metrics|.*_math$|.*\.(estimators|rates|trip_share|hazard|_newton)$"
)
SIGHTED = {"engine", "ingest", "transactions", "summaries"}


def module_name(path: Path) -> str:
    parts = path.relative_to(HOME).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


FILES = {module_name(path): path for path in sorted(HOME.rglob("*.py"))}


def imports_of(path: Path) -> set[str]:
    """Modules of crmkit that a file imports, inside functions and for type checkers alone too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("crmkit.")}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "crmkit is imported by its name, not by dots"
            if (node.module or "").partition(".")[0] == "crmkit":
                below = {f"{node.module}.{alias.name}".removeprefix("crmkit.") for alias in node.names}
                found |= {name if name in FILES else name.rpartition(".")[0] for name in below}
    return {name.removeprefix("crmkit.") for name in found} - {""}


ARROWS = {name: imports_of(path) for name, path in FILES.items()}


def room_of(name: str) -> str:
    """The room of a module; a ground file's own name."""
    return name.partition(".")[0]


@pytest.mark.parametrize("name", [name for name in FILES if name not in ("", "__main__", "testing", "datasets")])
def test_arrows_point_one_way_type_only_ones_too(name: str) -> None:
    rooms = {room_of(target) for target in ARROWS[name]} & set(ROOMS)
    assert rooms <= ROOMS.get(room_of(name), set()) | ({room_of(name)} & set(ROOMS))


def test_no_files_import_each_other_in_a_circle() -> None:
    below = {name: {target for target in targets if target in FILES} for name, targets in ARROWS.items()}
    packages = {name for name, path in FILES.items() if path.name == "__init__.py"}
    graph = {name: targets - packages for name, targets in below.items() if name not in packages}
    list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


@pytest.mark.parametrize("name", [name for name in FILES if BLIND.match(name)])
def test_mathematics_and_estimators_never_see_a_log_or_an_engine(name: str) -> None:
    seen = {room_of(target) for target in ARROWS[name] if not BLIND.match(target)}
    assert not seen & SIGHTED, "mathematics may use mathematics of its own room"


@pytest.mark.parametrize("name", [name for name in FILES if re.search(r"_math$|evaluation\.metrics", name)])
def test_mathematics_needs_numpy_and_scipy_only(name: str) -> None:
    outside = {module.partition(".")[0] for module in foreign(FILES[name])} - set(sys.stdlib_module_names)
    assert outside <= {"numpy", "scipy"}


def foreign(path: Path) -> set[str]:
    """Modules that are not crmkit's and that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return {name for name in found if name.partition(".")[0] != "crmkit"}


def test_nothing_imports_testing() -> None:
    assert [name for name, targets in ARROWS.items() if "testing" in targets] == []


def test_only_the_engine_names_an_engine() -> None:
    named = {
        name for name, path in FILES.items() if {m.partition(".")[0] for m in foreign(path)} & {"duckdb", "pyspark"}
    }
    assert {room_of(name) for name in named} == {"engine"}


def test_the_front_door_is_sorted_and_every_name_opens() -> None:
    assert crmkit.__all__ == sorted(set(crmkit.__all__))
    assert dir(crmkit) == crmkit.__all__
    for name in crmkit.__all__:
        assert getattr(crmkit, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = crmkit.nothing


@pytest.mark.parametrize(
    "name", [name for name, path in FILES.items() if "__all__" in path.read_text(encoding="utf-8")]
)
def test_what_a_file_offers_is_there(name: str) -> None:
    module = import_module(f"crmkit.{name}".rstrip("."))
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


@pytest.mark.parametrize(
    "model", ["ChurnModel()", "NextPurchase()", "CustomerLifetimeValue(ck.BGNBD(), ck.GammaGamma())"]
)
def test_a_backtest_is_found_whatever_was_imported_before(model: str) -> None:
    code = f"""
import crmkit as ck
from crmkit.testing import generated_log
ck.backtest(ck.{model}, generated_log(n_customers=120))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "There is no backtest" not in done.stderr
