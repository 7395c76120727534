"""Signatures say what they take and give: where one says Any, this file says why."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import crmkit

HOME = Path(crmkit.__file__).parent
MOST = 100

OPEN = "a document as it was read: every field is checked where it is used"
KEYWORDS = "keywords that are handed on, each checked by who takes it"
FOREIGN = "an object of a library that states no types"
CELL = "a cell or a row of a table, whose kind only the column knows"
BY_ENGINE = "a table of whatever library or engine it came from"
ANY = {
    "_documents.py": OPEN,
    "_types.py": "columns of pandas, polars and Arrow share no type",
    "churn/documents.py": OPEN,
    "churn/estimators.py": "the nest of nodes that LightGBM dumps",
    "displays.py": "matplotlib's own keywords",
    "engine/frames.py": BY_ENGINE,
    "engine/tables.py": BY_ENGINE,
    "segments/brand_usage.py": BY_ENGINE,
    "segments/target_groups.py": BY_ENGINE,
    "engine/spark.py": "an engine's tables are stated as pandas; Spark's are its own",
    "ingest/column_inference.py": KEYWORDS,
    "ingest/databases.py": FOREIGN,
    "ingest/extracts.py": BY_ENGINE,
    "ingest/layouts/__init__.py": OPEN,
    "ingest/worksheets.py": FOREIGN,
    "models/_base.py": "fits a model of any class and gives back the same",
    "models/_columns.py": "columns of pandas, polars and Arrow share no type",
    "models/documents.py": OPEN,
    "models/lifetime_value.py": "fits a model of any class and gives back the same",
    "models/lifetimes.py": "a purchase model with the private parts that only its class has",
    "offers/on_spark.py": OPEN,
    "offers/result.py": BY_ENGINE,
    "pipeline/table_sources.py": KEYWORDS,
    "pipeline/history.py": OPEN,
    "pipeline/nightly.py": OPEN,
    "pipeline/publish.py": OPEN,
    "pipeline/stages/load.py": KEYWORDS,
    "pipeline/stages/offers.py": KEYWORDS,
    "reports/formats.py": CELL,
    "reports/lists/cards.py": CELL,
    "reports/lists/needs.py": CELL,
    "reports/lists/pos.py": CELL,
    "reports/report.py": "what the block's own function takes",
    "reports/workbook.py": CELL,
    "repurchase/rates.py": "columns of pandas, polars and Arrow share no type",
    "repurchase/trip_share.py": "columns of pandas, polars and Arrow share no type",
    "segments/displays.py": CELL,
    "summaries/costs.py": CELL,
    "transactions/delivery_folder.py": KEYWORDS,
    "transactions/delta.py": FOREIGN,
    "transactions/delta_files.py": FOREIGN,
    "transactions/erasure.py": BY_ENGINE,
    "transactions/line_meaning.py": KEYWORDS,
    "transactions/store.py": KEYWORDS,
}
"""File → why its signatures say Any."""


def annotations(path: Path) -> Iterator[tuple[str, ast.expr]]:
    """Each annotation of a function's parameters and of what it returns, with the function's name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            taken = node.args
            given = [*taken.args, *taken.kwonlyargs, *taken.posonlyargs, taken.vararg, taken.kwarg]
            stated = [one.annotation for one in given if one is not None] + [node.returns]
            yield from ((node.name, one) for one in stated if one is not None)


def says_any(annotation: ast.expr) -> bool:
    return any(isinstance(part, ast.Name) and part.id == "Any" for part in ast.walk(annotation))


FOUND = {
    path.relative_to(HOME).as_posix(): names
    for path in sorted(HOME.rglob("*.py"))
    if (names := [name for name, annotation in annotations(path) if says_any(annotation)])
}


def test_few_signatures_say_any_and_each_has_a_reason() -> None:
    assert sum(map(len, FOUND.values())) < MOST, FOUND
    assert set(FOUND) == set(ANY)


def test_no_name_of_the_front_door_returns_any() -> None:
    stub = ast.parse((HOME / "__init__.pyi").read_text(encoding="utf-8"))
    public = {name.name for node in stub.body if isinstance(node, ast.ImportFrom) for name in node.names}
    opened = [
        (path, node)
        for path in sorted(HOME.rglob("*.py"))
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in public
    ]
    returned = [
        f"{path.relative_to(HOME)}: {node.name}.{one.name}"
        for path, node in opened
        for one in (node.body if isinstance(node, ast.ClassDef) else [node])
        if isinstance(one, ast.FunctionDef) and not one.name.startswith("_")
        if one.returns is not None and says_any(one.returns)
    ]
    assert len(opened) > 80
    assert returned == []
