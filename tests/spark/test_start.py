"""Without Java, tests of Spark fail where CI is set and skip elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]


@pytest.mark.parametrize(("ci", "outcome"), [("true", "1 error"), ("", "1 skipped")])
def test_spark_that_cannot_start(ci: str, outcome: str, tmp_path: Path) -> None:
    pytest.importorskip("pyspark")
    one = [
        "tests/engine/test_dialect.py",
        "-k",
        "greatest and null",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-o",
        "addopts=-ra",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *one, "--basetemp", str(tmp_path / "inner")],
        env=os.environ | {"CI": ci, "JAVA_HOME": str(tmp_path)}, cwd=HOME, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert f"{outcome}" in done.stdout.splitlines()[-1], done.stdout
    assert "Spark cannot start: " in done.stdout
