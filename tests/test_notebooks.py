"""Every notebook runs from top to bottom, and is kept with its outputs, small and without a trace of the machine."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

HOME = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(HOME.glob("*.ipynb"))
LARGEST = 400_000
TRACES = re.compile(r"/(home|root|tmp|work|usr|Users)/|\x1b\[")
QUICK = {"cohorts", "a_customer_table_without_a_log"}


def test_there_is_one_per_question() -> None:
    questions = {
        "first_hour", "who_is_worth_keeping", "who_is_leaving", "when_do_they_return", "offers_and_what_they_did",
        "which_products_go_together", "cohorts", "from_lifetimes", "on_spark", "a_customer_table_without_a_log",
    }  # fmt: skip
    assert questions <= {path.stem for path in NOTEBOOKS}


def cells(path: Path) -> list[Any]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_kept_small_and_clean(path: Path) -> None:
    assert path.stat().st_size <= LARGEST
    outputs = [output for cell in cells(path) for output in cell.outputs]
    assert len(outputs) >= len(cells(path)) / 2
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    text = json.dumps([{k: v for k, v in o.get("data", {}).items() if k != "image/png"} or o for o in outputs])
    assert not TRACES.search(text)


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=() if path.stem in QUICK else pytest.mark.long) for path in NOTEBOOKS],
    ids=lambda path: path.stem,
)
def test_notebook_runs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(HOME)}}).execute()
    assert not [one for cell in notebook.cells for one in cell.get("outputs", []) if one.output_type == "error"]
