"""The documentation: its code runs, every public name and every setting stands in it, and its links lead somewhere."""

from __future__ import annotations

import re
import sys
import tomllib
import warnings
from pathlib import Path

import pytest

import crmkit
from crmkit.exceptions import CrmkitWarning
from crmkit.pipeline.cli import EXIT_CODES
from crmkit.pipeline.config import Config

DOCS = Path(__file__).parents[1] / "docs"
CODE = re.compile(r"^```python\n(.*?)^```", re.M | re.S)


@pytest.fixture(scope="module")
def generated() -> dict[str, str]:
    sys.path.insert(0, str(DOCS))
    from generated import pages

    return dict(pages())


@pytest.mark.parametrize("page", ["start", "questions"])
def test_the_code_of_a_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said: dict[str, object] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrmkitWarning)
        for code in CODE.findall((DOCS / f"{page}.md").read_text(encoding="utf-8")):
            assert code.count("\n") <= 10
            exec(compile(code, page, "exec"), said)


def test_every_public_name_stands_on_the_page_of_names(generated: dict[str, str]) -> None:
    names = [name for name in crmkit.__all__ if not name.startswith("_")]
    assert len(names) > 100
    assert [name for name in names if f"   crmkit.{name}\n" not in generated["api.md"] + "\n"] == []


def test_every_setting_stands_on_the_page_of_settings(generated: dict[str, str]) -> None:
    page = generated["settings.md"]
    assert [name for name in Config.model_fields if f"[{name}]" not in page and f"`{name}`" not in page] == []
    assert "| `horizon` | whole number | `365` |" in page


def test_exit_codes_are_those_of_the_command() -> None:
    page = (DOCS / "operations.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| (\d+) \|", page, re.M) == re.findall(r"\b(\d+) (?=[a-z])", EXIT_CODES)


def test_the_licence_is_there_and_is_the_one_that_is_stated() -> None:
    root = DOCS.parent
    assert (root / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (project["license"], project["license-files"]) == ("MIT", ["LICENSE"])


def test_links_between_pages_lead_somewhere() -> None:
    made = {"reference/settings.md", "reference/api.md"}
    for page in DOCS.glob("*.md"):
        for target in re.findall(r"\]\(([^)#]+\.md)", page.read_text(encoding="utf-8")):
            assert (DOCS / target).is_file() or target in made, f"{page.name}: {target}"
